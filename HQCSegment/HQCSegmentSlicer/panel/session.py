"""What the sections share: the parameters, the logic, and whose run is at work."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import slicer.util
from slicer.i18n import tr as _

from HQCSegmentLib.errors import HQCSegmentError, Interrupted
from HQCSegmentSlicer.dependencies import missing_packages
from HQCSegmentSlicer.signal import Signal

if TYPE_CHECKING:
    from HQCSegmentSlicer.logic import Logic
    from HQCSegmentSlicer.parameters import HQCSegmentParameterNode


class Worker(Protocol):
    """A section that runs steps."""

    def on_event(self, event: dict[str, Any]) -> None:
        """Take an event of its own run."""
        ...

    def on_finished(self, result: Any) -> None:
        """Take the result of its own run."""
        ...

    def on_failed(self, error: Exception) -> None:
        """Take the error of its own run."""
        ...


class Session:
    """Shared by the sections of one panel.

    Args:
        make_logic: Gives the logic; called only once the dependencies are there.
        requirements: File that lists the Python packages.

    Attributes:
        onChanged: Emitted when parameters, dependencies or the run at work have changed.
        parameters: Of the scene; None while the panel is not connected to one.
        checked: Result of the last check of this cohort, shared by 2 Cohort and 3 Fine-tune.
    """

    def __init__(self, make_logic: Callable[[], Logic], requirements: Path) -> None:
        self.onChanged = Signal()
        self.parameters: HQCSegmentParameterNode | None = None
        self.checked: Any = None
        self.requirements = requirements
        self._make_logic = make_logic
        self._logic: Logic | None = None
        self._owner: Worker | None = None
        self.missing: tuple[str, ...] = ()
        self.look_for_packages()

    @property
    def ready(self) -> bool:
        """Whether all Python packages are there."""
        return not self.missing

    @property
    def busy(self) -> bool:
        """Whether a step is at work."""
        return self._logic is not None and self._logic.running

    @property
    def logic(self) -> Logic:
        """The logic, connected once."""
        if self._logic is None:
            self._logic = self._make_logic()
            for signal, slot in self._connections():
                signal.connect(slot)
        return self._logic

    def owns_run(self, section: Worker) -> bool:
        """Whether the step at work was started by this section."""
        return self.busy and self._owner is section

    def look_for_packages(self) -> None:
        """Find out again which packages are missing."""
        self.missing = missing_packages(self.requirements)

    def why_not(self) -> str:
        """Sentence on why no step can be started now; empty if one can."""
        if not self.ready:
            return _("Install what is missing in section 1 first.")
        return _("Another step is at work: wait for its end or cancel it.") if self.busy else ""

    def start(self, section: Worker, begin: Callable[[Logic], Any]) -> bool:
        """Start a step for a section, which alone then gets its events and its end. Returns whether it runs."""
        if self.busy:
            return False
        self._owner = section
        try:
            begin(self.logic)
        except (HQCSegmentError, OSError) as error:
            self.onFailed(error)
        self.onChanged.emit()
        return self.busy

    def cancel(self) -> None:
        """Stop the step at work."""
        if self._logic is not None:
            self._logic.cancel()

    def close(self) -> None:
        """Let go of the logic: the panel is no longer there to be told anything."""
        if self._logic is not None:
            for signal, slot in self._connections():
                signal.disconnect(slot)
        self._owner = None
        self.parameters = None

    def onEvent(self, event: dict[str, Any]) -> None:
        if self._owner is not None:
            self._owner.on_event(event)

    def onFinished(self, result: Any) -> None:
        owner, self._owner = self._owner, None
        if owner is not None:
            owner.on_finished(result)
        self.onChanged.emit()

    def onFailed(self, error: Exception) -> None:
        owner, self._owner = self._owner, None
        if owner is not None:
            owner.on_failed(error)
        self.onChanged.emit()
        if not isinstance(error, Interrupted):
            slicer.util.errorDisplay(str(error))

    def _connections(self) -> list[tuple[Signal, Callable[..., Any]]]:
        logic = self._logic
        return [
            (logic.onEvent, self.onEvent),
            (logic.onLog, logging.info),
            (logic.onFinished, self.onFinished),
            (logic.onFailed, self.onFailed),
        ]
