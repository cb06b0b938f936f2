"""What all sections of the panel have: a line of status, and most of them a run with a bar and a Cancel button."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import slicer.util
from slicer.i18n import tr as _

from HQCSegmentLib.errors import Interrupted
from HQCSegmentSlicer.panel.session import Session
from HQCSegmentSlicer.parameters import chosen

if TYPE_CHECKING:
    from HQCSegmentSlicer.logic import Logic


class Section:
    """One section; its widgets are named after it: `cohortStatusLabel`, `cohortProgressBar`.

    Args:
        ui: Widgets of the whole panel by name.
        session: Shared with the other sections.
    """

    name = ""
    cancel_button = ""
    paths: ClassVar[Mapping[str, str]] = {}
    """Parameters by the widget that chooses a path; Slicer's own binding would show an unchosen path as a dot."""

    def __init__(self, ui: Any, session: Session) -> None:
        self.ui = ui
        self.session = session
        self._status = getattr(ui, f"{self.name}StatusLabel")
        self._has_said = False
        self._bar = getattr(ui, f"{self.name}ProgressBar")
        session.onChanged.connect(self._show)
        for widget, parameter in self.paths.items():
            getattr(ui, widget).connect("currentPathChanged(QString)", functools.partial(self._keep_path, parameter))
        if self.cancel_button:
            getattr(ui, self.cancel_button).connect("clicked(bool)", self.on_cancel)

    def update(self) -> None:
        """Show the parameters, and enable what can be done now."""
        raise NotImplementedError

    def _show(self) -> None:
        for widget, parameter in self.paths.items():
            path = chosen(getattr(self.session.parameters, parameter, Path()))
            text = "" if path is None else str(path)
            if getattr(self.ui, widget).currentPath != text:
                getattr(self.ui, widget).currentPath = text
        owns_run = self.session.owns_run(self)
        self._bar.visible = owns_run
        if self.cancel_button:
            getattr(self.ui, self.cancel_button).enabled = owns_run
        self.update()

    def _keep_path(self, parameter: str, text: str) -> None:
        parameters = self.session.parameters
        if parameters is not None and getattr(parameters, parameter) != Path(text):
            setattr(parameters, parameter, Path(text))

    def say(self, sentence: str) -> None:
        """Show a sentence in the line of status, which is seen also while the section is collapsed."""
        self._has_said = True
        self._status.text = sentence

    def hint(self, sentence: str) -> None:
        """Show what to do next, as long as there is no news of a run."""
        if not self._has_said:
            self._status.text = sentence

    def complain(self, error: Exception) -> None:
        """Say what went wrong in the line of status and in a window."""
        self.say(str(error))
        slicer.util.errorDisplay(str(error))

    def start(self, sentence: str, begin: Callable[[Logic], Any]) -> bool:
        """Start a run of this section and say so. Returns whether it is at work."""
        self.say(sentence)
        self.show_bar(0, 0)
        return self.session.start(self, begin)

    def on_cancel(self, _checked: bool = False) -> None:
        """Stop the run of this section."""
        if not self.session.owns_run(self):
            return
        self.say(_("Cancelling..."))
        getattr(self.ui, self.cancel_button).enabled = False
        self.session.cancel()

    def on_event(self, event: dict[str, Any]) -> None:
        """Show progress."""
        if event["event"] == "preparing":
            self.show_bar(event["done"], event["total"])
            self.say(_("Preparing the data, {step} of {of}").format(step=event["done"], of=event["total"]))
        if event["event"] == "progress" and "step" in event:
            step, of = int(event["step"]), int(event.get("of", 0))
            self.show_bar(step, of)
            self.say(self.progress_words(step, of, event.get("eta_s")))

    def progress_words(self, step: int, of: int, eta_s: float | None) -> str:
        """A sentence on how far the run is."""
        if eta_s is None:
            return _("{step} of {of}").format(step=step, of=of)
        return _("{step} of {of}, about {time} left").format(step=step, of=of, time=duration(eta_s))

    def on_failed(self, error: Exception) -> None:
        """Say what went wrong."""
        self.say(str(error) if not isinstance(error, Interrupted) else self.cancelled_words())

    def cancelled_words(self) -> str:
        """A sentence on what a cancelled run leaves."""
        return _("Cancelled.")

    def show_bar(self, step: int, of: int) -> None:
        """Show the bar; `of` = 0 is a bar that moves without a known end."""
        self._bar.maximum = of
        self._bar.value = step

    def enable(self, button: Any, *, tip: str, missing: str = "") -> None:
        """Enable a button, or say in its tool tip what is missing."""
        missing = self.session.why_not() or missing
        button.enabled = not missing
        button.toolTip = missing or tip


def duration(seconds: float) -> str:
    """A time as the command writes it, such as 17 min."""
    from HQCSegmentLib.cli import output

    return output.duration(seconds)


def in_words(warnings: Sequence[str]) -> list[str]:
    """Warnings as lines of a label."""
    return [f"⚠ {sentence}" for sentence in warnings]


def open_in_browser(path: Path) -> None:
    """Open a page or a table with the program that the user's system has for it."""
    import qt

    qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(path)))
