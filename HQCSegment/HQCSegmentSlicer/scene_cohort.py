"""Pairs of volumes and segmentations in the scene as a cohort on disk that the library reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import slicer
from slicer.i18n import tr as _

from HQCSegmentLib.errors import InputError
from HQCSegmentLib.files import write_json
from HQCSegmentLib.imaging import Image, write_array
from HQCSegmentLib.naming import structure_for
from HQCSegmentSlicer.segment_layers import LabelArray, SegmentLayers
from HQCSegmentSlicer.segment_masks import read_segments
from HQCSegmentSlicer.steps import Progress, Steps, in_thread
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

    def __str__(self) -> str:
        return _("{case}: {kept} and {cut} overlap; {volume:.1f} ml count as {kept} only.").format(
            case=self.case, kept=self.kept, cut=self.cut, volume=self.millilitres
        )


def alias_of(number: int) -> str:
    """Name of the nth pair, from 1; node names can hold a patient's name and are not used."""
    return f"case{number:02d}"


def cohort_folder(cohort: Cohort, own: Path) -> Steps[tuple[Path, tuple[Overlap, ...]]]:
    """Steps to the folder of a cohort, and where structures overlap; pairs of the scene are written to `own`.

    Raises:
        InputError: if there is no cohort, or a pair cannot be used.
    """
    if isinstance(cohort, str | Path):
        return Path(cohort).expanduser().absolute(), ()
    return own, (yield from write_scene_cohort(cohort, own))


def write_scene_cohort(pairs: Sequence[Pair], folder: Path) -> Steps[tuple[Overlap, ...]]:
    """Write images, label maps and `cohort.json`, in steps.

    A label map holds one structure per voxel. Where segments of a patient overlap, a target wins over an organ and
    otherwise the structure that comes later in the list of all patients, the same one in every patient. A segment
    without voxels counts as looked for and absent; a structure that a patient has no segment of is unknown there.

    Args:
        pairs: One volume and its contours for each patient.
        folder: Where to write; made if it is missing.

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
        image = image_from_volume_node(volume_node)
        yield Progress(number - 1, len(pairs))
        layers = yield from read_segments(segmentation_node, volume_node)
        overlaps += yield from in_thread(_write_case, folder, alias, image, layers, values)
        cases.append(
            {
                "name": alias,
                "image": f"images/{alias}.nii",
                "label": f"labels/{alias}.nii",
                "structures": list(layers.names),
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
        if not content.GetNumberOfSegments():
            raise InputError(_("{name} has no segments.").format(name=node.GetName()))
        names |= dict.fromkeys(content.GetSegment(key).GetName() for key in content.GetSegmentIDs())
    ordered = sorted(names, key=lambda name: structure_for(name, 1).interpreted_type in TARGETS)
    return {name: value for value, name in enumerate(ordered, start=1)}


def _write_case(folder: Path, alias: str, image: Image, layers: SegmentLayers, values: dict[str, int]) -> list[Overlap]:
    """Write image and label map of one patient, and say where structures overlapped."""
    labels, overlaps = _label_map(layers, values, alias, image.grid.voxel_millilitres)
    write_array(folder / "images" / f"{alias}.nii", image.array, image.affine)
    write_array(folder / "labels" / f"{alias}.nii", labels, image.affine)
    return overlaps


def _label_map(
    layers: SegmentLayers, values: dict[str, int], alias: str, voxel_ml: float
) -> tuple[LabelArray, list[Overlap]]:
    """One label map of all segments, in which the larger value wins, and where they overlapped."""
    labels, *others = (layers.with_values(place, values) for place in range(len(layers.labels)))
    names = {value: name for name, value in values.items()}
    millilitres: Counter[tuple[int, int]] = Counter()
    for other in others:
        twice = np.logical_and(labels, other)
        pairs = np.stack([labels[twice], other[twice]])
        found, counts = np.unique(np.sort(pairs, axis=0), axis=1, return_counts=True)
        for (cut, kept), count in zip(found.T.tolist(), counts.tolist(), strict=True):
            millilitres[kept, cut] += count * voxel_ml
        np.maximum(labels, other, out=labels)
    return labels, [Overlap(alias, names[kept], names[cut], volume) for (kept, cut), volume in millilitres.items()]
