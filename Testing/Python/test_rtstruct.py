"""Structure sets: what is drawn is what is read, what is written is what planning systems read."""

import dataclasses
import struct
import subprocess

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from scipy.ndimage import binary_fill_holes, gaussian_filter
from skimage.draw import polygon2mask
from skimage.measure import find_contours

from HQCSegmentLib.cohort.rasterize import fill_polygons, fill_slices, skipped_slices
from HQCSegmentLib.cohort.rtstruct import drawn_structures, list_rois, read_structure_set
from HQCSegmentLib.errors import InputError
from HQCSegmentLib.imaging import Image, Segmentation, Structure, read_image
from HQCSegmentLib.imaging.dicom_series import read_series
from HQCSegmentLib.naming import structure_for
from HQCSegmentLib.planning.contours import outlines
from HQCSegmentLib.planning.rtstruct import write_rtstruct

SHAPE = (40, 36, 8)


def oblique_lps():
    angle = np.radians(20)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    tilt = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ tilt * (1.2, 2.1, 3.0)
    affine[:3, 3] = (-31.0, 12.0, -80.0)
    return affine


def straight_lps():
    return np.array([[1.2, 0, 0, -31], [0, 2.1, 0, 12], [0, 0, 3.0, -80], [0, 0, 0, 1.0]])


def ball_with_holes():
    i, j, k = np.indices(SHAPE)
    ball = (i - 18) ** 2 + (1.3 * (j - 17)) ** 2 + (3 * (k - 4)) ** 2 < 15**2
    holes = (np.abs(i - 18) < 3) & (np.abs(j - 17) < 4) | (np.abs(i - 25) < 2) & (np.abs(j - 17) < 2)
    return ball & ~holes


@pytest.fixture(params=[straight_lps, oblique_lps], ids=["straight", "oblique"])
def segmentation(request, tmp_path, write_slices):
    write_slices(tmp_path / "ct", np.zeros(SHAPE, np.int16), request.param())
    image = read_series(tmp_path / "ct", name="case")
    labels = np.zeros(SHAPE, np.uint8)
    labels[ball_with_holes()] = 1
    labels[0:3, 0:2, :] = 2
    labels[2, 2, 3] = 2  # touches the others only across a corner
    structures = (
        Structure(value=1, name="Kidney_L", interpreted_type="ORGAN", color=(70, 160, 255)),
        Structure(value=2, name="GTV", interpreted_type="GTV", color=(255, 0, 0)),
        Structure(value=3, name="Übrig", interpreted_type=""),
    )
    return Segmentation(labels, image.affine, structures, name="case", series=image.series)


def image_of(segmentation):
    return Image(np.zeros(SHAPE, np.int16), segmentation.affine, name="case", series=segmentation.series)


def test_written_masks_are_read_back_without_loss(tmp_path, segmentation):
    write_rtstruct(tmp_path / "RTSTRUCT.dcm", segmentation)
    masks = read_structure_set(tmp_path / "RTSTRUCT.dcm", image_of(segmentation))
    assert list(masks) == ["Kidney_L", "GTV"]
    for name, mask in masks.items():
        assert np.array_equal(mask, segmentation.mask(name)), name
    assert list(read_structure_set(tmp_path / "RTSTRUCT.dcm", image_of(segmentation), names=["GTV"])) == ["GTV"]


def test_a_structure_without_voxels_is_listed_but_not_drawn(tmp_path, segmentation):
    write_rtstruct(tmp_path / "RTSTRUCT.dcm", segmentation)
    assert list_rois(tmp_path / "RTSTRUCT.dcm") == ["Kidney_L", "GTV", "Übrig"]
    dataset = pydicom.dcmread(tmp_path / "RTSTRUCT.dcm")
    assert [int(item.ReferencedROINumber) for item in dataset.ROIContourSequence] == [1, 2]


def test_the_file_refers_to_the_original_images(tmp_path, segmentation):
    write_rtstruct(tmp_path / "RTSTRUCT.dcm", segmentation)
    dataset = pydicom.dcmread(tmp_path / "RTSTRUCT.dcm")
    source = pydicom.dcmread(segmentation.series.files[0])
    for tag in ("PatientName", "PatientID", "StudyInstanceUID", "FrameOfReferenceUID"):
        assert dataset[tag].value == source[tag].value
    frame = dataset.ReferencedFrameOfReferenceSequence[0]
    series = frame.RTReferencedStudySequence[0].RTReferencedSeriesSequence[0]
    assert series.SeriesInstanceUID == source.SeriesInstanceUID
    uids = segmentation.series.sop_instance_uids
    assert [item.ReferencedSOPInstanceUID for item in series.ContourImageSequence] == list(uids)
    lps = np.diag([-1.0, -1, 1, 1]) @ segmentation.affine
    for roi in dataset.ROIContourSequence:
        for contour in roi.ContourSequence:
            points = np.array(contour.ContourData, float).reshape(-1, 3)
            indices = (points - lps[:3, 3]) @ np.linalg.inv(lps[:3, :3]).T
            k = uids.index(contour.ContourImageSequence[0].ReferencedSOPInstanceUID)
            assert np.abs(indices[:, 2] - k).max() < 0.01
            assert int(contour.NumberOfContourPoints) == len(points)


def test_the_file_says_that_it_is_automatic_unapproved_and_for_research(tmp_path, segmentation):
    write_rtstruct(tmp_path / "RTSTRUCT.dcm", segmentation)
    dataset = pydicom.dcmread(tmp_path / "RTSTRUCT.dcm")
    assert dataset.file_meta.TransferSyntaxUID == pydicom.uid.ImplicitVRLittleEndian
    assert dataset.SeriesDescription == "HQCSegment, research use only"
    assert dataset.ApprovalStatus == "UNAPPROVED"
    assert {roi.ROIGenerationAlgorithm for roi in dataset.StructureSetROISequence} == {"AUTOMATIC"}
    types = [item.RTROIInterpretedType for item in dataset.RTROIObservationsSequence]
    assert types == ["ORGAN", "GTV", ""]
    assert list(dataset.ROIContourSequence[0].ROIDisplayColor) == [70, 160, 255]
    coordinates = [c for roi in dataset.ROIContourSequence for item in roi.ContourSequence for c in item.ContourData]
    assert max(len(str(value.original_string)) for value in coordinates) <= 16


def test_structures_are_identified_by_their_code_of_fma_where_it_is_sure(tmp_path, segmentation, dicom_errors):
    structures = (structure_for("Kidney_L", 1), structure_for("GTV", 2), structure_for("Glnd_Adrenal_R", 3))
    write_rtstruct(tmp_path / "RTSTRUCT.dcm", dataclasses.replace(segmentation, structures=structures))
    kidney, *others = pydicom.dcmread(tmp_path / "RTSTRUCT.dcm").RTROIObservationsSequence
    (code,) = kidney.RTROIIdentificationCodeSequence
    assert (code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning) == ("7205", "FMA", "left kidney")
    assert all("RTROIIdentificationCodeSequence" not in other for other in others)
    assert dicom_errors(tmp_path / "RTSTRUCT.dcm") == []


def test_contours_are_closed_planar_and_numbered_from_one(tmp_path, segmentation):
    write_rtstruct(tmp_path / "RTSTRUCT.dcm", segmentation)
    for roi in pydicom.dcmread(tmp_path / "RTSTRUCT.dcm").ROIContourSequence:
        assert [int(contour.ContourNumber) for contour in roi.ContourSequence] == [
            *range(1, len(roi.ContourSequence) + 1)
        ]
        assert {contour.ContourGeometricType for contour in roi.ContourSequence} == {"CLOSED_PLANAR"}


def test_noise_is_written_and_read_back_without_loss(tmp_path, segmentation, dicom_errors):
    """As an untrained model makes it: hundreds of parts, touching across corners and full of holes."""
    labels = np.random.default_rng(0).choice(3, SHAPE, p=(0.2, 0.7, 0.1)).astype(np.uint8)
    noise = dataclasses.replace(segmentation, array=labels)
    write_rtstruct(tmp_path / "RTSTRUCT.dcm", noise)
    masks = read_structure_set(tmp_path / "RTSTRUCT.dcm", image_of(noise))
    assert list(masks) == ["Kidney_L", "GTV"]
    for name, mask in masks.items():
        assert np.array_equal(mask, noise.mask(name)), name
    assert dicom_errors(tmp_path / "RTSTRUCT.dcm") == []


def test_the_validator_finds_no_error(tmp_path, segmentation, dicom_errors):
    write_rtstruct(tmp_path / "RTSTRUCT.dcm", segmentation)
    assert dicom_errors(tmp_path / "RTSTRUCT.dcm") == []


def test_plastimatch_reads_the_same_volume(tmp_path, write_slices, tool, dice):
    write_slices(tmp_path / "ct", np.zeros(SHAPE, np.int16), straight_lps())
    image = read_series(tmp_path / "ct", name="case")
    labels = ball_with_holes().astype(np.uint8)
    structures = (Structure(value=1, name="Kidney_L"),)
    segmentation = Segmentation(labels, image.affine, structures, name="case", series=image.series)
    write_rtstruct(tmp_path / "RTSTRUCT.dcm", segmentation)
    command = [tool("plastimatch"), "convert", "--input", "RTSTRUCT.dcm", "--referenced-ct", "ct"]
    command += ["--output-prefix", "out", "--prefix-format", "nii.gz"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    read = read_image(tmp_path / "out" / "Kidney_L.nii.gz")
    assert read.grid.same_as(image.grid)
    assert dice(read.array > 0, labels > 0) >= 0.97


def test_an_image_file_cannot_become_a_structure_set(tmp_path):
    labels = np.ones((3, 3, 3), np.uint8)
    segmentation = Segmentation(labels, np.eye(4), (Structure(value=1, name="Liver"),), name="case")
    with pytest.raises(InputError, match="must be a DICOM series"):
        write_rtstruct(tmp_path / "RTSTRUCT.dcm", segmentation)
    assert not (tmp_path / "RTSTRUCT.dcm").exists()


def test_a_segmentation_on_another_grid_is_refused(tmp_path, segmentation):
    moved = segmentation.affine.copy()
    moved[2, 3] += 1
    other = Segmentation(segmentation.array, moved, segmentation.structures, series=segmentation.series)
    with pytest.raises(InputError, match="grid"):
        write_rtstruct(tmp_path / "RTSTRUCT.dcm", other)


def square(low, high):
    return np.array([[low, low], [high, low], [high, high], [low, high]], float)


def drawn(tmp_path, segmentation, *contours, roi_number=1, geometric_type="CLOSED_PLANAR", refers_to=()):
    """A structure set with contours given in voxel indices (points, 3), in place of the written ones.

    `refers_to` has the image that each refers to: a slice, or a UID.
    """
    path = tmp_path / "RTSTRUCT.dcm"
    write_rtstruct(path, segmentation)
    dataset = pydicom.dcmread(path)
    lps = np.diag([-1.0, -1, 1, 1]) @ segmentation.affine
    items = []
    for contour in contours:
        points = contour @ lps[:3, :3].T + lps[:3, 3]
        item = pydicom.Dataset()
        item.ContourGeometricType = geometric_type
        item.NumberOfContourPoints = len(points)
        item.ContourData = [f"{value:.4f}" for value in points.ravel()]
        items.append(item)
    for item, image in zip(items, refers_to, strict=bool(refers_to)):
        reference = pydicom.Dataset()
        reference.ReferencedSOPClassUID = pydicom.uid.CTImageStorage
        uids = segmentation.series.sop_instance_uids
        reference.ReferencedSOPInstanceUID = uids[image] if isinstance(image, int) else image
        item.ContourImageSequence = [reference]
    roi = pydicom.Dataset()
    roi.ReferencedROINumber = roi_number
    roi.ContourSequence = items
    dataset.ROIContourSequence = [roi]
    dataset.save_as(path)
    return path


def on_slice(polygon, k):
    return np.column_stack([polygon, np.full(len(polygon), k)])


def test_an_inner_contour_cuts_a_hole(tmp_path, segmentation):
    path = drawn(
        tmp_path, segmentation, on_slice(square(4.5, 20.5), 2), on_slice(square(9.5, 14.5), 2),
        geometric_type="CLOSEDPLANAR_XOR",
    )  # fmt: skip
    mask = read_structure_set(path, image_of(segmentation))["Kidney_L"]
    assert mask.sum() == 16**2 - 5**2
    assert not mask[12, 12, 2]


def test_regions_are_joined_by_number_not_by_order(tmp_path, segmentation):
    path = drawn(tmp_path, segmentation, on_slice(square(4.5, 20.5), 2), roi_number=3)
    assert list(read_structure_set(path, image_of(segmentation))) == ["Übrig"]


def test_a_region_without_contours_is_absent(tmp_path, segmentation):
    assert read_structure_set(drawn(tmp_path, segmentation), image_of(segmentation)) == {}


def test_points_and_open_lines_are_no_regions(tmp_path, segmentation):
    path = drawn(tmp_path, segmentation, on_slice(square(4.5, 20.5), 2), geometric_type="OPEN_PLANAR")
    assert read_structure_set(path, image_of(segmentation)) == {}


def test_a_contour_belongs_to_the_nearest_slice(tmp_path, segmentation):
    path = drawn(tmp_path, segmentation, on_slice(square(4.5, 20.5), 2.4), on_slice(square(4.5, 10.5), 1.9))
    mask = read_structure_set(path, image_of(segmentation))["Kidney_L"]
    assert mask[:, :, 2].sum() == mask.sum() == 6**2


def slices_of(mask):
    return np.flatnonzero(mask.any(axis=(0, 1))).tolist()


def test_a_plane_halfway_between_slices_always_goes_up(tmp_path, segmentation):
    """Whatever the last digit of the coordinates: else two planes would meet on one slice and leave the next empty."""
    contours = [on_slice(square(4.5, 20.5), k + 0.5 + 2e-4 * (-1) ** k) for k in range(1, 5)]
    mask = read_structure_set(drawn(tmp_path, segmentation, *contours), image_of(segmentation))["Kidney_L"]
    assert slices_of(mask) == [2, 3, 4, 5]


def test_the_same_contour_written_twice_counts_once(tmp_path, segmentation):
    contour = on_slice(square(4.5, 20.5), 2)
    path = drawn(tmp_path, segmentation, contour, on_slice(square(9.5, 14.5), 2), contour)
    assert read_structure_set(path, image_of(segmentation))["Kidney_L"].sum() == 16**2 - 5**2


def test_a_contour_away_from_the_image_that_it_refers_to_is_an_error(tmp_path, segmentation):
    path = drawn(tmp_path, segmentation, on_slice(square(4.5, 20.5), 2), refers_to=[3])
    assert slices_of(read_structure_set(path, image_of(segmentation))["Kidney_L"]) == [2]  # next to it is near enough
    path = drawn(tmp_path, segmentation, on_slice(square(4.5, 20.5), 2), refers_to=[5])
    with pytest.raises(InputError, match=r"case: structure 'Kidney_L'.* 9\.0 mm from the image that it refers to"):
        read_structure_set(path, image_of(segmentation))


def test_a_contour_that_refers_to_an_unknown_image_is_read_by_position(tmp_path, segmentation):
    path = drawn(tmp_path, segmentation, on_slice(square(4.5, 20.5), 2), refers_to=["1.2.3"])
    assert slices_of(read_structure_set(path, image_of(segmentation))["Kidney_L"]) == [2]


@pytest.mark.parametrize(("coordinate", "words"), [(b"1x", "not numbers"), (b"nan", "not finite")])
def test_coordinates_that_are_none_are_an_error(tmp_path, segmentation, coordinate, words):
    path = drawn(tmp_path, segmentation, on_slice(square(4.5, 20.5), 2))
    content = path.read_bytes()
    place = content.index(struct.pack("<HH", 0x3006, 0x0050)) + 8
    end = content.index(b"\\", place)
    path.write_bytes(content[:place] + coordinate.ljust(end - place) + content[end:])
    with pytest.raises(InputError, match=f"case: structure 'Kidney_L'.*{words}"):
        read_structure_set(path, image_of(segmentation))


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
def test_every_transfer_syntax_is_read_alike(tmp_path, segmentation, syntax):
    path = drawn(tmp_path, segmentation, on_slice(square(4.5, 20.5), 2), refers_to=[2])
    dataset = pydicom.dcmread(path)
    # As many planning systems write it: the length of sequences is not given.
    for roi in dataset.ROIContourSequence:
        roi["ContourSequence"].is_undefined_length = True
        for contour in roi.ContourSequence:
            contour.is_undefined_length_sequence_item = True
            contour["ContourImageSequence"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.save_as(path, implicit_vr=syntax.is_implicit_VR, little_endian=True)
    assert read_structure_set(path, image_of(segmentation))["Kidney_L"].sum() == 16**2


class TestSlicesBetween:
    """A structure drawn on every second or third slice has no holes; one with a gap keeps it."""

    def cone(self, slices):
        return [on_slice(square(10.5 - k, 12.5 + k), k) for k in slices]

    @pytest.mark.parametrize("slices", [[1, 3, 5, 7], [1, 4, 7], [0, 2, 5, 7]], ids=str)
    def test_skipped_slices_are_interpolated(self, tmp_path, segmentation, slices):
        path = drawn(tmp_path, segmentation, *self.cone(slices))
        (structure,) = drawn_structures(path, image_of(segmentation))
        mask = structure.box.whole(SHAPE)
        assert slices_of(mask) == list(range(slices[0], slices[-1] + 1))
        for k in range(slices[0], slices[-1] + 1):
            width = np.flatnonzero(mask[:, :, k].any(axis=1))
            assert abs(len(width) - (2 + 2 * k)) <= 1
        (note,) = structure.notes
        assert "slices between are filled in" in note
        assert "case: structure 'Kidney_L'" in note

    @pytest.mark.parametrize("slices", [[1, 2, 5, 6], [1, 5], [3], [0, 2, 7], [1, 2, 3, 5, 6]], ids=str)
    def test_a_gap_is_a_gap(self, tmp_path, segmentation, slices):
        path = drawn(tmp_path, segmentation, *self.cone(slices))
        (structure,) = drawn_structures(path, image_of(segmentation))
        assert slices_of(structure.box.whole(SHAPE)) == slices
        assert structure.notes == ()

    def test_of_two_parts_each_is_filled_in_and_the_space_between_is_not(self):
        assert skipped_slices([0, 2, 4, 12, 14, 16]) == [(0, 2), (2, 4), (12, 14), (14, 16)]


def test_contours_outside_the_image_are_an_error(tmp_path, segmentation):
    path = drawn(tmp_path, segmentation, on_slice(square(4.5, 20.5), SHAPE[2]))
    with pytest.raises(InputError, match=r"case: structure 'Kidney_L'.*1 of 1 contours lie outside"):
        read_structure_set(path, image_of(segmentation))


def test_contours_across_the_slices_are_an_error(tmp_path, segmentation):
    contour = on_slice(square(4.5, 20.5), 2)[:, [0, 2, 1]] * (1, 1, 0.3)
    with pytest.raises(InputError, match="across"):
        read_structure_set(drawn(tmp_path, segmentation, contour), image_of(segmentation))


def test_another_frame_of_reference_is_an_error(tmp_path, segmentation, write_slices):
    write_rtstruct(tmp_path / "RTSTRUCT.dcm", segmentation)
    write_slices(tmp_path / "other", np.zeros(SHAPE, np.int16), straight_lps())
    with pytest.raises(InputError, match="frame of reference"):
        read_structure_set(tmp_path / "RTSTRUCT.dcm", read_series(tmp_path / "other"))


def test_a_file_that_is_no_structure_set_is_refused(tmp_path, segmentation):
    with pytest.raises(InputError, match="not an RT Structure Set"):
        list_rois(segmentation.series.files[0])
    (tmp_path / "text.dcm").write_text("text")
    with pytest.raises(InputError, match="cannot be read"):
        list_rois(tmp_path / "text.dcm")


def test_filling_agrees_with_scikit_image():
    random = np.random.default_rng(0)
    for _ in range(100):
        polygon = random.uniform(-5, 45, (random.integers(3, 20), 2))
        assert np.array_equal(fill_polygons([polygon], (40, 30)), polygon2mask((40, 30), polygon))


def test_outlines_of_any_mask_fill_to_the_mask():
    random = np.random.default_rng(0)
    for density in (0.2, 0.5, 0.8, 0.95):
        mask = random.random((30, 25)) < density
        assert np.array_equal(fill_polygons(outlines(mask), mask.shape), mask)


def test_every_part_has_one_outline_and_parts_across_a_corner_are_two():
    mask = np.array([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [1, 0, 0, 0]], bool)
    first, second, third = outlines(mask)
    assert first.tolist() == [[-0.5, 0], [-0.5, 1], [0, 1.5], [1, 1.5], [1.5, 1], [1.5, 0], [1, -0.5], [0, -0.5]]
    assert (len(second), len(third)) == (4, 4)
    assert outlines(np.zeros((3, 3), bool)) == []


def test_outlines_agree_with_scikit_image():
    """Of parts without holes; both begin where they like."""
    random = np.random.default_rng(0)
    mask = gaussian_filter(random.normal(size=(40, 35)), 1) > 0.3
    mask = binary_fill_holes(mask)

    def vertices(ring):
        return sorted(map(tuple, ring.tolist()))

    expected = []
    for ring in find_contours(np.pad(mask, 1).astype(float), 0.5):
        before, after = ring[:-1] - np.roll(ring[:-1], 1, axis=0), np.diff(ring, axis=0)
        expected.append(vertices(ring[:-1][(before != after).any(axis=1)] - 1))
    assert len(expected) > 10
    assert sorted(map(vertices, outlines(mask))) == sorted(expected)


def test_holes_are_joined_by_the_shortest_cuts():
    mask = np.ones((9, 30), bool)
    mask[4, [3, 8, 12, 22, 26]] = False
    (polygon,) = outlines(mask)
    edges = {(*start, *end) for start, end in zip(polygon.tolist(), np.roll(polygon, -1, axis=0).tolist(), strict=True)}
    assert len(edges) == len(polygon)
    # A cut is walked once in each direction.
    cuts = {edge for edge in edges if (*edge[2:], *edge[:2]) in edges}
    lengths = sorted(np.hypot(edge[0] - edge[2], edge[1] - edge[3]) for edge in cuts)
    # Three pairs of neighbouring holes are nearer to each other than to the outline, which two are joined to.
    np.testing.assert_allclose(lengths, np.repeat([3, 3, 4, np.hypot(3.5, 3.5), np.hypot(3.5, 3.5)], 2))


# Vertices lie in no line with voxel centres: of centres exactly on an outline the last digit decides.
vertices = st.tuples(*[st.integers(-96, 480).map(lambda n: n / 16 + 1 / 32)] * 2)


@settings(max_examples=60, deadline=None)
@given(
    polygons=st.lists(st.lists(vertices, min_size=3, max_size=12), min_size=1, max_size=5),
    slices=st.lists(st.integers(0, 4), min_size=5, max_size=5),
)
def test_a_structure_filled_at_once_is_each_of_its_slices_filled_alone(polygons, slices):
    arrays = [np.array(polygon) for polygon in polygons]
    box = fill_slices(arrays, slices[: len(arrays)], (24, 20, 5))
    mask = box.whole((24, 20, 5))
    for k in range(5):
        on_this = [polygon for polygon, one in zip(arrays, slices, strict=False) if one == k]
        assert np.array_equal(mask[:, :, k], fill_polygons(on_this, (24, 20)) if on_this else np.zeros((24, 20), bool))


@settings(max_examples=40, deadline=None)
@given(
    centre=st.tuples(st.floats(15, 25), st.floats(15, 25)),
    radii=st.tuples(st.floats(3, 12), st.floats(3, 12)),
    turn=st.floats(0, 3.2),
)
def test_an_ellipse_is_filled_as_its_formula_says(centre, radii, turn):
    """A voxel is inside when its centre is, but for centres within a hundredth of a voxel of the outline."""
    angles = np.linspace(0, 2 * np.pi, 720, endpoint=False)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    polygon = np.column_stack([np.cos(angles), np.sin(angles)]) * radii @ rotation.T + centre
    mask = fill_polygons([polygon], (40, 40))
    places = (np.stack(np.meshgrid(np.arange(40), np.arange(40), indexing="ij"), -1) - centre) @ rotation
    radius = np.linalg.norm(places / radii, axis=-1)
    sure = np.abs(radius - 1) > 0.01 / min(radii)
    assert np.array_equal(mask[sure], (radius < 1)[sure])


@pytest.mark.data
def test_a_real_structure_set_fills_to_its_published_mask(data_folder, dice):
    folder = data_folder / "sts_gtv"
    image = read_series(folder / "dicom" / "STS_002_CT")
    masks = read_structure_set(folder / "dicom" / "STS_002_CT" / "mask" / "RS.dcm", image)
    label = read_image(folder / "labels" / "STS_002.nii.gz")
    change = np.linalg.inv(image.affine) @ label.affine
    indices = np.rint(np.argwhere(label.array > 0) @ change[:3, :3].T + change[:3, 3]).astype(int)
    expected = np.zeros(image.array.shape, bool)
    expected[tuple(indices.T)] = True
    assert dice(masks["GTV_Mass_CT"], expected) >= 0.967
