"""ResNet under the public key names: published counts, sizes, and files of weights good and bad."""

import re

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

from pipeline.errors import InputError
from training.networks.resnet import Bottleneck, ResNet, load_weights, resnet18, resnet50


def on_meta(build) -> ResNet:
    """The network without numbers: names and shapes cost nothing then."""
    with torch.device("meta"):
        return build()


def small(seed: int = 0) -> ResNet:
    """ResNet-18 with three classes, and running statistics that are not those of a fresh network."""
    torch.manual_seed(seed)
    net = resnet18(classes=3)
    net(torch.randn(2, 3, 32, 32))
    return net.eval()


def public_keys(convolutions: int, blocks: tuple[int, ...], *, first_shortcut: bool) -> set[str]:
    """Key names of the public checkpoints, spelled out."""

    def norm(name: str) -> set[str]:
        kinds = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
        return {f"{name}.{kind}" for kind in kinds}

    keys = {"conv1.weight", "fc.weight", "fc.bias"} | norm("bn1")
    for stage, count in enumerate(blocks, start=1):
        for block in range(count):
            place = f"layer{stage}.{block}"
            for number in range(1, convolutions + 1):
                keys |= {f"{place}.conv{number}.weight"} | norm(f"{place}.bn{number}")
            if block == 0 and (stage > 1 or first_shortcut):
                keys |= {f"{place}.downsample.0.weight"} | norm(f"{place}.downsample.1")
    return keys


# Counts and operations as the documentation of the public weights states them.
@pytest.mark.parametrize(
    ("build", "parameters", "giga_products", "keys"),
    [
        (resnet18, 11_689_512, 1.814, public_keys(2, (2, 2, 2, 2), first_shortcut=False)),
        (resnet50, 25_557_032, 4.089, public_keys(3, (3, 4, 6, 3), first_shortcut=True)),
    ],
    ids=["18", "50"],
)
def test_names_counts_and_operations_are_the_public_ones(build, parameters, giga_products, keys):
    net = on_meta(build)
    assert sum(p.numel() for p in net.parameters()) == parameters
    assert set(net.state_dict()) == keys
    products = []

    def count(layer, _, output) -> None:
        products.append(output.numel() * layer.weight[0].numel())

    for layer in net.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(count)
    scores = net(torch.zeros(1, 3, 224, 224, device="meta"))
    assert scores.shape == (1, 1000)
    # The stride in the 1x1 instead would give 3.86 for ResNet-50.
    assert sum(products) / 1e9 == pytest.approx(giga_products, abs=6e-4)


def test_the_stride_stands_in_the_3x3_convolution():
    net = on_meta(resnet50)
    for stage, stride in ((net.layer1, 1), (net.layer2, 2), (net.layer3, 2), (net.layer4, 2)):
        assert stage[0].conv1.stride == stage[0].conv3.stride == (1, 1)
        assert stage[0].conv2.stride == stage[0].downsample[0].stride == (stride, stride)
        assert {block.conv2.stride for block in stage[1:]} == {(1, 1)}


@pytest.mark.parametrize(("build", "channels"), [(resnet18, 512), (resnet50, 2048)])
def test_sizes_follow_the_image_and_the_last_layer_may_be_replaced(build, channels):
    net = on_meta(build)
    images = torch.zeros(2, 3, 256, 192, device="meta")
    assert net.maps(images).shape == (2, channels, 8, 6)
    assert net.pooled(images).shape == (2, channels)
    assert net.maps(torch.zeros(1, 3, 225, 97, device="meta")).shape == (1, channels, 8, 4)
    net.fc = nn.Linear(channels, 132, device="meta")
    assert net(images).shape == (2, 132)


def by_formula(weights: dict[str, torch.Tensor], images: torch.Tensor) -> torch.Tensor:
    """A bottleneck ResNet with one block a stage, from its weights by name alone."""

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        mean, var, scale, offset = (
            weights[f"{name}.{kind}"][:, None, None]
            for kind in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / (var + 1e-5).sqrt() * scale + offset

    x = F.conv2d(images, weights["conv1.weight"], stride=2, padding=3)
    x = F.max_pool2d(norm(x, "bn1").relu(), 3, stride=2, padding=1)
    for stage in range(1, 5):
        name, stride = f"layer{stage}.0", 1 if stage == 1 else 2
        y = norm(F.conv2d(x, weights[f"{name}.conv1.weight"]), f"{name}.bn1").relu()
        y = norm(F.conv2d(y, weights[f"{name}.conv2.weight"], stride=stride, padding=1), f"{name}.bn2").relu()
        y = norm(F.conv2d(y, weights[f"{name}.conv3.weight"]), f"{name}.bn3")
        x = (
            norm(F.conv2d(x, weights[f"{name}.downsample.0.weight"], stride=stride), f"{name}.downsample.1")
            + y
        )
        x = x.relu()
    return x.mean(dim=(2, 3)) @ weights["fc.weight"].T + weights["fc.bias"]


def test_the_answer_is_that_of_the_formula_on_the_weights_by_name():
    torch.manual_seed(0)
    net = ResNet(Bottleneck, (1, 1, 1, 1), classes=3).double()
    net(torch.randn(4, 3, 64, 64, dtype=torch.float64))  # statistics that are not those of a fresh network
    images = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    assert torch.allclose(net.eval()(images), by_formula(net.state_dict(), images), rtol=1e-9, atol=1e-9)


def test_every_weight_is_trained():
    net = small().train()
    net(torch.randn(2, 3, 64, 64)).square().sum().backward()
    assert [name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()] == []


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".pt"])
def test_a_file_of_weights_makes_another_network_answer_the_same(tmp_path, suffix):
    source, target = small(0), small(1)
    path = tmp_path / f"weights{suffix}"
    (save_file if suffix == ".safetensors" else torch.save)(source.state_dict(), path)
    image = torch.randn(1, 3, 32, 32)
    assert not torch.equal(source(image), target(image))
    load_weights(target, path)
    assert torch.equal(source(image), target(image))


def test_a_file_without_batch_counters_loads(tmp_path):
    source, target = small(0), small(1)
    old = {key: value for key, value in source.state_dict().items() if "num_batches" not in key}
    save_file(old, tmp_path / "old.safetensors")
    load_weights(target, tmp_path / "old.safetensors")
    image = torch.randn(1, 3, 32, 32)
    assert torch.equal(source(image), target(image))


def test_one_error_names_all_that_does_not_fit_and_nothing_is_loaded(tmp_path):
    net = small()
    weights = net.state_dict()
    for key in [key for key in weights if key.startswith("layer4")]:
        del weights[key]
    weights |= {"module.conv1.weight": torch.zeros(1), "fc.weight": torch.zeros(1000, 512)}
    path = tmp_path / "other.safetensors"
    save_file(weights, path)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    with pytest.raises(InputError) as caught:
        load_weights(net, path)
    message = str(caught.value)
    # Two blocks of two convolutions and normalisations, and a shortcut: 5 + 5 x 4 without the counters.
    assert re.search(r"25 missing \(layer4\.0\.bn1\.bias, (\S+, ){4}\.\.\.\)", message)
    assert "1 unexpected (module.conv1.weight)" in message
    assert "1 of another shape (fc.weight (1000, 512) for (3, 512))" in message
    assert message.startswith(f"{path}: its keys must be those of ResNet")
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())


class _Code:
    """Unpickling it would run a function."""

    def __reduce__(self):
        return (pytest.fail, ("the file's code ran",))


def test_files_that_hold_no_weights_are_refused(tmp_path):
    net = small()
    torch.save(_Code(), tmp_path / "code.pth")
    torch.save({"state_dict": net.state_dict(), "epoch": 3}, tmp_path / "wrapped.pth")
    (tmp_path / "noise.safetensors").write_bytes(b"\x10" * 100)
    (tmp_path / "noise.pth").write_bytes(b"\x10" * 100)
    save_file(net.state_dict(), tmp_path / "whole.safetensors")
    whole = (tmp_path / "whole.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(whole[: len(whole) // 2])
    for name, message in {
        "code.pth": "must be readable",
        "wrapped.pth": "must hold tensors by name",
        "noise.safetensors": "must be readable",
        "noise.pth": "must be readable",
        "cut.safetensors": "must be readable",
        "none.safetensors": "must be readable",
        "weights.npz": "must end in .safetensors, .pth or .pt, ends in '.npz'",
    }.items():
        with pytest.raises(InputError, match=re.escape(name) + ".*" + re.escape(message)):
            load_weights(net, tmp_path / name)
