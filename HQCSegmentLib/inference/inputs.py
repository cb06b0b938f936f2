"""Opening what `segment` takes: arrays, files, DICOM folders, and several of them as channels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from HQCSegmentLib.bundle import Manifest
from HQCSegmentLib.cohort.preprocessing import ONLY_CHANNEL, check_channels
from HQCSegmentLib.errors import InputError
from HQCSegmentLib.imaging import Image, Source, join
from HQCSegmentLib.imaging.dicom_series import choose_series
from HQCSegmentLib.imaging.image_files import image_stem, number_of_volumes

OneImage = Image | str | Path | tuple[npt.NDArray, npt.ArrayLike]

Input = OneImage | list[OneImage]


def open_image(
    source: Input,
    *,
    name: str | None = None,
    channels: Sequence[str] = (ONLY_CHANNEL,),
    modality: str | None = None,
    on_note: Callable[[str], None] | None = None,
) -> Image:
    """An image from any of the forms that `segment` takes.

    Args:
        source: Image, or images of one patient.
        name: Alias of the case; by default as the first file is named.
        channels: What the images must be.
        modality: CT, MR or PT: preferred where a DICOM folder holds several series, then the largest is taken.
        on_note: Called with a sentence that says which series was taken of several.

    Raises:
        InputError: if one cannot be read, they do not belong together, or there are not as many as channels.
    """
    parts = source if isinstance(source, list) else [source]
    volumes = len(channels) if len(parts) == 1 else 1
    image = join([_open_one(part, name=name, volumes=volumes, modality=modality, on_note=on_note) for part in parts])
    check_channels(image, channels)
    return image


def _open_one(
    source: OneImage,
    *,
    name: str | None,
    volumes: int,
    modality: str | None,
    on_note: Callable[[str], None] | None,
) -> Image:
    if isinstance(source, Image):
        return source
    if isinstance(source, tuple):
        array = np.asarray(source[0])
        first, *others = array if array.ndim == 4 and volumes > 1 else [array]
        return Image(first, np.asarray(source[1], float), name=name or "image", others=tuple(others))
    path = Path(source)
    if not path.exists():
        msg = f"the image {path} does not exist."
        raise InputError(msg)
    if volumes > 1 and path.is_file() and number_of_volumes(path) == 1:
        # It can be read, and the right number be asked for.
        volumes = 1
    if path.is_dir():
        name = name or path.resolve().name
        series, note = choose_series(path, name=name, modality=modality)
        if note and on_note is not None:
            on_note(note)
        return Source(path, series).read(name=name)
    return Source(path).read(name=name or image_stem(path), volumes=volumes)


def modality_of(manifest: Manifest) -> str | None:
    """CT for a model of Hounsfield units; None where images of several modalities may be meant."""
    intensities = manifest.fingerprint.channels
    return "CT" if len(intensities) == 1 and intensities[0].hounsfield else None
