"""The 24-joint tree that every body here shares: names, parents, mirror partners.

Left and right are the subject's own; in the body frame (+Y up, facing +Z) the left side lies at +X.
"""

SMPL24_NAMES = (
    "pelvis",
    "left_hip",
    "right_hip",
    "spine1",
    "left_knee",
    "right_knee",
    "spine2",
    "left_ankle",
    "right_ankle",
    "spine3",
    "left_foot",
    "right_foot",
    "neck",
    "left_collar",
    "right_collar",
    "head",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_hand",
    "right_hand",
)
SMPL24_PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)


def mirrored_name(name: str) -> str:
    """Return the name of the partner on the other side; a name without a side is its own."""
    if name.startswith("left_"):
        return "right_" + name[len("left_") :]
    if name.startswith("right_"):
        return "left_" + name[len("right_") :]
    return name


def flip_permutation(names: tuple[str, ...]) -> tuple[int, ...]:
    """Return, for each entry, the index of its partner on the other side.

    Raises:
        ValueError: if a partner is not among `names`.
    """
    return tuple(names.index(mirrored_name(name)) for name in names)


SMPL24_FLIP = flip_permutation(SMPL24_NAMES)
