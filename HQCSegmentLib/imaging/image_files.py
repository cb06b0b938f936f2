"""Image files (NIfTI, NRRD, MetaImage) through SimpleITK."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from HQCSegmentLib.errors import InputError
from HQCSegmentLib.files import replacing
from HQCSegmentLib.imaging.geometry import LPS_FROM_RAS, FloatArray
from HQCSegmentLib.imaging.image import Image
from HQCSegmentLib.imaging.nifti import check_nifti, is_nifti

if TYPE_CHECKING:
    import SimpleITK

IMAGE_SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd")
"""File names that are taken for images, in order of preference."""

LABEL_TOLERANCE = 1e-3
"""Label files stored as floats are accepted when every voxel is this near to a whole number."""


def image_suffix(path: Path) -> str | None:
    """The suffix of IMAGE_SUFFIXES that the file name ends with, or None."""
    return next((suffix for suffix in IMAGE_SUFFIXES if path.name.lower().endswith(suffix)), None)


def image_stem(path: Path) -> str:
    """File name without its image suffix."""
    return path.name[: -len(image_suffix(path) or "") or None]


def read_image(path: Path, *, name: str | None = None, volumes: int = 1) -> Image:
    """Read one 3D scalar image, or several on one grid that the file holds as a fourth axis or as components.

    Args:
        path: NIfTI, NRRD or MetaImage file.
        name: Alias of the case; the file name without suffix by default.
        volumes: How many volumes the file must hold; each becomes a channel.

    Raises:
        InputError: if the file is missing, unreadable, holds another number of volumes, or its axes are not
            perpendicular.
    """
    import SimpleITK as sitk

    path = Path(path)
    name = name or image_stem(path)
    if not path.is_file():
        msg = f"{name}: the image file {path} does not exist."
        raise InputError(msg)
    if image_suffix(path) is None:
        msg = f"{name}: {path} is not an image file; known are {', '.join(IMAGE_SUFFIXES)}."
        raise InputError(msg)
    if is_nifti(path):
        check_nifti(path, name=name)
    try:
        image = sitk.ReadImage(str(path))
    except RuntimeError as error:
        msg = f"{name}: {path} cannot be read as an image ({_reason(error)})."
        raise InputError(msg) from error
    parts = _volumes(image)
    if len(parts) != volumes:
        needed = "one 3D volume with one value per voxel is needed; save one volume alone"
        if volumes > 1:
            needed = f"{volumes} 3D volumes are needed"
        msg = (
            f"{name}: {path} holds {image.GetSize()} voxels with {image.GetNumberOfComponentsPerPixel()} value(s) "
            f"each; {needed}."
        )
        raise InputError(msg)
    (array, affine), *others = (from_simpleitk(part) for part in parts)
    return Image(array, affine, name=name, others=tuple(other for other, _ in others))


def number_of_volumes(path: Path) -> int:
    """How many 3D scalar images a file holds by its header; 1 where that cannot be read."""
    import SimpleITK as sitk

    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError:
        return 1
    size, components = reader.GetSize(), reader.GetNumberOfComponents()
    return size[3] * components if len(size) == 4 else components


def read_label_map(path: Path, *, name: str | None = None) -> Image:
    """Read one label map; the voxels are uint16.

    Args:
        path: NIfTI, NRRD or MetaImage file, of whole numbers stored as any type.
        name: Alias of the case; the file name without suffix by default.

    Raises:
        InputError: as `read_image`, and if it holds values that are not whole numbers from 0 to 65535.
    """
    image = read_image(path, name=name)
    if image.array.dtype in (np.uint8, np.uint16):
        return replace(image, array=image.array.astype(np.uint16))
    # np.rint of a small integer type would give a half-precision float.
    array = image.array.astype(np.float64)
    rounded = np.rint(array)
    if not np.isfinite(array).all() or np.abs(array - rounded).max(initial=0) > LABEL_TOLERANCE:
        msg = f"{image.name}: the label map {path} holds values that are not whole numbers; is it an image?"
        raise InputError(msg)
    if rounded.min(initial=0) < 0 or rounded.max(initial=0) > np.iinfo(np.uint16).max:
        msg = f"{image.name}: the label map {path} holds values outside 0 to 65535; is it an image?"
        raise InputError(msg)
    return replace(image, array=rounded.astype(np.uint16))


def write_array(path: Path, array: npt.NDArray, affine: FloatArray) -> None:
    """Write voxels with axes (i, j, k) and their RAS affine, atomically; the suffix of `path` is the format."""
    import SimpleITK as sitk

    with replacing(Path(path)) as temporary:
        sitk.WriteImage(to_simpleitk(array, affine), str(temporary), useCompression=True)


def to_simpleitk(array: npt.NDArray, affine: FloatArray) -> SimpleITK.Image:
    """(i, j, k) array and RAS affine -> SimpleITK image (LPS)."""
    import SimpleITK as sitk

    lps = LPS_FROM_RAS @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    if array.dtype == bool:
        array = array.astype(np.uint8)
    image = sitk.GetImageFromArray(np.ascontiguousarray(array.transpose(2, 1, 0)))
    image.SetSpacing([float(value) for value in spacing])
    image.SetOrigin([float(value) for value in lps[:3, 3]])
    image.SetDirection([float(value) for value in (lps[:3, :3] / spacing).ravel()])
    return image


def from_simpleitk(image: SimpleITK.Image) -> tuple[npt.NDArray, FloatArray]:
    """SimpleITK image (LPS) -> (i, j, k) array and RAS affine."""
    import SimpleITK as sitk

    lps = np.eye(4)
    lps[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    lps[:3, 3] = image.GetOrigin()
    return sitk.GetArrayFromImage(image).transpose(2, 1, 0), LPS_FROM_RAS @ lps


def _volumes(image: SimpleITK.Image) -> list[SimpleITK.Image]:
    """3D scalar images that an image holds; none where it is something else."""
    import SimpleITK as sitk

    if image.GetDimension() == 4:
        volumes = [image[:, :, :, number] for number in range(image.GetSize()[3])]
    else:
        volumes = [image] if image.GetDimension() == 3 else []
    if image.GetNumberOfComponentsPerPixel() == 1:
        return volumes
    components = range(image.GetNumberOfComponentsPerPixel())
    return [sitk.VectorIndexSelectionCast(volume, index) for volume in volumes for index in components]


def _reason(error: RuntimeError) -> str:
    """Last sentence of an ITK exception, without its file and line numbers; in plain words where it is known."""
    if "Unable to determine ImageIO reader" in str(error):
        return "it is of another kind than its name says, or damaged; copy or export it again"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1].removeprefix("sitk::ERROR: ").rstrip(".") if lines else "unknown reason"
