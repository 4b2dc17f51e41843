"""The gates of rendered depth: enough of the surface is seen, and Blender and the ray caster agree."""

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
    """Holds one capture's rendered frames against ray casting, frame by frame, in fixed memory.

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
        self._silhouette_px = self._kept = 0

    def keeps(self, frame: int, depth_m: np.ndarray, cast_m: np.ndarray) -> bool:
        """Whether a frame passes; one that does not leaves a row."""
        difference_m, edge_px = depth_difference(depth_m, cast_m)
        row = self._seen_too_little(frame, depth_m) or self._differs(frame, difference_m)
        if row is not None:
            self.rows.append(row)
            return False
        self._differences.add(np.abs(difference_m))
        self._silhouette_px += edge_px
        self._kept += 1
        return True

    def figures(self) -> dict[str, dict[str, Any]]:
        """What the kept frames came to.

        Raises:
            GateError: where no frame was kept.
        """
        if self._kept == 0:
            raise GateError(
                self.rows[0].reason,
                f"capture {self.capture}: at least one camera must see the surface, none of {len(self.rows)} "
                f"does. First: {self.rows[0].message}",
                value=self.rows[0].value,
                unit=self.rows[0].unit,
                limit=self.rows[0].limit,
                rows=self.rows,
            )
        limit_m = self.settings.max_disagreement_m
        return {
            "Blender against ray cast, median": figure(self._differences.quantile(0.5), "m", limit=limit_m),
            "Blender against ray cast, p99": figure(self._differences.quantile(0.99), "m"),
            "pixels seen by one renderer only": figure(self._silhouette_px / self._kept, "px per frame"),
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
            message=f"capture {self.capture}, frame {frame}: Blender and ray casting must agree within "
            f"{limit_m * 1e3:.3f} mm in the median, differ by {median_m * 1e3:.3f} mm. "
            "Left out; one of the two renderers is broken on this machine.",
            frame=frame,
            value=median_m if np.isfinite(median_m) else None,
            unit="m",
            limit=limit_m,
        )
