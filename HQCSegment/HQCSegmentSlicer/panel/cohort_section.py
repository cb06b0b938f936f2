"""2 Cohort: the patients to learn from, what is wrong with them, and what their structures are called."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import slicer.util
from slicer.i18n import tr as _

from HQCSegmentLib.errors import HQCSegmentError
from HQCSegmentSlicer.panel.section import Section, open_in_browser
from HQCSegmentSlicer.panel.session import Session
from HQCSegmentSlicer.panel.tables import fill, names_in, text_at
from HQCSegmentSlicer.parameters import CohortSource, chosen

if TYPE_CHECKING:
    from HQCSegmentSlicer.scene_cohort import Cohort
    from HQCSegmentSlicer.tasks import CheckResult


class CohortSection(Section):
    """Wires the widgets of Cohort.ui."""

    name = "cohort"
    cancel_button = "cancelCheckButton"
    paths: ClassVar = {"cohortFolderLineEdit": "cohortFolder"}

    def __init__(self, ui: Any, session: Session) -> None:
        super().__init__(ui, session)
        self._page_folder: tempfile.TemporaryDirectory[str] | None = None
        self._checked_cohort: Any = None
        ui.addPairButton.connect("clicked(bool)", self.on_add_pair)
        ui.removePairButton.connect("clicked(bool)", self.on_remove_pair)
        ui.checkButton.connect("clicked(bool)", self.on_check)
        ui.checkPageButton.connect("clicked(bool)", self.on_page)
        ui.saveNamesButton.connect("clicked(bool)", self.on_save_names)
        ui.casesTable.connect("itemSelectionChanged()", self.show_findings)
        ui.casesTable.connect("cellDoubleClicked(int,int)", self.on_show_case)
        for selector in (ui.pairVolumeSelector, ui.pairSegmentationSelector):
            selector.connect("currentNodeChanged(vtkMRMLNode*)", lambda _node: self.update())

    def close(self) -> None:
        """Remove the page with pictures."""
        if self._page_folder is not None:
            self._page_folder.cleanup()
            self._page_folder = None

    def update(self) -> None:
        parameters = self.session.parameters
        in_scene = parameters is not None and parameters.cohortSource == CohortSource.scene
        self.ui.cohortFolderPage.visible = not in_scene
        self.ui.cohortScenePage.visible = in_scene
        pairs = [] if parameters is None else pairs_of(parameters)
        rows = [
            (f"case{number:02d}", volume.GetName(), segmentation.GetName())
            for number, (volume, segmentation) in enumerate(pairs, start=1)
        ]
        fill(self.ui.pairsTable, rows)
        self.ui.addPairButton.enabled = bool(
            self.ui.pairVolumeSelector.currentNode() and self.ui.pairSegmentationSelector.currentNode()
        )
        self.ui.removePairButton.enabled = bool(rows)
        cohort = None if parameters is None else cohort_of(parameters)
        missing = "" if cohort else _("Choose a folder, or add patients of the scene.")
        tip = _("Read every patient and say what is wrong or odd, and what to do about it.")
        self.enable(self.ui.checkButton, tip=tip, missing=missing)
        if self.session.checked is not None and cohort != self._checked_cohort and not self.session.busy:
            self.forget()
        checked = self.session.checked
        self.ui.checkResultPage.visible = checked is not None
        self.ui.checkPageButton.enabled = checked is not None and checked.page is not None
        names = checked is not None and isinstance(cohort, Path)
        self.enable(
            self.ui.saveNamesButton,
            tip=_("Write names.csv into the cohort's folder; it is used from then on."),
            missing="" if names else _("Check a cohort in a folder first; segments of the scene are renamed there."),
        )
        self.hint(missing or _("Press Check."))

    def on_add_pair(self, _checked: bool = False) -> None:
        """Add the chosen volume and segmentation; a volume that is listed gets the new segmentation."""
        parameters = self.session.parameters
        volume, segmentation = self.ui.pairVolumeSelector.currentNode(), self.ui.pairSegmentationSelector.currentNode()
        pairs = [pair for pair in pairs_of(parameters) if pair[0] is not volume]
        set_pairs(parameters, [*pairs, (volume, segmentation)])

    def on_remove_pair(self, _checked: bool = False) -> None:
        """Take the marked patient off the list."""
        pairs = pairs_of(self.session.parameters)
        row = self.ui.pairsTable.currentRow()
        if 0 <= row < len(pairs):
            set_pairs(self.session.parameters, [*pairs[:row], *pairs[row + 1 :]])

    def on_check(self, _checked: bool = False) -> None:
        """Check the cohort in a child process."""
        self.forget()
        cohort = cohort_of(self.session.parameters)
        self._checked_cohort = cohort
        self._page_folder = tempfile.TemporaryDirectory(prefix="HQCSegment-check-", ignore_cleanup_errors=True)
        page = Path(self._page_folder.name) / "check.html"
        self.start(_("Reading the patients..."), lambda logic: logic.checkCohort(cohort, page, waitForCompletion=False))

    def progress_words(self, step: int, of: int, eta_s: float | None) -> str:
        return _("Checking patient {step} of {of}").format(step=step, of=of)

    def on_finished(self, result: Any) -> None:
        if isinstance(result, tuple):  # a patient that was double-clicked
            volume_node, _segmentation_node = result
            slicer.util.setSliceViewerLayers(background=volume_node, fit=True)
            self.say(_("{name} is shown.").format(name=volume_node.GetName()))
            return
        self.session.checked = result
        self.show_result(result)

    def show_result(self, result: CheckResult) -> None:
        """Fill the tables, and say in one sentence what was found."""
        fill(self.ui.casesTable, [(case, words_for(result, case)) for case in result.cases])
        self.show_findings()
        self.show_names(result)
        errors, warnings = result.count("error"), result.count("warning")
        counts = _("{cases} patient(s): {errors} error(s), {warnings} warning(s).").format(
            cases=len(result.cases), errors=errors, warnings=warnings
        )
        advice = _("Errors keep a patient from being learned from.") if errors else _("Ready to fine-tune.")
        self.say(f"{counts} {advice}")

    def show_findings(self) -> None:
        """Show the findings of the marked case; of all cases where none is marked."""
        result = self.session.checked
        if result is None:
            return
        case = text_at(self.ui.casesTable, self.ui.casesTable.currentRow(), 0)
        shown = [one for one in result.findings if not case or one["case"] in (case, "")]
        fill(self.ui.findingsTable, [(one["severity"], one["structure"], one["message"]) for one in shown])

    def show_names(self, result: CheckResult) -> None:
        """Show under which names structures are learned, with proposals for those that are not TG-263 yet."""
        from HQCSegmentLib.naming import TABLE, propose, read_table

        table: dict[str, str] = {}
        cohort = self._checked_cohort
        if isinstance(cohort, Path) and (cohort / TABLE).is_file():
            try:
                table = read_table(cohort / TABLE)
            except HQCSegmentError as error:
                self.say(str(error))
        proposals = propose(result.local_names)
        rows = [(one.name, table.get(one.name) or one.tg263_name or one.name) for one in proposals]
        fill(self.ui.namesTable, rows, editable={1})

    def on_show_case(self, row: int, _column: int) -> None:
        """Load the double-clicked patient into the scene, or show it where it is there."""
        case = text_at(self.ui.casesTable, row, 0)
        cohort = self._checked_cohort
        if not isinstance(cohort, Path):
            pairs = {f"case{number:02d}": pair for number, pair in enumerate(cohort, start=1)}
            self.on_finished(pairs[case])
            return
        self.start(
            _("Loading {case}...").format(case=case),
            lambda logic: logic.showCase(cohort, case, waitForCompletion=False),
        )

    def on_save_names(self, _checked: bool = False) -> None:
        """Write the table of names; the next check uses it."""
        from HQCSegmentLib.naming import TABLE, save_names

        try:
            save_names(self._checked_cohort / TABLE, names_in(self.ui.namesTable))
        except (HQCSegmentError, OSError) as error:
            self.complain(error)
            return
        self.say(_("The names are saved; press Check to see the cohort with them."))

    def on_page(self, _checked: bool = False) -> None:
        """Show the page with pictures."""
        open_in_browser(self.session.checked.page)

    def on_failed(self, error: Exception) -> None:
        super().on_failed(error)
        if self.session.checked is None:
            self._checked_cohort = None

    def forget(self) -> None:
        """Drop what an earlier check found."""
        self.session.checked = None
        self.close()
        for table in (self.ui.casesTable, self.ui.findingsTable, self.ui.namesTable):
            fill(table, [])


def pairs_of(parameters: Any) -> list[tuple[Any, Any]]:
    """Patients of the scene that are on the list; nodes that were deleted are left out."""
    pairs = zip(parameters.cohortVolumes, parameters.cohortSegmentations, strict=False)
    return [(volume, segmentation) for volume, segmentation in pairs if volume and segmentation]


def set_pairs(parameters: Any, pairs: list[tuple[Any, Any]]) -> None:
    """Put patients of the scene on the list."""
    with slicer.util.NodeModify(parameters):
        parameters.cohortVolumes = [volume for volume, _segmentation in pairs]
        parameters.cohortSegmentations = [segmentation for _volume, segmentation in pairs]


def cohort_of(parameters: Any) -> Cohort | None:
    """The cohort that is chosen: a folder, or pairs of the scene; None where none is."""
    if parameters.cohortSource == CohortSource.scene:
        return pairs_of(parameters) or None
    return chosen(parameters.cohortFolder)


def words_for(result: CheckResult, case: str) -> str:
    """How many findings a case has, in words."""
    counts = {
        _("error(s)"): result.count("error", case),
        _("warning(s)"): result.count("warning", case),
        _("note(s)"): result.count("note", case),
    }
    return ", ".join(f"{count} {name}" for name, count in counts.items() if count) or _("nothing")
