"""A run that is stopped in any way goes on from where it was: checkpoints, full disks, signals, kills."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import COMMAND

import HQCSegmentLib as hqc
from HQCSegmentLib.errors import InputError, Interrupted, WorkError
from HQCSegmentLib.imaging import write_array
from HQCSegmentLib.training import checkpoints
from HQCSegmentLib.training.events import EventLog

SCRIPT = Path(__file__).resolve().parents[1] / "Robustness" / "kill_resume.py"


def must_not_be_told(message: str) -> None:
    raise AssertionError(message)


def states(folder: Path) -> list[Path]:
    return sorted(folder.glob("step*.pt"))


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """Folder of the states after 9 and 10 steps; the one after 8 steps has made way."""
    for step in (8, 9, 10):
        checkpoints.save(tmp_path, {"step": step, "numbers": torch.arange(5000) * step}, step=step)
    return tmp_path


class TestCheckpoints:
    def test_the_last_state_comes_back_and_the_one_before_is_kept(self, saved: Path):
        assert [path.name.split(".")[0] for path in states(saved)] == ["step10", "step9"]
        state = checkpoints.load(saved, on_damage=must_not_be_told)
        assert state["step"] == 10
        assert torch.equal(state["numbers"], torch.arange(5000) * 10)

    @pytest.mark.parametrize("spoil", [damage, lambda path: path.write_bytes(path.read_bytes()[:-1])])
    def test_a_damaged_state_is_named_and_the_one_before_used(self, saved: Path, spoil: Callable[[Path], object]):
        told: list[str] = []
        spoil(states(saved)[0])
        assert checkpoints.load(saved, on_damage=told.append)["step"] == 9
        assert len(told) == 1
        assert states(saved)[0].name in told[0]

    def test_where_all_are_damaged_nothing_is_trained_over(self, saved: Path):
        for path in states(saved):
            damage(path)
        with pytest.raises(WorkError, match=r"every checkpoint.*step10.*step9"):
            checkpoints.load(saved, on_damage=lambda _: None)

    def test_half_written_states_are_removed_and_never_read(self, saved: Path):
        (saved / ".complete-xyz.pt").write_bytes(b"half")
        assert checkpoints.load(saved, on_damage=must_not_be_told)["step"] == 10
        assert not list(saved.glob(".*"))

    def test_a_full_disk_is_said_and_leaves_the_states_before(self, saved: Path):
        before = {path.name: path.read_bytes() for path in states(saved)}
        with file_size_limit(20_000), pytest.raises(WorkError, match=r"after step 11 could not be saved.*--resume"):
            checkpoints.save(saved, {"numbers": torch.zeros(50_000)}, step=11)
        assert {path.name: path.read_bytes() for path in saved.iterdir()} == before


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """Writing more than this into a file fails, as on a full disk."""
    import resource

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_events_after_a_cut_off_line_are_read(tmp_path: Path):
    path = tmp_path / "events.jsonl"
    path.write_text('{"event": "progress", "step": 1}\n{"event": "prog')
    log = EventLog(path)
    log.emit("progress", step=2)
    log.close()
    assert json.loads(path.read_text().splitlines()[-1])["step"] == 2


def config(tiny, **settings) -> hqc.TrainConfig:
    """With all that a state holds: running average, best state, momentum of a cycle."""
    whole = {"average": 0.9, "patience": 5, "schedule": "onecycle"}
    return hqc.TrainConfig(**{"method": "full", "steps": 3, "held_out": 1, **whole, **tiny.SETTINGS, **settings})


@pytest.fixture(scope="module")
def straight(tiny_cohort: Path, tmp_path_factory: pytest.TempPathFactory, tiny) -> Path:
    """A run that nobody disturbed."""
    out = tmp_path_factory.mktemp("straight") / "run"
    hqc.finetune(hqc.Cohort.open(tiny_cohort), config=config(tiny), out=out)
    return out


def weights(run: Path) -> bytes:
    return (run / "bundle" / "model.safetensors").read_bytes()


def test_a_run_on_a_full_disk_goes_on_when_there_is_space(tiny_cohort: Path, straight: Path, tmp_path: Path, tiny):
    cohort = hqc.Cohort.open(tiny_cohort)
    # Enough for settings and events, too little for a state.
    with file_size_limit(100_000), pytest.raises(WorkError, match=r"--resume"):
        hqc.finetune(cohort, config=config(tiny), out=tmp_path / "run", cache=False)
    assert not (tmp_path / "run" / "bundle").exists()
    hqc.finetune(cohort, config=config(tiny), out=tmp_path / "run", resume=True)
    assert weights(tmp_path / "run") == weights(straight)


def test_a_run_whose_last_state_is_damaged_ends_with_the_same_bits(
    tiny_cohort: Path, straight: Path, tmp_path: Path, tiny
):
    cohort = hqc.Cohort.open(tiny_cohort)

    def stop(event: dict) -> None:
        if event["event"] == "progress" and event["step"] == 2:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted, match="after 2 of 3"):
        hqc.finetune(cohort, config=config(tiny), out=tmp_path / "run", on_event=stop)
    damage(max(states(tmp_path / "run" / "checkpoints")))
    told: list[dict] = []
    hqc.finetune(cohort, config=config(tiny), out=tmp_path / "run", resume=True, on_event=told.append)
    assert any("step2" in event["message"] for event in told if event["event"] == "warning")
    assert weights(tmp_path / "run") == weights(straight)


@pytest.mark.parametrize("part", ["images", "labels"])
def test_a_run_is_not_continued_on_files_that_have_changed(
    tiny_cohort: Path, straight: Path, tmp_path: Path, tiny, part: str
):
    cohort = Path(shutil.copytree(tiny_cohort, tmp_path / "cohort"))
    array = dict(zip(("images", "labels"), tiny.tiny_patient(77), strict=True))[part]
    write_array(cohort / part / "patient2.nii.gz", array, np.diag([1.0, 1.0, 2.0, 1.0]))
    with pytest.raises(InputError, match="patient2 have changed"):
        hqc.finetune(hqc.Cohort.open(cohort), config=config(tiny), out=straight, resume=True)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="other platform: processes are killed and forked on POSIX")
def test_a_killed_run_ends_with_the_same_bits():
    result = subprocess.run([sys.executable, SCRIPT, "--kills", "5", "--steps", "4"], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "5 kills" in result.stdout


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="other platform: signals of POSIX")
def test_sigterm_saves_and_sleep_does_no_harm(tiny_cohort: Path, tmp_path: Path):
    """The process is stopped for a while, as by a closed laptop, then asked to end, then resumed."""
    out = tmp_path / "run"
    words = ["train", tiny_cohort, "--out", out, "--method", "full", "--steps", "400", "--patch", "16,16,16"]
    child = subprocess.Popen([*COMMAND, *map(str, words), "--json-events"], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    for line in child.stdout:
        if json.loads(line).get("step") == 3:
            break
    os.kill(child.pid, signal.SIGSTOP)
    time.sleep(0.3)
    os.kill(child.pid, signal.SIGCONT)
    child.send_signal(signal.SIGTERM)
    rest = child.stdout.read()
    assert child.wait() == 130, rest
    assert "the state is saved, continue with --resume" in rest
    assert states(out / "checkpoints")


@pytest.mark.slow
def test_folds_that_are_stopped_in_the_first_one_are_resumed_by_the_command(tiny_cohort: Path, tmp_path: Path, tiny):
    from HQCSegmentLib.cli import main

    def stop(event: dict) -> None:
        if event["event"] == "progress":
            raise KeyboardInterrupt

    settings = hqc.TrainConfig(method="full", steps=2, folds=2, **tiny.SETTINGS)
    cohort = hqc.Cohort.open(tiny_cohort).subset(["patient0", "patient1"])
    with pytest.raises(Interrupted):
        hqc.finetune(cohort, config=settings, out=tmp_path / "run", on_event=stop)
    begun = json.loads((tmp_path / "run" / "fold1" / "splits.json").read_text())
    small = tiny.write_tiny_cohort(tmp_path / "cohort", patients=2)
    assert main(["train", str(small), "--out", str(tmp_path / "run"), "--resume"]) == 0
    assert json.loads((tmp_path / "run" / "fold1" / "splits.json").read_text()) == begun
    assert len(json.loads((tmp_path / "run" / "folds.json").read_text())["held_out_dice"]) == 2
