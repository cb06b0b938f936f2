"""Stand-ins of PythonQt and of Slicer's and CTK's widgets, on PySide6, to lay the panel out and press its buttons.

They keep PythonQt's manners (properties are attributes, signals are connected by their text) and refuse what it does
not have. Of the real widgets they have what the panel uses. A picture of them is a layout check and not a screenshot of
Slicer.
"""

from __future__ import annotations

import os

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from qt_stand_ins.loading import child_widget_variables, load_ui
from qt_stand_ins.modules import ctk, qt, slicer_widgets
from qt_stand_ins.views import View, view_of

__all__ = ["View", "child_widget_variables", "ctk", "load_ui", "qt", "slicer_widgets", "view_of"]
