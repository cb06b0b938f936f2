"""Writing a segmentation as DICOM RT Structure Set (PS3.3 A.19) for a planning system."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from HQCSegmentLib.errors import InputError
from HQCSegmentLib.files import replacing
from HQCSegmentLib.imaging.geometry import LPS_FROM_RAS, FloatArray
from HQCSegmentLib.imaging.segmentation import Segmentation
from HQCSegmentLib.planning.contour_options import ContourOptions
from HQCSegmentLib.planning.contour_sequence import CLOSED, CLOSED_XOR, Contour, encode_contours
from HQCSegmentLib.planning.contours import Rings, keyhole, trace_mask, trace_probability
from HQCSegmentLib.planning.dicom_source import source_series
from HQCSegmentLib.planning.simplification import simplified
from HQCSegmentLib.planning.structure_set import NewRoi, existing_structure_set, new_structure_set

if TYPE_CHECKING:
    from HQCSegmentLib.imaging.dicom_reference import SeriesReference

Probabilities = Mapping[str, npt.NDArray[np.floating]]
"""By name of structure: probability 0 to 1 of each voxel, axes (i, j, k), on the grid of the segmentation."""


LEAST_LEAD = 1e-6
"""Of a voxel: scores may be equal, but the label says which won."""


def write_rtstruct(
    path: Path,
    segmentation: Segmentation,
    *,
    options: ContourOptions | None = None,
    probabilities: Probabilities | None = None,
    existing: Path | None = None,
) -> None:
    """Write the structures as contours on the slices of the original image series, atomically.

    Every structure is listed with its name and interpreted type; one without voxels has no contours. The file is
    Implicit VR Little Endian, in which contours may have any length, and marked as automatic, unapproved and for
    research.

    Args:
        path: File to write, for example `RTSTRUCT.dcm`.
        segmentation: Label map in the grid of a DICOM series. With `leads`, contours are traced where these fall to
            nothing, between the voxels, instead of around the voxels.
        options: Holes, and how many points to leave out; by default keyholes, and all points.
        probabilities: Trace these structures where the probability is above one half, between voxels, instead of around
            the voxels of the label map.
        existing: Structure set on the same frame of reference to add the structures to. Its regions stay as they are; a
            name that is taken gets a number. It may be the file that is written.

    Raises:
        InputError: if the segmentation was not made from a DICOM series or does not have its grid, probabilities are on
            another grid or of no structure, or the existing file is no structure set of this patient and frame of
            reference.
    """
    import pydicom

    options = options or ContourOptions()
    series = source_series(segmentation, output="an RT Structure Set")
    probabilities = _checked(probabilities or {}, segmentation)
    if existing is None:
        dataset, image_class = new_structure_set(series)
    else:
        dataset, image_class = existing_structure_set(Path(existing), series, name=segmentation.name)
    places = _places(segmentation)
    for structure in segmentation.structures:
        if structure.name in probabilities:
            slices = _probability_slices(probabilities[structure.name])
        else:
            slices = traced_slices(segmentation, structure.value, places.get(structure.value))
        contours = _contours(slices, segmentation, series, image_class, options)
        NewRoi(structure, encode_contours(contours)).add_to(dataset, series)
    with replacing(Path(path)) as temporary:
        pydicom.dcmwrite(
            temporary, dataset, implicit_vr=True, little_endian=True, enforce_file_format=True, overwrite=True
        )


def _checked(probabilities: Probabilities, segmentation: Segmentation) -> Probabilities:
    names = {structure.name for structure in segmentation.structures}
    for name, probability in probabilities.items():
        if name not in names or probability.shape != segmentation.array.shape:
            msg = (
                f"{segmentation.name}: probabilities of {name!r} with {probability.shape} voxels do not belong to a "
                f"structure of the segmentation with {segmentation.array.shape} voxels."
            )
            raise InputError(msg)
    return probabilities


def _places(segmentation: Segmentation) -> dict[int, tuple[slice, ...]]:
    """Smallest box around each structure, by value, found in one pass."""
    from scipy.ndimage import find_objects

    # In the order of memory, which is the fastest.
    found = find_objects(segmentation.array.T)
    return {value: place[::-1] for value, place in enumerate(found, start=1) if place is not None}


def traced_slices(
    segmentation: Segmentation, value: int, place: tuple[slice, ...] | None
) -> Iterator[tuple[int, list[Rings]]]:
    """Slices on which a structure has voxels, and its rings there, in voxel indices (i, j).

    Args:
        segmentation: Label map; with `leads` rings run where these fall to nothing, else around the voxels.
        value: Of the structure.
        place: Smallest box around it; None where it has no voxels.
    """
    if place is None:
        return
    i, j, k = place
    # With the voxels around it, which say how far outside they are.
    box = (slice(max(0, i.start - 1), i.stop + 1), slice(max(0, j.start - 1), j.stop + 1), k)
    corner = np.array([box[0].start, box[1].start], float)
    # A slice is one piece of memory then.
    inside = np.ascontiguousarray((segmentation.array[box] == value).transpose(2, 0, 1))
    leads = None
    if segmentation.leads is not None:
        leads = np.maximum(segmentation.leads[box].transpose(2, 0, 1), LEAST_LEAD, dtype=np.float32)
    for number, mask in enumerate(inside):
        if leads is None:
            parts = trace_mask(mask)
        elif mask.any():
            # A voxel that post-processing changed keeps its lead, on the side where it is now.
            parts = trace_probability(np.where(mask, leads[number], -leads[number]), level=0.0)
        else:
            continue
        if parts:
            yield k.start + number, [[ring + corner for ring in rings] for rings in parts]


def _probability_slices(probability: npt.NDArray[np.floating]) -> Iterator[tuple[int, list[Rings]]]:
    """Slices on which a probability exceeds one half, and the rings there."""
    for k in np.flatnonzero((probability > 0.5).any(axis=(0, 1))).tolist():
        yield k, trace_probability(probability[:, :, k])


def _contours(
    slices: Iterable[tuple[int, list[Rings]]],
    segmentation: Segmentation,
    series: SeriesReference,
    image_class: str,
    options: ContourOptions,
) -> Iterator[Contour]:
    """Contours of one structure on all slices."""
    spacing = segmentation.grid.spacing
    for k, traced in slices:
        parts = simplified(
            traced, spacing=(spacing[0], spacing[1]), tolerance_mm=options.simplify_mm, lowest_dice=options.lowest_dice
        )
        polygons, kind = _polygons(parts, options)
        for points in _in_patient(polygons, k, segmentation.affine):
            yield Contour(points, image_class, series.sop_instance_uids[k], kind)


def _polygons(parts: list[Rings], options: ContourOptions) -> tuple[list[FloatArray], str]:
    """Polygons of a slice and their Contour Geometric Type."""
    if options.holes == "xor" and any(len(rings) > 1 for rings in parts):
        return [ring for rings in parts for ring in rings], CLOSED_XOR
    return [keyhole(rings) for rings in parts], CLOSED


def _in_patient(polygons: list[FloatArray], k: int, affine: FloatArray) -> list[FloatArray]:
    """Polygons on slice `k` in LPS millimetres, (points, 3); given in voxel indices (i, j), (points, 2)."""
    if not polygons:
        return []
    vertices = np.concatenate(polygons)
    indices = np.column_stack([vertices, np.full(len(vertices), k), np.ones(len(vertices))])
    points = (indices @ (LPS_FROM_RAS @ affine).T)[:, :3]
    return np.split(points, np.cumsum([len(polygon) for polygon in polygons])[:-1])
