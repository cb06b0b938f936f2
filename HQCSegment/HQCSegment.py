"""HQCSegment: fine-tune a network on local patients and contour the next. Research use only, not a medical device."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import slicer
import slicer.util
import vtk
from slicer.i18n import tr as _
from slicer.i18n import translate
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

from HQCSegmentSlicer.parameters import HQCSegmentParameterNode
from HQCSegmentSlicer.resources import REQUIREMENTS
from HQCSegmentSlicer.sample_data import register_sample_data
from HQCSegmentSlicer.self_test import SelfTest
from HQCSegmentSlicer.terminology import register_terminology

if TYPE_CHECKING:
    from HQCSegmentSlicer.logic import Logic

SECTIONS = ("SetUp", "Cohort", "FineTune", "Segment", "Deliver")
"""Names of the .ui files, in the order of work."""


class HQCSegment(ScriptedLoadableModule):
    """What Slicer shows of the module in its menus."""

    def __init__(self, parent: Any) -> None:
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("HQCSegment")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        self.parent.dependencies = []
        self.parent.contributors = ["HQCSegment contributors"]
        self.parent.helpText = _(
            "Fine-tunes a segmentation network on a small local cohort by Quantum Parameter Generation, and contours "
            "organs and targets of CT or MR volumes with it. Research use only, not a medical device."
        )
        self.parent.acknowledgementText = _(
            "Built on 3D Slicer, MONAI, PyTorch and PennyLane. Version {version}."
        ).format(version=HQCSegmentLib.__version__)
        slicer.app.connect("startupCompleted()", register_sample_data)
        slicer.app.connect("startupCompleted()", register_terminology)


class HQCSegmentWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel: wiring only. Each section is a class of its own, the work is done in HQCSegmentLogic."""

    def __init__(self, parent: Any = None) -> None:
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic: HQCSegmentLogic | None = None
        self._parameterNode: HQCSegmentParameterNode | None = None
        self._parameterNodeGuiTag: Any = None

    def setup(self) -> None:
        """Build the panel when the module is opened for the first time."""
        from HQCSegmentSlicer.panel.cohort_section import CohortSection
        from HQCSegmentSlicer.panel.deliver_section import DeliverSection
        from HQCSegmentSlicer.panel.fine_tune_section import FineTuneSection
        from HQCSegmentSlicer.panel.segment_section import SegmentSection
        from HQCSegmentSlicer.panel.session import Session
        from HQCSegmentSlicer.panel.setup_section import SetUpSection

        ScriptedLoadableModuleWidget.setup(self)
        self.panel = slicer.util.loadUI(self.resourcePath("UI/HQCSegment.ui"))
        self.layout.addWidget(self.panel)
        page = slicer.util.childWidgetVariables(self.panel).sectionsPage
        self._panels = [slicer.util.loadUI(self.resourcePath(f"UI/{name}.ui")) for name in SECTIONS]
        for part in self._panels:
            page.layout().addWidget(part)
            part.setMRMLScene(slicer.mrmlScene)
        self.ui = slicer.util.childWidgetVariables(self.panel)
        self.logic = HQCSegmentLogic()
        self.session = Session(lambda: self.logic.runner, Path(self.resourcePath("requirements.txt")))
        self.sections = [
            section(self.ui, self.session)
            for section in (SetUpSection, CohortSection, FineTuneSection, SegmentSection, DeliverSection)
        ]
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onSceneEndClose)
        self.initializeParameterNode()

    def cleanup(self) -> None:
        """Stop the work when the panel is destroyed: nobody could see or cancel it any more."""
        self.setParameterNode(None)
        self.removeObservers()
        self.session.close()
        self.sections[1].close()
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
            self.removeObserver(self._parameterNode, vtk.vtkCommand.ModifiedEvent, self.onParametersChanged)
        self._parameterNode = parameterNode
        if self._parameterNode:
            # The .ui files name the parameter of each widget in its property SlicerParameterName.
            self._parameterNodeGuiTag = self._parameterNode.connectGui(self.ui)
            self.addObserver(self._parameterNode, vtk.vtkCommand.ModifiedEvent, self.onParametersChanged)
        self.session.parameters = parameterNode
        self.session.onChanged.emit()

    def onParametersChanged(self, caller: Any = None, event: Any = None) -> None:
        """Have all sections show the parameters."""
        self.session.onChanged.emit()


class HQCSegmentLogic(ScriptedLoadableModuleLogic):
    """The module's functions for the panel, the Python console and batch scripts.

    Arguments, results and errors are those of `HQCSegmentSlicer.logic.Logic`, which `runner` gives; it can do more.

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

        ensure_dependencies(requirementsFile or REQUIREMENTS)

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
        volumeNode: Any,
        bundlePath: str | Path,
        segmentationNode: Any = None,
        waitForCompletion: bool = True,
        **choices: Any,
    ) -> Any:
        """Contour a volume with a model; the result is the segmentation node."""
        return self.runner.segment(volumeNode, bundlePath, segmentationNode, waitForCompletion, **choices)

    def fineTune(
        self,
        cohort: Any,
        outputFolder: str | Path,
        parameters: dict[str, Any] | None = None,
        waitForCompletion: bool = True,
    ) -> Path | None:
        """Fine-tune on a folder or on [(volumeNode, segmentationNode), ...]; the result is the path of the model."""
        return self.runner.fineTune(cohort, outputFolder, parameters, waitForCompletion)

    def checkCohort(self, cohort: Any, page: str | Path | None = None, waitForCompletion: bool = True) -> Any:
        """Say what is wrong or odd with a folder or with [(volumeNode, segmentationNode), ...]."""
        return self.runner.checkCohort(cohort, page, waitForCompletion)

    def exportStructureSet(
        self,
        segmentationNode: Any,
        volumeNode: Any,
        outputFile: str | Path,
        referenceSeriesFolder: str | Path | None = None,
        waitForCompletion: bool = True,
    ) -> Path | None:
        """Write the contours as RT Structure Set of the original series; the result is the file."""
        return self.runner.exportStructureSet(
            segmentationNode, volumeNode, outputFile, referenceSeriesFolder, waitForCompletion
        )

    def cancel(self) -> None:
        """Stop the work; nothing happens if there is none."""
        if self._runner is not None:
            self._runner.cancel()

    def close(self) -> None:
        """Stop the work and wait until its processes are gone."""
        if self._runner is not None:
            self._runner.close()


class HQCSegmentTest(ScriptedLoadableModuleTest):
    """Self test inside Slicer; what it looks at is in `HQCSegmentSlicer.self_test`."""

    def setUp(self) -> None:
        """Start with an empty scene."""
        slicer.mrmlScene.Clear()

    def runTest(self) -> None:
        """Run all tests."""
        self.setUp()
        SelfTest().run()
