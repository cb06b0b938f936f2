"""HQCSegment's own path: FOLDER OVERLAP THREADS."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from subject import WINDOW, Network, measured, prepared

from HQCSegmentLib.inference import winning_outputs


def main(folder: Path, overlap: float, threads: int) -> None:
    torch.set_num_threads(threads)
    network = Network().eval()
    array = np.load(folder / "ct.npy")
    with measured(folder / "hqcsegment.json"):
        label = winning_outputs(network, prepared(array), window=WINDOW, overlap=overlap)
    np.save(folder / "hqcsegment.npy", label)


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]))
