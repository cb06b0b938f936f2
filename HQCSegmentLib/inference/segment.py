"""Segmenting one image with a bundle."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from HQCSegmentLib.bundle import Bundle
from HQCSegmentLib.cohort import LabelMap, Prepared, prepare, restore_planes
from HQCSegmentLib.devices import choose_device
from HQCSegmentLib.errors import InputError
from HQCSegmentLib.imaging import Image, Segmentation, read_image
from HQCSegmentLib.imaging.dicom_series import read_series
from HQCSegmentLib.inference.scorer import NetworkScorer
from HQCSegmentLib.inference.sliding_window import Progress, planes
from HQCSegmentLib.inference.windows import WindowGrid

Input = Image | str | Path | tuple[npt.NDArray, npt.ArrayLike]


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
            (i, j, k) and its affine to RAS millimetres.
        device: "auto", "cpu", "cuda" or "mps".
        on_progress: Called with (done, of) now and then.

    Raises:
        InputError: if the image cannot be read or used.
    """
    image = open_image(image)
    manifest = bundle.manifest
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
    volume = torch.from_numpy(prepared.array).reshape(-1, *prepared.grid.shape)
    grid = WindowGrid.lay(prepared.grid.shape, window, overlap)
    finished = planes(
        scorer,
        volume,
        grid,
        dims=len(window),
        window_batch=scorer.windows_at_a_time(window, len(volume)),
        on_progress=on_progress,
    )
    return restore_planes(finished, prepared, axis=grid.axis)


def open_image(source: Input, *, name: str | None = None) -> Image:
    """An image from any of the forms that `segment` takes."""
    if isinstance(source, Image):
        return source
    if isinstance(source, tuple):
        return Image(np.asarray(source[0]), np.asarray(source[1], float), name=name or "image")
    path = Path(source)
    if path.is_dir():
        return read_series(path, name=name)
    if not path.exists():
        msg = f"the image {path} does not exist."
        raise InputError(msg)
    return read_image(path, name=name)
