"""What commands print: tables and progress for people, one JSON object a line for programs."""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from rich.console import Console

PREPARING = {
    "reading": "reading cases",
    "preparing": "preparing cases",
    "rehearsing": "the base draws what it alone knows",
    "judging": "measuring the base",
    "measuring": "measuring how long a step takes",
}
"""Words for the work before the first step of a training (`training.events.Preparing`)."""


def emit_json(event: dict[str, Any]) -> None:
    """One event as a line on stdout.

    Where the program that read it is gone, such as a crashed Slicer, that counts as Ctrl-C: a run saves its state.
    """
    try:
        sys.stdout.write(json.dumps(event, ensure_ascii=False) + "\n")
        sys.stdout.flush()
    except OSError as error:
        if error.errno not in (errno.EPIPE, errno.EINVAL):  # the latter on Windows
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # later events go nowhere
        signal.raise_signal(signal.SIGINT)


def console() -> Console:
    """For results, on stdout."""
    from rich.console import Console

    return Console(highlight=False)


def error_console() -> Console:
    """For errors and progress, on stderr, so that results can be piped."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


class Display(Protocol):
    """Takes the events of a run."""

    def __call__(self, event: dict[str, Any]) -> None:
        """Show one event."""
        ...


@contextmanager
def showing(title: str, *, as_json: bool) -> Iterator[Display]:
    """Show events of a training run: as JSON lines, or as a progress bar with loss, Dice and time left."""
    if as_json:
        yield emit_json
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[state]}"),
        console=error_console(),
    )
    state = {"loss": "", "dice": "", "base": "", "left": ""}
    task = progress.add_task(title, total=None, state=PREPARING["reading"])

    begun = False

    def show(event: dict[str, Any]) -> None:
        nonlocal begun
        if "run" in event:
            progress.update(task, description=f"{title}, model {event['run']} of {event['runs']}")
        elif "fold" in event:
            progress.update(task, description=f"{title}, fold {event['fold']}")
        if event["event"] == "preparing":
            progress.update(task, completed=event["done"], total=event["total"], state=PREPARING[event["work"]])
            return
        begun = True
        if event["event"] == "started":
            progress.update(task, completed=0, total=event["steps"])
        elif event["event"] == "progress":
            state["loss"] = f"loss {event['loss']:.3f}"
            state["left"] = f"{duration(event['eta_s'])} left"
            progress.update(task, completed=event["step"], total=event["of"])
        elif event["event"] == "held-out":
            state["dice"] = f"held-out Dice {event['mean_dice']:.3f}"
        elif event["event"] == "base":
            state["base"] = f"base alone {event['mean_dice']:.3f}"
        elif event["event"] == "outlook":
            progress.console.print(event["message"], soft_wrap=True)
        elif event["event"] == "warning":
            progress.console.print(f"[yellow]Note:[/] {event['message']}", soft_wrap=True)
        elif event["event"] == "cache":
            size = f"{event['bytes'] / 1e6:,.0f} MB"
            progress.console.print(f"Prepared images: {event['found']} found, {event['made']} made; cache of {size}.")
        elif event["event"] == "done":
            state["left"] = ""
        progress.update(task, state="  ".join(part for part in state.values() if part))

    with progress:
        try:
            yield show
        except BaseException:
            # Nothing has begun: the error alone says it.
            progress.update(task, visible=begun)
            raise


@contextmanager
def silence() -> Iterator[Display]:
    """Takes events and shows nothing."""
    yield lambda event: None


class Counter(Protocol):
    """Takes how far a piece of work is."""

    def __call__(self, work: str, done: int, of: int) -> None:
        """Show that `done` of `of` parts of a work are done; another name begins another bar."""
        ...


@contextmanager
def counting() -> Iterator[Counter]:
    """Show how far work is that has several named parts, one bar for each, on stderr."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=error_console(),
        # The time left is estimated from the steps within these seconds; a whole image may take minutes.
        speed_estimate_period=1800,
    )
    bars: dict[str, Any] = {}

    def show(work: str, done: int, of: int) -> None:
        if work not in bars:
            bars[work] = progress.add_task(work, total=of)
        progress.update(bars[work], completed=done, total=of)

    with progress:
        yield show


def duration(seconds: float) -> str:
    """Seconds in words: 45 s, 12 min, 3 h 20 min."""
    seconds = round(seconds)
    if seconds < 90:
        return f"{seconds} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"
