"""A signal in plain Python, so that logic and tests need no Qt."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Signal:
    """Calls the connected functions, in the order of their connection.

    PythonQt cannot make new Qt signals in Python, and the logic runs where there is no Qt at all.
    """

    def __init__(self) -> None:
        self._slots: list[Callable[..., Any]] = []

    def connect(self, slot: Callable[..., Any]) -> None:
        """Call `slot` with the emitted arguments from now on."""
        self._slots.append(slot)

    def disconnect(self, slot: Callable[..., Any]) -> None:
        """Do not call `slot` any more; nothing happens if it was not connected."""
        if slot in self._slots:
            self._slots.remove(slot)

    def emit(self, *arguments: Any) -> None:
        """Call the connected functions; slots may connect and disconnect while this runs."""
        for slot in tuple(self._slots):
            slot(*arguments)
