"""DICOM image series: finding them in a folder, and reading one as a volume.

The geometry is taken from the headers (Image Position and Orientation of every slice), the voxels from GDCM
through SimpleITK, which decompresses and applies the rescale slope and intercept. Frames of enhanced multi-frame images
are slices like those of single files; pydicom reads their voxels. A series that is not a regular grid of parallel
slices is refused with the reason; nothing is resampled or repaired here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from HQCSegmentLib.errors import InputError
from HQCSegmentLib.imaging.dicom_folder import IMAGE_MODALITIES, SeriesSummary, image_header, scan
from HQCSegmentLib.imaging.dicom_folder import read_tags as read_tags
from HQCSegmentLib.imaging.dicom_frames import frame_headers, is_multi_frame, number_of_frames, read_frames
from HQCSegmentLib.imaging.dicom_reference import SeriesReference
from HQCSegmentLib.imaging.geometry import LPS_FROM_RAS, FloatArray
from HQCSegmentLib.imaging.image import Image

if TYPE_CHECKING:
    from pydicom import Dataset

ORIENTATION_TOLERANCE = 1e-3
"""Largest difference of direction cosines within a series; headers round them to four or more digits."""

POSITION_TOLERANCE_MM = 0.1
"""How far a slice may lie from its place in the regular grid; positions are often rounded to 0.1 mm."""

TILT_TOLERANCE = 1e-3
"""Largest sideways shift per millimetre along the normal (0.06 degrees) that is not yet a gantry tilt."""


@dataclass(frozen=True)
class _Slice:
    """Header of one slice; positions and cosines in DICOM's LPS millimetres. Frames are counted from 0."""

    file: Path
    header: Dataset
    position: FloatArray
    orientation: FloatArray
    pixel_spacing: FloatArray
    frame: int | None = None

    @property
    def place(self) -> str:
        """Where it was read from, for messages."""
        return _place(self.file, self.frame)

    @property
    def size(self) -> tuple[int, int]:
        return int(self.header.Rows), int(self.header.Columns)


def find_series(folder: Path) -> list[SeriesSummary]:
    """Find the CT, MR and PT series below a folder, the one with the most slices first.

    Files that are not DICOM, and other DICOM objects (structure sets, dose), are passed over.
    """
    return list(scan(Path(folder)).series)


def read_series(folder: Path, *, name: str | None = None, series: SeriesSummary | None = None) -> Image:
    """Read the image series of a folder (searched with its subfolders); of several, the one with most slices.

    Args:
        folder: Folder with the DICOM files of one patient.
        name: Alias of the case; the folder's name by default.
        series: Which series of the folder, where it has been found already; the folder is not searched again.

    Returns:
        The volume with axes (i, j, k): i along a row of pixels, j along a column, k from slice to slice along
        the slice normal (row x column), so the axes are always right-handed in LPS. `series.files[k]` is the
        file of `array[:, :, k]`. Values are rescaled (HU for CT): int16 where they fit, else int32, float32
        where the rescale slope is not a whole number.

    Raises:
        InputError: if there is no series or no single largest one, or if its slices are not a regular grid of
            parallel grayscale images (see the tolerances of this module).
    """
    folder = Path(folder)
    name = name or folder.name
    if not folder.is_dir():
        msg = f"{name}: the DICOM folder {folder} does not exist."
        raise InputError(msg)
    return _read_files(series or choose_series(folder, name=name)[0], name)


def choose_series(folder: Path, *, name: str, modality: str | None = None) -> tuple[SeriesSummary, str]:
    """The image series of a folder: of several those of a modality, if there are any, and of these the largest.

    Args:
        folder: Searched with its subfolders.
        name: Alias of the case, for messages.
        modality: CT, MR or PT, where one is preferred.

    Returns:
        The series, and a sentence that says which it is where there were others; else empty.

    Raises:
        InputError: if there is no series or no single largest one.
    """
    series = find_series(folder)
    if not series:
        msg = (
            f"{name}: no DICOM image series ({', '.join(IMAGE_MODALITIES)}) in {folder}; add the images that belong "
            "here."
        )
        raise InputError(msg)
    preferred = [one for one in series if one.modality == modality] or series
    chosen = _largest(preferred, folder, name)
    others = [one for one in series if one is not chosen]
    note = f"Of {len(series)} image series the {chosen} was taken, not the {_listed(others)}." if others else ""
    return chosen, note


def _listed(series: Sequence[SeriesSummary]) -> str:
    return ", ".join(str(one) for one in series)


def _largest(series: Sequence[SeriesSummary], folder: Path, name: str) -> SeriesSummary:
    if len(series) > 1 and series[0].number_of_slices == series[1].number_of_slices:
        kinds = ", ".join(f"{one.modality} with {one.number_of_slices} slices" for one in series)
        msg = f"{name}: {folder} holds several image series of equal size ({kinds}); keep one."
        raise InputError(msg)
    return series[0]


def _read_files(series: SeriesSummary, name: str) -> Image:
    """Read the files of one series as a volume."""
    slices = [one for file in series.files for one in _read_slices(file, name)]
    _check_same_kind(slices, name)
    slices = _sorted_slices(slices)
    affine = _affine(slices, name)
    array = _read_voxels(slices, name)
    reference = SeriesReference(
        files=tuple(one.file for one in slices),
        series_instance_uid=series.uid,
        frame_of_reference_uid=str(slices[0].header.get("FrameOfReferenceUID", "")),
        sop_instance_uids=tuple(str(one.header.get("SOPInstanceUID", "")) for one in slices),
    )
    return Image(array, affine, name=name, series=reference)


def _place(file: Path, frame: int | None) -> str:
    return file.name if frame is None else f"frame {frame + 1} of {file.name}"


def _read_slices(file: Path, name: str) -> list[_Slice]:
    """Slices of a file: one, or as many as it has frames."""
    header = image_header(file)
    if header is None:
        msg = f"{name}: the DICOM file {file.name} cannot be read."
        raise InputError(msg)
    if not is_multi_frame(header):
        return [_slice(file, None, header, name)]
    frames = frame_headers(file)
    if len(frames) != number_of_frames(header):
        msg = (
            f"{name}: {file.name} is a multi-frame image that does not say of every frame where it lies; export the "
            "series as single-frame files."
        )
        raise InputError(msg, code="multi-frame")
    return [_slice(file, number, frame, name) for number, frame in enumerate(frames)]


def _slice(file: Path, frame: int | None, header: Dataset, name: str) -> _Slice:
    """Geometry of one slice, checked for what a volume of grayscale images needs."""
    where = _place(file, frame)
    if int(header.get("SamplesPerPixel") or 1) != 1:
        msg = f"{name}: {where} is a color image; a grayscale series is needed."
        raise InputError(msg, code="color-image")
    values = []
    for tag, length in (("ImagePositionPatient", 3), ("ImageOrientationPatient", 6), ("PixelSpacing", 2)):
        value = _numbers(header, tag)
        if value.shape != (length,) or not np.isfinite(value).all():
            msg = f"{name}: {where} has no valid {tag}; its place in the patient is unknown."
            raise InputError(msg, code="no-position")
        values.append(value)
    position, orientation, pixel_spacing = values
    row, column = orientation[:3], orientation[3:]
    lengths = np.linalg.norm([row, column], axis=1)
    if np.abs(lengths - 1).max() > ORIENTATION_TOLERANCE or abs(row @ column) > ORIENTATION_TOLERANCE:
        msg = f"{name}: the ImageOrientationPatient of {where} is not two perpendicular unit vectors."
        raise InputError(msg, code="no-position")
    if pixel_spacing.min() <= 0:
        msg = f"{name}: {where} has the PixelSpacing {pixel_spacing.tolist()}; it must be positive."
        raise InputError(msg, code="no-position")
    return _Slice(file, header, position, orientation, pixel_spacing, frame)


def _numbers(header: Dataset, tag: str) -> FloatArray:
    """Decimal strings of an element, empty where there are none; without an object for each of them."""
    element = header.get_item(tag)
    value = None if element is None else element.value
    if isinstance(value, bytes):
        value = value.strip(b" \0").split(b"\\") if value.strip(b" \0") else []
    try:
        return np.array([] if value is None else value, np.float64).ravel()
    except ValueError:
        return np.array([])


def _check_same_kind(slices: Sequence[_Slice], name: str) -> None:
    """All slices have the same orientation, matrix, pixel spacing and frame of reference as the first."""
    first = slices[0]
    for one in slices[1:]:
        where = f"{first.place} and {one.place}"
        if np.abs(one.orientation - first.orientation).max() > ORIENTATION_TOLERANCE:
            msg = f"{name}: the series has slices of different orientation ({where}); separate them."
            raise InputError(msg, code="mixed-orientations")
        if one.size != first.size:
            msg = f"{name}: the series has slices of different size ({where}); separate them."
            raise InputError(msg, code="mixed-sizes")
        if not np.allclose(one.pixel_spacing, first.pixel_spacing, rtol=ORIENTATION_TOLERANCE, atol=0):
            msg = f"{name}: the series has slices of different pixel spacing ({where}); separate them."
            raise InputError(msg, code="mixed-sizes")
        if one.header.get("FrameOfReferenceUID") != first.header.get("FrameOfReferenceUID"):
            msg = f"{name}: the series has slices of different frames of reference ({where}); separate them."
            raise InputError(msg, code="mixed-frames")


def _normal(one: _Slice) -> FloatArray:
    """Compute the unit vector (LPS) across the slice: row direction x column direction."""
    normal = np.cross(one.orientation[:3], one.orientation[3:])
    return normal / np.linalg.norm(normal)


def _sorted_slices(slices: Sequence[_Slice]) -> list[_Slice]:
    """Slices by their position along the normal of the first."""
    normal = _normal(slices[0])
    return sorted(slices, key=lambda one: float(one.position @ normal))


def _affine(slices: Sequence[_Slice], name: str) -> FloatArray:
    """RAS affine of the sorted slices.

    Raises:
        InputError: if they are not equally spaced on a line along their normal.
    """
    first = slices[0]
    normal = _normal(first)
    lps = np.eye(4)
    # PixelSpacing is (between rows, between columns): i runs across columns, j across rows.
    lps[:3, 0] = first.orientation[:3] * first.pixel_spacing[1]
    lps[:3, 1] = first.orientation[3:] * first.pixel_spacing[0]
    lps[:3, 2] = normal * _slice_distance(slices, name)
    lps[:3, 3] = first.position
    return LPS_FROM_RAS @ lps


def _slice_distance(slices: Sequence[_Slice], name: str) -> float:
    """Millimetres from slice to slice; SliceThickness where there is only one slice."""
    if len(slices) == 1:
        thickness = float(slices[0].header.get("SliceThickness") or 0)
        if thickness <= 0:
            msg = (
                f"{name}: the series has one slice without a SliceThickness, so that its extent is unknown; export the "
                "whole series."
            )
            raise InputError(msg)
        return thickness
    normal = _normal(slices[0])
    offsets = np.array([one.position for one in slices]) - slices[0].position
    along = offsets @ normal
    gaps = np.diff(along)
    if gaps.min() < POSITION_TOLERANCE_MM:
        one = int(gaps.argmin())
        where = f"{slices[one].place} and {slices[one + 1].place}"
        msg = f"{name}: the series has two slices at the same position ({where}); remove the duplicate."
        raise InputError(msg, code="same-position")
    sideways = np.linalg.norm(offsets - along[:, None] * normal, axis=1)
    if (sideways > POSITION_TOLERANCE_MM + TILT_TOLERANCE * along).any():
        degrees = np.degrees(np.arctan2(sideways[-1], along[-1]))
        msg = (
            f"{name}: the slices are not stacked straight above each other (gantry tilt of {degrees:.1f} "
            "degrees); resample the series to a straight grid first."
        )
        raise InputError(msg, code="gantry-tilt")
    distance = float(along[-1] / (len(slices) - 1))
    if np.abs(along - distance * np.arange(len(slices))).max() > POSITION_TOLERANCE_MM:
        one = int(np.abs(gaps - np.median(gaps)).argmax())
        msg = (
            f"{name}: the slices are not equally spaced: {np.median(gaps):.2f} mm in most places, "
            f"{gaps[one]:.2f} mm between {slices[one].place} and {slices[one + 1].place}; "
            "a slice may be missing."
        )
        raise InputError(msg, code="missing-slices")
    return distance


def _read_voxels(slices: Sequence[_Slice], name: str) -> npt.NDArray:
    """Rescaled voxels with axes (i, j, k) in the order of `slices`."""
    kind = _pixel_type(slices)
    try:
        array = _by_gdcm(slices, kind) if all(one.frame is None for one in slices) else _by_pydicom(slices, kind)
    except (RuntimeError, ValueError) as error:
        msg = f"{name}: the pixels of the series in {slices[0].file.parent} cannot be read; export it again."
        raise InputError(msg, code="unreadable-pixels") from error
    if kind is np.int32 and array.min() >= -(2**15) and array.max() < 2**15:
        array = array.astype(np.int16)
    return array.transpose(2, 1, 0)


PixelType = type[np.int16] | type[np.int32] | type[np.float32]


def _by_gdcm(slices: Sequence[_Slice], kind: PixelType) -> npt.NDArray:
    """Rescaled voxels of single-frame files, (k, j, i)."""
    import SimpleITK

    reader = SimpleITK.ImageSeriesReader()
    # By the names of the files another reader might be chosen.
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileNames([str(one.file) for one in slices])
    # The reader takes the pixel type of the first file for all; PET slopes differ from slice to slice.
    types = {np.int16: SimpleITK.sitkInt16, np.int32: SimpleITK.sitkInt32, np.float32: SimpleITK.sitkFloat32}
    reader.SetOutputPixelType(types[kind])
    return SimpleITK.GetArrayFromImage(reader.Execute())


def _by_pydicom(slices: Sequence[_Slice], kind: PixelType) -> npt.NDArray:
    """Rescaled voxels of frames, (k, j, i)."""
    frames = {file: read_frames(file) for file in dict.fromkeys(one.file for one in slices)}
    array = np.empty((len(slices), *slices[0].size), kind)
    for one, target in zip(slices, array, strict=True):
        slope, intercept = _rescale(one)
        target[...] = frames[one.file][one.frame or 0] * np.float64(slope) + intercept
    return array


def _rescale(one: _Slice) -> tuple[float, float]:
    """Slope and intercept; a slice without a slope is not rescaled."""
    slope, intercept = (float(one.header.get(tag) or 0) for tag in ("RescaleSlope", "RescaleIntercept"))
    return slope or 1.0, intercept


def _pixel_type(slices: Sequence[_Slice]) -> PixelType:
    """Narrowest type that holds every value that the slices can have by their headers."""
    extremes = []
    for one in slices:
        slope, intercept = _rescale(one)
        if not (slope.is_integer() and intercept.is_integer()):
            return np.float32
        bits = int(one.header.get("BitsStored") or 16)
        signed = bool(one.header.get("PixelRepresentation"))
        stored = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
        extremes += [value * slope + intercept for value in stored]
    return np.int16 if min(extremes) >= -(2**15) and max(extremes) < 2**15 else np.int32
