"""Whether a name is one of TG-263, and if not, why, and which is the nearest that is."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass

from HQCSegmentLib.naming.catalogue import catalogue, key_of
from HQCSegmentLib.naming.matching import propose
from HQCSegmentLib.naming.short_names import LONGEST
from HQCSegmentLib.naming.tg263 import is_listed, listed_names

_ALLOWED = re.compile(r"[A-Za-z0-9_~^!+\-&.]+")
"""Characters of a TG-263 name."""

_TARGET = re.compile(r"z?(GTV|CTV|ITV|IGTV|ICTV|PTV)!?(n|p|sb|par|v|vas)?\d*([-+]\d+)?(_[A-Za-z0-9]+)*~?(\^.+)?")
"""Targets: kind, classifier, number, and dose or other parts after underscores (TG-263, section 8)."""

_PLANNING_RISK = re.compile(r"(?P<organ>.+)_PRV(\d\d?)?(?P<side>_[LR])?")
"""Planning organ at risk volumes: the organ, the margin in millimetres, and the side."""

NEAR_ENOUGH = 0.55
"""Least similarity (difflib's ratio) of a name that is suggested."""


@dataclass(frozen=True)
class NameCheck:
    """What is to be said about a name.

    Attributes:
        name: As it was given.
        problems: Sentences on why it is not a TG-263 name; none where it is one.
        suggestion: The nearest TG-263 name; empty where there is none, or only without a side.
    """

    name: str
    problems: tuple[str, ...]
    suggestion: str = ""

    @property
    def is_valid(self) -> bool:
        """Whether the name is one of TG-263."""
        return not self.problems


def check_name(name: str) -> NameCheck:
    """Compare a name with TG-263: its characters and length, the list of names, targets, and PRVs.

    Args:
        name: As a planning system has it.
    """
    problems = []
    if len(name) > LONGEST:
        problems.append(f"it has {len(name)} characters; at most {LONGEST} are read by every planning system.")
    if not _ALLOWED.fullmatch(name):
        problems.append("it holds characters other than letters, digits and _ ~ ^ ! + - & .")
    core = name.removeprefix("z").removesuffix("~").partition("^")[0]
    risk = _PLANNING_RISK.fullmatch(core)
    organ = f"{risk['organ']}{risk['side'] or ''}" if risk else core
    if is_listed(core) or is_listed(organ) or _TARGET.fullmatch(name):
        return NameCheck(name, tuple(problems), "")
    if core in listed_names():
        return NameCheck(name, (*problems, "the x in it stand for digits: PRV05, not PRVxx."))
    proposal = propose([name])[0]
    if proposal.match == "no side":
        return NameCheck(name, (*problems, "the side is missing; add _L or _R."))
    suggestion = proposal.tg263_name or _nearest(name)
    if key_of(suggestion) == key_of(name) and suggestion:
        problems.append(f"it is spelt {suggestion} in TG-263.")
    elif proposal.is_certain:
        problems.append(f"its name in TG-263 is {suggestion}.")
    else:
        problems.append("it is not among the names of TG-263.")
    return NameCheck(name, tuple(problems), suggestion)


def _nearest(name: str) -> str:
    """The TG-263 name that is spelt most alike."""
    spellings = {key_of(listed): listed for listed in listed_names()}
    spellings |= {spelling: entry.tg263_name for spelling, entry in catalogue().items()}
    found = difflib.get_close_matches(key_of(name), list(spellings), n=1, cutoff=NEAR_ENOUGH)
    return spellings[found[0]] if found else ""
