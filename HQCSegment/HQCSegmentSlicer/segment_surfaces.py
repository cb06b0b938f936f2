"""Closed surfaces -> label maps: the filters of Slicer's own conversion, in a thread.

VTK lets Python go on while a filter updates, but not while Slicer's conversion does, which would keep the window
waiting for seconds. The filters and their settings are those of vtkClosedSurfaceToBinaryLabelmapConversionRule, so that
the voxels are the same.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import slicer
import slicer.util
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from HQCSegmentLib.imaging import Grid
from HQCSegmentSlicer.segment_layers import Part, nothing

CLOSED_SURFACE = "Closed surface"
"""Slicer's name of the surface representation (vtkSegmentationConverter)."""


def surface_filler(
    surface: vtk.vtkPolyData | None, value: int, to_world: npt.NDArray[np.float64], grid: Grid
) -> Callable[[], Part]:
    """Copy a surface; the result makes voxels of the copy, and may be called in a thread.

    Args:
        surface: Closed, in the coordinates of its node; it stays as it is.
        value: Of the voxels inside.
        to_world: 4x4, from the node's coordinates to RAS millimetres.
        grid: Where voxels are wanted.
    """
    if surface is None or not surface.GetNumberOfPolys() + surface.GetNumberOfStrips():
        return lambda: nothing(grid)
    copy = vtk.vtkPolyData()
    copy.DeepCopy(surface)
    to_index = vtk.vtkTransform()
    to_index.SetMatrix(slicer.util.vtkMatrixFromArray(np.linalg.inv(to_world) @ grid.affine))
    to_index.Inverse()
    return lambda: _filled(copy, to_index, value, grid)


def _filled(surface: vtk.vtkPolyData, to_index: vtk.vtkTransform, value: int, grid: Grid) -> Part:
    """Voxels whose centers are inside, as the smallest label map that holds them."""
    placed = vtk.vtkTransformPolyDataFilter()
    placed.SetInputData(surface)
    placed.SetTransform(to_index)
    placed.Update()
    bounds = np.reshape(placed.GetOutput().GetPoints().GetBounds(), (3, 2))
    first = np.maximum(np.floor(bounds[:, 0]), 0).astype(int)
    last = np.minimum(np.ceil(bounds[:, 1]), np.array(grid.shape) - 1).astype(int)
    if (last < first).any():
        return nothing(grid)
    normals = vtk.vtkPolyDataNormals()
    normals.SetInputConnection(placed.GetOutputPort())
    normals.ConsistencyOn()
    triangles = vtk.vtkTriangleFilter()
    triangles.SetInputConnection(normals.GetOutputPort())
    strips = vtk.vtkStripper()
    strips.SetInputConnection(triangles.GetOutputPort())
    stencil = vtk.vtkPolyDataToImageStencil()
    stencil.SetInputConnection(strips.GetOutputPort())
    stencil.SetOutputSpacing(1, 1, 1)
    stencil.SetOutputOrigin(0, 0, 0)
    stencil.SetOutputWholeExtent(*np.stack([first, last], axis=1).ravel().tolist())
    image = vtk.vtkImageStencilToImage()
    image.SetInputConnection(stencil.GetOutputPort())
    image.SetInsideValue(1)
    image.SetOutputScalarTypeToUnsignedChar()
    image.Update()
    inside = vtk_to_numpy(image.GetOutput().GetPointData().GetScalars()).reshape((last - first + 1)[::-1])
    return Part(tuple(first.tolist()), (inside * np.min_scalar_type(value).type(value)).transpose(2, 1, 0))
