"""Drives the panel as a user does: with clicks, keys and the event loop, and waits for what is to happen."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import qt_stand_ins
from child_stand_in import make_bundle
from HQCSegmentSlicer.logic import Logic
from PIL import Image
from PySide6 import QtCore, QtGui, QtWidgets
from PySide6.QtTest import QTest

STAND_IN = str(Path(__file__).with_name("child_stand_in.py"))
CAPTION = "Layout check with stand-in widgets, not a screenshot of Slicer"
CAPTION_HEIGHT = 26
PANEL_WIDTH = 480


class Panel:
    """A panel whose children are stand-ins that speak as the command does."""

    def __init__(self, module: Any, *, stand_in: bool = True) -> None:
        self.widget = module.HQCSegmentWidget()
        self.widget.setup()
        self.ui = self.widget.ui
        self.errors: list[str] = []
        if stand_in:
            self.widget.logic._runner = Logic(make_command=lambda *words: [sys.executable, STAND_IN, *map(str, words)])
        self.widget.panel.qt_object.resize(PANEL_WIDTH, 900)
        self.widget.panel.qt_object.show()
        for name in ("setUp", "cohort", "fineTune", "segment", "deliver"):
            getattr(self.ui, f"{name}CollapsibleButton").collapsed = False

    @property
    def parameters(self) -> Any:
        return self.widget._parameterNode

    def click(self, name: str) -> None:
        """Click a button in its middle; it must be visible and enabled."""
        button = getattr(self.ui, name).qt_object
        assert button.isVisible(), name
        assert button.isEnabled(), f"{name}: {button.toolTip()}"
        QTest.mouseClick(button, QtCore.Qt.MouseButton.LeftButton)

    def type_path(self, name: str, path: Path | str) -> None:
        """Type a path into a line."""
        line = getattr(self.ui, name).qt_object.findChild(QtWidgets.QLineEdit)
        line.setFocus()
        line.clear()
        QTest.keyClicks(line, str(path))

    def status(self, section: str) -> str:
        return getattr(self.ui, f"{section}StatusLabel").text

    def tip(self, name: str) -> str:
        return getattr(self.ui, name).toolTip

    def rows(self, name: str) -> list[list[str]]:
        table = getattr(self.ui, name).qt_object
        return [
            [table.item(row, column).text() for column in range(table.columnCount())] for row in range(table.rowCount())
        ]

    def until(self, done: Callable[[], Any], seconds: float = 60.0) -> None:
        """Let the event loop run until something holds."""
        end = time.monotonic() + seconds
        while not done() and time.monotonic() < end:
            QTest.qWait(20)
        assert done()

    def until_idle(self) -> None:
        self.until(lambda: not self.widget.logic.running)

    def picture(self, path: Path, name: str) -> None:
        """Write a picture of one section of stand-in widgets: a layout check, not a Slicer screenshot."""
        self.save_picture(path / f"{name}-layout-check-not-a-slicer-screenshot.png", name)

    def save_picture(self, file: Path, name: str) -> None:
        """Write a picture of one section, which says below it what it is."""
        self.fit()
        sections = dict(zip(("setUp", "cohort", "fineTune", "segment", "deliver"), self.widget._panels, strict=True))
        section = sections[name].qt_object.grab()
        picture = QtGui.QImage(section.width(), section.height() + CAPTION_HEIGHT, QtGui.QImage.Format.Format_RGB32)
        picture.fill(QtGui.QColor("white"))
        painter = QtGui.QPainter(picture)
        painter.drawPixmap(0, 0, section)
        below = QtCore.QRect(0, section.height(), section.width(), CAPTION_HEIGHT)
        painter.drawText(below, QtCore.Qt.AlignmentFlag.AlignCenter, CAPTION)
        painter.end()
        buffer = QtCore.QBuffer()
        buffer.open(QtCore.QIODevice.OpenModeFlag.WriteOnly)
        picture.save(buffer, "PNG")
        save_small(buffer.data().data(), file)

    def fit(self) -> None:
        """Make the panel as high as its contents need at its width, as Slicer's scroll area does."""
        root = self.widget.panel.qt_object
        layouts = [widget.layout() for widget in (*root.findChildren(QtWidgets.QWidget), root) if widget.layout()]
        for _ in range(2):  # a label that has grown is known to the layouts around it only after a round of events
            for layout in layouts:
                layout.invalidate()
            QTest.qWait(50)
            root.resize(PANEL_WIDTH, max(root.sizeHint().height(), root.heightForWidth(PANEL_WIDTH)))
        QTest.qWait(50)

    def close(self) -> None:
        self.widget.panel.qt_object.hide()
        self.widget.cleanup()
        for part in self.widget._panels:
            part.setMRMLScene(None)


def save_small(picture: bytes, file: Path) -> None:
    """Write a PNG file with 128 colors, which are enough for widgets and contours."""
    with Image.open(io.BytesIO(picture)) as image:
        image.convert("RGB").quantize(128, dither=Image.Dither.NONE).save(file, optimize=True)


__all__ = ["Panel", "make_bundle", "qt_stand_ins", "save_small"]
