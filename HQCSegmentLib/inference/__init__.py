"""The classical model at work: from an image to a label map in its own geometry."""

from HQCSegmentLib.inference.config import SegmentConfig
from HQCSegmentLib.inference.inputs import modality_of, open_image
from HQCSegmentLib.inference.segment import segment, winning_outputs
from HQCSegmentLib.inference.sliding_window import predict

__all__ = ["SegmentConfig", "modality_of", "open_image", "predict", "segment", "winning_outputs"]
