"""What the module tests of itself inside Slicer, in seconds and on made-up voxels."""

from __future__ import annotations

import logging

import numpy as np
import slicer
import slicer.util

from HQCSegmentSlicer.dependencies import missing_packages
from HQCSegmentSlicer.resources import REQUIREMENTS


class SelfTest:
    """A label map on an oblique volume is shown and read back voxel by voxel, and the parameters survive."""

    def run(self) -> None:
        """Run all tests.

        Raises:
            AssertionError: if one fails.
        """
        self.parameters_are_kept()
        missing = missing_packages(REQUIREMENTS)
        if "pydantic" in missing:
            logging.warning("HQCSegment: not all of the self test was run, since packages are missing: %s", missing)
            return
        self.segmentation_keeps_its_voxels()

    def parameters_are_kept(self) -> None:
        """What the user chose is found again in the scene."""
        from HQCSegmentSlicer.parameters import HQCSegmentParameterNode, Quality

        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode")
        parameters = HQCSegmentParameterNode(node)
        parameters.quality = Quality.best
        parameters.leftOutStructures = ["GTV"]
        again = HQCSegmentParameterNode(node)
        assert (again.quality, list(again.leftOutStructures)) == (Quality.best, ["GTV"])
        slicer.mrmlScene.RemoveNode(node)

    def segmentation_keeps_its_voxels(self) -> None:
        """Import and export of an oblique label map."""
        from HQCSegmentLib.imaging import Segmentation, Structure
        from HQCSegmentSlicer.segment_masks import label_map_from_segmentation_node
        from HQCSegmentSlicer.segmentations import show_segmentation
        from HQCSegmentSlicer.volumes import image_from_volume_node

        cosine, sine = np.cos(0.3), np.sin(0.3)
        affine = np.array([[cosine, -2 * sine, 0, 5], [sine, 2 * cosine, 0, -7], [0, 0, 3, 1], [0, 0, 0, 1]])
        volume_node = slicer.util.addVolumeFromArray(np.zeros((6, 5, 4), np.int16), affine)
        label_map = np.zeros((4, 5, 6), np.uint8)
        label_map[1:3, 2:4, 1:5] = 1
        assert image_from_volume_node(volume_node).array.shape == label_map.shape
        structures = (Structure(value=1, name="Parotid_L"),)
        segmentation_node = show_segmentation(Segmentation(label_map, affine, structures), volume_node=volume_node)
        shown, names = label_map_from_segmentation_node(segmentation_node, volume_node)
        assert names == {1: "Parotid_L"}
        np.testing.assert_array_equal(shown, label_map)
