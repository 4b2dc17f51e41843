"""Where the person of a picture is, and which pixels are theirs, for pictures that bring no mask.

Found by histograms of gradients (Dalal and Triggs, CVPR 2005) as OpenCV ships them, trained on people who stand
or walk upright; cut out by GrabCut (Rother et al., SIGGRAPH 2004). Both are stopgaps: a mask that somebody made
is better, and every prediction says which it used.
"""

import logging

import numpy as np
from numpy.typing import NDArray

LOG = logging.getLogger(__name__)

Box = tuple[float, float, float, float]  # left, top, right, bottom in px, edges of pixels

SEARCH_PX = 640  # longer side of the picture that is searched
UPRIGHT_SHARE = 0.78  # of a detection's height that the person fills: it was trained with a border of 1/8
CUT_PX = 320  # longer side of what is cut out: GrabCut's time is that of its pixels
CUT_ROUNDS = 5
CONTEXT = 0.15  # of the box's longer side, around it, from which the background is learnt


def find_person(image: NDArray[np.uint8]) -> Box | None:
    """The box of the person that is found most surely, or None; also where OpenCV 5 has no finder any more.

    Args:
        image: (H W 3) RGB.
    """
    import cv2

    if not hasattr(cv2, "HOGDescriptor"):
        LOG.warning("OpenCV %s has no person finder, 4.x has one; give masks or a box", cv2.__version__)
        return None
    factor = min(1.0, SEARCH_PX / max(image.shape[:2]))
    searched = cv2.resize(image[..., ::-1], None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    detector = cv2.HOGDescriptor()
    if searched.shape[1] < detector.winSize[0] or searched.shape[0] < detector.winSize[1]:
        return None  # OpenCV 4.11 ends the process there
    detector.setSVMDetector(cv2.HOGDescriptor.getDefaultPeopleDetector())
    boxes, weights = detector.detectMultiScale(searched, winStride=(8, 8), padding=(16, 16), scale=1.05)
    if len(boxes) == 0:
        return None
    left, top, width, height = np.asarray(boxes, np.float64)[int(np.argmax(weights))] / factor
    border = (1 - UPRIGHT_SHARE) / 2 * height
    found = (left, top + border, left + width, top + height - border)
    return _inside(found, image.shape[0], image.shape[1])


def cut_person(image: NDArray[np.uint8], box: Box) -> NDArray[np.bool_]:
    """Mask (H W) of what stands out inside a box from what lies around it; the same bytes for the same picture.

    Args:
        image: (H W 3) RGB.

    Raises:
        ValueError: if the box holds no pixel of the image.
    """
    import cv2

    height, width = image.shape[:2]
    box = _inside(box, height, width)
    if box[2] - box[0] < 2 or box[3] - box[1] < 2:
        raise ValueError(f"cut_person: box must hold pixels of {width} x {height} px, is {box} px")
    margin = CONTEXT * max(box[2] - box[0], box[3] - box[1])
    left, top, right, bottom = (
        round(value)
        for value in _inside(
            (box[0] - margin, box[1] - margin, box[2] + margin, box[3] + margin), height, width
        )
    )
    window = image[top:bottom, left:right, ::-1]
    factor = min(1.0, CUT_PX / max(window.shape[:2]))
    small = cv2.resize(np.ascontiguousarray(window), None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    labels = np.full(small.shape[:2], cv2.GC_BGD, np.uint8)
    u0, v0, u1, v1 = (
        round(factor * (value - start)) for value, start in zip(box, (left, top, left, top), strict=True)
    )
    labels[v0:v1, u0:u1] = cv2.GC_PR_FGD
    inside = np.zeros((height, width), bool)
    if (labels == cv2.GC_BGD).any():  # else nothing tells the background
        cv2.setRNGSeed(0)
        models = np.zeros((1, 65)), np.zeros((1, 65))
        cv2.grabCut(small, labels, None, *models, CUT_ROUNDS, cv2.GC_INIT_WITH_MASK)
    person = ((labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)).astype(np.uint8)
    size = right - left, bottom - top
    inside[top:bottom, left:right] = cv2.resize(person, size, interpolation=cv2.INTER_NEAREST) > 0
    return inside


def _inside(box: Box, height: int, width: int) -> Box:
    left, top, right, bottom = box
    return max(left, 0.0), max(top, 0.0), min(right, float(width)), min(bottom, float(height))
