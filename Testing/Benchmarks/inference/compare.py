"""Memory and time of segmenting a planning CT: HQCSegment beside MONAI and nnU-Net v2, same network and weights.

    python Testing/Benchmarks/inference/compare.py --out FOLDER [--scale 1] [--overlap 0.25] [--rounds 1] [--threads 2]
                                                     [--device cuda]

Makes an environment with nnU-Net v2 in FOLDER/nnunet on the first call (network needed). Each method runs in a process
of its own, one after the other, in every round; peak memory is that of the process. Writes FOLDER/results.json and a
table to the screen. A CT of 512 x 512 x 400 voxels at scale 1; `--scale` shortens it.

Every part is kept in FOLDER/parts as soon as it is done, and used again by the next call with the same settings: a call
may be stopped, or do some of the methods only (`--methods monai`); the table is of all parts that are there.
`hqcsegment_whole` is this software without its search for the body, with the windows of the other methods.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
from subject import SHAPE, STRUCTURES, write_phantom

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]

METHODS = ("hqcsegment", "hqcsegment_whole", "monai", "nnunet")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--out", type=Path, required=True)
    options.add_argument("--scale", type=float, default=1.0)
    options.add_argument("--overlap", type=float, default=0.25)
    options.add_argument("--rounds", type=int, default=1)
    options.add_argument("--threads", type=int, default=2)
    options.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    options.add_argument("--methods", default=",".join(METHODS), help="to run now, with commas")
    options.add_argument("--nnunet-python", type=Path, help="of an environment that has nnU-Net v2")
    asked = options.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    methods = asked.methods.split(",")
    pythons = dict.fromkeys(methods, Path(sys.executable))
    if "nnunet" in methods:
        pythons["nnunet"] = asked.nnunet_python or nnunet_environment(asked.out / "nnunet")
    shape = [*SHAPE[:2], max(32, round(SHAPE[2] * asked.scale))]
    settings = {"shape": shape, "structures": STRUCTURES, "overlap": asked.overlap, "threads": asked.threads}
    if asked.device != "cpu":
        settings["device"] = asked.device
    phantom = asked.out / "ct.npy"
    if not phantom.exists() or [*np.load(phantom, mmap_mode="r").shape] != shape:
        write_phantom(phantom, scale=asked.scale)
    parts = asked.out / "parts"
    parts.mkdir(exist_ok=True)
    for number in range(asked.rounds):
        for method in methods:
            part = parts / f"{method}-{number}.json"
            if not part.exists() or json.loads(part.read_text())["settings"] != settings:
                found = {"settings": settings, **measure(method, pythons[method], asked)}
                part.write_text(json.dumps(found))
                print(part.name, found, flush=True)
    rounds = {
        method: [one for path in sorted(parts.glob(f"{method}-*.json")) if (one := finished(path, settings))]
        for method in METHODS
    }
    done = {method: found for method, found in rounds.items() if found}
    results = {
        **settings,
        "processors": os.cpu_count(),
        "machine": platform.machine(),
        "methods": done,
        "agreement": agreement(asked.out, [method for method in done if "failed" not in done[method][-1]]),
    }
    (asked.out / "results.json").write_text(json.dumps(results, indent=2))
    print(table(done))


def finished(path: Path, settings: dict) -> dict | None:
    """A part that was measured with these settings."""
    found = json.loads(path.read_text())
    return found if found.pop("settings") == settings else None


def nnunet_environment(folder: Path) -> Path:
    """Python of an environment with nnU-Net v2 and this environment's torch and MONAI versions."""
    import monai
    import torch

    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        wanted = [f"torch=={torch.__version__}", f"monai=={monai.__version__}", "nnunetv2"]
        subprocess.run([python, "-m", "pip", "install", "--quiet", *wanted], check=True)
    return python


def measure(method: str, python: Path, asked: argparse.Namespace) -> dict:
    """Run one method once."""
    words = [python, HERE / f"by_{method}.py", asked.out, asked.overlap, asked.threads, asked.device]
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": str(asked.threads)}
    done = subprocess.run([str(word) for word in words], env=environment, capture_output=True, text=True)
    if done.returncode:
        # A method that runs out of memory is a result too.
        return {"failed": done.returncode, "said": done.stderr[-500:]}
    return {**json.loads((asked.out / f"{method}.json").read_text()), "load_average": os.getloadavg()[0]}


def agreement(folder: Path, methods: list[str]) -> dict[str, float]:
    """Part of all voxels where a method's label is the first method's."""
    first = np.load(folder / f"{methods[0]}.npy", mmap_mode="r") if methods else None
    return {method: float((np.load(folder / f"{method}.npy", mmap_mode="r") == first).mean()) for method in methods[1:]}


def table(found: dict[str, list[dict]]) -> str:
    """Best of the rounds, and ratios to the first method."""
    best = {
        method: {key: min(one[key] for one in rounds) for key in ("wall_s", "cpu_s", "peak_rss_gib")}
        for method, rounds in found.items()
        if all("failed" not in one for one in rounds)
    }
    own = next(iter(best.values()), {})
    lines = [
        "| method | wall s | CPU s | peak RSS GiB | wall, ours / its | CPU | RSS |",
        "|---|---|---|---|---|---|---|",
    ]
    for method in found:
        if method not in best:
            lines.append(f"| {method} | failed | | | | | |")
            continue
        row = best[method]
        ratios = " | ".join(f"{own[key] / row[key]:.2f}" for key in row)
        lines.append(f"| {method} | {row['wall_s']:.1f} | {row['cpu_s']:.1f} | {row['peak_rss_gib']:.2f} | {ratios} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
