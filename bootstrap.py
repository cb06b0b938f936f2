#!/usr/bin/env python3
"""Make the environment of HQCSegment beside this file, and run the demo or the tests in it.

Standard library only. The file parses and imports on Python 3.6, so that an old Python meets a sentence and
not a SyntaxError: no newer syntax, type hints stay quoted. What runs after the version check may use more.
"""

import contextlib
import hashlib
import importlib.util
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

MINIMUM_PYTHON = (3, 11)
GIGABYTE = 10**9
# What .venv with PyTorch's CPU build takes, and pip's temporary files, with some room.
DISK_NEEDED = {"runtime": 3 * GIGABYTE, "test": 4 * GIGABYTE}
# What PyTorch with CUDA takes more: PyPI's build for Linux brings NVIDIA's libraries.
DISK_NEEDED_MORE_FOR_CUDA = 6 * GIGABYTE
TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
LOCKS = {"runtime": ("requirements.lock",), "test": ("requirements.lock", "requirements-test.lock")}
PROFILE_OF_WORD = {"demo": "runtime", "test": "test", "setup": "test"}
# One process for each core; a few tests would only wait for these to start.
ALL_TESTS = ("--numprocesses=auto", "--maxprocesses=4", "--dist=worksteal")
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143
LOG_LINES_SHOWN = 8
TICKER_WIDTH = 76

HELP = """\
HQCSegment without installing anything by hand. Research use only, not a medical device.

  python3 bootstrap.py demo [...]   the whole way on synthetic patients: no data of your own needed
  python3 bootstrap.py test [...]   run the tests; what follows goes to pytest
  python3 bootstrap.py setup        only make the environment, with the tools of the tests

The first call makes the folder .venv beside this file and installs what HQCSegment needs into it: about 3 GB
from the internet, some minutes. Later calls start at once. To start anew, delete .venv. On Windows write "py"
for "python3".

  python3 bootstrap.py demo --out my-demo     where the demo writes its files
  python3 bootstrap.py demo --help            what else the demo can do
  python3 bootstrap.py test -k rtstruct       only the tests about RTSTRUCT

"""

OFFLINE_HELP = """\
Without internet: on a computer with internet, the same system and the same Python, run
  pip download -r {locks} -d wheels
copy the folder here, set the environment variables PIP_NO_INDEX=1 and PIP_FIND_LINKS=/path/to/wheels (a path
without spaces: pip reads them as separators), and call again.
"""

# What pip prints when something common is wrong, and what to say then. The first that fits is said.
EXPLANATIONS = (
    (
        ("No space left on device", "not enough space on the disk"),
        "The disk ran full (pip unpacks in {tmp}; TMPDIR names another folder). Make room and call again.",
    ),
    (
        ("CERTIFICATE_VERIFY_FAILED", "SSLError"),
        "The package server's certificate was not accepted. Many hospital networks put their own in its "
        "place: ask the IT department for it as a .pem file, set the environment variable "
        "PIP_CERT=/path/to/it.pem, and call again.",
    ),
    (
        (
            "NewConnectionError",
            "ConnectTimeoutError",
            "ReadTimeoutError",
            "ProxyError",
            "NameResolutionError",
        ),
        "No package server could be reached: the network is closed or needs a proxy (environment variable "
        "HTTPS_PROXY).\n" + OFFLINE_HELP,
    ),
    (
        ("Failed building wheel", "Failed to build", "Microsoft Visual C++"),
        "A package has no ready build for Python {python} on this system, and building it here failed. "
        "HQCSegment is tested with Python 3.11 to 3.13: call bootstrap.py with one of these.",
    ),
    (
        ("No matching distribution found",),
        "A package is missing for this system and Python {python}, or in the folder or server that pip was "
        "told to use (see 'pip config list'). HQCSegment is tested with Python 3.11 to 3.13.",
    ),
)


class BootstrapError(Exception):
    """Something the user can act on; the message says what is wrong and what to do."""


class Place:
    """The project folder and what bootstrap.py keeps in its .venv."""

    def __init__(self, root: "Path") -> None:
        self.root = root
        self.venv = root / ".venv"
        self.stamp = self.venv / "bootstrap-stamp.json"
        self.log = self.venv / "bootstrap.log"
        # Also the sign that this .venv was made here and may be cleared.
        self.lock = self.venv / "bootstrap.lock"

    @property
    def python(self) -> "Path":
        return self.venv / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def say(text: str = "") -> None:
    """Tell the user something; standard output stays with the program that is run."""
    print(text, file=sys.stderr, flush=True)


# --- what is checked before anything is made ------------------------------------------------------


def python_problem(version: "tuple[int, ...]", largest_index: int) -> str:
    """Say why this Python cannot be used, or nothing."""
    needed = ".".join(str(part) for part in MINIMUM_PYTHON)
    if tuple(version[:2]) < MINIMUM_PYTHON:
        have = ".".join(str(part) for part in version[:3])
        return (
            f"HQCSegment needs Python {needed} or newer; this is Python {have} ({sys.executable}). Install a "
            f"newer one from your system's packages or python.org and call it by its name, for example: "
            f"python{needed} bootstrap.py demo"
        )
    if largest_index <= 2**32:
        return f"This is a 32-bit Python ({sys.executable}); PyTorch needs a 64-bit one, as on python.org."
    return ""


def machine_problem(system: str, machine: str) -> str:
    """Say why this computer cannot be used, or nothing."""
    if system == "darwin" and machine == "x86_64":
        return (
            "There is no current PyTorch for Macs with an Intel processor. If yours has an Apple processor, "
            "this Python is an Intel build: install the one from python.org."
        )
    return ""


def venv_problem() -> str:
    """Say what is missing to make a virtual environment, or nothing."""
    if importlib.util.find_spec("venv") and importlib.util.find_spec("ensurepip"):
        return ""
    return (
        f"This Python ({sys.executable}) cannot make virtual environments: its modules venv and ensurepip "
        "are missing. On Debian and Ubuntu: apt install python3-venv. Elsewhere: the Python from python.org."
    )


def disk_problem(folder: "Path", needed: int) -> str:
    """Say that the disk is too full, or nothing."""
    free = shutil.disk_usage(folder).free
    if free >= needed:
        return ""
    return (
        f"Too little disk space for {folder}: {free / GIGABYTE:.1f} GB free, "
        f"about {needed / GIGABYTE:.0f} GB needed. Make room, or put the project on another disk."
    )


def refuse(problem: str) -> None:
    """Stop with the sentence, if there is one."""
    if problem:
        raise BootstrapError(problem)


def refuse_foreign_environment(place: "Place") -> None:
    """Leave a .venv alone that someone else made: bootstrap.py clears its own ones when they are broken."""
    if place.venv.exists() and any(place.venv.iterdir()) and not place.lock.exists():
        raise BootstrapError(
            f"{place.venv} was not made by bootstrap.py and is left alone. Run its own Python "
            f"({place.python} -m HQCSegmentLib demo), or rename the folder and call again."
        )


# --- is the environment there and finished? -------------------------------------------------------


def identity(place: "Place") -> str:
    """Name what an environment cannot outlive: its Python, and its place, which scripts and links name."""
    return f"Python {sys.version_info[0]}.{sys.version_info[1]} in {place.root}"


def fingerprint(place: "Place", profile: str) -> str:
    """Hash all that decides which packages are installed."""
    digest = hashlib.sha256(identity(place).encode())
    for name in (*LOCKS[profile], "pyproject.toml"):
        digest.update((place.root / name).read_bytes())
    return digest.hexdigest()


def read_stamp(place: "Place") -> "dict[str, str]":
    """Read what was installed to its end; nothing when there is none or it is damaged."""
    try:
        stamp = json.loads(place.stamp.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def write_stamp(place: "Place", profile: str) -> None:
    """Note in one step what is now installed; the tests' environment serves the demo as well."""
    profiles = ("runtime", "test") if profile == "test" else ("runtime",)
    stamp = {name: fingerprint(place, name) for name in profiles}
    stamp["identity"] = identity(place)
    unfinished = place.stamp.with_suffix(".tmp")
    unfinished.write_text(json.dumps(stamp, indent=2), encoding="utf-8")
    unfinished.replace(place.stamp)


def is_ready(place: "Place", profile: str) -> bool:
    return read_stamp(place).get(profile) == fingerprint(place, profile) and place.python.exists()


def can_be_updated(place: "Place") -> bool:
    """Tell a finished environment with older packages from one that is broken, moved or unfinished."""
    return place.python.exists() and read_stamp(place).get("identity") == identity(place)


# --- making it ------------------------------------------------------------------------------------


@contextlib.contextmanager
def only_one_installs(place: "Place") -> "Iterator[None]":
    """Hold the lock of this environment. The system lets go of it when the process ends, however it ends."""
    with place.lock.open("a", encoding="utf-8") as handle:
        try:
            if sys.platform == "win32":
                handle.seek(0)
                msvcrt.locking(handle.fileno(), msvcrt.LK_NBLCK, 1)
            else:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            raise BootstrapError(
                f"Another bootstrap.py is installing into {place.venv} just now. Wait until it is done, "
                "then call again."
            ) from None
        yield


def clear(place: "Place") -> None:
    """Empty the environment, but for the lock that is held."""
    for entry in place.venv.iterdir():
        if entry == place.lock:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def has_own_source(pip_config: str) -> bool:
    """Whether the user told pip, by variable or file, where packages come from."""
    options = {line.split("=", 1)[0].rsplit(".", 1)[-1] for line in pip_config.splitlines()}
    return not options.isdisjoint({"index-url", "extra-index-url", "find-links", "no-index"})


def gets_cuda(system: str) -> bool:
    """Whether PyTorch with CUDA is wanted: PyPI has it for Linux, and it is of no use without the driver."""
    return system == "linux" and shutil.which("nvidia-smi") is not None


def torch_source(system: str, pip_config: str) -> "list[str]":
    """Give pip PyTorch's own CPU builds where PyPI's several GB of CUDA would be installed for nothing."""
    if system != "linux" or gets_cuda(system) or has_own_source(pip_config):
        return []
    return ["--extra-index-url", TORCH_CPU_INDEX]


def explain(output: str, profile: str) -> str:
    """Say in words what pip's output means, or nothing."""
    for signs, sentence in EXPLANATIONS:
        if any(sign in output for sign in signs):
            version = f"{sys.version_info[0]}.{sys.version_info[1]}"
            return sentence.format(tmp=tempfile.gettempdir(), python=version, locks=" -r ".join(LOCKS[profile]))
    return ""


def show_ticker(text: str) -> None:
    """Overwrite one line of a terminal; a file or a pipe gets none."""
    if sys.stderr.isatty():
        sys.stderr.write("\r" + text[:TICKER_WIDTH].ljust(TICKER_WIDTH) + ("" if text else "\r"))
        sys.stderr.flush()


def follow(child: "subprocess.Popen[str]", log: "TextIO") -> str:
    """Copy what the child prints into the log until it ends, and return it. The child never outlives this."""
    lines = []
    assert child.stdout is not None
    try:
        for line in child.stdout:
            log.write(line)
            lines.append(line)
            if line.startswith(("Collecting ", "Processing ", "Installing ")):
                show_ticker("  " + line.split(" (from")[0].strip())
        child.wait()
    except BaseException:
        child.terminate()
        child.wait()
        raise
    finally:
        show_ticker("")
    return "".join(lines)


def run_logged(place: "Place", command: "list[str]") -> "tuple[int, str]":
    """Run a command with its output in the log; return its exit code and output."""
    child = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    )
    with place.log.open("a", encoding="utf-8") as log:
        output = follow(child, log)
    return child.returncode, output


def run_step(place: "Place", profile: str, title: str, command: "list[str]") -> None:
    """Do one step of the installation; a failure is told with pip's last words and the place of the log."""
    say(title + " ...")
    status, output = run_logged(place, command)
    if status == 0:
        return
    last_words = "\n".join("  | " + line for line in output.splitlines()[-LOG_LINES_SHOWN:])
    sentence = explain(output, profile) or "The installation failed."
    raise BootstrapError(f"{sentence.rstrip()}\nThe last lines of {place.log}:\n{last_words}")


def count_pins(lock: str) -> int:
    return sum("==" in line for line in lock.splitlines() if not line.startswith("#"))


def make_venv(place: "Place", profile: str) -> None:
    """Make an empty environment; what an interrupted installation left is thrown away."""
    clear(place)
    needed = DISK_NEEDED[profile] + (DISK_NEEDED_MORE_FOR_CUDA if gets_cuda(sys.platform) else 0)
    refuse(disk_problem(place.root, needed))
    run_step(place, profile, f"Making {place.venv}", [sys.executable, "-m", "venv", str(place.venv)])


def install_packages(place: "Place", profile: str) -> None:
    """Install the locked packages, then this package as a link to its source."""
    pip = [str(place.python), "-m", "pip", "--disable-pip-version-check", "--no-input"]
    pip_config = subprocess.run([*pip, "config", "list"], capture_output=True, text=True, check=False).stdout
    locks = [place.root / name for name in LOCKS[profile]]
    count = sum(count_pins(lock.read_text(encoding="utf-8")) for lock in locks)
    requirements = [part for lock in locks for part in ("-r", str(lock))]
    run_step(
        place,
        profile,
        f"Installing {count} packages (the first time this takes some minutes)",
        [*pip, "install", "--progress-bar", "off", *torch_source(sys.platform, pip_config), *requirements],
    )
    # No build isolation: the locked setuptools is there, so that an offline wheel folder needs nothing more.
    link = [*pip, "install", "--no-deps", "--no-build-isolation", "-e", str(place.root)]
    run_step(place, profile, "Installing HQCSegment", link)


def prepare(place: "Place", profile: str) -> None:
    """See to it that the environment is there and finished. Quick when it is."""
    refuse_foreign_environment(place)
    if is_ready(place, profile):
        return
    refuse(machine_problem(sys.platform, platform.machine()))
    refuse(venv_problem())
    place.venv.mkdir(exist_ok=True)
    with only_one_installs(place):
        started = time.monotonic()
        update = can_be_updated(place)
        # Without its stamp the environment counts as broken: so it is until the last step is done.
        place.stamp.unlink(missing_ok=True)
        if not update:
            make_venv(place, profile)
        install_packages(place, profile)
        write_stamp(place, profile)
        say(f"Ready after {time.monotonic() - started:.0f} s. What pip did is in {place.log}")


# --- running --------------------------------------------------------------------------------------


def command_of(place: "Place", word: str, arguments: "list[str]") -> "list[str]":
    """Give the command line that a word stands for."""
    if word == "demo":
        return [str(place.python), "-m", "HQCSegmentLib", "demo", *arguments]
    return [str(place.python), "-m", "pytest", *(arguments or ALL_TESTS)]


def wait_for(child: "subprocess.Popen[bytes]") -> int:
    """Wait for the child's exit code. Ctrl-C reaches it too: it saves its state and ends by itself."""
    while True:
        try:
            return child.wait()
        except KeyboardInterrupt:
            continue


def hand_over(command: "list[str]") -> int:
    """Let the command take this process's place, with signals and exit code; Windows can only wait for it."""
    if sys.platform == "win32":
        return wait_for(subprocess.Popen(command))
    os.execv(command[0], command)


def run_word(place: "Place", word: str, arguments: "list[str]") -> int:
    """Prepare what the word needs, then run it."""
    prepare(place, PROFILE_OF_WORD[word])
    if word == "setup":
        say(f"The environment is ready: {place.python}")
        return 0
    if word == "test":
        os.chdir(str(place.root))  # pytest finds its settings and test folders from here
    return hand_over(command_of(place, word, arguments))


def main(arguments: "list[str]") -> int:
    """Do what the first word asks for; return the exit code."""
    problem = python_problem(tuple(sys.version_info[:3]), sys.maxsize)
    if problem:
        say(problem)
        return 1
    if arguments and arguments[0] in ("-h", "--help", "help"):
        print(HELP + OFFLINE_HELP.format(locks="requirements.lock"), end="")
        return 0
    word = arguments[0] if arguments else ""
    if word not in PROFILE_OF_WORD:
        say(
            (f"bootstrap.py does not know '{word}'.\n\n" if word else "")
            + HELP
            + OFFLINE_HELP.format(locks="requirements.lock")
        )
        return EXIT_USAGE
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(EXIT_TERMINATED))
    try:
        return run_word(Place(Path(__file__).resolve().parent), word, arguments[1:])
    except BootstrapError as error:
        say(str(error))
    except OSError as error:
        say(f"The installation failed: {error}")
    except KeyboardInterrupt:
        say("Interrupted. Call again to go on: an unfinished installation is started anew.")
        return EXIT_INTERRUPTED
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
