"""Rendering of a fused mesh as a task: fast and proved, or by Blender in chunks of their own."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.errors import GateError, StageError
from pipeline.meshes import write_ply
from pipeline.sealing import begin, read_record, seal
from pipeline.settings import RenderSettings
from pipeline.store import FrameReader, FrameWriter
from renderers.fused import FusedSurface
from renderers.proof import icosphere
from tasks import render, render_chunk, stage_process
from tasks.agreement import Agreement
from tasks.context import forget
from tasks.executing import execute
from tasks.foreground import Foreground
from tasks.fuse import MESH_FILE, Fuse
from tasks.graph import all_tasks
from tasks.job import StageFailed
from tasks.keeping import clean_outputs, verify_outputs
from tasks.planning import plan
from tasks.render import Render, evenly
from tasks.stage import CaptureStage

K = np.array([[60.0, 0, 31.5], [0, 60.0, 31.5], [0, 0, 1]])
RADIUS_M, FRAMES = 0.3, (3, 4, 6, 9, 11)
SIGMA_M = 0.002
BLENDER = '[stages.render]\nrenderer = "blender"\nchunk_frames = 2\n'


@pytest.fixture
def ball(forge, tmp_path, own_places, monkeypatch):
    """Seals a fused ball under cameras that come nearer from frame to frame; returns the manifest's writer."""
    forge.capture(tmp_path / "raw" / "ann", count=5)
    monkeypatch.setattr(stage_process, "run_job", lambda job, task: execute(job, lambda done, total: None))

    def write(stages="", kept=FRAMES):
        manifest = str(forge.manifest(tmp_path, {"ann": "train"}, stages))
        forget()
        seal_below(Foreground(manifest=manifest, capture="ann"), write_frames, kept)
        seal_below(Fuse(manifest=manifest, capture="ann"), write_ball, kept)
        return manifest

    return write


@pytest.fixture
def no_blender(monkeypatch):
    """Gives frames in Blender's place where another matter is at stake; returns what may be done to them."""
    changes = []

    def rendered(vertices, faces, views, *, height, width, **means):
        surface = FusedSurface(vertices, faces, threads=1)
        for image, _ in surface.render(views, height=height, width=width):
            for change in changes:
                image = change(image)
            yield image

    monkeypatch.setattr(render, "render_views", rendered)
    monkeypatch.setattr(render_chunk, "render_views", rendered)
    return changes


def seal_below(task: CaptureStage, fill, frames):
    if task.complete():
        return
    part = begin(task.place())
    fill(part, frames)
    facts = {"samples": len(frames), "stats": {}, "quarantine": [], "rejected": None}
    seal(part, task.place(), {**task.header(), **facts, "run": {"seconds": 1.0, "peak_rss_mb": 1.0}})


def write_frames(part, frames):
    with FrameWriter(part / "frames.h5", {"capture": "ann"}) as writer:
        for frame in frames:
            pose = np.eye(4)
            pose[2, 3] = -1.5 + 0.02 * frame
            writer.append({"frame": np.int32(frame), "K": K, "world_from_cam": pose})


def write_ball(part, frames):
    directions, faces = icosphere(4)
    sigma_m = np.full(len(directions), SIGMA_M, np.float32)
    write_ply(part / MESH_FILE, RADIUS_M * directions, faces, {"weight": sigma_m + 1, "sigma_m": sigma_m})
    with FrameWriter(part / "frames.h5", {"capture": "ann"}) as writer:
        for frame in frames:
            writer.append({"frame": np.int32(frame)})


def run(manifest):
    """Run what is not sealed of rendering; returns the rendered samples by frame."""
    task = Render(manifest=manifest, capture="ann")
    for above in task.upstream().values():
        above.run()
    task.run()
    with FrameReader(task.place() / "frames.h5") as reader:
        rows = [reader.row(k, reader.fields) for k in range(len(reader))]
    return {int(row["frame"]): row for row in rows}


def record(manifest):
    return read_record(Render(manifest=manifest, capture="ann").place())


def test_fast_frames_are_proved_by_as_many_of_blender_as_asked(ball):
    manifest = ball("[stages.render]\ncheck_frames = 2\n")
    samples = run(manifest)
    assert tuple(samples) == FRAMES
    stats = record(manifest)["stats"]
    assert stats["frames of both renderers"]["value"] == 2
    assert 0 < stats["renderers apart, median"]["value"] < 1e-5 < stats["renderers apart, median"]["limit"]
    for frame, sample in samples.items():
        # The four pixels around the axis: 1/2 px aside, the ball lies 0.3 mm farther, and its facets 0.8 mm inside.
        nearest_m = 1.5 - 0.02 * frame - RADIUS_M
        assert 0 < sample["depth_m"][31:33, 31:33].min() - nearest_m < 1.5e-3
    assert_sigma_is_the_depths(samples[3])


def assert_sigma_is_the_depths(sample):
    sigma_m, mask = sample["depth_sigma_m"], sample["mask"]
    assert not sigma_m[~mask].any()
    # Along the normal on the axis, and never less: a slanted surface moves farther in depth.
    assert sigma_m[31, 31] == pytest.approx(SIGMA_M, rel=0.01)
    assert sigma_m[mask].min() > 0.99 * SIGMA_M and sigma_m[mask].max() > 2 * SIGMA_M


def test_blenders_chunks_give_the_same_frames(ball):
    chunked = run(ball(BLENDER))
    fast = run(ball("[stages.render]\ncheck_frames = 1\n"))
    assert tuple(fast) == tuple(chunked)
    for frame, sample in fast.items():
        both = sample["mask"] & chunked[frame]["mask"]
        assert np.count_nonzero(sample["mask"] ^ chunked[frame]["mask"]) <= 2
        off_m = np.abs(sample["depth_m"] - chunked[frame]["depth_m"])[both]
        assert 0 < np.median(off_m) < 1e-5  # and they are not one and the same
        assert_sigma_is_the_depths(chunked[frame])


def test_a_mesh_without_sigma_gives_no_such_field(ball, no_blender, monkeypatch):
    monkeypatch.setattr(render, "SIGMA", "nothing")
    assert "depth_sigma_m" not in next(iter(run(ball()).values()))


def test_every_frame_of_blender_is_checked(ball, no_blender):
    no_blender.append(lambda image: shifted(image, 9))
    manifest = ball(BLENDER)
    assert tuple(run(manifest)) == (3, 4, 6, 11)
    (row,) = record(manifest)["quarantine"]
    assert (row["frame"], row["reason"]) == (9, "renderers-disagree")
    assert row["value"] == pytest.approx(3e-4, rel=0.1) and row["limit"] == 1e-4


def shifted(image, frame):
    """The image, 0.3 mm off if it is of that frame."""
    off_m = np.float32(3e-4) if image.frame == frame else np.float32(0)
    return replace(image, depth_m=np.where(image.mask, image.depth_m + off_m, np.float32(0)))


def test_a_fast_capture_that_blender_disproves_is_rejected_whole(ball, no_blender):
    no_blender.append(
        lambda image: shifted(image, 6)
    )  # of five frames the first, the third and the fifth are checked
    manifest = ball()
    with pytest.raises(FileNotFoundError):
        run(manifest)
    found = record(manifest)
    assert found["rejected"]["reason"] == "renderers-disagree" and "frame 6" in found["rejected"]["message"]
    assert found["rejected"]["value"] == pytest.approx(3e-4, rel=0.1) and not found["files"]


def test_pixels_that_one_renderer_alone_sees_are_left_out(ball, no_blender):
    fast = run(ball())[4]["mask"]
    half = np.arange(64) < 32

    def seen_on_the_left(image):
        mask = half | ~fast  # and beside the ball, where the z-buffer sees nothing
        return replace(
            image, mask=mask, depth_m=np.where(mask, np.maximum(image.depth_m, 1), 0).astype(np.float32)
        )

    no_blender.append(seen_on_the_left)
    sample = run(ball(BLENDER.replace("2", "9") + "max_disagreement_m = 9.0\n"))[4]
    np.testing.assert_array_equal(sample["mask"], fast & half)
    for name in ("depth_m", "depth_sigma_m", "normal_rendered"):
        assert not sample[name][~sample["mask"]].any()


def test_a_frame_that_sees_too_little_is_left_out_and_proves_nothing(ball, no_blender):
    # The camera comes nearer: of the five frames, only the last two fill so much of the image.
    counts = {frame: int(sample["mask"].sum()) for frame, sample in run(ball()).items()}
    manifest = ball(f"[stages.render]\nmin_mask_px = {counts[9]}\n")
    assert tuple(run(manifest)) == (9, 11)
    found = record(manifest)
    assert [(row["frame"], row["reason"]) for row in found["quarantine"]] == [
        (3, "empty-render"), (4, "empty-render"), (6, "empty-render"),
    ]  # fmt: skip
    assert found["stats"]["frames of both renderers"]["value"] == 2


def test_a_chunk_that_died_is_rendered_again_and_no_other(ball, no_blender):
    manifest = ball(BLENDER)

    def dies(image):
        if image.frame == 6:
            raise StageError("Blender was killed")
        return image

    no_blender.append(dies)
    chunks = [task for task in all_tasks(manifest) if task.NAME == "render_chunk"]
    assert [chunk.chunk for chunk in chunks] == ["1-of-3", "2-of-3", "3-of-3"]
    chunks[0].run()
    with pytest.raises(StageFailed):
        chunks[1].run()
    chunks[2].run()
    assert [chunk.complete() for chunk in chunks] == [True, False, True]
    before = [(chunk.place() / "stage.json").stat().st_mtime_ns for chunk in (chunks[0], chunks[2])]
    assert not list(chunks[1].place().parent.iterdir())

    no_blender.clear()
    assert {item.task.chunk for item in plan(manifest) if item.state == "build" and item.task in chunks} == {
        "2-of-3"
    }
    assert tuple(run(manifest)) == FRAMES
    assert before == [(chunk.place() / "stage.json").stat().st_mtime_ns for chunk in (chunks[0], chunks[2])]


def test_chunks_share_what_the_stages_above_kept(ball, no_blender):
    """Of five chosen frames one is left: of its three chunks, two hold nothing."""
    manifest = ball(BLENDER, kept=(6,))
    assert tuple(run(manifest)) == (6,)
    samples = [read_record(t.place())["samples"] for t in all_tasks(manifest) if t.NAME == "render_chunk"]
    assert sorted(samples) == [0, 0, 1]


def test_chunks_are_planned_verified_and_cleaned(spheres, forge, tmp_path, stand_in):
    manifest = forge.manifest(tmp_path, {"ann": "train", "bob": "test"}, BLENDER.replace("2", "1"))
    tasks = list(all_tasks(str(manifest)))
    names = [task.NAME for task in tasks if getattr(task, "capture", None) == "ann"]
    assert names == ["ingest", "foreground", "fuse", *["render_chunk"] * 2, "render", "layers", "normals"]
    for task in tasks:
        stand_in(task)
    places = [task.place() for task in tasks if task.NAME == "render_chunk"]
    assert len(set(places)) == 4
    assert len({place.name for place in places}) == 2  # the two captures hold the same
    assert {item.state for item in plan(str(manifest))} == {"done"}
    assert clean_outputs([str(manifest)])[0] == []
    (places[1] / "data.bin").write_bytes(b"other")
    checked, rows = verify_outputs(str(manifest))
    assert checked == len(tasks) and {row["place"] for row in rows} == {str(places[1])}
    states = {item.task.place(): item.why for item in plan(str(manifest)) if item.state == "build"}
    assert states[places[1]] == "the sealed output is damaged" and not states.keys() & {*places} - {places[1]}
    costs = [item.cost for item in plan(str(manifest)) if item.task.place() == places[1]]
    assert costs[0].seconds == pytest.approx(2.0)  # one of two frames, where three took 6 s
    fast = forge.manifest(tmp_path, {"ann": "train", "bob": "test"})
    forget()
    removed, _ = clean_outputs([str(fast)])
    assert set(places) <= set(removed)


def test_checked_frames_are_spread_evenly():
    frames = list(range(100))
    assert evenly(frames, 2) == [25, 75] and evenly(frames, 1) == [50]
    assert evenly(frames[:3], 5) == [0, 1, 2] and evenly([], 3) == []


def test_a_capture_of_which_nothing_was_compared_is_rejected():
    agreement = Agreement("render", "ann", RenderSettings(min_mask_px=10))
    assert not agreement.sees_enough(4, np.zeros((8, 8)))
    with pytest.raises(GateError, match="frame 4"):
        agreement.figures()


@pytest.mark.parametrize("wrong", ["renderer = 'embree'", "check_frames = 0", "chunk_frames = 0"])
def test_settings_that_would_prove_nothing_are_refused(forge, tmp_path, bodytruth, wrong):
    forge.capture(tmp_path / "raw" / "ann")
    manifest = forge.manifest(tmp_path, {"ann": "train"}, f"[stages.render]\n{wrong}\n")
    ended = bodytruth("plan", manifest)
    assert ended.code == 2 and wrong.split()[0] in ended.err + ended.out
