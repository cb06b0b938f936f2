"""A command of HQCSegmentLib as a child process that does not block Slicer.

Threads only read lines. Everything else, all signals included, happens in `poll`, which a timer calls on the
main thread: Slicer's nodes and widgets must not be touched from another one.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import queue
import shutil
import signal as system_signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from HQCSegmentSlicer.signal import Signal

GRACE_S = 5.0
"""Seconds that the child and its own children get to stop by themselves before they are killed."""

LOG_LINES_KEPT = 50


def python_executable() -> str:
    """PythonSlicer inside Slicer, whose own executable is not a Python interpreter; else this interpreter."""
    return shutil.which("PythonSlicer") or sys.executable


def child_environment(base: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Environment with which a child finds HQCSegmentLib and writes each line at once, in UTF-8."""
    import HQCSegmentLib

    library_folder = str(Path(HQCSegmentLib.__file__).resolve().parent.parent)
    present = [folder for folder in base.get("PYTHONPATH", "").split(os.pathsep) if folder]
    return {
        **base,
        "PYTHONPATH": os.pathsep.join([library_folder, *present]),
        "PYTHONIOENCODING": "utf-8",
        "PYTHONUNBUFFERED": "1",
    }


def library_command(*arguments: str | os.PathLike[str]) -> list[str]:
    """Command line that runs HQCSegmentLib with JSON events on stdout."""
    words = [os.fspath(argument) for argument in arguments]
    return [python_executable(), "-m", "HQCSegmentLib", *words, "--json-events"]


class ChildProcess:
    """One run of a command that reports by JSON lines on stdout.

    Attributes:
        onEvent: Emits each event, a dict with the key "event" ("progress", "done", "error").
        onLog: Emits each other line of stdout and stderr.
        onFinished: Emits the return code, once, after all lines; negative or 130 after a cancel.
        cancelled: Whether `cancel` was called before the end.
        error: Message of the last "error" event, or None.
        log: The last lines of text.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        grace_s: float = GRACE_S,
    ) -> None:
        self.onEvent = Signal()
        self.onLog = Signal()
        self.onFinished = Signal()
        self.cancelled = False
        self.error: str | None = None
        self.log: deque[str] = deque(maxlen=LOG_LINES_KEPT)
        self.returncode: int | None = None
        self._command = list(command)
        self._environment = environment
        self._grace_s = grace_s
        self._process: subprocess.Popen[str] | None = None
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._readers: list[threading.Thread] = []
        self._kill_at = float("inf")

    @property
    def running(self) -> bool:
        """Whether the child was started and `onFinished` has not been emitted yet."""
        return self._process is not None and self.returncode is None

    def start(self) -> None:
        """Start the child.

        Raises:
            OSError: if the executable cannot be started.
        """
        group: dict[str, Any] = {"start_new_session": True}
        if sys.platform == "win32":
            group = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
        self._process = subprocess.Popen(
            self._command,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            **group,
        )
        _at_work.add(self)
        for stream in (self._process.stdout, self._process.stderr):
            reader = threading.Thread(target=self._read, args=(stream,), daemon=True)
            reader.start()
            self._readers.append(reader)

    def poll(self) -> bool:
        """Emit what has arrived, and the end if it has come. Returns whether the child still runs."""
        if not self.running:
            return False
        ended = self._ended()
        # Asked before the queue is emptied: lines that come later are left for the next call.
        drained = not any(reader.is_alive() for reader in self._readers)
        self._emit_lines()
        now = time.monotonic()
        if ended and self._kill_at == float("inf"):
            # A grandchild can hold the pipes open after the child; it gets as long as after a cancel.
            self._kill_at = now + self._grace_s
        if ended and (drained or now >= self._kill_at):
            self._finish()
        elif now >= self._kill_at:
            self._signal_tree(kill=True)
        return self.running

    def wait(self, timeout_s: float = float("inf")) -> int | None:
        """Poll until the end or the timeout. Returns the return code, None while the child still runs."""
        end = time.monotonic() + timeout_s
        while self.poll() and time.monotonic() < end:
            time.sleep(0.02)
        return self.returncode

    def cancel(self) -> None:
        """Ask the child and its own children to stop; `poll` kills them after the grace time."""
        if not self.running or self.cancelled:
            return
        self.cancelled = True
        self._signal_tree(kill=False)
        self._kill_at = time.monotonic() + self._grace_s

    def _read(self, stream: IO[str]) -> None:
        """Thread: put each line on the queue until all writers have closed the pipe."""
        with stream:
            for line in stream:
                self._lines.put(line.rstrip("\r\n"))

    def _emit_lines(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                line = self._lines.get_nowait()
                event = _event(line)
                if event is None:
                    self.log.append(line)
                    self.onLog.emit(line)
                    continue
                if event["event"] == "error":
                    self.error = str(event.get("message", ""))
                self.onEvent.emit(event)

    def _ended(self) -> bool:
        """Whether the child has ended, without reaping it where the system allows that.

        Until it is reaped no stranger can get its process group, so that signals reach only its children.
        """
        if hasattr(os, "waitid"):
            options = os.WEXITED | os.WNOHANG | os.WNOWAIT
            try:
                return os.waitid(os.P_PID, self._process.pid, options) is not None
            except ChildProcessError:  # reaped elsewhere in the application
                return True
        return self._process.poll() is not None

    def _finish(self) -> None:
        self._signal_tree(kill=True)  # whatever of its children is still there
        returncode = self._process.wait()
        for reader in self._readers:
            reader.join(timeout=1.0)
        self._emit_lines()
        self.returncode = returncode
        _at_work.discard(self)
        self.onFinished.emit(returncode)

    def _signal_tree(self, *, kill: bool) -> None:
        """Signal the child and all its children."""
        if sys.platform == "win32":
            self._signal_tree_windows(kill=kill)
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            # macOS answers PermissionError for a group that has only zombies left.
            os.killpg(self._process.pid, system_signal.SIGKILL if kill else system_signal.SIGTERM)

    def _signal_tree_windows(self, *, kill: bool) -> None:
        if kill:
            command = ["taskkill", "/PID", str(self._process.pid), "/T", "/F"]
            subprocess.run(command, capture_output=True, check=False)
        else:
            with contextlib.suppress(OSError):
                self._process.send_signal(system_signal.CTRL_BREAK_EVENT)


_at_work: set[ChildProcess] = set()


@atexit.register
def _end_all() -> None:
    """No child outlives the application, also where nobody closed the panel or waited for a script's run."""
    for process in list(_at_work):
        process._signal_tree(kill=True)


def _event(line: str) -> dict[str, Any] | None:
    """Event that a line holds, or None for text."""
    if not line.startswith("{"):
        return None
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) and isinstance(value.get("event"), str) else None
