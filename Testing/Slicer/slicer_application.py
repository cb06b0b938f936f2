"""The part of the Slicer application that tests need, around the real classes of slicer-core.

slicer-core brings Slicer's MRML, logic and `slicer.util`, but neither its application object nor the Python
modules that need Qt. What is missing is put into `slicer` here by thin stand-ins, each named so. Nothing of
Slicer's own behavior is imitated beyond what the module calls.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import slicer
import slicer.util
import vtk


class Application:
    """A scene with the logics of the core modules, and the globals that `slicer.util` reads."""

    def __init__(self) -> None:
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
        slicer.modules = SimpleNamespace(
            volumes=SimpleNamespace(logic=lambda: self.volumes),
            segmentations=SimpleNamespace(logic=lambda: self.segmentations),
        )
        slicer.app = SimpleNamespace(
            applicationLogic=lambda: self._application_logic,
            mrmlScene=lambda: self.scene,
            temporaryPath=tempfile.gettempdir(),
            testingEnabled=lambda: True,
        )

    def load_volume(self, path: Path) -> slicer.vtkMRMLScalarVolumeNode:
        """Load an image file as Slicer's Volumes module does, with its change of the axis order."""
        return self.volumes.AddArchetypeVolume(str(path), path.name.split(".")[0], 0)

    def clear(self) -> None:
        self.scene.Clear(False)


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


class ScriptedLoadableModuleTestStandIn:
    """`assert...` methods of unittest, without its runner."""

    def __init__(self) -> None:
        import unittest

        self._case = unittest.TestCase()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._case, name)


def parameter_node_wrapper_stand_in(cls: type) -> type:
    """Annotated names become attributes kept in the node: references, and paths as text. No GUI is bound."""

    def node_attribute(name: str) -> property:
        def write(self: Any, value: slicer.vtkMRMLNode | None) -> None:
            self.node.SetNodeReferenceID(name, value.GetID() if value else None)
            self.node.Modified()

        return property(lambda self: self.node.GetNodeReference(name), write)

    def path_attribute(name: str) -> property:
        def write(self: Any, value: Path) -> None:
            self.node.SetParameter(name, str(value))

        return property(lambda self: Path(self.node.GetParameter(name)), write)

    for name, kind in cls.__annotations__.items():
        setattr(cls, name, node_attribute(name) if issubclass(kind, vtk.vtkObject) else path_attribute(name))
    cls.__init__ = lambda self, node: setattr(self, "node", node)
    cls.connectGui = lambda self, ui: 1
    cls.disconnectGui = lambda self, tag: None
    cls.AddObserver = lambda self, event, callback, priority=0.0: self.node.AddObserver(event, callback, priority)
    cls.RemoveObserver = lambda self, tag: self.node.RemoveObserver(tag)
    return cls


def install_stand_ins() -> None:
    """Put stand-ins of the Python modules that slicer-core lacks into `sys.modules`, unless they exist."""
    contents: dict[str, dict[str, Any]] = {
        "i18n": {"tr": lambda text: text, "translate": lambda context, text: text},
        "parameterNodeWrapper": {"parameterNodeWrapper": parameter_node_wrapper_stand_in},
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
