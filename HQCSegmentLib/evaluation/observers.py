"""How well people agree with each other, from publications; only values that their own text or table states."""

from __future__ import annotations

from dataclasses import dataclass

VAN_DER_VEEN = "van der Veen et al., Radiat Oncol 2021;16 (doi 10.1186/s13014-020-01677-2)"
HELLER = "Heller et al., Med Image Anal 2021;67:101821 (KiTS19)"
MCCALL = "McCall et al. 2016, as quoted in PMC5709138, Table 3"

ONCOLOGISTS = "median of 14 radiation oncologists against a reference contour, 5 patients"
ANNOTATORS = "agreement of annotators on contrast-enhanced CT"
DOSIMETRISTS = "mean of 13 dosimetrists against two radiation oncologists, 3 patients"


@dataclass(frozen=True)
class ObserverAgreement:
    """Agreement of observers on one structure.

    Attributes:
        dice: Dice coefficient.
        what: Of whom with whom.
        source: Citation.
        mean_surface_distance_mm: Where it was reported.
        hd95_mm: Where it was reported.
    """

    dice: float
    what: str
    source: str
    mean_surface_distance_mm: float | None = None
    hd95_mm: float | None = None


_BY_BASE = {
    "Bone_Mandible": ObserverAgreement(0.9, ONCOLOGISTS, VAN_DER_VEEN, 1.1, 3.4),
    "Brainstem": ObserverAgreement(0.9, ONCOLOGISTS, VAN_DER_VEEN, 1.5, 4.0),
    "Glnd_Submand": ObserverAgreement(0.8, ONCOLOGISTS, VAN_DER_VEEN, 1.2, 3.1),
    "Parotid": ObserverAgreement(0.9, ONCOLOGISTS, VAN_DER_VEEN, 1.9, 5.1),
    "Kidney": ObserverAgreement(0.983, ANNOTATORS, HELLER),
    "Kidneys": ObserverAgreement(0.983, ANNOTATORS, HELLER),
    "Heart": ObserverAgreement(0.91, DOSIMETRISTS, MCCALL),
    "Esophagus": ObserverAgreement(0.74, DOSIMETRISTS, MCCALL),
    "SpinalCord": ObserverAgreement(0.86, DOSIMETRISTS, MCCALL),
    "Lungs": ObserverAgreement(0.96, DOSIMETRISTS, MCCALL),
}
"""By TG-263 name without side."""


def observer_agreement(structure: str) -> ObserverAgreement | None:
    """Published agreement on a structure, by its TG-263 name; None where there is none here."""
    return _BY_BASE.get(structure.removesuffix("_L").removesuffix("_R"))
