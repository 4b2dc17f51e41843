"""BVH files: what is written is read, what is broken is refused, and limbs point where they pointed."""

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from pipeline.bodies.bvh import joint_motion, read_bvh
from pipeline.bodies.bvh_retarget import retarget
from pipeline.bodies.model import default_body
from pipeline.bodies.proportions import placed_joints, proportions_of
from pipeline.bodies.skeleton import SMPL24_NAMES
from pipeline.bodies.skinning import rotation_matrices
from pipeline.errors import InputError

PROPORTIONS = proportions_of(default_body(), np.zeros(10))
INDEX = SMPL24_NAMES.index

# A skeleton with the CMU names, in inches, its arms hanging at 45 degrees and its feet pointing out a little.
SIDE = (
    ("{s}HipJoint", "Hips", (0, 0, 0)), ("{S}UpLeg", "{s}HipJoint", (3.4, -1.9, 1.0)),
    ("{S}Leg", "{S}UpLeg", (1.5, -16, 0)),
    ("{S}Foot", "{S}Leg", (1, -17, 0.4)), ("{S}ToeBase", "{S}Foot", (1.2, -2, 5)),
)  # fmt: skip
ARM = (
    ("{S}Shoulder", "Spine1", (0, 0, 0)), ("{S}Arm", "{S}Shoulder", (7, 3, -1)), ("{S}ForeArm", "{S}Arm", (7, -7, 0.5)),
    ("{S}Hand", "{S}ForeArm", (5, -5, 1)), ("{S}FingerBase", "{S}Hand", (0, 0, 0)),
)  # fmt: skip
TRUNK = (
    ("LowerBack", "Hips", (0, 0, 0)), ("Spine", "LowerBack", (0, 4.3, -0.3)), ("Spine1", "Spine", (0, 4.4, -0.1)),
    ("Neck", "Spine1", (0, 0, 0)), ("Neck1", "Neck", (0, 3.4, 0.6)), ("Head", "Neck1", (0, 3.5, -0.4)),
)  # fmt: skip


def skeleton() -> dict[str, tuple[str, np.ndarray]]:
    """Parent and offset of every joint, by name."""
    rows = {"Hips": ("", np.zeros(3))}
    for part, both in ((SIDE, True), (TRUNK, False), (ARM, True)):
        for letter, word, sign in (("L", "Left", 1), ("R", "Right", -1)) if both else (("", "", 1),):
            for name, parent, offset in part:
                named = [text.format(s=letter, S=word) for text in (name, parent)]
                rows[named[0]] = (named[1], np.array(offset) * [sign, 1, 1])
    return rows


YUP = np.eye(3)


def write_bvh(path: Path, turns: dict[str, np.ndarray], *, order: str = "ZYX", axes=YUP, tab="\t") -> None:
    """Write rotations (T 3 3 each) in a channel order, all turned by `axes` into another world."""
    rows, frames = skeleton(), len(next(iter(turns.values())))
    lines, columns = ["HIERARCHY"], []

    def joint(name: str, depth: int) -> None:
        pad = tab * depth
        lines.append(f"{pad}{'JOINT' if depth else 'ROOT'} {name}")
        offset = axes @ rows[name][1]
        kinds = [f"{axis}rotation" for axis in order]
        if not depth:
            kinds = ["Xposition", "Yposition", "Zposition", *kinds]
            columns.append(
                np.tile(axes @ [1.0, 35.0, -2.0], (frames, 1)) + np.arange(frames)[:, None] * axes[:, 2]
            )
        lines.append(f"{pad}{{")
        lines.append(f"{pad}{tab}OFFSET {' '.join(map(repr, offset.tolist()))}")
        lines.append(f"{pad}{tab}CHANNELS {len(kinds)} {' '.join(kinds)}")
        local = axes @ turns.get(name, np.tile(np.eye(3), (frames, 1, 1))) @ axes.T
        columns.append(Rotation.from_matrix(local).as_euler(order.upper(), degrees=True))
        children = [child for child, (parent, _) in rows.items() if parent == name]
        for child in children:
            joint(child, depth + 1)
        if not children:
            lines.extend(
                [f"{pad}{tab}End Site", f"{pad}{tab}{{", f"{pad}{tab}{tab}OFFSET 0 0 1.5", f"{pad}{tab}}}"]
            )
        lines.append(f"{pad}}}")

    joint("Hips", 0)
    lines += ["MOTION", f"Frames:{tab}{frames}", "Frame Time: .0083333"]
    table = np.concatenate(columns, axis=1)
    lines += [tab.join(map(repr, row)) + " " for row in table.tolist()]
    path.write_text("\r\n".join(lines) + "\r\n\r\n", encoding="utf-8")


def known_turns(frames: int = 6) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(8)
    names = [name for name in skeleton() if name != "Neck1"]
    return {name: Rotation.random(frames, random_state=rng.integers(2**31)).as_matrix() for name in names}


def places(turns: dict[str, np.ndarray]) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """World turns (T 3 3) and positions (T 3) of all joints, by a loop of its own."""
    world, place = {}, {}
    frames = len(next(iter(turns.values())))
    for name, (parent, offset) in skeleton().items():
        local = turns.get(name, np.tile(np.eye(3), (frames, 1, 1)))
        if not parent:
            world[name] = local
            place[name] = np.array([1.0, 35.0, -2.0]) + np.arange(frames)[:, None] * [0, 0, 1.0]
        else:
            world[name] = np.einsum("tij,tjk->tik", world[parent], local)
            place[name] = place[parent] + world[parent] @ offset
    return world, place


@pytest.mark.parametrize("order", ["ZYX", "XYZ", "YXZ", "ZXY", "XZY", "YZX"])
def test_positions_are_those_that_were_written_whatever_the_channel_order(tmp_path, order):
    turns = known_turns()
    write_bvh(tmp_path / "a.bvh", turns, order=order)
    bvh = read_bvh(tmp_path / "a.bvh")
    world, place = places(turns)
    read_turns, read_places = joint_motion(bvh)
    assert bvh.frame_s == 0.0083333 and set(bvh.names) == set(skeleton())
    for index, name in enumerate(bvh.names):
        np.testing.assert_allclose(read_places[:, index], place[name], atol=1e-9)
        np.testing.assert_allclose(read_turns[:, index], world[name], atol=1e-9)


LIMBS = [
    (f"{side}_{a}", f"{side}_{b}", f"{word}{c}", f"{word}{d}")
    for side, word in (("left", "Left"), ("right", "Right"))
    for a, b, c, d in (
        ("hip", "knee", "UpLeg", "Leg"), ("knee", "ankle", "Leg", "Foot"), ("ankle", "foot", "Foot", "ToeBase"),
        ("shoulder", "elbow", "Arm", "ForeArm"), ("elbow", "wrist", "ForeArm", "Hand"),
    )
] + [("neck", "head", "Neck", "Head")]  # fmt: skip


@pytest.mark.parametrize("up", ["y", "z"])
def test_retargeted_limbs_point_where_the_file_points_them(tmp_path, up):
    # The same motion in a world with z up and -y ahead: the body must not notice.
    axes = np.eye(3) if up == "y" else np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    turns = known_turns()
    write_bvh(tmp_path / "a.bvh", turns, axes=axes)
    result = retarget(read_bvh(tmp_path / "a.bvh"), PROPORTIONS)
    _, theirs = places(turns)
    _, ours = placed_joints(rotation_matrices(result.pose_rad, np), PROPORTIONS.joints_m)
    for a, b, c, d in LIMBS:
        one, other = ours[:, INDEX(b)] - ours[:, INDEX(a)], theirs[d] - theirs[c]
        cross = np.linalg.norm(np.cross(one, other), axis=1)
        angle_rad = np.arctan2(cross, (one * other).sum(axis=1))
        assert angle_rad.max() < 1e-6, (a, angle_rad.max())


def test_trunk_turns_and_path_are_carried_over(tmp_path):
    turns = known_turns()
    write_bvh(tmp_path / "a.bvh", turns)
    result = retarget(read_bvh(tmp_path / "a.bvh"), PROPORTIONS)
    world, theirs = places(turns)
    ours, _ = placed_joints(rotation_matrices(result.pose_rad, np), PROPORTIONS.joints_m)
    for name, cmu in (("pelvis", "Hips"), ("spine1", "LowerBack"), ("spine2", "Spine"), ("spine3", "Spine1")):
        np.testing.assert_allclose(ours[:, INDEX(name)], world[cmu], atol=1e-9)
    pelvis_m = result.transl_m + PROPORTIONS.joints_m[0]
    np.testing.assert_allclose(pelvis_m, result.metres_per_unit * theirs["Hips"], atol=1e-12)


def test_the_unit_is_found_by_the_length_of_the_legs(tmp_path):
    write_bvh(tmp_path / "a.bvh", {"Hips": np.eye(3)[None]})
    result = retarget(read_bvh(tmp_path / "a.bvh"), PROPORTIONS)
    assert result.unit == "inch" and result.metres_per_unit == pytest.approx(0.0254, rel=0.2)
    centimetres = (tmp_path / "a.bvh").read_text().split("MOTION")
    scaled = [
        " ".join(["OFFSET", *(str(2.54 * float(word)) for word in line.split()[1:])])
        if "OFFSET" in line
        else line
        for line in centimetres[0].splitlines()
    ]
    (tmp_path / "b.bvh").write_text("\n".join(scaled) + "\nMOTION" + centimetres[1])
    assert retarget(read_bvh(tmp_path / "b.bvh"), PROPORTIONS).unit == "cm"


def test_a_file_at_rest_gives_a_still_body_with_limbs_along_the_files_offsets(tmp_path):
    write_bvh(tmp_path / "a.bvh", {"Hips": np.tile(np.eye(3), (3, 1, 1))})
    result = retarget(read_bvh(tmp_path / "a.bvh"), PROPORTIONS)
    assert (result.pose_rad == result.pose_rad[0]).all()
    np.testing.assert_allclose(result.pose_rad[0, [0, 3, 6, 9]], 0, atol=1e-12)
    # The file's arms hang at 45 degrees: the shoulders turn by about that, downwards on either side.
    assert result.pose_rad[0, INDEX("left_shoulder"), 2] == pytest.approx(np.radians(-45), abs=0.02)
    assert result.pose_rad[0, INDEX("right_shoulder"), 2] == pytest.approx(np.radians(45), abs=0.02)


# What is put in place of a line: the line's first word (or the frame's number after MOTION), and the new text.
BREAKS = {
    "half a frame": (4, lambda line: " ".join(line.split()[:7])),
    "not a number": (3, lambda line: "x" + line[3:]),
    "infinite": (3, lambda line: "nan " + " ".join(line.split()[1:])),
    "channel": ("CHANNELS", lambda line: "CHANNELS 3 Xrotation Yrotation Wrotation"),
    "channel count": ("CHANNELS", lambda line: "CHANNELS 9 Xrotation Yrotation Zrotation"),
    "twice": ("JOINT", lambda line: "JOINT Hips"),
    "offset": ("OFFSET", lambda line: "OFFSET 1 2"),
    "frame time": (2, lambda line: "Frame Time: 0"),
    "frame count": (1, lambda line: "Frames: many"),
}


def broken(text: str, case: str) -> str:
    lines = text.splitlines()
    row = {line.split()[0]: number for number, line in reversed(list(enumerate(lines))) if line.split()}
    whole = {
        "truncated frames": "\n".join(lines[: row["MOTION"] + 4]),
        "truncated hierarchy": "\n".join(lines[:20]),
        "another file": "PLY\n" + text,
        "empty": "",
    }
    if case in whole:
        return whole[case]
    where, change = BREAKS[case]
    number = row[where] if isinstance(where, str) else row["MOTION"] + where
    lines[number] = change(lines[number])
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("truncated frames", "6 frames, one a line, must follow Frame Time:, is 1"),
        ("truncated hierarchy", "is the end of the file"),
        ("half a frame", "line .*a frame must have .* numbers, one a channel, is 7"),
        ("not a number", "line .*a finite number must stand here, is x"),
        ("infinite", "line .*a finite number must stand here, is nan"),
        ("channel", "line .*as many different ones of Xposition .* must stand here"),
        ("channel count", "line .*as many different ones of Xposition .* must stand here"),
        ("twice", "line .*a joint must have a name of its own, is Hips"),
        ("offset", "line 4: OFFSET and 3 numbers must stand here"),
        ("frame time", "line .*Frame Time: must be > 0 s, is 0"),
        ("frame count", "line .*Frames: and a count > 0 must stand here"),
        ("another file", "line 1: the file must begin with HIERARCHY, is PLY"),
        ("empty", "HIERARCHY must follow, is the end of the file"),
    ],
)
def test_broken_files_are_refused_with_file_and_line(tmp_path, case, said):
    path = tmp_path / "bad.bvh"
    write_bvh(path, known_turns())
    path.write_text(broken(path.read_text(), case))
    with pytest.raises(InputError, match=f"bad.bvh.*{said}") as caught:
        read_bvh(path)
    assert caught.value.reason == "motion-malformed"


def test_missing_files_binary_files_and_missing_joints_are_refused(tmp_path):
    with pytest.raises(InputError, match="no.bvh: the BVH file must exist"):
        read_bvh(tmp_path / "no.bvh")
    (tmp_path / "binary.bvh").write_bytes(b"\xff\xfe\x00HIERARCHY")
    with pytest.raises(InputError, match="binary.bvh: the file must be readable text"):
        read_bvh(tmp_path / "binary.bvh")
    write_bvh(tmp_path / "a.bvh", known_turns())
    text = (tmp_path / "a.bvh").read_text()
    (tmp_path / "b.bvh").write_text(text.replace("JOINT LeftForeArm", "JOINT lElbow"))
    with pytest.raises(InputError, match="b.bvh: .*lacks LeftForeArm") as caught:
        retarget(read_bvh(tmp_path / "b.bvh"), PROPORTIONS)
    assert caught.value.reason == "motion-joints"
    flat = [("OFFSET 0 0 0" if "OFFSET" in line else line) for line in text.splitlines()]
    (tmp_path / "c.bvh").write_text("\n".join(flat))
    with pytest.raises(InputError, match="c.bvh: the rest pose must have a trunk and two hips apart"):
        retarget(read_bvh(tmp_path / "c.bvh"), PROPORTIONS)


def test_spaces_serve_as_well_as_tabs_and_names_may_be_in_small_letters(tmp_path):
    turns = known_turns()
    write_bvh(tmp_path / "a.bvh", turns)
    write_bvh(tmp_path / "b.bvh", turns, tab="  ")
    one, other = (read_bvh(tmp_path / name) for name in ("a.bvh", "b.bvh"))
    np.testing.assert_array_equal(one.local, other.local)
    text = (tmp_path / "a.bvh").read_text()
    (tmp_path / "c.bvh").write_text(text.replace("LeftArm", "leftarm"))
    small = retarget(read_bvh(tmp_path / "c.bvh"), PROPORTIONS)
    np.testing.assert_array_equal(small.pose_rad, retarget(one, PROPORTIONS).pose_rad)
