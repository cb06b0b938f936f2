"""After the network: pieces that cannot be, holes and ragged outlines; chosen by what raised Dice on unseen cases."""

from HQCSegmentLib.inference.postprocessing.apply import postprocess
from HQCSegmentLib.inference.postprocessing.choose import Prediction, choose_postprocessing

__all__ = ["Prediction", "choose_postprocessing", "postprocess"]
