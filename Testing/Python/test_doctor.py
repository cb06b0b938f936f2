"""`hqcsegment doctor`: what is there, what is missing, and what to do, also where packages are missing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from command_line import run

from HQCSegmentLib.doctor import packages

REPOSITORY = Path(__file__).resolve().parents[2]


def test_a_complete_installation_is_ready_to_work(tmp_path: Path):
    result = run("doctor", "--json", tmp_path / "doctor.json")
    assert "Ready to work." in result.stdout
    found = {one["subject"]: one for one in json.loads((tmp_path / "doctor.json").read_text())}
    assert {"Python", "packages", "processor", "memory", "circuits", "device cpu"} <= set(found)
    assert "agree" in found["circuits"]["found"]
    assert all(one["advice"] for one in found.values() if one["state"] != "good")


def test_it_asks_for_what_the_package_asks_for():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert set(packages.REQUIREMENTS) <= set(project["dependencies"])
    assert set(project["dependencies"]) <= set(packages.REQUIREMENTS)
    assert project["requires-python"] == ">=" + ".".join(map(str, packages.OLDEST_PYTHON))


def test_a_missing_package_is_said_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(packages, "REQUIREMENTS", ("numpy>=1.26", "no-such-package>=2.1"))
    missing, others = packages.packages()
    assert (missing.subject, missing.state) == ("no-such-package", "missing")
    assert 'pip install "no-such-package>=2.1"' in missing.advice
    assert others.state == "good"
    assert others.found.startswith("numpy ")


def test_a_package_that_is_too_old_is_missing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(packages, "REQUIREMENTS", ("numpy>=999.1",))
    assert "too old" in next(packages.packages()).found


@pytest.mark.parametrize("name", ["torch", "SimpleITK", "pennylane"])
def test_it_runs_where_a_package_is_not_installed(tmp_path: Path, name: str):
    """A finder in front of all others hides the package and what its installation wrote about it."""
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.metadata as m, sys\n"
        f"name = {name!r}\n"
        "class Hide:\n"
        "    def find_spec(self, module, *rest):\n"
        "        if module.split('.')[0] == name:\n"
        "            raise ModuleNotFoundError(f'No module named {module!r}', name=module)\n"
        "sys.meta_path.insert(0, Hide())\n"
        "found = m.version\n"
        "def version(wanted):\n"
        "    if wanted == name:\n"
        "        raise m.PackageNotFoundError(wanted)\n"
        "    return found(wanted)\n"
        "m.version = version\n"
    )
    path = os.pathsep.join([str(tmp_path), str(REPOSITORY), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", "HQCSegmentLib", "doctor"]
    result = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path})
    assert result.returncode == 1, result.stderr
    assert f"missing: {name}: not installed" in result.stdout
    assert f"Missing: {name}." in result.stdout
