"""A patient's folder as it comes from an archive: which contours belong to which images is read, not guessed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest

from HQCSegmentLib.cohort import Cohort, check
from HQCSegmentLib.cohort.dicom_references import References, check_references, choose_series, references_of
from HQCSegmentLib.errors import InputError
from HQCSegmentLib.imaging import Segmentation, SeriesReference, Structure
from HQCSegmentLib.imaging.dicom_folder import SeriesSummary, scan
from HQCSegmentLib.imaging.dicom_series import read_series
from HQCSegmentLib.planning.dicom_seg import write_dicom_seg
from HQCSegmentLib.planning.rtstruct import write_rtstruct

SHAPE = (12, 10, 6)
LPS = np.array([[1.2, 0, 0, -31], [0, 2.1, 0, 12], [0, 0, 3.0, -80], [0, 0, 0, 1.0]])


@pytest.fixture
def series(write_slices):
    """Write a series whose voxels are all `value`, so that one can see which was read."""

    def write(folder: Path, value: int, *, slices: int = SHAPE[2], **changes: object) -> Path:
        write_slices(folder, np.full((*SHAPE[:2], slices), value, np.int16), LPS, **changes)
        return folder

    return write


def contoured(
    folder: Path, file: Path, *, name: str = "Liver", writer=write_rtstruct, start: int = 3, size: int = 6
) -> Path:
    """Contours on the series of a folder."""
    image = read_series(folder)
    labels = np.zeros(image.array.shape, np.uint8)
    labels[start : start + size, 2:8, 1:4] = 1
    file.parent.mkdir(parents=True, exist_ok=True)
    writer(file, Segmentation(labels, image.affine, (Structure(value=1, name=name),), "case", image.series))
    return file


def value_read(cohort: Cohort, case: int = 0) -> int:
    """Value of the series that a case was read from; its contours are there."""
    read = cohort.cases[case].read(cohort.structures)
    assert read.known == set(cohort.structures)
    assert (read.label > 0).sum() == 6 * 6 * 3
    return int(read.image.array[0, 0, 0])


class TestSeveralSeries:
    @pytest.mark.parametrize("writer", [write_rtstruct, write_dicom_seg])
    def test_the_series_that_the_contours_refer_to_is_read_not_the_largest(self, tmp_path: Path, series, writer):
        series(tmp_path / "p1" / "a", 100, slices=9)
        series(tmp_path / "p1" / "b", 7)
        contoured(tmp_path / "p1" / "b", tmp_path / "p1" / "contours.dcm", writer=writer)
        cohort = Cohort.open(tmp_path)
        assert value_read(cohort) == 7
        (note,) = cohort.notes
        assert note.startswith("p1: contours.dcm is read on the CT series of 6 files, chosen because it refers to its ")
        assert note.endswith("not used for this case: CT series of 9 files.")

    def test_names_of_files_and_folders_say_nothing(self, tmp_path: Path, series):
        series(tmp_path / "p1" / "planning CT", 100)
        series(tmp_path / "p1" / "old", 7)
        contoured(tmp_path / "p1" / "old", tmp_path / "p1" / "planning CT" / "RS of planning CT.dcm")
        assert value_read(Cohort.open(tmp_path)) == 7

    def test_series_may_lie_mixed_in_one_folder(self, tmp_path: Path, series):
        for number, value in enumerate((100, 7)):
            series(tmp_path / f"{number}", value)
        contoured(tmp_path / "1", tmp_path / "cohort" / "p1" / "RS.dcm")
        for number in range(2):
            for file in (tmp_path / f"{number}").iterdir():
                file.rename(tmp_path / "cohort" / "p1" / f"{number}-{file.name}")
        assert value_read(Cohort.open(tmp_path / "cohort")) == 7

    def test_without_images_the_series_and_then_the_frame_of_reference_decide(self, tmp_path: Path, series):
        def forget_images(frame: pydicom.Dataset) -> None:
            del frame.RTReferencedStudySequence[0].RTReferencedSeriesSequence[0].ContourImageSequence

        def forget_series(frame: pydicom.Dataset) -> None:
            del frame.RTReferencedStudySequence

        series(tmp_path / "p1" / "a", 100)
        series(tmp_path / "p1" / "b", 7)
        file = contoured(tmp_path / "p1" / "b", tmp_path / "p1" / "RS.dcm")
        for forget, way in ((forget_images, "the series"), (forget_series, "its frame of reference")):
            dataset = pydicom.dcmread(file)
            forget(dataset.ReferencedFrameOfReferenceSequence[0])
            dataset.save_as(file)
            cohort = Cohort.open(tmp_path)
            assert value_read(cohort) == 7
            assert f"refers to {way};" in cohort.notes[0]

    def test_a_frame_of_reference_of_two_series_decides_nothing(self, tmp_path: Path, series):
        series(tmp_path / "p1" / "a", 100, FrameOfReferenceUID="1.2.3")
        series(tmp_path / "p1" / "b", 7, FrameOfReferenceUID="1.2.3", Modality="PT")
        file = contoured(tmp_path / "p1" / "b", tmp_path / "p1" / "RS.dcm")
        dataset = pydicom.dcmread(file)
        del dataset.ReferencedFrameOfReferenceSequence[0].RTReferencedStudySequence
        dataset.save_as(file)
        with pytest.raises(InputError, match=r"case p1: RS\.dcm refers to its frame of reference of 2 image series"):
            Cohort.open(tmp_path).cases[0].read({1: "Liver"})

    def test_nothing_is_said_where_there_was_no_choice(self, tmp_path: Path, series):
        contoured(series(tmp_path / "p1" / "a", 100), tmp_path / "p1" / "RS.dcm")
        assert Cohort.open(tmp_path).notes == ()


class TestSeveralStructureSets:
    def test_each_series_with_its_own_contours_is_a_case_of_the_same_patient(self, tmp_path: Path, series):
        for week, value in enumerate((100, 7)):
            folder = series(tmp_path / "p1" / f"week {week}", value)
            contoured(folder, tmp_path / "p1" / f"RS{week}.dcm")
        cohort = Cohort.open(tmp_path)
        assert [(case.name, case.patient) for case in cohort.cases] == [("p1_1", "p1"), ("p1_2", "p1")]
        assert [value_read(cohort, case) for case in range(2)] == [100, 7]
        assert len(cohort.notes) == 2

    def test_contours_of_another_patient_that_were_left_in_the_folder_are_passed_over(self, tmp_path: Path, series):
        contoured(series(tmp_path / "elsewhere", 7), tmp_path / "cohort" / "p1" / "A.dcm", name="Spleen")
        contoured(series(tmp_path / "cohort" / "p1" / "ct", 100), tmp_path / "cohort" / "p1" / "B.dcm")
        cohort = Cohort.open(tmp_path / "cohort")
        assert list(cohort.structures.values()) == ["Liver"]
        assert value_read(cohort) == 100
        assert cohort.notes[0].endswith("not used for this case: A.dcm.")

    def test_two_on_the_same_images_are_not_decided_by_name(self, tmp_path: Path, series):
        folder = series(tmp_path / "p1" / "ct", 100)
        contoured(folder, tmp_path / "p1" / "final.dcm")
        contoured(folder, tmp_path / "p1" / "SEG.dcm", writer=write_dicom_seg)
        contoured(series(tmp_path / "p2" / "ct", 100), tmp_path / "p2" / "RS.dcm")
        cohort = Cohort.open(tmp_path)
        (finding,) = [one for one in check(cohort) if one.case == "p1" and one.severity == "error"]
        assert finding.code == "ambiguous-contours"
        assert "2 files with contours (final.dcm, SEG.dcm)" in finding.message
        assert "draw 'Liver' more than once" in finding.message
        assert value_read(cohort, 1) == 100

    def test_the_only_approved_one_counts_and_that_is_said(self, tmp_path: Path, series):
        folder = series(tmp_path / "p1" / "ct", 100)
        contoured(folder, tmp_path / "p1" / "a.dcm", size=2)
        file = contoured(folder, tmp_path / "p1" / "b.dcm")
        dataset = pydicom.dcmread(file)
        dataset.ApprovalStatus = "APPROVED"
        dataset.save_as(file)
        cohort = Cohort.open(tmp_path)
        assert value_read(cohort) == 100
        (note,) = cohort.notes
        assert note.endswith(
            "and of several on the same images it is the only approved one; not used for this case: a.dcm."
        )

    @pytest.mark.parametrize("writer", [write_rtstruct, write_dicom_seg])
    def test_one_file_for_each_organ_is_read_together(self, tmp_path: Path, series, writer):
        folder = series(tmp_path / "p1" / "ct", 100)
        contoured(folder, tmp_path / "p1" / "a.dcm", writer=writer)
        contoured(folder, tmp_path / "p1" / "b.dcm", name="Spleen", start=9, writer=writer)
        cohort = Cohort.open(tmp_path)
        read = cohort.cases[0].read(cohort.structures)
        assert cohort.structures == {1: "Liver", 2: "Spleen"}
        assert read.known == {1, 2}
        assert [(read.label == value).sum() for value in (1, 2)] == [6 * 6 * 3, 3 * 6 * 3]
        (note,) = cohort.notes
        assert note.startswith(
            "p1: a.dcm and b.dcm are read on the CT series of 6 files, chosen because they refer to "
        )

    def test_contours_on_another_modality_than_in_the_other_patients_are_left_out(self, tmp_path: Path, series):
        for patient in ("p1", "p2"):
            contoured(series(tmp_path / patient / "ct", 100), tmp_path / patient / "RS.dcm")
        contoured(series(tmp_path / "p2" / "mr", 7, Modality="MR"), tmp_path / "p2" / "RS2.dcm")
        contoured(series(tmp_path / "p3" / "mr", 7, Modality="MR"), tmp_path / "p3" / "RS.dcm")
        cohort = Cohort.open(tmp_path)
        assert [case.name for case in cohort.cases] == ["p1", "p2"]
        assert value_read(cohort, 1) == 100
        assert cohort.notes[-1] == "p3: contours are drawn on no CT series as in the other cases; left out."


class TestReferences:
    def test_they_are_read_from_both_kinds_of_file(self, tmp_path: Path, series):
        folder = series(tmp_path / "ct", 100)
        image = read_series(folder).series
        assert image is not None
        for writer in (write_rtstruct, write_dicom_seg):
            references = references_of(contoured(folder, tmp_path / "file.dcm", writer=writer))
            assert references.series_instance_uids == {image.series_instance_uid}
            assert references.frame_of_reference_uids == {image.frame_of_reference_uid}
            assert references.sop_instance_uids <= set(image.sop_instance_uids)
            assert references.sop_instance_uids

    def test_other_images_in_the_same_frame_are_said_and_read_by_position(self, tmp_path: Path, series):
        """As after anonymisation that gave the images new UIDs but left the frame of reference."""
        file = contoured(
            series(tmp_path / "a", 100, FrameOfReferenceUID="1.2.3"), tmp_path / "cohort" / "p1" / "RS.dcm"
        )
        series(tmp_path / "cohort" / "p1" / "b", 7, FrameOfReferenceUID="1.2.3")
        cohort = Cohort.open(tmp_path / "cohort")
        assert value_read(cohort) == 7
        (note,) = cohort.cases[0].read(cohort.structures).notes
        assert note.startswith(
            f"p1: {file.name} refers to other images than those of the series; it is read by position"
        )

    def test_other_images_and_no_frame_of_reference_are_refused(self):
        image = read_reference("1", frame="")
        with pytest.raises(InputError, match=r"^p1: RS refers to other images .* no frame of reference says"):
            list(check_references(References(frozenset({"9"})), image, where="p1: RS"))

    def test_a_series_that_lacks_some_of_the_images_is_said(self):
        references = References(frozenset({"1", "2", "3"}), frame_of_reference_uids=frozenset({"f"}))
        (note,) = check_references(references, read_reference("1"), where="p1: RS")
        assert note == (
            "p1: RS refers to 2 image(s) that are not in the series, and to 1 that are; a part of the series may be "
            "missing."
        )

    def test_the_series_with_most_of_the_images_is_chosen(self):
        one = SeriesSummary("CT", "a", (), ("1", "2"))
        other = SeriesSummary("CT", "b", (), ("3",))
        chosen = choose_series(References(frozenset({"1", "2", "3"})), [other, one], where="")
        assert chosen == (one, "its images")
        assert choose_series(References(frozenset({"7"})), [other, one], where="") is None


def read_reference(*images: str, frame: str = "f") -> SeriesReference:
    return SeriesReference((), "s", frame, images)


class TestOneFolderForAll:
    @pytest.fixture
    def flat(self, tmp_path: Path, series) -> Path:
        """Files of three patients, the third without contours, in one folder without subfolders."""
        target = tmp_path / "export"
        target.mkdir()
        for number, (patient, value) in enumerate([("7654321", 7), ("1234567", 100), ("5555555", 50)]):
            folder = series(tmp_path / f"{number}", value, PatientID=patient)
            if number < 2:
                contoured(folder, folder / "RS.dcm")
            for file in folder.iterdir():
                dataset = pydicom.dcmread(file)
                dataset.PatientID = patient
                dataset.save_as(target / f"{number}-{file.name}")
        return target

    def test_patients_are_told_apart_by_what_is_inside(self, flat: Path):
        cohort = Cohort.open(flat)
        assert sorted(value_read(cohort, case) for case in range(2)) == [7, 100]
        assert len({case.patient for case in cohort.cases}) == len(cohort.cases) == 2
        assert "export holds files of 3 patients" in cohort.notes[0]

    def test_their_numbers_appear_nowhere_and_aliases_stay(self, flat: Path):
        cohort = Cohort.open(flat)
        told = " ".join([*cohort.notes, *(case.name for case in cohort.cases)])
        assert not any(number in told for number in ("7654321", "1234567", "5555555"))
        assert all(case.name.startswith("case-") for case in cohort.cases)
        assert [case.name for case in Cohort.open(flat).cases] == [case.name for case in cohort.cases]

    def test_images_and_contours_of_all_in_folders_of_their_own(self, flat: Path):
        for name in ("images", "contours"):
            (flat / name).mkdir()
        for file in [file for file in flat.iterdir() if file.is_file()]:
            file.rename(flat / ("contours" if "RS" in file.name else "images") / file.name)
        cohort = Cohort.open(flat)
        assert sorted(value_read(cohort, case) for case in range(2)) == [7, 100]


class TestFolders:
    def test_images_and_contours_in_folders_of_their_own_are_one_patient(self, tmp_path: Path, series):
        contoured(series(tmp_path / "image", 7), tmp_path / "mask" / "RS.dcm")
        cohort = Cohort.open(tmp_path)
        assert [case.name for case in cohort.cases] == [tmp_path.name]
        assert value_read(cohort) == 7

    def test_a_scan_finds_objects_by_content(self, tmp_path: Path, series):
        folder = series(tmp_path / "ct", 7)
        contoured(folder, tmp_path / "x.nii")
        contoured(folder, tmp_path / "deep" / "er" / "y", writer=write_dicom_seg)
        (tmp_path / "DICOMDIR").write_bytes(b"nothing")
        (tmp_path / ".hidden.dcm").write_bytes((tmp_path / "x.nii").read_bytes())
        found = scan(tmp_path)
        assert [str(one) for one in found.series] == ["CT series of 6 files"]
        assert found.structure_sets == (tmp_path / "x.nii",)
        assert found.segmentations == (tmp_path / "deep" / "er" / "y",)

    @pytest.mark.data
    def test_a_real_patient_whose_images_and_contours_lie_apart(self, data_folder: Path):
        cohort = Cohort.open(data_folder / "sts_gtv" / "dicom")
        (case,) = cohort.cases
        assert case.name == "STS_002_CT"
        read = case.read(cohort.structures)
        assert (read.label > 0).sum() == 17090
        # The images were cropped and got new UIDs, the structure set was not.
        assert [note.split(" refers to ")[1][:12] for note in read.notes] == ["other images"]
