"""An npz file of anyone: our reader agrees with numpy's on sound files, and runs nothing of the others."""

import io
import pickle  # noqa: TID251  for the canary of an array of objects, which the reader must refuse
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pipeline.bodies.npz_file import read_npz, write_npz

NUMBERS_AND_TEXTS = st.sampled_from(["?", "<i1", "<u2", ">i4", "<u8", "<f2", ">f4", "<f8", "<U3", "<S4"])


@given(
    arrays=st.dictionaries(
        st.from_regex(r"[a-z_]{1,8}", fullmatch=True),
        hnp.arrays(NUMBERS_AND_TEXTS, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)),
        max_size=3,
    ),
    order=st.sampled_from("CF"),
)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_our_reader_and_numpys_agree_on_files_of_either_writer(tmp_path, arrays, order):
    arrays = {name: np.array(array, order=order) for name, array in arrays.items()}
    write_npz(tmp_path / "ours.npz", arrays)
    np.savez(tmp_path / "numpys.npz", **arrays)
    with np.load(tmp_path / "ours.npz", allow_pickle=False) as file:
        all_three = [dict(file), read_npz(tmp_path / "ours.npz"), read_npz(tmp_path / "numpys.npz")]
    for back in all_three:
        assert back.keys() == arrays.keys()
        for name, array in arrays.items():
            # numpy keeps a text array that begins as all-empty at its declared width
            assert (back[name].dtype, back[name].shape) == (array.dtype, array.shape)
            assert back[name].tobytes() == array.tobytes()


class Touch:
    """Makes a file when a plain unpickler reads it."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self):
        return Path.touch, (self.canary,)


def npy(descr: str, shape: str, content: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return (
        b"\x93NUMPY"
        + version
        + len(header).to_bytes(2 if version[0] == 1 else 4, "little")
        + header
        + content
    )


def hostile_npz(canary: Path) -> dict[str, tuple[str, bytes]]:
    """Member name and content by what is wrong with them."""
    objects = io.BytesIO()
    np.save(objects, np.array([Touch(canary)], object), allow_pickle=True)
    return {
        "Python objects": ("a.npy", objects.getvalue()),
        "must be numbers or text, is": ("a.npy", npy("[('x', '<f8')]", "(1,)", bytes(8))),
        "must be numbers or text, is 'M8": ("a.npy", npy("'M8[s]'", "(1,)", bytes(8))),
        "must be numbers or text, is '<f3'": ("a.npy", npy("'<f3'", "(1,)", bytes(3))),
        "8000000000000000000 bytes, is 8": ("a.npy", npy("'<f8'", "(1000000000, 1000000000)", bytes(8))),
        "must be 8 bytes, is 9": ("a.npy", npy("'<f8'", "(1,)", bytes(9))),
        "at most 8 axes": ("a.npy", npy("'<f8'", "(" + "1, " * 9 + ")", bytes(8))),
        "must have a header as numpy writes it": ("a.npy", npy("'<f8'", "(__import__('os'),)", bytes(8))),
        "has '{'descr': '<f8', 'fortran": ("a.npy", npy("'<f8'", "(-1,)", bytes(8))),
        "npy array of format 1 or 2": ("a.npy", b"\x93NUMPY\x03\x00" + bytes(100)),
        "npy array of format 1 or 2, is not": ("a.npy", npy("'<f8'", "(1,)" + " " * 5000, bytes(8))),
        "named NAME.npy without folders, one is '../../a.npy'": (
            "../../a.npy",
            npy("'<f8'", "(1,)", bytes(8)),
        ),
        "one is '/tmp/a.npy'": ("/tmp/a.npy", npy("'<f8'", "(1,)", bytes(8))),
        "one is 'a.txt'": ("a.txt", b"words"),
        "take at most 1 MB, take 9 MB": ("a.npy", npy("'<f8'", "(1100000,)", bytes(8_800_000))),
    }


@pytest.mark.parametrize("words", hostile_npz(Path()))
def test_hostile_npz_is_refused_and_nothing_in_it_is_run(tmp_path, words):
    canary, path = tmp_path / "canary", tmp_path / "a.npz"
    name, content = hostile_npz(canary)[words]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    with pytest.raises(ValueError) as refused:
        read_npz(path, limit_bytes=1_000_000)
    assert words.replace("'{'", "\"{'") in str(refused.value)
    assert [place.name for place in tmp_path.iterdir()] == ["a.npz"]


def test_canary_of_the_object_array_is_alive(tmp_path):
    content = pickle.dumps(np.array([Touch(tmp_path / "canary")], object))
    code = "import pickle, sys; pickle.load(sys.stdin.buffer)"
    subprocess.run([sys.executable, "-c", code], input=content, check=True)
    assert (tmp_path / "canary").exists()


def broken_zips(whole: bytes) -> dict[str, bytes]:
    return {
        "empty": b"",
        "no zip": b"hello, world" * 100,
        "truncated": whole[: len(whole) // 2],
        "flipped": whole[:60] + bytes([whole[60] ^ 255]) + whole[61:],
        "no such compression": whole.replace(b"\x08\x00\x00\x00!\x00", b"\x63\x00\x00\x00!\x00"),
        "encrypted": whole.replace(
            b"PK\x01\x02\x14\x03\x14\x00\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01\x00"
        ),
    }


@pytest.mark.parametrize("what", broken_zips(bytes(99)))
def test_broken_npz_is_refused(tmp_path, what):
    path = tmp_path / "a.npz"
    write_npz(path, {"a": np.arange(1000), "b": np.ones(3)})
    broken = broken_zips(path.read_bytes())[what]
    assert broken != path.read_bytes()
    path.write_bytes(broken)
    with pytest.raises(ValueError, match=r"a\.npz"):
        read_npz(path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_npz_that_names_a_member_twice_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        for _ in range(2):
            archive.writestr("a.npy", npy("'<f8'", "(1,)", bytes(8)))
    with pytest.raises(ValueError, match=r"'a\.npy' stands twice"):
        read_npz(tmp_path / "a.npz")
