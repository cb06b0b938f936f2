"""Writing a segmentation in the formats that other programs take."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from HQCSegmentLib.errors import InputError, few
from HQCSegmentLib.imaging import Image, Segmentation, Structure, read_label_map
from HQCSegmentLib.imaging.image_files import image_stem
from HQCSegmentLib.imaging.voxel_order import in_order_of

if TYPE_CHECKING:
    from HQCSegmentLib.planning.contour_options import ContourOptions


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


def check_value_names(folder: Path, structures: Sequence[Structure], formats: Collection[OutputFormat]) -> None:
    """Refuse a folder whose label maps have other names for the values, before anything is segmented for it.

    Raises:
        InputError: if a value of `structures` already stands for something else there.
    """
    from HQCSegmentLib.cohort.value_names import joined_value_names

    if not REFERRING.keys() >= set(formats):
        joined_value_names(folder, {structure.value: structure.name for structure in structures})


def write_segmentation(folder: Path, name: str, segmentation: Segmentation, output: OutputFormat) -> Path:
    """Write one segmentation in one format, atomically; beside a label map `labels.json`, which names its values.

    Args:
        folder: Where to write.
        name: File name without suffix.
        segmentation: What to write.
        output: The format; `seg` and `rtstruct` need a segmentation of a DICOM series.

    Returns:
        The file.

    Raises:
        InputError: if the segmentation cannot be written in this format, or the folder holds label maps in which a
            value stands for something else.
    """
    path = folder / f"{name}{SUFFIXES[output]}"
    if output is OutputFormat.rtstruct:
        from HQCSegmentLib.planning.rtstruct import write_rtstruct

        write_rtstruct(path, segmentation)
    elif output is OutputFormat.seg:
        from HQCSegmentLib.planning.dicom_seg import write_dicom_seg

        write_dicom_seg(path, segmentation)
    else:
        from HQCSegmentLib.cohort.value_names import save_value_names
        from HQCSegmentLib.imaging import write_array

        write_array(path, segmentation.array, segmentation.affine)
        save_value_names(folder, segmentation.labels)
    return path


def write_label_map(
    path: str | Path,
    *,
    label_map: str | Path,
    series: str | Path,
    names: Mapping[int, str] | None = None,
    structures: Sequence[Structure] | None = None,
    existing: str | Path | None = None,
    options: ContourOptions | None = None,
) -> Path:
    """Write a label map file as RT Structure Set or DICOM SEG of the DICOM series that it was made on.

    Args:
        path: File to write; a name that ends with `.seg.dcm` makes a DICOM SEG, every other an RT Structure Set.
        label_map: NIfTI, NRRD or MetaImage file with the voxels of the series; axes may be exchanged or reversed.
        series: Folder of the DICOM series.
        names: Names by value, from which types, colors and codes follow where they are known.
        structures: Structures with names, types, colors and codes, in place of `names`.
        existing: Structure set to add the structures to; it is not changed.
        options: How contours are written.

    Returns:
        The file.

    Raises:
        InputError: if a file cannot be read, or as `label_map_on`.
    """
    from HQCSegmentLib.imaging.dicom_series import read_series
    from HQCSegmentLib.naming import structure_for

    path = Path(path)
    image = read_series(Path(series), name=image_stem(Path(label_map)))
    listed = tuple(structures or (structure_for(name, value) for value, name in sorted((names or {}).items())))
    segmentation = label_map_on(image, Path(label_map), listed)
    if path.name.endswith(SUFFIXES[OutputFormat.seg]):
        from HQCSegmentLib.planning.dicom_seg import write_dicom_seg

        write_dicom_seg(path, segmentation)
    else:
        from HQCSegmentLib.planning.rtstruct import write_rtstruct

        write_rtstruct(path, segmentation, options=options, existing=None if existing is None else Path(existing))
    return path


def label_map_on(image: Image, label_map: Path, structures: Sequence[Structure]) -> Segmentation:
    """A label map file as a segmentation of the image that it was made on, in the image's order of voxels.

    Programs differ in the order: a left-handed NIfTI is re-ordered by 3D Slicer, DICOM slices may be read downwards.

    Args:
        image: With the same voxels; axes may be exchanged or reversed.
        label_map: NIfTI, NRRD or MetaImage file.
        structures: What the values mean.

    Raises:
        InputError: if the file cannot be read, its voxels are not those of the image, or it holds a value that no
            structure has.
    """
    read = read_label_map(label_map)
    unnamed = sorted(set(np.unique(read.array).tolist()) - {0, *(structure.value for structure in structures)})
    if unnamed:
        msg = f"{label_map} holds the value(s) {few(unnamed)}, which no structure is listed for; add them to the list."
        raise InputError(msg)
    array = in_order_of(read.array, read.affine, image.grid)
    if array is None:
        msg = (
            f"{label_map} with {read.array.shape} voxels does not lie on the voxels of the series with "
            f"{image.grid.shape}; export it in the geometry of the series."
        )
        raise InputError(msg)
    return Segmentation(np.ascontiguousarray(array), image.affine, tuple(structures), image.name, image.series)
