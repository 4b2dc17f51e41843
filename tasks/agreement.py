"""The gates of rendered depth: enough of the surface is seen, and Blender and a second renderer agree."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pipeline.comparison import depth_difference
from pipeline.errors import GateError
from pipeline.quality import QuarantineRow
from pipeline.settings import PortraySettings, RenderSettings
from pipeline.spread import Spread, figure


@dataclass
class Agreement:
    """Holds one capture's frames by Blender against those of a second renderer, one by one, in fixed memory.

    Attributes:
        stage: whose frames and settings they are.
        rows: of the frames that were left out.
    """

    stage: str
    capture: str
    settings: RenderSettings | PortraySettings
    rows: list[QuarantineRow] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._differences = Spread(low=0.0, high=0.01, bins=10_000)
        self._silhouette_px = self._compared = 0
        self._disproof: QuarantineRow | None = None

    def keeps(self, frame: int, depth_m: np.ndarray, second_m: np.ndarray) -> bool:
        """Whether a frame that both have rendered passes; one that does not leaves a row."""
        if not self.sees_enough(frame, depth_m):
            return False
        row = self._compare(frame, depth_m, second_m)
        self.rows += [row] if row else []
        return row is None

    def sees_enough(self, frame: int, depth_m: np.ndarray) -> bool:
        """Whether a frame sees enough of the surface; one that does not leaves a row."""
        row = self._seen_too_little(frame, depth_m)
        self.rows += [row] if row else []
        return row is None

    def prove(self, frame: int, depth_m: np.ndarray, second_m: np.ndarray) -> None:
        """Compare a frame that stands for all: where it differs, nothing is known of the others."""
        row = self._compare(frame, depth_m, second_m)
        self._disproof = self._disproof or row

    def _refusal(self, row: QuarantineRow, message: str) -> GateError:
        return GateError(row.reason, message, value=row.value, unit=row.unit, limit=row.limit, rows=self.rows)

    def _compare(self, frame: int, depth_m: np.ndarray, second_m: np.ndarray) -> QuarantineRow | None:
        difference_m, edge_px = depth_difference(depth_m, second_m)
        row = self._differs(frame, difference_m)
        if row is None:
            self._differences.add(np.abs(difference_m))
            self._silhouette_px += edge_px
            self._compared += 1
        return row

    def figures(self) -> dict[str, dict[str, Any]]:
        """What the compared frames came to.

        Raises:
            GateError: where no frame passed, or one that stands for all did not.
        """
        if self._disproof is not None:
            raise self._refusal(self._disproof, self._disproof.message)
        if self._compared == 0:
            first = self.rows[0]
            message = (
                f"capture {self.capture}: at least one camera must see the surface, none of {len(self.rows)} "
                f"does. First: {first.message}"
            )
            raise self._refusal(first, message)
        limit_m = self.settings.max_disagreement_m
        return {
            "renderers apart, median": figure(self._differences.quantile(0.5), "m", limit=limit_m),
            "renderers apart, p99": figure(self._differences.quantile(0.99), "m"),
            "pixels seen by one renderer only": figure(self._silhouette_px / self._compared, "px per frame"),
            "frames of both renderers": figure(self._compared, "frames"),
        }

    def _seen_too_little(self, frame: int, depth_m: np.ndarray) -> QuarantineRow | None:
        least_px, seen_px = self.settings.min_mask_px, int(np.count_nonzero(depth_m))
        if seen_px >= least_px:
            return None
        return QuarantineRow(
            capture=self.capture,
            stage=self.stage,
            reason="empty-render",
            message=f"capture {self.capture}, frame {frame}: at least {least_px} px must see the surface, {seen_px} "
            f"px do. Left out; lower stages.{self.stage}.min_mask_px to keep it.",
            frame=frame,
            value=float(seen_px),
            unit="px",
            limit=float(least_px),
        )

    def _differs(self, frame: int, difference_m: np.ndarray) -> QuarantineRow | None:
        limit_m = self.settings.max_disagreement_m
        median_m = float(np.median(np.abs(difference_m))) if difference_m.size else float("inf")
        if median_m <= limit_m:
            return None
        return QuarantineRow(
            capture=self.capture,
            stage=self.stage,
            reason="renderers-disagree",
            message=f"capture {self.capture}, frame {frame}: Blender and a second renderer must agree within "
            f"{limit_m * 1e3:.3f} mm in the median, differ by {median_m * 1e3:.3f} mm. "
            "One of the two is broken on this machine.",
            frame=frame,
            value=median_m if np.isfinite(median_m) else None,
            unit="m",
            limit=limit_m,
        )
