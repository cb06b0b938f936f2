"""Prepared images are kept on disk: the same numbers, found again, whatever happens beside or in between."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import HQCSegmentLib as hqc
from HQCSegmentLib.cohort import Preprocessing, prepare, prepare_label
from HQCSegmentLib.cohort.cache import Cache
from HQCSegmentLib.imaging import Image

SETTINGS = Preprocessing(spacing=(2, 2, 2), normalization="zscore")
OBLIQUE = np.array([[0, -1.0, 0, 5], [-1.5, 0, 0, 7], [0, 0, 3, 0], [0, 0, 0, 1]])


def image(seed: int = 0) -> Image:
    return Image(np.random.default_rng(seed).normal(100, 10, (18, 20, 9)).astype(np.float32), OBLIQUE, name="anna")


def label(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 3, (18, 20, 9)).astype(np.uint16)


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir())


def test_the_arrays_are_those_without_a_cache(tmp_path: Path):
    expected = prepare(image(), SETTINGS)
    for _ in range(2):
        cache = Cache.open(tmp_path)
        found = cache.prepare(image(), SETTINGS)
        assert np.array_equal(found.array, expected.array)
        assert found.array.dtype == np.float32
        assert found.grid.difference(expected.grid) == 0
        assert found.source.difference(expected.source) == 0
        assert found.reorientation == expected.reorientation
        assert np.array_equal(cache.prepare_label(label(), found), prepare_label(label(), expected))
    assert (cache.found, cache.made) == (2, 0)
    assert cache.size() == sum(path.stat().st_size for path in tmp_path.iterdir())


def test_they_are_mapped_not_read_and_writing_to_them_changes_nothing(tmp_path: Path):
    Cache.open(tmp_path).prepare(image(), SETTINGS)
    array = Cache.open(tmp_path).prepare(image(), SETTINGS).array
    assert isinstance(array, np.memmap)
    array[:] = 7
    assert np.array_equal(Cache.open(tmp_path).prepare(image(), SETTINGS).array, prepare(image(), SETTINGS).array)


@pytest.mark.parametrize(
    ("other", "settings"),
    [
        (image(1), SETTINGS),
        (Image(image().array, OBLIQUE @ np.diag([1, 1, 2, 1]), name="anna"), SETTINGS),
        (image(), Preprocessing(spacing=(2, 2, 3), normalization="zscore")),
        (image(), Preprocessing(spacing=(2, 2, 2), normalization="ct", low=80, high=120, mean=100, deviation=10)),
    ],
    ids=["voxels", "geometry", "spacing", "normalization"],
)
def test_whatever_changes_the_result_changes_the_file(tmp_path: Path, other: Image, settings: Preprocessing):
    Cache.open(tmp_path).prepare(image(), SETTINGS)
    cache = Cache.open(tmp_path)
    assert np.array_equal(cache.prepare(other, settings).array, prepare(other, settings).array)
    assert (cache.found, cache.made) == (0, 1)


def test_the_name_of_the_case_is_nowhere(tmp_path: Path):
    Cache.open(tmp_path).prepare(image(), SETTINGS)
    (path,) = files(tmp_path)
    assert "anna" not in path.name
    assert b"anna" not in path.read_bytes()
    if os.name == "posix":
        assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("spoil", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b"x" * len(b)])
def test_a_damaged_file_is_made_again(tmp_path: Path, spoil):
    Cache.open(tmp_path).prepare(image(), SETTINGS)
    (path,) = files(tmp_path)
    path.write_bytes(spoil(path.read_bytes()))
    for made in (1, 0):
        cache = Cache.open(tmp_path)
        assert np.array_equal(cache.prepare(image(), SETTINGS).array, prepare(image(), SETTINGS).array)
        assert cache.made == made


def test_an_interrupted_write_leaves_nothing_behind(tmp_path: Path, monkeypatch):
    def interrupted(path: Path, array: np.ndarray) -> None:
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(np, "save", interrupted)
        with pytest.raises(KeyboardInterrupt):
            Cache.open(tmp_path).prepare(image(), SETTINGS)
    assert files(tmp_path) == []


def test_what_a_killed_run_left_and_what_is_long_unused_is_removed(tmp_path: Path):
    now = time.time()
    for name, days in ((".abc-tmp.npy", 2), ("old.npy", 31), (".new-tmp.npy", 0.1), ("young.npy", 29)):
        (tmp_path / name).write_bytes(b"x")
        os.utime(tmp_path / name, (now - days * 86400,) * 2)
    Cache.open(tmp_path)
    assert [path.name for path in files(tmp_path)] == [".new-tmp.npy", "young.npy"]


def test_a_full_disk_costs_the_cache_and_not_the_run(tmp_path: Path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    array = Cache.open(tmp_path).prepare(image(), SETTINGS).array
    assert np.array_equal(array, prepare(image(), SETTINGS).array)
    assert files(tmp_path) == []


def test_a_place_that_cannot_be_used_is_no_error(tmp_path: Path):
    (tmp_path / "file").touch()
    cache = Cache.open(tmp_path / "file" / "cache")
    assert np.array_equal(cache.prepare(image(), SETTINGS).array, prepare(image(), SETTINGS).array)
    assert cache.size() == 0


@pytest.mark.slow
def test_runs_side_by_side_share_it(tmp_path: Path):
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import numpy as np\nfrom pathlib import Path\nfrom HQCSegmentLib.cohort import Preprocessing\n"
        "from HQCSegmentLib.cohort.cache import Cache\nfrom HQCSegmentLib.imaging import Image\n"
        "settings = Preprocessing(spacing=(2, 2, 2), normalization='zscore')\n"
        "for seed in range(20):\n"
        "    array = np.random.default_rng(seed).normal(100, 10, (40, 40, 40)).astype(np.float32)\n"
        "    print(Cache.open(Path(sys.argv[2])).prepare(Image(array, np.eye(4)), settings).array.sum())\n"
    )
    root = str(Path(__file__).resolve().parents[2])
    command = [sys.executable, "-c", code, root, str(tmp_path / "cache")]
    children = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    printed = [child.communicate()[0] for child in children]
    assert [child.returncode for child in children] == [0, 0, 0]
    assert printed[0] == printed[1] == printed[2]
    assert len(files(tmp_path / "cache")) == 20


@pytest.mark.slow
def test_training_finds_what_a_run_before_has_made_and_ends_the_same(
    tiny_cohort: Path, tiny: ModuleType, tmp_path: Path, monkeypatch
):
    monkeypatch.setenv("HQC_CACHE", str(tmp_path / "cache"))
    config = hqc.TrainConfig(method="full", steps=3, **tiny.SETTINGS)
    told, hashes = [], []
    for name, cache in (("first", True), ("again", True), ("without", False)):
        events: list[dict] = []
        bundle = hqc.finetune(
            hqc.Cohort.open(tiny_cohort), config=config, out=tmp_path / name, on_event=events.append, cache=cache
        )
        told += [event for event in events if event["event"] == "cache"]
        hashes.append(bundle.manifest.weights_sha256)
    # Image and label map of three patients, and the image of the one that is held out.
    assert [(event["found"], event["made"]) for event in told] == [(0, 7), (7, 0)]
    assert told[0]["bytes"] > 0
    assert len(set(hashes)) == 1
