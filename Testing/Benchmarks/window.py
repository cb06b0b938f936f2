"""How long the window of 3D Slicer is kept waiting while the panel's steps begin and end.

    python Testing/Benchmarks/window.py [--shape 512 512 200] [--segments 10]

Prints for each step the longest time between two turns of the event loop, the longest processor time of the main thread
between two turns (which says the same on a busy computer), and the time of the whole step. The nodes are those of
slicer-core, the event loop is Qt's, and the child is the stand-in of the tests.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

SLICER_TESTS = Path(__file__).resolve().parents[1] / "Slicer"
sys.path[:0] = [str(SLICER_TESTS), str(SLICER_TESTS.parents[1] / "HQCSegment"), str(SLICER_TESTS.parents[1])]

import slicer  # noqa: E402
import slicer.util  # noqa: E402
import slicer_application  # noqa: E402

slicer_application.install_widgets()
slicer_application.install_stand_ins()

from HQCSegmentSlicer.logic import Logic  # noqa: E402
from HQCSegmentSlicer.segment_surfaces import CLOSED_SURFACE  # noqa: E402
from HQCSegmentSlicer.segmentations import BINARY_LABELMAP, show_segmentation  # noqa: E402
from panel_driver import STAND_IN, make_bundle  # noqa: E402
from PySide6 import QtCore  # noqa: E402

from HQCSegmentLib.imaging import Segmentation, Structure  # noqa: E402


def balls(shape: tuple[int, int, int], count: int) -> np.ndarray:
    """Label map of `count` balls in a row, with axes (i, j, k)."""
    labels = np.zeros(shape, np.uint8)
    grid = np.ogrid[tuple(slice(0, size) for size in shape)]
    radius = 0.45 * min(shape[0] / count, shape[1], shape[2])
    for number in range(count):
        center = ((number + 0.5) * shape[0] / count, shape[1] / 2, shape[2] / 2)
        distance = sum((axis - middle) ** 2 for axis, middle in zip(grid, center, strict=True))
        labels[distance < radius**2] = number + 1
    return labels


def body(shape: tuple[int, int, int]) -> np.ndarray:
    """Label map of an ellipsoid that nearly fills the volume, with axes (i, j, k)."""
    grid = np.ogrid[tuple(slice(-1, 1, size * 1j) for size in shape)]
    return (sum(axis**2 for axis in grid) < 0.95**2).astype(np.uint8)


def as_surfaces(node: slicer.vtkMRMLSegmentationNode) -> slicer.vtkMRMLSegmentationNode:
    """The node, with its segments stored as closed surfaces only."""
    content = node.GetSegmentation()
    content.CreateRepresentation(CLOSED_SURFACE, True)
    content.SetSourceRepresentationName(CLOSED_SURFACE)
    content.RemoveRepresentation(BINARY_LABELMAP)
    return node


def longest_wait(begin: Callable[[], Any], logic: Logic) -> tuple[float, float, float]:
    """Longest time between two turns of the event loop, what of it was computing, and the whole time, in seconds."""
    loop, timer = QtCore.QEventLoop(), QtCore.QTimer()
    turns: list[tuple[float, float]] = []
    timer.timeout.connect(lambda: turns.append((time.monotonic(), time.thread_time())))
    timer.start(1)
    logic.onFinished.connect(lambda _result: QtCore.QTimer.singleShot(20, loop.quit))
    logic.onFailed.connect(lambda error: sys.exit(f"Error: {error}"))
    QtCore.QTimer.singleShot(20, begin)
    loop.exec()
    wall, computing = np.diff(turns, axis=0).max(axis=0).tolist()
    return wall, computing, turns[-1][0] - turns[0][0]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--shape", type=int, nargs=3, default=(512, 512, 200))
    parser.add_argument("--segments", type=int, default=10)
    options = parser.parse_args()
    application = slicer_application.Application()
    shape = tuple(options.shape)
    voxels = np.random.default_rng(0).integers(-1000, 1000, shape[::-1]).astype(np.int16)
    affine = np.diag([-0.9, -0.9, 2.5, 1])
    volume = slicer.util.addVolumeFromArray(voxels, affine, "CT")
    structures = tuple(Structure(value=value, name=f"Organ{value}") for value in range(1, options.segments + 1))
    segmentation = Segmentation(balls(shape, options.segments), affine, structures)
    node, other = (show_segmentation(segmentation, volume_node=volume) for _ in range(2))
    outline = Segmentation(body(shape), affine, (Structure(value=1, name="External"),))
    surfaces = as_surfaces(show_segmentation(outline, volume_node=volume))
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        (work / "series").mkdir()
        bundle = make_bundle(work / "bundle")
        steps: dict[str, Callable[[Logic], Any]] = {
            "check two patients of the scene": lambda logic: logic.checkCohort(
                [(volume, node), (volume, other)], waitForCompletion=False
            ),
            "check a patient whose body is a surface": lambda logic: logic.checkCohort(
                [(volume, surfaces)], waitForCompletion=False
            ),
            "save RTSTRUCT": lambda logic: logic.exportStructureSet(
                node, volume, work / "out.dcm", work / "series", waitForCompletion=False
            ),
            "evaluate": lambda logic: logic.evaluateSegmentation(
                node, other, volume, work / "evaluation", waitForCompletion=False
            ),
            "segment": lambda logic: logic.segment(volume, bundle, waitForCompletion=False),
            "segment again, into the same node": lambda logic: logic.segment(
                volume, bundle, application.scene.GetNthNodeByClass(3, "vtkMRMLSegmentationNode"),
                waitForCompletion=False,
            ),
        }  # fmt: skip
        for name, begin in steps.items():
            logic = Logic(make_command=lambda *words: [sys.executable, STAND_IN, *map(str, words)])
            wall, computing, whole = longest_wait(lambda begin=begin, logic=logic: begin(logic), logic)
            print(
                f"{name:40s} longest wait {wall:6.2f} s ({computing:5.2f} s computing), whole {whole:6.1f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
