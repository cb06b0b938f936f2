"""4 Segment: contour the next patient with a model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

import slicer.util
from slicer.i18n import tr as _

from HQCSegmentLib.errors import HQCSegmentError
from HQCSegmentSlicer.panel.section import Section, duration, in_words
from HQCSegmentSlicer.panel.session import Session
from HQCSegmentSlicer.panel.settings_form import SettingsForm, settings_from, texts_of
from HQCSegmentSlicer.parameters import Quality, chosen

ADVANCED = ("contours", "ensemble", "engine", "device", "postprocessing")
"""Settings below the folder for an RTSTRUCT, which the first one concerns; the quality has a place of its own."""

STRUCTURE_SET = "contours_unedited.rtstruct.dcm"


class SegmentSection(Section):
    """Wires the widgets of Segment.ui."""

    name = "segment"
    cancel_button = "cancelSegmentButton"
    paths: ClassVar = {"bundleLineEdit": "bundleFolder", "structureSetFolderLineEdit": "structureSetFolder"}

    def __init__(self, ui: Any, session: Session) -> None:
        super().__init__(ui, session)
        self._listed: tuple[Path, tuple[str, ...]] | None = None
        self._trouble = ""
        self._form: SettingsForm | None = None
        self._structure_set: Path | None = None
        ui.applyButton.connect("clicked(bool)", self.on_apply)
        ui.structuresList.connect("itemChanged(QListWidgetItem*)", self.on_ticked)

    def update(self) -> None:
        self._list_structures()
        self._build_fields()
        if self._form is not None and self.session.parameters is not None:
            self._form.show(texts_of(self.session.parameters.segmentSettings))
        self.enable(self.ui.applyButton, tip=_("Contour the volume."), missing=self.missing())
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
        left_out = parameters.leftOutStructures
        folder = chosen(parameters.structureSetFolder)
        self._structure_set = None if folder is None else folder / STRUCTURE_SET

        def begin(logic: Any) -> None:
            logic.segment(
                parameters.inputVolume,
                parameters.bundleFolder,
                parameters.outputSegmentation,
                waitForCompletion=False,
                structures=self.ticked() if left_out else None,
                structureSet=self._structure_set,
                seriesFolder=chosen(parameters.seriesFolder),
                options=self._options(),
            )

        if self.start(_("Starting..."), begin):
            self.ui.bundleLineEdit.addCurrentPathToHistory()

    def on_event(self, event: dict[str, Any]) -> None:
        super().on_event(event)
        if event["event"] == "case-progress":
            percent = round(100 * float(event["fraction"]))
            self.show_bar(percent, 100)
            words = _("Contouring, {percent} % done, about {time} left")
            self.say(words.format(percent=percent, time=duration(float(event["eta_s"]))))

    def progress_words(self, step: int, of: int, eta_s: float | None) -> str:
        return _("Contouring, {words}").format(words=super().progress_words(step, of, eta_s))

    def on_finished(self, result: Any) -> None:
        """Show the result with its warnings, and make it the one that the next run replaces."""
        parameters = self.session.parameters
        if parameters is not None:
            with slicer.util.NodeModify(parameters):
                parameters.outputSegmentation = result
                parameters.deliverSegmentation = result
                parameters.deliverVolume = parameters.inputVolume
        warnings = self.session.logic.warnings
        written = [] if self._structure_set is None else [_("RTSTRUCT: {file}").format(file=self._structure_set)]
        self.ui.warningsLabel.text = "\n".join([*written, *in_words(warnings)])
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

    def on_settings(self, texts: dict[str, str]) -> None:
        """Keep the settings of the advanced fields."""
        if self.session.parameters is not None:
            self.session.parameters.segmentSettings = json.dumps(texts)

    def _options(self) -> list[str]:
        """Words of the command for what the user set."""
        from HQCSegmentLib.cli.segment_options import SegmentOptions

        parameters = self.session.parameters
        quality = {} if parameters.quality is Quality.usual else {"quality": parameters.quality.value}
        texts = texts_of(parameters.segmentSettings)
        return SegmentOptions(**settings_from(SegmentOptions, {**texts, **quality})).words()

    def _build_fields(self) -> None:
        """Make the advanced fields once the library's settings can be loaded."""
        if self._form is not None or not self.session.ready:
            return
        from HQCSegmentLib.cli.segment_options import SegmentOptions

        layout = self.ui.segmentSettingsGroupBox.layout()
        self._form = SettingsForm(SegmentOptions, [(layout, ADVANCED)], self.on_settings)
