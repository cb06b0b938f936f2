"""Reading a DICOM RT Structure Set as masks on the grid of an image."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from HQCSegmentLib.errors import InputError
from HQCSegmentLib.imaging.dicom_series import read_tags
from HQCSegmentLib.imaging.geometry import LPS_FROM_RAS, FloatArray
from HQCSegmentLib.imaging.image import Image

if TYPE_CHECKING:
    from pydicom import Dataset

RTSTRUCT_CLASS = "1.2.840.10008.5.1.4.1.1.481.3"
"""SOP Class UID of RT Structure Set Storage (DICOM PS3.4 B.5)."""

CLOSED_CONTOURS = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR")
"""Contour Geometric Types (3006,0042) that enclose an area; points and open lines are passed over."""

PLANE_TOLERANCE_SLICES = 0.5
"""A contour belongs to a slice when it lies nearer than this to it, in units of the slice distance."""

SAME_PLANE_SLICES = 0.01
"""Contours nearer than this along the normal lie in the same plane, in units of the slice distance."""

Mask = npt.NDArray[np.bool_]


def is_structure_set(path: Path) -> bool:
    """Whether a file is an RT Structure Set, by its content; planning systems give it any name."""
    header = read_tags(path, ["SOPClassUID"])
    return header is not None and header.get("SOPClassUID") == RTSTRUCT_CLASS


def list_rois(path: Path) -> list[str]:
    """Names of all regions of interest in a structure set, drawn or not, in the order of the file.

    Raises:
        InputError: if the file is not an RT Structure Set.
    """
    return [_roi_name(roi) for roi in _read(Path(path)).get("StructureSetROISequence") or []]


def read_structure_set(
    path: Path, image: Image, *, names: Collection[str] | None = None
) -> dict[str, npt.NDArray[np.bool_]]:
    """Fill the contours of a structure set on the grid of `image`.

    A voxel belongs to a structure when its centre lies inside the contours of its slice by the even-odd rule
    over all contours in that plane: inner contours cut holes, and a keyhole's two coincident edges cancel.

    Args:
        path: RT Structure Set file.
        image: The image that the contours were drawn on.
        names: Names of the regions to read; all by default. Names that the file lacks are passed over.

    Returns:
        Masks with axes (i, j, k) by ROI name, in the order of the file. A region without closed contours is
        absent: it is not drawn, which is not the same as empty.

    Raises:
        InputError: if the file is not an RT Structure Set, belongs to another frame of reference than the
            image, has two drawn regions of the same name, or has contours across or outside the slices of the
            image.
    """
    path = Path(path)
    structure_set = _read(path)
    contours_by_number = {
        int(item.ReferencedROINumber): item.get("ContourSequence") or []
        for item in structure_set.get("ROIContourSequence") or []
    }
    masks: dict[str, Mask] = {}
    for roi in structure_set.get("StructureSetROISequence") or []:
        roi_name = _roi_name(roi)
        # Some planning systems leave undrawn regions out of the contour sequence: only the number joins.
        contours = [
            points for points in map(_points, contours_by_number.get(int(roi.ROINumber), [])) if points is not None
        ]
        if not contours or (names is not None and roi_name not in names):
            continue
        if roi_name in masks:
            msg = f"{image.name}: {path.name} has two drawn structures named {roi_name!r}; rename one."
            raise InputError(msg)
        _check_frame_of_reference(roi, image, path)
        where = f"{image.name}: structure {roi_name!r} in {path.name}"
        masks[roi_name] = _fill_contours(contours, image, where)
    return masks


def fill_polygons(polygons: Iterable[FloatArray], shape: tuple[int, int]) -> Mask:
    """Voxels whose centres lie inside polygons, by the even-odd rule over all of them together.

    `skimage.draw.polygon` tests every pixel against every edge, which takes seconds for a body outline; this
    crosses each edge only with the rows that it spans. They differ only for centres exactly on an edge.

    Args:
        polygons: Vertices in voxel indices (i, j), each of shape (points, 2); the last joins the first.
        shape: Number of voxels along i and j.

    Returns:
        Mask with axes (i, j).
    """
    # crossings[i, j] counts the edges between the centres i - 1 and i of row j.
    crossings = np.zeros((shape[0] + 1, shape[1]), np.int64)
    for polygon in polygons:
        start, end = polygon, np.roll(polygon, -1, axis=0)
        # Each edge is taken from its lower end, so that both edges of a keyhole cross at the very same place.
        upward = (start[:, 1] <= end[:, 1])[:, None]
        low, high = np.where(upward, start, end), np.where(upward, end, start)
        first = np.clip(np.ceil(low[:, 1]), 0, shape[1]).astype(int)
        last = np.clip(np.ceil(high[:, 1]), 0, shape[1]).astype(int)
        edge = np.repeat(np.arange(len(polygon)), last - first)
        rows_before = np.cumsum(last - first) - (last - first)
        row = np.arange(len(edge)) - rows_before[edge] + first[edge]
        slope = (high[edge, 0] - low[edge, 0]) / (high[edge, 1] - low[edge, 1])
        crossing = low[edge, 0] + slope * (row - low[edge, 1])
        np.add.at(crossings, (np.clip(np.ceil(crossing), 0, shape[0]).astype(int), row), 1)
    return np.cumsum(crossings[:-1], axis=0) % 2 == 1


def _read(path: Path) -> Dataset:
    import pydicom

    if not path.is_file():
        msg = f"The structure set {path} does not exist."
        raise InputError(msg)
    try:
        dataset = pydicom.dcmread(path)
    except (pydicom.errors.InvalidDicomError, OSError, ValueError, EOFError) as error:
        msg = f"{path} cannot be read as DICOM; export the structure set again."
        raise InputError(msg) from error
    if dataset.get("Modality") != "RTSTRUCT":
        msg = f"{path} is not an RT Structure Set (modality {dataset.get('Modality', 'missing')})."
        raise InputError(msg)
    return dataset


def _roi_name(roi: Dataset) -> str:
    """ROI Name, or its number where the name is empty (it may be: type 2)."""
    return str(roi.get("ROIName") or "").strip() or f"ROI {roi.ROINumber}"


def _points(contour: Dataset) -> FloatArray | None:
    """Points of a closed contour, LPS millimetres, shape (points, 3); None for other kinds of contour."""
    if contour.get("ContourGeometricType") not in CLOSED_CONTOURS:
        return None
    values = np.array(contour.get("ContourData") or [], float)
    if len(values) < 9 or len(values) % 3:
        return None
    return values.reshape(-1, 3)


def _check_frame_of_reference(roi: Dataset, image: Image, path: Path) -> None:
    """Refuse a region that is defined in another frame of reference than the image's."""
    expected = image.series.frame_of_reference_uid if image.series else ""
    found = str(roi.get("ReferencedFrameOfReferenceUID") or "")
    if expected and found and expected != found:
        msg = (
            f"{image.name}: structure {_roi_name(roi)!r} in {path.name} belongs to another frame of "
            "reference than the image series; use the structure set that was drawn on this series."
        )
        raise InputError(msg)


def _fill_contours(contours: list[FloatArray], image: Image, where: str) -> Mask:
    """Mask (i, j, k) of contours given in LPS millimetres; `where` begins the error messages."""
    voxel_from_lps = np.linalg.inv(LPS_FROM_RAS @ image.affine)
    indices = [points @ voxel_from_lps[:3, :3].T + voxel_from_lps[:3, 3] for points in contours]
    planes = np.array([points[:, 2].mean() for points in indices])
    if max(np.ptp(points[:, 2]) for points in indices) > PLANE_TOLERANCE_SLICES:
        msg = f"{where}: contours run across the image slices; redraw them on the slices of this series."
        raise InputError(msg)
    nearest = np.rint(planes).astype(int)
    outside = int(((nearest < 0) | (nearest >= image.grid.shape[2])).sum())
    if outside:
        msg = (
            f"{where}: {outside} of {len(contours)} contours lie outside the image slices; "
            "the series is incomplete or not the one that was contoured."
        )
        raise InputError(msg)
    mask = np.zeros(image.grid.shape, bool)
    for slice_index in np.unique(nearest):
        on_slice = np.flatnonzero(nearest == slice_index)
        # Contours drawn on a finer series put several planes on one slice: the nearest plane counts, since
        # the even-odd rule across planes would cancel them.
        distance = np.abs(planes[on_slice] - slice_index)
        plane = planes[on_slice[distance.argmin()]]
        chosen = on_slice[np.abs(planes[on_slice] - plane) <= SAME_PLANE_SLICES]
        mask[:, :, slice_index] = fill_polygons([indices[one][:, :2] for one in chosen], image.grid.shape[:2])
    return mask
