"""The synthetic patient: plausible, reproducible, different between hospitals, and valid as DICOM."""

import numpy as np
import pydicom
import pytest

from HQCSegmentLib.cohort.rtstruct import read_structure_set
from HQCSegmentLib.demo.anatomy import STRUCTURE_NAMES
from HQCSegmentLib.demo.cohort import write_cohort
from HQCSegmentLib.demo.phantom import HOSPITAL_A, HOSPITAL_B, SHAPE, phantom_patient
from HQCSegmentLib.evaluation.figures import contour_figure
from HQCSegmentLib.evaluation.pictures import png
from HQCSegmentLib.imaging.dicom_series import read_series
from HQCSegmentLib.planning.structure_names import structure_for


def patient_positions(patient, value):
    voxels = np.argwhere(patient.labels == value)
    return voxels @ patient.affine[:3, :3].T + patient.affine[:3, 3]


@pytest.mark.parametrize("hospital", [HOSPITAL_A, HOSPITAL_B], ids=["A", "B"])
@pytest.mark.parametrize("seed", range(4))
def test_every_patient_has_every_structure_in_its_place(seed, hospital):
    patient = phantom_patient(seed=seed, hospital=hospital)
    assert patient.image.shape == patient.labels.shape == SHAPE
    assert patient.image.dtype == np.int16
    assert set(np.unique(patient.labels)) == {0, *STRUCTURE_NAMES}
    liver, left, right, spine, tumor = (patient_positions(patient, value).mean(axis=0) for value in range(1, 6))
    # RAS: x to the right, y to the front, z to the head.
    assert left[0] < spine[0] < right[0]
    assert liver[0] > spine[0]
    assert spine[1] < min(left[1], right[1], liver[1])
    assert liver[2] > right[2]
    assert min(np.linalg.norm(tumor - kidney) for kidney in (left, right)) < 80


def test_a_seed_always_gives_the_same_patient():
    first, second = (phantom_patient(seed=5, hospital=HOSPITAL_A) for _ in range(2))
    assert np.array_equal(first.image, second.image)
    assert np.array_equal(first.labels, second.labels)
    other = phantom_patient(seed=6, hospital=HOSPITAL_A)
    assert not np.array_equal(first.labels, other.labels)


def test_the_tumor_is_in_either_kidney():
    sides = set()
    for seed in range(8):
        patient = phantom_patient(seed=seed, hospital=HOSPITAL_A)
        sides.add(patient_positions(patient, 5)[:, 0].mean() > patient_positions(patient, 4)[:, 0].mean())
    assert sides == {True, False}


def test_hospitals_differ_in_contrast_and_noise():
    first, second = (phantom_patient(seed=3, hospital=one) for one in (HOSPITAL_A, HOSPITAL_B))
    for value, difference in ((1, 40), (2, 100), (3, 100)):
        drop = np.median(first.image[first.labels == value]) - np.median(second.image[second.labels == value])
        assert drop > difference
    # In A the kidney is brighter than the tumor, in B it is the other way round.
    for patient, sign in ((first, 1), (second, -1)):
        kidneys = np.isin(patient.labels, (2, 3))
        contrast = np.median(patient.image[kidneys]) - np.median(patient.image[patient.labels == 5])
        assert sign * contrast > 8


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    return write_cohort(tmp_path_factory.mktemp("demo"), hospital=HOSPITAL_B, seeds=[11])


def test_files_hold_the_patient(cohort):
    assert [folder.name for folder in cohort] == ["B01"]
    patient = phantom_patient(seed=11, hospital=HOSPITAL_B)
    image = read_series(cohort[0])
    assert np.array_equal(image.array, patient.image)
    assert np.allclose(image.affine, patient.affine)
    masks = read_structure_set(cohort[0] / "RTSTRUCT.dcm", image)
    assert list(masks) == list(STRUCTURE_NAMES.values())
    for value, mask in enumerate(masks.values(), start=1):
        assert np.array_equal(mask, patient.labels == value)


def test_files_are_valid_and_say_that_nobody_was_scanned(cohort, dicom_errors):
    slices = sorted((cohort[0] / "CT").iterdir())
    assert len(slices) == SHAPE[2]
    assert dicom_errors(slices[0]) == []
    assert dicom_errors(cohort[0] / "RTSTRUCT.dcm") == []
    header = pydicom.dcmread(slices[0], stop_before_pixels=True)
    assert str(header.PatientName) == "HQC^PHANTOM B01"
    assert "Synthetic" in header.StudyDescription


def test_the_series_is_the_same_every_time(cohort, tmp_path):
    again = write_cohort(tmp_path, hospital=HOSPITAL_B, seeds=[11])
    for file in (cohort[0] / "CT").iterdir():
        assert file.read_bytes() == (again[0] / "CT" / file.name).read_bytes()


def test_a_figure_is_drawn_with_and_without_prediction():
    patient = phantom_patient(seed=1, hospital=HOSPITAL_A)
    structures = [structure_for(name, value) for value, name in STRUCTURE_NAMES.items()]
    for prediction in (None, np.roll(patient.labels, 1, axis=0), np.zeros_like(patient.labels)):
        figure = contour_figure(
            patient.image, patient.affine, patient.labels, prediction, structures, title="synthetic phantom"
        )
        assert png(figure).startswith(b"\x89PNG")


def test_a_figure_may_show_only_what_is_near():
    patient = phantom_patient(seed=1, hospital=HOSPITAL_A)
    structures = [structure_for(name, value) for value, name in STRUCTURE_NAMES.items() if name == "Kidney_L"]

    def widths(margin_mm: float | None) -> list[int]:
        figure = contour_figure(
            patient.image, patient.affine, patient.labels, None, structures, title="kidney", margin_mm=margin_mm
        )
        return [panel.images[0].get_array().shape[1] for panel in figure.axes]

    whole, near, nearer = widths(None), widths(30), widths(10)
    assert all(few < more for few, more in zip(nearer, near, strict=True))
    assert near[0] < whole[0]
