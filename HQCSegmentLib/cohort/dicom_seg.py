"""Reading a DICOM Segmentation object as masks on the grid of the image that it was drawn on."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from HQCSegmentLib.cohort.dicom_references import check_references, references_in
from HQCSegmentLib.cohort.rasterize import Box, empty_volume
from HQCSegmentLib.cohort.rtstruct import Drawn
from HQCSegmentLib.errors import InputError
from HQCSegmentLib.imaging.dicom_folder import SEG_CLASSES, read_tags
from HQCSegmentLib.imaging.dicom_frames import functional_group
from HQCSegmentLib.imaging.geometry import GRID_TOLERANCE_VOXELS, LPS_FROM_RAS, FloatArray
from HQCSegmentLib.imaging.image import Image

if TYPE_CHECKING:
    import highdicom
    from pydicom import Dataset

INSIDE_FROM = 0.5
"""Fractional segmentations: a voxel is inside from this probability or occupied part on."""

_GEOMETRY = (
    ("PlanePositionSequence", "ImagePositionPatient"),
    ("PlaneOrientationSequence", "ImageOrientationPatient"),
    ("PixelMeasuresSequence", "PixelSpacing"),
)
"""Functional groups (DICOM PS3.3 C.7.6.16.2) and what in them says where a frame lies."""


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
    planes = _planes(segmentation, where)
    seen = set()
    for segment in _segments(segmentation):
        name, number = _label(segment), int(segment.SegmentNumber)
        if number not in planes or (names is not None and name not in names):
            continue
        if name in seen:
            msg = f"{where} has two segments labelled {name!r}; rename one."
            raise InputError(msg)
        seen.add(name)
        box = _fill(segmentation, number, planes[number], image, f"{where}: segment {name!r}")
        yield Drawn(name, box, notes)
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


@dataclass(frozen=True)
class _Plane:
    """Where a frame lies: its index, and the affine from (column, row, 1) to LPS millimetres, shape (3, 3)."""

    index: int
    lps: FloatArray


def _planes(dataset: Dataset, where: str) -> dict[int, list[_Plane]]:
    """Frames of each segment number; all segments of a label map share its frames.

    Raises:
        InputError: if a frame does not say where it lies.
    """
    shared = dataset.get("SharedFunctionalGroupsSequence") or []
    every = [int(segment.SegmentNumber) for segment in _segments(dataset)]
    is_label_map = dataset.get("SegmentationType") == "LABELMAP"
    planes: dict[int, list[_Plane]] = {}
    for index, group in enumerate(dataset.get("PerFrameFunctionalGroupsSequence") or []):
        values = [
            np.array(item.get(tag) or [], float)
            for macro, tag in _GEOMETRY
            for item in [functional_group(macro, group, shared) or {}]
        ]
        if [len(value) for value in values] != [3, 6, 2] or not np.isfinite(np.concatenate(values)).all():
            msg = f"{where}: frame {index + 1} does not say where it lies; export the segmentation again."
            raise InputError(msg)
        position, orientation, spacing = values
        lps = np.column_stack([orientation[:3] * spacing[1], orientation[3:] * spacing[0], position])
        identified = functional_group("SegmentIdentificationSequence", group, shared)
        own = [] if identified is None else [int(identified.ReferencedSegmentNumber)]
        for number in every if is_label_map else own:
            planes.setdefault(number, []).append(_Plane(index, lps))
    return planes


def _fill(segmentation: highdicom.seg.Segmentation, number: int, planes: list[_Plane], image: Image, where: str) -> Box:
    """Voxels of one segment in a box on the grid of the image; `where` begins the messages."""
    voxel_from_lps = np.linalg.inv(LPS_FROM_RAS @ image.affine)
    shape = np.array(image.grid.shape)
    volume = empty_volume(image.grid.shape, np.bool_)
    first, last = shape.copy(), np.zeros(3, int)
    for plane in planes:
        pixels = _pixels(segmentation, plane.index, number, where)
        if not pixels.any():
            continue
        change = voxel_from_lps[:3, :3] @ plane.lps
        change[:, 2] += voxel_from_lps[:3, 3]
        turn, start = _on_grid(change, pixels.shape, where)
        across, along = int(np.abs(turn[:, 0]).argmax()), int(np.abs(turn[:, 1]).argmax())
        against = tuple(axis for axis, one in enumerate((across, along)) if turn[one, axis] < 0)
        pixels = np.flip(pixels, against)
        size = np.ones(3, int)
        size[[across, along]] = pixels.shape
        start = start + np.minimum(turn[:, 0] * (pixels.shape[0] - 1) + turn[:, 1] * (pixels.shape[1] - 1), 0)
        low, high = np.clip(start, 0, shape), np.clip(start + size, 0, shape)
        inside = pixels[
            slice(low[across] - start[across], high[across] - start[across]),
            slice(low[along] - start[along], high[along] - start[along]),
        ]
        if (high <= low).any() or np.count_nonzero(inside) < np.count_nonzero(pixels):
            msg = (
                f"{where} reaches outside the image series; the series is incomplete or not the one that it was "
                "drawn on."
            )
            raise InputError(msg)
        part = volume[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
        part |= (inside if across < along else inside.T).reshape(part.shape)
        first, last = np.minimum(first, low), np.maximum(last, high)
    first = np.minimum(first, last)
    i, j, k = first.tolist()
    return Box((i, j, k), volume[tuple(slice(a, b) for a, b in zip(first, last, strict=True))])


def _pixels(segmentation: highdicom.seg.Segmentation, index: int, number: int, where: str) -> npt.NDArray[np.bool_]:
    """Pixels of a frame that belong to a segment, axes (column, row)."""
    try:
        stored = segmentation.get_stored_frame(index, as_index=True)
    except (RuntimeError, ValueError, AttributeError, KeyError, IndexError) as error:
        msg = f"{where}: frame {index + 1} cannot be read; copy or export the segmentation again."
        raise InputError(msg) from error
    kind = segmentation.get("SegmentationType")
    if kind == "LABELMAP":
        inside = stored == number
    elif kind == "FRACTIONAL":
        inside = stored >= INSIDE_FROM * int(segmentation.MaximumFractionalValue)
    else:
        inside = stored > 0
    return np.asarray(inside).T


def _on_grid(
    change: FloatArray, size: tuple[int, ...], where: str
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Directions of columns and rows along the axes of the image, shape (3, 2), and the voxel of the first pixel.

    Args:
        change: From (column, row, 1) to voxels of the image, shape (3, 3).
        size: Number of columns and rows.
        where: Beginning of the message.

    Raises:
        InputError: if the pixels are not voxels of the image.
    """
    turn = np.rint(change[:, :2]).astype(int)
    start = np.rint(change[:, 2]).astype(int)
    # At the corners a small difference of spacing or direction has added up to most.
    corners = np.array([(column, row) for column in (0, size[0] - 1) for row in (0, size[1] - 1)])
    apart = corners @ (change[:, :2] - turn).T + change[:, 2] - start
    steps = np.abs(turn)
    straight = (steps.sum(axis=0) == 1).all() and (steps.sum(axis=1) <= 1).all()
    if not straight or np.abs(apart).max() > GRID_TOLERANCE_VOXELS:
        msg = (
            f"{where} is not on the grid of the image series (its pixels lie up to {np.abs(apart).max():.2f} voxels "
            "away from voxels); export it in the geometry of the series."
        )
        raise InputError(msg)
    return turn, start
