"""The same patient or the same image under two names, which would be trained on and judged by at once."""

from __future__ import annotations

from collections.abc import Sequence

from HQCSegmentLib.cohort.case import Case
from HQCSegmentLib.cohort.checks.facts import CaseFacts
from HQCSegmentLib.cohort.checks.finding import Finding

SAME_CORRELATION = 0.95
"""Correlation of the fine texture above which two images are of the same scan, saved again with another scale, number
type or compression; between patients it is below 0.5 (measured on CT and MR)."""

ADVICE = "Keep one of them, or give both the same patient in cohort.json."


def same_image(cases: Sequence[CaseFacts]) -> list[Finding]:
    """Pairs of cases of different patients with the same image, voxel by voxel or nearly so."""
    findings = []
    for later, one in enumerate(cases):
        for other in cases[:later]:
            alike = None if one.case.patient == other.case.patient else _alike(one, other)
            if alike is None:
                continue
            message = f"case {one.name}: {alike} case {other.name}, but they count as two patients."
            findings.append(Finding(one.name, "", "warning", "duplicate-image", message, ADVICE))
            break
    return findings


def _alike(one: CaseFacts, other: CaseFacts) -> str | None:
    """How the first images of two cases that are alike are so, in words; None if none are."""
    for own, there in zip(one.channels, other.channels, strict=True):
        # Images without content are all alike, and said for themselves.
        is_same = own.digest == there.digest and bool(own.signature.any())
        if is_same or (one.shape == other.shape and float(own.signature @ there.signature) > SAME_CORRELATION):
            return f"{own.subject} is {'' if is_same else 'nearly '}the same as that of"
    return None


def same_patient(cases: Sequence[Case]) -> list[Finding]:
    """Cases of different patients whose DICOM headers name the same one; the identity itself is not said."""
    identities = {case.name: identity for case in cases if (identity := _identity(case))}
    patients = {case.patient for case in cases if case.name in identities}
    if len(patients) > 2 and len(set(identities.values())) == 1:
        message = "all cases have the same Patient ID in their DICOM headers, as some anonymised exports do."
        advice = "Cases of one patient cannot be told by it: give them the same patient in cohort.json."
        return [Finding("", "", "note", "one-patient-id", message, advice)]
    first: dict[str, Case] = {}
    findings = []
    for case in cases:
        if case.name not in identities:
            continue
        other = first.setdefault(identities[case.name], case)
        if other.patient != case.patient:
            message = (
                f"case {case.name}: its DICOM headers name the same patient as those of case {other.name}, but they "
                "count as two patients."
            )
            findings.append(Finding(case.name, "", "warning", "duplicate-patient", message, ADVICE))
    return findings


def _identity(case: Case) -> str:
    """Patient ID of the case's contours, or of its image; empty where there is none. Compared, never shown."""
    from HQCSegmentLib.imaging.dicom_series import read_tags

    files = [case.label]
    if case.image.is_dir():
        files += [path for path in sorted(case.image.rglob("*")) if path.is_file()][:20]
    for file in files:
        header = read_tags(file, ["PatientID"]) if file.is_file() else None
        identity = str(header.get("PatientID") or "").strip() if header is not None else ""
        if identity:
            return identity
    return ""
