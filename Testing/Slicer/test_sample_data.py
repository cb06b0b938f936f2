"""Sample data: registered as Slicer's own module takes it, and made without internet."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest
import slicer
from HQCSegmentSlicer import sample_data
from HQCSegmentSlicer.parameters import HQCSegmentParameterNode
from HQCSegmentSlicer.resources import RESOURCES


@pytest.fixture
def sources(monkeypatch) -> list[dict]:
    """What was registered with a stand-in of SampleData."""
    found: list[dict] = []

    class SampleDataLogicStandIn:
        @staticmethod
        def registerCustomSampleDataCategory(name: str, title: str) -> None:
            assert name == "HQCSegment"

        @staticmethod
        def registerCustomSampleDataSource(
            category: str, sampleName: str, uris: str, fileNames: str, nodeNames: str, thumbnailFileName: str,
            customDownloader=None, checksums=None,
        ) -> None:  # fmt: skip
            assert Path(thumbnailFileName).is_file()
            found.append({"name": sampleName, "uri": uris, "checksum": checksums, "make": customDownloader})

    module = ModuleType("SampleData")
    module.SampleDataLogic = SampleDataLogicStandIn
    monkeypatch.setitem(sys.modules, "SampleData", module)
    return found


def test_both_data_sets_are_registered(sources):
    sample_data.register_sample_data()
    assert [source["name"] for source in sources] == ["HQCSegmentSyntheticCohort", "HQCSegmentCTLiver"]


def test_the_public_ct_is_slicers_own_and_its_checksum_has_slicers_form(sources):
    """Slicer's own functions take the checksum apart and compute it; its address is that of Slicer's testing data."""
    sample_data.register_sample_data()
    source = sources[1]
    algorithm, digest = slicer.util.extractAlgoAndDigest(source["checksum"])
    assert source["uri"] == f"{slicer.util.TESTING_DATA_URL}{algorithm}/{digest}"
    icon = RESOURCES / "Icons" / "HQCSegment.png"
    assert len(slicer.util.computeChecksum(algorithm, str(icon))) == len(digest)


@pytest.mark.slow
def test_the_synthetic_cohort_is_made_by_the_real_command(application, tmp_path, monkeypatch):
    monkeypatch.setattr(slicer.app, "cachePath", str(tmp_path))
    node = slicer.vtkMRMLScriptedModuleNode()
    node.SetSingletonTag("HQCSegment")
    parameters = HQCSegmentParameterNode(slicer.mrmlScene.AddNode(node))
    folder = sample_data.make_synthetic_cohort(wait=True)
    assert parameters.cohortFolder == folder
    assert (folder / "B01" / "RTSTRUCT.dcm").is_file()
    assert slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode") is not None
    names = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSegmentationNode").GetSegmentation()
    assert names.GetNumberOfSegments() >= 4
