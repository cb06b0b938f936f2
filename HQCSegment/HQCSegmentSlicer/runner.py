"""One task at a time in a child process: waiting for its end, or in steps that a timer takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent import futures
from typing import Any, Protocol

from slicer.i18n import tr as _

from HQCSegmentLib.errors import HQCSegmentError, InputError, Interrupted, WorkError
from HQCSegmentSlicer.process import ChildProcess, child_environment, library_command
from HQCSegmentSlicer.signal import Signal
from HQCSegmentSlicer.steps import Progress, Steps, finish, in_thread
from HQCSegmentSlicer.tasks import Outcome, Task

POLL_INTERVAL_MS = 20

THREAD_WAIT_S = 0.02
"""Slicer's event loop does not let Python threads run by itself, so each turn waits for them this long."""


class Timer(Protocol):
    """What is needed of qt.QTimer."""

    def stop(self) -> None: ...


def start_qt_timer(callback: Callable[[], Any]) -> Timer:
    """Call `callback` on the main thread every POLL_INTERVAL_MS until the timer is stopped."""
    import qt

    timer = qt.QTimer()
    timer.setInterval(POLL_INTERVAL_MS)
    timer.connect("timeout()", callback)
    timer.start()
    return timer


class Runner:
    """Runs tasks of HQCSegmentLib in a child process.

    Args:
        make_command: Gives the command line for the words of an `hqcsegment` command.
        start_timer: Calls a function repeatedly on the main thread; needed only where a call does not wait.

    Attributes:
        onEvent: Emits the child's events, among them progress: {"event": "progress", "step", "of", "eta_s"}; and
            {"event": "preparing", "done", "total"} before the child is started.
        onLog: Emits lines of text from the child.
        onFinished: Emits the result of a call that did not wait.
        onFailed: Emits the HQCSegmentError of a call that did not wait; an `Interrupted` after `cancel`.
        warnings: Sentences of the last run on why its result may be wrong.
    """

    def __init__(
        self,
        *,
        make_command: Callable[..., Sequence[str]] = library_command,
        start_timer: Callable[[Callable[[], Any]], Timer] = start_qt_timer,
    ) -> None:
        self.onEvent = Signal()
        self.onLog = Signal()
        self.onFinished = Signal()
        self.onFailed = Signal()
        self.warnings: tuple[str, ...] = ()
        self._make_command = make_command
        self._start_timer = start_timer
        self._timer: Timer | None = None
        self._process: ChildProcess | None = None
        self._steps: Steps[Any] | None = None
        self._cancelled = False

    @property
    def running(self) -> bool:
        """Whether a task is prepared, at work, or its result is taken."""
        return self._steps is not None

    def run(self, task: Task | Steps[Task], *, wait: bool) -> Any:
        """Run a task.

        Args:
            task: The task, or the steps that prepare it; the first one is taken before the call returns.
            wait: Whether to return after the end.

        Returns:
            The result of the task, or None if the call does not wait; `onFinished` or `onFailed` follows then.

        Raises:
            InputError: if the input cannot be used, or the child refused it.
            WorkError: if another run is at work or the child failed.
            Interrupted: if the run was cancelled.
        """
        if self.running:
            raise WorkError(_("HQCSegment is still at work: wait for the end or cancel it."))
        self.warnings = ()
        self._cancelled = False
        self._steps = self._work(task, wait=wait)
        try:
            if wait:
                return finish(self._steps)
            next(self._steps)
            self._timer = self._start_timer(self._turn)
        except BaseException:
            self._steps.close()
            raise
        finally:
            if wait or self._timer is None:
                self._end()
        return None

    def cancel(self) -> None:
        """Stop the child process with all its children, or what prepares it; the scene stays as it was."""
        self._cancelled = self.running
        if self._process is not None:
            self._process.cancel()

    def close(self) -> None:
        """Stop the work and wait until its processes are gone, as when Slicer is closed."""
        self.cancel()
        while self._steps is not None and not self._steps.gi_running:
            self._turn()
            time.sleep(0.01)

    def _turn(self) -> None:
        """Take one step of a run that nobody waits for, and tell what came of it."""
        steps = self._steps
        if steps is None or steps.gi_running:  # a window that a step opens lets the timer go on
            return
        try:
            if self._cancelled and self._process is None:
                steps.close()
                raise Interrupted(_("Cancelled."))
            turn = next(steps)
        except StopIteration as end:
            self._end()
            self.onFinished.emit(end.value)
        except HQCSegmentError as error:
            self._end()
            self.onFailed.emit(error)
        except Exception as error:  # what is not foreseen must not leave the panel waiting
            self._end()
            self.onFailed.emit(WorkError(_("The work could not be finished: {reason}.").format(reason=error)))
            raise
        else:
            if isinstance(turn, Progress):
                self.onEvent.emit({"event": "preparing", "done": turn.step, "total": turn.of})
            elif isinstance(turn, futures.Future):
                futures.wait([turn], timeout=THREAD_WAIT_S)

    def _end(self) -> None:
        self._steps = None
        if self._timer is not None:
            self._timer.stop()
            self._timer = None

    def _work(self, prepared: Task | Steps[Task], *, wait: bool) -> Steps[Any]:
        """All steps of a run."""
        task = prepared if isinstance(prepared, Task) else (yield from prepared)
        try:
            outcome = Outcome(warnings=list(task.warnings))
            process = self._start(task, outcome)
            try:
                if wait:
                    process.wait()
                yield None
                while process.poll():
                    yield None
            finally:
                if process.running:  # Ctrl-C while waiting
                    process.cancel()
                    process.wait()
                self._process = None
            self.warnings = tuple(outcome.warnings)
            _raise_what_went_wrong(process, task)
            result = yield from in_thread(task.take_result, outcome)
            return result if task.show is None else task.show(result)
        finally:
            task.discard()

    def _start(self, task: Task, outcome: Outcome) -> ChildProcess:
        process = ChildProcess(self._make_command(*task.words), environment=child_environment(), grace_s=task.grace_s)
        process.onEvent.connect(outcome.take)
        process.onEvent.connect(self.onEvent.emit)
        process.onLog.connect(self.onLog.emit)
        try:
            process.start()
        except OSError as error:
            raise WorkError(_("The Python of Slicer could not be started: {reason}.").format(reason=error)) from error
        self._process = process
        return process


def _raise_what_went_wrong(process: ChildProcess, task: Task) -> None:
    """Raise the error of a child that has ended; nothing happens if there is a result."""
    if process.cancelled:
        raise Interrupted(_("Cancelled."))
    if process.returncode in task.done_codes and process.error is None:
        return
    kind = InputError if process.returncode == InputError.exit_code else WorkError
    last_line = process.log[-1] if process.log else _("no message")
    raise kind(
        process.error or _("The work stopped with code {code}: {line}").format(code=process.returncode, line=last_line)
    )
