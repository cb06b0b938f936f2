"""The steps of the module as functions, with and without waiting for the end."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import slicer
from slicer.i18n import tr as _

from HQCSegmentLib.errors import HQCSegmentError, InputError, Interrupted, WorkError
from HQCSegmentLib.imaging import Image, Segmentation, Structure, read_image, write_array
from HQCSegmentSlicer.nodes import image_from_volume_node, show_segmentation
from HQCSegmentSlicer.process import ChildProcess, child_environment, library_command
from HQCSegmentSlicer.signal import Signal

POLL_INTERVAL_MS = 100


class Timer(Protocol):
    """What is needed of qt.QTimer."""

    def stop(self) -> None: ...


def start_qt_timer(callback: Callable[[], Any]) -> Timer:
    """Call `callback` on the main thread every POLL_INTERVAL_MS until the timer is stopped."""
    import qt

    timer = qt.QTimer()
    timer.setInterval(POLL_INTERVAL_MS)
    timer.connect("timeout()", callback)
    timer.start()
    return timer


class Logic:
    """Runs HQCSegmentLib in a child process and brings its results into the scene.

    Args:
        make_command: Gives the command line for the words of an `hqcsegment` command.
        start_timer: Calls a function repeatedly on the main thread; needed only where a call does not wait.

    Attributes:
        onEvent: Emits the child's events, among them progress: {"event": "progress", "step", "of", "eta_s"}.
        onLog: Emits lines of text from the child.
        onFinished: Emits the result (a node) of a call that did not wait.
        onFailed: Emits the HQCSegmentError of a call that did not wait; an `Interrupted` after `cancel`.
    """

    def __init__(
        self,
        *,
        make_command: Callable[..., Sequence[str]] = library_command,
        start_timer: Callable[[Callable[[], Any]], Timer] = start_qt_timer,
    ) -> None:
        self.onEvent = Signal()
        self.onLog = Signal()
        self.onFinished = Signal()
        self.onFailed = Signal()
        self._make_command = make_command
        self._start_timer = start_timer
        self._process: ChildProcess | None = None
        self._timer: Timer | None = None

    @property
    def running(self) -> bool:
        """Whether a child process is at work."""
        return self._process is not None

    def segment(
        self,
        volumeNode: slicer.vtkMRMLScalarVolumeNode,
        bundlePath: str | Path,
        segmentationNode: slicer.vtkMRMLSegmentationNode | None = None,
        waitForCompletion: bool = True,
    ) -> slicer.vtkMRMLSegmentationNode | None:
        """Segment a volume with a bundle.

        Args:
            volumeNode: CT or MR volume.
            bundlePath: Folder with bundle.json and the weights.
            segmentationNode: Node to write to; a new one by default.
            waitForCompletion: With False the call returns None at once; `onFinished` or `onFailed` follows.

        Returns:
            The segmentation node, or None if the call did not wait.

        Raises:
            InputError: if the volume or the bundle cannot be used, or the child refused its input.
            WorkError: if another run is at work or the child failed.
            Interrupted: if the run was cancelled.
        """
        if self.running:
            raise WorkError(_("HQCSegment is still at work: wait for the end or cancel it."))
        bundle = Path(bundlePath).expanduser().absolute()
        structures = structures_of_bundle(bundle)
        image = image_from_volume_node(volumeNode)
        # mkdtemp makes a folder that no other user of the computer can read.
        folder = Path(tempfile.mkdtemp(prefix="HQCSegment-"))

        def take_result() -> slicer.vtkMRMLSegmentationNode:
            for node in (volumeNode, segmentationNode):
                if node is not None and node.GetScene() is None:
                    raise WorkError(_("The result is not shown: its volume or segmentation was removed."))
            segmentation = _read_segmentation(folder / "out" / "volume.nii.gz", image, structures)
            return show_segmentation(segmentation, volume_node=volumeNode, segmentation_node=segmentationNode)

        try:
            source = folder / "volume.nii.gz"
            write_array(source, image.array, image.affine)
            words = ("segment", bundle, source, "--out", folder / "out", "--format", "nifti")
            process = self._start(words)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        if waitForCompletion:
            return self._wait(process, take_result, folder)
        process.onFinished.connect(lambda _returncode: self._report(process, take_result, folder))
        self._timer = self._start_timer(process.poll)
        return None

    def cancel(self) -> None:
        """Stop the child process with all its children; the scene stays as it was."""
        if self._process is not None:
            self._process.cancel()

    def close(self) -> None:
        """Stop the child process and wait until it is gone, as when Slicer is closed."""
        if self._process is not None:
            self._process.cancel()
            self._process.wait()

    def _start(self, words: Sequence[str | Path]) -> ChildProcess:
        process = ChildProcess(self._make_command(*words), environment=child_environment())
        process.onEvent.connect(self.onEvent.emit)
        process.onLog.connect(self.onLog.emit)
        try:
            process.start()
        except OSError as error:
            raise WorkError(_("The Python of Slicer could not be started: {reason}.").format(reason=error)) from error
        self._process = process
        return process

    def _wait(self, process: ChildProcess, take_result: Callable[[], Any], folder: Path) -> Any:
        try:
            process.wait()
            return self._result(process, take_result)
        finally:
            if process.running:  # Ctrl-C while waiting
                process.cancel()
                process.wait()
            self._process = None
            shutil.rmtree(folder, ignore_errors=True)

    def _report(self, process: ChildProcess, take_result: Callable[[], Any], folder: Path) -> None:
        """End of a run that nobody waits for."""
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
        self._process = None
        try:
            result = self._result(process, take_result)
        except HQCSegmentError as error:
            self.onFailed.emit(error)
            return
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        self.onFinished.emit(result)

    def _result(self, process: ChildProcess, take_result: Callable[[], Any]) -> Any:
        """Take the result of the run, or raise its error."""
        if process.cancelled:
            raise Interrupted(_("Cancelled."))
        if process.returncode != 0:
            kind = InputError if process.returncode == InputError.exit_code else WorkError
            last_line = process.log[-1] if process.log else _("no message")
            raise kind(
                process.error
                or _("The work stopped with code {code}: {line}").format(code=process.returncode, line=last_line)
            )
        return take_result()


def structures_of_bundle(bundle: Path) -> tuple[Structure, ...]:
    """Structures that a bundle segments, in order of label value.

    Raises:
        InputError: if the folder is not a bundle or its list of labels is not valid.
    """
    try:
        description = json.loads((bundle / "bundle.json").read_text(encoding="utf-8"))
        labels = [Structure.model_validate(label) for label in description["labels"]]
        if not labels:
            raise ValueError("no labels")
    except OSError as error:
        raise InputError(_("{folder} is not a bundle: it has no bundle.json.").format(folder=bundle)) from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            _("{folder} is not a valid bundle: bundle.json has no valid list of labels.").format(folder=bundle)
        ) from error
    return tuple(sorted(labels, key=lambda structure: structure.value))


def _read_segmentation(path: Path, image: Image, structures: tuple[Structure, ...]) -> Segmentation:
    """Label map that the child wrote for `image`.

    Raises:
        WorkError: if it is missing or not on the image's grid.
    """
    if not path.is_file():
        raise WorkError(_("The work ended without a segmentation."))
    label_map = read_image(path)
    if not label_map.grid.same_as(image.grid):
        raise WorkError(_("The segmentation does not lie on the voxels of the volume, so it is not shown."))
    values = label_map.array.astype(np.min_scalar_type(structures[-1].value))
    # The image's own affine: the file has it rounded to 32 bits.
    return Segmentation(values, image.affine, structures)
