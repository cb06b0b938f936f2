"""Several processes train one network together: two nodes as SLURM starts them, and two processes of one node."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from forked_runs import free_port

import HQCSegmentLib as hqc

REPOSITORY = Path(__file__).resolve().parents[2]
ON_POSIX = pytest.mark.skipif(sys.platform == "win32", reason="other platform: torchrun with gloo is tried on POSIX")

STEPS, EARLY = 24, 6

ONE_RUN = ("--steps", str(STEPS), "--held-out", "2", "--batch", "4")
FOLDS = ("--steps", "1", "--method", "full", "--folds", "2", "--after-folds", "ensemble")

TOLERANCE = 1e-4
"""Relative difference of the losses of the first steps: sums over patches in another order."""

TOLERANCE_LATER = 1e-2
"""The same for the last ones, over which it grows."""

SRUN = """#!/bin/bash
# Stand-in: two nodes on this computer; the number of each process is left in a file.
for node in 0 1; do
  SLURM_NODEID=$node SLURM_PROCID=$node SLURM_LOCALID=0 SLURM_NTASKS=2 SLURM_JOB_NAME=train "$@" &
  echo $! > "$NODES/$node"
done
wait -n; wait
"""
SCONTROL = "#!/bin/bash\necho 127.0.0.1\necho 127.0.0.1\n"


def words(cohort: Path, out: Path, *options: str) -> list[str]:
    settings = ["--patch", "16,16,16", "--device", "cpu", "--no-cache"]
    return ["train", str(cohort), "--out", str(out), *settings, *(options or ONE_RUN)]


def losses(run: Path) -> list[float]:
    """Of every step; of one that was made again, the later."""
    if not (run / "events.jsonl").is_file():
        return []
    events = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines() if line.endswith("}")]
    found = {event["step"]: event["loss"] for event in events if event["event"] == "progress"}
    return [found[step] for step in sorted(found)]


def slurm_script(command: list[str]) -> str:
    """The script of Docs/training.md, for this Python, one process a node, and another command."""
    text = (REPOSITORY / "Docs" / "training.md").read_text(encoding="utf-8")
    found = re.search(r"^    (#!/bin/bash\n    #SBATCH.*?)\n\n", text, re.DOTALL | re.MULTILINE)
    assert found is not None
    script = found[1].replace("\n    ", "\n")
    for what, other in {
        "torchrun": shlex.join([sys.executable, "-m", "torch.distributed.run"]),
        "--nproc-per-node 4": "--nproc-per-node 1",
        "29500": str(free_port()),
        "train my_cohort --out run1 --batch 16 --device cuda": shlex.join(command),
    }.items():
        assert script.count(what) == 1, what
        script = script.replace(what, other)
    return script


@pytest.fixture(scope="module")
def stopped(tiny_cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """Run of two nodes, one of which was asked to end after some steps; and how many they were."""
    folder = tmp_path_factory.mktemp("nodes")
    for name, content in {"srun": SRUN, "scontrol": SCONTROL}.items():
        (folder / name).write_text(content)
        (folder / name).chmod(0o755)
    environment = {
        **os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "NODES": str(folder), "OMP_NUM_THREADS": "1",
        "SLURM_NNODES": "2", "SLURM_JOB_NODELIST": "node[1-2]",
    }  # fmt: skip
    out = folder / "run"
    job = subprocess.Popen(
        ["bash", "-c", slurm_script(words(tiny_cohort, out))],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    while len(losses(out)) < EARLY:
        assert job.poll() is None, job.communicate()
        time.sleep(0.02)
    os.kill(int((folder / "1").read_text()), signal.SIGTERM)
    said = job.communicate()[0]
    assert len(losses(out)) < STEPS, said
    return out, len(losses(out))


@pytest.fixture(scope="module")
def runs(stopped: tuple[Path, int], tiny_cohort: Path) -> tuple[Path, Path, str]:
    """The run, gone on with by two processes of one node; one of a single process, whose batches are divided in two;
    and what was printed. Beside them two processes have made an ensemble of folds."""
    together, alone = stopped[0], stopped[0].parent / "alone"
    asked = [
        (2, words(tiny_cohort, together, *ONE_RUN, "--resume")),
        (1, words(tiny_cohort, alone, *ONE_RUN, "--micro-batches", "2")),
        (2, words(tiny_cohort, alone.with_name("folds"), *FOLDS)),
    ]
    command = [sys.executable, str(Path(__file__).with_name("forked_runs.py")), json.dumps(asked)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    return together, alone, result.stdout


@pytest.mark.slow
@ON_POSIX
class TestTogether:
    def test_all_nodes_stop_after_the_same_step(self, stopped: tuple[Path, int]):
        run, done = stopped
        assert done >= EARLY
        assert list((run / "checkpoints").glob(f"step{done}.*"))

    def test_two_nodes_and_two_processes_have_the_loss_curve_of_one(self, runs: tuple[Path, Path, str]):
        together, alone, _ = runs
        assert len(losses(together)) == STEPS
        assert losses(together)[:EARLY] == pytest.approx(losses(alone)[:EARLY], rel=TOLERANCE)
        assert losses(together) == pytest.approx(losses(alone), rel=TOLERANCE_LATER)
        dice, of_one = (hqc.Bundle.open(run / "bundle").manifest.training.held_out_dice for run in (together, alone))
        assert dice == pytest.approx(of_one, abs=0.01)

    def test_only_the_first_process_tells(self, runs: tuple[Path, Path, str]):
        assert runs[2].count("Trained") == 3  # one for each run

    def test_folds_are_made_together(self, runs: tuple[Path, Path, str]):
        assert hqc.Bundle.open(runs[1].with_name("folds") / "bundle").manifest.members == 2


def test_more_processes_than_patches_are_refused():
    from HQCSegmentLib.training.loop import divide

    with pytest.raises(hqc.InputError, match="--batch of 3 or more"):
        divide(2, 1, processes=3)
    assert divide(5, 2, processes=2) == [range(0, 2), range(2, 5)]
