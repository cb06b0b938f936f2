"""Cohorts as challenges lay them out and as people list them: KiTS, and `cohort.json`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from small_volumes import AFFINE, image, label

from HQCSegmentLib.cohort import Cohort
from HQCSegmentLib.demo.cohort import write_cohort
from HQCSegmentLib.demo.hospital import HOSPITAL_A
from HQCSegmentLib.errors import InputError
from HQCSegmentLib.imaging import write_array


def kits(folder: Path, *values: tuple[int, ...]) -> Path:
    """As the challenge is downloaded; one case for each group of values."""
    for number, group in enumerate(values):
        case = folder / f"case_{number:05d}"
        write_array(case / "imaging.nii.gz", image(number), AFFINE)
        write_array(case / "segmentation.nii.gz", label(*group), AFFINE)
    (folder / "kits.json").write_text("[]")
    return folder


class TestKiTS:
    def test_kits19_has_kidney_and_tumor(self, tmp_path: Path):
        cohort = Cohort.open(kits(tmp_path, (1, 2), (1,)))
        assert cohort.layout == "KiTS"
        assert list(cohort.structures) == [1, 2]
        assert cohort.local_names == ("kidney", "tumor")
        assert [case.name for case in cohort.cases] == ["case_00000", "case_00001"]
        read = cohort.cases[0].read(cohort.structures)
        assert np.array_equal(read.image.array, image(0))
        assert np.array_equal(read.label, label(1, 2))
        assert cohort.notes == ()

    def test_kits23_has_cysts_and_more_files(self, tmp_path: Path):
        kits(tmp_path, (1, 2), (1, 2, 3))
        (tmp_path / "case_00000" / "instances").mkdir()
        write_array(tmp_path / "case_00000" / "instances" / "kidney_instance-1.nii.gz", label(1), AFFINE)
        cohort = Cohort.open(tmp_path)
        assert cohort.local_names == ("kidney", "tumor", "cyst")
        assert len(cohort.cases) == 2

    def test_test_cases_without_label_map_are_left_out_and_that_is_said(self, tmp_path: Path):
        kits(tmp_path, (1, 2), (1, 2), (1,))
        (tmp_path / "case_00002" / "segmentation.nii.gz").unlink()
        cohort = Cohort.open(tmp_path)
        assert len(cohort.cases) == 2
        assert cohort.notes == ("1 of 3 cases have no segmentation and are left out.",)

    def test_a_late_cyst_is_refused_not_taken_for_something_else(self, tmp_path: Path):
        cohort = Cohort.open(kits(tmp_path, *[(1, 2)] * 20, (1, 2, 3)))
        with pytest.raises(InputError, match=r"case_00020: .* value\(s\) 3"):
            cohort.cases[20].read(cohort.structures)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Three cases of two patients, scattered; there is no `cohort.json` yet."""
    for number, folder in enumerate(("scans", "scans", "elsewhere")):
        write_array(tmp_path / folder / f"ct{number}.nrrd", image(number), AFFINE)
        write_array(tmp_path / "masks" / f"{number}.nii.gz", label(1, 5), AFFINE)
    return tmp_path


def listed(folder: Path, **changes: object) -> Path:
    content = {
        "schema_version": 1,
        "structures": {"0": "background", "1": "Liver", "5": "GTV"},
        "cases": [
            {"name": "a1", "patient": "a", "image": "scans/ct0.nrrd", "label": "masks/0.nii.gz"},
            {"name": "a2", "patient": "a", "image": "scans/ct1.nrrd", "label": "masks/1.nii.gz"},
            {"name": "b", "image": "elsewhere/ct2.nrrd", "label": "masks/2.nii.gz", "structures": ["Liver"]},
        ],
    } | changes
    (folder / "cohort.json").write_text(json.dumps({key: value for key, value in content.items() if value is not None}))
    return folder


def one_case(**changes: object) -> list[dict[str, object]]:
    case = {"name": "a1", "image": "scans/ct0.nrrd", "label": "masks/0.nii.gz"} | changes
    return [{key: value for key, value in case.items() if value is not None}]


class TestListed:
    def test_paths_patients_and_names_are_as_written(self, files: Path):
        cohort = Cohort.open(listed(files))
        assert cohort.layout == "cohort.json"
        assert cohort.structures == {1: "Liver", 5: "GTV"}
        assert [(case.name, case.patient) for case in cohort.cases] == [("a1", "a"), ("a2", "a"), ("b", "b")]
        read = cohort.cases[1].read(cohort.structures)
        assert np.array_equal(read.image.array, image(1))
        assert np.array_equal(read.label, label(1, 5))
        assert read.known == {1, 5}

    def test_structures_that_a_case_does_not_list_are_unknown_there(self, files: Path):
        cohort = Cohort.open(listed(files))
        assert cohort.cases[2].read(cohort.structures).known == {1}

    def test_a_listed_structure_without_voxels_is_drawn_empty_not_unknown(self, files: Path):
        write_array(files / "masks" / "2.nii.gz", label(1), AFFINE)
        cases = one_case() + one_case(name="b", label="masks/2.nii.gz", structures=["Liver", "GTV"])
        cohort = Cohort.open(listed(files, cases=cases))
        assert cohort.cases[1].read(cohort.structures).known == {1, 5}

    def test_without_names_the_values_found_are_taken(self, files: Path):
        cohort = Cohort.open(listed(files, structures=None, cases=one_case()))
        assert cohort.structures == {1: "structure_1", 5: "structure_5"}

    def test_it_comes_before_every_other_layout(self, files: Path):
        (files / "images").mkdir()
        (files / "labels").mkdir()
        assert Cohort.open(listed(files)).layout == "cohort.json"

    def test_absolute_paths_are_possible(self, files: Path):
        cases = one_case(image=str(files / "scans" / "ct0.nrrd"))
        assert len(Cohort.open(listed(files, cases=cases)).cases) == 1

    def test_dicom_series_with_the_structure_set_that_is_named(self, tmp_path: Path):
        write_cohort(tmp_path, hospital=HOSPITAL_A, seeds=[1])
        shutil.copy(tmp_path / "A01" / "RTSTRUCT.dcm", tmp_path / "A01" / "second.dcm")
        cases = one_case(image="A01/CT", label="A01/second.dcm", structures=None)
        cohort = Cohort.open(listed(tmp_path, structures=None, cases=cases))
        read = cohort.cases[0].read(cohort.structures)
        assert len(read.known) == len(cohort.structures) > 3

    BROKEN = {  # noqa: RUF012
        "no cases": ({"cases": []}, "cases: "),
        "a case without image": ({"cases": one_case(image=None)}, "cases.0.image: Field required"),
        "an unknown key": ({"cases": one_case(mask="x")}, "cases.0.mask: Extra inputs"),
        "a later version": ({"schema_version": 2}, "schema_version: "),
        "a value that is no number": ({"structures": {"one": "Liver"}}, "structures.one"),
        "a structure that is not known": (
            {"cases": one_case(structures=["Heart"])},
            "case a1 lists 'Heart', which is not among the structures of the cohort",
        ),
        "an image that is missing": ({"cases": one_case(image="nowhere.nrrd")}, "case a1: the image "),
        "a label that is missing": ({"cases": one_case(label="nowhere.nrrd")}, "case a1: the label "),
        "two cases of one name": ({"cases": one_case() * 2}, "a1"),
    }

    @pytest.mark.parametrize("broken", BROKEN)
    def test_what_breaks_the_format_is_named(self, files: Path, broken: str):
        changes, words = self.BROKEN[broken]
        with pytest.raises(InputError) as caught:
            Cohort.open(listed(files, **changes))
        assert words in str(caught.value)
        assert "\n" not in str(caught.value)
        assert str(caught.value).endswith(".") or str(caught.value).endswith("file_formats.md.")

    @pytest.mark.parametrize("text", ["", "{", "[]", '"a"'])
    def test_what_is_no_json_object_is_refused(self, files: Path, text: str):
        (files / "cohort.json").write_text(text)
        with pytest.raises(InputError, match=r"cohort\.json"):
            Cohort.open(files)
