"""Pairs of volumes and segmentations in the scene as a cohort on disk that the library reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import slicer
from slicer.i18n import tr as _

from HQCSegmentLib.errors import InputError
from HQCSegmentLib.files import write_json
from HQCSegmentLib.imaging import write_array
from HQCSegmentLib.naming import structure_for
from HQCSegmentSlicer.segment_masks import masks_from_segmentation_node
from HQCSegmentSlicer.volumes import image_from_volume_node

Pair = tuple["slicer.vtkMRMLScalarVolumeNode", "slicer.vtkMRMLSegmentationNode"]
Cohort = str | Path | Sequence[Pair]
"""A folder, or the patients of the scene."""

TARGETS = ("GTV", "CTV", "PTV")


@dataclass(frozen=True)
class Overlap:
    """Voxels of one patient that two structures claimed; the later structure got them."""

    case: str
    kept: str
    cut: str
    millilitres: float


def alias_of(number: int) -> str:
    """Name of the nth pair, from 1; node names can hold a patient's name and are not used."""
    return f"case{number:02d}"


def cohort_folder(cohort: Cohort, own: Path) -> Path:
    """The folder of a cohort; pairs of the scene are written to `own`.

    Raises:
        InputError: if there is no cohort, or a pair cannot be used.
    """
    if isinstance(cohort, str | Path):
        return Path(cohort).expanduser().absolute()
    write_scene_cohort(cohort, own)
    return own


def write_scene_cohort(
    pairs: Sequence[Pair], folder: Path, *, said: Callable[[str], None] = lambda _alias: None
) -> tuple[Overlap, ...]:
    """Write images, label maps and `cohort.json`.

    A label map holds one structure per voxel. Where segments of a patient overlap, a target wins over an organ and
    otherwise the structure that comes later in the list of all patients, the same one in every patient. A segment
    without voxels counts as looked for and absent; a structure that a patient has no segment of is unknown there.

    Args:
        pairs: One volume and its contours for each patient.
        folder: Where to write; made if it is missing.
        said: Told the alias of each patient when it is begun; may raise to stop.

    Raises:
        InputError: if there are no pairs, a node cannot be used, or two segments of a patient have the same name.
    """
    if not pairs:
        raise InputError(_("Add at least one volume with its contours to the cohort."))
    values = _values(pairs)
    overlaps: list[Overlap] = []
    cases = []
    for number, (volume_node, segmentation_node) in enumerate(pairs, start=1):
        alias = alias_of(number)
        said(alias)
        image = image_from_volume_node(volume_node)
        masks = masks_from_segmentation_node(segmentation_node, volume_node)
        if not masks:
            raise InputError(_("{name} has no segments.").format(name=segmentation_node.GetName()))
        labels, found = _label_map(masks, values, image.array.shape, alias, image.grid.voxel_millilitres)
        overlaps += found
        write_array(folder / "images" / f"{alias}.nii", image.array, image.affine)
        write_array(folder / "labels" / f"{alias}.nii", labels, image.affine)
        cases.append(
            {
                "name": alias,
                "image": f"images/{alias}.nii",
                "label": f"labels/{alias}.nii",
                "structures": list(masks),
            }
        )
    structures = {value: name for name, value in values.items()}
    write_json(folder / "cohort.json", {"schema_version": 1, "structures": structures, "cases": cases})
    return tuple(overlaps)


def _values(pairs: Sequence[Pair]) -> dict[str, int]:
    """Label value of each name: organs first, then targets, each in the order of first appearance."""
    names: dict[str, None] = {}
    for _volume_node, node in pairs:
        if node is None:
            raise InputError(_("Choose the contours of every patient."))
        content = node.GetSegmentation()
        names |= dict.fromkeys(content.GetSegment(key).GetName() for key in content.GetSegmentIDs())
    ordered = sorted(names, key=lambda name: structure_for(name, 1).interpreted_type in TARGETS)
    return {name: value for value, name in enumerate(ordered, start=1)}


def _label_map(
    masks: dict[str, npt.NDArray[np.bool_]], values: dict[str, int], shape: tuple[int, ...], alias: str, voxel_ml: float
) -> tuple[npt.NDArray[np.unsignedinteger], list[Overlap]]:
    """One label map of all segments, and where they overlapped."""
    labels = np.zeros(shape, np.min_scalar_type(max(values.values())))
    names = {value: name for name, value in values.items()}
    overlaps = []
    for name in sorted(masks, key=values.__getitem__):
        mask = masks[name]
        covered, counts = np.unique(labels[mask], return_counts=True)
        overlaps += [
            Overlap(alias, name, names[int(value)], float(count * voxel_ml))
            for value, count in zip(covered, counts, strict=True)
            if value
        ]
        labels[mask] = values[name]
    return labels, overlaps
