"""Scores interpolated at every voxel: what takes a GPU less time than finding out where it would not be needed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from HQCSegmentLib.cohort.resampling import Places
from HQCSegmentLib.cohort.restoring.scores import between, lead_of

if TYPE_CHECKING:
    import torch
    from torch import Tensor

PLANES_AT_ONCE = 32
"""Planes of the image that leave the device together: the device does nothing while each of them is waited for."""


class Everywhere:
    """One axis after the other, a plane of the image at a time; memory is that of a few planes of scores."""

    def __init__(
        self, first: Places, second: Places, *, kind: type[np.uint8] | type[np.uint16], with_leads: bool
    ) -> None:
        """Arguments are the attributes of `Outlines`."""
        self._first, self._second, self._kind, self._with_leads = first, second, kind, with_leads
        self._axes: list[tuple[Tensor, Tensor, Tensor]] = []

    def keep(self, scores: Tensor) -> Tensor:
        """A copy: the memory behind a plane may be used again for the next ones."""
        return scores.detach().float().clone()

    def labelled(
        self, pairs: Iterator[tuple[Tensor, Tensor, float]]
    ) -> Iterator[tuple[npt.NDArray, npt.NDArray | None]]:
        """Winners and leads of up to PLANES_AT_ONCE planes of the image."""
        single = self._single(pairs)
        while some := list(islice(single, PLANES_AT_ONCE)):
            winners, leads = zip(*some, strict=True)
            yield _brought(winners).astype(self._kind, copy=False), _brought(leads) if self._with_leads else None

    def _single(self, pairs: Iterator[tuple[Tensor, Tensor, float]]) -> Iterator[tuple[Tensor, Tensor]]:
        """Winners and leads of each plane of the image; in place of leads that nobody asks for, the winners again."""
        for below, above, weight in pairs:
            scores = self._in_plane(between(below, above, weight))
            winners = scores.argmax(dim=0).to(self._narrow)
            yield winners, lead_of(scores) if self._with_leads else winners

    @property
    def _narrow(self) -> torch.dtype:
        import torch

        return torch.uint8 if self._kind is np.uint8 else torch.int32

    def _in_plane(self, scores: Tensor) -> Tensor:
        """Scores of a plane (structures + 1, ...), interpolated along both of its axes."""
        if not self._axes:
            self._axes = [_placed(self._first, (-1, 1), scores), _placed(self._second, (1, -1), scores)]
        for axis, (low, high, weights) in enumerate(self._axes, start=1):
            scores = between(scores.index_select(axis, low), scores.index_select(axis, high), weights)
        return scores


def _placed(places: Places, shape: tuple[int, int], like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Places on the device of scores, their weights in a shape that fits these."""
    import torch

    low, high, weights = (torch.from_numpy(part).to(like.device) for part in places)
    return low, high, weights.to(like.dtype).reshape(shape)


def _brought(planes: Sequence[Tensor]) -> npt.NDArray:
    """Planes (first, second) as one array (planes, first, second), with `first` as the fastest axis in memory.

    That is how images are kept: a GPU turns them round much faster than whoever writes them there.
    """
    import torch

    return torch.stack([plane.T for plane in planes]).cpu().numpy().transpose(0, 2, 1)
