"""`slicer.util.loadUI` and `childWidgetVariables`."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from PySide6 import QtCore, QtUiTools, QtWidgets

from qt_stand_ins.views import KEEP, View, view_of
from qt_stand_ins.widgets import CTK_WIDGETS, SLICER_WIDGETS


class _Loader(QtUiTools.QUiLoader):
    """Makes the stand-ins by their class names."""

    def createWidget(
        self, class_name: str, parent: QtWidgets.QWidget | None = None, name: str = ""
    ) -> QtWidgets.QWidget:
        for stand_in in (*CTK_WIDGETS, *SLICER_WIDGETS):
            if stand_in.__name__ == class_name:
                widget = stand_in(parent)
                widget.setObjectName(name)
                KEEP[id(widget)] = widget
                return widget
        made = super().createWidget(class_name, parent, name)
        KEEP[id(made)] = made
        return made


_loader = _Loader()


def load_ui(path: str | Path) -> View:
    """Stand-in of slicer.util.loadUI."""
    file = QtCore.QFile(str(path))
    if not file.open(QtCore.QIODevice.OpenModeFlag.ReadOnly):
        msg = f"Could not load UI file: {path}"
        raise RuntimeError(msg)
    widget = _loader.load(file)
    file.close()
    if widget is None:
        raise RuntimeError(_loader.errorString())
    KEEP[id(widget)] = widget
    return view_of(widget)


def child_widget_variables(panel: View) -> SimpleNamespace:
    """Stand-in of slicer.util.childWidgetVariables."""
    children = panel.qt_object.findChildren(QtWidgets.QWidget)
    return SimpleNamespace(**{child.objectName(): view_of(child) for child in children if child.objectName()})
