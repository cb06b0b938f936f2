"""HQCSegment.py and its panel, with stand-ins for what slicer-core lacks; no Slicer widget runs here."""

from __future__ import annotations

import ast
import importlib
import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import slicer
import slicer.util

pytest.importorskip("PySide6.QtUiTools", reason="PySide6 is not installed", exc_type=ImportError)
import qt_stand_ins
from HQCSegmentSlicer.signal import Signal

from HQCSegmentLib.errors import Interrupted, WorkError

ROOT = Path(__file__).resolve().parents[2]
MODULE = ROOT / "HQCSegment" / "HQCSegment.py"
UI = ROOT / "HQCSegment" / "Resources" / "UI" / "HQCSegment.ui"
NOTICE = "Research use only, not a medical device"


class RunnerStandIn:
    """Stand-in of HQCSegmentSlicer.logic.Logic: records calls."""

    def __init__(self) -> None:
        self.onEvent, self.onLog, self.onFinished, self.onFailed = Signal(), Signal(), Signal(), Signal()
        self.running = False
        self.calls: list[tuple] = []
        self.cancelled = self.closed = 0

    def segment(self, *arguments) -> None:
        self.calls.append(arguments)
        self.running = True

    def cancel(self) -> None:
        self.cancelled += 1

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def module(application, monkeypatch):
    monkeypatch.setattr(slicer.util, "loadUI", qt_stand_ins.load_ui, raising=False)
    monkeypatch.setattr(slicer.util, "childWidgetVariables", qt_stand_ins.child_widget_variables, raising=False)
    return importlib.import_module("HQCSegment")


@pytest.fixture
def widget(module):
    widget = module.HQCSegmentWidget()
    widget.setup()
    yield widget
    widget.cleanup()


@pytest.fixture
def volume(application):
    return slicer.util.addVolumeFromArray(np.zeros((2, 3, 4), np.int16), np.eye(4), "CT")


@pytest.fixture
def bundle(tmp_path) -> Path:
    (tmp_path / "bundle.json").write_text(json.dumps({"labels": []}), encoding="utf-8")
    return tmp_path


@pytest.fixture
def ready(widget, volume, bundle, monkeypatch):
    """A panel with all choices made and a stand-in of the work."""
    runner = RunnerStandIn()
    widget.logic._runner = runner
    monkeypatch.setattr(widget.logic, "ensureDependencies", lambda requirementsFile: None)
    widget._parameterNode.inputVolume = volume
    widget._parameterNode.bundleFolder = bundle
    return SimpleNamespace(widget=widget, ui=widget.ui, runner=runner, volume=volume, bundle=bundle)


def imports_at_file_scope(path: Path) -> set[str]:
    """Top-level packages that are imported when the file is, also inside `if` and `try`."""
    found: set[str] = set()
    pending: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(node, ast.Import):
            found.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").partition(".")[0])
        elif isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            pending.extend(node.orelse)
            continue
        pending.extend(ast.iter_child_nodes(node))
    return found


def test_file_scope_imports_only_what_slicer_has():
    allowed = {*sys.stdlib_module_names, "slicer", "vtk", "numpy", "HQCSegmentLib"}
    assert imports_at_file_scope(MODULE) <= allowed


def test_importing_the_module_loads_no_dependency():
    """In a fresh interpreter, with the stand-ins: not even pydantic, which is installed on Apply."""
    code = (
        "import sys; sys.path[:0] = sys.argv[1:]\n"
        "import slicer_application; slicer_application.install_stand_ins()\n"
        "import HQCSegment, HQCSegmentSlicer.process, HQCSegmentSlicer.dependencies\n"
        "HQCSegment.HQCSegmentLogic()\n"
        "heavy = {'torch', 'monai', 'pydantic', 'pennylane', 'SimpleITK', 'pydicom', 'matplotlib'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    folders = [str(ROOT / "HQCSegment"), str(Path(__file__).parent)]
    result = subprocess.run(
        [sys.executable, "-c", code, *folders],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parent,
    )
    assert result.stdout.strip() == "[]"


def test_runs_unbuilt(tmp_path):
    """The library is found beside the module's folder, without being installed or on the path."""
    code = (
        "import sys; sys.path = [p for p in sys.path if p != sys.argv[1]]; sys.path[:0] = sys.argv[2:]\n"
        "named = lambda finder: getattr(finder, '__name__', type(finder).__name__).lower()\n"
        "sys.meta_path = [finder for finder in sys.meta_path if 'editable' not in named(finder)]\n"
        "import importlib.util; print(importlib.util.find_spec('HQCSegmentLib') is None)\n"
        "import slicer_application; slicer_application.install_stand_ins()\n"
        "import HQCSegment, HQCSegmentLib; print(HQCSegmentLib.__file__)\n"
    )
    folders = [str(ROOT), str(ROOT / "HQCSegment"), str(Path(__file__).parent)]
    result = subprocess.run(
        [sys.executable, "-c", code, *folders], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert result.stdout.split() == ["True", str(ROOT / "HQCSegmentLib" / "__init__.py")]


def test_what_slicer_shows_of_the_module(module):
    parent = SimpleNamespace()
    module.HQCSegment(parent)
    assert parent.title == "HQCSegment"
    assert parent.categories == ["Segmentation"]
    assert NOTICE in parent.helpText
    assert parent.contributors
    assert parent.acknowledgementText


def test_ui_has_every_widget_that_the_module_uses():
    used = set(re.findall(r"self\.ui\.(\w+)", MODULE.read_text(encoding="utf-8")))
    named = {element.get("name") for element in ET.parse(UI).iter("widget")}
    assert used
    assert used <= named


def test_ui_names_the_parameters_of_the_parameter_node(module):
    named = {
        element.findtext("string")
        for element in ET.parse(UI).iter("property")
        if element.get("name") == "SlicerParameterName"
    }
    assert named == set(module.HQCSegmentParameterNode.__annotations__)


def test_ui_hands_the_scene_to_every_node_selector():
    tree = ET.parse(UI)
    selectors = {element.get("name") for element in tree.iter("widget") if element.get("class") == "qMRMLNodeComboBox"}
    connected = {
        connection.findtext("receiver")
        for connection in tree.iter("connection")
        if connection.findtext("slot") == "setMRMLScene(vtkMRMLScene*)"
    }
    assert connected == selectors


def test_ui_declares_every_custom_widget():
    tree = ET.parse(UI)
    used = {e.get("class") for e in tree.iter("widget") if not e.get("class").startswith("Q")}
    assert used == {e.findtext("class") for e in tree.iter("customwidget")}


def test_panel_says_research_use_only(widget):
    notice = widget.ui.researchNoticeLabel
    assert NOTICE in notice.text
    assert notice.widget.isVisibleTo(widget.panels[0].widget)


def test_layout_check(widget, tmp_path):
    """Writes a picture of stand-in widgets: a layout check, not a Slicer screenshot."""
    panel = widget.panels[0].widget
    panel.resize(420, 380)
    picture = panel.grab()
    assert picture.save(str(tmp_path / "layout-check-not-a-slicer-screenshot.png"))
    panel.show()
    for name, view in vars(widget.ui).items():
        if view.widget.isVisible() and view.widget.parent() is panel:
            assert panel.rect().contains(view.widget.geometry()), name
    panel.hide()


def test_apply_needs_a_volume_and_a_model(widget, volume, bundle, tmp_path):
    ui = widget.ui
    assert not ui.applyButton.enabled
    assert "input volume" in ui.applyButton.toolTip
    widget._parameterNode.inputVolume = volume
    assert not ui.applyButton.enabled
    assert "model folder" in ui.applyButton.toolTip
    widget._parameterNode.bundleFolder = bundle
    assert ui.applyButton.enabled
    assert not ui.cancelButton.enabled


def test_first_volume_is_chosen(module, volume):
    widget = module.HQCSegmentWidget()
    widget.setup()
    assert widget._parameterNode.inputVolume is volume
    widget.cleanup()


def test_apply_progress_and_end(ready):
    ui, runner = ready.ui, ready.runner
    ui.applyButton.widget.click()
    assert runner.calls == [(ready.volume, ready.bundle, None, False)]
    assert not ui.applyButton.enabled
    assert ui.cancelButton.enabled
    assert ui.progressBar.maximum == 0
    runner.onEvent.emit({"event": "progress", "step": 3, "of": 8, "eta_s": 12.4})
    assert (ui.progressBar.value, ui.progressBar.maximum) == (3, 8)
    assert "12 s" in ui.statusLabel.text
    runner.onEvent.emit({"event": "progress", "step": 4, "of": 8})
    assert ui.progressBar.value == 4
    runner.onEvent.emit({"event": "done"})
    runner.running = False
    result = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    runner.onFinished.emit(result)
    assert ui.applyButton.enabled
    assert not ui.cancelButton.enabled
    assert "Done" in ui.statusLabel.text
    assert ui.progressBar.value == ui.progressBar.maximum
    ui.applyButton.widget.click()
    assert runner.calls[1][2] is result
    runner.onEvent.emit({"event": "progress", "step": 1, "of": 8})
    assert ui.progressBar.value == 1


def test_cancel_and_failure(ready, monkeypatch):
    shown = []
    monkeypatch.setattr(slicer.util, "errorDisplay", shown.append)
    ui, runner = ready.ui, ready.runner
    ui.applyButton.widget.click()
    ui.cancelButton.widget.click()
    assert runner.cancelled == 1
    assert not ui.cancelButton.enabled
    runner.running = False
    runner.onFailed.emit(Interrupted("Cancelled."))
    assert ui.statusLabel.text == "Cancelled."
    assert not shown
    ui.applyButton.widget.click()
    runner.running = False
    runner.onFailed.emit(WorkError("The disk is full."))
    assert shown == ["The disk is full."]
    assert ui.applyButton.enabled


def test_closing_the_scene_stops_the_work(ready):
    ready.ui.applyButton.widget.click()
    slicer.mrmlScene.Clear(False)
    assert ready.runner.cancelled == 1
    assert ready.widget._parameterNode is not None
    assert ready.widget._parameterNode.inputVolume is None


def test_another_module_is_opened_while_it_works(ready):
    ready.ui.applyButton.widget.click()
    ready.widget.exit()
    ready.runner.running = False
    ready.runner.onFinished.emit(None)
    ready.widget.enter()
    assert ready.ui.applyButton.enabled


def test_destroying_the_panel_stops_the_work(ready):
    ready.ui.applyButton.widget.click()
    ready.widget.cleanup()
    assert ready.runner.closed == 1
    status = ready.ui.statusLabel.text
    ready.runner.onFailed.emit(Interrupted("Cancelled."))
    assert ready.ui.statusLabel.text == status


def test_apply_says_why_it_cannot_start(ready, monkeypatch):
    """The panel stays usable; Slicer itself shows the sentence unless it is being tested."""

    def refuse(requirementsFile):
        assert requirementsFile.is_file()
        raise RuntimeError("Install the PyTorch extension.")

    monkeypatch.setattr(ready.widget.logic, "ensureDependencies", refuse)
    ready.ui.applyButton.widget.click()
    assert not ready.runner.calls
    assert ready.ui.applyButton.enabled


def test_self_test_of_the_module(module):
    module.HQCSegmentTest().runTest()
