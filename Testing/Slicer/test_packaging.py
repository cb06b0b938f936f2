"""The extension is configured and installed by CMake with a stand-in of Slicer's package, and works from there."""

from __future__ import annotations

import json
import re
import shutil
import struct
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


SCHEMA = {
    "$schema": str, "category": str, "scm_url": str, "scm_revision": str, "scm_type": str, "build_dependencies": list,
    "dicom_support_rule": str, "build_subdirectory": str, "enabled": bool, "tier": int,
}  # fmt: skip
"""Properties of Slicer's slicer-extension-catalog-entry-schema-v1.0.2.json of 3 March 2026, which allows no others."""


def test_entry_for_the_extensions_index_keeps_the_schema():
    content = (ROOT / "HQCSegment.json").read_bytes()
    entry = json.loads(content)
    assert b"\r" not in content
    assert entry["$schema"].endswith("/slicer-extension-catalog-entry-schema-v1.0.2.json#")
    assert {"$schema", "category", "scm_url"} <= set(entry) <= set(SCHEMA)
    assert all(type(value) is SCHEMA[name] for name, value in entry.items())
    assert all(isinstance(name, str) for name in entry["build_dependencies"])
    assert entry["tier"] in range(1, 6)
    assert entry["category"] in {"Segmentation", "Radiotherapy"}  # two of those that the index accepts
    assert entry["scm_revision"] == "main"


def test_entry_and_top_level_lists_say_the_same():
    entry = json.loads((ROOT / "HQCSegment.json").read_text(encoding="utf-8"))
    lists = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    fields = dict(re.findall(r'^set\(EXTENSION_(\w+) "(.*)"\)$', lists, flags=re.MULTILINE))
    assert "project(HQCSegment)" in lists
    assert fields["DEPENDS"] == " ".join(entry["build_dependencies"])
    addresses = {"HOMEPAGE", "ICONURL", "SCREENSHOTURLS"}
    assert set(fields) == {"CONTRIBUTORS", "DESCRIPTION", "DEPENDS", *addresses}
    # Filled in together, when the repository has a public address.
    assert {bool(fields[name]) for name in addresses} == {bool(entry["scm_url"])}
    assert "not a medical device" in fields["DESCRIPTION"]


def test_the_icon_has_the_size_that_slicer_asks_for():
    for file in (ROOT / "Resources" / "HQCSegment.png", ROOT / "HQCSegment" / "Resources" / "Icons" / "HQCSegment.png"):
        content = file.read_bytes()
        assert content[:8] == b"\x89PNG\r\n\x1a\n"
        assert struct.unpack(">II", content[16:24]) == (128, 128)
