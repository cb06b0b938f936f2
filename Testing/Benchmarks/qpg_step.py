"""What Quantum Parameter Generation adds to a training step, beside classical training of the same network.

    python Testing/Benchmarks/qpg_step.py [--out FILE.json] [--tasks smallest,unet3d,unetpp2d] [--repeats N]
                                          [--settings default,coordinates=singular,depth=4] [--device cuda]

A step is forward, Dice + cross-entropy, backward, clipping and AdamW, on random images. Circuits with the default
settings of a run from a base, or others (`depth=4:readout=probability`, names as of `hqcsegment train`), and classical
training take turns in one process with the same threads; medians after one step each to warm up. Small layers are
trained in full, as in training, or with `--classical-part 0` not. Freed memory is used again, as in training, or with
`--fresh-memory` taken anew from the system, as PyTorch does it by itself. Goals: at most 5 % more than classical
training for the larger two networks, at most 25 % for the smallest. About 10 minutes on 2 idle cores.
"""

from __future__ import annotations

import argparse
import datetime
import platform
import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from HQCSegmentLib import qpg
from HQCSegmentLib.cli.options import make
from HQCSegmentLib.files import write_json
from HQCSegmentLib.freed_memory import reusing_memory
from HQCSegmentLib.networks import NetworkSpec, logits
from HQCSegmentLib.training.config import TrainConfig
from HQCSegmentLib.training.losses import make_loss


@dataclass(frozen=True)
class Task:
    """A network and what it is trained on."""

    words: str
    network: NetworkSpec
    shape: tuple[int, ...]
    goal: float


TASKS = {
    "smallest": Task(
        "3D residual UNet, 16-128 filters, 40x64x48, batch 2",
        NetworkSpec(
            name="unet", dims=3, in_channels=1, out_channels=3,
            arguments={"channels": [16, 32, 64, 128], "strides": [2, 2, 2], "num_res_units": 2},
        ),
        (2, 1, 40, 64, 48),
        0.25,
    ),
    "unet3d": Task(
        "3D residual UNet, 32-512 filters, 96x96x96, batch 2",
        NetworkSpec(
            name="unet", dims=3, in_channels=1, out_channels=5,
            arguments={"channels": [32, 64, 128, 256, 512], "strides": [2, 2, 2, 2], "num_res_units": 2},
        ),
        (2, 1, 96, 96, 96),
        0.05,
    ),
    "unetpp2d": Task(
        "2D UNet++, 32-512 filters, 256x256, batch 4",
        NetworkSpec(
            name="unetpp", dims=2, in_channels=1, out_channels=5,
            arguments={"features": [32, 64, 128, 256, 512, 32]},
        ),
        (4, 1, 256, 256),
        0.05,
    ),
}  # fmt: skip


def circuits_of(words: str, classical_part: float) -> qpg.QPGConfig:
    """Circuits with settings as they are written on the command line, `name=value:...`, or `default`."""
    settings = {} if words == "default" else dict(setting.split("=", 1) for setting in words.split(":"))
    return replace(make(TrainConfig, settings).qpg(from_base=True), classical_part=classical_part)


def step_of(task: Task, method: qpg.QPGConfig | None, device: str) -> tuple[Callable[[], None], int]:
    """One training step, and how many numbers it trains."""
    torch.manual_seed(0)
    network = task.network.build().to(device)
    if method is not None:
        qpg.inject(network, method)
    rates = {"angle_rate": 0.02, "scale_rate": 0.01, "classical_rate": 1e-3}
    optimizer = torch.optim.AdamW(qpg.parameter_groups(network, **rates))
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    images = torch.randn(task.shape, device=device)
    labels = torch.randint(task.network.out_channels, (task.shape[0], 1, *task.shape[2:]), device=device)
    known = torch.ones(task.shape[0], task.network.out_channels, dtype=torch.bool, device=device)
    loss = make_loss("dice_ce")

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with nullcontext() if method is None else qpg.accumulation(network):
            loss(logits(network, images), labels, known).backward()
        torch.nn.utils.clip_grad_norm_(trained, 12.0)
        optimizer.step()
        if device == "cuda":
            torch.cuda.synchronize()

    return step, qpg.trainable_numbers(network)


def measure(task: Task, methods: dict[str, qpg.QPGConfig | None], *, repeats: int, device: str) -> dict[str, Any]:
    """Median seconds of a step for each method, None being classical training; the methods take turns."""
    steps = {name: step_of(task, method, device) for name, method in methods.items()}
    taken: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(repeats + 1):
        for name, (step, _) in steps.items():
            start = time.perf_counter()
            step()
            taken[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(times[1:]) for name, times in taken.items()}
    return {
        "task": task.words,
        "goal": task.goal,
        "trainable_numbers": {name: numbers for name, (_, numbers) in steps.items()},
        "seconds": medians,
        "all_seconds": taken,
        "added": {name: seconds / medians["classical"] - 1 for name, seconds in medians.items()},
    }


def processor_of(device: str) -> str:
    """Name of what computes."""
    return torch.cuda.get_device_name() if device == "cuda" else platform.processor() or platform.machine()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="also write JSON")
    parser.add_argument("--tasks", default=",".join(TASKS), help="which networks")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--settings", default="default,coordinates=singular", help="circuits to measure")
    parser.add_argument("--classical-part", type=float, default=0.01, help="as of `hqcsegment train`")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--fresh-memory", action="store_true", help="take memory anew from the system for every tensor")
    arguments = parser.parse_args()
    where = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "torch": torch.__version__,
        "classical_part": arguments.classical_part,
        "threads": torch.get_num_threads(),
        "processor": processor_of(arguments.device),
    }
    print(", ".join(f"{name} {value}" for name, value in where.items()), end="\n\n")
    print("| network | trained | numbers | step | more than classical | goal |\n|---|---|---|---|---|---|")
    methods: dict[str, qpg.QPGConfig | None] = {"classical": None}
    methods |= {words: circuits_of(words, arguments.classical_part) for words in arguments.settings.split(",")}
    rows = []
    for name in arguments.tasks.split(","):
        with nullcontext() if arguments.fresh_memory else reusing_memory():
            row = measure(TASKS[name], methods, repeats=arguments.repeats, device=arguments.device)
        rows.append(row)
        for method, seconds in row["seconds"].items():
            added = "" if method == "classical" else f"{100 * row['added'][method]:+.1f} %"
            goal = "" if method == "classical" else f"{100 * row['goal']:.0f} %"
            numbers = row["trainable_numbers"][method]
            print(f"| {row['task']} | {method} | {numbers:,} | {seconds:.4f} s | {added} | {goal} |", flush=True)
    if arguments.out:
        write_json(arguments.out, {"setting": where, "rows": rows})


if __name__ == "__main__":
    main()
