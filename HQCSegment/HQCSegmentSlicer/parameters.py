"""What the user chose in the panel; saved with the scene."""

# No `from __future__ import annotations` here: parameterNodeWrapper reads the annotations while Slicer is still
# loading the module, when their names could not be looked up from text.

import enum
from pathlib import Path

from slicer import vtkMRMLScalarVolumeNode, vtkMRMLSegmentationNode
from slicer.i18n import tr as _
from slicer.parameterNodeWrapper import parameterNodeWrapper


class CohortSource(enum.Enum):
    """Where the patients to learn from are."""

    folder = "folder"
    scene = "scene"

    def label(self) -> str:
        """Words of the choice in the panel."""
        return {"folder": _("in a folder"), "scene": _("loaded in this scene")}[self.value]


class Quality(enum.Enum):
    """How much time a contouring may take."""

    usual = "usual"
    fast = "fast"
    best = "best"

    def label(self) -> str:
        """Words of the choice in the panel."""
        return {"usual": _("usual"), "fast": _("fast"), "best": _("best")}[self.value]


@parameterNodeWrapper
class HQCSegmentParameterNode:
    """Choices of all sections; a path of "." is one that was not chosen.

    2 Cohort: cohortSource, cohortFolder; cohortVolumes and cohortSegmentations are the patients of the scene, in
    matching order.
    3 Fine-tune: baseFolder, runFolder, budget (empty: by the number of steps), trainSettings (JSON: fields of
    TrainOptions that differ from their defaults, as text).
    4 Segment: inputVolume, bundleFolder, outputSegmentation, leftOutStructures, quality, segmentSettings (JSON, as
    trainSettings), structureSetFolder (for an RTSTRUCT at once).
    5 Deliver: deliverSegmentation, deliverVolume, seriesFolder, deliverFolder, dicomHost, dicomPort, calledAE,
    callingAE, referenceSegmentation, sendSettings and evaluateSettings (JSON, as trainSettings).
    """

    cohortSource: CohortSource
    cohortFolder: Path
    cohortVolumes: list[vtkMRMLScalarVolumeNode]
    cohortSegmentations: list[vtkMRMLSegmentationNode]
    baseFolder: Path
    runFolder: Path
    budget: str
    trainSettings: str
    inputVolume: vtkMRMLScalarVolumeNode
    bundleFolder: Path
    outputSegmentation: vtkMRMLSegmentationNode
    leftOutStructures: list[str]
    quality: Quality
    segmentSettings: str
    structureSetFolder: Path
    deliverSegmentation: vtkMRMLSegmentationNode
    deliverVolume: vtkMRMLScalarVolumeNode
    seriesFolder: Path
    deliverFolder: Path
    dicomHost: str
    dicomPort: int = 104
    calledAE: str
    callingAE: str = "HQCSEGMENT"
    referenceSegmentation: vtkMRMLSegmentationNode
    sendSettings: str
    evaluateSettings: str


def chosen(path: Path) -> Path | None:
    """A path, or None where the user has not chosen one."""
    return None if path == Path() else path
