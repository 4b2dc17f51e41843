"""Base/detail and normals against OpenCV and Open3D: time and, beside it, error. Run as a script for a table.

Every library uses all cores, gets the same image and runs in alternating rounds; the median counts. OpenCV's
filter has no mask: it gets the background far away, which is the best that can be done for it, and once a
window by its own rule (d = 0) and once the stated one. Open3D's normals take as many neighbours as our window
has pixels, from a k-d tree, which is what its documentation advises for a cloud without noise outliers.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from alternating import alternate
from numpy.typing import NDArray

from pipeline.cameras import backproject, pixel_rays
from pipeline.layers import split_base_detail, split_base_detail_exactly
from pipeline.normals import Model, normals_from_depth

Row = dict[str, Any]

SIZE_PX = 256
FAR_M = 2.0
PERSON_K = np.array([[277.0, 0, 127.5], [0, 277.0, 127.5], [0, 0, 1]])
PAPER = {"sigma_space_px": 75.0, "sigma_depth_m": 0.10}
MAX_STEP_M = 0.03
MODELS: tuple[tuple[Model, int], ...] = (("plane", 7), ("quadric", 9))  # with their windows in px


def rows(*, rounds: int = 5) -> list[Row]:
    """All rows of the benchmark `targets` that concern depth maps; times in ms, errors against exact sums."""
    # Seconds a call for the full-support peer: three rounds of it settle a ratio of a hundred.
    return [
        *_full_rows(min(rounds, 3)),
        *_person_rows(max(rounds, 15)),
        *_disc_rows(rounds),
        *_normal_rows(rounds),
    ]


def _full_rows(rounds: int) -> list[Row]:
    depth_m, mask = _person()
    filter_ = _opencv_filter(depth_m, mask, 0)
    calls = {"ours": lambda: split_base_detail(depth_m, mask, **PAPER, window_px="full")[0], "peer": filter_}
    milliseconds, bases = alternate(calls, rounds)
    exact_m = _exact_base(depth_m, mask)
    error_mm = {name: 1e3 * float(np.abs(base - exact_m)[mask].max()) for name, base in bases.items()}
    peer = "cv2.bilateralFilter d=0, background far"
    return [
        _row("bilateral full, person", milliseconds, "ms", peer, least_ratio=50),
        _row("bilateral full, person, largest error", error_mm, "mm", peer, most=1e-3),
    ]


def _person_rows(rounds: int) -> list[Row]:
    """Milliseconds a frame of a person on one core: the share of the target that regenerating a corpus needs."""
    import numba

    found = []
    before = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        for name, (depth_m, mask) in {"person": _person(), "close person": _person(2.0, 1.4)}.items():
            exact = "exact sum, 1 thread"
            calls = {
                "ours": partial(split_base_detail, depth_m, mask, **PAPER, window_px="full"),
                "peer": partial(split_base_detail_exactly, depth_m, mask, **PAPER),
            }
            milliseconds, layers = alternate(calls, rounds)
            error_m = np.abs(layers["ours"][1] - layers["peer"][1]).max()
            # What the exact layers themselves are good for; also where the two agree to the last bit.
            rounding_mm = 1e3 * float(np.spacing(np.abs(layers["peer"][0]).max()))
            error_mm = {"ours": max(1e3 * float(error_m), rounding_mm), "peer": rounding_mm}
            px = np.count_nonzero(mask)
            found.append(_row(f"split, {name}, {px} px", milliseconds, "ms", exact, most=2.5))
            found.append(_row(f"split, {name}, largest error", error_mm, "mm", exact, most=0.1))
            found += _person_normals(depth_m + np.float32(2), mask, name, rounds)
    finally:
        numba.set_num_threads(before)
    return found


def _person_normals(depth_m: NDArray[Any], mask: NDArray[Any], name: str, rounds: int) -> list[Row]:
    px, found = np.count_nonzero(mask), []
    for model, window_px in MODELS:
        how: Any = {"window_px": window_px, "max_step_m": MAX_STEP_M, "model": model}
        calls = {
            "ours": partial(normals_from_depth, depth_m, mask, PERSON_K, **how),
            "peer": _open3d_normals(backproject(depth_m, PERSON_K), mask, window_px**2),
        }
        milliseconds, _ = alternate(calls, rounds)
        what, peer = f"normals, {model} {window_px} px", f"open3d estimate_normals KNN {window_px**2}"
        # Of a quadric, 3 ms are asked for a person of the usual size.
        most = None if (model, name) == ("quadric", "close person") else 3.0
        found.append(_row(f"{what}, {name}, {px} px", milliseconds, "ms", peer, most=most, least_ratio=20))
    return found


def _disc_rows(rounds: int) -> list[Row]:
    depth_m, person = _person()
    found = []
    for name, mask, least_ratio in (
        ("bilateral 15 px, whole image", np.ones_like(person), 0.5),
        ("bilateral 15 px, person", person, 2.0),
    ):
        calls = {
            "ours": lambda mask=mask: split_base_detail(depth_m, mask, **PAPER, window_px=15)[0],
            "peer": _opencv_filter(depth_m, mask, 15),
        }
        milliseconds, _ = alternate(calls, rounds)
        found.append(_row(name, milliseconds, "ms", "cv2.bilateralFilter d=15", least_ratio=least_ratio))
    return found


def _normal_rows(rounds: int) -> list[Row]:
    depth_m, mask, truth, K = _noisy_sphere()
    found = []
    for model, window_px in (*MODELS, ("plane", 9)):
        fit = partial(normals_from_depth, window_px=window_px, max_step_m=MAX_STEP_M, model=model)
        calls = {
            "ours": lambda fit=fit: fit(depth_m, mask, K)[0],
            "peer": _open3d_normals(backproject(depth_m, K), mask, window_px**2),
        }
        milliseconds, normals = alternate(calls, rounds)
        error_deg = {name: _rms_deg(normal[mask], truth[mask]) for name, normal in normals.items()}
        name, peer = f"normals, {model} {window_px} px, sphere", f"open3d estimate_normals KNN {window_px**2}"
        found.append(_row(name, milliseconds, "ms", peer, least_ratio=20))
        # The silhouette counts too; there a square window has fewer pixels than a nearest-neighbour search.
        # A quadric takes more of the noise than a plane does, whose smoothing so flat a sphere hardly minds.
        most = 3.0 if model == "quadric" else None
        found.append(_row(f"{name}, rms error", error_deg, "deg", peer, most=most, least_ratio=0.9))
    return found


def _row(
    name: str,
    values: dict[str, float],
    unit: str,
    peer: str,
    *,
    least_ratio: float | None = None,
    most: float | None = None,
) -> Row:
    """One figure beside its peer's; ratio = peer's / ours, so larger is better for us throughout."""
    value, peer_value = values["ours"], values.get("peer")
    ratio = None if peer_value is None else peer_value / value
    if most is not None:
        target, holds = f"<= {most:g} {unit}", value <= most
    else:
        target, holds = f"ratio >= {least_ratio:g}", None if ratio is None else ratio >= (least_ratio or 0)
    return {
        "name": name,
        "value": value,
        "unit": unit,
        "peer": peer,
        "peer_value": peer_value,
        "ratio": ratio,
        "target": target,
        "holds": None if peer_value is None else holds,
    }


def _opencv_filter(depth_m: NDArray[Any], mask: NDArray[Any], diameter_px: int) -> Callable[[], Any] | None:
    try:
        import cv2
    except ImportError:
        return None
    far_m = np.where(mask, depth_m, depth_m[mask].max() + np.float32(FAR_M))
    return lambda: cv2.bilateralFilter(far_m, diameter_px, PAPER["sigma_depth_m"], PAPER["sigma_space_px"])


def _open3d_normals(points: NDArray[Any], mask: NDArray[Any], neighbours: int) -> Callable[[], Any] | None:
    try:
        import open3d
    except ImportError:
        return None

    def normals() -> NDArray[Any]:
        cloud = open3d.geometry.PointCloud(open3d.utility.Vector3dVector(points[mask]))
        cloud.estimate_normals(open3d.geometry.KDTreeSearchParamKNN(neighbours))
        cloud.orient_normals_towards_camera_location()
        image = np.zeros(points.shape)
        image[mask] = np.asarray(cloud.normals)
        return image

    return normals


def _person(wider: float = 1.0, taller: float = 1.0) -> tuple[NDArray[Any], NDArray[Any]]:
    """A wrinkled ellipsoid as large as a person in the crop (8.7k px, 0.2 m deep), zero median."""
    v, u = np.indices((SIZE_PX, SIZE_PX)) - (SIZE_PX - 1) / 2
    square = (u / (33 * wider)) ** 2 + (v / (84 * taller)) ** 2
    mask = square < 1
    wrinkles_m = 0.008 * np.sin(u / 4 + np.sin(v / 9)) * np.cos(v / 6)
    depth_m = -0.2 * np.sqrt(np.maximum(1 - square, 0)) + wrinkles_m
    return (depth_m - np.median(depth_m[mask])).astype(np.float32), mask


def _exact_base(depth_m: NDArray[Any], mask: NDArray[Any]) -> NDArray[Any]:
    v, u = np.nonzero(mask)
    depth = depth_m[mask].astype(np.float64)
    base = np.zeros(depth.size)
    for start in range(0, depth.size, 512):
        rows_ = slice(start, start + 512)
        r2 = (u[rows_, None] - u) ** 2 + (v[rows_, None] - v) ** 2
        step = depth[rows_, None] - depth
        w = np.exp(-r2 / (2 * PAPER["sigma_space_px"] ** 2) - step**2 / (2 * PAPER["sigma_depth_m"] ** 2))
        base[rows_] = (w @ depth) / w.sum(axis=1)
    image = np.zeros(depth_m.shape)
    image[mask] = base
    return image


def _noisy_sphere() -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Depth with 1 mm noise along z, mask, true normals and K of a sphere of 0.35 m at 1.5 m."""
    centre_px = (SIZE_PX - 1) / 2
    K = np.array([[500.0, 0, centre_px], [0, 500.0, centre_px], [0, 0, 1]])
    rays = pixel_rays(K, SIZE_PX, SIZE_PX)
    a = (rays**2).sum(axis=-1)
    square = 1.5**2 - a * (1.5**2 - 0.35**2)
    mask = square > 0
    exact_m = np.where(mask, (1.5 - np.sqrt(np.maximum(square, 0))) / a, 0)
    truth = (rays * exact_m[..., None] - [0, 0, 1.5]) / 0.35
    noise_m = np.random.default_rng(0).normal(0, 1e-3, mask.shape)
    return np.where(mask, exact_m + noise_m, 0).astype(np.float32), mask, truth, K


def _rms_deg(normal: NDArray[Any], truth: NDArray[Any]) -> float:
    sine = np.linalg.norm(np.cross(normal, truth), axis=-1)
    angle_deg = np.degrees(np.arctan2(sine, (normal * truth).sum(axis=-1)))
    return float(np.sqrt(np.mean(angle_deg**2)))


def table(found: list[Row]) -> str:
    """The rows as aligned text."""
    lines = [f"{'':42} {'ours':>10} {'peer':>10} {'unit':4} {'ratio':>8}  target / holds / peer"]
    for row in found:
        peer = "-" if row["peer_value"] is None else f"{row['peer_value']:10.4g}"
        ratio = "-" if row["ratio"] is None else f"{row['ratio']:8.3g}"
        figures = f"{row['value']:10.4g} {peer:>10} {row['unit']:4} {ratio:>8}"
        lines.append(f"{row['name']:42} {figures}  {row['target']} / {row['holds']} / {row['peer']}")
    return "\n".join(lines)


if __name__ == "__main__":
    import sys

    sys.stdout.write(table(rows()) + "\n")
