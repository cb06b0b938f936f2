"""Weights are W0 + scale (values - values at the start) + shift, whatever is computed at once."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from HQCSegmentLib.qpg import blocks
from HQCSegmentLib.qpg.methods.combining import combine

SHAPES = [(5, 7), (3, 9), (1, 2)]
"""Channels and numbers of three layers."""


def draw() -> tuple[Tensor, Tensor, Tensor, list[Tensor], list[Tensor]]:
    """Values with two columns more than the largest layer needs, scale, shift, bases and starts, in float64."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    channels = sum(channels for channels, _ in SHAPES)
    bases, starts = ([normal(*shape) for shape in SHAPES] for _ in range(2))
    return normal(channels, 11), normal(channels, 1), normal(channels, 1), bases, starts


def by_formula(
    values: Tensor, scale: Tensor, shift: Tensor, bases: list[Tensor], starts: list[Tensor] | None
) -> list[Tensor]:
    """Layer by layer, with autograd."""
    sizes = [len(base) for base in bases]
    results = []
    blocks = zip(*(one.split(sizes) for one in (values, scale, shift)), strict=True)
    for layer, (block, gain, offset) in enumerate(blocks):
        changed = block[:, : bases[layer].shape[1]]
        if starts is not None:
            changed = changed - starts[layer]
        results.append(bases[layer] + gain * changed + offset)
    return results


@pytest.mark.parametrize("with_starts", [True, False])
@pytest.mark.parametrize("cached_bytes", [1, 2**20])
def test_values_and_gradients_are_those_of_the_formula(
    with_starts: bool, cached_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "CACHED_BYTES", cached_bytes)
    values, scale, shift, bases, starts = draw()
    trained = [values, scale, shift, *bases]
    for tensor in trained:
        tensor.requires_grad_()
    known = starts if with_starts else None
    found = combine(values, scale=scale, shift=shift, bases=bases, starts=known)
    wanted = by_formula(values, scale, shift, bases, known)
    above = [torch.randn_like(weight) for weight in wanted]
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)
    for one, other in zip(
        torch.autograd.grad(found, trained, above), torch.autograd.grad(wanted, trained, above), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


def test_values_as_at_the_start_leave_the_start_weights_to_the_last_bit() -> None:
    values, scale, shift, bases, starts = draw()
    before = 0
    for start in starts:
        values[before : before + len(start), : start.shape[1]] = start
        before += len(start)
    found = combine(values, scale=scale, shift=torch.zeros_like(shift), bases=bases, starts=starts)
    assert all(torch.equal(one, base) for one, base in zip(found, bases, strict=True))
