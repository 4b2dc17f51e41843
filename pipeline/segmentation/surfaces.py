"""The surfaces that stand free of a room in one depth map, and which of them are people.

Free pixels join across steps that a slanted surface could show, and over holes. People are pieces of a person's size
that are bent and stand before others; fragments (an arm before the chest, a shin behind a leg) go to the person
whom they touch.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.segmentation import regions_kernels as regions
from pipeline.segmentation.planes import Plane
from pipeline.segmentation.room import Room
from pipeline.segmentation.touching import WIDE_M, parted

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Bool = NDArray[np.bool_]
Int32 = NDArray[np.int32]

# What stands free: least distance in metres, and spreads of noise.
FLOOR_CUT_M, WALL_CUT_M, CUT_SPREADS = 0.005, 0.03, 3.0
BACKGROUND_CUT_M, NOISE_PER_M = 0.015, 0.001  # the second where no plane tells it
# One surface: a slope of 83 degrees, no more than a step of an arm's thickness, and the noise of two pixels.
MOST_SLOPE, MOST_STEP_M, LEAST_STEP_M, STEP_NOISE_PER_M = 8.0, 0.06, 0.006, 0.003
GAP_M = 0.05  # a hole that a surface may continue behind
# A person: seen area, height of the highest place and of the lowest above the floor, and from bottom to top.
AREA_M2, TOP_M, LOWEST_M, LEAST_TALL_M = (0.06, 2.0), (0.7, 2.6), 1.0, 0.35
# Bent by this in the mean (people 13 to 26 mm, walls and a held shirt up to 6), where it is measured this far apart.
LEAST_BENT_M, BEND_REACH_M, MOST_BEND_M = 0.0085, 0.10, 0.05
HIDES_M, BEFORE_SHARE = 0.15, 0.4  # a step between surfaces, and at how many of them a person is the nearer
PERSON_SHARE = 0.25  # of the largest person's area, that others show at least
GROUP_M2 = (0.4, 6.0)  # of people who touch
STACKED_M = 0.4  # between the axes of an upper and a lower part of one person
# A fragment: a step no longer than a stride, and of what a large surface touches, what is far smaller than it.
FRAGMENT_STEP_M, FRAGMENT_M2, FRAGMENT_SHARE = 0.6, 0.15, 0.35
CRUMB_M2, CRUMB_M = 0.0004, 0.03  # smaller or lower ones are specks of the floor
MOVED_SHARE = 0.05  # of a surface, for the background to call it new


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Surfaces:
    """The pieces that stand free in one frame: labels (H W) from 1, and their measures by label."""

    labels: Int32
    table: Float64
    pairs: Int32
    up: Float64
    has_floor: bool

    def people(self) -> list[list[int]]:
        """Labels of each person's large pieces: those that stand on each other are one."""
        table = self.table
        area_m2 = table[:, regions.AREA_M2]
        tall_m = table[:, regions.TOP_M] - table[:, regions.BOTTOM_M]
        fits = (area_m2 > AREA_M2[0]) & (area_m2 < AREA_M2[1]) & (tall_m > LEAST_TALL_M) & _is_figure(table)
        if self.has_floor:
            fits &= (table[:, regions.TOP_M] > TOP_M[0]) & (table[:, regions.TOP_M] < TOP_M[1])
            fits &= table[:, regions.BOTTOM_M] < LOWEST_M
        pairs = np.unique(np.sort(self.pairs, axis=1).astype(np.int64) @ [len(table), 1])
        people: list[list[int]] = []
        for piece in np.flatnonzero(fits)[np.argsort(-area_m2[fits], kind="stable")]:
            larger = [p for p in people if area_m2[piece] < FRAGMENT_SHARE * area_m2[p[0]]]
            stacked = [p for p in people if self._stacked(p[0], int(piece))]
            if stacked:
                stacked[0].append(int(piece))
            elif area_m2[piece] > FRAGMENT_M2 or not any(
                _pair(piece, p[0], len(table)) in pairs for p in larger
            ):
                people.append([int(piece)])
        return [p for p in people if area_m2[p].sum() > PERSON_SHARE * area_m2[people[0]].sum()]

    def _stacked(self, first: int, second: int) -> bool:
        """Whether two pieces are the upper and the lower part of one person."""
        a, b = self.table[first], self.table[second]
        shared_m = min(a[regions.TOP_M], b[regions.TOP_M]) - max(a[regions.BOTTOM_M], b[regions.BOTTOM_M])
        shorter_m = min(a[regions.TOP_M] - a[regions.BOTTOM_M], b[regions.TOP_M] - b[regions.BOTTOM_M])
        apart = self.center([first]) - self.center([second])
        apart -= self.up[:3] * (apart @ self.up[:3])
        return bool(shared_m < 0.3 * shorter_m and np.linalg.norm(apart) < STACKED_M)

    def center(self, person: Sequence[int]) -> Float64:
        rows = self.table[person].sum(axis=0)
        return np.asarray(rows[[regions.X, regions.Y, regions.Z]] / rows[regions.COUNT])

    def u(self, person: Sequence[int]) -> float:
        rows = self.table[person].sum(axis=0)
        return float(rows[regions.U] / rows[regions.COUNT])

    def weight(self, person: Sequence[int]) -> float:
        """Seen area; what the background knows counts little."""
        rows = self.table[person].sum(axis=0)
        new = rows[regions.MOVED] > MOVED_SHARE * rows[regions.COUNT]
        return float(rows[regions.AREA_M2] * (1.0 if new else 0.1))

    def mask_of(self, chosen: int, people: list[list[int]]) -> Bool:
        """Pixels (H W) of one person's pieces and of the fragments that touch them more than anyone else."""
        owner = np.zeros(len(self.table), dtype=np.int64)  # 0 nobody's, else 1 + index of the person
        for index, person in enumerate(people):
            owner[person] = index + 1
        small = (self.table[:, regions.AREA_M2] < FRAGMENT_M2) & (self.table[:, regions.AREA_M2] > CRUMB_M2)
        small &= self.table[:, regions.TOP_M] > (CRUMB_M if self.has_floor else -np.inf)
        for _ in range(3):  # a hand on a forearm on an upper arm
            both = np.concatenate([self.pairs, self.pairs[:, ::-1]])
            joins = small[both[:, 0]] & (owner[both[:, 0]] == 0) & (owner[both[:, 1]] > 0)
            if not joins.any():
                break
            keys, votes = np.unique(
                both[joins, 0].astype(np.int64) * (len(people) + 1) + owner[both[joins, 1]],
                return_counts=True,
            )
            for key in keys[np.argsort(votes, kind="stable")]:  # the most votes are written last
                owner[key // (len(people) + 1)] = key % (len(people) + 1)
        return np.asarray((owner == chosen + 1)[self.labels])


def free_surfaces(depth_m: Float32, K: Float64, planes: Sequence[Plane], up: Float64, room: Room) -> Surfaces:
    free = _stands_free(depth_m, K, planes, room.background_m)
    slope = MOST_SLOPE / K[0, 0]
    steps = np.array([slope, LEAST_STEP_M, STEP_NOISE_PER_M, MOST_STEP_M])
    gap_px_m = GAP_M * float(K[0, 0])
    labels, count = regions.label(depth_m, free, steps, gap_px_m)
    has_floor = bool(planes) and planes[0].kind == "floor"
    up4 = np.append(up, planes[0].offset_m if has_floor else 0.0)
    still_m = np.zeros((0, 0), dtype=np.float32) if room.standstill_m is None else room.standstill_m
    lens = np.array([K[0, 0], K[1, 1], K[0, 2], K[1, 2]])
    scales = np.array([BEND_REACH_M, MOST_BEND_M, HIDES_M, gap_px_m, *_background_margins(planes)])
    table = regions.measure(depth_m, labels, count, lens, up4, still_m, scales)
    if _part_groups(depth_m, K, labels, table, up4):
        count = int(labels.max())
        table = regions.measure(depth_m, labels, count, lens, up4, still_m, scales)
    return Surfaces(
        labels=labels,
        table=table,
        pairs=regions.contacts(depth_m, labels, FRAGMENT_STEP_M, gap_px_m),
        up=up4,
        has_floor=has_floor,
    )


def _pair(first: int, second: int, count: int) -> int:
    return min(first, second) * count + max(first, second)


def _is_figure(table: Float64) -> Bool:
    """Whether surfaces are bent, as boards and boxes are not, and stand before others, as walls do not."""
    bent = table[:, regions.BENT_M] > LEAST_BENT_M * table[:, regions.TESTED]
    before, behind = table[:, regions.BEFORE], table[:, regions.BEHIND]
    return np.asarray(bent & (before >= BEFORE_SHARE * (before + behind)))


def _part_groups(depth_m: Float32, K: Float64, labels: Int32, table: Float64, up: Float64) -> bool:
    """Give people who touch labels of their own, in place; whether there were any."""
    count = len(table)
    area_m2 = table[:, regions.AREA_M2]
    wide_m = (table[:, regions.RIGHT] - table[:, regions.LEFT]) / K[0, 0]
    wide_m *= table[:, regions.Z] / np.maximum(table[:, regions.COUNT], 1)
    may_be = (area_m2 > GROUP_M2[0]) & (area_m2 < GROUP_M2[1]) & (wide_m > WIDE_M) & _is_figure(table)
    for piece in np.flatnonzero(may_be):
        for other in parted(depth_m, K, labels == piece, up)[1:]:
            labels[other] = count
            count += 1
    return count > len(table)


def _stands_free(depth_m: Float32, K: Float64, planes: Sequence[Plane], background_m: Float32 | None) -> Bool:
    lines = np.zeros((len(planes), 4))
    bands_m = np.zeros((len(planes), 2))
    for row, plane in enumerate(planes):
        across, down = plane.normal[0] / K[0, 0], plane.normal[1] / K[1, 1]
        lines[row] = across, down, plane.normal[2] - across * K[0, 2] - down * K[1, 2], plane.offset_m
        least_m = FLOOR_CUT_M if plane.kind == "floor" else WALL_CUT_M
        bands_m[row] = least_m, CUT_SPREADS * plane.noise_per_m
    known_m = np.zeros((0, 0), dtype=np.float32) if background_m is None else background_m
    return np.asarray(regions.stands_free(depth_m, lines, bands_m, known_m, _background_margins(planes)))


def _background_margins(planes: Sequence[Plane]) -> Float64:
    """Least step in metres before the background, and the part that grows with z squared."""
    noise_per_m = float(np.median([plane.noise_per_m for plane in planes])) if planes else NOISE_PER_M
    # A pixel's noise, and that of the background behind it.
    return np.array([BACKGROUND_CUT_M, np.sqrt(2) * CUT_SPREADS * noise_per_m])
