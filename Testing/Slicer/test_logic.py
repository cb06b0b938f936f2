"""The logic with a stand-in child that thresholds instead of predicting."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
import slicer.util
from HQCSegmentSlicer.logic import Logic
from HQCSegmentSlicer.models import structures_of_bundle
from HQCSegmentSlicer.segment_masks import label_map_from_segmentation_node

from HQCSegmentLib.errors import InputError, Interrupted, WorkError

STAND_IN = str(Path(__file__).with_name("child_stand_in.py"))
LABELS = [
    {"value": 2, "name": "Lung_L", "color": [10, 20, 30]},
    {"value": 1, "name": "Bone", "color": [250, 250, 200]},
]
LEFT_HANDED = np.array([[0.8, 0, 0, 5], [0, -0.8, 0, 7], [0, 0, 2.5, -9], [0, 0, 0, 1.0]])


class TimerStandIn:
    """Stand-in for qt.QTimer: calls back when the test says so."""

    def __init__(self, callback) -> None:
        self.callback, self.stopped = callback, False

    def stop(self) -> None:
        self.stopped = True

    def run_until_stopped(self) -> None:
        end = time.monotonic() + 30
        while not self.stopped and time.monotonic() < end:
            self.callback()
            time.sleep(0.01)
        assert self.stopped


@pytest.fixture
def timers() -> list[TimerStandIn]:
    return []


@pytest.fixture
def logic(timers, tmp_path, monkeypatch) -> Logic:
    """Logic whose temporary folders are under tmp_path / "temporary"."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))

    def start_timer(callback):
        timers.append(TimerStandIn(callback))
        return timers[-1]

    return Logic(make_command=lambda *words: [sys.executable, STAND_IN, *map(str, words)], start_timer=start_timer)


@pytest.fixture
def bundle(tmp_path) -> Path:
    folder = tmp_path / "bundle"
    folder.mkdir()
    (folder / "bundle.json").write_text(json.dumps({"labels": LABELS}), encoding="utf-8")
    return folder


@pytest.fixture
def volume(application):
    array = np.random.default_rng(3).integers(-400, 400, (6, 8, 9)).astype(np.int16)
    return slicer.util.addVolumeFromArray(array, LEFT_HANDED, "CT of a patient")


def assert_segmented(node, volume) -> None:
    array, names = label_map_from_segmentation_node(node, volume)
    values = {name: value for value, name in names.items()}
    voxels = slicer.util.arrayFromVolume(volume).transpose(2, 1, 0)
    np.testing.assert_array_equal(array == values["Bone"], voxels > 100)
    np.testing.assert_array_equal(array == values["Lung_L"], voxels < -100)


def nothing_left(tmp_path) -> bool:
    return not list((tmp_path / "temporary").iterdir())


def test_segment_and_wait(logic, volume, bundle, tmp_path):
    events = []
    logic.onEvent.connect(events.append)
    node = logic.segment(volume, bundle)
    assert_segmented(node, volume)
    assert [event["event"] for event in events] == ["progress"] * 3 + ["done"]
    assert nothing_left(tmp_path)
    assert not logic.running
    again = logic.segment(volume, str(bundle), node)
    assert again is node
    assert node.GetSegmentation().GetNumberOfSegments() == 2


def test_segment_in_the_background(logic, volume, bundle, tmp_path, timers):
    results, failures = [], []
    logic.onFinished.connect(results.append)
    logic.onFailed.connect(failures.append)
    assert logic.segment(volume, bundle, waitForCompletion=False) is None
    assert logic.running
    with pytest.raises(WorkError, match="still at work"):
        logic.segment(volume, bundle)
    timers[0].run_until_stopped()
    assert not failures
    assert_segmented(results[0], volume)
    assert nothing_left(tmp_path)
    assert not logic.running


def test_cancel(logic, volume, bundle, tmp_path, timers):
    (bundle / "slow").touch()
    failures = []
    logic.onFailed.connect(failures.append)
    logic.onEvent.connect(lambda event: logic.cancel())
    logic.segment(volume, bundle, waitForCompletion=False)
    timers[0].run_until_stopped()
    assert isinstance(failures[0], Interrupted)
    assert nothing_left(tmp_path)
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 0


def test_close_ends_the_child(logic, volume, bundle, tmp_path, timers):
    (bundle / "slow").touch()
    logic.segment(volume, bundle, waitForCompletion=False)
    logic.close()
    assert timers[0].stopped
    assert not logic.running
    assert nothing_left(tmp_path)


def test_error_of_the_child_is_the_error(logic, volume, bundle, tmp_path):
    (bundle / "broken").touch()
    with pytest.raises(InputError, match=r"^The weights do not fit the network\.$"):
        logic.segment(volume, bundle)
    assert nothing_left(tmp_path)
    assert not logic.running


def test_child_that_says_nothing(logic, volume, bundle, tmp_path):
    logic._make_command = lambda *words: [sys.executable, STAND_IN, "unknown"]
    with pytest.raises(WorkError, match="code 99"):
        logic.segment(volume, bundle)
    logic._make_command = lambda *words: [sys.executable, STAND_IN, "environment"]
    with pytest.raises(WorkError, match="without a segmentation"):
        logic.segment(volume, bundle)
    logic._make_command = lambda *words: ["no-such-python"]
    with pytest.raises(WorkError, match="could not be started"):
        logic.segment(volume, bundle)
    assert nothing_left(tmp_path)
    assert not logic.running


def test_volume_removed_meanwhile(logic, volume, bundle, tmp_path, timers):
    failures = []
    logic.onFailed.connect(failures.append)
    logic.segment(volume, bundle, waitForCompletion=False)
    slicer.mrmlScene.RemoveNode(volume)
    timers[0].run_until_stopped()
    assert "was removed" in str(failures[0])
    assert nothing_left(tmp_path)


def test_structures_of_bundle(bundle, tmp_path):
    assert [structure.name for structure in structures_of_bundle(bundle)] == ["Bone", "Lung_L"]
    with pytest.raises(InputError, match="is not a bundle"):
        structures_of_bundle(tmp_path)
    for text in (
        "no json",
        "[]",
        '{"labels": []}',
        '{"labels": [{"value": 0, "name": "x"}]}',
        '{"labels": 3}',
    ):
        (bundle / "bundle.json").write_text(text, encoding="utf-8")
        with pytest.raises(InputError, match="not a valid bundle"):
            structures_of_bundle(bundle)
