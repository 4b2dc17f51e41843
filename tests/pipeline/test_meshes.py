"""One mesh has one order; a file gives back what was written."""

from pathlib import Path

import numpy as np
import pytest
import trimesh
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pipeline.errors import InputError
from pipeline.meshes import canonical_mesh, is_watertight, keep_components, read_ply, write_ply


def sphere(subdivisions: int) -> tuple[np.ndarray, np.ndarray]:
    mesh = trimesh.creation.icosphere(subdivisions)
    return np.array(mesh.vertices, np.float32).astype(np.float64), np.array(mesh.faces, np.int32)


@st.composite
def small_meshes(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Vertices on a coarse grid, so that many coincide, signed zeros among them; any faces; one attribute."""
    count = draw(st.integers(3, 12))
    grid = st.sampled_from([-1.0, -0.0, 0.0, 1.0])
    vertices = draw(hnp.arrays(np.float64, (count, 3), elements=grid))
    faces = draw(hnp.arrays(np.int32, (draw(st.integers(0, 20)), 3), elements=st.integers(0, count - 1)))
    weight = draw(hnp.arrays(np.float32, count, elements=st.sampled_from([1.0, 2.0])))
    return vertices, faces, weight, draw(st.integers(0, 2**31))


def shuffled(
    vertices: np.ndarray, faces: np.ndarray, weight: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same mesh with vertices and faces permuted and every face rolled by a random step."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(vertices))
    faces = np.argsort(order)[faces][rng.permutation(len(faces))]
    rolled = (np.arange(3) + rng.integers(0, 3, (len(faces), 1))) % 3
    return vertices[order], np.take_along_axis(faces, rolled, axis=1), weight[order]


@given(mesh=small_meshes())
def test_any_permutation_of_a_mesh_gives_the_same_bytes(
    mesh: tuple[np.ndarray, np.ndarray, np.ndarray, int],
) -> None:
    *arrays, seed = mesh
    one, other = canonical_mesh(*arrays), canonical_mesh(*shuffled(*arrays, seed))
    assert [array.tobytes() for array in one] == [array.tobytes() for array in other]


@given(mesh=small_meshes())
def test_the_canonical_order_keeps_every_real_triangle_and_its_winding(
    mesh: tuple[np.ndarray, np.ndarray, np.ndarray, int],
) -> None:
    vertices, faces, weight, _ = mesh

    def triangles(vertices: np.ndarray, faces: np.ndarray, weight: np.ndarray) -> set[tuple]:
        table = [(*place, w) for place, w in zip((vertices + 0.0).tolist(), weight.tolist(), strict=True)]
        found = set()
        for face in faces.tolist():
            corners = [table[index] for index in face]
            if len({corner[:3] for corner in corners}) == 3:
                start = corners.index(min(corners))
                found.add(tuple(corners[start:] + corners[:start]))
        return found

    canonical = canonical_mesh(vertices, faces, weight)
    assert triangles(*canonical) == triangles(vertices, faces, weight)
    assert len(canonical[1]) == len(triangles(vertices, faces, weight))
    assert set(np.unique(canonical[1])) == set(range(len(canonical[0])))  # none unused


def test_canonical_order_is_sorted_and_of_the_stored_types() -> None:
    vertices, faces, weight = canonical_mesh(*sphere(2), np.arange(162, dtype=np.float32))
    assert (vertices.dtype, faces.dtype, weight.dtype) == (np.float64, np.int32, np.float32)
    assert vertices.tolist() == sorted(vertices.tolist())
    assert faces.tolist() == sorted(faces.tolist())
    assert (faces[:, 0] == faces.min(axis=1)).all()


def test_attributes_travel_with_their_vertices() -> None:
    vertices, faces = sphere(2)
    moved, _, copied, first = canonical_mesh(vertices, faces, vertices, vertices[:, 0])
    assert np.array_equal(moved, copied)
    assert np.array_equal(moved[:, 0], first)


def test_needle_faces_between_coincident_vertices_leave_no_hole() -> None:
    vertices, faces = sphere(2)
    # Split one vertex in two and join the two by needles, as marching cubes does at a distance of exactly 0.
    split = len(vertices)
    around = np.flatnonzero((faces == 0).any(axis=1))
    faces = faces.copy()
    first = faces[around[0]]
    corner = int(np.flatnonzero(first == 0)[0])
    faces[around[0], corner] = split
    before, after = first[(corner + 2) % 3], first[(corner + 1) % 3]
    needles = np.array([[0, split, before], [split, 0, after]], np.int32)
    vertices, faces = np.vstack([vertices, vertices[:1]]), np.vstack([faces, needles])
    assert is_watertight(vertices, faces)
    canonical = canonical_mesh(vertices, faces)
    assert is_watertight(*canonical)
    assert len(canonical[1]) == 320


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_vertex_that_is_not_finite_has_no_place_in_an_order(bad: float) -> None:
    vertices, faces = sphere(1)
    vertices[3, 1] = bad
    with pytest.raises(ValueError, match="vertices must be finite, holds 1 values"):
        canonical_mesh(vertices, faces)
    with pytest.raises(ValueError, match="attribute 0 must be finite"):
        canonical_mesh(*sphere(1), vertices[:, 1])


def test_an_empty_mesh_stays_empty() -> None:
    vertices, faces = canonical_mesh(np.zeros((4, 3)), np.zeros((0, 3), np.int32))
    assert (vertices.shape, faces.shape) == ((0, 3), (0, 3))


def test_small_parts_go_and_large_ones_stay_as_they_were() -> None:
    (v_large, f_large), (v_small, f_small) = sphere(2), sphere(0)
    vertices = np.vstack([v_small, v_large + 3])
    faces = np.vstack([f_small, f_large + len(v_small)])
    weight = np.arange(len(vertices))
    kept_vertices, kept_faces, kept_weight = keep_components(vertices, faces, weight, min_faces=21)
    assert np.array_equal(kept_vertices, v_large + 3)
    assert np.array_equal(kept_faces, f_large)
    assert np.array_equal(kept_weight, weight[len(v_small) :])
    assert len(keep_components(vertices, faces, min_faces=20)[1]) == len(faces)
    assert keep_components(vertices, faces, min_faces=321)[0].shape == (0, 3)


def test_a_closed_sphere_is_watertight_and_one_with_a_face_less_or_turned_is_not() -> None:
    vertices, faces = sphere(1)
    assert is_watertight(vertices, faces)
    assert not is_watertight(vertices, faces[1:])
    turned = faces.copy()
    turned[0] = turned[0, ::-1]
    assert not is_watertight(vertices, turned)


def test_a_ply_gives_back_float32_vertices_faces_and_attributes_exactly(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    vertices, faces = sphere(2)
    faces = faces[rng.permutation(len(faces))]  # read in the file's order, not in some other
    attributes = {
        "weight": rng.random(len(vertices)).astype(np.float32),
        "part": np.arange(len(vertices), dtype=np.int32),
    }
    write_ply(tmp_path / "one.ply", vertices, faces, attributes)
    write_ply(tmp_path / "two.ply", vertices, faces, attributes)
    assert (tmp_path / "one.ply").read_bytes() == (tmp_path / "two.ply").read_bytes()
    read_vertices, read_faces, read_attributes = read_ply(tmp_path / "one.ply")
    assert read_vertices.dtype == np.float64
    assert np.array_equal(read_vertices, vertices)
    assert np.array_equal(read_faces, faces)
    assert {name: values.dtype for name, values in read_attributes.items()} == {"weight": "f4", "part": "i4"}
    for name, values in attributes.items():
        assert np.array_equal(read_attributes[name], values)


def test_vertices_beyond_float32_come_back_rounded(tmp_path: Path) -> None:
    vertices, faces = sphere(1)
    vertices = vertices / 3
    write_ply(tmp_path / "mesh.ply", vertices, faces, {})
    assert np.array_equal(read_ply(tmp_path / "mesh.ply")[0], vertices.astype(np.float32))


POINTS = (
    b"ply\nformat ascii 1.0\nelement vertex 1\n"
    b"property float x\nproperty float y\nproperty float z\nend_header\n0 0 0\n"
)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "unreadable-mesh"),
        (b"solid cube", "unreadable-mesh"),
        (POINTS, "no-faces"),
        (None, "unreadable-mesh"),
    ],
)
def test_a_file_without_triangles_is_an_input_error(
    tmp_path: Path, content: bytes | None, reason: str
) -> None:
    path = tmp_path / "mesh.ply"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"mesh\.ply: must") as caught:
        read_ply(path)
    assert caught.value.reason == reason


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_ply_cut_short_is_an_input_error(tmp_path: Path, share: float) -> None:
    path = tmp_path / "mesh.ply"
    write_ply(path, *sphere(2), {})
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(InputError, match="must be a whole PLY file"):
        read_ply(path)
