"""Child processes: events, log, the end, and that cancel leaves nothing behind. All children are real."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from HQCSegmentSlicer.process import ChildProcess, child_environment, library_command, python_executable
from HQCSegmentSlicer.signal import Signal

STAND_IN = str(Path(__file__).with_name("child_stand_in.py"))


class Recorded:
    """A child with all that it emitted."""

    def __init__(self, *words: str, grace_s: float = 5.0) -> None:
        self.process = ChildProcess(
            [sys.executable, STAND_IN, *words], environment=child_environment(), grace_s=grace_s
        )
        self.events, self.log, self.ends, self.threads = [], [], [], set()
        self.process.onEvent.connect(self.events.append)
        self.process.onEvent.connect(lambda event: self.threads.add(threading.current_thread()))
        self.process.onLog.connect(self.log.append)
        self.process.onFinished.connect(self.ends.append)
        self.process.start()

    def until_event(self) -> dict:
        end = time.monotonic() + 20
        while not self.events and time.monotonic() < end:
            self.process.poll()
            time.sleep(0.01)
        return self.events[-1]


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that ended but was not collected by its parent does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def assert_gone(pid: int) -> None:
    end = time.monotonic() + 2
    while is_alive(pid) and time.monotonic() < end:
        time.sleep(0.01)
    assert not is_alive(pid)


def test_events_and_text_are_told_apart_and_drained():
    run = Recorded("talk", "2000")
    assert run.process.wait(30) == 0
    assert [event["event"] for event in run.events] == ["progress", "done"]
    assert run.events[0] == {"event": "progress", "step": 1, "of": 2, "eta_s": 0.5}
    assert {"text before", '{"no": "event"}', "{half a line", "late line 1999"} <= set(run.log)
    assert len(run.log) == 2003
    assert run.ends == [0]
    assert run.threads == {threading.main_thread()}
    assert not run.process.poll()
    assert run.ends == [0]
    assert len(run.process.log) == 50


def test_nothing_is_emitted_but_by_poll():
    run = Recorded("talk", "3")
    time.sleep(0.5)
    assert not run.events
    assert not run.log
    assert run.process.running
    run.process.wait(30)


def test_exit_code_and_error_message():
    run = Recorded("fail")
    assert run.process.wait(30) == 2
    assert run.process.error == "The cohort has no patients."
    assert run.ends == [2]


def test_child_finds_the_library_and_writes_utf8():
    run = Recorded("environment")
    assert run.process.wait(30) == 0
    assert run.events[0]["version"]
    assert run.events[0]["encoding"].lower().replace("-", "") == "utf8"
    assert run.events[0]["text"] == "Ä"


def test_environment_keeps_what_was_there():
    environment = child_environment({"PYTHONPATH": "kept", "OTHER": "1"})
    assert environment["PYTHONPATH"].split(os.pathsep)[1:] == ["kept"]
    assert environment["OTHER"] == "1"
    assert child_environment({})["PYTHONPATH"].count(os.pathsep) == 0


def test_library_command(monkeypatch, tmp_path):
    command = library_command("segment", tmp_path, "--out", "x")
    assert command == [
        sys.executable, "-m", "HQCSegmentLib", "segment", str(tmp_path), "--out", "x", "--json-events"
    ]  # fmt: skip
    slicer_python = tmp_path / "PythonSlicer"
    slicer_python.write_text("#!/bin/sh\n")
    slicer_python.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert python_executable() == str(slicer_python)


def test_missing_executable():
    with pytest.raises(OSError, match="no-such-python"):
        ChildProcess(["no-such-python"]).start()


needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="other platform: reads /proc")


@needs_proc
def test_cancel_ends_grandchildren():
    run = Recorded("family")
    grandchild = run.until_event()["grandchild"]
    assert is_alive(grandchild)
    started = time.monotonic()
    run.process.cancel()
    assert run.process.cancelled
    assert run.process.wait(20) != 0
    assert time.monotonic() - started < 4
    assert_gone(grandchild)
    assert len(run.ends) == 1


@needs_proc
def test_cancel_kills_what_ignores_it_after_the_grace_time():
    run = Recorded("stubborn family", grace_s=0.6)
    grandchild = run.until_event()["grandchild"]
    started = time.monotonic()
    run.process.cancel()
    run.process.wait(20)
    assert 0.5 < time.monotonic() - started < 5
    assert run.process.returncode == -9
    assert_gone(grandchild)


@needs_proc
@pytest.mark.parametrize("kind", ["orphan", "quiet orphan"])
def test_nothing_survives_a_normal_end(kind):
    """Also not a grandchild that holds the pipe, or one that does not."""
    run = Recorded(kind, grace_s=0.3)
    grandchild = run.until_event()["grandchild"]
    assert run.process.wait(20) == 0
    assert_gone(grandchild)
    assert run.ends == [0]


@needs_proc
def test_no_child_outlives_the_application(tmp_path):
    """A script that starts a run and ends without waiting for it."""
    code = (
        "import sys, time; from HQCSegmentSlicer.process import ChildProcess, child_environment\n"
        "child = ChildProcess([sys.executable, sys.argv[1], 'family'], environment=child_environment())\n"
        "child.onEvent.connect(lambda event: print(child._process.pid, event['grandchild'], flush=True))\n"
        "child.start()\n"
        "while not child._lines.qsize(): time.sleep(0.01)\n"
        "child.poll()\n"
    )
    folders = os.pathsep.join(str(Path(__file__).resolve().parents[2] / name) for name in ("HQCSegment", ""))
    environment = {**os.environ, "PYTHONPATH": folders}
    ended = subprocess.run(
        [sys.executable, "-c", code, STAND_IN], capture_output=True, text=True, check=True, env=environment
    )
    for pid in ended.stdout.split():
        assert_gone(int(pid))


def test_lines_of_a_grandchild_after_the_end_are_emitted():
    run = Recorded("heir")
    assert run.process.wait(20) == 0
    assert run.events == [{"event": "done", "out": "late"}]
    assert run.ends == [0]


def test_cancel_before_start_and_after_end_does_nothing():
    process = ChildProcess([sys.executable, STAND_IN, "talk", "1"], environment=child_environment())
    process.cancel()
    process.start()
    assert process.wait(30) == 0
    process.cancel()
    assert not process.cancelled
    assert process.returncode == 0


def test_wait_with_timeout():
    run = Recorded("family", grace_s=0.5)
    assert run.process.wait(0.1) is None
    run.process.cancel()
    assert run.process.wait(20) is not None


def test_signal():
    signal = Signal()
    got = []
    signal.connect(got.append)
    signal.connect(lambda value: signal.disconnect(got.append))
    signal.emit(1)
    signal.emit(2)
    signal.disconnect(print)
    assert got == [1]
