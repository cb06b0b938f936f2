"""How good a segmentation is, in numbers and pictures."""

from HQCSegmentLib.evaluation.folders import Evaluation, evaluate
from HQCSegmentLib.evaluation.metrics import (
    METRICS,
    Agreement,
    Sums,
    compare_masks,
    dice,
    dice_per_structure,
    pooled_hd95_mm,
)

__all__ = [
    "METRICS",
    "Agreement",
    "Evaluation",
    "Sums",
    "compare_masks",
    "dice",
    "dice_per_structure",
    "evaluate",
    "pooled_hd95_mm",
]
