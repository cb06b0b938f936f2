"""Closed surfaces become the voxels that Slicer's own conversion makes, while the window goes on."""

from __future__ import annotations

from concurrent.futures import Future, wait

import numpy as np
import pytest
import slicer
import slicer.util
import vtk
from HQCSegmentSlicer.segment_masks import masks_from_segmentation_node, read_segments
from HQCSegmentSlicer.segment_surfaces import CLOSED_SURFACE

SHAPE = (40, 36, 30)
AFFINES = {
    "straight": np.array([[0.9, 0, 0, -12], [0, -0.9, 0, 20], [0, 0, 2.5, -31], [0, 0, 0, 1.0]]),
    "oblique": np.array([[0.48, 0, -1.52, -9], [0.512, 0.66, 0.912, 4], [0.384, -0.88, 0.684, 2], [0, 0, 0, 1.0]]),
}


def ball(*, radius: float = 1.0) -> vtk.vtkPolyData:
    source = vtk.vtkSphereSource()
    source.SetRadius(radius)
    source.SetThetaResolution(24)
    source.SetPhiResolution(17)
    source.Update()
    return source.GetOutput()


def torus() -> vtk.vtkPolyData:
    source = vtk.vtkSuperquadricSource()
    source.ToroidalOn()
    source.SetSize(1)
    source.Update()
    return source.GetOutput()


def shell() -> vtk.vtkPolyData:
    """A ball with a hole in it."""
    both = vtk.vtkAppendPolyData()
    both.AddInputData(ball())
    both.AddInputData(ball(radius=0.5))
    both.Update()
    return both.GetOutput()


SURFACES = {"ball": ball, "torus": torus, "shell": shell}


def in_volume(surface: vtk.vtkPolyData, affine: np.ndarray, *, size: float) -> vtk.vtkPolyData:
    """A surface of radius 1 in the middle of the volume, scaled to `size` times half of it along each axis."""
    half = np.array(SHAPE) / 2
    to_index = np.diag([*(size * half), 1.0])
    to_index[:3, 3] = half - 0.4
    move = vtk.vtkTransform()
    move.SetMatrix(slicer.util.vtkMatrixFromArray(affine @ to_index))
    moved = vtk.vtkTransformPolyDataFilter()
    moved.SetInputData(surface)
    moved.SetTransform(move)
    moved.Update()
    return moved.GetOutput()


def add_volume(affine: np.ndarray):
    return slicer.util.addVolumeFromArray(np.zeros(SHAPE[::-1], np.int16), affine, "CT")


def add_surfaces(*surfaces: vtk.vtkPolyData | None):
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "surfaces")
    node.GetSegmentation().SetSourceRepresentationName(CLOSED_SURFACE)
    for number, surface in enumerate(surfaces, start=1):
        segment = slicer.vtkSegment()
        segment.SetName(f"Organ{number}")
        if surface is not None:
            segment.AddRepresentation(CLOSED_SURFACE, surface)
        node.GetSegmentation().AddSegment(segment)
    return node


@pytest.mark.parametrize("affine", AFFINES.values(), ids=AFFINES)
@pytest.mark.parametrize("name", SURFACES)
@pytest.mark.parametrize("size", [0.7, 1.2], ids=["inside", "cut by the volume"])
def test_the_voxels_are_those_of_slicers_own_conversion(application, affine, name, size):
    volume = add_volume(affine)
    node = add_surfaces(in_volume(SURFACES[name](), affine, size=size))
    found = masks_from_segmentation_node(node, volume)["Organ1"]
    content = node.GetSegmentation()
    assert not content.ContainsRepresentation("Binary labelmap"), "the node stays as it is"
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    assert content.CreateRepresentation("Binary labelmap", True)
    slicers = masks_from_segmentation_node(node, volume)["Organ1"]
    assert 500 < slicers.sum() < slicers.size - 500
    np.testing.assert_array_equal(found, slicers)


def test_a_surface_moves_with_its_node(application):
    affine = AFFINES["straight"]
    volume = add_volume(affine)
    node = add_surfaces(in_volume(ball(), affine, size=0.5))
    before = masks_from_segmentation_node(node, volume)["Organ1"]
    move = np.eye(4)
    move[:3, 3] = affine[:3, :3] @ [3, -2, 1]
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(move))
    node.SetAndObserveTransformNodeID(transform.GetID())
    after = masks_from_segmentation_node(node, volume)["Organ1"]
    np.testing.assert_array_equal(after, np.roll(before, (3, -2, 1), (0, 1, 2)))


def test_a_segment_without_a_surface_or_outside_the_volume_has_no_voxels(application):
    affine = AFFINES["straight"]
    far = affine.copy()
    far[:3, 3] += 500
    node = add_surfaces(None, vtk.vtkPolyData(), in_volume(ball(), far, size=0.5), in_volume(ball(), affine, size=0.5))
    masks = masks_from_segmentation_node(node, add_volume(affine))
    assert [mask.any() for mask in masks.values()] == [False, False, False, True]


def test_the_window_has_its_turn_while_a_surface_is_filled(application):
    source = vtk.vtkSphereSource()
    source.SetThetaResolution(400)
    source.SetPhiResolution(400)
    source.Update()
    affine = AFFINES["straight"]
    steps = read_segments(add_surfaces(in_volume(source.GetOutput(), affine, size=0.9)), add_volume(affine))
    turns = 0
    for turn in steps:
        if isinstance(turn, Future):
            wait([turn], timeout=0.001)
        turns += 1
    assert turns > 10
