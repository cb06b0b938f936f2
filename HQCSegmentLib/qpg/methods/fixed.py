"""No update: the weight stays what it was, and only norms, biases and small layers are trained (a control)."""

from __future__ import annotations

from HQCSegmentLib.qpg.methods.update import WeightUpdate


class FixedWeight(WeightUpdate):
    """W = W0."""

    def row_block(self) -> None:
        """There is no update."""
