"""One person's pixels in a depth map: what stands free of the room, in one piece, and is shaped like a person.

A pixel stands free in front of every plane of the room and of the background, by more than their noise; so shoes
stay down to about a centimetre. Which of the surfaces are people, `segmentation.surfaces` says. Pixels between two
surfaces are cut from the outline.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.cameras import transform
from pipeline.captures.capture import Frame
from pipeline.errors import InputError
from pipeline.masks import masked_points
from pipeline.segmentation import regions_kernels as regions
from pipeline.segmentation.room import Room, maps_of
from pipeline.segmentation.surfaces import (
    LEAST_STEP_M,
    MOST_STEP_M,
    STEP_NOISE_PER_M,
    Surfaces,
    free_surfaces,
)

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Bool = NDArray[np.bool_]

# The outline: a pixel needs neighbours, and may show a slope of 76 degrees towards them.
OUTLINE_SLOPE, LEAST_NEIGHBOURS = 4.0, 3
NEAR_BEFORE_M = 1.0  # nobody goes farther from one frame to the next, unless they are alone


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Found:
    """One person in one frame.

    Attributes:
        mask: (H W) bool; depth is measured wherever it is True.
        people: how many were seen.
        center: (3,) mean of the points, metres; in the room's frame.
        up_cam: (3,) unit, up in the camera.
    """

    mask: Bool
    people: int
    center: Float64
    up_cam: Float64


class PersonFinder:
    """Finds one person in the frames of a capture, in order, and follows them.

    Args:
        person: which, counted from the left of the first frame that shows as many, from 1; None for the largest.
    """

    def __init__(self, room: Room, *, person: int | None = None) -> None:
        if person is not None and person < 1:
            raise ValueError(f"person must be counted from 1, is {person}")
        self._room, self._person = room, person
        # Place of each person when last seen, and in which frame; 0 is the one who is followed.
        self._people: dict[int, tuple[Float64, int]] = {}
        self._frames = 0

    def find(self, frame: Frame) -> Found:
        """The person's pixels in one frame.

        Raises:
            InputError: no-person, depth-missing, depth-size, intrinsics-missing or pose-missing.
        """
        depth_m, K = maps_of(frame)
        depth_m = np.ascontiguousarray(depth_m, dtype=np.float32)
        self._check_size(frame, depth_m)
        self._frames += 1
        planes, up = self._room.seen_from(frame)
        surfaces = free_surfaces(depth_m, K, planes, up, self._room)
        world_from_cam = frame.world_from_cam if self._room.in_world else None
        pose = np.eye(4) if world_from_cam is None else world_from_cam
        people = surfaces.people()
        chosen = self._choose(frame, surfaces, people, pose)
        mask = surfaces.mask_of(chosen, people)
        mask = _clean(depth_m, K, mask)
        if not mask.any():
            raise _nobody(frame, "none of whose pixels agree")
        center = transform(pose, masked_points(mask, depth_m, K).mean(axis=0))
        return Found(
            mask=mask,
            people=len(people),
            center=center,
            up_cam=surfaces.up[:3],
        )

    def _check_size(self, frame: Frame, depth_m: Float32) -> None:
        known_m = self._room.standstill_m
        if known_m is not None and known_m.shape != depth_m.shape:
            raise InputError(
                "depth-size",
                f"frame {frame.frame}: depth must be {known_m.shape} px like the background learned from the "
                f"capture, is {depth_m.shape}. Leave it out.",
            )

    def _choose(self, frame: Frame, surfaces: Surfaces, people: list[list[int]], pose: Float64) -> int:
        """Index into `people`; their places are kept, so that those who are hidden for a while are known again."""
        if not people:
            raise _nobody(frame, "has nobody")
        centers = np.array([transform(pose, surfaces.center(person)) for person in people])
        if not self._people:
            chosen = self._first(frame, surfaces, people)
            others = [index for index in range(len(people)) if index != chosen]
            self._people = {name: (centers[at], self._frames) for name, at in enumerate([chosen, *others])}
            return chosen
        names = self._named(centers)
        self._people.update({name: (centers[at], self._frames) for at, name in enumerate(names)})
        if 0 not in names:
            raise _nobody(frame, "shows others, but not whom the frames before it showed")
        return names.index(0)

    def _first(self, frame: Frame, surfaces: Surfaces, people: list[list[int]]) -> int:
        if self._person is None:
            return int(np.argmax([surfaces.weight(person) for person in people]))
        if self._person > len(people):
            raise _nobody(frame, f"has {len(people)} people, and person {self._person} was asked for")
        from_left = np.argsort([surfaces.u(person) for person in people], kind="stable")
        return int(from_left[self._person - 1])

    def _named(self, centers: Float64) -> list[int]:
        """Who (N) stands at each place: nearest pairs first; new ones get new names."""
        known = sorted(self._people)
        places = np.array([self._people[name][0] for name in known])
        reach_m = NEAR_BEFORE_M * np.array([self._frames - self._people[name][1] for name in known])
        if len(known) == len(centers) == 1:
            reach_m[:] = np.inf
        away_m = np.linalg.norm(centers[:, None] - places, axis=2)
        names = [-1] * len(centers)
        for at in np.argsort(away_m, axis=None, kind="stable"):
            index, other = divmod(int(at), len(known))
            is_free = names[index] < 0 and known[other] not in names
            if is_free and away_m[index, other] < reach_m[other]:
                names[index] = known[other]
        for index, name in enumerate(names):
            if name < 0:
                names[index] = max([*known, *names]) + 1
        return names


def _clean(depth_m: Float32, K: Float64, mask: Bool) -> Bool:
    steps = np.array([OUTLINE_SLOPE / K[0, 0], LEAST_STEP_M, STEP_NOISE_PER_M, MOST_STEP_M])
    return np.asarray(regions.without_fringe(depth_m, mask, steps, LEAST_NEIGHBOURS))


def _nobody(frame: Frame, finding: str) -> InputError:
    return InputError(
        "no-person",
        f"frame {frame.frame}: a person must stand free of the room, the frame {finding}. "
        "Leave it out, or give masks.",
    )
