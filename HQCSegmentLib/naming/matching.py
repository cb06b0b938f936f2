"""What a local name probably means: exact, synonym, similar, or not without a side. No side is ever guessed."""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from HQCSegmentLib.naming.catalogue import TARGET_TYPES, CatalogueEntry, catalogue, key_of

Match = Literal["exact", "synonym", "similar", "no side", "unknown"]
"""exact: the TG-263 name, up to case and punctuation; synonym: another certain spelling of it; similar: a likely
misspelling, for a person to confirm; no side: a one-sided structure whose side the name does not say; unknown."""

CERTAIN: tuple[Match, ...] = ("exact", "synonym")
"""Matches that are used without asking."""

SIDE_WORDS = {
    "L": ("l", "lt", "lft", "left", "li", "links", "linke", "sin", "sinister", "sinistra", "gauche", "izq"),
    "R": ("r", "rt", "rgt", "right", "re", "rechts", "rechte", "dext", "dexter", "destra", "droit", "droite"),
}
"""Words for a side in names of structures: English, German, Latin, French, Italian, Spanish."""

DERIVED_WORDS = {
    "prv", "ptv", "ctv", "gtv", "itv", "ring", "opt", "eval", "avoid", "avoidance", "minus", "sub", "exp", "margin",
    "cm", "mm", "couch", "dose", "help", "hilf", "dummy", "old", "new", "alt", "neu", "partial", "head", "wall",
}  # fmt: skip
"""Words of structures made from others, or of parts of them: such a name is never a misspelling of the whole."""

SIMILAR_ENOUGH = 0.85
"""Least similarity (difflib's ratio of matching letters): one wrong letter in a name of seven."""

AHEAD = 0.05
"""The best match must be ahead of the next structure by this much."""

FAR_BELOW = SIMILAR_ENOUGH - AHEAD
"""What is less similar decides nothing."""

SHORTEST = 5
"""Shorter names resemble too many others."""


@dataclass(frozen=True)
class Side:
    """A one-sided name in parts.

    Attributes:
        base: Letters and digits of the name without its side, in lower case.
        letter: L or R.
    """

    base: str
    letter: str


@dataclass(frozen=True)
class Proposal:
    """What a local name probably means.

    Attributes:
        name: As the cohort has it.
        tg263_name: Name proposed; empty where none is.
        match: How it was found.
    """

    name: str
    tg263_name: str
    match: Match

    @property
    def is_certain(self) -> bool:
        """Whether it is used without asking."""
        return self.match in CERTAIN


def side_of(name: str) -> Side | None:
    """The side that a name says, as a word of its own: `Kidney_L`, `Parotis li`, `LungLeft`; None without or with both.

    A name that is nothing but a side has none.
    """
    words = _words(name)
    letters = {letter for word in words for letter, known in SIDE_WORDS.items() if word in known}
    rest = "".join(word for word in words if not any(word in known for known in SIDE_WORDS.values()))
    return Side(rest, letters.pop()) if len(letters) == 1 and rest else None


def propose(names: Iterable[str]) -> list[Proposal]:
    """What each name probably means, in the order of the names."""
    return [_proposal(name) for name in names]


def _proposal(name: str) -> Proposal:
    entry = catalogue().get(key_of(name))
    if entry is not None:
        exact = key_of(entry.tg263_name) == key_of(name)
        return Proposal(name, entry.tg263_name, "exact" if exact else "synonym")
    side = side_of(name)
    pairs = _one_sided()
    if side is not None and side.base in pairs:
        return Proposal(name, pairs[side.base] + side.letter, "synonym")
    if side is None and key_of(name) in pairs:
        return Proposal(name, "", "no side")
    return _similar(name, side)


def _similar(name: str, side: Side | None) -> Proposal:
    """The one structure that is spelt nearly like this, if there is one."""
    nothing = Proposal(name, "", "unknown")
    key = side.base if side is not None else key_of(name)
    is_derived = not DERIVED_WORDS.isdisjoint(_words(name)) or name.upper().startswith(tuple(TARGET_TYPES))
    if len(key) < SHORTEST or is_derived or any(letter.isdigit() for letter in key):
        return nothing
    spellings: dict[str, str] = dict(_one_sided())
    if side is None:
        spellings |= {spelling: entry.tg263_name for spelling, entry in catalogue().items() if not _is_sided(entry)}
    best: dict[str, tuple[float, str]] = {}
    matcher = difflib.SequenceMatcher(b=key)
    for spelling, structure in spellings.items():
        # What only adds a word is another structure, not a misspelling.
        if abs(len(spelling) - len(key)) > 2 and (spelling in key or key in spelling):
            continue
        matcher.set_seq1(spelling)
        # Upper limits that cost less than the ratio itself.
        if matcher.real_quick_ratio() < FAR_BELOW or matcher.quick_ratio() < FAR_BELOW:
            continue
        best[structure] = max((matcher.ratio(), spelling), best.get(structure, (0.0, "")))
    ranked = sorted(((ratio, spelling, structure) for structure, (ratio, spelling) in best.items()), reverse=True)
    if not ranked or ranked[0][0] < SIMILAR_ENOUGH:
        return nothing
    ratio, spelt, structure = ranked[0]
    # A part of the same organ, Esophagus_S, is spelt nearly alike and no rival.
    if any(ratio - other < AHEAD and spelt not in spelling for other, spelling, _ in ranked[1:]):
        return nothing
    if not structure.endswith("_"):
        return Proposal(name, structure, "similar")
    return Proposal(name, structure + side.letter, "similar") if side is not None else Proposal(name, "", "no side")


@functools.cache
def _one_sided() -> dict[str, str]:
    """Spellings of one-sided structures without their side, and their TG-263 name up to the letter: `Kidney_`."""
    found = {}
    for entry in catalogue().values():
        if _is_sided(entry):
            for spelling in (entry.tg263_name, *entry.synonyms):
                side = side_of(spelling)
                if side is not None:
                    found[side.base] = entry.tg263_name[:-1]
    return found


def _is_sided(entry: CatalogueEntry) -> bool:
    return entry.tg263_name.endswith(("_L", "_R"))


def _words(name: str) -> list[str]:
    """Words of a name in lower case: divided at punctuation, and where a capital follows a small letter."""
    divided = re.sub(r"(?<=[^\W\d_A-Z])(?=[A-Z])", " ", name)
    return [word for word in re.split(r"[\W_]+", divided.casefold()) if word]
