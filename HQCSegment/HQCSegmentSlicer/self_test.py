"""What the module tests of itself inside Slicer, in seconds and on a made-up patient."""

from __future__ import annotations

import logging

import numpy as np
import slicer
import slicer.util

from HQCSegmentSlicer.dependencies import missing_packages
from HQCSegmentSlicer.resources import REQUIREMENTS


class SelfTest:
    """The panel opens, the parameters survive, voxels go into the scene and out, and a child process answers."""

    def run(self) -> None:
        """Run all tests; those that need packages only where these are installed.

        Raises:
            AssertionError: if one fails.
        """
        self.parameters_are_kept()
        self.panel_says_what_to_do()
        missing = missing_packages(REQUIREMENTS)
        if missing:
            logging.warning("HQCSegment: not all of the self test was run, since packages are missing: %s", missing)
            return
        self.segmentation_keeps_its_voxels()
        self.synthetic_patient_is_checked_by_a_child_process()

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

    def panel_says_what_to_do(self) -> None:
        """Every section of the module's own panel has a sentence in its line of status."""
        ui = slicer.util.getModuleWidget("HQCSegment").ui
        for section in ("setUp", "cohort", "fineTune", "segment", "deliver"):
            assert getattr(ui, f"{section}StatusLabel").text, section

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

    def synthetic_patient_is_checked_by_a_child_process(self) -> None:
        """A patient of the demo is handed to `hqcsegment check` as any patient of the scene is, and has no errors."""
        from HQCSegmentLib.demo.anatomy import STRUCTURE_NAMES
        from HQCSegmentLib.demo.phantom import HOSPITAL_B, phantom_patient
        from HQCSegmentLib.imaging import Image, Segmentation
        from HQCSegmentLib.planning.structure_names import structure_for
        from HQCSegmentSlicer.logic import Logic
        from HQCSegmentSlicer.segmentations import show_segmentation
        from HQCSegmentSlicer.volumes import add_volume

        patient = phantom_patient(seed=1, hospital=HOSPITAL_B)
        volume_node = add_volume(Image(patient.image, patient.affine), name="synthetic patient")
        structures = tuple(structure_for(name, value) for value, name in STRUCTURE_NAMES.items())
        segmentation = Segmentation(patient.labels, patient.affine, structures)
        segmentation_node = show_segmentation(segmentation, volume_node=volume_node)
        result = Logic().checkCohort([(volume_node, segmentation_node)])
        assert list(result.structures) == list(STRUCTURE_NAMES.values())
        assert result.count("error") == 0, result.findings
