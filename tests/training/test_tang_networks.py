"""Skeleton-Net, Segmentation-Net, Normal-Net and the whole network: sizes, integrals, parts and over-fits."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from training.networks.normal_net import build_normal_net
from training.networks.refinement import Refinement, refine_depth
from training.networks.segmentation_net import build_segmentation_net, foreground, upsampled
from training.networks.skeleton_net import build_skeleton_net, integral_places
from training.networks.tang_net import (
    CUE_CHANNELS,
    build_tang_net,
    cue_maps,
    refined_depth,
)
from training.skeleton_targets import JointPlaces, joint_volumes, joints_at
from training.tang_losses import (
    normal_net_losses,
)

EIGHTH = {"width": 0.125}
SMALL = {**EIGHTH, "stacks": 2, "depth": 2}  # hourglasses for sides that are multiples of 16 px
WHOLE = {**SMALL, "levels": 3}
BUILDERS = {
    "skeleton": build_skeleton_net,
    "segmentation": build_segmentation_net,
    "normal": build_normal_net,
    "whole": build_tang_net,
}


def pictures(count: int, channels: int, size: int = 64) -> torch.Tensor:
    """Blots of noise that a network can tell apart; where there is a fourth channel, it is a mask."""
    torch.manual_seed(1)
    maps = torch.nn.functional.interpolate(torch.randn(count, channels, 8, 8), size=(size, size))
    if channels == 4:
        maps[:, 3] = 0
        maps[:, 3, size // 8 : -size // 8, size // 4 : -size // 4] = 1
    return maps


# sizes


@pytest.mark.parametrize(
    ("name", "options", "count"),
    [
        ("skeleton", {}, 6_783_904),
        ("segmentation", {}, 6_561_374),
        ("normal", {}, 4_133_635),
        ("normal", {"graph": "unet"}, 1_851_203),
        ("whole", {}, 26_915_477),
        ("whole", {"cues": "none"}, 24_914_709),
        ("whole", EIGHTH, 688_661),
    ],
)
def test_networks_have_the_stated_number_of_parameters(name, options, count):
    with torch.device("meta"):
        net = BUILDERS[name](options)
    assert sum(each.numel() for each in net.parameters()) == count


def test_the_cues_cost_depth_net_nothing_but_its_first_convolution():
    with torch.device("meta"):
        cued, bare = build_tang_net({}), build_tang_net({"cues": "none"})
    size = [sum(each.numel() for each in net.depth.parameters()) for net in (cued, bare)]
    assert size[0] - size[1] == 49 * 128 * (15 + 16 * 19)


def test_every_stack_answers_at_a_quarter_of_the_size():
    skeleton = build_skeleton_net(SMALL)(torch.randn(2, 3, 64, 96))
    assert [tuple(each.shape) for each in skeleton.volumes] == 2 * [(2, 16, 19, 16, 24)]
    segmentation = build_segmentation_net(SMALL)(torch.randn(2, 3, 64, 96))
    assert [tuple(each.shape) for each in segmentation.logits] == 2 * [(2, 15, 16, 24)]


def test_channels_of_volumes_are_joint_by_joint():
    net = build_skeleton_net(SMALL)
    last = net.hourglass.stacks[-1].answer
    torch.nn.init.zeros_(last.weight)
    with torch.no_grad():
        last.bias.copy_(torch.arange(304.0))
    volumes = net(torch.randn(1, 3, 16, 16)).volumes[-1]
    assert torch.equal(volumes[0, :, :, 0, 0], torch.arange(304.0).view(16, 19))


@pytest.mark.parametrize("graph", ["hourglass", "unet"])
def test_normals_are_unit_and_begin_by_facing_the_camera(graph):
    normal = build_normal_net({**EIGHTH, "graph": graph})(torch.randn(2, 4, 64, 128))
    assert normal.shape == (2, 3, 64, 128)
    assert torch.allclose(normal.norm(dim=1), torch.tensor(1.0), atol=1e-6)
    # The last weights are drawn with 0.01: 32 features of the order of one to three lean by a tenth or two.
    assert normal[:, 2].mean() < -0.98


def test_an_answer_of_length_zero_has_finite_gradients():
    net = build_normal_net(EIGHTH)
    torch.nn.init.zeros_(net.head[-1].weight)
    torch.nn.init.zeros_(net.head[-1].bias)
    normal = net(torch.randn(1, 4, 64, 64))
    truth = torch.zeros_like(normal)
    truth[:, 2] = -1
    normal_net_losses(normal, {"normal": truth, "normal_mask": torch.ones(1, 64, 64).bool()})[
        "normal"
    ].backward()
    assert all(each.grad.isfinite().all() for each in net.parameters() if each.grad is not None)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("skeleton", {"wdith": 0.5}, "skeleton-net: .* is 'wdith'. Did you mean 'width'"),
        ("segmentation", {"width": 0}, "hourglass: width must be above 0 and at most 1, is 0"),
        ("segmentation", {"stacks": 0}, "stacks and depth must be at least 1"),
        ("normal", {"width": 2.0}, "normal-net: width must be above 0 and at most 1, is 2"),
        ("normal", {"graph": "resnet"}, 'graph must be "hourglass" or "unet", is \'resnet\''),
        ("whole", {"cues": "all"}, 'cues must be "heat", "scores" or "none", is \'all\''),
        ("whole", {"normal_mask": "own"}, 'normal_mask must be "predicted" or "given", is \'own\''),
        ("whole", {"stacks": "2"}, "tang-net: stacks must be int, is '2'"),
    ],
)
def test_wrong_options_are_named(name, options, message):
    with pytest.raises(ValueError, match=message):
        BUILDERS[name](options)


# integrals and cues


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=10, deadline=None)
def test_the_integral_finds_a_joint_between_bins_within_a_millimetre(seed):
    rng = np.random.default_rng(seed)
    places = rng.uniform((0, 0, 0), (63, 63, 18), (16, 3)).astype(np.float32)
    found = JointPlaces(places=places, seen=np.ones(16, bool), clipped=np.zeros(16, bool))
    volumes = torch.from_numpy(joint_volumes(found)).clamp(min=1e-30).log()[None]
    # A network's scores have any offset, and single precision.
    integral = integral_places(volumes + 300)[0].numpy()
    depth_m = [joints_at(each, image_px=256)[1] for each in (integral, places)]
    assert np.abs(depth_m[0] - depth_m[1]).max() < 1e-3
    assert np.abs(integral - places)[:, :2].max() < 0.01  # voxels of 4 px


def test_a_sure_voxel_is_its_own_integral_and_an_even_volume_the_middle():
    volumes = torch.zeros(1, 2, 19, 8, 12)
    volumes[0, 1, 3, 5, 7] = 100
    assert torch.allclose(integral_places(volumes), torch.tensor([[[5.5, 3.5, 9.0], [7.0, 5.0, 3.0]]]))


def test_mixed_precision_integrates_in_float32():
    volumes = torch.randn(1, 16, 19, 8, 8).bfloat16()  # as a network's last layer leaves them there
    with torch.autocast("cpu", dtype=torch.bfloat16):
        places = integral_places(volumes)
    assert torch.equal(places, integral_places(volumes.float())) and places.dtype == torch.float32


def test_the_person_is_where_any_part_beats_the_background():
    logits = torch.zeros(1, 15, 4, 4)
    logits[0, 0] = 1.0
    logits[0, 9, 1:3, 1:3] = 5.0
    mask = foreground(logits, (16, 16))
    assert mask[0, 8, 8] and not mask[0, 0, 0] and not mask[0, 1, 14]
    # Centres of the two cells at 5.5 and 9.5 px; beyond, 5 falls to 0 over 4 px, to below 1 after 3.2.
    assert mask[0, 8].tolist() == [abs(column - 7.5) < 2 + 3.2 for column in range(16)]


def test_heat_has_probabilities_of_parts_and_a_peak_of_one_at_each_joint():
    volumes, logits = torch.randn(2, 16, 19, 8, 8), torch.randn(2, 15, 8, 8)
    heat = cue_maps(volumes, logits, "heat")
    assert heat.shape == (2, CUE_CHANNELS, 8, 8)
    assert torch.allclose(heat[:, :15].sum(dim=1), torch.tensor(1.0))
    joints = heat[:, 15:].unflatten(1, (16, 19))
    assert ((joints == 1).sum(dim=(2, 3, 4)) == 1).all() and joints.max() == 1
    scores = cue_maps(volumes, logits, "scores")
    assert torch.equal(scores[:, :15], logits) and torch.equal(scores[:, 15 + 19 + 2], volumes[:, 1, 2])


def test_maps_are_upsampled_about_pixel_centres():
    ramp = torch.arange(8.0).expand(1, 1, 8, 8)
    large = upsampled(ramp, (32, 32))[0, 0, 0]
    assert torch.allclose(large[2:-2], (torch.arange(2.0, 30.0) + 0.5) / 4 - 0.5)


# the whole


def whole(seed: int = 0, **options):
    torch.manual_seed(seed)
    return build_tang_net({**WHOLE, **options})


def test_depth_sees_joints_and_parts_as_cues_and_nothing_behind_the_person():
    inputs = pictures(1, 4)
    behind = torch.where(inputs[:, 3:] > 0, inputs, inputs + torch.tensor([1.0, 1, 1, 0]).view(1, 4, 1, 1))
    bare = whole(cues="none")
    assert torch.equal(bare(inputs).depth.composed_m, bare(behind).depth.composed_m)
    for cues in ("heat", "scores"):
        net = whole(cues=cues)
        before = net(inputs).depth.composed_m
        assert not torch.equal(before, net(behind).depth.composed_m)  # which the cues were found in
        for part in ("skeleton", "segmentation"):
            net = whole(cues=cues)
            torch.nn.init.normal_(net.get_submodule(part).hourglass.stacks[-1].answer.weight)
            assert not torch.equal(before, net(inputs).depth.composed_m)


def test_normals_see_the_predicted_mask_or_the_given_one():
    inputs = pictures(1, 4)
    other = inputs.clone()
    other[:, 3] = 1
    for mask, depends in (("predicted", False), ("given", True)):
        net = whole(normal_mask=mask)
        assert torch.equal(net(inputs).normal, net(other).normal) is not depends
    net = whole(normal_mask="predicted")
    before = net(inputs).normal
    with torch.no_grad():
        net.segmentation.hourglass.stacks[-1].answer.bias[0] = 9.0  # all is background
    assert not torch.equal(net(inputs).normal, before)


def test_parts_hold_every_parameter_and_frozen_cues_get_no_gradient():
    net, inputs = whole(), pictures(1, 4)
    held = [
        id(p)
        for part in ("skeleton", "segmentation", "depth", "normal")
        for p in net.get_submodule(part).parameters()
    ]
    assert sorted(held) == sorted(id(p) for p in net.parameters())
    for part in ("skeleton", "segmentation"):
        net.get_submodule(part).requires_grad_(False)
    output = net(inputs)
    (output.depth.composed_m.square().sum() + (output.normal[:, 0] + output.normal[:, 2]).sum()).backward()
    idle = {name.partition(".")[0] for name, p in net.named_parameters() if p.grad is None}
    assert idle == {"skeleton", "segmentation"}
    # The detail and base heads and the normals' pull on all that is theirs.
    assert [name for name, p in net.named_parameters() if p.grad is not None and not p.grad.any()] == []


def test_refined_depth_is_the_layers_and_relative_to_the_median_either_way():
    output = whole()(pictures(2, 4))
    mask, composed_m = output.mask, output.depth.composed_m
    along = refined_depth(output)
    assert torch.equal(along, refine_depth(composed_m, output.normal, mask)) and not along[~mask].any()
    K = torch.tensor([[277.0, 0, 31.5], [0, 277.0, 31.5], [0, 0, 1]]).expand(2, 3, 3)
    median_m = torch.tensor([2.0, 2.5])
    through = refined_depth(output, K=K, median_m=median_m, how=Refinement(iterations=2))
    expected = refine_depth(
        composed_m + median_m[:, None, None], output.normal, mask, K=K, how=Refinement(iterations=2)
    )
    assert torch.equal(through[mask], (expected - median_m[:, None, None])[mask]) and not through[~mask].any()
    # No lens is the code's 7.8 mm a pixel; at 2 m and 277 px it is 7.2 mm: slopes differ by a twelfth.
    assert not torch.equal(through, along) and through[mask].abs().max() < 0.1
