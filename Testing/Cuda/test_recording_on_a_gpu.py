"""Weights that are replayed are those that would be computed, and what cannot be recorded is computed."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from HQCSegmentLib import qpg
from HQCSegmentLib.qpg.injection import update_of
from HQCSegmentLib.qpg.recording import Recorder

CONFIGS = {
    "default": qpg.QPGConfig(),
    "depth 4": qpg.QPGConfig(depth=4),
    "probability": qpg.QPGConfig(readout="probability", depth=3),
    "mapped": qpg.QPGConfig(readout="mapped"),
    "singular": qpg.QPGConfig(coordinates="singular", depth=4),
    "register": qpg.QPGConfig(coordinates="register"),
    "kernels": qpg.QPGConfig(channel="kernel"),
    "complex": qpg.QPGConfig(ansatz="u3_cu3_ring", depth=2),
    "phases": qpg.QPGConfig(ansatz="ryrz_cz_chain", depth=3),
    "all weights": qpg.QPGConfig(start="zero"),
    "frozen circuits": qpg.QPGConfig(train_angles=False),
    "LoRA": qpg.LoRAConfig(rank=2),
    "random map": qpg.RandomMapConfig(),
}


def network_on(gpu: torch.device, config: qpg.MethodConfig) -> nn.Module:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv3d(4, 16, 3, padding=1), nn.InstanceNorm3d(16, affine=True), nn.ReLU(),
        nn.ConvTranspose3d(16, 12, 2, stride=2), nn.Conv3d(12, 3, 1),
    ).double().to(gpu)  # fmt: skip
    return qpg.inject(network, config)


def recorder_of(network: nn.Module) -> Recorder:
    _, layer = qpg.injected_layers(network)[0]
    update = update_of(layer)
    assert update is not None
    return update.generator.recorder


def never_recording(network: nn.Module) -> nn.Module:
    """A copy that computes its weights anew every time."""
    other = copy.deepcopy(network)

    class Never(Recorder):
        def run(self, compute, trained, *, key):
            return compute()

    for _, layer in qpg.injected_layers(other):
        update_of(layer).generator.recorder = Never()
    return other


def step(network: nn.Module, optimizer: torch.optim.Optimizer, number: int) -> torch.Tensor:
    """One step of training on two micro-batches; the loss."""
    images = torch.randn(2, 1, 4, 6, 6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(number))
    optimizer.zero_grad()
    total = torch.zeros((), dtype=torch.float64)
    with qpg.accumulation(network):
        for part in images.to(next(network.parameters()).device):
            loss = network(part).square().mean()
            loss.backward()
            total += loss.detach().cpu()
    optimizer.step()
    return total


def optimizer_of(network: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.AdamW([one for one in network.parameters() if one.requires_grad], lr=0.02)


@pytest.mark.parametrize("name", CONFIGS)
def test_training_with_replays_is_training_without(name: str, gpu: torch.device):
    network = network_on(gpu, CONFIGS[name])
    other = never_recording(network)
    optimizer, of_other = optimizer_of(network), optimizer_of(other)
    for number in range(8):
        found, wanted = step(network, optimizer, number), step(other, of_other, number)
        torch.testing.assert_close(found, wanted, rtol=1e-9, atol=0)
    assert recorder_of(network).has_recorded
    for (_, mine), (_, reference) in zip(network.named_parameters(), other.named_parameters(), strict=True):
        torch.testing.assert_close(mine, reference, rtol=1e-6, atol=1e-9)


def recorded(gpu: torch.device) -> tuple[nn.Module, torch.optim.Optimizer]:
    network = network_on(gpu, qpg.QPGConfig())
    optimizer = optimizer_of(network)
    for number in range(5):
        step(network, optimizer, number)
    assert recorder_of(network).has_recorded
    return network, optimizer


def test_gradients_of_several_replays_add_up(gpu: torch.device):
    network, optimizer = recorded(gpu)
    images = torch.randn(2, 1, 4, 6, 6, 6, dtype=torch.float64, device=gpu)
    angles = [one for name, one in network.named_parameters() if name.endswith("angles")]
    sums = []
    for parts in (images.unbind(0), [images.flatten(0, 1)]):
        optimizer.zero_grad()
        for part in parts:
            with qpg.accumulation(network):
                network(part).sum().backward()
        sums.append([angle.grad.clone() for angle in angles])
    for mine, reference in zip(*sums, strict=True):
        torch.testing.assert_close(mine, reference, rtol=1e-9, atol=1e-9)


def test_numbers_that_are_loaded_are_used(gpu: torch.device):
    network, _ = recorded(gpu)
    images = torch.randn(1, 4, 6, 6, 6, dtype=torch.float64, device=gpu)
    state = {name: one + 0.01 * torch.randn_like(one) for name, one in network.state_dict().items()}
    network.load_state_dict(state)
    with qpg.accumulation(network):
        found = network(images)
    assert recorder_of(network).has_recorded
    torch.testing.assert_close(found, network(images), rtol=1e-9, atol=1e-9)


def test_what_is_frozen_or_moved_later_is_recorded_anew(gpu: torch.device):
    network, optimizer = recorded(gpu)
    _, layer = qpg.injected_layers(network)[0]
    update_of(layer).angles.requires_grad_(False)
    step(network, optimizer, 0)
    assert not recorder_of(network).has_recorded
    network.to("cpu")
    step(network, optimizer_of(network), 0)
    network.to(gpu)
    optimizer = optimizer_of(network)
    other = never_recording(network)
    of_other = optimizer_of(other)
    for number in range(5):
        torch.testing.assert_close(step(network, optimizer, number), step(other, of_other, number), rtol=1e-9, atol=0)
    assert recorder_of(network).has_recorded


def test_a_merged_network_keeps_its_weights(gpu: torch.device):
    network, _ = recorded(gpu)
    images = torch.randn(1, 4, 6, 6, 6, dtype=torch.float64, device=gpu)
    other = copy.deepcopy(network)
    wanted = network(images)
    merged = qpg.merge(network)
    step(other, optimizer_of(other), 0)
    assert torch.equal(merged(images), wanted)


def test_what_cannot_be_recorded_is_computed_with_a_warning(gpu: torch.device):
    number = torch.ones(3, device=gpu, requires_grad=True)
    recorder = Recorder()

    def waits() -> list[torch.Tensor]:
        return [number * float(number.sum())]

    recorder.run(waits, [number], key=0)
    with pytest.warns(UserWarning, match="without CUDA graphs"):
        (found,) = recorder.run(waits, [number], key=0)
    (again,) = recorder.run(waits, [number], key=0)
    assert not recorder.has_recorded
    assert found.tolist() == again.tolist() == [3, 3, 3]
    again.sum().backward()
    assert number.grad is not None
    assert number.grad.tolist() == [3, 3, 3]
    assert torch.cuda.current_stream() == torch.cuda.default_stream()
