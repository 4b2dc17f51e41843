import json
import os
import subprocess
import sys

import pytest

from pipeline.errors import DamagedError
from pipeline.sealing import (
    RECORD,
    begin,
    damage,
    leftovers,
    read_record,
    require_undamaged,
    seal,
)


@pytest.fixture
def sealed(tmp_path):
    place = tmp_path / "stage" / "abc"
    part = begin(place)
    (part / "deep").mkdir()
    (part / "deep" / "data.bin").write_bytes(bytes(range(256)))
    seal(part, place, {"fingerprint": "abc"})
    return place


def test_sealed_folder_is_read_back_with_its_record(sealed):
    record = read_record(sealed)
    assert record["fingerprint"] == "abc" and list(record["files"]) == ["deep/data.bin"]
    assert damage(sealed) == []


def test_part_folder_never_counts(tmp_path):
    part = begin(tmp_path / "abc")
    (part / "data.bin").write_bytes(b"x")
    assert read_record(part) is None and read_record(tmp_path / "abc") is None


@pytest.mark.parametrize("harm", ["remove", "grow", "touch", "record"])
def test_folder_counts_only_while_it_is_whole(sealed, harm):
    data = sealed / "deep" / "data.bin"
    if harm == "remove":
        data.unlink()
    elif harm == "grow":
        data.write_bytes(b"longer" * 100)
    elif harm == "touch":
        os.utime(data, ns=(1, 1))
    else:
        (sealed / RECORD).write_text('{"fingerprint": "abc", "fil')
    assert read_record(sealed) is None


def test_flipped_bit_with_unchanged_size_and_time_is_found_marked_and_refused(sealed):
    data = sealed / "deep" / "data.bin"
    stat = data.stat()
    content = bytearray(data.read_bytes())
    content[100] ^= 1
    data.write_bytes(content)
    os.utime(data, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert read_record(sealed) is not None  # size and time cannot tell
    with pytest.raises(DamagedError, match="sha256"):
        require_undamaged(sealed)
    assert read_record(sealed) is None  # but now it is marked
    part = begin(sealed)
    (part / "data.bin").write_bytes(b"made again")
    seal(part, sealed, {"fingerprint": "abc"})
    aside = list(sealed.parent.glob("abc.damaged-*"))
    assert read_record(sealed)["fingerprint"] == "abc" and len(aside) == 1
    assert (aside[0] / "deep" / "data.bin").read_bytes() == content  # kept for inspection


def test_second_seal_of_the_same_fingerprint_keeps_the_first(sealed):
    before = json.loads((sealed / RECORD).read_text())
    part = begin(sealed)
    (part / "other.bin").write_bytes(b"late")
    seal(part, sealed, {"fingerprint": "abc"})
    assert json.loads((sealed / RECORD).read_text()) == before and not part.exists()


def test_another_fingerprint_replaces_what_was_whole(sealed):
    part = begin(sealed)
    (part / "new.bin").write_bytes(b"new")
    assert read_record(sealed)["fingerprint"] == "abc"  # the old one stands until the new one is complete
    seal(part, sealed, {"fingerprint": "def"})
    assert read_record(sealed)["fingerprint"] == "def"
    assert [path.name for path in sealed.parent.iterdir()] == [sealed.name]


def test_what_was_never_sealed_is_kept_aside(tmp_path):
    place = tmp_path / "abc"
    place.mkdir()
    (place / "stray").write_bytes(b"x")
    part = begin(place)
    (part / "data.bin").write_bytes(b"y")
    seal(part, place, {"fingerprint": "abc"})
    assert read_record(place) is not None
    assert [path.read_bytes() for path in tmp_path.glob("abc.damaged-*/stray")] == [b"x"]


def test_faster_twin_between_check_and_rename_wins(sealed, monkeypatch):
    part = begin(sealed)
    (part / "other.bin").write_bytes(b"late")
    answers = iter([None])  # not there at the check, there when the rename fails
    real = read_record
    monkeypatch.setattr("pipeline.sealing.read_record", lambda place: next(answers, real(place)))
    monkeypatch.setattr("pipeline.sealing._out_of_the_way", lambda place: None)
    seal(part, sealed, {"fingerprint": "abc"})
    assert not part.exists() and list(real(sealed)["files"]) == ["deep/data.bin"]


def test_error_that_passes_marks_nothing(sealed, monkeypatch):
    def fails(path, *, sync):
        raise OSError(116, "Stale file handle")

    monkeypatch.setattr("pipeline.sealing.describe_file", fails)
    with pytest.raises(OSError, match="Stale"):
        require_undamaged(sealed)
    monkeypatch.undo()
    assert read_record(sealed) is not None


def test_only_folders_of_provably_dead_processes_are_leftovers(tmp_path):
    mine = begin(tmp_path / "abc")
    code = "import sys; from pathlib import Path; from pipeline.sealing import begin; print(begin(Path(sys.argv[1])))"
    dead = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "abc")], capture_output=True, text=True, check=True
    ).stdout.strip()
    foreign = tmp_path / "abc.part-elsewhere-1-1-00"
    foreign.mkdir()
    assert [str(path) for path in leftovers(sorted(tmp_path.iterdir()))] == [dead]
    assert mine.exists() and foreign.exists()
