"""Contouring a volume with a model."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import numpy as np
import slicer
from slicer.i18n import tr as _

from HQCSegmentLib.errors import InputError, WorkError
from HQCSegmentLib.imaging import Grid, Segmentation, Structure, read_image, write_array
from HQCSegmentSlicer.models import structures_of_bundle
from HQCSegmentSlicer.segment_layers import in_memory_order
from HQCSegmentSlicer.segmentations import show_segmentation
from HQCSegmentSlicer.steps import Steps, in_thread
from HQCSegmentSlicer.tasks.task import VOLUME_FILE, Outcome, Task, private_folder
from HQCSegmentSlicer.volumes import image_from_volume_node


def segment_task(
    volume_node: slicer.vtkMRMLScalarVolumeNode,
    bundle: Path,
    segmentation_node: slicer.vtkMRMLSegmentationNode | None = None,
    *,
    structures: Collection[str] | None = None,
    options: Collection[str] = (),
) -> Steps[Task]:
    """Steps to the task whose result is the segmentation node.

    Args:
        volume_node: CT or MR volume.
        bundle: Folder with bundle.json and the weights.
        segmentation_node: Node to write to; a new one by default.
        structures: Names of the structures to show; all by default.
        options: Further words for the command, such as --fast.

    Raises:
        InputError: if the volume or the bundle cannot be used, or the bundle has no structure of a name.
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
    image = image_from_volume_node(volume_node)

    with private_folder() as folder:
        source = folder / VOLUME_FILE
        yield from in_thread(write_array, source, image.array, image.affine)
    grid = image.grid
    del image  # its voxels are not needed any more

    def take_result(outcome: Outcome) -> Segmentation:
        return _only(_read_segmentation(folder / "out" / "volume.nii.gz", grid, there), wanted)

    def show(found: Segmentation) -> slicer.vtkMRMLSegmentationNode:
        for node in (volume_node, segmentation_node):
            if node is not None and node.GetScene() is None:
                raise WorkError(_("The result is not shown: its volume or segmentation was removed."))
        return show_segmentation(found, volume_node=volume_node, segmentation_node=segmentation_node)

    words = ("segment", bundle, source, "--out", folder / "out", "--format", "nifti", *options)
    return Task(words, take_result, folder, show=show)


def _only(segmentation: Segmentation, wanted: tuple[Structure, ...]) -> Segmentation:
    """The segmentation without the structures that are not wanted."""
    if wanted == segmentation.structures:
        return segmentation
    values = [structure.value for structure in wanted]
    table = np.zeros(segmentation.structures[-1].value + 1, segmentation.array.dtype)
    table[values] = values
    return replace(segmentation, array=in_memory_order(table, segmentation.array), structures=wanted)


def _read_segmentation(path: Path, grid: Grid, structures: tuple[Structure, ...]) -> Segmentation:
    """Label map that the child wrote for an image.

    Raises:
        WorkError: if it is missing or not on the image's grid.
    """
    if not path.is_file():
        raise WorkError(_("The work ended without a segmentation."))
    label_map = read_image(path)
    if not label_map.grid.same_as(grid):
        raise WorkError(_("The segmentation does not lie on the voxels of the volume, so it is not shown."))
    values = label_map.array.astype(np.min_scalar_type(structures[-1].value))
    # The image's own affine: the file has it rounded to 32 bits.
    return Segmentation(values, grid.affine, structures)
