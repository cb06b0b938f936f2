"""Segmentation nodes -> masks on the grid of a volume, whatever they were drawn as.

Masks have axes (i, j, k), as in all of HQCSegmentLib.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import slicer
import slicer.util
import vtk
from slicer.i18n import tr as _

from HQCSegmentLib.errors import InputError
from HQCSegmentLib.imaging import Structure
from HQCSegmentLib.naming import structure_for
from HQCSegmentSlicer.segmentations import BINARY_LABELMAP
from HQCSegmentSlicer.terminology import terminology_of_segment
from HQCSegmentSlicer.volumes import parent_to_world


def masks_from_segmentation_node(
    node: slicer.vtkMRMLSegmentationNode, volume_node: slicer.vtkMRMLScalarVolumeNode
) -> dict[str, npt.NDArray[np.bool_]]:
    """Voxels of each segment on the volume's grid, by segment name, in the order of the segments.

    Segments may overlap, lie on another grid, under linear transforms, and be stored as voxels or as surfaces; the node
    itself stays as it is.

    Raises:
        InputError: if the node is none, two segments have the same name, it is under a non-linear transform, or Slicer
            cannot make voxels of what it holds.
    """
    if node is None:
        raise InputError(_("Choose a segmentation first."))
    parent_to_world(node)  # refuses a transform that is not linear, in words
    content = node.GetSegmentation()
    names = [content.GetSegment(key).GetName() for key in content.GetSegmentIDs()]
    for name in names:
        if names.count(name) > 1:
            raise InputError(
                _("Two segments of {node} are named {name}: rename one.").format(node=node.GetName(), name=name)
            )
    if not names:
        return {}
    with _with_voxels(node, volume_node) as voxels:
        identifiers = voxels.GetSegmentation().GetSegmentIDs()
        return {name: _mask(voxels, key, volume_node) for name, key in zip(names, identifiers, strict=True)}


def label_map_from_segmentation_node(
    node: slicer.vtkMRMLSegmentationNode, volume_node: slicer.vtkMRMLScalarVolumeNode
) -> tuple[npt.NDArray[np.unsignedinteger], dict[int, str]]:
    """All segments as one label map on the volume's grid, with axes (i, j, k), and segment names by value.

    Values count from 1 in the order of the segments. Where segments overlap, the later one wins.

    Raises:
        InputError: as `masks_from_segmentation_node`.
    """
    masks = masks_from_segmentation_node(node, volume_node)
    labels = np.zeros(volume_node.GetImageData().GetDimensions(), np.min_scalar_type(max(1, len(masks))))
    for value, mask in enumerate(masks.values(), start=1):
        labels[mask] = value
    return labels, dict(enumerate(masks, start=1))


def structure_of_segment(segment: slicer.vtkSegment, value: int) -> Structure:
    """A segment as a structure: its own name, color and codes; what is missing, and the type, from the catalogue."""
    known = structure_for(segment.GetName(), value)
    return known.model_copy(
        update={
            "name": segment.GetName(),
            "color": tuple(round(255 * channel) for channel in segment.GetColor()),
            "terminology": terminology_of_segment(segment) or known.terminology,
        }
    )


@contextmanager
def _with_voxels(
    node: slicer.vtkMRMLSegmentationNode, volume_node: slicer.vtkMRMLScalarVolumeNode
) -> Iterator[slicer.vtkMRMLSegmentationNode]:
    """The node, or where it holds no voxels a passing copy of it with voxels on the volume's grid.

    Raises:
        InputError: if Slicer cannot convert what it holds.
    """
    content = node.GetSegmentation()
    if content.GetSourceRepresentationName() == BINARY_LABELMAP or content.ContainsRepresentation(BINARY_LABELMAP):
        yield node
        return
    scene = node.GetScene()
    copy = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    try:
        copy.GetSegmentation().DeepCopy(content)
        copy.SetAndObserveTransformNodeID(node.GetTransformNodeID())
        copy.SetReferenceImageGeometryParameterFromVolumeNode(volume_node)
        if not copy.GetSegmentation().CreateRepresentation(BINARY_LABELMAP, True):
            raise InputError(
                _(
                    "The segments of {name} are stored as {kind}, of which Slicer cannot make voxels here: create the "
                    "binary labelmap in the Segmentations module (contours need the SlicerRT extension)."
                ).format(name=node.GetName(), kind=content.GetSourceRepresentationName().lower())
            )
        yield copy
    finally:
        scene.RemoveNode(copy)


def _mask(
    node: slicer.vtkMRMLSegmentationNode, identifier: str, volume_node: slicer.vtkMRMLScalarVolumeNode
) -> npt.NDArray[np.bool_]:
    """Voxels of one segment on the volume's grid."""
    scene = node.GetScene()
    exported = scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
    wanted = vtk.vtkStringArray()
    wanted.InsertNextValue(identifier)
    try:
        logic = slicer.vtkSlicerSegmentationsModuleLogic
        if not logic.ExportSegmentsToLabelmapNode(node, wanted, exported, volume_node):
            raise InputError(
                _("The segments of {name} cannot be brought onto the grid of {volume}.").format(
                    name=node.GetName(), volume=volume_node.GetName()
                )
            )
        return slicer.util.arrayFromVolume(exported).transpose(2, 1, 0) != 0
    finally:
        scene.RemoveNode(exported)
