"""A folder of patients becomes a cohort; what is wrong with it is said in one sentence with case and file."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from small_volumes import AFFINE, SHAPE, image, label

from HQCSegmentLib.cohort import Cohort, check, fingerprint
from HQCSegmentLib.cohort.hounsfield import hounsfield_offset
from HQCSegmentLib.errors import InputError
from HQCSegmentLib.imaging import read_image, write_array


def images_and_labels(folder: Path, *, names: object = None, cases: tuple[str, ...] = ("anna", "bert")) -> Path:
    for seed, case in enumerate(cases):
        write_array(folder / "images" / f"{case}.nii.gz", image(seed), AFFINE)
        write_array(folder / "labels" / f"{case}.nii.gz", label(1, 3), AFFINE)
    if names is not None:
        (folder / "labels.json").write_text(json.dumps(names))
    return folder


def described(folder: Path, description: object, *, suffix: str = "") -> Path:
    """imagesTr/, labelsTr/ and dataset.json; `suffix` numbers the channel."""
    for seed, case in enumerate(("anna", "bert")):
        write_array(folder / "imagesTr" / f"{case}{suffix}.nii.gz", image(seed), AFFINE)
        write_array(folder / "labelsTr" / f"{case}.nii.gz", label(1, 2), AFFINE)
    (folder / "dataset.json").write_text(json.dumps(description))
    return folder


NNUNET = {
    "channel_names": {"0": "CT"},
    "labels": {"background": 0, "Liver": 1, "Spleen": 2},
    "numTraining": 2,
    "file_ending": ".nii.gz",
}
DECATHLON = {
    "name": "Abdomen",
    "modality": {"0": "CT"},
    "labels": {"0": "background", "1": "Liver", "2": "Spleen"},
    "training": [],
}


class TestLayouts:
    def test_images_and_labels_with_names(self, tmp_path: Path):
        cohort = Cohort.open(images_and_labels(tmp_path, names={"0": "background", "3": "Spleen", "1": "Liver"}))
        assert cohort.structures == {1: "Liver", 3: "Spleen"}
        assert list(cohort.structures) == [1, 3]
        assert [case.name for case in cohort.cases] == ["anna", "bert"]
        read = cohort.cases[0].read(cohort.structures)
        assert np.array_equal(read.image.array, image())
        assert np.array_equal(read.label, label(1, 3))
        assert read.label.dtype == np.uint16
        assert read.known == {1, 3}

    def test_images_and_labels_without_names_take_the_values_found(self, tmp_path: Path):
        cohort = Cohort.open(images_and_labels(tmp_path))
        assert cohort.structures == {1: "structure_1", 3: "structure_3"}

    def test_image_and_label_may_be_of_different_formats(self, tmp_path: Path):
        images_and_labels(tmp_path, cases=("anna",))
        (tmp_path / "labels" / "anna.nii.gz").unlink()
        write_array(tmp_path / "labels" / "anna.nrrd", label(1, 3), AFFINE)
        cohort = Cohort.open(tmp_path)
        assert cohort.cases[0].read(cohort.structures).label.any()

    def test_hidden_and_other_files_are_passed_over(self, tmp_path: Path):
        images_and_labels(tmp_path)
        (tmp_path / "images" / "._anna.nii.gz").write_bytes(b"left by another system")
        (tmp_path / "images" / "notes.txt").touch()
        assert len(Cohort.open(tmp_path).cases) == 2

    @pytest.mark.parametrize("dtype", ["uint16", "int16", "int32", "float32", "float64"])
    def test_label_maps_of_any_number_type_are_read(self, tmp_path: Path, dtype: str):
        images_and_labels(tmp_path, cases=("anna",))
        write_array(tmp_path / "labels" / "anna.nii.gz", label(1, 3).astype(dtype), AFFINE)
        cohort = Cohort.open(tmp_path)
        assert np.array_equal(cohort.cases[0].read(cohort.structures).label, label(1, 3))

    def test_nnunet_raw(self, tmp_path: Path):
        cohort = Cohort.open(described(tmp_path, NNUNET, suffix="_0000"))
        assert cohort.structures == {1: "Liver", 2: "Spleen"}
        assert [case.name for case in cohort.cases] == ["anna", "bert"]
        read = cohort.cases[1].read(cohort.structures)
        assert read.image.name == "bert"
        assert np.array_equal(read.label, label(1, 2))

    def test_decathlon(self, tmp_path: Path):
        cohort = Cohort.open(described(tmp_path, DECATHLON))
        assert cohort.structures == {1: "Liver", 2: "Spleen"}
        assert np.array_equal(cohort.cases[0].read(cohort.structures).label, label(1, 2))

    def test_dicom_patients(self, dicom_cohort: Path):
        cohort = Cohort.open(dicom_cohort)
        assert [case.name for case in cohort.cases] == ["A01", "A02"]
        read = cohort.cases[0].read(cohort.structures)
        assert read.image.series is not None
        assert read.label.shape == read.image.array.shape
        assert read.known == set(cohort.structures)
        assert set(np.unique(read.label)) == {0, *cohort.structures}

    @pytest.mark.parametrize("name", ["RS.1.2.840", "RTSTRUCT", "contours.img", "structures.nii"])
    def test_dicom_files_are_known_by_content_not_by_name(self, own_dicom_cohort: Path, name: str):
        expected = Cohort.open(own_dicom_cohort)
        for case in expected.cases:
            case.label.rename(case.label.with_name(name))
            for number, file in enumerate(sorted((case.image / "CT").iterdir())):
                file.rename(file.with_name(("CT.1.2.{}", "IM{}", "{}.img", "{}.nii")[number % 4].format(number)))
            (case.image / "DICOMDIR").write_bytes(b"not DICOM")
            (case.image / "plan.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"damaged")
        cohort = Cohort.open(own_dicom_cohort)
        assert [case.label.name for case in cohort.cases] == [name, name]
        assert cohort.structures == expected.structures
        assert [finding for finding in check(cohort) if finding.severity == "error"] == []

    def test_targets_lie_on_top_of_organs(self, dicom_cohort: Path):
        names = list(Cohort.open(dicom_cohort).structures.values())
        targets = [name for name in names if name.startswith(("GTV", "CTV", "PTV"))]
        assert targets
        assert names[-len(targets) :] == targets

    def test_a_subset_keeps_structures_and_layout(self, tmp_path: Path):
        cohort = Cohort.open(images_and_labels(tmp_path))
        part = cohort.subset(["bert"])
        assert [case.name for case in part.cases] == ["bert"]
        assert dataclasses.replace(part, cases=cohort.cases) == cohort
        with pytest.raises(InputError, match="no case named 'carl'"):
            cohort.subset(["carl"])


def refused(action: Callable[[], object], *words: str | Path) -> None:
    """One sentence (or two) for a person, with these words in it."""
    with pytest.raises(InputError) as error:
        action()
    message = str(error.value)
    assert message.endswith((".", "is it an image?"))
    assert "\n" not in message
    for word in words:
        assert str(word) in message


class TestBadFolders:
    def test_missing(self, tmp_path: Path):
        refused(lambda: Cohort.open(tmp_path / "nowhere"), tmp_path / "nowhere", "does not exist")

    def test_empty(self, tmp_path: Path):
        refused(
            lambda: Cohort.open(tmp_path), tmp_path, "no cohort of a known layout", "images/ and labels/", "RTSTRUCT"
        )

    def test_without_images(self, tmp_path: Path):
        images_and_labels(tmp_path)
        shutil.rmtree(tmp_path / "images")
        (tmp_path / "images").mkdir()
        refused(lambda: Cohort.open(tmp_path), tmp_path, "holds no cases")

    def test_nnunet_without_images(self, tmp_path: Path):
        described(tmp_path, NNUNET)
        shutil.rmtree(tmp_path / "imagesTr")
        (tmp_path / "imagesTr").mkdir()
        refused(lambda: Cohort.open(tmp_path), tmp_path, "holds no cases")

    def test_nothing_drawn_at_all(self, tmp_path: Path):
        images_and_labels(tmp_path, cases=("anna",))
        write_array(tmp_path / "labels" / "anna.nii.gz", label(), AFFINE)
        refused(lambda: Cohort.open(tmp_path), tmp_path, "no structure is drawn")

    def test_two_images_of_one_case(self, tmp_path: Path):
        images_and_labels(tmp_path)
        write_array(tmp_path / "images" / "anna.nrrd", image(), AFFINE)
        refused(lambda: Cohort.open(tmp_path), "more than one image file", "anna")

    def test_two_label_maps_of_one_case(self, tmp_path: Path):
        images_and_labels(tmp_path)
        write_array(tmp_path / "labels" / "anna.nrrd", label(1), AFFINE)
        refused(lambda: Cohort.open(tmp_path), "more than one label map", "anna")

    @pytest.mark.parametrize(
        "content",
        ["{", "", '["Liver"]', '{"one": "Liver"}', '"Liver"'],
    )
    def test_broken_labels_json(self, tmp_path: Path, content: str):
        images_and_labels(tmp_path)
        (tmp_path / "labels.json").write_text(content)
        refused(lambda: Cohort.open(tmp_path), tmp_path / "labels.json")

    @pytest.mark.parametrize("value", ["-1", "65536"])
    def test_a_value_that_no_label_map_can_have(self, tmp_path: Path, value: str):
        images_and_labels(tmp_path, names={"1": "Liver", value: "Spleen"})
        refused(lambda: Cohort.open(tmp_path), tmp_path, "Spleen", value, "65535")

    def test_a_structure_without_a_name(self, tmp_path: Path):
        images_and_labels(tmp_path, names={"1": "Liver", "3": ""})
        refused(lambda: Cohort.open(tmp_path), tmp_path, "3", "name")

    def test_one_name_for_two_values(self, tmp_path: Path):
        images_and_labels(tmp_path, names={"1": "Liver", "3": "Liver"})
        refused(lambda: Cohort.open(tmp_path), tmp_path, "'Liver'")

    def test_one_value_for_two_names(self, tmp_path: Path):
        described(tmp_path, NNUNET | {"labels": {"background": 0, "Liver": 1, "Spleen": 1}})
        refused(lambda: Cohort.open(tmp_path), tmp_path / "dataset.json", "same value")

    def test_labels_json_in_another_encoding(self, tmp_path: Path):
        images_and_labels(tmp_path)
        (tmp_path / "labels.json").write_bytes('{"1": "Nière"}'.encode("latin-1"))
        refused(lambda: Cohort.open(tmp_path), tmp_path / "labels.json")

    @pytest.mark.parametrize(
        "content",
        [
            "{",
            "[]",
            '{"channel_names": {"0": "CT"}}',
            '{"labels": {}}',
            '{"labels": ["Liver"]}',
            '{"labels": {"background": 0, "whole": [1, 2]}}',
            '{"labels": {"background": 0, "Liver": -1}}',
            '{"labels": {"background": 0}}',
            '{"labels": {"Liver": 1}, "channel_names": 3}',
        ],
    )
    def test_broken_dataset_json(self, tmp_path: Path, content: str):
        described(tmp_path, NNUNET, suffix="_0000")
        (tmp_path / "dataset.json").write_text(content)
        refused(lambda: Cohort.open(tmp_path), tmp_path)

    @pytest.mark.parametrize(
        "description",
        [
            NNUNET | {"labels": {"background": 0, "Liver": 1, "ignore": 2}},
            DECATHLON | {"labels": {"0": "background", "1": "Liver", "2": "ignore"}},
        ],
        ids=["nnU-Net", "Decathlon"],
    )
    def test_voxels_to_be_ignored_are_no_structure(self, tmp_path: Path, description: dict):
        described(tmp_path, description)
        refused(lambda: Cohort.open(tmp_path), tmp_path / "dataset.json", "'ignore'", "value 2", "remove")

    def test_two_structure_sets_for_one_patient(self, own_dicom_cohort: Path):
        shutil.copy(own_dicom_cohort / "A01" / "RTSTRUCT.dcm", own_dicom_cohort / "A01" / "second.dcm")
        cohort = Cohort.open(own_dicom_cohort)
        refused(lambda: cohort.cases[0].read(cohort.structures), "case A01", "RTSTRUCT.dcm, second.dcm", "same images")
        assert cohort.cases[1].read(cohort.structures).known


class TestBadCases:
    """One case is bad: the others are read, and this one says what is wrong."""

    NAMES = {"1": "Liver", "3": "Spleen"}  # noqa: RUF012

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        return images_and_labels(tmp_path, names=self.NAMES)

    def refused(self, folder: Path, *words: str | Path) -> None:
        cohort = Cohort.open(folder)
        assert cohort.cases[1].read(cohort.structures).label.any()
        refused(lambda: cohort.cases[0].read(cohort.structures), "anna", *words)
        errors = [finding for finding in check(cohort) if finding.severity == "error"]
        assert [(finding.case, finding.code) for finding in errors] == [("anna", "unusable")]
        assert all(str(word) in errors[0].message for word in words)

    def test_missing_label_map(self, folder: Path):
        (folder / "labels" / "anna.nii.gz").unlink()
        self.refused(folder, folder / "labels" / "anna.nii.gz", "is missing")

    def test_label_map_of_another_shape(self, folder: Path):
        write_array(folder / "labels" / "anna.nii.gz", label(1, 3)[:-1], AFFINE)
        self.refused(folder, folder / "labels" / "anna.nii.gz", "(7, 9, 10)", "(8, 9, 10)", "same grid")

    def test_label_map_on_a_shifted_grid(self, folder: Path):
        shifted = AFFINE.copy()
        shifted[0, 3] = 0.2
        write_array(folder / "labels" / "anna.nii.gz", label(1, 3), shifted)
        self.refused(folder, folder / "labels" / "anna.nii.gz", "0.20 voxels apart")

    def test_label_map_on_a_flipped_grid(self, folder: Path):
        write_array(folder / "labels" / "anna.nii.gz", label(1, 3), AFFINE * [-1, 1, 1, 1])
        self.refused(folder, folder / "labels" / "anna.nii.gz", "voxels apart")

    def test_label_value_without_a_name(self, folder: Path):
        write_array(folder / "labels" / "anna.nii.gz", label(1, 3, 7), AFFINE)
        self.refused(folder, folder / "labels" / "anna.nii.gz", "7", "Liver")

    def test_label_map_that_is_an_image(self, folder: Path):
        write_array(folder / "labels" / "anna.nii.gz", image(), AFFINE)
        self.refused(folder, folder / "labels" / "anna.nii.gz", "not whole numbers")

    def test_label_map_with_negative_values(self, folder: Path):
        write_array(folder / "labels" / "anna.nii.gz", label(1, 3).astype(np.int16) - 1, AFFINE)
        self.refused(folder, folder / "labels" / "anna.nii.gz", "outside 0 to 65535")

    @pytest.mark.parametrize("part", ["images", "labels"])
    def test_unreadable_file(self, folder: Path, part: str):
        (folder / part / "anna.nii.gz").write_bytes(np.random.default_rng(0).bytes(3000))
        self.refused(folder, folder / part / "anna.nii.gz", "cannot be read")

    @pytest.mark.parametrize("part", ["images", "labels"])
    def test_four_axes(self, folder: Path, part: str):
        import nibabel

        nibabel.save(nibabel.Nifti1Image(np.zeros((*SHAPE, 2), np.int16), AFFINE), folder / part / "anna.nii.gz")
        self.refused(folder, folder / part / "anna.nii.gz", "one 3D volume")

    def test_unreadable_label_map_without_names(self, tmp_path: Path):
        images_and_labels(tmp_path / "cohort")
        path = tmp_path / "cohort" / "labels" / "anna.nii.gz"
        path.write_bytes(b"nothing")
        refused(lambda: Cohort.open(tmp_path / "cohort"), "anna", path)

    def test_grids_that_differ_by_rounding_are_accepted(self, folder: Path):
        rounded = AFFINE.copy()
        rounded[:3, 3] += 0.01
        write_array(folder / "labels" / "anna.nii.gz", label(1, 3), rounded)
        assert check(Cohort.open(folder)) == []


class TestStructureSets:
    def rewrite(self, cohort: Path, change: Callable[[pydicom.Dataset], None], *, case: str = "A01") -> None:
        path = cohort / case / "RTSTRUCT.dcm"
        dataset = pydicom.dcmread(path)
        change(dataset)
        dataset.save_as(path)

    def test_a_structure_that_is_not_drawn_is_unknown_for_this_patient_only(self, own_dicom_cohort: Path):
        def remove_first(dataset: pydicom.Dataset) -> None:
            number = dataset.StructureSetROISequence[0].ROINumber
            self.removed = str(dataset.StructureSetROISequence[0].ROIName)
            for key, tag in (
                ("StructureSetROISequence", "ROINumber"),
                ("ROIContourSequence", "ReferencedROINumber"),
                ("RTROIObservationsSequence", "ReferencedROINumber"),
            ):
                setattr(dataset, key, [item for item in dataset[key] if item[tag].value != number])

        self.rewrite(own_dicom_cohort, remove_first)
        cohort = Cohort.open(own_dicom_cohort)
        (value,) = [value for value, name in cohort.structures.items() if name == self.removed]
        first, second = (case.read(cohort.structures) for case in cohort.cases)
        assert first.known == set(cohort.structures) - {value}
        assert not (first.label == value).any()
        assert second.known == set(cohort.structures)
        (finding,) = check(cohort)
        assert (finding.case, finding.structure, finding.severity) == ("A01", self.removed, "note")
        assert finding.code == "unknown-structure"

    def test_an_outline_without_contours_is_unknown_too(self, own_dicom_cohort: Path):
        def empty_first(dataset: pydicom.Dataset) -> None:
            item = dataset.ROIContourSequence[0]
            (roi,) = [r for r in dataset.StructureSetROISequence if r.ROINumber == item.ReferencedROINumber]
            self.emptied = str(roi.ROIName)
            del item.ContourSequence

        self.rewrite(own_dicom_cohort, empty_first)
        cohort = Cohort.open(own_dicom_cohort)
        read = cohort.cases[0].read(cohort.structures)
        assert {cohort.structures[value] for value in set(cohort.structures) - read.known} == {self.emptied}

    def test_a_structure_set_of_another_series_is_refused(self, own_dicom_cohort: Path):
        def other_frame(dataset: pydicom.Dataset) -> None:
            for item in dataset.StructureSetROISequence:
                item.ReferencedFrameOfReferenceUID = "1.2.3"

        self.rewrite(own_dicom_cohort, other_frame)
        cohort = Cohort.open(own_dicom_cohort)
        refused(lambda: cohort.cases[0].read(cohort.structures), "A01", "RTSTRUCT.dcm", "frame of reference")

    def test_a_missing_slice_is_refused(self, own_dicom_cohort: Path):
        sorted((own_dicom_cohort / "A01" / "CT").iterdir())[10].unlink()
        cohort = Cohort.open(own_dicom_cohort)
        refused(lambda: cohort.cases[0].read(cohort.structures), "A01", "not equally spaced")

    def test_a_patient_without_an_image_series_is_refused(self, own_dicom_cohort: Path):
        shutil.rmtree(own_dicom_cohort / "A01" / "CT")
        cohort = Cohort.open(own_dicom_cohort)
        refused(lambda: cohort.cases[0].read(cohort.structures), "A01", "no DICOM image series")


class TestCheck:
    def test_a_good_cohort_has_no_findings(self, tmp_path: Path):
        assert check(Cohort.open(images_and_labels(tmp_path))) == []

    def codes(self, cohort: Cohort) -> list[tuple[str, str, str, str]]:
        return [(f.case, f.structure, f.severity, f.code) for f in check(cohort)]

    def test_findings_are_plain_records(self, tmp_path: Path):
        images_and_labels(tmp_path, cases=("anna",))
        (finding,) = check(Cohort.open(tmp_path))
        assert list(finding.as_dict()) == ["case", "structure", "severity", "code", "message"]
        assert finding.as_dict()["code"] == "one-case"
        assert finding.severity == "warning"
        assert json.loads(json.dumps(finding.as_dict())) == finding.as_dict()

    def test_an_empty_structure_is_a_warning(self, tmp_path: Path):
        images_and_labels(tmp_path)
        write_array(tmp_path / "labels" / "anna.nii.gz", label(1), AFFINE)
        assert self.codes(Cohort.open(tmp_path)) == [("anna", "structure_3", "warning", "empty-structure")]

    def test_a_structure_that_nobody_has_is_an_error(self, tmp_path: Path):
        images_and_labels(tmp_path, names={"1": "Liver", "3": "Spleen", "4": "Heart"})
        assert self.codes(Cohort.open(tmp_path))[-1] == ("", "Heart", "error", "never-drawn")

    @pytest.mark.parametrize(
        ("value", "code"), [(0.0, "constant-image"), (np.nan, "not-finite"), (np.inf, "not-finite")]
    )
    def test_an_image_without_content_is_an_error(self, tmp_path: Path, value: float, code: str):
        images_and_labels(tmp_path)
        # ITK reads what is not finite in a NIfTI file as 0.
        (tmp_path / "images" / "anna.nii.gz").unlink()
        write_array(tmp_path / "images" / "anna.nrrd", np.full(SHAPE, value, np.float32), AFFINE)
        assert self.codes(Cohort.open(tmp_path)) == [("anna", "", "error", code)]

    def test_every_bad_case_is_reported(self, tmp_path: Path):
        images_and_labels(tmp_path, names={"1": "Liver", "3": "Spleen"}, cases=("anna", "bert", "carl"))
        (tmp_path / "labels" / "anna.nii.gz").unlink()
        (tmp_path / "images" / "carl.nii.gz").write_bytes(b"nothing")
        assert [(case, code) for case, _, _, code in self.codes(Cohort.open(tmp_path))] == [
            ("anna", "unusable"),
            ("carl", "unusable"),
        ]


class TestFingerprint:
    def test_it_is_measured_in_right_anterior_superior(self, tmp_path: Path):
        sagittal = np.array([[0, 0, 3.0, 0], [1, 0, 0, 0], [0, 2, 0, 0], [0, 0, 0, 1]])
        write_array(tmp_path / "images" / "anna.nrrd", image(), sagittal)
        write_array(tmp_path / "labels" / "anna.nrrd", label(1), sagittal)
        cohort = Cohort.open(tmp_path)
        measured = fingerprint(case.read(cohort.structures) for case in cohort.cases)
        np.testing.assert_allclose(measured.median_spacing, (3, 1, 2))
        np.testing.assert_allclose(measured.median_extent, (30, 8, 18))
        assert measured.preprocessing().channels[0].normalization == "zscore"

    def test_hounsfield_units_are_known_by_their_air(self, tmp_path: Path):
        ct = np.where(label(1) > 0, 40, -1000).astype(np.int16)
        write_array(tmp_path / "images" / "anna.nrrd", ct, AFFINE)
        write_array(tmp_path / "labels" / "anna.nrrd", label(1), AFFINE)
        cohort = Cohort.open(tmp_path)
        measured = fingerprint(case.read(cohort.structures) for case in cohort.cases)
        (prepared,) = measured.preprocessing().channels
        assert (prepared.normalization, prepared.low, prepared.high, prepared.mean) == ("ct", 40, 40, 40)
        assert measured.preprocessing("zscore").channels[0].normalization == "zscore"

    def test_a_ct_without_negative_values_is_known_by_its_tissue(self):
        generator = np.random.default_rng(0)
        units = np.where(generator.random((20, 20, 20)) < 0.3, generator.normal(40, 60, (20, 20, 20)), -1000)
        stored = np.clip(units.round() + 1024, 0, None)
        assert hounsfield_offset(units) == 0
        assert hounsfield_offset(stored) == -1024
        assert hounsfield_offset(stored * 2) is None, "tissue is elsewhere"
        assert hounsfield_offset(stored[stored > 300]) is None, "no air"

    def test_an_offset_must_be_that_of_all_cases(self, tmp_path: Path):
        tissue = np.where(label(1) > 0, 1064, 0).astype(np.int16)
        for name, array in (("anna", tissue), ("bert", tissue), ("carl", tissue * 2)):
            write_array(tmp_path / "images" / f"{name}.nrrd", array, AFFINE)
            write_array(tmp_path / "labels" / f"{name}.nrrd", label(1), AFFINE)
        cohort = Cohort.open(tmp_path)
        both = fingerprint(case.read(cohort.structures) for case in cohort.cases[:2]).channels[0]
        assert (both.hounsfield, both.offset, both.channel().normalization) == (True, -1024, "ct")
        assert not fingerprint(case.read(cohort.structures) for case in cohort.cases).channels[0].hounsfield


@pytest.mark.data
@pytest.mark.parametrize(("name", "offset"), [("hippocampus", None), ("openkbp_hn", -1024), ("sts_gtv", 0)])
def test_the_scale_of_the_real_cohorts(data_folder: Path, name: str, offset: float | None):
    files = sorted((data_folder / name / "images").iterdir())[:28]
    assert {hounsfield_offset(read_image(path).array) for path in files} == {offset}


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "cases", "structures"), [("hippocampus", 100, 2), ("openkbp_hn", 28, 7), ("sts_gtv", 16, 1)]
)
def test_the_real_cohorts_are_without_errors(data_folder: Path, name: str, cases: int, structures: int):
    cohort = Cohort.open(data_folder / name)
    assert len(cohort.cases) >= cases
    assert len(cohort.structures) == structures
    assert [finding for finding in check(cohort) if finding.severity == "error"] == []
