"""The loss, with structures that a case does not have drawn left out of it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def dice_cross_entropy() -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """Loss of (logits, labels, known): MONAI's Dice + cross-entropy on logits after `merge_unknown`.

    logits are (batch, structures + 1, ...), labels (batch, 1, ...) with output indices, known (batch,
    structures + 1) bool.
    """
    from monai.losses import DiceCELoss

    loss = DiceCELoss(to_onehot_y=True, softmax=True, batch=True)

    def compute(logits: Tensor, labels: Tensor, known: Tensor) -> Tensor:
        return loss(merge_unknown(logits, known), labels)

    return compute


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
