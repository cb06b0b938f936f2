"""Names of structures that leave something to be decided."""

from __future__ import annotations

from collections.abc import Iterable

from HQCSegmentLib.cohort.checks.finding import Finding
from HQCSegmentLib.naming import propose


def unclear_names(names: Iterable[str]) -> list[Finding]:
    """Names of one-sided structures without a side, and misspelt ones; other local names are kept as they are."""
    findings = []
    for proposal in propose(names):
        name = proposal.name
        if proposal.match == "no side":
            message = f"{name} does not say which side it is, and it is not guessed."
            severity = "warning"
            more = " (a plural, such as Kidneys, where both sides are drawn as one)"
        elif proposal.match == "similar":
            message = f"{name} is spelt like {proposal.tg263_name}, but is kept as it is."
            severity = "note"
            more = ""
        else:
            continue
        advice = f"Write the table of names with --write-names, and put the TG-263 name in it{more}."
        findings.append(Finding("", name, severity, f"name-{proposal.match.replace(' ', '-')}", message, advice))  # type: ignore[arg-type]
    return findings
