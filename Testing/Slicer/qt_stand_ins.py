"""Stand-ins of the Slicer and CTK widgets of the panel, on PySide6, to lay it out and press its buttons.

They have the properties that the .ui file sets, and none of the behavior of the real widgets. A picture of
them is a layout check and not a screenshot of Slicer.
"""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from PySide6 import QtCore, QtUiTools, QtWidgets

application = QtWidgets.QApplication.instance() or QtWidgets.QApplication(["layout-check"])


class qMRMLWidget(QtWidgets.QWidget):  # noqa: N801
    mrmlSceneChanged = QtCore.Signal(object)

    def setMRMLScene(self, scene: Any) -> None:
        self.mrmlSceneChanged.emit(scene)


class qMRMLNodeComboBox(QtWidgets.QComboBox):  # noqa: N801
    @QtCore.Slot(object)
    def setMRMLScene(self, scene: Any) -> None:
        self.scene = scene


class ctkCollapsibleButton(QtWidgets.QGroupBox):  # noqa: N801
    text = QtCore.Property(str, QtWidgets.QGroupBox.title, QtWidgets.QGroupBox.setTitle)


class ctkPathLineEdit(QtWidgets.QWidget):  # noqa: N801
    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self._line = QtWidgets.QLineEdit()
        layout.addWidget(self._line)
        layout.addWidget(QtWidgets.QToolButton(text="..."))

    def addCurrentPathToHistory(self) -> None:
        pass

    currentPath = QtCore.Property(str, lambda self: self._line.text(), lambda self, path: self._line.setText(path))


CUSTOM_WIDGETS = (qMRMLWidget, qMRMLNodeComboBox, ctkCollapsibleButton, ctkPathLineEdit)


class PythonQtView:
    """A widget as PythonQt shows it: properties are attributes, and signals are connected by their text."""

    def __init__(self, widget: QtWidgets.QWidget) -> None:
        object.__setattr__(self, "widget", widget)

    def __getattr__(self, name: str) -> Any:
        if self.widget.metaObject().indexOfProperty(name) >= 0:
            return self.widget.property(name)
        return getattr(self.widget, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if self.widget.metaObject().indexOfProperty(name) < 0:
            msg = f"{type(self.widget).__name__} has no property {name!r}"
            raise AttributeError(msg)
        self.widget.setProperty(name, value)

    def connect(self, signal: str, slot: Any) -> None:
        getattr(self.widget, signal.partition("(")[0]).connect(slot)


class _Loader(QtUiTools.QUiLoader):
    """Makes the stand-ins, and keeps them: PySide forgets their Python side otherwise."""

    def __init__(self) -> None:
        super().__init__()
        self.made: list[QtWidgets.QWidget] = []

    def createWidget(
        self, class_name: str, parent: QtWidgets.QWidget | None = None, name: str = ""
    ) -> QtWidgets.QWidget:
        for stand_in in CUSTOM_WIDGETS:
            if stand_in.__name__ == class_name:
                widget = stand_in(parent)
                widget.setObjectName(name)
                self.made.append(widget)
                return widget
        return super().createWidget(class_name, parent, name)


_loader = _Loader()


def load_ui(path: str | Path) -> PythonQtView:
    """Stand-in of slicer.util.loadUI."""
    file = QtCore.QFile(str(path))
    assert file.open(QtCore.QIODevice.OpenModeFlag.ReadOnly), path
    widget = _loader.load(file)
    file.close()
    assert widget is not None, _loader.errorString()
    return PythonQtView(widget)


def child_widget_variables(panel: PythonQtView) -> SimpleNamespace:
    """Stand-in of slicer.util.childWidgetVariables."""
    children = panel.widget.findChildren(QtWidgets.QWidget)
    named = {child.objectName(): PythonQtView(child) for child in children if child.objectName()}
    return SimpleNamespace(**named)
