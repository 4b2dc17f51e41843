"""From what a renderer sees of a simulated person to what the virtual camera records."""

import numpy as np
from numpy.typing import NDArray

from pipeline.cameras import backproject, transform
from pipeline.simulation.colors import person_colors
from pipeline.simulation.figure import Person
from pipeline.simulation.sensor import simulate_depth
from pipeline.simulation.shading import Scene, shade
from pipeline.simulation.writer import SimulatedFrame


def record_frame(
    frame: int,
    person: Person,
    scene: Scene,
    *,
    depth_m: NDArray[np.float32],
    normal_cam: NDArray[np.float32],
    K: NDArray[np.float64],
    world_from_cam: NDArray[np.float64],
    rng: np.random.Generator,
) -> SimulatedFrame:
    """Record one frame of a person whose body frame is the world.

    Args:
        depth_m: (H W) true z of `person_mesh` along the optical axis; 0 where the ray misses.
        normal_cam: (H W 3) its unit normals, facing the camera; 0 where the ray misses.
        rng: the frame's own stream; noise and holes are drawn from it.
    """
    hit = depth_m > 0
    points_world = transform(world_from_cam, backproject(depth_m, K)[hit])
    albedo = np.zeros((*hit.shape, 3), dtype=np.uint8)
    albedo[hit] = person_colors(person, points_world)
    return SimulatedFrame(
        frame=frame,
        image=shade(albedo, normal_cam, hit, scene, K=K, world_from_cam=world_from_cam),
        depth_raw_mm=simulate_depth(depth_m, normal_cam, K, rng),
        mask=hit,
        world_from_cam=world_from_cam,
    )
