"""The compiled label loops against the plain arithmetic: the same bytes, and no row that is not there."""

import numpy as np
import pytest

from pipeline.bodies.atlas import surface_atlas
from pipeline.bodies.model import default_body
from pipeline.bodies.parts import surreal24, tang14
from pipeline.labels import body_labels, body_places

BODY = default_body()


def places(faces: int, dtype: type, shape: tuple[int, ...] = (40, 50)) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(7)
    face = rng.integers(-faces // 3, faces, shape).clip(-1).astype(np.int32)
    return face, rng.dirichlet([1, 1, 1], shape)[..., 1:].astype(dtype) * (face >= 0)[..., None]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_labels_have_the_bytes_of_the_atlas_and_of_the_part_maps(dtype):
    face, bary = places(len(BODY.faces), dtype)
    found = body_labels(face, bary, BODY)
    part, uv = surface_atlas(BODY).at(face, bary)
    seen = face >= 0
    expected = {
        "part14": np.where(seen, tang14(BODY)[face], np.uint8(0)),
        "part24": np.where(seen, surreal24(BODY)[face], np.uint8(0)),
        "surface_part": part,
        "surface_uv": uv,
    }
    assert list(found) == list(expected) and 0.2 < seen.mean() < 0.9
    for name, values in expected.items():
        assert found[name].dtype == values.dtype
        np.testing.assert_array_equal(found[name], values)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_places_below_have_the_bytes_of_the_sum_over_corners(dtype):
    rng = np.random.default_rng(8)
    count = 300
    body_face = rng.integers(0, len(BODY.faces), count).astype(np.int32)
    body_bary = rng.dirichlet([1, 1, 1], (count, 3)).astype(np.float32)
    face, bary = places(count, dtype)
    below, where = body_places(face, bary, body_face=body_face, body_bary=body_bary)
    seen = face >= 0
    second, third = np.moveaxis(bary.astype(np.float64), -1, 0)
    weights = np.stack([1.0 - second - third, second, third], axis=-1)
    expected = np.einsum("...c,...cb->...b", weights, body_bary[face].astype(np.float64))[..., 1:]
    np.testing.assert_array_equal(below, np.where(seen, body_face[face], -1))
    np.testing.assert_array_equal(where, np.where(seen[..., None], expected, 0))


def test_views_with_gaps_and_other_orders_are_read_as_they_stand():
    face, bary = places(len(BODY.faces), np.float32)
    turned = body_labels(face.T[::2], bary.transpose(1, 0, 2)[::2], BODY)
    whole = body_labels(face, bary, BODY)
    np.testing.assert_array_equal(turned["surface_uv"], whole["surface_uv"].transpose(1, 0, 2)[::2])
    np.testing.assert_array_equal(turned["part14"], whole["part14"].T[::2])


def test_a_face_that_is_not_there_is_refused():
    face, bary = np.array([[0, len(BODY.faces)]], np.int32), np.zeros((1, 2, 2))
    with pytest.raises(ValueError, match=f"below {len(BODY.faces)} and .* up to {len(BODY.faces)}"):
        body_labels(face, bary, BODY)
    with pytest.raises(ValueError, match="below 1 "):
        body_places(face, bary, body_face=np.zeros(1, np.int32), body_bary=np.zeros((1, 3, 3)))
    with pytest.raises(ValueError, match="below 1 "):
        body_places(face, bary, body_face=np.zeros(9**6, np.int32), body_bary=np.zeros((1, 3, 3)))
    with pytest.raises(ValueError, match=r"weights \(..., 2\), are \(1, 1\)"):
        body_labels(face[:, :1], bary, BODY)
    assert body_labels(face[:0], bary[:0], BODY)["surface_uv"].shape == (0, 2, 2)
