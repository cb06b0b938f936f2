"""Writes the lists of files that CMake packages, between the markers in the CMakeLists.txt of each package.

    python Testing/update_cmake_lists.py            # rewrite
    python Testing/update_cmake_lists.py --check    # exit with 1 if a list is not up to date

A file that is on no list works in the source tree and is missing in the installed extension. Needs the
standard library only.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("HQCSegment", "HQCSegmentLib")
NOT_PACKAGED = {"CMakeLists.txt"}


def packaged_files(package: Path) -> dict[str, list[str]]:
    """Paths below `package` by the name of their list ("scripts", "resources"), sorted.

    Hidden files and caches are left out.
    """
    lists: dict[str, list[str]] = {"scripts": [], "resources": []}
    for path in package.rglob("*"):
        relative = path.relative_to(package)
        hidden = any(part.startswith(".") or part == "__pycache__" for part in relative.parts)
        if hidden or not path.is_file() or relative.name in NOT_PACKAGED or path.suffix == ".pyc":
            continue
        lists["scripts" if path.suffix == ".py" else "resources"].append(relative.as_posix())
    return {name: sorted(files) for name, files in lists.items()}


def updated(text: str, lists: dict[str, list[str]]) -> str:
    """CMake text with the lines between `# begin NAME` and `# end NAME` replaced.

    Raises:
        ValueError: if a marker is missing.
    """
    for name, files in lists.items():
        pattern = re.compile(rf"(?P<indent>[ ]*)# begin {name}\n.*?[ ]*# end {name}\n", re.DOTALL)
        found = pattern.search(text)
        if found is None:
            msg = f"the markers '# begin {name}' and '# end {name}' are missing"
            raise ValueError(msg)
        indent = found["indent"]
        lines = [f"# begin {name}", *files, f"# end {name}"]
        block = "".join(f"{indent}{line}\n" for line in lines)
        text = text[: found.start()] + block + text[found.end() :]
    return text


def main() -> int:
    parser = argparse.ArgumentParser(description="Write the lists of packaged files into CMakeLists.txt.")
    parser.add_argument("--check", action="store_true", help="change nothing; exit with 1 if a list is old")
    check = parser.parse_args().check
    old = []
    for package in PACKAGES:
        path = ROOT / package / "CMakeLists.txt"
        text = path.read_text(encoding="utf-8")
        new = updated(text, packaged_files(ROOT / package))
        if new != text:
            old.append(path.relative_to(ROOT).as_posix())
            if not check:
                path.write_text(new, encoding="utf-8", newline="\n")
    if check and old:
        print(f"Not up to date: {', '.join(old)}. Run python Testing/update_cmake_lists.py.")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
