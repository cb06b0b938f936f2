"""The model on disk."""

from HQCSegmentLib.bundle.bundle import Bundle
from HQCSegmentLib.bundle.ensembles import check_same, common_manifest, join
from HQCSegmentLib.bundle.manifest import RESEARCH_USE, Certainty, Inference, Manifest, TrainingSummary
from HQCSegmentLib.bundle.postprocessing import PostProcessing

__all__ = [
    "RESEARCH_USE",
    "Bundle",
    "Certainty",
    "Inference",
    "Manifest",
    "PostProcessing",
    "TrainingSummary",
    "check_same",
    "common_manifest",
    "join",
]
