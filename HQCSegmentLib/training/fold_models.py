"""The models of all folds as one: an ensemble, or the mean of their trained parts, in place of a last run."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from HQCSegmentLib.bundle import Bundle, common_manifest, join
from HQCSegmentLib.bundle.adapters import Adapter, aggregate
from HQCSegmentLib.cohort import Split
from HQCSegmentLib.errors import InputError
from HQCSegmentLib.evaluation.training_report import write_training_report
from HQCSegmentLib.files import write_json
from HQCSegmentLib.training.config import TrainConfig
from HQCSegmentLib.training.events import EventLog, OnEvent
from HQCSegmentLib.training.out_of_fold import certainty_of_folds, chosen_postprocessing, read_predictions
from HQCSegmentLib.training.outlook import tell_outlook
from HQCSegmentLib.training.record import CONTENTS
from HQCSegmentLib.training.team import Team

NOT_MEASURED = (
    "The Dice is that of the single folds, each on cases that it was not trained on; nobody knows that of the {what} "
    "as a whole, since all cases had a part in it."
)


def check_possible(config: TrainConfig, *, from_base: bool) -> None:
    """Refuse settings whose folds cannot be put together, before anything is trained.

    Raises:
        InputError: for trained parts that do not exist or whose mean means nothing.
    """
    if config.after_folds != "average":
        return
    if config.method == "full":
        msg = "method full leaves no trained part that could be averaged; use after_folds ensemble, or another method."
        raise InputError(msg)
    if not from_base:
        msg = "trained parts are averaged only for models that started from a base; use after_folds ensemble."
        raise InputError(msg)


def put_together(
    folds: Sequence[Path],
    out: Path,
    *,
    base: Bundle | None,
    config: TrainConfig,
    cases: Sequence[str],
    dice: Mapping[str, float],
    team: Team,
    on_event: OnEvent | None,
) -> Bundle:
    """Write the bundle, and record, events and report as those of a run.

    Args:
        folds: Folders of the finished runs.
        out: Folder to write to.
        base: That the folds started from.
        config: Of all folds.
        cases: Aliases of all cases.
        dice: Mean held-out Dice of each structure over the folds.
        team: The processes of the run.
        on_event: Called with each event.
    """
    if team.leads:
        # The folds have the same settings and plan; what differs are the cases.
        for name in ("config.json", CONTENTS):
            (out / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(folds[0] / name, out / name)
        write_json(out / "splits.json", Split(training=tuple(cases), held_out=()).model_dump(mode="json"))
        members = [Bundle.open(folder / "bundle") for folder in folds]
        manifest = common_manifest(members, cases=len(cases), held_out_dice=dice)
        choice = chosen_postprocessing(read_predictions(out), manifest.labels)
        training = manifest.training.model_copy(
            update={"postprocessing_gain": choice.gain, "certainty": certainty_of_folds(out)}
        )
        manifest = manifest.model_copy(update={"training": training, "postprocessing": choice.steps})
        if config.after_folds == "ensemble":
            bundle = join(members, manifest, out / "bundle")
        else:
            mean = aggregate([Adapter.of(member) for member in members])
            description = mean.description.model_copy(update={"manifest": manifest})
            bundle = replace(mean, description=description).apply(base=base, out=out / "bundle")
        log = EventLog(out / "events.jsonl", on_event)
        log.emit("warning", message=NOT_MEASURED.format(what=config.after_folds))
        tell_outlook(log, out, config)
        write_training_report(out, bundle.manifest)
        log.emit("done", bundle="bundle", trainable_numbers=bundle.manifest.training.trainable_numbers, dice=dict(dice))
        log.close()
    team.wait()
    return Bundle.open(out / "bundle")
