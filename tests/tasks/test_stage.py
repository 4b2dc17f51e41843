"""What a stage reads, and that nothing but whole work is ever sealed."""

import errno
import json
import os
from pathlib import Path

import luigi
import numpy as np
import pytest

from pipeline.errors import GateError, InputError, StageError
from pipeline.quality import QuarantineRow, quarantine_rows
from pipeline.sealing import read_record
from pipeline.store import FrameReader, FrameWriter
from tasks import stage_process
from tasks.context import forget
from tasks.executing import execute, failure
from tasks.ingest import Ingest
from tasks.inputs import JoinedFrames
from tasks.job import StageFailed, StageResult
from tasks.stage import CaptureStage


@pytest.fixture
def in_process(monkeypatch):
    """Run jobs here instead of in a process of their own; `hooks` are called as progress is reported."""
    hooks = []
    monkeypatch.setattr(
        stage_process, "run_job", lambda job, task: execute(job, lambda *_: [hook() for hook in hooks])
    )
    return hooks


# reading


def frames_file(path: Path, frames: list[int], value: float) -> FrameReader:
    with FrameWriter(path, {}) as writer:
        for frame in frames:
            depth_m = np.full((2, 2), frame + value, np.float32)
            name = "depth_m" if value == 0 else "depth_raw_m"
            writer.append({"frame": np.int32(frame), name: depth_m})
    return FrameReader(path)


def test_rows_are_joined_by_frame_number_never_by_position(tmp_path):
    readers = {
        "one": frames_file(tmp_path / "one.h5", [9, 3, 5, 1], 0),
        "two": frames_file(tmp_path / "two.h5", [5, 7, 9], 0.5),
    }
    joined = JoinedFrames(readers, {"one": ["depth_m"], "two": ["depth_raw_m"]})
    assert joined.frames == [5, 9] and len(joined) == 2
    for _ in range(2):  # again and again
        rows = list(joined)
        assert [row["frame"] for row in rows] == [5, 9]
        for row in rows:
            assert row["depth_m"][0, 0] == row["frame"] and row["depth_raw_m"][0, 0] == row["frame"] + 0.5
    assert joined[1]["frame"] == 9 and set(joined[1]) == {"frame", "depth_m", "depth_raw_m"}


def test_stages_without_a_common_frame_join_to_nothing(tmp_path):
    readers = {
        "one": frames_file(tmp_path / "one.h5", [1], 0),
        "two": frames_file(tmp_path / "two.h5", [2], 0.5),
    }
    assert list(JoinedFrames(readers, {"one": ["depth_m"], "two": []})) == []


# running


class Above(CaptureStage):
    """Stands in for a stage; what it does is set by each test."""

    NAME = "foreground"
    does = staticmethod(lambda part: None)
    rows: list[QuarantineRow] = []

    def write(self, part, inputs, progress):
        self.does(part)
        return StageResult(samples=1, quarantine=self.rows)


class Below(CaptureStage):
    NAME = "fuse"
    ran: list[str] = []

    def upstream(self):
        return {"above": self.sibling(Above)}

    def write(self, part, inputs, progress):
        self.ran.append(self.capture)
        (part / "copy.bin").write_bytes((inputs.folder("above") / "data.bin").read_bytes())
        return StageResult(samples=1)


@pytest.fixture
def pair(spheres, in_process, monkeypatch):
    """A stage and the one that stands on it, for capture ann; the first writes one file."""
    monkeypatch.setattr(Above, "does", staticmethod(lambda part: (part / "data.bin").write_bytes(b"abc")))
    monkeypatch.setattr(Above, "rows", [])
    Below.ran.clear()
    return Above(manifest=str(spheres), capture="ann"), Below(manifest=str(spheres), capture="ann")


def raising(error: BaseException):
    def does(part: Path) -> None:
        (part / "half.bin").write_bytes(b"half")
        raise error

    return staticmethod(does)


def everything(task: CaptureStage) -> list[str]:
    """Names of all that lies where a task's outputs lie, temporary folders too."""
    return sorted(path.name for path in task.place().parent.glob("*"))


def test_stage_runs_on_what_stands_above_it_and_both_are_sealed(pair):
    above, below = pair
    above.run()
    below.run()
    assert above.output().exists() and below.output().exists()
    assert (below.place() / "copy.bin").read_bytes() == b"abc"
    record = read_record(below.place())
    assert record["recipe"]["upstream"] == {"above": above.fingerprint()}
    assert record["run"]["peak_rss_mb"] > 0 and record["rejected"] is None
    assert everything(below) == [below.fingerprint()]


def test_every_file_of_a_stage_is_listed_in_its_record(pair, monkeypatch):
    above, _ = pair

    def does(part: Path) -> None:
        (part / "deep" / "deeper").mkdir(parents=True)
        (part / "data.bin").write_bytes(b"abc")
        (part / "deep" / "deeper" / "stray.tmp").write_bytes(b"")
        (part / ".hidden").write_bytes(b"x")

    monkeypatch.setattr(Above, "does", staticmethod(does))
    above.run()
    assert sorted(read_record(above.place())["files"]) == [".hidden", "data.bin", "deep/deeper/stray.tmp"]
    (above.place() / "deep" / "deeper" / "stray.tmp").unlink()
    assert not above.output().exists()


@pytest.mark.parametrize("name", ["stage.json", "DAMAGED.json"])
def test_stage_that_writes_the_seals_own_files_does_not_count_as_done(pair, monkeypatch, name):
    above, _ = pair
    forged = {"fingerprint": above.fingerprint(), "files": {}, "rejected": None}
    monkeypatch.setattr(
        Above, "does", staticmethod(lambda part: (part / name).write_text(json.dumps(forged)))
    )
    above.run()
    assert not above.output().exists()


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (RuntimeError("boom"), 1, "foreground ann: RuntimeError: boom"),
        (StageError("disk: must be big, is small."), 4, "foreground ann: disk: must be big"),
        (MemoryError(), 4, "must fit into memory, does not"),
        (OSError(errno.ENOSPC, "No space left on device"), 4, "must be writable with free space"),
        (OSError("write failed (file write failed: errno = 28, error message = 'x')"), 4, "free space"),
        (OSError("truncated file"), 1, "OSError: truncated file"),
    ],
)
def test_failure_carries_its_outcome_and_leaves_nothing(pair, monkeypatch, error, code, words):
    above, _ = pair
    monkeypatch.setattr(Above, "does", raising(error))
    with pytest.raises(StageFailed) as failed:
        above.run()
    outcome = failed.value.outcome
    assert (outcome.status, outcome.exit_code) == ("failed", code)
    assert words in outcome.message and str(failed.value) == outcome.message
    assert bool(outcome.details) == (code == 1), "a traceback for bugs alone"
    assert everything(above) == [] and not above.output().exists()


def test_rejected_capture_is_sealed_without_the_half_done_files(pair, monkeypatch):
    above, _ = pair
    frame = QuarantineRow(capture="ann", stage="foreground", reason="dark", message="m", frame=4)
    error = GateError("too-dark", "ann: must be lit.", value=0.1, unit="lx", limit=1.0, rows=[frame])
    monkeypatch.setattr(Above, "does", raising(error))
    above.run()
    record = read_record(above.place())
    assert record["files"] == {} and record["samples"] == 0
    rejected = record["rejected"]
    assert (rejected["reason"], rejected["value"], rejected["limit"]) == ("too-dark", 0.1, 1.0)
    assert rejected["exit_code"] == 4 and record["quarantine"] == [frame.to_json()]


def test_rejection_passes_to_what_stands_on_it_without_running_it(pair, monkeypatch):
    above, below = pair
    monkeypatch.setattr(Above, "does", raising(InputError("depth-missing", "ann: must have depth.")))
    above.run()
    below.run()
    assert Below.ran == []
    records = [read_record(task.place()) for task in (above, below)]
    assert records[1]["rejected"] == records[0]["rejected"]
    assert records[1]["rejected"]["stage"] == "foreground" and records[1]["rejected"]["exit_code"] == 3
    rows = quarantine_rows(records)
    assert [row["reason"] for row in rows] == ["depth-missing"] and "exit_code" not in rows[0]


def test_damaged_input_is_found_at_the_first_read(pair):
    above, below = pair
    above.run()
    file = above.place() / "data.bin"
    times = file.stat().st_atime_ns, file.stat().st_mtime_ns
    file.write_bytes(b"abd")
    os.utime(file, ns=times)
    assert above.output().exists()  # size and time cannot tell
    with pytest.raises(StageFailed) as failed:
        below.run()
    assert failed.value.outcome.exit_code == 5 and "data.bin" in failed.value.outcome.message
    assert not above.output().exists() and everything(below) == []


def test_what_is_not_whole_is_set_aside_not_overwritten(pair):
    above, _ = pair
    above.run()
    (above.place() / "data.bin").write_bytes(b"longer than before")
    above.run()
    assert above.output().exists()
    (aside,) = [name for name in everything(above) if name != above.fingerprint()]
    assert aside.startswith(f"{above.fingerprint()}.damaged-")
    assert (above.place().parent / aside / "data.bin").read_bytes() == b"longer than before"


def test_output_that_another_host_sealed_meanwhile_stays_and_is_not_made_again(pair, monkeypatch):
    above, _ = pair
    above.run()
    before = (above.place() / "stage.json").stat()
    monkeypatch.setattr(Above, "does", staticmethod(lambda part: pytest.fail("made again")))
    above.run()
    after = (above.place() / "stage.json").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_record_of_another_fingerprint_at_the_place_does_not_count(pair):
    above, _ = pair
    above.run()
    path = above.place() / "stage.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "fingerprint": "f" * 16}))
    assert read_record(above.place()) is not None and not above.output().exists()
    above.run()
    assert above.output().exists() and everything(above) == [above.fingerprint()]


@pytest.mark.parametrize(
    ("moment", "changed", "other"),
    [(1, "001.color.png", "000.color.png"), (2, "000.color.png", "001.color.png")],
    ids=["before its frame is read", "after its frame was read"],
)
def test_raw_files_that_change_during_ingest_are_refused(spheres, in_process, moment, changed, other):
    task = Ingest(manifest=str(spheres), capture="ann")
    raw = spheres.parent / "raw" / "ann"
    calls = []

    def change() -> None:
        calls.append(1)
        if len(calls) == moment:
            (raw / changed).write_bytes((raw / other).read_bytes())

    in_process.append(change)
    with pytest.raises(StageFailed, match="raw files must stay as they are during a build") as failed:
        task.run()
    assert failed.value.outcome.exit_code == 4 and everything(task) == []
    in_process.clear()
    forget()
    task.run()  # the changed files are a capture of their own
    assert task.output().exists()


def test_frames_keep_their_own_numbers_through_ingest(spheres, in_process):
    text = spheres.read_text()
    spheres.write_text(text.replace('id = "ann"', 'id = "ann"\nframes = [1]'))
    task = Ingest(manifest=str(spheres), capture="ann")
    task.run()
    with FrameReader(task.place() / "frames.h5") as reader:
        assert reader.column("frame").tolist() == [1]


def test_stage_process_is_given_all_it_needs_and_computes_no_fingerprint(pair, monkeypatch):
    above, below = pair
    above.run()
    jobs = []
    monkeypatch.setattr(stage_process, "run_job", lambda job, task: jobs.append(job) or execute(job, print))
    below.run()
    (job,) = jobs
    assert job.task is Below and job.upstream == {"above": above.place()}
    assert job.record["recipe"] == below.recipe() and job.parameters == below.to_str_params()
    monkeypatch.setattr(CaptureStage, "fingerprint", lambda self: pytest.fail("computed a fingerprint"))
    assert execute(job, lambda *_: None).status == "sealed"


def test_tasks_are_plain_luigi_tasks():
    assert issubclass(CaptureStage, luigi.Task)
    assert {name for name, _ in CaptureStage.get_params()} == {"manifest", "capture"}


def test_missing_system_library_fails_with_the_line_that_installs_it(tmp_path):
    error = ImportError("libEGL.so.1: cannot open shared object file: No such file or directory")
    outcome = failure("fuse ann", tmp_path, error)
    assert outcome.exit_code == 4 and outcome.details == ""
    assert (
        outcome.message.startswith("fuse ann: the system library libEGL.so.1")
        and "apt-get" in outcome.message
    )
