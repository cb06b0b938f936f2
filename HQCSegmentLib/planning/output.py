"""Writing a segmentation in the formats that other programs take."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from HQCSegmentLib.imaging import Image, Segmentation


class OutputFormat(StrEnum):
    """Formats of `write_segmentation`."""

    nifti = "nifti"
    nrrd = "nrrd"
    seg = "seg"
    rtstruct = "rtstruct"


SUFFIXES = {
    OutputFormat.nifti: ".nii.gz",
    OutputFormat.nrrd: ".nrrd",
    OutputFormat.seg: ".seg.dcm",
    OutputFormat.rtstruct: ".rtstruct.dcm",
}

REFERRING = {OutputFormat.seg: "a DICOM SEG", OutputFormat.rtstruct: "an RT Structure Set"}
"""Formats that refer to the original DICOM images, with their names."""


def check_source(image: Image, output: OutputFormat, *, name: str) -> None:
    """Refuse an image whose segmentation could not be written in a format, before it is segmented.

    Args:
        image: What is to be segmented.
        output: The format.
        name: Of the image, for the message.

    Raises:
        InputError: if the format refers to DICOM images and the image is not a DICOM series.
    """
    if output in REFERRING:
        from HQCSegmentLib.planning.dicom_source import require_series

        require_series(image.series, name=name, output=REFERRING[output])


def write_segmentation(folder: Path, name: str, segmentation: Segmentation, output: OutputFormat) -> Path:
    """Write one segmentation in one format, atomically.

    Args:
        folder: Where to write.
        name: File name without suffix.
        segmentation: What to write.
        output: The format; `seg` and `rtstruct` need a segmentation of a DICOM series.

    Returns:
        The file.

    Raises:
        InputError: if the segmentation cannot be written in this format.
    """
    path = folder / f"{name}{SUFFIXES[output]}"
    if output is OutputFormat.rtstruct:
        from HQCSegmentLib.planning.rtstruct import write_rtstruct

        write_rtstruct(path, segmentation)
    elif output is OutputFormat.seg:
        from HQCSegmentLib.planning.dicom_seg import write_dicom_seg

        write_dicom_seg(path, segmentation)
    else:
        from HQCSegmentLib.imaging import write_array

        write_array(path, segmentation.array, segmentation.affine)
    return path
