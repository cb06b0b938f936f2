"""Contours for a planning system: structure set, DICOM SEG, sending, and comparing with a reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import slicer
from slicer.i18n import tr as _

from HQCSegmentLib.errors import InputError, WorkError
from HQCSegmentLib.files import write_json
from HQCSegmentLib.imaging import Structure, write_array
from HQCSegmentSlicer.dicom_source import series_of_volume
from HQCSegmentSlicer.segment_masks import masks_from_segmentation_node, structure_of_segment
from HQCSegmentSlicer.tasks.task import Outcome, Task, private_folder
from HQCSegmentSlicer.volumes import image_from_volume_node

DicomFormat = Literal["rtstruct", "seg"]


def structure_set_task(
    segmentation_node: slicer.vtkMRMLSegmentationNode,
    volume_node: slicer.vtkMRMLScalarVolumeNode,
    output_file: Path,
    series_folder: Path | None = None,
    *,
    output_format: DicomFormat = "rtstruct",
) -> Task:
    """Task whose result is the written file; it refers to the slices of the original series.

    Args:
        segmentation_node: Contours; segments may overlap.
        volume_node: The volume they were drawn on, loaded from the series.
        output_file: File to write.
        series_folder: Folder of the original DICOM series; by default found in Slicer's DICOM database.
        output_format: RT Structure Set or DICOM SEG.

    Raises:
        InputError: if a node is missing or cannot be used, or the original series is not known.
    """
    structures, layers, affine = _layers(segmentation_node, volume_node)
    with private_folder() as folder:
        series = series_folder or series_of_volume(volume_node, folder / "series")
        files = []
        for number, layer in enumerate(layers):
            files.append(folder / f"layer{number}.nii")
            write_array(files[-1], layer, affine)
        names = folder / "structures.json"
        write_json(names, [structure.model_dump(mode="json") for structure in structures])

    def take_result(outcome: Outcome) -> Path:
        if not output_file.is_file():
            raise WorkError(_("The work ended without a file."))
        return output_file

    words = ("convert", *files, "--series", series, "--structures", names, "--out", output_file)
    return Task((*words, "--format", output_format), take_result, folder)


def send_task(files: Sequence[Path], host: str, port: int, called_ae: str, calling_ae: str) -> Task:
    """Task whose result is the number of files sent to a DICOM node.

    Raises:
        InputError: if a file is missing or the node is not described.
    """
    if not files or not all(Path(file).is_file() for file in files):
        raise InputError(_("Save an RTSTRUCT or a DICOM SEG first."))
    if not (host and called_ae and calling_ae):
        raise InputError(_("Give host, port and both AE titles of the DICOM node."))

    def take_result(outcome: Outcome) -> int:
        return len(files)

    words = ("send", *files, "--host", host, "--port", str(port), "--called-ae", called_ae, "--calling-ae", calling_ae)
    return Task(words, take_result)


def evaluation_task(
    segmentation_node: slicer.vtkMRMLSegmentationNode,
    reference_node: slicer.vtkMRMLSegmentationNode,
    volume_node: slicer.vtkMRMLScalarVolumeNode,
    out: Path,
) -> Task:
    """Task whose result is the page, or else the table, of the comparison; segments are matched by name.

    Raises:
        InputError: if a node is missing, or the two have no segment name in common.
    """
    if segmentation_node is None or reference_node is None:
        raise InputError(_("Choose the segmentation and the reference that it is compared with."))
    image = image_from_volume_node(volume_node)
    judged = masks_from_segmentation_node(segmentation_node, volume_node)
    reference = masks_from_segmentation_node(reference_node, volume_node)
    common = [name for name in judged if name in reference]
    if not common:
        raise InputError(
            _("{one} and {other} have no segment of the same name; rename the segments first.").format(
                one=segmentation_node.GetName(), other=reference_node.GetName()
            )
        )
    groups = _without_overlap(common, judged, reference)
    with private_folder() as folder:
        for part, masks in (("predictions", judged), ("references", reference)):
            for number, group in enumerate(groups, start=1):
                labels = np.zeros(image.array.shape, np.min_scalar_type(len(common)))
                for name in group:
                    labels[masks[name]] = common.index(name) + 1
                write_array(folder / part / f"contours{number if number > 1 else ''}.nii", labels, image.affine)
            write_json(folder / part / "labels.json", {str(value): name for value, name in enumerate(common, start=1)})

    def take_result(outcome: Outcome) -> Path:
        if not (out / "report.html").is_file():
            raise WorkError(_("The evaluation ended without a report."))
        return out / "report.html"

    words = ("evaluate", "--predictions", folder / "predictions", "--references", folder / "references", "--out", out)
    return Task(words, take_result, folder)


def _without_overlap(names: Sequence[str], *patients: Mapping[str, np.ndarray]) -> list[list[str]]:
    """Groups of names, as few as possible in their order, whose masks do not overlap in any of the patients."""
    groups: list[list[str]] = []
    taken: list[list[np.ndarray]] = []
    for name in names:
        masks = [patient[name] for patient in patients]
        for group, voxels in zip(groups, taken, strict=True):
            if not any(there[mask].any() for there, mask in zip(voxels, masks, strict=True)):
                group.append(name)
                for there, mask in zip(voxels, masks, strict=True):
                    there |= mask
                break
        else:
            groups.append([name])
            taken.append([mask.copy() for mask in masks])
    return groups


def _layers(
    segmentation_node: slicer.vtkMRMLSegmentationNode, volume_node: slicer.vtkMRMLScalarVolumeNode
) -> tuple[list[Structure], list[np.ndarray], np.ndarray]:
    """Structures and label maps in which no two structures overlap, as few as possible, on the volume's grid."""
    if segmentation_node is None:
        raise InputError(_("Choose the segmentation to deliver."))
    image = image_from_volume_node(volume_node)
    content = segmentation_node.GetSegmentation()
    masks = masks_from_segmentation_node(segmentation_node, volume_node)
    if not masks:
        raise InputError(_("{name} has no segments.").format(name=segmentation_node.GetName()))
    keys = dict(zip(masks, content.GetSegmentIDs(), strict=True))
    value_of = {name: value for value, name in enumerate(masks, start=1)}
    structures = [structure_of_segment(content.GetSegment(keys[name]), value) for name, value in value_of.items()]
    layers = []
    for group in _without_overlap(list(masks), masks):
        layer = np.zeros(image.array.shape, np.min_scalar_type(len(masks)))
        for name in group:
            layer[masks[name]] = value_of[name]
        layers.append(layer)
    return structures, layers, image.affine
