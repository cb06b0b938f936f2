"""Structures that only the base model knows: drawn by it in the training cases, so that they are not forgotten.

To a loss on what was drawn by hand they are background, so that nothing holds them while the network changes. Labels
that the former network gives to the new cases are what learning without forgetting (Li and Hoiem, arXiv:1606.09282)
and, for segmentation, PLOP (Douillard et al., arXiv:2011.11390) keep what was learned with.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from HQCSegmentLib.bundle import Inference
from HQCSegmentLib.inference.scorer import NetworkScorer
from HQCSegmentLib.inference.sliding_window import planes
from HQCSegmentLib.inference.windows import WindowGrid
from HQCSegmentLib.training.patches import TrainingCase


def rehearsed(
    case: TrainingCase, network: nn.Module, *, outputs: Collection[int], inference: Inference
) -> TrainingCase:
    """A training case in which the base model has drawn structures, where nothing was drawn by hand.

    Args:
        case: As drawn by hand.
        network: The base model with the outputs of the run, on the device to work on; put into evaluation mode.
        outputs: Of the structures to draw.
        inference: How the network is slid over an image.
    """
    taught = np.zeros(len(case.known), np.bool_)
    taught[[*outputs]] = True
    found = _segmented(network.eval(), case.image, inference)
    label = np.where((case.label == 0) & taught[found], found, case.label)
    # Voxels to centre patches on stay those of what was drawn by hand: that is what is to be learned.
    return replace(case, label=label, taught=taught)


@torch.inference_mode()
def _segmented(network: nn.Module, image: npt.NDArray[np.float32], inference: Inference) -> npt.NDArray[np.uint16]:
    """Output with the highest score at each voxel of a prepared image (channels, R, A, S)."""
    scorer = NetworkScorer(network)
    channels, first, second, third = image.shape
    grid = WindowGrid.lay((first, second, third), inference.window, inference.overlap)
    window_batch = scorer.windows_at_a_time(inference.window, channels * inference.slices)
    scores = planes(
        scorer,
        torch.from_numpy(image),
        grid,
        dims=len(inference.window),
        slices=inference.slices,
        window_batch=window_batch,
        device=scorer.device,
    )
    winners = [plane.argmax(dim=0).to(torch.int32).cpu().numpy() for plane in scores]
    return np.stack(winners, axis=grid.axis).astype(np.uint16)
