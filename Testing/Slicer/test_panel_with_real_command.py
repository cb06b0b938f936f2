"""The panel from a cohort of DICOM patients to an archive; every child is the real command."""

from __future__ import annotations

import importlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom
import pytest
import slicer
import slicer.util
import tiny
from panel_driver import Panel
from pynetdicom import AE, evt
from pynetdicom.sop_class import RTStructureSetStorage, SegmentationStorage
from PySide6 import QtCore, QtGui
from PySide6.QtTest import QTest

from HQCSegmentLib.demo.cohort import write_patient
from HQCSegmentLib.demo.hospital import HOSPITAL_B
from HQCSegmentLib.evaluation.training_report import read_events
from HQCSegmentLib.naming import structure_for

pytestmark = pytest.mark.slow


@pytest.fixture
def panel(application, tmp_path, monkeypatch) -> Iterator[Panel]:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    panel = Panel(importlib.import_module("HQCSegment"), stand_in=False)
    monkeypatch.setattr(slicer.util, "errorDisplay", panel.errors.append)
    yield panel
    panel.close()
    assert list((tmp_path / "temporary").iterdir()) == [], "private folders are removed"


@pytest.fixture
def archive() -> Iterator[tuple[int, list[pydicom.Dataset]]]:
    """A DICOM node on this computer: its port, and what it has received."""
    received: list[pydicom.Dataset] = []

    def store(event: evt.Event) -> int:
        received.append(event.dataset)
        return 0x0000

    node = AE(ae_title="ARCHIVE")
    for kind in (RTStructureSetStorage, SegmentationStorage):
        node.add_supported_context(kind)
    server = node.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, store)])
    yield server.server_address[1], received
    server.shutdown()


def finished(panel: Panel, section: str, begins: str) -> None:
    """Wait for the end of a step, which must be a good one."""
    panel.until(lambda: not panel.widget.logic.running, seconds=300)
    assert not panel.errors
    assert panel.status(section).startswith(begins), panel.status(section)


def test_from_a_cohort_to_an_archive(panel, archive, tmp_path, monkeypatch):
    opened: list[str] = []
    monkeypatch.setattr(QtGui.QDesktopServices, "openUrl", lambda url: opened.append(Path(url.toLocalFile()).name))
    cohort, run = tmp_path / "cohort", tmp_path / "run"
    for seed in (1, 2):
        write_patient(cohort / f"B0{seed}", seed=seed, hospital=HOSPITAL_B, alias=f"B0{seed}")

    # 2 Cohort: check, look at a patient, map names
    panel.type_path("cohortFolderLineEdit", cohort)
    panel.click("checkButton")
    finished(panel, "cohort", "2 patient(s)")
    names = dict(panel.rows("namesTable"))
    assert "Liver" in names.values()
    table = panel.ui.casesTable.qt_object
    assert table.item(0, 0).text() == "B01"
    place = table.visualItemRect(table.item(0, 0)).center()
    QTest.mouseClick(table.viewport(), QtCore.Qt.MouseButton.LeftButton, pos=place)
    QTest.mouseDClick(table.viewport(), QtCore.Qt.MouseButton.LeftButton, pos=place)
    finished(panel, "cohort", "B01 is shown.")
    volume = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode")
    drawn = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSegmentationNode")

    # 3 Fine-tune: two steps; nobody is held out, since judging takes longer than all else
    panel.type_path("runFolderLineEdit", run)
    panel.widget.sections[2].on_settings(
        {"steps": "2", "patch": "16,16,16", "spacing": "5,5,5", "batch": "1", "device": "cpu", "held_out": "0"}
    )
    panel.click("startButton")
    finished(panel, "fineTune", "Done.")
    assert panel.ui.fineTuneResultLabel.text.startswith("No patient was held out")
    panel.click("reportButton")
    assert opened == ["report.html"]

    # 4 Segment, by two models and with an RTSTRUCT: every segment has a TG-263 name, a color and codes
    panel.ui.inputVolumeSelector.setCurrentNode(volume)
    panel.type_path("seriesFolderLineEdit", cohort / "B01" / "CT")
    panel.ui.segmentSettingsGroupBox.collapsed = False
    panel.type_path("structureSetFolderLineEdit", tmp_path)
    panel.widget.sections[3].on_settings({"contours": "probability", "ensemble": str(run / "bundle")})
    panel.click("applyButton")
    finished(panel, "segment", "Done.")
    at_once = pydicom.dcmread(tmp_path / "contours_unedited.rtstruct.dcm")
    assert "Liver" in {roi.ROIName for roi in at_once.StructureSetROISequence}
    result = panel.parameters.outputSegmentation
    assert result is not drawn
    content = result.GetSegmentation()
    segments = [content.GetNthSegment(number) for number in range(content.GetNumberOfSegments())]
    assert len(segments) >= 4
    for segment in segments:
        known = structure_for(segment.GetName(), 1)
        assert known.tg263_name == segment.GetName()
        np.testing.assert_allclose(np.array(segment.GetColor()) * 255, known.color, atol=0.5)
        assert known.terminology is None or known.terminology.type.value in segment.GetTerminology()
    assert sum("SCT^" in segment.GetTerminology() for segment in segments) >= 3

    # 5 Deliver: the patient's own contours, since those of two steps are not worth it
    panel.ui.deliverSegmentationSelector.setCurrentNode(drawn)
    panel.type_path("deliverFolderLineEdit", tmp_path)
    for button in ("saveStructureSetButton", "saveSegButton"):
        panel.click(button)
        finished(panel, "deliver", "Saved.")
    port, received = archive
    panel.ui.hostLineEdit.text = "127.0.0.1"
    panel.ui.portSpinBox.value = port
    panel.ui.calledAELineEdit.text = "ARCHIVE"
    panel.click("sendButton")
    finished(panel, "deliver", "Sent 2 file(s).")
    structure_set = pydicom.dcmread(tmp_path / "contours.rtstruct.dcm")
    assert [one.Modality for one in received] == ["RTSTRUCT", "SEG"]
    assert received[0].SOPInstanceUID == structure_set.SOPInstanceUID
    assert "Liver" in {roi.ROIName for roi in structure_set.StructureSetROISequence}
    panel.ui.referenceSegmentationSelector.setCurrentNode(drawn)
    panel.ui.deliverSegmentationSelector.setCurrentNode(result)
    panel.click("evaluateButton")
    finished(panel, "deliver", "Compared with the reference.")
    assert (tmp_path / "evaluation" / "report.html").is_file()


def test_a_node_that_refuses_is_told_in_the_words_of_the_command(panel, archive, tmp_path):
    port, received = archive
    file = tmp_path / "contours.dcm"
    file.write_bytes(b"no DICOM")
    section = panel.widget.sections[4]
    section._saved = [file]
    panel.ui.hostLineEdit.text = "127.0.0.1"
    panel.ui.portSpinBox.value = port
    panel.ui.calledAELineEdit.text = "ARCHIVE"
    panel.click("sendButton")
    panel.until_idle()
    assert str(file) in panel.errors[0]
    assert panel.status("deliver") == panel.errors[0]
    assert received == []


def is_there(group: int) -> bool:
    """Whether a process of a group is still alive."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_training_that_is_cancelled_and_resumed_ends_with_the_same_model(panel, tmp_path):
    """The weights of both runs are the same to the bit."""
    steps = 20
    cohort = tiny.write_tiny_cohort(tmp_path / "cohort", patients=2)
    panel.type_path("cohortFolderLineEdit", cohort)
    panel.widget.sections[2].on_settings(
        {"steps": str(steps), "patch": "16,16,16", "batch": "1", "device": "cpu", "held_out": "0"}
    )
    panel.type_path("runFolderLineEdit", tmp_path / "whole")
    panel.click("startButton")
    finished(panel, "fineTune", "Done.")

    run = tmp_path / "interrupted"
    panel.type_path("runFolderLineEdit", run)
    panel.click("startButton")
    panel.until(lambda: panel.status("fineTune").startswith("Step "), seconds=120)
    group = panel.widget.logic.runner._process._process.pid
    panel.click("cancelFineTuneButton")
    panel.until(lambda: not panel.widget.logic.running, seconds=120)
    assert panel.status("fineTune") == "Stopped. What was learned is saved: press Resume to continue."
    assert not panel.errors
    assert not is_there(group)
    assert list((tmp_path / "temporary").iterdir()) == []
    assert not (run / "bundle").exists()
    assert not panel.ui.startButton.enabled
    done = [event["step"] for event in read_events(run / "events.jsonl") if event["event"] == "progress"]
    assert 0 < max(done) < steps

    panel.click("resumeButton")
    finished(panel, "fineTune", "Done.")
    later = [event["step"] for event in read_events(run / "events.jsonl") if event["event"] == "progress"]
    assert later == sorted(set(later)), "no step is made twice"
    assert max(later) == steps
    assert panel.parameters.bundleFolder == run / "bundle"
    weights = [(tmp_path / name / "bundle" / "model.safetensors").read_bytes() for name in ("whole", "interrupted")]
    assert weights[0] == weights[1]
