"""Models of other tools as bundles of ours. Nothing of them runs: weights are read in a process of their own."""

from HQCSegmentLib.bundle.importing.download import download_model
from HQCSegmentLib.bundle.importing.monai_bundle import Answers, import_monai_bundle

__all__ = ["Answers", "download_model", "import_monai_bundle"]
