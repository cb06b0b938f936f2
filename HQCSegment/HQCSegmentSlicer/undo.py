"""Edit > Undo takes back what a step changed in nodes that were there before."""

from __future__ import annotations

import slicer


def save_for_undo(node: slicer.vtkMRMLNode) -> None:
    """Remember the state of the scene, so that the next change of this node can be undone.

    Slicer keeps states only where undo is switched on for the scene and for the node.
    """
    scene = node.GetScene()
    if scene is not None and scene.GetUndoFlag():
        scene.SaveStateForUndo()
