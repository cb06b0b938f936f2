"""The table of names: a CSV file beside the cohort, written with proposals and read back as the user left it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import Path

from HQCSegmentLib.errors import InputError
from HQCSegmentLib.files import write_text
from HQCSegmentLib.naming.matching import Proposal, propose

TABLE = "names.csv"
"""File name of the table in the folder of a cohort."""

LEFT_OUT = "-"
"""In place of a name: the structure is not used."""

COLUMNS = ("name", "tg263_name", "match")

MEANINGS = {
    "exact": "exact",
    "synonym": "synonym",
    "similar": "similar: please confirm",
    "no side": "no side: please add one",
    "unknown": "unknown: kept as it is",
}
"""What is written in the column `match`."""


def read_table(path: Path) -> dict[str, str]:
    """Names to use, by local name; a structure that is left out has the name "-".

    Separators may be commas, semicolons or tabs, as spreadsheets write them. Rows without a `tg263_name` are not
    returned: their names are kept.

    Raises:
        InputError: if the file cannot be read, lacks the columns `name` and `tg263_name`, or has two rows for a name.
    """
    return {name: wanted for name, (wanted, _) in _rows(Path(path)).items() if wanted}


def write_table(path: Path, names: Iterable[str]) -> list[Proposal]:
    """Write the table for the local names of a cohort; rows that are there are kept as the user left them.

    Returns:
        What is proposed for each name that had no row yet.

    Raises:
        InputError: if there is a file that is no table of names.
    """
    path = Path(path)
    rows = _rows(path) if path.exists() else {}
    new = [proposal for proposal in propose(dict.fromkeys(names)) if proposal.name not in rows]
    rows |= {proposal.name: (proposal.tg263_name, MEANINGS[proposal.match]) for proposal in new}
    _write(path, rows)
    return new


def save_names(path: Path, names: Mapping[str, str]) -> None:
    """Write the names that a user chose; rows of other names are kept.

    Args:
        path: The table; made if there is none.
        names: Name to use by local name; "-" leaves a structure out.

    Raises:
        InputError: if there is a file that is no table of names.
    """
    path = Path(path)
    rows = _rows(path) if path.exists() else {}
    rows |= {name: (wanted, rows.get(name, ("", ""))[1] or "chosen") for name, wanted in names.items()}
    _write(path, rows)


def _write(path: Path, rows: Mapping[str, tuple[str, str]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows((name, *columns) for name, columns in rows.items())
    write_text(path, text.getvalue())


def _rows(path: Path) -> dict[str, tuple[str, str]]:
    """Name to use and how it was found, by local name."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        msg = f"the table of names {path} cannot be read as UTF-8 text; save it as CSV in UTF-8."
        raise InputError(msg) from error
    first = text.partition("\n")[0]
    table = csv.DictReader(io.StringIO(text), delimiter=max(",;\t", key=first.count))
    table.fieldnames = [(column or "").strip() for column in table.fieldnames or []]
    if not {"name", "tg263_name"} <= set(table.fieldnames):
        msg = f"the table of names {path} needs the columns `name` and `tg263_name`; its first line is {first!r}."
        raise InputError(msg)
    rows: dict[str, tuple[str, str]] = {}
    for row in table:
        name, wanted, match = ((row.get(column) or "").strip() for column in COLUMNS)
        if name in rows:
            msg = f"the table of names {path} has two rows for {name!r}; keep one of them."
            raise InputError(msg)
        if name:
            rows[name] = (wanted, match)
    return rows
