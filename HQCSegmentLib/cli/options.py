"""Command options made from a pydantic model, so that a setting has one name and one description."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

import typer
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from HQCSegmentLib.errors import InputError

Model = TypeVar("Model", bound=BaseModel)


def options_of(
    model: type[BaseModel], *, leave_out: Collection[str] = ()
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorator: give a command an option for every field of `model`, but for some.

    The command receives the fields that the user set as a dictionary in its last argument, `settings`.
    """
    fields = {name: field for name, field in model.model_fields.items() if name not in leave_out}

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        own = [p for p in inspect.signature(command, eval_str=True).parameters.values() if p.name != "settings"]
        made = [_option(name, field) for name, field in fields.items()]

        def run(**arguments: Any) -> Any:
            settings = {name: _from_text(arguments.pop(name)) for name in fields if arguments[name] is not None}
            for name in fields:
                arguments.pop(name, None)
            return command(**arguments, settings=settings)

        run.__signature__ = inspect.Signature([*own, *made])  # type: ignore[attr-defined]
        run.__annotations__ = {p.name: p.annotation for p in (*own, *made)}
        run.__doc__ = command.__doc__
        run.__name__ = command.__name__
        return run

    return decorate


def _option(name: str, field: Any) -> inspect.Parameter:
    """A typer option that is None when the user does not give it; the model then uses its default."""
    kind, metavar = _kind(field.annotation)
    default = "" if field.default in (None, ()) else f" (default: {field.default})"
    if kind == list[Path]:
        default = " (may be given several times)"
    flag = flag_of(name)
    names = [f"{flag}/{flag_of(name, off=True)}"] if kind is bool else [flag]
    option = typer.Option(*names, help=f"{field.description}{default}", metavar=metavar, show_default=False)
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, option]
    )


def _kind(annotation: Any) -> tuple[Any, str | None]:
    """Type of the option and how its value is shown in the help."""
    parts = [part for part in get_args(annotation) if part is not type(None)]
    if type(None) in get_args(annotation) and len(parts) == 1:
        annotation = parts[0]
    origin = get_origin(annotation)
    if origin is Literal:
        return str, "|".join(str(choice) for choice in get_args(annotation))
    if origin is tuple and get_args(annotation)[0] is Path:
        return list[Path], "PATH"
    if origin is tuple:
        return str, "PATTERN,..." if get_args(annotation)[0] is str else "N,N,N"
    if origin is dict:
        return str, "PATTERN=N,..."
    return annotation, None


def flag_of(name: str, *, off: bool = False) -> str:
    """Flag of a field on the command line."""
    return f"--{'no-' if off else ''}{name.replace('_', '-')}"


def words_of(options: BaseModel, *, leave_out: Collection[str] = ()) -> list[str]:
    """Words of the command line for the fields that were given, but for some."""
    words: list[str] = []
    for name in type(options).model_fields:
        value = getattr(options, name)
        if name in leave_out or name not in options.model_fields_set or value is None:
            continue
        if isinstance(value, bool):
            words.append(flag_of(name, off=not value))
        else:
            for one in value if isinstance(value, tuple) else (value,):
                words += [flag_of(name), str(one)]
    return words


def part_of(options: BaseModel, model: type[Model]) -> Model:
    """The settings of a model that another one extends."""
    given = options.model_fields_set & set(model.model_fields)
    return model.model_validate({name: getattr(options, name) for name in given})


def _from_text(value: Any) -> Any:
    """Lists are written with commas."""
    return value.split(",") if isinstance(value, str) and "," in value else value


def _in_shape(name: str, field: FieldInfo, value: Any) -> Any:
    """A text as the list of names or the table that a field takes.

    Raises:
        InputError: for a part of a table without a value.
    """
    if _takes(field, dict) and not isinstance(value, dict):
        parts = value if isinstance(value, list) else [value]
        if not all(isinstance(part, str) and part.count("=") == 1 for part in parts):
            flag = flag_of(name)
            msg = (
                f"{flag} {','.join(map(str, parts))} is not possible: it takes PATTERN=N, several separated by commas; "
                f"for example {flag} 'model.0*=1,model.1*=4'."
            )
            raise InputError(msg)
        return dict(part.split("=") for part in parts)
    return [value] if _takes(field, tuple) and isinstance(value, str) else value


def _takes(field: FieldInfo, kind: type) -> bool:
    """Whether a field is, or may be, a list or table of this kind."""
    return any(get_origin(part) is kind for part in (field.annotation, *get_args(field.annotation)))


def make(model: type[BaseModel], settings: dict[str, Any]) -> Any:
    """The model from settings, with errors that name the option.

    Raises:
        InputError: for a value that the model does not take.
    """
    coerced = {}
    for name, value in settings.items():
        field = model.model_fields[name]
        _check_sizes(name, field, value)
        coerced[name] = _number(field.annotation, _in_shape(name, field, value))
    try:
        return model(**coerced)
    except ValidationError as error:
        first = error.errors()[0]
        reason = first["msg"].removeprefix("Value error, ")
        if not first["loc"]:  # settings that do not go together
            raise InputError(f"{reason}.") from error
        name = str(first["loc"][0])
        msg = f"{flag_of(name)} {settings.get(name, '')!r} is not possible: {reason[0].lower()}{reason[1:]}."
        raise InputError(msg) from error


def numbers(option: str, text: str, kind: type, *, counts: Collection[int] | None = None) -> list[Any]:
    """Numbers of an option, separated by commas.

    Args:
        option: Its flag, for the error.
        text: What the user wrote.
        kind: int or float.
        counts: How many there may be; None: any number of them.

    Raises:
        InputError: if a part is none, or there are too few or too many.
    """
    try:
        found = [kind(part) for part in text.split(",")]
    except ValueError:
        found = []
    if not found or (counts is not None and len(found) not in counts):
        many = "" if counts is None else f"{' or '.join(map(str, counts))} "
        msg = f"{option} {text!r} is not possible: {many}numbers with commas between them are expected."
        raise InputError(msg)
    return found


def _check_sizes(name: str, field: FieldInfo, value: Any) -> None:
    """Refuse a setting of one number for each axis that is none; in plainer words than the model's own.

    Raises:
        InputError: if there are too few or too many numbers, or one is not a size.
    """
    kinds = [part for part in (field.annotation, *get_args(field.annotation)) if get_origin(part) is tuple]
    if not kinds or value is None:
        return
    number, *others = (getattr(kind, "__origin__", kind) for kind in get_args(kinds[0]))  # without its limits
    if number in (str, Path):
        return
    counts, words = ((2, 3), "two or three") if others == [...] else ((3,), "three")
    parts = [str(part) for part in value] if isinstance(value, list | tuple) else [str(value)]
    if len(parts) in counts and all(_is_size(part, number) for part in parts):
        return
    flag = flag_of(name)
    kind, example = ("whole numbers", "32,32,32") if number is int else ("numbers", "1.5,1.5,3")
    meaning = str(field.description).partition(" (")[0]
    msg = (
        f"{flag} {','.join(parts)} is not possible: it takes {words} {kind} above 0, separated by commas ({meaning}); "
        f"for example {flag} {example}."
    )
    raise InputError(msg)


def _is_size(text: str, number: type) -> bool:
    """Whether a text is a positive, finite number of a type."""
    try:
        return 0 < number(text) < math.inf
    except ValueError:
        return False


def _number(annotation: Any, value: Any) -> Any:
    """Text of a numeric choice (`--dims 3`) as a number."""
    choices = [
        choice
        for part in (annotation, *get_args(annotation))
        if get_origin(part) is Literal
        for choice in get_args(part)
    ]
    return next((choice for choice in choices if str(choice) == value), value)
