"""Where the module's own files are."""

from __future__ import annotations

from pathlib import Path

RESOURCES = Path(__file__).resolve().parent.parent / "Resources"
REQUIREMENTS = RESOURCES / "requirements.txt"
