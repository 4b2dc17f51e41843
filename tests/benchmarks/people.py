"""The simulated people that benchmarks share: the pose sampler's default distribution, none left out."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.bodies.model import Body
from pipeline.bodies.pose_sampler import draw_poses
from pipeline.bodies.proportions import proportions_of
from pipeline.seeds import stream
from pipeline.simulation.identity import draw_identity
from pipeline.simulation.sample_views import ANY_VIEWS, draw_camera, draw_crop

SIZE_PX = 256
POSES = 16  # of one identity, in a row


def draw_people(body: Body, seed: int, count: int) -> Iterator[tuple[NDArray[Any], ...]]:
    """Vertices (V 3) in the world, K of the crop and world_from_cam of `count` people."""
    for number in range(0, count, POSES):
        rng = stream(seed, "benchmark people", str(number))
        betas = draw_identity(rng).betas
        poses = draw_poses(rng, min(POSES, count - number), proportions_of(body, betas))
        vertices_m = body.posed(poses.pose_rad, betas, poses.transl_m).vertices_m.astype(np.float64)
        for person_m in vertices_m:
            world_from_cam = draw_camera(rng, person_m, ANY_VIEWS)
            yield person_m, draw_crop(rng, person_m, world_from_cam, SIZE_PX), world_from_cam
