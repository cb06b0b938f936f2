"""4 Segment: contour the next patient with a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import slicer.util
from slicer.i18n import tr as _

from HQCSegmentLib.errors import HQCSegmentError
from HQCSegmentSlicer.panel.section import Section
from HQCSegmentSlicer.panel.session import Session
from HQCSegmentSlicer.parameters import Quality


class SegmentSection(Section):
    """Wires the widgets of Segment.ui."""

    name = "segment"
    cancel_button = "cancelSegmentButton"
    paths: ClassVar = {"bundleLineEdit": "bundleFolder"}

    def __init__(self, ui: Any, session: Session) -> None:
        super().__init__(ui, session)
        self._listed: tuple[Path, tuple[str, ...]] | None = None
        self._trouble = ""
        ui.applyButton.connect("clicked(bool)", self.on_apply)
        ui.structuresList.connect("itemChanged(QListWidgetItem*)", self.on_ticked)

    def update(self) -> None:
        self._list_structures()
        has_quality = self.session.ready and bool(self._qualities())
        self.ui.qualityComboBox.visible = self.ui.qualityComboBoxLabel.visible = has_quality
        self.enable(self.ui.applyButton, tip=_("Contour the volume."), missing=self.missing())
        self.update_cancel()
        self.hint(self.missing() or _("Press Apply to contour the volume."))

    def missing(self) -> str:
        """Sentence about what the user still has to choose; empty if nothing."""
        parameters = self.session.parameters
        if parameters is None or not parameters.inputVolume:
            return _("Choose an input volume.")
        if not (parameters.bundleFolder / "bundle.json").is_file():
            return _("Choose a model folder that holds a bundle.json.")
        if self._trouble:
            return self._trouble
        if self._listed is not None and not self.ticked():
            return _("Tick at least one structure.")
        return ""

    def on_apply(self, _checked: bool = False) -> None:
        """Start to contour."""
        parameters = self.session.parameters
        self.ui.warningsLabel.text = ""
        self.begin_bar(_("Starting..."))
        quality = parameters.quality
        options = [f"--{quality.value}"] if f"--{quality.value}" in self._qualities() else []
        left_out = parameters.leftOutStructures

        def begin(logic: Any) -> None:
            logic.segment(
                parameters.inputVolume,
                parameters.bundleFolder,
                parameters.outputSegmentation,
                waitForCompletion=False,
                structures=self.ticked() if left_out else None,
                options=options,
            )

        if self.session.start(self, begin):
            self.ui.bundleLineEdit.addCurrentPathToHistory()

    def on_event(self, event: dict[str, Any]) -> None:
        super().on_event(event)
        if event["event"] == "case-progress":
            percent = round(100 * float(event["fraction"]))
            self.show_bar(percent, 100)
            self.say(self.progress_words(percent, 100, event.get("eta_s")))

    def progress_words(self, step: int, of: int, eta_s: float | None) -> str:
        return _("Contouring, {words}").format(words=super().progress_words(step, of, eta_s))

    def on_finished(self, result: Any) -> None:
        """Show the result with its warnings, and make it the one that the next run replaces."""
        self.show_bar(1, 1)
        parameters = self.session.parameters
        if parameters is not None:
            with slicer.util.NodeModify(parameters):
                parameters.outputSegmentation = result
                parameters.deliverSegmentation = result
                parameters.deliverVolume = parameters.inputVolume
        warnings = self.session.logic.warnings
        self.ui.warningsLabel.text = "\n".join(f"⚠ {sentence}" for sentence in warnings)
        done = _("Done. Check every contour before you use it.")
        found = _("Read the {count} warning(s) of the model.").format(count=len(warnings)) if warnings else ""
        self.say(f"{done} {found}".strip())

    def on_ticked(self, _item: Any = None) -> None:
        """Keep which structures are left out."""
        if self.session.parameters is not None and self._listed is not None:
            ticked = self.ticked()
            self.session.parameters.leftOutStructures = [name for name in self._listed[1] if name not in ticked]

    def ticked(self) -> list[str]:
        """Names of the structures that are wanted."""
        import qt

        widget = self.ui.structuresList
        items = [widget.item(row) for row in range(widget.count)]
        return [item.text() for item in items if item.checkState() == qt.Qt.Checked]

    def _list_structures(self) -> None:
        """Fill the list from the model, once for each model folder."""
        import qt

        parameters = self.session.parameters
        if parameters is None or not self.session.ready:
            return
        names = self._names(parameters.bundleFolder)
        widget = self.ui.structuresList
        was_blocked = widget.blockSignals(True)
        if self._listed != (parameters.bundleFolder, names):
            self._listed = (parameters.bundleFolder, names) if names else None
            widget.clear()
            for name in names:
                widget.addItem(name)
        left_out = parameters.leftOutStructures
        for row in range(widget.count):
            item = widget.item(row)
            item.setCheckState(qt.Qt.Unchecked if item.text() in left_out else qt.Qt.Checked)
        widget.blockSignals(was_blocked)

    def _names(self, bundle: Path) -> tuple[str, ...]:
        from HQCSegmentSlicer.models import is_bundle, structures_of_bundle

        self._trouble = ""
        if not is_bundle(bundle):
            return ()
        try:
            return tuple(structure.name for structure in structures_of_bundle(bundle))
        except HQCSegmentError as error:
            self._trouble = str(error)
            return ()

    def _qualities(self) -> frozenset[str]:
        """Options of the command for another quality than the usual one."""
        from HQCSegmentSlicer.commands import options_of_command

        return options_of_command("segment") & {f"--{quality.value}" for quality in Quality}
