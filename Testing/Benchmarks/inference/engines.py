"""Time of one window of the network on the CPU, by engine and setting, each in a process of its own.

    python Testing/Benchmarks/inference/engines.py [--out engines.json] [--threads 1] [--rounds 3] [--network unet]

Window of 96 voxels, 31 outputs, the small preset. Gives processor seconds (they count what other programs take of the
machine less than the clock does), the clock, the peak memory, and how far the scores are from plain PyTorch's.
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

SETTINGS = ("torch", "reuse", "channels_last", "bf16", "compile", "onnx", "openvino")
WINDOW = (96, 96, 96)


def one(setting: str, network_name: str, threads: int, rounds: int) -> dict:
    """Measure a setting in this process."""
    import torch

    from HQCSegmentLib.inference.engines import compiled_scorer
    from HQCSegmentLib.inference.memory import reusing_memory
    from HQCSegmentLib.networks import logits, specify

    torch.set_num_threads(threads)
    network = specify(network_name, dims=3, preset="small", in_channels=1, out_channels=31).build_seeded(0).eval()
    windows = torch.randn((1, 1, *WINDOW), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        reference = logits(network, windows)
    if setting in ("onnx", "openvino"):
        score = compiled_scorer(setting, network, window=WINDOW, channels=1, threads=threads)
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
        for _ in range(rounds):
            wall, cpu = time.perf_counter(), time.process_time()
            score(windows)
            walls.append(time.perf_counter() - wall)
            cpus.append(time.process_time() - cpu)
    return {
        "cpu_s": round(min(cpus), 3),
        "wall_s": round(min(walls), 3),
        "first_s": round(first, 2),
        "peak_rss_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
        "largest_difference": float((scores - reference).abs().max() / reference.abs().max()),
        "other_winner": float((scores.argmax(1) != reference.argmax(1)).float().mean()),
    }


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--out", type=Path)
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--network", default="unet")
    options.add_argument("--only", choices=SETTINGS, help="measure one setting in this process")
    asked = options.parse_args()
    if asked.only:
        print(json.dumps(one(asked.only, asked.network, asked.threads, asked.rounds)))
        return
    results = {}
    for setting in SETTINGS:
        words = [sys.executable, __file__, "--only", setting, "--network", asked.network]
        words += ["--threads", str(asked.threads), "--rounds", str(asked.rounds)]
        done = subprocess.run(words, capture_output=True, text=True)
        results[setting] = (
            json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else {"failed": done.stderr[-300:]}
        )
        print(setting, results[setting], flush=True)
    if asked.out:
        asked.out.write_text(json.dumps({"network": asked.network, "threads": asked.threads, "settings": results}))


if __name__ == "__main__":
    main()
