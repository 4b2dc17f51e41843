"""Meshes to visibility buffers by Embree's ray casting (through Open3D): the cross-check, and distances.

Every ray is (x, y, 1) in the camera frame, not of unit length: the hit parameter t then *is* z along the
optical axis, and no conversion between ray length and depth can go wrong.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.cameras import pixel_rays
from renderers.views import View, Visibility, check_mesh, check_view


class RaycastScene:
    """A mesh with its search tree; cast from as many views as needed.

    Args:
        vertices: (V 3) float64, world frame, metres; may lie far from the world's origin.
        faces: (F 3) int32.
        threads: for building and casting; no result depends on it.

    Raises:
        ValueError: if the mesh is not finite, has no face, or a face names a vertex that is not there.
    """

    def __init__(self, vertices: NDArray[np.float64], faces: NDArray[np.int32], *, threads: int) -> None:
        import open3d as o3d

        check_mesh(vertices, faces, where="renderers.raycast")
        self._tensor, self._threads = o3d.core.Tensor, threads
        # Embree computes in float32, which steps by 0.06 mm at 1 km: all moves to the middle of the mesh.
        self._centre = (vertices.min(axis=0) + vertices.max(axis=0)) / 2
        self._scene: Any = o3d.t.geometry.RaycastingScene(nthreads=threads)
        self._scene.add_triangles(
            self._tensor((vertices - self._centre).astype(np.float32)), self._tensor(faces.astype(np.uint32))
        )

    def visibility(self, view: View, *, height: int, width: int) -> Visibility:
        """Cast one ray through each pixel centre; faces are seen from both sides."""
        check_view(view, where="renderers.raycast")
        rotation, origin = view.world_from_cam[:3, :3], view.world_from_cam[:3, 3] - self._centre
        rays = np.zeros((height, width, 6), dtype=np.float32)
        rays[..., :3] = origin
        rays[..., 3:] = pixel_rays(view.K, height, width) @ rotation.T
        hits = self._scene.cast_rays(self._tensor(rays), nthreads=self._threads)
        depth_m, bary = hits["t_hit"].numpy(), hits["primitive_uvs"].numpy()
        seen = np.isfinite(depth_m)
        return Visibility(
            face_index=np.where(seen, hits["primitive_ids"].numpy().astype(np.int64), -1).astype(np.int32),
            bary=np.where(seen[..., None], bary, np.float32(0)),
            depth_m=np.where(seen, depth_m, np.float32(0)),
        )

    def distance_m(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Distance (N) in metres of points (N 3) of the world to the nearest place of the surface."""
        local = self._tensor((points - self._centre).astype(np.float32))
        found = self._scene.compute_distance(local, nthreads=self._threads).numpy()
        return np.asarray(found, dtype=np.float64)
