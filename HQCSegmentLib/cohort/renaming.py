"""From the names that the files of a cohort have to those that it is trained with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from HQCSegmentLib.cohort.layouts.found import Found, in_order_of_value
from HQCSegmentLib.imaging.image_files import image_suffix
from HQCSegmentLib.naming import LEFT_OUT, TABLE, propose, read_table


def rename(path: Path, found: Found) -> Found:
    """Give the structures of a cohort their TG-263 names, by its table of names or where a spelling is certain.

    Local names for the same structure become one structure with the smallest of their values; a name that the table
    gives as "-" is left out. Without a table, two values of the same label maps are never joined: there both names
    stay.

    Raises:
        InputError: if the table of names cannot be read.
    """
    table = read_table(path / TABLE) if (path / TABLE).is_file() else {}
    has_label_maps = any(image_suffix(case.label) for case in found.cases)
    names = _certain_names(found, join=not has_label_maps) | table
    if not has_label_maps and found.structures == in_order_of_value(found.structures.values()):
        # Nobody chose these values: a target with a local name like "tumor" must come to lie on top, too.
        final = {names.get(name, name) for name in found.structures.values()} - {LEFT_OUT}
        cases = [replace(case, renamed=names) for case in found.cases]
        return replace(found, cases=cases, structures=in_order_of_value(final))
    value_of: dict[str, int] = {}
    for value, name in sorted(found.structures.items()):
        value_of.setdefault(names.get(name, name), value)
    structures = {value: name for name, value in value_of.items() if name != LEFT_OUT}
    value_of[LEFT_OUT] = 0
    revalued = {value: value_of[names.get(name, name)] for value, name in found.structures.items()}
    changed = {value: wanted for value, wanted in revalued.items() if value != wanted}
    cases = [replace(case, renamed=names, revalued=changed) for case in found.cases]
    return replace(found, cases=cases, structures=structures)


def _certain_names(found: Found, *, join: bool) -> dict[str, str]:
    """TG-263 names, by local name, of those that are certain and differ; `join`: also where two become one."""
    names = {one.name: one.tg263_name for one in propose(found.structures.values()) if one.is_certain}
    if not join:
        meant = [names.get(name, name) for name in found.structures.values()]
        names = {name: wanted for name, wanted in names.items() if meant.count(wanted) == 1}
    return {name: wanted for name, wanted in names.items() if name != wanted}
