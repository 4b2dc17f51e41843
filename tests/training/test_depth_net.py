"""Depth-Net: sizes, precision, what each part trains, and what freezing one does."""

import math

import pytest
import torch
from torch import nn

from training.networks.bins import bin_centres_m
from training.networks.depth_net import DepthNet, build_depth_net

PARTS = ("trunk", "base_head", "detail_head")
TINY = {"width": 1 / 32, "levels": 3}  # 8 channels; sides are multiples of 16 px


def tiny(seed: int = 0, **options) -> DepthNet:
    torch.manual_seed(seed)
    return build_depth_net({**TINY, **options})


def answer_sum(output) -> torch.Tensor:
    """A number that every output of Depth-Net pulls on, each pixel differently."""
    generator = torch.Generator().manual_seed(3)
    weights = torch.randn(output.base_m.shape, generator=generator)
    return ((output.base_m + output.detail_m) * weights).sum()


@pytest.mark.parametrize(
    ("options", "height", "width"),
    [({"levels": 5}, 64, 128), ({"levels": 4}, 32, 32), ({"levels": 3}, 16, 48), ({"norm": "batch"}, 32, 32)],
)
def test_outputs_have_the_size_of_the_image(options, height, width):
    output = tiny(**options)(torch.randn(2, 4, height, width))
    assert output.base_logits.shape == (2, 19, height, width)
    for depth_m in (output.base_m, output.detail_m, output.composed_m):
        assert depth_m.shape == (2, height, width) and depth_m.dtype == torch.float32
    assert torch.equal(output.composed_m, output.base_m + output.detail_m)
    # It starts near the flat plane at the median.
    assert output.composed_m.abs().max() < 0.1


def test_every_convolution_but_the_outputs_starts_from_the_stated_distribution():
    net = build_depth_net({"width": 0.25})
    outputs = {net.base_head[-1], net.detail_head[-1]}
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) and layer not in outputs:
            taps = 1 if isinstance(layer, nn.ConvTranspose2d) else layer.weight[0, 0].numel()
            # At least 2,000 weights: their deviation is within some per cent of the distribution's.
            assert layer.weight.std().item() == pytest.approx(
                (2 / (layer.in_channels * taps)) ** 0.5, rel=0.1
            )
            assert layer.bias is None or not layer.bias.any()


def test_a_size_that_cannot_be_halved_is_refused():
    with pytest.raises(
        ValueError, match="depth-net: height and width must be multiples of 64 px, are 64 x 96 px"
    ):
        tiny(levels=5)(torch.zeros(1, 4, 64, 96))


def counted(channels: int, stem: int, levels: int, bins: int) -> int:
    """Parameters of Depth-Net, added up by hand."""

    def residual(i: int, o: int) -> int:
        half = o // 2
        norms = 2 * i + 2 * half + 2 * half
        shortcut = 0 if i == o else i * o + o
        return norms + i * half + 9 * half * half + half * o + o + shortcut

    unit = 4 * channels * channels + 2 * channels  # 2x2 down or up, with its normalisation
    body = levels * (3 * residual(channels, channels) + 2 * unit) + 2 * residual(channels, channels)
    start = 49 * 4 * stem + 2 * stem + residual(stem, channels)
    end = unit + residual(channels, channels)
    heads = 2 * residual(channels, channels) + (channels + 1) * (bins + 1)
    return start + body + end + heads


@pytest.mark.parametrize(
    ("width", "channels", "stem"), [(1, 256, 128), (0.25, 64, 32), (0.125, 32, 16), (0.01, 8, 8)]
)
def test_width_scales_the_channels_of_one_and_the_same_graph(width, channels, stem):
    with torch.device("meta"):
        net, half = build_depth_net({"width": width}), build_depth_net({"width": 0.5})
    assert sum(p.numel() for p in net.parameters()) == counted(channels, stem, 5, 19)
    shortcut = {"trunk.1.shortcut.weight", "trunk.1.shortcut.bias"}  # none where both widths round to 8
    assert half.state_dict().keys() - net.state_dict().keys() == (shortcut if stem == channels else set())


def test_extra_maps_join_the_input_and_other_bins_the_answer():
    output = tiny(extra_channels=319, bins="code")(torch.randn(1, 323, 16, 16))
    assert output.base_logits.shape == (1, 20, 16, 16)


def test_the_bins_are_saved_with_the_weights():
    paper, code = tiny(), tiny(bins="code")
    assert torch.equal(paper.state_dict()["bin_centres_m"], bin_centres_m("paper"))
    with pytest.raises(RuntimeError, match="bin_centres_m"):
        paper.load_state_dict(code.state_dict())


def test_the_detail_head_works_in_centimetres():
    net = tiny()
    nn.init.zeros_(net.detail_head[-1].weight)
    nn.init.constant_(net.detail_head[-1].bias, 3.0)
    assert torch.allclose(net(torch.randn(1, 4, 16, 16)).detail_m, torch.tensor(0.03))


def test_mixed_precision_answers_in_float32():
    net = tiny()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = net(torch.randn(1, 4, 16, 16))
    assert output.base_logits.dtype == torch.bfloat16
    assert {output.base_m.dtype, output.detail_m.dtype, output.composed_m.dtype} == {torch.float32}


@pytest.mark.parametrize("norm", ["group", "batch"])
def test_every_weight_is_trained_and_belongs_to_exactly_one_part(norm):
    net = tiny(norm=norm)
    answer_sum(net(torch.randn(2, 4, 32, 32))).backward()
    assert [name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()] == []
    owned = [id(p) for part in PARTS for p in getattr(net, part).parameters()]
    assert sorted(owned) == sorted(id(p) for p in net.parameters())


def test_base_and_detail_train_their_own_head_and_the_trunk():
    for output_name, other in (("base_m", "detail_head"), ("detail_m", "base_head")):
        net = tiny()
        getattr(net(torch.randn(1, 4, 32, 32)), output_name).square().sum().backward()
        touched = {part for part in PARTS if any(p.grad is not None for p in getattr(net, part).parameters())}
        assert touched == set(PARTS) - {other}


@pytest.mark.parametrize("frozen", PARTS)
def test_freezing_a_part_freezes_exactly_it(frozen):
    net = tiny()
    getattr(net, frozen).requires_grad_(False)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in net.parameters() if p.requires_grad], lr=0.1)
    answer_sum(net(torch.randn(1, 4, 32, 32))).backward()
    optimizer.step()
    changed = {name for name, value in net.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {name for name, _ in net.named_parameters() if not name.startswith(frozen + ".")}


def test_a_sample_is_answered_alone_as_in_a_batch_and_in_training_as_in_use():
    net = tiny().double()
    images = torch.randn(3, 4, 32, 32, dtype=torch.float64)
    together = net(images).composed_m
    assert torch.allclose(net.eval()(images[1:2]).composed_m, together[1:2], rtol=0, atol=1e-12)
    # The same cannot hold of batch normalisation, or this test would show nothing.
    batch = tiny(norm="batch").double()
    assert not torch.allclose(batch(images[1:2]).composed_m, batch(images).composed_m[1:2], rtol=0, atol=1e-6)


def test_the_seed_decides_weights_answers_and_gradients_bit_for_bit():
    def run(seed: int) -> list[torch.Tensor]:
        net = tiny(seed)
        output = net(torch.linspace(-1, 1, 4 * 32 * 32).view(1, 4, 32, 32))
        answer_sum(output).backward()
        return [output.composed_m, *(p.grad for p in net.parameters()), *net.state_dict().values()]

    first, again, other = run(1), run(1), run(2)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"widht": 0.5},
            "must be one of width, extra_channels, levels, norm, bins, is 'widht'. Did you mean 'width'",
        ),
        ({"width": 0}, "width must be above 0 and at most 1, is 0"),
        ({"width": math.inf}, "width must be above 0 and at most 1, is inf"),
        ({"width": "0.5"}, "width must be float, is '0.5'"),
        ({"levels": True}, "levels must be int, is True"),
        ({"levels": 0}, "levels must be at least 1, is 0"),
        ({"extra_channels": -1}, "extra_channels must be at least 0, is -1"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        build_depth_net(options)
