"""Goes through Docs/tutorial.md with the real panel and the real command, and makes its pictures.

    python Testing/Slicer/tutorial_pictures.py [--work DIR] [--out Resources/tutorial] [--quick]

The panel is laid out by stand-ins of Slicer's widgets; every picture of it says so. About ten minutes on two cores.
Where the folder of an earlier call is still there, its patients and models are used again.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "HQCSegment"), str(Path(__file__).resolve().parent)]

import slicer_application  # noqa: E402


@dataclass(frozen=True)
class Training:
    """How long is trained.

    Attributes:
        base_steps: Steps of the base model.
        steps: Steps of the fine-tuning.
    """

    base_steps: int = 260
    steps: int = 200


class Tutorial:
    """The way of Docs/tutorial.md, step by step.

    Args:
        work: Folder for patients and models.
        out: Folder for the pictures.
        training: How long is trained.
    """

    def __init__(self, work: Path, out: Path, training: Training) -> None:
        import panel_driver
        import slicer

        self.work, self.out, self.training = work, out, training
        slicer.app.cachePath = str(work)
        self.panel = panel_driver.Panel(importlib.import_module("HQCSegment"), stand_in=False)
        slicer.util.errorDisplay = self._fail
        self.patients = work / "HQCSegmentSyntheticCohort"
        self.reference: Any = None

    def run(self) -> None:
        """Do all steps."""
        before = (self.set_up, self.sample_data, self.base_model, self.cohort, self.fine_tune)
        for step in (*before, self.segment, self.deliver, self.contours):
            print(f"{step.__name__}: {step.__doc__}", flush=True)
            step()
        self.panel.close()

    def set_up(self) -> None:
        """Ask what this computer computes with."""
        self.panel.click("deviceButton")
        self._wait("setUp")
        self._picture("1-set-up", "setUp")

    def sample_data(self) -> None:
        """Make the synthetic patients, and show an unseen one of hospital B."""
        import slicer
        from HQCSegmentSlicer.sample_data import make_synthetic_cohort

        if self.patients.is_dir():
            self.panel.widget.logic.runner.showCase(self.patients / "hospital_B_unseen", "B01")
        else:
            make_synthetic_cohort(wait=True)
        self.reference = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSegmentationNode")
        self.reference.SetName("reference")

    def base_model(self) -> None:
        """Train a model at hospital A."""
        self._check("hospital_A")
        self._train("base", {"method": "full", "steps": str(self.training.base_steps), "patch": "64,64,32"})

    def cohort(self) -> None:
        """Check the patients of hospital B."""
        self._check("hospital_B")
        self._picture("2-cohort", "cohort")

    def fine_tune(self) -> None:
        """Fine-tune the base model at hospital B."""
        self.panel.type_path("baseLineEdit", self.work / "base" / "bundle")
        self._train("tuned", {"steps": str(self.training.steps), "patch": "64,64,32"})
        self._picture("3-fine-tune", "fineTune")

    def segment(self) -> None:
        """Contour the unseen patient."""
        import slicer

        self.panel.parameters.inputVolume = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode")
        self.panel.click("applyButton")
        self._wait("segment")
        self._picture("4-segment", "segment")

    def deliver(self) -> None:
        """Save the contours as RTSTRUCT, and compare them with the reference."""
        from PySide6 import QtGui

        QtGui.QDesktopServices.openUrl = lambda url: True
        self.panel.type_path("seriesFolderLineEdit", self.patients / "hospital_B_unseen" / "B01" / "CT")
        self.panel.type_path("deliverFolderLineEdit", self.work / "results")
        (self.work / "results").mkdir(exist_ok=True)
        self.panel.click("saveStructureSetButton")
        self._wait("deliver")
        self._picture("5-deliver", "deliver")
        self.panel.parameters.referenceSegmentation = self.reference
        self.panel.click("evaluateButton")
        self._wait("deliver")

    def contours(self) -> None:
        """Draw the contours as the report of an evaluation does."""
        from HQCSegmentSlicer.models import structures_of_bundle
        from HQCSegmentSlicer.segment_masks import label_map_from_segmentation_node
        from HQCSegmentSlicer.volumes import image_from_volume_node
        from panel_driver import save_small

        from HQCSegmentLib.evaluation.figures import contour_figure
        from HQCSegmentLib.evaluation.metrics import dice_per_structure
        from HQCSegmentLib.evaluation.pictures import png

        parameters = self.panel.parameters
        structures = structures_of_bundle(parameters.bundleFolder)
        values = {structure.name: structure.value for structure in structures}
        image = image_from_volume_node(parameters.inputVolume)
        found = []
        for node in (self.reference, parameters.outputSegmentation):
            array, names = label_map_from_segmentation_node(node, parameters.inputVolume)
            found.append(sum((array == value) * values[name] for value, name in names.items()))
        title = "Synthetic patient B01: result of the tutorial (solid: reference, dashed: result)"
        picture = contour_figure(image.array, image.affine, *found, structures, title=title)
        save_small(png(picture), self.out / "6-contours.png")
        for value, dice in dice_per_structure(found[1], found[0], {s.value: s.name for s in structures}).items():
            print(f"Dice {value}: {dice:.3f}")

    def _check(self, hospital: str) -> None:
        self.panel.type_path("cohortFolderLineEdit", self.patients / hospital)
        self.panel.click("checkButton")
        self._wait("cohort")

    def _train(self, run: str, settings: dict[str, str]) -> None:
        section = self.panel.widget.sections[2]
        section.on_settings(settings)
        self.panel.type_path("runFolderLineEdit", self.work / run)
        bundle = self.work / run / "bundle"
        if (bundle / "bundle.json").is_file():
            section.on_finished(bundle)
            return
        self.panel.click("startButton")
        self._wait("fineTune")

    def _wait(self, section: str) -> None:
        self.panel.until(lambda: not self.panel.widget.logic.running, seconds=3600)
        print(f"  {self.panel.status(section)}", flush=True)

    def _picture(self, name: str, section: str) -> None:
        self.panel.save_picture(self.out / f"{name}.png", section)

    def _fail(self, text: str) -> None:
        raise SystemExit(f"The tutorial does not work: {text}")


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "hqcsegment-tutorial")
    parser.add_argument("--out", type=Path, default=ROOT / "Resources" / "tutorial")
    parser.add_argument("--quick", action="store_true", help="hardly train, to see the panel only")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    options.out.mkdir(parents=True, exist_ok=True)
    slicer_application.install_widgets()
    slicer_application.install_stand_ins()
    slicer_application.ScriptedLoadableModuleWidgetStandIn.module_folder = ROOT / "HQCSegment"
    slicer_application.Application()
    training = Training(base_steps=2, steps=2) if options.quick else Training()
    Tutorial(options.work, options.out, training).run()


if __name__ == "__main__":
    main()
