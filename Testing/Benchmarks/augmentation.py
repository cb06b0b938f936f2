"""What augmentation costs of a training step on the CPU.

    python Testing/Benchmarks/augmentation.py

Times a whole step (augmentation of two patches, forward, loss, backward, clipping, AdamW) and the augmentation alone,
taking turns in one process.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch

from HQCSegmentLib.networks import logits, specify
from HQCSegmentLib.training.augmentation import augmentation
from HQCSegmentLib.training.losses import make_loss


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--side", type=int, default=64, help="voxels of a side of the patch")
    options = parser.parse_args()
    side = (options.side,) * 3
    images = torch.randn((2, 1, *side))
    labels = torch.randint(4, (2, 1, *side))
    known = torch.ones((2, 4), dtype=torch.bool)
    loss_of = make_loss("dice_ce")
    print("| network | augmentation | of two patches | step without it | part of the step |")
    print("|---|---|---|---|---|")
    for preset in ("small", "medium"):
        network = specify("unet", dims=3, preset=preset, in_channels=1, out_channels=4).build_seeded(0)
        optimizer = torch.optim.AdamW(network.parameters())

        def step(network=network, optimizer=optimizer) -> None:
            optimizer.zero_grad()
            loss_of(logits(network, images), labels, known).backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 12)
            optimizer.step()

        for kind in ("usual", "strong"):
            vary = augmentation(dims=3, kind=kind)
            work: dict[str, Callable[[int], object]] = {
                "vary": lambda number, vary=vary: [vary(images[i], labels[i], 2 * number + i) for i in range(2)],
                "step": lambda number, step=step: step(),
            }
            taken: dict[str, list[float]] = {name: [] for name in work}
            for number in range(options.repeats + 1):
                for name, do in work.items():
                    begin = time.perf_counter()
                    do(number)
                    taken[name].append(time.perf_counter() - begin)
            # The first time warms up. Augmentation differs from patch to patch, so that its mean counts.
            varied, stepped = statistics.mean(taken["vary"][1:]), statistics.median(taken["step"][1:])
            part = varied / (varied + stepped)
            print(f"| unet {preset} | {kind} | {1e3 * varied:.0f} ms | {1e3 * stepped:.0f} ms | {part:.0%} |")


if __name__ == "__main__":
    main()
