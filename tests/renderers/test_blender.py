import logging
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from pipeline.cameras import pixel_rays
from pipeline.errors import StageError
from renderers import blender, scene_files
from renderers.blender import render_views
from renderers.proof import icosphere
from renderers.views import View

SIZE = {"height": 256, "width": 256}
BALL = (0.3 * icosphere(2)[0] + [0, 0, 1.0], icosphere(2)[1])
FRONT = View(frame=1, K=np.array([[40.0, 0, 16], [0, 40, 12], [0, 0, 1]]), world_from_cam=np.eye(4))
SMALL = {"height": 24, "width": 32, "threads": 1}
ROOT = Path(blender.__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def rendered(bumpy_mesh, two_views):
    return list(render_views(*bumpy_mesh, two_views, **SIZE, threads=2))


def workers():
    return psutil.Process().children()


def test_blender_and_embree_see_the_same(rendered, bumpy_mesh, two_views, raycast_view):
    assert [image.frame for image in rendered] == [12, 7]
    for image, view in zip(rendered, two_views, strict=True):
        twin = raycast_view(*bumpy_mesh, view, **SIZE)
        assert 5_000 < np.count_nonzero(twin.mask) < 60_000
        # A sample may lie 0.002 px beside the centre: of a rim of some 600 px, one or two see past it.
        assert np.count_nonzero(image.mask ^ twin.mask) <= 4
        both = image.mask & twin.mask
        off_m = np.abs(image.depth_m - twin.depth_m)[both]
        # 0.002 px are 0.016 mm aside at 1.7 m and 210 px; the median slope is below 1/2, the rim's is not.
        assert np.median(off_m) < 1e-5 and np.percentile(off_m, 99) < 1e-4
        angle_deg = np.degrees(np.linalg.norm(image.normal - twin.normal, axis=2)[both])
        assert np.median(angle_deg) < 0.01 and np.percentile(angle_deg, 99.5) < 0.2


def test_a_coarse_ball_keeps_its_smooth_normals_and_the_wall_behind_it_is_all_hit(raycast_view):
    # Coarse on purpose: Cycles would bend such normals at the rim, and interpolation leans some away.
    directions, faces = icosphere(1)
    wall = np.array([[-9.0, -9, 2], [-9, 9, 2], [9, 9, 2], [9, -9, 2]])
    vertices = np.concatenate([0.3 * directions + [0, 0, 1.0], wall])
    faces = np.concatenate([faces, len(directions) + np.array([[0, 1, 2], [0, 2, 3]], dtype=np.int32)])
    view = View(frame=4, K=np.array([[150.0, 0, 40], [0, 120, 60], [0, 0, 1]]), world_from_cam=np.eye(4))
    size = {"height": 96, "width": 96}
    (image,) = render_views(vertices, faces, [view], **size, threads=2)
    twin = raycast_view(vertices, faces, view, **size)
    assert image.mask.all() and twin.mask.all()
    same = np.abs(image.depth_m - twin.depth_m) < 0.01  # but for pixels where one sees the ball, one the wall
    assert np.count_nonzero(~same) <= 2
    assert np.degrees(np.linalg.norm(image.normal - twin.normal, axis=2)[same]).max() < 0.05
    assert (np.sum(image.normal * pixel_rays(view.K, **size), axis=2) < 0).all()


def test_what_is_rendered_keeps_its_contract(rendered):
    for image in rendered:
        assert (image.depth_m.dtype, image.normal.dtype, image.mask.dtype) == (
            np.float32,
            np.float32,
            np.bool_,
        )
        np.testing.assert_array_equal(image.mask, image.depth_m > 0)
        assert not image.normal[~image.mask].any()
        np.testing.assert_allclose(np.linalg.norm(image.normal[image.mask], axis=1), 1, atol=1e-6)


def test_fresh_processes_and_other_threads_give_the_same_pixels(
    rendered, bumpy_mesh, two_views, monkeypatch, caplog, tmp_path
):
    caplog.set_level(logging.INFO)
    views = [*two_views, two_views[0]]
    recycled = list(
        render_views(*bumpy_mesh, views, **SIZE, threads=1, frames_per_process=2, scratch_dir=tmp_path)
    )
    monkeypatch.setattr(blender, "RECYCLE_FRACTION", 0.01)
    for_memory = list(render_views(*bumpy_mesh, two_views, **SIZE, threads=2, scratch_dir=tmp_path))
    for image, first in zip([*recycled, *for_memory], [*rendered, rendered[0], *rendered], strict=True):
        np.testing.assert_array_equal(image.depth_m, first.depth_m)
        np.testing.assert_array_equal(image.normal, first.normal)
    messages = [record.message for record in caplog.records if "frames" in record.message]
    assert [message.split(",")[0] for message in messages] == [
        "Blender rendered 2 of 3 frames", "Blender rendered 3 of 3 frames",
        "Blender rendered 1 of 2 frames", "Blender rendered 2 of 2 frames",
    ]  # fmt: skip
    assert not list(tmp_path.iterdir()) and not workers()


def test_an_abandoned_job_leaves_no_process_and_no_file(tmp_path):
    frames = render_views(*BALL, [FRONT] * 9, **SMALL, scratch_dir=tmp_path)
    assert next(frames).frame == 1
    assert len(workers()) == 1
    (folder,) = tmp_path.iterdir()
    for index in range(1, 5):
        next(frames)
        assert not (folder / "job" / f"{index}.npy").exists()  # taken, so gone
    frames.close()
    assert not workers() and not list(tmp_path.iterdir())


def test_a_worker_does_not_grow():
    rss_bytes = [workers()[0].memory_info().rss for _ in render_views(*BALL, [FRONT] * 200, **SMALL)]
    # A mesh or an image leaked per frame would be 200 times some 50 kB.
    assert rss_bytes[-1] - rss_bytes[20] < 2e6


def test_a_killed_worker_ends_the_job_in_one_sentence():
    frames = render_views(*BALL, [FRONT] * 200, **SMALL)
    next(frames)
    workers()[0].send_signal(signal.SIGKILL)
    with pytest.raises(StageError, match=r"ended by signal 9 \(SIGKILL\) after 0\.\d\d GB.*no memory left"):
        list(frames)
    assert not workers()


def test_a_worker_dies_with_its_parent_even_while_it_hangs():
    script = f"""
        import sys, time, numpy as np
        sys.path.insert(0, {str(ROOT)!r})
        from renderers.blender import render_views
        from renderers.proof import icosphere
        from renderers.views import View
        directions, faces = icosphere(1)
        view = View(frame=0, K=np.array([[9.0, 0, 8], [0, 9, 8], [0, 0, 1]]), world_from_cam=np.eye(4))
        frames = render_views(directions + [0, 0, 3], faces, [view] * 9, height=16, width=16, threads=1)
        next(frames)
        print("rendering", flush=True)
        time.sleep(60)
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        try:
            assert parent.stdout.readline() == "rendering\n"
            (worker,) = psutil.Process(parent.pid).children()
            worker.suspend()  # it cannot notice anything by itself any more
        finally:
            parent.kill()
    deadline_s = time.monotonic() + 5
    while worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline_s, "the worker outlived its parent"
        time.sleep(0.01)


def test_too_much_memory_is_refused_with_the_figure():
    with pytest.raises(StageError, match=r"must stay below 0\.05 GB, reached 0\.\d\d GB .* memory_limit_gb"):
        list(render_views(*BALL, [FRONT], **SMALL, memory_limit_gb=0.05))


@pytest.mark.parametrize(
    ("failure", "says"),
    [
        (
            "ImportError('libXi.so.6: cannot open shared object file')",
            r"library libXi\.so\.6 .*apt-get.* libxi6 ",
        ),
        ("ModuleNotFoundError('No module named bpy')", r"No module named bpy\)\. Install bpy==5\.0\.1"),
        ("RuntimeError('no room')", r"ended by exit code 1 .*\| RuntimeError: no room\."),
    ],
)
def test_a_blender_that_cannot_start_says_why(failure, says, tmp_path, monkeypatch):
    # Whatever Blender prints must not be taken for an answer.
    (tmp_path / "bpy.py").write_text(f"print('chatter')\nraise {failure}\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(StageError, match=says):
        list(render_views(*BALL, [FRONT], **SMALL))


def test_a_wrong_camera_convention_is_refused_before_any_frame(monkeypatch):
    lens = scene_files.lens
    half_px = np.array([[0, 0, 0.5], [0, 0, 0], [0, 0, 0]])
    monkeypatch.setattr(scene_files, "lens", lambda K, height, width: lens(K + half_px, height, width))
    with pytest.raises(StageError, match="depth of the known plane .* mm, is .* mm off"):
        next(render_views(*BALL, [FRONT], **SMALL))


def test_a_value_that_blender_would_clamp_is_refused():
    with pytest.raises(StageError, match="Blender makes 4 of resolution_x = 2"):
        list(render_views(*BALL, [FRONT], height=24, width=2, threads=1))


@pytest.mark.parametrize("count", ["height", "width", "threads", "frames_per_process"])
def test_a_count_below_one_is_refused_at_once(count):
    with pytest.raises(ValueError, match="must be at least 1"):
        render_views(*BALL, [FRONT], **(SMALL | {count: 0}))


def test_importing_the_renderers_imports_no_heavy_library():
    code = "import sys, renderers.blender, renderers.raycast; print(*sys.modules)"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    answer = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True)
    assert not {b"bpy", b"open3d", b"torch", b"renderers.blender_worker"} & set(answer.stdout.split())
