"""From Landmark-Net's maps to joints, part and surface coordinates of each pixel: plain arrays."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from training.networks.landmark_net import LandmarkOutput

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

STRIDE = 4  # pixels to a cell, as of the network
NEAR = 2  # cells around a peak whose mass counts as the joint's


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Reading:
    """What the network says of one square picture.

    Attributes:
        joints_px: (27 2) column and row of the joints of `LANDMARK27`, integer pixel centres.
        mass: (27) probability of the cells within `NEAR` of the peak, as the network has it: not calibrated.
        part: (S S) uint8, 1..24 as of `surface_part`, 0 the background.
        uv: (S S 2) float32 in [0, 1] where there is a part, else 0.
        body: (S S) float32, probability that a pixel is anybody's.
    """

    joints_px: Float64
    mass: Float64
    part: NDArray[np.uint8]
    uv: Float32
    body: Float32


def read_outputs(outputs: "LandmarkOutput") -> list[Reading]:
    """One reading for each picture of a batch."""
    from training.landmark_losses import place_distribution

    logs = place_distribution(outputs)[..., :-1].reshape(outputs.place_logits.shape)
    arrays = [
        each.detach().float().cpu().numpy() for each in (logs, outputs.part_logits.softmax(dim=1), outputs.uv)
    ]
    return [_reading(*each) for each in zip(*arrays, strict=True)]


def peaks(logs: NDArray[Any]) -> tuple[Float64, Float64]:
    """Where distributions over cells (J h w), given by their logarithms, are highest, and the mass around there.

    The place between cells is that of the parabola through the peak and its neighbours, along rows and along
    columns: exact for a Gaussian, whose logarithm is one. At the border it is the cell.

    Returns:
        Column and row (J 2) in cells, and masses (J).
    """
    count, height, width = logs.shape
    joint = np.arange(count)
    row, column = np.divmod(logs.reshape(count, -1).argmax(axis=1), width)
    padded = np.pad(logs.astype(np.float64), ((0, 0), (NEAR, NEAR), (NEAR, NEAR)), constant_values=-np.inf)
    reach = np.arange(2 * NEAR + 1)
    near = padded[joint[:, None, None], row[:, None, None] + reach[:, None], column[:, None, None] + reach]
    places = np.stack(
        [column + _between(near[:, NEAR, NEAR - 1 : NEAR + 2]), row + _between(near[:, NEAR - 1 : NEAR + 2, NEAR])],
        axis=1,
    )  # fmt: skip
    return places, np.exp(near).sum(axis=(1, 2))


def _between(three: Float64) -> Float64:
    """How far beside the middle one of three values (J 3) their parabola is highest, in [-0.5, 0.5]."""
    before, middle, after = three.T
    with np.errstate(invalid="ignore", divide="ignore"):
        offset = (after - before) / (2 * (2 * middle - before - after))
    return np.clip(np.where(np.isfinite(offset), offset, 0.0), -0.5, 0.5)


def _reading(logs: Float32, parts: Float32, uv: Float32) -> Reading:
    places, mass = peaks(logs)
    labels, coordinates, body = _pixels(parts, uv)
    return Reading(
        joints_px=places * STRIDE + (STRIDE - 1) / 2, mass=mass, part=labels, uv=coordinates, body=body
    )


def _pixels(parts: Float32, uv: Float32) -> tuple[NDArray[np.uint8], Float32, Float32]:
    """Labels, coordinates and the body's probability of each pixel, from maps (25 h w) and (24 2 h w) of cells."""
    import cv2

    height, width = STRIDE * parts.shape[1], STRIDE * parts.shape[2]
    large = np.stack([cv2.resize(each, (width, height), interpolation=cv2.INTER_LINEAR) for each in parts])
    labels = large.argmax(axis=0).astype(np.uint8)
    coordinates = np.zeros((height, width, 2), np.float32)
    for label in np.unique(labels[labels > 0]):
        here = labels == label
        for axis in (0, 1):
            chart = cv2.resize(uv[label - 1, axis], (width, height), interpolation=cv2.INTER_LINEAR)
            coordinates[here, axis] = np.clip(chart[here], 0, 1)
    return labels, coordinates, 1 - large[0]
