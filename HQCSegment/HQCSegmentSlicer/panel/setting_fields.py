"""What one setting is edited with: its widget, and its value as text, empty where the user set nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args, get_origin

from slicer.i18n import tr as _

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

BETWEEN_PATHS = "\n"
"""Paths may hold commas."""

YES, NO = "true", "false"

LONGEST_DEFAULT = 36
"""Characters of a default that fit into a field."""


class SettingField(Protocol):
    """One setting.

    Attributes:
        widget: To be put into a form.
        text: Its value; empty where it is the default.
    """

    widget: Any
    text: str


def field_for(field: FieldInfo, on_changed: Callable[..., None]) -> SettingField:
    """What a field of a model is edited with; `on_changed` is called after the user has changed it."""
    choices = choices_of(field)
    if choices:
        return ChoiceField(choices, default_of(field), on_changed)
    if is_list_of_paths(field):
        return FoldersField(on_changed)
    return FileField(on_changed) if Path in kinds_of(field) else TextField(default_of(field), on_changed)


class ChoiceField:
    """A list of values, of which the first is the default."""

    def __init__(self, choices: Sequence[str], default: str, on_changed: Callable[..., None]) -> None:
        import qt

        self.choices = list(choices)
        self.widget = qt.QComboBox()
        self.widget.addItem(_("default: {value}").format(value=default) if default else _("default"))
        for choice in choices:
            self.widget.addItem(in_words(choice))
        self.widget.connect("currentIndexChanged(int)", on_changed)

    @property
    def text(self) -> str:
        index = self.widget.currentIndex
        return self.choices[index - 1] if index > 0 else ""

    @text.setter
    def text(self, text: str) -> None:
        self.widget.currentIndex = self.choices.index(text) + 1 if text in self.choices else 0


class TextField:
    """A line, which shows the default while it is empty."""

    def __init__(self, default: str, on_changed: Callable[..., None]) -> None:
        import qt

        self.widget = qt.QLineEdit()
        self.widget.placeholderText = default or _("default")
        self.widget.connect("editingFinished()", on_changed)

    @property
    def text(self) -> str:
        return self.widget.text.strip()

    @text.setter
    def text(self, text: str) -> None:
        self.widget.text = text


class FileField:
    """A line with a path and a button that lets the user choose a file."""

    def __init__(self, on_changed: Callable[..., None]) -> None:
        import ctk

        self.widget = ctk.ctkPathLineEdit()
        self.widget.filters = ctk.ctkPathLineEdit.Files
        self.widget.connect("currentPathChanged(QString)", on_changed)

    @property
    def text(self) -> str:
        return self.widget.currentPath.strip()

    @text.setter
    def text(self, text: str) -> None:
        if self.widget.currentPath != text:
            self.widget.currentPath = text


class FoldersField:
    """A list of folders with buttons to add and remove them."""

    HEIGHT = 62

    def __init__(self, on_changed: Callable[..., None]) -> None:
        import qt

        self._on_changed = on_changed
        self.widget = qt.QWidget()
        self.list = qt.QListWidget()
        self.list.setMaximumHeight(self.HEIGHT)
        self.add_button = qt.QPushButton(_("Add a folder..."))
        self.remove_button = qt.QPushButton(_("Remove"))
        rows, buttons = qt.QVBoxLayout(self.widget), qt.QHBoxLayout()
        rows.setContentsMargins(0, 0, 0, 0)
        rows.addWidget(self.list)
        rows.addLayout(buttons)
        for button in (self.add_button, self.remove_button):
            buttons.addWidget(button)
        self.add_button.connect("clicked(bool)", self._on_add)
        self.remove_button.connect("clicked(bool)", self._on_remove)

    @property
    def text(self) -> str:
        return BETWEEN_PATHS.join(self.list.item(row).text() for row in range(self.list.count))

    @text.setter
    def text(self, text: str) -> None:
        if self.text == text:
            return
        self.list.clear()
        for path in filter(None, text.split(BETWEEN_PATHS)):
            self.list.addItem(path)

    def _on_add(self, _checked: bool = False) -> None:
        import qt

        path = qt.QFileDialog.getExistingDirectory(self.widget, _("Choose a folder"))
        if path and path not in self.text.split(BETWEEN_PATHS):
            self.list.addItem(path)
            self._on_changed()

    def _on_remove(self, _checked: bool = False) -> None:
        if self.list.currentRow >= 0:
            self.list.takeItem(self.list.currentRow)
            self._on_changed()


def kinds_of(field: FieldInfo) -> tuple[Any, ...]:
    """Type of a field, or the types that it may have."""
    return (field.annotation, *get_args(field.annotation))


def is_list_of_paths(field: FieldInfo) -> bool:
    """Whether a field takes any number of paths."""
    return any(get_origin(kind) is tuple and Path in get_args(kind) for kind in kinds_of(field))


def choices_of(field: FieldInfo) -> list[str]:
    """Values that a field can have, as texts; empty where there are too many to list."""
    kinds = kinds_of(field)
    if bool in kinds:
        return [YES, NO]
    return [str(value) for kind in kinds if get_origin(kind) is Literal for value in get_args(kind)]


def value_of(field: FieldInfo, text: str) -> Any:
    """Text of a field as the library takes it: lists are written with commas."""
    if is_list_of_paths(field):
        return text.split(BETWEEN_PATHS)
    if Path in kinds_of(field) or "," not in text:
        return text
    return text.split(",")


def in_words(value: str) -> str:
    """A value as the user reads it."""
    return {YES: _("yes"), NO: _("no")}.get(value.lower(), value)


def default_of(field: FieldInfo) -> str:
    """A default as the user would type it, or in the words of the description; empty where these are many."""
    default = field.default
    if default in ((), {}):
        return _("none")
    if default is not None:
        return ",".join(map(str, default)) if isinstance(default, tuple) else in_words(str(default))
    told = re.search(r"\(default: ([^()]+)\)$", field.description or "")
    return told[1] if told and len(told[1]) <= LONGEST_DEFAULT else ""
