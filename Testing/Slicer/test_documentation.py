"""Docs/slicer.md says what the program says, and the tutorial what the panel shows."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import slicer
import slicer.util
import tiny
from child_stand_in import make_bundle
from HQCSegmentSlicer import dependencies
from HQCSegmentSlicer.dicom_source import series_of_volume
from HQCSegmentSlicer.logic import Logic
from HQCSegmentSlicer.models import structures_of_bundle
from HQCSegmentSlicer.segment_masks import masks_from_segmentation_node
from HQCSegmentSlicer.steps import finish
from HQCSegmentSlicer.volumes import image_from_volume_node

import HQCSegmentLib as hqc
from HQCSegmentLib.cli.train_options import TrainOptions
from HQCSegmentLib.demo.cohort import write_patient
from HQCSegmentLib.demo.hospital import HOSPITAL_B
from HQCSegmentLib.imaging import read_image

ROOT = Path(__file__).resolve().parents[2]
STAND_IN = str(Path(__file__).with_name("child_stand_in.py"))
PAGE = (ROOT / "Docs" / "slicer.md").read_text(encoding="utf-8")
MESSAGES = re.findall(r"^\| `(.+?)` \|", PAGE.partition("## Troubleshooting")[2], flags=re.MULTILINE)


def volume(name: str = "CT") -> slicer.vtkMRMLScalarVolumeNode:
    return slicer.util.addVolumeFromArray(np.zeros((4, 5, 6), np.int16), name=name)


def segmentation(*names: str) -> slicer.vtkMRMLSegmentationNode:
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    for number, name in enumerate(names):
        node.GetSegmentation().AddEmptySegment(str(number), name)
    return node


def no_torch(folder: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(dependencies, "_is_there", lambda requirement: False)
    patch.setitem(sys.modules, "PyTorchUtils", None)
    dependencies.ensure_dependencies(folder / "requirements.txt")


def declined_torch(folder: Path, patch: pytest.MonkeyPatch) -> None:
    class Declined:
        def installTorch(self, **_options: object) -> None:
            return None

    patch.setattr(dependencies, "_is_there", lambda requirement: False)
    patch.setitem(sys.modules, "PyTorchUtils", type(sys)("PyTorchUtils"))
    sys.modules["PyTorchUtils"].PyTorchUtilsLogic = Declined
    dependencies.ensure_dependencies(folder / "requirements.txt")


def two_steps(folder: Path, patch: pytest.MonkeyPatch) -> None:
    sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
    logic = Logic(make_command=lambda *words: sleep, start_timer=lambda turn: SimpleNamespace(stop=lambda: None))
    logic.devices(waitForCompletion=False)
    try:
        logic.devices()
    finally:
        logic.close()


def no_python(folder: Path, patch: pytest.MonkeyPatch) -> None:
    Logic(make_command=lambda *words: [str(folder / "no_such_program")]).devices()


def killed(folder: Path, patch: pytest.MonkeyPatch) -> None:
    code = "import os, signal; print('step 3', flush=True); os.kill(os.getpid(), signal.SIGTERM)"
    Logic(make_command=lambda *words: [sys.executable, "-c", code]).devices()


def non_linear(folder: Path, patch: pytest.MonkeyPatch) -> None:
    node = volume()
    node.SetAndObserveTransformNodeID(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLGridTransformNode").GetID())
    image_from_volume_node(node)


def changed_weights(folder: Path, patch: pytest.MonkeyPatch) -> None:
    bundle = tiny.write_threshold_bundle(folder / "b", names=("A", "B"), above=(1, 2), floor=0, spacing=(1, 1, 1))
    (bundle / "model.safetensors").write_bytes(b"other")
    hqc.Bundle.open(bundle)


def nifti_2(folder: Path, patch: pytest.MonkeyPatch) -> None:
    (folder / "p.nii").write_bytes((540).to_bytes(4, "little") + b"n+2\0\r\n\x1a\n" + bytes(600))
    read_image(folder / "p.nii")


def sequence(folder: Path, patch: pytest.MonkeyPatch) -> None:
    image_from_volume_node(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceNode", "4D CT"))


def unequal_names(folder: Path, patch: pytest.MonkeyPatch) -> None:
    Logic().evaluateSegmentation(segmentation("Liver"), segmentation("Leber"), volume(), folder)


def other_series(folder: Path, patch: pytest.MonkeyPatch) -> None:
    write_patient(folder / "patient", seed=1, hospital=HOSPITAL_B, alias="B01")
    logic = Logic(make_command=lambda *words: [sys.executable, STAND_IN, *map(str, words)])
    series = folder / "patient" / "CT"
    options = {"structureSet": folder / "out.dcm", "seriesFolder": series, "options": ["--contours", "label"]}
    logic.segment(volume(), make_bundle(folder / "bundle"), **options)


SITUATIONS: dict[str, Callable[[Path, pytest.MonkeyPatch], object]] = {
    "Install the PyTorch extension": no_torch,
    "PyTorch is needed": declined_torch,
    "HQCSegment is still at work": two_steps,
    "The Python of Slicer": no_python,
    "The work stopped": killed,
    "{path} holds no cohort": lambda folder, patch: hqc.Cohort.open(folder),
    "{name} is a volume sequence": sequence,
    "{name} is under a non-linear": non_linear,
    "{folder} is not a bundle": lambda folder, patch: structures_of_bundle(folder),
    "{path} is not the file that": changed_weights,
    "The original DICOM series": lambda folder, patch: finish(series_of_volume(volume(), folder / "series")),
    "The segmentation does not lie": other_series,
    "{one} and {other}": unequal_names,
    "Two segments of": lambda folder, patch: masks_from_segmentation_node(segmentation("Liver", "Liver"), volume()),
    "{path} is a NIfTI-2 file": nifti_2,
}
"""What brings the program to say each message, by its beginning."""


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message[:30])
def test_the_program_says_every_message_of_the_troubleshooting(application, tmp_path, monkeypatch, message):
    begin = next(situation for beginning, situation in SITUATIONS.items() if message.startswith(beginning))
    with pytest.raises(Exception) as said:  # noqa: PT011 - the text is what counts
        begin(tmp_path, monkeypatch)
    pattern = "(.+: )?" + re.sub(r"\\\{\w+\\\}", ".+", re.escape(message))
    assert re.fullmatch(pattern, str(said.value), flags=re.DOTALL), str(said.value)


def test_every_situation_is_in_the_page():
    assert len(MESSAGES) == len(SITUATIONS)


SLICERS_OWN = {"Segmentation > HQCSegment", "Sample Data", "Data", "HQCSegmentSyntheticCohort"}


def test_the_tutorial_names_what_the_panel_shows():
    page = (ROOT / "Docs" / "tutorial.md").read_text(encoding="utf-8")
    named = {" ".join(name.split()) for name in re.findall(r"(?<![*\w])\*([A-Z0-9][^*]{2,40}?)\*(?![*\w])", page)}
    files = (ROOT / "HQCSegment" / "Resources" / "UI").glob("*.ui")
    texts = [text for file in files for text in re.findall("<string>(.+?)</string>", file.read_text("utf-8"))]
    shown = {" ".join(text.split()).rstrip(":") for text in texts}
    shown |= {field.title or name.replace("_", " ").capitalize() for name, field in TrainOptions.model_fields.items()}
    assert len(named) > 15
    assert named - SLICERS_OWN - shown == set()
