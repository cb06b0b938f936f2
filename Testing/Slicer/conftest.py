"""Makes HQCSegment.py and HQCSegmentSlicer importable, and gives tests a scene."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
for folder in (ROOT, ROOT / "HQCSegment", Path(__file__).resolve().parent):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")
IN_APPLICATION = hasattr(slicer, "app")
"""Whether `run_in_slicer` runs these tests, so that nothing has to be stood in for."""

if not IN_APPLICATION:
    pytest.importorskip("PySide6.QtUiTools", reason="PySide6 is not installed", exc_type=ImportError)

import slicer_application  # noqa: E402

if not IN_APPLICATION:
    slicer_application.install_widgets()
    slicer_application.install_stand_ins()
    slicer_application.ScriptedLoadableModuleWidgetStandIn.module_folder = ROOT / "HQCSegment"

Application = slicer_application.Application | slicer_application.RunningApplication


@pytest.fixture(scope="session")
def _application() -> Application:
    return slicer_application.RunningApplication() if IN_APPLICATION else slicer_application.Application()


@pytest.fixture
def application(_application: Application) -> Iterator[Application]:
    """The application with an empty scene."""
    _application.clear()
    yield _application
    _application.clear()
