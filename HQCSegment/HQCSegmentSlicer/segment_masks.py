"""Segmentation nodes -> label maps on the grid of a volume, whatever the segments were drawn as.

Arrays have axes (i, j, k), as in all of HQCSegmentLib.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import slicer
import slicer.util
import vtk
from slicer.i18n import tr as _
from vtk.util.numpy_support import vtk_to_numpy

from HQCSegmentLib.errors import InputError
from HQCSegmentLib.imaging import Grid, Structure
from HQCSegmentLib.naming import structure_for
from HQCSegmentSlicer.segment_layers import (
    LabelArray,
    Part,
    SegmentLayers,
    empty_layer,
    in_memory_order,
    nothing,
    placed,
)
from HQCSegmentSlicer.segment_surfaces import CLOSED_SURFACE, surface_filler
from HQCSegmentSlicer.segmentations import BINARY_LABELMAP
from HQCSegmentSlicer.steps import Steps, finish, in_thread
from HQCSegmentSlicer.terminology import terminology_of_segment
from HQCSegmentSlicer.volumes import grid_of_volume_node, parent_to_world

PLANAR_CONTOUR = "Planar contour"
"""Slicer's name of contours on slices, as SlicerRT loads an RTSTRUCT (vtkSegmentationConverter)."""

Source = Callable[[], Part]
"""Makes voxels of what was copied from a node; in a thread."""


def read_segments(
    node: slicer.vtkMRMLSegmentationNode, volume_node: slicer.vtkMRMLScalarVolumeNode
) -> Steps[SegmentLayers]:
    """Steps to the segments on the volume's grid; the node stays as it is.

    Segments may overlap, lie on another grid, under linear transforms, and be stored as voxels, as surfaces, or as
    planar contours, which are filled as those of an RTSTRUCT on disk are.

    Raises:
        InputError: if the node is none, two segments have the same name, it is under a non-linear transform, voxels
            cannot be made of what it holds, or it was changed meanwhile.
    """
    if node is None:
        raise InputError(_("Choose a segmentation first."))
    to_world = parent_to_world(node)  # refuses a transform that is not linear, in words
    grid = grid_of_volume_node(volume_node)
    content = node.GetSegmentation()
    identifiers = list(content.GetSegmentIDs())
    names = tuple(content.GetSegment(key).GetName() for key in identifiers)
    for name in names:
        if names.count(name) > 1:
            raise InputError(
                _("Two segments of {node} are named {name}: rename one.").format(node=node.GetName(), name=name)
            )
    layers: list[LabelArray] = []
    places: dict[str, int] = {}
    source = content.GetSourceRepresentationName()
    for keys in _read_together(content, identifiers):
        values = {key: identifiers.index(key) + 1 for key in keys}
        if source == PLANAR_CONTOUR:
            (key,) = keys
            where = _("{node}: the contours of {name}").format(node=node.GetName(), name=names[values[key] - 1])
            part = _contours(content.GetSegment(key), values[key], to_world, grid, where)
        elif content.ContainsRepresentation(BINARY_LABELMAP):
            part = _voxels(content, values, to_world, grid)
        elif source == CLOSED_SURFACE:
            (key,) = keys
            surface = content.GetSegment(key).GetRepresentation(CLOSED_SURFACE)
            part = surface_filler(surface, values[key], to_world, grid)
        else:
            part = _converted(node, *keys, values, to_world, grid)
        place = yield from in_thread(_add, part, layers, grid, len(names))
        places |= dict.fromkeys(keys, place)
        if node.GetScene() is None or list(content.GetSegmentIDs()) != identifiers:
            raise InputError(_("{name} was changed while it was read: start again.").format(name=node.GetName()))
    return SegmentLayers(names, tuple(layers), tuple(places[key] for key in identifiers))


def _add(part: Source, layers: list[LabelArray], grid: Grid, segments: int) -> int:
    """Make voxels and put them where no others are; returns the index of the layer."""
    return part().add_to(layers, grid, segments)


def masks_from_segmentation_node(
    node: slicer.vtkMRMLSegmentationNode, volume_node: slicer.vtkMRMLScalarVolumeNode
) -> dict[str, npt.NDArray[np.bool_]]:
    """Voxels of each segment on the volume's grid, by segment name, in the order of the segments.

    Raises:
        InputError: as `read_segments`.
    """
    layers = finish(read_segments(node, volume_node))
    return {name: layers.mask(name) for name in layers.names}


def label_map_from_segmentation_node(
    node: slicer.vtkMRMLSegmentationNode, volume_node: slicer.vtkMRMLScalarVolumeNode
) -> tuple[LabelArray, dict[int, str]]:
    """All segments as one label map on the volume's grid, with axes (i, j, k), and segment names by value.

    Values count from 1 in the order of the segments. Where segments overlap, the later one wins.

    Raises:
        InputError: as `read_segments`.
    """
    layers = finish(read_segments(node, volume_node))
    if not layers.labels:
        return empty_layer(grid_of_volume_node(volume_node), 1), {}
    return np.maximum.reduce(layers.labels), dict(enumerate(layers.names, start=1))


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


def _read_together(content: slicer.vtkSegmentation, identifiers: list[str]) -> list[list[str]]:
    """Segments that share a label map, which Slicer calls a layer; all others one by one."""
    source = content.GetSourceRepresentationName()
    if source == PLANAR_CONTOUR or not content.ContainsRepresentation(BINARY_LABELMAP):
        return [[key] for key in identifiers]
    layers = range(content.GetNumberOfLayers(BINARY_LABELMAP))
    return [list(content.GetSegmentIDsForLayer(number, BINARY_LABELMAP)) for number in layers]


def _voxels(
    content: slicer.vtkSegmentation, values: dict[str, int], to_world: npt.NDArray[np.float64], grid: Grid
) -> Source:
    """A copy of the label map that segments share.

    Args:
        content: Where the segments are.
        values: Wanted value of each segment.
        to_world: From the node's coordinates.
        grid: Where voxels are wanted.
    """
    segments = {content.GetSegment(key): value for key, value in values.items()}
    image = next(iter(segments)).GetRepresentation(BINARY_LABELMAP)
    scalars = image.GetPointData().GetScalars()
    if scalars is None or not scalars.GetNumberOfTuples():
        return lambda: nothing(grid)
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    affine = to_world @ slicer.util.arrayFromVTKMatrix(matrix)
    affine[:, 3] = affine @ [*image.GetExtent()[::2], 1]
    voxels = vtk_to_numpy(scalars).reshape(image.GetDimensions()[::-1]).copy().transpose(2, 1, 0)
    own = {segment.GetLabelValue(): value for segment, value in segments.items()}

    def make() -> Part:
        whole = voxels if voxels.dtype.kind in "iu" else voxels.astype(np.int32)
        table = np.zeros(max(int(whole.max()), *own) + 1, np.min_scalar_type(max(own.values())))
        table[list(own)] = list(own.values())
        return placed(in_memory_order(table, whole), affine, grid)

    return make


def _contours(
    segment: slicer.vtkSegment, value: int, to_world: npt.NDArray[np.float64], grid: Grid, where: str
) -> Source:
    """A copy of the contours of a segment, which are closed lines."""
    drawn = segment.GetRepresentation(PLANAR_CONTOUR)
    if drawn is None or not drawn.GetNumberOfCells():
        return lambda: nothing(grid)
    points = vtk_to_numpy(drawn.GetPoints().GetData()).astype(np.float64) @ to_world[:3, :3].T + to_world[:3, 3]
    contours = []
    for cells in (drawn.GetLines(), drawn.GetPolys()):
        places, ends = (vtk_to_numpy(part) for part in (cells.GetConnectivityArray(), cells.GetOffsetsArray()))
        contours += [points[places[a:b]] for a, b in itertools.pairwise(ends) if b - a > 2]

    def make() -> Part:
        from HQCSegmentLib.cohort.contour_planes import fill_contours, place_contours

        if not contours:
            return nothing(grid)
        box, _filled = fill_contours(
            place_contours(contours, grid.affine, grid.shape, where=where), grid.affine, grid.shape
        )
        return Part(box.start, box.mask * np.min_scalar_type(value).type(value))

    return make


def _converted(
    node: slicer.vtkMRMLSegmentationNode,
    key: str,
    values: dict[str, int],
    to_world: npt.NDArray[np.float64],
    grid: Grid,
) -> Source:
    """Voxels that Slicer makes of a segment that has none, on the volume's grid, in a passing copy.

    Raises:
        InputError: if Slicer cannot convert what it holds.
    """
    source = node.GetSegmentation().GetSourceRepresentationName()
    segment = slicer.vtkSegment()
    segment.AddRepresentation(source, node.GetSegmentation().GetSegment(key).GetRepresentation(source))
    passing = slicer.vtkSegmentation()
    passing.SetSourceRepresentationName(source)
    geometry = slicer.vtkOrientedImageData()
    geometry.SetDimensions(*grid.shape)
    geometry.SetImageToWorldMatrix(slicer.util.vtkMatrixFromArray(np.linalg.inv(to_world) @ grid.affine))
    converter = slicer.vtkSegmentationConverter
    passing.SetConversionParameter(
        converter.GetReferenceImageGeometryParameterName(), converter.SerializeImageGeometry(geometry)
    )
    passing.AddSegment(segment, key)
    if not passing.CreateRepresentation(BINARY_LABELMAP, True):
        raise InputError(
            _(
                "The segments of {name} are stored as {kind}, of which Slicer cannot make voxels here: create the "
                "binary labelmap in the Segmentations module."
            ).format(name=node.GetName(), kind=source.lower())
        )
    return _voxels(passing, values, to_world, grid)
