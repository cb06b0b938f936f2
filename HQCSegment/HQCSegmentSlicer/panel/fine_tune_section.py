"""3 Fine-tune: a model for this hospital, from the cohort and a model from elsewhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

import slicer
from slicer.i18n import tr as _

from HQCSegmentLib.errors import HQCSegmentError
from HQCSegmentSlicer.panel.cohort_section import cohort_of
from HQCSegmentSlicer.panel.section import Section, in_words, open_in_browser
from HQCSegmentSlicer.panel.session import Session
from HQCSegmentSlicer.panel.setting_fields import choices_of
from HQCSegmentSlicer.panel.settings_form import SettingsForm, settings_from, texts_of
from HQCSegmentSlicer.parameters import chosen
from HQCSegmentSlicer.training_curves import TrainingCurves

COMMON = ("method", "steps", "depth", "readout", "network", "folds", "after_folds", "splits", "device")
"""Settings that are asked for most often; the others follow below them in the model's own order."""

ON_RESUME = ("cache", "tensorboard")
"""What counts also where a run goes on; it remembers all else itself."""


class FineTuneSection(Section):
    """Wires the widgets of FineTune.ui."""

    name = "fineTune"
    cancel_button = "cancelFineTuneButton"
    paths: ClassVar = {"baseLineEdit": "baseFolder", "runFolderLineEdit": "runFolder"}

    def __init__(self, ui: Any, session: Session) -> None:
        super().__init__(ui, session)
        self._form: SettingsForm | None = None
        self._budgets: tuple[str, ...] = ()
        self._curves: TrainingCurves | None = None
        ui.startButton.connect("clicked(bool)", self.on_start)
        ui.resumeButton.connect("clicked(bool)", self.on_resume)
        ui.curvesButton.connect("clicked(bool)", self.on_curves)
        ui.reportButton.connect("clicked(bool)", self.on_report)
        ui.budgetComboBox.connect("currentIndexChanged(int)", self.on_budget)

    def update(self) -> None:
        parameters = self.session.parameters
        self._build_fields()
        if self._form is not None and parameters is not None:
            self._form.show(texts_of(parameters.trainSettings))
            choices = ("", *self._budgets)
            self.ui.budgetComboBox.currentIndex = (
                choices.index(parameters.budget) if parameters.budget in choices else 0
            )
        run = None if parameters is None else chosen(parameters.runFolder)
        begun = self._begun()
        missing = self.missing()
        occupied = _("The run folder holds a run: resume it, or choose another folder.") if begun else ""
        self.enable(self.ui.startButton, tip=_("Fine-tune the base model on the cohort."), missing=missing or occupied)
        nothing = "" if begun else _("The run folder holds no run to continue.")
        self.enable(self.ui.resumeButton, tip=_("Continue where the run stopped."), missing=missing or nothing)
        self.ui.curvesButton.enabled = run is not None and (run / "events.jsonl").is_file()
        self.ui.reportButton.enabled = run is not None and (run / "report.html").is_file()
        checked = self.session.checked
        self.ui.trainStructuresLabel.text = (
            _("those of the cohort; check it to see them")
            if checked is None
            else _("{names} (leave one out with - in 2 Cohort)").format(names=", ".join(checked.structures))
        )
        self.hint(missing or occupied or _("Press Start to fine-tune."))

    def missing(self) -> str:
        """Sentence about what the user still has to choose; empty if nothing."""
        parameters = self.session.parameters
        if parameters is None or not cohort_of(parameters):
            return _("Choose a cohort in section 2.")
        base = chosen(parameters.baseFolder)
        if base is not None and not (base / "bundle.json").is_file():
            return _("The base model must be a folder that holds a bundle.json; leave it empty to start from scratch.")
        if chosen(parameters.runFolder) is None:
            return _("Choose a new folder for the run.")
        return ""

    def on_start(self, _checked: bool = False) -> None:
        """Start a new run."""
        self._start(resume=False)

    def on_resume(self, _checked: bool = False) -> None:
        """Continue the run of the run folder with its own settings."""
        self._start(resume=True)

    def on_event(self, event: dict[str, Any]) -> None:
        super().on_event(event)
        if self._curves is not None:
            self._curves.take(event)
        if event["event"] == "started":
            self.ui.fineTuneResultLabel.text = _("{trained} numbers are trained on {cases} patient(s).").format(
                trained=event.get("trainable_numbers", "?"), cases=event.get("cases", "?")
            )

    def progress_words(self, step: int, of: int, eta_s: float | None) -> str:
        words = super().progress_words(step, of, eta_s)
        dice = None if self._curves is None else self._curves.mean_dice
        return _("Step {words}").format(words=words) + ("" if dice is None else f", Dice {dice:.3f}")

    def on_finished(self, result: Any) -> None:
        from HQCSegmentSlicer.models import held_out_dice

        if self._curves is not None:
            self._curves.flush()
        dice = held_out_dice(result)
        found = ", ".join(f"{name} {value:.3f}" for name, value in dice.items())
        judged = (
            _("Dice on patients that were held out: {dice}.").format(dice=found)
            if found
            else _("No patient was held out, so nothing is known yet of how good the model is.")
        )
        self.ui.fineTuneResultLabel.text = "\n".join([judged, *in_words(self.session.logic.warnings)])
        self.say(_("Done. Read the report before you use the model."))
        if self.session.parameters is not None:
            self.session.parameters.bundleFolder = Path(result)

    def cancelled_words(self) -> str:
        if not self._begun():
            return super().cancelled_words()
        return _("Stopped. What was learned is saved: press Resume to continue.")

    def on_budget(self, index: int) -> None:
        """Keep the chosen budget."""
        parameters = self.session.parameters
        if parameters is not None and 0 <= index <= len(self._budgets):
            parameters.budget = ("", *self._budgets)[index]

    def on_settings(self, texts: dict[str, str]) -> None:
        """Keep the settings, or say which one is not possible."""
        if self.session.parameters is None:
            return
        try:
            self._settings(texts)
        except HQCSegmentError as error:
            self.say(str(error))
            return
        self.session.parameters.trainSettings = json.dumps(texts)
        self.say(_("Settings changed."))

    def on_curves(self, _checked: bool = False) -> None:
        """Show the curves of the run; of an earlier one from its events."""
        if self._curves is None or not self.session.owns_run(self):
            self._curves = TrainingCurves(slicer.mrmlScene)
            self._curves.load(self.session.parameters.runFolder / "events.jsonl")
        self._curves.show()

    def on_report(self, _checked: bool = False) -> None:
        """Open the report of the run."""
        open_in_browser(self.session.parameters.runFolder / "report.html")

    def _start(self, *, resume: bool) -> None:
        parameters = self.session.parameters
        cohort, out = cohort_of(parameters), parameters.runFolder
        self._curves = TrainingCurves(slicer.mrmlScene)
        if resume:
            self._curves.load(out / "events.jsonl")
        self.ui.fineTuneResultLabel.text = ""

        def begin(logic: Any) -> None:
            settings = self._settings(texts_of(parameters.trainSettings))
            if resume:
                settings = {name: value for name, value in settings.items() if name in ON_RESUME}
            more = {"base": chosen(parameters.baseFolder), "resume": resume}
            logic.fineTune(cohort, out, {**settings, **more}, waitForCompletion=False)

        self.start(_("Reading the patients..."), begin)

    def _begun(self) -> bool:
        """Whether the run folder holds a run."""
        run = Path() if self.session.parameters is None else self.session.parameters.runFolder
        return run != Path() and any((run / name).is_file() for name in ("config.json", "folds.json"))

    def _settings(self, texts: dict[str, str]) -> dict[str, Any]:
        """What the user set, the time among it.

        Raises:
            InputError: for a text that is no value of its field.
        """
        from HQCSegmentLib.cli.train_options import TrainOptions

        budget = self.session.parameters.budget
        return settings_from(TrainOptions, {**texts, "budget": budget} if budget else texts)

    def _build_fields(self) -> None:
        """Make the fields once the library's settings can be loaded."""
        if self._form is not None or not self.session.ready:
            return
        from HQCSegmentLib.cli.train_options import TrainOptions

        self._budgets = tuple(choices_of(TrainOptions.model_fields["budget"]))
        combo = self.ui.budgetComboBox
        was_blocked = combo.blockSignals(True)
        combo.addItem(_("usual, at most about 15 minutes"))
        words = {"15min": _("15 minutes"), "1h": _("1 hour"), "overnight": _("overnight (10 hours)")}
        for budget in self._budgets:
            combo.addItem(words.get(budget, budget))
        combo.blockSignals(was_blocked)
        others = [name for name in TrainOptions.model_fields if name not in (*COMMON, "budget")]
        places = ((self.ui.settingsGroupBox.layout(), COMMON), (self.ui.moreSettingsGroupBox.layout(), others))
        self._form = SettingsForm(TrainOptions, places, self.on_settings)
