"""The classical model at work: from an image to a label map in its own geometry."""

from HQCSegmentLib.inference.segment import open_image, segment, winning_outputs
from HQCSegmentLib.inference.sliding_window import predict

__all__ = ["open_image", "predict", "segment", "winning_outputs"]
