"""Scores of a whole volume from a network that sees a window at a time."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from HQCSegmentLib.networks import logits

SLICES_PER_BATCH = 8


@torch.inference_mode()
def predict(
    network: nn.Module,
    volume: Tensor,
    *,
    window: tuple[int, ...],
    overlap: float = 0.5,
    window_batch: int = 2,
    on_progress: Callable[[int, int], None] | None = None,
) -> Tensor:
    """Logits of every voxel, windows blended with Gaussian weights.

    Args:
        network: In evaluation mode, on the device to work on.
        volume: (R, A, S), float32.
        window: Voxels along R, A, S; two numbers for a 2D network, which goes through the slices along S.
        overlap: Part of a window shared with its neighbour.
        window_batch: Windows per call of the network.
        on_progress: Called with (done, of) now and then.

    Returns:
        (structures + 1, R, A, S) on the CPU.
    """
    from monai.inferers.utils import sliding_window_inference

    device = next(network.parameters()).device
    dims = len(window)
    # A 2D network takes the slices along S as a batch of images.
    batches = volume[None, None] if dims == 3 else volume.permute(2, 0, 1).unsqueeze(1)
    parts = []
    step = 1 if dims == 3 else SLICES_PER_BATCH
    for start in range(0, len(batches), step):
        part = sliding_window_inference(
            batches[start : start + step],
            roi_size=window,
            sw_batch_size=window_batch if dims == 3 else SLICES_PER_BATCH,
            predictor=lambda inputs: logits(network, inputs),
            overlap=overlap,
            mode="gaussian",
            # As training pads its patches: normalisation layers see the padding, so it must look the same.
            padding_mode="constant",
            cval=float(volume.min()),
            sw_device=device,
            device=torch.device("cpu"),
        )
        assert isinstance(part, Tensor)
        parts.append(part)
        if on_progress is not None:
            on_progress(min(start + step, len(batches)), len(batches))
    result = torch.cat(parts)
    return result[0] if dims == 3 else result.permute(1, 2, 3, 0)
