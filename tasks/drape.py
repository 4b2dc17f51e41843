"""Garments of a simulated capture moved by Blender's cloth solver, trousers first, then the top over them."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.simulation.casting import draw_take
from pipeline.simulation.cloth_checks import penetration
from pipeline.simulation.draping import Hung, Rehearsal, fittings, hung_cloth, rehearse, write_hung
from pipeline.simulation.dressing import dressed
from pipeline.simulation.dressing import penetration as worn_penetration
from pipeline.simulation.filming import Take
from pipeline.simulation.kinect import RATE_HZ
from pipeline.spread import figure
from renderers.cloth import ClothSettings, Collider, simulate_cloth
from tasks.inputs import Inputs
from tasks.job import Progress, StageResult
from tasks.script import identity_of, script_of
from tasks.stage import CaptureStage

CLOTH_FILE = "cloth.npz"
CHECKED_STEPS = 5  # of the film, evenly apart, in which penetrations are measured
NAMES = {"bottom": "trousers", "top": "top"}


class Drape(CaptureStage):
    """How simulated cloth hangs, for the captures that ask for it; kept, so that filming again is quick."""

    NAME = "drape"
    VERSION = 1

    def identity(self) -> dict[str, Any]:
        return identity_of(self)

    def write(self, part: Path, inputs: Inputs, progress: Progress) -> StageResult:
        settings = inputs.manifest.stages.drape
        take = draw_take(self.loaded().dataset.seed, script_of(self))
        rehearsal = rehearse(take, lead_s=settings.lead_s, settle_s=settings.settle_s)
        skin, garments = fittings(take.wardrobe, rehearsal)
        solid = [("skin", Collider(vertices=skin, faces=take.wardrobe.body.faces))]
        first = -1 if take.still else rehearsal.first
        stats: dict[str, dict[str, Any]] = {}
        ways = []
        progress(0, len(garments))
        for done, garment in enumerate(garments):
            cloth = simulate_cloth(
                garment.targets_m,
                garment.faces,
                garment.held,
                [collider for _, collider in solid],
                settings=ClothSettings(quality=settings.quality),
                threads=1,  # more are hardly faster, and their sums may differ
                memory_limit_gb=settings.memory_limit_gb,
            )
            name = NAMES[garment.region]
            stats |= _penetrations(name, cloth, solid, first)
            away_m, lost = hung_cloth(cloth, garment, skin, take.wardrobe.body.faces)
            stats[f"drape {name}, brought back"] = figure(lost, "1")
            ways.append(away_m[first:])
            solid.append((name, Collider(vertices=cloth, faces=garment.faces)))
            progress(done + 1, len(garments))
        hung = Hung(away_m=tuple(ways), begin_s=rehearsal.begin_s)
        write_hung(part / CLOTH_FILE, hung)
        return StageResult(samples=len(ways[0]), stats=stats | _worn(take, hung, rehearsal))


def _worn(take: Take, hung: Hung, rehearsal: Rehearsal) -> dict[str, dict[str, Any]]:
    """What still shows through where cloth has been pushed out of what it lies on: the worst of some steps."""
    steps = np.unique(np.linspace(0, len(hung.away_m[0]) - 1, CHECKED_STEPS).round().astype(int))
    found = [
        worn_penetration(dressed(take.wardrobe, *take.action(time_s), hanging_m=hung.at(time_s)))
        for time_s in rehearsal.begin_s + steps / RATE_HZ
    ]
    return {
        f"drape worn, {under} through cloth, worst share": figure(max(one[key].share for one in found), "1")
        for key, under in (("skin", "skin"), ("bottom", "trousers"))
    }


def _penetrations(
    name: str, cloth: NDArray[np.float32], solid: list[tuple[str, Collider]], first: int
) -> dict[str, dict[str, Any]]:
    """What of the cloth lies inside of what it is worn over, in some of the steps that are filmed."""
    steps = np.unique(np.linspace(first % len(cloth), len(cloth) - 1, CHECKED_STEPS).round().astype(int))
    stats = {}
    for under, collider in solid:
        found = penetration(cloth[steps], collider.vertices[steps], collider.faces)
        stats[f"drape {under} through {name}, share"] = figure(found.share, "1")
        stats[f"drape {under} through {name}, deepest"] = figure(found.deepest_m, "m")
    return stats
