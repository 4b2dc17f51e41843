"""Pictures and films as they come from users, to predict from."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError

IMAGES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".m4v", ".webm")
MASK_SUFFIX = ".mask.png"


def picture_inputs(paths: Sequence[Path]) -> list[Path]:
    """All pictures and films, folders opened, in order of name.

    Raises:
        InputError: input-missing; no-images of a folder; names-clash of two that would share their outputs.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = [file for file in sorted(path.iterdir()) if _is_input(file)]
            if not inside:
                raise InputError(
                    "no-images", f"{path}: must hold pictures or films, holds none. Name another."
                )
            found += inside
        elif path.is_file():
            found.append(path)
        else:
            raise InputError("input-missing", f"{path}: must be a picture, film or folder, is not there.")
    stems: dict[str, Path] = {}
    for path in found:
        other = stems.setdefault(path.stem, path)
        if other != path:
            raise InputError(
                "names-clash", f"{path}: must have a name of its own, {other} has it too. Rename one."
            )
    return list(stems.values())


def _is_input(file: Path) -> bool:
    return file.suffix.lower() in (*IMAGES, *VIDEOS) and not file.name.endswith(MASK_SUFFIX)


def pictures_of(path: Path) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Output name and RGB (H W 3) of a picture, or of each frame of a film; grey ones get three equal channels.

    Of 16 bits, the upper 8 are taken.

    Raises:
        InputError: unreadable-image, unreadable-video.
    """
    import cv2

    if path.suffix.lower() not in VIDEOS:
        yield path.stem, read_image(path, cv2.IMREAD_COLOR)[..., ::-1]
        return
    film = cv2.VideoCapture(str(path))
    number = 0
    try:
        while True:
            more, frame = film.read()
            if not more:
                break
            yield f"{path.stem}-{number:06d}", np.asarray(frame, np.uint8)[..., ::-1]
            number += 1
    finally:
        film.release()
    if number == 0:
        raise InputError(
            "unreadable-video", f"{path}: must be a film, no frame of it can be read. Convert it."
        )


def read_image(path: Path, mode: int) -> NDArray[np.uint8]:
    import cv2

    content = np.fromfile(path, np.uint8)
    image = cv2.imdecode(content, mode) if len(content) else None
    if image is None:
        raise InputError("unreadable-image", f"{path}: must be a picture, cannot be read as one. Convert it.")
    return np.asarray(image, np.uint8)
