"""Weights are W0 + scale (values - values at the start) + shift, whatever is computed at once."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from HQCSegmentLib.qpg import blocks
from HQCSegmentLib.qpg.channels import ChannelView
from HQCSegmentLib.qpg.methods.combining import Layers, combine, generate
from HQCSegmentLib.qpg.readout import values, values_run

VIEWS = [
    ChannelView((5, 7)),
    ChannelView((3, 4, 2)),
    ChannelView((2, 3, 3), transposed=True),
    ChannelView((4, 3, 2), transposed=True, groups=2),
    ChannelView((2, 3, 4), transposed=True, channel="kernel"),
    ChannelView((1, 2)),
]
"""Weights of layers, among them such as are not divided into channels by their first axis."""

CHANNELS = sum(view.channels for view in VIEWS)
NUMBERS = 11
"""Values of a channel: more than the largest layer needs."""


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def draw(*, with_starts: bool) -> tuple[Layers, Tensor, Tensor]:
    """Layers, scale and shift, in float64."""
    bases = [normal(*view.shape, seed=seed).requires_grad_() for seed, view in enumerate(VIEWS)]
    starts = [normal(view.channels, view.numbers, seed=10 + seed) for seed, view in enumerate(VIEWS)]
    scale, shift = (normal(CHANNELS, 1, seed=seed).requires_grad_() for seed in (20, 21))
    return Layers(VIEWS, bases, starts if with_starts else None), scale, shift


def by_formula(known: Tensor, layers: Layers, *, scale: Tensor, shift: Tensor) -> list[Tensor]:
    """Layer by layer, with autograd."""
    sizes = [view.channels for view in layers.views]
    results = []
    for number, (block, gain, offset) in enumerate(
        zip(*(one.split(sizes) for one in (known, scale, shift)), strict=True)
    ):
        view = layers.views[number]
        changed = block[:, : view.numbers]
        if layers.starts is not None:
            changed = changed - layers.starts[number]
        results.append(view.to_weight(view.to_rows(layers.bases[number]) + gain * changed + offset))
    return results


def assert_equal_with_gradients(found: Sequence[Tensor], wanted: Sequence[Tensor], trained: list[Tensor]) -> None:
    above = [torch.randn_like(weight) for weight in wanted]
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)
        assert one.is_contiguous()
    for one, other in zip(
        torch.autograd.grad(found, trained, above), torch.autograd.grad(wanted, trained, above), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("with_starts", [True, False])
@pytest.mark.parametrize("cached_bytes", [1, 200, 2**20])
def test_weights_and_gradients_are_those_of_the_formula(
    with_starts: bool, cached_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "CACHED_BYTES", cached_bytes)
    layers, scale, shift = draw(with_starts=with_starts)
    known = normal(CHANNELS, NUMBERS, seed=30).requires_grad_()
    assert_equal_with_gradients(
        combine(known, layers, scale=scale, shift=shift),
        by_formula(known, layers, scale=scale, shift=shift),
        [known, scale, shift, *layers.bases],
    )


@pytest.mark.parametrize("depth", [2, 4])
@pytest.mark.parametrize("chunk", [None, 3])
@pytest.mark.parametrize("cached_bytes", [1, 1000, 2**20])
def test_values_that_are_never_together_give_the_same_weights_and_gradients(
    depth: int, chunk: int | None, cached_bytes: int, random_angles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "CACHED_BYTES", cached_bytes)
    layers, scale, shift = draw(with_starts=True)
    angles = random_angles("ry_cnot_ring", circuits=CHANNELS, qubits=5, depth=depth).requires_grad_()
    read = {"numbers": NUMBERS, "readout": "signed", "ansatz": "ry_cnot_ring"}
    run = values_run(angles, **read, chunk=chunk)
    assert_equal_with_gradients(
        generate(angles, run, layers, scale=scale, shift=shift),
        by_formula(values(angles, **read), layers, scale=scale, shift=shift),
        [angles, scale, shift, *layers.bases],
    )


def test_values_as_at_the_start_leave_the_start_weights_to_the_last_bit() -> None:
    layers, scale, shift = draw(with_starts=True)
    known = torch.zeros(CHANNELS, NUMBERS, dtype=torch.float64)
    before = 0
    for start in layers.starts:
        known[before : before + len(start), : start.shape[1]] = start
        before += len(start)
    found = combine(known, layers, scale=scale, shift=torch.zeros_like(shift))
    assert all(torch.equal(one, base) for one, base in zip(found, layers.bases, strict=True))


@pytest.mark.parametrize("view", VIEWS)
def test_channels_are_seen_without_a_copy_where_they_are_an_axis_of_the_weight(view: ChannelView) -> None:
    weight = normal(*view.shape)
    rows = view.by_channel(weight)
    assert torch.equal(rows.flatten(1), view.to_rows(weight))
    shares_memory = rows.untyped_storage().data_ptr() == weight.untyped_storage().data_ptr()
    assert shares_memory == view.is_strided
