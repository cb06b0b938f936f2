"""bootstrap.py from its first to its last sentence, on a small project that needs no network.

The project stands for the real one: its one dependency and its test runner are wheels of a few lines, and its
"demo" prints what it was called with. Environments, pip, signals and exit codes are real.
"""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
CLOSED_PORT = "http://127.0.0.1:9/simple"
EXIT_OF_DEMO = 7
EXIT_OF_TESTS = 5

PROGRAM = """\
import os, sys
print("called with", *sys.argv[1:])
print("in", os.getcwd())
sys.exit({exit_code})
"""
# A build backend inside the project, so that the link to its source is made without setuptools. While the
# file `hold` exists it waits, which gives a test time to interrupt.
BACKEND = """\
import os, time, zipfile
from pathlib import Path

def build_editable(folder, config_settings=None, metadata_directory=None):
    while Path("hold").exists():
        Path("holding").touch()
        time.sleep(0.05)
    info = "hqcsegment-0.1.0.dist-info/"
    with zipfile.ZipFile(Path(folder, "hqcsegment-0.1.0-py3-none-any.whl"), "w") as wheel:
        wheel.writestr("hqcsegment.pth", os.getcwd())
        wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\\nName: hqcsegment\\nVersion: 0.1.0\\n")
        wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(info + "RECORD", "")
    return "hqcsegment-0.1.0-py3-none-any.whl"
"""
PYPROJECT = """\
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""


def write_wheel(folder: Path, name: str, source: str) -> None:
    """Write a wheel that holds one module."""
    info = f"{name}-1.0.dist-info/"
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{name}.py", source)
        wheel.writestr(info + "METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(info + "RECORD", "")


def wheels_of(project: Path) -> Path:
    """Name the wheel folder. Not in the project: pip reads a space in PIP_FIND_LINKS as two folders."""
    return project.parent / "wheels"


def make_project(root: Path) -> Path:
    """Make the small project, with a folder of wheels beside it."""
    (root / "HQCSegmentLib").mkdir(parents=True)
    wheels_of(root).mkdir()
    shutil.copy(ROOT / "bootstrap.py", root)
    (root / "pyproject.toml").write_text(PYPROJECT)
    (root / "backend.py").write_text(BACKEND)
    (root / "HQCSegmentLib" / "__init__.py").write_text("")
    (root / "HQCSegmentLib" / "__main__.py").write_text("import needed\n" + PROGRAM.format(exit_code=EXIT_OF_DEMO))
    (root / "requirements.lock").write_text("# what it runs with\nneeded==1.0\n")
    (root / "requirements-test.lock").write_text("pytest==1.0\n")
    write_wheel(wheels_of(root), "needed", "")
    write_wheel(wheels_of(root), "pytest", PROGRAM.format(exit_code=EXIT_OF_TESTS))
    return root


def environment(project: Path, **changes: str) -> dict[str, str]:
    """Give the variables of a user whose pip knows the wheel folder and nothing else."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels_of(project))}
    return {**variables, "PIP_CONFIG_FILE": os.devnull, **(changes or offline)}


def call(project: Path, *arguments: str, before: str = "", **changes: str) -> subprocess.CompletedProcess[str]:
    """Call bootstrap.py as a user does; `before` is Python that changes what the interpreter looks like."""
    script = str(project / "bootstrap.py")
    seam = f"import runpy, sys\n{before}\nsys.argv = [{script!r}, *{arguments!r}]\n"
    command = ["-c", f"{seam}runpy.run_path({script!r}, run_name='__main__')"] if before else [script, *arguments]
    return subprocess.run(
        [sys.executable, *command],
        capture_output=True,
        text=True,
        check=False,
        cwd=project.parent,
        env=environment(project, **changes),
    )


def load(project: Path) -> ModuleType:
    """Import the project's bootstrap.py."""
    spec = importlib.util.spec_from_file_location("bootstrap_under_test", project / "bootstrap.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def all_ended(group: int) -> bool:
    """Wait a little for the processes of a group to end, and tell whether they did."""
    for _ in range(200):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def interrupt(project: Path, send: Callable[[subprocess.Popen[str]], None]) -> tuple[int, str]:
    """Stop an installation in its last step; give the exit code and what was said. Its pip must end too."""
    hold = project / "hold"
    hold.touch()
    with subprocess.Popen(
        [sys.executable, str(project / "bootstrap.py"), "demo"],
        stderr=subprocess.PIPE,
        text=True,
        env=environment(project),
        start_new_session=True,
    ) as process:
        while not (project / "holding").exists():
            assert process.poll() is None
            time.sleep(0.05)
        send(process)
        _, said = process.communicate(timeout=30)
    hold.unlink()
    assert all_ended(process.pid)
    return process.returncode, said


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return make_project(tmp_path / "project with a space")


@pytest.fixture
def bootstrap(project: Path) -> ModuleType:
    return load(project)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a project whose environment the demo has made."""
    project = make_project(tmp_path_factory.mktemp("installed") / "project")
    first = call(project, "demo")
    assert first.returncode == EXIT_OF_DEMO, first.stderr
    return project


class TestHelp:
    @pytest.mark.parametrize("word", ["--help", "-h", "help"])
    def test_help_is_no_failure(self, project: Path, word: str):
        run = call(project, word)
        assert run.returncode == 0
        assert "bootstrap.py demo" in run.stdout
        assert "PIP_FIND_LINKS" in run.stdout
        assert not (project / ".venv").exists()

    def test_no_word_teaches(self, project: Path):
        run = call(project)
        assert run.returncode == 2
        assert "bootstrap.py test" in run.stderr
        assert "does not know" not in run.stderr

    def test_a_wrong_word_is_named(self, project: Path):
        run = call(project, "dmeo")
        assert run.returncode == 2
        assert run.stderr.startswith("bootstrap.py does not know 'dmeo'.")
        assert "bootstrap.py demo" in run.stderr


class TestRefusals:
    """What stops before anything is made."""

    def test_the_source_parses_on_old_pythons(self):
        ast.parse((ROOT / "bootstrap.py").read_text(encoding="utf-8"), feature_version=(3, 6))

    def test_an_old_python_meets_a_sentence(self, project: Path):
        run = call(project, "demo", before="sys.version_info = (3, 6, 15, 'final', 0)")
        assert run.returncode == 1
        assert run.stderr.startswith("HQCSegment needs Python 3.11 or newer; this is Python 3.6.15")
        assert "Traceback" not in run.stderr

    def test_a_32_bit_python_meets_a_sentence(self, project: Path):
        run = call(project, "demo", before="sys.maxsize = 2**31 - 1")
        assert run.returncode == 1
        assert run.stderr.startswith("This is a 32-bit Python")

    def test_a_python_without_venv_meets_a_sentence(self, project: Path):
        run = call(project, "demo", before="sys.modules['ensurepip'] = None")
        assert run.returncode == 1
        assert "apt install python3-venv" in run.stderr
        assert not (project / ".venv").exists()

    def test_an_intel_mac_meets_a_sentence(self, bootstrap: ModuleType):
        assert "no current PyTorch for Macs" in bootstrap.machine_problem("darwin", "x86_64")
        assert bootstrap.machine_problem("darwin", "arm64") == ""
        assert bootstrap.machine_problem("linux", "x86_64") == ""

    def test_a_full_disk_meets_a_sentence(self, bootstrap: ModuleType, project: Path, monkeypatch: pytest.MonkeyPatch):
        usage = namedtuple("usage", "total used free")
        monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(0, 0, 1_234_000_000))
        monkeypatch.setattr(bootstrap, "gets_cuda", lambda system: False)
        with pytest.raises(bootstrap.BootstrapError, match=r"1\.2 GB free, about 3 GB needed"):
            bootstrap.prepare(bootstrap.Place(project), "runtime")
        assert not (project / ".venv" / "pyvenv.cfg").exists()

    def test_cuda_needs_more_disk(self, bootstrap: ModuleType, project: Path, monkeypatch: pytest.MonkeyPatch):
        usage = namedtuple("usage", "total used free")
        monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(0, 0, 5 * 10**9))
        monkeypatch.setattr(bootstrap, "gets_cuda", lambda system: True)
        with pytest.raises(bootstrap.BootstrapError, match=r"5\.0 GB free, about 10 GB needed"):
            bootstrap.prepare(bootstrap.Place(project), "test")

    def test_an_environment_of_someone_else_is_left_alone(self, project: Path):
        theirs = project / ".venv" / "pyvenv.cfg"
        theirs.parent.mkdir()
        theirs.write_text("home = /elsewhere")
        run = call(project, "demo")
        assert run.returncode == 1
        assert "was not made by bootstrap.py and is left alone" in run.stderr
        assert [*theirs.parent.iterdir()] == [theirs]

    def test_a_second_installation_at_the_same_time_is_refused(self, bootstrap: ModuleType, project: Path):
        place = bootstrap.Place(project)
        place.venv.mkdir()
        with bootstrap.only_one_installs(place):
            run = call(project, "demo")
        assert run.returncode == 1
        assert run.stderr.startswith("Another bootstrap.py is installing into")

    def test_a_missing_lock_file_is_named(self, project: Path):
        (project / "requirements.lock").unlink()
        run = call(project, "demo")
        assert run.returncode == 1
        assert "requirements.lock" in run.stderr
        assert "Traceback" not in run.stderr


class TestTorchSource:
    """PyTorch's CPU builds are asked for where CUDA would be for nothing and the user chose no source."""

    @pytest.fixture(autouse=True)
    def no_driver(self, bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(shutil, "which", lambda name: None)

    def test_linux_without_driver(self, bootstrap: ModuleType):
        pip_config = "global.cert='/a/certificate.pem'\n:env:.timeout='60'\n"
        assert bootstrap.torch_source("linux", pip_config) == ["--extra-index-url", bootstrap.TORCH_CPU_INDEX]

    def test_linux_with_driver(self, bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/nvidia-smi")
        assert bootstrap.torch_source("linux", "") == []

    @pytest.mark.parametrize("system", ["darwin", "win32"])
    def test_other_systems_have_it_on_pypi(self, bootstrap: ModuleType, system: str):
        assert bootstrap.torch_source(system, "") == []

    @pytest.mark.parametrize(
        "line",
        [
            "global.index-url='https://mirror.example/simple'",
            "user.extra-index-url='https://mirror.example/simple'",
            ":env:.find-links='/wheels'",
            "install.no-index='1'",
        ],
    )
    def test_the_users_own_source_is_kept(self, bootstrap: ModuleType, line: str):
        assert bootstrap.torch_source("linux", line) == []

    def test_pip_tells_of_the_variables(self, project: Path, bootstrap: ModuleType):
        """`pip config list` is asked, not the variables: it must show both."""
        pip = [sys.executable, "-m", "pip", "config", "list"]
        listed = subprocess.run(pip, capture_output=True, text=True, check=True, env=environment(project)).stdout
        assert bootstrap.has_own_source(listed)


class TestExplanations:
    @pytest.mark.parametrize(
        ("output", "sentence"),
        [
            ("OSError: [Errno 28] No space left on device", "The disk ran full"),
            ("SSLError(... CERTIFICATE_VERIFY_FAILED ...)\nMax retries exceeded", "PIP_CERT"),
            ("ProxyError('Cannot connect to proxy.')", "HTTPS_PROXY"),
            ("ERROR: Failed building wheel for pyjpegls", "has no ready build for Python"),
            (
                "ERROR: No matching distribution found for torch==2.13.0",
                "A package is missing for this system",
            ),
        ],
    )
    def test_what_pip_says_is_put_in_words(self, bootstrap: ModuleType, output: str, sentence: str):
        assert sentence in bootstrap.explain(output, "runtime")

    def test_what_is_not_known_is_not_explained(self, bootstrap: ModuleType):
        assert bootstrap.explain("Segmentation fault", "runtime") == ""


class TestWaiting:
    """Where a process cannot be replaced (Windows), bootstrap.py waits for the program, come what may."""

    def test_ctrl_c_is_left_to_the_program(self, bootstrap: ModuleType):
        class Child:
            answers = iter([KeyboardInterrupt, KeyboardInterrupt, 130])

            def wait(self) -> int:
                answer = next(self.answers)
                if answer is KeyboardInterrupt:
                    raise KeyboardInterrupt
                return answer

        assert bootstrap.wait_for(Child()) == 130


@pytest.mark.slow
class TestRealEnvironment:
    def test_a_closed_network_meets_a_sentence(self, project: Path):
        run = call(project, "test", PIP_INDEX_URL=CLOSED_PORT, PIP_RETRIES="1")
        assert run.returncode == 1
        assert "No package server could be reached" in run.stderr
        assert "pip download -r requirements.lock -r requirements-test.lock -d wheels" in run.stderr
        assert "bootstrap.log:" in run.stderr
        assert "Traceback" not in run.stderr

    def test_arguments_and_exit_code_are_passed_on(self, installed: Path):
        run = call(installed, "demo", "--out", "a folder", "--help")
        assert run.returncode == EXIT_OF_DEMO
        assert run.stdout.splitlines() == ["called with demo --out a folder --help", f"in {installed.parent}"]

    def test_a_second_call_installs_nothing(self, installed: Path):
        stamp = installed / ".venv" / "bootstrap-stamp.json"
        before = stamp.stat().st_mtime_ns
        run = call(installed, "demo")
        assert run.stderr == ""
        assert stamp.stat().st_mtime_ns == before

    def test_the_tests_are_added_to_the_demos_environment(self, installed: Path):
        python = installed / ".venv" / "bin" / "python"
        made = python.lstat().st_mtime_ns
        run = call(installed, "test", "-k", "rtstruct")
        assert run.returncode == EXIT_OF_TESTS
        assert run.stdout.splitlines() == ["called with -k rtstruct", f"in {installed}"]
        assert "Installing 2 packages" in run.stderr
        assert python.lstat().st_mtime_ns == made, "the environment was made anew"
        assert call(installed, "demo").stderr == "", "the demo installs again what the tests have"

    def test_all_tests_run_in_several_processes(self, installed: Path):
        assert "--numprocesses" in call(installed, "test").stdout
        assert "--numprocesses" not in call(installed, "test", "Testing/Python").stdout

    def test_setup_only_installs(self, installed: Path):
        run = call(installed, "setup")
        assert run.returncode == 0
        assert run.stdout == ""
        assert "The environment is ready" in run.stderr

    def test_a_failed_update_is_told_and_repaired(self, installed: Path):
        lock = installed / "requirements.lock"
        good = lock.read_text()
        lock.write_text(good + "nowhere==1.0\n")
        failed = call(installed, "demo")
        lock.write_text(good)
        assert failed.returncode == 1
        assert "A package is missing for this system" in failed.stderr
        assert "nowhere" in failed.stderr
        repaired = call(installed, "demo")
        assert repaired.returncode == EXIT_OF_DEMO
        assert "Making" in repaired.stderr

    def test_a_moved_project_is_installed_anew(self, installed: Path):
        moved = installed.rename(installed.with_name("moved"))
        try:
            run = call(moved, "demo")
        finally:
            moved.rename(installed)
        assert "Making" in run.stderr
        assert run.returncode == EXIT_OF_DEMO

    def test_ctrl_c_while_installing_is_told_and_repaired(self, project: Path):
        # In a terminal Ctrl-C reaches all processes in front.
        exit_code, said = interrupt(project, lambda process: os.killpg(process.pid, signal.SIGINT))
        assert exit_code == 130
        assert said.splitlines()[-1].startswith("Interrupted. Call again")
        assert "Traceback" not in said
        assert not (project / ".venv" / "bootstrap-stamp.json").exists()

        second = call(project, "demo")
        assert second.returncode == EXIT_OF_DEMO, second.stderr
        assert "identity" in json.loads((project / ".venv" / "bootstrap-stamp.json").read_text())

    def test_a_termination_leaves_no_pip_behind(self, project: Path):
        exit_code, said = interrupt(project, lambda process: process.terminate())
        assert exit_code == 143
        assert "Traceback" not in said
        assert not (project / ".venv" / "bootstrap-stamp.json").exists()
