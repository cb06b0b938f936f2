"""HQCSegment.py as Slicer loads it, and its .ui files."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULE = ROOT / "HQCSegment" / "HQCSegment.py"
PANEL = ROOT / "HQCSegment" / "HQCSegmentSlicer"
UI_FILES = sorted((ROOT / "HQCSegment" / "Resources" / "UI").glob("*.ui"))
NOTICE = "Research use only, not a medical device"

BEFORE_INSTALLATION = {*sys.stdlib_module_names, "slicer", "vtk", "numpy", "HQCSegmentLib", "HQCSegmentSlicer"}
"""What Slicer has before anything is installed."""


@pytest.fixture
def module(application):
    return importlib.import_module("HQCSegment")


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
    assert imports_at_file_scope(MODULE) <= BEFORE_INSTALLATION


@pytest.mark.parametrize("path", sorted(PANEL.rglob("*.py")), ids=lambda path: path.relative_to(PANEL).as_posix())
def test_no_file_of_the_module_imports_a_package_that_is_installed_later(path):
    assert imports_at_file_scope(path) <= BEFORE_INSTALLATION


def test_opening_the_panel_loads_no_dependency():
    """In a fresh interpreter where no package is installed yet: not even pydantic is looked for."""
    code = (
        "import sys; sys.path[:0] = sys.argv[1:]\n"
        "import slicer_application as app; app.install_widgets(); app.install_stand_ins()\n"
        "from pathlib import Path\n"
        "app.ScriptedLoadableModuleWidgetStandIn.module_folder = Path(sys.argv[1])\n"
        "application = app.Application()\n"
        "heavy = {'torch', 'monai', 'pydantic', 'pennylane', 'SimpleITK', 'pydicom', 'matplotlib', 'typer'}\n"
        "sys.modules |= dict.fromkeys(heavy)\n"  # None makes an import of them fail
        "import HQCSegment, HQCSegmentSlicer.panel.session as session\n"
        "session.missing_packages = lambda path: ('pydantic',)\n"
        "widget = HQCSegment.HQCSegmentWidget(); widget.setup()\n"
        "print(widget.ui.setUpStatusLabel.text)\n"
    )
    folders = [str(ROOT / "HQCSegment"), str(Path(__file__).parent)]
    result = subprocess.run(
        [sys.executable, "-c", code, *folders],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parent,
    )
    assert result.stdout.strip().endswith("Press Install what is missing first.")


def test_runs_unbuilt(tmp_path):
    """The library is found beside the module's folder, without being installed or on the path."""
    code = (
        "import sys; sys.path = [p for p in sys.path if p != sys.argv[1]]; sys.path[:0] = sys.argv[2:]\n"
        "named = lambda finder: getattr(finder, '__name__', type(finder).__name__).lower()\n"
        "sys.meta_path = [finder for finder in sys.meta_path if 'editable' not in named(finder)]\n"
        "import importlib.util; print(importlib.util.find_spec('HQCSegmentLib') is None)\n"
        "import slicer_application as app; app.install_widgets(); app.install_stand_ins()\n"
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


def elements(kind: str):
    return [element for path in UI_FILES for element in ET.parse(path).iter(kind)]


def test_ui_files_have_every_widget_that_the_panel_uses():
    used = {
        name
        for path in (MODULE, *PANEL.rglob("*.py"))
        for name in re.findall(r"\bui\.(\w+)", path.read_text(encoding="utf-8"))
    }
    named = {element.get("name") for element in elements("widget")}
    assert len(used) > 30
    assert used <= named


def test_widget_names_are_unique_in_the_whole_panel():
    names = [element.get("name") for element in elements("widget")]
    assert len(names) == len(set(names))


def test_ui_files_name_parameters_of_the_parameter_node(module):
    named = {e.findtext("string") for e in elements("property") if e.get("name") == "SlicerParameterName"}
    assert named <= set(module.HQCSegmentParameterNode.allParameters)
    assert {"inputVolume", "quality", "dicomPort", "cohortSource"} <= named


@pytest.mark.parametrize("path", UI_FILES, ids=lambda path: path.stem)
def test_ui_file_hands_the_scene_to_its_node_selectors_and_declares_its_widgets(path):
    tree = ET.parse(path)
    selectors = {element.get("name") for element in tree.iter("widget") if element.get("class") == "qMRMLNodeComboBox"}
    connections = [c for c in tree.iter("connection") if c.findtext("slot") == "setMRMLScene(vtkMRMLScene*)"]
    assert {connection.findtext("receiver") for connection in connections} == selectors
    used = {e.get("class") for e in tree.iter("widget") if not e.get("class").startswith("Q")}
    assert used == {e.findtext("class") for e in tree.iter("customwidget")}


def test_every_field_and_button_has_a_tool_tip():
    kinds = {
        "QPushButton",
        "QLineEdit",
        "QSpinBox",
        "QComboBox",
        "ctkPathLineEdit",
        "qMRMLNodeComboBox",
        "QTableWidget",
    }
    without = [
        element.get("name")
        for element in elements("widget")
        if element.get("class") in kinds
        and not any(one.get("name") == "toolTip" and one.findtext("string") for one in element.findall("property"))
    ]
    assert without == []


def test_panel_says_research_use_only():
    notice = next(element for element in elements("widget") if element.get("name") == "researchNoticeLabel")
    assert NOTICE in "".join(notice.itertext())
