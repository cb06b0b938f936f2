"""Which predictions and references belong together, and reading them on one grid."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from HQCSegmentLib.cohort.case import Case
from HQCSegmentLib.cohort.cohort import Cohort, UnknownLayoutError
from HQCSegmentLib.cohort.drawings import drawn_in, is_drawing, list_names
from HQCSegmentLib.cohort.rasterize import Box
from HQCSegmentLib.cohort.value_names import NAMES_FILE, read_value_names, value_names
from HQCSegmentLib.errors import InputError
from HQCSegmentLib.files import read_json
from HQCSegmentLib.imaging import GRID_TOLERANCE_VOXELS, Grid, Image, read_label_map
from HQCSegmentLib.imaging.image_files import image_stem, image_suffix
from HQCSegmentLib.naming import structure_for

SHOWN = 3
"""Names of cases in a message."""

DICOM_SUFFIXES = (".rtstruct.dcm", ".seg.dcm", ".dcm")
"""What is taken from the name of a structure set or DICOM SEG to get the name of its case."""


@dataclass(frozen=True, eq=False)
class Drawing:
    """Structures of one case from one file.

    Attributes:
        boxes: Voxels of each structure that has some.
        listed: All structures that were looked for, with voxels or without.
        is_open: Also everything else was looked for, and is empty: a label map that nothing is known about.
    """

    boxes: dict[str, Box]
    listed: frozenset[str]
    is_open: bool = False


@dataclass(frozen=True, eq=False)
class CasePair:
    """Prediction and reference of one case on one grid.

    Attributes:
        name: Alias of the case.
        grid: Of both.
        image: What they were drawn on, where the references come with images.
        prediction: What is judged.
        reference: What it is judged by; a structure that is not listed was not looked for.
    """

    name: str
    grid: Grid
    image: Image | None
    prediction: Drawing
    reference: Drawing

    def masks(self, structure: str) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
        """Prediction and reference of one structure, (i, j, k) of the smallest box that holds both."""
        boxes = [drawing.boxes.get(structure) for drawing in (self.prediction, self.reference)]
        there = [box for box in boxes if box is not None]
        if not there:
            empty = np.zeros((1, 1, 1), bool)
            return empty, empty
        first = np.min([box.start for box in there], axis=0)
        last = np.max([np.add(box.start, box.mask.shape) for box in there], axis=0)
        masks = []
        for box in boxes:
            mask = np.zeros(last - first, bool)
            if box is not None:
                mask[tuple(slice(a, a + n) for a, n in zip(box.start - first, box.mask.shape, strict=True))] = box.mask
            masks.append(mask)
        return masks[0], masks[1]


@dataclass(frozen=True)
class _Names:
    """Names of the values of a folder's label maps; open: others may occur (see `Drawing.is_open`)."""

    by_value: Mapping[int, str]
    is_open: bool


@dataclass(frozen=True)
class Pairing:
    """Cases of two folders, to be read one after the other.

    Attributes:
        readers: Reads a case, by name.
        notes: Sentences on what was chosen or taken for granted.
    """

    readers: Mapping[str, Callable[[], CasePair]]
    notes: tuple[str, ...] = field(default=())


def pair_folders(
    predictions: Path, references: Path, *, names: Mapping[int, str] | None = None, only_predicted: bool = False
) -> Pairing:
    """Find the cases of two folders.

    Args:
        predictions: Folder of label maps, RT Structure Sets and DICOM SEG files, named after their cases.
        references: The same, or any cohort: patients with DICOM series and structure sets, images and labels, ...
        names: Structure names by value of the label maps; else `labels.json` in the folder says them.
        only_predicted: Leave out references without a prediction, with a note, instead of refusing.

    Raises:
        InputError: if a folder is missing or holds nothing, a case has no prediction, or has two.
    """
    for folder in (predictions, references):
        if not folder.is_dir():
            msg = f"the folder {folder} does not exist."
            raise InputError(msg)
    files = _files_by_case(predictions)
    notes: list[str] = []
    local = _names_beside(predictions)
    try:
        cohort = Cohort.open(references)
    except UnknownLayoutError:
        return _from_files(files, predictions, references, names or {}, local, only_predicted)
    if names is None and local is None and any(image_suffix(path) for path in files.values()):
        notes.append(
            "The predictions come without names: their values are taken to mean the same structures as those of the "
            f"references ({', '.join(f'{value} {name}' for value, name in cohort.structures.items())})."
        )
    prediction_names = _Names(names or local or cohort.structures, is_open=False)
    readers = {}
    missing = []
    for case in cohort.cases:
        file = next((files[name] for name in (case.name, _plain_stem(case.image)) if name in files), None)
        if file is None:
            missing.append(case.name)
            continue
        readers[case.name] = _cohort_reader(case, cohort, file, prediction_names)
    notes += _about_missing(missing, len(cohort.cases), predictions, files, only_predicted)
    return Pairing(readers, (*notes, *cohort.notes))


def names_from(path: Path) -> dict[int, str]:
    """Structure names by value from a JSON file {"1": "Liver"} or from a model bundle.

    Raises:
        InputError: if the file is neither.
    """
    file = path / "bundle.json" if path.is_dir() else path
    content = read_json(file)
    labels = content.get("labels") if isinstance(content, dict) else None
    if not isinstance(labels, list):
        return value_names(content, file)
    try:
        return {int(label["value"]): str(label["name"]) for label in labels}
    except (KeyError, TypeError, ValueError) as error:
        msg = f'{file} says no names of structures; it must be a model bundle, or JSON like {{"1": "Liver"}}.'
        raise InputError(msg) from error


def _from_files(
    files: Mapping[str, Path],
    predictions: Path,
    references: Path,
    names: Mapping[int, str],
    local: Mapping[int, str] | None,
    only_predicted: bool,
) -> Pairing:
    """Pair two plain folders."""
    wanted = _files_by_case(references)
    if not wanted:
        msg = f"{references} holds no label maps, structure sets or DICOM SEG files, and is no cohort."
        raise InputError(msg)
    missing = [case for case in wanted if case not in files]
    notes = _about_missing(missing, len(wanted), predictions, files, only_predicted)
    theirs = _names_beside(references)
    judged = _Names(names or local or theirs or {}, is_open=not names and local is None)
    known = _Names(names or theirs or local or {}, is_open=theirs is None)
    readers = {
        case: _file_reader(case, files[case], path, judged, known) for case, path in wanted.items() if case in files
    }
    return Pairing(readers, tuple(notes))


def _cohort_reader(case: Case, cohort: Cohort, file: Path, names: _Names) -> Callable[[], CasePair]:
    def read() -> CasePair:
        image = case.read_image()
        if is_drawing(case.label):
            parts = [_read_drawing(file, image, renamed=case.renamed) for file in case.labels]
            reference = _as_reference({name: box for part in parts for name, box in part.boxes.items()})
        else:
            labelled = case.read(cohort.structures)
            known = {value: name for value, name in cohort.structures.items() if value in labelled.known}
            reference = _from_label_map(labelled.label, known, is_open=False)
        return CasePair(case.name, image.grid, image, _read(file, image, names, case.name), reference)

    return read


def _file_reader(case: str, prediction: Path, reference: Path, judged: _Names, known: _Names) -> Callable[[], CasePair]:
    def read() -> CasePair:
        label_map = next((path for path in (reference, prediction) if image_suffix(path)), None)
        if label_map is None:
            msg = (
                f"case {case}: {prediction} and {reference} are both contours, and no image says which voxels they are "
                "on; give references with their DICOM series, or label maps."
            )
            raise InputError(msg)
        grid_image = read_label_map(label_map, name=f"case {case}")
        found = _read(reference, grid_image, known, case)
        if image_suffix(reference) is None:
            found = _as_reference(found.boxes)
        return CasePair(case, grid_image.grid, None, _read(prediction, grid_image, judged, case), found)

    return read


def _as_reference(boxes: dict[str, Box]) -> Drawing:
    """Contours to judge by: a region that is listed without contours was not drawn, which is not the same as empty."""
    return Drawing(boxes, frozenset(boxes))


def _read(path: Path, image: Image, names: _Names, case: str) -> Drawing:
    """Structures of a file on the grid of an image."""
    if image_suffix(path) is None:
        return _read_drawing(path, image, renamed={})
    label_map = read_label_map(path, name=f"case {case}")
    if label_map.grid.difference(image.grid) > GRID_TOLERANCE_VOXELS:
        msg = f"case {case}: {path} and its reference are not on the same grid; resample one of them."
        raise InputError(msg)
    return _from_label_map(label_map.array, names.by_value, is_open=names.is_open)


def _read_drawing(path: Path, image: Image, *, renamed: Mapping[str, str]) -> Drawing:
    listed = {name: _certain_name(renamed.get(name, name)) for name in list_names(path)}
    wanted = [name for name, meant in listed.items() if meant != "-"]
    boxes = {listed[drawn.name]: drawn.box for drawn in drawn_in(path, image, names=wanted)}
    return Drawing(boxes, frozenset(listed[name] for name in wanted))


def _from_label_map(array: npt.NDArray, names: Mapping[int, str], *, is_open: bool) -> Drawing:
    from scipy.ndimage import find_objects

    boxes = {}
    for value, place in enumerate(find_objects(array.astype(np.int32, copy=False)), start=1):
        if place is not None:
            i, j, k = (one.start for one in place)
            boxes[_value_name(value, names)] = Box((i, j, k), array[place] == value)
    return Drawing(boxes, frozenset({*boxes, *(_value_name(value, names) for value in names)}), is_open)


def _value_name(value: int, names: Mapping[int, str]) -> str:
    return _certain_name(names[value]) if value in names else f"structure_{value}"


def _certain_name(name: str) -> str:
    """TG-263 name where it is certain, so that differently spelt files meet."""
    return structure_for(name, 1).name if name.strip() else name


def _files_by_case(folder: Path) -> dict[str, Path]:
    """Label map, structure set or DICOM SEG of each case; of several kinds the label map."""
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir():
            inside = [file for file in sorted(path.rglob("*")) if file.is_file() and is_drawing(file)]
            found.setdefault(path.name, []).extend(inside)
        elif image_suffix(path) is not None or is_drawing(path):
            found.setdefault(_plain_stem(path), []).append(path)
    return {case: _one_of(case, paths, folder) for case, paths in found.items() if paths}


def _one_of(case: str, paths: list[Path], folder: Path) -> Path:
    label_maps = [path for path in paths if image_suffix(path) is not None]
    best = label_maps or [path for path in paths if path.name.endswith(".rtstruct.dcm")] or paths
    if len(best) > 1:
        names = ", ".join(path.name for path in best)
        msg = f"case {case}: {folder} holds more than one file ({names}); keep one of them."
        raise InputError(msg)
    return best[0]


def _plain_stem(path: Path) -> str:
    """Name of the case that a file or folder is named after."""
    if image_suffix(path) is not None:
        return image_stem(path)
    suffix = next((one for one in DICOM_SUFFIXES if path.name.lower().endswith(one)), "")
    return path.name[: -len(suffix) or None]


def _names_beside(folder: Path) -> dict[int, str] | None:
    file = folder / NAMES_FILE
    return read_value_names(file) if file.is_file() else None


def _about_missing(
    missing: Iterable[str], of: int, predictions: Path, files: Collection[str], only_predicted: bool
) -> list[str]:
    """A note on references without a prediction, where they may be left out.

    Raises:
        InputError: where they may not, or there is nothing else.
    """
    names = sorted(missing)
    if not names:
        return []
    if only_predicted and len(names) < of:
        return [f"{len(names)} of {of} references have no prediction and are left out: {', '.join(names)}."]
    if len(names) == of and files:
        msg = (
            f"{predictions} holds a prediction of none of the {of} references ({_some(names)}), but of {_some(files)}; "
            "name the files after the cases."
        )
        raise InputError(msg)
    hint = "" if len(names) == of else "; --only-predicted leaves them out"
    msg = f"case {names[0]}: {predictions} holds no prediction ({len(names)} of {of} are missing{hint})."
    raise InputError(msg)


def _some(names: Collection[str]) -> str:
    """The first names of a list."""
    first = sorted(names)[:SHOWN]
    return ", ".join(first) + (", ..." if len(names) > SHOWN else "")
