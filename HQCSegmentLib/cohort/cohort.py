"""A cohort: the cases of a folder and the structures drawn in them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from HQCSegmentLib.cohort.aliases import without_identity
from HQCSegmentLib.cohort.case import Case
from HQCSegmentLib.cohort.layouts import LAYOUTS, Found
from HQCSegmentLib.cohort.preprocessing import ONLY_CHANNEL
from HQCSegmentLib.cohort.renaming import rename
from HQCSegmentLib.errors import InputError
from HQCSegmentLib.naming import TABLE

MAX_VALUE = 65535
"""Largest value of a label map (uint16)."""


class UnknownLayoutError(InputError):
    """A folder is laid out in none of the known ways."""


@dataclass(frozen=True)
class Cohort:
    """Cases with contours.

    Attributes:
        path: The folder.
        layout: How the folder is laid out, in words.
        cases: In order of name.
        structures: Structure names by label value, in order of value: TG-263 names where the local name is certain
            or the table of names gives one, else the local names.
        local_names: Names as the files have them.
        channels: What the images of a case are, such as CT and PET.
        notes: Sentences on aliases of patients, and on which series and structure sets were chosen where a folder
            holds several.
    """

    path: Path
    layout: str
    cases: tuple[Case, ...]
    structures: dict[int, str]
    local_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    channels: tuple[str, ...] = (ONLY_CHANNEL,)

    @classmethod
    def open(cls, path: str | Path) -> Cohort:
        """Find the cases of a folder.

        Args:
            path: Folder with a `cohort.json`, folder with `images/` and `labels/`, an nnU-Net raw, Decathlon or KiTS
                data set, or one folder per patient with a DICOM series and an RTSTRUCT or DICOM SEG.

        Structures get their TG-263 names where the local name is a certain spelling of one; `names.csv` in the folder
        overrides that (see `HQCSegmentLib.naming`).

        Raises:
            InputError: if the folder is missing, of no known layout, or without cases, or its structures
                have no proper names and values, or the table of names cannot be read.
        """
        path = Path(path)
        if not path.is_dir():
            reason = "is a file; give its folder" if path.exists() else "does not exist"
            msg = f"the cohort folder {path} {reason}."
            raise InputError(msg)
        for layout in LAYOUTS:
            found = layout.find(path)
            if found is not None:
                return cls._from(path, found)
        known = "; ".join(layout.DESCRIPTION for layout in LAYOUTS)
        msg = f"{path} holds no cohort of a known layout. Known are: {known}."
        raise UnknownLayoutError(msg)

    @classmethod
    def _from(cls, path: Path, found: Found) -> Cohort:
        if not found.cases:
            msg = f"{path} looks like {found.layout}, but holds no cases."
            raise InputError(msg)
        names = [case.name for case in found.cases]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            msg = f"{path}: more than one image file for case {twice[0]}; keep one of them."
            raise InputError(msg)
        if not found.structures:
            msg = f"{path}: no structure is drawn in any of the {len(names)} cases."
            raise InputError(msg)
        for value, name in found.structures.items():
            if not 1 <= value <= MAX_VALUE or not name:
                msg = f"{path}: structure {name!r} has the value {value}; a name and 1 to {MAX_VALUE} are needed."
                raise InputError(msg)
            if list(found.structures.values()).count(name) > 1:
                msg = f"{path}: two label values have the name {name!r}; rename one."
                raise InputError(msg)
        named = rename(path, found)
        if not named.structures:
            msg = f"{path / TABLE} leaves out every structure; keep one."
            raise InputError(msg)
        protected, notes = without_identity(named.cases, found.notes)
        cases = tuple(sorted(protected, key=lambda case: case.name))
        local_names = tuple(found.structures.values())
        structures = dict(sorted(named.structures.items()))
        return cls(path, found.layout, cases, structures, local_names, notes, found.channels)

    def subset(self, names: Iterable[str]) -> Cohort:
        """The same cohort with only the named cases.

        Raises:
            InputError: for a name that is not there.
        """
        wanted = list(names)
        missing = sorted(set(wanted) - {case.name for case in self.cases})
        if missing:
            msg = f"{self.path}: no case named {missing[0]!r}."
            raise InputError(msg)
        return replace(self, cases=tuple(case for case in self.cases if case.name in set(wanted)))
