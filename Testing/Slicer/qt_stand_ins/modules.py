"""The Python modules `qt` and `ctk`, and the widget classes of `slicer`."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets

from qt_stand_ins.views import view_class
from qt_stand_ins.widgets import CTK_WIDGETS, SLICER_WIDGETS

OTHER_CTK = (
    "ctkCheckBox", "ctkCheckablePushButton", "ctkComboBox", "ctkSliderWidget", "ctkDoubleSpinBox", "ctkRangeWidget",
    "ctkDoubleRangeSlider", "ctkDirectoryButton", "ctkColorPickerButton", "ctkDoubleSlider",
)  # fmt: skip
"""Names that Slicer's own parameterNodeWrapper asks for; the panel has no such widget."""


class _Qt(ModuleType):
    """Every public Qt class: objects as views, values (QUrl, QTableWidgetItem) as they are."""

    def __getattr__(self, name: str) -> Any:
        for part in (QtCore, QtGui, QtWidgets):
            real = getattr(part, name, None)
            if real is not None:
                is_object = isinstance(real, type) and issubclass(real, QtCore.QObject)
                return view_class(real) if is_object else real
        msg = f"Qt has no {name}"
        raise AttributeError(msg)


qt = _Qt("qt")
ctk = ModuleType("ctk")
for _widget in CTK_WIDGETS:
    setattr(ctk, _widget.__name__, view_class(_widget))
for _name in OTHER_CTK:
    setattr(ctk, _name, type(_name, (), {}))
slicer_widgets = {widget.__name__: view_class(widget) for widget in SLICER_WIDGETS}
