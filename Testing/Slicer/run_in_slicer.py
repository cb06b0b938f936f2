"""Runs the tests that need no stand-ins of widgets inside Slicer:

    Slicer --no-splash --no-main-window --testing --additional-module-paths HQCSegment
        --python-script Testing/Slicer/run_in_slicer.py [what pytest takes]

Once before it, install what the tests need: PythonSlicer -m pip install pytest pytest-timeout hypothesis
"""

from __future__ import annotations

import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
TESTS = (
    "test_nodes.py",
    "test_scene_cohort.py",
    "test_logic.py",
    "test_process.py",
    "test_batch.py",
    "test_terminology_file.py",
    "test_end_to_end.py",
)


def main(words: list[str]) -> int:
    """Run pytest in this process, and give its exit code."""
    try:
        import pytest
    except ModuleNotFoundError:
        print("Install pytest first: PythonSlicer -m pip install pytest pytest-timeout hypothesis", file=sys.stderr)
        return 2
    # Slicer's streams have no file descriptors that pytest or faulthandler could take over.
    options = ["--rootdir", str(FOLDER.parents[1]), "--capture=no", "-p", "no:faulthandler", "-p", "no:cacheprovider"]
    return int(pytest.main([*options, *(words or [str(FOLDER / name) for name in TESTS])]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
