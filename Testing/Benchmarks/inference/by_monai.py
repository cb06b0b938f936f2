"""MONAI's SlidingWindowInferer, then all scores resampled to the image and arg-max: FOLDER OVERLAP THREADS DEVICE.

On a GPU all of it is done there in half precision, four windows at a time: fastest, where the memory is enough.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from monai.inferers import SlidingWindowInferer
from subject import WINDOW, image, measured, network_on, preprocessing
from torch.nn.functional import interpolate

from HQCSegmentLib.cohort import prepare


@torch.inference_mode()
def main(folder: Path, overlap: float, threads: int, device: str) -> None:
    torch.set_num_threads(threads)
    network = network_on(device)
    gpu = device != "cpu"
    array = np.load(folder / "ct.npy")
    with measured(folder / "monai.json"), torch.autocast(device, dtype=torch.float16, enabled=gpu):
        ready = prepare(image(array), preprocessing())
        volume = torch.from_numpy(ready.array).reshape(1, 1, *ready.grid.shape).to(device)
        inferer = SlidingWindowInferer(WINDOW, sw_batch_size=4 if gpu else 1, overlap=overlap, mode="gaussian")
        scores = inferer(volume, network)
        large = interpolate(scores, size=array.shape, mode="trilinear", align_corners=False)
        label = large[0].argmax(dim=0).to(torch.uint8).cpu().numpy()
    np.save(folder / "monai.npy", label)


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
