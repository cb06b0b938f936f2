"""Write requirements.lock and requirements-test.lock from the environment this runs in.

How to move to newer packages: make an environment outside of bootstrap.py, install the newest versions that
pyproject.toml allows, run the tests in it, then write the locks with it:

    python3.11 -m venv /tmp/new && /tmp/new/bin/pip install -e ".[test]"
    /tmp/new/bin/python -m pytest && /tmp/new/bin/python Utilities/make_locks.py
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

PROJECT = "hqcsegment"
ROOT = Path(__file__).resolve().parent.parent
# Needed on another system only, so that no version of it is installed here.
ELSEWHERE = ('colorama==0.4.6 ; sys_platform == "win32"',)
# They depend on how PyTorch was built, which each system decides for itself.
LEFT_TO_TORCH = ("nvidia-", "cuda-", "triton")
HEADER = """\
# {what}
# The same versions for every system and for Python 3.11 to 3.13; PyTorch brings its CUDA packages by itself.
# Written by Utilities/make_locks.py, which also says how to move to newer versions. Do not edit.
"""


def requirements_of(name: str, extras: frozenset[str]) -> Iterator[Requirement]:
    """Give what an installed package asks for here, with these extras."""
    for text in distribution(name).requires or ():
        requirement = Requirement(text)
        environments = [{"extra": extra} for extra in extras or {""}]
        if requirement.marker is None or any(requirement.marker.evaluate(one) for one in environments):
            yield requirement


def closure(extras: frozenset[str]) -> set[str]:
    """Name all packages that the project with these extras brings in, itself left out."""
    seen: set[tuple[str, frozenset[str]]] = set()
    waiting = [(PROJECT, extras)]
    while waiting:
        package = waiting.pop()
        if package in seen:
            continue
        seen.add(package)
        waiting += [(canonicalize_name(r.name), frozenset(r.extras)) for r in requirements_of(*package)]
    names = {name for name, _ in seen} - {PROJECT}
    return {name for name in names if not name.startswith(LEFT_TO_TORCH)}


def pin(name: str) -> str:
    """Give the installed version, without the mark of a local build such as +cpu."""
    return f"{name}=={Version(distribution(name).version).public}"


def write_lock(path: Path, what: str, pins: set[str]) -> None:
    """Write one lock file, sorted."""
    path.write_text(HEADER.format(what=what) + "".join(f"{line}\n" for line in sorted(pins)), encoding="utf-8")
    print(f"{path.name}: {len(pins)} packages", file=sys.stderr)


def main() -> None:
    """Write both locks; the tests' one holds only what comes on top."""
    runtime = closure(frozenset())
    on_top = closure(frozenset({"test"})) - runtime
    write_lock(ROOT / "requirements.lock", "What HQCSegment runs with.", {*map(pin, runtime), *ELSEWHERE})
    write_lock(
        ROOT / "requirements-test.lock",
        "What the tests need on top of requirements.lock.",
        {pin(name) for name in on_top},
    )


if __name__ == "__main__":
    main()
