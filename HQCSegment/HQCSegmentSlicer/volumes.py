"""Scalar volume nodes <-> images of the library.

Arrays have axes (i, j, k) and affines take voxel indices to RAS millimetres, as in all of HQCSegmentLib; Slicer's own
array axes (k, j, i) occur only inside this module. Positions are world positions: a volume under a linear transform is
taken where it is seen.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import slicer
import slicer.util
import vtk
from slicer.i18n import tr as _
from vtk.util.numpy_support import vtk_to_numpy

from HQCSegmentLib.errors import InputError
from HQCSegmentLib.imaging import Grid, Image, Reorientation

SHEAR_TOLERANCE = 1e-3
"""Largest cosine between two image axes that still counts as perpendicular, as NIfTI and ITK need them."""


def image_from_volume_node(node: slicer.vtkMRMLScalarVolumeNode) -> Image:
    """Voxels of a scalar volume and where they are in the world.

    The array is a copy with axes (i, j, k); the affine is the node's IJKToRAS followed by its parent
    transform. The node's name is left out on purpose, since it can hold a patient's name.

    Raises:
        InputError: as `grid_of_volume_node`.
    """
    grid = grid_of_volume_node(node)
    # Copied in Slicer's own order of memory; the other one would take ten times as long.
    voxels = vtk_to_numpy(node.GetImageData().GetPointData().GetScalars()).reshape(grid.shape[::-1]).copy()
    return Image(voxels.transpose(2, 1, 0), grid.affine, name="volume")


def grid_of_volume_node(node: slicer.vtkMRMLScalarVolumeNode) -> Grid:
    """Where the voxels of a scalar volume are in the world.

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
    affine = world_affine(node)
    direction = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    if np.abs(direction.T @ direction - np.eye(3)).max() > SHEAR_TOLERANCE:
        raise InputError(_("The axes of {name} are not perpendicular: resample the volume first.").format(name=name))
    return Grid(node.GetImageData().GetDimensions(), affine)


def add_volume(image: Image, *, name: str, scene: slicer.vtkMRMLScene | None = None) -> slicer.vtkMRMLScalarVolumeNode:
    """A new volume node with the voxels of an image, in right-handed order as Slicer loads them."""
    array, affine = right_handed(image.array, image.affine)
    node = (scene or slicer.mrmlScene).AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(affine))
    slicer.util.updateVolumeFromArray(node, np.ascontiguousarray(array.transpose(2, 1, 0)))
    node.CreateDefaultDisplayNodes()
    return node


def right_handed(array: npt.NDArray, affine: npt.NDArray[np.float64]) -> tuple[npt.NDArray, npt.NDArray[np.float64]]:
    """Voxels and affine, with the k axis reversed if the affine is left-handed.

    Slicer does the same to volumes when it loads them; surfaces made from left-handed voxels are inside out.
    """
    if np.linalg.det(affine[:3, :3]) > 0:
        return array, affine
    reversal = Reorientation((0, 1, 2), (False, False, True))
    return reversal.apply(array), Grid(array.shape, affine).reoriented(reversal).affine


def world_affine(node: slicer.vtkMRMLVolumeNode) -> npt.NDArray[np.float64]:
    """IJKToRAS followed by the parent transform, 4x4, voxel index to world RAS millimetres."""
    ijk_to_ras = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(ijk_to_ras)
    return parent_to_world(node) @ slicer.util.arrayFromVTKMatrix(ijk_to_ras)


def parent_to_world(node: slicer.vtkMRMLTransformableNode) -> npt.NDArray[np.float64]:
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


def _is_sequence_proxy(node: slicer.vtkMRMLNode) -> bool:
    """Whether the node shows the current frame of a volume sequence."""
    scene = node.GetScene()
    if scene is None:
        return False
    browsers = slicer.util.getNodesByClass("vtkMRMLSequenceBrowserNode", scene)
    return any(browser.IsProxyNode(node.GetID()) for browser in browsers)
