"""Time and memory of writing a structure set, side by side with rt-utils on the same series and masks.

    python Testing/Benchmarks/rtstruct_writing.py [--structures 30] [--shape 512,512,200] [--peer-python PYTHON]

Both start with the masks in memory and the DICOM series on disk, and end with the file: reading the headers (rt-utils:
the whole series) is part of it. Each runs in a process of its own, in turn. `--peer-python` names another environment
with rt-utils; by default it is that of the tests. Wall clock and seconds of processor time are shown; the latter hold
on a busy machine, too. This project's contours are also traced between the voxels (`--contours probability`). What both
files hold is read back by this project's reader and compared with the masks.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent

OURS = """
import json, resource, sys, time
import numpy as np
from pathlib import Path
from HQCSegmentLib.imaging import Segmentation, Structure
from HQCSegmentLib.imaging.dicom_series import read_series
from HQCSegmentLib.planning.rtstruct import write_rtstruct
label = np.load(sys.argv[1] + "/label.npy")
structures = tuple(Structure(value=v, name=f"Structure_{v:02d}") for v in range(1, int(label.max()) + 1))
begin, cpu = time.perf_counter(), time.process_time()
image = read_series(Path(sys.argv[1]) / "CT", name="benchmark")
middle = time.perf_counter()
leads = np.ones(label.shape, np.float16) if LEADS else None
write_rtstruct(Path(sys.argv[2]), Segmentation(label, image.affine, structures, series=image.series, leads=leads))
end, cpu = time.perf_counter(), time.process_time() - cpu
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
print(json.dumps({"total_s": end - begin, "cpu_s": cpu, "series_s": middle - begin, "peak_gib": peak}))
"""

PEER = """
import json, resource, sys, time
import numpy as np
from rt_utils import RTStructBuilder
label = np.load(sys.argv[1] + "/label.npy")
# Its axes are (row, column, slice).
masks = {v: np.ascontiguousarray((label == v).transpose(1, 0, 2)) for v in range(1, int(label.max()) + 1)}
begin, cpu = time.perf_counter(), time.process_time()
builder = RTStructBuilder.create_new(dicom_series_path=sys.argv[1] + "/CT")
middle = time.perf_counter()
for value, mask in masks.items():
    builder.add_roi(mask=mask, name=f"Structure_{value:02d}")
builder.save(sys.argv[2])
end, cpu = time.perf_counter(), time.process_time() - cpu
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
print(json.dumps({"total_s": end - begin, "cpu_s": cpu, "series_s": middle - begin, "peak_gib": peak}))
"""


def measured(python: str, code: str, patient: Path, out: Path) -> dict[str, float]:
    """Run one of them and give its own account of time and memory."""
    run = subprocess.run([python, "-c", code, str(patient), str(out)], capture_output=True, text=True, check=False)
    if run.returncode:
        raise SystemExit(run.stderr)
    return json.loads(run.stdout.splitlines()[-1])


def agreement(patient: Path, out: Path) -> float:
    """Lowest Dice of a structure read back from a file, with the masks."""
    from HQCSegmentLib.cohort.rtstruct import drawn_structures
    from HQCSegmentLib.imaging.dicom_series import read_series

    label = np.load(patient / "label.npy")
    image = read_series(patient / "CT", name="benchmark")
    lowest = 1.0
    for drawn in drawn_structures(out, image):
        mask = label == int(drawn.name[-2:])
        both = int((mask[drawn.box.slices] & drawn.box.mask).sum())
        lowest = min(lowest, 2 * both / (int(mask.sum()) + int(drawn.box.mask.sum())))
    return lowest


def main() -> None:
    """Make the patient, run both in turn, and print the table."""
    sys.path.insert(0, str(HERE))
    from reading_patient import ellipsoids, write_ct

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--structures", type=int, default=30)
    parser.add_argument("--shape", default="512,512,200")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--peer-python", default=sys.executable)
    options = parser.parse_args()
    i, j, k = (int(size) for size in options.shape.split(","))
    with tempfile.TemporaryDirectory() as folder:
        patient = Path(folder)
        structures = ellipsoids(options.structures, (i, j, k))
        write_ct(patient / "CT", shape=(i, j, k), structures=structures, seed=0)
        label = np.zeros((i, j, k), np.uint8)
        for value, one in enumerate(structures, start=1):
            label[one.voxels((i, j, k))] = value
        np.save(patient / "label.npy", label)
        programs = {
            "HQCSegment": (sys.executable, OURS.replace("LEADS", "False")),
            "the same, between voxels": (sys.executable, OURS.replace("LEADS", "True")),
            "rt-utils": (options.peer_python, PEER),
        }
        results: dict[str, list[dict[str, float]]] = {name: [] for name in programs}
        files = {name: patient / f"{name}.dcm" for name in results}
        for _ in range(options.repeats):
            for name, (python, code) in programs.items():
                results[name].append(measured(python, code, patient, files[name]))
        print(f"{options.structures} structures on {i}x{j}x{k}, best of {options.repeats}")
        best = {name: min(found, key=lambda one: one["cpu_s"]) for name, found in results.items()}
        for name, found in best.items():
            print(
                f"{name:<25} {found['total_s']:6.1f} s ({found['series_s']:.1f} s of it the series), "
                f"processor {found['cpu_s']:.1f} s, "
                f"peak {found['peak_gib']:.2f} GiB, file {files[name].stat().st_size / 1e6:.1f} MB, "
                f"lowest Dice read back {agreement(patient, files[name]):.4f}"
            )
        ratios = [best["rt-utils"][one] / best["HQCSegment"][one] for one in ("total_s", "cpu_s")]
        print(f"rt-utils takes {ratios[0]:.1f} times as long, and {ratios[1]:.1f} times the processor time")


if __name__ == "__main__":
    main()
