"""Filling tables of the panel."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any


def fill(table: Any, rows: Sequence[Sequence[str]], *, editable: Collection[int] = ()) -> None:
    """Show rows of texts in a table widget; only the columns of `editable` can be changed."""
    import qt

    was_blocked = table.blockSignals(True)
    table.setRowCount(len(rows))
    for row, texts in enumerate(rows):
        for column, text in enumerate(texts):
            item = qt.QTableWidgetItem(text)
            if column not in editable:
                item.setFlags(qt.Qt.ItemIsEnabled | qt.Qt.ItemIsSelectable)
            item.setToolTip(text)
            table.setItem(row, column, item)
    table.resizeRowsToContents()
    table.blockSignals(was_blocked)


def text_at(table: Any, row: int, column: int) -> str:
    """Text of a cell; empty where there is none."""
    item = table.item(row, column)
    return "" if item is None else item.text().strip()


def names_in(table: Any) -> dict[str, str]:
    """Second column by first column."""
    return {text_at(table, row, 0): text_at(table, row, 1) for row in range(table.rowCount)}
