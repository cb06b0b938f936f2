"""The panel as a user meets it: clicks and keys on stand-in widgets, real child processes, the real scene.

Nothing here shows that the real widgets of Slicer behave alike; the stand-ins refuse what PythonQt does not have.
"""

from __future__ import annotations

import importlib
import json
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import slicer
import slicer.util
from HQCSegmentSlicer.logic import Logic
from HQCSegmentSlicer.segmentations import show_segmentation
from panel_driver import Panel, make_bundle
from PySide6 import QtGui

from HQCSegmentLib.cli.train_options import TrainOptions
from HQCSegmentLib.imaging import Segmentation, Structure

SECTIONS = ("setUp", "cohort", "fineTune", "segment", "deliver")


@pytest.fixture
def temporary(tmp_path, monkeypatch) -> Path:
    """Where private folders are made."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def panel(application, temporary, monkeypatch) -> Iterator[Panel]:
    panel = Panel(importlib.import_module("HQCSegment"))
    monkeypatch.setattr(slicer.util, "errorDisplay", panel.errors.append)
    yield panel
    panel.close()


@pytest.fixture
def opened(monkeypatch) -> list[str]:
    """Files that were opened with the system's program."""
    opened: list[str] = []
    monkeypatch.setattr(QtGui.QDesktopServices, "openUrl", lambda url: opened.append(Path(url.toLocalFile()).name))
    return opened


@pytest.fixture
def volume(application):
    array = np.random.default_rng(3).integers(-400, 400, (6, 8, 9)).astype(np.int16)
    return slicer.util.addVolumeFromArray(array, np.diag([1.0, 1, 2, 1]), "CT")


@pytest.fixture
def cohort(tmp_path) -> Path:
    folder = tmp_path / "cohort"
    folder.mkdir()
    return folder


def segmentation(name: str, *segments: str):
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    for segment in segments:
        node.GetSegmentation().AddEmptySegment(segment, segment)
    return node


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


# --- the panel as a whole


def test_a_fresh_panel_says_what_to_do_first_in_every_section(panel):
    assert panel.status("setUp") == "Ready."
    assert panel.status("cohort") == "Choose a folder, or add patients of the scene."
    assert panel.status("fineTune") == "Choose a cohort in section 2."
    assert panel.status("segment") == "Choose an input volume."
    assert panel.status("deliver") == "Choose a segmentation."
    for name in ("checkButton", "startButton", "resumeButton", "applyButton", "saveStructureSetButton", "sendButton"):
        assert not getattr(panel.ui, name).enabled
        assert panel.tip(name).endswith("."), name
    for name in ("cancelCheckButton", "cancelFineTuneButton", "cancelSegmentButton", "cancelDeliverButton"):
        assert not getattr(panel.ui, name).enabled


def test_choices_survive_saving_and_loading_the_scene(panel, volume, tmp_path):
    segmentation_node = segmentation("contours", "Liver")
    panel.ui.inputVolumeSelector.setCurrentNode(volume)
    panel.type_path("bundleLineEdit", make_bundle(tmp_path / "bundle"))
    panel.ui.cohortSourceComboBox.currentIndex = 1
    panel.ui.pairVolumeSelector.setCurrentNode(volume)
    panel.ui.pairSegmentationSelector.setCurrentNode(segmentation_node)
    panel.click("addPairButton")
    panel.ui.portSpinBox.value = 11112
    panel.ui.calledAELineEdit.text = "PACS"
    panel.widget.sections[2].on_settings({"depth": "3"})
    panel.widget.sections[3].on_settings({"device": "cpu"})
    file = tmp_path / "scene.mrml"
    slicer.mrmlScene.SetURL(str(file))
    for node in (volume, segmentation_node):
        storage = node.CreateDefaultStorageNode()
        slicer.mrmlScene.AddNode(storage)
        node.SetAndObserveStorageNodeID(storage.GetID())
        storage.SetFileName(str(tmp_path / f"{node.GetName()}.{storage.GetDefaultWriteFileExtension()}"))
        assert storage.WriteData(node)
    assert slicer.mrmlScene.Commit(str(file))
    slicer.mrmlScene.Clear(False)
    assert panel.parameters.inputVolume is None
    slicer.mrmlScene.SetURL(str(file))
    assert slicer.mrmlScene.Connect()
    panel.widget.enter()
    assert panel.parameters.inputVolume.GetName() == "CT"
    assert panel.ui.inputVolumeSelector.currentNode().GetName() == "CT"
    assert panel.ui.bundleLineEdit.currentPath == str(tmp_path / "bundle")
    assert panel.rows("pairsTable") == [["case01", "CT", "contours"]]
    assert (panel.ui.portSpinBox.value, panel.ui.calledAELineEdit.text) == (11112, "PACS")
    assert panel.widget.sections[2]._form.texts() == {"depth": "3"}
    assert panel.widget.sections[3]._form.texts() == {"device": "cpu"}


def test_a_path_that_is_not_chosen_is_shown_as_nothing(panel):
    assert panel.ui.bundleLineEdit.currentPath == ""
    assert panel.ui.cohortFolderLineEdit.currentPath == ""


def test_one_step_at_a_time(panel, cohort, volume, tmp_path):
    (cohort / "slow").touch()
    panel.type_path("cohortFolderLineEdit", cohort)
    panel.ui.inputVolumeSelector.setCurrentNode(volume)
    panel.type_path("bundleLineEdit", make_bundle(tmp_path / "bundle"))
    assert panel.ui.applyButton.enabled
    panel.click("checkButton")
    panel.until(lambda: panel.ui.cohortProgressBar.maximum == 3)
    assert not panel.ui.applyButton.enabled
    assert "Another step is at work" in panel.tip("applyButton")
    assert panel.ui.cancelCheckButton.enabled
    assert not panel.ui.cancelSegmentButton.enabled
    panel.click("cancelCheckButton")
    panel.until_idle()
    assert panel.status("cohort") == "Cancelled."
    assert panel.ui.applyButton.enabled
    assert not panel.errors


def test_nothing_can_be_started_before_the_packages_are_there(application, temporary, monkeypatch):
    from HQCSegmentSlicer.panel import session

    missing = ["torch", "monai"]
    monkeypatch.setattr(session, "missing_packages", lambda path: tuple(missing))
    panel = Panel(importlib.import_module("HQCSegment"))
    try:
        assert "torch, monai" in panel.ui.packagesLabel.text
        for name in ("checkButton", "startButton", "applyButton", "saveStructureSetButton", "deviceButton"):
            assert "section 1" in panel.tip(name)
        from HQCSegmentSlicer.panel import setup_section

        def refuse(path):
            raise RuntimeError("PyTorch is needed to segment and was not installed.")

        shown: list[str] = []
        monkeypatch.setattr(slicer.util, "errorDisplay", shown.append)
        monkeypatch.setattr(setup_section, "ensure_dependencies", refuse)
        panel.click("installButton")
        assert panel.status("setUp") == shown[0] == "PyTorch is needed to segment and was not installed."
        monkeypatch.setattr(setup_section, "ensure_dependencies", lambda path: missing.clear())
        panel.click("installButton")
        assert panel.status("setUp") == "Ready."
        assert not panel.ui.installButton.enabled
        assert panel.ui.deviceButton.enabled
        rows = [box.layout().rowCount() for box in (panel.ui.settingsGroupBox, panel.ui.moreSettingsGroupBox)]
        assert sum(rows) == len(TrainOptions.model_fields) - 1  # without the budget, which is above them
    finally:
        panel.close()


def test_looking_for_devices(panel):
    panel.click("deviceButton")
    panel.until_idle()
    assert panel.ui.deviceLabel.text == "device cpu: works"


# --- cohort


def test_check_of_a_folder_fills_the_tables(panel, cohort, opened):
    panel.type_path("cohortFolderLineEdit", cohort)
    assert not panel.ui.checkResultPage.qt_object.isVisible()
    panel.click("checkButton")
    panel.until_idle()
    assert panel.status("cohort").startswith("2 patient(s): 1 error(s), 0 warning(s).")
    assert panel.rows("casesTable") == [["A", "nothing"], ["B", "1 error(s)"]]
    assert [row[0] for row in panel.rows("findingsTable")] == ["error", "note"]
    panel.ui.casesTable.qt_object.selectRow(0)
    assert [row[2] for row in panel.rows("findingsTable")] == ["Few patients."]
    panel.click("checkPageButton")
    assert opened == ["check.html"]
    assert panel.ui.trainStructuresLabel.text.startswith("Liver, GTV")


def test_names_are_mapped_and_saved(panel, cohort):
    panel.type_path("cohortFolderLineEdit", cohort)
    panel.click("checkButton")
    panel.until_idle()
    assert panel.rows("namesTable") == [["liver", "Liver"], ["GTV", "GTV"], ["right kidney", "Kidney_R"]]
    panel.ui.namesTable.qt_object.item(1, 1).setText("-")
    panel.click("saveNamesButton")
    lines = (cohort / "names.csv").read_text().splitlines()
    assert lines[0] == "name,tg263_name,match"
    assert [line.rsplit(",", 1)[0] for line in lines[1:]] == ["liver,Liver", "GTV,-", "right kidney,Kidney_R"]


def test_another_folder_forgets_what_the_check_found(panel, cohort, tmp_path):
    panel.type_path("cohortFolderLineEdit", cohort)
    panel.click("checkButton")
    panel.until_idle()
    panel.type_path("cohortFolderLineEdit", tmp_path)
    assert panel.rows("casesTable") == []
    assert panel.ui.trainStructuresLabel.text == "those of the cohort; check it to see them"


def test_patients_of_the_scene(panel, volume):
    panel.ui.cohortSourceComboBox.currentIndex = 1
    assert not panel.ui.cohortFolderPage.qt_object.isVisible()
    assert not panel.ui.addPairButton.enabled
    panel.ui.pairVolumeSelector.setCurrentNode(volume)
    panel.ui.pairSegmentationSelector.setCurrentNode(segmentation("old", "Liver"))
    panel.click("addPairButton")
    panel.ui.pairSegmentationSelector.setCurrentNode(segmentation("new", "Liver"))
    panel.click("addPairButton")
    assert panel.rows("pairsTable") == [["case01", "CT", "new"]]
    panel.click("checkButton")
    panel.until_idle()
    assert panel.rows("casesTable")
    assert "segments of the scene are renamed there" in panel.tip("saveNamesButton")
    panel.ui.pairsTable.qt_object.selectRow(0)
    panel.click("removePairButton")
    assert panel.rows("pairsTable") == []


def test_a_failing_check_says_why(panel, cohort):
    (cohort / "broken").touch()
    panel.type_path("cohortFolderLineEdit", cohort)
    panel.click("checkButton")
    panel.until_idle()
    assert panel.errors == ["The folder is broken."]
    assert panel.status("cohort") == "The folder is broken."
    assert panel.ui.checkButton.enabled


def overlapping_patient(volume):
    """A volume with an organ and a target in it, on the list of patients."""
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "drawn")
    for name, width in (("Liver", 6), ("GTV", 2)):
        array = np.zeros((9, 8, 6), np.uint8)
        array[:width, :width, 1:4] = 1
        structures = (Structure(value=1, name=name),)
        show_segmentation(
            Segmentation(array, np.diag([1.0, 1, 2, 1]), structures), volume_node=volume, segmentation_node=node
        )
    return node


def add_patient(panel, volume, node) -> None:
    panel.ui.cohortSourceComboBox.currentIndex = 1
    panel.ui.pairVolumeSelector.setCurrentNode(volume)
    panel.ui.pairSegmentationSelector.setCurrentNode(node)
    panel.click("addPairButton")


def test_the_user_is_told_where_structures_of_a_patient_overlap(panel, volume, tmp_path):
    add_patient(panel, volume, overlapping_patient(volume))
    panel.click("checkButton")
    panel.until_idle()
    told = "case01: GTV and Liver overlap; 0.0 ml count as GTV only."
    assert ["note", "Liver", told] in panel.rows("findingsTable")
    panel.type_path("runFolderLineEdit", tmp_path / "run")
    panel.click("startButton")
    panel.until_idle()
    assert told in panel.ui.fineTuneResultLabel.text


@pytest.mark.parametrize("ended_by", ["cancel", "scene", "application"])
def test_what_is_prepared_for_a_child_can_be_given_up(application, temporary, monkeypatch, volume, ended_by):
    """Nothing is left of it, and no child is started."""
    started: list[object] = []
    monkeypatch.setattr(Logic, "_start", lambda *arguments: started.append(arguments))
    panel = Panel(importlib.import_module("HQCSegment"))
    try:
        add_patient(panel, volume, overlapping_patient(volume))
        panel.click("checkButton")
        assert panel.ui.cancelCheckButton.enabled
        assert len(list(temporary.glob("HQCSegment-*"))) == 2  # of the cohort and of the page with pictures
        if ended_by == "cancel":
            panel.click("cancelCheckButton")
        elif ended_by == "scene":
            slicer.mrmlScene.Clear(False)
        else:
            panel.close()
        panel.until_idle()
        if ended_by == "cancel":
            assert panel.status("cohort") == "Cancelled."
    finally:
        if ended_by != "application":
            panel.close()
    assert not started
    assert list(temporary.iterdir()) == []


# --- fine-tuning


def type_setting(form, name: str, text: str) -> None:
    line = form.fields[name].widget.qt_object
    line.setText(text)
    line.editingFinished.emit()


def choose_setting(form, name: str, value: str) -> None:
    field = form.fields[name]
    field.widget.currentIndex = field.choices.index(value) + 1


def test_a_time_is_chosen_above_the_other_settings(panel):
    combo = panel.ui.budgetComboBox.qt_object
    assert [combo.itemText(row) for row in range(1, combo.count())] == [
        "15 minutes",
        "1 hour",
        "overnight (10 hours)",
    ]


def test_a_budget_is_a_setting(panel, cohort, tmp_path):
    panel.type_path("cohortFolderLineEdit", cohort)
    panel.type_path("runFolderLineEdit", tmp_path / "run")
    panel.ui.budgetComboBox.currentIndex = 2
    panel.click("startButton")
    panel.until_idle()
    assert json.loads((tmp_path / "run" / "settings.json").read_text()) == {"budget": "1h"}


def test_fine_tuning_from_start_to_report(panel, application, cohort, tmp_path, opened):
    run = tmp_path / "run"
    panel.type_path("cohortFolderLineEdit", cohort)
    panel.type_path("runFolderLineEdit", run)
    form = panel.widget.sections[2]._form
    type_setting(form, "depth", "3")
    choose_setting(form, "method", "lora")
    panel.click("startButton")
    panel.until_idle()
    assert json.loads((run / "settings.json").read_text()) == {"method": "lora", "depth": 3}
    assert panel.status("fineTune").startswith("Done.")
    assert panel.ui.fineTuneResultLabel.text == "Dice on patients that were held out: Liver 0.900, GTV 0.500."
    assert panel.parameters.bundleFolder == run / "bundle"
    panel.click("reportButton")
    assert opened == ["report.html"]
    panel.click("curvesButton")
    chart = application.shown_charts[-1]
    names = [chart.GetNthPlotSeriesNode(number).GetName() for number in range(chart.GetNumberOfPlotSeriesNodes())]
    assert names == ["loss", "mean Dice", "Dice Liver", "Dice GTV"]
    loss = chart.GetNthPlotSeriesNode(0).GetTableNode().GetTable()
    steps = [loss.GetValue(row, 0).ToInt() for row in range(loss.GetNumberOfRows())]
    assert steps == [1, 2, 3, 4]
    assert loss.GetValue(1, 1).ToDouble() == pytest.approx(0.5)
    assert not panel.ui.startButton.enabled
    assert "holds a run" in panel.tip("startButton")


def test_cancel_and_resume(panel, cohort, tmp_path):
    run = tmp_path / "run"
    (cohort / "slow").touch()
    panel.type_path("cohortFolderLineEdit", cohort)
    panel.type_path("runFolderLineEdit", run)
    panel.click("startButton")
    panel.until(lambda: "left" in panel.status("fineTune"))
    assert panel.status("fineTune") == "Step 1 of 3, about 17 min left"
    panel.click("cancelFineTuneButton")
    assert panel.status("fineTune") == "Cancelling..."
    panel.until_idle()
    assert panel.status("fineTune") == "Stopped. What was learned is saved: press Resume to continue."
    (cohort / "slow").unlink()
    panel.click("resumeButton")
    panel.until_idle()
    assert "--resume" in json.loads((run / "words.json").read_text())
    assert panel.status("fineTune").startswith("Done.")


def test_a_setting_that_is_not_possible_is_named(panel):
    form = panel.widget.sections[2]._form
    type_setting(form, "depth", "many")
    assert panel.status("fineTune").startswith("--depth 'many' is not possible")
    assert panel.parameters.trainSettings == ""


# --- contouring


def test_contouring_shows_segments_and_the_warnings_of_the_model(panel, volume, temporary, tmp_path):
    panel.ui.inputVolumeSelector.setCurrentNode(volume)
    panel.type_path("bundleLineEdit", make_bundle(tmp_path / "bundle"))
    panel.click("applyButton")
    panel.until_idle()
    node = panel.parameters.outputSegmentation
    content = node.GetSegmentation()
    assert [content.GetNthSegment(number).GetName() for number in range(2)] == ["Bone", "Lung_L"]
    assert "The field of view is cut." in panel.ui.warningsLabel.text
    assert panel.status("segment") == (
        "Done. Check every contour before you use it. Read the 2 warning(s) of the model."
    )
    assert panel.parameters.deliverSegmentation is node
    assert panel.ui.bundleLineEdit.qt_object.history == [str(tmp_path / "bundle")]
    assert list(temporary.iterdir()) == []


def test_only_ticked_structures_are_shown(panel, volume, tmp_path):
    from PySide6 import QtCore

    panel.ui.inputVolumeSelector.setCurrentNode(volume)
    panel.type_path("bundleLineEdit", make_bundle(tmp_path / "bundle"))
    items = [panel.ui.structuresList.qt_object.item(row) for row in range(2)]
    items[0].setCheckState(QtCore.Qt.CheckState.Unchecked)
    assert panel.parameters.leftOutStructures == ["Bone"]
    panel.click("applyButton")
    panel.until_idle()
    content = panel.parameters.outputSegmentation.GetSegmentation()
    assert [content.GetNthSegment(n).GetName() for n in range(content.GetNumberOfSegments())] == ["Lung_L"]
    items[1].setCheckState(QtCore.Qt.CheckState.Unchecked)
    assert panel.tip("applyButton") == "Tick at least one structure."


def test_advanced_settings_become_options_of_the_command(panel):
    section = panel.widget.sections[3]
    assert section._options() == []
    choose_setting(section._form, "device", "cpu")
    choose_setting(section._form, "postprocessing", "false")
    panel.ui.qualityComboBox.currentIndex = 1
    assert section._options() == ["--fast", "--device", "cpu", "--no-post-processing"]


def test_a_model_that_cannot_be_read_is_named(panel, volume, tmp_path):
    (tmp_path / "bundle.json").write_text("{}")
    panel.ui.inputVolumeSelector.setCurrentNode(volume)
    panel.type_path("bundleLineEdit", tmp_path)
    assert "is not a valid bundle" in panel.tip("applyButton")


def choose_slow_model(panel, volume, folder: Path) -> None:
    """Make all choices of section 4, with a model whose child goes on until it is stopped."""
    bundle = make_bundle(folder / "bundle")
    (bundle / "slow").touch()
    panel.ui.inputVolumeSelector.setCurrentNode(volume)
    panel.type_path("bundleLineEdit", bundle)


def test_closing_the_scene_ends_the_child_and_its_files(panel, volume, temporary, tmp_path):
    choose_slow_model(panel, volume, tmp_path)
    panel.click("applyButton")
    panel.until(lambda: panel.ui.segmentProgressBar.maximum == 100)
    pid = panel.widget.logic.runner._process._process.pid
    slicer.mrmlScene.Clear(False)
    panel.until_idle()
    assert not is_alive(pid)
    assert list(temporary.iterdir()) == []
    assert panel.parameters.inputVolume is None
    assert not panel.errors
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 0


def test_closing_the_application_waits_until_the_child_is_gone(application, temporary, tmp_path, volume):
    panel = Panel(importlib.import_module("HQCSegment"))
    choose_slow_model(panel, volume, tmp_path)
    panel.click("applyButton")
    panel.until(lambda: panel.ui.segmentProgressBar.maximum == 100)
    pid = panel.widget.logic.runner._process._process.pid
    status = panel.status("segment")
    panel.close()
    assert not is_alive(pid)
    assert list(temporary.iterdir()) == []
    assert status.startswith("Contouring")


def test_work_goes_on_while_another_module_is_open(panel, volume, tmp_path):
    panel.ui.inputVolumeSelector.setCurrentNode(volume)
    panel.type_path("bundleLineEdit", make_bundle(tmp_path / "bundle"))
    panel.click("applyButton")
    panel.widget.exit()
    panel.until_idle()
    panel.widget.enter()
    assert panel.status("segment").startswith("Done.")
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 1


def test_the_window_answers_while_a_child_works(panel, volume, tmp_path):
    choose_slow_model(panel, volume, tmp_path)
    started = time.monotonic()
    panel.click("applyButton")
    assert time.monotonic() - started < 5
    panel.until(lambda: panel.ui.segmentProgressBar.maximum == 100)
    assert panel.ui.segmentProgressBar.value == 25
    assert panel.status("segment") == "Contouring, 25 % done, about 17 min left"
    panel.type_path("runFolderLineEdit", "/somewhere")
    assert panel.parameters.runFolder == Path("/somewhere")
    panel.click("cancelSegmentButton")
    panel.until_idle()


# --- delivering


def test_segments_are_renamed_to_tg263(panel, volume):
    node = segmentation("contours", "right kidney", "GTV")
    panel.ui.deliverSegmentationSelector.setCurrentNode(node)
    assert panel.rows("deliverNamesTable")[0] == ["right kidney", "Kidney_R", "known under this name"]
    panel.click("renameButton")
    segment = node.GetSegmentation().GetNthSegment(0)
    assert segment.GetName() == "Kidney_R"
    assert "64033007" in segment.GetTerminology()
    assert panel.rows("deliverNamesTable")[0][2] == "correct"
    panel.ui.deliverNamesTable.qt_object.item(1, 1).setText("Kidney_R")
    panel.click("renameButton")
    assert panel.errors == ["Two segments would be named Kidney_R: choose another name."]


def test_saving_says_what_is_missing_and_needs_the_original_series(panel, volume, tmp_path):
    panel.ui.deliverSegmentationSelector.setCurrentNode(segmentation("contours", "Liver"))
    assert panel.tip("saveStructureSetButton") == "Choose the volume that was contoured."
    panel.ui.deliverVolumeSelector.setCurrentNode(volume)
    assert panel.tip("saveStructureSetButton") == "Choose a folder to save in."
    panel.type_path("deliverFolderLineEdit", tmp_path)
    assert panel.tip("sendButton") == "Save an RTSTRUCT or a DICOM SEG first."
    assert panel.tip("evaluateButton") == "Choose a reference segmentation."
    panel.click("saveStructureSetButton")
    panel.until_idle()
    assert "original DICOM series of CT is not known" in panel.errors[0]


def test_evaluation_needs_names_in_common(panel, volume, tmp_path):
    panel.ui.deliverSegmentationSelector.setCurrentNode(segmentation("contours", "Liver"))
    panel.ui.deliverVolumeSelector.setCurrentNode(volume)
    panel.type_path("deliverFolderLineEdit", tmp_path)
    panel.ui.referenceSegmentationSelector.setCurrentNode(segmentation("reference", "Leber"))
    panel.click("evaluateButton")
    assert "have no segment of the same name" in panel.errors[0]


# --- layout


def test_a_picture_of_every_section_is_written(panel, volume, cohort, tmp_path):
    """Layout checks of stand-in widgets, not Slicer screenshots; HQC_PICTURES keeps them."""
    panel.type_path("cohortFolderLineEdit", cohort)
    panel.click("checkButton")
    panel.until_idle()
    panel.type_path("runFolderLineEdit", tmp_path / "run")
    panel.click("startButton")
    panel.until_idle()
    panel.ui.inputVolumeSelector.setCurrentNode(volume)
    panel.click("applyButton")
    panel.until_idle()
    for group in ("settingsGroupBox", "moreSettingsGroupBox", "segmentSettingsGroupBox", "deliverSettingsGroupBox"):
        getattr(panel.ui, group).collapsed = False
    folder = Path(os.environ.get("HQC_PICTURES", tmp_path))
    for name, part in zip(SECTIONS, panel.widget._panels, strict=True):
        panel.picture(folder, name)
        assert part.qt_object.width() <= 480
        assert part.qt_object.minimumSizeHint().width() <= 480, name
