"""The names that TG-263 lists, as published.

`tg263.csv` holds the primary names, reverse-order names and target types of AAPM's worksheet of 15 August 2017
(TG263_Nomenclature_Worksheet_20170815, 717 rows), taken from the copy in the repository kildealab/TG263ComplianceTool.
It is kept as published, with misspellings that are names now: `Hypothalmus`, `Colon_Decending`, `LN_lliac_Int_R`.
"""

from __future__ import annotations

import csv
import functools
import io
import re
from dataclasses import dataclass
from importlib import resources
from typing import Literal

_OPEN = re.compile(r"x{2,}|(?<=PRV)x")
"""Stands for digits: `PRVxx`, `PRVx`, `xxmm`, `xxxx`."""

TargetType = Literal["Anatomic", "Derived", "Non-Anatomic", "PRV", "Surgical", "Target"]


@dataclass(frozen=True)
class ListedName:
    """One row of the worksheet.

    Attributes:
        primary_name: The name, at most 16 characters; `xx` stands for digits.
        reverse_order_name: The other order of its parts that TG-263 allows: `L_Kidney`.
        target_type: What kind of structure it is.
    """

    primary_name: str
    reverse_order_name: str
    target_type: TargetType


@functools.cache
def listed_names() -> dict[str, ListedName]:
    """All rows by primary name, in the order of the worksheet."""
    text = resources.files("HQCSegmentLib.naming").joinpath("tg263.csv").read_text(encoding="utf-8")
    rows = [ListedName(**row) for row in csv.DictReader(io.StringIO(text))]  # type: ignore[arg-type]
    return {row.primary_name: row for row in rows}


def is_listed(name: str) -> bool:
    """Whether a name is a primary name of the list, with digits where the list has `xx`."""
    if name in listed_names():
        return _OPEN.search(name) is None
    return _with_digits().fullmatch(name) is not None


@functools.cache
def _with_digits() -> re.Pattern[str]:
    """All names that hold digits to be filled in."""
    return re.compile(
        "|".join(
            _OPEN.sub(lambda found: r"\d" * len(found[0]), re.escape(name))
            for name in listed_names()
            if _OPEN.search(name)
        )
    )
