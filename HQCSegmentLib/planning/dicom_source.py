"""What DICOM outputs take over from the image series they refer to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from HQCSegmentLib.errors import InputError
from HQCSegmentLib.imaging.dicom_reference import SeriesReference
from HQCSegmentLib.imaging.geometry import GRID_TOLERANCE_VOXELS, LPS_FROM_RAS
from HQCSegmentLib.imaging.segmentation import Segmentation

if TYPE_CHECKING:
    from pydicom import Dataset

MANUFACTURER = "HQCSegment"
SERIES_DESCRIPTION = "HQCSegment, research use only"


def source_series(segmentation: Segmentation, *, output: str) -> SeriesReference:
    """Give the image series of a segmentation, checked to have the segmentation's geometry.

    Args:
        segmentation: What is to be written.
        output: What is written, for the message.

    Raises:
        InputError: if the segmentation was not made from a DICOM series, or no longer has its grid.
    """
    series = require_series(segmentation.series, name=segmentation.name, output=output)
    lps = LPS_FROM_RAS @ segmentation.affine
    shape = segmentation.grid.shape
    slices = (0, shape[2] - 1) if shape[2] == len(series.files) else ()
    headers = {k: read_header(series, k) for k in slices}
    same = bool(headers) and all(
        (int(header.Columns), int(header.Rows)) == shape[:2]
        and np.linalg.norm(lps[:3, 2] * k + lps[:3, 3] - np.array(header.ImagePositionPatient, float))
        <= GRID_TOLERANCE_VOXELS * min(segmentation.grid.spacing)
        for k, header in headers.items()
    )
    if not same:
        msg = (
            f"{segmentation.name}: the segmentation does not have the grid of its DICOM series; "
            f"resample it to the series before writing {output}."
        )
        raise InputError(msg)
    return series


def require_series(series: SeriesReference | None, *, name: str, output: str) -> SeriesReference:
    """Give the series that an image was read from.

    Args:
        series: What the image or segmentation knows of it.
        name: Of the image, for the message.
        output: What is to be written, for the message.

    Raises:
        InputError: if there is none, or it is a multi-frame image.
    """
    if series is None:
        msg = (
            f"{name}: {output} must refer to the original images, so the input must be a DICOM "
            "series; segment the DICOM folder instead of an image file, or write another format."
        )
        raise InputError(msg)
    if len(set(series.files)) < len(series.files):
        msg = (
            f"{name}: {output} is not written on multi-frame images; export the series as single-frame files, or write "
            "another format."
        )
        raise InputError(msg, code="multi-frame")
    return series


def read_header(series: SeriesReference, k: int) -> Dataset:
    """Read the attributes of slice `k` except its pixels, ready to be copied.

    Raises:
        InputError: if the file is gone.
    """
    import pydicom

    if not series.files[k].is_file():
        msg = f"The DICOM slice {series.files[k].name} of the input is gone; segment the series again."
        raise InputError(msg)
    header = pydicom.dcmread(series.files[k], stop_before_pixels=True)
    for tag in ("StudyID", "AccessionNumber"):
        # Some archives exceed the 16 characters of a short string; strict readers refuse such a file.
        if header.get(tag):
            header[tag].value = str(header[tag].value)[:16]
    return header
