"""What the check of a cohort finds: every case here is files on disk, spoilt in one way."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest

from HQCSegmentLib.cohort import Cohort, Finding, check
from HQCSegmentLib.cohort.checks.unlabelled import check_images, loose_images
from HQCSegmentLib.demo.cohort import write_cohort
from HQCSegmentLib.demo.hospital import HOSPITAL_A
from HQCSegmentLib.imaging import read_image, write_array

AFFINE = np.diag([2.0, 2.0, 3.0, 1.0])
NAMES = {1: "SpinalCord", 2: "Kidney_L", 3: "Kidney_R", 4: "Liver"}
HU = {0: 20, 1: 30, 2: 40, 3: 40, 4: 60}
# Box of each structure: i grows to the right.
BOXES = {1: (19, 8, 2, 2, 4, 16), 2: (8, 16, 6, 6, 6, 6), 3: (28, 16, 6, 6, 6, 6), 4: (22, 24, 14, 10, 12, 6)}


def patient(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """CT in Hounsfield units and label map, (40, 40, 24); every patient is a little different."""
    random = np.random.default_rng(seed)
    label = np.zeros((40, 40, 24), np.uint8)
    for value, (i, j, width, depth, k, height) in BOXES.items():
        di, dj, dk = random.integers(-1, 2, 3)
        label[i + di : i + di + width, j + dj : j + dj + depth, k + dk : k + dk + height] = value
    image = np.vectorize(HU.get)(label) + random.normal(0, 10, label.shape)
    image[:, :3] = -1000
    return image.astype(np.int16), label


def write(folder: Path, name: str, image: np.ndarray, label: np.ndarray, affine: np.ndarray = AFFINE) -> None:
    write_array(folder / "images" / f"{name}.nii.gz", image, affine)
    write_array(folder / "labels" / f"{name}.nii.gz", label, affine)


@pytest.fixture(scope="module")
def good_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven patients with four structures; not to be changed."""
    folder = tmp_path_factory.mktemp("good")
    for seed in range(7):
        write(folder, f"p{seed}", *patient(seed))
    (folder / "labels.json").write_text(json.dumps(NAMES))
    return folder


@pytest.fixture
def folder(good_folder: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(good_folder, tmp_path / "cohort"))


def findings_of(folder: Path) -> list[Finding]:
    return check(Cohort.open(folder))


def only_finding(folder: Path) -> Finding:
    (finding,) = findings_of(folder)
    assert finding.message.endswith(".")
    assert finding.advice.endswith(".")
    assert "\n" not in finding.text
    return finding


def told(finding: Finding) -> tuple[str, str, str, str]:
    return finding.case, finding.structure, finding.severity, finding.code


def test_a_good_cohort_has_no_findings(good_folder: Path):
    assert findings_of(good_folder) == []


class TestSides:
    def swap(self, folder: Path, case: str, values: tuple[int, int]) -> None:
        image, label = patient(int(case[1:]))
        table = np.arange(5, dtype=np.uint8)
        table[[values[0], values[1]]] = values[::-1]
        write(folder, case, image, table[label])

    def test_exchanged_names_are_an_error(self, folder: Path):
        self.swap(folder, "p3", (2, 3))
        errors = [finding for finding in findings_of(folder) if finding.severity == "error"]
        assert [told(finding) for finding in errors] == [("p3", "Kidney_L", "error", "sides-swapped")]
        assert "Kidney_R" in errors[0].message

    def test_a_mirrored_image_header_is_an_error(self, folder: Path):
        # The same voxels, said to run from right to left.
        mirrored = AFFINE.copy()
        mirrored[0, 0] = -2
        write(folder, "p3", *patient(3), affine=mirrored)
        assert ("p3", "Kidney_L", "error", "sides-swapped") in map(told, findings_of(folder))

    def test_a_single_one_is_compared_with_the_middle_of_the_body(self, folder: Path):
        image, label = patient(3)
        label[label == 3] = 0
        label[label == 2] = 3
        write(folder, "p3", image, label)
        found = {told(finding) for finding in findings_of(folder)}
        assert ("p3", "Kidney_R", "error", "sides-swapped") in found

    def test_all_cases_swapped_is_found_too(self, folder: Path):
        (folder / "labels.json").write_text(json.dumps(NAMES | {2: "Kidney_R", 3: "Kidney_L"}))
        assert [finding.code for finding in findings_of(folder)] == ["sides-swapped"] * 7

    @pytest.mark.data
    def test_real_parotids(self, data_folder: Path):
        names = {
            1: "Brainstem", 2: "SpinalCord", 3: "Parotid_R", 4: "Parotid_L", 5: "Esophagus", 6: "Larynx",
            7: "Bone_Mandible",
        }  # fmt: skip
        cohort = Cohort.open(data_folder / "openkbp_hn")
        cohort = cohort.subset([case.name for case in cohort.cases[:4]])
        right = dataclasses.replace(cohort, structures=names)
        assert [f for f in check(right) if f.code == "sides-swapped"] == []
        wrong = dataclasses.replace(cohort, structures=names | {3: "Parotid_L", 4: "Parotid_R"})
        assert [f.code for f in check(wrong) if f.severity == "error"] == ["sides-swapped"] * 4


class TestOutliers:
    def test_a_volume_far_outside_the_rest(self, folder: Path):
        image, label = patient(2)
        label[15:25, 5:15, 2:22] = 1
        write(folder, "p2", image, label)
        finding = next(f for f in findings_of(folder) if f.code == "volume-outlier")
        assert told(finding) == ("p2", "SpinalCord", "warning", "volume-outlier")
        assert "larger" in finding.message
        assert "ml" in finding.message

    def test_a_position_far_outside_the_rest_is_said_of_the_structure_that_moved(self, folder: Path):
        image, label = patient(2)
        label[label == 4] = 0
        label[4:18, 25:35, 15:21] = 4
        write(folder, "p2", image, label)
        finding = only_finding(folder)
        assert told(finding) == ("p2", "Liver", "warning", "position-outlier")

    def test_where_the_image_lies_in_the_world_does_not_matter(self, folder: Path):
        far = AFFINE.copy()
        far[:3, 3] = 500, -300, 1000
        write(folder, "p2", *patient(2), affine=far)
        assert findings_of(folder) == []

    def test_contours_of_another_tissue(self, folder: Path):
        image, label = patient(2)
        image[label == 4] -= 900
        write(folder, "p2", image, label)
        assert told(only_finding(folder)) == ("p2", "Liver", "warning", "intensity-outlier")

    def test_few_cases_have_no_rest(self, folder: Path):
        image, label = patient(2)
        label[15:25, 5:15, 2:22] = 1
        write(folder, "p2", image, label)
        few = Cohort.open(folder).subset(["p0", "p1", "p2", "p3"])
        assert check(few) == []

    @pytest.mark.data
    def test_the_implausible_spinal_cord_of_a_real_cohort(self, data_folder: Path):
        cohort = Cohort.open(data_folder / "openkbp_hn")
        if "pt_260" not in {case.name for case in cohort.cases}:
            pytest.skip("patient 260 is not in this copy of the data")
        part = cohort.subset({"pt_260", *(case.name for case in cohort.cases[:9])})
        outliers = [finding for finding in check(part) if finding.code.endswith("outlier")]
        assert {(finding.case, finding.structure) for finding in outliers} == {("pt_260", "structure_2")}


class TestDuplicates:
    def test_the_same_image_twice(self, folder: Path):
        shutil.copy(folder / "images" / "p1.nii.gz", folder / "images" / "p4.nii.gz")
        shutil.copy(folder / "labels" / "p1.nii.gz", folder / "labels" / "p4.nii.gz")
        finding = only_finding(folder)
        assert told(finding) == ("p4", "", "warning", "duplicate-image")
        assert "case p1" in finding.message

    @pytest.mark.parametrize(
        "change", [lambda a: a + 1024, lambda a: a.astype(np.float32) * 1.5], ids=["offset", "scale"]
    )
    def test_the_same_image_saved_with_another_scale(self, folder: Path, change: Callable):
        image, label = patient(1)
        write(folder, "p4", change(image), label)
        assert ("p4", "", "warning", "duplicate-image") in map(told, findings_of(folder))

    def test_cases_of_one_patient_may_share_an_image(self, folder: Path):
        shutil.copy(folder / "images" / "p1.nii.gz", folder / "images" / "p4.nii.gz")
        shutil.copy(folder / "labels" / "p1.nii.gz", folder / "labels" / "p4.nii.gz")
        cohort = Cohort.open(folder)
        same = [dataclasses.replace(case, patient="one") for case in cohort.cases]
        assert check(dataclasses.replace(cohort, cases=tuple(same))) == []

    @pytest.mark.slow
    def test_the_same_patient_in_the_headers_is_found_and_not_named(self, tmp_path: Path):
        import pydicom

        write_cohort(tmp_path, hospital=HOSPITAL_A, seeds=[1, 2])
        for file in tmp_path.rglob("*.dcm"):
            dataset = pydicom.dcmread(file)
            dataset.PatientID = "ID-4711"
            dataset.save_as(file)
        finding = only_finding(tmp_path)
        assert told(finding) == ("A02", "", "warning", "duplicate-patient")
        assert "4711" not in finding.text

    def test_one_number_for_all_is_the_mark_of_an_anonymised_export(self, tmp_path: Path, write_slices: Callable):
        from HQCSegmentLib.cohort import Case
        from HQCSegmentLib.cohort.checks.duplicates import same_patient

        cases = []
        for name in ("a", "b", "c"):
            write_slices(tmp_path / name, np.zeros((4, 4, 2), np.int16), np.eye(4))
            cases.append(Case(name, tmp_path / name, tmp_path / name / "label.nii.gz", name))
        (finding,) = same_patient(cases)
        assert told(finding) == ("", "", "note", "one-patient-id")
        # Two patients with one number are more likely one patient.
        assert [told(finding) for finding in same_patient(cases[:2])] == [("b", "", "warning", "duplicate-patient")]

    @pytest.mark.data
    def test_no_two_real_patients_are_called_the_same(self, data_folder: Path):
        cohort = Cohort.open(data_folder / "hippocampus")
        part = cohort.subset(case.name for case in cohort.cases[:40])
        assert [finding for finding in check(part) if finding.code == "duplicate-image"] == []


class TestContours:
    def test_a_tiny_island(self, folder: Path):
        image, label = patient(2)
        label[2, 30, 3] = 4
        write(folder, "p2", image, label)
        finding = only_finding(folder)
        assert told(finding) == ("p2", "Liver", "warning", "tiny-islands")
        assert "1 tiny island" in finding.message
        assert "1 voxel" in finding.message

    def test_a_second_part_of_some_size_is_no_island(self, folder: Path):
        image, label = patient(2)
        label[22:26, 36:39, 12:15] = 4
        write(folder, "p2", image, label)
        assert "tiny-islands" not in {finding.code for finding in findings_of(folder)}

    def test_contours_on_every_other_slice(self, folder: Path):
        image, label = patient(2)
        label[:, :, ::2][label[:, :, ::2] == 1] = 0
        write(folder, "p2", image, label)
        assert ("p2", "SpinalCord", "warning", "gaps") in map(told, findings_of(folder))

    def test_empty_everywhere_is_an_error(self, folder: Path):
        (folder / "labels.json").write_text(json.dumps(NAMES | {9: "Heart"}))
        findings = findings_of(folder)
        assert [finding.code for finding in findings] == ["empty-structure"] * 7 + ["never-drawn"]

    def test_where_nothing_could_be_read_only_that_is_said(self, folder: Path):
        for image in (folder / "images").iterdir():
            image.write_bytes(b"nothing")
        assert {finding.code for finding in findings_of(folder)} == {"unusable"}


class TestIntensities:
    def test_an_image_on_another_scale_than_the_rest(self, folder: Path):
        image, label = patient(2)
        write(folder, "p2", image + 1024, label)
        finding = only_finding(folder)
        assert told(finding) == ("p2", "", "warning", "mixed-scales")
        assert "seems to have Hounsfield units + 1024, and most of the cohort Hounsfield units." in finding.message

    def test_an_image_without_hounsfield_units_among_ct(self, folder: Path):
        image, label = patient(2)
        write(folder, "p2", image + 5000, label)
        finding = only_finding(folder)
        assert told(finding) == ("p2", "", "warning", "mixed-scales")
        assert "no Hounsfield units" in finding.message

    @pytest.mark.parametrize("stored", [0, 1024])
    def test_brighter_than_bone(self, folder: Path, stored: int):
        for number in range(7):
            image, label = patient(number)
            if number == 2:
                image[38:] = 9000
            write(folder, f"p{number}", image + stored, np.where(image > 5000, 0, label).astype(np.uint8))
        assert ("p2", "", "warning", "implausible-hounsfield") in map(told, findings_of(folder))

    def test_padding_and_metal_are_only_noted(self, folder: Path):
        image, label = patient(2)
        image[:2], image[0, 39, 0] = -3024, 12000
        write(folder, "p2", image, label)
        assert {told(finding)[2:] for finding in findings_of(folder)} == {
            ("note", "below-air"),
            ("note", "glaring-voxels"),
        }

    def test_a_label_map_in_the_place_of_the_image(self, folder: Path):
        shutil.copy(folder / "labels" / "p2.nii.gz", folder / "images" / "p2.nii.gz")
        assert ("p2", "", "warning", "few-values") in map(told, findings_of(folder))


class TestGeometry:
    def test_a_spacing_unlike_the_rest(self, folder: Path):
        image, label = patient(2)
        write(folder, "p2", image, label, affine=AFFINE @ np.diag([1, 1, 3, 1]))
        assert ("p2", "", "warning", "spacing-outlier") in map(told, findings_of(folder))

    def test_millimetres_taken_for_metres(self, folder: Path):
        write(folder, "p2", *patient(2), affine=np.diag([0.002, 0.002, 0.003, 1]))
        assert ("p2", "", "warning", "implausible-spacing") in map(told, findings_of(folder))

    def nifti(self, folder: Path, *, qform: int, sform: int, shift: float = 0) -> None:
        image, _ = patient(2)
        written = nibabel.Nifti1Image(image, AFFINE)
        written.set_qform(AFFINE, qform)
        moved = AFFINE.copy()
        moved[0, 3] = shift
        written.set_sform(moved, sform)
        nibabel.save(written, folder / "images" / "p2.nii.gz")
        place = read_image(folder / "images" / "p2.nii.gz").affine
        write_array(folder / "labels" / "p2.nii.gz", patient(2)[1], place)

    def test_a_header_without_orientation(self, folder: Path):
        self.nifti(folder, qform=0, sform=0)
        assert ("p2", "", "warning", "no-orientation") in map(told, findings_of(folder))

    def test_a_header_with_two_orientations(self, folder: Path):
        self.nifti(folder, qform=1, sform=1, shift=14)
        finding = only_finding(folder)
        assert told(finding) == ("p2", "", "warning", "two-orientations")
        assert "7.0 voxels" in finding.message

    @pytest.mark.parametrize(("qform", "sform"), [(1, 0), (0, 1), (1, 1), (1, 2)])
    def test_a_header_that_says_one_thing(self, folder: Path, qform: int, sform: int):
        self.nifti(folder, qform=qform, sform=sform)
        assert findings_of(folder) == []

    def test_a_single_slice(self, folder: Path):
        image, label = patient(2)
        write(folder, "p2", image[:, :, 12:13], label[:, :, 12:13])
        assert ("p2", "", "warning", "few-slices") in map(told, findings_of(folder))


def test_a_fault_of_the_reader_stops_neither_the_check_nor_quotes_the_file(folder: Path, monkeypatch):
    from HQCSegmentLib.cohort import Case

    read = Case.read

    def fail(case: Case, structures: dict) -> object:
        if case.name == "p2":
            raise KeyError("Zimmermann^Adelheid")
        return read(case, structures)

    monkeypatch.setattr(Case, "read", fail)
    finding = only_finding(folder)
    assert told(finding) == ("p2", "", "error", "unusable")
    assert "KeyError" in finding.message
    assert "Zimmermann" not in finding.text


class TestNames:
    def test_a_missing_side_is_asked_for(self, folder: Path):
        (folder / "labels.json").write_text(json.dumps(NAMES | {2: "Kidney"}))
        finding = only_finding(folder)
        assert told(finding) == ("", "Kidney", "warning", "name-no-side")
        assert "not guessed" in finding.message

    def test_a_misspelt_name_is_noted(self, folder: Path):
        (folder / "labels.json").write_text(json.dumps(NAMES | {1: "SpinalCrd"}))
        finding = only_finding(folder)
        assert told(finding) == ("", "SpinalCrd", "note", "name-similar")
        assert "SpinalCord" in finding.message

    def test_other_local_names_are_nobodys_business(self, folder: Path):
        (folder / "labels.json").write_text(json.dumps(NAMES | {1: "Plexus", 2: "Ring 2cm"}))
        assert findings_of(folder) == []


def test_every_code_is_documented():
    root = Path(__file__).resolve().parents[2]
    sources = "".join(path.read_text() for path in (root / "HQCSegmentLib" / "cohort" / "checks").glob("*.py"))
    codes = set(re.findall(r'"(?:error|warning|note)", "([a-z-]+)", [^"]', sources))
    codes |= {
        code
        for path in (root / "HQCSegmentLib").rglob("*.py")
        for code in re.findall(r'code="([a-z0-9-]+)"', path.read_text())
    }
    assert len(codes) > 20
    documented = (root / "Docs" / "checking.md").read_text()
    assert [code for code in sorted(codes) if f"`{code}`" not in documented] == []


READ, REFUSED = "no-contours", "unusable"
# Every image of the odd inputs: read, or refused with these words.
ODD = {
    "dicom_geometry": {
        "gantrytilting/001": ("gantry-tilt", "gantry tilt of 14.0 degrees"),
        "notavolume/001": ("same-position", "at the same position"),
        "slicecount/001": (READ, "256 x 256 x 2 voxels"),
        "slicecount/001_ground_truth": (READ, "256 x 256 x 2 voxels"),
        "sliceincrement/001": ("missing-slices", "a slice may be missing"),
        "sliceincrement/002": ("gantry-tilt", "gantry tilt of 15.5 degrees"),
        "sliceincrement/002_ground_truth": (READ, "512 x 514 x 5"),
        "sliceorientation/001": ("mixed-orientations", "different orientation"),
    },
    "dicom_compressed": {
        f"{kind}/001{truth}": (READ, "256 x 256 x 4 voxels")
        for kind in ("compressed", "compressed_j2k", "compressed_jpeg", "compressed_jpegls", "compressed_rle")
        for truth in ("", "_ground_truth")
    }
    | {"rgb/001": ("color-image", "color image"), "rgb/001_ground_truth": (REFUSED, "one value per voxel")},
    "dicom_syntax": {
        "CT": (READ, "512 x 512 x 2"),
        "CT (series 2)": (READ, "128 x 128 x 1"),
        "CT (series 3)": (READ, "512 x 512 x 1"),
        "MR": ("multi-frame", "does not say of every frame where it lies"),
        "MR (series 2)": ("same-position", "at the same position"),
    },
    "nifti": {
        "MR": (READ, "256 x 256 x 2"),
        "MR (series 2)": ("unreadable-pixels", "cannot be read"),
        "MR (series 3)": (READ, "128 x 96 x 1"),
        "MR (series 4)": (REFUSED, "SliceThickness"),
        "anatomical": (READ, "33 x 41 x 25"),
        "example4d": (REFUSED, "one 3D volume"),
        "example_nifti2": ("nifti-2", "is a NIfTI-2 file"),
        "functional": (REFUSED, "one 3D volume"),
        "reoriented_anat_moved": (READ, "21 x 26 x 22"),
        "resampled_anat_moved": ("not-finite", "NaN"),
        "row_major.dconn": ("nifti-2", "is a NIfTI-2 file"),
        "standard": (READ, "4 x 5 x 7"),
    },
}


@pytest.mark.data
@pytest.mark.parametrize("part", ODD)
def test_every_odd_image_is_read_or_refused_with_its_reason(data_folder: Path, part: str):
    findings = {finding.case: finding for finding in check_images(loose_images(data_folder / "odd" / part))}
    assert {name: finding.code for name, finding in findings.items()} == {
        name: code for name, (code, _) in ODD[part].items()
    }
    for name, (_, words) in ODD[part].items():
        assert words in findings[name].text


@pytest.mark.data
@pytest.mark.parametrize(
    "kind", ["compressed", "compressed_j2k", "compressed_jpeg", "compressed_jpegls", "compressed_rle"]
)
def test_compressed_series_are_read_as_the_ground_truth_has_them(data_folder: Path, kind: str):
    folder = data_folder / "odd" / "dicom_compressed" / kind
    image, truth = (one.read() for one in loose_images(folder))
    assert np.array_equal(np.sort(image.array.ravel()), np.sort(truth.array.ravel()))
    # The same voxels at the same places, whatever the order of the axes.
    places = np.argwhere(image.array > 200)[::97]
    ras = places @ image.affine[:3, :3].T + image.affine[:3, 3]
    back = np.linalg.inv(truth.affine)
    index = np.rint(ras @ back[:3, :3].T + back[:3, 3]).astype(int)
    assert np.array_equal(truth.array[tuple(index.T)], image.array[tuple(places.T)])


class TestCommand:
    """`hqcsegment check`: the same findings as a table, as JSON and as a page."""

    @pytest.fixture(autouse=True)
    def wide_terminal(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("COLUMNS", "200")

    def run(self, capsys: pytest.CaptureFixture, *words: object) -> tuple[int, str]:
        from HQCSegmentLib.cli import main

        code = main(["check", *map(str, words)])
        return code, capsys.readouterr().out

    def spoil(self, folder: Path) -> None:
        (folder / "images" / "p5.nii.gz").write_bytes(b"nothing")
        image, label = patient(2)
        label[2, 30, 3] = 4
        write(folder, "p2", image, label)

    def test_errors_and_warnings_decide_the_exit_code(self, folder: Path, capsys: pytest.CaptureFixture):
        assert self.run(capsys, folder)[0] == 0
        image, label = patient(2)
        label[2, 30, 3] = 4
        write(folder, "p2", image, label)
        code, table = self.run(capsys, folder)
        assert code == 0
        assert "1 warning" in table
        assert all(word in table for word in ("p2", "Liver", "tiny island", "Erase"))
        assert self.run(capsys, folder, "--strict")[0] == 2
        self.spoil(folder)
        assert self.run(capsys, folder)[0] == 2

    def test_programs_get_the_contract(self, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture):
        self.spoil(folder)
        self.run(capsys, folder, "--json", tmp_path / "findings.json")
        findings = json.loads((tmp_path / "findings.json").read_text())
        assert {finding["code"] for finding in findings} == {"unusable", "tiny-islands"}
        for finding in findings:
            assert set(finding) == {"case", "structure", "severity", "code", "message"}
            assert finding["severity"] in ("error", "warning", "note")

    def test_the_page_shows_every_case_and_needs_nothing_else(
        self, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture
    ):
        self.spoil(folder)
        self.run(capsys, folder, "--html", tmp_path / "check.html")
        page = (tmp_path / "check.html").read_text()
        assert page.count('src="data:image/png;base64,') == 6
        assert page.count("could not be read: no picture") == 1
        assert all(f'id="p{number}"' in page for number in range(7))
        assert "Research use only" in page
        assert "tiny island" in page
        assert "cannot be read as an image" in page
        assert "http" not in page
        assert "<script" not in page

    def test_many_findings_of_one_kind_are_one_line(self, folder: Path, capsys: pytest.CaptureFixture):
        more = {number: f"Extra{number}" for number in range(10, 30)}
        (folder / "labels.json").write_text(json.dumps(NAMES | more))
        _, table = self.run(capsys, folder)
        assert "and 17 more" in " ".join(table.split())
        assert len(table.splitlines()) < 80

    def test_a_folder_without_contours_is_read_all_the_same(
        self, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture
    ):
        shutil.move(folder / "images", tmp_path / "loose")
        code, table = self.run(capsys, tmp_path / "loose")
        assert code == 2
        assert "7 image(s) without contours" in table
        assert "40 x 40 x 24 voxels" in " ".join(table.split())
