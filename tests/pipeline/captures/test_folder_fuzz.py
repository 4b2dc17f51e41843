"""Hostile bytes give an InputError or a result of the stated size: no other exception, no hang, no gigabytes."""

import struct
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.captures.calibration import read_calibration
from pipeline.captures.deepdeform import read_flow
from pipeline.captures.infinitam import read_infinitam_calibration
from pipeline.captures.netpbm import netpbm_size, read_pgm_raw, read_pnm_color
from pipeline.captures.npy_depth import npy_size, read_npy_depth
from pipeline.captures.poses import read_log_trajectory, read_tum_trajectory
from pipeline.errors import InputError

ROUNDS = 300


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """Cut off, overwritten, repeated, or with bytes swapped or put in."""
    at = int(rng.integers(len(data)))
    kind = rng.integers(6)
    noise = rng.integers(0, 256, int(rng.integers(1, 9))).astype(np.uint8).tobytes()
    if kind == 0:
        return data[:at]
    if kind == 1:
        return data[:at] + noise + data[at + len(noise) :]
    if kind == 2:
        return data[:at] + noise + data[at:]
    if kind == 3:
        return data[:at] + data[at // 2 :]
    if kind == 4:
        return data[:at] + rng.choice([b"9" * 12, b"-", b"nan", b"1e999", b"[" * 3000, b"\n"]) + data[at:]
    return np.frombuffer(data[: len(data) // 2 * 2], ">u2").astype("<u2").tobytes()


def pgm(folder: Path) -> bytes:
    assert cv2.imwrite(str(folder / "a.pgm"), np.arange(60, dtype=np.uint16).reshape(6, 10) * 900)
    return (folder / "a.pgm").read_bytes()


def ppm(folder: Path) -> bytes:
    assert cv2.imwrite(str(folder / "a.ppm"), np.zeros((6, 10, 3), np.uint8))
    return (folder / "a.ppm").read_bytes()


def npy(folder: Path) -> bytes:
    np.save(folder / "a.npy", np.ones((6, 10), np.float32))
    return (folder / "a.npy").read_bytes()


def flow(folder: Path) -> bytes:
    return struct.pack("<3I", 10, 6, 2) + np.ones(120, "<f4").tobytes()


CALIB = b"64 48\n50 50\n32 24\n\n64 48\n57 57\n33 24\n\n1 0 0 0.02\n0 1 0 0\n0 0 1 0\n\naffine 0.001 0\n"
LOG = b"0 0 1\n1 0 0 0\n0 1 0 0\n0 0 1 0\n0 0 0 1\n1 1 2\n1 0 0 0.5\n0 1 0 0\n0 0 1 0\n0 0 0 1\n"
CAMERA = b'{"width": 64, "height": 48, "intrinsic_matrix": [50, 0, 0, 0, 50, 0, 31.5, 23.5, 1]}'
PATH = b'{"parameters": [{"intrinsic": ' + CAMERA + b', "extrinsic": [1]}]}'
TUM = b"# t\n1.5 0 0 0 0 0 0 1\n1.6 0.1 0 0 0 0 0 1\n"
CASES: dict[str, tuple[Callable[[Path], object], Callable[[Path], bytes], tuple[int, ...] | None]] = {
    "a.pgm": (lambda p: read_pgm_raw(p).shape, pgm, (6, 10)),
    "a.ppm": (lambda p: read_pnm_color(p).shape, ppm, (6, 10, 3)),
    "a.npy": (lambda p: read_npy_depth(p).shape, npy, (6, 10)),
    "a.sflow": (lambda p: read_flow(p)[0].shape, flow, (6, 10, 2)),
    "calib.txt": (read_infinitam_calibration, lambda _: CALIB, None),
    "trajectory.log": (read_log_trajectory, lambda _: LOG, None),
    "groundtruth.txt": (read_tum_trajectory, lambda _: TUM, None),
    "camera.json": (read_calibration, lambda _: CAMERA, None),
    "path.json": (read_calibration, lambda _: PATH, None),
    "K.txt": (read_calibration, lambda _: b"50 0 32\n0 50 24\n0 0 1\n", None),
}


@pytest.mark.parametrize("name", sorted(CASES))
def test_mutated_files_are_refused_or_read(name, tmp_path) -> None:
    read, make, shape = CASES[name]
    whole = make(tmp_path)
    path = tmp_path / name
    rng = np.random.default_rng(11)
    refused = 0
    for _ in range(ROUNDS):
        path.write_bytes(mutated(whole, rng))
        assert netpbm_size(path) is None or name in ("a.pgm", "a.ppm")
        assert npy_size(path) is None or name == "a.npy"
        try:
            found = read(path)
        except InputError as error:
            refused += 1
            assert error.reason and len(str(error)) < 2000
        else:
            # a changed head may turn the sides round, or make one of two values: never more of them
            assert shape is None or int(np.prod(found)) <= int(np.prod(shape))
    assert refused > ROUNDS // 3
    path.write_bytes(whole)
    assert shape is None or read(path) == shape
