"""Every option of the command is in the panel, from the same model, or is left out for a reason that is given here."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator

import pytest
import slicer.util
import typer.main
from HQCSegmentSlicer.volumes import add_volume
from panel_driver import Panel, make_bundle
from PySide6 import QtWidgets

from HQCSegmentLib.cli import app
from HQCSegmentLib.cli.evaluate_options import EvaluateOptions
from HQCSegmentLib.cli.segment_options import FLAGS_OF_THEIR_OWN, SegmentOptions
from HQCSegmentLib.cli.send_options import SendOptions
from HQCSegmentLib.cli.train_options import TrainOptions
from HQCSegmentLib.demo.cohort import write_patient
from HQCSegmentLib.demo.hospital import HOSPITAL_B
from HQCSegmentLib.imaging import Image
from HQCSegmentLib.imaging.dicom_series import read_series

MODELS = {"train": TrainOptions, "segment": SegmentOptions, "send": SendOptions, "evaluate": EvaluateOptions}

OWN_WIDGETS = {
    "check": {
        "cohort": "cohortFolderLineEdit", "html_file": "checkPageButton", "write_names": "saveNamesButton",
    },
    "train": {
        "cohort": "cohortFolderLineEdit", "out": "runFolderLineEdit", "base": "baseLineEdit", "resume": "resumeButton",
        "budget": "budgetComboBox",
    },
    "segment": {
        "bundle": "bundleLineEdit", "inputs": "inputVolumeSelector", "fast": "qualityComboBox",
        "best": "qualityComboBox", "no_post_processing": "SegmentOptions_postprocessing",
        "formats": "structureSetFolderLineEdit",
    },
    "convert": {
        "label_maps": "deliverSegmentationSelector", "series": "seriesFolderLineEdit",
        "structures": "deliverNamesTable", "out": "deliverFolderLineEdit", "output_format": "saveSegButton",
    },
    "send": {
        "files": "sendButton", "host": "hostLineEdit", "port": "portSpinBox", "called_ae": "calledAELineEdit",
        "calling_ae": "callingAELineEdit",
    },
    "evaluate": {
        "predictions": "deliverSegmentationSelector", "references": "referenceSegmentationSelector",
        "out": "deliverFolderLineEdit",
    },
    "extract": {"cohort": "cohortFolderLineEdit", "case": "casesTable"},
    "doctor": {},
}  # fmt: skip
"""Widget for each option of a command that is chosen otherwise than in a form made from a model."""

LEFT_OUT = {
    "check": {"json_file": "how the panel gets the findings", "strict": "it only changes the exit code"},
    "train": {"config": "how the panel hands over the settings"},
    "segment": {"out": "a private folder: the result goes into the scene"},
    "evaluate": {
        "names": "the panel writes labels.json itself",
        "only_predicted": "the panel compares only what both segmentations have",
    },
    "extract": {"out": "a private folder: the patient goes into the scene"},
    "doctor": {"json_file": "the panel shows the findings"},
}
"""Options without a place in the panel, and why."""

OTHER_COMMANDS = {
    "demo": "only its patients, by the module Sample Data",
    "compare": "takes days, with a table to study",
    "export": "for other programs than Slicer",
    "import": "needs a network and a look at the terms of a model",
    "circuits": "for research on circuits",
    "adapter": "for exchange between hospitals, by agreement",
}
"""Commands that the panel does not use, and why."""


@pytest.fixture
def panel(application, monkeypatch) -> Iterator[Panel]:
    panel = Panel(importlib.import_module("HQCSegment"))
    monkeypatch.setattr(slicer.util, "errorDisplay", panel.errors.append)
    yield panel
    panel.close()


@pytest.fixture
def widgets(panel) -> dict[str, QtWidgets.QWidget]:
    """Widgets of the panel by name."""
    found = panel.widget.panel.qt_object.findChildren(QtWidgets.QWidget)
    return {widget.objectName(): widget for widget in found if widget.objectName()}


def commands() -> dict[str, set[str]]:
    """Options and arguments of every command."""
    group = typer.main.get_command(app.app)
    return {name: {one.name for one in command.params} - {"json_events"} for name, command in group.commands.items()}


def test_every_command_is_in_the_panel_or_left_out_for_a_reason():
    assert set(commands()) == {*OWN_WIDGETS, *OTHER_COMMANDS}


@pytest.mark.parametrize("command", OWN_WIDGETS)
def test_every_option_is_in_the_panel_or_left_out_for_a_reason(command, widgets):
    own, left_out = OWN_WIDGETS[command], LEFT_OUT.get(command, {})
    model = MODELS.get(command)
    in_a_form = set() if model is None else set(model.model_fields) - {*FLAGS_OF_THEIR_OWN, *own}
    assert {*in_a_form, *own, *left_out} == commands()[command]
    assert not set(own) & set(left_out)
    places = {*own.values(), *(f"{model.__name__}_{name}" for name in in_a_form)}
    assert places <= set(widgets)


@pytest.mark.parametrize("command", MODELS)
def test_a_field_says_what_the_model_says(command, panel, widgets):
    model = MODELS[command]
    for name, field in model.model_fields.items():
        widget = widgets.get(f"{model.__name__}_{name}")
        if widget is None:
            assert name in ("budget", "quality"), "only these have a place of their own"
            continue
        assert widget.toolTip() == field.description
        label = widget.parentWidget().layout().labelForField(widget).text()
        assert label == f"{field.title or name.replace('_', ' ').capitalize()}:"


def test_a_field_that_is_empty_shows_its_default_in_words(widgets):
    names = ("angle_spread", "folds", "batch", "exclude")
    shown = {name: widgets[f"TrainOptions_{name}"].placeholderText() for name in names}
    in_words = "0.5 from a base, 0.2 from scratch"
    assert shown == {"angle_spread": in_words, "folds": "none", "batch": "2", "exclude": "none"}
    firsts = {name: widgets[f"TrainOptions_{name}"].itemText(0) for name in ("network", "augment", "class_weights")}
    assert firsts == {
        "network": "default: the base's, or unet", "augment": "default: yes", "class_weights": "default",
    }  # fmt: skip


def test_folders_are_added_and_removed_and_kept_with_the_scene(panel, widgets, tmp_path, monkeypatch):
    section = panel.widget.sections[3]
    chosen = iter([str(tmp_path / "fold 2, new"), str(tmp_path / "fold3"), str(tmp_path / "fold3"), ""])
    monkeypatch.setattr(QtWidgets.QFileDialog, "getExistingDirectory", lambda *_arguments: next(chosen))
    panel.ui.segmentSettingsGroupBox.collapsed = False
    add, remove = widgets["SegmentOptions_ensemble"].findChildren(QtWidgets.QPushButton)
    listed = widgets["SegmentOptions_ensemble"].findChild(QtWidgets.QListWidget)
    for _ in range(4):
        add.click()
    folders = [f"{tmp_path}/fold 2, new", f"{tmp_path}/fold3"]
    assert section._options() == ["--ensemble", folders[0], "--ensemble", folders[1]]
    texts = json.loads(panel.parameters.segmentSettings)
    listed.setCurrentRow(0)
    remove.click()
    assert section._options() == ["--ensemble", folders[1]]
    panel.parameters.segmentSettings = json.dumps(texts)
    assert [listed.item(row).text() for row in range(listed.count())] == folders


def test_settings_of_an_older_scene_that_are_gone_are_left_out(panel):
    panel.parameters.segmentSettings = json.dumps({"colour": "red", "device": "cpu"})
    assert panel.widget.sections[3]._options() == ["--device", "cpu"]


def choose(box: QtWidgets.QComboBox, text: str) -> None:
    box.setCurrentIndex(box.findText(text))


def test_a_run_gets_its_settings_by_file_and_the_rest_as_options(panel, widgets, tmp_path):
    cohort, run = tmp_path / "cohort", tmp_path / "run"
    cohort.mkdir()
    panel.type_path("cohortFolderLineEdit", cohort)
    panel.type_path("runFolderLineEdit", run)
    widgets["TrainOptions_splits"].findChild(QtWidgets.QLineEdit).setText(str(tmp_path / "splits,1.json"))
    choose(widgets["TrainOptions_tensorboard"], "yes")
    choose(widgets["TrainOptions_cache"], "no")
    choose(widgets["TrainOptions_normalization"], "zscore")
    panel.click("startButton")
    panel.until_idle()
    words = json.loads((run / "words.json").read_text())
    assert words[words.index("--splits") + 1] == str(tmp_path / "splits,1.json")
    assert {"--tensorboard", "--no-cache"} <= set(words)
    assert json.loads((run / "settings.json").read_text()) == {"normalization": "zscore"}
    panel.click("resumeButton")
    panel.until_idle()
    words = json.loads((run / "words.json").read_text())
    assert {"--resume", "--tensorboard", "--no-cache"} <= set(words)
    assert not {"--splits", "--config"} & set(words), "a run remembers its patients and settings"


def test_sending_can_be_encrypted(panel, widgets, tmp_path):
    section = panel.widget.sections[4]
    words: list[str] = []

    class Recorder:
        def sendToDicomNode(self, *_arguments, options, **_more) -> None:
            words[:] = options

        def evaluateSegmentation(self, *_arguments, options, **_more) -> None:
            words[:] = options

    section.start = lambda _sentence, begin: begin(Recorder())
    choose(widgets["SendOptions_tls"], "yes")
    widgets["SendOptions_tls_ca"].findChild(QtWidgets.QLineEdit).setText(str(tmp_path / "ca.pem"))
    section.on_send()
    assert words == ["--tls", "--tls-ca", str(tmp_path / "ca.pem")]
    widgets["EvaluateOptions_tolerance_mm"].setText("3")
    widgets["EvaluateOptions_tolerance_mm"].editingFinished.emit()
    section.on_evaluate()
    assert words == ["--tolerance-mm", "3.0"]


def test_options_that_do_not_go_together_are_refused_in_words(panel, widgets, tmp_path):
    file = tmp_path / "contours.dcm"
    file.touch()
    panel.widget.sections[4]._saved = [file]
    panel.ui.hostLineEdit.text, panel.ui.calledAELineEdit.text = "127.0.0.1", "ARCHIVE"
    widgets["SendOptions_tls_key"].findChild(QtWidgets.QLineEdit).setText(str(file))
    panel.click("sendButton")
    assert panel.errors == ["--tls-ca, --tls-certificate and --tls-key need --tls."]


def test_an_rtstruct_is_written_at_once(panel, widgets, tmp_path):
    """The series is contoured in place of the volume, so that contours refer to its slices."""
    write_patient(tmp_path / "patient", seed=1, hospital=HOSPITAL_B, alias="B01")
    series = tmp_path / "patient" / "CT"
    image = read_series(series)
    panel.ui.inputVolumeSelector.setCurrentNode(add_volume(Image(image.array, image.affine), name="CT"))
    panel.type_path("bundleLineEdit", make_bundle(tmp_path / "bundle"))
    panel.ui.segmentSettingsGroupBox.collapsed = False
    panel.type_path("structureSetFolderLineEdit", tmp_path / "new" / "results")
    choose(widgets["SegmentOptions_contours"], "probability")
    panel.click("applyButton")
    panel.until_idle()
    assert "original DICOM series of CT is not known" in panel.errors[0]
    panel.type_path("seriesFolderLineEdit", series)
    panel.click("applyButton")
    panel.until_idle()
    assert panel.errors[1:] == []
    file = tmp_path / "new" / "results" / "contours_unedited.rtstruct.dcm"
    assert file.read_text() == "probability"
    assert f"RTSTRUCT: {file}" in panel.ui.warningsLabel.text
    assert panel.parameters.outputSegmentation.GetSegmentation().GetNumberOfSegments() == 2
