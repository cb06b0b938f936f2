"""The part of the Slicer application that tests need, around the real classes of slicer-core.

slicer-core brings Slicer's MRML, logic and `slicer.util`, but neither its application object nor the Python
modules that need Qt. What is missing is put into `slicer` here by thin stand-ins, each named so. Nothing of
Slicer's own behavior is imitated beyond what the module calls.
"""

from __future__ import annotations

import importlib
import os
import sys
import tempfile
import unittest
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import slicer
import slicer.util
from parameter_node_stand_in import parameterNodeWrapper


class Application:
    """A scene with the logics of the core modules, and the globals that `slicer.util` reads."""

    def __init__(self) -> None:
        self.connections: list[tuple[str, Any]] = []
        self.scene = slicer.vtkMRMLScene()
        slicer.mrmlScene = self.scene
        self._application_logic = slicer.vtkSlicerApplicationLogic()
        self._application_logic.SetMRMLScene(self.scene)
        colors = self._application_logic.GetColorLogic()
        colors.SetMRMLScene(self.scene)
        colors.AddDefaultColorNodes()
        self.volumes = slicer.vtkSlicerVolumesLogic()
        self.segmentations = slicer.vtkSlicerSegmentationsModuleLogic()
        self._logics = {"Colors": colors, "Volumes": self.volumes, "Segmentations": self.segmentations}
        for name, logic in self._logics.items():
            logic.SetMRMLScene(self.scene)
            self._application_logic.SetModuleLogic(name, logic)
        self.shown_charts: list[Any] = []
        self.shown_volumes: list[Any] = []
        plots = SimpleNamespace(ShowChartInLayout=self.shown_charts.append)
        slicer.util.setSliceViewerLayers = lambda background=None, fit=False: self.shown_volumes.append(background)
        slicer.util.loadVolume, slicer.util.loadSegmentation = self.load_volume, self.load_segmentation
        slicer.modules = SimpleNamespace(
            plots=SimpleNamespace(logic=lambda: plots),
            volumes=SimpleNamespace(logic=lambda: self.volumes),
            segmentations=SimpleNamespace(logic=lambda: self.segmentations),
        )
        slicer.app = SimpleNamespace(
            applicationLogic=lambda: self._application_logic,
            mrmlScene=lambda: self.scene,
            temporaryPath=tempfile.gettempdir(),
            cachePath=tempfile.gettempdir(),
            connect=lambda signal, slot: self.connections.append((signal, slot)),
            testingEnabled=lambda: True,
        )

    def load_volume(self, path: str | Path) -> slicer.vtkMRMLScalarVolumeNode:
        """Load an image file as Slicer's Volumes module does, with its change of the axis order."""
        node = self.volumes.AddArchetypeVolume(str(path), Path(path).name.split(".")[0], 0)
        if node is None:
            msg = f"Failed to load node from file: {path}"
            raise RuntimeError(msg)
        return node

    def load_segmentation(self, path: str | Path) -> slicer.vtkMRMLSegmentationNode:
        """Load a .seg.nrrd file."""
        storage = slicer.vtkMRMLSegmentationStorageNode()
        storage.SetFileName(str(path))
        node = self.scene.AddNewNodeByClass("vtkMRMLSegmentationNode", Path(path).name.split(".")[0])
        if not storage.ReadData(node):
            msg = f"Failed to load node from file: {path}"
            raise RuntimeError(msg)
        return node

    def clear(self) -> None:
        self.scene.Clear(False)
        for node in self.scene.GetNodesByClass("vtkMRMLScriptedModuleNode"):
            self.scene.RemoveNode(node)  # a singleton, which Clear keeps


class RunningApplication:
    """The application that the tests run in, as `run_in_slicer` starts them; what `Application` has of it."""

    scene = property(lambda self: slicer.mrmlScene)

    def load_volume(self, path: Path) -> slicer.vtkMRMLScalarVolumeNode:
        return slicer.util.loadVolume(str(path))

    def clear(self) -> None:
        slicer.mrmlScene.Clear(False)


class ScriptedLoadableModuleStandIn:
    def __init__(self, parent: Any) -> None:
        self.parent = parent


class ScriptedLoadableModuleWidgetStandIn:
    """Keeps what `setup` adds to the layout in `panels`."""

    module_folder: Path

    def __init__(self, parent: Any = None) -> None:
        self.parent = parent or SimpleNamespace(isEntered=True)
        self.panels: list[Any] = []
        self.layout = SimpleNamespace(addWidget=self.panels.append)

    def setup(self) -> None:
        pass

    def resourcePath(self, name: str) -> str:
        return str(self.module_folder / "Resources" / name)


class ScriptedLoadableModuleLogicStandIn:
    def getParameterNode(self) -> slicer.vtkMRMLScriptedModuleNode:
        node = slicer.mrmlScene.GetSingletonNode("HQCSegment", "vtkMRMLScriptedModuleNode")
        if node is None:
            node = slicer.vtkMRMLScriptedModuleNode()
            node.SetSingletonTag("HQCSegment")
            node = slicer.mrmlScene.AddNode(node)
        return node


class ScriptedLoadableModuleTestStandIn(unittest.TestCase):
    """A test case, as Slicer's class is one."""


def install_stand_ins() -> None:
    """Put stand-ins of the Python modules that slicer-core lacks into `sys.modules`, unless they exist."""
    contents: dict[str, dict[str, Any]] = {
        "i18n": {"tr": lambda text: text, "translate": lambda context, text: text},
        "ScriptedLoadableModule": {
            "ScriptedLoadableModule": ScriptedLoadableModuleStandIn,
            "ScriptedLoadableModuleLogic": ScriptedLoadableModuleLogicStandIn,
            "ScriptedLoadableModuleTest": ScriptedLoadableModuleTestStandIn,
            "ScriptedLoadableModuleWidget": ScriptedLoadableModuleWidgetStandIn,
        },
    }
    for name, members in contents.items():
        if f"slicer.{name}" not in sys.modules:
            module = ModuleType(f"slicer.{name}")
            vars(module).update(members)
            sys.modules[module.__name__] = module
            setattr(slicer, name, module)
    install_parameter_node_wrapper()


def install_parameter_node_wrapper() -> None:
    """Slicer's own code from the checkout that SLICER_SOURCE names, else the stand-in."""
    if "slicer.parameterNodeWrapper" in sys.modules:
        return
    source = os.environ.get("SLICER_SOURCE")
    if source:
        install_widgets()
        slicer.qMRMLRangeWidget = type("qMRMLRangeWidget", (), {})  # asked for by name; the panel has none
        slicer.__path__.append(str(Path(source) / "Base" / "Python" / "slicer"))
        importlib.import_module("slicer.parameterNodeWrapper")
        return
    module = ModuleType("slicer.parameterNodeWrapper")
    module.parameterNodeWrapper = parameterNodeWrapper
    sys.modules[module.__name__] = module
    slicer.parameterNodeWrapper = module


def install_widgets() -> None:
    """`qt`, `ctk`, and the widget classes and functions of `slicer` that need Qt."""
    import qt_stand_ins

    sys.modules["qt"], sys.modules["ctk"] = qt_stand_ins.qt, qt_stand_ins.ctk
    for name, widget in qt_stand_ins.slicer_widgets.items():
        setattr(slicer, name, widget)
    slicer.util.loadUI = qt_stand_ins.load_ui
    slicer.util.childWidgetVariables = qt_stand_ins.child_widget_variables
