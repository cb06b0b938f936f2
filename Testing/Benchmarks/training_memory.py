"""Predicted against actual peak memory of training steps on the CPU, each in a process of its own.

    python Testing/Benchmarks/training_memory.py

The prediction is that of `training.memory`; the actual use is the growth of the largest resident size (ru_maxrss) over
two optimizer steps. The factor in `training.memory` was fitted to the first steps; the others had no part in that.
"""

from __future__ import annotations

import resource
import subprocess
import sys

FITTED = [
    # network, size, dims, patch, batch, outputs
    ("unet", "small", 3, (64, 64, 64), 2, 3),
    ("unet", "small", 3, (96, 96, 96), 2, 8),
    ("unet", "medium", 3, (64, 64, 64), 2, 3),
    ("segresnet", "small", 3, (64, 64, 64), 2, 3),
    ("attentionunet", "small", 3, (64, 64, 64), 1, 3),
    ("dynunet", "small", 3, (64, 64, 64), 1, 3),
    ("unetpp", "small", 2, (256, 256), 2, 5),
]
OTHERS = [
    ("unet", "small", 3, (96, 64, 32), 3, 3),
    ("unet", "large", 3, (64, 64, 64), 1, 3),
    ("unet", "medium", 2, (320, 192), 3, 5),
    ("unetpp", "small", 3, (64, 64, 64), 1, 3),
    ("unetpp", "small", 2, (320, 192), 1, 3),
    ("attentionunet", "medium", 3, (64, 64, 32), 1, 3),
    ("segresnet", "medium", 3, (64, 64, 32), 1, 3),
    ("segresnet", "small", 2, (256, 192), 3, 8),
    ("dynunet", "medium", 3, (64, 64, 32), 1, 3),
    ("dynunet", "small", 2, (256, 256), 3, 3),
    ("swinunetr", "small", 3, (64, 64, 64), 1, 3),
]
STEPS = FITTED + OTHERS


def largest() -> int:
    """Largest resident size so far in bytes (Linux counts in KiB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def one(number: int) -> None:
    """Predict and measure one step."""
    import torch

    from HQCSegmentLib.freed_memory import reusing_memory
    from HQCSegmentLib.networks import logits, specify
    from HQCSegmentLib.training.losses import make_loss
    from HQCSegmentLib.training.memory import footprint

    name, preset, dims, patch, batch, outputs = STEPS[number]
    spec = specify(name, dims=dims, preset=preset, in_channels=1, out_channels=outputs)
    predicted = footprint(spec).bytes_of_step(patch=patch, batch=batch)
    network = spec.build_seeded(0)
    optimizer = torch.optim.AdamW(network.parameters())
    loss_of = make_loss("dice_ce")
    images = torch.randn(batch, 1, *patch)
    labels = torch.randint(0, outputs, (batch, 1, *patch))
    known = torch.ones(batch, outputs, dtype=torch.bool)
    before = largest()
    with reusing_memory():  # as in training
        for _ in range(2):
            optimizer.zero_grad()
            loss_of(logits(network, images), labels, known).backward()
            optimizer.step()
    actual = largest() - before
    sizes = f"{predicted / 2**30:6.2f} GiB predicted {actual / 2**30:6.2f} GiB actual"
    kind = "fitted" if number < len(FITTED) else "other"
    print(
        f"{name:14}{preset:8}{dims}D {patch!s:16} x {batch}: {sizes}, ratio {actual / predicted:.2f} ({kind})",
        flush=True,
    )


if __name__ == "__main__":
    if len(sys.argv) > 1:
        one(int(sys.argv[1]))
    else:
        for index in range(len(STEPS)):
            subprocess.run([sys.executable, __file__, str(index)], check=True)
