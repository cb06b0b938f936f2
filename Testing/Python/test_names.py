"""Local names become TG-263 names: by certain spellings or an edited table, and never by guessing a side."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest

from HQCSegmentLib.cohort import Cohort, check
from HQCSegmentLib.errors import InputError
from HQCSegmentLib.imaging import write_array
from HQCSegmentLib.naming import propose, read_table, side_of, write_table


def proposed(name: str) -> tuple[str, str]:
    (proposal,) = propose([name])
    assert proposal.name == name
    return proposal.tg263_name, proposal.match


class TestProposals:
    @pytest.mark.parametrize("name", ["SpinalCord", "spinalcord", "SPINAL_CORD", "Spinal Cord", " spinal-cord "])
    def test_the_name_itself_is_exact_whatever_its_case_and_punctuation(self, name: str):
        assert proposed(name) == ("SpinalCord", "exact")

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("Mandible", "Bone_Mandible"),
            ("Lt Parotid", "Parotid_L"),
            ("LtParotid", "Parotid_L"),
            ("Parotis li", "Parotid_L"),
            ("Parotis rechts", "Parotid_R"),
            ("Kidney_re", "Kidney_R"),
        ],
    )
    def test_other_certain_spellings_are_synonyms(self, name: str, expected: str):
        assert proposed(name) == (expected, "synonym")

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("Brainstm", "Brainstem"),
            ("Esophagos", "Esophagus"),
            ("Kidny_L", "Kidney_L"),
            ("parotit right", "Parotid_R"),
            ("parotide droite", "Parotid_R"),
            ("Spinal Crd", "SpinalCord"),
        ],
    )
    def test_misspellings_are_similar(self, name: str, expected: str):
        assert proposed(name) == (expected, "similar")

    @pytest.mark.parametrize("name", ["Parotid", "kidney", "LUNG", "Parotit", "Optic Nerve"])
    def test_no_side_is_guessed(self, name: str):
        assert proposed(name) == ("", "no side")

    @pytest.mark.parametrize("name", ["Kidney_L_R", "left right lung"])
    def test_two_sides_are_none(self, name: str):
        assert proposed(name)[0] == ""
        assert side_of(name) is None

    @pytest.mark.parametrize(
        "name",
        [
            "SpinalCord_PRV", "PRV Brainstem", "Heart_old", "Lungs-GTV", "GTV1", "PTV_60", "Humerus_Head_L", "Leber",
            "Ring 2 cm", "KidneyBag", "right", "", "structure_1", "zz", "BrainstemCore",
        ],
    )  # fmt: skip
    def test_what_is_another_structure_is_unknown(self, name: str):
        assert proposed(name) == ("", "unknown")

    @pytest.mark.parametrize(
        ("name", "side"),
        [
            ("Kidney_L", "L"),
            ("LungRight", "R"),
            ("Niere links", "L"),
            ("Liver", None),
            ("Lens", None),
            ("Rectum", None),
        ],
    )
    def test_a_side_is_a_word_of_its_own(self, name: str, side: str | None):
        found = side_of(name)
        assert (found.letter if found else None) == side


class TestTable:
    def test_it_is_written_with_proposals_and_read_back(self, tmp_path: Path):
        names = ["Liver", "Lt Parotid", "Brainstm", "Lung", "Ring"]
        write_table(tmp_path / "names.csv", names)
        assert read_table(tmp_path / "names.csv") == {
            "Liver": "Liver",
            "Lt Parotid": "Parotid_L",
            "Brainstm": "Brainstem",
        }
        lines = (tmp_path / "names.csv").read_text().splitlines()
        assert lines[0] == "name,tg263_name,match"
        assert lines[4] == "Lung,,no side: please add one"

    def test_what_the_user_wrote_is_kept(self, tmp_path: Path):
        path = tmp_path / "names.csv"
        write_table(path, ["Brainstm", "Lung"])
        path.write_text(
            path.read_text().replace("Lung,,", "Lung,Lung_R,").replace("Brainstm,Brainstem,", "Brainstm,-,")
        )
        new = write_table(path, ["Brainstm", "Lung", "Heart"])
        assert [proposal.name for proposal in new] == ["Heart"]
        assert read_table(path) == {"Brainstm": "-", "Lung": "Lung_R", "Heart": "Heart"}

    @pytest.mark.parametrize("separator", [",", ";", "\t"])
    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
    def test_it_may_come_from_a_spreadsheet(self, tmp_path: Path, separator: str, encoding: str):
        rows = [("name", "tg263_name"), ("Rückenmark", "SpinalCord"), ("Niere li", "Kidney_L"), ("Ring", "-"), ("", "")]
        text = "\r\n".join(separator.join(row) for row in rows)
        (tmp_path / "names.csv").write_bytes(text.encode(encoding))
        assert read_table(tmp_path / "names.csv") == {"Rückenmark": "SpinalCord", "Niere li": "Kidney_L", "Ring": "-"}

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (b"", "columns"),
            (b"structure,tg263_name\nLiver,Liver\n", "columns"),
            (b"name,tg263_name\nLiver,Liver\nLiver,Heart\n", "two rows"),
            ("name,tg263_name\nRückenmark,SpinalCord\n".encode("latin-1"), "UTF-8"),
        ],
    )
    def test_a_broken_one_is_refused_in_a_sentence(self, tmp_path: Path, content: bytes, said: str):
        (tmp_path / "names.csv").write_bytes(content)
        with pytest.raises(InputError, match=said) as error:
            read_table(tmp_path / "names.csv")
        assert str(tmp_path / "names.csv") in str(error.value)


AFFINE = np.diag([1.0, 1.0, 2.0, 1.0])


def label_maps(folder: Path, names: dict[int, str]) -> Path:
    label = np.zeros((12, 12, 12), np.uint8)
    for place, value in enumerate(names):
        label[2:10, 2:10, 3 * place : 3 * place + 2] = value
    for seed in range(2):
        image = np.random.default_rng(seed).normal(100, 10, label.shape).astype(np.float32)
        write_array(folder / "images" / f"p{seed}.nii.gz", image, AFFINE)
        write_array(folder / "labels" / f"p{seed}.nii.gz", label, AFFINE)
    (folder / "labels.json").write_text(json.dumps(names))
    return folder


class TestLabelMaps:
    def test_certain_names_are_used_at_once(self, tmp_path: Path):
        cohort = Cohort.open(label_maps(tmp_path, {1: "Lt Kidney", 2: "Brainstm", 3: "Plexus"}))
        assert cohort.structures == {1: "Kidney_L", 2: "Brainstm", 3: "Plexus"}
        assert cohort.local_names == ("Lt Kidney", "Brainstm", "Plexus")

    def test_the_table_renames_joins_and_leaves_out(self, tmp_path: Path):
        label_maps(tmp_path, {1: "Brainstm", 2: "GTV1", 3: "GTV2", 4: "Ring"})
        (tmp_path / "names.csv").write_text("name;tg263_name\nBrainstm;Brainstem\nGTV1;GTV\nGTV2;GTV\nRing;-\n")
        cohort = Cohort.open(tmp_path)
        assert cohort.structures == {1: "Brainstem", 2: "GTV"}
        label = cohort.cases[0].read(cohort.structures).label
        assert [int((label == value).sum()) for value in (1, 2)] == [128, 256]
        assert set(np.unique(label)) == {0, 1, 2}

    def test_two_values_for_one_structure_are_not_joined_without_being_asked(self, tmp_path: Path):
        cohort = Cohort.open(label_maps(tmp_path, {1: "Kidney_L", 2: "left kidney"}))
        assert cohort.structures == {1: "Kidney_L", 2: "left kidney"}

    def test_a_table_that_leaves_out_everything_is_refused(self, tmp_path: Path):
        label_maps(tmp_path, {1: "Ring"})
        (tmp_path / "names.csv").write_text("name,tg263_name\nRing,-\n")
        with pytest.raises(InputError, match="leaves out every structure"):
            Cohort.open(tmp_path)


@pytest.mark.slow
class TestStructureSets:
    def rename(self, folder: Path, case: str, names: dict[str, str]) -> None:
        path = folder / case / "RTSTRUCT.dcm"
        dataset = pydicom.dcmread(path)
        for roi in dataset.StructureSetROISequence:
            roi.ROIName = names.get(roi.ROIName, roi.ROIName)
        dataset.save_as(path)

    def test_spellings_of_two_patients_become_one_structure(self, dicom_cohort: Path, own_dicom_cohort: Path):
        before = Cohort.open(dicom_cohort)
        self.rename(own_dicom_cohort, "A01", {"Kidney_L": "Niere li", "Liver": "Hepar", "GTV": "Tumor"})
        self.rename(own_dicom_cohort, "A02", {"Kidney_L": "Lt Kidney"})
        (own_dicom_cohort / "names.csv").write_text("name,tg263_name\nNiere li,Kidney_L\n")
        after = Cohort.open(own_dicom_cohort)
        assert after.structures == before.structures
        assert list(after.structures.values())[-1] == "GTV"
        for old, new in zip(before.cases, after.cases, strict=True):
            assert np.array_equal(new.read(after.structures).label, old.read(before.structures).label)

    def test_a_structure_can_be_left_out(self, own_dicom_cohort: Path):
        (own_dicom_cohort / "names.csv").write_text("name,tg263_name\nGTV,-\n")
        cohort = Cohort.open(own_dicom_cohort)
        assert "GTV" not in cohort.structures.values()
        case = cohort.cases[0].read(cohort.structures)
        assert case.known == set(cohort.structures)

    def test_one_patient_with_two_spellings_is_refused_with_both(self, own_dicom_cohort: Path):
        self.rename(own_dicom_cohort, "A01", {"Kidney_L": "Lt Kidney", "Liver": "left kidney"})
        cohort = Cohort.open(own_dicom_cohort)
        with pytest.raises(InputError, match=r"A01.*both stand for Kidney_L.*--write-names"):
            cohort.cases[0].read(cohort.structures)

    def test_the_command_writes_the_table_and_uses_it(self, own_dicom_cohort: Path):
        self.rename(own_dicom_cohort, "A01", {"Liver": "Livr", "Kidney_L": "Kidney"})

        def run(*words: str) -> str:
            command = [sys.executable, "-m", "HQCSegmentLib", "check", str(own_dicom_cohort), *words]
            return subprocess.run(command, capture_output=True, text=True, check=False).stdout

        said = run("--write-names")
        assert (
            "please confirm: Livr is taken for Liver" in " ".join(said.split()) or "please add a side: Kidney" in said
        )
        table = own_dicom_cohort / "names.csv"
        text = table.read_text()
        assert "Kidney,,no side: please add one" in text
        table.write_text(text.replace("Kidney,,", "Kidney,Kidney_L,"))
        assert [f.code for f in check(Cohort.open(own_dicom_cohort)) if f.code.startswith("name-")] == []
