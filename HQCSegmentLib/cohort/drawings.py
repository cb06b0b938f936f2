"""Structure sets and DICOM SEG files alike: what is drawn in them, and how it lies on an image."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from HQCSegmentLib.cohort.dicom_seg import drawn_segments, is_dicom_seg, list_segments
from HQCSegmentLib.cohort.rtstruct import Drawn, drawn_structures, is_structure_set, list_rois
from HQCSegmentLib.imaging.image import Image


def is_drawing(path: Path) -> bool:
    """Whether a file is an RT Structure Set or a DICOM SEG, by its content."""
    return is_structure_set(path) or is_dicom_seg(path)


def list_names(path: Path) -> list[str]:
    """Names of all structures in the file, drawn or not, in the order of the file.

    Raises:
        InputError: if the file is neither an RT Structure Set nor a DICOM SEG.
    """
    return list_segments(path) if is_dicom_seg(path) else list_rois(path)


def drawn_names(path: Path) -> list[str]:
    """As `list_names`, without regions of a structure set that have no contours.

    Raises:
        InputError: if the file is neither an RT Structure Set nor a DICOM SEG.
    """
    return list_segments(path) if is_dicom_seg(path) else list_rois(path, drawn=True)


def drawn_in(path: Path, image: Image, *, names: Collection[str] | None = None) -> Iterator[Drawn]:
    """Structures of a file on the grid of an image, one after the other; not drawn ones are absent.

    Args:
        path: RT Structure Set or DICOM SEG.
        image: The image that it was drawn on.
        names: Which structures to read; all by default. Names that the file lacks are passed over.

    Raises:
        InputError: as `rtstruct.drawn_structures` and `dicom_seg.drawn_segments`.
    """
    return (drawn_segments if is_dicom_seg(path) else drawn_structures)(path, image, names=names)
