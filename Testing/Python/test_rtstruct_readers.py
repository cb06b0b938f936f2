"""Structure sets as other programs read them, from real label maps on grids of every kind."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
import pytest
from scipy.ndimage import gaussian_filter, zoom

from HQCSegmentLib.cohort.rasterize import fill_polygons
from HQCSegmentLib.cohort.rtstruct import list_rois, read_structure_set
from HQCSegmentLib.errors import InputError
from HQCSegmentLib.imaging import Segmentation, Structure, read_image, read_label_map
from HQCSegmentLib.imaging.dicom_folder import scan
from HQCSegmentLib.imaging.dicom_series import read_series
from HQCSegmentLib.naming import structure_for
from HQCSegmentLib.planning.contours import trace_mask, trace_probability
from HQCSegmentLib.planning.rtstruct import ContourOptions, write_rtstruct
from HQCSegmentLib.planning.simplification import simplified

LPS_FROM_RAS = np.diag([-1.0, -1, 1, 1])
LARGE_ML = 10.0
"""From this volume on a structure must come back with the Dice of its grid; smaller ones have few voxels."""


@dataclass(frozen=True)
class Made:
    """A segmentation, its CT series on disk, and the structure set."""

    segmentation: Segmentation
    ct: Path
    rtstruct: Path

    def large(self) -> list[str]:
        voxel = self.segmentation.grid.voxel_millilitres
        found = [(one.name, self.segmentation.mask(one.name).sum() * voxel) for one in self.segmentation.structures]
        return [name for name, volume in found if volume >= LARGE_ML]


def agreement(read: np.ndarray, written: np.ndarray) -> tuple[float, float]:
    """Dice, and volume read over volume written."""
    both = float((read & written).sum())
    return 2 * both / float(read.sum() + written.sum()), float(read.sum() / written.sum())


def structures_of(label: np.ndarray) -> tuple[Structure, ...]:
    return tuple(structure_for(f"Part_{value}", value) for value in np.unique(label).tolist() if value)


def abdomen(data: Path) -> tuple[np.ndarray, np.ndarray]:
    """Organs at 3 mm."""
    label = read_label_map(data / "abdomen_ct" / "labels" / "ct_small.nii.gz")
    return label.array, label.affine


def abdomen_1mm(data: Path) -> tuple[np.ndarray, np.ndarray]:
    """The same as it would be drawn on slices of 1 mm."""
    array, affine = abdomen(data)
    array = array[:, :, 10:22]
    fine = np.zeros([3 * size for size in array.shape], np.uint16)
    for value in (1, 2, 3, 5):
        fine[gaussian_filter(zoom((array == value).astype(np.float32), 3, order=0), 1.5) > 0.5] = value
    grid = affine.copy()
    grid[:3, :3] /= 3
    return fine, grid


def gtv(data: Path) -> tuple[np.ndarray, np.ndarray]:
    """A tumor at 0.98 x 0.98 x 3.27 mm."""
    label = read_label_map(data / "sts_gtv" / "labels" / "STS_001.nii.gz")
    return label.array, label.affine


def head_and_neck(data: Path) -> tuple[np.ndarray, np.ndarray]:
    """Organs on oblong pixels of about 4 x 2.5 mm."""
    label = read_label_map(data / "openkbp_hn" / "labels" / "pt_100.nii.gz")
    drawn = np.flatnonzero(label.array.any(axis=(0, 1)))
    affine = label.affine.copy()
    affine[:3, 3] += affine[:3, 2] * drawn[0]
    return label.array[:, :, drawn[0] : drawn[0] + 90], affine


def turned(affine: np.ndarray) -> np.ndarray:
    """The grid turned about two axes."""
    a, b = np.radians((17, 11))
    first = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    second = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    result = affine.copy()
    result[:3, :3] = first @ second @ affine[:3, :3]
    return result


def right_handed(label: np.ndarray, affine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """As a DICOM series has it: slices ascend along the product of the two directions in the plane."""
    lps = LPS_FROM_RAS @ affine
    if np.linalg.det(lps[:3, :3]) > 0:
        return label, affine
    changed = affine.copy()
    changed[:3, 3] += affine[:3, 2] * (label.shape[2] - 1)
    changed[:3, 2] *= -1
    return label[:, :, ::-1], changed


def flipped(label: np.ndarray, affine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same patient with columns and rows in the other direction."""
    changed = affine.copy()
    changed[:3, 3] += affine[:3, 0] * (label.shape[0] - 1) + affine[:3, 1] * (label.shape[1] - 1)
    changed[:3, :2] *= -1
    return label[::-1, ::-1], changed


def square(label: np.ndarray) -> np.ndarray:
    """With as many rows as columns: rt-utils mixes them up."""
    size = max(label.shape[:2])
    return np.pad(label, [(0, size - label.shape[0]), (0, size - label.shape[1]), (0, 0)])


GRIDS = {
    "abdomen 3 mm": (abdomen, False, False),
    "abdomen 1 mm": (abdomen_1mm, False, False),
    "abdomen 1 mm, oblique": (abdomen_1mm, True, False),
    "tumor, flipped": (gtv, False, True),
    "tumor, oblique": (gtv, True, True),
    "head and neck, oblong pixels": (head_and_neck, False, False),
    "head and neck, oblique": (head_and_neck, True, False),
}


@pytest.fixture(scope="module", params=list(GRIDS))
def made(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, data_folder: Path,
    write_slices: Callable[..., list[Path]],
) -> Made:  # fmt: skip
    source, is_turned, is_flipped = GRIDS[request.param]
    label, affine = source(data_folder)
    if is_flipped:
        label, affine = flipped(label, affine)
    label, affine = right_handed(label, turned(affine) if is_turned else affine)
    label = square(label)
    folder = tmp_path_factory.mktemp("readers")
    write_slices(folder / "ct", np.zeros(label.shape, np.int16), LPS_FROM_RAS @ affine)
    image = read_series(folder / "ct", name="case")
    assert image.grid.difference(Segmentation(label, affine, ()).grid) < 0.01
    segmentation = Segmentation(label, image.affine, structures_of(label), name="case", series=image.series)
    write_rtstruct(folder / "RTSTRUCT.dcm", segmentation)
    return Made(segmentation, folder / "ct", folder / "RTSTRUCT.dcm")


def holds(made: Made, masks: dict[str, np.ndarray]) -> None:
    """Every structure of some size is there with the Dice that its grid allows, and its volume within 1 %."""
    limit = 0.99 if max(made.segmentation.grid.spacing) < 1.5 else 0.97
    assert made.large()
    for name in made.large():
        dice, volume = agreement(masks[name], made.segmentation.mask(name))
        assert dice >= limit, name
        assert volume == pytest.approx(1, abs=0.01), name


def test_the_own_reader_gives_every_voxel_back(made: Made):
    masks = read_structure_set(made.rtstruct, read_series(made.ct, name="case"))
    holds(made, masks)
    for structure in made.segmentation.structures:
        assert np.array_equal(masks[structure.name], made.segmentation.mask(structure.name)), structure.name


def test_the_validator_finds_no_error(made: Made, dicom_errors: Callable[[Path], list[str]]):
    assert dicom_errors(made.rtstruct) == []


def test_plastimatch(made: Made, tool: Callable[[str], str], tmp_path: Path):
    command = [tool("plastimatch"), "convert", "--input", str(made.rtstruct), "--referenced-ct", str(made.ct)]
    command += ["--output-prefix", str(tmp_path), "--prefix-format", "nrrd"]
    subprocess.run(command, check=True, capture_output=True)
    images = {name: read_image(tmp_path / f"{name}.nrrd") for name in made.large()}
    for image in images.values():
        assert image.grid.same_as(made.segmentation.grid)
    holds(made, {name: image.array > 0 for name, image in images.items()})


def test_planar_contours_as_vtk_fills_them(made: Made):
    """As SlicerRT does: contours become lines in the plane of their slice, and a stencil is cut out along them."""
    lps = LPS_FROM_RAS @ made.segmentation.affine
    to_voxels = np.linalg.inv(lps)
    dataset = pydicom.dcmread(made.rtstruct)
    names = {int(roi.ROINumber): str(roi.ROIName) for roi in dataset.StructureSetROISequence}
    masks = {}
    for roi in dataset.ROIContourSequence:
        name = names[int(roi.ReferencedROINumber)]
        if name in made.large():
            points = [np.array(one.ContourData, float).reshape(-1, 3) for one in roi.ContourSequence]
            masks[name] = stencil([one @ to_voxels[:3, :3].T + to_voxels[:3, 3] for one in points],
                                  made.segmentation.array.shape)  # fmt: skip
    holds(made, masks)


def stencil(polygons: list[np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    """Fill closed lines given in voxels (points, 3)."""
    import vtk
    from vtk.util.numpy_support import vtk_to_numpy

    points, lines = vtk.vtkPoints(), vtk.vtkCellArray()
    for polygon in polygons:
        lines.InsertNextCell(len(polygon) + 1)
        first = points.GetNumberOfPoints()
        for i, j, k in polygon:
            points.InsertNextPoint(i, j, round(k))
        for number in [*range(len(polygon)), 0]:
            lines.InsertCellPoint(first + number)
    data = vtk.vtkPolyData()
    data.SetPoints(points)
    data.SetLines(lines)
    cut = vtk.vtkPolyDataToImageStencil()
    cut.SetInputData(data)
    cut.SetOutputWholeExtent(0, shape[0] - 1, 0, shape[1] - 1, 0, shape[2] - 1)
    cut.SetOutputSpacing(1, 1, 1)
    cut.SetOutputOrigin(0, 0, 0)
    image = vtk.vtkImageStencilToImage()
    image.SetInputConnection(cut.GetOutputPort())
    image.SetInsideValue(1)
    image.SetOutputScalarTypeToUnsignedChar()
    image.Update()
    found = vtk_to_numpy(image.GetOutput().GetPointData().GetScalars())
    return found.reshape(shape[::-1]).transpose(2, 1, 0) > 0


def test_contours_have_the_center_and_volume_of_their_voxels(made: Made):
    """By the polygons alone, not by filling: a shift of a tenth of a voxel would show."""
    lps = LPS_FROM_RAS @ made.segmentation.affine
    to_voxels = np.linalg.inv(lps)
    dataset = pydicom.dcmread(made.rtstruct)
    names = {int(roi.ROINumber): str(roi.ROIName) for roi in dataset.StructureSetROISequence}
    for roi in dataset.ROIContourSequence:
        name = names[int(roi.ReferencedROINumber)]
        if made.segmentation.mask(name).sum() < 5000:
            continue  # in a structure of few voxels, the corners that an outline cuts off count
        total, moment = 0.0, np.zeros(3)
        for one in roi.ContourSequence:
            points = np.array(one.ContourData, float).reshape(-1, 3) @ to_voxels[:3, :3].T + to_voxels[:3, 3]
            following = np.roll(points, -1, axis=0)
            cross = points[:, 0] * following[:, 1] - following[:, 0] * points[:, 1]
            area = cross.sum() / 2
            center = ((points + following)[:, :2] * cross[:, None]).sum(axis=0) / 6
            total += abs(area)
            moment += np.sign(area) * np.array([*center, area * points[0, 2]])
        voxels = np.argwhere(made.segmentation.mask(name))
        assert np.abs(moment / total - voxels.mean(axis=0))[:2].max() < 0.08, name
        # Corners are cut off by an eighth of a voxel.
        assert total == pytest.approx(len(voxels), rel=0.04), name


def test_rt_utils(made: Made):
    """It rounds contours to voxels and takes those on the edge, so it may find a border of one voxel too much."""
    from rt_utils import RTStructBuilder
    from scipy.ndimage import binary_dilation

    read = RTStructBuilder.create_from(dicom_series_path=str(made.ct), rt_struct_path=str(made.rtstruct))
    assert read.get_roi_names() == [structure.name for structure in made.segmentation.structures]
    for name in made.large():
        mask = read.get_roi_mask_by_name(name).transpose(1, 0, 2)
        written = made.segmentation.mask(name)
        around = binary_dilation(written, np.ones((3, 3, 1)))
        assert not (written & ~mask).any(), name
        assert not (mask & ~around).any(), name


@pytest.fixture
def small(tmp_path: Path, write_slices: Callable[..., list[Path]]) -> Made:
    """An organ with a hole, a single voxel, and an empty structure."""
    i, j = np.indices((48, 48))
    label = np.repeat(ring(i, j)[:, :, None] > 0.5, 6, axis=2).astype(np.uint8)
    label[2, 3, 2] = 2
    lps = np.array([[0.9, 0, 0, -31], [0, 1.4, 0, 12], [0, 0, 3.0, -80], [0, 0, 0, 1.0]])
    write_slices(tmp_path / "ct", np.zeros(label.shape, np.int16), lps)
    image = read_series(tmp_path / "ct", name="case")
    structures = (structure_for("Kidney_L", 1), structure_for("GTV", 2), structure_for("Liver", 3))
    segmentation = Segmentation(label, image.affine, structures, name="case", series=image.series)
    return Made(segmentation, tmp_path / "ct", tmp_path / "RTSTRUCT.dcm")


def ring(i: np.ndarray, j: np.ndarray) -> np.ndarray:
    """Probability of a disc of 18 voxels with a hole of 6."""
    distance = np.hypot(i - 24.3, j - 23.6)
    return np.clip((18 - distance) / 4 + 0.5, 0, 1) * np.clip((distance - 6) / 4 + 0.5, 0, 1)


class TestHoles:
    def test_as_contours_of_their_own(self, small: Made):
        write_rtstruct(small.rtstruct, small.segmentation, options=ContourOptions(holes="xor"))
        kidney, tumor = pydicom.dcmread(small.rtstruct).ROIContourSequence
        assert {one.ContourGeometricType for one in kidney.ContourSequence} == {"CLOSEDPLANAR_XOR"}
        assert len(kidney.ContourSequence) == 2 * 6
        assert {one.ContourGeometricType for one in tumor.ContourSequence} == {"CLOSED_PLANAR"}
        masks = read_structure_set(small.rtstruct, read_series(small.ct))
        for name in ("Kidney_L", "GTV"):
            assert np.array_equal(masks[name], small.segmentation.mask(name))

    def test_as_contours_of_their_own_they_are_valid(
        self, small: Made, newest_dicom_errors: Callable[[Path], list[str]]
    ):
        """Debian's validator is older than this value of the standard."""
        write_rtstruct(small.rtstruct, small.segmentation, options=ContourOptions(holes="xor"))
        assert newest_dicom_errors(small.rtstruct) == []

    def test_a_single_voxel_survives_every_reader(self, small: Made, tool: Callable[[str], str]):
        write_rtstruct(small.rtstruct, small.segmentation)
        command = [tool("plastimatch"), "convert", "--input", "RTSTRUCT.dcm", "--referenced-ct", "ct",
                   "--output-prefix", "out", "--prefix-format", "nrrd"]  # fmt: skip
        subprocess.run(command, check=True, capture_output=True, cwd=small.ct.parent)
        for name in ("GTV", "Kidney_L"):
            read = read_image(small.ct.parent / "out" / f"{name}.nrrd")
            assert np.array_equal(read.array > 0, small.segmentation.mask(name))


class TestProbabilities:
    def test_outlines_run_between_the_voxels(self, small: Made):
        """A label map says where the edge is up to half a voxel, a probability up to a few hundredths."""
        i, j = np.indices((48, 48))
        parts = trace_probability(ring(i, j))
        (outer, hole) = parts[0]
        assert len(parts) == 1
        for points, radius in ((outer, 18), (hole, 6)):
            assert np.abs(np.hypot(points[:, 0] - 24.3, points[:, 1] - 23.6) - radius).max() < 0.05
        rough = trace_mask(ring(i, j) > 0.5)[0][0]
        assert np.abs(np.hypot(rough[:, 0] - 24.3, rough[:, 1] - 23.6) - 18).max() > 0.3

    def test_filling_gives_the_voxels_above_the_level_whatever_the_numbers(self):
        """Also where a probability is the level itself, or a part reaches the border of the image."""
        generator = np.random.default_rng(3)
        for round_to in (1, 2, 6):
            noise = gaussian_filter(generator.random((40, 36)), 1.5)
            probability = np.round((noise - noise.min()) / np.ptp(noise), round_to)
            rings = [np.round(ring, 4) for part in trace_probability(probability) for ring in part]
            assert np.array_equal(fill_polygons(rings, probability.shape), probability > 0.5)

    def test_they_are_written_for_the_structures_given(self, small: Made, dicom_errors: Callable[[Path], list[str]]):
        i, j = np.indices((48, 48))
        probability = np.repeat(ring(i, j)[:, :, None], 6, axis=2)
        write_rtstruct(small.rtstruct, small.segmentation, probabilities={"Kidney_L": probability})
        masks = read_structure_set(small.rtstruct, read_series(small.ct))
        assert agreement(masks["Kidney_L"], small.segmentation.mask("Kidney_L"))[0] > 0.999
        assert np.array_equal(masks["GTV"], small.segmentation.mask("GTV"))
        assert dicom_errors(small.rtstruct) == []

    def test_those_of_another_grid_or_structure_are_refused(self, small: Made):
        for name, shape in (("Kidney_L", (48, 48, 5)), ("Spleen", (48, 48, 6))):
            with pytest.raises(InputError, match="do not belong"):
                write_rtstruct(small.rtstruct, small.segmentation, probabilities={name: np.zeros(shape)})


class TestFewerPoints:
    def test_points_are_left_out_within_the_tolerance(self, small: Made):
        write_rtstruct(small.rtstruct, small.segmentation)
        all_points = count_points(small.rtstruct)
        write_rtstruct(small.rtstruct, small.segmentation, options=ContourOptions(simplify_mm=0.7, lowest_dice=0.97))
        assert count_points(small.rtstruct) < 0.6 * all_points
        masks = read_structure_set(small.rtstruct, read_series(small.ct))
        assert agreement(masks["Kidney_L"], small.segmentation.mask("Kidney_L"))[0] >= 0.97
        assert masks["GTV"].sum() == 1  # a single voxel keeps its four points

    @pytest.mark.parametrize("lowest", [0.95, 0.99, 1.0])
    def test_never_below_the_dice_that_is_asked_for(self, lowest: float):
        from HQCSegmentLib.cohort.rasterize import fill_polygons

        random = np.random.default_rng(0)
        mask = gaussian_filter(random.normal(size=(60, 50)), 3) > 0.05
        before = trace_mask(mask)
        after = simplified(before, spacing=(1, 1.5), tolerance_mm=4, lowest_dice=lowest)
        filled = fill_polygons([ring for part in after for ring in part], mask.shape)
        assert agreement(filled, mask)[0] >= lowest
        if lowest == 0.95:
            assert sum(len(ring) for part in after for ring in part) < sum(len(one) for part in before for one in part)


def count_points(path: Path) -> int:
    contours = [one for roi in pydicom.dcmread(path).ROIContourSequence for one in roi.ContourSequence]
    return sum(int(one.NumberOfContourPoints) for one in contours)


class TestAddingToAStructureSet:
    @pytest.fixture
    def clinical(self, small: Made) -> Path:
        """As drawn and approved in a planning system, in Latin-1 and Explicit VR."""
        path = small.ct.parent / "clinical.dcm"
        write_rtstruct(path, small.segmentation)
        dataset = pydicom.dcmread(path)
        dataset.SpecificCharacterSet = "ISO_IR 100"
        dataset.Manufacturer = "Planning system"
        dataset.StructureSetLabel = "Plan A"
        dataset.StructureSetROISequence[0].ROIName = "Niere übrig"
        dataset.StructureSetROISequence[0].ROIGenerationAlgorithm = "MANUAL"
        dataset.ApprovalStatus = "APPROVED"
        dataset.ReviewDate, dataset.ReviewTime, dataset.ReviewerName = "20240101", "120000", "Doctor"
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
        dataset.save_as(path, implicit_vr=False, little_endian=True)
        return path

    def test_its_regions_stay_as_they_are(self, small: Made, clinical: Path, dicom_errors: Callable[..., list[str]]):
        write_rtstruct(small.rtstruct, small.segmentation, existing=clinical)
        before, after = pydicom.dcmread(clinical), pydicom.dcmread(small.rtstruct)
        assert list_rois(small.rtstruct) == ["Niere übrig", "GTV", "Liver", "Kidney_L", "GTV_2", "Liver_2"]
        for sequence in ("StructureSetROISequence", "ROIContourSequence", "RTROIObservationsSequence"):
            pairs = zip(before[sequence].value, after[sequence].value, strict=False)
            assert [(one.to_json(), other.to_json()) for one, other in pairs if one.to_json() != other.to_json()] == []
        numbers = [int(roi.ROINumber) for roi in after.StructureSetROISequence]
        assert len(set(numbers)) == 6
        labels = [str(one.ROIObservationLabel) for one in after.RTROIObservationsSequence]
        assert len({label.casefold() for label in labels}) == 6
        assert dicom_errors(small.rtstruct) == []
        masks = read_structure_set(small.rtstruct, read_series(small.ct))
        assert np.array_equal(masks["GTV_2"], masks["GTV"])
        assert np.array_equal(masks["Kidney_L"], masks["Niere übrig"])

    def test_the_result_is_a_new_object_that_nobody_approved(self, small: Made, clinical: Path):
        write_rtstruct(clinical, small.segmentation, existing=clinical)
        dataset = pydicom.dcmread(clinical)
        assert dataset.ApprovalStatus == "UNAPPROVED"
        assert "ReviewerName" not in dataset
        assert dataset.StructureSetLabel == "Plan A"
        assert dataset.file_meta.TransferSyntaxUID == pydicom.uid.ImplicitVRLittleEndian
        assert len(dataset.ReferencedFrameOfReferenceSequence) == 1

    def test_one_of_other_images_or_of_another_patient_is_refused(
        self, small: Made, clinical: Path, write_slices: Callable[..., list[Path]], tmp_path: Path
    ):
        for change, words in (({}, "another frame of reference"), ({"PatientID": "43"}, "different Patient IDs")):
            lps = LPS_FROM_RAS @ small.segmentation.affine
            write_slices(tmp_path / words, np.zeros(small.segmentation.array.shape, np.int16), lps, **change)
            image = read_series(tmp_path / words, name="case")
            other = Segmentation(small.segmentation.array, image.affine, small.segmentation.structures, "case",
                                 image.series)  # fmt: skip
            with pytest.raises(InputError, match=words):
                write_rtstruct(small.rtstruct, other, existing=clinical)
        (tmp_path / "text.dcm").write_text("text")
        for wrong in (tmp_path / "text.dcm", next(small.ct.iterdir())):
            with pytest.raises(InputError, match=r"cannot be read as DICOM|is not an RT Structure Set"):
                write_rtstruct(small.rtstruct, small.segmentation, existing=wrong)


@pytest.mark.filterwarnings("ignore:The value length")
def test_a_clinical_structure_set_with_faults_is_added_to(
    data_folder: Path, tmp_path: Path, dicom_errors: Callable[[Path], list[str]]
):
    """That of a real patient: required attributes are missing, one is too long; the result is without error."""
    content = scan(data_folder / "sts_gtv" / "dicom")
    image = read_series(data_folder / "sts_gtv" / "dicom", name="case", series=content.series[0])
    (clinical,) = content.structure_sets
    (drawn,) = read_structure_set(clinical, image).values()
    segmentation = Segmentation(drawn.astype(np.uint8), image.affine, (structure_for("GTV", 1),), "case", image.series)
    write_rtstruct(tmp_path / "RTSTRUCT.dcm", segmentation, existing=clinical)
    assert dicom_errors(clinical) != []
    assert dicom_errors(tmp_path / "RTSTRUCT.dcm") == []
    masks = read_structure_set(tmp_path / "RTSTRUCT.dcm", image)
    assert list(masks) == ["GTV_Mass_CT", "GTV"]
    assert np.array_equal(masks["GTV_Mass_CT"], drawn)
    assert np.array_equal(masks["GTV"], drawn)


def test_regions_say_by_what_they_were_made(small: Made):
    write_rtstruct(small.rtstruct, small.segmentation)
    dataset = pydicom.dcmread(small.rtstruct)
    for roi in dataset.StructureSetROISequence:
        assert roi.ROIGenerationAlgorithm == "AUTOMATIC"
        assert roi.ROIGenerationDescription.startswith(f"HQCSegment {dataset.SoftwareVersions}")
    assert [one.ROIObservationLabel for one in dataset.RTROIObservationsSequence] == ["Kidney_L", "GTV", "Liver"]
