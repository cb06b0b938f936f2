"""Fixtures of the Python tests: real data, outside tools, and small DICOM series."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sysconfig
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import dicom_slices
import numpy as np
import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


def skip_unless_ci(reason: str) -> None:
    """On a developer's machine something may be missing; in CI nothing may."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Tests, and the processes that they start, leave the user's cache of prepared images alone."""
    os.environ["HQC_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """Folder of the real cohorts: environment variable HQC_DATA, default ../shared/data."""
    folder = Path(os.environ.get("HQC_DATA", REPOSITORY / ".." / "shared" / "data")).resolve()
    if not folder.is_dir():
        skip_unless_ci(f"no real data: {folder} does not exist (set HQC_DATA)")
    return folder


@pytest.fixture(scope="session")
def tool() -> Callable[[str], str]:
    """Path of an outside program: `tool("dciodvfy")`."""

    def find(name: str) -> str:
        path = shutil.which(name)
        if path is None:
            skip_unless_ci(f"the program {name} is not installed")
        assert path is not None
        return path

    return find


@pytest.fixture(scope="session")
def dicom_errors(tool: Callable[[str], str]) -> Callable[[Path], list[str]]:
    """Lines beginning with "Error" that dciodvfy of the system (Debian: of 2022) reports for a DICOM file."""
    return lambda path: _reported_errors(tool("dciodvfy"), path)


@pytest.fixture(scope="session")
def newest_dicom_errors() -> Callable[[Path], list[str]]:
    """As `dicom_errors`, by the newer dciodvfy of the package dicom3tools, for what the standard has since brought."""
    validator = shutil.which("dciodvfy", path=sysconfig.get_path("scripts"))
    if validator is None:
        skip_unless_ci("the package dicom3tools is not installed")
    assert validator is not None
    return lambda path: _reported_errors(validator, path)


def _reported_errors(validator: str, path: Path) -> list[str]:
    run = subprocess.run([validator, str(path)], capture_output=True, text=True, errors="replace")
    return [line for line in (run.stdout + run.stderr).splitlines() if line.startswith("Error")]


def dice(first: np.ndarray, second: np.ndarray) -> float:
    return 2 * float((first & second).sum()) / float(first.sum() + second.sum())


@pytest.fixture(name="dice", scope="session")
def dice_fixture() -> Callable[[np.ndarray, np.ndarray], float]:
    return dice


@pytest.fixture(scope="session")
def write_slices() -> Callable[..., list[Path]]:
    """Writes a small CT series."""
    return dicom_slices.write_slices


@pytest.fixture(scope="session")
def dicom_cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two synthetic patients, CT and RTSTRUCT; not to be changed."""
    from HQCSegmentLib.demo.cohort import write_cohort
    from HQCSegmentLib.demo.hospital import HOSPITAL_A

    folder = tmp_path_factory.mktemp("dicom") / "cohort"
    write_cohort(folder, hospital=HOSPITAL_A, seeds=[1, 2])
    return folder


@pytest.fixture
def own_dicom_cohort(dicom_cohort: Path, tmp_path: Path) -> Path:
    """A copy to change."""
    return Path(shutil.copytree(dicom_cohort, tmp_path / "cohort"))


def load_tiny() -> ModuleType:
    """The module `tiny.py` beside this file."""
    path = Path(__file__).with_name("tiny.py")
    spec = importlib.util.spec_from_file_location("hqcsegment_tests_tiny", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def tiny() -> ModuleType:
    """Makers of tiny cohorts."""
    return load_tiny()


@pytest.fixture(scope="session")
def tiny_cohort(tmp_path_factory: pytest.TempPathFactory, tiny: ModuleType) -> Path:
    """Folder of a cohort of four tiny patients; not to be changed."""
    return tiny.write_tiny_cohort(tmp_path_factory.mktemp("tiny") / "cohort")


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory, tiny: ModuleType, tiny_cohort: Path) -> Path:
    """Folder of a finished run: all weights trained from scratch, one patient held out."""
    out = tmp_path_factory.mktemp("tiny-run") / "run"
    tiny.train_all_weights(tiny_cohort, out)
    return out


@pytest.fixture(scope="session")
def tiny_bundle(tiny_run: Path) -> Path:
    """Folder of the model of that run; not to be changed."""
    return tiny_run / "bundle"
