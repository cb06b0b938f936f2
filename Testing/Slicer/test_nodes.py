"""MRML nodes <-> library, against the real MRML classes of slicer-core."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest
import slicer
import slicer.util
import vtk
from HQCSegmentSlicer.segment_masks import label_map_from_segmentation_node
from HQCSegmentSlicer.segmentations import safe_segment_id, show_segmentation
from HQCSegmentSlicer.terminology import serialized_terminology
from HQCSegmentSlicer.volumes import image_from_volume_node
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from HQCSegmentLib.errors import InputError
from HQCSegmentLib.imaging import Code, Segmentation, Structure, Terminology, read_image, write_array

SHAPE = (9, 7, 5)
PAROTID = Terminology(
    category=Code(scheme="SCT", value="123037004", meaning="Anatomical Structure"),
    type=Code(scheme="SCT", value="45289007", meaning="Parotid gland"),
    modifier=Code(scheme="SCT", value="7771000", meaning="Left"),
)
STRUCTURES = (
    Structure(value=1, name="Parotid_L", color=(255, 128, 0), terminology=PAROTID),
    Structure(value=3, name="SpinalCord", color=(0, 255, 255)),
    Structure(value=200, name="Kidney R (new)", color=(10, 20, 30)),
    Structure(value=201, name="Eye_L"),
)
"""The last one has no voxels."""


def rotation(*angles: float) -> np.ndarray:
    """Rotation about x, then y, then z, in radians."""
    matrix = np.eye(3)
    for axis, angle in enumerate(angles):
        one, two = (other for other in range(3) if other != axis)
        turn = np.eye(3)
        turn[one, one] = turn[two, two] = np.cos(angle)
        turn[one, two], turn[two, one] = -np.sin(angle), np.sin(angle)
        matrix = turn @ matrix
    return matrix


def affine_of(directions: np.ndarray, spacing=(1.0, 1.0, 1.0), origin=(0.0, 0.0, 0.0)) -> np.ndarray:
    affine = np.eye(4)
    affine[:3, :3] = directions * np.asarray(spacing)
    affine[:3, 3] = origin
    return affine


AFFINES = {
    "axial RAS": affine_of(np.eye(3), (0.9, 0.9, 3), (-120, -80, 40)),
    "axial LPS": affine_of(np.diag([-1, -1, 1]), (0.9, 0.9, 3), (120, 80, -40)),
    "flipped, left-handed": affine_of(np.diag([1, 1, -1]), (1, 1, 2.5), (3, 4, 5)),
    "permuted": affine_of(np.eye(3)[:, [2, 0, 1]], (2, 1, 0.5), (7, -8, 9)),
    "permuted, left-handed": affine_of(np.eye(3)[:, [1, 0, 2]], (2, 1, 0.5), (7, -8, 9)),
    "oblique": affine_of(rotation(0.3, -0.5, 0.9), (0.7, 1.1, 2.9), (-11.5, 22.25, 33.125)),
    "oblique, left-handed": affine_of(rotation(0.2, 0.4, 0.1) @ np.diag([1, -1, 1]), (0.7, 1.1, 2.9)),
}


def label_array(seed: int = 5) -> np.ndarray:
    """Label map without symmetry, so that any flip or exchange shows."""
    return np.random.default_rng(seed).choice(np.array([0, 0, 1, 3, 200], np.uint8), SHAPE)


def volume_node(application, affine: np.ndarray, array: np.ndarray | None = None, name: str = "CT"):
    array = np.zeros(SHAPE, np.int16) if array is None else array
    return slicer.util.addVolumeFromArray(array.transpose(2, 1, 0), affine, name)


def by_name(array: np.ndarray, names: dict[int, str]) -> dict[str, np.ndarray]:
    return {name: array == value for value, name in names.items()}


def assert_voxel_exact(node, volume, segmentation: Segmentation) -> None:
    """The volume has the label map's own voxel order."""
    shown = by_name(*label_map_from_segmentation_node(node, volume))
    assert set(shown) == set(segmentation.labels.values())
    for name, mask in shown.items():
        np.testing.assert_array_equal(mask, segmentation.mask(name), err_msg=name)


@pytest.mark.parametrize("affine", AFFINES.values(), ids=AFFINES)
def test_volume_is_read_with_its_own_axes(application, affine):
    array = np.random.default_rng(1).integers(-1000, 2000, SHAPE).astype(np.int16)
    image = image_from_volume_node(volume_node(application, affine, array))
    np.testing.assert_array_equal(image.array, array)
    np.testing.assert_allclose(image.affine, affine, atol=1e-12)
    assert image.name == "volume"


@pytest.mark.parametrize("affine", AFFINES.values(), ids=AFFINES)
@pytest.mark.parametrize("with_volume", [True, False])
def test_segments_are_voxel_exact(application, affine, with_volume):
    volume = volume_node(application, affine)
    segmentation = Segmentation(label_array(), affine, STRUCTURES)
    node = show_segmentation(segmentation, volume_node=volume if with_volume else None)
    assert_voxel_exact(node, volume, segmentation)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    angles=st.tuples(*[st.floats(-3.2, 3.2)] * 3),
    spacing=st.tuples(*[st.floats(0.2, 6)] * 3),
    origin=st.tuples(*[st.floats(-500, 500)] * 3),
    mirrored=st.booleans(),
    order=st.permutations([0, 1, 2]),
)
def test_segments_are_voxel_exact_on_any_grid(application, angles, spacing, origin, mirrored, order):
    application.clear()
    directions = (rotation(*angles) @ np.diag([-1 if mirrored else 1, 1, 1]))[:, order]
    affine = affine_of(directions, spacing, origin)
    volume = volume_node(application, affine)
    segmentation = Segmentation(label_array(), affine, STRUCTURES)
    assert_voxel_exact(show_segmentation(segmentation, volume_node=volume), volume, segmentation)


@pytest.mark.parametrize("affine", AFFINES.values(), ids=AFFINES)
def test_file_that_slicer_reorders(application, tmp_path, affine):
    """The library reads the file's grid, Slicer loads a right-handed one; both mean the same places."""
    array = label_array()
    write_array(tmp_path / "ct.nii.gz", array.astype(np.int16), affine)
    file_image = read_image(tmp_path / "ct.nii.gz")
    volume = application.load_volume(tmp_path / "ct.nii.gz")
    loaded = image_from_volume_node(volume)
    if np.linalg.det(affine[:3, :3]) < 0:
        assert not loaded.grid.same_as(file_image.grid)
    node = show_segmentation(
        Segmentation(file_image.array.astype(np.uint8), file_image.affine, STRUCTURES), volume_node=volume
    )
    shown = by_name(*label_map_from_segmentation_node(node, volume))
    for structure in STRUCTURES:
        np.testing.assert_array_equal(shown[structure.name], loaded.array == structure.value)


def test_file_written_by_another_program(application, tmp_path):
    affine = AFFINES["oblique, left-handed"]
    nibabel.save(nibabel.Nifti1Image(label_array().astype(np.int16), affine), tmp_path / "ct.nii")
    volume = application.load_volume(tmp_path / "ct.nii")
    node = show_segmentation(Segmentation(label_array(), affine, STRUCTURES), volume_node=volume)
    shown = by_name(*label_map_from_segmentation_node(node, volume))
    loaded = slicer.util.arrayFromVolume(volume).transpose(2, 1, 0)
    for structure in STRUCTURES:
        np.testing.assert_array_equal(shown[structure.name], loaded == structure.value)


def test_segments_have_names_colors_terms_and_stable_ids(application):
    volume = volume_node(application, AFFINES["oblique"])
    node = show_segmentation(Segmentation(label_array(), AFFINES["oblique"], STRUCTURES), volume_node=volume)
    content = node.GetSegmentation()
    assert list(content.GetSegmentIDs()) == ["Parotid_L", "SpinalCord", "Kidney_R__new_", "Eye_L"]
    parotid = content.GetSegment("Parotid_L")
    assert parotid.GetName() == "Parotid_L"
    assert parotid.GetColor() == pytest.approx((1, 128 / 255, 0))
    assert parotid.GetTerminology() == serialized_terminology(PAROTID)
    assert content.GetSegment("Kidney_R__new_").GetName() == "Kidney R (new)"
    assert content.GetNumberOfLayers() == 1
    role = node.GetReferenceImageGeometryReferenceRole()
    assert node.GetNodeReferenceID(role) == volume.GetID()
    assert node.GetDisplayNode() is not None


def test_reference_geometry_without_a_volume(application):
    affine = AFFINES["flipped, left-handed"]
    node = show_segmentation(Segmentation(label_array(), affine, STRUCTURES))
    converter = slicer.vtkSegmentationConverter
    text = node.GetSegmentation().GetConversionParameter(converter.GetReferenceImageGeometryParameterName())
    geometry = slicer.vtkOrientedImageData()
    converter.DeserializeImageGeometry(text, geometry)
    assert geometry.GetDimensions() == SHAPE
    matrix = vtk.vtkMatrix4x4()
    geometry.GetImageToWorldMatrix(matrix)
    assert matrix.Determinant() > 0, "surfaces of left-handed voxels are inside out"
    assert geometry.GetSpacing() == pytest.approx(np.linalg.norm(affine[:3, :3], axis=0))


@pytest.mark.parametrize("cropped", [False, True])
def test_label_map_on_other_voxels_than_the_volume(application, cropped):
    """It stays where its own affine says; here three voxels further along i."""
    affine = AFFINES["oblique"]
    volume = volume_node(application, affine)
    moved = affine.copy()
    moved[:3, 3] = (affine @ [3, 0, 0, 1])[:3]
    array = label_array()[: 4 if cropped else None]
    node = show_segmentation(Segmentation(array, moved, STRUCTURES), volume_node=volume)
    shown = by_name(*label_map_from_segmentation_node(node, volume))
    expected = np.zeros(SHAPE, np.uint8)
    expected[3 : 3 + len(array)] = array[: SHAPE[0] - 3]
    for structure in STRUCTURES:
        np.testing.assert_array_equal(shown[structure.name], expected == structure.value)


def test_empty_structure_is_an_empty_segment(application):
    node = show_segmentation(Segmentation(np.zeros(SHAPE, np.uint8), np.eye(4), STRUCTURES[:2]))
    assert node.GetSegmentation().GetNumberOfSegments() == 2
    array, names = label_map_from_segmentation_node(node, volume_node(application, np.eye(4)))
    assert not array.any()
    assert names == {1: "Parotid_L", 2: "SpinalCord"}


def test_existing_node_keeps_other_segments(application):
    affine = AFFINES["permuted"]
    volume = volume_node(application, affine)
    first = np.zeros(SHAPE, np.uint8)
    first[1:4, 1:4, 1:3] = 1
    first[5:, 5:, 3:] = 2
    own = (Structure(value=1, name="Parotid_L"), Structure(value=2, name="Drawn by hand"))
    node = show_segmentation(Segmentation(first, affine, own), volume_node=volume)
    second = np.zeros(SHAPE, np.uint8)
    second[6:8, 0:2, 0:2] = 1
    result = show_segmentation(Segmentation(second, affine, STRUCTURES[:1]), volume_node=volume, segmentation_node=node)
    assert result is node
    assert application.scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 1
    shown = by_name(*label_map_from_segmentation_node(node, volume))
    assert set(shown) == {"Parotid_L", "Drawn by hand"}
    np.testing.assert_array_equal(shown["Parotid_L"], second == 1)
    np.testing.assert_array_equal(shown["Drawn by hand"], first == 2)
    assert sorted(node.GetSegmentation().GetSegmentIDs()) == ["Drawn_by_hand", "Parotid_L"]


def test_another_name_with_the_same_safe_id(application):
    structures = (Structure(value=1, name="A b"), Structure(value=2, name="A_b"))
    array = np.zeros(SHAPE, np.uint8)
    array[0], array[1] = 1, 2
    node = show_segmentation(Segmentation(array, np.eye(4), structures))
    assert node.GetSegmentation().GetNumberOfSegments() == 2
    shown = by_name(*label_map_from_segmentation_node(node, volume_node(application, np.eye(4))))
    np.testing.assert_array_equal(shown["A_b"], array == 2)


def test_contours_are_not_overwritten(application):
    node = application.scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "From planning")
    node.GetSegmentation().SetSourceRepresentationName("Planar contour")
    segment = slicer.vtkSegment()
    contour = vtk.vtkPolyData()
    contour.SetPoints(vtk.vtkPoints())
    segment.AddRepresentation("Planar contour", contour)
    assert node.GetSegmentation().AddSegment(segment, "GTV")
    with pytest.raises(InputError, match="From planning holds contours"):
        show_segmentation(Segmentation(label_array(), np.eye(4), STRUCTURES), segmentation_node=node)


def linear_transform(application, matrix: np.ndarray):
    transform = application.scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
    return transform


def test_volume_under_a_linear_transform_is_taken_where_it_is_seen(application):
    affine = AFFINES["oblique"]
    move = affine_of(rotation(0.1, 0.2, -0.3), origin=(10, 20, 30))
    volume = volume_node(application, affine)
    volume.SetAndObserveTransformNodeID(linear_transform(application, move).GetID())
    image = image_from_volume_node(volume)
    np.testing.assert_allclose(image.affine, move @ affine, atol=1e-12)
    segmentation = Segmentation(label_array(), image.affine, STRUCTURES)
    assert_voxel_exact(show_segmentation(segmentation, volume_node=volume), volume, segmentation)


def test_segmentation_node_under_a_linear_transform(application):
    affine = AFFINES["axial RAS"]
    volume = volume_node(application, affine)
    node = application.scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    move = affine_of(rotation(0, 0, np.pi / 2), origin=(10, 20, 30))
    node.SetAndObserveTransformNodeID(linear_transform(application, move).GetID())
    segmentation = Segmentation(label_array(), affine, STRUCTURES)
    show_segmentation(segmentation, volume_node=volume, segmentation_node=node)
    assert_voxel_exact(node, volume, segmentation)


def test_refused_in_words(application):
    def refused(node, words: str) -> None:
        with pytest.raises(InputError, match=words) as caught:
            image_from_volume_node(node)
        assert "\n" not in str(caught.value)

    refused(None, "Choose an input volume")
    scene = application.scene
    refused(scene.AddNewNodeByClass("vtkMRMLSequenceNode", "4D CT"), "4D CT is a volume sequence")
    refused(scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Hollow"), "Hollow holds no voxels")
    refused(scene.AddNewNodeByClass("vtkMRMLModelNode", "Skin"), "Skin is not a scalar volume")
    color = slicer.util.addVolumeFromArray(
        np.zeros((2, 3, 4, 3), np.uint8), name="Photo", nodeClassName="vtkMRMLVectorVolumeNode"
    )
    refused(color, "Photo holds 3 values in each voxel")

    volume = volume_node(application, np.eye(4))
    grid = scene.AddNewNodeByClass("vtkMRMLGridTransformNode")
    volume.SetAndObserveTransformNodeID(grid.GetID())
    refused(volume, "CT is under a non-linear transform")
    shear = np.eye(4)
    shear[0, 2] = 0.2
    volume.SetAndObserveTransformNodeID(linear_transform(application, shear).GetID())
    refused(volume, "axes of CT are not perpendicular")


def test_frame_of_a_sequence_is_refused(application):
    scene = application.scene
    scene.RegisterNodeClass(slicer.vtkMRMLSequenceBrowserNode())  # the Sequences module does this in Slicer
    sequence = scene.AddNewNodeByClass("vtkMRMLSequenceNode", "4D CT")
    sequence.SetDataNodeAtValue(volume_node(application, np.eye(4), name="phase"), "0")
    browser = scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode")
    browser.SetAndObserveMasterSequenceNodeID(sequence.GetID())
    proxy = volume_node(application, np.eye(4), name="shown phase")
    browser.AddProxyNode(proxy, sequence, False)
    with pytest.raises(InputError, match="shown phase is a volume sequence"):
        image_from_volume_node(proxy)


def test_terminology_text():
    assert serialized_terminology(PAROTID) == (
        "Segmentation category and type - DICOM master list"
        "~SCT^123037004^Anatomical Structure~SCT^45289007^Parotid gland~SCT^7771000^Left"
        "~Anatomic codes - DICOM master list~^^~^^"
    )
    odd = PAROTID.model_copy(update={"modifier": Code(scheme="99L", value="1", meaning="a~b^c|d")})
    assert serialized_terminology(odd).count("~") == 6
    assert "99L^1^a b c d" in serialized_terminology(odd)


@pytest.mark.parametrize(("name", "expected"), [("Parotid_L", "Parotid_L"), ("Brücke 2/3", "Br_cke_2_3")])
def test_safe_segment_id(name, expected):
    assert safe_segment_id(name) == expected
