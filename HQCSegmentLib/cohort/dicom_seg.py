"""Reading a DICOM Segmentation object as masks on the grid of the image that it was drawn on."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from HQCSegmentLib.cohort.dicom_references import check_references, references_in
from HQCSegmentLib.cohort.rasterize import Box
from HQCSegmentLib.cohort.rtstruct import Drawn
from HQCSegmentLib.errors import InputError
from HQCSegmentLib.imaging.dicom_folder import SEG_CLASSES, read_tags
from HQCSegmentLib.imaging.geometry import GRID_TOLERANCE_VOXELS, LPS_FROM_RAS, FloatArray
from HQCSegmentLib.imaging.image import Image

if TYPE_CHECKING:
    import highdicom
    from pydicom import Dataset

INSIDE_FROM = 0.5
"""Fractional segmentations: a voxel is inside from this probability or occupied part on."""


def is_dicom_seg(path: Path) -> bool:
    """Whether a file is a DICOM Segmentation object, by its content."""
    header = read_tags(path, ["SOPClassUID"])
    return header is not None and header.get("SOPClassUID") in SEG_CLASSES


def list_segments(path: Path) -> list[str]:
    """Labels of all segments, with or without frames, in the order of the file.

    Raises:
        InputError: if the file is not a DICOM SEG.
    """
    header = read_tags(Path(path), ["SOPClassUID", "SegmentSequence"])
    if header is None or header.get("SOPClassUID") not in SEG_CLASSES:
        msg = f"{path} is not a DICOM SEG."
        raise InputError(msg)
    return [_label(segment) for segment in _segments(header)]


def drawn_segments(path: Path, image: Image, *, names: Collection[str] | None = None) -> Iterator[Drawn]:
    """Bring the segments of a DICOM SEG to the grid of an image, one after the other; segments may overlap.

    The frames are placed by their position in the patient, not by their order. They may be fewer than the image's
    slices, cover a part of them, and run along other axes, but their voxels must be voxels of the image.

    Args:
        path: DICOM SEG file: binary, fractional (inside from 0.5 on) or label map.
        image: The image that it was drawn on.
        names: Labels of the segments to read; all by default. Labels that the file lacks are passed over.

    Yields:
        Structures in the order of the file. A segment without frames is absent: it is not drawn, which is not the
        same as empty.

    Raises:
        InputError: if the file is not a DICOM SEG, belongs to another frame of reference or other images than `image`,
            has two segments of the same label, or its voxels are not those of the image.
    """
    path = Path(path)
    where = f"{image.name}: {path.name}"
    segmentation = _read(path)
    notes = tuple(check_references(references_in(segmentation), image.series, where=where))
    drawn = _numbers_with_frames(segmentation)
    seen = set()
    for segment in _segments(segmentation):
        name, number = _label(segment), int(segment.SegmentNumber)
        if number not in drawn or (names is not None and name not in names):
            continue
        if name in seen:
            msg = f"{where} has two segments labelled {name!r}; rename one."
            raise InputError(msg)
        seen.add(name)
        yield Drawn(name, _place(*_volume(segmentation, number, where), image, f"{where}: segment {name!r}"), notes)
        notes = ()


def _read(path: Path) -> highdicom.seg.Segmentation:
    import highdicom
    import pydicom

    if not path.is_file():
        msg = f"the DICOM SEG {path} does not exist."
        raise InputError(msg)
    try:
        return highdicom.seg.segread(path)
    except (pydicom.errors.InvalidDicomError, OSError, ValueError, EOFError, AttributeError, KeyError) as error:
        msg = f"{path} cannot be read as DICOM SEG; export the segmentation again."
        raise InputError(msg) from error


def _segments(dataset: Dataset) -> list[Dataset]:
    """Items of the Segment Sequence; a label map may describe its background, which is no structure."""
    return [item for item in dataset.get("SegmentSequence") or [] if int(item.SegmentNumber) > 0]


def _label(segment: Dataset) -> str:
    """Segment Label, or the number where it is empty."""
    return str(segment.get("SegmentLabel") or "").strip() or f"Segment {segment.SegmentNumber}"


def _numbers_with_frames(dataset: Dataset) -> set[int]:
    """Numbers of the segments that have at least one frame; all segments of a label map share its frames."""
    if dataset.get("SegmentationType") == "LABELMAP":
        return {int(segment.SegmentNumber) for segment in _segments(dataset)}
    shared = dataset.get("SharedFunctionalGroupsSequence") or []
    frames = dataset.get("PerFrameFunctionalGroupsSequence") or []
    return {
        int(identification.ReferencedSegmentNumber)
        for group in (*shared, *frames)
        for identification in group.get("SegmentIdentificationSequence") or []
    }


def _volume(segmentation: highdicom.seg.Segmentation, number: int, where: str) -> tuple[npt.NDArray, FloatArray]:
    """Voxels of one segment with axes (frame, row, column), and the affine to LPS millimetres."""
    try:
        with warnings.catch_warnings():
            # Said about every file that leaves out empty frames, which is what they all do.
            warnings.simplefilter("ignore")
            volume = segmentation.get_volume(segment_numbers=[number], combine_segments=False, rescale_fractional=True)
    except (RuntimeError, ValueError, AttributeError, KeyError, IndexError) as error:
        msg = f"{where}: the frames are no regular volume that can be read ({str(error).rstrip('.')})."
        raise InputError(msg) from error
    return volume.array[..., 0] >= INSIDE_FROM, np.asarray(volume.affine, np.float64)


def _place(voxels: npt.NDArray[np.bool_], lps: FloatArray, image: Image, where: str) -> Box:
    """Box on the grid of the image.

    Args:
        voxels: Axes of the segmentation's own.
        lps: Affine from their indices to LPS millimetres.
        image: Where they are to be placed.
        where: Beginning of the messages.
    """
    change = np.linalg.inv(LPS_FROM_RAS @ image.affine) @ lps
    turn = np.rint(change[:3, :3])
    # The corners of the volume are where a small difference of spacing or direction adds up to most.
    ends = np.array(list(np.ndindex(2, 2, 2))) * (np.array(voxels.shape) - 1)
    corners = ends @ change[:3, :3].T + change[:3, 3]
    whole = np.rint(corners)
    steps = np.abs(turn)
    if (
        not (np.isin(steps, (0, 1)).all() and (steps.sum(axis=0) == 1).all() and (steps.sum(axis=1) == 1).all())
        or np.abs(corners - whole).max() > GRID_TOLERANCE_VOXELS
        or np.abs(ends @ turn.T + whole[0] - whole).max() > 0
    ):
        msg = (
            f"{where} is not on the grid of the image series (its voxels lie up to "
            f"{np.abs(corners - whole).max():.2f} voxels away); export it in the geometry of the series."
        )
        raise InputError(msg)
    # axes[a]: which axis of the segmentation runs along axis a of the image.
    axes = [int(axis) for axis in steps.argmax(axis=1)]
    moved = voxels.transpose(axes)
    moved = np.flip(moved, [axis for axis in range(3) if turn[axis, axes[axis]] < 0])
    start = whole.min(axis=0).astype(int)
    stop = start + moved.shape
    low, high = np.maximum(start, 0), np.minimum(stop, image.grid.shape)
    inside = moved[tuple(slice(max(0, a), max(0, b)) for a, b in zip(low - start, high - start, strict=True))]
    if np.count_nonzero(inside) < np.count_nonzero(moved):
        msg = (
            f"{where} reaches outside the image series; the series is incomplete or not the one that it was drawn on."
        )
        raise InputError(msg)
    i, j, k = low.tolist()
    return Box((i, j, k), inside)
