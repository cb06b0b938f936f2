"""Opening what `segment` takes: arrays, files, DICOM folders, and several of them as channels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from HQCSegmentLib.cohort.preprocessing import ONLY_CHANNEL, check_channels
from HQCSegmentLib.errors import InputError
from HQCSegmentLib.imaging import Image, Source, join
from HQCSegmentLib.imaging.image_files import image_stem, number_of_volumes

OneImage = Image | str | Path | tuple[npt.NDArray, npt.ArrayLike]

Input = OneImage | list[OneImage]


def open_image(source: Input, *, name: str | None = None, channels: Sequence[str] = (ONLY_CHANNEL,)) -> Image:
    """An image from any of the forms that `segment` takes.

    Args:
        source: Image, or images of one patient.
        name: Alias of the case; by default as the first file is named.
        channels: What the images must be.

    Raises:
        InputError: if one cannot be read, they do not belong together, or there are not as many as channels.
    """
    parts = source if isinstance(source, list) else [source]
    volumes = len(channels) if len(parts) == 1 else 1
    image = join([_open_one(part, name=name, volumes=volumes) for part in parts])
    check_channels(image, channels)
    return image


def _open_one(source: OneImage, *, name: str | None, volumes: int) -> Image:
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
    return Source(path).read(name=name or (path.resolve().name if path.is_dir() else image_stem(path)), volumes=volumes)
