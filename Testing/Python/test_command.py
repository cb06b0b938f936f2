"""The `hqcsegment` command as a user meets it: real child processes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
from command_line import COMMAND, run

import HQCSegmentLib as hqc
from HQCSegmentLib.imaging import write_array

TRAIN = ["--patch", "16,16,16", "--held-out", "1", "--no-augment", "--device", "cpu"]


def refused(*arguments: str | Path) -> str:
    """Run the command with something wrong: exit code 2, and one sentence on stderr, which is the result."""
    lines = run(*arguments, code=2).stderr.strip().splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("Error: ")
    assert lines[0].endswith((".", "--help`."))
    return lines[0]


def events_of(result: subprocess.CompletedProcess[str]) -> list[dict]:
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.fixture
def main_in_process(monkeypatch) -> Callable[..., int]:
    """The command in this process, so that a part of the library can be made to fail."""
    from HQCSegmentLib.cli import main

    monkeypatch.setattr(signal, "signal", lambda *_: None)
    return lambda *arguments: main(list(map(str, arguments)))


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
        ("--depth-pattern", "model.0*", ["PATTERN=N", "model.0*=1"]),
        ("--depth-pattern", "model.0*=9", ["8"]),
    ],
)
def test_an_unknown_choice_is_refused_with_the_choices(tiny_cohort, tmp_path, option: str, value: str, choices):
    error = refused("train", tiny_cohort, "--out", tmp_path / "run", option, value)
    assert all(part in error for part in (option, value, *choices))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["trian"], ["trian"]),
        (["train", "cohort"], ["--out"]),
        (["train", "--out", "run"], ["cohort"]),
        (["train", "cohort", "--out", "run", "--stepps", "3"], ["--stepps"]),
        (["train", "cohort", "--out", "run", "--steps", "many"], ["--steps", "integer"]),
        (["train", "cohort", "--out", "run", "--steps", "0"], ["--steps", "1"]),
        (["train", "cohort", "--out", "run", "--resume"], ["no run to resume"]),
        (["train", "cohort", "--out", "run", "--budget", "1h", "--steps", "3"], ["--budget", "--steps", "not both"]),
        (["segment", "model", "a.nii.gz", "--out", "results", "--format", "vtk"], ["vtk", "nifti", "rtstruct"]),
    ],
    ids=lambda value: " ".join(value),
)
def test_wrong_usage_gets_one_sentence(tmp_path: Path, monkeypatch, arguments: list[str], said: list[str]):
    monkeypatch.chdir(tmp_path)
    error = refused(*arguments)
    assert all(part in error for part in said)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("value", ["32", "a,b,c", "32.5,32,32", "32,,32", ",", "0,32,32", "32,-32,32", "8,8,8,8"])
def test_a_patch_that_is_none_is_refused(main_in_process, capsys, value: str):
    assert main_in_process("train", "cohort", "--out", "run", f"--patch={value}") == 2
    assert capsys.readouterr().err == (
        f"Error: --patch {value} is not possible: it takes two or three whole numbers above 0, separated by commas "
        "(voxels of a patch along R, A, S); for example --patch 32,32,32.\n"
    )


@pytest.mark.parametrize("value", ["1", "1,1", "a,b,c", "1,,1", "0,1,1", "1,-1,1", "nan,1,1", "inf,1,1", "1,1,1,1"])
def test_a_spacing_that_is_none_is_refused(main_in_process, capsys, value: str):
    assert main_in_process("train", "cohort", "--out", "run", f"--spacing={value}") == 2
    assert capsys.readouterr().err == (
        f"Error: --spacing {value} is not possible: it takes three numbers above 0, separated by commas "
        "(working spacing in mm along R, A, S); for example --spacing 1.5,1.5,3.\n"
    )


def test_sizes_in_a_file_of_settings_are_looked_at_too(main_in_process, capsys, tmp_path: Path):
    (tmp_path / "settings.json").write_text('{"spacing": [1, 1, 0], "patch": null}')
    assert main_in_process("train", "cohort", "--out", "run", "--config", tmp_path / "settings.json") == 2
    assert "--spacing 1,1,0 is not possible" in capsys.readouterr().err


def test_without_a_command_the_help_is_shown():
    assert "Usage: hqcsegment" in run().stdout


def test_debug_shows_where(tmp_path: Path):
    result = subprocess.run(
        [*COMMAND, "check", str(tmp_path / "nowhere"), "--debug"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 2
    assert "Traceback" in result.stderr
    assert "does not exist." in result.stderr.splitlines()[-1]


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
    array = np.asarray(nibabel.load(path).dataobj).copy()
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


def become_a_file(cohort: Path) -> None:
    shutil.rmtree(cohort)
    cohort.touch()


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
        (become_a_file, ["is a file"]),
    ],
)
def test_bad_input_gets_one_sentence_and_nothing_is_written(cohort: Path, tmp_path: Path, spoil, said: list[str]):
    spoil(cohort)
    error = refused("train", cohort, "--out", tmp_path / "run", *TRAIN)
    assert all(part in error for part in said), error
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("command", ["train", "segment", "check", "evaluate"])
def test_a_file_in_the_place_of_the_output_is_left_alone(tiny_cohort, tiny_bundle, tmp_path: Path, command: str):
    (tmp_path / "thesis").write_text("years of work")
    place = tmp_path / "thesis" / "new"
    labels = tiny_cohort / "labels"
    arguments = {
        "train": [tiny_cohort, "--out", place, *TRAIN],
        "segment": [tiny_bundle, tiny_cohort / "images" / "patient0.nii.gz", "--out", place],
        "check": [tiny_cohort, "--json", place],
        "evaluate": ["--predictions", labels, "--references", labels, "--out", place],
    }
    assert "thesis" in refused(command, *arguments[command])
    assert (tmp_path / "thesis").read_text() == "years of work"


@pytest.mark.parametrize(("content", "said"), [("{", "JSON"), ("[1]", "settings"), ('{"stepps": 3}', "'stepps'")])
def test_a_file_of_settings_that_is_none_is_refused(tiny_cohort, tmp_path: Path, content: str, said: str):
    (tmp_path / "settings.json").write_text(content)
    error = refused("train", tiny_cohort, "--out", tmp_path / "run", "--config", tmp_path / "settings.json")
    assert "settings.json" in error
    assert said in error


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
    array = np.asarray(nibabel.load(path).dataobj).copy()
    array[array == 2] = 0
    write_array(path, array, np.diag([1.0, 1.0, 2.0, 1.0]))
    assert "1 warning" in run("check", cohort).stdout
    run("check", cohort, "--strict", code=2)


@pytest.mark.slow
def test_training_tells_programs_what_happens(tiny_cohort: Path, tmp_path: Path):
    result = run("train", tiny_cohort, "--out", tmp_path / "run", "--steps", "3", "--json-events", *TRAIN)
    events = events_of(result)
    progress = [event for event in events if event["event"] == "progress"]
    assert [(event["step"], event["of"]) for event in progress] == [(1, 3), (2, 3), (3, 3)]
    assert all({"loss", "eta_s"} <= set(event) for event in progress)
    assert events[-1]["event"] == "done"
    assert events[-1]["bundle"] == str(tmp_path / "run" / "bundle")
    assert result.stderr == ""
    assert hqc.Bundle.open(tmp_path / "run" / "bundle").manifest.training.method == "qpg"


@pytest.mark.slow
def test_programs_are_told_of_an_error_as_the_last_event(tiny_bundle: Path, tiny_cohort: Path, tmp_path: Path):
    result = run("train", tmp_path / "nowhere", "--out", tmp_path / "run", "--json-events", code=2)
    (event,) = events_of(result)
    assert event["event"] == "error"
    assert "nowhere does not exist" in event["message"]

    image = tiny_cohort / "images" / "patient0.nii.gz"
    result = run(
        "segment", tiny_bundle, tmp_path / "gone.nii.gz", image, "--out", tmp_path / "out", "--json-events", code=2
    )
    first, *_, last = events_of(result)
    assert first["event"] == "error"
    assert "gone.nii.gz" in first["message"]
    assert last["event"] == "error"
    assert (tmp_path / "out" / "patient0.nii.gz").is_file()

    result = run("segment", tiny_bundle, image, "--out", tmp_path / "out", "--json-events")
    *within, progress, done = [event["event"] for event in events_of(result)]
    assert (progress, done) == ("progress", "done")
    assert set(within) == {"case-progress"}


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_run_whose_reader_is_gone_stops_and_keeps_its_state(tiny_cohort: Path, tmp_path: Path):
    """As where Slicer was killed: nothing goes on unseen, nothing is lost."""
    out = tmp_path / "run"
    arguments = ["train", tiny_cohort, "--out", out, "--steps", "400", *TRAIN, "--method", "full", "--json-events"]
    with subprocess.Popen([*COMMAND, *map(str, arguments)], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        next(line for line in child.stdout if json.loads(line).get("step") == 2)
        child.stdout.close()
        assert child.wait(60) == 130
    done = [json.loads(line).get("step", 0) for line in (out / "events.jsonl").read_text().splitlines()]
    assert 2 <= max(done) < 400
    assert list((out / "checkpoints").glob(f"step{max(done)}.*.pt"))


@pytest.mark.slow
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
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"good.nii.gz", "good.nrrd", "labels.json"}
    written = nibabel.load(tmp_path / "out" / "good.nii.gz")
    np.testing.assert_allclose(written.affine, affine, atol=1e-6)
    assert written.shape == image.shape
    assert np.asarray(written.dataobj).dtype == np.uint8


@pytest.fixture(scope="module")
def dicom_patient(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a synthetic CT series."""
    from HQCSegmentLib.demo.cohort import write_patient
    from HQCSegmentLib.demo.hospital import HOSPITAL_A

    folder = tmp_path_factory.mktemp("patients") / "A07"
    write_patient(folder, seed=7, hospital=HOSPITAL_A, alias="A07")
    return folder


@pytest.mark.slow
def test_a_dicom_patient_is_contoured_in_every_format(dicom_patient: Path, tiny, tmp_path: Path):
    import pydicom

    from HQCSegmentLib.imaging.dicom_series import read_series

    # Soft tissue and bone by their Hounsfield units: contours of a patient without training.
    tiny.write_threshold_bundle(
        tmp_path / "model", names=("Body", "Bone"), above=(-300, 250), floor=-1000, spacing=(4, 4, 4)
    )
    formats = [word for kind in ("nifti", "nrrd", "seg", "rtstruct") for word in ("--format", kind)]
    run("segment", tmp_path / "model", dicom_patient / "CT", "--out", tmp_path / "out", *formats)
    name = "CT"
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        f"{name}.nii.gz", f"{name}.nrrd", f"{name}.seg.dcm", f"{name}.rtstruct.dcm",
        "labels.json",
    }  # fmt: skip
    series = read_series(dicom_patient / "CT", name="patient")
    written = nibabel.load(tmp_path / "out" / f"{name}.nii.gz")
    assert written.shape == series.array.shape
    np.testing.assert_allclose(written.affine, series.affine, atol=1e-4)
    body = np.asarray(written.dataobj) > 0
    assert body.any()
    slice_of_ct = pydicom.dcmread(next((dicom_patient / "CT").glob("*.dcm")), stop_before_pixels=True)
    for kind, modality in (("seg", "SEG"), ("rtstruct", "RTSTRUCT")):
        dataset = pydicom.dcmread(tmp_path / "out" / f"{name}.{kind}.dcm")
        assert dataset.Modality == modality
        assert dataset.PatientID == slice_of_ct.PatientID
        assert dataset.StudyInstanceUID == slice_of_ct.StudyInstanceUID
    assert [roi.ROIName for roi in dataset.StructureSetROISequence] == ["Body", "Bone"]


@pytest.fixture
def model_without_training(tiny, tmp_path: Path) -> Path:
    return tiny.write_threshold_bundle(
        tmp_path / "model", names=("Ball", "Cube"), above=(30, 90), floor=-100, spacing=(1, 1, 2)
    )


@pytest.mark.parametrize("kind", ["rtstruct", "seg"])
def test_contours_for_planning_need_the_dicom_images_and_nothing_is_computed_without(
    main_in_process, monkeypatch, capsys, model_without_training, tiny_cohort: Path, tmp_path: Path, kind: str
):
    def must_not_run(*_arguments, **_options):
        raise AssertionError

    monkeypatch.setattr("HQCSegmentLib.inference.segment", must_not_run)
    image = tiny_cohort / "images" / "patient0.nii.gz"
    code = main_in_process(
        "segment", model_without_training, image, "--out", tmp_path / "out", "--format", "nifti", "--format", kind
    )
    error = capsys.readouterr().err
    assert code == 2
    assert len(error.splitlines()) == 1
    assert all(part in error for part in (str(image), "DICOM folder", "another format"))
    assert not (tmp_path / "out").exists()


@pytest.fixture
def two_images(tiny_cohort: Path) -> list[Path]:
    return [tiny_cohort / "images" / f"patient{number}.nii.gz" for number in (0, 1)]


@pytest.mark.parametrize("as_json", [False, True])
def test_an_unexpected_failure_stops_neither_the_others_nor_is_it_a_traceback(
    main_in_process, monkeypatch, capsys, model_without_training, two_images, tmp_path: Path, as_json: bool
):
    import HQCSegmentLib.inference

    segment = HQCSegmentLib.inference.segment

    def fail_with_the_first(model, image, **options):
        if image.name == "patient0":
            raise ValueError("first\nsecond")
        return segment(model, image, **options)

    monkeypatch.setattr("HQCSegmentLib.inference.segment", fail_with_the_first)
    words = ["segment", model_without_training, *two_images, tmp_path / "gone.nii.gz", "--out", tmp_path / "out"]
    # One of the failures is no wrong input.
    assert main_in_process(*words, *(["--json-events"] if as_json else [])) == 1
    printed = capsys.readouterr()
    unexpected, wrong = printed.err.strip().splitlines()
    assert all(part in unexpected for part in ("patient0", "ValueError", "first second", "--debug"))
    assert "gone.nii.gz does not exist" in wrong
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"labels.json", "patient1.nii.gz"}
    if as_json:
        events = [json.loads(line) for line in printed.out.splitlines()]
        events = [event for event in events if event["event"] != "case-progress"]
        assert [event.get("case") for event in events] == ["patient0", "patient1", "gone.nii.gz", None]
        assert "2 of 3" in events[-1]["message"]


def test_a_result_says_why_it_may_be_wrong(main_in_process, capsys, model_without_training, two_images, tmp_path: Path):
    words = ["segment", model_without_training, *two_images, "--out", tmp_path / "out"]
    assert main_in_process(*words, "--json-events", "--best") == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    told = [event for event in events if event["event"] == "progress"]
    # The model was trained on CT, and the images are none.
    assert all("rescale intercept" in " ".join(event["warnings"]) for event in told)
    assert all(set(event["confidence"]) == {"Ball", "Cube"} for event in told)
    assert main_in_process(*words, "--fast", "--ensemble", model_without_training) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert printed.count("Note: The image's lowest value") == 2


def test_fast_and_best_at_once_are_refused(model_without_training, two_images, tmp_path: Path):
    error = refused("segment", model_without_training, *two_images, "--out", tmp_path / "out", "--fast", "--best")
    assert "--fast and --best exclude each other" in error


def test_an_unknown_engine_is_refused(model_without_training, two_images, tmp_path: Path):
    error = refused("segment", model_without_training, *two_images, "--out", tmp_path / "out", "--engine", "abacus")
    assert all(word in error for word in ("--engine", "abacus", "onnx", "openvino"))


def test_debug_shows_where_an_input_failed(
    main_in_process, monkeypatch, capsys, model_without_training, two_images, tmp_path: Path
):
    def fail(*_arguments, **_options):
        raise ValueError

    monkeypatch.setattr("HQCSegmentLib.inference.segment", fail)
    assert main_in_process("segment", model_without_training, *two_images, "--out", tmp_path / "out", "--debug") == 1
    error = capsys.readouterr().err
    assert error.count("Traceback") == 2
    assert error.count("in fail") == 2


def test_an_unknown_device_is_refused_once(tiny_bundle: Path, tiny_cohort: Path, tmp_path: Path):
    images = sorted((tiny_cohort / "images").iterdir())
    error = refused("segment", tiny_bundle, *images, "--out", tmp_path / "out", "--device", "abacus")
    assert all(word in error for word in ("abacus", "cpu", "cuda", "mps"))


def test_two_inputs_of_one_name_are_refused(tiny_run: Path, tmp_path: Path):
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.nii.gz").touch()
    error = refused(
        "segment", tiny_run / "bundle", tmp_path / "first" / "a.nii.gz", tmp_path / "second" / "a.nii.gz",
        "--out", tmp_path / "o",
    )  # fmt: skip
    assert "'a'" in error
    assert not (tmp_path / "o").exists()


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


@pytest.mark.parametrize("missing", ["predictions", "references"])
def test_evaluate_names_what_is_missing(tiny_cohort: Path, tmp_path: Path, missing: str):
    folders = {"predictions": tiny_cohort / "labels", "references": tiny_cohort / "labels"}
    folders[missing] = tmp_path / "nowhere"
    options = [word for kind, folder in folders.items() for word in (f"--{kind}", folder)]
    assert "nowhere does not exist" in refused("evaluate", *options, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_the_demo_shows_everything(tmp_path: Path):
    out = tmp_path / "demo"
    result = run("demo", "--out", out, "--base-steps", "25", "--steps", "2", "--device", "cpu")
    assert "Trained numbers" in result.stdout
    assert "Research use only" in result.stdout
    results = {path.name for path in (out / "results").iterdir()}
    assert results - {"labels.json"} == {
        f"B{number:02d}{suffix}" for number in (1, 2, 3) for suffix in (".nii.gz", ".rtstruct.dcm", ".seg.dcm")
    }
    for run_folder, steps in (("base", 25), ("run", 2)):
        assert hqc.Bundle.open(out / run_folder / "bundle").manifest.training.steps == steps
    report = (out / "report.html").read_text()
    assert "Research use only" in report
    assert "data:image" in report
    summary = json.loads((out / "demo.json").read_text())
    assert set(summary["dice_after"]) == set(summary["dice_before"])
    assert summary["trainable_numbers"] < summary["network_numbers"]


def test_the_demo_asks_for_what_it_needs_before_it_makes_anything(tmp_path: Path):
    error = refused("demo", "--out", tmp_path / "demo", "--device", "abacus")
    assert all(word in error for word in ("abacus", "cpu", "cuda", "mps"))
    assert not (tmp_path / "demo").exists()


def test_the_demo_does_not_touch_somebody_elses_folder(tmp_path: Path):
    (tmp_path / "thesis.txt").write_text("years of work")
    assert "something else" in run("demo", "--out", tmp_path, code=2).stderr
    assert (tmp_path / "thesis.txt").read_text() == "years of work"
