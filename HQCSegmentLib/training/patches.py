"""Training patches: which case, where, and how varied; all of it decided by (seed, step, position in the batch)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from HQCSegmentLib.networks import neighbours
from HQCSegmentLib.training.augmentation import Mirror, Vary

FOREGROUND_PART = 2 / 3
"""Part of the patches that are centred on a voxel of a structure, chosen evenly among the structures of the case."""

MOST_VOXELS_KEPT = 10_000


@dataclass(frozen=True, eq=False)
class TrainingCase:
    """A prepared case.

    Attributes:
        image: (channels, R, A, S), float32, normalised.
        label: (R, A, S), uint16, indices of the network's outputs.
        known: (structures + 1,), bool.
        voxels: For each drawn output index, some of its voxels, (n, 3).
        lowest: The lowest value of each channel.
        taught: (structures + 1,), bool: structures that the base model has drawn (see `rehearsal`); None: none.
    """

    image: npt.NDArray[np.float32]
    label: npt.NDArray[np.uint16]
    known: npt.NDArray[np.bool_]
    voxels: dict[int, npt.NDArray[np.int64]]
    lowest: tuple[float, ...]
    taught: npt.NDArray[np.bool_] | None = None

    @classmethod
    def make(cls, image: npt.NDArray, label: npt.NDArray, known: npt.NDArray[np.bool_]) -> TrainingCase:
        """A case with the voxels of its structures and the lowest values found once; arguments as the attributes."""
        voxels = {}
        for index in np.unique(label):
            if index > 0:
                places = np.argwhere(label == index)
                voxels[int(index)] = places[:: max(1, len(places) // MOST_VOXELS_KEPT)]
        return cls(image, label, known, voxels, tuple(float(channel.min()) for channel in image))


@dataclass(frozen=True)
class Batch:
    """images (batch, inputs, ...), labels (batch, 1, ...) int64, known and taught (batch, structures + 1) bool."""

    images: Tensor
    labels: Tensor
    known: Tensor
    taught: Tensor | None = None

    def to(self, device: torch.device) -> Batch:
        """The same on a device."""
        images, labels, known = (part.to(device) for part in (self.images, self.labels, self.known))
        return Batch(images, labels, known, None if self.taught is None else self.taught.to(device))


class PatchSource:
    """Batches of patches; the same (seed, step) always gives the same batch."""

    def __init__(
        self,
        cases: Sequence[TrainingCase],
        *,
        patch: tuple[int, ...],
        slices: int = 1,
        batch: int,
        seed: int,
        vary: Vary | None,
        mirror: Mirror | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        """Make a source.

        Args:
            cases: Prepared cases; each is seen equally often.
            patch: Voxels along R, A, S; two numbers for slices along S.
            slices: Of each channel that are seen at once, in patches of slices; the middle one has the label.
            batch: Patches per batch.
            seed: Of all draws.
            vary: Augmentation, or None.
            mirror: Applied to half of the patches, or None.
            device: Where patches are varied, and where batches are.
        """
        self._cases = cases
        self._patch = patch
        self._slices = slices
        self._batch = batch
        self._seed = seed
        self._vary = vary
        self._mirror = mirror
        self._device = device

    def batch(self, step: int, places: Iterable[int] | None = None) -> Batch:
        """The batch of a step, or the patches at some of its places."""
        images, labels, known, taught = [], [], [], []
        for position in range(self._batch) if places is None else places:
            random = np.random.default_rng([self._seed, step, position])
            case = self._cases[self._case_number(step * self._batch + position)]
            image, label = (part.to(self._device) for part in self._cut(case, random))
            if self._vary is not None:
                image, label = self._vary(image, label, int(random.integers(2**31)))
            by_hand = torch.from_numpy(case.known)
            by_base = torch.zeros_like(by_hand) if case.taught is None else torch.from_numpy(case.taught)
            drawn = torch.stack([by_hand, by_base]).to(self._device)
            if self._mirror is not None and random.random() < 0.5:
                image, label, drawn = self._mirror(image, label, drawn)
            images.append(image)
            labels.append(label)
            known.append(drawn[0])
            taught.append(drawn[1])
        anything = any(case.taught is not None for case in self._cases)
        return Batch(
            torch.stack(images),
            torch.stack(labels).long(),
            torch.stack(known),
            torch.stack(taught) if anything else None,
        )

    def voxels_per_output(self, outputs: int) -> list[int]:
        """Voxels of each output of the network in all cases together, background first."""
        counts = [np.bincount(case.label.ravel(), minlength=outputs) for case in self._cases]
        return [int(count) for count in np.sum(counts, axis=0)]

    def _case_number(self, draw: int) -> int:
        """Cases in a new random order each time all have been seen."""
        round_number, place = divmod(draw, len(self._cases))
        order = np.random.default_rng([self._seed, 1_000_003, round_number]).permutation(len(self._cases))
        return int(order[place])

    def _cut(self, case: TrainingCase, random: np.random.Generator) -> tuple[Tensor, Tensor]:
        size = (*self._patch, 1) if len(self._patch) == 2 else self._patch
        if case.voxels and random.random() < FOREGROUND_PART:
            places = case.voxels[int(random.choice(list(case.voxels)))]
            centre = places[random.integers(len(places))]
        else:
            centre = np.array([random.integers(side) for side in case.label.shape])
        # Inside the image where it is large enough; a smaller image is padded evenly.
        starts = []
        for middle, side, wanted in zip(centre, case.label.shape, size, strict=True):
            jitter = random.integers(-(wanted // 4), wanted // 4 + 1)
            if side > wanted:
                starts.append(int(np.clip(middle - wanted // 2 + jitter, 0, side - wanted)))
            else:
                starts.append(-((wanted - side) // 2))
        inputs, drawn = [*zip(case.image, case.lowest, strict=True)], case.label
        if len(self._patch) == 2:
            middle = starts.pop()
            there = neighbours(middle, slices=self._slices, length=drawn.shape[2])
            inputs = [(channel[..., place], lowest) for channel, lowest in inputs for place in there]
            drawn = drawn[..., middle]
        # The lowest value of each channel, as prediction pads.
        cut = [_window(array, starts, self._patch, fill=lowest) for array, lowest in inputs]
        image = cut[0][None] if len(cut) == 1 else np.stack(cut)
        label = _window(drawn, starts, self._patch, fill=0).astype(np.int32)
        return torch.from_numpy(image), torch.from_numpy(label)[None]


def _window(array: npt.NDArray, starts: Sequence[int], size: Sequence[int], *, fill: float) -> npt.NDArray:
    result = np.full(tuple(size), fill, dtype=array.dtype)
    source, target = [], []
    for start, wanted, side in zip(starts, size, array.shape, strict=True):
        first, last = max(start, 0), min(start + wanted, side)
        source.append(slice(first, last))
        target.append(slice(first - start, last - start))
    result[tuple(target)] = array[tuple(source)]
    return result
