"""HQCSegment: contour a volume with a fine-tuned network. Research use only, not a medical device."""

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import slicer
import slicer.util
import vtk
from slicer import vtkMRMLScalarVolumeNode, vtkMRMLSegmentationNode
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.parameterNodeWrapper import parameterNodeWrapper
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

try:
    import HQCSegmentLib
except ModuleNotFoundError:
    # Run from the source tree, where the library lies beside this module's folder and not in it.
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    import HQCSegmentLib

if TYPE_CHECKING:
    from HQCSegmentSlicer.logic import Logic

# No `from __future__ import annotations` here: parameterNodeWrapper reads the annotations while Slicer is
# still loading this file, when their names could not be looked up from text.


class HQCSegment(ScriptedLoadableModule):
    """What Slicer shows of the module in its menus."""

    def __init__(self, parent: Any) -> None:
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("HQCSegment")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        self.parent.dependencies = []
        self.parent.contributors = ["HQCSegment contributors"]
        self.parent.helpText = _(
            "Contours organs and targets of a CT or MR volume with a network that was fine-tuned on a small "
            "local cohort by Quantum Parameter Generation. Research use only, not a medical device."
        )
        self.parent.acknowledgementText = _(
            "Built on 3D Slicer, MONAI, PyTorch and PennyLane. Version {version}."
        ).format(version=HQCSegmentLib.__version__)


@parameterNodeWrapper
class HQCSegmentParameterNode:
    """What the user chose; saved with the scene.

    inputVolume: the volume to contour.
    bundleFolder: the trained model, a folder with bundle.json.
    outputSegmentation: where the contours go; none makes a new segmentation.
    """

    inputVolume: vtkMRMLScalarVolumeNode
    bundleFolder: Path
    outputSegmentation: vtkMRMLSegmentationNode


class HQCSegmentWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel: wiring only, the work is done in HQCSegmentLogic."""

    def __init__(self, parent: Any = None) -> None:
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic: HQCSegmentLogic | None = None
        self._parameterNode: HQCSegmentParameterNode | None = None
        self._parameterNodeGuiTag: Any = None
        self._runner: Logic | None = None

    def setup(self) -> None:
        """Build the panel when the module is opened for the first time."""
        ScriptedLoadableModuleWidget.setup(self)
        panel = slicer.util.loadUI(self.resourcePath("UI/HQCSegment.ui"))
        self.layout.addWidget(panel)
        self.ui = slicer.util.childWidgetVariables(panel)
        panel.setMRMLScene(slicer.mrmlScene)
        self.logic = HQCSegmentLogic()
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onSceneEndClose)
        self.ui.applyButton.connect("clicked(bool)", self.onApplyButton)
        self.ui.cancelButton.connect("clicked(bool)", self.onCancelButton)
        self.initializeParameterNode()

    def cleanup(self) -> None:
        """Stop the work when the panel is destroyed: nobody could see or cancel it any more."""
        self.removeObservers()
        if self._runner is not None:
            for signal, slot in self._runnerConnections():
                signal.disconnect(slot)
        if self.logic is not None:
            self.logic.close()

    def enter(self) -> None:
        """Connect the panel when the module is opened."""
        self.initializeParameterNode()

    def exit(self) -> None:
        """Disconnect the panel when another module is opened; running work goes on."""
        self.setParameterNode(None)

    def onSceneStartClose(self, caller: Any, event: Any) -> None:
        """Let go of the scene before it is closed; the result of running work would have no volume."""
        self.logic.cancel()
        self.setParameterNode(None)

    def onSceneEndClose(self, caller: Any, event: Any) -> None:
        """Start afresh if the panel is visible."""
        if self.parent.isEntered:
            self.initializeParameterNode()

    def initializeParameterNode(self) -> None:
        """Connect the panel to the scene's parameters, and take the first volume if none is chosen."""
        self.setParameterNode(self.logic.getParameterNode())
        if not self._parameterNode.inputVolume:
            firstVolume = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode")
            if firstVolume:
                self._parameterNode.inputVolume = firstVolume

    def setParameterNode(self, parameterNode: HQCSegmentParameterNode | None) -> None:
        """Show and observe these parameters and no others."""
        if self._parameterNode:
            self._parameterNode.disconnectGui(self._parameterNodeGuiTag)
            self.removeObserver(self._parameterNode, vtk.vtkCommand.ModifiedEvent, self.updateButtons)
        self._parameterNode = parameterNode
        if self._parameterNode:
            # The .ui file names the parameter of each widget in its property SlicerParameterName.
            self._parameterNodeGuiTag = self._parameterNode.connectGui(self.ui)
            self.addObserver(self._parameterNode, vtk.vtkCommand.ModifiedEvent, self.updateButtons)
        self.updateButtons()

    def updateButtons(self, caller: Any = None, event: Any = None) -> None:
        """Enable what can be done now, and say in the tool tip what is missing."""
        running = self.logic.running
        missing = self._missingChoice()
        self.ui.applyButton.enabled = not running and not missing
        self.ui.applyButton.toolTip = missing or _("Contour the input volume.")
        self.ui.cancelButton.enabled = running

    def onApplyButton(self, checked: bool = False) -> None:
        """Install what is missing, then start to segment."""
        parameters = self._parameterNode
        with slicer.util.tryWithErrorDisplay(_("The volume could not be segmented.")):
            self.logic.ensureDependencies(Path(self.resourcePath("requirements.txt")))
            self._connectRunner()
            self.logic.segment(
                parameters.inputVolume,
                parameters.bundleFolder,
                parameters.outputSegmentation,
                waitForCompletion=False,
            )
            self._showProgress(_("Starting..."), step=0, of=0)
            self.ui.bundlePathLineEdit.addCurrentPathToHistory()
        self.updateButtons()

    def onCancelButton(self, checked: bool = False) -> None:
        """Stop the work."""
        self.ui.statusLabel.text = _("Cancelling...")
        self.ui.cancelButton.enabled = False
        self.logic.cancel()

    def onEvent(self, event: dict[str, Any]) -> None:
        """Show progress."""
        if event["event"] != "progress":
            return
        message = _("Segmenting...")
        if event.get("eta_s") is not None:
            message = _("Segmenting, about {seconds} s left...").format(seconds=round(event["eta_s"]))
        self._showProgress(message, step=int(event.get("step", 0)), of=int(event.get("of", 0)))

    def onFinished(self, segmentationNode: vtkMRMLSegmentationNode) -> None:
        """Say that the segmentation is there, and make it the one that the next run replaces."""
        if self._parameterNode:
            self._parameterNode.outputSegmentation = segmentationNode
        self._showProgress(_("Done. Check every contour before you use it."), step=1, of=1)
        self.updateButtons()

    def onFailed(self, error: Exception) -> None:
        """Say what went wrong."""
        from HQCSegmentLib.errors import Interrupted

        self._showProgress(str(error), step=0, of=1)
        self.updateButtons()
        if not isinstance(error, Interrupted):
            slicer.util.errorDisplay(str(error))

    def _missingChoice(self) -> str:
        """Sentence about what the user still has to choose; empty if nothing."""
        if not self._parameterNode or not self._parameterNode.inputVolume:
            return _("Choose an input volume.")
        if not (self._parameterNode.bundleFolder / "bundle.json").is_file():
            return _("Choose a model folder that holds a bundle.json.")
        return ""

    def _connectRunner(self) -> None:
        """Connect to the logic's signals, once; they exist only after the dependencies do."""
        if self._runner is not None:
            return
        self._runner = self.logic.runner
        for signal, slot in self._runnerConnections():
            signal.connect(slot)

    def _runnerConnections(self) -> list[tuple[Any, Any]]:
        """Pairs of the logic's signals and what the panel does on them."""
        return [
            (self._runner.onEvent, self.onEvent),
            (self._runner.onLog, logging.info),
            (self._runner.onFinished, self.onFinished),
            (self._runner.onFailed, self.onFailed),
        ]

    def _showProgress(self, message: str, *, step: int, of: int) -> None:
        """Show a sentence and the bar; `of` = 0 is a bar that moves without a known end."""
        self.ui.statusLabel.text = message
        self.ui.progressBar.maximum = of
        self.ui.progressBar.value = step


class HQCSegmentLogic(ScriptedLoadableModuleLogic):
    """The module's functions for the panel, the Python console and batch scripts.

    Example::

        logic = HQCSegmentLogic()
        logic.ensureDependencies()
        segmentationNode = logic.segment(volumeNode, "/models/head-and-neck")
    """

    def __init__(self) -> None:
        ScriptedLoadableModuleLogic.__init__(self)
        self._runner: Logic | None = None

    def getParameterNode(self) -> HQCSegmentParameterNode:
        """Parameters of this module in the scene."""
        return HQCSegmentParameterNode(super().getParameterNode())

    def ensureDependencies(self, requirementsFile: Path | None = None) -> None:
        """Ask for and install the Python packages that are missing.

        Raises:
            RuntimeError: if the user declines or the PyTorch extension is missing.
        """
        from HQCSegmentSlicer.dependencies import ensure_dependencies

        own = Path(__file__).resolve().parent / "Resources" / "requirements.txt"
        ensure_dependencies(requirementsFile or own)

    @property
    def runner(self) -> "Logic":
        """The object that does the work; made when it is first used, since it needs the dependencies."""
        if self._runner is None:
            from HQCSegmentSlicer.logic import Logic

            self._runner = Logic()
        return self._runner

    @property
    def running(self) -> bool:
        """Whether work goes on in a child process."""
        return self._runner is not None and self._runner.running

    def segment(
        self,
        volumeNode: vtkMRMLScalarVolumeNode,
        bundlePath: str | Path,
        segmentationNode: vtkMRMLSegmentationNode | None = None,
        waitForCompletion: bool = True,
    ) -> vtkMRMLSegmentationNode | None:
        """Segment a volume with a bundle; see `HQCSegmentSlicer.logic.Logic.segment`."""
        return self.runner.segment(volumeNode, bundlePath, segmentationNode, waitForCompletion)

    def cancel(self) -> None:
        """Stop the work; nothing happens if there is none."""
        if self._runner is not None:
            self._runner.cancel()

    def close(self) -> None:
        """Stop the work and wait until its processes are gone."""
        if self._runner is not None:
            self._runner.close()


class HQCSegmentTest(ScriptedLoadableModuleTest):
    """Self test inside Slicer: a label map on an oblique volume is shown and read back voxel by voxel."""

    def setUp(self) -> None:
        """Start with an empty scene."""
        slicer.mrmlScene.Clear()

    def runTest(self) -> None:
        """Run all tests of this class."""
        self.setUp()
        self.test_segmentationKeepsItsVoxels()

    def test_segmentationKeepsItsVoxels(self) -> None:
        import importlib.util

        import numpy as np

        if importlib.util.find_spec("pydantic") is None:
            logging.warning("HQCSegment self test skipped: pydantic is installed when Apply is first pressed.")
            return
        from HQCSegmentSlicer.nodes import (
            image_from_volume_node,
            label_map_from_segmentation_node,
            show_segmentation,
        )

        from HQCSegmentLib.imaging import Segmentation, Structure

        cosine, sine = np.cos(0.3), np.sin(0.3)
        affine = np.array([[cosine, -2 * sine, 0, 5], [sine, 2 * cosine, 0, -7], [0, 0, 3, 1], [0, 0, 0, 1]])
        volumeNode = slicer.util.addVolumeFromArray(np.zeros((6, 5, 4), np.int16), affine)
        labelMap = np.zeros((4, 5, 6), np.uint8)
        labelMap[1:3, 2:4, 1:5] = 1
        assert image_from_volume_node(volumeNode).array.shape == labelMap.shape
        structures = (Structure(value=1, name="Parotid_L"),)
        segmentationNode = show_segmentation(Segmentation(labelMap, affine, structures), volume_node=volumeNode)
        shown, names = label_map_from_segmentation_node(segmentationNode, volumeNode)
        assert names == {1: "Parotid_L"}
        np.testing.assert_array_equal(shown, labelMap)
