"""Dice of masks, and comparing a folder of label maps with a folder of references."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from HQCSegmentLib.errors import InputError
from HQCSegmentLib.evaluation import dice, dice_per_structure, evaluate
from HQCSegmentLib.imaging import write_array

AFFINE = np.diag([1.0, 2.0, 5.0, 1.0])


def mask(*voxels: int) -> np.ndarray:
    """Of eight voxels."""
    array = np.zeros(8, bool)
    array[list(voxels)] = True
    return array.reshape(2, 2, 2)


@pytest.mark.parametrize(
    ("prediction", "reference", "expected"),
    [
        (mask(), mask(), 1),
        (mask(), mask(0, 1), 0),
        (mask(0, 1), mask(), 0),
        (mask(0, 1), mask(0, 1), 1),
        (mask(0, 1), mask(2, 3), 0),
        (mask(0, 1), mask(1, 2), 0.5),
        (mask(0), mask(0, 1, 2), 0.5),
        (mask(0, 1, 2, 3), mask(1, 2), 2 / 3),
    ],
    ids=["both empty", "missed", "invented", "equal", "apart", "half", "too small", "too large"],
)
def test_dice_of_masks(prediction: np.ndarray, reference: np.ndarray, expected: float):
    assert dice(prediction, reference) == pytest.approx(expected)


masks = st.lists(st.booleans(), min_size=8, max_size=8).map(lambda values: np.array(values).reshape(2, 2, 2))


@settings(max_examples=40, deadline=None)
@given(first=masks, second=masks)
def test_dice_is_symmetric_and_between_0_and_1(first: np.ndarray, second: np.ndarray):
    assert 0 <= dice(first, second) == dice(second, first) <= 1
    assert (dice(first, second) == 1) == np.array_equal(first, second)


def test_dice_of_large_masks_does_not_overflow():
    large = np.ones((400, 400, 100), np.uint8).astype(bool)
    assert dice(large, large) == 1


def test_dice_per_structure():
    prediction, reference = np.array([0, 1, 1, 2]), np.array([0, 1, 2, 2])
    expected = {"Liver": pytest.approx(2 / 3), "Spleen": pytest.approx(2 / 3), "Heart": 1.0}
    assert dice_per_structure(prediction, reference, {1: "Liver", 2: "Spleen", 3: "Heart"}) == expected


def block(value: int, start: int, stop: int) -> np.ndarray:
    """Ten slabs of 200 mm³ (2 x 10 voxels of 10 mm³), some of them with a value."""
    array = np.zeros((10, 2, 10), np.uint8)
    array[start:stop] = value
    return array


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Predictions and references of two cases."""
    predictions, references = tmp_path / "predictions", tmp_path / "references"
    write_array(predictions / "anna.nii.gz", block(1, 0, 4), AFFINE)
    write_array(references / "anna.nii.gz", block(1, 0, 4), AFFINE)
    write_array(predictions / "bert.nii.gz", block(1, 0, 4) + block(2, 8, 9), AFFINE)
    write_array(references / "bert.nii.gz", block(1, 2, 6), AFFINE)
    return predictions, references


def test_every_structure_of_every_case_is_compared(folders: tuple[Path, Path]):
    rows = evaluate(*folders, names={1: "Liver"}).rows
    assert [(row.case, row.structure) for row in rows] == [
        ("anna", "Liver"),
        ("bert", "Liver"),
        ("bert", "structure_2"),
    ]
    assert [row.dice for row in rows] == pytest.approx([1, 0.5, 0])
    assert [row.predicted_ml for row in rows] == pytest.approx([0.8, 0.8, 0.2])
    assert [row.reference_ml for row in rows] == pytest.approx([0.8, 0.8, 0])


def test_the_summary_is_per_structure(folders: tuple[Path, Path]):
    liver, other = evaluate(*folders, names={1: "Liver"}).summary()
    assert (liver.structure, liver.cases, liver.mean_dice, liver.lowest_dice) == ("Liver", 2, 0.75, 0.5)
    assert (other.structure, other.cases, other.mean_dice, other.lowest_dice) == ("structure_2", 1, 0, 0)


def test_the_numbers_are_written_as_csv_and_json(folders: tuple[Path, Path], tmp_path: Path):
    result = evaluate(*folders, out=tmp_path / "new" / "out", names={1: "Liver"})
    with (tmp_path / "new" / "out" / "metrics.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert list(table[0]) == ["case", "structure", "dice", "predicted_ml", "reference_ml"]
    assert [float(row["dice"]) for row in table] == [row.dice for row in result.rows]
    content = json.loads((tmp_path / "new" / "out" / "metrics.json").read_text())
    assert [row["dice"] for row in content["cases"]] == [row.dice for row in result.rows]
    assert content["summary"][0] == {"structure": "Liver", "cases": 2, "mean_dice": 0.75, "lowest_dice": 0.5}
    assert sorted(path.name for path in (tmp_path / "new" / "out").iterdir()) == ["metrics.csv", "metrics.json"]


def test_nothing_is_written_where_not_asked(folders: tuple[Path, Path], tmp_path: Path):
    evaluate(*folders)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["predictions", "references"]


def test_formats_may_differ_and_other_files_are_passed_over(folders: tuple[Path, Path]):
    predictions, references = folders
    (predictions / "anna.nii.gz").unlink()
    write_array(predictions / "anna.mha", block(1, 0, 4), AFFINE)
    for folder in folders:
        (folder / "notes.txt").touch()
    # As another system leaves them beside the files that it copies.
    (references / "._anna.nii.gz").write_bytes(b"nothing")
    assert [row.dice for row in evaluate(*folders).rows] == pytest.approx([1, 0.5, 0])


def test_predictions_without_a_reference_are_passed_over(folders: tuple[Path, Path]):
    write_array(folders[0] / "carl.nii.gz", block(1, 0, 4), AFFINE)
    assert {row.case for row in evaluate(*folders).rows} == {"anna", "bert"}


def test_label_maps_of_numbers_that_are_nearly_whole_are_rounded(folders: tuple[Path, Path]):
    write_array(folders[0] / "anna.nii.gz", block(1, 0, 4) * np.float32(0.9999), AFFINE)
    assert evaluate(*folders).rows[0].dice == 1


def refused(folders: tuple[Path, Path], out: Path, *words: str | Path) -> None:
    with pytest.raises(InputError) as error:
        evaluate(*folders, out=out)
    assert str(error.value).endswith((".", "is it an image?"))
    for word in words:
        assert str(word) in str(error.value)
    assert not out.exists()


def test_a_missing_prediction_is_refused(folders: tuple[Path, Path], tmp_path: Path):
    (folders[0] / "bert.nii.gz").unlink()
    refused(folders, tmp_path / "out", "case bert", folders[0], "1 of 2")


def test_another_grid_is_refused(folders: tuple[Path, Path], tmp_path: Path):
    shifted = AFFINE.copy()
    shifted[2, 3] = 1
    write_array(folders[0] / "bert.nii.gz", block(1, 0, 4), shifted)
    refused(folders, tmp_path / "out", "case bert", folders[0] / "bert.nii.gz", "not on the same grid")


def test_another_shape_is_refused(folders: tuple[Path, Path], tmp_path: Path):
    write_array(folders[0] / "bert.nii.gz", block(1, 0, 4)[1:], AFFINE)
    refused(folders, tmp_path / "out", "case bert", folders[0] / "bert.nii.gz", "not on the same grid")


def test_an_image_instead_of_a_label_map_is_refused(folders: tuple[Path, Path], tmp_path: Path):
    write_array(folders[0] / "bert.nii.gz", np.random.default_rng(0).normal(size=(10, 2, 10)), AFFINE)
    refused(folders, tmp_path / "out", "case bert", folders[0] / "bert.nii.gz", "not whole numbers")


def test_an_unreadable_file_is_refused(folders: tuple[Path, Path], tmp_path: Path):
    (folders[1] / "bert.nii.gz").write_bytes(b"nothing")
    refused(folders, tmp_path / "out", "bert", folders[1] / "bert.nii.gz", "cannot be read")


def test_two_files_of_one_case_are_refused(folders: tuple[Path, Path], tmp_path: Path):
    write_array(folders[0] / "bert.nrrd", block(1, 0, 4), AFFINE)
    refused(folders, tmp_path / "out", "case bert", folders[0], "more than one")


@pytest.mark.parametrize("which", [0, 1])
def test_an_empty_folder_is_refused(folders: tuple[Path, Path], tmp_path: Path, which: int):
    for path in folders[which].iterdir():
        path.unlink()
    refused(folders, tmp_path / "out", folders[which], "holds no")


@pytest.mark.parametrize("which", [0, 1])
def test_a_missing_folder_is_refused(folders: tuple[Path, Path], tmp_path: Path, which: int):
    nowhere = (tmp_path / "nowhere", folders[1]) if which == 0 else (folders[0], tmp_path / "nowhere")
    refused(nowhere, tmp_path / "out", tmp_path / "nowhere", "does not exist")
