"""Docs/slicer.md says what the module says."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "Docs" / "slicer.md").read_text(encoding="utf-8")


def test_every_message_of_the_troubleshooting_is_in_the_code():
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "HQCSegment" / "HQCSegmentSlicer").rglob("*.py")]
    code = re.sub(r'"\s*\n\s*"', "", "\n".join(sources))
    messages = re.findall(r"^\| `(.+?)` \|", PAGE, flags=re.MULTILINE)
    assert len(messages) >= 8
    assert [message for message in messages if message not in code] == []


def test_functions_of_the_page_take_what_the_page_gives_them(application):
    from HQCSegment import HQCSegmentLogic

    for name, arguments in {
        "checkCohort": ([],),
        "fineTune": ("cohort", "run1", {}),
        "segment": (None, "model"),
        "exportStructureSet": (None, None, "contours.dcm", "series_folder"),
    }.items():
        assert f"logic.{name}(" in PAGE
        inspect.signature(getattr(HQCSegmentLogic, name)).bind(None, *arguments, waitForCompletion=False)
