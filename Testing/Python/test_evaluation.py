"""Dice of masks, and comparing a folder of label maps with a folder of references."""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from command_line import run
from hypothesis import given, settings
from hypothesis import strategies as st

from HQCSegmentLib.errors import InputError
from HQCSegmentLib.evaluation import METRICS, dice, dice_per_structure, evaluate
from HQCSegmentLib.imaging import Segmentation, write_array
from HQCSegmentLib.imaging.dicom_series import read_series
from HQCSegmentLib.naming import structure_for
from HQCSegmentLib.planning.output import OutputFormat, check_value_names, write_segmentation
from HQCSegmentLib.planning.rtstruct import write_rtstruct

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
    assert [row.agreement.dice for row in rows] == pytest.approx([1, 0.5, 0])
    assert [row.agreement.predicted_ml for row in rows] == pytest.approx([0.8, 0.8, 0.2])
    assert [row.agreement.reference_ml for row in rows] == pytest.approx([0.8, 0.8, 0])


def test_the_summary_is_per_structure(folders: tuple[Path, Path]):
    liver, other = evaluate(*folders, names={1: "Liver"}).summary()
    dice_of_liver = liver.spreads["dice"]
    assert (liver.structure, liver.cases, liver.missed, liver.invented) == ("Liver", 2, 0, 0)
    assert (dice_of_liver.mean, dice_of_liver.median, dice_of_liver.lowest) == (0.75, 0.75, 0.5)
    assert dice_of_liver.deviation == pytest.approx(0.5 / 2**0.5)
    assert liver.pooled.dice == pytest.approx(2 * 1.2 / 3.2)
    assert (other.structure, other.cases, other.missed, other.invented) == ("structure_2", 1, 0, 1)
    assert other.spreads["hd95_mm"] is None  # there is no distance to nothing


def test_the_numbers_are_written_as_csv_and_json(folders: tuple[Path, Path], tmp_path: Path):
    out = tmp_path / "new" / "out"
    result = evaluate(*folders, out=out, names={1: "Liver"}, report=False)
    with (out / "metrics.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert list(table[0]) == ["case", "structure", *METRICS]
    assert [float(row["dice"]) for row in table] == [row.agreement.dice for row in result.rows]
    assert [row["hd95_mm"] for row in table] == ["0.0", "2.0", ""]  # undefined is an empty cell
    content = json.loads((out / "metrics.json").read_text())
    assert content["tolerance_mm"] == 2
    assert [row["dice"] for row in content["cases"]] == [row.agreement.dice for row in result.rows]
    assert [row["hd95_mm"] for row in content["cases"]] == [0, 2, None]
    assert content["summary"][0]["metrics"]["dice"]["mean"] == 0.75
    assert content["summary"][1]["metrics"]["hd95_mm"] is None
    assert sorted(path.name for path in out.iterdir()) == ["metrics.csv", "metrics.json"]


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
    assert [row.agreement.dice for row in evaluate(*folders).rows] == pytest.approx([1, 0.5, 0])


def test_predictions_without_a_reference_are_passed_over(folders: tuple[Path, Path]):
    write_array(folders[0] / "carl.nii.gz", block(1, 0, 4), AFFINE)
    assert {row.case for row in evaluate(*folders).rows} == {"anna", "bert"}


def test_label_maps_of_numbers_that_are_nearly_whole_are_rounded(folders: tuple[Path, Path]):
    write_array(folders[0] / "anna.nii.gz", block(1, 0, 4) * np.float32(0.9999), AFFINE)
    assert evaluate(*folders).rows[0].agreement.dice == 1


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


def test_references_without_a_prediction_may_be_left_out_with_a_note(folders: tuple[Path, Path], tmp_path: Path):
    (folders[0] / "bert.nii.gz").unlink()
    result = evaluate(*folders, only_predicted=True)
    assert {row.case for row in result.rows} == {"anna"}
    assert result.notes == ("1 of 2 references have no prediction and are left out: bert.",)
    (folders[0] / "anna.nii.gz").unlink()
    with pytest.raises(InputError, match="2 of 2 are missing"):
        evaluate(*folders, only_predicted=True)


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


def test_what_is_in_no_prediction_is_left_out_with_a_note(folders: tuple[Path, Path]):
    (folders[0] / "labels.json").write_text('{"1": "Liver"}')
    (folders[1] / "labels.json").write_text('{"1": "liver", "2": "Spleen"}')
    (folders[0] / "bert.nii.gz").unlink()
    write_array(folders[0] / "bert.nii.gz", block(1, 0, 4), AFFINE)
    result = evaluate(*folders)
    assert result.structures == ["Liver"]
    assert result.notes == ("In the references, but in no prediction, and left out: Spleen.",)


def test_names_that_do_not_meet_are_refused(folders: tuple[Path, Path], tmp_path: Path):
    for folder, name in zip(folders, ("Spleen", "Heart"), strict=True):
        write_array(folder / "bert.nii.gz", block(1, 0, 4), AFFINE)
        (folder / "labels.json").write_text(json.dumps({"1": name}))
    refused(folders, tmp_path / "out", "Spleen", "Heart", "--names")


def test_failures_come_first_and_say_what_failed(tmp_path: Path):
    predictions, references = tmp_path / "p", tmp_path / "r"
    pairs = {
        "a": (block(1, 0, 4), block(1, 0, 4)),
        "b": (block(1, 0, 1), block(1, 0, 4)),
        "c": (block(1, 0, 2), block(1, 4, 6)),
        "d": (block(2, 0, 2), block(1, 4, 6)),
    }
    for case, (prediction, reference) in pairs.items():
        write_array(predictions / f"{case}.nrrd", prediction, AFFINE)
        write_array(references / f"{case}.nrrd", reference, AFFINE)
    result = evaluate(predictions, references)
    found = [(row.case, row.structure, row.failure.partition(":")[0]) for row in result.failures()]
    assert found == [
        ("c", "structure_1", "elsewhere"),
        ("d", "structure_1", "missed"),
        ("d", "structure_2", "invented"),
        ("b", "structure_1", "poor"),
    ]


def test_an_oblique_grid_has_the_numbers_of_a_straight_one(tmp_path: Path):
    turn = np.array([[0.8, -0.6, 0.0], [0.36, 0.48, -0.8], [0.48, 0.64, 0.6]])
    oblique = np.eye(4)
    oblique[:3, :3] = turn * (1, 2, 5)
    rows = []
    for name, affine in (("straight", AFFINE), ("oblique", oblique)):
        write_array(tmp_path / name / "p" / "a.nrrd", block(1, 0, 5), affine)
        write_array(tmp_path / name / "r" / "a.nrrd", block(1, 2, 6), affine)
        rows.append(evaluate(tmp_path / name / "p", tmp_path / name / "r").rows[0].agreement)
    for metric in METRICS:
        assert getattr(rows[1], metric) == pytest.approx(getattr(rows[0], metric), rel=1e-4), metric


@pytest.fixture(scope="module")
def patients(tmp_path_factory: pytest.TempPathFactory, write_slices: Callable[..., list[Path]]) -> tuple[Path, Path]:
    """Two patients as DICOM series with RTSTRUCT, and as predictions the same, moved by a voxel, in three formats."""
    root = tmp_path_factory.mktemp("patients")
    lps = np.array([[1.2, 0, 0, -31], [0, 2.1, 0, 12], [0, 0, 3.0, -80], [0, 0, 0, 1.0]])
    i, j, k = np.indices((30, 24, 8))
    structures = (structure_for("Kidney_L", 1), structure_for("GTV", 2))
    for number, case in enumerate(("anna", "bert")):
        array = np.where((i - 14) ** 2 + (j - 12) ** 2 < 80, 60, -1000).astype(np.int16)
        write_slices(root / "references" / case / "ct", array, lps)
        image = read_series(root / "references" / case / "ct", name=case)
        label = ((i - 14) ** 2 + (j - 12) ** 2 + (3 * (k - 4)) ** 2 < 60).astype(np.uint8)
        label[12:15, 10:13, 3:5] = 2
        drawn = Segmentation(label, image.affine, structures, name=case, series=image.series)
        write_segmentation(root / "references" / case, "drawn", drawn, OutputFormat.rtstruct)
        moved = Segmentation(np.roll(label, 1, axis=0), image.affine, structures, name=case, series=image.series)
        kind = (OutputFormat.rtstruct, OutputFormat.seg)[number]
        write_segmentation(root / "predictions", case, moved, kind)
        write_segmentation(root / "label maps", case, moved, OutputFormat.nifti)
    return root / "predictions", root / "references"


def test_dicom_references_and_predictions_are_read(patients: tuple[Path, Path]):
    result = evaluate(*patients)
    assert [(row.case, row.structure) for row in result.rows] == [
        ("anna", "GTV"), ("anna", "Kidney_L"), ("bert", "GTV"), ("bert", "Kidney_L")
    ]  # fmt: skip
    for row in result.rows:
        assert row.agreement.centroid_distance_mm == pytest.approx(1.2, abs=0.01)
        assert row.agreement.hd95_mm == pytest.approx(1.2)
    label_maps = evaluate(patients[0].parent / "label maps", patients[1])
    assert [row.agreement.dice for row in label_maps.rows] == [row.agreement.dice for row in result.rows]
    assert label_maps.notes == ()


def test_label_maps_are_written_with_the_names_of_their_values(tmp_path: Path):
    """So that nobody has to guess them, and one folder never holds two meanings of a value."""
    liver = Segmentation(block(1, 0, 4), AFFINE, (structure_for("Liver", 1),), "a")
    write_segmentation(tmp_path, "a", liver, OutputFormat.nrrd)
    both = Segmentation(block(2, 0, 4), AFFINE, (structure_for("Liver", 1), structure_for("Spleen", 2)), "b")
    write_segmentation(tmp_path, "b", both, OutputFormat.nifti)
    assert json.loads((tmp_path / "labels.json").read_text()) == {"1": "Liver", "2": "Spleen"}
    with pytest.raises(InputError, match=r"1 is Liver, not Heart.*folder of their own"):
        check_value_names(tmp_path, [structure_for("Heart", 1)], [OutputFormat.rtstruct, OutputFormat.nifti])
    check_value_names(tmp_path, [structure_for("Heart", 1)], [OutputFormat.rtstruct])


def test_structures_of_a_structure_set_may_overlap(tmp_path: Path, write_slices: Callable[..., list[Path]]):
    """A tumor in an organ takes nothing from it, as it would in a label map."""
    write_slices(tmp_path / "r" / "a" / "ct", np.zeros((30, 24, 8), np.int16), np.diag([1.0, 2, 5, 1]))
    image = read_series(tmp_path / "r" / "a" / "ct", name="a")
    organ, tumor = np.zeros((2, 30, 24, 8), np.uint8)
    organ[5:25, 5:20, 1:7] = 1
    tumor[10:15, 10:15, 3:5] = 1
    path = tmp_path / "r" / "a" / "RS.dcm"
    for label, name, existing in ((organ, "Liver", None), (tumor, "GTV", path)):
        drawn = Segmentation(label, image.affine, (structure_for(name, 1),), "a", image.series)
        write_rtstruct(path, drawn, existing=existing)
    (tmp_path / "p" / "a").mkdir(parents=True)
    shutil.copy(path, tmp_path / "p" / "a" / "drawn.dcm")
    found = {row.structure: row.agreement for row in evaluate(tmp_path / "p", tmp_path / "r").rows}
    assert found["Liver"].reference_ml == pytest.approx(organ.sum() / 100)
    assert found["GTV"].reference_ml == pytest.approx(tumor.sum() / 100)
    assert {one.dice for one in found.values()} == {1.0}


def test_what_a_reference_lists_without_contours_is_unknown_and_not_empty(patients: tuple[Path, Path], tmp_path: Path):
    """Else a prediction of it would count as invented, and no prediction as perfect."""
    import pydicom

    references = Path(shutil.copytree(patients[1], tmp_path / "references"))
    path = references / "anna" / "drawn.rtstruct.dcm"
    dataset = pydicom.dcmread(path)
    dataset.ROIContourSequence = dataset.ROIContourSequence[1:]
    dataset.save_as(path)
    assert [(row.case, row.structure) for row in evaluate(patients[0], references).rows] == [
        ("anna", "GTV"), ("bert", "GTV"), ("bert", "Kidney_L")
    ]  # fmt: skip
    dataset.ROIContourSequence = []
    dataset.save_as(path)
    result = evaluate(patients[0], references)
    assert {row.case for row in result.rows} == {"bert"}
    assert result.notes == ("Nothing is drawn in the reference of anna; left out.",)
    shutil.rmtree(references / "bert")
    with pytest.raises(InputError, match="nothing is drawn in the references"):
        evaluate(patients[0], references)


def test_predictions_of_other_cases_are_named(folders: tuple[Path, Path], tmp_path: Path):
    for number, path in enumerate(sorted(folders[0].iterdir())):
        path.rename(path.with_name(f"patient_{number}.nii.gz"))
    refused(folders, tmp_path / "out", folders[0], "none of the", "patient_0", "name the files after the cases")


def test_contours_of_both_sides_without_an_image_are_refused(patients: tuple[Path, Path]):
    with pytest.raises(InputError, match="no image says which voxels"):
        evaluate(patients[0], patients[0])


def test_the_command_writes_a_report_that_can_be_signed(patients: tuple[Path, Path], tmp_path: Path):
    out = tmp_path / "out"
    shown = run("evaluate", "--predictions", patients[0], "--references", patients[1], "--out", out,
                "--tolerance-mm", "1").stdout  # fmt: skip
    assert "Kidney_L" in shown
    assert "surface Dice 1 mm" in shown
    assert sorted(path.name for path in out.iterdir()) == ["metrics.csv", "metrics.json", "report.html", "report.pdf"]
    page = (out / "report.html").read_text()
    for part in (
        "Research use only",
        "Failures",
        "Bland",
        "What the numbers cannot tell",
        "signature",
        "rule of three",
    ):
        assert part in page
    # Complete in itself: nothing is loaded from elsewhere, and nobody is named.
    assert not re.search(r"(?:src|href)=[\"'](?!data:)", page)
    assert "Test" not in page.replace("Only what is among these cases was tested", "")
    assert page.count("data:image/png") == 2 + 2  # spread, volumes, and the worst case of each structure
    content = (out / "report.pdf").read_bytes()
    assert content.startswith(b"%PDF")
    # Numbers, spread and volumes with the worst cases, limits and signatures: every page can be printed on A4.
    assert len(re.findall(rb"/Type /Page\b", content)) >= 3
    boxes = [[round(float(size)) for size in box.split()] for box in re.findall(rb"/MediaBox \[([^\]]*)\]", content)]
    assert boxes
    assert all(box == [0, 0, 595, 842] for box in boxes)
    assert json.loads((out / "metrics.json").read_text())["tolerance_mm"] == 1


def test_a_tolerance_below_zero_is_refused(patients: tuple[Path, Path], tmp_path: Path):
    wrong = run("evaluate", "--predictions", patients[0], "--references", patients[1], "--out", tmp_path / "out",
                "--tolerance-mm", "-1", code=2)  # fmt: skip
    assert "--tolerance-mm -1.0 is not possible" in " ".join(wrong.stderr.split())
