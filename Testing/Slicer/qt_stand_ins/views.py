"""Qt objects as PythonQt shows them."""

from __future__ import annotations

import ctypes
import functools
import inspect
import sys
from collections.abc import Callable
from typing import Any

from PySide6 import QtCore, QtWidgets

if sys.version_info < (3, 12):
    # PySide 6.12 releases these once too often with every call that returns them, as if they were immortal, which they
    # are only from Python 3.12 on; some hundred thousand calls later the interpreter would abort.
    for _singleton in (None, True, False):
        ctypes.c_ssize_t.from_address(id(_singleton)).value += 2**40

application = QtWidgets.QApplication.instance() or QtWidgets.QApplication(["layout-check"])

KEEP: dict[int, QtCore.QObject] = {}
"""Objects made in Python, which PySide would forget: in PythonQt their parents keep them."""


class ViewMeta(type):
    """Class attributes, such as enumerations, are those of the real class."""

    real: type

    def __getattr__(cls, name: str) -> Any:
        value = getattr(cls.real, name)
        if not callable(value) or isinstance(value, type):
            return value
        return lambda *arguments: wrapped(value(*map(unwrapped, arguments)))


class View(metaclass=ViewMeta):
    """One Qt object.

    Attributes are its Qt properties (read and written), its methods, and its signals (`button.clicked.connect(f)`).
    `connect("clicked(bool)", f)` takes the signature of a signal that the object really has.
    """

    real = QtCore.QObject

    def __init__(self, *arguments: Any) -> None:
        made = type(self).real(*map(unwrapped, arguments))
        KEEP[id(made)] = made
        object.__setattr__(self, "qt_object", made)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, View) and other.qt_object is self.qt_object

    def __hash__(self) -> int:
        return id(self.qt_object)

    def __getattr__(self, name: str) -> Any:
        real = object.__getattribute__(self, "qt_object")
        if name == "name":  # PythonQt's short form
            return real.objectName()
        if real.metaObject().indexOfProperty(name) >= 0:
            return wrapped(real.property(name))
        if not hasattr(type(real), name):
            msg = f"{type(real).__name__} has no attribute named {name!r}"
            raise AttributeError(msg)
        method = getattr(real, name)
        if type(method) is QtCore.SignalInstance:  # isinstance miscounts references in PySide 6.12
            return SignalView(self, name)
        if not callable(method):
            msg = f"{type(real).__name__} has no attribute named {name!r} in PythonQt"
            raise AttributeError(msg)
        return lambda *arguments: wrapped(method(*map(unwrapped, arguments)))

    def __setattr__(self, name: str, value: Any) -> None:
        real = self.qt_object
        name = "objectName" if name == "name" else name
        index = real.metaObject().indexOfProperty(name)
        if index < 0 or not real.metaObject().property(index).isWritable():
            msg = (
                f"{type(real).__name__} has no property {name!r} that can be set, and PythonQt does not let Python add "
                "attributes to C++ objects"
            )
            raise AttributeError(msg)
        if not real.setProperty(name, unwrapped(value)):
            msg = f"{name!r} of {type(real).__name__} does not take {value!r}"
            raise TypeError(msg)

    def property(self, name: str) -> Any:
        """Value of a property, dynamic ones included."""
        return wrapped(self.qt_object.property(name))

    def connect(self, signal: str, slot: Callable[..., Any]) -> bool:
        """Connect a signal by its text."""
        getattr(self, self._signal_name(signal)).connect(slot)
        return True

    def disconnect(self, signal: str, slot: Callable[..., Any]) -> bool:
        """Disconnect a signal by its text."""
        getattr(self, self._signal_name(signal)).disconnect(slot)
        return True

    def findChildren(self, kind: type[View]) -> list[View]:
        """Children of a class."""
        return [view_of(child) for child in self.qt_object.findChildren(kind.real)]

    def _signal_name(self, text: str) -> str:
        real = self.qt_object
        own = getattr(type(real), "signal_texts", {})
        if text in own:
            return own[text]
        if real.metaObject().indexOfSignal(QtCore.QMetaObject.normalizedSignature(text).data().decode()) < 0:
            msg = f"{type(real).__name__} has no signal {text!r}"
            raise ValueError(msg)
        return text.partition("(")[0]


class SignalView:
    """A signal as an attribute."""

    slots: dict[tuple[int, str, Any], Callable[..., Any]] = {}  # noqa: RUF012 - of all objects, as connections are

    def __init__(self, owner: View, name: str) -> None:
        self._key = (id(owner.qt_object), name)
        self._signal = getattr(owner.qt_object, name)

    def connect(self, slot: Callable[..., Any]) -> None:
        """Call a function with as many of the arguments as it takes."""

        def call(*arguments: Any) -> None:
            slot(*map(wrapped, arguments[: _number_of_arguments(slot)]))

        self.slots[(*self._key, slot)] = call
        self._signal.connect(call)

    def disconnect(self, slot: Callable[..., Any]) -> None:
        """Call it no more."""
        self._signal.disconnect(self.slots.pop((*self._key, slot)))

    def emit(self, *arguments: Any) -> None:
        """Emit the signal."""
        self._signal.emit(*map(unwrapped, arguments))


def _number_of_arguments(slot: Callable[..., Any]) -> int | None:
    parameters = inspect.signature(slot).parameters.values()
    if any(parameter.kind is inspect.Parameter.VAR_POSITIONAL for parameter in parameters):
        return None
    return len([p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)])


@functools.cache
def view_class(real: type) -> type[View]:
    """The view class of a Qt class; views are related as their Qt classes are."""
    if real is QtCore.QObject:
        return View
    bases = tuple(view_class(base) for base in real.__bases__ if issubclass(base, QtCore.QObject))
    return ViewMeta(real.__name__, bases or (View,), {"real": real})


def view_of(qt_object: QtCore.QObject) -> View:
    """The view of an object."""
    kind = view_class(type(qt_object))
    view = object.__new__(kind)
    object.__setattr__(view, "qt_object", qt_object)
    return view


def wrapped(value: Any) -> Any:
    """What Python code sees of a value from Qt."""
    if isinstance(value, QtCore.QObject):
        return view_of(value)
    return [wrapped(one) for one in value] if isinstance(value, list) else value


def unwrapped(value: Any) -> Any:
    """What Qt gets of a value from Python code."""
    if isinstance(value, View):
        return value.qt_object
    return [unwrapped(one) for one in value] if isinstance(value, list | tuple) else value
