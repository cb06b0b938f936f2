"""Segmentations of the library -> segmentation nodes.

Arrays have axes (i, j, k) and affines take voxel indices to RAS millimetres, as in all of HQCSegmentLib; Slicer's own
array axes (k, j, i) occur only inside this module.
"""

from __future__ import annotations

import re
from collections.abc import Collection

import numpy as np
import numpy.typing as npt
import slicer
import slicer.util
from slicer.i18n import tr as _
from vtk.util.numpy_support import numpy_to_vtk

from HQCSegmentLib.errors import InputError
from HQCSegmentLib.imaging import Segmentation, Structure
from HQCSegmentLib.imaging.voxel_order import in_order_of
from HQCSegmentSlicer.subject_hierarchy import place_beside
from HQCSegmentSlicer.terminology import set_terminology
from HQCSegmentSlicer.undo import save_for_undo
from HQCSegmentSlicer.volumes import grid_of_volume_node, parent_to_world, right_handed

BINARY_LABELMAP = "Binary labelmap"
"""Slicer's name of the voxel representation (vtkSegmentationConverter)."""


def show_segmentation(
    segmentation: Segmentation,
    *,
    volume_node: slicer.vtkMRMLScalarVolumeNode | None = None,
    segmentation_node: slicer.vtkMRMLSegmentationNode | None = None,
    scene: slicer.vtkMRMLScene | None = None,
) -> slicer.vtkMRMLSegmentationNode:
    """Put a segmentation into the scene as named and colored segments.

    The label map is placed by its own affine, never by the volume's, so voxels stay in place also where
    Slicer stores the volume in another axis order than the file has. Structures without voxels become empty
    segments.

    Args:
        segmentation: Label map with axes (i, j, k), world RAS affine and structures.
        volume_node: The volume that was segmented; it becomes the reference geometry. Without it the label
            map's own grid does.
        segmentation_node: Node to write to; its segments of the same names are replaced, the others are kept.
        scene: Where a new node is made; by default the scene of the given nodes, else `slicer.mrmlScene`.

    Raises:
        InputError: if the given segmentation node holds contours or surfaces instead of voxels, or is under a
            non-linear transform.
    """
    if segmentation_node is None:
        segmentation_node = _new_segmentation_node(segmentation, volume_node, scene)
    content = segmentation_node.GetSegmentation()
    if content.GetNumberOfSegments() and content.GetSourceRepresentationName() != BINARY_LABELMAP:
        # Converting would silently change contours that somebody drew or received.
        raise InputError(
            _("{name} holds contours or surfaces: choose another output segmentation.").format(
                name=segmentation_node.GetName()
            )
        )
    label_map = _oriented_label_map(segmentation, volume_node, segmentation_node)
    save_for_undo(segmentation_node)
    was_modifying = segmentation_node.StartModify()
    try:
        _remove_segments(content, {structure.name for structure in segmentation.structures})
        for structure in segmentation.structures:
            _add_segment(content, structure, label_map)
        _set_reference_geometry(segmentation_node, volume_node, label_map)
    finally:
        segmentation_node.EndModify(was_modifying)
    if volume_node is not None:
        place_beside(segmentation_node, volume_node)
    return segmentation_node


def safe_segment_id(name: str) -> str:
    """Segment id of a structure: its name with everything but letters, digits, `_`, `.` and `-` made `_`."""
    return re.sub(r"[^\w.-]", "_", name, flags=re.ASCII)


def _new_segmentation_node(
    segmentation: Segmentation,
    volume_node: slicer.vtkMRMLScalarVolumeNode | None,
    scene: slicer.vtkMRMLScene | None,
) -> slicer.vtkMRMLSegmentationNode:
    scene = scene or (volume_node.GetScene() if volume_node else None) or slicer.mrmlScene
    name = _("{name} segmentation").format(name=volume_node.GetName() if volume_node else segmentation.name)
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", scene.GenerateUniqueName(name))
    node.CreateDefaultDisplayNodes()
    return node


def _oriented_label_map(
    segmentation: Segmentation,
    volume_node: slicer.vtkMRMLScalarVolumeNode | None,
    segmentation_node: slicer.vtkMRMLSegmentationNode,
) -> slicer.vtkOrientedImageData:
    """Label map in the coordinates of the segmentation node, in a voxel order that suits Slicer."""
    if volume_node is None:
        array, affine = right_handed(segmentation.array, segmentation.affine)
    else:
        array, affine = _in_voxel_order_of(volume_node, segmentation)
    affine = np.linalg.inv(parent_to_world(segmentation_node)) @ affine
    label_map = slicer.vtkOrientedImageData()
    label_map.SetDimensions(*array.shape)
    voxels = np.ascontiguousarray(array.transpose(2, 1, 0))
    label_map.GetPointData().SetScalars(numpy_to_vtk(voxels.ravel(), deep=True))
    label_map.SetImageToWorldMatrix(slicer.util.vtkMatrixFromArray(affine))
    return label_map


def _in_voxel_order_of(
    volume_node: slicer.vtkMRMLScalarVolumeNode, segmentation: Segmentation
) -> tuple[npt.NDArray, npt.NDArray[np.float64]]:
    """Label map and affine in the volume's order of voxels, if it lies on the volume's voxels.

    With the very same grid Slicer need not resample when segments are edited. A label map on other voxels is
    returned as it is.
    """
    grid = grid_of_volume_node(volume_node)
    array = in_order_of(segmentation.array, segmentation.affine, grid)
    if array is None:
        return right_handed(segmentation.array, segmentation.affine)
    return array, grid.affine


def _remove_segments(content: slicer.vtkSegmentation, names: Collection[str]) -> None:
    """Remove the segments of these names."""
    keys = {key for key in content.GetSegmentIDs() if content.GetSegment(key).GetName() in names}
    layers = range(content.GetNumberOfLayers(BINARY_LABELMAP))
    together = [set(content.GetSegmentIDsForLayer(number, BINARY_LABELMAP)) for number in layers]
    for key in {key for layer in together if layer <= keys for key in layer}:
        # Else Slicer looks for the voxels of each segment in the whole label map.
        content.GetSegment(key).RemoveAllRepresentations()
    for key in keys:
        content.RemoveSegment(key)


def _add_segment(content: slicer.vtkSegmentation, structure: Structure, label_map: slicer.vtkOrientedImageData) -> None:
    """Add a structure as a segment; all structures share one label map, which Slicer calls a layer."""
    segment = slicer.vtkSegment()
    segment.SetName(structure.name)
    segment.SetColor(*(channel / 255 for channel in structure.color))
    if structure.terminology is not None:
        set_terminology(segment, structure.terminology)
    segment.SetLabelValue(structure.value)
    segment.AddRepresentation(BINARY_LABELMAP, label_map)
    content.AddSegment(segment, content.GenerateUniqueSegmentID(safe_segment_id(structure.name)))


def _set_reference_geometry(
    segmentation_node: slicer.vtkMRMLSegmentationNode,
    volume_node: slicer.vtkMRMLScalarVolumeNode | None,
    label_map: slicer.vtkOrientedImageData,
) -> None:
    """Set the grid that edits, exports and DICOM refer to."""
    if volume_node is not None:
        segmentation_node.SetReferenceImageGeometryParameterFromVolumeNode(volume_node)
        # DICOM export finds the image series by this reference.
        role = segmentation_node.GetReferenceImageGeometryReferenceRole()
        segmentation_node.SetNodeReferenceID(role, volume_node.GetID())
        return
    converter = slicer.vtkSegmentationConverter
    segmentation_node.GetSegmentation().SetConversionParameter(
        converter.GetReferenceImageGeometryParameterName(), converter.SerializeImageGeometry(label_map)
    )
