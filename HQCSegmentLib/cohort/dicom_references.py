"""Which image series a structure set or DICOM SEG was drawn on, by what it refers to and never by names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from HQCSegmentLib.errors import InputError
from HQCSegmentLib.imaging.dicom_folder import SeriesSummary, read_tags
from HQCSegmentLib.imaging.dicom_reference import SeriesReference

if TYPE_CHECKING:
    from pydicom import Dataset


@dataclass(frozen=True)
class References:
    """What a structure set or DICOM SEG says that it was drawn on.

    Attributes:
        sop_instance_uids: Images, the strongest reference.
        series_instance_uids: Series.
        frame_of_reference_uids: Coordinate systems, the weakest: several series may share one.
    """

    sop_instance_uids: frozenset[str] = field(default=frozenset(), repr=False)
    series_instance_uids: frozenset[str] = field(default=frozenset(), repr=False)
    frame_of_reference_uids: frozenset[str] = field(default=frozenset(), repr=False)


def references_of(path: Path) -> References:
    """Read the references of an RT Structure Set or DICOM SEG file.

    Sources: DICOM PS3.3 C.8.8.5 (Referenced Frame of Reference Sequence), C.8.20.2 and C.12.1.1.11 (Common Instance
    Reference).
    """
    tags = ["FrameOfReferenceUID", "ReferencedFrameOfReferenceSequence", "StructureSetROISequence"]
    header = read_tags(path, [*tags, "ReferencedSeriesSequence"])
    return References() if header is None else references_in(header)


def references_in(dataset: Dataset) -> References:
    """References of a structure set or DICOM SEG that has been read."""
    frames = [dataset.get("FrameOfReferenceUID")]
    frames += [roi.get("ReferencedFrameOfReferenceUID") for roi in dataset.get("StructureSetROISequence") or []]
    series: list[Dataset] = list(dataset.get("ReferencedSeriesSequence") or [])
    for frame in dataset.get("ReferencedFrameOfReferenceSequence") or []:
        frames.append(frame.get("FrameOfReferenceUID"))
        for study in frame.get("RTReferencedStudySequence") or []:
            series += study.get("RTReferencedSeriesSequence") or []
    images = [
        image.get("ReferencedSOPInstanceUID")
        for one in series
        for sequence in ("ContourImageSequence", "ReferencedInstanceSequence")
        for image in one.get(sequence) or []
    ]
    return References(_uids(images), _uids(one.get("SeriesInstanceUID") for one in series), _uids(frames))


def check_references(references: References, image: SeriesReference | None, *, where: str) -> Iterator[str]:
    """Compare what a file refers to with the image series that it is about to be read on.

    Args:
        references: Of the structure set or DICOM SEG.
        image: The series; None for an image that is no DICOM series, of which nothing is known.
        where: Beginning of the messages: case and file.

    Yields:
        A sentence for each thing that is odd, but where the frame of reference says that positions are right.

    Raises:
        InputError: if the frames of reference differ, or neither frame nor images show that it was drawn on this
            series.
    """
    if image is None:
        return
    frames = references.frame_of_reference_uids
    if frames and image.frame_of_reference_uid and image.frame_of_reference_uid not in frames:
        msg = (
            f"{where} belongs to another frame of reference than the image series; use the one that was drawn on "
            "this series."
        )
        raise InputError(msg)
    same_frame = bool(image.frame_of_reference_uid) and image.frame_of_reference_uid in frames
    missing = references.sop_instance_uids.difference(image.sop_instance_uids)
    if not missing:
        return
    if len(missing) < len(references.sop_instance_uids):
        yield (
            f"{where} refers to {len(missing)} image(s) that are not in the series, and to "
            f"{len(references.sop_instance_uids) - len(missing)} that are; a part of the series may be missing."
        )
    elif same_frame:
        yield (
            f"{where} refers to other images than those of the series; it is read by position, since it is in the "
            "same frame of reference."
        )
    else:
        msg = (
            f"{where} refers to other images than those of the series, and no frame of reference says that they "
            "share positions; use the one that was drawn on this series."
        )
        raise InputError(msg)


def choose_series(
    references: References, series: Sequence[SeriesSummary], *, where: str
) -> tuple[SeriesSummary, str] | None:
    """Choose the series that was drawn on.

    Args:
        references: Of the structure set or DICOM SEG.
        series: What there is to choose from.
        where: Beginning of the messages: case and file.

    Returns:
        The series and by what it was chosen, in words; None if it refers to none of them.

    Raises:
        InputError: if it refers to several in the same way.
    """
    images = {one.uid: len(references.sop_instance_uids.intersection(one.sop_instance_uids)) for one in series}
    most = max(images.values(), default=0)
    ways = [
        ("its images", [one for one in series if most and images[one.uid] == most]),
        ("the series", [one for one in series if one.uid in references.series_instance_uids]),
        (
            "its frame of reference",
            [one for one in series if one.frame_of_reference_uid in references.frame_of_reference_uids],
        ),
    ]
    for way, found in ways:
        if len(found) == 1:
            return found[0], way
        if found:
            kinds = ", ".join(map(str, found))
            msg = f"{where} refers to {way} of {len(found)} image series in the folder ({kinds}); keep one of them."
            raise InputError(msg)
    return None


def _uids(values: Iterable[object]) -> frozenset[str]:
    return frozenset(str(value) for value in values if value)
