"""Data to try the module with, in Slicer's Sample Data module."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import slicer
import slicer.util
from slicer.i18n import tr as _

from HQCSegmentSlicer.resources import RESOURCES

if TYPE_CHECKING:
    from HQCSegmentSlicer.logic import Logic

CATEGORY = "HQCSegment"

CT_SHA256 = "e16eae0ae6fefa858c5c11e58f0f1bb81834d81b7102e021571056324ef6f37e"
CT_URL = f"https://github.com/Slicer/SlicerTestingData/releases/download/SHA256/{CT_SHA256}"
"""CTLiver of Slicer's own sample data: liver_100 of the Medical Segmentation Decathlon, CC BY-SA 4.0."""

_at_work: list[Logic] = []
"""Keeps the run that makes patients alive."""


def register_sample_data() -> None:
    """Add the data sets; called when Slicer has started."""
    import SampleData

    logic = SampleData.SampleDataLogic
    if hasattr(logic, "registerCustomSampleDataCategory"):
        logic.registerCustomSampleDataCategory(CATEGORY, title=_("HQCSegment"))
    icon = str(RESOURCES / "Icons" / "HQCSegment.png")
    logic.registerCustomSampleDataSource(
        category=CATEGORY,
        sampleName="HQCSegmentSyntheticCohort",
        thumbnailFileName=icon,
        uris="made on this computer",
        fileNames="hospital_B",
        nodeNames="HQCSegmentSyntheticPatient",
        customDownloader=make_synthetic_cohort,
    )
    logic.registerCustomSampleDataSource(
        category=CATEGORY,
        sampleName="HQCSegmentCTLiver",
        thumbnailFileName=icon,
        uris=CT_URL,
        fileNames="CTLiver.nrrd",
        nodeNames="CTLiver",
        checksums=f"SHA256:{CT_SHA256}",
    )


def make_synthetic_cohort(source: Any = None, *, wait: bool = False) -> Path | None:
    """Make the synthetic hospitals of the demo, choose one as the cohort, and show an unseen patient.

    Works without internet. The folder is in Slicer's cache, where the user can clear it.

    Args:
        source: As the Sample Data module gives it.
        wait: Return the cohort's folder after the end; otherwise return at once.
    """
    from HQCSegmentSlicer.dependencies import missing_packages
    from HQCSegmentSlicer.resources import REQUIREMENTS

    if missing_packages(REQUIREMENTS):
        words = _("The synthetic patients need packages that are missing: install them in HQCSegment, section 1.")
        slicer.util.errorDisplay(words)
        return None
    from HQCSegmentSlicer.logic import Logic

    logic = Logic()
    out = Path(slicer.app.cachePath) / "HQCSegmentSyntheticCohort"
    if wait:
        logic.makeSyntheticPatients(out)
        return _choose(logic, out, wait=True)
    _at_work.append(logic)
    logic.onFailed.connect(lambda error: (_at_work.remove(logic), slicer.util.errorDisplay(str(error))))
    finished = logic.onFinished

    def made(_result: Any) -> None:
        finished.disconnect(made)
        finished.connect(lambda _nodes: _at_work.remove(logic))
        _choose(logic, out, wait=False)

    finished.connect(made)
    logic.makeSyntheticPatients(out, waitForCompletion=False)
    return None


def _choose(logic: Logic, out: Path, *, wait: bool) -> Path:
    """Make the new cohort the module's, and load the first unseen patient."""
    from HQCSegmentSlicer.parameters import CohortSource, HQCSegmentParameterNode

    node = slicer.mrmlScene.GetSingletonNode("HQCSegment", "vtkMRMLScriptedModuleNode")
    if node is not None:
        parameters = HQCSegmentParameterNode(node)
        parameters.cohortSource = CohortSource.folder
        parameters.cohortFolder = out / "hospital_B"
    logic.showCase(out / "hospital_B_unseen", "B01", waitForCompletion=wait)
    return out / "hospital_B"
