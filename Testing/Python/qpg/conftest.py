"""How results and gradients of circuits are compared."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from HQCSegmentLib import qpg

EXACT = 1e-10
"""Most by which two exact computations in float64 may differ, absolutely."""

Function = Callable[[torch.Tensor], torch.Tensor]


def random_angles_of(ansatz: str, *, circuits: int, qubits: int, depth: int) -> torch.Tensor:
    """Angles over several turns, (circuits, depth, angles per layer), float64."""
    generator = torch.Generator().manual_seed(1000 * circuits + 100 * depth + qubits)
    width = qpg.ANSATZES[ansatz].angles_per_layer(qubits)
    return 5 * torch.randn(circuits, depth, width, dtype=torch.float64, generator=generator)


def with_gradient_of(function: Function, angles: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    angles = angles.clone().requires_grad_()
    result = function(angles)
    weights = torch.randn(result.shape, dtype=result.dtype, generator=torch.Generator().manual_seed(1))
    (result * weights).sum().backward()
    return result.detach(), angles.grad


def assert_equal(ours: Function, theirs: Function, angles: torch.Tensor) -> None:
    pairs = zip(with_gradient_of(ours, angles), with_gradient_of(theirs, angles), strict=True)
    for mine, reference in pairs:
        torch.testing.assert_close(mine, reference, atol=EXACT, rtol=0)


@pytest.fixture
def random_angles() -> Callable[..., torch.Tensor]:
    """`random_angles(ansatz, circuits=, qubits=, depth=)`."""
    return random_angles_of


@pytest.fixture
def with_gradient() -> Callable[[Function, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]:
    """`with_gradient(function, angles)`: result, and gradient of its sum with fixed random weights by the angles."""
    return with_gradient_of


@pytest.fixture
def assert_equal_with_gradient() -> Callable[[Function, Function, torch.Tensor], None]:
    """`assert_equal_with_gradient(ours, theirs, angles)`: both give the same result and gradient."""
    return assert_equal
