"""The extension is configured and installed by CMake with a stand-in of Slicer's package, and works from there."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
STAND_IN = Path(__file__).with_name("slicer_package_stand_in")
INSTALLED = "lib/Slicer-5.12/qt-scripted-modules"


def cmake(*words: object) -> str:
    program = shutil.which("cmake", path=Path(sys.executable).parent) or shutil.which("cmake")
    if program is None:
        pytest.skip("cmake is not installed")
    run = subprocess.run([program, *map(str, words)], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def test_installed_tree_has_all_files_and_works_from_there(tmp_path):
    said = cmake("-S", ROOT, "-B", tmp_path / "build", f"-DSlicer_DIR={STAND_IN}", "-DBUILD_TESTING=ON")
    assert "python unittest: HQCSegment.py" in said
    cmake("--install", tmp_path / "build", "--prefix", tmp_path / "installed")
    installed = tmp_path / "installed" / INSTALLED
    code = (
        "import sys; sys.path[:0] = sys.argv[1:]\n"
        "named = lambda finder: getattr(finder, '__name__', type(finder).__name__).lower()\n"
        "sys.meta_path = [finder for finder in sys.meta_path if 'editable' not in named(finder)]\n"
        "import slicer_application as app; app.install_widgets(); app.install_stand_ins()\n"
        "from pathlib import Path\n"
        "app.ScriptedLoadableModuleWidgetStandIn.module_folder = Path(sys.argv[1])\n"
        "application = app.Application()\n"
        "import HQCSegment, HQCSegmentLib\n"
        "widget = HQCSegment.HQCSegmentWidget(); widget.setup()\n"
        "print(HQCSegmentLib.__file__); print(widget.ui.setUpStatusLabel.text)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(installed), str(Path(__file__).parent)],
        capture_output=True, text=True, check=False, cwd=tmp_path, env={"QT_QPA_PLATFORM": "offscreen"},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines()[-2:] == [str(installed / "HQCSegmentLib" / "__init__.py"), "Ready."]


def test_entry_for_the_extensions_index():
    entry = json.loads((ROOT / "HQCSegment.json").read_text(encoding="utf-8"))
    assert {"$schema", "category", "scm_url"} <= set(entry)
    assert entry["category"] in {"Segmentation", "Radiotherapy"}
    lists = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    assert f'set(EXTENSION_DEPENDS "{" ".join(entry["build_dependencies"])}")' in lists
    assert entry["scm_revision"] == "main"
