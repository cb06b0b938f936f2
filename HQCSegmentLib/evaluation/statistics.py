"""Numbers of many cases in few: per structure its spread, its pooled ratios, and what failed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from HQCSegmentLib.evaluation.metrics import METRICS, Agreement, Sums, pooled_hd95_mm

POOR_DICE = 0.5
"""Below this Dice a contour is called a failure: most of it would have to be drawn anew."""


@dataclass(frozen=True)
class Comparison:
    """One structure of one case.

    Attributes:
        case: Alias of the case.
        structure: Its name.
        agreement: Of prediction and reference.
    """

    case: str
    structure: str
    agreement: Agreement

    @property
    def failure(self) -> str:
        """What failed, in words; empty where nothing did."""
        found = self.agreement
        if found.reference_ml and not found.predicted_ml:
            return "missed: the reference is drawn, the prediction is empty"
        if found.predicted_ml and not found.reference_ml:
            return "invented: the prediction is drawn, the reference is empty"
        if found.dice == 0:
            return "elsewhere: prediction and reference do not overlap"
        return f"poor: Dice below {POOR_DICE}" if found.dice < POOR_DICE else ""

    def as_row(self) -> dict[str, Any]:
        """Flat, for tables; None where a number is undefined."""
        numbers = {name: getattr(self.agreement, name) for name in METRICS}
        return {
            "case": self.case,
            "structure": self.structure,
            **{name: None if math.isnan(value) else value for name, value in numbers.items()},
        }


@dataclass(frozen=True)
class Spread:
    """One metric over cases.

    Attributes:
        count: Cases for which it is defined.
        mean: Arithmetic mean.
        deviation: Standard deviation of the sample (n - 1); None for one case.
        median: Middle value.
        lower_quartile: A quarter of the cases is lower.
        upper_quartile: A quarter is higher.
        lowest: Least value.
        highest: Greatest value.
    """

    count: int
    mean: float
    deviation: float | None
    median: float
    lower_quartile: float
    upper_quartile: float
    lowest: float
    highest: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread | None:
        """Spread of the values that are defined; None where none is."""
        found = np.array([value for value in values if not math.isnan(value)])
        if not len(found):
            return None
        lower, median, upper = (float(one) for one in np.percentile(found, (25, 50, 75)))
        deviation = float(found.std(ddof=1)) if len(found) > 1 else None
        return cls(
            len(found), float(found.mean()), deviation, median, lower, upper, float(found.min()), float(found.max())
        )


@dataclass(frozen=True)
class StructureSummary:
    """One structure over all cases.

    Attributes:
        structure: Name.
        cases: With a reference, be it empty.
        spreads: By metric; None where it is defined in no case.
        pooled: Sums over cases, as if all were one patient.
        pooled_hd95_mm: HD95 of all surfaces together; nan where no case has both contours.
        missed: Cases in which the reference is drawn and the prediction empty.
        invented: Cases in which the prediction is drawn and the reference empty.
    """

    structure: str
    cases: int
    spreads: dict[str, Spread | None]
    pooled: Sums
    pooled_hd95_mm: float
    missed: int
    invented: int

    @classmethod
    def of(cls, structure: str, comparisons: Sequence[Comparison]) -> StructureSummary:
        """Summary of the comparisons of one structure."""
        found = [one.agreement for one in comparisons]
        return cls(
            structure,
            len(found),
            {name: Spread.of([getattr(one, name) for one in found]) for name in METRICS},
            Sums.of([one.sums for one in found]),
            pooled_hd95_mm(found),
            sum(one.predicted_ml == 0 < one.reference_ml for one in found),
            sum(one.reference_ml == 0 < one.predicted_ml for one in found),
        )

    def mean(self, metric: str) -> float:
        """Mean of a metric over the cases that it is defined for; nan where there is none."""
        spread = self.spreads[metric]
        return spread.mean if spread is not None else math.nan

    def as_json(self) -> dict[str, Any]:
        """As written to `metrics.json`."""
        distance, hd95 = self.pooled.mean_surface_distance_mm, self.pooled_hd95_mm
        return {
            "structure": self.structure,
            "cases": self.cases,
            "missed": self.missed,
            "invented": self.invented,
            "metrics": {name: asdict(spread) if spread else None for name, spread in self.spreads.items()},
            "pooled": {
                "dice": self.pooled.dice,
                "iou": self.pooled.iou,
                "surface_dice": self.pooled.surface_dice,
                "mean_surface_distance_mm": None if math.isnan(distance) else distance,
                "hd95_mm": None if math.isnan(hd95) else hd95,
            },
        }
