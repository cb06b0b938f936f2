"""Predictions of cases by models that were not trained on them, from which post-processing is chosen.

A run with folds keeps those of every fold on disk (`fold*/predictions/`), so that the model of all cases gets the steps
that help the cases of all folds. The folder stays with the run, like `held_out/`: it holds contours of the patients.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from HQCSegmentLib.bundle import Bundle, Certainty
from HQCSegmentLib.files import replacing_folder
from HQCSegmentLib.imaging import Structure
from HQCSegmentLib.inference.postprocessing import Choice, Prediction, choose_cross_fitted
from HQCSegmentLib.training.judging import Judgement
from HQCSegmentLib.training.preparing import JudgedCase

FOLDER = "predictions"

CASES_TO_CHOOSE_BY = 3
"""Cases from which post-processing is chosen; what helps one or two may be chance."""


def predictions_of(found: Sequence[Judgement], cases: Sequence[JudgedCase]) -> list[Prediction]:
    """What the network made of held-out cases, as output indices."""
    by_name = {case.name: case for case in cases}
    return [
        Prediction(
            one.prediction,
            by_name[one.case].reference,
            frozenset(by_name[one.case].known),
            by_name[one.case].prepared.source.spacing,
        ).cropped()
        for one in found
    ]


def write_predictions(run: Path, predictions: Sequence[Prediction]) -> None:
    """Keep the predictions of a fold's run."""
    with replacing_folder(run / FOLDER) as folder:
        for number, one in enumerate(predictions, start=1):
            np.savez_compressed(
                folder / f"{number}.npz",
                predicted=one.predicted,
                reference=one.reference,
                known=sorted(one.known),
                spacing=one.spacing,
            )


def read_predictions(run: Path) -> list[Prediction]:
    """Those of all folds of a run; none where it has no folds."""
    found = []
    for path in sorted(run.glob(f"fold*/{FOLDER}/*.npz")):
        with np.load(path) as kept:
            right, anterior, superior = (float(value) for value in kept["spacing"])
            known = frozenset(int(value) for value in kept["known"])
            found.append(Prediction(kept["predicted"], kept["reference"], known, (right, anterior, superior)))
    return found


def chosen_postprocessing(predictions: Sequence[Prediction], labels: Sequence[Structure]) -> Choice:
    """Steps for the structures of a model; none where the cases are too few to tell.

    Args:
        predictions: With output indices.
        labels: Structures in order of the outputs.
    """
    if len(predictions) < CASES_TO_CHOOSE_BY:
        return Choice({}, {})
    outputs = [structure.model_copy(update={"value": index}) for index, structure in enumerate(labels, start=1)]
    return choose_cross_fitted(predictions, outputs)


def certainty_of_folds(run: Path) -> dict[str, Certainty]:
    """How sure the networks of all folds are, and how right, each on its held-out cases; empty without folds."""
    told = [Bundle.open(path).manifest.training.certainty for path in sorted(run.glob("fold*/bundle"))]
    found = {}
    for name in dict.fromkeys(name for fold in told for name in fold):
        ones = [fold[name] for fold in told if name in fold]
        cases = [one.cases for one in ones]
        found[name] = Certainty(
            cases=sum(cases),
            expected=float(np.average([one.expected for one in ones], weights=cases)),
            dice=float(np.average([one.dice for one in ones], weights=cases)),
        )
    return found
