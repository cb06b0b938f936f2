"""Stand-ins of the widgets of Slicer and CTK that the panel uses, with their properties and signals."""

from __future__ import annotations

from typing import Any

from PySide6 import QtCore, QtWidgets


class qMRMLWidget(QtWidgets.QWidget):  # noqa: N801
    """Hands the scene to the node selectors below it, as the connections of the .ui file do in Slicer."""

    mrmlSceneChanged = QtCore.Signal(object)
    signal_texts = {"mrmlSceneChanged(vtkMRMLScene*)": "mrmlSceneChanged"}  # noqa: RUF012

    def setMRMLScene(self, scene: Any) -> None:
        for selector in self.findChildren(qMRMLNodeComboBox):
            selector.setMRMLScene(scene)
        self.mrmlSceneChanged.emit(scene)


class qMRMLNodeComboBox(QtWidgets.QComboBox):  # noqa: N801
    """Lists the nodes of its types in the order of the scene."""

    currentNodeChanged = QtCore.Signal(object)
    signal_texts = {"currentNodeChanged(vtkMRMLNode*)": "currentNodeChanged"}  # noqa: RUF012

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._scene: Any = None
        self._tags: list[int] = []
        self._types: list[str] = []
        self._none, self._none_text, self._flags = False, "None", {}
        self._nodes: list[Any] = []
        self._last: Any = None
        self.setSizeAdjustPolicy(QtWidgets.QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(12)
        self.currentIndexChanged.connect(self._told)

    def setMRMLScene(self, scene: Any) -> None:
        for tag in self._tags:
            self._scene.RemoveObserver(tag)
        self._scene, self._tags = scene, []
        if scene is None:
            return
        for event in (scene.NodeAddedEvent, scene.NodeRemovedEvent, scene.EndImportEvent, scene.EndCloseEvent):
            self._tags.append(scene.AddObserver(event, lambda *_arguments: self._refresh()))
        self._refresh()

    def currentNode(self) -> Any:
        row = self.currentIndex()
        return self._nodes[row] if 0 <= row < len(self._nodes) else None

    def setCurrentNode(self, node: Any) -> None:
        self._refresh()
        self.setCurrentIndex(self._nodes.index(node) if node in self._nodes else (0 if self._none else -1))

    def _refresh(self) -> None:
        if self._scene is None:
            return
        current = self.currentNode()
        self.blockSignals(True)
        self.clear()
        kinds = [self._scene.GetNodesByClass(kind) for kind in self._types]
        found = [nodes.GetItemAsObject(row) for nodes in kinds for row in range(nodes.GetNumberOfItems())]
        shown = [node for node in dict.fromkeys(found) if not node.GetHideFromEditors()]
        self._nodes = [*([None] if self._none else []), *shown]
        for node in self._nodes:
            self.addItem(self._none_text if node is None else node.GetName())
        self.setCurrentIndex(self._nodes.index(current) if current in self._nodes else (0 if self._none else -1))
        self.blockSignals(False)
        self._told()

    def _told(self, *_arguments: Any) -> None:
        if self.currentNode() is not self._last:
            self._last = self.currentNode()
            self.currentNodeChanged.emit(self._last)

    def _set_types(self, types: list[str]) -> None:
        self._types = list(types)
        self._refresh()

    def _set_none(self, enabled: bool) -> None:
        self._none = enabled
        self._refresh()

    def _set_none_text(self, text: str) -> None:
        self._none_text = text
        self._refresh()

    @staticmethod
    def _flag(name: str) -> Any:
        return QtCore.Property(
            bool, lambda self: self._flags.get(name, True), lambda self, value: self._flags.update({name: value})
        )

    nodeTypes = QtCore.Property("QStringList", lambda self: self._types, _set_types)
    noneEnabled = QtCore.Property(bool, lambda self: self._none, _set_none)
    noneDisplay = QtCore.Property(str, lambda self: self._none_text, _set_none_text)
    showChildNodeTypes = _flag("showChildNodeTypes")
    addEnabled = _flag("addEnabled")
    renameEnabled = _flag("renameEnabled")
    removeEnabled = _flag("removeEnabled")


def _show_children(widget: QtWidgets.QWidget, visible: bool, keep: QtWidgets.QWidget | None = None) -> None:
    """Hide the contents; show those again that were visible before."""
    for child in widget.findChildren(QtWidgets.QWidget, options=QtCore.Qt.FindChildOption.FindDirectChildrenOnly):
        if child is keep:
            continue
        if not visible:
            child.setProperty("wasHidden", child.isHidden() if child.property("wasHidden") is None else True)
            child.setVisible(False)
        elif not child.property("wasHidden"):
            child.setVisible(True)
        if visible:
            child.setProperty("wasHidden", None)


class ctkCollapsibleButton(QtWidgets.QWidget):  # noqa: N801
    """A wide button with the contents below it."""

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._button = QtWidgets.QToolButton(self)
        self._button.setCheckable(True)
        self._button.setChecked(True)
        self._button.setToolButtonStyle(QtCore.Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self._button.setArrowType(QtCore.Qt.ArrowType.DownArrow)
        self._button.setStyleSheet("QToolButton { text-align: left; font-weight: bold; padding: 4px; }")
        self._button.toggled.connect(lambda opened: self._collapse(not opened))

    def resizeEvent(self, event: Any) -> None:
        self._button.setGeometry(0, 0, self.width(), 26)
        super().resizeEvent(event)

    def childEvent(self, event: Any) -> None:
        super().childEvent(event)
        if self.layout() is not None:
            self.layout().setContentsMargins(9, 34, 9, 6)

    def _collapse(self, collapsed: bool) -> None:
        self._button.setChecked(not collapsed)
        arrow = QtCore.Qt.ArrowType.RightArrow if collapsed else QtCore.Qt.ArrowType.DownArrow
        self._button.setArrowType(arrow)
        self.setMaximumHeight(28 if collapsed else 16777215)
        _show_children(self, not collapsed, keep=self._button)

    text = QtCore.Property(str, lambda self: self._button.text(), lambda self, text: self._button.setText(text))
    collapsed = QtCore.Property(bool, lambda self: not self._button.isChecked(), _collapse)


class ctkCollapsibleGroupBox(QtWidgets.QGroupBox):  # noqa: N801
    """A group box whose title hides and shows its contents."""

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self.setCheckable(True)
        self.toggled.connect(lambda opened: self._collapse(not opened))

    def _collapse(self, collapsed: bool) -> None:
        self.setChecked(not collapsed)
        self.setMaximumHeight(26 if collapsed else 16777215)
        _show_children(self, not collapsed)

    def childEvent(self, event: Any) -> None:
        super().childEvent(event)
        if event.added() and event.child().isWidgetType() and not self.isChecked():
            event.child().setVisible(False)

    collapsed = QtCore.Property(bool, lambda self: not self.isChecked(), _collapse)


class ctkPathLineEdit(QtWidgets.QWidget):  # noqa: N801
    """A line with a path and a button that would open a dialog."""

    currentPathChanged = QtCore.Signal(str)
    Files = 0x002  # of QDir::Filter

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._filters = 0
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self._line = QtWidgets.QLineEdit()
        self._setting = ""
        self.history: list[str] = []
        layout.addWidget(self._line)
        layout.addWidget(QtWidgets.QToolButton(text="..."))
        self._line.textChanged.connect(self.currentPathChanged)

    def addCurrentPathToHistory(self) -> None:
        self.history.append(self._line.text())

    def _set_setting(self, key: str) -> None:
        self._setting = key

    currentPath = QtCore.Property(str, lambda self: self._line.text(), lambda self, path: self._line.setText(path))

    def _set_filters(self, filters: int) -> None:
        self._filters = filters

    settingKey = QtCore.Property(str, lambda self: self._setting, _set_setting)
    filters = QtCore.Property(int, lambda self: self._filters, _set_filters)


SLICER_WIDGETS = (qMRMLWidget, qMRMLNodeComboBox)
CTK_WIDGETS = (ctkCollapsibleButton, ctkCollapsibleGroupBox, ctkPathLineEdit)
