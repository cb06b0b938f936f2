"""MONAI's SlidingWindowInferer, then all scores resampled to the image and arg-max: FOLDER OVERLAP THREADS."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from monai.inferers import SlidingWindowInferer
from subject import WINDOW, Network, image, measured, preprocessing
from torch.nn.functional import interpolate

from HQCSegmentLib.cohort import prepare


@torch.inference_mode()
def main(folder: Path, overlap: float, threads: int) -> None:
    torch.set_num_threads(threads)
    network = Network().eval()
    array = np.load(folder / "ct.npy")
    with measured(folder / "monai.json"):
        ready = prepare(image(array), preprocessing())
        volume = torch.from_numpy(ready.array).reshape(1, 1, *ready.grid.shape)
        inferer = SlidingWindowInferer(WINDOW, sw_batch_size=1, overlap=overlap, mode="gaussian")
        scores = inferer(volume, network)
        large = interpolate(scores, size=array.shape, mode="trilinear", align_corners=False)
        label = large[0].argmax(dim=0).to(torch.uint8).numpy()
    np.save(folder / "monai.npy", label)


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]))
