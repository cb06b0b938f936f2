"""Time of one window of the network on the CPU, by engine and setting, each in a process of its own.

    python Testing/Benchmarks/inference/engines.py [--out engines.json] [--threads 1] [--rounds 3] [--network unet]
    python Testing/Benchmarks/inference/engines.py --bundle BUNDLE --image IMAGE ...

Window of 96 voxels, 31 outputs, the small preset, random weights and noise; or a trained model and the middle of an
image. Gives processor seconds (they count what other programs take of the machine less than the clock does), the clock,
the peak memory, and how far the scores are from plain PyTorch's: largest difference relative to the largest score,
voxels with another winner, and the lowest Dice of a structure. Prints a table, and writes JSON with --out.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn

SETTINGS = ("torch", "reuse", "channels_last", "bf16", "compile", "onnx", "openvino")
DEFAULT = "reuse"
"""What `segment` does without options."""

WINDOW = (96, 96, 96)


def subject(asked: argparse.Namespace) -> tuple[nn.Module, Tensor]:
    """Network in evaluation mode, and a window (1, channels, ...) for it."""
    import torch

    from HQCSegmentLib import Bundle, Image
    from HQCSegmentLib.cohort import prepare
    from HQCSegmentLib.inference import open_image
    from HQCSegmentLib.networks import specify

    if asked.bundle is None:
        network = specify(asked.network, dims=3, preset="small", in_channels=1, out_channels=31).build_seeded(0)
        return network.eval(), torch.randn((1, 1, *WINDOW), generator=torch.Generator().manual_seed(0))
    bundle = Bundle.open(asked.bundle)
    image = open_image(asked.image)
    if asked.offset:
        image = Image(image.array + asked.offset, image.affine)
    array = torch.from_numpy(prepare(image, bundle.manifest.preprocessing).array)
    for axis, side in enumerate(bundle.manifest.inference.window, start=1):
        if array.shape[axis] < side:
            before = (side - array.shape[axis]) // 2
            after = side - array.shape[axis] - before
            filling = [torch.full_like(array.select(axis, 0).unsqueeze(axis), float(array.min()))]
            array = torch.cat([*filling * before, array, *filling * after], dim=axis)
        array = array.narrow(axis, (array.shape[axis] - side) // 2, side)
    return bundle.build().eval(), array[None].contiguous()


def one(asked: argparse.Namespace) -> dict:
    """Measure a setting in this process."""
    import torch

    from HQCSegmentLib.evaluation.metrics import dice
    from HQCSegmentLib.freed_memory import reusing_memory
    from HQCSegmentLib.inference.engines import compiled_scorer
    from HQCSegmentLib.networks import logits

    setting, threads = asked.only, asked.threads
    torch.set_num_threads(threads)
    network, windows = subject(asked)
    with torch.inference_mode():
        reference = logits(network, windows)
    if setting in ("onnx", "openvino"):
        score = compiled_scorer(
            setting, network, window=tuple(windows.shape[2:]), channels=windows.shape[1], threads=threads
        )
    elif setting == "compile":
        compiled = torch.compile(network)
        score = lambda inputs: logits(compiled, inputs)  # noqa: E731
    elif setting == "channels_last":
        network = network.to(memory_format=torch.channels_last_3d)
        score = lambda inputs: logits(network, inputs.contiguous(memory_format=torch.channels_last_3d))  # noqa: E731
    elif setting == "bf16":

        def score(inputs):
            with torch.autocast("cpu", dtype=torch.bfloat16):
                return logits(network, inputs).float()
    else:
        score = lambda inputs: logits(network, inputs)  # noqa: E731
    reuse = contextlib.nullcontext() if setting == "torch" else reusing_memory()
    with torch.no_grad(), reuse:
        began = time.perf_counter()
        scores = score(windows)
        first = time.perf_counter() - began
        walls, cpus = [], []
        for _ in range(asked.rounds):
            wall, cpu = time.perf_counter(), time.process_time()
            score(windows)
            walls.append(time.perf_counter() - wall)
            cpus.append(time.process_time() - cpu)
    own, usual = (one[0].argmax(0).numpy() for one in (scores, reference))
    there = [value for value in range(1, len(reference[0])) if (usual == value).any()]
    return {
        "cpu_s": round(min(cpus), 3),
        "wall_s": round(min(walls), 3),
        "first_s": round(first, 2),
        "peak_rss_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
        "largest_difference": float((scores - reference).abs().max() / reference.abs().max()),
        "other_winner": float((own != usual).mean()),
        "lowest_dice": min((dice(own == value, usual == value) for value in there), default=None),
    }


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--out", type=Path)
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--network", default="unet")
    options.add_argument("--bundle", type=Path, help="trained model in place of random weights")
    options.add_argument("--image", type=Path, help="for it")
    options.add_argument("--offset", type=float, default=0, help="added to the image, such as -1024 to come to HU")
    options.add_argument("--settings", default=",".join(SETTINGS), help="to measure, with commas")
    options.add_argument("--only", choices=SETTINGS, help="measure one setting in this process, and print JSON")
    asked = options.parse_args()
    if asked.only:
        print(json.dumps(one(asked)))
        return
    results = {}
    for setting in asked.settings.split(","):
        done = subprocess.run([sys.executable, *sys.argv, "--only", setting], capture_output=True, text=True)
        results[setting] = (
            json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else {"failed": done.stderr[-300:]}
        )
    print(table(results))
    if asked.out:
        name = asked.network if asked.bundle is None else asked.bundle.name
        asked.out.write_text(json.dumps({"network": name, "threads": asked.threads, "settings": results}, indent=2))


def table(results: dict[str, dict]) -> str:
    """Ratios of processor seconds and of the clock to the default."""
    lines = [
        "| setting | CPU s | clock s | CPU to the default | clock | first s | RSS GiB | difference | lowest Dice |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    usual = results.get(DEFAULT, {})
    for setting, row in results.items():
        if "failed" in row:
            lines.append(f"| {setting} | failed: {row['failed'].splitlines()[-1][:80]} | | | | | | | |")
            continue
        ratios = [f"{row[key] / usual[key]:.2f}" if key in usual else "" for key in ("cpu_s", "wall_s")]
        lines.append(
            f"| {setting} | {row['cpu_s']:.2f} | {row['wall_s']:.2f} | {ratios[0]} | {ratios[1]} "
            f"| {row['first_s']:.1f} | {row['peak_rss_gib']:.2f} | {row['largest_difference']:.0e} "
            f"| {row['lowest_dice'] or 0:.5f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
