"""A file `cohort.json` that lists the cases: paths, patient group, and which structures were looked for in each."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from HQCSegmentLib.cohort.case import Case
from HQCSegmentLib.cohort.dicom_references import choose_series, references_of
from HQCSegmentLib.cohort.drawings import is_drawing, list_names
from HQCSegmentLib.cohort.layouts.found import Found, in_order_of_value, values_found
from HQCSegmentLib.cohort.preprocessing import ONLY_CHANNEL
from HQCSegmentLib.errors import InputError
from HQCSegmentLib.files import read_json
from HQCSegmentLib.imaging import Source
from HQCSegmentLib.imaging.dicom_folder import SeriesSummary, scan

DESCRIPTION = "a file cohort.json that lists the cases"

FILE_NAME = "cohort.json"


class ListedImage(BaseModel):
    """One image of a case; a path alone stands for one without further keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    path: str = Field(min_length=1, description="image file, or folder with a DICOM series")
    modality: Literal["CT", "MR", "PT"] | None = Field(default=None, description="which series of the folder")
    description: str | None = Field(
        default=None, min_length=1, description="which series of the folder, by its Series Description (0008,103E)"
    )

    @model_validator(mode="before")
    @classmethod
    def _path_alone(cls, content: Any) -> Any:
        return {"path": content} if isinstance(content, str) else content

    def __str__(self) -> str:
        words = [word for word in (self.modality, self.description and f"{self.description!r}") if word]
        return " ".join([*words, "series"])


class ListedCase(BaseModel):
    """One case of a `cohort.json`; paths are relative to the folder of that file."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    name: str = Field(min_length=1, description="alias, unique in the cohort; appears in reports, so no patient's name")
    image: tuple[ListedImage, ...] = Field(
        min_length=1, description="the image, or several of the same patient, in the order of `channels`"
    )
    label: str = Field(min_length=1, description="label map on the first image's grid, DICOM RTSTRUCT or DICOM SEG")
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

    @field_validator("image", mode="before")
    @classmethod
    def _one_image(cls, image: Any) -> Any:
        return [image] if isinstance(image, (str, dict)) else image


class ListedCohort(BaseModel):
    """Content of `cohort.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    schema_version: int = Field(default=1, ge=1, le=1, description="version of this format: 1")
    structures: dict[int, str] | None = Field(
        default=None,
        description="structure names by label value. By default the names in the DICOM files, or structure_1, ... for "
        "the values of label maps",
    )
    channels: tuple[str, ...] | None = Field(
        default=None, min_length=1, description="what the images of a case are, where there are several"
    )
    cases: tuple[ListedCase, ...] = Field(min_length=1, description="the cases")

    @field_validator("structures")
    @classmethod
    def _without_background(cls, structures: dict[int, str] | None) -> dict[int, str] | None:
        return structures and {value: name for value, name in structures.items() if value != 0}

    @model_validator(mode="after")
    def _known_channels(self) -> ListedCohort:
        for case in self.cases:
            if len(case.image) not in (1, len(self.channels or (ONLY_CHANNEL,))):
                named = f'"channels" names {len(self.channels)}' if self.channels else "their names are missing"
                msg = f'case {case.name} lists {len(case.image)} images, but {named}; give "channels": ["CT", "PT"]'
                raise ValueError(msg)
        return self

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
    channels = listed.channels or (ONLY_CHANNEL,)
    cases, notes = [], []
    for one in listed.cases:
        places, label = [path / image.path for image in one.image], path / one.label
        for part, place in (*(("image", place) for place in places), ("label", label)):
            if not place.exists():
                msg = f"case {one.name}: the {part} {place} that {file.name} lists does not exist."
                raise InputError(msg)
        sources: list[Source] = []
        for image, place in zip(one.image, places, strict=True):
            where = f"case {one.name}: {file.name}"
            there = _meant(image, series_of(place), where) if place.is_dir() else ()
            if sources:
                series = _further(there, sources, where) if place.is_dir() else None
            else:
                series, told = _drawn_on(label, there, one.name)
                notes += told
            sources.append(Source(place, series))
        cases.append(
            Case(
                one.name,
                sources[0].path,
                label,
                patient=one.patient or one.name,
                series=sources[0].series,
                others=tuple(sources[1:]),
                volumes=len(channels) if len(sources) == 1 else 1,
                present=None if one.structures is None else frozenset(one.structures),
            )
        )
    structures = listed.structures if listed.structures is not None else _structures(cases)
    return Found(FILE_NAME, cases, structures, tuple(notes), channels)


def _meant(image: ListedImage, there: Sequence[SeriesSummary], where: str) -> tuple[SeriesSummary, ...]:
    """Series of a folder that have the modality and description that are listed."""
    found = tuple(
        one for one in there if image.modality in (None, one.modality) and image.description in (None, one.description)
    )
    if there and not found:
        kinds = ", ".join(map(str, there))
        msg = f"{where} lists the {image} of a folder that has none ({kinds} there)."
        raise InputError(msg)
    return found


def _drawn_on(label: Path, there: Sequence[SeriesSummary], name: str) -> tuple[SeriesSummary | None, list[str]]:
    """Series of the first channel, and a note on the choice; None: the largest of the folder."""
    if not there or not is_drawing(label):
        return there[0] if len(there) == 1 else None, []
    choice = choose_series(references_of(label), there, where=f"case {name}: {label.name}")
    if choice is None:
        return None, []
    told = f"{name}: {label.name} is read on the {choice[0]}, chosen because it refers to {choice[1]}."
    return choice[0], [told] if len(there) > 1 else []


def _further(there: Sequence[SeriesSummary], before: Sequence[Source], where: str) -> SeriesSummary:
    """The one series of a folder that is not a channel already; of several, the one in the first one's coordinates."""
    left = [one for one in there if one not in [source.series for source in before]]
    first = before[0].series
    if len(left) > 1 and first is not None:
        left = [one for one in left if one.frame_of_reference_uid == first.frame_of_reference_uid]
    if len(left) != 1:
        kinds = ", ".join(map(str, there)) or "none"
        msg = (
            f"{where} lists a folder in which the series of a further channel cannot be told ({kinds} there); give its "
            '"modality" or "description", as in {"path": "a", "modality": "PT"}.'
        )
        raise InputError(msg)
    return left[0]


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
