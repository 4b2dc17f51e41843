"""Opens a set of key points by the kind of its annotations."""

from pathlib import Path

from pipeline.captures.annotation_files import KEYPOINT_KINDS, AnnotatedPeople, AnnotationFiles
from pipeline.captures.coco_keypoints import open_coco
from pipeline.captures.h36m import open_h36m
from pipeline.captures.mpii import open_mpii
from pipeline.captures.openpose import open_openpose
from pipeline.errors import ManifestError

OPENERS = {"coco": open_coco, "openpose": open_openpose, "mpii": open_mpii, "h36m": open_h36m}


def open_keypoints(path: Path, options: AnnotationFiles) -> AnnotatedPeople:
    """Open a set of people with key points.

    Raises:
        InputError: capture-missing, annotation-missing, annotation-malformed or no-frames.
        ManifestError: for a kind of DensePose's.
    """
    if options.kind not in OPENERS:
        raise ManifestError(
            f"{path}: annotations.kind must be one of {', '.join(KEYPOINT_KINDS)} for keypoints, is "
            f"{options.kind!r}. Correct it, or use format densepose-coco."
        )
    return OPENERS[options.kind](path, options)
