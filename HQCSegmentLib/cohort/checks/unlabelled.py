"""Folders of images without contours: no cohort, but each image is read and what is wrong with it said."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from HQCSegmentLib.cohort.checks.finding import Finding, unexpected
from HQCSegmentLib.errors import InputError
from HQCSegmentLib.imaging import Image, read_image
from HQCSegmentLib.imaging.dicom_folder import SeriesSummary, scan
from HQCSegmentLib.imaging.dicom_series import read_series
from HQCSegmentLib.imaging.image_files import image_stem, image_suffix


@dataclass(frozen=True)
class LooseImage:
    """An image that belongs to no cohort.

    Attributes:
        name: Its place in the folder.
        read: Reads it, or raises InputError.
    """

    name: str
    read: Callable[[], Image]


def loose_images(folder: Path) -> list[LooseImage]:
    """Image files and DICOM series of a folder and its subfolders, in order of name."""
    folder = Path(folder)
    found: dict[str, Callable[[], Image]] = {}
    for file in sorted(folder.rglob("*")):
        if file.is_file() and image_suffix(file) and not file.name.startswith("."):
            name = file.relative_to(folder).with_name(image_stem(file)).as_posix()
            found[name] = _file_reader(file, name)
    for one in (part for series in scan(folder).series for part in _copies(series)):
        place = one.files[0].parent.relative_to(folder).as_posix()
        name = one.modality if place == "." else place
        number = sum(other == name or other.startswith(f"{name} (series ") for other in found)
        name = f"{name} (series {number + 1})" if number else name
        found[name] = _series_reader(folder, name, one)
    return [LooseImage(name, found[name]) for name in sorted(found)]


def check_images(images: list[LooseImage], *, read: Callable[[str, Image], None] | None = None) -> list[Finding]:
    """What is wrong with each image; a readable one lacks contours.

    Args:
        images: What to look at.
        read: Called with the name and the voxels of each readable one.
    """
    findings = []
    for one in images:
        try:
            image = one.read()
        except InputError as error:
            findings.append(Finding(one.name, "", "error", error.code, str(error)))
            continue
        except Exception as error:
            findings.append(unexpected(one.name, error))
            continue
        if read is not None:
            read(one.name, image)
        size = " x ".join(map(str, image.array.shape))
        spacing = " x ".join(f"{value:.3g}" for value in image.grid.spacing)
        message = f"case {one.name}: the image is read ({size} voxels of {spacing} mm), but has no contours here."
        advice = "Put its RTSTRUCT, DICOM SEG or label map beside it."
        findings.append(Finding(one.name, "", "error", "no-contours", message, advice))
    return findings


def _copies(series: SeriesSummary) -> list[SeriesSummary]:
    """The series by folder where the same slices lie in several; else the series, which may be spread over folders."""
    if len(set(series.sop_instance_uids)) == len(series.sop_instance_uids):
        return [series]
    folders = dict.fromkeys(file.parent for file in series.files)
    return [replace(series, files=tuple(file for file in series.files if file.parent == one)) for one in folders]


def _file_reader(file: Path, name: str) -> Callable[[], Image]:
    return lambda: read_image(file, name=name)


def _series_reader(folder: Path, name: str, series: SeriesSummary) -> Callable[[], Image]:
    return lambda: read_series(folder, name=name, series=series)
