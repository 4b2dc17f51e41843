import os

from hypothesis import given
from hypothesis import strategies as st

from pipeline.fingerprints import FileHashes, fingerprint

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(st.dictionaries(st.text(), json_values, max_size=4))
def test_key_order_does_not_count(value):
    assert fingerprint(value) == fingerprint(dict(reversed(value.items())))


def test_every_change_counts():
    values = [{"a": 1}, {"a": 1.5}, {"a": "1"}, {"a": None}, {"b": 1}, {"a": [1]}, {}]
    assert len({fingerprint(value) for value in values}) == len(values)


def test_content_counts_and_time_alone_does_not(tmp_path):
    file = tmp_path / "raw" / "a.png"
    file.parent.mkdir()
    file.write_bytes(b"one")
    hashes = FileHashes(tmp_path / "hashes.sqlite")
    first = hashes.digest([file], root=file.parent)
    os.utime(file, ns=(5, 5))
    assert hashes.digest([file], root=file.parent) == first
    file.write_bytes(b"two")
    assert hashes.digest([file], root=file.parent) != first


def test_missing_file_has_a_digest_of_its_own(tmp_path):
    hashes = FileHashes(tmp_path / "hashes.sqlite")
    missing = hashes.digest([tmp_path / "a"], root=tmp_path)
    (tmp_path / "a").write_bytes(b"")
    assert hashes.digest([tmp_path / "a"], root=tmp_path) != missing


def test_remembered_hash_is_trusted_until_told_otherwise(tmp_path):
    file = tmp_path / "a.png"
    file.write_bytes(b"one")
    stat = file.stat()
    first = FileHashes(tmp_path / "hashes.sqlite").digest([file], root=tmp_path)
    with file.open("r+b") as handle:  # same inode, size and time: only reading can tell
        handle.write(b"two")
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert FileHashes(tmp_path / "hashes.sqlite").digest([file], root=tmp_path) == first
    rehashed = FileHashes(tmp_path / "hashes.sqlite", trust=False).digest([file], root=tmp_path)
    assert rehashed != first
    assert FileHashes(tmp_path / "hashes.sqlite").digest([file], root=tmp_path) == rehashed
