"""Nothing of a patient's identity is in any file that is written, but for the DICOM files of the same patient."""

from __future__ import annotations

import gzip
import json
import shutil
import zipfile
from pathlib import Path

import pydicom
import pytest

from HQCSegmentLib.cli import main
from HQCSegmentLib.cohort import Cohort, check
from HQCSegmentLib.demo.cohort import write_cohort
from HQCSegmentLib.demo.hospital import HOSPITAL_A

NAME, NUMBER, BIRTH, HOSPITAL = "Zimmermann^Adelheid", "00471188", "19310704", "Klinikum Lindenhof"
UID_ROOT = "1.2.826.0.1.98765432"
SECRETS = ("zimmermann", "adelheid", NUMBER, BIRTH, "lindenhof", UID_ROOT)


def plant(folder: Path) -> None:
    """Give all DICOM files of a patient an identity; references between them stay right."""
    uids: dict[str, str] = {}

    def replace(_dataset: pydicom.Dataset, element: pydicom.DataElement) -> None:
        if element.VR == "UI" and not element.keyword.endswith("ClassUID"):
            element.value = uids.setdefault(str(element.value), f"{UID_ROOT}.{len(uids) + 1}.{abs(hash(folder)) % 997}")

    for file in sorted(folder.rglob("*.dcm")):
        dataset = pydicom.dcmread(file)
        dataset.walk(replace)
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.PatientName, dataset.PatientID, dataset.PatientBirthDate = NAME, NUMBER, BIRTH
        dataset.InstitutionName = dataset.OtherPatientIDs = HOSPITAL
        dataset.ReferringPhysicianName = dataset.PatientComments = NAME
        dataset.AccessionNumber = dataset.StudyID = NUMBER
        dataset.save_as(file)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two patients; the folder of one is named after him."""
    folder = tmp_path_factory.mktemp("hospital") / "cohort"
    write_cohort(folder, hospital=HOSPITAL_A, seeds=[1, 2])
    for case in folder.iterdir():
        plant(case)
    (folder / "A02").rename(folder / f"Zimmermann, Adelheid {BIRTH}")
    return folder


def contents(path: Path) -> list[bytes]:
    """Bytes of a file, and what is compressed in them."""
    raw = path.read_bytes()
    found = [raw]
    if raw[:2] == b"\x1f\x8b":
        found.append(gzip.decompress(raw))
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            found += [archive.read(name) for name in archive.namelist()]
    return found


def leaks(folder: Path) -> list[tuple[str, str]]:
    """Files below a folder, and the secret in their name or content."""
    found = []
    for path in sorted(folder.rglob("*")):
        texts = [str(path.relative_to(folder)).encode()] + (contents(path) if path.is_file() else [])
        for secret in SECRETS:
            spellings = [secret.encode(), secret.encode("utf-16-le"), secret.encode("utf-16-be")]
            if any(spelling.lower() in text.lower() for spelling in spellings for text in texts):
                found.append((path.relative_to(folder).as_posix(), secret))
    return found


@pytest.mark.slow
def test_nothing_of_a_patient_is_in_any_file_written(cohort: Path, tmp_path: Path, capsys: pytest.CaptureFixture):
    # The search itself finds what was planted.
    assert {secret for _, secret in leaks(cohort)} == set(SECRETS)

    out = tmp_path / "out"
    train = ["--method", "full", "--steps", "2", "--patch", "16,16,16", "--spacing", "8,8,8", "--device", "cpu"]
    commands = [
        ["check", cohort, "--json", out / "check.json", "--html", out / "check.html", "--write-names"],
        ["train", cohort, "--out", out / "run", *train, "--json-events"],
        ["train", cohort, "--out", out / "folds", *train, "--folds", "2"],
        ["segment", out / "run" / "bundle", cohort / "A01" / "CT", "--out", out / "results", "--format", "nifti"],
    ]
    for command in commands:
        assert main([str(word) for word in command]) == 0, capsys.readouterr().err
    (out / "names.csv").write_bytes((cohort / "names.csv").read_bytes())
    (out / "log.txt").write_text("".join(capsys.readouterr()).replace(str(cohort), ""))
    assert len(list(out.rglob("*"))) > 30
    assert leaks(out) == []
    for report in ("check.html", "run/report.html"):
        assert "Research use only" in (out / report).read_text()


def test_a_folder_named_after_the_patient_is_called_by_a_hash(cohort: Path):
    opened = Cohort.open(cohort)
    first, hashed = sorted(case.name for case in opened.cases)
    assert first == "A01"
    assert hashed.startswith("case-")
    assert hashed == sorted(case.name for case in Cohort.open(cohort).cases)[1]
    (note,) = (note for note in opened.notes if hashed in note)
    assert "folder 2 of 2" in note


def test_a_case_that_cannot_be_read_is_reported_without_its_folder(cohort: Path, tmp_path: Path):
    copy = Path(shutil.copytree(cohort, tmp_path / "cohort"))
    shutil.rmtree(next(folder for folder in copy.iterdir() if folder.name.startswith("Zimmermann")) / "CT")
    findings = check(Cohort.open(copy))
    (unusable,) = (finding for finding in findings if finding.code == "unusable")
    assert "no DICOM image series" in unusable.text
    text = json.dumps([finding.as_dict() for finding in findings])
    assert not [secret for secret in SECRETS if secret in text.lower()]


@pytest.mark.parametrize("name", ["A02", "pelvis 7", "Adelheid", "patient_471"])
def test_other_names_of_folders_are_the_users_aliases(cohort: Path, tmp_path: Path, name: str):
    source = next(folder for folder in cohort.iterdir() if folder.name.startswith("Zimmermann"))
    (tmp_path / "cohort").mkdir()
    (tmp_path / "cohort" / name).symlink_to(source, target_is_directory=True)
    assert [case.name for case in Cohort.open(tmp_path / "cohort").cases] == [name]


@pytest.mark.parametrize("name", ["zimmermann_adelheid", "ADELHEID ZIMMERMANN", NUMBER, f"MRN{NUMBER}", BIRTH])
def test_names_numbers_and_birth_dates_are_hashed(cohort: Path, tmp_path: Path, name: str):
    source = next(folder for folder in cohort.iterdir() if folder.name.startswith("Zimmermann"))
    (tmp_path / "cohort").mkdir()
    (tmp_path / "cohort" / name).symlink_to(source, target_is_directory=True)
    (case,) = Cohort.open(tmp_path / "cohort").cases
    assert case.name.startswith("case-")
    assert case.patient == case.name
