"""Where nodes stand in the tree of patients and studies; Slicer's DICOM export reads it."""

from __future__ import annotations

import slicer


def place_beside(node: slicer.vtkMRMLNode, volume_node: slicer.vtkMRMLScalarVolumeNode) -> None:
    """Put a node into the study or folder of the volume that it was made from.

    A node that the user has already put into a folder of its own stays there.
    """
    tree = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(volume_node.GetScene())
    if tree is None:
        return
    volume_item, item = tree.GetItemByDataNode(volume_node), tree.GetItemByDataNode(node)
    if not volume_item or not item:
        return
    if tree.GetItemParent(item) == tree.GetSceneItemID():
        tree.SetItemParent(item, tree.GetItemParent(volume_item))
