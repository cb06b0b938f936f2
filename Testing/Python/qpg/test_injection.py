"""Putting circuits into networks, training them, and merging them back into plain weights."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from HQCSegmentLib import qpg
from HQCSegmentLib.networks import logits, specify

LAYERS = {
    "Conv2d": lambda: nn.Conv2d(16, 6, 3, padding=1),
    "Conv3d": lambda: nn.Conv3d(16, 6, 3, padding=1),
    "Conv2d with groups": lambda: nn.Conv2d(16, 6, 5, padding=2, groups=2),
    "ConvTranspose2d": lambda: nn.ConvTranspose2d(16, 6, 3, padding=1),
    "ConvTranspose3d": lambda: nn.ConvTranspose3d(16, 6, 3, padding=1),
    "ConvTranspose2d with groups": lambda: nn.ConvTranspose2d(16, 6, 5, padding=2, groups=2),
    "Linear": lambda: nn.Linear(100, 6),
}
NETWORKS = [(name, dims) for name in ("unet", "unetpp", "attentionunet", "segresnet") for dims in (2, 3)]


def input_of(layer: nn.Module) -> torch.Tensor:
    if isinstance(layer, nn.Linear):
        return torch.randn(2, 100)
    return torch.randn(1, 16, *(5 for _ in layer.kernel_size))


def spec_of(name: str, dims: int):
    return specify(name, dims=dims, preset="small", in_channels=1, out_channels=3)


def train(network: nn.Module, images: torch.Tensor, *, steps: int = 3) -> None:
    rates = {"angle_rate": 0.05, "scale_rate": 0.05, "classical_rate": 1e-3}
    optimizer = torch.optim.AdamW(qpg.parameter_groups(network, **rates))
    for _ in range(steps):
        optimizer.zero_grad()
        logits(network, images).square().mean().backward()
        optimizer.step()


@pytest.mark.parametrize("readout", ["signed", "probability"])
@pytest.mark.parametrize("kind", LAYERS)
def test_every_kind_of_layer_starts_at_w0_trains_and_merges(kind: str, readout: str):
    torch.manual_seed(0)
    network = nn.Sequential(LAYERS[kind]())
    images = input_of(network[0])
    plain, before = copy.deepcopy(network), network(images)
    qpg.inject(network, qpg.QPGConfig(readout=readout))
    assert torch.equal(network(images), before)

    train(network, images)
    trained = network(images)
    assert not torch.equal(trained, before)
    qpg.merge(network)
    assert type(network[0]) is type(plain[0])
    assert all(parameter.requires_grad for parameter in network.parameters())
    plain.load_state_dict(network.state_dict(), strict=True)
    assert torch.equal(plain(images), trained)


@pytest.mark.parametrize("kind", LAYERS)
def test_a_channels_angles_change_that_channels_weights_only(kind: str):
    torch.manual_seed(0)
    network = qpg.inject(nn.Sequential(LAYERS[kind]()))
    layer = network[0]
    before = layer.weight.detach().clone()
    with torch.no_grad():
        layer.parametrizations.weight[0].angles[2] += 0.3
    change = layer.weight.detach() - before
    groups = getattr(layer, "groups", 1)
    if isinstance(layer, (nn.ConvTranspose2d, nn.ConvTranspose3d)):
        change = change.unflatten(0, (groups, -1)).transpose(1, 2).flatten(0, 1)
    changed = change.flatten(1).any(dim=1)
    assert changed.tolist() == [channel == 2 for channel in range(6)]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "dims"), NETWORKS)
def test_stock_networks_come_back_as_stock_networks(name: str, dims: int):
    torch.manual_seed(0)
    spec = spec_of(name, dims)
    network = spec.build()
    images = torch.randn(2, 1, *(32 for _ in range(dims)))
    before = logits(network, images)
    qpg.inject(network)
    assert torch.equal(logits(network, images), before)
    train(network, images, steps=2)
    network.eval()
    trained = logits(network, images)
    qpg.merge(network)
    stock = spec.build().eval()
    stock.load_state_dict(network.state_dict(), strict=True)
    assert (logits(stock, images) - trained).abs().max() == 0


@pytest.fixture
def network() -> nn.Sequential:
    torch.manual_seed(0)
    return qpg.inject(nn.Sequential(nn.Conv2d(8, 12, 3), nn.ReLU(), nn.Conv2d(12, 4, 3)))


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randn(2, 8, 9, 9, generator=torch.Generator().manual_seed(1))


def originals(network: nn.Module) -> list[torch.Tensor]:
    return [layer.parametrizations.weight.original.clone() for _, layer in qpg.injected_layers(network)]


def test_w0_is_not_trained(network, images):
    before = originals(network)
    train(network, images)
    assert all(torch.equal(a, b) for a, b in zip(before, originals(network), strict=True))


def test_a_copy_is_equal_and_independent(network, images):
    train(network, images)
    before = network(images)
    copied = copy.deepcopy(network)
    assert torch.equal(copied(images), before)
    train(copied, images)
    assert not torch.equal(copied(images), before)
    assert torch.equal(network(images), before)


def test_the_state_dict_of_a_network_with_circuits_comes_back(network, images):
    state = copy.deepcopy(network.state_dict())
    before = network(images)
    train(network, images)
    assert not torch.equal(network(images), before)
    network.load_state_dict(state)
    assert torch.equal(network(images), before)


def test_gradients_accumulate_over_backward_passes(network, images):
    network(images).square().sum().backward()
    once = [p.grad.clone() for p in network.parameters() if p.requires_grad]
    network(images).square().sum().backward()
    twice = [p.grad for p in network.parameters() if p.requires_grad]
    for first, second in zip(once, twice, strict=True):
        torch.testing.assert_close(second, 2 * first)


def test_evaluation_between_training_steps_sees_the_present_weights(network, images):
    for mode in (torch.no_grad, torch.inference_mode):
        train(network, images, steps=1)
        with mode():
            inside = network(images).clone()
        assert torch.equal(network(images), inside)
        network(images).sum().backward()


def test_half_precision_autocast_leaves_the_circuits_in_float32(network, images):
    exact = network[0].weight.detach().clone()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = network(images)
        assert torch.equal(network[0].weight, exact)
    assert result.dtype == torch.bfloat16
    result.float().sum().backward()
    assert network[0].parametrizations.weight[0].angles.grad.dtype == torch.float32


def test_a_second_injection_is_refused(network):
    keys = list(network.state_dict())
    with pytest.raises(qpg.AlreadyInjectedError, match="merge first"):
        qpg.inject(network)
    assert list(network.state_dict()) == keys


def test_a_network_without_fitting_layers_is_left_alone():
    network = nn.Sequential(nn.Conv2d(1, 4, 3))
    with pytest.raises(qpg.NoMatchingLayerError, match="64 or more numbers"):
        qpg.inject(network)
    assert all(parameter.requires_grad for parameter in network.parameters())
    with pytest.raises(qpg.NotInjectedError, match="no circuits"):
        qpg.merge(network)


def test_layers_are_chosen_by_name_and_size():
    def chosen(**settings) -> list[str]:
        network = nn.Sequential(nn.Conv2d(8, 4, 3), nn.Conv2d(4, 4, 3), nn.Conv2d(8, 4, 3))
        return [name for name, _ in qpg.injected_layers(qpg.inject(network, qpg.QPGConfig(**settings)))]

    assert chosen() == ["0", "2"]
    assert chosen(minimum_numbers=36) == ["0", "1", "2"]
    assert chosen(include=["2"]) == ["2"]
    assert chosen(exclude=["2"]) == ["0"]


@pytest.mark.parametrize(("readout", "total"), [("signed", 20_545), ("probability", 18_965)])
def test_trainable_numbers_of_a_residual_unet(readout: str, total: int):
    network = spec_of("unet", 3).build()
    assert qpg.trainable_numbers(network) == 1_187_766
    qpg.inject(network, qpg.QPGConfig(readout=readout))
    kinds = qpg.trainable_numbers_by_kind(network)
    assert qpg.trainable_numbers(network) == kinds.total == total
    assert (kinds.scales_and_shifts, kinds.classical) == (1_580, 1_699)


def test_every_trainable_parameter_is_in_one_optimizer_group(network):
    groups = qpg.parameter_groups(network, angle_rate=1.0, scale_rate=2.0, classical_rate=3.0, angle_decay=0.5)
    assert {group["kind"]: group["lr"] for group in groups} == {"angles": 1.0, "scales": 2.0, "classical": 3.0}
    grouped = [id(parameter) for group in groups for parameter in group["params"]]
    trainable = [id(parameter) for parameter in network.parameters() if parameter.requires_grad]
    assert sorted(grouped) == sorted(trainable)
