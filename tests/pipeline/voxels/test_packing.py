import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from pipeline.voxels.packing import pack, packed_iou, unpack


@given(st.integers(0, 1000), st.integers(1, 33))
@settings(max_examples=30, deadline=None)
def test_unpacking_gives_back_what_was_packed(seed, depth):
    volume = np.random.default_rng(seed).random((2, 3, 4, depth)) < 0.4
    packed = pack(volume)
    assert packed.shape == (2, 3, 4, -(-depth // 8)) and packed.dtype == np.uint8
    again = unpack(packed, depth)
    assert again.dtype == np.bool_
    assert_array_equal(again, volume)


def test_first_voxel_is_the_highest_bit_of_the_first_byte():
    volume = np.zeros((1, 1, 10), bool)
    volume[..., [0, 6, 9]] = True
    assert pack(volume).tolist() == [[[0b10000010, 0b01000000]]]


@given(st.integers(0, 1000), st.integers(1, 20))
@settings(max_examples=30, deadline=None)
def test_packed_iou_is_the_iou_of_the_volumes(seed, depth):
    a, b = np.random.default_rng(seed).random((2, 3, 4, 5, depth)) < 0.3
    both, either = ((op(a, b)).sum(axis=(1, 2, 3)) for op in (np.logical_and, np.logical_or))
    expected = np.where(either, both / np.maximum(either, 1), 1)
    np.testing.assert_allclose(packed_iou(pack(a), pack(b)), expected, rtol=1e-15)


def test_two_empty_volumes_agree_and_one_empty_does_not():
    empty, full = pack(np.zeros((4, 4, 9), bool)), pack(np.ones((4, 4, 9), bool))
    assert packed_iou(empty, empty) == 1.0
    assert packed_iou(empty, full) == 0.0
    assert packed_iou(full, full) == 1.0


def test_wrong_depth_and_unequal_shapes_are_refused():
    packed = pack(np.zeros((4, 4, 16), bool))
    for depth in (8, 17):
        with pytest.raises(ValueError, match="bytes along z"):
            unpack(packed, depth)
    with pytest.raises(ValueError, match="uint8"):
        unpack(packed.astype(np.int16), 16)
    with pytest.raises(ValueError, match="one shape"):
        packed_iou(packed, packed[..., :1])
