"""From a folder of patients to tensors: reading, checking, measuring and preparing cases."""

from HQCSegmentLib.cohort.case import Case, LabelledCase
from HQCSegmentLib.cohort.checks import Finding, check
from HQCSegmentLib.cohort.cohort import Cohort
from HQCSegmentLib.cohort.fingerprint import Fingerprint, fingerprint
from HQCSegmentLib.cohort.preprocessing import Prepared, Preprocessing, prepare, prepare_label
from HQCSegmentLib.cohort.restoring import LabelMap, restore, restore_planes
from HQCSegmentLib.cohort.splits import Split, folds, read_splits, split

__all__ = [
    "Case",
    "Cohort",
    "Finding",
    "Fingerprint",
    "LabelMap",
    "LabelledCase",
    "Prepared",
    "Preprocessing",
    "Split",
    "check",
    "fingerprint",
    "folds",
    "prepare",
    "prepare_label",
    "read_splits",
    "restore",
    "restore_planes",
    "split",
]
