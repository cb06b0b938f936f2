"""HQCSegment's own path, as `segment` goes it: FOLDER OVERLAP THREADS DEVICE."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from subject import (
    DEVIATION,
    HIGH,
    LOW,
    MEAN,
    WINDOW,
    WORKING_SPACING,
    image,
    measured,
    network_on,
    preprocessing,
)

from HQCSegmentLib.cohort import prepare
from HQCSegmentLib.cohort.fingerprint import Intensities
from HQCSegmentLib.inference import winning_outputs
from HQCSegmentLib.inference.body import body_box

CT = Intensities(
    hounsfield=True, foreground_low=LOW, foreground_high=HIGH, foreground_mean=MEAN, foreground_deviation=DEVIATION
)


def main(
    folder: Path, overlap: float, threads: int, device: str, *, name: str = "hqcsegment", whole: bool = False
) -> None:
    """Segment and measure; `whole`: windows over the whole image, as the other methods lay them."""
    torch.set_num_threads(threads)
    network = network_on(device)
    ct = image(np.load(folder / "ct.npy"))
    with measured(folder / f"{name}.json"):
        within = None if whole else body_box(ct, CT, spacing=WORKING_SPACING)
        label = winning_outputs(network, prepare(ct, preprocessing()), window=WINDOW, overlap=overlap, within=within)
    np.save(folder / f"{name}.npy", label)


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
