"""One task at a time in a child process: waiting for its end, or called back by a timer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from slicer.i18n import tr as _

from HQCSegmentLib.errors import HQCSegmentError, InputError, Interrupted, WorkError
from HQCSegmentSlicer.process import ChildProcess, child_environment, library_command
from HQCSegmentSlicer.signal import Signal
from HQCSegmentSlicer.tasks import Outcome, Task

POLL_INTERVAL_MS = 100


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
        onEvent: Emits the child's events, among them progress: {"event": "progress", "step", "of", "eta_s"}.
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
        self._process: ChildProcess | None = None
        self._timer: Timer | None = None

    @property
    def running(self) -> bool:
        """Whether a child process is at work."""
        return self._process is not None

    def require_idle(self) -> None:
        """Refuse a second run; before anything is written for it.

        Raises:
            WorkError: if a run is at work.
        """
        if self.running:
            raise WorkError(_("HQCSegment is still at work: wait for the end or cancel it."))

    def run(self, task: Task, *, wait: bool) -> Any:
        """Run a task.

        Returns:
            The result of the task, or None if the call does not wait; `onFinished` or `onFailed` follows then.

        Raises:
            InputError: if the child refused its input.
            WorkError: if another run is at work or the child failed.
            Interrupted: if the run was cancelled.
        """
        outcome = Outcome()
        try:
            self.require_idle()
            process = self._start(task, outcome)
        except BaseException:
            task.discard()
            raise
        if wait:
            return self._wait(process, task, outcome)
        process.onFinished.connect(lambda _returncode: self._report(process, task, outcome))
        self._timer = self._start_timer(process.poll)
        return None

    def cancel(self) -> None:
        """Stop the child process with all its children; the scene stays as it was."""
        if self._process is not None:
            self._process.cancel()

    def close(self) -> None:
        """Stop the child process and wait until it is gone, as when Slicer is closed."""
        if self._process is not None:
            self._process.cancel()
            self._process.wait()

    def _start(self, task: Task, outcome: Outcome) -> ChildProcess:
        command = self._make_command(*task.words)
        process = ChildProcess(command, environment=child_environment(), grace_s=task.grace_s)
        process.onEvent.connect(outcome.take)
        process.onEvent.connect(self.onEvent.emit)
        process.onLog.connect(self.onLog.emit)
        try:
            process.start()
        except OSError as error:
            raise WorkError(_("The Python of Slicer could not be started: {reason}.").format(reason=error)) from error
        self._process = process
        self.warnings = ()
        return process

    def _wait(self, process: ChildProcess, task: Task, outcome: Outcome) -> Any:
        try:
            process.wait()
            return self._result(process, task, outcome)
        finally:
            if process.running:  # Ctrl-C while waiting
                process.cancel()
                process.wait()
            self._process = None
            task.discard()

    def _report(self, process: ChildProcess, task: Task, outcome: Outcome) -> None:
        """End of a run that nobody waits for."""
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
        self._process = None
        try:
            result = self._result(process, task, outcome)
        except HQCSegmentError as error:
            self.onFailed.emit(error)
            return
        except Exception as error:  # a result that cannot be shown must not leave the panel waiting
            self.onFailed.emit(WorkError(_("The result could not be shown: {reason}.").format(reason=error)))
            raise
        finally:
            task.discard()
        self.onFinished.emit(result)

    def _result(self, process: ChildProcess, task: Task, outcome: Outcome) -> Any:
        """Take the result of the run, or raise its error."""
        self.warnings = tuple(outcome.warnings)
        if process.cancelled:
            raise Interrupted(_("Cancelled."))
        if process.returncode not in task.done_codes or process.error is not None:
            kind = InputError if process.returncode == InputError.exit_code else WorkError
            last_line = process.log[-1] if process.log else _("no message")
            raise kind(
                process.error
                or _("The work stopped with code {code}: {line}").format(code=process.returncode, line=last_line)
            )
        return task.take_result(outcome)
