"""Several processes train one network together, as torchrun starts them: on one computer, and as two nodes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

import HQCSegmentLib as hqc

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="other platform: torchrun with gloo is tried on POSIX"),
]

TORCHRUN = [sys.executable, "-m", "torch.distributed.run"]
SETTINGS = ["--patch", "16,16,16", "--held-out", "2", "--device", "cpu", "--batch", "4", "--method", "qpg"]

TOLERANCE = 1e-4
"""Relative difference of the losses: sums over patches in another order, grown over the steps."""


def train(cohort: Path, out: Path, *options: str, steps: int = 6) -> list[str]:
    return ["-m", "HQCSegmentLib", "train", str(cohort), "--out", str(out), "--steps", str(steps), *SETTINGS, *options]


def losses(run: Path) -> list[float]:
    events = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    return [event["loss"] for event in events if event["event"] == "progress"]


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.fixture(scope="module")
def alone(tiny_cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run of one process, whose batches go through the network in two parts."""
    out = tmp_path_factory.mktemp("alone") / "run"
    subprocess.run([sys.executable, *train(tiny_cohort, out, "--micro-batches", "2")], check=True, capture_output=True)
    return out


def check_same(run: Path, alone: Path) -> None:
    assert losses(run) == pytest.approx(losses(alone), rel=TOLERANCE)
    together, one = (hqc.Bundle.open(folder / "bundle").manifest.training for folder in (run, alone))
    assert together.held_out_dice == pytest.approx(one.held_out_dice, abs=0.01)


def test_two_processes_have_the_loss_curve_of_one(tiny_cohort: Path, alone: Path, tmp_path: Path):
    command = [*TORCHRUN, "--standalone", "--nproc-per-node", "2", *train(tiny_cohort, tmp_path / "run")]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("Trained") == 1
    check_same(tmp_path / "run", alone)


def test_two_nodes_have_the_loss_curve_of_one(tiny_cohort: Path, alone: Path, tmp_path: Path):
    port = free_port()
    nodes = [
        subprocess.Popen(
            [
                *TORCHRUN, "--nnodes", "2", "--node-rank", str(rank), "--nproc-per-node", "1",
                "--master-addr", "127.0.0.1", "--master-port", str(port), *train(tiny_cohort, tmp_path / "run"),
            ],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for rank in range(2)
    ]  # fmt: skip
    said = [node.communicate()[0] for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], said
    check_same(tmp_path / "run", alone)


def test_they_stop_together_and_go_on(tiny_cohort: Path, tmp_path: Path):
    out = tmp_path / "run"
    start = [*TORCHRUN, "--standalone", "--nproc-per-node", "2"]
    child = subprocess.Popen(
        [*start, *train(tiny_cohort, out, steps=60)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    while not (out / "events.jsonl").is_file() or len(losses(out)) < 3:
        assert child.poll() is None, child.communicate()
        time.sleep(0.1)
    os.kill(child.pid, signal.SIGTERM)
    child.communicate()
    done = len(losses(out))
    assert 3 <= done < 60
    assert list((out / "checkpoints").glob(f"step{done}.*"))


def test_more_processes_than_patches_are_refused(tiny_cohort: Path, tmp_path: Path):
    from HQCSegmentLib.training.loop import divide

    with pytest.raises(hqc.InputError, match="--batch of 3 or more"):
        divide(2, 1, processes=3)
    assert divide(5, 2, processes=2) == [range(0, 2), range(2, 5)]
