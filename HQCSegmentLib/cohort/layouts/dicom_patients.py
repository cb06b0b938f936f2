"""One folder per patient, with DICOM image series and an RTSTRUCT or DICOM SEG; files may have any names.

A folder may hold several series and several structure sets: which belong together is read from what the structure sets
refer to. Each series with its own structure set is a case; cases of one patient are never divided between training and
held-out.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from HQCSegmentLib.cohort.case import Case
from HQCSegmentLib.cohort.dicom_references import choose_series, references_of
from HQCSegmentLib.cohort.drawings import list_names
from HQCSegmentLib.cohort.layouts.found import Found, in_order_of_value
from HQCSegmentLib.errors import InputError
from HQCSegmentLib.imaging.dicom_folder import IMAGE_MODALITIES, DicomFolder, SeriesSummary, scan

DESCRIPTION = "one folder per patient with a DICOM image series and an RTSTRUCT or DICOM SEG"


@dataclass(frozen=True)
class Pair:
    """A structure set or DICOM SEG and the series that it was drawn on.

    Attributes:
        drawing: File of the structure set or DICOM SEG.
        series: None where it refers to nothing that is there.
        way: By what the series was chosen, in words.
    """

    drawing: Path
    series: SeriesSummary | None
    way: str


def find(path: Path) -> Found | None:
    """Cases and structures, or None if the folder is laid out in another way."""
    scanned = {
        folder: scan(folder) for folder in sorted(path.iterdir()) if folder.is_dir() and not folder.name.startswith(".")
    }
    drawn = {folder: content for folder, content in scanned.items() if content.drawings}
    if not any(content.series for content in drawn.values()) and any(content.series for content in scanned.values()):
        # Images and structure sets in folders of their own: this is the folder of a single patient.
        content = scan(path)
        drawn = {path: content} if content.drawings else {}
    if not drawn:
        return None
    pairs = {folder: pair_up(folder, content) for folder, content in drawn.items()}
    modality = _usual_modality(pairs)
    cases, notes = [], []
    for folder, found in pairs.items():
        chosen = [pair for pair in found if pair.series is None or pair.series.modality == modality]
        if not chosen:
            notes.append(f"{folder.name}: contours are drawn on no {modality} series as in the other cases; left out.")
        for number, pair in enumerate(chosen, start=1):
            name = folder.name if len(chosen) == 1 else f"{folder.name}_{number}"
            cases.append(Case(name, folder, pair.drawing, patient=folder.name, series=pair.series))
            notes += _what_was_chosen(name, pair, drawn[folder])
    names = {name for case in cases for name in list_names(case.label)}
    return Found("DICOM patients", cases, in_order_of_value(names), tuple(notes))


def pair_up(folder: Path, content: DicomFolder) -> list[Pair]:
    """Join the structure sets and DICOM SEG files of a patient with the series that each was drawn on.

    Args:
        folder: Of the patient, for the messages.
        content: What is in it.

    Returns:
        One pair a series, in order of the drawings' names. Drawings that refer to no series of the folder are left
        out, unless there is no other: then reading the case says what is wrong with its references.

    Raises:
        InputError: if several were drawn on one series, or one refers to several.
    """
    pairs: dict[str, Pair] = {}
    stray = []
    for drawing in content.drawings:
        where = f"case {folder.name}: {drawing.name}"
        choice = choose_series(references_of(drawing), content.series, where=where)
        if choice is None:
            stray.append(drawing)
            continue
        series, way = choice
        if series.uid in pairs:
            others = [pairs[series.uid].drawing, drawing]
            raise InputError(_too_many(folder, content, others))
        pairs[series.uid] = Pair(drawing, series, way)
    if not pairs and len(stray) > 1:
        raise InputError(_too_many(folder, content, stray))
    if not pairs:
        return [Pair(drawing, None, "") for drawing in stray]
    return sorted(pairs.values(), key=lambda pair: pair.drawing)


def _too_many(folder: Path, content: DicomFolder, drawings: list[Path]) -> str:
    kinds = {
        (True, False): "structure sets",
        (False, True): "DICOM SEG files",
    }
    kind = kinds.get((bool(content.structure_sets), bool(content.segmentations)), "structure sets and DICOM SEG files")
    names = ", ".join(str(drawing.relative_to(folder)) for drawing in drawings)
    return (
        f"case {folder.name}: {folder} holds {len(content.drawings)} {kind}, of which {len(drawings)} ({names}) belong "
        "to the same images; keep one of them, or say which to use in a cohort.json."
    )


def _usual_modality(pairs: dict[Path, list[Pair]]) -> str:
    """Modality that most patients have contours on; the first of IMAGE_MODALITIES where several have as many."""
    count = Counter(
        modality
        for found in pairs.values()
        for modality in {pair.series.modality for pair in found if pair.series is not None}
    )
    return max(IMAGE_MODALITIES, key=lambda modality: count[modality])


def _what_was_chosen(name: str, pair: Pair, content: DicomFolder) -> list[str]:
    """Sentence on the choice, where there was one."""
    if pair.series is None or len(content.series) + len(content.drawings) <= 2:
        return []
    passed_over = [str(series) for series in content.series if series.uid != pair.series.uid]
    passed_over += [drawing.name for drawing in content.drawings if drawing != pair.drawing]
    return [
        f"{name}: {pair.drawing.name} is read on the {pair.series}, chosen because it refers to {pair.way}; not used "
        f"for this case: {', '.join(passed_over)}."
    ]
