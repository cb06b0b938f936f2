"""Contouring a volume with a model."""

from __future__ import annotations

import shutil
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import numpy as np
import slicer
from slicer.i18n import tr as _

from HQCSegmentLib.errors import InputError, WorkError
from HQCSegmentLib.files import replacing
from HQCSegmentLib.imaging import Grid, Segmentation, Structure, read_image, write_array
from HQCSegmentLib.imaging.voxel_order import in_order_of
from HQCSegmentLib.planning.output import SUFFIXES, OutputFormat
from HQCSegmentSlicer.dicom_source import series_of_volume
from HQCSegmentSlicer.models import structures_of_bundle
from HQCSegmentSlicer.segment_layers import in_memory_order
from HQCSegmentSlicer.segmentations import show_segmentation
from HQCSegmentSlicer.steps import Steps, in_thread
from HQCSegmentSlicer.tasks.task import VOLUME_FILE, Outcome, Task, private_folder
from HQCSegmentSlicer.volumes import grid_of_volume_node, image_from_volume_node


def segment_task(
    volume_node: slicer.vtkMRMLScalarVolumeNode,
    bundle: Path,
    segmentation_node: slicer.vtkMRMLSegmentationNode | None = None,
    *,
    structures: Collection[str] | None = None,
    structure_set: Path | None = None,
    series_folder: Path | None = None,
    options: Collection[str] = (),
) -> Steps[Task]:
    """Steps to the task whose result is the segmentation node.

    Args:
        volume_node: CT or MR volume.
        bundle: Folder with bundle.json and the weights.
        segmentation_node: Node to write to; a new one by default.
        structures: Names of the structures to show; all by default.
        structure_set: RTSTRUCT to write, too, with all structures of the model; none by default.
        series_folder: DICOM series of the volume, which is then contoured in its place, for an RTSTRUCT only; by
            default found in Slicer's DICOM database.
        options: Further words for the command, such as --fast.

    Raises:
        InputError: if the volume or the bundle cannot be used, the bundle has no structure of a name, or the series
            for an RTSTRUCT is not known.
        OSError: if the folder for an RTSTRUCT cannot be made.
    """
    there = structures_of_bundle(bundle)
    wanted = there if structures is None else tuple(one for one in there if one.name in structures)
    unknown = set(structures or ()) - {one.name for one in there}
    if unknown or not wanted:
        raise InputError(
            _("The model has no structure {name}; it has {names}.").format(
                name=", ".join(sorted(unknown)), names=", ".join(one.name for one in there)
            )
            if unknown
            else _("Choose at least one structure.")
        )
    grid = grid_of_volume_node(volume_node)
    if structure_set is not None:
        structure_set.parent.mkdir(parents=True, exist_ok=True)  # a wrong folder is said before the work
    with private_folder() as folder:
        out = folder / "out"
        words: list[str | Path] = ["segment", bundle]
        if structure_set is None:
            source = folder / VOLUME_FILE
            image = image_from_volume_node(volume_node)
            yield from in_thread(write_array, source, image.array, image.affine)
            del image  # its voxels are not needed any more
        else:
            source = series_folder or (yield from series_of_volume(volume_node, folder / "series"))
            words += ["--format", "rtstruct"]

    def take_result(outcome: Outcome) -> Segmentation:
        found = _only(_read_segmentation(out, grid, there), wanted)
        if structure_set is not None:
            with replacing(structure_set) as temporary:
                shutil.copyfile(_written(out, SUFFIXES[OutputFormat.rtstruct]), temporary)
        return found

    def show(found: Segmentation) -> slicer.vtkMRMLSegmentationNode:
        for node in (volume_node, segmentation_node):
            if node is not None and node.GetScene() is None:
                raise WorkError(_("The result is not shown: its volume or segmentation was removed."))
        return show_segmentation(found, volume_node=volume_node, segmentation_node=segmentation_node)

    words += [source, "--out", out, "--format", "nifti", *options]
    return Task(tuple(words), take_result, folder, show=show)


def _only(segmentation: Segmentation, wanted: tuple[Structure, ...]) -> Segmentation:
    """The segmentation without the structures that are not wanted."""
    if wanted == segmentation.structures:
        return segmentation
    values = [structure.value for structure in wanted]
    table = np.zeros(segmentation.structures[-1].value + 1, segmentation.array.dtype)
    table[values] = values
    return replace(segmentation, array=in_memory_order(table, segmentation.array), structures=wanted)


def _written(folder: Path, suffix: str) -> Path:
    """The file that the child wrote.

    Raises:
        WorkError: if there is none.
    """
    found = next(folder.glob(f"*{suffix}"), None)
    if found is None:
        raise WorkError(_("The work ended without a segmentation."))
    return found


def _read_segmentation(folder: Path, grid: Grid, structures: tuple[Structure, ...]) -> Segmentation:
    """Label map that the child wrote, in the order of the volume's voxels.

    Raises:
        WorkError: if it is missing or not on the voxels of the volume.
    """
    label_map = read_image(_written(folder, SUFFIXES[OutputFormat.nifti]))
    voxels = in_order_of(label_map.array, label_map.affine, grid)
    if voxels is None:
        raise WorkError(_("The segmentation does not lie on the voxels of the volume, so it is not shown."))
    # The image's own affine: the file has it rounded to 32 bits.
    return Segmentation(voxels.astype(np.min_scalar_type(structures[-1].value)), grid.affine, structures)
