"""The steps of the module as functions, with and without waiting for the end."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import slicer

from HQCSegmentSlicer.runner import Runner
from HQCSegmentSlicer.scene_cohort import Cohort
from HQCSegmentSlicer.tasks import (
    CheckResult,
    check_task,
    devices_task,
    evaluation_task,
    fine_tune_task,
    segment_task,
    send_task,
    show_case_task,
    structure_set_task,
    synthetic_patients_task,
)


class Logic(Runner):
    """Runs HQCSegmentLib in a child process and brings its results into the scene.

    Every step takes `waitForCompletion`: with True the call returns the result or raises; with False it returns None
    at once, and `onFinished` or `onFailed` follows. One step runs at a time. Each raises `InputError` if its input
    cannot be used, `WorkError` if another step is at work or the child failed, `Interrupted` if it was cancelled.
    """

    def segment(
        self,
        volumeNode: slicer.vtkMRMLScalarVolumeNode,
        bundlePath: str | Path,
        segmentationNode: slicer.vtkMRMLSegmentationNode | None = None,
        waitForCompletion: bool = True,
        *,
        structures: Collection[str] | None = None,
        structureSet: str | Path | None = None,
        seriesFolder: str | Path | None = None,
        options: Collection[str] = (),
    ) -> slicer.vtkMRMLSegmentationNode | None:
        """Contour a volume with a bundle.

        Args:
            volumeNode: CT or MR volume.
            bundlePath: Folder with bundle.json and the weights.
            segmentationNode: Node to write to; a new one by default.
            waitForCompletion: Whether to wait for the result.
            structures: Names of the structures to show; all by default.
            structureSet: RTSTRUCT to write, too, with all structures of the model as it found them.
            seriesFolder: DICOM series of the volume, for an RTSTRUCT; by default found in Slicer's DICOM database.
            options: Further options of `hqcsegment segment`, such as --fast.
        """
        task = segment_task(
            volumeNode,
            _path(bundlePath),
            segmentationNode,
            structures=structures,
            structure_set=None if structureSet is None else _path(structureSet),
            series_folder=None if seriesFolder is None else _path(seriesFolder),
            options=options,
        )
        return self.run(task, wait=waitForCompletion)

    def fineTune(
        self,
        cohort: Cohort,
        outputFolder: str | Path,
        parameters: Mapping[str, Any] | None = None,
        waitForCompletion: bool = True,
    ) -> Path | None:
        """Fine-tune a model; the result is the path of the bundle.

        Args:
            cohort: Folder of the cohort, or a list of (volumeNode, segmentationNode).
            outputFolder: Folder of the run.
            parameters: Fields of `HQCSegmentLib.TrainConfig` (`budget` among them), and `base`, `resume`, `splits`,
                `cache` and `tensorboard`.
            waitForCompletion: Whether to wait for the result.
        """
        return self.run(fine_tune_task(cohort, _path(outputFolder), parameters), wait=waitForCompletion)

    def checkCohort(
        self, cohort: Cohort, page: str | Path | None = None, waitForCompletion: bool = True
    ) -> CheckResult | None:
        """Look at every patient and say what is wrong or odd.

        Args:
            cohort: Folder of the cohort, or a list of (volumeNode, segmentationNode).
            page: HTML page with pictures to write; none by default.
            waitForCompletion: Whether to wait for the result.
        """
        return self.run(check_task(cohort, None if page is None else _path(page)), wait=waitForCompletion)

    def exportStructureSet(
        self,
        segmentationNode: slicer.vtkMRMLSegmentationNode,
        volumeNode: slicer.vtkMRMLScalarVolumeNode,
        outputFile: str | Path,
        referenceSeriesFolder: str | Path | None = None,
        waitForCompletion: bool = True,
    ) -> Path | None:
        """Write the contours as RT Structure Set that refers to the original slices.

        Args:
            segmentationNode: Contours; segments may overlap.
            volumeNode: The volume they were drawn on.
            outputFile: File to write.
            referenceSeriesFolder: Original series; by default found in Slicer's DICOM database.
            waitForCompletion: Whether to wait for the result.
        """
        return self.exportDicom(
            segmentationNode, volumeNode, outputFile, referenceSeriesFolder, waitForCompletion, format="rtstruct"
        )

    def exportDicom(
        self,
        segmentationNode: slicer.vtkMRMLSegmentationNode,
        volumeNode: slicer.vtkMRMLScalarVolumeNode,
        outputFile: str | Path,
        referenceSeriesFolder: str | Path | None = None,
        waitForCompletion: bool = True,
        *,
        format: str = "seg",
    ) -> Path | None:
        """As `exportStructureSet`, in the format "seg" (DICOM SEG) or "rtstruct"."""
        series = None if referenceSeriesFolder is None else _path(referenceSeriesFolder)
        task = structure_set_task(segmentationNode, volumeNode, _path(outputFile), series, output_format=format)
        return self.run(task, wait=waitForCompletion)

    def sendToDicomNode(
        self,
        files: Sequence[str | Path],
        host: str,
        port: int,
        calledAE: str,
        callingAE: str,
        waitForCompletion: bool = True,
        *,
        options: Collection[str] = (),
    ) -> int | None:
        """Send DICOM files to a node (C-STORE); the result is their number.

        Args:
            files: What to send.
            host: Name or address of the node.
            port: Its DICOM port.
            calledAE: Its AE title.
            callingAE: AE title of this computer.
            waitForCompletion: Whether to wait for the result.
            options: Further options of `hqcsegment send`, such as --tls.
        """
        paths = [_path(file) for file in files]
        return self.run(send_task(paths, host, port, calledAE, callingAE, options=options), wait=waitForCompletion)

    def evaluateSegmentation(
        self,
        segmentationNode: slicer.vtkMRMLSegmentationNode,
        referenceNode: slicer.vtkMRMLSegmentationNode,
        volumeNode: slicer.vtkMRMLScalarVolumeNode,
        outputFolder: str | Path,
        waitForCompletion: bool = True,
        *,
        options: Collection[str] = (),
    ) -> Path | None:
        """Compare segments of equal name; the result is the page of the comparison.

        Args:
            segmentationNode: What is judged.
            referenceNode: What it is compared with.
            volumeNode: On whose voxels they are compared.
            outputFolder: Folder for the report.
            waitForCompletion: Whether to wait for the result.
            options: Further options of `hqcsegment evaluate`, such as --tolerance-mm.
        """
        task = evaluation_task(segmentationNode, referenceNode, volumeNode, _path(outputFolder), options=options)
        return self.run(task, wait=waitForCompletion)

    def showCase(
        self, cohortFolder: str | Path, case: str, waitForCompletion: bool = True
    ) -> tuple[slicer.vtkMRMLScalarVolumeNode, slicer.vtkMRMLSegmentationNode] | None:
        """Load one patient of a cohort into the scene."""
        return self.run(show_case_task(_path(cohortFolder), case), wait=waitForCompletion)

    def devices(self, waitForCompletion: bool = True) -> str | None:
        """Say in words what this computer computes with."""
        return self.run(devices_task(), wait=waitForCompletion)

    def makeSyntheticPatients(self, outputFolder: str | Path, waitForCompletion: bool = True) -> Path | None:
        """Make the patients of the demo, without training; an earlier folder of them is replaced."""
        return self.run(synthetic_patients_task(_path(outputFolder)), wait=waitForCompletion)


def _path(path: str | Path) -> Path:
    return Path(path).expanduser().absolute()
