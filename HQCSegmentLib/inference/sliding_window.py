"""Scores of a whole volume from a network that sees a window at a time, plane by plane.

Windows are blended as MONAI's `sliding_window_inference` blends them (same places, Gaussian weights and padding), but
only as many planes are kept as one window is long: a plane is finished when no further window reaches it. Memory so
grows with the cross-section of the volume and not with its length. Per voxel the same numbers are added; where windows
move along another axis than R they are added in another order, which changes sums by float32 rounding (about 1e-7 of
the largest score) and nothing else.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from HQCSegmentLib.inference.windows import Triple, WindowGrid
from HQCSegmentLib.networks import logits, neighbours

Scorer = Callable[[Tensor], Tensor]
"""From windows (batch, channels, ...) to logits (batch, structures + 1, ...)."""

Progress = Callable[[int, int], None]


def planes(
    scorer: Scorer,
    volume: Tensor,
    grid: WindowGrid,
    *,
    dims: int = 3,
    slices: int = 1,
    window_batch: int = 1,
    device: torch.device | None = None,
    on_progress: Progress | None = None,
) -> Iterator[Tensor]:
    """Logits of one plane of voxels after the other, across `grid.axis`, in ascending order.

    A window that holds one and the same value is scored once for the whole volume: equal windows have equal scores.
    So air outside the patient, which preparation clips to the lowest value of a CT plan, costs nothing.

    Args:
        scorer: The network in evaluation mode, or another engine.
        volume: (channels, R, A, S), float32.
        grid: Windows for this volume.
        dims: 2 where the scorer takes slices (batch, channels * slices, R, A).
        slices: That such a scorer sees at once; its scores are of the middle one (`networks.slices`).
        window_batch: Windows per call of the scorer.
        device: An NVIDIA GPU that scores; windows are then cut from the volume there, if it has the memory.
        on_progress: Called with the number of windows (done, of) after each.

    Returns:
        Tensors (structures + 1, first, second), float32, of the two axes other than `grid.axis` in order; on the
        device that the scorer answers on, if it has the memory, else on the CPU. A tensor is valid until the next is
        asked for.
    """
    padded = _pad(volume, grid)
    weight: Tensor | None = None
    sums: Tensor | None = None
    counts: Tensor | None = None
    length, axis = grid.window[grid.axis], grid.axis
    total = len(grid)
    offset, size = grid.padding[axis][0], grid.shape[axis]

    def finished(first: int, last: int) -> Iterator[Tensor]:
        """Planes of the padded volume that no further window reaches; what is left behind is zero."""
        assert sums is not None
        assert counts is not None
        for place in range(first, last):
            plane, count = sums[:, place % length], counts[place % length]
            if offset <= place < offset + size:
                plane /= count
                yield plane[:, *(slice(before, before + grid.shape[one]) for one, before in _in_plane(grid))]
            plane.zero_()
            count.zero_()

    cut = _Windows(padded, _moved(padded, device), grid.window, slices)
    scored = _scored(scorer, cut, grid, dims=dims, window_batch=window_batch)
    began = 0
    for done, (start, scores) in enumerate(scored, start=1):
        if weight is None:
            sums = _empty_sums((len(scores), length, *(grid.padded[one] for one in grid.others)), scores)
            counts = torch.zeros_like(sums[0])
            weight = _weight(grid, dims=dims, device=sums.device)
        assert sums is not None
        assert counts is not None
        if start[axis] > began:
            yield from finished(began, start[axis])
            began = start[axis]
        box = [slice(start[one], start[one] + grid.window[one]) for one in grid.others]
        weighted = (scores.to(weight.device) * weight).movedim(axis + 1, 1)
        moved = weight.movedim(axis, 0)
        # The kept planes are a ring: the place of plane p is p modulo their number.
        turn = began % length
        for inner, outer in ((slice(0, length - turn), slice(turn, length)), (slice(length - turn, None), slice(turn))):
            sums[:, outer, *box] += weighted[:, inner]
            counts[outer, *box] += moved[inner]
        if on_progress is not None:
            on_progress(done, total)
    yield from finished(began, grid.padded[axis])


@torch.inference_mode()
def predict(
    network: nn.Module,
    volume: Tensor,
    *,
    window: tuple[int, ...],
    slices: int = 1,
    overlap: float = 0.5,
    on_progress: Progress | None = None,
) -> Tensor:
    """Logits of every voxel at once; memory for all of them is needed (`planes` gives one plane at a time).

    Args:
        network: In evaluation mode, on the device to work on.
        volume: (channels, R, A, S), float32.
        window: Voxels along R, A, S; two numbers for a 2D network, which goes through the slices along S.
        slices: That a 2D network sees at once.
        overlap: Part of a window shared with its neighbour.
        on_progress: Called with (done, of) now and then.

    Returns:
        (structures + 1, R, A, S) on the CPU.
    """
    grid = WindowGrid.lay(_triple(volume), window, overlap)
    device = next(network.parameters()).device
    found = planes(
        lambda inputs: logits(network, inputs.to(device)),
        volume,
        grid,
        dims=len(window),
        slices=slices,
        on_progress=on_progress,
    )
    result: Tensor | None = None
    for place, plane in enumerate(found):
        if result is None:
            result = torch.empty((len(plane), *grid.shape))
        result.select(grid.axis + 1, place).copy_(plane)
    assert result is not None
    return result


def _scored(
    scorer: Scorer, windows: _Windows, grid: WindowGrid, *, dims: int, window_batch: int
) -> Iterator[tuple[Triple, Tensor]]:
    """First voxel and scores (structures + 1, r, a, s) of every window in order."""
    constant: dict[tuple[float, ...], Tensor] = {}
    places = iter(grid)
    while starts := tuple(itertools.islice(places, window_batch)):
        values = [windows.only_value(start) for start in starts]
        new = [
            index
            for index, value in enumerate(values)
            if value is None or (value not in constant and value not in values[:index])
        ]
        outputs: dict[int, Tensor] = {}
        if new:
            batch = torch.stack([windows.at(starts[index]) for index in new])
            scores = scorer(batch.movedim(-1, 2).flatten(1, 2) if dims == 2 else batch).float()
            outputs = dict(zip(new, scores.unsqueeze(-1) if dims == 2 else scores, strict=True))
        for index, value in enumerate(values):
            if value is not None and index in outputs:
                constant[value] = outputs[index].clone()
        for index, (start, value) in enumerate(zip(starts, values, strict=True)):
            yield start, outputs[index] if value is None else constant[value]


def _empty_sums(shape: tuple[int, ...], scores: Tensor) -> Tensor:
    """Sums on the device of a window's scores, if it has room for these twice more, to add them; else on the CPU."""
    try:
        sums = torch.zeros(shape, device=scores.device)
        torch.empty((2, *scores.shape), device=scores.device)
        return sums
    except torch.OutOfMemoryError:
        return torch.zeros(shape)


@dataclass(frozen=True)
class _Windows:
    """Windows of a padded volume (channels, R, A, S), for a network that sees several slices these in the place of one.

    Attributes:
        known: The volume on the CPU, which is looked at.
        cut: The volume where windows are scored, which they are cut from.
        window: Voxels along R, A, S.
        slices: That a 2D network sees at once.
    """

    known: Tensor
    cut: Tensor
    window: Triple
    slices: int

    def at(self, start: Triple) -> Tensor:
        """The window (channels, r, a, s) with this first voxel."""
        return self._of(self.cut, start)

    def only_value(self, start: Triple) -> tuple[float, ...] | None:
        """The value of each channel where all voxels of a window have it, else None."""
        window = self._of(self.known, start)
        first = window[:, 0, 0, 0]
        # Most windows are told by their corners, without looking at every voxel.
        corner = window[:, -1, -1, -1]
        if not torch.equal(first, corner) or not bool((window == first[:, None, None, None]).all()):
            return None
        return tuple(first.tolist())

    def _of(self, volume: Tensor, start: Triple) -> Tensor:
        if self.slices > 1:
            first, second, middle = start
            places = neighbours(middle, slices=self.slices, length=volume.shape[3])
            return volume[:, first : first + self.window[0], second : second + self.window[1], places]
        return volume[:, *(slice(first, first + side) for first, side in zip(start, self.window, strict=True))]


def _moved(volume: Tensor, device: torch.device | None) -> Tensor:
    """The volume on an NVIDIA GPU, if it has the memory."""
    if device is None or device.type != "cuda":
        return volume
    try:
        return volume.to(device)
    except torch.OutOfMemoryError:
        return volume


def _pad(volume: Tensor, grid: WindowGrid) -> Tensor:
    """As training pads its patches: normalisation layers see the padding, so it must look the same."""
    before_after = [number for pair in reversed(grid.padding) for number in pair]
    if not any(before_after):
        return volume
    channels = [nn.functional.pad(one, before_after, value=float(one.min())) for one in volume]
    return torch.stack(channels)


def _weight(grid: WindowGrid, *, dims: int, device: torch.device) -> Tensor:
    """Gaussian weights of a window, (r, a, s)."""
    from monai.data.utils import compute_importance_map

    weight = compute_importance_map(grid.window[:dims], mode="gaussian", device=device)
    assert isinstance(weight, Tensor)
    return weight.unsqueeze(-1) if dims == 2 else weight


def _in_plane(grid: WindowGrid) -> list[tuple[int, int]]:
    """Each axis of a plane and how many voxels of padding lie before the volume on it."""
    return [(one, grid.padding[one][0]) for one in grid.others]


def _triple(volume: Tensor) -> Triple:
    _, first, second, third = volume.shape
    return first, second, third
