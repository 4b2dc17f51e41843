"""Figures of a capture's targets against its true bodies: exact ones hold every limit, moved ones do not."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.bodies.model import default_body
from pipeline.cameras import invert_rigid, transform
from pipeline.captures.truth import Truth
from pipeline.motion.motion_map import motion_map
from pipeline.motion.rings import two_rings
from pipeline.simulation.label_view import bare_figure, label_view
from pipeline.voxels.grids import CUBE, alignment_depth, orthographic_grid
from pipeline.voxels.packing import pack
from pipeline.voxels.voxelise import voxelise
from tasks.target_truth import target_figures

SIZE_PX = 96
K = np.array([[110.0, 0, 47.5], [0, 110.0, 47.5], [0, 0, 1]])
WORLD_FROM_CAM = np.array([[1.0, 0, 0, 0], [0, -1, 0, 0], [0, 0, -1, 2.2], [0, 0, 0, 1]])


def known() -> Truth:
    """Two frames of a body that turns."""
    pose_rad = np.zeros((2, 24, 3))
    pose_rad[1, 0, 1] = 0.4
    return Truth(
        root=Path("none"),
        frames=[3, 5],
        files={},
        faces=np.zeros((0, 3), np.int32),
        vertex_rgb=np.zeros((0, 3), np.uint8),
        world_from_depth=np.tile(np.eye(4), (2, 1, 1)),
        world_from_color=np.tile(np.eye(4), (2, 1, 1)),
        pose_rad=pose_rad,
        betas=np.zeros((2, 10)),
        transl_m=np.zeros((2, 3)),
    )


def rows(aside_m: float) -> list[dict[str, Any]]:
    """The targets of both frames, made from bodies that stand aside of the true ones."""
    truth, body, made = known(), default_body(), []
    figures = [
        bare_figure(body, pose_rad, np.zeros(10), np.array([aside_m, 0.0, 0.0]))
        for pose_rad in truth.pose_rad
    ]
    in_camera = [transform(invert_rigid(WORLD_FROM_CAM), figure.vertices_m) for figure in figures]
    for at, frame in enumerate(truth.frames):
        _, labels = label_view(figures[at], K, WORLD_FROM_CAM, size_px=SIZE_PX)
        grid = orthographic_grid(K, alignment_depth(in_camera[at], "mean"), CUBE, size_px=SIZE_PX)
        moved = motion_map(
            in_camera[at],
            in_camera[1 - at],
            body.faces,
            two_rings(body),
            K_target=K,
            K_reference=K,
            size_px=SIZE_PX,
            occlusion_m=0.01,
        )
        nothing = np.zeros_like(moved.t_m)
        made.append(
            {
                "frame": frame,
                "K": K,
                "world_from_cam": WORLD_FROM_CAM,
                "surface_part": labels["surface_part"],
                "surface_uv": labels["surface_uv"],
                "body_depth_m": labels["depth_m"],
                "occupancy_128": pack(
                    voxelise(in_camera[at], body.faces, grid, CUBE, max_open_share=0.05)[0]
                ),
                "occupancy_128_world_from_vox": WORLD_FROM_CAM @ grid,
                "motion_reference_frame": np.array([truth.frames[1 - at], -1], np.int32),
                "motion_rotvec_rad": np.stack([moved.rotvec_rad, nothing]),
                "motion_t_m": np.stack([moved.t_m, nothing]),
                "motion_valid": np.stack([moved.valid(0.05), nothing.any(axis=-1)]),
            }
        )
    return made


class Stages:
    """Inputs and frames of a capture whose stages gave these rows."""

    threads = 1

    def __init__(self, made: list[dict[str, Any]], stages: set[str]) -> None:
        self._made, self._stages = made, stages

    def has(self, stage: str) -> bool:
        return stage in self._stages

    def joined(self, fields: dict[str, tuple[str, ...]]) -> "Stages":
        wanted = {name for names in fields.values() for name in names} | {"frame"}
        kept = [{name: row[name] for name in row if name in wanted} for row in self._made]
        return Stages(kept, self._stages)

    def read(self, frame: int, fields: dict[str, tuple[str, ...]]) -> dict[str, Any]:
        return next(row for row in self._made if row["frame"] == frame)

    def __len__(self) -> int:
        return len(self._made)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self._made[index]


ALL = {"foreground", "body", "voxels", "motion"}


def holds(stats: dict[str, Any]) -> dict[str, bool]:
    """Of each figure with a limit; overlap and share are good above it."""
    limited = {name: stat for name, stat in stats.items() if "limit" in stat}
    return {
        name: stat["value"] >= stat["limit"] if stat["unit"] == "1" else stat["value"] <= stat["limit"]
        for name, stat in limited.items()
    }


@pytest.mark.parametrize(("aside_m", "kept"), [(0.0, True), (0.03, False)])
def test_targets_of_true_bodies_keep_their_limits_and_those_put_aside_break_them(aside_m, kept):
    stats = target_figures(known(), Stages(rows(aside_m), ALL), true_bodies=True)
    assert {stat["unit"] for stat in stats.values()} == {"1", "m"}
    assert holds(stats) == dict.fromkeys(
        [
            "truth charts, pixels of the right part",
            "truth charts, geodesic error, median",
            "truth volume IoU, least",
            "truth motion error, median",
        ],
        kept,
    )


def test_overlap_is_that_of_the_worst_frame():
    first, _ = rows(0.0)
    _, second = rows(0.03)
    stats = target_figures(known(), Stages([first, second], ALL), true_bodies=True)
    assert stats["truth volume IoU, least"]["value"] < 0.9


def test_fitted_bodies_are_measured_without_a_limit():
    stats = target_figures(known(), Stages(rows(0.0), {"foreground", "fit"}), true_bodies=False)
    assert list(stats) == ["truth charts, pixels of the right part", "truth charts, geodesic error, median"]
    assert not holds(stats)


def test_capture_without_bodies_has_no_figures():
    assert target_figures(known(), Stages([], {"foreground"}), true_bodies=True) == {}
