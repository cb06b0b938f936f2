"""From a volume in the scene to named segments, with the real command as the child."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer.util
import tiny
import vtk
from HQCSegmentSlicer.logic import Logic
from HQCSegmentSlicer.segment_masks import label_map_from_segmentation_node
from HQCSegmentSlicer.volumes import image_from_volume_node

import HQCSegmentLib as hqc
from HQCSegmentLib.errors import InputError, Interrupted

pytestmark = pytest.mark.slow

AFFINE = np.array([[0, 1.0, 0, 5], [-1.0, 0, 0, 7], [0, 0, 2.0, -9], [0, 0, 0, 1]])
LEFT_HANDED = AFFINE @ np.diag([1, 1, -1, 1])
COSINE, SINE = np.cos(0.3), np.sin(0.3)
OBLIQUE = np.array([[COSINE, -SINE, 0, 0], [SINE, COSINE, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]) @ AFFINE
COLORS = np.array([0.0, 60.0, 120.0])


def patient(seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    label = np.zeros((24, 24, 24), np.uint8)
    label[4:11, 5:12, 6:13] = 1
    label[14:20, 13:19, 12:18] = 2
    return (COLORS[label] + random.normal(0, 8, label.shape)).astype(np.float32), label


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> hqc.Bundle:
    """A model of two structures that needs no training."""
    folder = tmp_path_factory.mktemp("model") / "bundle"
    tiny.write_threshold_bundle(folder, names=("Liver", "GTV"), above=(30, 90), floor=-1000, spacing=(1.0, 1.0, 2.0))
    return hqc.Bundle.open(folder)


def add_volume(affine: np.ndarray = AFFINE) -> slicer.vtkMRMLScalarVolumeNode:
    """An unseen patient in the scene."""
    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy(affine.ravel())
    return slicer.util.addVolumeFromArray(np.ascontiguousarray(patient(7)[0].transpose(2, 1, 0)), matrix, "planning CT")


def segmentation_nodes() -> int:
    return slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode")


def assert_segmented(segmentation_node: Any, node: Any, bundle: hqc.Bundle) -> None:
    """Voxel for voxel what the model makes of the volume in Python."""
    array, names = label_map_from_segmentation_node(segmentation_node, node)
    expected = bundle.segment(image_from_volume_node(node))
    assert set(np.unique(expected.array)) == {0, 1, 2}
    assert list(names.values()) == ["Liver", "GTV"]
    for value, name in names.items():
        assert np.array_equal(array == value, expected.mask(name))


class Polling:
    """In place of qt.QTimer, which needs Slicer's own event loop."""

    def __init__(self, callback: Callable[[], Any]) -> None:
        self.callback, self.stopped = callback, False

    def stop(self) -> None:
        self.stopped = True

    def run_until_stopped(self) -> None:
        end = time.monotonic() + 120
        while not self.stopped and time.monotonic() < end:
            self.callback()
            time.sleep(0.02)
        assert self.stopped


@pytest.fixture
def polling() -> list[Polling]:
    return []


@pytest.fixture
def background(polling: list[Polling]) -> Logic:
    """Logic for calls that do not wait."""

    def start(callback: Callable[[], Any]) -> Polling:
        polling.append(Polling(callback))
        return polling[-1]

    return Logic(start_timer=start)


@pytest.mark.parametrize("affine", [LEFT_HANDED, OBLIQUE], ids=["left-handed", "oblique"])
def test_a_volume_becomes_named_colored_segments(application, bundle: hqc.Bundle, affine: np.ndarray):
    node = add_volume(affine)

    segmentation_node = Logic().segment(node, str(bundle.path), waitForCompletion=True)

    segmentation = segmentation_node.GetSegmentation()
    segments = [segmentation.GetNthSegment(index) for index in range(segmentation.GetNumberOfSegments())]
    assert [segment.GetName() for segment in segments] == ["Liver", "GTV"]
    for segment, structure in zip(segments, bundle.manifest.labels, strict=True):
        np.testing.assert_allclose(np.array(segment.GetColor()) * 255, structure.color, atol=0.5)
    assert_segmented(segmentation_node, node, bundle)


def test_a_cancelled_run_leaves_the_scene_as_it_was(application, bundle, background, polling):
    failures: list[Exception] = []
    background.onFailed.connect(failures.append)
    background.segment(add_volume(), bundle.path, waitForCompletion=False)
    background.cancel()
    polling[0].run_until_stopped()
    assert [type(error) for error in failures] == [Interrupted]
    assert segmentation_nodes() == 0
    assert not background.running


def test_a_changed_model_is_refused_in_the_words_of_the_command(application, bundle: hqc.Bundle, tmp_path: Path):
    changed = Path(shutil.copytree(bundle.path, tmp_path / "changed"))
    content = bytearray((changed / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (changed / "model.safetensors").write_bytes(content)
    node = add_volume()
    with pytest.raises(InputError) as refused:
        Logic().segment(node, changed)
    with pytest.raises(InputError) as expected:
        hqc.Bundle.open(changed)
    assert str(refused.value) == str(expected.value)
    assert "SHA-256" in str(refused.value)
    assert segmentation_nodes() == 0


def test_a_volume_that_no_model_can_use_is_refused(application, bundle: hqc.Bundle):
    node = slicer.util.addVolumeFromArray(np.zeros((8, 9, 10), np.int16), np.eye(4), "empty")
    with pytest.raises(InputError, match="the same value everywhere"):
        Logic().segment(node, bundle.path)
    assert segmentation_nodes() == 0
