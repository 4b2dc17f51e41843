"""DensePose: annotated points and coarse parts, results and IUV files, as their makers write them."""

import base64
import json
import struct
import zlib
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.captures.annotation_files import AnnotationFiles
from pipeline.captures.densepose import open_densepose
from pipeline.errors import InputError, ManifestError

WIDTH, HEIGHT = 96, 72
POINTS = AnnotationFiles(kind="points", file="set.json")
RESULTS = AnnotationFiles(kind="results", file="set.json", images="{id}.png")
IUV = AnnotationFiles(kind="iuv", file="{name}_IUV.png", images="{name}.png")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    picture = np.full((HEIGHT, WIDTH, 3), 60, np.uint8)
    for name in ("a", "000000000007"):
        cv2.imwrite(str(tmp_path / f"{name}.png"), picture)
    return tmp_path


def write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")


def runs(mask: np.ndarray) -> dict:
    """Plain run lengths, by counting down the columns: not the code under test."""
    counts, last = [0], False
    for value in mask.ravel(order="F"):
        if bool(value) != last:
            counts.append(0)
            last = bool(value)
        counts[-1] += 1
    return {"size": list(mask.shape), "counts": counts}


@cache
def coarse_masks() -> list:
    """Part 1 fills the upper half of the stretched box, part 14 its right quarter, over part 1; others are empty."""
    upper, right = np.zeros((256, 256), bool), np.zeros((256, 256), bool)
    upper[:128], right[:, 192:] = True, True
    return [runs(upper), *([[]] * 12), runs(right)]


def person(**change) -> dict:
    told = {
        "id": 5,
        "image_id": 7,
        "iscrowd": 0,
        "bbox": [16.0, 8.0, 64.0, 32.0],
        "dp_x": [0.0, 128.0, 256.0],
        "dp_y": [0.0, 128.0, 256.0],
        "dp_I": [1.0, 2.0, 24.0],
        "dp_U": [0.0, 0.5, 1.0],
        "dp_V": [1.0, 0.25, 0.0],
        "dp_masks": coarse_masks(),
        "keypoints": [20, 20, 2] + [0, 0, 0] * 16,
        "segmentation": [[16, 8, 80, 8, 80, 40, 16, 40]],
    }
    return {key: value for key, value in (told | change).items() if value is not ...}


def coco(*people: dict) -> dict:
    images = [{"id": 7, "file_name": "a.png", "width": WIDTH, "height": HEIGHT}]
    return {"images": images, "annotations": list(people), "categories": []}


def read_only(folder: Path, options: AnnotationFiles, content: object):
    write_json(folder / "set.json", content)
    capture = open_densepose(folder, options)
    assert capture.frames == [0]
    return capture.read(0)


def reason_of(folder: Path, options: AnnotationFiles, content: object) -> str:
    with pytest.raises(InputError) as caught:
        read_only(folder, options, content)
    assert str(caught.value).startswith(str(folder)) and str(caught.value).endswith(".")
    return caught.value.reason


def test_points_reach_from_edge_to_edge_of_the_box(folder) -> None:
    frame = read_only(folder, POINTS, coco(person()))
    points = frame.annotation.points
    # The box's corners by the edges are (16, 8) and (80, 40); a centre counts half a pixel less.
    np.testing.assert_array_equal(points.px, [[15.5, 7.5], [47.5, 23.5], [79.5, 39.5]])
    np.testing.assert_array_equal(points.part, [1, 2, 24])
    np.testing.assert_array_equal(points.uv, np.array([[0, 1], [0.5, 0.25], [1, 0]], np.float32))
    assert points.part.dtype == np.uint8 and points.px.dtype == points.uv.dtype == np.float32
    assert frame.annotation.joints.visible.tolist() == [True] + [False] * 16
    assert frame.mask.sum() == 64 * 32 and frame.annotation.box_px == (16, 8, 64, 32)


def test_the_evaluators_255_would_move_a_point_by_less_than_stated() -> None:
    dp = np.linspace(0, 255, 100)
    assert np.abs(dp / 255 - dp / 256).max() <= 0.0039 + 1e-4
    assert np.abs((dp + 0.5) / 256 - dp / 256).max() == pytest.approx(1 / 512)


def test_coarse_parts_fill_their_share_of_the_box_and_the_later_lies_on_top(folder) -> None:
    coarse = read_only(folder, POINTS, coco(person())).annotation.coarse_part
    wanted = np.zeros((HEIGHT, WIDTH), np.uint8)
    wanted[8:24, 16:80] = 1
    wanted[8:40, 64:80] = 14
    np.testing.assert_array_equal(coarse, wanted)
    assert coarse.dtype == np.uint8


def test_a_pixel_has_the_coarse_part_that_holds_its_centre(folder) -> None:
    full = [runs(np.ones((256, 256), bool)), *([[]] * 13)]
    told = person(bbox=[16.25, 8.75, 40.0, 20.5], dp_masks=full)
    coarse = read_only(folder, POINTS, coco(told)).annotation.coarse_part
    # Centres from 16.5 to 55.5 lie between the edges 16.25 and 56.25, from 9.5 to 28.5 between 8.75 and 29.25.
    rows, columns = np.nonzero(coarse)
    assert (columns.min(), columns.max(), rows.min(), rows.max()) == (16, 55, 9, 28)


def test_coarse_parts_of_a_box_beyond_the_picture_are_cut_off(folder) -> None:
    coarse = read_only(folder, POINTS, coco(person(bbox=[-32.0, -16.0, 64.0, 32.0]))).annotation.coarse_part
    wanted = np.zeros((HEIGHT, WIDTH), np.uint8)
    wanted[:16, 16:32] = 14  # rows 0..16 are the lower half, columns 16..32 the right quarter
    np.testing.assert_array_equal(coarse, wanted)


def test_one_persons_own_file_is_read(folder) -> None:
    told = person(
        image="a.png", width=WIDTH, height=HEIGHT, id=..., image_id=..., keypoints=..., dp_masks=...
    )
    annotation = read_only(folder, POINTS, told).annotation
    assert annotation.joints is None and annotation.coarse_part is None and len(annotation.points.part) == 3
    assert reason_of(folder, POINTS, told | {"width": WIDTH + 1}) == "color-size"


def test_a_person_without_key_points_or_coarse_parts_has_none_in_a_set_that_has(folder) -> None:
    bare = person(id=6, keypoints=[0] * 51, dp_masks=...)
    write_json(folder / "set.json", coco(person(), bare))
    annotation = open_densepose(folder, POINTS).read(1).annotation
    assert not annotation.joints.confidence.any() and not annotation.coarse_part.any()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"dp_x": ...}, "no-points"),
        ({"dp_x": []}, "no-points"),
        ({"iscrowd": 1}, "crowd-annotation"),
        ({"dp_y": [1.0]}, "annotation-malformed"),
        ({"dp_x": [0.0, 1.0, 256.5]}, "annotation-malformed"),
        ({"dp_x": [0.0, 1.0, 1e300]}, "annotation-malformed"),
        ({"dp_I": [0.0, 1.0, 2.0]}, "annotation-malformed"),
        ({"dp_I": [1.0, 1.0, 25.0]}, "annotation-malformed"),
        ({"dp_I": [1.0, 1.0, 2.5]}, "annotation-malformed"),
        ({"dp_U": [0.0, 1.0, 1.5]}, "annotation-malformed"),
        ({"dp_V": ...}, "annotation-malformed"),
        ({"bbox": ...}, "annotation-malformed"),
        ({key: [1.0] * 197 for key in ("dp_x", "dp_y", "dp_I", "dp_U", "dp_V")}, "annotation-malformed"),
        ({"dp_masks": [[]] * 13}, "annotation-malformed"),
        ({"dp_masks": [{"size": [9, 9], "counts": [81]}] * 14}, "annotation-malformed"),
        ({"dp_masks": {"counts": "x"}}, "annotation-malformed"),
        ({"keypoints": [1]}, "annotation-malformed"),
    ],
)
def test_points_that_cannot_be_are_refused(folder, change, reason) -> None:
    assert reason_of(folder, POINTS, coco(person(**change))) == reason


def charts(height: int, width: int, seed: int = 1) -> np.ndarray:
    """I, U, V (3 H W) uint8 of a network: 0 without a part."""
    rng = np.random.default_rng(seed)
    iuv = rng.integers(0, 256, (3, height, width)).astype(np.uint8)
    iuv[0] %= 25
    iuv[0, 0, 0], iuv[0, -1, -1] = 1, 24  # so that the corners are the person's
    iuv[1:, iuv[0] == 0] = 0
    return iuv


def png(rgb: np.ndarray) -> bytes:
    """A PNG (H W 3) written out, red first, without a library that has its own order of channels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width = rgb.shape[:2]
    lines = b"".join(b"\0" + line.tobytes() for line in rgb)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(lines)), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def result(iuv: np.ndarray, bbox: list[float]) -> dict:
    """As DensePose's own encoder writes it: part, U, V as red, green, blue, as base64 with its line breaks."""
    return {
        "image_id": 7,
        "category_id": 1,
        "bbox": bbox,
        "score": 0.9,
        "uv_shape": list(iuv.shape),
        "uv_data": base64.encodebytes(png(np.moveaxis(iuv, 0, -1))).decode("ascii"),
    }


def test_results_lie_in_their_box_with_part_u_and_v_in_red_green_and_blue(folder) -> None:
    iuv = charts(20, 30)
    frame = read_only(folder, RESULTS, [result(iuv, [10.7, 5.2, 30.4, 20.9])])
    annotation = frame.annotation
    assert annotation.box_px == (10, 5, 30, 20)
    np.testing.assert_array_equal(annotation.surface_part[5:25, 10:40], iuv[0])
    np.testing.assert_allclose(
        annotation.surface_uv[5:25, 10:40] * 255, np.moveaxis(iuv[1:], 0, -1), atol=1e-4
    )
    assert annotation.surface_part.sum() == iuv[0].sum() and annotation.surface_uv.max() == 1
    np.testing.assert_array_equal(frame.mask, annotation.surface_part > 0)
    assert annotation.surface_part.dtype == np.uint8 and annotation.surface_uv.dtype == np.float32


def test_results_beyond_the_picture_are_cut_off(folder) -> None:
    iuv = charts(20, 30)
    part = read_only(folder, RESULTS, [result(iuv, [-10.0, 60.0, 30, 20])]).annotation.surface_part
    np.testing.assert_array_equal(part[60:, :20], iuv[0, :12, 10:])


def test_results_that_cannot_be_are_refused(folder) -> None:
    good = result(charts(20, 30), [10, 5, 30, 20])
    empty = result(np.zeros((3, 20, 30), np.uint8), [10, 5, 30, 20])
    assert reason_of(folder, RESULTS, [empty]) == "no-points"
    tall = np.full((3, 20, 30), 25, np.uint8)
    packed = base64.b64decode(good["uv_data"])
    huge = bytearray(packed)
    huge[16:24] = (30000).to_bytes(4, "big") * 2
    huge[29:33] = zlib.crc32(huge[12:29]).to_bytes(4, "big")
    grey = cv2.imencode(".png", np.ones((20, 30), np.uint8))[1].tobytes()
    for change in (
        {"uv_data": result(tall, good["bbox"])["uv_data"]},
        {"uv_shape": [3, 20, 33]},
        {"uv_shape": [3, 2e9, 2e9], "bbox": [10, 5, 2e9, 2e9]},
        {"uv_shape": [1, 20, 30]},
        {"uv_shape": None},
        {"uv_data": "!!"},
        {"uv_data": None},
        {"uv_data": base64.b64encode(packed[:-9]).decode()},
        {"uv_data": base64.b64encode(huge).decode()},
        {"uv_data": base64.b64encode(grey).decode()},
        {"uv_data": result(charts(19, 30), good["bbox"])["uv_data"]},
        {"bbox": None},
        {"image_id": "7"},
        {"image_id": 10**12},
    ):
        assert reason_of(folder, RESULTS, [good | change]) == "annotation-malformed", change
    with pytest.raises(InputError, match="must be able to hold 30000x30000 px"):
        read_only(folder, RESULTS, [good | {"uv_data": base64.b64encode(huge).decode()}])


def write_iuv(folder: Path, name: str, inds: np.ndarray | None) -> np.ndarray:
    """As DensePose's drawing writes it: OpenCV, so part, U and V are blue, green and red."""
    iuv = np.moveaxis(charts(HEIGHT, WIDTH, seed=2), 0, -1).copy()
    if inds is not None:
        iuv[inds == 0] = 0
        cv2.imwrite(str(folder / f"{name}_INDS.png"), inds)
    cv2.imwrite(str(folder / f"{name}_IUV.png"), iuv)
    return iuv


def test_iuv_files_hold_one_person_for_each_number(folder) -> None:
    inds = np.zeros((HEIGHT, WIDTH), np.uint8)
    inds[10:30, 5:25], inds[20:50, 40:90] = 9, 3
    iuv = write_iuv(folder, "a", inds)
    capture = open_densepose(folder, IUV)
    assert capture.frames == [0, 1]
    for frame, number in ((0, 3), (1, 9)):
        read = capture.read(frame)
        np.testing.assert_array_equal(read.annotation.surface_part, np.where(inds == number, iuv[..., 0], 0))
        theirs = read.annotation.surface_part > 0
        uv_255 = read.annotation.surface_uv * 255
        np.testing.assert_allclose(uv_255, np.where(theirs[..., None], iuv[..., 1:], 0), atol=1e-4)
        np.testing.assert_array_equal(read.mask, theirs)
    assert capture.read(1).annotation.box_px == (5, 10, 20, 20)
    assert capture.files([0]) == [folder / "a_IUV.png", folder / "a_INDS.png", folder / "a.png"]


def test_an_iuv_file_alone_is_one_person(folder) -> None:
    iuv = write_iuv(folder, "a", None)
    frame = open_densepose(folder, IUV).read(0)
    np.testing.assert_array_equal(frame.annotation.surface_part, iuv[..., 0])


def test_iuv_files_that_do_not_fit_are_refused(folder) -> None:
    write_iuv(folder, "a", np.ones((HEIGHT, WIDTH), np.uint8))
    cv2.imwrite(str(folder / "a.png"), np.zeros((HEIGHT, WIDTH + 1, 3), np.uint8))
    with pytest.raises(InputError, match="must have the picture's 97x72 px"):
        open_densepose(folder, IUV).read(0)
    (folder / "a_INDS.png").write_bytes(b"no picture")
    with pytest.raises(InputError) as caught:
        open_densepose(folder, IUV).read(0)
    assert caught.value.reason == "annotation-malformed"
    (folder / "a_IUV.png").unlink()
    with pytest.raises(InputError) as caught:
        open_densepose(folder, IUV)
    assert caught.value.reason == "no-frames"


def test_a_kind_of_the_other_format_is_refused(folder) -> None:
    with pytest.raises(ManifestError, match="keypoints"):
        open_densepose(folder, AnnotationFiles(kind="coco", file="a.json"))


ODD = [None, True, -1, 0, 1e300, 10**20, "", "7", [], {}, [[]], [None] * 3, {"size": [1, 1]}, [0.5] * 3, ...]


def test_mutated_annotations_give_a_person_or_a_reason(folder) -> None:
    rng = np.random.default_rng(4)
    refused = 0
    for _ in range(300):
        told = person(dp_masks=[{"size": [256, 256], "counts": [65536]}, *([[]] * 13)])
        key = str(rng.choice(list(told)))
        value = ODD[rng.integers(len(ODD))]
        if isinstance(told[key], list) and rng.uniform() < 0.5:
            told[key] = list(told[key])
            told[key][rng.integers(len(told[key]))] = None if value is ... else value
            value = told[key]
        told = {name: entry for name, entry in (told | {key: value}).items() if entry is not ...}
        write_json(folder / "set.json", coco(told))
        try:
            frame = open_densepose(folder, POINTS).read(0)
        except InputError:
            refused += 1
            continue
        assert np.isfinite(frame.annotation.points.px).all()
    assert 100 < refused < 300


def test_mutated_pngs_give_charts_or_a_reason(folder) -> None:
    write_iuv(
        folder, "a", np.repeat(np.arange(3, dtype=np.uint8), HEIGHT * WIDTH // 3).reshape(HEIGHT, WIDTH)
    )
    rng = np.random.default_rng(7)
    for name in ("a_IUV.png", "a_INDS.png"):
        whole = (folder / name).read_bytes()
        for turn in range(150):
            data = bytearray(whole)
            if turn % 4 == 0:
                data = data[: rng.integers(len(data))]
            else:
                data[rng.integers(len(data))] = rng.integers(256)
            (folder / name).write_bytes(data)
            try:
                frame = open_densepose(folder, IUV).read(0)
            except InputError:
                continue
            assert frame.annotation.surface_part.max() <= 24
        (folder / name).write_bytes(whole)


@pytest.mark.real_data
def test_the_real_annotation_lies_on_the_person(data_root) -> None:
    frame = open_densepose(
        data_root / "densepose", AnnotationFiles(kind="points", file="annotation.json")
    ).read(0)
    points = frame.annotation.points
    assert len(points.part) == 125 and points.part.min() == 2 and points.part.max() == 24
    assert frame.image.shape == (355, 341, 3) and frame.annotation.box_px == (0, 0, 341, 355)
    u, v = points.px.round().astype(int).T
    # The background is a dark fence and dark grass; hardly a point of a lit person is as dark.
    lit = frame.image[v, u].max(axis=1) > 60
    assert lit.mean() > 0.95


@pytest.mark.real_data
def test_the_real_charts_are_thirteen_people(data_root) -> None:
    options = AnnotationFiles(kind="iuv", file="demo_im_IUV.png", images="demo_im.jpg")
    capture = open_densepose(data_root / "densepose", options)
    assert capture.frames == list(range(13))
    areas = [int(capture.read(frame).mask.sum()) for frame in capture.frames]
    assert sum(areas) == 1116 * 600 - 626344 and min(areas) == 2
