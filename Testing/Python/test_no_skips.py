"""Where CI is set, a skipped test is a failed one (Testing/conftest.py)."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).resolve().parents[1] / "conftest.py"
SKIPPED = "import pytest\ndef test_it():\n    pytest.skip('no data here')\n"
SKIPPED_BY_MARK = "import pytest\n@pytest.mark.skip(reason='no data here')\ndef test_it():\n    pass\n"
SKIPPED_MODULE = "import pytest\npytest.skip('no data here', allow_module_level=True)\n"
OTHER_PLATFORM = "import pytest\ndef test_it():\n    pytest.skip('other platform: Windows only')\n"
EXPECTED_FAILURE = "import pytest\n@pytest.mark.xfail\ndef test_it():\n    assert False\n"


def run_pytest(folder: Path, source: str, *, ci: bool) -> subprocess.CompletedProcess[str]:
    """Run one test file in a folder that has the conftest."""
    shutil.copy(CONFTEST, folder)
    (folder / "test_one.py").write_text(source)
    (folder / "pytest.ini").write_text("[pytest]\n")
    variables = {name: value for name, value in os.environ.items() if name != "CI"} | ({"CI": "true"} if ci else {})
    command = [sys.executable, "-m", "pytest", "-ra", "-p", "no:cacheprovider"]
    return subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("source", [SKIPPED, SKIPPED_BY_MARK, SKIPPED_MODULE], ids=["call", "mark", "module"])
def test_a_skip_fails_in_ci_with_its_reason(tmp_path: Path, source: str):
    run = run_pytest(tmp_path, source, ci=True)
    assert run.returncode != 0
    assert "skipped, which CI does not allow: no data here" in run.stdout


def test_a_skip_is_a_skip_elsewhere(tmp_path: Path):
    run = run_pytest(tmp_path, SKIPPED, ci=False)
    assert run.returncode == 0
    assert "1 skipped" in run.stdout


@pytest.mark.parametrize(
    ("source", "outcome"),
    [(OTHER_PLATFORM, "1 skipped"), (EXPECTED_FAILURE, "1 xfailed")],
    ids=["other platform", "expected failure"],
)
def test_what_ci_allows(tmp_path: Path, source: str, outcome: str):
    run = run_pytest(tmp_path, source, ci=True)
    assert run.returncode == 0, run.stdout
    assert outcome in run.stdout
