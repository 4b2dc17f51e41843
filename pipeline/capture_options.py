"""Which table of a manifest's capture says how its format is read."""

from collections.abc import Set

# By format, and whether the table must be given.
OPTIONS = {
    "rgbd-folder": ("files", True), "rosbag": ("topics", True), "keypoints": ("annotations", True),
    "densepose-coco": ("annotations", True), "kinect2": ("kinect2", False), "tum": ("tum", False),
    "open3d": ("open3d", False), "scan": ("scan", True), "simulated": ("simulation", False),
}  # fmt: skip
OPTION_TABLES = tuple(sorted({key for key, _ in OPTIONS.values()}))


def options_key(format: str) -> str:
    """The name of the table of a format; "files" for those that have none."""
    return OPTIONS.get(format, ("files", False))[0]


def options_problem(format: str, given: Set[str]) -> str | None:
    """What is wrong with the tables that a capture of this format brings; None where nothing is."""
    mine, needed = OPTIONS.get(format, ("", False))
    for key in OPTION_TABLES:
        if key in given and key != mine:
            formats = " and ".join(name for name, (of_it, _) in OPTIONS.items() if of_it == key)
            return f"[capture.{key}] goes with format {formats} and only there"
        if key == mine and needed and key not in given:
            return f"[capture.{key}] must be given with format {format}"
    return None
