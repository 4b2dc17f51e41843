"""Which targets a capture can have: where its bodies come from, and what they are fitted to."""

from collections.abc import Collection

from pipeline.captures.landmark_files import LandmarkFiles


def body_problem(
    *,
    format: str,
    role: str,
    targets: Collection[str],
    landmarks: str | None,
    landmark_files: LandmarkFiles | None,
    fov_deg: float | None,
    annotated: bool,
) -> str | None:
    """Say what is wrong with a capture's `targets` and what they are made of, or return None.

    Args:
        annotated: whether its annotations bring key points.
    """
    files = landmark_files is not None
    if fov_deg is not None and role != "image":
        return 'fov_deg goes with role "image" alone: other captures bring their intrinsics'
    if "motion" in targets and role != "moving":
        return f'targets "motion" goes with role "moving", role is "{role}"'
    if role == "scan":
        return _scan_problem(targets, landmarks)
    if files and (format == "simulated" or role == "image"):
        return "[capture.landmark_files] go with captures whose own files bring depth, and only there"
    if (files or landmarks is not None) and not targets:
        return "landmarks are what bodies are fitted to: name targets too, or leave them out"
    if landmarks == "truth" and format != "simulated":
        return 'landmarks = "truth" needs a person who is known: format "simulated"'
    if landmarks == "file" and not (files or annotated):
        return 'landmarks = "file" needs files that bring key points'
    if landmarks == "network" and files:
        return 'landmarks = "network" finds key points in the pictures: remove [capture.landmark_files]'
    if targets and not (format == "simulated" or files or annotated or landmarks == "network"):
        return (
            'targets need a body that is known or can be fitted: format "simulated", key points in files, or '
            'landmarks = "network"'
        )
    return None


def _scan_problem(targets: Collection[str], landmarks: str | None) -> str | None:
    if set(targets) - {"voxels"}:
        return 'of a scan, targets may hold "voxels" alone: its body and labels are there already'
    if landmarks is not None:
        return "landmarks go with captures that are filmed or annotated: a scan is not fitted. Remove it"
    return None
