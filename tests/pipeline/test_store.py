import hashlib
import zlib

import h5py
import numpy as np
import pytest

from pipeline.errors import DamagedError, StageError
from pipeline.fields import FIELDS, check_fields
from pipeline.store import FrameReader, FrameWriter, row_crc32


def sample(frame, size=80):
    rng = np.random.default_rng(frame)
    return {
        "frame": np.int32(frame),
        "depth_m": rng.random((size, size), dtype=np.float32),
        "mask": rng.random((size, size)) < 0.5,
        "capture": "p01",
    }


def write(path, frames, **changes):
    with FrameWriter(path, {"capture": "p01"}) as writer:
        for frame in frames:
            writer.append({**sample(frame), **changes})
    return path


def test_every_sample_comes_back_as_it_was(tmp_path):
    with FrameReader(write(tmp_path / "a.h5", [3, 5, 9])) as reader:
        assert len(reader) == 3 and reader.column("frame").tolist() == [3, 5, 9]
        for row, frame in zip(reader.rows(["depth_m", "mask", "capture"]), [3, 5, 9], strict=True):
            expected = sample(frame)
            assert row["capture"] == "p01"
            np.testing.assert_array_equal(row["depth_m"], expected["depth_m"])
            np.testing.assert_array_equal(row["mask"], expected["mask"])


def test_same_samples_give_the_same_bytes(tmp_path):
    digests = {
        hashlib.sha256(write(tmp_path / name, [1, 2]).read_bytes()).hexdigest() for name in ("a.h5", "b.h5")
    }
    assert len(digests) == 1


def test_one_chunk_holds_one_sample_and_small_fields_are_plain(tmp_path):
    with h5py.File(write(tmp_path / "a.h5", [1, 2])) as file:
        assert file["depth_m"].chunks == (1, 80, 80)
        assert file["depth_m"].attrs["unit"] == "m" and file["frame"].chunks == (1024,)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"depth_m": np.zeros((80, 80))}, r"depth_m must be float32 \(N H W\), is float64"),
        ({"depth_m": np.zeros((80, 80, 1), np.float32)}, r"depth_m must be float32 \(N H W\)"),
        ({"depth_m": np.full((80, 80), np.nan, np.float32)}, "must be finite, has 6400 NaN"),
        ({"mask": np.zeros((80, 81), bool)}, "must have W=80, has 81"),
        ({"dept_m": np.zeros((80, 80), np.float32)}, "'dept_m' is not in the field table"),
    ],
)
def test_what_does_not_fit_the_table_is_never_written(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        write(tmp_path / "a.h5", [1], **changes)


def test_samples_of_another_size_or_of_other_fields_are_refused(tmp_path):
    with FrameWriter(tmp_path / "a.h5", {}) as writer:
        writer.append(sample(1))
        with pytest.raises(ValueError, match="in every sample"):
            writer.append(sample(2, size=79))
        with pytest.raises(ValueError, match="samples must hold"):
            writer.append({"frame": np.int32(2)})


def test_unknown_field_names_what_there_is(tmp_path):
    lacking = pytest.raises(KeyError, match="lacks 'normal'; it holds capture, depth_m, frame, mask")
    with FrameReader(write(tmp_path / "a.h5", [1])) as reader, lacking:
        reader.row(0, ["normal"])


def test_another_schema_is_refused(tmp_path):
    path = write(tmp_path / "a.h5", [1])
    with h5py.File(path, "a") as file:
        file.attrs["schema"] = "2.0"
    with pytest.raises(ValueError, match=r"schema must be 1\.1, is 2\.0"):
        FrameReader(path)


def test_damaged_chunk_says_what_to_do(tmp_path):
    path = write(tmp_path / "a.h5", [1])
    with h5py.File(path) as file:
        info = file["depth_m"].id.get_chunk_info(0)
    content = bytearray(path.read_bytes())
    content[info.byte_offset : info.byte_offset + 64] = b"\xff" * 64
    path.write_bytes(content)
    with FrameReader(path) as reader, pytest.raises(DamagedError, match="depth_m, row 0 must be readable"):
        reader.row(0, ["depth_m"])


def checked(path, filter="lz4"):
    with FrameWriter(path, {}, row_checksums=True, filter=filter) as writer:
        for frame in range(3):
            writer.append({**sample(frame), "K": np.eye(3) * (1 + frame)})
    return path


ALL = ["K", "capture", "depth_m", "frame", "mask"]


def test_checksums_are_of_the_values_whatever_the_filter(tmp_path):
    with FrameReader(checked(tmp_path / "a.h5")) as a, FrameReader(checked(tmp_path / "b.h5", "gzip")) as b:
        assert a.fields == [*ALL, "row_crc32"]
        np.testing.assert_array_equal(a.column("row_crc32"), b.column("row_crc32"))
        depth_sums = a.column("row_crc32")[:, ALL.index("depth_m")].tolist()
        assert depth_sums == [zlib.crc32(sample(frame)["depth_m"].tobytes()) for frame in range(3)]
        for index in range(3):
            a.check_row(index, a.row(index, ALL))
    assert row_crc32("capture", "zoë") == zlib.crc32("zoë".encode())


@pytest.mark.parametrize("name", ["depth_m", "K", "frame", "mask"])
@pytest.mark.parametrize("filter", ["lz4", "none"])
def test_flipped_bit_names_file_row_and_field(tmp_path, name, filter):
    path = checked(tmp_path / "a.h5", filter)
    with h5py.File(path) as file:
        dataset = file[name]
        whole = dataset.chunks[0] > 1
        chunk = dataset.id.get_chunk_info(0 if whole else 1)
        row_bytes = dataset.dtype.itemsize * int(np.prod(dataset.shape[1:]))
    # Random depth cannot be compressed: its bytes stand in the file as they are, behind a few of the filter's.
    place = chunk.byte_offset + (row_bytes if whole else chunk.size // 2)
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    with FrameReader(path) as reader:
        reader.check_row(0, reader.row(0, ALL))
        reader.check_row(2, reader.row(2, ALL))
        with pytest.raises(DamagedError, match=rf"a\.h5: {name}, row 1 must"):
            reader.check_row(1, reader.row(1, ALL))


def test_row_without_checksums_cannot_be_verified(tmp_path):
    with FrameReader(write(tmp_path / "a.h5", [1])) as reader:
        assert "row_crc32" not in reader.fields
        with pytest.raises(StageError, match=r"must hold row_crc32 .* does not\. Build it again"):
            reader.check_row(0, {})


@pytest.mark.parametrize(("filter", "found"), [("lz4", "32004"), ("gzip", "gzip"), ("none", None)])
def test_large_fields_go_through_the_filter_that_was_asked_for(tmp_path, filter, found):
    with h5py.File(checked(tmp_path / "a.h5", filter)) as file:
        used = list(file["depth_m"]._filters)
        assert used == ([found] if found else [])
        assert not file["K"]._filters


def test_every_field_of_the_table_is_complete():
    known = {"m", "px", "s", "rad", "1"}
    for name, field in FIELDS.items():
        assert field.doc and field.unit in known, name
        assert field.dtype == "str" or np.dtype(field.dtype), name
        if name.endswith("_m") and field.dtype != "str":
            assert field.unit == "m", name


def test_integer_symbols_are_exact():
    with pytest.raises(ValueError, match="K must have 3=3, has 4|K must have 3, has 4|must have"):
        check_fields({"K": np.zeros((1, 3, 4))}, where="here")
