"""Blocks, bins and hourglass: sizes, starts, and what reads and trains what."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from training.networks.bins import bin_centres_m, soft_argmax_m
from training.networks.blocks import (
    Residual,
    conv_unit,
    deconv_unit,
    initialise,
    normalisation,
    scaled,
    upsample_2x,
)
from training.networks.hourglass import StackedHourglass

# blocks


@given(channels=st.integers(1, 2048), width=st.floats(0.001, 1))
def test_scaled_widths_are_the_nearest_multiple_of_eight(channels, width):
    count = scaled(channels, width)
    assert count % 8 == 0 and count >= 8
    assert abs(count - channels * width) <= 4 or count == 8
    assert scaled(8 * channels, 1.0) == 8 * channels


@given(channels=st.integers(1, 2048))
def test_groups_part_the_channels_evenly_and_are_neither_many_nor_small(channels):
    groups = normalisation(channels, "group").num_groups
    assert channels % groups == 0 and groups <= 32
    assert groups == 1 or channels // groups >= 8


def test_wrong_choices_are_refused():
    with pytest.raises(ValueError, match='norm must be "group" or "batch", is \'layer\''):
        normalisation(8, "layer")
    with pytest.raises(ValueError, match='upsampling must be "nearest" or "bilinear"'):
        upsample_2x(torch.zeros(1, 1, 2, 2), "cubic")
    with pytest.raises(ValueError, match="even kernel must equal the stride, is 4 with stride 2"):
        conv_unit(4, 4, kernel=4, stride=2, norm="group")
    with pytest.raises(ValueError, match='bins must be "paper" or "code"'):
        bin_centres_m("uniform")


@pytest.mark.parametrize(
    ("kernel", "stride", "size"), [(7, 2, 8), (2, 2, 8), (3, 1, 16), (1, 1, 16), (3, 2, 8)]
)
def test_a_convolution_unit_divides_the_size_by_its_stride(kernel, stride, size):
    unit = conv_unit(3, 8, kernel=kernel, stride=stride, norm="group")
    assert unit(torch.randn(2, 3, 16, 16)).shape == (2, 8, size, size)


def test_a_transposed_unit_doubles_the_size():
    assert deconv_unit(3, 8, norm="batch")(torch.randn(2, 3, 5, 6)).shape == (2, 8, 10, 12)


def test_bilinear_upsampling_keeps_pixel_centres_and_nearest_repeats():
    ramp = torch.arange(6.0).expand(1, 1, 6, 6)
    # A resize by s puts the old pixel u at (u + 0.5) s - 0.5.
    expected = (torch.arange(12.0) + 0.5) / 2 - 0.5
    assert torch.allclose(upsample_2x(ramp, "bilinear")[0, 0, 3], expected.clamp(0, 5))
    assert torch.equal(upsample_2x(ramp, "nearest")[0, 0, 3], torch.arange(6.0).repeat_interleave(2))


def test_a_residual_block_whose_branch_gives_nothing_is_its_shortcut():
    features = torch.randn(2, 16, 4, 4)
    for out_channels in (16, 24):
        block = Residual(16, out_channels, norm="group")
        nn.init.zeros_(block.branch[-1].weight)
        nn.init.zeros_(block.branch[-1].bias)
        before = features.clone()
        result = block(features)
        assert torch.equal(result, block.shortcut(features))
        assert torch.equal(features, before), "the block works on a copy, not in place"
    assert isinstance(Residual(16, 16, norm="group").shortcut, nn.Identity)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(128, 256, 1),
        nn.Conv2d(64, 64, 3),
        nn.Conv2d(64, 64, 2, stride=2, bias=False),
        nn.Conv2d(128, 128, 3, groups=2),
        nn.ConvTranspose2d(64, 128, 2, stride=2),
        nn.ConvTranspose2d(32, 64, 4, stride=2, padding=1),
    ],
    ids=str,
)
def test_initial_weights_keep_the_size_of_rectified_signals(layer):
    torch.manual_seed(0)
    initialise(layer)
    rectified = F.relu(torch.randn(4, layer.in_channels, 24, 24))
    inner = layer(rectified)[..., 2:-2, 2:-2]
    # The mean square depends on the drawn weights: at least 8,000 of them, so within some per cent.
    assert inner.square().mean().item() == pytest.approx(1, rel=0.1)


# bins


def test_the_papers_bins_span_the_range_evenly_and_the_codes_lie_where_its_code_has_them():
    paper, code = bin_centres_m("paper"), bin_centres_m("code")
    assert len(paper) == 19 and paper[9] == 0
    assert paper[0].item() == pytest.approx(-0.6) and paper[-1].item() == pytest.approx(0.6)
    assert torch.allclose(paper.diff(), torch.tensor(1.2 / 18), atol=1e-7)
    assert len(code) == 20
    assert code[0].item() == pytest.approx(-0.54) and code[-1].item() == pytest.approx(0.6)


@pytest.mark.parametrize("rule", ["paper", "code"])
@settings(max_examples=60, deadline=None)
@given(share=st.floats(0, 1))
def test_every_depth_of_the_range_is_a_mixture_of_two_bins_and_comes_back(rule, share):
    centres_m = bin_centres_m(rule)
    depth_m = centres_m[0] + share * (centres_m[-1] - centres_m[0])
    high = int(torch.searchsorted(centres_m, depth_m).clamp(1, len(centres_m) - 1))
    weight = ((depth_m - centres_m[high - 1]) / (centres_m[high] - centres_m[high - 1])).clamp(0, 1)
    probability = torch.zeros(len(centres_m))
    probability[high - 1], probability[high] = 1 - weight, weight
    logits = probability.log().clamp(min=-80)  # softmax(log p) = p
    found_m = soft_argmax_m(logits.view(1, -1, 1, 1), centres_m)
    assert abs(found_m.item() - depth_m.item()) < 1e-6  # float32 at 0.6 m


def test_equal_scores_are_the_mean_bin_and_an_added_constant_changes_nothing():
    centres_m = bin_centres_m("paper")
    logits = torch.randn(2, 19, 3, 4, generator=torch.Generator().manual_seed(0)) * 4
    assert soft_argmax_m(torch.zeros(1, 19, 2, 2), centres_m).abs().max() < 1e-7
    assert torch.allclose(soft_argmax_m(logits + 7, centres_m), soft_argmax_m(logits, centres_m), atol=1e-6)
    assert soft_argmax_m(logits, centres_m).abs().max() < 0.6


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_scores_still_give_metres_in_float32(dtype):
    logits = torch.randn(1, 19, 8, 8, generator=torch.Generator().manual_seed(0)).to(dtype)
    found_m = soft_argmax_m(logits, bin_centres_m("paper"))
    assert found_m.dtype == torch.float32
    # The very same scores in double: only the arithmetic may differ, not the range of half precision.
    exact_m = soft_argmax_m(logits.double(), bin_centres_m("paper").double())
    assert (found_m - exact_m).abs().max() < 1e-6


# hourglass


def test_a_stack_gives_one_answer_each_at_a_quarter_of_the_size():
    net = StackedHourglass(4, 5, stacks=3, depth=2, channels=16)
    answers = net(torch.randn(2, 4, 32, 48))
    assert [tuple(answer.shape) for answer in answers] == [(2, 5, 8, 12)] * 3


def test_later_stacks_see_earlier_answers_and_not_the_other_way_round():
    torch.manual_seed(0)
    net = StackedHourglass(3, 2, stacks=2, depth=1, channels=16, upsampling="bilinear")
    first, second = net(torch.randn(1, 3, 16, 16))
    own = list(net.stacks[1].parameters())
    assert all(
        grad is None for grad in torch.autograd.grad(first.sum(), own, retain_graph=True, allow_unused=True)
    )
    (pull,) = torch.autograd.grad(second.square().sum(), net.stacks[0].answer.weight)
    assert pull.abs().sum() > 0


def test_every_weight_of_the_hourglass_is_trained_by_its_answers():
    torch.manual_seed(0)
    net = StackedHourglass(3, 2, stacks=2, depth=2, channels=16)
    sum(answer.square().sum() for answer in net(torch.randn(2, 3, 32, 32))).backward()
    assert [name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_every_convolution_of_the_hourglass_starts_from_the_stated_distribution():
    torch.manual_seed(0)
    net = StackedHourglass(3, 16, stacks=2, depth=1, channels=128)
    outputs = {stack.answer for stack in net.stacks}
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d) and layer not in outputs:
            fan = layer.weight[0].numel()
            assert layer.weight.std().item() == pytest.approx((2 / fan) ** 0.5, rel=0.1)
            assert layer.bias is None or not layer.bias.any()


def test_sizes_that_cannot_be_halved_and_empty_stacks_are_refused():
    net = StackedHourglass(3, 2, stacks=1, depth=2, channels=16)
    with pytest.raises(
        ValueError, match="hourglass: height and width must be multiples of 16 px, are 24 x 32 px"
    ):
        net(torch.zeros(1, 3, 24, 32))
    with pytest.raises(ValueError, match="stacks and depth must be at least 1, are 0 and 4"):
        StackedHourglass(3, 2, stacks=0)
