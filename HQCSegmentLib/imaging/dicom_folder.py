"""What a folder of DICOM files holds: image series, structure sets and segmentations, known by content."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from HQCSegmentLib.imaging.dicom_frames import number_of_frames

if TYPE_CHECKING:
    from pydicom import Dataset

IMAGE_MODALITIES = ("CT", "MR", "PT")
"""Modality (0008,0060) of the series that are taken for images."""

RTSTRUCT_CLASS = "1.2.840.10008.5.1.4.1.1.481.3"
"""SOP Class UID of RT Structure Set Storage (DICOM PS3.4 B.5)."""

SEG_CLASSES = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")
"""SOP Class UIDs of Segmentation Storage and Label Map Segmentation Storage (DICOM PS3.4 B.5)."""

_TAGS = [
    "SOPClassUID", "SOPInstanceUID", "Modality", "SeriesInstanceUID", "SeriesDescription", "FrameOfReferenceUID",
    "NumberOfFrames", "Rows", "Columns", "PixelSpacing", "ImagePositionPatient", "ImageOrientationPatient",
    "SliceThickness", "SamplesPerPixel", "RescaleSlope", "RescaleIntercept", "BitsStored", "PixelRepresentation",
]  # fmt: skip
"""What is read of a file's header: what it is, and where its pixels are."""

HEADERS_KEPT = 8192
"""Of the files that were looked at last, so that a series which was found is not opened once more: about 50 MB."""


@dataclass(frozen=True)
class SeriesSummary:
    """One image series found in a folder.

    Attributes:
        modality: CT, MR or PT.
        uid: Series Instance UID.
        files: Its files, in order of name.
        sop_instance_uids: SOP Instance UIDs of the files, in the same order.
        frame_of_reference_uid: Of the first file; empty where it has none.
        description: Series Description of the first file, to tell series by; it may say anything and is never shown.
        number_of_slices: Of all files together; multi-frame files have several.
    """

    modality: str
    uid: str = field(repr=False)
    files: tuple[Path, ...] = field(repr=False)
    sop_instance_uids: tuple[str, ...] = field(default=(), repr=False)
    frame_of_reference_uid: str = field(default="", repr=False)
    description: str = field(default="", repr=False)
    number_of_slices: int = 0

    @property
    def number_of_files(self) -> int:
        """How many files."""
        return len(self.files)

    def __str__(self) -> str:
        return f"{self.modality} series of {self.number_of_files} file{'' if self.number_of_files == 1 else 's'}"


@dataclass(frozen=True)
class DicomFolder:
    """DICOM objects of a folder and its subfolders.

    Attributes:
        series: Image series, the one with the most slices first.
        structure_sets: RT Structure Sets, in order of name.
        segmentations: DICOM SEG files, in order of name.
    """

    series: tuple[SeriesSummary, ...] = ()
    structure_sets: tuple[Path, ...] = ()
    segmentations: tuple[Path, ...] = ()

    @property
    def drawings(self) -> tuple[Path, ...]:
        """Structure sets and segmentations."""
        return (*self.structure_sets, *self.segmentations)


def scan(folder: Path) -> DicomFolder:
    """Look at every file below a folder once.

    Hidden files, files that are not DICOM, and other DICOM objects (plan, dose, registration) are passed over.
    """
    headers: dict[tuple[str, str], list[tuple[Path, Dataset]]] = {}
    structure_sets, segmentations = [], []
    for file in sorted(path for path in Path(folder).rglob("*") if not path.name.startswith(".") and path.is_file()):
        header = image_header(file)
        if header is None:
            continue
        kind = header.get("SOPClassUID")
        if kind == RTSTRUCT_CLASS:
            structure_sets.append(file)
        elif kind in SEG_CLASSES:
            segmentations.append(file)
        elif header.get("Modality") in IMAGE_MODALITIES:
            key = str(header.Modality), str(header.get("SeriesInstanceUID", ""))
            headers.setdefault(key, []).append((file, header))
    series = [
        SeriesSummary(
            modality,
            uid,
            tuple(file for file, _ in found),
            tuple(str(header.get("SOPInstanceUID", "")) for _, header in found),
            str(found[0][1].get("FrameOfReferenceUID") or ""),
            str(found[0][1].get("SeriesDescription") or "").strip(),
            sum(number_of_frames(header) for _, header in found),
        )
        for (modality, uid), found in headers.items()
    ]
    series.sort(key=lambda one: one.number_of_slices, reverse=True)
    return DicomFolder(tuple(series), tuple(structure_sets), tuple(segmentations))


def image_header(file: Path) -> Dataset | None:
    """Elements of a file that say what it is and where its pixels are, or None where it is not readable as DICOM.

    They are kept for as long as the file is not changed.
    """
    try:
        status = file.stat()
    except OSError:
        return None
    return _image_header(file, status.st_mtime_ns, status.st_size)


@functools.lru_cache(maxsize=HEADERS_KEPT)
def _image_header(file: Path, _modified: int, _size: int) -> Dataset | None:
    return read_tags(file, _TAGS)


def read_tags(file: Path, tags: Sequence[str]) -> Dataset | None:
    """Read some header elements of a file, or give None where it is not readable as DICOM, whatever its name."""
    import pydicom

    try:
        return pydicom.dcmread(file, stop_before_pixels=True, specific_tags=list(tags))
    except (
        pydicom.errors.InvalidDicomError,
        OSError,
        ValueError,
        AttributeError,
        KeyError,
        NotImplementedError,
    ):
        return None
