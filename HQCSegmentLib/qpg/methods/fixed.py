"""No update: the weight stays what it was, and only norms, biases and small layers are trained (a control)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from HQCSegmentLib.qpg.methods.update import WeightUpdate


class FixedWeight(WeightUpdate):
    """W = W0."""

    @classmethod
    def rows(cls, updates: Sequence[Any]) -> list[Tensor | None]:
        """None for each layer: there is no update."""
        return [None] * len(updates)
