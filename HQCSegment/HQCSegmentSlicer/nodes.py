"""MRML nodes <-> images and segmentations of the library.

Arrays have axes (i, j, k) and affines take voxel indices to RAS millimetres, as in all of HQCSegmentLib;
Slicer's own array axes (k, j, i) occur only inside this module. Positions are world positions: a volume under
a linear transform is taken where it is seen.
"""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt
import slicer
import slicer.util
import vtk
from slicer.i18n import tr as _
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from HQCSegmentLib.errors import InputError
from HQCSegmentLib.imaging import Grid, Image, Reorientation, Segmentation, Structure
from HQCSegmentSlicer.terminology import set_terminology

BINARY_LABELMAP = "Binary labelmap"
"""Slicer's name of the voxel representation (vtkSegmentationConverter)."""

SHEAR_TOLERANCE = 1e-3
"""Largest cosine between two image axes that still counts as perpendicular, as NIfTI and ITK need them."""


def image_from_volume_node(node: slicer.vtkMRMLScalarVolumeNode) -> Image:
    """Voxels of a scalar volume and where they are in the world.

    The array is a copy with axes (i, j, k); the affine is the node's IJKToRAS followed by its parent
    transform. The node's name is left out on purpose, since it can hold a patient's name.

    Raises:
        InputError: if the node is not one 3D scalar volume with voxels, belongs to a volume sequence, is
            under a non-linear transform, or its axes are not perpendicular.
    """
    name = node.GetName() if node else ""
    if node is None:
        raise InputError(_("Choose an input volume first."))
    if node.IsA("vtkMRMLSequenceNode") or _is_sequence_proxy(node):
        raise InputError(
            _("{name} is a volume sequence: clone the wanted frame in the Data module and use the copy.").format(
                name=name
            )
        )
    if not node.IsA("vtkMRMLScalarVolumeNode"):
        raise InputError(_("{name} is not a scalar volume: choose a CT or MR volume.").format(name=name))
    if node.GetImageData() is None or node.GetImageData().GetPointData().GetScalars() is None:
        raise InputError(_("{name} holds no voxels: load the volume again.").format(name=name))
    scalars = node.GetImageData().GetPointData().GetScalars()
    if scalars.GetNumberOfComponents() != 1:
        raise InputError(
            _("{name} holds {count} values in each voxel, but one is needed: choose a scalar volume.").format(
                name=name, count=scalars.GetNumberOfComponents()
            )
        )
    affine = _world_affine(node)
    direction = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    if np.abs(direction.T @ direction - np.eye(3)).max() > SHEAR_TOLERANCE:
        raise InputError(_("The axes of {name} are not perpendicular: resample the volume first.").format(name=name))
    columns, rows, slices = node.GetImageData().GetDimensions()
    voxels = vtk_to_numpy(scalars).reshape(slices, rows, columns).transpose(2, 1, 0).copy()
    return Image(voxels, affine, name="volume")


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
    was_modifying = segmentation_node.StartModify()
    try:
        for structure in segmentation.structures:
            _replace_segment(content, structure, label_map)
        _set_reference_geometry(segmentation_node, volume_node, label_map)
    finally:
        segmentation_node.EndModify(was_modifying)
    return segmentation_node


def label_map_from_segmentation_node(
    node: slicer.vtkMRMLSegmentationNode, volume_node: slicer.vtkMRMLScalarVolumeNode
) -> tuple[npt.NDArray[np.unsignedinteger], dict[int, str]]:
    """All segments as one label map on the volume's grid, with axes (i, j, k), and segment names by value.

    Values count from 1 in the order of the segments. Where segments overlap, the later one wins.

    Raises:
        InputError: if Slicer cannot bring the segments onto the volume's grid.
    """
    content = node.GetSegmentation()
    identifiers = list(content.GetSegmentIDs())
    names = {value: content.GetSegment(key).GetName() for value, key in enumerate(identifiers, start=1)}
    columns, rows, slices = volume_node.GetImageData().GetDimensions()
    if not identifiers:
        return np.zeros((columns, rows, slices), np.uint8), names
    exported = node.GetScene().AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
    try:
        logic = slicer.vtkSlicerSegmentationsModuleLogic
        if not logic.ExportSegmentsToLabelmapNode(node, identifiers, exported, volume_node):
            raise InputError(
                _("The segments of {name} cannot be brought onto the grid of {volume}.").format(
                    name=node.GetName(), volume=volume_node.GetName()
                )
            )
        values = slicer.util.arrayFromVolume(exported).transpose(2, 1, 0)
        return values.astype(np.min_scalar_type(len(identifiers))), names
    finally:
        node.GetScene().RemoveNode(exported)


def safe_segment_id(name: str) -> str:
    """Segment id of a structure: its name with everything but letters, digits, `_`, `.` and `-` made `_`."""
    return re.sub(r"[^\w.-]", "_", name, flags=re.ASCII)


def _is_sequence_proxy(node: slicer.vtkMRMLNode) -> bool:
    """Whether the node shows the current frame of a volume sequence."""
    scene = node.GetScene()
    if scene is None:
        return False
    browsers = slicer.util.getNodesByClass("vtkMRMLSequenceBrowserNode", scene)
    return any(browser.IsProxyNode(node.GetID()) for browser in browsers)


def _world_affine(node: slicer.vtkMRMLVolumeNode) -> npt.NDArray[np.float64]:
    """IJKToRAS followed by the parent transform, 4x4, voxel index to world RAS millimetres."""
    ijk_to_ras = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(ijk_to_ras)
    return _parent_to_world(node) @ slicer.util.arrayFromVTKMatrix(ijk_to_ras)


def _parent_to_world(node: slicer.vtkMRMLTransformableNode) -> npt.NDArray[np.float64]:
    """4x4 matrix of the node's parent transform; identity without one.

    Raises:
        InputError: if the transform is not linear.
    """
    transform = node.GetParentTransformNode()
    if transform is None:
        return np.eye(4)
    if not transform.IsTransformToWorldLinear():
        raise InputError(
            _("{name} is under a non-linear transform: harden or remove it in the Transforms module.").format(
                name=node.GetName()
            )
        )
    matrix = vtk.vtkMatrix4x4()
    transform.GetMatrixTransformToWorld(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


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
        array, affine = _right_handed(segmentation)
    else:
        array, affine = _in_voxel_order_of(volume_node, segmentation)
    affine = np.linalg.inv(_parent_to_world(segmentation_node)) @ affine
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
    affine = _world_affine(volume_node)
    volume_grid = Grid(volume_node.GetImageData().GetDimensions(), affine)
    own, wanted = Reorientation.to_ras(segmentation.affine), Reorientation.to_ras(affine)
    array = wanted.undo(own.apply(segmentation.array))
    if array.shape != volume_grid.shape:
        return _right_handed(segmentation)
    in_ras = segmentation.grid.reoriented(own)
    if not in_ras.same_as(volume_grid.reoriented(wanted)):
        return _right_handed(segmentation)
    return array, affine


def _right_handed(segmentation: Segmentation) -> tuple[npt.NDArray, npt.NDArray[np.float64]]:
    """Label map and affine, with the k axis reversed if the affine is left-handed.

    Slicer does the same to volumes when it loads them; surfaces made from left-handed voxels are inside out.
    """
    if np.linalg.det(segmentation.affine[:3, :3]) > 0:
        return segmentation.array, segmentation.affine
    reversal = Reorientation((0, 1, 2), (False, False, True))
    return reversal.apply(segmentation.array), segmentation.grid.reoriented(reversal).affine


def _replace_segment(
    content: slicer.vtkSegmentation, structure: Structure, label_map: slicer.vtkOrientedImageData
) -> None:
    """Add a structure as a segment in place of the segment of that name.

    All structures share one label map, which Slicer calls a layer.
    """
    for key in content.GetSegmentIDs():
        if content.GetSegment(key).GetName() == structure.name:
            content.RemoveSegment(key)
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
