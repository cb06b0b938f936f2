"""Loss and held-out Dice of a training as Slicer tables and plots, while it runs."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import slicer
import vtk
from slicer.i18n import tr as _

FLUSH_S = 1.0
"""A plot is drawn anew at most this often; a fast training takes many steps in a second."""

COLORS = ((0.12, 0.47, 0.71), (1.0, 0.5, 0.05), (0.17, 0.63, 0.17), (0.84, 0.15, 0.16), (0.58, 0.4, 0.74))


class TrainingCurves:
    """Makes the nodes when the first event comes, and writes to them from then on.

    Attributes:
        mean_dice: The last held-out Dice, mean of the structures; None before the first.
    """

    def __init__(self, scene: slicer.vtkMRMLScene) -> None:
        self.mean_dice: float | None = None
        self._scene = scene
        self._chart: slicer.vtkMRMLPlotChartNode | None = None
        self._tables: dict[str, slicer.vtkMRMLTableNode] = {}
        self._colors: dict[str, int] = {}
        self._fold: Any = None
        self._changed: set[str] = set()
        self._flushed = time.monotonic()

    def load(self, events: Path) -> None:
        """Take the events of a run from its file; lines that are not whole are left out."""
        if not events.is_file():
            return
        for line in events.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                event = json.loads(line)
            except ValueError:
                continue
            if isinstance(event, dict) and "event" in event:
                self.take(event)
        self.flush()

    def take(self, event: dict[str, Any]) -> None:
        """Add a point of an event of the training; others are left out."""
        if event.get("fold") != self._fold:
            self._fold = event.get("fold")
            self._clear()
        if event["event"] == "progress" and "loss" in event:
            self._add("loss", int(event["step"]), {_("loss"): float(event["loss"])})
        elif event["event"] == "held-out":
            self.mean_dice = float(event["mean_dice"])
            named = {_("Dice {name}").format(name=name): float(value) for name, value in event["dice"].items()}
            self._add("dice", int(event["step"]), {_("mean Dice"): self.mean_dice, **named})
        if time.monotonic() - self._flushed > FLUSH_S:
            self.flush()

    def flush(self) -> None:
        """Have the plots drawn with all points."""
        self._flushed = time.monotonic()
        for key in self._changed:
            self._tables[key].GetTable().Modified()
            self._tables[key].Modified()
        self._changed.clear()

    def show(self) -> None:
        """Show the plot in the layout."""
        self.flush()
        if self._chart is not None:
            slicer.modules.plots.logic().ShowChartInLayout(self._chart)

    @property
    def chart(self) -> slicer.vtkMRMLPlotChartNode | None:
        """The chart; None before the first point."""
        return self._chart

    def _add(self, key: str, step: int, values: dict[str, float]) -> None:
        table = self._table(key, list(values))
        if table.GetTable().GetNumberOfRows():
            steps = table.GetTable().GetColumn(0)
            if step <= steps.GetValue(steps.GetNumberOfTuples() - 1):
                return  # a resumed run does the steps after its last checkpoint again
        row = table.GetTable().InsertNextBlankRow()
        table.GetTable().SetValue(row, 0, vtk.vtkVariant(step))
        for column, value in enumerate(values.values(), start=1):
            table.GetTable().SetValue(row, column, vtk.vtkVariant(value))
        self._changed.add(key)

    def _table(self, key: str, columns: list[str]) -> slicer.vtkMRMLTableNode:
        table = self._tables.get(key)
        if table is not None and table.GetScene() is not None:
            return table
        table = self._scene.AddNewNodeByClass("vtkMRMLTableNode", _("HQCSegment {key}").format(key=key))
        for name in (_("step"), *columns):
            values = vtk.vtkDoubleArray()
            values.SetName(name)
            table.AddColumn(values)
        self._tables[key] = table
        for name in columns:
            self._add_series(table, name)
        return table

    def _add_series(self, table: slicer.vtkMRMLTableNode, name: str) -> None:
        if self._chart is None or self._chart.GetScene() is None:
            self._chart = self._scene.AddNewNodeByClass("vtkMRMLPlotChartNode", _("HQCSegment training"))
            self._chart.SetTitle(_("Training"))
            self._chart.SetXAxisTitle(_("step"))
            self._chart.SetYAxisTitle(_("loss, Dice"))
        series = self._scene.AddNewNodeByClass("vtkMRMLPlotSeriesNode", name)
        series.SetAndObserveTableNodeID(table.GetID())
        series.SetXColumnName(_("step"))
        series.SetYColumnName(name)
        series.SetPlotType(slicer.vtkMRMLPlotSeriesNode.PlotTypeScatter)
        series.SetMarkerStyle(slicer.vtkMRMLPlotSeriesNode.MarkerStyleNone)
        series.SetColor(*COLORS[self._colors.setdefault(name, len(self._colors)) % len(COLORS)])
        self._chart.AddAndObservePlotSeriesNodeID(series.GetID())

    def _clear(self) -> None:
        """Begin the curves of another fold."""
        for table in self._tables.values():
            table.GetTable().SetNumberOfRows(0)
        self._changed.update(self._tables)
