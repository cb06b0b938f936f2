"""The module inside the application that SLICER_EXECUTABLE names; without it, inside a stand-in of its command line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(__file__).resolve().parent
SLICER = os.environ.get("SLICER_EXECUTABLE")
COMMAND = [SLICER] if SLICER else [sys.executable, str(FOLDER / "slicer_stand_in.py")]


def run_slicer(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """Start Slicer as its own tests are started."""
    options = ["--no-splash", "--no-main-window", "--testing", "--additional-module-paths", ROOT / "HQCSegment"]
    command = [*COMMAND, *map(str, (*options, *words))]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)


def test_the_module_tests_itself():
    """As slicer_add_python_unittest of HQCSegment/CMakeLists.txt starts it."""
    code = f"import slicer.testing; slicer.testing.runUnitTest([{str(ROOT / 'HQCSegment')!r}], 'HQCSegment')"
    result = run_slicer("--python-code", code)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "runTest (HQCSegment.HQCSegmentTest" in result.stdout + result.stderr
    assert "not all of the self test was run" not in result.stdout + result.stderr


def test_tests_run_inside_and_their_failure_is_told(tmp_path):
    (tmp_path / "test_two.py").write_text(
        "import slicer\n"
        "def test_that_holds(): assert slicer.mrmlScene.GetNumberOfNodes() > 0\n"
        "def test_that_does_not(): assert slicer.mrmlScene is None\n"
    )
    result = run_slicer("--python-script", FOLDER / "run_in_slicer.py", tmp_path / "test_two.py")
    assert result.returncode == 1, result.stdout + result.stderr
    assert "1 failed, 1 passed" in result.stdout


if SLICER:

    def test_all_tests_that_need_no_stand_in_of_widgets_run_inside():
        result = run_slicer("--python-script", FOLDER / "run_in_slicer.py")
        assert result.returncode == 0, result.stdout + result.stderr
