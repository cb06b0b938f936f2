"""Contours for a planning system: structure set, DICOM SEG, sending, and comparing with a reference."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import slicer
from slicer.i18n import tr as _

from HQCSegmentLib.errors import InputError, WorkError
from HQCSegmentLib.files import write_json
from HQCSegmentLib.imaging import write_array
from HQCSegmentSlicer.dicom_source import series_of_volume
from HQCSegmentSlicer.segment_layers import SegmentLayers
from HQCSegmentSlicer.segment_masks import read_segments, structure_of_segment
from HQCSegmentSlicer.steps import Progress, Steps, in_thread
from HQCSegmentSlicer.tasks.task import Outcome, Task, private_folder
from HQCSegmentSlicer.volumes import grid_of_volume_node

DicomFormat = Literal["rtstruct", "seg"]


def structure_set_task(
    segmentation_node: slicer.vtkMRMLSegmentationNode,
    volume_node: slicer.vtkMRMLScalarVolumeNode,
    output_file: Path,
    series_folder: Path | None = None,
    *,
    output_format: DicomFormat = "rtstruct",
) -> Steps[Task]:
    """Steps to the task whose result is the written file; it refers to the slices of the original series.

    Args:
        segmentation_node: Contours; segments may overlap.
        volume_node: The volume they were drawn on, loaded from the series.
        output_file: File to write.
        series_folder: Folder of the original DICOM series; by default found in Slicer's DICOM database.
        output_format: RT Structure Set or DICOM SEG.

    Raises:
        InputError: if a node is missing or cannot be used, or the original series is not known.
    """
    if segmentation_node is None:
        raise InputError(_("Choose the segmentation to deliver."))
    affine = grid_of_volume_node(volume_node).affine
    content = segmentation_node.GetSegmentation()
    if not content.GetNumberOfSegments():
        raise InputError(_("{name} has no segments.").format(name=segmentation_node.GetName()))
    with private_folder() as folder:
        series = series_folder or (yield from series_of_volume(volume_node, folder / "series"))
        yield Progress(0, 2)
        layers = yield from read_segments(segmentation_node, volume_node)
        segments = [content.GetSegment(key) for key in content.GetSegmentIDs()]
        structures = [structure_of_segment(segment, value) for value, segment in enumerate(segments, start=1)]
        yield Progress(1, 2)
        files = [folder / f"layer{number}.nii" for number in range(len(layers.labels))]
        for file, labels in zip(files, layers.labels, strict=True):
            yield from in_thread(write_array, file, labels, affine)
        names = folder / "structures.json"
        write_json(names, [structure.model_dump(mode="json") for structure in structures])

    def take_result(outcome: Outcome) -> Path:
        if not output_file.is_file():
            raise WorkError(_("The work ended without a file."))
        return output_file

    words = ("convert", *files, "--series", series, "--structures", names, "--out", output_file)
    return Task((*words, "--format", output_format), take_result, folder)


def send_task(
    files: Sequence[Path], host: str, port: int, called_ae: str, calling_ae: str, *, options: Collection[str] = ()
) -> Task:
    """Task whose result is the number of files sent to a DICOM node; `options` are further words of the command.

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
    return Task((*words, *options), take_result)


def evaluation_task(
    segmentation_node: slicer.vtkMRMLSegmentationNode,
    reference_node: slicer.vtkMRMLSegmentationNode,
    volume_node: slicer.vtkMRMLScalarVolumeNode,
    out: Path,
    *,
    options: Collection[str] = (),
) -> Steps[Task]:
    """Steps to the task whose result is the page of the comparison; segments are matched by name.

    Args:
        segmentation_node: What is judged.
        reference_node: What it is compared with.
        volume_node: On whose voxels they are compared.
        out: Folder for the report.
        options: Further words of the command.

    Raises:
        InputError: if a node is missing, or the two have no segment name in common.
    """
    if segmentation_node is None or reference_node is None:
        raise InputError(_("Choose the segmentation and the reference that it is compared with."))
    affine = grid_of_volume_node(volume_node).affine
    both = (segmentation_node, reference_node)
    wanted, there = ([content.GetSegment(key).GetName() for key in content.GetSegmentIDs()]
                     for content in (node.GetSegmentation() for node in both))  # fmt: skip
    common = [name for name in wanted if name in there]
    if not common:
        raise InputError(
            _("{one} and {other} have no segment of the same name; rename the segments first.").format(
                one=segmentation_node.GetName(), other=reference_node.GetName()
            )
        )
    yield Progress(0, 3)
    judged = yield from read_segments(segmentation_node, volume_node)
    yield Progress(1, 3)
    reference = yield from read_segments(reference_node, volume_node)
    yield Progress(2, 3)
    with private_folder() as folder:
        yield from in_thread(_write_pairs, folder, judged, reference, common, affine)

    def take_result(outcome: Outcome) -> Path:
        if not (out / "report.html").is_file():
            raise WorkError(_("The evaluation ended without a report."))
        return out / "report.html"

    words = ("evaluate", "--predictions", folder / "predictions", "--references", folder / "references", "--out", out)
    return Task((*words, *options), take_result, folder)


def _write_pairs(
    folder: Path, judged: SegmentLayers, reference: SegmentLayers, names: Sequence[str], affine: np.ndarray
) -> None:
    """Write label maps of both as patients of equal names, in none of which two structures overlap."""
    groups: dict[tuple[int, int], dict[str, int]] = {}
    for value, name in enumerate(names, start=1):
        groups.setdefault((judged.place(name), reference.place(name)), {})[name] = value
    for number, (places, values) in enumerate(groups.items(), start=1):
        file = f"contours{number if number > 1 else ''}.nii"
        for part, layers, place in zip(("predictions", "references"), (judged, reference), places, strict=True):
            write_array(folder / part / file, layers.with_values(place, values), affine)
    for part in ("predictions", "references"):
        write_json(folder / part / "labels.json", {str(value): name for value, name in enumerate(names, start=1)})
