"""Putting circuits into networks, training them, and merging them back into plain weights."""

from __future__ import annotations

import copy
import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from HQCSegmentLib import qpg
from HQCSegmentLib.networks import logits, specify
from HQCSegmentLib.qpg.methods import circuits as circuits_module

READOUTS = ("signed", "probability")
LAYERS = {
    "Conv1d": lambda: nn.Conv1d(32, 6, 3, padding=1),
    "Conv2d": lambda: nn.Conv2d(16, 6, 3, padding=1),
    "Conv3d": lambda: nn.Conv3d(16, 6, 3, padding=1),
    "Conv2d with groups": lambda: nn.Conv2d(16, 6, 5, padding=2, groups=2),
    "Conv3d with groups": lambda: nn.Conv3d(16, 6, 3, padding=1, groups=2),
    "ConvTranspose2d": lambda: nn.ConvTranspose2d(16, 6, 3, padding=1),
    "ConvTranspose3d": lambda: nn.ConvTranspose3d(16, 6, 3, padding=1),
    "ConvTranspose2d with groups": lambda: nn.ConvTranspose2d(16, 6, 5, padding=2, groups=2),
    "ConvTranspose3d with groups": lambda: nn.ConvTranspose3d(16, 6, 3, padding=1, groups=2),
    "Linear": lambda: nn.Linear(100, 6),
}
NETWORKS = [
    pytest.param(name, dims, marks=pytest.mark.slow if (name, dims) == ("unetpp", 3) else ())
    for name in ("unet", "unetpp", "attentionunet", "segresnet")
    for dims in (2, 3)
]


def input_of(layer: nn.Module) -> torch.Tensor:
    if isinstance(layer, nn.Linear):
        return torch.randn(2, 100)
    return torch.randn(1, layer.in_channels, *(5 for _ in layer.kernel_size))


def circuits(layer: nn.Module) -> nn.Module:
    return layer.parametrizations.weight[0]


def train(network: nn.Module, images: torch.Tensor, *, steps: int = 3) -> None:
    rates = {"angle_rate": 0.05, "scale_rate": 0.05, "classical_rate": 1e-3}
    optimizer = torch.optim.AdamW(qpg.parameter_groups(network, **rates))
    for _ in range(steps):
        optimizer.zero_grad()
        logits(network, images).square().mean().backward()
        optimizer.step()


def assert_plain(network: nn.Module, stock: nn.Module) -> None:
    """The network has the stock classes and plain trainable tensors only."""
    assert [type(module) for module in network.modules()] == [type(module) for module in stock.modules()]
    assert set(network.state_dict()) == set(stock.state_dict())
    assert all(type(parameter) is nn.Parameter and parameter.is_leaf for parameter in network.parameters())
    assert all(parameter.requires_grad for parameter in network.parameters())


# Every kind of layer, and the stock networks


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("kind", LAYERS)
def test_every_kind_of_layer_starts_at_w0_trains_and_merges(kind: str, readout: str):
    torch.manual_seed(0)
    network = nn.Sequential(LAYERS[kind]())
    images = input_of(network[0])
    plain, before = copy.deepcopy(network), network(images)
    qpg.inject(network, qpg.QPGConfig(readout=readout))
    assert isinstance(network[0], type(plain[0]))
    assert torch.equal(network(images), before)

    train(network, images)
    trained = network(images)
    assert not torch.equal(trained, before)
    qpg.merge(network)
    assert_plain(network, plain)
    plain.load_state_dict(network.state_dict(), strict=True)
    assert torch.equal(plain(images), trained)


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize(("name", "dims"), NETWORKS)
def test_stock_networks_come_back_as_stock_networks(name: str, dims: int, readout: str):
    torch.manual_seed(0)
    spec = specify(name, dims=dims, preset="small", in_channels=1, out_channels=3)
    network = spec.build()
    images = torch.randn(2, 1, *(32 for _ in range(dims)))
    before = logits(network, images)
    qpg.inject(network, qpg.QPGConfig(readout=readout))
    assert torch.equal(logits(network, images), before)
    train(network, images, steps=2)
    network.eval()
    trained = logits(network, images)
    qpg.merge(network)
    stock = spec.build().eval()
    assert_plain(network, stock)
    stock.load_state_dict(network.state_dict(), strict=True)
    assert torch.equal(logits(stock, images), trained)


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
@pytest.mark.parametrize("readout", READOUTS)
def test_any_depth_starts_at_w0(depth: int, readout: str):
    torch.manual_seed(0)
    network, images = nn.Sequential(nn.Conv3d(16, 6, 3)), torch.randn(1, 16, 5, 5, 5)
    before = network(images)
    assert torch.equal(qpg.inject(network, qpg.QPGConfig(depth=depth, readout=readout))(images), before)


@pytest.mark.parametrize("kind", LAYERS)
def test_a_channels_angles_change_that_channels_weights_only(kind: str):
    torch.manual_seed(0)
    network = qpg.inject(nn.Sequential(LAYERS[kind]()))
    layer = network[0]
    before = layer.weight.detach().clone()
    with torch.no_grad():
        circuits(layer).angles[2] += 0.3
    change = layer.weight.detach() - before
    groups = getattr(layer, "groups", 1)
    if isinstance(layer, (nn.ConvTranspose2d, nn.ConvTranspose3d)):
        # (inputs, outputs of a group, ...): a filter is an output channel of its group of inputs.
        change = change.unflatten(0, (groups, -1)).transpose(1, 2).flatten(0, 1)
    changed = change.flatten(1).any(dim=1)
    assert changed.tolist() == [channel == 2 for channel in range(6)]


def test_channels_of_a_constant_w0_are_trained_too():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(100, 4))
    nn.init.zeros_(network[0].weight)
    images = torch.randn(8, 100)
    before = network(images)
    qpg.inject(network)
    assert torch.equal(network(images), before)
    train(network, images)
    assert network[0].weight.any(dim=1).all()


# Training


@pytest.fixture
def network() -> nn.Sequential:
    torch.manual_seed(0)
    return qpg.inject(nn.Sequential(nn.Conv2d(8, 12, 3), nn.ReLU(), nn.Conv2d(12, 4, 3)))


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randn(2, 8, 9, 9, generator=torch.Generator().manual_seed(1))


def gradients(network: nn.Module) -> list[torch.Tensor]:
    return [parameter.grad.clone() for parameter in network.parameters() if parameter.requires_grad]


def assert_all_close(ours: list[torch.Tensor], theirs: list[torch.Tensor]) -> None:
    for mine, reference in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, reference)


def test_w0_is_frozen_and_not_changed_by_training(network, images):
    def originals() -> list[torch.Tensor]:
        return [layer.parametrizations.weight.original for _, layer in qpg.injected_layers(network)]

    before = [original.clone() for original in originals()]
    assert not any(original.requires_grad for original in originals())
    train(network, images)
    assert all(torch.equal(a, b) for a, b in zip(before, originals(), strict=True))


def test_a_copy_is_equal_and_independent(network, images):
    train(network, images)
    before = network(images)
    copied = copy.deepcopy(network)
    assert torch.equal(copied(images), before)
    train(copied, images)
    assert not torch.equal(copied(images), before)
    assert torch.equal(network(images), before)


def test_a_copy_is_merged_without_the_original_and_the_other_way_round(network, images):
    train(network, images)
    before = network(images)
    best, last = copy.deepcopy(network), copy.deepcopy(network)
    for merged in (best, network):
        qpg.merge(merged)
        assert [type(module) for module in merged] == [nn.Conv2d, nn.ReLU, nn.Conv2d]
        assert torch.equal(merged(images), before)
        assert torch.equal(last(images), before)
    train(last, images)
    assert not torch.equal(last(images), before)


def test_the_state_dict_of_a_network_with_circuits_comes_back(network, images):
    state = copy.deepcopy(network.state_dict())
    before = network(images)
    train(network, images)
    trained = copy.deepcopy(network.state_dict())
    after = network(images)
    assert not torch.equal(after, before)
    network.load_state_dict(state)
    assert torch.equal(network(images), before)
    network.load_state_dict(trained, assign=True)
    assert torch.equal(network(images), after)


def test_gradients_add_up_over_backward_passes(network, images):
    other = images.flip(0, 3) + 1
    network(images).square().sum().backward()
    first = gradients(network)
    network(other).square().sum().backward()
    both = gradients(network)
    network.zero_grad()
    network(other).square().sum().backward()
    assert_all_close(both, [a + b for a, b in zip(first, gradients(network), strict=True)])


def test_every_forward_pass_can_have_its_own_backward_pass(network, images):
    together = network(images).square().sum() + network(images + 1).square().sum()
    together.backward()
    wanted = gradients(network)
    network.zero_grad()
    one, other = network(images).square().sum(), network(images + 1).square().sum()
    one.backward()
    other.backward()
    assert_all_close(gradients(network), wanted)


@pytest.mark.parametrize("reentrant", [True, False])
def test_a_checkpointed_forward_pass_has_the_same_gradients(network, images, reentrant: bool):
    network(images).square().sum().backward()
    wanted = gradients(network)
    network.zero_grad()
    # Reentrant checkpointing needs an input that requires a gradient.
    checkpoint(network, images.clone().requires_grad_(), use_reentrant=reentrant).square().sum().backward()
    assert_all_close(gradients(network), wanted)


def test_unfrozen_circuits_are_trained(network, images):
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    for parameter in parameters:
        parameter.requires_grad_(False)
    assert not network(images).requires_grad
    for parameter in parameters:
        parameter.requires_grad_(True)
    network(images).sum().backward()
    assert all(parameter.grad is not None for parameter in parameters)


# When weights are generated


@pytest.fixture
def generations(monkeypatch) -> list[int]:
    """Numbers of circuits, one entry for each time that a batch of circuits is run."""
    calls = []

    def counted(angles, **settings):
        calls.append(len(angles))
        return original(angles, **settings)

    original = circuits_module.values_run
    monkeypatch.setattr(circuits_module, "values_run", counted)
    return calls


def test_weights_are_generated_once_in_a_forward_pass(network, images, generations):
    output = network(images)
    # Both layers have 8 qubits (72 and 108 numbers, and the sign), so all 16 circuits are one batch.
    assert generations == [12 + 4]
    output.sum().backward()
    assert generations == [16]


def test_layers_with_other_qubit_numbers_are_other_batches(generations):
    network = qpg.inject(nn.Sequential(nn.Linear(64, 100), nn.Linear(100, 200), nn.Linear(200, 5)))
    network(torch.randn(1, 64))
    assert sorted(generations) == [5, 100, 200]


def test_prediction_generates_once_for_all_images(network, images, generations):
    network.eval()
    for mode in (torch.no_grad, torch.inference_mode):
        generations.clear()
        with mode():
            for _ in range(3):
                network(images)
        assert generations == [16]


def test_a_training_step_generates_anew(network, images, generations):
    train(network, images, steps=3)
    assert generations == [16] * 3


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_prediction_between_training_steps_sees_the_present_weights(network, images, mode):
    with mode():
        before = network(images).clone()
    for _ in range(2):
        train(network, images, steps=1)
        with mode():
            inside = network(images).clone()
        assert not torch.equal(inside, before)
        assert torch.equal(network(images), inside)
        before = inside


@pytest.mark.parametrize("depth", [2, 4])
def test_training_may_begin_with_a_prediction(depth: int):
    # In a process of its own, where nothing that the engine keeps has been made yet.
    program = f"""
import torch
from HQCSegmentLib import qpg
network = qpg.inject(torch.nn.Linear(100, 4), qpg.QPGConfig(depth={depth}))
with torch.inference_mode():
    network(torch.ones(1, 100))
network(torch.ones(1, 100)).sum().backward()
"""
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize("settings", [{"foreach": False}, {"foreach": True}, {"fused": True}], ids=str)
@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.AdamW])
def test_prediction_after_a_step_sees_it_whatever_the_optimizer(network, images, kind, settings: dict):
    optimizer = kind([p for p in network.parameters() if p.requires_grad], lr=0.1, **settings)
    network(images).square().sum().backward()
    with torch.no_grad():
        before = network(images)
        optimizer.step()
        after = network(images)
    assert not torch.equal(after, before)
    assert torch.equal(network(images), after)


# Precision


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_half_precision_autocast_leaves_the_circuits_in_float32(network, images, half):
    train(network, images)
    exact = network[0].weight.detach().clone()
    with torch.autocast("cpu", dtype=half):
        result = network(images)
        assert network[0].weight.dtype == torch.float32
        assert torch.equal(network[0].weight, exact)
    assert result.dtype == half
    result.float().sum().backward()
    assert circuits(network[0]).angles.grad.dtype == torch.float32


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_gradients_are_exact_within_autocast_too(depth):
    network = qpg.inject(nn.Sequential(nn.Conv2d(8, 12, 3)), qpg.QPGConfig(depth=depth))
    gradients = []
    for enabled in (False, True):
        weight = network[0].weight
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            (gradient,) = torch.autograd.grad(weight, circuits(network[0]).angles, weight.detach())
        gradients.append(gradient)
    assert torch.equal(*gradients)


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_a_half_precision_network_has_float32_circuits(images, half):
    network = qpg.inject(nn.Sequential(nn.Conv2d(8, 12, 3)).to(half))
    assert circuits(network[0]).angles.dtype == torch.float32
    assert network(images.to(half)).dtype == half


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_circuits_turned_to_half_precision_are_still_simulated_in_float32(network, images, monkeypatch, half):
    seen = []

    def watched(angles, **settings):
        seen.append(angles.dtype)
        return original(angles, **settings)

    original = circuits_module.values_run
    monkeypatch.setattr(circuits_module, "values_run", watched)
    result = network.to(half)(images.to(half))
    assert seen == [torch.float32]
    assert result.dtype == half


# Merging, choosing and refusing


def test_circuits_are_merged_also_before_any_forward_pass():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(8, 12, 3))
    before = network[0].weight.detach().clone()
    qpg.merge(qpg.inject(network))
    assert torch.equal(network[0].weight, before)


def test_a_merged_network_takes_circuits_again(network, images):
    train(network, images)
    before = network(images)
    qpg.inject(qpg.merge(network))
    assert torch.equal(network(images), before)


def test_a_single_layer_is_a_network_too():
    layer = qpg.inject(nn.Linear(100, 4))
    assert qpg.trainable_numbers(layer) == 4 * (2 * 8 + 2) + 4
    assert type(qpg.merge(layer)) is nn.Linear


def assert_refused(call, network: nn.Module, error: type[Exception], said: str) -> None:
    """The call fails, and the network is what it was."""
    state = copy.deepcopy(network.state_dict())
    trained = [parameter.requires_grad for parameter in network.parameters()]
    classes = [type(module) for module in network.modules()]
    with pytest.raises(error, match=said):
        call(network)
    assert list(network.state_dict()) == list(state)
    assert all(torch.equal(network.state_dict()[key], tensor) for key, tensor in state.items())
    assert [parameter.requires_grad for parameter in network.parameters()] == trained
    assert [type(module) for module in network.modules()] == classes


def test_a_second_injection_is_refused(network):
    assert_refused(qpg.inject, network, qpg.AlreadyInjectedError, "merge first")


def test_a_network_without_fitting_layers_is_refused():
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.BatchNorm2d(4))
    assert_refused(qpg.inject, network, qpg.NoMatchingLayerError, "64 or more numbers")


def test_patterns_that_fit_no_layer_are_refused():
    network = nn.Sequential(nn.Conv2d(8, 4, 3))
    config = qpg.QPGConfig(include=["decoder*"])
    assert_refused(lambda n: qpg.inject(n, config), network, qpg.NoMatchingLayerError, r"decoder\*")


def test_layers_whose_weight_is_computed_already_are_refused():
    network = nn.Sequential(nn.Conv2d(8, 4, 3), nn.utils.parametrizations.weight_norm(nn.Conv2d(8, 4, 3)))
    assert_refused(qpg.inject, network, qpg.QPGError, "layer '1'.*exclude")
    qpg.inject(network, qpg.QPGConfig(exclude=["1"]))


def test_merging_without_circuits_is_refused():
    assert_refused(qpg.merge, nn.Sequential(nn.Conv2d(8, 4, 3)), qpg.NotInjectedError, "no circuits")


def test_layers_are_chosen_by_name_and_size():
    def chosen(**settings) -> list[str]:
        network = nn.Sequential(nn.Conv2d(8, 4, 3), nn.Conv2d(4, 4, 3), nn.Conv2d(8, 4, 3))
        return [name for name, _ in qpg.injected_layers(qpg.inject(network, qpg.QPGConfig(**settings)))]

    assert chosen() == ["0", "2"]
    assert chosen(minimum_numbers=36) == ["0", "1", "2"]
    assert chosen(include=["2"]) == ["2"]
    assert chosen(include=["[01]"], minimum_numbers=1) == ["0", "1"]
    assert chosen(exclude=["2"]) == ["0"]
    assert chosen(include=["0", "2"], exclude=["2"]) == ["0"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("depth", 0),
        ("depth", 9),
        ("depth", 2.0),
        ("depth", True),
        ("readout", "loud"),
        ("ansatz", "magic"),
        ("minimum_numbers", 0),
        ("minimum_numbers", "many"),
        ("include", "encoder*"),
        ("exclude", None),
        ("exclude", [3]),
    ],
)
def test_wrong_settings_are_named(field: str, value):
    with pytest.raises(qpg.QPGError) as caught:
        qpg.QPGConfig(**{field: value})
    assert f"`{field}`" in str(caught.value)
    assert str(caught.value).endswith(f"got {value!r}")
