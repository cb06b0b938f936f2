"""Segmenting one image with a bundle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch

from HQCSegmentLib.bundle import Bundle, check_same
from HQCSegmentLib.cohort import LabelMap, Prepared, prepare, restore_planes
from HQCSegmentLib.devices import choose_device
from HQCSegmentLib.freed_memory import reusing_memory
from HQCSegmentLib.imaging import Segmentation
from HQCSegmentLib.inference.body import at_least, body_box, with_surroundings
from HQCSegmentLib.inference.confidence import ExpectedDice
from HQCSegmentLib.inference.config import SegmentConfig
from HQCSegmentLib.inference.engines import compiled_scorer
from HQCSegmentLib.inference.inputs import Input, modality_of, open_image
from HQCSegmentLib.inference.members import Average, Mirrored, Scorer, mirrored_outputs
from HQCSegmentLib.inference.plausibility import calibrated, image_doubts, lowered, result_doubts, uncertainty_doubts
from HQCSegmentLib.inference.postprocessing import postprocess
from HQCSegmentLib.inference.scorer import NetworkScorer
from HQCSegmentLib.inference.sliding_window import Progress, planes
from HQCSegmentLib.inference.windows import Box, WindowGrid

FAST_OVERLAP = 0.25
"""Of windows with quality "fast"."""


def segment(
    bundle: Bundle,
    image: Input,
    *,
    device: str = "auto",
    config: SegmentConfig | None = None,
    ensemble: Sequence[Bundle] = (),
    on_progress: Progress | None = None,
) -> Segmentation:
    """Label map of one image, in the image's own geometry, with sentences on why it may be wrong.

    Args:
        bundle: The model.
        image: An `Image`, a file (NIfTI, NRRD, MetaImage), a folder with a DICOM series, or a pair of an array
            (i, j, k) and its affine to RAS millimetres. For a model of several channels a list of these in the order of
            the channels; the first decides the geometry, the others are brought to its grid. A file or array may also
            hold all channels, along the fourth axis of a file, the first of an array.
        device: "auto", "cpu", "cuda" or "mps".
        config: Engine, quality, post-processing.
        ensemble: Further models of the same structures and preparation, such as those of other folds; all are averaged.
        on_progress: Called with windows (done, of) after each.

    Raises:
        InputError: if the image cannot be read or used, or is not as many images as the model needs; if the models do
            not belong together; if an engine is not installed.
    """
    config = config or SegmentConfig()
    manifest = bundle.manifest
    notes: list[str] = []
    image = open_image(
        image, channels=manifest.preprocessing.names, modality=modality_of(manifest), on_note=notes.append
    )
    members = _Members.of([bundle, *ensemble], config, device)
    usual = manifest.inference.overlap
    leads = np.zeros(image.grid.shape, np.float16, order="F") if config.contours == "probability" else None
    expected = ExpectedDice()
    winner = winners(
        members.average,
        prepare(image, manifest.preprocessing),
        window=manifest.inference.window,
        slices=manifest.inference.slices,
        overlap=min(FAST_OVERLAP, usual) if config.quality == "fast" else usual,
        window_batch=members.windows_at_a_time(manifest.inference.window, manifest.network.in_channels),
        device=members.device,
        within=body_box(image, manifest.fingerprint.channels[0], spacing=manifest.preprocessing.spacing),
        expected=expected,
        leads=leads,
        on_progress=on_progress,
    )
    values = np.array([0, *(structure.value for structure in manifest.labels)])
    array = (values.astype(np.uint8) if values.max() <= np.iinfo(np.uint8).max else values.astype(np.uint16))[winner]
    if config.postprocessing:
        array = postprocess(
            array, structures=manifest.labels, settings=manifest.postprocessing, spacing=image.grid.spacing
        )
    names = [structure.name for structure in manifest.labels]
    certainty = manifest.training.certainty
    expectation = calibrated(dict(zip(names, expected.dice()[1:], strict=True)), certainty)
    agreement = dict(zip(names, (members.average.agreement() or [])[1:], strict=False))
    doubts = [
        *image_doubts(image, manifest),
        *result_doubts(image, array, manifest.labels, manifest),
        *uncertainty_doubts(expectation, agreement, certainty),
    ]
    sentences = (*notes, *members.warnings, *(doubt.sentence for doubt in doubts))
    return Segmentation(
        array,
        image.affine,
        manifest.labels,
        image.name,
        image.series,
        sentences,
        lowered(expectation, doubts),
        agreement,
        leads,
    )


def winning_outputs(
    network: torch.nn.Module,
    prepared: Prepared,
    *,
    window: tuple[int, ...],
    slices: int = 1,
    overlap: float,
    within: Box | None = None,
    expected: ExpectedDice | None = None,
    on_progress: Progress | None = None,
) -> LabelMap:
    """Index of the output with the highest score at each voxel of the image as it came, (i, j, k), 0 background.

    Outside of `within`, a part of the prepared grid, all is background. `expected` adds up how sure the scores are.
    """
    training = network.training
    network.eval()
    scorer = NetworkScorer(network)
    try:
        return winners(
            scorer,
            prepared,
            window=window,
            slices=slices,
            overlap=overlap,
            window_batch=scorer.windows_at_a_time(window, len(prepared.array) * slices),
            device=scorer.device,
            within=within,
            expected=expected,
            on_progress=on_progress,
        )
    finally:
        network.train(training)


@torch.inference_mode()
def winners(
    scorer: Scorer,
    prepared: Prepared,
    *,
    window: tuple[int, ...],
    slices: int = 1,
    overlap: float,
    window_batch: int = 1,
    device: torch.device | None = None,
    within: Box | None = None,
    expected: ExpectedDice | None = None,
    leads: npt.NDArray[np.float16] | None = None,
    on_progress: Progress | None = None,
) -> LabelMap:
    """As `winning_outputs`, with any scorer; `device` as of `planes`, `leads` as `restore_planes` fills it."""
    volume = torch.from_numpy(prepared.array)
    if within is not None:
        within = at_least(within, window, prepared.grid.shape)
        volume = volume[:, *(slice(low, high) for low, high in within)]
    _, first, second, third = volume.shape
    grid = WindowGrid.lay((first, second, third), window, overlap)
    with reusing_memory():
        finished = planes(
            scorer,
            volume,
            grid,
            dims=len(window),
            slices=slices,
            window_batch=window_batch,
            device=device,
            on_progress=on_progress,
        )
        if expected is not None:
            finished = expected.watch(finished)
        if within is not None:
            finished = with_surroundings(finished, prepared.grid.shape, within, axis=grid.axis)
        return restore_planes(finished, prepared, axis=grid.axis, leads=leads)


@dataclass
class _Members:
    """What is averaged, and the networks behind it."""

    average: Average
    networks: list[NetworkScorer] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, bundles: Sequence[Bundle], config: SegmentConfig, device: str) -> _Members:
        """Scorers of models that belong together.

        Raises:
            InputError: if they do not, or the engine is not installed.
        """
        check_same(bundles)
        first = bundles[0].manifest
        networks: list[NetworkScorer] = []
        scorers: list[Scorer] = []
        for network in (network for bundle in bundles for network in bundle.networks):
            if config.engine == "torch":
                networks.append(NetworkScorer(network.to(choose_device(device))))
                scorers.append(networks[-1])
            else:
                scorers.append(
                    compiled_scorer(
                        config.engine,
                        network.to("cpu"),
                        window=first.inference.window,
                        channels=first.network.in_channels,
                    )
                )
        notes = []
        if config.quality == "best":
            outputs = mirrored_outputs(first.labels)
            if not all(bundle.manifest.training.mirrored for bundle in bundles):
                # Measured: it does harm then (Docs/inference.md).
                notes.append("The image was not mirrored, since the model was trained without (`train --flips`).")
            elif outputs is None:
                notes.append("The image was not mirrored, since a structure of one side has no partner of the other.")
            else:
                scorers += [Mirrored(one, outputs) for one in scorers]
        return cls(Average(scorers), networks, notes)

    @property
    def warnings(self) -> list[str]:
        """What did not go as planned."""
        return [*self.notes, *dict.fromkeys(sentence for one in self.networks for sentence in one.warnings)]

    @property
    def device(self) -> torch.device | None:
        """Where the first network is; None for engines of the CPU."""
        return self.networks[0].device if self.networks else None

    def windows_at_a_time(self, window: tuple[int, ...], channels: int) -> int:
        """For the first network; the others have the same size or are halved when they run out of memory."""
        return self.networks[0].windows_at_a_time(window, channels) if self.networks else 1
