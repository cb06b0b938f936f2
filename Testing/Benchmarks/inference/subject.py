"""What all methods segment, and with which network: a phantom of 30 structures and a UNet of the usual cost.

Needs torch, monai and numpy only, so that every method's environment can run it.
"""

from __future__ import annotations

import json
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from HQCSegmentLib.cohort import Preprocessing
    from HQCSegmentLib.imaging import Image

STRUCTURES = 30
SPACING = (0.9, 0.9, 1.5)
WORKING_SPACING = (1.5, 1.5, 1.5)
SHAPE = (512, 512, 400)
WINDOW = (96, 96, 96)
LOW, HIGH, MEAN, DEVIATION = -500.0, 1500.0, 300.0, 400.0
"""Of the CT normalisation: clipped, then mean and deviation."""


class Network(nn.Module):
    """MONAI's UNet, 16 to 128 filters, plus a look-up of the intensity, which makes its scores mean something.

    The UNet has random weights and its scores are scaled down: it costs what a trained one costs. The look-up scores
    class c by 2 x m_c - m_c^2, largest for the class whose mean intensity m_c is nearest to x. So outlines are those of
    the structures, as with a trained network, and not noise.
    """

    def __init__(self) -> None:
        super().__init__()
        from monai.networks.nets import UNet

        torch.manual_seed(0)
        self.unet = UNet(3, 1, STRUCTURES + 1, (16, 32, 64, 128), (2, 2, 2), num_res_units=2)
        self.look_up = nn.Conv3d(1, STRUCTURES + 1, 1)
        means = (torch.tensor([0.0, *intensities()]).clamp(LOW, HIGH) - MEAN) / DEVIATION
        with torch.no_grad():
            self.look_up.weight.copy_(2 * means.reshape(-1, 1, 1, 1, 1))
            self.look_up.bias.copy_(-(means**2))  # type: ignore[union-attr]

    def forward(self, images: Tensor) -> Tensor:
        return self.look_up(images) + 1e-4 * self.unet(images)


def intensities() -> list[float]:
    """Mean HU of the structures; soft tissue around them has 0, and air -1000 (clipped)."""
    return [60.0 + 45.0 * index for index in range(STRUCTURES)]


def write_phantom(path: Path, *, scale: float) -> None:
    """An int16 CT, (i, j, k): an elliptic body in air, and ellipsoids of 3 to 6 cm in it."""
    shape = (SHAPE[0], SHAPE[1], max(32, round(SHAPE[2] * scale)))
    random = np.random.default_rng(0)
    i, j, k = (np.arange(size) for size in shape)
    body = ((i[:, None] - 256) / 195) ** 2 + ((j[None] - 256) / 140) ** 2 < 1
    array = np.where(body[..., None], 0, -1000).astype(np.int16) * np.ones(shape[2], np.int16)
    for value in intensities():
        radius = random.uniform(15, 30, 3) / SPACING
        angle, part = random.uniform(0, 2 * np.pi), random.uniform(0, 0.75)
        centre = (256 + 195 * part * np.cos(angle), 256 + 140 * part * np.sin(angle), random.uniform(0, shape[2]))
        box = tuple(slice(max(0, int(c - r)), int(c + r) + 2) for c, r in zip(centre, radius, strict=True))
        places = (one[where] for one, where in zip((i, j, k), box, strict=True))
        distance = sum(
            (((place - c) / r) ** 2).reshape([-1 if axis == number else 1 for axis in range(3)])
            for number, (place, c, r) in enumerate(zip(places, centre, radius, strict=True))
        )
        array[box][distance < 1] = value
    for plane in np.moveaxis(array, 2, 0):
        plane += np.rint(random.normal(0, 5, shape[:2])).astype(np.int16)
    np.save(path, array)


def image(array: NDArray) -> Image:
    """The CT with its geometry."""
    from HQCSegmentLib.imaging import Image

    return Image(array, np.diag([*SPACING, 1.0]))


def preprocessing() -> Preprocessing:
    """How it is prepared: all methods work at the same spacing with the same normalisation."""
    from HQCSegmentLib.cohort import Preprocessing

    return Preprocessing(
        spacing=WORKING_SPACING, normalization="ct", low=LOW, high=HIGH, mean=MEAN, deviation=DEVIATION
    )


def network_on(device: str) -> Network:
    """The network, ready to work: on a GPU it has seen one window, so that libraries are loaded."""
    network = Network().eval().to(device)
    if device != "cpu":
        with torch.inference_mode(), torch.autocast(device, dtype=torch.float16):
            network(torch.zeros(1, 1, *WINDOW, device=device)).cpu()
    return network


@contextmanager
def measured(out: Path) -> Iterator[None]:
    """Write seconds, processor seconds and the peak memory of this process, on a GPU too if it is used."""
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    cpu = time.process_time()
    yield
    result = {
        "wall_s": round(time.perf_counter() - began, 2),
        "cpu_s": round(time.process_time() - cpu, 2),
        "peak_rss_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 3),
        "rss_before_gib": round(before / 2**20, 3),
    }
    if torch.cuda.is_initialized():
        result["peak_gpu_gib"] = round(torch.cuda.max_memory_reserved() / 2**30, 3)
    out.write_text(json.dumps(result))
