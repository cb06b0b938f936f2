"""Segmentations of every kind as training labels and as structure sets, read back by the library itself."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import slicer
import slicer.util
import vtk
from HQCSegmentSlicer.scene_cohort import write_scene_cohort
from HQCSegmentSlicer.segment_masks import masks_from_segmentation_node, read_segments
from HQCSegmentSlicer.segmentations import show_segmentation
from HQCSegmentSlicer.steps import finish
from HQCSegmentSlicer.tasks import structure_set_task

from HQCSegmentLib.cli import main
from HQCSegmentLib.cohort import Cohort
from HQCSegmentLib.demo.cohort import write_patient
from HQCSegmentLib.demo.hospital import HOSPITAL_B
from HQCSegmentLib.errors import InputError
from HQCSegmentLib.imaging import Segmentation, Structure
from HQCSegmentLib.imaging.dicom_series import read_series

AFFINE = np.array([[0.8, 0, 0, 5], [0, -0.8, 0, 7], [0, 0, 2.5, -9], [0, 0, 0, 1.0]])
SHAPE = (20, 18, 12)


def box(*, start: int, stop: int) -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    mask[start:stop, start:stop, 3:9] = True
    return mask


def add_volume(affine: np.ndarray = AFFINE, shape: tuple[int, ...] = SHAPE):
    return slicer.util.addVolumeFromArray(np.zeros(shape[::-1], np.int16), affine, "CT")


def add_segmentation(volume, masks: dict[str, np.ndarray], affine: np.ndarray = AFFINE):
    """Each mask from a label map of its own, so that segments may overlap."""
    node = None
    for name, mask in masks.items():
        segmentation = Segmentation(mask.astype(np.uint8), affine, (Structure(value=1, name=name),))
        node = show_segmentation(segmentation, volume_node=volume, segmentation_node=node)
    return node


def test_overlapping_segments_a_target_wins_and_what_is_absent_is_unknown(application, tmp_path):
    first, second = add_volume(), add_volume()
    liver, gtv = box(start=2, stop=15), box(start=6, stop=10)
    pairs = [
        (first, add_segmentation(first, {"GTV": gtv, "Liver": liver})),
        (second, add_segmentation(second, {"Liver": liver, "Spleen": box(start=16, stop=18)})),
    ]
    overlaps = finish(write_scene_cohort(pairs, tmp_path))
    assert [(one.case, one.kept, one.cut) for one in overlaps] == [("case01", "GTV", "Liver")]
    assert overlaps[0].millilitres == pytest.approx(gtv.sum() * 0.8 * 0.8 * 2.5 / 1000)
    cohort = Cohort.open(tmp_path)
    value = {name: number for number, name in cohort.structures.items()}
    one, two = (case.read(cohort.structures) for case in cohort.cases)
    np.testing.assert_array_equal(one.label == value["GTV"], gtv)
    np.testing.assert_array_equal(one.label == value["Liver"], liver & ~gtv)
    assert one.known == {value["GTV"], value["Liver"]}
    assert two.known == {value["Liver"], value["Spleen"]}
    np.testing.assert_allclose(one.image.affine, AFFINE, atol=1e-5)
    assert "CT" not in (tmp_path / "cohort.json").read_text()


def test_two_segments_of_one_name_are_refused(application, tmp_path):
    volume = add_volume()
    node = add_segmentation(volume, {"Liver": box(start=2, stop=9)})
    node.GetSegmentation().AddEmptySegment("other", "Liver")
    with pytest.raises(InputError, match="are named Liver: rename one"):
        finish(write_scene_cohort([(volume, node)], tmp_path))


def test_surfaces_become_masks_and_the_node_stays_as_it_is(application):
    volume = add_volume()
    mask = box(start=4, stop=14)
    node = add_segmentation(volume, {"Liver": mask})
    content = node.GetSegmentation()
    content.CreateRepresentation("Closed surface", True)
    content.SetSourceRepresentationName("Closed surface")
    content.RemoveRepresentation("Binary labelmap")
    found = masks_from_segmentation_node(node, volume)["Liver"]
    assert 2 * (found & mask).sum() / (found.sum() + mask.sum()) > 0.9
    assert not content.ContainsRepresentation("Binary labelmap")
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 1


def add_contours(squares: dict[str, list[tuple[float, float, float]]], affine: np.ndarray = AFFINE):
    """Planar contours as SlicerRT loads them: closed lines, here squares (from, to, slice) in voxels."""
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "RTSTRUCT")
    node.GetSegmentation().SetSourceRepresentationName("Planar contour")
    for name, drawn in squares.items():
        points, lines = vtk.vtkPoints(), vtk.vtkCellArray()
        for low, high, k in drawn:
            corners = [(low, low, k), (high, low, k), (high, high, k), (low, high, k)]
            numbers = [points.InsertNextPoint((affine @ [*corner, 1])[:3]) for corner in corners]
            lines.InsertNextCell(5)
            for number in (*numbers, numbers[0]):
                lines.InsertCellPoint(number)
        contours = vtk.vtkPolyData()
        contours.SetPoints(points)
        contours.SetLines(lines)
        segment = slicer.vtkSegment()
        segment.SetName(name)
        segment.AddRepresentation("Planar contour", contours)
        node.GetSegmentation().AddSegment(segment)
    return node


def test_planar_contours_are_filled_with_their_holes(application):
    volume = add_volume()
    whole = [(1.5, 12.5, k) for k in range(3, 9)]
    node = add_contours({"Liver": whole, "Wall": [*whole, *((4.5, 7.5, k) for k in range(3, 9))], "None": []})
    masks = masks_from_segmentation_node(node, volume)
    np.testing.assert_array_equal(masks["Liver"], box(start=2, stop=13))
    np.testing.assert_array_equal(masks["Wall"], box(start=2, stop=13) & ~box(start=5, stop=8))
    assert not masks["None"].any()
    move = np.array([[0, -1.0, 0, 10], [1, 0, 0, 20], [0, 0, 1, 5], [0, 0, 0, 1]])
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(move))
    for one in (node, volume):
        one.SetAndObserveTransformNodeID(transform.GetID())
    np.testing.assert_array_equal(masks_from_segmentation_node(node, volume)["Wall"], masks["Wall"])


def test_contours_across_the_slices_are_refused_in_words(application):
    sagittal = AFFINE[:, [2, 0, 1, 3]]
    with pytest.raises(InputError, match=r"RTSTRUCT: the contours of Liver: contours run across the image slices"):
        masks_from_segmentation_node(add_contours({"Liver": [(2, 9, 4)]}, sagittal), add_volume())


def test_a_segmentation_that_cannot_be_read_is_refused_in_words(application):
    volume = add_volume()
    node = add_segmentation(volume, {"Liver": box(start=2, stop=9)})
    node.SetAndObserveTransformNodeID(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLGridTransformNode").GetID())
    with pytest.raises(InputError, match="is under a non-linear transform: harden or remove it"):
        masks_from_segmentation_node(node, volume)
    ribbons = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Ribbons")
    ribbons.GetSegmentation().SetSourceRepresentationName("Ribbon model")
    segment = slicer.vtkSegment()
    segment.AddRepresentation("Ribbon model", vtk.vtkPolyData())
    ribbons.GetSegmentation().AddSegment(segment, "Liver")
    with pytest.raises(InputError, match="Ribbons are stored as ribbon model, of which Slicer cannot make voxels here"):
        masks_from_segmentation_node(ribbons, volume)


def test_a_node_that_is_changed_while_it_is_read_is_refused(application):
    volume = add_volume()
    node = add_segmentation(volume, {"Liver": box(start=2, stop=9), "GTV": box(start=3, stop=5)})
    steps = read_segments(node, volume)
    next(steps)
    node.GetSegmentation().RemoveSegment("GTV")
    with pytest.raises(InputError, match="was changed while it was read"):
        finish(steps)


def test_a_segmentation_of_other_voxels_is_brought_to_the_nearest(application):
    """Twice as fine along i, turned, and partly outside; every voxel gets what is at its centre."""
    volume = add_volume()
    fine = AFFINE @ np.diag([0.5, 1, 1, 1])
    fine[:3, 3] = (AFFINE @ [-0.25, 0, 0, 1])[:3]
    mask = np.repeat(box(start=2, stop=13), 2, axis=0)[6:]
    fine[:3, 3] = (fine @ [6, 0, 0, 1])[:3]
    expected = box(start=2, stop=13)
    expected[:3] = False
    node = add_segmentation(volume, {"Liver": mask}, fine)
    np.testing.assert_array_equal(masks_from_segmentation_node(node, volume)["Liver"], expected)


def test_a_replaced_segment_comes_back_by_undo(application):
    volume = add_volume()
    before, after = box(start=2, stop=6), box(start=8, stop=12)
    slicer.mrmlScene.SetUndoOn()
    node = add_segmentation(volume, {"Liver": before})
    node.SetUndoEnabled(True)
    segmentation = Segmentation(after.astype(np.uint8), AFFINE, (Structure(value=1, name="Liver"),))
    show_segmentation(segmentation, volume_node=volume, segmentation_node=node)
    np.testing.assert_array_equal(masks_from_segmentation_node(node, volume)["Liver"], after)
    slicer.mrmlScene.Undo()
    np.testing.assert_array_equal(masks_from_segmentation_node(node, volume)["Liver"], before)
    slicer.mrmlScene.SetUndoOff()


def test_a_segmentation_stands_beside_its_volume(application):
    volume = add_volume()
    tree = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    study = tree.CreateStudyItem(tree.GetSceneItemID(), "study")
    tree.CreateItem(study, volume)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    tree.CreateItem(tree.GetSceneItemID(), node)
    segmentation = Segmentation(box(start=2, stop=6).astype(np.uint8), AFFINE, (Structure(value=1, name="Liver"),))
    show_segmentation(segmentation, volume_node=volume, segmentation_node=node)
    assert tree.GetItemParent(tree.GetItemByDataNode(node)) == study
    role = node.GetReferenceImageGeometryReferenceRole()
    assert node.GetNodeReferenceID(role) == volume.GetID()


def test_a_structure_set_of_overlapping_segments_refers_to_the_original_series(application, tmp_path):
    """The real command, on a volume that Slicer holds in another voxel order than the series."""
    import pydicom

    write_patient(tmp_path / "patient", seed=1, hospital=HOSPITAL_B, alias="B01")
    series = read_series(tmp_path / "patient" / "CT")
    reversed_affine = series.affine @ np.diag([1, 1, -1, 1])
    reversed_affine[:3, 3] = series.affine[:3, 3] + (series.array.shape[2] - 1) * series.affine[:3, 2]
    volume = add_volume(reversed_affine, series.array.shape)
    liver, gtv = np.zeros(series.array.shape, bool), np.zeros(series.array.shape, bool)
    liver[20:50, 20:50, 5:12] = True
    gtv[30:40, 30:40, 7:10] = True
    node = add_segmentation(volume, {"Liver": liver[:, :, ::-1], "GTV": gtv[:, :, ::-1]}, reversed_affine)
    out = tmp_path / "contours.dcm"
    task = finish(structure_set_task(node, volume, out, tmp_path / "patient" / "CT"))
    assert main([str(word) for word in task.words]) == 0
    task.discard()
    written = pydicom.dcmread(out)
    assert [roi.ROIName for roi in written.StructureSetROISequence] == ["Liver", "GTV"]
    drawn = [{c.ContourImageSequence[0].ReferencedSOPInstanceUID for c in roi.ContourSequence}
             for roi in written.ROIContourSequence]  # fmt: skip
    uids = series.series.sop_instance_uids
    assert drawn == [set(uids[5:12]), set(uids[7:10])]
    assert written.PatientID == "HQC-PHANTOM-B01"


def test_the_series_is_found_in_the_dicom_database_and_only_its_slices_are_used(application, tmp_path, monkeypatch):
    files = {f"1.2.{number}": tmp_path / f"IM{number}" for number in range(3)}
    for uid, file in files.items():
        file.write_text(uid)
    database = SimpleNamespace(fileForInstance=lambda uid: str(files[uid]))
    monkeypatch.setattr(slicer, "dicomDatabase", database, raising=False)
    volume = add_volume()
    volume.SetAttribute("DICOM.instanceUIDs", "1.2.0 1.2.2")
    node = add_segmentation(volume, {"Liver": box(start=2, stop=9)})
    task = finish(structure_set_task(node, volume, tmp_path / "contours.dcm"))
    series = Path(task.words[task.words.index("--series") + 1])
    assert [file.read_text() for file in sorted(series.iterdir())] == ["1.2.0", "1.2.2"]
    task.discard()
    assert not series.exists()
    assert all(file.is_file() for file in files.values())
    files["1.2.2"].unlink()
    with pytest.raises(InputError, match="The original DICOM series of CT is not known"):
        finish(structure_set_task(node, volume, tmp_path / "contours.dcm"))
