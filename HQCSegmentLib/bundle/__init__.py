"""The model on disk."""

from HQCSegmentLib.bundle.bundle import Bundle
from HQCSegmentLib.bundle.manifest import RESEARCH_USE, Inference, Manifest, TrainingSummary

__all__ = ["RESEARCH_USE", "Bundle", "Inference", "Manifest", "TrainingSummary"]
