"""Which face of a mesh each pixel sees, by a z-buffer: no search tree, so it suits meshes that deform."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int32 = NDArray[np.int32]

NEAR_M = 0.01  # no depth camera measures nearer
GRID_BITS = 29  # of the largest grid coordinate: a product of two differences then fits 62 bits
BANDS_PER_THREAD = 4  # so that a band with much to draw keeps no other thread waiting


def visible_faces(
    points_cam: NDArray[Any],
    faces: Int32,
    K: Float64,
    *,
    height: int,
    width: int,
    near_m: float = NEAR_M,
    threads: int = 1,
) -> tuple[Int32, Float32, Float32]:
    """Find the nearest face at each pixel centre and where on the face the pixel's ray meets it.

    A centre on the edge between two faces belongs to exactly one of them (top-left rule). Faces are seen from
    both sides; where several have one depth (to float32), the first of them is seen. What of a face lies
    nearer than near_m is cut away, the rest stays. No result depends on the number of threads.

    Args:
        points_cam: (V 3) vertices in the camera frame, metres, finite.
        faces: (F 3) rows of points_cam; faces without area are not seen.
        K: (3 3) px, zero skew, integer pixel centres.
        near_m: least z.

    Returns:
        face_index: (H W), -1 where nothing is seen.
        bary: (H W 2) perspective-correct weights of the face's second and third vertex, each in [0, 1] as is
            their sum; 0 where nothing is seen.
        depth_m: (H W) z along the optical axis; 0 where nothing is seen.

    Raises:
        ValueError: if a size, near_m or threads is not positive.
    """
    _check_sizes(height, width, near_m, threads)
    from pipeline import zbuffer_kernels as kernels

    points = np.ascontiguousarray(points_cam, dtype=np.float64)
    corners = np.ascontiguousarray(faces, dtype=np.int32)
    lens = _lens(K, height, width, near_m)
    placed = kernels.place_vertices(points, lens)
    face_index = np.full((height, width), -1, dtype=np.int32)
    depth_m = np.zeros((height, width), dtype=np.float32)  # 1 / z until it is weighed
    bary = np.zeros((height, width, 2), dtype=np.float32)
    rays = (np.arange(width) - K[0, 2]) / K[0, 0], (np.arange(height) - K[1, 2]) / K[1, 1]

    def draw(band: tuple[int, int]) -> None:
        kernels.fill(points, corners, placed, lens, (face_index, depth_m), *band)
        kernels.weigh(points, corners, rays, (face_index, depth_m), bary, *band)

    if threads == 1:
        draw((0, height - 1))
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(draw, _bands(height, BANDS_PER_THREAD * threads)))
    return face_index, bary, depth_m


def _check_sizes(height: int, width: int, near_m: float, threads: int) -> None:
    if min(height, width, threads) < 1 or not near_m > 0:
        raise ValueError(
            "zbuffer: height, width and threads must be at least 1 and near_m positive, "
            f"are {height=} px, {width=} px, {threads=}, {near_m=} m"
        )


def _lens(K: Float64, height: int, width: int, near_m: float) -> tuple[Float64, Float64, int]:
    """The camera in grid units around the image's middle, as `zbuffer_kernels.Lens` wants it.

    The grid reaches as far beyond the image as the image is large; it is as fine as 64-bit products allow:
    2^-21 px at 256 px, 2^-18 px at 1920 px.
    """
    bits = GRID_BITS - int(np.ceil(np.log2(max(height, width, 2))))
    reach = float(1 << GRID_BITS)
    offset_px = K[0, 2] - width // 2, K[1, 2] - height // 2
    grid = np.array([[K[0, 0], offset_px[0]], [K[1, 1], offset_px[1]]]) * float(1 << bits)
    planes = np.array([[0.0, 0.0, 1.0, -near_m]] + [[0.0, 0.0, reach, 0.0]] * 4)
    for axis, sign, plane in ((0, 1, 1), (0, -1, 2), (1, 1, 3), (1, -1, 4)):
        planes[plane, [axis, 2]] += sign * grid[axis]
    return grid, planes, bits


def _bands(height: int, count: int) -> list[tuple[int, int]]:
    """First and last row of at most `count` bands that cover the image."""
    borders = np.unique(np.linspace(0, height, count + 1).astype(int)).tolist()
    return [(first, end - 1) for first, end in zip(borders[:-1], borders[1:], strict=True)]
