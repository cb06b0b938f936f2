"""Stand-in of slicer.parameterNodeWrapper: typed attributes kept in a script node, and bound to widgets.

It keeps the names and texts that Slicer writes into the node, takes the same pairs of widget and type, and refuses the
others. Where the variable SLICER_SOURCE names a checkout of Slicer, `slicer_application` uses Slicer's own code.
"""

from __future__ import annotations

import enum
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import slicer
import slicer.util
import vtk


class Kind:
    """How values of one type are kept in the node."""

    def __init__(self, type_: Any) -> None:
        self.type = type_
        self.element = Kind(typing.get_args(type_)[0]) if typing.get_origin(type_) is list else None
        self.is_node = isinstance(type_, type) and issubclass(type_, vtk.vtkObject)

    def default(self) -> Any:
        if self.element is not None:
            return []
        if self.is_node:
            return None
        return next(iter(self.type)) if issubclass(self.type, enum.Enum) else self.type()

    def is_in(self, node: Any, name: str) -> bool:
        return node.HasParameter(f"{name}.len" if self.element is not None else name)

    def read(self, node: Any, name: str) -> Any:
        if self.element is not None:
            return [self.element.read(node, f"{name}.{row}") for row in range(int(node.GetParameter(f"{name}.len")))]
        if self.is_node:
            return node.GetNodeReference(name)
        text = node.GetParameter(name)
        return self.type[text] if issubclass(self.type, enum.Enum) else self.type(text)

    def write(self, node: Any, name: str, value: Any) -> None:
        with slicer.util.NodeModify(node):
            if self.element is not None:
                before = int(node.GetParameter(f"{name}.len") or 0)
                for row, one in enumerate(value):
                    self.element.write(node, f"{name}.{row}", one)
                node.SetParameter(f"{name}.len", str(len(value)))
                for row in range(len(value), before):
                    node.UnsetParameter(f"{name}.{row}")
                    node.SetNodeReferenceID(f"{name}.{row}", None)
            elif self.is_node:
                node.SetParameter(name, "")
                node.SetNodeReferenceID(name, None if value is None else value.GetID())
                node.Modified()
            else:
                if not isinstance(value, self.type):
                    msg = f"{name} takes {self.type}, not {value!r}"
                    raise TypeError(msg)
                node.SetParameter(name, value.name if isinstance(value, enum.Enum) else str(value))


class Binding:
    """One widget and the parameter that it shows."""

    def __init__(self, widget: Any, type_: Any) -> None:
        import ctk
        import qt

        self.widget = widget
        is_enum = isinstance(type_, type) and issubclass(type_, enum.Enum)
        if type(widget) is qt.QLineEdit and type_ is str:
            self._use("textChanged", lambda: widget.text, lambda value: setattr(widget, "text", value))
        elif type(widget) is qt.QSpinBox and type_ is int:
            self._use("valueChanged", lambda: widget.value, lambda value: setattr(widget, "value", value))
        elif type(widget) is ctk.ctkPathLineEdit and type_ is Path:
            self._use(
                "currentPathChanged",
                lambda: Path(widget.currentPath),
                lambda value: setattr(widget, "currentPath", str(value)),
            )
        elif type(widget) is slicer.qMRMLNodeComboBox and isinstance(type_, type) and issubclass(type_, vtk.vtkObject):
            widget.nodeTypes = [type_.__name__]
            self._use("currentNodeChanged", widget.currentNode, widget.setCurrentNode)
        elif type(widget) is qt.QComboBox and is_enum:
            members = list(type_)
            widget.clear()
            for member in members:
                widget.addItem(type_.label(member) if hasattr(type_, "label") else member.name)
            self._use(
                "currentIndexChanged",
                lambda: members[widget.currentIndex],
                lambda value: setattr(widget, "currentIndex", members.index(value)),
            )
        else:
            msg = f"Unable to create GUI connector from {type(widget)} to {type_}"
            raise RuntimeError(msg)

    def _use(self, signal: str, read: Callable[[], Any], write: Callable[[Any], None]) -> None:
        self.signal, self.read, self.write = signal, read, write

    def connect(self, changed: Callable[[], None]) -> None:
        self.changed = changed
        getattr(self.widget, self.signal).connect(changed)

    def disconnect(self) -> None:
        getattr(self.widget, self.signal).disconnect(self.changed)


def parameterNodeWrapper(cls: type) -> type:
    """Make the annotated names attributes that are kept in the node."""
    kinds = {name: Kind(type_) for name, type_ in typing.get_type_hints(cls).items()}

    def make_property(name: str, kind: Kind) -> property:
        return property(
            lambda self: kind.read(self.parameterNode, name),
            lambda self, value: kind.write(self.parameterNode, name, value),
        )

    def start(self: Any, node: Any) -> None:
        self.parameterNode, self.bindings, self.observers, self.showing = node, {}, {}, False
        for name, kind in kinds.items():
            if not kind.is_in(node, name):
                kind.write(node, name, defaults[name])

    def show(self: Any) -> None:
        if self.showing:
            return
        self.showing = True
        try:
            for bindings in self.bindings.values():
                for name, binding in bindings.items():
                    binding.write(getattr(self, name))
        finally:
            self.showing = False

    def keeper(self: Any, name: str, binding: Binding) -> Callable[[], None]:
        def changed() -> None:
            if not self.showing:
                setattr(self, name, binding.read())

        return changed

    def connect_gui(self: Any, gui: Any) -> int:
        tag = len(self.observers)
        named = {widget.property("SlicerParameterName"): widget for widget in vars(gui).values()}
        named.pop(None, None)
        self.bindings[tag] = {name: Binding(widget, kinds[name].type) for name, widget in named.items()}
        for name, binding in self.bindings[tag].items():
            binding.write(getattr(self, name))

            binding.connect(keeper(self, name, binding))
        self.observers[tag] = self.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_arguments: show(self))
        return tag

    def disconnect_gui(self: Any, tag: int) -> None:
        for binding in self.bindings.pop(tag, {}).values():
            binding.disconnect()
        if tag in self.observers:
            self.RemoveObserver(self.observers[tag])

    defaults = {name: getattr(cls, name, kind.default()) for name, kind in kinds.items()}
    for name, kind in kinds.items():
        setattr(cls, name, make_property(name, kind))
    cls.allParameters = kinds
    cls.__init__ = start
    cls.connectGui = connect_gui
    cls.disconnectGui = disconnect_gui
    cls.StartModify = lambda self: self.parameterNode.StartModify()
    cls.EndModify = lambda self, was: self.parameterNode.EndModify(was)
    cls.Modified = lambda self: self.parameterNode.Modified()
    cls.AddObserver = lambda self, event, call, priority=0.0: self.parameterNode.AddObserver(event, call, priority)
    cls.RemoveObserver = lambda self, tag: self.parameterNode.RemoveObserver(tag)
    return cls
