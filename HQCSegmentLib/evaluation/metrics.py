"""How well a segmentation agrees with a reference."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt


def dice(prediction: npt.NDArray[np.bool_], reference: npt.NDArray[np.bool_]) -> float:
    """Dice similarity coefficient 2|A n B| / (|A| + |B|) (Dice 1945; Zijdenbos et al. 1994).

    Args:
        prediction: Mask of any shape.
        reference: Mask of the same shape.

    Returns:
        0 to 1; 1 where both are empty, 0 where only one is.
    """
    total = int(prediction.sum()) + int(reference.sum())
    if total == 0:
        return 1.0
    return 2 * int(np.logical_and(prediction, reference).sum()) / total


def dice_per_structure(
    prediction: npt.NDArray, reference: npt.NDArray, structures: Mapping[int, str]
) -> dict[str, float]:
    """Dice of each structure of two label maps.

    Args:
        prediction: Label map.
        reference: Label map of the same shape.
        structures: Names by label value.
    """
    return {name: dice(prediction == value, reference == value) for value, name in structures.items()}
