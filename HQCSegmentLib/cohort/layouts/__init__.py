"""How cohorts lie on disk. One module a layout; each has DESCRIPTION and find()."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from HQCSegmentLib.cohort.layouts import dicom_patients, images_labels, kits, listed, nnunet
from HQCSegmentLib.cohort.layouts.found import Found


class Layout(Protocol):
    """What each layout module offers."""

    DESCRIPTION: str

    def find(self, path: Path) -> Found | None:
        """Cases and structures, or None if the folder is laid out in another way."""
        ...


LAYOUTS: tuple[Layout, ...] = (listed, nnunet, images_labels, kits, dicom_patients)
"""In the order in which they are tried: the one that someone wrote down first, the one that reads all files last."""

__all__ = ["LAYOUTS", "Found", "Layout"]
