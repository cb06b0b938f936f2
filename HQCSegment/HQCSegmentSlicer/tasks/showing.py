"""Small questions to the library that take too long for the window: a patient to look at, the devices."""

from __future__ import annotations

import json
from pathlib import Path

import slicer
import slicer.util
from slicer.i18n import tr as _

from HQCSegmentLib.errors import WorkError
from HQCSegmentLib.imaging import Image, Segmentation, Structure, read_image, read_label_map
from HQCSegmentSlicer.segmentations import show_segmentation
from HQCSegmentSlicer.tasks.task import Outcome, Task, private_folder
from HQCSegmentSlicer.volumes import add_volume

COMPUTER = ("processor", "memory", "device", "training")
"""Subjects of the doctor that are shown also where all is good."""

SOMETHING_MISSING = 1
"""Exit code of the doctor where a package is missing; it says all it knows all the same."""


def show_case_task(cohort: Path, case: str) -> Task:
    """Task whose result is the pair of nodes (volume, segmentation) of one patient of a cohort."""
    with private_folder() as folder:
        out = folder / "case"

    def take_result(outcome: Outcome) -> tuple[Image, Segmentation]:
        try:
            listed = json.loads((out / "structures.json").read_text(encoding="utf-8"))
            image, labels = read_image(out / "image.nii", name=case), read_label_map(out / "label.nii", name=case)
        except OSError as error:
            raise WorkError(_("{case} could not be shown.").format(case=case)) from error
        structures = tuple(Structure.model_validate(one) for one in listed)
        return image, Segmentation(labels.array, image.affine, structures, name=case)

    def show(
        found: tuple[Image, Segmentation],
    ) -> tuple[slicer.vtkMRMLScalarVolumeNode, slicer.vtkMRMLSegmentationNode]:
        image, segmentation = found
        volume_node = add_volume(image, name=case)
        return volume_node, show_segmentation(segmentation, volume_node=volume_node)

    return Task(("extract", cohort, case, "--out", out), take_result, folder, show=show)


def devices_task() -> Task:
    """Task whose result is a text: what was found about this computer, and what to do, one line each."""

    def take_result(outcome: Outcome) -> str:
        lines = [
            f"{one['subject']}: {one['found']}" + (f" ({one['advice']})" if one["advice"] else "")
            for one in outcome.done.get("findings", ())
            if one["state"] != "good" or one["subject"].startswith(COMPUTER)
        ]
        return "\n".join(lines)

    return Task(("doctor",), take_result, done_codes=frozenset({0, SOMETHING_MISSING}))


def synthetic_patients_task(out: Path) -> Task:
    """Task whose result is the folder with the synthetic hospitals of the demo; an earlier one is replaced."""

    def take_result(outcome: Outcome) -> Path:
        return out

    return Task(("demo", "--patients-only", "--out", out), take_result)
