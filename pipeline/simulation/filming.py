"""A take: a dressed person in a room, filmed by virtual Kinects, frame by frame, with the truth beside it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.cameras import invert_rigid, transform
from pipeline.captures.kinect2_calibration import Kinect2Calibration
from pipeline.simulation.acting import Action
from pipeline.simulation.camera_path import CameraPath
from pipeline.simulation.color_space import srgb_from_linear
from pipeline.simulation.dressing import DressedBody, Wardrobe, dressed
from pipeline.simulation.film import Film, develop, draw_film
from pipeline.simulation.kinect import FrameTimes, measure_depth
from pipeline.simulation.kinect_writer import KinectFrame
from pipeline.simulation.lens import PinholeLookup, pinhole_lookup
from pipeline.simulation.lighting import Lights, Shadows, cast_shadows, draw_lights
from pipeline.simulation.materials import draw_board, plain
from pipeline.simulation.painting import light_up
from pipeline.simulation.room import draw_room
from pipeline.simulation.solids import box
from pipeline.simulation.surface import Surface, joined, painted_surface
from pipeline.simulation.textures import Appearance, appearance_at
from pipeline.simulation.truth_writer import TrueFrame
from pipeline.visibility import normals_from_visibility
from pipeline.zbuffer import visible_faces

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

DEPTH_FINER = 2.0  # pixels of the rasterised image per depth pixel: outlines to a quarter of one
COLOR_FINER = 1.0
METERED_STEP_PX = 4  # of the picture that exposure and white balance are drawn from
ROOM_MARGIN_M = 0.1  # beyond the outermost camera
SEAT_HALF_M = 0.17
ROOM_INFRARED = (0.30, 0.55)  # reflectance near 850 nm of what is black and of what is white to the eye

Hanging = Callable[[float], Sequence[Float64]]
Draw = Callable[
    [str, int | None], np.random.Generator
]  # a stream for a purpose and, where it has one, a frame


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Take:
    """Who does what before which cameras.

    Attributes:
        action: by time on the capture's clock; a still person's gives the same at any.
        still: whether it does.
        seat_m: height of the stool under a person who sits; 0 without one.
        duration_s: from the first moment to the end of the cameras' paths.
        times: one row a moment; all cameras see the same moments.
        hanging_m: by time, what `dressed` takes of simulated cloth; without it, cloth has its drawn folds.
    """

    wardrobe: Wardrobe
    action: Action
    still: bool
    seat_m: float
    paths: Sequence[CameraPath]
    duration_s: float
    times: FrameTimes
    calibration: Kinect2Calibration
    hanging_m: Hanging | None = None


def film_take(take: Take, draw: Draw, *, threads: int) -> Iterator[KinectFrame]:
    """Film a take; frame n is camera n % cameras at moment n // cameras.

    Args:
        draw: streams of the room, the film and every frame's noise.
        threads: of the rasteriser; no result depends on it.
    """
    lenses = (
        pinhole_lookup(take.calibration.depth, finer=DEPTH_FINER),
        pinhole_lookup(take.calibration.color, finer=COLOR_FINER),
    )
    room, lights = _studio(take, draw)
    film: Film | None = None
    still = _set_stage(take, room, lights, take.times.depth_s[0]) if take.still else None
    for moment, (depth_s, color_s) in enumerate(zip(take.times.depth_s, take.times.color_s, strict=True)):
        measured, shown = (still or _set_stage(take, room, lights, time_s) for time_s in (depth_s, color_s))
        for camera, path in enumerate(take.paths):
            frame = moment * len(take.paths) + camera
            world_from_depth = _pose(take, path, depth_s)
            world_from_color = _pose(take, path, color_s) @ invert_rigid(take.calibration.color_from_depth)
            linear = _light(shown, lenses[1], world_from_color, threads)
            if film is None:
                film = draw_film(draw("film", None), linear[::METERED_STEP_PX, ::METERED_STEP_PX])
            seen = _see(measured.surface, lenses[0], world_from_depth, threads)
            raw_mm, mask, true_m = _measure(
                measured, seen, lenses[0], world_from_depth, take, draw("depth", frame)
            )
            yield KinectFrame(
                frame=frame,
                depth_s=float(depth_s),
                color_s=float(color_s),
                depth_raw_mm=raw_mm,
                image=lenses[1].image(develop(linear, film, draw("color", frame))),
                mask=mask,
                true=TrueFrame(
                    world_from_depth=world_from_depth,
                    world_from_color=world_from_color,
                    depth_m=true_m,
                    vertices_m=measured.person.vertices_m.astype(np.float32),
                    pose_rad=measured.pose_rad,
                    betas=take.wardrobe.identity.betas,
                    transl_m=measured.transl_m,
                ),
            )


def vertex_rgb(wardrobe: Wardrobe) -> NDArray[np.uint8]:
    """Colour (V 3) sRGB of every vertex of the dressed person, the same in every pose."""
    region = np.zeros(len(wardrobe.rest_m), dtype=np.uint8)
    region[wardrobe.faces] = wardrobe.region[:, None]
    return srgb_from_linear(appearance_at(wardrobe.rest_m, region, wardrobe).albedo)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Stage:
    """Everything that can be seen at one moment; the person's faces come first."""

    person: DressedBody
    pose_rad: Float64
    transl_m: Float64
    surface: Surface
    lights: Lights
    shadows: Shadows
    room_infrared: Float64  # (faces of the room)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Seen:
    face_index: NDArray[np.int32]
    bary: Float32
    depth_m: Float32


def _pose(take: Take, path: CameraPath, time_s: float) -> Float64:
    begin_s = take.times.depth_s[0]
    return np.asarray(path.at(np.array([(time_s - begin_s) / take.duration_s]))[0])


def _studio(take: Take, draw: Draw) -> tuple[Surface, Lights]:
    """A room around all cameras, its floor where the person stands, and what they sit on."""
    progress = np.linspace(0, 1, 200)
    places = np.concatenate([path.at(progress)[:, :3, 3] for path in take.paths])
    rng = draw("room", None)
    room = draw_room(rng, orbit_m=float(np.hypot(places[:, 0], places[:, 2]).max()) + ROOM_MARGIN_M)
    surface = room.surface
    if take.seat_m:
        low, high = (
            np.array([-SEAT_HALF_M, 0.0, -SEAT_HALF_M]),
            np.array([SEAT_HALF_M, take.seat_m, SEAT_HALF_M]),
        )
        surface = joined([surface, box(low, high, draw_board(rng))])
    return surface, draw_lights(rng, room)


def _set_stage(take: Take, room: Surface, lights: Lights, time_s: float) -> _Stage:
    pose_rad, transl_m = take.action(time_s)
    hanging_m = None if take.hanging_m is None else take.hanging_m(time_s)
    person = dressed(take.wardrobe, pose_rad, transl_m, hanging_m=hanging_m)
    # float32 places, so that the stored truth is the very surface that was filmed.
    places = person.vertices_m.astype(np.float32).astype(np.float64)
    figure = painted_surface(
        places, person.faces, albedo=np.ones(3), material=plain(), texture_points=person.rest_m
    )
    surface = joined([figure, room])
    return _Stage(
        person=person, pose_rad=pose_rad, transl_m=transl_m, surface=surface, lights=lights,
        shadows=cast_shadows(surface, lights), room_infrared=_room_infrared(room),
    )  # fmt: skip


def _room_infrared(room: Surface) -> Float64:
    material = np.stack([each.colors.mean(axis=0) for each in room.materials])[room.face_material]
    grey = (room.albedo[room.faces].mean(axis=1) * material).mean(axis=1)
    low, high = ROOM_INFRARED
    return np.asarray(low + (high - low) * np.sqrt(np.clip(grey, 0, 1)), dtype=np.float64)


def _see(surface: Surface, lens: PinholeLookup, world_from_cam: Float64, threads: int) -> _Seen:
    points_cam = transform(invert_rigid(world_from_cam), surface.vertices)
    face_index, bary, depth_m = visible_faces(
        points_cam, surface.faces, lens.K, height=lens.height, width=lens.width, threads=threads
    )
    return _Seen(face_index=face_index, bary=bary, depth_m=depth_m)


def _measure(
    stage: _Stage,
    seen: _Seen,
    lens: PinholeLookup,
    world_from_cam: Float64,
    take: Take,
    rng: np.random.Generator,
) -> tuple[NDArray[np.uint16], NDArray[np.bool_], Float32]:
    """What the sensor reports (H W), where the person is, and the true depth, all at the raw depth pixels."""
    face_index, bary = lens.nearest(seen.face_index), lens.nearest(seen.bary)
    true_m = lens.depth(seen.depth_m)
    surface = stage.surface
    normal_cam = normals_from_visibility(
        face_index,
        bary,
        vertices=surface.vertices,
        faces=surface.faces,
        normals_world=surface.normals.astype(np.float64),
        cam_from_world=invert_rigid(world_from_cam),
    )
    on_person = (face_index >= 0) & (face_index < len(stage.person.faces))
    on_room = face_index >= len(stage.person.faces)
    reflectance = np.zeros(face_index.shape)
    reflectance[on_person] = _on_person(stage, face_index[on_person], bary[on_person]).infrared
    reflectance[on_room] = stage.room_infrared[face_index[on_room] - len(stage.person.faces)]
    raw_mm = measure_depth(true_m, normal_cam, reflectance, take.calibration.depth, rng)
    return raw_mm, on_person, true_m


def _light(stage: _Stage, lens: PinholeLookup, world_from_cam: Float64, threads: int) -> Float32:
    """Linear RGB (h w 3) that the colour camera's pinhole image receives."""
    seen = _see(stage.surface, lens, world_from_cam, threads)
    linear = light_up(
        stage.surface, stage.lights, stage.shadows,
        face_index=seen.face_index, bary=seen.bary, K=lens.K, world_from_cam=world_from_cam,
    )  # fmt: skip
    on_person = (seen.face_index >= 0) & (seen.face_index < len(stage.person.faces))
    # The person was lit as white: patterns are as sharp as the pixels, not as the vertices.
    linear[on_person] *= _on_person(stage, seen.face_index[on_person], seen.bary[on_person]).albedo
    return linear


def _on_person(stage: _Stage, face_index: NDArray[np.int32], bary: Float32) -> Appearance:
    """What the person reflects where N rays meet it."""
    person = stage.person
    u, v = bary.T
    weights = np.stack([1 - u - v, u, v], axis=1)
    rest_m = np.einsum("nk,nki->ni", weights, person.rest_m[person.faces[face_index]])
    return appearance_at(rest_m, person.region[face_index], person.wardrobe)
