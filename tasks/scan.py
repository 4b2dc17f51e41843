"""One mesh of one person: read from a file, or a dressed person drawn from the subject's own seed."""

from pathlib import Path
from typing import Any

import numpy as np

from pipeline.capture_tables import CaptureTable
from pipeline.captures.scan import Scan as CapturedScan
from pipeline.captures.scan import read_scan
from pipeline.errors import StageError
from pipeline.scan_files import UNPAINTED_RGB, BodyBelow, Portrayable, write_portrayable
from pipeline.simulation.casting import draw_stance, draw_wardrobe
from pipeline.simulation.dressing import dressed
from pipeline.simulation.filming import vertex_rgb
from pipeline.spread import figure
from tasks.context import forget, raw_digest
from tasks.inputs import Inputs
from tasks.job import Progress, StageResult
from tasks.stage import CaptureStage

SCAN_FILE = "scan.npz"


class Scan(CaptureStage):
    """The surface that `role = "scan"` takes its pictures of."""

    NAME = "scan"

    def identity(self) -> dict[str, Any]:
        table = self.table()
        if table.format == "simulated":
            named = {key: getattr(table, key) for key in ("subject", "outfit", "pose")}
            return {"seed": self.loaded().dataset.seed, "capture": self.capture, **named}
        read_as = table.model_dump(mode="json", include={"format", "scan"})
        return {"raw": raw_digest(self.manifest, self.capture), **read_as}

    def write(self, part: Path, inputs: Inputs, progress: Progress) -> StageResult:
        stats: dict[str, dict[str, Any]] = {}
        if inputs.capture.format == "simulated":
            surface = _drawn(self.identity())
        else:
            path = self._file()
            surface = _read(path, inputs.capture)
            self._refuse_if_changed(inputs)
            stats |= {
                "raw files": figure(1, "files"),
                "raw size": figure(path.stat().st_size, "bytes"),
            }
        write_portrayable(part / SCAN_FILE, surface)
        height_m = float(np.ptp(surface.vertices_m[:, 1]))
        stats |= {"mesh faces": figure(len(surface.faces), "faces"), "scan height": figure(height_m, "m")}
        progress(1, 1)
        return StageResult(samples=1, stats=stats)

    def _file(self) -> Path:
        path = self.loaded().capture_folder(str(self.capture))
        assert path is not None
        return path

    def _refuse_if_changed(self, inputs: Inputs) -> None:
        forget()
        if raw_digest(self.manifest, self.capture) != inputs.record["recipe"]["inputs"]["raw"]:
            raise StageError("raw files must stay as they are during a build, changed. Build again.")


def opened_scan(path: Path, table: CaptureTable) -> CapturedScan:
    """Read a scan's file as its table says; raises `InputError` where it cannot be read."""
    assert table.scan is not None
    return read_scan(path, unit_m=table.scan.unit_m, up=table.scan.up)


def _read(path: Path, table: CaptureTable) -> Portrayable:
    scan = opened_scan(path, table)
    rgb = scan.vertex_rgb
    return Portrayable(
        vertices_m=scan.vertices.astype(np.float32),
        faces=scan.faces,
        vertex_rgb=np.full(scan.vertices.shape, UNPAINTED_RGB, np.uint8) if rgb is None else rgb,
        body=None,
    )


def _drawn(identity: dict[str, Any]) -> Portrayable:
    """The person that a simulated capture of the same names would film, in a pose of this capture's own."""
    seed = identity["seed"]
    wardrobe = draw_wardrobe(seed, identity["subject"], identity["outfit"])
    stance = draw_stance(seed, identity["capture"], identity["pose"], wardrobe)
    person = dressed(wardrobe, stance.pose_rad, stance.transl_m)
    return Portrayable(
        vertices_m=person.vertices_m.astype(np.float32),
        faces=person.faces,
        vertex_rgb=vertex_rgb(wardrobe),
        body=BodyBelow(
            body_face=person.body_face,
            body_bary=person.body_bary,
            joints_m=np.asarray(person.joints_m, dtype=np.float64),
            pose_rad=np.asarray(stance.pose_rad, dtype=np.float64),
            betas=np.asarray(wardrobe.identity.betas, dtype=np.float64),
            transl_m=np.asarray(stance.transl_m, dtype=np.float64),
        ),
    )
