"""The engine and what it generates are the same on a GPU as on the CPU, and as PennyLane's."""

from __future__ import annotations

import pytest
import torch

from HQCSegmentLib import qpg
from HQCSegmentLib.qpg.readout import values

ANSATZES = sorted(qpg.ANSATZES)
EXACT = 1e-10
"""Most by which two exact computations in float64 may differ, absolutely."""
FLOAT32 = 1e-5
"""The same in float32."""


def random_angles(ansatz: str, *, circuits: int, qubits: int, depth: int) -> torch.Tensor:
    """(circuits, depth, angles per layer), float64, on the CPU."""
    generator = torch.Generator().manual_seed(100 * depth + qubits)
    width = qpg.ANSATZES[ansatz].angles_per_layer(qubits)
    return torch.randn(circuits, depth, width, dtype=torch.float64, generator=generator)


def numbers_and_gradient(
    angles: torch.Tensor, *, ansatz: str, qubits: int, readout: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """Generated numbers and the gradient of their sum with fixed weights, both brought to the CPU."""
    angles = angles.detach().requires_grad_()
    numbers = 2 ** (qubits - 1) if readout == "signed" else 2**qubits
    found = values(angles, numbers=numbers, readout=readout, ansatz=ansatz)
    weights = torch.randn(found.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    (found * weights.to(found)).sum().backward()
    assert angles.grad is not None
    return found.detach().cpu(), angles.grad.cpu()


@pytest.mark.parametrize(("qubits", "depth"), [(3, 2), (6, 4), (9, 2)])
@pytest.mark.parametrize("ansatz", ANSATZES)
def test_probabilities_equal_pennylane(ansatz: str, qubits: int, depth: int, gpu: torch.device):
    angles = random_angles(ansatz, circuits=3, qubits=qubits, depth=depth)
    found = qpg.born_probabilities(angles.to(gpu), ansatz=ansatz)
    assert found.device == gpu
    wanted = qpg.qnode(qubits=qubits, depth=depth, ansatz=ansatz)(angles)
    torch.testing.assert_close(found.cpu(), wanted, atol=EXACT, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("readout", ["signed", "probability"])
@pytest.mark.parametrize(("qubits", "depth"), [(4, 1), (8, 2), (10, 4), (12, 2)])
@pytest.mark.parametrize("ansatz", ANSATZES)
def test_numbers_and_gradients_equal_the_cpus(
    ansatz: str, qubits: int, depth: int, readout: str, dtype: torch.dtype, gpu: torch.device
):
    angles = random_angles(ansatz, circuits=16, qubits=qubits, depth=depth).to(dtype)
    found = numbers_and_gradient(angles.to(gpu), ansatz=ansatz, qubits=qubits, readout=readout)
    wanted = numbers_and_gradient(angles, ansatz=ansatz, qubits=qubits, readout=readout)
    for mine, reference in zip(found, wanted, strict=True):
        assert mine.dtype == dtype
        if dtype == torch.float64:
            torch.testing.assert_close(mine, reference, atol=EXACT, rtol=0)
        else:
            torch.testing.assert_close(mine, reference, atol=FLOAT32 * float(reference.abs().max()), rtol=0)


@pytest.mark.parametrize("ansatz", ANSATZES)
@pytest.mark.parametrize("depth", [2, 5])
def test_the_same_angles_give_the_same_bits(ansatz: str, depth: int, gpu: torch.device):
    angles = random_angles(ansatz, circuits=512, qubits=9, depth=depth).float().to(gpu)
    first = numbers_and_gradient(angles, ansatz=ansatz, qubits=9, readout="signed")
    again = numbers_and_gradient(angles, ansatz=ansatz, qubits=9, readout="signed")
    assert all(torch.equal(mine, other) for mine, other in zip(first, again, strict=True))


def test_many_circuits_take_bounded_memory(gpu: torch.device):
    circuits, qubits = 40_000, 12
    angles = torch.randn(circuits, 4, qubits, device=gpu, requires_grad=True)
    numbers = 2 ** (qubits - 1)
    gradient = torch.randn(1, numbers, device=gpu).expand(circuits, numbers)
    torch.cuda.reset_peak_memory_stats(gpu)
    values(angles, numbers=numbers, readout="signed").backward(gradient)
    # The numbers themselves are 0.3 GiB; all states of all circuits, as complex numbers, would be 1.2 GiB for a gate.
    assert torch.cuda.max_memory_allocated(gpu) < 1.5 * 2**30


@pytest.mark.parametrize("coordinates", ["flat", "walsh", "register", "singular"])
@pytest.mark.parametrize("config", [qpg.QPGConfig, qpg.LoRAConfig, qpg.RandomMapConfig, qpg.NormsAndBiasesConfig])
def test_a_network_moves_to_the_gpu_with_its_updates_and_merges_there(config, coordinates: str, gpu: torch.device):
    torch.manual_seed(0)
    layers = torch.nn.Sequential(
        torch.nn.Conv3d(4, 8, 3, padding=1), torch.nn.InstanceNorm3d(8, affine=True), torch.nn.ReLU(),
        torch.nn.ConvTranspose3d(8, 6, 2, stride=2), torch.nn.Conv3d(6, 3, 1),
    ).double()  # fmt: skip
    qpg.inject(layers, config(coordinates=coordinates) if config is qpg.QPGConfig else config())
    for parameter in layers.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.3)
    images = torch.randn(1, 4, 6, 6, 6, dtype=torch.float64)
    wanted = layers(images)
    layers.to(gpu)
    trained = [parameter for parameter in layers.parameters() if parameter.requires_grad]
    found = layers(images.to(gpu))
    torch.testing.assert_close(found.cpu(), wanted, atol=1e-9, rtol=0)
    gradients = torch.autograd.grad(found.square().sum(), trained)
    assert all(gradient.device == gpu and gradient.isfinite().all() for gradient in gradients)
    qpg.merge(layers)
    torch.testing.assert_close(layers(images.to(gpu)).cpu(), wanted, atol=1e-9, rtol=0)
