"""Patients as DICOM: image series with RTSTRUCT or DICOM SEG, in a folder for each patient or all in one.

Files may have any names. A folder may hold several series and several structure sets: which belong together is read
from what the structure sets refer to. Each series with contours of its own is a case; cases of one patient are never
divided between training and held-out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from HQCSegmentLib.cohort.aliases import alias_of
from HQCSegmentLib.cohort.case import Case
from HQCSegmentLib.cohort.dicom_references import choose_series, references_of
from HQCSegmentLib.cohort.drawings import drawn_names, list_names
from HQCSegmentLib.cohort.layouts.found import Found, in_order_of_value
from HQCSegmentLib.errors import InputError
from HQCSegmentLib.imaging.dicom_folder import IMAGE_MODALITIES, DicomFolder, SeriesSummary, read_tags, scan

DESCRIPTION = (
    "one folder per patient with a DICOM image series and an RTSTRUCT or DICOM SEG, or all of them in one folder"
)

APPROVED = "APPROVED"
"""Approval Status (300E,0002) of a structure set that somebody has signed."""


@dataclass(frozen=True)
class Patient:
    """DICOM objects of one patient.

    Attributes:
        name: The folder's, or an alias where several patients share a folder.
        folder: Where the files are.
        content: The objects.
    """

    name: str
    folder: Path
    content: DicomFolder


@dataclass(frozen=True)
class Pair:
    """Structure sets and DICOM SEG files, and the series that they were drawn on.

    Attributes:
        drawings: Files with contours that are read together.
        series: None where they refer to nothing that is there.
        way: By what the series was chosen, in words.
        passed_over: Files with contours of the same images that are not used.
        fault: Why it cannot be told which contours are meant; empty where it can.
    """

    drawings: tuple[Path, ...]
    series: SeriesSummary | None
    way: str = ""
    passed_over: tuple[Path, ...] = ()
    fault: str = ""


def find(path: Path) -> Found | None:
    """Cases and structures, or None if the folder is laid out in another way."""
    patients, notes = _patients(path)
    if not patients:
        return None
    pairs = {patient: pair_up(patient) for patient in patients}
    modality = _usual_modality(pairs.values())
    cases = []
    for patient, found in pairs.items():
        chosen = [pair for pair in found if pair.series is None or pair.series.modality == modality]
        if not chosen:
            notes.append(f"{patient.name}: contours are drawn on no {modality} series as in the other cases; left out.")
        for number, pair in enumerate(chosen, start=1):
            name = patient.name if len(chosen) == 1 else f"{patient.name}_{number}"
            first, *further = pair.drawings
            cases.append(
                Case(
                    name,
                    patient.folder,
                    first,
                    patient=patient.name,
                    series=pair.series,
                    further_labels=tuple(further),
                    fault=pair.fault,
                )
            )
            notes += _what_was_chosen(name, pair, patient.content)
    usable = [case for case in cases if not case.fault] or cases
    names = {name for case in usable for file in case.labels for name in list_names(file)}
    return Found("DICOM patients", cases, in_order_of_value(names), tuple(notes))


def _patients(path: Path) -> tuple[list[Patient], list[str]]:
    """Patients with contours, by folder where each folder has its own; and what is to be said of that."""
    scanned = {
        folder: scan(folder) for folder in sorted(path.iterdir()) if folder.is_dir() and not folder.name.startswith(".")
    }
    drawn = [Patient(folder.name, folder, content) for folder, content in scanned.items() if content.drawings]
    if any(patient.content.series for patient in drawn):
        return drawn, []
    # Files without folders, or images and structure sets in folders of their own.
    content = scan(path)
    if not content.drawings or not content.series:
        return drawn, []
    groups = _by_patient(content)
    if len(groups) == 1:
        return [Patient(path.name, path, content)], []
    patients = [Patient(alias_of(" ".join(key)), path, part) for key, part in groups.items() if part.drawings]
    note = (
        f"{path.name} holds files of {len(groups)} patients, told apart by their Patient ID; a hash stands for each "
        f"({len(patients)} with contours)."
    )
    return patients, [note]


def _by_patient(content: DicomFolder) -> dict[tuple[str, str], DicomFolder]:
    """Contents by patient: Patient ID, or Study Instance UID where it is empty, and a UID that is always the same."""
    keys: dict[Path, tuple[str, str]] = {}
    for file in (*content.drawings, *(series.files[0] for series in content.series)):
        header = read_tags(file, ["PatientID", "StudyInstanceUID"])
        study = "" if header is None else str(header.get("StudyInstanceUID") or "")
        number = "" if header is None else str(header.get("PatientID") or "").strip()
        keys[file] = (number, study) if number else ("", study)
    # The smallest study of a patient salts the alias; studies of one patient stay together.
    salts: dict[str, str] = {}
    for number, study in sorted(keys.values()):
        salts.setdefault(number or study, study)
    groups: dict[tuple[str, str], DicomFolder] = {}
    for number, study in sorted(set(keys.values())):
        identity = number or study
        groups[identity, salts[identity]] = DicomFolder(
            tuple(one for one in content.series if _is_of(keys[one.files[0]], identity)),
            tuple(file for file in content.structure_sets if _is_of(keys[file], identity)),
            tuple(file for file in content.segmentations if _is_of(keys[file], identity)),
        )
    return groups


def _is_of(key: tuple[str, str], identity: str) -> bool:
    number, study = key
    return (number or study) == identity


def pair_up(patient: Patient) -> list[Pair]:
    """Join the structure sets and DICOM SEG files of a patient with the series that each was drawn on.

    Several on one series are read together where none of their drawn structures has the name of another's, as with one
    DICOM SEG for each organ. Else the only approved one counts. Otherwise nothing tells which is meant: neither name
    nor date may decide.

    Returns:
        One pair a series, in order of the drawings' names. Drawings that refer to no series are left out, unless there
        is no other: then reading the case says what is wrong with its references.
    """
    content = patient.content
    drawings: dict[str, list[Path]] = {}
    chosen: dict[str, tuple[SeriesSummary, str]] = {}
    stray, faults = [], []
    for drawing in content.drawings:
        try:
            choice = choose_series(references_of(drawing), content.series, where=f"case {patient.name}: {drawing.name}")
        except InputError as error:
            faults.append(Pair((drawing,), None, fault=str(error)))
            continue
        if choice is None:
            stray.append(drawing)
            continue
        chosen.setdefault(choice[0].uid, choice)
        drawings.setdefault(choice[0].uid, []).append(drawing)
    pairs = [_choose(patient, drawings[uid], *chosen[uid]) for uid in drawings]
    if not pairs and not faults and stray:
        pairs = [_choose(patient, stray, None, "")]
    # A file that refers to several series says nothing where another refers to one.
    return sorted(pairs or faults, key=lambda pair: pair.drawings[0])


def _choose(patient: Patient, drawings: Sequence[Path], series: SeriesSummary | None, way: str) -> Pair:
    """What is read of several drawings of the same images."""
    names = [name for drawing in drawings for name in drawn_names(drawing)] if len(drawings) > 1 else []
    if len(names) == len(set(names)):
        return Pair(tuple(drawings), series, way)
    approved = [drawing for drawing in drawings if _is_approved(drawing)]
    if len(approved) == 1:
        others = tuple(drawing for drawing in drawings if drawing != approved[0])
        return Pair((approved[0],), series, way, others)
    twice = next(name for name in names if names.count(name) > 1)
    files = ", ".join(str(drawing.relative_to(patient.folder)) for drawing in drawings)
    fault = (
        f"case {patient.name}: {len(drawings)} files with contours ({files}) belong to the same images and draw "
        f"{twice!r} more than once, and not exactly one of them is approved; keep one, or say which to use in a "
        "cohort.json."
    )
    return Pair(tuple(drawings), series, way, fault=fault)


def _is_approved(drawing: Path) -> bool:
    header = read_tags(drawing, ["ApprovalStatus"])
    return header is not None and header.get("ApprovalStatus") == APPROVED


def _usual_modality(pairs: Iterable[Sequence[Pair]]) -> str:
    """Modality that most patients have contours on; the first of IMAGE_MODALITIES where several have as many."""
    count = Counter(
        modality for found in pairs for modality in {pair.series.modality for pair in found if pair.series is not None}
    )
    return max(IMAGE_MODALITIES, key=lambda modality: count[modality])


def _what_was_chosen(name: str, pair: Pair, content: DicomFolder) -> list[str]:
    """Sentence on the choice, where there was one."""
    if pair.series is None or pair.fault or len(content.series) + len(content.drawings) <= 2:
        return []
    used = " and ".join(drawing.name for drawing in pair.drawings)
    verb = "is" if len(pair.drawings) == 1 else "are"
    refers = "it refers" if len(pair.drawings) == 1 else "they refer"
    told = f"{name}: {used} {verb} read on the {pair.series}, chosen because {refers} to {pair.way}"
    if pair.passed_over:
        told += ", and of several on the same images it is the only approved one"
    passed_over = [str(series) for series in content.series if series.uid != pair.series.uid]
    passed_over += [drawing.name for drawing in content.drawings if drawing not in pair.drawings]
    return [f"{told}; not used for this case: {', '.join(passed_over)}." if passed_over else f"{told}."]
