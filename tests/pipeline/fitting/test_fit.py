"""Fits of simulated bodies with known truth, what bad input gives, and the laws that hold for any fit."""

import importlib.util
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from pipeline.bodies.joints import BODY25
from pipeline.bodies.model import Body, default_body
from pipeline.bodies.motions import motion
from pipeline.bodies.npz_file import write_npz
from pipeline.bodies.proportions import proportions_of
from pipeline.cameras import invert_rigid, transform
from pipeline.errors import InputError
from pipeline.fitting.acceptance import AcceptSettings, Judged, fit_and_judge
from pipeline.fitting.clip import SmoothSettings, fit_clip
from pipeline.fitting.fit import FitSettings, Tables, batch_of, fit_frames, make_tables, stage_terms
from pipeline.fitting.kinematics import Unknowns, chain_of
from pipeline.fitting.objective import objective_of
from pipeline.fitting.observed import Observed
from pipeline.fitting.placing import in_world
from pipeline.fitting.priors import add_group, default_prior, group_tables, read_prior
from pipeline.fitting.solver import descend

BODIES = 8


def _benchmark() -> ModuleType:
    path = Path(__file__).parents[2] / "benchmarks" / "targets_fitting.py"
    spec = importlib.util.spec_from_file_location("targets_fitting", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules["targets_fitting"] = module
    spec.loader.exec_module(module)
    return module


bench = _benchmark()


@pytest.fixture(scope="module")
def tables() -> Tables:
    torch.set_num_threads(1)
    return make_tables(default_body(), default_prior(), BODY25, FitSettings(hip_weight=1.0))


@pytest.fixture(scope="module")
def truth():
    return bench.draw_truth(11, BODIES)


@pytest.fixture(scope="module")
def seen(truth) -> Observed:
    return bench.observe(truth, BODY25, depth=True, seed=11)


@pytest.fixture(scope="module")
def judged(seen: Observed, tables: Tables) -> Judged:
    return _judge(seen, tables)


def _judge(observed: Observed, tables: Tables) -> Judged:
    settings = bench.settings_for(observed)
    return fit_and_judge(observed, default_body(), tables, settings=settings, limits=AcceptSettings())


def test_bodies_seen_with_depth_are_found_where_they_are(truth, judged: Judged) -> None:
    errors = bench.errors_mm(judged.fits, truth)
    assert judged.accepted.all(), judged.findings
    assert errors["MPJPE"].mean() < 25.0 and errors["absolute PVE"].mean() < 30.0
    # Noise of 4 mm and a tenth as many points as a picture has: the median lies within 4 mm.
    assert (judged.depth_m < 0.004).all() and (judged.depth_m >= 0).all()
    # 0.75 px of noise in either direction.
    assert (judged.landmark_px < 1.5 * 0.75 * np.sqrt(2)).all()


def test_no_depth_still_gives_bodies_on_their_landmarks(truth, tables: Tables) -> None:
    observed = bench.observe(truth, BODY25, depth=False, seed=11)
    judged = _judge(observed, tables)
    assert judged.accepted.all() and (judged.depth_m == -1.0).all()
    assert bench.errors_mm(judged.fits, truth)["MPJPE"].mean() < 60.0  # eight bodies: one wrong leg is 15 mm
    assert (judged.landmark_px < 1.5 * 3.0 * np.sqrt(2)).all()


def test_exchanged_sides_are_found_out(seen: Observed, tables: Tables) -> None:
    exchanged = replace(seen, joints_px=seen.joints_px[:, list(BODY25.flip)])
    judged = _judge(exchanged, tables)
    assert not judged.accepted.any()
    assert {finding.reason for finding in judged.findings} >= {"landmarks-mirrored"}
    assert _finite(judged)


def test_landmarks_of_somebody_else_are_found_out(seen: Observed, tables: Tables) -> None:
    judged = _judge(replace(seen, joints_px=np.roll(seen.joints_px, 1, axis=0)), tables)
    assert not judged.accepted.any()
    assert _finite(judged)
    for finding in judged.findings:
        assert finding.value is not None and finding.limit is not None and "must keep to" in finding.message


def test_bad_landmarks_give_a_reason_and_leave_the_others_as_they_were(
    seen: Observed, tables: Tables, judged: Judged
) -> None:
    joints_px, confidence = seen.joints_px.copy(), seen.confidence.copy()
    confidence[0] = 0.0
    joints_px[1] = [100.0, 100.0]  # a person of one pixel
    joints_px[2, 3] = np.nan
    confidence[3, 5] = np.nan
    mine = _judge(replace(seen, joints_px=joints_px, confidence=confidence), tables)
    reasons = {finding.frame: finding.reason for finding in mine.findings}
    assert reasons == {
        0: "low-confidence",
        1: "person-too-small",
        2: "landmarks-malformed",
        3: "landmarks-malformed",
    }
    assert mine.accepted.tolist() == [False] * 4 + [True] * 4
    assert _finite(mine) and (mine.landmark_px[:4] == -1.0).all()
    # A batch of other size may round differently; single precision moves a body by microns.
    assert np.abs(mine.fits.transl_m[4:] - judged.fits.transl_m[4:]).max() < 2e-3


def test_nan_where_the_confidence_is_zero_changes_nothing(seen: Observed, tables: Tables) -> None:
    part = seen.rows(slice(0, 2))
    confidence = part.confidence.copy()
    confidence[:, 0] = 0.0
    poisoned_px = part.joints_px.copy()
    poisoned_px[:, 0] = np.nan
    clean, poisoned = (
        _judge(replace(part, joints_px=px, confidence=confidence), tables)
        for px in (part.joints_px, poisoned_px)
    )
    assert np.array_equal(clean.fits.pose_rad, poisoned.fits.pose_rad)
    assert poisoned.accepted.all()


def test_depth_of_nan_or_nothing_leaves_a_fit_from_landmarks(seen: Observed, tables: Tables) -> None:
    assert seen.depth_m is not None and seen.mask is not None
    part = seen.rows(slice(0, 2))
    depth_m, mask = seen.depth_m[:2].copy(), seen.mask[:2].copy()
    depth_m[0], mask[1] = np.nan, False
    judged = _judge(replace(part, depth_m=depth_m, mask=mask), tables)
    assert _finite(judged) and (judged.depth_m == -1.0).all()
    assert (judged.landmark_px >= 0).all()


def test_shapes_and_cameras_that_do_not_fit_are_named(seen: Observed, tables: Tables) -> None:
    with pytest.raises(ValueError, match="joints_px must be"):
        fit_frames(replace(seen, joints_px=seen.joints_px[:, 1:]), tables, FitSettings())
    with pytest.raises(ValueError, match="focal lengths above 0"):
        fit_frames(replace(seen, K=-seen.K), tables, FitSettings())
    with pytest.raises(ValueError, match="must stand together"):
        fit_frames(replace(seen, mask=None), tables, FitSettings())


def test_energies_normal_equations_have_its_slope(seen: Observed, tables: Tables, judged: Judged) -> None:
    fits = judged.fits
    like = torch.zeros((), dtype=torch.float64)
    at = Unknowns(pose_rad=like.new_tensor(fits.pose_rad), betas=like.new_tensor(fits.betas),
                  transl_m=like.new_tensor(fits.transl_m))  # fmt: skip
    up_cam = like.new_tensor([[0.0, -1.0, 0.0]]).expand(BODIES, 3)

    def normal(bodies: Unknowns, index: int) -> tuple[torch.Tensor, ...]:
        group = group_tables(default_prior().groups[index], 0.15, like)
        out = (torch.zeros(BODIES, 85, 85).double(), torch.zeros(BODIES, 85).double())
        turn = chain_of(skeleton, bodies).turns[:, 0]
        return add_group(group, bodies, up_cam, turn, out), out[1]

    from pipeline.fitting.kinematics import skeleton_of

    skeleton = skeleton_of(default_body(), torch.float64)
    step = 1e-6 * torch.randn(BODIES, 85, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for index in range(3):
        slope = (normal(at.moved(step), index)[0] - normal(at.moved(-step), index)[0]) / 2
        assert torch.allclose(slope, 2 * (normal(at, index)[1] * step).sum(1), rtol=1e-5, atol=1e-9)


def test_descent_never_climbs(seen: Observed, tables: Tables) -> None:
    settings = bench.settings_for(seen)
    batch = batch_of(seen, tables, settings)
    objective = objective_of(stage_terms(batch, torch.arange(BODIES), tables, settings, stage=2))
    start = Unknowns(
        pose_rad=torch.randn(BODIES, 24, 3, generator=torch.Generator().manual_seed(3)),
        betas=torch.zeros(BODIES, 10),
        transl_m=torch.tensor([[0.0, 0.0, 3.0]]).repeat(BODIES, 1),
    )
    energies = [objective(start)[0]]
    for steps in (1, 4):
        energies.append(descend(objective, start, steps=steps)[1])
    assert (energies[1] <= energies[0]).all() and (energies[2] <= energies[1]).all()
    assert (energies[2] < energies[0]).all()


def test_a_step_that_climbs_is_taken_back() -> None:
    def too_flat(at: Unknowns) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        # x^2 with a tenth of its curvature: full steps overshoot by far.
        gradient = torch.cat([at.pose_rad.reshape(1, -1), at.betas, at.transl_m], 1)
        return gradient.square().sum(1), 0.1 * torch.eye(85)[None], gradient

    start = Unknowns(
        pose_rad=torch.full((1, 24, 3), 0.3), betas=torch.full((1, 10), 0.3), transl_m=torch.zeros(1, 3)
    )
    energies = [too_flat(start)[0].item()]
    for steps in range(1, 8):
        at, energy = descend(too_flat, start, steps=steps)
        assert energy.item() == too_flat(at)[0].item()
        energies.append(energy.item())
    assert (np.diff(energies) <= 0).all() and energies[-1] < 0.5 * energies[0]


def test_a_far_example_of_the_prior_starts_where_it_stands(tables: Tables) -> None:
    from pipeline.fitting.camera_start import start_fits
    from pipeline.fitting.kinematics import place_points

    example, yaw, root_m = 700, 5, torch.tensor([0.8, -0.4, 15.0])
    pose_rad = tables.views.pose_rad[example : example + 1].clone()
    standing = Unknowns(pose_rad=pose_rad, betas=torch.zeros(1, 10), transl_m=-tables.skeleton.offset_m[:1])
    body_m = place_points(
        tables.points, tables.skeleton, chain_of(tables.skeleton, standing), standing.betas
    )[0]
    seen_m = body_m @ tables.views.turns[yaw].T + root_m
    starts = start_fits(
        tables.views, tables.skeleton, seen_m[..., :2] / seen_m[..., 2:], torch.ones(1, 25),
        up_cam=torch.tensor([[0.0, -1.0, 0.0]]), starts=24,
    )  # fmt: skip
    assert torch.equal(starts.pose_rad[yaw, 1:], pose_rad[0, 1:])
    found_m = starts.transl_m[yaw] + tables.skeleton.offset_m[0]
    # At 15 m perspective bends a body 0.5 m deep by a thirtieth.
    assert (found_m - root_m).abs().max() < 0.25 and (found_m - root_m)[:2].abs().max() < 0.03


def test_a_body_in_the_world_is_the_body_in_the_camera(judged: Judged) -> None:
    from scipy.spatial.transform import Rotation

    arrays, shift_m = default_body().arrays, np.float32([0.1, 0.9, -0.2])
    # Not every body has its root at the origin.
    body = Body(replace(arrays, template_m=arrays.template_m + shift_m, joints_m=arrays.joints_m + shift_m))
    world_from_cam = np.tile(np.eye(4), (BODIES, 1, 1))
    world_from_cam[:, :3, :3] = Rotation.random(BODIES, random_state=1).as_matrix()
    world_from_cam[:, :3, 3] = np.random.default_rng(0).normal(size=(BODIES, 3))
    placed = in_world(judged.fits, body, world_from_cam)
    in_cam = body.posed(judged.fits.pose_rad, judged.fits.betas, judged.fits.transl_m).vertices_m
    found = body.posed(placed.pose_rad, placed.betas, placed.transl_m).vertices_m
    for row in range(BODIES):
        back_m = transform(invert_rigid(world_from_cam[row]), found[row])
        assert np.abs(back_m - in_cam[row]).max() < 1e-6  # the arrays are float32


def test_a_clip_is_smoother_and_nearer_than_its_frames(tables: Tables) -> None:
    from scipy.spatial.transform import Rotation

    body, betas = default_body(), np.zeros(10)
    walk = motion("walk", np.random.default_rng(0), proportions_of(body, betas), seconds=0.8, fps=30)
    count = len(walk.pose_rad)
    view = Rotation.from_rotvec([np.pi, 0, 0]) * Rotation.from_rotvec([0, 0.7, 0])
    pose_rad = walk.pose_rad.copy()
    pose_rad[:, 0] = (view * Rotation.from_rotvec(pose_rad[:, 0])).as_rotvec()
    root_m = body.arrays.joints_m[0]
    transl_m = view.apply(walk.transl_m + root_m) - root_m
    transl_m += [0, 0, 3.4] - transl_m.mean(0)
    true = bench.posed_truth(pose_rad, np.tile(betas, (count, 1)), transl_m)
    observed = bench.observe(true, BODY25, depth=False, seed=5)
    settings = replace(bench.settings_for(observed), starts=8, kept=2)
    single = fit_frames(observed, tables, settings)
    clip = fit_clip(observed, single, tables, settings=settings, smooth=SmoothSettings())

    def jitter_mm(fits) -> float:
        joints_m = body.posed(fits.pose_rad, fits.betas, fits.transl_m).joints_m
        return float(1e3 * np.linalg.norm(np.diff(joints_m - true.joints_m, 2, axis=0), axis=2).mean())

    assert bench.errors_mm(clip, true)["MPJPE"].mean() < bench.errors_mm(single, true)["MPJPE"].mean()
    assert jitter_mm(clip) < 0.2 * jitter_mm(single)
    assert np.abs(clip.betas - clip.betas[0]).max() < 1e-5  # one person: one shape
    with pytest.raises(ValueError, match="3 frames or more"):
        fit_clip(observed.rows(slice(2)), replace(single, betas=single.betas[:2]), tables,
                 settings=settings, smooth=SmoothSettings())  # fmt: skip


def test_a_mixture_over_all_joints_can_be_given(tmp_path: Path) -> None:
    path = tmp_path / "gmm.npz"
    means, covars = np.zeros((2, 69)), np.tile(0.1 * np.eye(69), (2, 1, 1))
    write_npz(path, {"weights": np.array([0.5, 0.5]), "means": means, "covars": covars})
    prior = read_prior(path)
    assert len(prior.groups) == 1 and not prior.groups[0].tilted and prior.examples_rad.shape == (2, 24, 3)
    write_npz(path, {"weights": np.array([0.5, 0.5]), "means": means, "covars": -covars})
    with pytest.raises(InputError, match="must hold weights"):
        read_prior(path)
    with pytest.raises(InputError, match="readable"):
        read_prior(tmp_path / "none.npz")


@pytest.mark.slow
def test_the_whole_set_keeps_to_its_targets() -> None:
    missed = [row for row in bench.rows() if row["holds"] is False and row["unit"] == "mm"]
    assert not missed


def _finite(judged: Judged) -> bool:
    fits = judged.fits
    arrays = (fits.pose_rad, fits.betas, fits.transl_m, fits.energy, judged.landmark_px, judged.depth_m)
    return all(np.isfinite(array).all() for array in arrays)
