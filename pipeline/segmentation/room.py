"""What is known of a room before a person is looked for in it: planes, and a still camera's background."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.cameras import invert_rigid
from pipeline.captures.capture import Frame
from pipeline.errors import InputError
from pipeline.segmentation.planes import Plane, PointGrids, point_grids, room_planes

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Bool = NDArray[np.bool_]

MOST_FRAMES = 16  # that are kept in memory while a room is learned
LEAST_FRAMES = 4  # from which a background is learned: with fewer, whoever stands there is the background
AGREEING_SHARE = 0.15  # of the frames, that must show the same far depth
NEAR_M, NEAR_PER_M = 0.015, 0.004  # values of one still surface part by this: least, and per squared metre
AROUND_PERSON_M = 0.06  # that belongs to no background either: the outline wavers


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Room:
    """A room as far as it is known.

    Attributes:
        planes: floor first where one was found; in the world where `in_world`, else in the one camera. None
            where the camera moves and its poses are unknown: each frame shows its own then.
        in_world: whether planes, and a person's place, are in the world.
        up: (3,) unit, of the floor or else of the camera; in the frame of the planes.
        background_m: (H W) float32, depth of what stands still; 0 where unknown. None for a moving camera.
        standstill_m: likewise, but it may hold a person who stood still: good as a hint of what moved alone.
    """

    planes: tuple[Plane, ...] | None
    in_world: bool
    up: Float64
    background_m: Float32 | None = None
    standstill_m: Float32 | None = None

    def seen_from(self, frame: Frame) -> tuple[tuple[Plane, ...], Float64]:
        """The planes, and up (3,), in the camera of `frame`."""
        if self.planes is None:
            grids = point_grids([frame], with_poses=False)
            planes = tuple(room_planes(grids))
            return planes, _up(planes, grids)
        if not self.in_world:
            return self.planes, self.up
        cam_from_world = invert_rigid(_pose(frame))
        return tuple(plane.moved(cam_from_world) for plane in self.planes), cam_from_world[:3, :3] @ self.up


def learn_room(frames: Iterable[Frame], *, empty: Iterable[Frame] = (), still_camera: bool) -> Room:
    """Learn a room from frames of a capture, which are read once and kept a few at a time.

    From one frame or from a moving camera, planes alone are learned. A still camera's background is the farthest
    depth on which several frames agree where no person was found; `empty` frames give it outright.

    Args:
        frames: all of a capture or some of them, in order, with depth and K.
        empty: frames of the same still camera without the person.
        still_camera: whether the camera stood on a tripod; a moving one needs poses for planes that last.

    Raises:
        InputError: no-frames, depth-missing, depth-size or intrinsics-missing.
        ValueError: if empty frames are given for a moving camera.
    """
    kept = evenly(frames)
    kept_empty = evenly(empty)
    if kept_empty and not still_camera:
        raise ValueError("learn_room: empty frames must come from a still camera, the camera moves.")
    if not kept and not kept_empty:
        raise InputError("no-frames", "learn_room: a room must be learned from at least one frame, has none.")
    _check_sizes([*kept, *kept_empty])
    poses_known = all(frame.world_from_cam is not None for frame in [*kept, *kept_empty])
    in_world = poses_known and not still_camera
    grids = point_grids(kept_empty or kept, with_poses=in_world)
    planes = tuple(room_planes(grids))
    lasting = still_camera or in_world or len(kept) == 1
    room = Room(planes=planes if lasting else None, in_world=in_world, up=_up(planes, grids))
    if not still_camera:
        return room
    return with_background(room, kept, kept_empty)


def with_background(room: Room, frames: Sequence[Frame], empty: Sequence[Frame]) -> Room:
    """A still camera's room with its background, from empty frames or from those of a moving person."""
    if empty:
        background_m = _far_depth(empty, None)
        return replace(room, background_m=background_m, standstill_m=background_m)
    if len(frames) < LEAST_FRAMES:
        return room
    room = replace(room, standstill_m=_far_depth(frames, None))
    return replace(room, background_m=_far_depth(frames, [_around_person(room, frame) for frame in frames]))


def maps_of(frame: Frame) -> tuple[Float32, Float64]:
    """Depth (H W) and K of a frame.

    Raises:
        InputError: depth-missing or intrinsics-missing.
    """
    if frame.depth_m is None:
        raise InputError(
            "depth-missing",
            f"frame {frame.frame}: foreground 'person' needs depth, the frame has none. Use 'all' or 'given'.",
        )
    if frame.K is None:
        raise InputError(
            "intrinsics-missing",
            f"frame {frame.frame}: foreground 'person' needs the camera's K, the capture gives none. Name it.",
        )
    return frame.depth_m, frame.K


def _pose(frame: Frame) -> Float64:
    if frame.world_from_cam is None:
        raise InputError(
            "pose-missing",
            f"frame {frame.frame}: a pose must say where the room is, is missing. Leave the frame out.",
        )
    return frame.world_from_cam


def evenly(frames: Iterable[Frame]) -> list[Frame]:
    """At most MOST_FRAMES frames at even distances, without knowing how many come; colours are let go."""
    kept: list[Frame] = []
    stride = 1
    for index, frame in enumerate(frames):
        if index % stride:
            continue
        maps_of(frame)
        kept.append(replace(frame, image=None, mask=None))
        if len(kept) > MOST_FRAMES:
            kept, stride = kept[::2], 2 * stride
    return kept


def _check_sizes(frames: Sequence[Frame]) -> None:
    first_hw = maps_of(frames[0])[0].shape
    for frame in frames:
        if maps_of(frame)[0].shape != first_hw:
            raise InputError(
                "depth-size",
                f"frame {frame.frame}: depth must be {first_hw} px like the first frame's, "
                f"is {maps_of(frame)[0].shape}. Leave it out.",
            )


def _up(planes: Sequence[Plane], grids: PointGrids) -> Float64:
    return planes[0].normal if planes and planes[0].kind == "floor" else grids.up


def _far_depth(frames: Sequence[Frame], barred: Sequence[Bool] | None) -> Float32:
    from pipeline.segmentation.background_kernels import far_depth

    maps_m = np.stack([maps_of(frame)[0] for frame in frames])
    used = np.ones(maps_m.shape, dtype=np.bool_) if barred is None else ~np.stack(barred)
    least = min(len(frames), max(2, round(AGREEING_SHARE * len(frames))))
    return np.asarray(far_depth(maps_m, used, np.array([NEAR_M, NEAR_PER_M]), least))


def _around_person(room: Room, frame: Frame) -> Bool:
    """Pixels (H W) that may be the person's; none where nobody was found."""
    import cv2

    from pipeline.segmentation.person import PersonFinder

    depth_m, K = maps_of(frame)
    try:
        found = PersonFinder(room, person=None).find(frame)
    except InputError:
        return np.zeros(depth_m.shape, dtype=np.bool_)
    # A closed outline first: a dark garment's holes are the person's as well.
    reach_px = int(np.ceil(AROUND_PERSON_M * K[0, 0] / np.median(depth_m[found.mask])))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach_px + 1, 2 * reach_px + 1))
    return np.asarray(cv2.dilate(found.mask.astype(np.uint8), disc) > 0)
