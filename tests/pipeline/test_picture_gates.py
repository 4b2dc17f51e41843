"""Brightness of pictures in closed form."""

import numpy as np
import pytest

from pipeline.gates.pictures import exposure


def test_exposure_of_plain_pictures_is_known() -> None:
    white, black = np.full((40, 60, 3), 255, np.uint8), np.zeros((40, 60, 3), np.uint8)
    assert exposure(white) == (pytest.approx(1.0), 1.0)
    assert exposure(black) == (0.0, 0.0)
    # IEC 61966-2-1: 188 is half the light of white to a half per cent
    assert exposure(np.full((40, 60, 3), 188, np.uint8))[0] == pytest.approx(0.5, abs=0.005)


@pytest.mark.parametrize(("channel", "weight"), [(0, 0.2126), (1, 0.7152), (2, 0.0722)])
def test_each_channel_has_its_own_weight(channel: int, weight: float) -> None:
    image = np.zeros((40, 60, 3), np.uint8)
    image[..., channel] = 255
    assert exposure(image) == (pytest.approx(weight), 1.0)


def test_the_sample_is_as_good_as_the_picture() -> None:
    rng = np.random.default_rng(1)
    image = rng.integers(0, 256, (480, 640, 3)).astype(np.uint8)
    luminance, burnt = exposure(image)
    coded = image / 255.0
    linear = np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)
    # of 19200 independent pixels, a mean is known to 0.23 / 139 = 0.2 %; four of these
    assert luminance == pytest.approx(float((linear @ [0.2126, 0.7152, 0.0722]).mean()), abs=0.007)
    assert burnt == pytest.approx(float((image >= 254).any(axis=-1).mean()), abs=0.005)
