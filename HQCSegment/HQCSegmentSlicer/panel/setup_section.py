"""1 Set up: are the Python packages there, and what does this computer compute with."""

from __future__ import annotations

from typing import Any

from slicer.i18n import tr as _

from HQCSegmentSlicer.dependencies import ensure_dependencies
from HQCSegmentSlicer.panel.section import Section
from HQCSegmentSlicer.panel.session import Session


class SetUpSection(Section):
    """Wires the widgets of SetUp.ui."""

    name = "setUp"

    def __init__(self, ui: Any, session: Session) -> None:
        super().__init__(ui, session)
        ui.installButton.connect("clicked(bool)", self.on_install)
        ui.deviceButton.connect("clicked(bool)", self.on_device)
        ui.setUpCollapsibleButton.collapsed = session.ready

    def update(self) -> None:
        missing = self.session.missing
        if missing:
            self.ui.packagesLabel.text = _("Python packages that are missing: {names}.").format(
                names=", ".join(missing)
            )
        else:
            self.ui.packagesLabel.text = _("All Python packages are there.")
        self.ui.installButton.enabled = bool(missing) and not self.session.busy
        self.enable(self.ui.deviceButton, tip=_("Say in words what this computer computes with."))
        self.hint(_("Press Install what is missing first.") if missing else _("Ready."))

    def on_install(self, _checked: bool = False) -> None:
        """Ask for and install the packages that are missing."""
        try:
            ensure_dependencies(self.session.requirements)
        except RuntimeError as error:
            self.complain(error)
            return
        self.session.look_for_packages()
        self.say(_("Some packages are still missing.") if self.session.missing else _("Ready."))
        self.session.onChanged.emit()

    def on_device(self, _checked: bool = False) -> None:
        """Ask the library in a child, so that torch is not loaded into Slicer."""
        self.start(_("Looking for devices..."), lambda logic: logic.devices(waitForCompletion=False))

    def on_finished(self, result: Any) -> None:
        self.ui.deviceLabel.text = str(result)
        self.say(_("Ready."))
