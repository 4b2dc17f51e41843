"""Surfaces come back from their files as they were, and equal ones have equal bytes."""

from dataclasses import fields

import numpy as np
import pytest

from pipeline.scan_files import BodyBelow, Portrayable, read_portrayable, write_portrayable

RNG = np.random.default_rng(2)
BELOW = BodyBelow(
    body_face=np.arange(3, dtype=np.int32),
    body_bary=RNG.random((3, 3, 3)).astype(np.float32),
    joints_m=RNG.random((24, 3)),
    pose_rad=RNG.random((24, 3)),
    betas=RNG.random(10),
    transl_m=RNG.random(3),
)


def surface(body):
    return Portrayable(
        vertices_m=np.random.default_rng(5).random((4, 3)).astype(np.float32),
        faces=np.array([[0, 1, 2], [0, 2, 3], [1, 2, 3]], dtype=np.int32),
        vertex_rgb=np.arange(12, dtype=np.uint8).reshape(4, 3),
        body=body,
    )


def arrays(record):
    return {key.name: getattr(record, key.name) for key in fields(record) if key.name != "body"}


@pytest.mark.parametrize("body", [None, BELOW])
def test_a_surface_comes_back_with_and_without_its_body(tmp_path, body):
    for name in ("one.npz", "two.npz"):
        write_portrayable(tmp_path / name, surface(body))
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    found = read_portrayable(tmp_path / "one.npz")
    assert (found.body is None) == (body is None)
    pairs = [(found, surface(body))] + ([(found.body, body)] if body else [])
    for new, old in pairs:
        for key, array in arrays(old).items():
            assert arrays(new)[key].dtype == array.dtype
            np.testing.assert_array_equal(arrays(new)[key], array)


def test_a_file_cut_off_says_so(tmp_path):
    path = tmp_path / "cut.npz"
    write_portrayable(path, surface(BELOW))
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(ValueError, match="whole npz file"):
        read_portrayable(path)
