"""HQCSegment's own path: FOLDER OVERLAP THREADS."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from subject import DEVIATION, HIGH, LOW, MEAN, SPACING, WINDOW, WORKING_SPACING, Network, measured

from HQCSegmentLib.cohort import Preprocessing, prepare
from HQCSegmentLib.imaging import Image
from HQCSegmentLib.inference import winning_outputs


def main(folder: Path, overlap: float, threads: int) -> None:
    torch.set_num_threads(threads)
    network = Network().eval()
    array = np.load(folder / "ct.npy")
    with measured(folder / "hqcsegment.json"):
        how = Preprocessing(
            spacing=WORKING_SPACING, normalization="ct", low=LOW, high=HIGH, mean=MEAN, deviation=DEVIATION
        )
        image = Image(array, np.diag([*SPACING, 1.0]))
        label = winning_outputs(network, prepare(image, how), window=WINDOW, overlap=overlap)
    np.save(folder / "hqcsegment.npy", label)


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]))
