"""Docs/slicer_api.md: every snippet and the batch command are run, in order, with the real command as the child."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pydicom
import pytest
import slicer
import tiny
from dicom_slices import write_slices

from HQCSegmentLib.imaging import write_array
from HQCSegmentLib.imaging.geometry import LPS_FROM_RAS

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "Docs" / "slicer_api.md").read_text(encoding="utf-8")
NAMES = ("Liver", "GTV")
AFFINE = np.diag([1.0, 1.0, 2.0, 1.0])
SETTINGS = ('"steps": 200', '"steps": 2, "method": "full"')
"""The only change to the page: the base model of this test has too few weights for circuits."""


@pytest.fixture
def folder(application, tmp_path, monkeypatch) -> Path:
    """What the page speaks of: a cohort, a base model, and patient7 as image file, segmentation and DICOM series."""
    tiny.write_tiny_cohort(tmp_path / "cohort", patients=2)
    (tmp_path / "cohort" / "labels.json").write_text('{"1": "Liver", "2": "GTV"}')
    tiny.write_threshold_bundle(
        tmp_path / "base_model", names=NAMES, above=(30, 90), floor=-1000, spacing=(1.0, 1.0, 2.0)
    )
    image, labels = tiny.tiny_patient(7)
    image = np.rint(image).astype(np.int16)
    write_array(tmp_path / "patient7.nii.gz", image, AFFINE)
    write_slices(tmp_path / "patient7_CT", image, LPS_FROM_RAS @ AFFINE)
    write_array(tmp_path / "patients" / "p7.nii.gz", image, AFFINE)
    write_reference(tmp_path / "patient7.seg.nrrd", labels)
    packaging = ModuleType("slicer.packaging")
    packaging.load_requirements = lambda path: path
    packaging.pip_ensure = lambda requirements, requester: None  # the packages are there
    monkeypatch.setitem(sys.modules, "slicer.packaging", packaging)
    monkeypatch.setattr(slicer, "packaging", packaging, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_reference(file: Path, labels: np.ndarray) -> None:
    """Write a label map as segmentation, with Slicer's own code."""
    from HQCSegmentSlicer.batch import save_segmentation
    from HQCSegmentSlicer.segmentations import show_segmentation
    from HQCSegmentSlicer.volumes import add_volume

    from HQCSegmentLib.imaging import Image, Segmentation, Structure

    structures = tuple(Structure(value=value, name=name) for value, name in enumerate(NAMES, start=1))
    volume_node = add_volume(Image(labels.astype(np.int16), AFFINE), name="reference")
    save_segmentation(show_segmentation(Segmentation(labels, AFFINE, structures), volume_node=volume_node), file)
    slicer.mrmlScene.Clear(False)


def run_event_loop_until_idle(logic: Any) -> None:
    """What Slicer does after a line of the console."""
    from PySide6 import QtWidgets

    end = time.monotonic() + 300
    while logic.running and time.monotonic() < end:
        QtWidgets.QApplication.processEvents()
        time.sleep(0.02)


def use_base_model(model: Path) -> Path:
    """Put the base model, which finds both structures, in the place of one that was trained for two steps."""
    assert (model / "bundle.json").is_file()
    shutil.rmtree(model)
    return Path(shutil.copytree("base_model", model))


def test_every_snippet_of_the_page_runs(folder, capsys):
    snippets = re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
    page: dict[str, Any] = {}
    assert sum(snippet.count(SETTINGS[0]) for snippet in snippets) == 1
    for snippet in snippets:
        exec(compile(snippet.replace(*SETTINGS), "Docs/slicer_api.md", "exec", dont_inherit=True), page)
        run_event_loop_until_idle(page["logic"])
        if "logic.fineTune(" in snippet:
            assert page["model"] == folder / "run1" / "bundle"
            page["model"] = use_base_model(page["model"])

    said = capsys.readouterr().out
    assert "0 errors in 2 patients, structures Liver, GTV" in said
    assert "no_model" in said
    assert "done\nContours are in" in said
    found = page["segmentationNode"].GetSegmentation()
    assert {found.GetNthSegment(number).GetName() for number in range(found.GetNumberOfSegments())} == set(NAMES)
    series = {pydicom.dcmread(file).SeriesInstanceUID for file in (folder / "patient7_CT").iterdir()}
    structure_set = pydicom.dcmread(folder / "patient7.rtstruct.dcm")
    reference = structure_set.ReferencedFrameOfReferenceSequence[0].RTReferencedStudySequence[0]
    assert {reference.RTReferencedSeriesSequence[0].SeriesInstanceUID} == series
    assert pydicom.dcmread(folder / "patient7.seg.dcm").Modality == "SEG"
    assert page["page"] == folder / "evaluation" / "report.html"

    assert run_batch_command_of_the_page() == 0
    assert (folder / "results" / "p7.seg.nrrd").is_file()
    assert '"state": "done"' in (folder / "results" / "batch.jsonl").read_text()


def run_batch_command_of_the_page() -> int:
    """Run the line with a stand-in for Slicer's executable, and give its exit code."""
    line = next(line for line in PAGE.splitlines() if line.startswith("    Slicer --"))
    words = shlex.split(line)[1:]
    words[words.index("--python-script") + 1] = str(ROOT / words[words.index("--python-script") + 1])
    stand_in = Path(__file__).with_name("slicer_stand_in.py")
    return subprocess.run([sys.executable, stand_in, *words], check=False).returncode
