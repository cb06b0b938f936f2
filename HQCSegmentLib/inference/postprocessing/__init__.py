"""After the network: pieces that cannot be, holes and ragged outlines; chosen by what raised Dice on unseen cases."""

from HQCSegmentLib.inference.postprocessing.apply import postprocess
from HQCSegmentLib.inference.postprocessing.choose import (
    Choice,
    Prediction,
    choose_cross_fitted,
    choose_postprocessing,
)

__all__ = ["Choice", "Prediction", "choose_cross_fitted", "choose_postprocessing", "postprocess"]
