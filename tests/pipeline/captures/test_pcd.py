import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.captures.pcd import open_pcd
from pipeline.captures.pcd_kernels import decode_lzf
from pipeline.errors import InputError

HEIGHT, WIDTH = 12, 16
K = np.array([[21.5, 0, 7.5], [0, 22.0, 5.0], [0, 0, 1]])
CODINGS = ("ascii", "binary", "binary_compressed")
NUMPY = {"F4": "<f4", "F8": "<f8", "U4": "<u4", "U1": "u1", "I2": "<i2"}


def lzf_packed(data):
    """LZF by the format's description: 3-byte look-back, else literals; short and long matches."""
    out, literals, seen, at = bytearray(), bytearray(), {}, 0

    def flush():
        for first in range(0, len(literals), 32):
            run = literals[first : first + 32]
            out.extend([len(run) - 1, *run])
        literals.clear()

    while at < len(data):
        key = data[at : at + 3]
        back = at - seen.get(key, -(1 << 20))
        seen[key] = at
        if len(key) < 3 or back > 8192:
            literals.append(data[at])
            at += 1
            continue
        length = 3
        while length < 264 and at + length < len(data) and data[at + length] == data[at + length - back]:
            length += 1
        flush()
        code, distance = length - 2, back - 1
        if code < 7:
            out.extend([code << 5 | distance >> 8, distance & 255])
        else:
            out.extend([7 << 5 | distance >> 8, code - 7, distance & 255])
        at += length
    flush()
    return bytes(out)


def cloud_columns(K=K, z_m=None, dtype="F4"):
    """A slanted wall as a camera with K sees it, and a hole."""
    u, v = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))
    z = 1.5 + 0.03 * u - 0.01 * v if z_m is None else z_m
    z = np.where((u == 3) & (v == 4), np.nan, z)
    values = {"x": (u - K[0, 2]) * z / K[0, 0], "y": (v - K[1, 2]) * z / K[1, 1], "z": z}
    return {name: (dtype, value.ravel().astype(NUMPY[dtype])) for name, value in values.items()}


def rgb_column(declared):
    rng = np.random.default_rng(4)
    rgb = rng.integers(0, 256, (HEIGHT * WIDTH, 3))
    packed = (rgb[:, 0] << 16 | rgb[:, 1] << 8 | rgb[:, 2]).astype("<u4")
    if declared == "U4":
        packed |= 255 << 24  # PCL's rgba is opaque
    return rgb.reshape(HEIGHT, WIDTH, 3).astype(np.uint8), (declared, packed.view(NUMPY[declared]))


def pcd_bytes(
    columns, coding, *, size_wh=(WIDTH, HEIGHT), viewpoint="0 0 0 1 0 0 0", version="0.7", end="\n"
):
    width, height = size_wh
    names, kinds = " ".join(columns), [kind for kind, _ in columns.values()]
    head = [
        "# .PCD - Point Cloud Data file format",
        f"VERSION {version}",
        f"FIELDS {names}",
        "SIZE " + " ".join(kind[1] for kind in kinds),
        "TYPE " + " ".join(kind[0] for kind in kinds),
        "COUNT " + " ".join("1" for _ in kinds),
        f"WIDTH {width}",
        f"HEIGHT {height}",
        *([f"VIEWPOINT {viewpoint}"] if version != "0.6" else []),
        f"POINTS {width * height}",
        f"DATA {coding}",
    ]
    arrays = [array for _, array in columns.values()]
    if coding == "ascii":
        rows = zip(*(array.tolist() for array in arrays), strict=True)
        body = "\n".join(
            " ".join(f"{value:.9g}" if isinstance(value, float) else str(value) for value in row)
            for row in rows
        )
        payload = body.encode() + b"\n"
    elif coding == "binary":
        record = np.rec.fromarrays(arrays, dtype=[(f"c{i}", a.dtype) for i, a in enumerate(arrays)])
        payload = record.tobytes()
    else:
        unpacked = b"".join(array.tobytes() for array in arrays)
        packed = lzf_packed(unpacked)
        payload = np.array([len(packed), len(unpacked)], "<u4").tobytes() + packed
    return (end.join(head) + end).encode() + payload


def written(folder, data, name="cloud.pcd"):
    (folder / name).write_bytes(data)
    return open_pcd(folder / name)


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize(("point_type", "rgb_type"), [("F4", "F4"), ("F8", "U4")])
def test_every_coding_gives_the_depth_the_colour_and_the_camera(tmp_path, coding, point_type, rgb_type):
    rgb, column = rgb_column(rgb_type)
    columns = cloud_columns(dtype=point_type)
    columns["curvature"] = ("I2", np.arange(HEIGHT * WIDTH, dtype="<i2"))
    columns["rgb" if rgb_type == "F4" else "rgba"] = column
    columns["label"] = ("U1", np.full(HEIGHT * WIDTH, 7, np.uint8))
    capture = written(tmp_path, pcd_bytes(columns, coding))
    frame = capture.read(0)
    z = columns["z"][1].reshape(HEIGHT, WIDTH)
    assert frame.depth_m.dtype == np.float32
    # nine digits of text hold a float32 whole, and a float64 to the rounding of a float32
    np.testing.assert_allclose(frame.depth_m, np.nan_to_num(z), rtol=1e-7, atol=0)
    assert frame.depth_m[4, 3] == 0 and np.count_nonzero(frame.depth_m == 0) == 1
    np.testing.assert_array_equal(frame.image, rgb)
    np.testing.assert_array_equal(frame.K, K)  # halves of a pixel come out whole
    assert frame.world_from_cam is None and frame.mask is None and frame.timestamp_s == -1
    assert capture.files([0]) == [tmp_path / "cloud.pcd"]


def test_cloud_without_colour_has_no_image_and_version_06_no_viewpoint(tmp_path):
    frame = written(tmp_path, pcd_bytes(cloud_columns(), "binary", version=".6", end="\r\n")).read(0)
    assert frame.image is None and frame.world_from_cam is None
    frame = written(tmp_path, pcd_bytes(cloud_columns(), "binary", version="0.6")).read(0)
    assert frame.world_from_cam is None


def test_any_camera_is_recovered_to_the_rounding_of_the_points(tmp_path):
    odd = np.array([[20.13, 0, 6.871], [0, 24.77, 6.123], [0, 0, 1]])
    frame = written(tmp_path, pcd_bytes(cloud_columns(odd), "binary")).read(0)
    # float32 slopes are good to 6e-8, and 191 points average
    np.testing.assert_allclose(frame.K, odd, atol=3e-6)
    assert frame.K[0, 0] != np.round(2 * frame.K[0, 0]) / 2


def test_viewpoint_is_world_from_cam_with_the_quaternion_w_first(tmp_path):
    half = np.sqrt(0.5)
    data = pcd_bytes(
        cloud_columns(), "binary", viewpoint=f"1 2 3 {half} 0 0 {half}"
    )  # a quarter turn about z
    expected = np.array([[0, -1, 0, 1], [1, 0, 0, 2], [0, 0, 1, 3], [0, 0, 0, 1.0]])
    np.testing.assert_allclose(written(tmp_path, data).read(0).world_from_cam, expected, atol=1e-12)
    data = pcd_bytes(cloud_columns(), "binary", viewpoint="1 2 3 0.5 0 0 0")
    with pytest.raises(InputError) as caught:
        written(tmp_path, data).read(0)
    assert caught.value.reason == "pose-not-rigid"


def transformed(turn_rad, t_m):
    # a person before a wall: a wall alone, moved sideways, may pass for one of another camera
    columns = cloud_columns(z_m=np.where(np.hypot(*np.ogrid[-6:6, -8:8]) < 4, 1.0, 3.0))
    x, y, z = (columns[axis][1].astype(np.float64) for axis in "xyz")
    c, s = np.cos(turn_rad), np.sin(turn_rad)
    turned = {"x": c * x + s * z + t_m, "y": y, "z": -s * x + c * z}
    return {axis: ("F4", value.astype("<f4")) for axis, value in turned.items()}


def mirrored(axes):
    return {
        name: (kind, -array if name in axes else array) for name, (kind, array) in cloud_columns().items()
    }


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        (transformed(0.3, 0.0), "cloud-not-pinhole"),
        (transformed(0.0, 0.4), "cloud-not-pinhole"),
        (transformed(np.pi, 0.0), "cloud-not-pinhole"),
        (mirrored("xyz"), "cloud-not-pinhole"),  # every slope the same, but behind the camera
        (mirrored("x"), "intrinsics-mismatch"),
        (cloud_columns(z_m=np.full((HEIGHT, WIDTH), np.nan)), "empty-depth"),
        (cloud_columns(z_m=np.zeros((HEIGHT, WIDTH))), "empty-depth"),
        ({name: cloud_columns()[name] for name in "xz"}, "depth-type"),
        ({**cloud_columns(), "x": ("I2", np.zeros(HEIGHT * WIDTH, "<i2"))}, "depth-type"),
        ({**cloud_columns(), "rgb": ("I2", np.zeros(HEIGHT * WIDTH, "<i2"))}, "depth-type"),
    ],
)
def test_cloud_that_is_no_depth_image_is_refused(tmp_path, columns, reason):
    with pytest.raises(InputError) as caught:
        written(tmp_path, pcd_bytes(columns, "binary")).read(0)
    assert caught.value.reason == reason


def test_point_beyond_the_range_of_a_float32_is_a_hole(tmp_path):
    columns = cloud_columns(dtype="F8")
    for axis in "xyz":
        columns[axis][1][20] *= 1e300
    depth_m = written(tmp_path, pcd_bytes(columns, "binary")).read(0).depth_m
    assert depth_m.ravel()[20] == 0 and np.count_nonzero(depth_m == 0) == 2


def test_one_column_of_points_says_nothing_of_the_camera(tmp_path):
    z_m = np.full((HEIGHT, WIDTH), np.nan)
    z_m[:, 5] = 2.0
    with pytest.raises(InputError, match="inf px") as caught:
        written(tmp_path, pcd_bytes(cloud_columns(z_m=z_m), "binary")).read(0)
    assert caught.value.reason == "cloud-not-pinhole"


@pytest.mark.parametrize("coding", CODINGS)
def test_unorganised_cloud_is_refused(tmp_path, coding):
    data = pcd_bytes(cloud_columns(), coding, size_wh=(WIDTH * HEIGHT, 1))
    with pytest.raises(InputError, match="WIDTH and HEIGHT over 1") as caught:
        written(tmp_path, data).read(0)
    assert caught.value.reason == "cloud-not-organised"


@pytest.mark.parametrize("coding", CODINGS)
def test_cut_off_cloud_is_refused_wherever_it_ends(tmp_path, coding):
    data = pcd_bytes(cloud_columns(), coding)
    for kept in [0, 1, 40, *range(200, len(data) - 1, 97), len(data) - 1]:
        with pytest.raises(InputError) as caught:
            written(tmp_path, data[:kept]).read(0)
        assert caught.value.reason == "unreadable-depth"


@pytest.mark.parametrize("coding", CODINGS)
def test_sizes_that_the_file_cannot_hold_allocate_nothing(tmp_path, coding):
    data = pcd_bytes(cloud_columns(), coding)
    for size_wh in [(60_000, 60_000), (10**30, 2), (4096, 4096)]:
        huge = data.replace(f"WIDTH {WIDTH}\nHEIGHT {HEIGHT}".encode(), b"WIDTH %d\nHEIGHT %d" % size_wh)
        huge = huge.replace(f"POINTS {WIDTH * HEIGHT}".encode(), b"POINTS %d" % (size_wh[0] * size_wh[1]))
        with pytest.raises(InputError) as caught:
            written(tmp_path, huge).read(0)
        assert caught.value.reason == "unreadable-depth"


def test_cloud_of_gigabytes_is_refused_unread(tmp_path):
    head = pcd_bytes(cloud_columns(), "binary_compressed")[:-1000].split(b"binary_compressed\n")[0]
    head = head.replace(f"WIDTH {WIDTH}\nHEIGHT {HEIGHT}".encode(), b"WIDTH 20000\nHEIGHT 20000")
    (tmp_path / "cloud.pcd").write_bytes(
        head.replace(b"POINTS 192", b"POINTS 400000000") + b"binary_compressed\n"
    )
    with (tmp_path / "cloud.pcd").open("r+b") as file:
        file.truncate(100_000_000)  # without blocks on the disk
    with pytest.raises(InputError, match="over 1073741824"):
        open_pcd(tmp_path / "cloud.pcd").read(0)


@pytest.mark.parametrize("coding", CODINGS)
def test_mutated_clouds_are_read_or_refused(tmp_path, coding):
    data = pcd_bytes({**cloud_columns(), "rgb": rgb_column("F4")[1]}, coding)
    rng = np.random.default_rng(11)
    refused = 0
    for _ in range(100):
        harmed = bytearray(data)
        for _ in range(rng.integers(1, 6)):
            # half of the blows fall on the head, which is a tenth of the file
            at = rng.integers(len(data) if rng.random() < 0.5 else 260)
            harmed[at] = rng.integers(256)
        if rng.random() < 0.2:
            del harmed[rng.integers(len(harmed)) :]
        try:
            frame = written(tmp_path, bytes(harmed)).read(0)
        except InputError:
            refused += 1
            continue
        assert np.isfinite(frame.depth_m).all() and (frame.depth_m >= 0).all()
        assert np.isfinite(frame.K).all()
    assert refused > 30


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([b"a", b"bcd", b"\0" * 40, b"\xff" * 300, bytes(range(256))]), max_size=60))
def test_lzf_undoes_its_packing(parts):
    data = b"".join(parts)
    out = np.zeros(len(data), np.uint8)
    assert decode_lzf(np.frombuffer(lzf_packed(data), np.uint8), out) == len(data)
    assert out.tobytes() == data


@pytest.mark.parametrize(
    "packed",
    [
        [0x20, 0x00],
        [0x00, 0x41, 0x20, 0x01],
        [0x05, 0x41],
        [0xE0],
        [0x00, 0x41, 0xE0, 0x01],
        [0xE0, 0x00],
        [0x20],
        [0x1F, *[0x41] * 32],
    ],
)
def test_lzf_never_reaches_outside_its_buffers(packed):
    guarded = np.full(16 + 2 * 8, 9, np.uint8)
    # zeros behind the end would be a look-back by one
    assert decode_lzf(np.array([*packed, 0, 0, 0], np.uint8)[: len(packed)], guarded[8:24]) == -1
    assert (guarded[:8] == 9).all() and (guarded[24:] == 9).all()


@pytest.mark.parametrize(
    ("names", "frames"),
    [
        (["cloud_0007.pcd", "cloud_0003.pcd", "cloud_0010.PCD"], [3, 7, 10]),
        (["2024-05-01_a2.pcd", "2024-05-01_a10.pcd"], [2, 10]),
        (["a.pcd", "b1.pcd", "c2.pcd"], [0, 1, 2]),
        (["a1.pcd", "b1.pcd"], [0, 1]),
        (["1305031102175304.pcd", "1305031102211214.pcd"], [0, 1]),  # times: too large for a number
        (["2147483648.pcd", "7.pcd"], [0, 1]),
        (["2147483647.pcd", "7.pcd"], [2147483647, 7]),
    ],
)
def test_frames_of_a_folder_carry_the_numbers_in_their_names(tmp_path, names, frames):
    for i, name in enumerate(names):
        (tmp_path / name).write_bytes(
            pcd_bytes(cloud_columns(z_m=np.full((HEIGHT, WIDTH), 1.0 + i)), "binary")
        )
    (tmp_path / "notes.txt").write_text("x")
    capture = open_pcd(tmp_path)
    assert capture.frames == sorted(frames)
    by_name = {path.name: frame for frame, path in zip(frames, capture.files(frames), strict=True)}
    assert by_name.keys() == set(names)
    for i, name in enumerate(names):
        assert capture.read(by_name[name]).depth_m[0, 0] == 1.0 + i
    with pytest.raises(InputError) as caught:
        capture.read(99)
    assert caught.value.reason == "depth-missing"


def test_missing_captures_are_refused(tmp_path):
    for path, reason in [(tmp_path / "none.pcd", "capture-missing"), (tmp_path, "no-frames")]:
        with pytest.raises(InputError) as caught:
            open_pcd(path)
        assert caught.value.reason == reason
    capture = written(tmp_path, pcd_bytes(cloud_columns(), "binary"))
    (tmp_path / "cloud.pcd").unlink()
    with pytest.raises(InputError) as caught:
        capture.read(0)
    assert caught.value.reason == "depth-missing"


@pytest.mark.real_data
@pytest.mark.parametrize(("name", "colour"), [("five_people", True), ("person", False)])
def test_kinect_clouds_of_people_give_their_camera_exactly(name, colour):
    data_root = os.environ.get("BODYTRUTH_DATA_ROOT")
    if data_root is None:
        pytest.skip("BODYTRUTH_DATA_ROOT is unset")
    frame = open_pcd(Path(data_root) / "pcl_people" / f"{name}.pcd").read(0)
    np.testing.assert_array_equal(frame.K, [[525, 0, 319.5], [0, 525, 239.5], [0, 0, 1]])
    assert frame.depth_m.shape == (480, 640) and (frame.image is not None) == colour
    assert 0.77 < (frame.depth_m > 0).mean() < 0.80
    assert frame.world_from_cam is None
