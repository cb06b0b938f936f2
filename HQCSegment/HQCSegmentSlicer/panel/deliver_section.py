"""5 Deliver: contours with the right names to the planning system, and how good they are against a reference."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import vtk
from slicer.i18n import tr as _

from HQCSegmentSlicer.panel.section import Section, open_in_browser
from HQCSegmentSlicer.panel.session import Session
from HQCSegmentSlicer.panel.settings_form import SettingsForm, command_words, texts_of
from HQCSegmentSlicer.panel.tables import fill, names_in
from HQCSegmentSlicer.parameters import chosen

if TYPE_CHECKING:
    from pydantic import BaseModel

SUFFIXES = {"rtstruct": ".rtstruct.dcm", "seg": ".seg.dcm"}


class DeliverSection(Section):
    """Wires the widgets of Deliver.ui."""

    name = "deliver"
    cancel_button = "cancelDeliverButton"
    paths: ClassVar = {"seriesFolderLineEdit": "seriesFolder", "deliverFolderLineEdit": "deliverFolder"}

    def __init__(self, ui: Any, session: Session) -> None:
        super().__init__(ui, session)
        self._saved: list[Path] = []
        self._named: Any = None
        self._send_form: SettingsForm | None = None
        self._evaluate_form: SettingsForm | None = None
        ui.renameButton.connect("clicked(bool)", self.on_rename)
        ui.saveStructureSetButton.connect("clicked(bool)", lambda _checked=False: self.on_save("rtstruct"))
        ui.saveSegButton.connect("clicked(bool)", lambda _checked=False: self.on_save("seg"))
        ui.sendButton.connect("clicked(bool)", self.on_send)
        ui.evaluateButton.connect("clicked(bool)", self.on_evaluate)

    def update(self) -> None:
        parameters = self.session.parameters
        node = None if parameters is None else parameters.deliverSegmentation
        self._show_names(node)
        self._build_fields()
        if self._send_form is not None and parameters is not None:
            self._send_form.show(texts_of(parameters.sendSettings))
            self._evaluate_form.show(texts_of(parameters.evaluateSettings))
        missing = self.missing()
        folder = "" if parameters is None or chosen(parameters.deliverFolder) else _("Choose a folder to save in.")
        rename_missing = "" if node else _("Choose a segmentation.")
        self.enable(self.ui.renameButton, tip=_("Give the segments the names of the table."), missing=rename_missing)
        self.enable(
            self.ui.saveStructureSetButton,
            tip=_("Write the contours as RT Structure Set that refers to the original series."),
            missing=missing or folder,
        )
        self.enable(
            self.ui.saveSegButton,
            tip=_("Write the voxels as DICOM Segmentation that refers to the original series."),
            missing=missing or folder,
        )
        self.enable(self.ui.sendButton, tip=_("Send the files saved last to the DICOM node."), missing=self._unsent())
        reference = None if parameters is None else parameters.referenceSegmentation
        self.enable(
            self.ui.evaluateButton,
            tip=_("Compare with the reference: Dice and distances of every structure."),
            missing=missing or folder or ("" if reference else _("Choose a reference segmentation.")),
        )
        self.hint(missing or folder or _("Check the names, then save."))

    def missing(self) -> str:
        """Sentence about what the user still has to choose; empty if nothing."""
        parameters = self.session.parameters
        if parameters is None or not parameters.deliverSegmentation:
            return _("Choose a segmentation.")
        return "" if parameters.deliverVolume else _("Choose the volume that was contoured.")

    def on_rename(self, _checked: bool = False) -> None:
        """Give the segments the names of the table, with codes and colors where the catalogue knows them."""
        from HQCSegmentSlicer.segment_names import rename_segments

        node = self.session.parameters.deliverSegmentation
        try:
            rename_segments(node, names_in(self.ui.deliverNamesTable))
        except ValueError as error:
            self.complain(error)
            return
        self._named = None
        self.session.onChanged.emit()
        self.say(_("The segments are renamed."))

    def on_save(self, output_format: str) -> None:
        """Write the contours for a planning system."""
        parameters = self.session.parameters
        file = parameters.deliverFolder / f"contours{SUFFIXES[output_format]}"

        def begin(logic: Any) -> None:
            logic.exportDicom(
                parameters.deliverSegmentation,
                parameters.deliverVolume,
                file,
                chosen(parameters.seriesFolder),
                waitForCompletion=False,
                format=output_format,
            )

        self.start(_("Writing {file}...").format(file=file.name), begin)

    def on_send(self, _checked: bool = False) -> None:
        """Send what was saved."""
        parameters = self.session.parameters
        files = list(self._saved)

        def begin(logic: Any) -> None:
            from HQCSegmentLib.cli.send_options import SendOptions

            logic.sendToDicomNode(
                files,
                parameters.dicomHost.strip(),
                parameters.dicomPort,
                parameters.calledAE.strip(),
                parameters.callingAE.strip(),
                waitForCompletion=False,
                options=command_words(SendOptions, texts_of(parameters.sendSettings)),
            )

        self.start(_("Sending..."), begin)

    def on_evaluate(self, _checked: bool = False) -> None:
        """Compare with the reference."""
        parameters = self.session.parameters

        def begin(logic: Any) -> None:
            from HQCSegmentLib.cli.evaluate_options import EvaluateOptions

            logic.evaluateSegmentation(
                parameters.deliverSegmentation,
                parameters.referenceSegmentation,
                parameters.deliverVolume,
                parameters.deliverFolder / "evaluation",
                waitForCompletion=False,
                options=command_words(EvaluateOptions, texts_of(parameters.evaluateSettings)),
            )

        self.start(_("Comparing..."), begin)

    def on_finished(self, result: Any) -> None:
        if isinstance(result, int):
            self.say(_("Sent {count} file(s).").format(count=result))
            return
        if result.suffix == ".dcm":
            self._saved = [*(file for file in self._saved if file != result), result]
            self.say(_("Saved. Check the contours in the planning system before you use them."))
            self.ui.deliverResultLabel.text = str(result)
            return
        self.say(_("Compared with the reference."))
        self.ui.deliverResultLabel.text = str(result)
        open_in_browser(result)

    def on_settings(self, parameter: str, texts: dict[str, str]) -> None:
        """Keep settings of sending or comparing; what does not fit together is said when they are used."""
        if self.session.parameters is not None:
            setattr(self.session.parameters, parameter, json.dumps(texts))

    def _build_fields(self) -> None:
        """Make the advanced fields once the library's settings can be loaded."""
        if self._send_form is not None or not self.session.ready:
            return
        from HQCSegmentLib.cli.evaluate_options import EvaluateOptions
        from HQCSegmentLib.cli.send_options import SendOptions

        layout = self.ui.deliverSettingsGroupBox.layout()

        def form(model: type[BaseModel], parameter: str) -> SettingsForm:
            on_changed = functools.partial(self.on_settings, parameter)
            return SettingsForm(model, [(layout, list(model.model_fields))], on_changed)

        self._send_form = form(SendOptions, "sendSettings")
        self._evaluate_form = form(EvaluateOptions, "evaluateSettings")

    def _unsent(self) -> str:
        """Why nothing can be sent; empty if something can."""
        parameters = self.session.parameters
        if not self._saved:
            return _("Save an RTSTRUCT or a DICOM SEG first.")
        if parameters is None or not (parameters.dicomHost.strip() and parameters.calledAE.strip()):
            return _("Give host and AE title of the DICOM node.")
        return ""

    def _show_names(self, node: Any) -> None:
        """Fill the table of names when the segments are others than those shown."""
        if not self.session.ready:
            return
        from HQCSegmentSlicer.segment_names import proposed_names

        names = [] if node is None else _segment_names(node)
        if self._named == (node, names):
            return
        self._named = (node, names)
        fill(self.ui.deliverNamesTable, proposed_names(names), editable={1})


def _segment_names(node: Any) -> list[str]:
    identifiers = vtk.vtkStringArray()
    content = node.GetSegmentation()
    content.GetSegmentIDs(identifiers)
    return [content.GetSegment(identifiers.GetValue(row)).GetName() for row in range(identifiers.GetNumberOfValues())]
