"""Reading a DICOM RT Structure Set as masks on the grid of an image."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from HQCSegmentLib.cohort.contour_planes import fill_contours, place_contours
from HQCSegmentLib.cohort.dicom_references import check_references, references_in
from HQCSegmentLib.cohort.rasterize import Box
from HQCSegmentLib.errors import InputError
from HQCSegmentLib.imaging.dicom_folder import RTSTRUCT_CLASS, read_tags
from HQCSegmentLib.imaging.geometry import LPS_FROM_RAS, FloatArray
from HQCSegmentLib.imaging.image import Image

if TYPE_CHECKING:
    from pydicom import Dataset

CLOSED_CONTOURS = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR")
"""Contour Geometric Types (3006,0042) that enclose an area; points and open lines are passed over."""

REFERENCE_TOLERANCE_SLICES = 1.1
"""How far a contour may lie from the image that it refers to, in units of the slice distance.

Contours between two slices refer to one of them; the tenth is for rounded coordinates.
"""

_CONTOUR_IMAGES = 0x30060016
_CONTOUR_DATA = 0x30060050
_UID_BYTES = tuple(bytes([one]) for one in b".0123456789")


@dataclass(frozen=True, eq=False)
class Drawn:
    """One structure as drawn.

    Attributes:
        name: Its name in the file.
        box: Its voxels.
        notes: Sentences on what was done to read it, or is odd about it.
    """

    name: str
    box: Box = field(repr=False)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class _Contour:
    """One closed contour: points in LPS millimetres, (points, 3), and its item in the file."""

    points: FloatArray
    item: Dataset

    def refers_to(self, sop_instance_uid: str) -> bool:
        """Whether it refers to an image, by the bytes in the file: reading the items takes longer than the points."""
        element = self.item.get_item(_CONTOUR_IMAGES)
        value = None if element is None else element.value
        if not isinstance(value, bytes):
            return sop_instance_uid in self.sop_instance_uids()
        before, found, after = value.partition(sop_instance_uid.encode("ascii"))
        return bool(found) and not before.endswith(_UID_BYTES) and not after.startswith(_UID_BYTES)

    def sop_instance_uids(self) -> tuple[str, ...]:
        """Images that it refers to."""
        images = self.item.get("ContourImageSequence") or []
        return tuple(str(one.get("ReferencedSOPInstanceUID") or "") for one in images)


def is_structure_set(path: Path) -> bool:
    """Whether a file is an RT Structure Set, by its content; planning systems give it any name."""
    header = read_tags(path, ["SOPClassUID"])
    return header is not None and header.get("SOPClassUID") == RTSTRUCT_CLASS


def open_structure_set(path: Path) -> Dataset:
    """Read a structure set.

    Raises:
        InputError: if the file is missing, damaged, or something else.
    """
    import pydicom

    if not path.is_file():
        msg = f"the structure set {path} does not exist."
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


def list_rois(path: Path, *, drawn: bool = False) -> list[str]:
    """Names of all regions of interest in a structure set, in the order of the file.

    Args:
        path: RT Structure Set file.
        drawn: Only those with contours.

    Raises:
        InputError: if the file is not an RT Structure Set.
    """
    structure_set = open_structure_set(Path(path))
    contoured = {
        int(item.ReferencedROINumber)
        for item in structure_set.get("ROIContourSequence") or []
        if item.get("ContourSequence")
    }
    regions = structure_set.get("StructureSetROISequence") or []
    return [_roi_name(roi) for roi in regions if not drawn or int(roi.ROINumber) in contoured]


def read_structure_set(
    path: Path, image: Image, *, names: Collection[str] | None = None
) -> dict[str, npt.NDArray[np.bool_]]:
    """Fill the contours of a structure set on the grid of `image`.

    Args:
        path: RT Structure Set file.
        image: The image that the contours were drawn on.
        names: Names of the regions to read; all by default. Names that the file lacks are passed over.

    Returns:
        Masks with axes (i, j, k) by ROI name, in the order of the file; see `drawn_structures`.

    Raises:
        InputError: as `drawn_structures`.
    """
    shape = image.grid.shape
    return {drawn.name: drawn.box.whole(shape) for drawn in drawn_structures(path, image, names=names)}


def drawn_structures(path: Path, image: Image, *, names: Collection[str] | None = None) -> Iterator[Drawn]:
    """Fill the contours of a structure set, one structure after the other.

    A voxel belongs to a structure when its centre lies inside the contours of its slice by the even-odd rule over all
    contours in that plane: inner contours cut holes, and a keyhole's two coincident edges cancel (DICOM PS3.3
    C.8.8.6.3). Of contours in several planes near one slice the nearest plane counts. Where a structure was drawn on
    every second or third slice only, the slices between are filled in.

    Args:
        path: RT Structure Set file.
        image: The image that the contours were drawn on.
        names: Names of the regions to read; all by default. Names that the file lacks are passed over.

    Yields:
        Structures in the order of the file. A region without closed contours is absent: it is not drawn, which is
        not the same as empty. Regions and contours are joined by number, names are taken from the region.

    Raises:
        InputError: if the file is not an RT Structure Set, belongs to another frame of reference or other images than
            `image`, has two drawn regions of the same name, or has contours across or outside the slices of the
            image or away from the image that they refer to.
    """
    path = Path(path)
    structure_set = open_structure_set(path)
    notes = tuple(check_references(references_in(structure_set), image.series, where=f"{image.name}: {path.name}"))
    contours_by_number = {
        int(item.ReferencedROINumber): item.get("ContourSequence") or []
        for item in structure_set.get("ROIContourSequence") or []
    }
    seen = set()
    for roi in structure_set.get("StructureSetROISequence") or []:
        roi_name = _roi_name(roi)
        if names is not None and roi_name not in names:
            continue
        # Some planning systems leave undrawn regions out of the contour sequence: only the number joins.
        items = contours_by_number.get(int(roi.ROINumber), [])
        where = f"{image.name}: structure {roi_name!r} in {path.name}"
        contours = [contour for contour in (_contour(item, where) for item in items) if contour is not None]
        if not contours:
            continue
        if roi_name in seen:
            msg = f"{image.name}: {path.name} has two drawn structures named {roi_name!r}; rename one."
            raise InputError(msg)
        seen.add(roi_name)
        _check_frame_of_reference(roi, image, where)
        yield _fill(contours, image, roi_name, where, notes)
        notes = ()


def _roi_name(roi: Dataset) -> str:
    """ROI Name, or its number where the name is empty (it may be: type 2)."""
    return str(roi.get("ROIName") or "").strip() or f"ROI {roi.ROINumber}"


def _contour(item: Dataset, where: str) -> _Contour | None:
    """Points of a closed contour; None for other kinds of contour and those without an area."""
    if item.get("ContourGeometricType") not in CLOSED_CONTOURS:
        return None
    element = item.get_item(_CONTOUR_DATA)
    value = b"" if element is None or element.value is None else element.value
    try:
        if isinstance(value, bytes):
            # As it is in the file: making an object of each of a million decimal strings takes minutes.
            value = value.strip(b" \0").split(b"\\") if value.strip(b" \0") else []
        values = np.array(value, np.float64).ravel()
    except ValueError as error:
        msg = f"{where}: a contour has coordinates that are not numbers; export the structure set again."
        raise InputError(msg) from error
    if len(values) < 9 or len(values) % 3:
        return None
    if not np.isfinite(values).all():
        msg = f"{where}: a contour has coordinates that are not finite numbers; export the structure set again."
        raise InputError(msg)
    return _Contour(values.reshape(-1, 3), item)


def _check_frame_of_reference(roi: Dataset, image: Image, where: str) -> None:
    """Refuse a region that is defined in another frame of reference than the image's."""
    expected = image.series.frame_of_reference_uid if image.series else ""
    found = str(roi.get("ReferencedFrameOfReferenceUID") or "")
    if expected and found and expected != found:
        msg = (
            f"{where} belongs to another frame of reference than the image series; use the structure set that was "
            "drawn on this series."
        )
        raise InputError(msg)


def _fill(contours: list[_Contour], image: Image, name: str, where: str, notes: tuple[str, ...]) -> Drawn:
    """Fill the contours of one structure; `where` begins the messages."""
    points = [contour.points for contour in contours]
    placed = place_contours(points, LPS_FROM_RAS @ image.affine, image.grid.shape, where=where)
    _check_slices(contours, placed.planes, image, where)
    box, filled = fill_contours(placed, image.affine, image.grid.shape)
    if filled:
        notes = (
            *notes,
            f"{where} is not drawn on neighbouring slices, as if every second or third was left out; the {filled} "
            "slices between are filled in.",
        )
    return Drawn(name, box, notes)


def _check_slices(contours: list[_Contour], planes: FloatArray, image: Image, where: str) -> None:
    """Refuse contours that lie away from the image of the series that they refer to."""
    if image.series is None:
        return
    uids = image.series.sop_instance_uids
    slice_of = {uid: k for k, uid in enumerate(uids)}
    for contour, plane in zip(contours, planes.tolist(), strict=True):
        if contour.refers_to(uids[min(max(0, round(plane)), len(uids) - 1)]):
            continue
        distances = [abs(slice_of[uid] - plane) for uid in contour.sop_instance_uids() if uid in slice_of]
        if distances and min(distances) > REFERENCE_TOLERANCE_SLICES:
            apart = min(distances) * image.grid.spacing[2]
            msg = (
                f"{where}: a contour lies {apart:.1f} mm from the image that it refers to; export the structure set "
                "and its series again."
            )
            raise InputError(msg)
