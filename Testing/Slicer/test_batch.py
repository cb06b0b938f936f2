"""Many patients without a window: real nodes and child processes of the stand-in command."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import slicer
from child_stand_in import make_bundle
from HQCSegmentSlicer import batch
from HQCSegmentSlicer.logic import Logic

from HQCSegmentLib.imaging import write_array

STAND_IN = str(Path(__file__).with_name("child_stand_in.py"))


@pytest.fixture
def run(application, tmp_path):
    """Runs the batch on the patients of `tmp_path / "in"`."""
    for name in ("A", "B"):
        array = np.random.default_rng(1).integers(-400, 400, (6, 5, 4)).astype(np.int16)
        write_array(tmp_path / "in" / f"{name}.nii.gz", array, np.eye(4))
    words = ["--input", tmp_path / "in", "--bundle", make_bundle(tmp_path / "bundle"), "--output", tmp_path / "out"]
    logic = Logic(make_command=lambda *command: [sys.executable, STAND_IN, *map(str, command)])

    def run() -> int:
        return batch.run(
            batch.arguments_of(["--no-splash", "--", *map(str, words)]),
            segment=logic.segment,
            load=application.load_volume,
            save=batch.save_segmentation,
            forget=lambda: slicer.mrmlScene.Clear(False),
        )

    return run


def log_of(folder: Path) -> list[tuple[str, str]]:
    return [(line["case"], line["state"]) for line in map(json.loads, (folder / batch.LOG).read_text().splitlines())]


def test_every_patient_gets_contours_and_a_line_in_the_log(run, application, tmp_path):
    assert run() == 0
    assert sorted(path.name for path in (tmp_path / "out").glob("*.nrrd")) == ["A.seg.nrrd", "B.seg.nrrd"]
    assert log_of(tmp_path / "out") == [("A", "done"), ("B", "done")]
    storage = slicer.vtkMRMLSegmentationStorageNode()
    storage.SetFileName(str(tmp_path / "out" / "A.seg.nrrd"))
    node = application.scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    assert storage.ReadData(node)
    assert node.GetSegmentation().GetNthSegment(0).GetName() == "Bone"


def test_a_failed_patient_does_not_stop_the_others_and_is_done_again_alone(run, tmp_path):
    (tmp_path / "in" / "A.nii.gz").write_bytes(b"no image")
    assert run() == 1
    assert log_of(tmp_path / "out") == [("A", "failed"), ("B", "done")]
    write_array(tmp_path / "in" / "A.nii.gz", np.zeros((6, 5, 4), np.int16), np.eye(4))
    assert run() == 0
    assert log_of(tmp_path / "out")[2:] == [("A", "done")]


def test_nothing_to_do_is_wrong_usage(run, tmp_path, capsys):
    for path in (tmp_path / "in").iterdir():
        path.unlink()
    assert run() == 2
    assert "holds no image files" in capsys.readouterr().err
