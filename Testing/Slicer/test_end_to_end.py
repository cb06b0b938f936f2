"""From a volume in the scene to named segments, with the real command as the child."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import slicer.util
import vtk
from HQCSegmentSlicer.logic import Logic
from HQCSegmentSlicer.nodes import image_from_volume_node, label_map_from_segmentation_node

import HQCSegmentLib as hqc
from HQCSegmentLib.imaging import write_array

AFFINE = np.array([[0, 1.0, 0, 5], [-1.0, 0, 0, 7], [0, 0, 2.0, -9], [0, 0, 0, 1]])
COLORS = np.array([0.0, 60.0, 120.0])


def patient(seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    label = np.zeros((24, 24, 24), np.uint8)
    label[4:11, 5:12, 6:13] = 1
    label[14:20, 13:19, 12:18] = 2
    return (COLORS[label] + random.normal(0, 8, label.shape)).astype(np.float32), label


@pytest.fixture
def bundle(tmp_path: Path) -> hqc.Bundle:
    for seed in range(2):
        image, label = patient(seed)
        write_array(tmp_path / "cohort" / "images" / f"p{seed}.nii.gz", image, AFFINE)
        write_array(tmp_path / "cohort" / "labels" / f"p{seed}.nii.gz", label, AFFINE)
    (tmp_path / "cohort" / "labels.json").write_text('{"1": "Liver", "2": "GTV"}')
    config = hqc.TrainConfig(
        method="full", steps=40, learning_rate=5e-3, patch=(16, 16, 16), augment=False, held_out=0, device="cpu"
    )
    return hqc.finetune(hqc.Cohort.open(tmp_path / "cohort"), config=config, out=tmp_path / "run")


@pytest.mark.slow
def test_a_volume_becomes_named_colored_segments(application, bundle: hqc.Bundle):
    image, _ = patient(7)
    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy(AFFINE.ravel())
    node = slicer.util.addVolumeFromArray(np.ascontiguousarray(image.transpose(2, 1, 0)), matrix, "planning CT")

    segmentation_node = Logic().segment(node, str(bundle.path), waitForCompletion=True)

    segmentation = segmentation_node.GetSegmentation()
    segments = [segmentation.GetNthSegment(index) for index in range(segmentation.GetNumberOfSegments())]
    assert [segment.GetName() for segment in segments] == ["Liver", "GTV"]
    for segment, structure in zip(segments, bundle.manifest.labels, strict=True):
        np.testing.assert_allclose(np.array(segment.GetColor()) * 255, structure.color, atol=0.5)
    array, names = label_map_from_segmentation_node(segmentation_node, node)
    expected = bundle.segment(image_from_volume_node(node))
    assert expected.array.any()
    assert list(names.values()) == ["Liver", "GTV"]
    for value, name in names.items():
        assert np.array_equal(array == value, expected.mask(name))
