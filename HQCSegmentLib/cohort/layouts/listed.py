"""A file `cohort.json` that lists the cases: paths, patient group, and which structures were looked for in each."""

from __future__ import annotations

import functools
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from HQCSegmentLib.cohort.case import Case
from HQCSegmentLib.cohort.dicom_references import choose_series, references_of
from HQCSegmentLib.cohort.drawings import is_drawing, list_names
from HQCSegmentLib.cohort.layouts.found import Found, in_order_of_value, read_json, values_found
from HQCSegmentLib.errors import InputError
from HQCSegmentLib.imaging.dicom_folder import SeriesSummary, scan

DESCRIPTION = "a file cohort.json that lists the cases"

FILE_NAME = "cohort.json"


class ListedCase(BaseModel):
    """One case of a `cohort.json`; paths are relative to the folder of that file."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    name: str = Field(min_length=1, description="alias, unique in the cohort; appears in reports, so no patient's name")
    image: str = Field(min_length=1, description="image file, or folder with a DICOM series")
    label: str = Field(min_length=1, description="label map file on the image's grid, DICOM RTSTRUCT or DICOM SEG")
    patient: str | None = Field(
        default=None,
        min_length=1,
        description="cases with the same value are never divided between training and held-out; by default the name",
    )
    structures: tuple[str, ...] | None = Field(
        default=None,
        description="names of the structures that were looked for in this case, drawn or found to be absent; all "
        "others are unknown there. By default all, or those that a DICOM file has contours of",
    )


class ListedCohort(BaseModel):
    """Content of `cohort.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    schema_version: int = Field(default=1, ge=1, le=1, description="version of this format: 1")
    structures: dict[int, str] | None = Field(
        default=None,
        description="structure names by label value. By default the names in the DICOM files, or structure_1, ... for "
        "the values of label maps",
    )
    cases: tuple[ListedCase, ...] = Field(min_length=1, description="the cases")

    @field_validator("structures")
    @classmethod
    def _without_background(cls, structures: dict[int, str] | None) -> dict[int, str] | None:
        return structures and {value: name for value, name in structures.items() if value != 0}

    @model_validator(mode="after")
    def _known_structures(self) -> ListedCohort:
        if self.structures is not None:
            for case in self.cases:
                unknown = sorted(set(case.structures or ()) - set(self.structures.values()))
                if unknown:
                    msg = f"case {case.name} lists {unknown[0]!r}, which is not among the structures of the cohort"
                    raise ValueError(msg)
        return self


def find(path: Path) -> Found | None:
    """Cases and structures, or None if the folder has no `cohort.json`.

    Raises:
        InputError: if the file cannot be read, breaks the format, or names an image or label that does not exist.
    """
    file = path / FILE_NAME
    if not file.is_file():
        return None
    listed = read(file)
    series_of = functools.cache(lambda folder: scan(folder).series)
    cases, notes = [], []
    for one in listed.cases:
        image, label = path / one.image, path / one.label
        for part, place in (("image", image), ("label", label)):
            if not place.exists():
                msg = f"case {one.name}: the {part} {place} that {file.name} lists does not exist."
                raise InputError(msg)
        series = None
        if image.is_dir() and is_drawing(label):
            there: tuple[SeriesSummary, ...] = series_of(image)
            choice = choose_series(references_of(label), there, where=f"case {one.name}: {label.name}")
            if choice is not None and len(there) > 1:
                notes.append(
                    f"{one.name}: {label.name} is read on the {choice[0]}, chosen because it refers to {choice[1]}."
                )
            series = None if choice is None else choice[0]
        present = None if one.structures is None else frozenset(one.structures)
        cases.append(Case(one.name, image, label, patient=one.patient or one.name, series=series, present=present))
    structures = listed.structures if listed.structures is not None else _structures(cases)
    return Found(FILE_NAME, cases, structures, tuple(notes))


def read(file: Path) -> ListedCohort:
    """Read and validate a `cohort.json`.

    Raises:
        InputError: naming the first place that breaks the format.
    """
    try:
        return ListedCohort.model_validate(read_json(file))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        reason = first["msg"].removeprefix("Value error, ")
        msg = f"{file}: {f'{where}: ' if where else ''}{reason}; the format is described in Docs/file_formats.md."
        raise InputError(msg) from error


def _structures(cases: list[Case]) -> dict[int, str]:
    """Names in DICOM files, or values of label maps, where the file gives none."""
    drawings = [case for case in cases if is_drawing(case.label)]
    if not drawings:
        return values_found(cases)
    if len(drawings) < len(cases):
        msg = (
            f"{FILE_NAME} lists both label maps and DICOM files, so that values and names must be given: "
            '"structures": {"1": "Liver", ...}.'
        )
        raise InputError(msg)
    return in_order_of_value(name for case in drawings for name in list_names(case.label))
