"""What both ways do with scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def between(low: Tensor, high: Tensor, weight: Tensor | float) -> Tensor:
    """Linear interpolation; exactly `low` or `high` at its ends."""
    return low * (1 - weight) + high * weight


def lead_of(scores: Tensor) -> Tensor:
    """How far the highest of scores (structures + 1, ...) is ahead of the next, (...)."""
    best = scores.topk(2, dim=0).values
    return best[0] - best[1]
