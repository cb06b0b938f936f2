"""Kill a training run with SIGKILL at random moments, resume it, and compare the model bit by bit.

    python Testing/Robustness/kill_resume.py --kills 50

A run is killed and resumed until it is done; then the next one begins, until there were as many kills as asked for.
Every model must have the bits of a run that nobody disturbed. Each attempt is a process of its own, forked from this
one so that the libraries are loaded once (Linux and macOS). Exits with 1 if a model differs or a run cannot be resumed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "Testing" / "Python")]

import torch  # noqa: E402
from tiny import write_tiny_cohort  # noqa: E402

import HQCSegmentLib as hqc  # noqa: E402

CONFIG = hqc.TrainConfig(
    method="qpg", steps=12, held_out=1, patch=(16, 16, 16), device="cpu", average=0.9, patience=10, seed=1
)


def attempt(cohort: Path, config: hqc.TrainConfig, out: Path) -> int:
    """Begin or resume the run in a process of its own; its id."""
    child = os.fork()
    if child:
        return child
    try:
        hqc.finetune(hqc.Cohort.open(cohort), config=config, out=out, resume=(out / "config.json").exists())
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def ended(child: int, *, within: float) -> int | None:
    """Exit status of a process, or None if it still works after so many seconds."""
    until = time.monotonic() + within
    while time.monotonic() < until:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status
        time.sleep(0.002)
    return None


def last_event(out: Path) -> dict[str, Any]:
    """What a run was at when it ended."""
    try:
        lines = (out / "events.jsonl").read_text(encoding="utf-8").splitlines()
        return json.loads(lines[-1])
    except (OSError, IndexError):
        return {"event": "none yet"}
    except ValueError:
        return {"event": "one half written"}


def bits(bundle: Path) -> dict[str, bytes]:
    """Contents of a bundle."""
    return {path.name: path.read_bytes() for path in bundle.iterdir()}


def main() -> int:
    """Run; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--steps", type=int, default=CONFIG.steps, help="of a run")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    options = parser.parse_args()
    torch.set_num_threads(1)
    moments = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["HQC_CACHE"] = str(folder / "cache")
        cohort = write_tiny_cohort(folder / "cohort")
        config = CONFIG.model_copy(update={"steps": options.steps})
        # Within this process, which then has loaded everything, so that those forked from it only train.
        undisturbed = hqc.finetune(hqc.Cohort.open(cohort), config=config, out=folder / "straight")
        wanted = bits(undisturbed.path)
        duration = last_event(folder / "straight")["time_s"]
        phases: Counter[str] = Counter()
        runs = 0
        while phases.total() < options.kills:
            out = folder / f"run{runs}"
            while True:
                child = attempt(cohort, config, out)
                last = phases.total() >= options.kills
                status = ended(child, within=3600 if last else moments.uniform(0, duration))
                if status is not None:
                    break
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                phases[last_event(out)["event"]] += 1
            if status != 0:
                print(f"run {runs} could not be resumed after {phases.total()} kills", file=sys.stderr)
                return 1
            different = [file for file, content in bits(out / "bundle").items() if content != wanted.get(file)]
            if different:
                print(f"run {runs} ended with other bits in {', '.join(different)}", file=sys.stderr)
                return 1
            runs += 1
    print(f"{phases.total()} kills in {runs} runs; every bundle has the bits of the undisturbed run.")
    for what, number in phases.most_common():
        print(f"  {number:3d} killed after the event: {what}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
