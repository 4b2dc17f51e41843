"""The stage `normals` fits the surface that the manifest names."""

import numpy as np
import pytest
from pydantic import ValidationError

from pipeline.normals import normals_from_depth
from pipeline.target_settings import NormalsSettings
from tasks.normals import _normals

K = np.array([[60.0, 0, 15.5], [0, 60.0, 15.5], [0, 0, 1]])


@pytest.mark.parametrize("model", ["plane", "quadric"])
def test_the_setting_chooses_the_surface(model):
    v, u = np.indices((32, 32))
    depth_m = (1 + 0.0005 * (u - 12) ** 2 + 0.0003 * (v - 20) ** 2).astype(np.float32)
    row = {"frame": 3, "depth_m": depth_m, "mask": depth_m < 1.2, "K": K}
    sample, counts = _normals(row, NormalsSettings(model=model, window_px=5, max_step_m=0.1))
    fits = {
        name: normals_from_depth(depth_m, row["mask"], K, window_px=5, max_step_m=0.1, model=name)
        for name in ("plane", "quadric")
    }
    np.testing.assert_array_equal(sample["normal"], fits[model][0])
    np.testing.assert_array_equal(sample["normal_residual_m"], fits[model][1])
    assert np.abs(fits["plane"][0] - fits["quadric"][0]).max() > 0.01
    assert counts["fitted"] == np.count_nonzero(fits[model][0].any(axis=-1))


def test_the_paper_is_the_default_and_other_surfaces_are_refused():
    assert NormalsSettings().model == "plane"
    with pytest.raises(ValidationError, match="'plane' or 'quadric'"):
        NormalsSettings(model="cubic")
