"""Fields of settings, made from the library's own models, so that a setting has one name."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from slicer.i18n import tr as _

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic.fields import FieldInfo


class SettingsForm:
    """One row for each field of a model; what is not touched keeps its default.

    Args:
        model: The settings.
        places: Form layouts, and the names of the fields in each.
        on_changed: Called with the fields that the user set, as texts by name.
    """

    def __init__(
        self,
        model: type[BaseModel],
        places: Sequence[tuple[Any, Sequence[str]]],
        on_changed: Callable[[dict[str, str]], None],
    ) -> None:
        import qt

        self._fields: dict[str, Any] = {}
        self._choices: dict[str, list[str]] = {}
        self._on_changed = on_changed
        self._showing = False
        for layout, name in ((layout, name) for layout, names in places for name in names):
            field = model.model_fields[name]
            choices = choices_of(field)
            if choices:
                widget = qt.QComboBox()
                widget.addItem(
                    _("default") if field.default is None else _("default: {value}").format(value=field.default)
                )
                for choice in choices:
                    widget.addItem(choice)
                widget.connect("currentIndexChanged(int)", self._changed)
            else:
                widget = qt.QLineEdit()
                widget.placeholderText = words_of(field.default)
                widget.connect("editingFinished()", self._changed)
            widget.name = f"{model.__name__}_{name}"
            widget.toolTip = field.description or ""
            self._fields[name], self._choices[name] = widget, choices
            layout.addRow(name.replace("_", " ").capitalize() + ":", widget)

    def show(self, texts: dict[str, str]) -> None:
        """Show the fields that the user set, and defaults for all others."""
        self._showing = True
        for name, widget in self._fields.items():
            text = texts.get(name, "")
            if self._choices[name]:
                widget.currentIndex = self._choices[name].index(text) + 1 if text in self._choices[name] else 0
            else:
                widget.text = text
        self._showing = False

    def texts(self) -> dict[str, str]:
        """Fields that the user set, as texts by name."""
        found = {}
        for name, widget in self._fields.items():
            if self._choices[name]:
                text = self._choices[name][widget.currentIndex - 1] if widget.currentIndex > 0 else ""
            else:
                text = widget.text.strip()
            if text:
                found[name] = text
        return found

    def _changed(self, *_arguments: Any) -> None:
        if not self._showing:
            self._on_changed(self.texts())


def words_of(default: Any) -> str:
    """A default as the user would type it."""
    if default in (None, (), {}):
        return _("default")
    return ",".join(map(str, default)) if isinstance(default, tuple) else str(default)


def choices_of(field: FieldInfo) -> list[str]:
    """Values that a field can have, as texts; empty where there are too many to list."""
    parts = (field.annotation, *get_args(field.annotation))
    if bool in parts:
        return ["true", "false"]
    return [str(value) for part in parts if get_origin(part) is Literal for value in get_args(part)]


def settings_from(model: type[BaseModel], texts: dict[str, str]) -> dict[str, Any]:
    """Settings from the texts of the form, in the types of the model.

    Raises:
        InputError: for a text that is no value of its field, naming it.
    """
    from HQCSegmentLib.cli.options import make

    values = {name: text.split(",") if "," in text else text for name, text in texts.items()}
    made = make(model, values).model_dump(mode="json")
    return {name: made[name] for name in texts}


def texts_of(parameter: str) -> dict[str, str]:
    """Texts of the form as the parameter node keeps them; none where it holds something else."""
    try:
        content = json.loads(parameter or "{}")
    except ValueError:
        return {}
    return {str(name): str(text) for name, text in content.items()} if isinstance(content, dict) else {}
