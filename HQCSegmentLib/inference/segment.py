"""Segmenting one image with a bundle."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from HQCSegmentLib.bundle import Bundle
from HQCSegmentLib.cohort import LabelMap, Prepared, prepare, restore_planes
from HQCSegmentLib.cohort.preprocessing import ONLY_CHANNEL, check_channels
from HQCSegmentLib.devices import choose_device
from HQCSegmentLib.errors import InputError
from HQCSegmentLib.imaging import Image, Segmentation, Source, join
from HQCSegmentLib.imaging.image_files import image_stem, number_of_volumes
from HQCSegmentLib.inference.memory import reusing_memory
from HQCSegmentLib.inference.scorer import NetworkScorer
from HQCSegmentLib.inference.sliding_window import Progress, planes
from HQCSegmentLib.inference.windows import WindowGrid

OneImage = Image | str | Path | tuple[npt.NDArray, npt.ArrayLike]

Input = OneImage | list[OneImage]


def segment(
    bundle: Bundle,
    image: Input,
    *,
    device: str = "auto",
    on_progress: Callable[[int, int], None] | None = None,
) -> Segmentation:
    """Label map of one image, in the image's own geometry.

    Args:
        bundle: The model.
        image: An `Image`, a file (NIfTI, NRRD, MetaImage), a folder with a DICOM series, or a pair of an array
            (i, j, k) and its affine to RAS millimetres. For a model of several channels a list of these in the order of
            the channels; the first decides the geometry, the others are brought to its grid. A file or array may also
            hold all channels, along the fourth axis of a file, the first of an array.
        device: "auto", "cpu", "cuda" or "mps".
        on_progress: Called with (done, of) now and then.

    Raises:
        InputError: if the image cannot be read or used, or is not as many images as the model needs.
    """
    manifest = bundle.manifest
    image = open_image(image, channels=manifest.preprocessing.names)
    winner = winning_outputs(
        bundle.network.to(choose_device(device)),
        prepare(image, manifest.preprocessing),
        window=manifest.inference.window,
        overlap=manifest.inference.overlap,
        on_progress=on_progress,
    )
    values = np.array([0, *(structure.value for structure in manifest.labels)])
    array = (values.astype(np.uint8) if values.max() <= np.iinfo(np.uint8).max else values.astype(np.uint16))[winner]
    return Segmentation(array, image.affine, manifest.labels, image.name, image.series)


def winning_outputs(
    network: torch.nn.Module,
    prepared: Prepared,
    *,
    window: tuple[int, ...],
    overlap: float,
    on_progress: Progress | None = None,
) -> LabelMap:
    """Index of the output with the highest score at each voxel of the image as it came, (i, j, k), 0 background."""
    training = network.training
    network.eval()
    try:
        return winners(NetworkScorer(network), prepared, window=window, overlap=overlap, on_progress=on_progress)
    finally:
        network.train(training)


@torch.inference_mode()
def winners(
    scorer: NetworkScorer,
    prepared: Prepared,
    *,
    window: tuple[int, ...],
    overlap: float,
    on_progress: Progress | None = None,
) -> LabelMap:
    """As `winning_outputs`, with the scorer of a network in evaluation mode."""
    volume = torch.from_numpy(prepared.array)
    grid = WindowGrid.lay(prepared.grid.shape, window, overlap)
    with reusing_memory():
        finished = planes(
            scorer,
            volume,
            grid,
            dims=len(window),
            window_batch=scorer.windows_at_a_time(window, len(volume)),
            on_progress=on_progress,
        )
        return restore_planes(finished, prepared, axis=grid.axis)


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
