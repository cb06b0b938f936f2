"""Enhanced multi-frame DICOM images (CT, MR, PET): each frame as the single-frame image that it could have been.

What a single-frame file says of itself, such a file says in functional groups, of every frame or of all together
(DICOM PS3.3 C.7.6.16).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy.typing as npt

if TYPE_CHECKING:
    from pydicom import Dataset

ENHANCED_CLASSES = (
    "1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.4.1", "1.2.840.10008.5.1.4.1.1.130",
    "1.2.840.10008.5.1.4.1.1.2.2", "1.2.840.10008.5.1.4.1.1.4.4", "1.2.840.10008.5.1.4.1.1.128.1",
)  # fmt: skip
"""SOP Class UIDs of Enhanced and Legacy Converted Enhanced CT, MR and PET Image Storage (DICOM PS3.4 B.5)."""

_OF_FRAMES = {
    "PlanePositionSequence": ("ImagePositionPatient",),
    "PlaneOrientationSequence": ("ImageOrientationPatient",),
    "PixelMeasuresSequence": ("PixelSpacing", "SliceThickness"),
    "PixelValueTransformationSequence": ("RescaleSlope", "RescaleIntercept"),
}
_OF_FILE = (
    "SOPInstanceUID", "FrameOfReferenceUID", "Rows", "Columns", "SamplesPerPixel", "BitsStored", "PixelRepresentation",
)  # fmt: skip


def number_of_frames(header: Dataset) -> int:
    """Number of Frames (0028,0008); 1 where there is none, or nothing that is a number."""
    try:
        return int(header.get("NumberOfFrames") or 1)
    except (TypeError, ValueError):
        return 1


def is_multi_frame(header: Dataset) -> bool:
    """Whether a header is that of an image with functional groups, or with several frames."""
    return number_of_frames(header) > 1 or header.get("SOPClassUID") in ENHANCED_CLASSES


def functional_group(name: str, frame: Dataset, shared: Sequence[Dataset]) -> Dataset | None:
    """Item of a functional group, which a frame has for itself or all share."""
    return next((group[name][0] for group in (frame, *shared) if group.get(name)), None)


def frame_headers(file: Path) -> list[Dataset]:
    """For each frame of a file the header that a single-frame file of it would have.

    Returns:
        In the order of the file; empty where it has no functional groups. What is missing there is missing here.
    """
    import pydicom

    whole = pydicom.dcmread(file, stop_before_pixels=True)
    shared = whole.get("SharedFunctionalGroupsSequence") or []
    headers = []
    for frame in whole.get("PerFrameFunctionalGroupsSequence") or []:
        header = pydicom.Dataset()
        for tag in _OF_FILE:
            if tag in whole:
                header[tag] = whole[tag]
        for group, tags in _OF_FRAMES.items():
            item = functional_group(group, frame, shared)
            for tag in tags:
                if item is not None and tag in item:
                    header[tag] = item[tag]
        headers.append(header)
    return headers


def read_frames(file: Path) -> npt.NDArray:
    """Stored values of all frames of a grayscale image, axes (frame, row, column).

    Raises:
        ValueError: if they cannot be decoded.
    """
    import pydicom

    try:
        array = pydicom.dcmread(file).pixel_array
    except (RuntimeError, NotImplementedError, AttributeError, KeyError, OSError) as error:
        msg = f"the pixels of {file.name} cannot be decoded"
        raise ValueError(msg) from error
    return array[None] if array.ndim == 2 else array
