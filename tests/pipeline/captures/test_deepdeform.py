"""DeepDeform: masks as a union of objects, and flow that agrees with depth, camera and masks."""

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.cameras import backproject, project
from pipeline.captures.deepdeform import open_deepdeform, read_flow
from pipeline.errors import InputError

K4 = [[18.0, 0, 7.25, 0], [0, 18.5, 5.5, 0], [0, 0, 1, 0], [0, 0, 0, 1]]


def write_sequence(folder: Path, numbers: list[int]) -> None:
    for name in ("color", "depth", "mask"):
        (folder / name).mkdir(parents=True)
    np.savetxt(folder / "intrinsics.txt", K4)
    for number in numbers:
        assert cv2.imwrite(str(folder / f"depth/{number:06d}.png"), np.full((12, 16), 1500, np.uint16))
        assert cv2.imwrite(str(folder / f"color/{number:06d}.jpg"), np.full((12, 16, 3), 9, np.uint8))


def object_mask(rows: slice) -> np.ndarray:
    mask = np.zeros((12, 16), np.uint16)
    mask[rows] = 65535
    return mask


@pytest.mark.parametrize(
    "names", [("000110_shirt.png", "000110_left_arm.png"), ("shirt_000110.png", "adult0_000110.png")]
)
def test_the_mask_is_the_union_of_a_frame_s_objects(names, tmp_path) -> None:
    write_sequence(tmp_path, [0, 110])
    for name, rows in zip(names, (slice(2, 5), slice(4, 7)), strict=True):
        assert cv2.imwrite(str(tmp_path / "mask" / name), object_mask(rows))
    capture = open_deepdeform(tmp_path)
    assert capture.frames == [0, 110]
    frame = capture.read(110)
    np.testing.assert_array_equal(frame.mask, object_mask(slice(2, 7)) > 0)
    np.testing.assert_array_equal(frame.K, np.array(K4)[:3, :3])
    np.testing.assert_allclose(frame.depth_m, 1.5)
    assert frame.world_from_cam is None
    assert capture.read(0).mask is None
    assert {path.name for path in capture.files([110])} >= set(names)


def test_one_mask_a_frame_and_none_at_all_are_read_too(tmp_path) -> None:
    write_sequence(tmp_path, [3])
    assert open_deepdeform(tmp_path).read(3).mask is None
    assert cv2.imwrite(str(tmp_path / "mask/000003.png"), object_mask(slice(1, 2)))
    assert open_deepdeform(tmp_path).read(3).mask.sum() == 16
    assert cv2.imwrite(str(tmp_path / "mask/000003_arm.png"), np.ones((16, 12), np.uint16))
    with pytest.raises(InputError) as caught:
        open_deepdeform(tmp_path).read(3)
    assert caught.value.reason == "mask-size"


def write_flow(path: Path, flow: np.ndarray) -> None:
    height, width, channels = flow.shape
    planes = [flow[..., channel].astype("<f4").tobytes() for channel in range(channels)]
    path.write_bytes(struct.pack("<3I", width, height, channels) + b"".join(planes))


@pytest.mark.parametrize("channels", [2, 3])
def test_flow_is_read_back_and_absent_where_it_is_not_finite(channels, tmp_path) -> None:
    flow = np.random.default_rng(2).normal(size=(5, 7, channels)).astype(np.float32)
    flow[1, 2], flow[3, 4, 0], flow[0, 0, 1] = -np.inf, np.nan, np.inf
    write_flow(tmp_path / "a.flow", flow)
    read, mask = read_flow(tmp_path / "a.flow")
    np.testing.assert_array_equal(mask, np.isfinite(flow).all(-1))
    assert (~mask).sum() == 3
    np.testing.assert_array_equal(read, np.where(mask[..., None], flow, 0))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytes(12),
        struct.pack("<3I", 2, 2, 2) + bytes(31),
        struct.pack("<3I", 2, 2, 2) + bytes(33),
        struct.pack("<3I", 4_000_000_000, 4_000_000_000, 3) + bytes(8),
        struct.pack(">3I", 2, 2, 2) + bytes(32),
    ],
)
def test_what_is_no_whole_flow_is_refused(data, tmp_path) -> None:
    (tmp_path / "a.oflow").write_bytes(data)
    with pytest.raises(InputError) as caught:
        read_flow(tmp_path / "a.oflow")
    assert caught.value.reason == "unreadable-flow"
    with pytest.raises(InputError) as caught:
        read_flow(tmp_path / "b.oflow")
    assert caught.value.reason == "flow-missing"


@pytest.mark.real_data
def test_real_flow_depth_and_camera_agree(data_root: Path) -> None:
    folder = data_root / "deepdeform_pairs/train/seq258"
    capture = open_deepdeform(folder)
    assert capture.frames == [0, 110]
    first, later = capture.read(0), capture.read(110)
    assert later.mask is None and 2.06 < np.median(first.depth_m[first.depth_m > 0]) < 2.42
    on_image_px, marked = read_flow(folder / "optical_flow/shirt_000000_000110.oflow")
    in_space_m, known = read_flow(folder / "scene_flow/shirt_000000_000110.sflow")
    np.testing.assert_array_equal(marked, known)
    assert known.mean() == pytest.approx(0.178, abs=1e-3) and first.mask[known].mean() > 0.94
    use = known & (first.depth_m > 0)
    v, u = np.nonzero(use)
    target_px = np.stack([u, v], axis=1) + on_image_px[use]

    def miss_px(K: np.ndarray, depth_m: np.ndarray) -> float:
        moved = backproject(depth_m, K)[use] + in_space_m[use]
        return float(np.median(np.linalg.norm(project(moved, K) - target_px, axis=1)))

    # the shirt moves by 107 px in the median; K and unit are good to a part of a pixel
    assert miss_px(first.K, first.depth_m) < 0.5
    shorter = first.K * [[0.95, 1, 1], [1, 0.95, 1], [1, 1, 1]]
    assert miss_px(shorter, first.depth_m) > 5
    assert miss_px(first.K, first.depth_m * 1.05) > 4
    # where it went, the later frame has depth at that distance: flow is of these two frames, registered
    u2, v2 = np.rint(target_px).astype(int).T
    inside = (u2 >= 0) & (u2 < 640) & (v2 >= 0) & (v2 < 480)
    there_m = later.depth_m[v2[inside], u2[inside]]
    moved_m = (backproject(first.depth_m, first.K)[use] + in_space_m[use])[inside, 2]
    assert np.median(np.abs(there_m - moved_m)[there_m > 0]) < 0.005
