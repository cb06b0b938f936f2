"""Contours many patients without a window; a run that was stopped goes on where it was.

    Slicer --no-splash --no-main-window --python-script batch.py -- --input DIR --bundle MODEL --output DIR

The file is HQCSegmentSlicer/batch.py in the folder of the module. INPUT holds one image file (NIfTI, NRRD, MetaImage)
per patient; OUTPUT gets NAME.seg.nrrd, and batch.jsonl with one line per patient. Exit code 0: all patients are done;
1: at least one failed; 2: nothing could be begun; 130: stopped.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd")
RESULT_SUFFIX = ".seg.nrrd"
LOG = "batch.jsonl"


def arguments_of(words: Sequence[str]) -> argparse.Namespace:
    """Arguments; what Slicer itself may leave before `--` is ignored."""
    parser = argparse.ArgumentParser(prog="batch.py", description="Contour many patients. Research use only.")
    parser.add_argument("--input", type=Path, required=True, help="folder with one image file per patient")
    parser.add_argument("--bundle", type=Path, required=True, help="folder of the model")
    parser.add_argument("--output", type=Path, required=True, help="folder for the results")
    parser.add_argument("--again", action="store_true", help="contour also patients that have a result")
    words = list(words)
    return parser.parse_args(words[words.index("--") + 1 :] if "--" in words else words)


def patients_in(folder: Path) -> dict[str, Path]:
    """Image files by the name of the patient, in order of name.

    Raises:
        ValueError: if there are none, or two files of one name.
    """
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        suffix = next((suffix for suffix in SUFFIXES if path.name.lower().endswith(suffix)), None)
        if suffix is None or path.name.startswith("."):
            continue
        name = path.name[: -len(suffix)]
        if name in found:
            raise ValueError(f"{folder} holds two files of {name}: {found[name].name} and {path.name}; remove one.")
        found[name] = path
    if not found:
        raise ValueError(f"{folder} holds no image files ({', '.join(SUFFIXES)}).")
    return found


def run(
    options: argparse.Namespace,
    *,
    segment: Callable[[Any, Path], Any],
    load: Callable[[Path], Any],
    save: Callable[[Any, Path], None],
    forget: Callable[[], None],
) -> int:
    """Contour what has no result yet, one patient after the other; a failed one does not stop the others.

    Args:
        options: As `arguments_of` gives them.
        segment: Contours a volume node with a bundle.
        load: Loads an image file as a volume node.
        save: Writes a segmentation node.
        forget: Empties the scene.

    Returns:
        The exit code.
    """
    try:
        patients = patients_in(options.input)
        if not (options.bundle / "bundle.json").is_file():
            raise ValueError(f"{options.bundle} is not a model: it has no bundle.json.")
        options.output.mkdir(parents=True, exist_ok=True)
    except (ValueError, OSError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    failed = 0
    for number, (name, path) in enumerate(patients.items(), start=1):
        result = options.output / f"{name}{RESULT_SUFFIX}"
        if result.is_file() and not options.again:
            print(f"{number}/{len(patients)} {name}: there already")
            continue
        started = time.monotonic()
        state, message = "done", ""
        try:
            part = result.with_name(f".{name}.part{RESULT_SUFFIX}")
            save(segment(load(path), options.bundle), part)
            part.replace(result)
        except Exception as error:  # whatever one patient's file may cause is that patient's failure
            state, message, failed = "failed", str(error), failed + 1
        finally:
            forget()
        seconds = round(time.monotonic() - started, 1)
        with (options.output / LOG).open("a", encoding="utf-8") as log:
            log.write(json.dumps({"case": name, "state": state, "seconds": seconds, "message": message}) + "\n")
        print(f"{number}/{len(patients)} {name}: {state} in {seconds} s {message}".rstrip(), flush=True)
    print(f"{len(patients) - failed} of {len(patients)} patients have contours.")
    return 1 if failed else 0


def save_segmentation(node: Any, path: Path) -> None:
    """Write a segmentation node as NRRD.

    Raises:
        OSError: if it cannot be written.
    """
    import slicer

    storage = slicer.vtkMRMLSegmentationStorageNode()
    storage.SetFileName(str(path))
    if not storage.WriteData(node):
        raise OSError(f"{path} could not be written.")


def main(words: Sequence[str]) -> int:
    """Run inside Slicer."""
    import slicer
    import slicer.util

    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    from HQCSegment import HQCSegmentLogic
    from HQCSegmentSlicer.dependencies import missing_packages
    from HQCSegmentSlicer.resources import REQUIREMENTS

    options = arguments_of(words)
    missing = missing_packages(REQUIREMENTS)
    if missing:
        print(f"Error: Python packages are missing ({', '.join(missing)}); install them in section 1.", file=sys.stderr)
        return 2
    return run(
        options,
        segment=HQCSegmentLogic().segment,
        load=lambda path: slicer.util.loadVolume(str(path)),
        save=save_segmentation,
        forget=lambda: slicer.mrmlScene.Clear(False),
    )


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception:  # without an exit Slicer would stay open, with no window to close it by
        traceback.print_exc()
        sys.exit(2)
