"""Fine-tuning a model on a cohort."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from slicer.i18n import tr as _

from HQCSegmentLib.cli.options import make
from HQCSegmentLib.cli.train_options import TrainOptions
from HQCSegmentLib.errors import InputError, WorkError
from HQCSegmentLib.training.config import TrainConfig
from HQCSegmentSlicer.models import is_bundle
from HQCSegmentSlicer.scene_cohort import Cohort, cohort_folder
from HQCSegmentSlicer.steps import Steps
from HQCSegmentSlicer.tasks.task import Outcome, Task, private_folder

SAVING_S = 60.0
"""A step on a large patch can take this long, and a run saves its state at the end of a step."""

NOT_SETTINGS = ("base", "resume")
"""Parameters of `fine_tune_task` beside the fields of TrainOptions."""


def fine_tune_task(cohort: Cohort, out: Path, parameters: Mapping[str, Any] | None = None) -> Steps[Task]:
    """Steps to the task whose result is the path of the trained bundle.

    Args:
        cohort: Folder, or pairs of volume and segmentation nodes.
        out: Folder of the run.
        parameters: Fields of TrainOptions; and `base` (folder of the model to start from), `resume` (True continues
            the run in `out` with its own settings; of the others only those that are no settings count).

    Raises:
        InputError: if a setting is not possible or a pair of nodes cannot be used.
    """
    parameters = dict(parameters or {})
    base, resume = (parameters.pop(name, None) for name in NOT_SETTINGS)
    unknown = sorted(set(parameters) - set(TrainOptions.model_fields))
    if unknown:
        raise InputError(
            _("There is no setting {name}; known are {names}.").format(
                name=unknown[0], names=", ".join([*TrainOptions.model_fields, *NOT_SETTINGS])
            )
        )
    options: TrainOptions = make(TrainOptions, parameters)  # refused here, in words, before anything is written
    kept = {name: value for name, value in parameters.items() if name in TrainConfig.model_fields}
    with private_folder() as folder:
        source, overlaps = yield from cohort_folder(cohort, folder / "cohort")
        words: list[str | Path] = ["train", source, "--out", out, *options.words()]
        if base:
            words += ["--base", Path(base)]
        if resume:
            words.append("--resume")
        elif kept:
            settings = folder / "settings.json"
            settings.write_text(json.dumps(kept), encoding="utf-8")
            words += ["--config", settings]

    def take_result(outcome: Outcome) -> Path:
        bundle = out / "bundle"
        if not is_bundle(bundle):
            raise WorkError(_("The training ended without a model."))
        return bundle

    return Task(tuple(words), take_result, folder, grace_s=SAVING_S, warnings=tuple(map(str, overlaps)))
