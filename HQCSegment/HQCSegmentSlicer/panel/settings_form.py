"""Fields of settings, made from the library's own models, so that a setting has one name."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from HQCSegmentSlicer.panel.setting_fields import SettingField, field_for, value_of

if TYPE_CHECKING:
    from pydantic import BaseModel


class SettingsForm:
    """One row for each field of a model; what is not touched keeps its default.

    Args:
        model: The settings.
        places: Form layouts, and the names of the fields in each.
        on_changed: Called with the fields that the user set, as texts by name.

    Attributes:
        fields: What each setting is edited with, by name.
    """

    def __init__(
        self,
        model: type[BaseModel],
        places: Sequence[tuple[Any, Sequence[str]]],
        on_changed: Callable[[dict[str, str]], None],
    ) -> None:
        self.fields: dict[str, SettingField] = {}
        self._on_changed = on_changed
        self._showing = False
        for layout, name in ((layout, name) for layout, names in places for name in names):
            field = model.model_fields[name]
            made = field_for(field, self._changed)
            made.widget.name = f"{model.__name__}_{name}"
            made.widget.toolTip = field.description or ""
            self.fields[name] = made
            layout.addRow((field.title or name.replace("_", " ").capitalize()) + ":", made.widget)

    def show(self, texts: dict[str, str]) -> None:
        """Show the fields that the user set, and defaults for all others."""
        self._showing = True
        for name, field in self.fields.items():
            field.text = texts.get(name, "")
        self._showing = False

    def texts(self) -> dict[str, str]:
        """Fields that the user set, as texts by name."""
        return {name: field.text for name, field in self.fields.items() if field.text}

    def _changed(self, *_arguments: Any) -> None:
        if not self._showing:
            self._on_changed(self.texts())


def settings_from(model: type[BaseModel], texts: dict[str, str]) -> dict[str, Any]:
    """Settings from the texts of the form, in the types of the model.

    Raises:
        InputError: for a text that is no value of its field, naming it.
    """
    return _made(model, texts).model_dump(mode="json", exclude_unset=True)


def command_words(model: type[BaseModel], texts: dict[str, str]) -> list[str]:
    """Words of the command for the texts of the form.

    Raises:
        InputError: as `settings_from`.
    """
    from HQCSegmentLib.cli.options import words_of

    return words_of(_made(model, texts))


def _made(model: type[BaseModel], texts: dict[str, str]) -> Any:
    """The settings; names that this version does not have, as in an older scene, are left out."""
    from HQCSegmentLib.cli.options import make

    fields = model.model_fields
    return make(model, {name: value_of(fields[name], text) for name, text in texts.items() if name in fields})


def texts_of(parameter: str) -> dict[str, str]:
    """Texts of the form as the parameter node keeps them; none where it holds something else."""
    try:
        content = json.loads(parameter or "{}")
    except ValueError:
        return {}
    return {str(name): str(text) for name, text in content.items()} if isinstance(content, dict) else {}
