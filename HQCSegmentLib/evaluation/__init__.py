"""How good a segmentation is, in numbers and pictures."""

from HQCSegmentLib.evaluation.folders import Evaluation, evaluate
from HQCSegmentLib.evaluation.metrics import dice, dice_per_structure

__all__ = ["Evaluation", "dice", "dice_per_structure", "evaluate"]
