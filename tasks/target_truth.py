"""Charts, volumes and motions of a simulated capture held against its true bodies, frame by frame."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.bodies.model import default_body
from pipeline.cameras import invert_rigid, transform
from pipeline.captures.truth import Truth
from pipeline.correspondences.charts import own_charts
from pipeline.correspondences.geodesic import body_surface
from pipeline.spread import Spread, figure
from pipeline.target_scores import LIMITS, chart_errors, motion_errors_m, volume_iou
from pipeline.voxels.grids import CUBE
from renderers.raycast import RaycastScene
from renderers.views import View
from tasks.inputs import Inputs

SCORED_FRAMES = 24  # of a capture, evenly spaced
LABELS = ("surface_part", "surface_uv", "body_depth_m")
FIELDS = {
    "foreground": ("K", "world_from_cam"),
    "body": LABELS,
    "fit": LABELS,
    "voxels": ("occupancy_128", "occupancy_128_world_from_vox"),
    "motion": ("motion_reference_frame", "motion_rotvec_rad", "motion_t_m", "motion_valid"),
}

Row = dict[str, Any]
Figures = dict[str, dict[str, Any]]


def target_figures(known: Truth, inputs: Inputs, *, true_bodies: bool) -> Figures:
    """Figures of the targets that the capture has; none without bodies.

    Args:
        true_bodies: the targets come from the true bodies, so that the limits of exactness hold.
    """
    if not (inputs.has("body") or inputs.has("fit")):
        return {}
    frames = inputs.joined({stage: names for stage, names in FIELDS.items() if inputs.has(stage)})
    scores = _Scores(known, inputs.threads)
    count = min(SCORED_FRAMES, len(frames))
    for position in sorted({round(i) for i in np.linspace(0, len(frames) - 1, count)}):
        row = frames[position]
        scores.add(row)
        if "motion_t_m" in row:
            cameras = {
                int(frame): frames.read(int(frame), {"foreground": ("world_from_cam",)})["world_from_cam"]
                for frame in row["motion_reference_frame"]
                if frame >= 0
            }
            scores.add_motion(row, cameras)
    return scores.figures(LIMITS if true_bodies else {})


class _Scores:
    """Errors gathered frame by frame in fixed memory."""

    def __init__(self, known: Truth, threads: int) -> None:
        self._known, self._threads, self._body = known, threads, default_body()
        self._charts, self._surface = own_charts(self._body), body_surface(self._body)
        self._right, self._there = 0, 0
        self._geodesic_m = Spread(low=0.0, high=1.0, bins=10_000)
        self._motion_m = Spread(low=0.0, high=0.1, bins=100_000)
        self._iou: list[float] = []

    def add(self, row: Row) -> None:
        """Judge the charts of a frame, and its volume where there is one."""
        true_m = self._vertices_m(int(row["frame"])).astype(np.float64)
        view = View(frame=int(row["frame"]), K=row["K"], world_from_cam=row["world_from_cam"])
        height, width = row["surface_part"].shape
        scene = RaycastScene(true_m, self._body.faces, threads=self._threads)
        seen = scene.visibility(view, height=height, width=width)
        self._places = seen.face_index, seen.bary
        charts = row["surface_part"], row["surface_uv"]
        right, errors_m = chart_errors(*charts, self._places, charts=self._charts, surface=self._surface)
        self._right += int(np.count_nonzero(right))
        self._there += right.size
        self._geodesic_m.add(errors_m)
        if "occupancy_128" in row:
            volume = row["occupancy_128"], row["occupancy_128_world_from_vox"]
            self._iou.append(volume_iou(*volume, true_m, self._body.faces, CUBE))

    def add_motion(self, row: Row, cameras: dict[int, NDArray[np.float64]]) -> None:
        """Judge the motions of the frame that was added last.

        Args:
            cameras: world_from_cam (4 4) of its reference frames.
        """
        for place, reference in enumerate(row["motion_reference_frame"].tolist()):
            if reference < 0:
                continue
            vertices_cam = transform(invert_rigid(cameras[reference]), self._vertices_m(reference))
            fields = ("motion_rotvec_rad", "motion_t_m", "motion_valid")
            errors_m = motion_errors_m(
                tuple(row[name][place] for name in fields),
                row["body_depth_m"],
                row["K"],
                self._places,
                vertices_cam[self._body.faces],
            )
            self._motion_m.add(errors_m)

    def figures(self, limits: dict[str, float]) -> Figures:
        """What was gathered; volumes and motions only where there were some."""
        right = self._right / self._there if self._there else None
        found = {
            "truth charts, pixels of the right part": figure(right, "1", limit=limits.get("right part")),
            "truth charts, geodesic error, median": figure(
                self._geodesic_m.quantile(0.5), "m", limit=limits.get("geodesic")
            ),
        }
        if self._iou:
            found["truth volume IoU, least"] = figure(min(self._iou), "1", limit=limits.get("IoU"))
        if self._motion_m.total:
            found |= {
                "truth motion error, median": figure(
                    self._motion_m.quantile(0.5), "m", limit=limits.get("motion")
                ),
                "truth motion error, p99": figure(self._motion_m.quantile(0.99), "m"),
            }
        return found

    def _vertices_m(self, frame: int) -> NDArray[np.floating[Any]]:
        """Vertices (V 3) of the true body in the world."""
        at = self._known.frames.index(frame)
        posed = self._body.posed(
            self._known.pose_rad[at][None], self._known.betas[at], self._known.transl_m[at]
        )
        return np.asarray(posed.vertices_m[0])
