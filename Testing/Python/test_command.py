"""The `hqcsegment` command as a user meets it: real child processes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import nibabel
import numpy as np
import pytest

import HQCSegmentLib as hqc
from HQCSegmentLib.imaging import write_array

COMMAND = [sys.executable, "-m", "HQCSegmentLib"]
TRAIN = ["--patch", "16,16,16", "--held-out", "1", "--no-augment", "--device", "cpu"]


def run(*arguments: str | Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run the command and expect an exit code."""
    result = subprocess.run(
        [*COMMAND, *map(str, arguments)], capture_output=True, text=True, env={**os.environ, "COLUMNS": "200"}
    )
    assert result.returncode == code, result.stdout + result.stderr
    assert "Traceback" not in result.stderr
    return result


@pytest.fixture
def cohort(tiny_cohort: Path, tmp_path: Path) -> Path:
    """A cohort that a test may spoil."""
    return Path(shutil.copytree(tiny_cohort, tmp_path / "cohort"))


@pytest.mark.parametrize("command", [[], ["demo"], ["check"], ["train"], ["segment"], ["evaluate"]])
def test_help_teaches(command: list[str]):
    assert "Usage: hqcsegment" in run(*command, "--help").stdout


@pytest.mark.parametrize(
    ("option", "value", "choices"),
    [
        ("--network", "vgg", ["unet", "unetpp", "attentionunet", "segresnet"]),
        ("--method", "magic", ["qpg", "full"]),
        ("--device", "abacus", ["cpu", "cuda"]),
        ("--depth", "9", ["8"]),
        ("--dims", "4", ["2", "3"]),
    ],
)
def test_an_unknown_choice_is_refused_with_the_choices(tiny_cohort, tmp_path, option: str, value: str, choices):
    error = run("train", tiny_cohort, "--out", tmp_path / "run", option, value, code=2).stderr
    assert all(choice in error for choice in choices)
    assert not (tmp_path / "run").exists()


def remove_label(cohort: Path) -> None:
    (cohort / "labels" / "patient1.nii.gz").unlink()


def change_shape(cohort: Path) -> None:
    write_array(cohort / "labels" / "patient1.nii.gz", np.ones((5, 5, 5), np.uint8), np.eye(4))


def shift(cohort: Path) -> None:
    path = cohort / "labels" / "patient1.nii.gz"
    affine = np.diag([1.0, 1.0, 2.0, 1.0])
    affine[0, 3] = 3
    write_array(path, np.asarray(nibabel.load(path).dataobj), affine)


def add_value(cohort: Path) -> None:
    path = cohort / "labels" / "patient1.nii.gz"
    array = np.array(nibabel.load(path).dataobj)
    array[0, 0, 0] = 7
    write_array(path, array, np.diag([1.0, 1.0, 2.0, 1.0]))


def damage(cohort: Path) -> None:
    (cohort / "images" / "patient1.nii.gz").write_bytes(b"not an image" * 50)


def empty(cohort: Path) -> None:
    shutil.rmtree(cohort)
    cohort.mkdir()


def empty_images(cohort: Path) -> None:
    shutil.rmtree(cohort / "images")
    (cohort / "images").mkdir()


def break_names(cohort: Path) -> None:
    (cohort / "labels.json").write_text("{")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (remove_label, ["patient1", "missing"]),
        (change_shape, ["patient1.nii.gz", "(5, 5, 5)", "(24, 24, 24)"]),
        (shift, ["patient1.nii.gz", "3.00 voxels apart"]),
        (add_value, ["patient1.nii.gz", "7", "Cube"]),
        (damage, ["patient1.nii.gz", "cannot be read"]),
        (empty, ["no cohort of a known layout"]),
        (empty_images, ["no cases"]),
        (break_names, ["labels.json", "JSON"]),
        (shutil.rmtree, ["does not exist"]),
    ],
)
def test_bad_input_gets_one_sentence_and_nothing_is_written(cohort: Path, tmp_path: Path, spoil, said: list[str]):
    spoil(cohort)
    result = run("train", cohort, "--out", tmp_path / "run", *TRAIN, code=2)
    errors = [line for line in result.stderr.splitlines() if "Error" in line]
    assert len(errors) == 1
    assert all(part in errors[0] for part in said)
    assert not (tmp_path / "run").exists()


def test_check_lists_findings_for_people_and_programs(cohort: Path, tmp_path: Path):
    assert "0 errors" in run("check", cohort).stdout
    add_value(cohort)
    result = run("check", cohort, "--json", tmp_path / "findings.json", code=2)
    assert "1 error" in result.stdout
    (finding,) = json.loads((tmp_path / "findings.json").read_text())
    assert set(finding) == {"case", "structure", "severity", "code", "message"}
    assert (finding["case"], finding["severity"]) == ("patient1", "error")


def test_strict_counts_warnings(cohort: Path):
    path = cohort / "labels" / "patient1.nii.gz"
    array = np.array(nibabel.load(path).dataobj)
    array[array == 2] = 0
    write_array(path, array, np.diag([1.0, 1.0, 2.0, 1.0]))
    assert "1 warning" in run("check", cohort).stdout
    run("check", cohort, "--strict", code=2)


def test_training_tells_programs_what_happens(tiny_cohort: Path, tmp_path: Path):
    result = run("train", tiny_cohort, "--out", tmp_path / "run", "--steps", "3", "--json-events", *TRAIN)
    events = [json.loads(line) for line in result.stdout.splitlines()]
    assert [event["event"] for event in events].count("progress") == 3
    assert events[-1]["event"] == "done"
    assert hqc.Bundle.open(tmp_path / "run" / "bundle").manifest.training.method == "qpg"


@pytest.mark.skipif(os.name == "nt", reason="other platform: Windows has no SIGTERM")
def test_a_terminated_run_keeps_its_state_and_is_resumed(tiny_cohort: Path, tmp_path: Path):
    out = tmp_path / "run"
    arguments = ["train", tiny_cohort, "--out", out, "--steps", "60", *TRAIN, "--method", "full"]
    with subprocess.Popen(
        [*COMMAND, *map(str, arguments), "--json-events"], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        for line in child.stdout:
            if json.loads(line).get("step") == 20:
                child.send_signal(signal.SIGTERM)
                break
        child.stdout.read()
        assert child.wait(60) == 130
    assert not (out / "bundle").exists()
    before = time.time()
    run("train", tiny_cohort, "--out", out, "--resume")
    assert (out / "bundle" / "bundle.json").stat().st_mtime >= before - 1
    steps = [json.loads(line).get("step") for line in (out / "events.jsonl").read_text().splitlines()]
    assert steps.count(5) == 1  # not begun again
    assert 60 in steps


def test_segmenting_goes_on_after_a_bad_input(tiny_run: Path, tiny, tmp_path: Path):
    affine = np.array([[0, -1.0, 0, 7], [1.0, 0, 0, 8], [0, 0, -2.0, 9], [0, 0, 0, 1]])
    image, _ = tiny.tiny_patient(7)
    write_array(tmp_path / "good.nrrd", image, affine)
    write_array(tmp_path / "good.nii.gz", image, affine)
    (tmp_path / "bad.nii.gz").write_bytes(b"x")
    result = run(
        "segment", tiny_run / "bundle", tmp_path / "bad.nii.gz", tmp_path / "good.nii.gz",
        "--out", tmp_path / "out", "--format", "nifti", "--format", "nrrd", code=2,
    )  # fmt: skip
    assert "bad" in result.stderr
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"good.nii.gz", "good.nrrd"}
    written = nibabel.load(tmp_path / "out" / "good.nii.gz")
    np.testing.assert_allclose(written.affine, affine, atol=1e-6)
    assert written.shape == image.shape
    assert np.asarray(written.dataobj).dtype == np.uint8


def test_two_inputs_of_one_name_are_refused(tiny_run: Path, tmp_path: Path):
    error = run(
        "segment", tiny_run / "bundle", tmp_path / "a.nii.gz", tmp_path / "a.nrrd", "--out", tmp_path / "o", code=2
    )
    assert error.stderr.count("Error") >= 1


def test_a_folder_that_is_no_model_is_refused(tmp_path: Path):
    assert "bundle.json is missing" in run("segment", tmp_path, tmp_path, "--out", tmp_path / "o", code=2).stderr


def test_a_changed_model_is_refused(tiny_run: Path, tmp_path: Path):
    bundle = Path(shutil.copytree(tiny_run / "bundle", tmp_path / "bundle"))
    content = bytearray((bundle / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (bundle / "model.safetensors").write_bytes(content)
    assert "SHA-256" in run("segment", bundle, tmp_path, "--out", tmp_path / "o", code=2).stderr


def test_evaluate_writes_tables(tiny_cohort: Path, tmp_path: Path):
    labels = tiny_cohort / "labels"
    run("evaluate", "--predictions", labels, "--references", labels, "--out", tmp_path / "out")
    rows = json.loads((tmp_path / "out" / "metrics.json").read_text())["cases"]
    assert {row["dice"] for row in rows} == {1.0}
    assert len((tmp_path / "out" / "metrics.csv").read_text().splitlines()) == 9


def test_the_demo_does_not_touch_somebody_elses_folder(tmp_path: Path):
    (tmp_path / "thesis.txt").write_text("years of work")
    assert "something else" in run("demo", "--out", tmp_path, code=2).stderr
    assert (tmp_path / "thesis.txt").read_text() == "years of work"
