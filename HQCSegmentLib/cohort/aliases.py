"""Names of cases that say nothing of the patient: folders that are named after one get a salted hash instead."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from HQCSegmentLib.cohort.case import Case
from HQCSegmentLib.imaging.dicom_folder import read_tags

HASHED = "case-"
"""Beginning of an alias that stands in for a patient's name or number."""

SHORTEST_NUMBER = 5
"""A patient ID of digits alone is a hospital's number from this length on; shorter ones are aliases like 007."""

_TAGS = ["PatientName", "PatientID", "PatientBirthDate", "StudyInstanceUID", "SOPInstanceUID"]


def without_identity(cases: Sequence[Case], notes: Sequence[str] = ()) -> tuple[tuple[Case, ...], tuple[str, ...]]:
    """Cases and notes with names that identify a patient replaced by hashes, and a note on each that was.

    A name identifies when it holds the family and given name, the birth date, or the hospital's number that the DICOM
    headers of the case have. The hash is salted with the headers' unique identifiers: who knows the name alone cannot
    find the case, and the same files always give the same alias.

    Args:
        cases: As a layout found them.
        notes: Sentences that may hold names of cases.
    """
    result, told = [], list(notes)
    for number, case in enumerate(sorted(cases, key=lambda one: one.name), start=1):
        alias = _alias(case)
        if alias is None:
            result.append(case)
            continue
        told = [note.replace(case.name, alias) for note in told]
        told.append(f"{alias}: folder {number} of {len(cases)} is named after the patient, so a hash stands for it.")
        patient = alias if case.patient == case.name else case.patient
        result.append(replace(case, name=alias, patient=patient))
    return tuple(result), tuple(told)


def without_folder(text: str, case: Case) -> str:
    """A sentence about a case, without the name of the patient's folder where an alias stands for it."""
    return text.replace(case.image.name, case.name) if case.name.startswith(HASHED) else text


def alias_of(secret: str) -> str:
    """Name for a patient that is known by identifiers only, which nobody can find by the patient's number alone.

    Args:
        secret: With unique identifiers of the patient's files in it.
    """
    return HASHED + hashlib.sha256(secret.encode()).hexdigest()[:8]


def _alias(case: Case) -> str | None:
    """Hash in place of the name of a case that identifies its patient; None where the name may stay."""
    header = next((found for file in _files(case) if (found := read_tags(file, _TAGS)) is not None), None)
    if header is None:
        return None
    name = _letters(case.name)
    parts = [_letters(part) for part in re.split(r"[\^ =,]+", str(header.get("PatientName") or ""))]
    given_and_family = [part for part in parts if len(part) > 1][:2]
    number, birth = (str(header.get(tag) or "").strip() for tag in ("PatientID", "PatientBirthDate"))
    is_named = len(given_and_family) == 2 and all(part in name for part in given_and_family)
    is_numbered = number.isdigit() and len(number) >= SHORTEST_NUMBER and number in name
    if not (is_named or is_numbered or (len(birth) == 8 and birth in name)):
        return None
    salt = f"{header.get('StudyInstanceUID', '')} {header.get('SOPInstanceUID', '')}"
    return alias_of(f"{salt} {case.name}")


def _files(case: Case) -> list[Path]:
    """A DICOM file or two of the case."""
    images = list(case.series.files[:1]) if case.series is not None else []
    return [file for file in (case.label, *images) if file.is_file()]


def _letters(text: str) -> str:
    """Letters and digits in lower case."""
    return re.sub(r"[\W_]", "", text.casefold())
