"""What holds for all tests: in continuous integration nothing may be skipped in silence.

A skip that is right elsewhere (no data, no such program) would hide that a test never runs. With the variable
CI set, a skip counts as a failure; except one for another system, whose reason starts with OTHER_PLATFORM.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Generator

import pytest

# Several processes of tests share the cores; each, and its children, compute with one thread.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ["OMP_NUM_THREADS"] = "1"

# A shell that runs tests in the background has Ctrl-C ignored, in their children as well, and some tests press it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

OTHER_PLATFORM = "other platform:"

Report = pytest.TestReport | pytest.CollectReport


def fail_if_skipped(report: Report) -> None:
    """Turn the report of a skip into that of a failure with the same reason."""
    is_expected_failure = hasattr(report, "wasxfail")
    if "CI" not in os.environ or not report.skipped or is_expected_failure:
        return
    reason = skip_reason(report)
    if not reason.startswith(OTHER_PLATFORM):
        report.outcome = "failed"
        report.longrepr = f"skipped, which CI does not allow: {reason}"


def skip_reason(report: Report) -> str:
    """Give the reason of a skip as its author wrote it."""
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return text.removeprefix("Skipped: ")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    fail_if_skipped(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    fail_if_skipped(report)
    return report
