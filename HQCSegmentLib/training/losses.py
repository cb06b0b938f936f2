"""The losses of MONAI, with structures that a case does not have drawn left out of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from HQCSegmentLib.training.config import Loss
from HQCSegmentLib.training.patches import Batch

EVEN_AFTER = 0.6
"""Part of a run after which all outputs count the same: weights let rare structures be found at all, but a network that
is trained with them to its end draws these too large (Docs/results.md)."""


class LossOf(Protocol):
    """What training makes small."""

    def __call__(self, logits: Tensor, labels: Tensor, known: Tensor, progress: float = 1.0) -> Tensor:
        """The loss of a batch.

        Args:
            logits: (batch, structures + 1, ...).
            labels: (batch, 1, ...), output indices.
            known: (batch, structures + 1), bool: which structures were drawn.
            progress: Part of the run that is done, 0 to 1.
        """
        ...


MISSED, FALSE = 0.7, 0.3
"""What a missed and a false voxel cost in the Tversky loss (Salehi et al. 2017, arXiv:1706.05721)."""


def make_loss(kind: Loss, *, weights: Tensor | None = None) -> LossOf:
    """A loss on logits after `merge_unknown`.

    Args:
        kind: dice_ce, dice_focal, or tversky, which has cross-entropy beside it as the other two have their part by
            voxel.
        weights: What each output counts at the beginning of a run, (structures + 1,); they become even by and by, until
            `EVEN_AFTER`. None: all the same from the beginning.
    """
    even = _of_kind(kind, None)

    def compute(logits: Tensor, labels: Tensor, known: Tensor, progress: float = 1.0) -> Tensor:
        loss = even
        if weights is not None and progress < EVEN_AFTER:
            present = weights ** (1 - progress / EVEN_AFTER)
            loss = _of_kind(kind, present / present.mean())
        # Sums over voxels need more digits than half precision has.
        wide = logits if logits.dtype == torch.float64 else logits.float()
        return loss(merge_unknown(wide, known), labels)

    return compute


def _of_kind(kind: Loss, weights: Tensor | None) -> Callable[[Tensor, Tensor], Tensor]:
    from monai.losses import DiceCELoss, DiceFocalLoss

    common: dict[str, Any] = {"to_onehot_y": True, "softmax": True, "batch": True}
    if kind == "dice_ce":
        return DiceCELoss(**common, weight=weights)
    if kind == "dice_focal":
        return DiceFocalLoss(**common, weight=weights)
    return _tversky_cross_entropy(common, weights)


def _tversky_cross_entropy(common: dict[str, Any], weights: Tensor | None) -> Callable[[Tensor, Tensor], Tensor]:
    from monai.losses import TverskyLoss

    overlap = TverskyLoss(**common, alpha=FALSE, beta=MISSED, reduction="none")
    voxels = torch.nn.CrossEntropyLoss(weight=weights)

    def compute(logits: Tensor, labels: Tensor) -> Tensor:
        of_outputs = overlap(logits, labels).reshape(-1)
        counted = of_outputs if weights is None else of_outputs * weights / weights.mean()
        return counted.mean() + voxels(logits, labels[:, 0])

    return compute


def supervised(loss: LossOf, outputs: Sequence[Tensor], batch: Batch, *, progress: float = 1.0) -> Tensor:
    """Loss over the outputs of several depths, the full depth first; each counts half of the one before.

    As deep supervision in nnU-Net (Isensee et al. 2021). Where the base model has drawn structures, these are a second
    opinion on the same patches: what it has drawn is background to the first, and the other way round.

    Args:
        loss: To compute.
        outputs: Each (batch, structures + 1, ...) in the size of the labels.
        batch: What they are of.
        progress: As `LossOf` takes it.
    """
    shares = [0.5**depth for depth in range(len(outputs))]
    losses = [share * _of_depth(loss, logits, batch, progress) for share, logits in zip(shares, outputs, strict=True)]
    return torch.stack(losses).sum() / sum(shares)


def _of_depth(loss: LossOf, logits: Tensor, batch: Batch, progress: float) -> Tensor:
    if batch.taught is None:
        return loss(logits, batch.labels, batch.known, progress)
    by_base = batch.taught.gather(1, batch.labels.flatten(1)).view_as(batch.labels)
    by_hand = loss(logits, batch.labels.masked_fill(by_base, 0), batch.known, progress)
    # The loss of all that is kept counts at most as much as that of what is to be learned, however much that is.
    share = (batch.known[:, 1:].sum() / batch.taught.sum().clamp_min(1)).clamp_max(1)
    background = torch.zeros_like(batch.taught)
    background[:, 0] = True
    return by_hand + share * loss(logits, batch.labels.masked_fill(~by_base, 0), batch.taught | background)


def rare_weights(voxels: Sequence[int]) -> Tensor:
    """Weights of the outputs that are larger for rare ones: as one over the square root of their voxels, mean 1.

    Args:
        voxels: Of each output in all training cases, background first; an output without any counts as the rarest.

    Returns:
        (structures + 1,), float32.
    """
    counts = torch.tensor(voxels, dtype=torch.float64)
    counts = torch.where(counts > 0, counts, counts[counts > 0].min())
    weights = counts.rsqrt()
    return (weights / weights.mean()).float()


def merge_unknown(logits: Tensor, known: Tensor) -> Tensor:
    """Count the probability of unknown structures as background.

    Where a structure was not drawn, its voxels are labelled background; predicting it there must cost nothing.
    Background takes the sum of its own and all unknown probabilities (marginal loss, Shi et al.,
    doi:10.1016/j.media.2021.101979), and the unknown outputs are emptied.

    Args:
        logits: (batch, structures + 1, ...), output 0 background.
        known: (batch, structures + 1), true where the structure was drawn; background is always known.
    """
    if bool(known.all()):
        return logits
    shape = (*known.shape, *(1 for _ in logits.shape[2:]))
    unknown = ~known.reshape(shape)
    unknown[:, 0] = True
    background = torch.logsumexp(logits.masked_fill(~unknown, -torch.inf), dim=1, keepdim=True)
    # A finite floor instead of -inf: a zero probability with a zero target is still differentiable.
    floor = torch.finfo(logits.dtype).min / 4
    return torch.cat([background, logits[:, 1:].masked_fill(unknown[:, 1:], floor)], dim=1)
