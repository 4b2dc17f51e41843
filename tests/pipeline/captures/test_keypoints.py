"""Sets of key points: each kind as its makers write it, the pixels in closed form, and what must be refused."""

import copy
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from pydantic import ValidationError

from pipeline.bodies.joints import BODY25, COCO17, H36M17, MPII16
from pipeline.captures.annotation_files import AnnotationFiles
from pipeline.captures.keypoints import open_keypoints
from pipeline.errors import InputError, ManifestError

WIDTH, HEIGHT = 64, 48
COCO = AnnotationFiles(kind="coco", file="set.json", images="pictures")
OPENPOSE = AnnotationFiles(kind="openpose", file="{name}_keypoints.json", images="pictures/{name}.png")
MPII = AnnotationFiles(kind="mpii", file="set.json", images="pictures")
H36M = AnnotationFiles(kind="h36m", file="set.npz")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with pictures `pictures/a.png` and `b.png`, black but for the pixel u = 10, v = 20, which is red."""
    (tmp_path / "pictures").mkdir()
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    picture[20, 10, 2] = 255  # OpenCV writes BGR
    for name in "ab":
        cv2.imwrite(str(tmp_path / "pictures" / f"{name}.png"), picture)
    return tmp_path


def write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")


def coco_person(number: int, picture: int, **change) -> dict:
    """An annotation as COCO writes it: nose seen at the red pixel, left eye hidden, and nothing else marked."""
    keypoints = [10, 20, 2, 12, 18, 1] + [0, 0, 0] * 15
    person = {
        "id": number,
        "image_id": picture,
        "category_id": 1,
        "iscrowd": 0,
        "num_keypoints": 2,
        "keypoints": keypoints,
        "bbox": [4.5, 8.0, 20.0, 30.25],
        "area": 600.0,
        "segmentation": [[5, 8, 25, 8, 25, 38, 5, 38]],
    }
    return person | change


def coco_set(*people: dict) -> dict:
    images = [
        {"id": number, "file_name": name, "width": WIDTH, "height": HEIGHT, "license": 1}
        for number, name in ((500, "b.png"), (7, "a.png"))
    ]
    return {"info": {}, "licenses": [], "images": images, "annotations": list(people), "categories": []}


def read_only(folder: Path, options: AnnotationFiles, content: object):
    write_json(folder / options.file, content)
    capture = open_keypoints(folder, options)
    assert capture.frames == [0]
    return capture.read(0)


def reason_of(folder: Path, options: AnnotationFiles, content: object) -> str:
    with pytest.raises(InputError) as caught:
        read_only(folder, options, content)
    assert str(caught.value).startswith(str(folder)) and str(caught.value).endswith(".")
    return caught.value.reason


def test_coco_pixels_are_taken_as_they_are_and_boxes_by_their_edges(folder) -> None:
    frame = read_only(folder, COCO, coco_set(coco_person(1, 7)))
    joints = frame.annotation.joints
    assert joints.joint_set == COCO17.name and joints.px.dtype == np.float32
    u, v = joints.px[COCO17.names.index("nose")].astype(int)
    np.testing.assert_array_equal(frame.image[v, u], [255, 0, 0])  # RGB, at the pixel's own indices
    np.testing.assert_array_equal(joints.px[1], [12, 18])
    assert not joints.px[2:].any() and not joints.confidence[2:].any()
    np.testing.assert_array_equal(joints.confidence[:2], [1, 1])
    np.testing.assert_array_equal(joints.visible, [True] + [False] * 16)
    assert frame.annotation.box_px == (4.5, 8.0, 20.0, 30.25)
    # The polygon's edges x = 5 and 25 lie between pixels 4|5 and 24|25.
    assert frame.mask.sum() == 20 * 30 and frame.mask[8:38, 5:25].all()
    assert frame.depth_m is None and frame.K is None and frame.world_from_cam is None
    assert frame.timestamp_s == frame.color_timestamp_s == -1


def test_coco_people_stand_in_the_order_of_their_pictures_then_ids(folder) -> None:
    people = [coco_person(9, 7), coco_person(3, 7), coco_person(8, 500), coco_person(2**40, 500)]
    for place, person in enumerate(people):
        person["bbox"] = [place, 0, 10, 10]
    write_json(folder / "set.json", coco_set(*people))
    capture = open_keypoints(folder, COCO)
    places = [capture.read(frame).annotation.box_px[0] for frame in capture.frames]
    assert places == [2, 3, 1, 0]
    assert capture.files([0, 1]) == [folder / "set.json", folder / "pictures" / "b.png"]


@pytest.mark.parametrize("outline", [None, []])
def test_people_without_an_outline_have_no_mask(folder, outline) -> None:
    assert read_only(folder, COCO, coco_set(coco_person(1, 7, segmentation=outline))).mask is None


def test_an_outline_may_be_run_lengths(folder) -> None:
    runs = {"size": [HEIGHT, WIDTH], "counts": [HEIGHT * 3, HEIGHT, HEIGHT * (WIDTH - 4)]}
    frame = read_only(folder, COCO, coco_set(coco_person(1, 7, segmentation=runs)))
    assert frame.mask[:, 3].all() and frame.mask.sum() == HEIGHT


def test_whole_body_lists_begin_with_the_joints_of_coco(folder) -> None:
    plain = coco_person(1, 7)
    whole = coco_person(1, 7, keypoints=plain["keypoints"] + [30.5, 30.5, 1] * 116)
    np.testing.assert_array_equal(
        read_only(folder, COCO, coco_set(whole)).annotation.joints.px,
        read_only(folder, COCO, coco_set(plain)).annotation.joints.px,
    )


def test_results_name_their_pictures_by_number_and_give_confidence(folder) -> None:
    (folder / "pictures" / "b.png").rename(folder / "pictures" / "000000000500.png")
    result = {"image_id": 500, "category_id": 1, "bbox": [1, 2, 30, 30], "score": 0.9}
    result["keypoints"] = [10.25, 20.5, 0.75] + [0, 0, 0] * 16
    options = COCO.model_copy(update={"images": "pictures/{id}.png"})
    frame = read_only(folder, options, [result])
    joints = frame.annotation.joints
    assert joints.confidence[0] == 0.75 and joints.visible.tolist() == [True] + [False] * 16
    np.testing.assert_array_equal(joints.px[0], [10.25, 20.5])
    del result["keypoints"]
    assert reason_of(folder, options, [result]) == "no-keypoints"  # a detector's box alone


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"iscrowd": 1}, "crowd-annotation"),
        ({"keypoints": [0, 0, 0] * 17}, "no-keypoints"),
        ({"keypoints": None}, "no-keypoints"),
        ({"keypoints": [1, 2]}, "annotation-malformed"),
        ({"keypoints": [10, 20, 3] * 17}, "annotation-malformed"),
        ({"keypoints": [10**6, 20, 2] * 17}, "annotation-malformed"),
        ({"keypoints": ["10", 20, 2] * 17}, "annotation-malformed"),
        ({"keypoints": [True, 20, 2] * 17}, "annotation-malformed"),
        ({"keypoints": [10**400, 20, 2] * 17}, "annotation-malformed"),
        ({"keypoints": [None, 20, 2] * 17}, "annotation-malformed"),
        ({"bbox": None}, "annotation-malformed"),
        ({"bbox": [4, 4, 0, 10]}, "annotation-malformed"),
        ({"bbox": [WIDTH, 4, 10, 10]}, "annotation-malformed"),
        ({"bbox": [0, 0, 1e9, 1e9]}, "annotation-malformed"),
        ({"segmentation": [[1, 2, 3]]}, "annotation-malformed"),
        ({"iscrowd": "no"}, "annotation-malformed"),
        ({"iscrowd": [1]}, "annotation-malformed"),
        ({"image_id": 8}, "annotation-malformed"),
        ({"id": 1.5}, "annotation-malformed"),
    ],
)
def test_people_that_coco_does_not_tell_of_are_refused_by_reason(folder, change, reason) -> None:
    assert reason_of(folder, COCO, coco_set(coco_person(1, 7, **change))) == reason


@pytest.mark.parametrize("name", ["../a.png", "/etc/passwd", "", "..", None, 5, "a\0.png", "x/../../a.png"])
def test_pictures_lie_in_their_folder(folder, name) -> None:
    content = coco_set(coco_person(1, 7))
    content["images"][1]["file_name"] = name
    assert reason_of(folder, COCO, content) == "annotation-malformed"


def test_a_picture_of_another_size_than_annotated_is_refused(folder) -> None:
    content = coco_set(coco_person(1, 7))
    content["images"][1]["width"], content["images"][1]["height"] = HEIGHT, WIDTH
    assert reason_of(folder, COCO, content) == "color-size"
    (folder / "pictures" / "a.png").unlink()
    assert reason_of(folder, COCO, content) == "color-missing"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "annotation-malformed"),
        ("[" * 100_000, "annotation-malformed"),
        ('{"images": [], "annotations": NaN}', "annotation-malformed"),
        ('{"images": [], "annotations": [' + "9" * 5000 + "]}", "annotation-malformed"),
        ('{"images": [], "annotations": []}', "no-frames"),
        ('{"images": {}, "annotations": []}', "annotation-malformed"),
        ('{"images": [{"id": 1}, {"id": 1}], "annotations": []}', "annotation-malformed"),
        ("[]", "annotation-malformed"),
        ("7", "annotation-malformed"),
        ("\udcff", "annotation-malformed"),
    ],
)
def test_files_that_are_no_coco_are_refused_on_opening(folder, text, reason) -> None:
    (folder / "set.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError) as caught:
        open_keypoints(folder, COCO)
    assert caught.value.reason == reason


def test_what_is_not_there_is_said(folder) -> None:
    with pytest.raises(InputError) as caught:
        open_keypoints(folder, COCO)
    assert caught.value.reason == "annotation-missing"
    with pytest.raises(InputError) as caught:
        open_keypoints(folder / "away", COCO)
    assert caught.value.reason == "capture-missing"
    write_json(folder / "set.json", coco_set(coco_person(1, 7)))
    with pytest.raises(InputError) as caught:
        open_keypoints(folder, COCO).read(1)
    assert caught.value.reason == "annotation-missing"


def openpose_person(*, shift: float = 0.0) -> dict:
    """BODY_25 as OpenPose writes it: joint j at (5 + j, 10 + j) with confidence 0.9, but ankles and feet unsure."""
    rows = [[5 + j + shift, 10 + j, 0.9 if j < 11 else 0.05] for j in range(25)]
    rows[3] = [0, 0, 0]
    return {
        "person_id": [-1],
        "pose_keypoints_2d": [number for row in rows for number in row],
        "face_keypoints_2d": [],
        "hand_left_keypoints_2d": [],
    }


def test_openpose_people_stand_by_file_and_place_and_boxes_hold_the_sure_joints(folder) -> None:
    write_json(
        folder / "b_keypoints.json", {"version": 1.3, "people": [openpose_person(), openpose_person(shift=9)]}
    )
    write_json(folder / "a_keypoints.json", {"version": 1.3, "people": []})
    capture = open_keypoints(folder, OPENPOSE)
    assert capture.frames == [0, 1, 2]
    with pytest.raises(InputError) as caught:
        capture.read(0)
    assert caught.value.reason == "no-keypoints"
    frame = capture.read(1)
    joints = frame.annotation.joints
    assert joints.joint_set == BODY25.name
    np.testing.assert_array_equal(joints.px[BODY25.names.index("mid_hip")], [13, 18])
    np.testing.assert_array_equal(joints.px[3], [0, 0])
    np.testing.assert_array_equal(joints.visible, np.arange(25) != 3)
    np.testing.assert_allclose(joints.confidence[[0, 12]], [0.9, 0.05], rtol=1e-6)
    # Sure are joints 0 to 10 at pixels (5..15, 10..20): their pixels reach over edges 5..16 and 10..21.
    assert frame.annotation.box_px == (5, 10, 11, 11)
    assert capture.read(2).annotation.box_px == (14, 10, 11, 11)
    assert capture.files([1, 2]) == [folder / "b_keypoints.json", folder / "pictures" / "b.png"]


def test_openpose_takes_a_box_file_of_the_one_person(folder) -> None:
    options = OPENPOSE.model_copy(update={"boxes": "{name}_bbox.json"})
    write_json(folder / "a_keypoints.json", {"people": [openpose_person()]})
    write_json(folder / "a_bbox.json", {"bbox": [3, 4, 30, 40]})
    capture = open_keypoints(folder, options)
    assert capture.read(0).annotation.box_px == (3, 4, 30, 40)
    assert folder / "a_bbox.json" in capture.files([0])
    write_json(folder / "a_keypoints.json", {"people": [openpose_person()] * 2})
    with pytest.raises(InputError, match="box of one person"):
        open_keypoints(folder, options).read(1)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"people": [{"pose_keypoints_2d": [0.0] * 75}]}, "no-keypoints"),
        ({"people": [{"pose_keypoints_2d": [5.0, 5.0, 0.1] * 25}]}, "no-keypoints"),
        ({"people": [{"pose_keypoints_2d": [1.0] * 54}]}, "annotation-malformed"),
        ({"people": [{"pose_keypoints_2d": [5.0, 5.0, 7.0] * 25}]}, "annotation-malformed"),
        ({"people": [[]]}, "annotation-malformed"),
        ({"people": None}, "annotation-malformed"),
        ([], "annotation-malformed"),
    ],
)
def test_openpose_files_that_say_nothing_are_refused(folder, content, reason) -> None:
    options = OPENPOSE.model_copy(update={"file": "a_keypoints.json", "images": "pictures/a.png"})
    assert reason_of(folder, options, content) == reason


def mpii_person(**change) -> dict:
    """An entry of HRNet's list: joint j at MATLAB's (11 + j, 21), which is the pixel (10 + j, 20)."""
    person = {
        "image": "a.png",
        "joints": [[11.0 + j, 21.0] for j in range(16)],
        "joints_vis": [1] * 15 + [0],
        "center": [21.0, 25.0],
        "scale": 0.1,
    }
    person["joints"][15] = [-1.0, -1.0]
    return person | change


def test_mpii_counts_pixels_from_one(folder) -> None:
    frame = read_only(folder, MPII, [mpii_person()])
    joints = frame.annotation.joints
    assert joints.joint_set == MPII16.name
    u, v = joints.px[0].astype(int)
    np.testing.assert_array_equal(frame.image[v, u], [255, 0, 0])
    np.testing.assert_array_equal(joints.px[14], [24, 20])
    assert not joints.px[15].any() and not joints.visible[15] and joints.confidence[15] == 0
    # 0.1 of 200 px around the middle of the pixel (20, 24), which is 20.5, 24.5 by the edges.
    assert frame.annotation.box_px == (10.5, 14.5, 20, 20)


def test_mpii_joints_are_named_in_the_order_of_the_list() -> None:
    """The numbers 0 to 15 of the dataset's own page."""
    assert " ".join(MPII16.names) == (
        "right_ankle right_knee right_hip left_hip left_knee left_ankle pelvis thorax upper_neck head_top "
        "right_wrist right_elbow right_shoulder left_shoulder left_elbow left_wrist"
    )


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"joints_vis": [0] * 16}, "no-keypoints"),
        ({"joints": [[1, 2]] * 15}, "annotation-malformed"),
        ({"joints": [[1]] * 16}, "annotation-malformed"),
        ({"joints_vis": [2] * 16}, "annotation-malformed"),
        ({"center": None}, "annotation-malformed"),
        ({"scale": 0}, "annotation-malformed"),
        ({"scale": 1e30}, "annotation-malformed"),
        ({"scale": "1"}, "annotation-malformed"),
        ({"image": "../a.png"}, "annotation-malformed"),
    ],
)
def test_mpii_people_that_cannot_be_are_refused(folder, change, reason) -> None:
    assert reason_of(folder, MPII, [mpii_person(**change)]) == reason


def test_mpii_people_of_the_test_list_have_no_joints(folder) -> None:
    person = mpii_person()
    del person["joints"], person["joints_vis"]
    assert reason_of(folder, MPII, [person]) == "no-keypoints"


# SPIN's 24 rows by the 17 joints that its Human3.6M script fills, told there as indices into both lists.
SPIN_GLOBAL = [14, 3, 4, 5, 2, 1, 0, 16, 12, 17, 18, 9, 10, 11, 8, 7, 6]
SPIN_JOINTS = [
    *("pelvis", "left_hip", "left_knee", "left_ankle", "right_hip", "right_knee", "right_ankle"),
    *("spine", "thorax", "neck_nose", "head_top"),
    *("left_shoulder", "left_elbow", "left_wrist", "right_shoulder", "right_elbow", "right_wrist"),
]


def h36m_arrays(*, rooted: bool) -> dict[str, np.ndarray]:
    """Two people as SPIN's script fills the rows; the joint of name n lies at (6 + H36M17's n, 20)."""
    part, S = np.zeros((2, 24, 3)), np.zeros((2, 24, 4))
    for row, name in zip(SPIN_GLOBAL, SPIN_JOINTS, strict=True):
        joint = H36M17.names.index(name)
        part[:, row] = [6 + joint, 20, 1]
        S[:, row] = [joint / 10, 0.5, 0 if rooted else 4.5, 1]
    return {
        "imgname": np.array(["pictures/a.png", "pictures/b.png"]),
        "center": np.array([[20.0, 24.0], [30.0, 24.0]]),
        "scale": np.array([0.1, 0.2]),
        "part": part,
        "S": S,
    }


@pytest.mark.parametrize("rooted", [True, False])
def test_h36m_rows_find_their_joints(folder, rooted) -> None:
    np.savez(folder / "set.npz", **h36m_arrays(rooted=rooted))
    capture = open_keypoints(folder, H36M)
    assert capture.frames == [0, 1]
    frame = capture.read(1)
    joints = frame.annotation.joints
    assert joints.joint_set == H36M17.name
    np.testing.assert_array_equal(joints.px[:, 0], 6 + np.arange(17))
    assert joints.visible.all() and (joints.confidence == 1).all()
    assert frame.annotation.box_px == (10, 4, 40, 40)
    if rooted:
        assert joints.cam_m is None  # around each pelvis: nobody's camera frame
    else:
        np.testing.assert_allclose(joints.cam_m[:, 0], np.arange(17) / 10, atol=1e-6)
        assert (joints.cam_m[:, 2] == 4.5).all()


def test_h36m_takes_a_camera_where_there_is_one(folder) -> None:
    K = np.array([[80.0, 0, 31.5], [0, 80, 23.5], [0, 0, 1]])
    np.savez_compressed(folder / "set.npz", **h36m_arrays(rooted=False), K=np.stack([K, K]))
    np.testing.assert_array_equal(open_keypoints(folder, H36M).read(0).K, K)
    np.savez(folder / "set.npz", **h36m_arrays(rooted=False), K=np.stack([K, 9e9 * K]))
    with pytest.raises(InputError) as caught:
        open_keypoints(folder, H36M).read(1)
    assert caught.value.reason == "intrinsics-mismatch"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"part": np.zeros((2, 24, 3))}, "no-keypoints"),
        ({"part": np.zeros((2, 17, 3))}, "annotation-malformed"),
        ({"part": np.full((2, 24, 3), np.nan)}, "annotation-malformed"),
        ({"scale": np.zeros(2)}, "annotation-malformed"),
        ({"scale": np.array(["1", "1"])}, "annotation-malformed"),
        ({"center": np.zeros((3, 2))}, "annotation-malformed"),
        ({"imgname": np.array(["/a.png", "b.png"])}, "annotation-malformed"),
        ({"imgname": np.zeros(2)}, "annotation-malformed"),
        ({"imgname": np.array(["a", None], dtype=object)}, "annotation-malformed"),
    ],
)
def test_h36m_arrays_that_cannot_be_are_refused(folder, change, reason) -> None:
    np.savez(folder / "set.npz", **(h36m_arrays(rooted=True) | change))
    with pytest.raises(InputError) as caught:
        open_keypoints(folder, H36M).read(0)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"kind": "coco", "file": "{name}.json"}, "no {name}"),
        ({"kind": "openpose", "file": "{name}.json"}, "once in each"),
        ({"kind": "openpose", "file": "{name}.json", "images": "{name}/{name}.jpg"}, "once in each"),
        ({"kind": "coco", "file": "a.json", "boxes": "b.json"}, "boxes belongs to kind openpose"),
        ({"kind": "results", "file": "a.json", "images": "folder"}, "pattern with {id}"),
        ({"kind": "iuv", "file": "a.png", "images": "a.jpg"}, "_IUV.png"),
        ({"kind": "lsp", "file": "a.json"}, "Input should be"),
        ({"kind": "coco", "file": ""}, "at least 1"),
        ({"kind": "coco", "file": "a.json", "image": "b"}, "Extra inputs"),
    ],
)
def test_tables_that_cannot_be_meant_are_refused(table, said) -> None:
    with pytest.raises(ValidationError, match=said):
        AnnotationFiles(**table)


def test_a_kind_of_the_other_format_is_refused(folder) -> None:
    with pytest.raises(ManifestError, match="densepose-coco"):
        open_keypoints(folder, AnnotationFiles(kind="points", file="a.json"))


def mutated(value: object, rng: np.random.Generator) -> object:
    """A copy of a JSON value in which one place is another value, is gone, or is there twice."""
    copied = copy.deepcopy(value)
    at = copied
    while True:
        keys = list(at) if isinstance(at, dict) else list(range(len(at)))
        key = keys[rng.integers(len(keys))]
        below = at[key]
        if not isinstance(below, dict | list) or not below or rng.uniform() < 0.25:
            break
        at = below
    odd = [None, True, -1, 0, 1e300, 10**20, "", "7", [], {}, [[]], [None] * 3, {"size": [1, 1]}, "a" * 100]
    choice = int(rng.integers(len(odd) + 2))
    if choice == len(odd):
        del at[key]
    elif choice > len(odd) and isinstance(at, list):
        at.append(below)
    else:
        at[key] = odd[min(choice, len(odd) - 1)]
    return copied


@pytest.mark.parametrize("kind", ["coco", "openpose", "mpii"])
def test_mutated_files_give_a_person_or_a_reason(folder, kind) -> None:
    options, content = {
        "coco": (COCO, coco_set(coco_person(1, 7))),
        "openpose": (
            OPENPOSE.model_copy(update={"file": "set.json", "images": "pictures/a.png"}),
            {"people": [openpose_person()]},
        ),
        "mpii": (MPII, [mpii_person()]),
    }[kind]
    rng = np.random.default_rng(5)
    refused = 0
    for _ in range(200):
        write_json(folder / "set.json", mutated(content, rng))
        try:
            capture = open_keypoints(folder, options)
            frames = [capture.read(frame) for frame in capture.frames]
        except InputError:
            refused += 1
            continue
        for frame in frames:
            assert (
                np.isfinite(frame.annotation.joints.px).all() and np.isfinite(frame.annotation.box_px).all()
            )
    assert 50 < refused < 200


def test_mutated_npz_files_give_a_person_or_a_reason(folder) -> None:
    np.savez_compressed(folder / "set.npz", **h36m_arrays(rooted=False))
    whole = (folder / "set.npz").read_bytes()
    rng = np.random.default_rng(6)
    for turn in range(200):
        data = bytearray(whole)
        if turn % 4 == 0:
            data = data[: rng.integers(len(data))]
        else:
            for _ in range(rng.integers(1, 4)):
                data[rng.integers(len(data))] = rng.integers(256)
        (folder / "set.npz").write_bytes(data)
        try:
            capture = open_keypoints(folder, H36M)
            frame = capture.read(0)
        except InputError as error:
            assert error.reason != "annotation-missing"  # it is there
            continue
        assert np.isfinite(frame.annotation.joints.px).all()


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["test_coco", "test_coco_wholebody", "test_keypoint_partition_metric"])
def test_real_coco_people_are_read_but_for_the_two_without_key_points(name, data_root) -> None:
    capture = open_keypoints(data_root / "coco_keypoints", AnnotationFiles(kind="coco", file=f"{name}.json"))
    assert capture.frames == list(range(14))
    refused = []
    for number in capture.frames:
        try:
            frame = capture.read(number)
        except InputError as error:
            refused.append((number, error.reason))
            continue
        u0, v0, width, height = frame.annotation.box_px
        rows, columns = np.nonzero(frame.mask)
        # COCO's boxes are drawn around its polygons; a pixel centre may miss an edge by half a pixel, and a spike.
        edges = [
            columns.min() - u0,
            rows.min() - v0,
            columns.max() + 1 - u0 - width,
            rows.max() + 1 - v0 - height,
        ]
        assert np.abs(edges).max() < 2
        joints = frame.annotation.joints
        seen = joints.px[joints.visible].round().astype(int)
        inside = frame.mask[np.clip(seen[:, 1], 0, None), np.clip(seen[:, 0], 0, None)]
        assert inside.mean() > 0.6
    assert refused == [(3, "no-keypoints"), (6, "no-keypoints")]


@pytest.mark.real_data
def test_real_detections_and_openpose_are_what_their_notes_say(data_root) -> None:
    options = AnnotationFiles(kind="coco", file="test_coco_det_AP_H_56.json", images="{id}.jpg")
    boxes = open_keypoints(data_root / "coco_keypoints", options)
    assert len(boxes.frames) == 118
    with pytest.raises(InputError) as caught:
        boxes.read(0)
    assert caught.value.reason == "no-keypoints"
    options = AnnotationFiles(
        kind="openpose", file="{name}_openpose.json", images="{name}.jpg", boxes="{name}_bbox.json"
    )
    (frame,) = map(open_keypoints(data_root / "spin_openpose", options).read, [0])
    assert frame.image.shape == (192, 153, 3) or frame.image.shape == (153, 192, 3)
    assert frame.annotation.box_px == (17, 37, 117, 142)
    assert frame.annotation.joints.visible.sum() == 22
