"""Depth, normals and a mesh of people in pictures and films, from a checkpoint.

A picture tells no distance and brings no intrinsics: depth is relative to the person's median, and the mesh
stands where the stated assumptions put it.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.cameras import crop_resize
from pipeline.errors import InputError
from pipeline.foreground import crop_box
from pipeline.pictures import depth_picture, normal_picture
from training.figures import MAX_STEP_M, PITCH_DEG, YAW_DEG, save_png
from training.meshes import depth_mesh, fit_normals, write_ply
from training.models import Predictor, Trained, depth_predictor, load_trained
from training.person import Box, cut_person, find_person
from training.pictures_in import MASK_SUFFIX, VIDEOS, picture_inputs, pictures_of, read_image
from training.plots import text_strip
from training.shading import shaded_mesh, view_of

LOG = logging.getLogger(__name__)

OFFSET_MM = 10_000  # of the 16-bit depth, at the person's median: nobody is 10 m deep

# Tang et al.'s Kinect with a 1.72 m person in a crop with the paper's margins.
ASSUMED_FOCAL = 277 / 256  # of the crop's side
ASSUMED_DISTANCE_M = 2.23

NORMAL_WINDOW_PX = 5
NORMAL_STEP_M = 0.03


def predict_images(
    checkpoint: Path,
    paths: Sequence[Path],
    out: Path,
    *,
    box: Box | None = None,
    size_px: int = 256,
    device: str = "auto",
) -> list[dict[str, Any]]:
    """Predict every picture and every frame of every film, and write what came out.

    Per picture: STEM.depth.npy (float32, metres from the person's median, 0 outside the mask),
    STEM.depth.png (16 bits, the same in mm plus OFFSET_MM, 0 outside the mask), STEM.normal.png,
    STEM.mesh.ply (camera frame, metres), STEM.preview.png and STEM.json, which says what was assumed.
    A film's frames are STEM-000000 and so on. The same input gives the same bytes.

    The person is given by a mask beside the picture, STEM.mask.png, else cut out of the given box, else of the
    one that `find_person` finds, in a film else of the last one found. The mask's bounding box is cut out with
    Tang's margins. Where nobody is found, the largest centred square is taken and all of it counts as person.

    A recipe with a `predict` of its own writes what that says instead.

    Args:
        checkpoint: a checkpoint's folder, or a run's.
        paths: pictures, films, or folders of them.
        box: left, top, right and bottom of the person in every picture without a mask, px.
        size_px: side of the crop that the network sees; that of its training.

    Returns:
        What the STEM.json files hold.

    Raises:
        InputError: for a missing checkpoint, a model without depth, an unreadable picture, film or mask, and
            two inputs of one name.
    """
    trained = load_trained(checkpoint, device=device)
    if trained.recipe.predict is not None:
        return trained.recipe.predict(checkpoint, paths, out, box=box, device=device)
    predict = depth_predictor(trained)
    inputs = picture_inputs(paths)
    out.mkdir(parents=True, exist_ok=True)
    records = []
    for path in inputs:
        last: Box | None = None
        for stem, image in pictures_of(path):
            sample, square, found = _person(path, image, size_px, box, last)
            last = found or last
            arrays = _predict_one(predict, sample)
            records.append(_write(out / stem, sample, arrays, _facts(trained, path, square, size_px)))
    LOG.info("%d predictions from %d inputs into %s", len(records), len(inputs), out)
    return records


def _person(
    path: Path, image: NDArray[np.uint8], size_px: int, box: Box | None, last: Box | None
) -> tuple[dict[str, Any], dict[str, Any], Box | None]:
    """The sample that the network sees, the square it was cut from, and where the person was found."""
    mask, source, found = _mask_beside(path, image), f"{path.stem}{MASK_SUFFIX}", None
    if mask is None:
        found = None if box else find_person(image)
        where = box or found or last
        if where is not None:
            mask = cut_person(image, where)
            source = "the box given" if box else "the person found" if found else "the last frame's person"
    if mask is None or not mask.any():
        mask, square = (
            np.ones(image.shape[:2], bool),
            "largest centred square: no mask given, no person found",
        )
        LOG.warning("%s: no mask given, no person found; the whole square counts as person", path)
        cut = crop_box(mask, "all")
    else:
        cut, square = crop_box(mask, "given"), f"bounding box of {source} with Tang's margins"
    sample, _ = crop_resize({"image": np.ascontiguousarray(image), "mask": mask}, np.eye(3), cut, size_px)
    return sample, {"u0_px": cut[0], "v0_px": cut[1], "side_px": cut[2], "source": square}, found


def _mask_beside(path: Path, image: NDArray[np.uint8]) -> NDArray[np.bool_] | None:
    import cv2

    beside = path.with_name(path.stem + MASK_SUFFIX)
    if not beside.is_file() or path.suffix.lower() in VIDEOS:
        return None
    mask = np.asarray(read_image(beside, cv2.IMREAD_GRAYSCALE) > 127)
    if mask.shape != image.shape[:2] or not mask.any():
        wanted = f"a person in {image.shape[1]}x{image.shape[0]} px"
        is_now = f"{mask.shape[1]}x{mask.shape[0]} px with {int(mask.sum())} set"
        raise InputError("mask-unfit", f"{beside}: must show {wanted}, is {is_now}. Make it again.")
    return mask


def _predict_one(predict: Predictor, sample: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """Zero-median depth (0 outside the mask), normals, and the mesh at its assumed place."""
    mask = sample["mask"]
    depth_m = next(iter(predict(sample).values())).astype(np.float64)
    depth_m = np.where(mask, depth_m - np.median(depth_m[mask]), 0)
    place_m, K = depth_m + ASSUMED_DISTANCE_M, assumed_intrinsics(mask.shape[0])
    normal = fit_normals(place_m, mask, K, window_px=NORMAL_WINDOW_PX, max_step_m=NORMAL_STEP_M)
    vertices, faces, pixel = depth_mesh(place_m, mask, K, max_step_m=MAX_STEP_M)
    return {
        "depth_m": depth_m.astype(np.float32),
        "normal": normal,
        "vertices": vertices,
        "faces": faces,
        "colours": sample["image"].reshape(-1, 3)[pixel],
    }


def assumed_intrinsics(size_px: int) -> NDArray[np.float64]:
    """K of a crop whose camera is unknown: Tang et al.'s focal length, the principal point in the middle."""
    focal_px, centre = ASSUMED_FOCAL * size_px, (size_px - 1) / 2
    return np.array([[focal_px, 0, centre], [0, focal_px, centre], [0, 0, 1]])


def _facts(trained: Trained, path: Path, box: Mapping[str, Any], size_px: int) -> dict[str, Any]:
    return {
        "source": path.name,
        "model": trained.recipe.name,
        "step": trained.state.get("step"),
        "box": dict(box),
        "size_px": size_px,
        "K": assumed_intrinsics(size_px).tolist(),
        "K_source": "assumed: a picture brings no intrinsics",
        "distance": {"name": "median distance", "value": ASSUMED_DISTANCE_M, "unit": "m"},
        "distance_source": "assumed: depth is relative to the person's median",
        "depth_npy": {"unit": "m", "offset": 0, "outside the mask": 0},
        "depth_png": {"unit": "mm", "offset": OFFSET_MM, "outside the mask": 0},
    }


def _write(
    stem: Path, sample: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], facts: dict[str, Any]
) -> dict[str, Any]:
    import cv2

    mask, depth_m = sample["mask"], arrays["depth_m"]
    files = {
        key: stem.with_name(stem.name + ending)
        for key, ending in {
            "depth_m": ".depth.npy",
            "depth_mm": ".depth.png",
            "normal": ".normal.png",
            "mesh": ".mesh.ply",
            "preview": ".preview.png",
        }.items()
    }
    np.save(files["depth_m"], depth_m)
    level = np.clip(np.rint(1000 * depth_m.astype(np.float64)) + OFFSET_MM, 1, 65535)
    files["depth_mm"].write_bytes(
        cv2.imencode(".png", np.where(mask, level, 0).astype(np.uint16))[1].tobytes()
    )
    save_png(files["normal"], normal_picture(arrays["normal"], mask))
    colours = dict(zip(("red", "green", "blue"), arrays["colours"].T, strict=True))
    write_ply(files["mesh"], arrays["vertices"], arrays["faces"], colours)
    save_png(files["preview"], _preview(sample, arrays))
    record = {**facts, "files": {key: file.name for key, file in files.items()}}
    text = json.dumps(record, indent=1, allow_nan=False) + "\n"
    stem.with_name(stem.name + ".json").write_text(text, encoding="utf-8")
    return record


def _preview(sample: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> NDArray[np.uint8]:
    mask, size_px = sample["mask"], sample["mask"].shape[0]
    depth, (near_m, far_m) = depth_picture(arrays["depth_m"], mask)
    view = view_of(arrays["vertices"], yaw_deg=YAW_DEG, pitch_deg=PITCH_DEG, size_wh=(size_px, size_px))
    tiles = {
        "image": sample["image"],
        f"depth {100 * near_m:+.0f} to {100 * far_m:+.0f} cm": depth,
        "normals": normal_picture(arrays["normal"], mask),
        "mesh": shaded_mesh(arrays["vertices"], arrays["faces"], view),
    }
    columns = [
        np.vstack([text_strip(name, (size_px, 26), height_px=16, centred=True), tile])
        for name, tile in tiles.items()
    ]
    return np.hstack(columns)
