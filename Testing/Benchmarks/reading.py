"""Time and accuracy of reading a patient: CT series, structure set, preprocessing; side by side with others.

    python Testing/Benchmarks/reading.py [--out FILE.json] [--patient FOLDER] [--repeats N] [--shape I J K]
                                         [--structures N] [--threads N] [--rt-utils PYTHON] [--sts FOLDER]

A synthetic patient (512 x 512 x 200 CT with 20 structures, see reading_patient.py) is written to a temporary folder,
or kept in the folder that is given. Measured on it:

1. Reading and preprocessing: `Cohort.open`, `Case.read`, `prepare` and `prepare_label`, beside what SimpleITK needs to
   read the series (its search for the files included) and to resample it once, linearly, to the same spacing as float,
   for several spacings. The goal is at most 1.5 times SimpleITK's time.
2. Filling the contours: `read_structure_set` beside plastimatch (`convert`, writing one mask a structure) and rt-utils
   (`get_roi_mask_by_name`), in processes of their own on the same files, with the time to load the series taken off:
   for plastimatch that of a conversion of the series alone. rt-utils does not go with this environment; give a Python
   that has it (`pip install rt-utils` in an environment of its own).
   Accuracy: Dice with the true voxels, which are known by formula.
3. With --sts: folder of STS_002 of the TCIA collection Soft-tissue-Sarcoma (`dicom/STS_002_CT`, `labels/`): Dice of the
   GTV with the published mask, of all three.

Times are the least of the repeats: seconds of processor time (user and system, children included), which hold better
than the clock on a machine that computes other things too. With --threads above 1 reading is timed by the clock,
with so many threads for either. Peers that are missing are left out with the reason.
"""

from __future__ import annotations

import argparse
import functools
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK
from reading_patient import Ellipsoid, ellipsoids, write_patient

from HQCSegmentLib.cohort import Case, Cohort, Preprocessing, prepare, prepare_label
from HQCSegmentLib.cohort.rtstruct import list_rois, read_structure_set
from HQCSegmentLib.files import write_json
from HQCSegmentLib.imaging import Image, dicom_folder, read_image
from HQCSegmentLib.imaging.dicom_series import read_series

GOAL_READING, GOAL_STS = 1.5, 0.967

SPACINGS = [(1.0, 1.0, 3.0), (1.0, 1.0, 1.0), (1.5, 1.5, 1.5), (2.0, 2.0, 3.0)]
"""Of the working grid, in mm; the CT has 0.98 x 0.98 x 2.5 mm."""

RT_UTILS = """
import resource, sys
import numpy as np
from rt_utils import RTStructBuilder
series, structure_set, out = sys.argv[1:]
patient = RTStructBuilder.create_from(dicom_series_path=series, rt_struct_path=structure_set)
used = resource.getrusage(resource.RUSAGE_SELF)
begun = used.ru_utime + used.ru_stime
masks = {name: patient.get_roi_mask_by_name(name) for name in patient.get_roi_names()}
used = resource.getrusage(resource.RUSAGE_SELF)
print(used.ru_utime + used.ru_stime - begun)
np.savez_compressed(out, **{f"m{n}": np.packbits(mask) for n, mask in enumerate(masks.values())},
                    names=np.array(list(masks)), shape=np.array(next(iter(masks.values())).shape))
"""
"""rt-utils in its own environment: prints the seconds for all masks, and keeps them, (row, column, slice)."""

Masks = dict[str, npt.NDArray[np.bool_]]


def seconds(
    function: Callable[[], Any], *, repeats: int, clock: Callable[[], float] = time.process_time
) -> tuple[float, Any]:
    """Least time of some calls, and what the last gave; a call before warms up."""
    result = function()
    times = []
    for _ in range(repeats):
        begun = clock()
        result = function()
        times.append(clock() - begun)
    return min(times), result


def child_seconds(command: list[str]) -> float:
    """Processor time of a program."""

    def used() -> float:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    begun = used()
    subprocess.run(command, check=True, capture_output=True)
    return used() - begun


def measure_reading(patient: Path, *, repeats: int, threads: int) -> list[dict[str, Any]]:
    """Seconds of each step, ours and SimpleITK's, and their ratio, for each spacing."""
    timed = functools.partial(seconds, repeats=repeats, clock=time.process_time if threads == 1 else time.perf_counter)
    rows: list[dict[str, Any]] = []
    for spacing in SPACINGS:
        ct = Preprocessing(spacing=spacing, normalization="ct", low=-1000, high=300, mean=0, deviation=100)
        found: dict[str, Any] = {"spacing": spacing}
        found["SimpleITK read"], volume = timed(lambda: simpleitk_series(patient / "CT"))
        found["SimpleITK resample"], _ = timed(functools.partial(simpleitk_resample, volume, spacing))
        found["open"], cohort = timed(functools.partial(open_anew, patient.parent))
        (case,) = (one for one in cohort.cases if one.image == patient)
        found["read"], read = timed(functools.partial(Case.read, case, cohort.structures))
        found["prepare"], prepared = timed(functools.partial(prepare, read.image, ct))
        found["labels"], _ = timed(functools.partial(prepare_label, read.label, prepared))
        ours = sum(found[step] for step in ("open", "read", "prepare", "labels"))
        found["ratio"] = ours / (found["SimpleITK read"] + found["SimpleITK resample"])
        rows.append(found)
        print(
            "  ".join(f"{step} {value if step == 'spacing' else format(value, '.3f')}" for step, value in found.items())
        )
    return rows


def open_anew(folder: Path) -> Cohort:
    """Open a cohort of which no header is known yet."""
    dicom_folder._image_header.cache_clear()
    return Cohort.open(folder)


def simpleitk_series(folder: Path) -> SimpleITK.Image:
    """Read a folder with one series."""
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    return reader.Execute()


def simpleitk_resample(volume: SimpleITK.Image, spacing: tuple[float, float, float]) -> SimpleITK.Image:
    """Resample to about a spacing over the same extent, linearly, as float."""
    size = [
        round(n * now / wanted) for n, now, wanted in zip(volume.GetSize(), volume.GetSpacing(), spacing, strict=True)
    ]
    return SimpleITK.Resample(
        volume, size, SimpleITK.Transform(), SimpleITK.sitkLinear, volume.GetOrigin(), spacing, volume.GetDirection(),
        0, SimpleITK.sitkFloat32,
    )  # fmt: skip


def ours(image: Image, structure_set: Path, *, repeats: int) -> tuple[float, Masks]:
    """Fill all structures."""
    return seconds(lambda: read_structure_set(structure_set, image), repeats=repeats)


def plastimatch(image: Image, structure_set: Path, *, repeats: int) -> tuple[float, Masks]:
    """Fill all structures by plastimatch; the conversion of the series alone is taken off."""
    program = shutil.which("plastimatch")
    if program is None:
        raise LookupError("plastimatch is not installed (Debian package plastimatch)")
    assert image.series is not None
    series = image.series.files[0].parent
    with tempfile.TemporaryDirectory() as folder:
        alone = [program, "convert", "--input", str(series), "--output-img", f"{folder}/alone.nrrd"]
        both = [program, "convert", "--input", str(structure_set), "--referenced-ct", str(series)]
        both += ["--output-prefix", f"{folder}/masks", "--prefix-format", "nrrd"]
        loading = min(child_seconds(alone) for _ in range(repeats))
        whole = min(child_seconds(both) for _ in range(repeats))
        masks = {
            name: on_grid(read_image(file), image)
            for name in list_rois(structure_set)
            if (file := Path(folder) / "masks" / f"{name}.nrrd").is_file()
        }
    # For a small series the difference is less than times vary.
    return max(whole - loading, 0.0), masks


def on_grid(mask: Image, image: Image) -> npt.NDArray[np.bool_]:
    """Mask of a peer on the grid of the image: the same voxels in other order, by their places."""
    change = np.linalg.inv(image.affine) @ mask.affine
    indices = np.rint(np.argwhere(mask.array > 0) @ change[:3, :3].T + change[:3, 3]).astype(int)
    result = np.zeros(image.grid.shape, bool)
    inside = ((indices >= 0) & (indices < image.grid.shape)).all(axis=1)
    result[tuple(indices[inside].T)] = True
    return result


def rt_utils(python: str | None) -> Callable[..., tuple[float, Masks]]:
    """Fill all structures by rt-utils in the environment of another Python."""

    def fill(image: Image, structure_set: Path, *, repeats: int) -> tuple[float, Masks]:
        if python is None:
            raise LookupError("no Python with rt-utils was given (--rt-utils)")
        assert image.series is not None
        with tempfile.TemporaryDirectory() as folder:
            # It takes all files of one folder for the series.
            for k, file in enumerate(image.series.files):
                (Path(folder) / f"{k:04d}.dcm").symlink_to(file.resolve())
            out = Path(folder) / "masks.npz"
            command = [python, "-c", RT_UTILS, folder, str(structure_set), str(out)]
            times = []
            for _ in range(repeats):
                run = subprocess.run(command, capture_output=True, text=True)
                if run.returncode:
                    raise LookupError(f"rt-utils fails: {run.stderr.strip().splitlines()[-1]}")
                times.append(float(run.stdout.split()[-1]))
            with np.load(out) as saved:
                shape = tuple(saved["shape"])
                masks = {
                    str(name): np.unpackbits(saved[f"m{n}"], count=int(np.prod(shape))).reshape(shape).astype(bool)
                    for n, name in enumerate(saved["names"])
                }
        # (row, column, slice) with slices in the order of positions along the normal, as ours.
        return min(times), {name: mask.transpose(1, 0, 2) for name, mask in masks.items()}

    return fill


def dice(first: npt.NDArray[np.bool_], second: npt.NDArray[np.bool_]) -> float:
    """2 |A and B| / (|A| + |B|)."""
    return 2 * float(np.count_nonzero(first & second)) / float(np.count_nonzero(first) + np.count_nonzero(second))


def compare_filling(
    image: Image,
    structure_set: Path,
    truth: Callable[[str], npt.NDArray[np.bool_] | None],
    *,
    python: str | None,
    repeats: int,
) -> dict[str, dict[str, Any]]:
    """Seconds, and Dice with the truth, of each program."""
    programs = {"HQCSegment": ours, "plastimatch": plastimatch, "rt-utils": rt_utils(python)}
    rows: dict[str, dict[str, Any]] = {}
    for name, program in programs.items():
        try:
            used, masks = program(image, structure_set, repeats=repeats)
        except LookupError as error:
            rows[name] = {"left out": str(error)}
            continue
        scores = {}
        for structure, mask in masks.items():
            expected = truth(structure)
            if expected is not None:
                scores[structure] = dice(mask, expected)
        rows[name] = {
            "seconds": used,
            "structures": len(masks),
            "mean_dice": float(np.mean([*scores.values()])),
            "least_dice": min(scores.values()),
            "dice": scores,
        }
    return rows


def sts(folder: Path, *, python: str | None, repeats: int) -> dict[str, dict[str, Any]]:
    """Compare on a real patient whose mask is published on a part of the grid."""
    image = read_series(folder / "dicom" / "STS_002_CT")
    expected = on_grid(read_image(folder / "labels" / "STS_002.nii.gz"), image)
    return compare_filling(
        image,
        folder / "dicom" / "STS_002_CT" / "mask" / "RS.dcm",
        lambda name: expected if name == "GTV_Mass_CT" else None,
        python=python,
        repeats=repeats,
    )


def print_rows(title: str, rows: dict[str, dict[str, Any]]) -> None:
    """Table of one comparison."""
    print(f"\n{title}\n{'':14s}{'seconds':>10s}{'structures':>12s}{'mean Dice':>11s}{'least Dice':>12s}")
    for name, row in rows.items():
        if "left out" in row:
            print(f"{name:14s}  left out: {row['left out']}")
        else:
            print(
                f"{name:14s}{row['seconds']:10.3f}{row['structures']:12d}{row['mean_dice']:11.5f}"
                f"{row['least_dice']:12.5f}"
            )


def main() -> int:
    """Measure and print; exit code 1 if a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--patient", type=Path, help="folder to keep the synthetic patient in")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--shape", type=int, nargs=3, default=(512, 512, 200))
    parser.add_argument("--structures", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rt-utils", help="a Python that has rt-utils")
    parser.add_argument("--sts", type=Path, help="folder with STS_002")
    arguments = parser.parse_args()
    SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(arguments.threads)
    os.environ["OMP_NUM_THREADS"] = str(arguments.threads)
    shape = tuple(arguments.shape)
    structures = ellipsoids(arguments.structures, shape)
    with tempfile.TemporaryDirectory() as temporary:
        patient = (arguments.patient or Path(temporary)) / "P1"
        if not patient.is_dir():
            write_patient(patient, shape=shape, structures=structures)
        result = run(patient, structures, arguments)
    if arguments.out:
        write_json(arguments.out, result)
    return 0 if all(result["goals"].values()) else 1


def run(patient: Path, structures: list[Ellipsoid], arguments: argparse.Namespace) -> dict[str, Any]:
    """All measurements of one patient, printed as they come."""
    how = "processor time, one thread" if arguments.threads == 1 else f"the clock, {arguments.threads} threads"
    print(f"Reading and preprocessing, seconds of {how}")
    steps = measure_reading(patient, repeats=arguments.repeats, threads=arguments.threads)
    image = read_series(patient / "CT", name="benchmark")
    truth = {one.name: one for one in structures}
    options = {"python": arguments.rt_utils, "repeats": arguments.repeats}
    filling = compare_filling(
        image, patient / "RTSTRUCT.dcm", lambda name: truth[name].voxels(image.grid.shape), **options
    )
    print_rows(f"Filling {len(structures)} structures on {image.grid.shape} voxels", filling)
    goals = {f"reading at {row['spacing']} mm": row["ratio"] <= GOAL_READING for row in steps}
    own = filling["HQCSegment"]
    for name, row in filling.items():
        if "seconds" in row and name != "HQCSegment":
            goals[f"as fast as {name}"] = own["seconds"] <= row["seconds"]
            goals[f"as accurate as {name}"] = own["mean_dice"] >= row["mean_dice"]
    real: dict[str, dict[str, Any]] = {}
    if arguments.sts is not None:
        real = sts(arguments.sts, **options)
        print_rows("STS_002, published mask of the GTV", real)
        goals["STS_002"] = real["HQCSegment"]["mean_dice"] >= GOAL_STS
    print("\n" + "\n".join(f"{'reached' if reached else 'MISSED':8s} {goal}" for goal, reached in goals.items()))
    return {
        "machine": {"processor": platform.processor() or platform.machine(), "python": platform.python_version()},
        "shape": list(image.grid.shape),
        "threads": arguments.threads,
        "reading": steps,
        "filling": filling,
        "sts_002": real,
        "goals": goals,
    }


if __name__ == "__main__":
    sys.exit(main())
