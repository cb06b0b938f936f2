"""Names of at most 16 characters, which some planning systems need, each used once."""

from __future__ import annotations

from collections.abc import Collection, Iterable

LONGEST = 16
"""Characters of a structure name that every planning system takes (TG-263 keeps to it), and of a DICOM SH."""


def short_name(name: str, *, taken: Collection[str] = ()) -> str:
    """A variant of a name with at most 16 characters that is not taken, whatever its case.

    A name that fits stays. A longer one loses its middle: its beginning, and its side or number at the end, stay.

    Args:
        name: Not empty.
        taken: Short names that are used already.
    """
    used = {one.casefold() for one in taken}
    name = name.strip()
    head, mark, tail = name.rpartition("_")
    short = name
    if len(name) > LONGEST:
        keep = tail if mark and len(tail) < LONGEST // 2 else name[-3:]
        short = f"{name[: LONGEST - 1 - len(keep)].rstrip('_ ')}_{keep}" if head else name[:LONGEST]
    number = 2
    candidate = short
    while candidate.casefold() in used:
        ending = f"_{number}"
        candidate = short[: LONGEST - len(ending)] + ending
        number += 1
    return candidate


def short_names(names: Iterable[str]) -> dict[str, str]:
    """Short names by name, all different; names that fit keep theirs whatever comes first."""
    listed = list(dict.fromkeys(names))
    fitting = {name: name.strip() for name in listed if len(name.strip()) <= LONGEST}
    result: dict[str, str] = {}
    used: list[str] = list(fitting.values())
    for name in listed:
        if name in fitting and fitting[name].casefold() not in {one.casefold() for one in result.values()}:
            result[name] = fitting[name]
        else:
            result[name] = short_name(name, taken=used)
            used.append(result[name])
    return {name: result[name] for name in listed}
