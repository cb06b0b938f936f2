"""Who is trained on and who is held out: whole patients, by seed, in folds, or as listed; never failing for few."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import pytest

import HQCSegmentLib as hqc
from HQCSegmentLib.cohort import Case, Split, folds, read_splits, split
from HQCSegmentLib.errors import InputError, Interrupted


def cases_of(patients: int, *, per_patient: int = 1) -> list[Case]:
    return [
        Case(f"p{patient}-{number}", Path("image.nii.gz"), Path("label.nii.gz"), f"p{patient}")
        for patient in range(patients)
        for number in range(per_patient)
    ]


def patients_of(names: Sequence[str]) -> set[str]:
    return {name.split("-")[0] for name in names}


class TestSplits:
    def test_the_same_seed_draws_the_same(self):
        draws = [split(cases_of(20), held_out=5, seed=seed) for seed in (7, 7, 8)]
        assert draws[0] == draws[1] != draws[2]

    def test_the_order_of_cases_does_not_matter(self):
        there = split(cases_of(20), held_out=5, seed=7)
        back = split(cases_of(20)[::-1], held_out=5, seed=7)
        assert set(there.held_out) == set(back.held_out)

    @pytest.mark.parametrize("seed", range(5))
    def test_cases_of_a_patient_stay_together(self, seed: int):
        drawn = split(cases_of(9, per_patient=3), held_out=None, seed=seed)
        sides = [{name.split("-")[0] for name in names} for names in (drawn.training, drawn.held_out)]
        assert not sides[0] & sides[1]
        assert (len(sides[0]), len(sides[1])) == (7, 2)
        assert len(drawn.training) + len(drawn.held_out) == 27

    @pytest.mark.parametrize(("patients", "held_out"), [(1, 0), (2, 1), (3, 1), (5, 1), (10, 2), (20, 4)])
    def test_a_fifth_is_held_out_by_default(self, patients: int, held_out: int):
        drawn = split(cases_of(patients), held_out=None, seed=0)
        assert len(drawn.held_out) == held_out
        assert len(drawn.training) == patients - held_out

    def test_nothing_is_held_out_where_asked(self):
        assert split(cases_of(3), held_out=0, seed=0).held_out == ()

    @pytest.mark.parametrize(("patients", "held_out"), [(1, 1), (2, 2), (3, 7), (3, -1)])
    def test_an_impossible_number_is_refused(self, patients: int, held_out: int):
        with pytest.raises(InputError, match=rf"^{held_out} patients cannot be held out of {patients}"):
            split(cases_of(patients), held_out=held_out, seed=0)


class TestFolds:
    @pytest.mark.parametrize("per_patient", [1, 3])
    @pytest.mark.parametrize(("patients", "number"), [(2, 2), (4, 2), (7, 3), (30, 5)])
    def test_every_case_is_held_out_once_with_all_of_its_patient(self, patients: int, number: int, per_patient: int):
        cases = cases_of(patients, per_patient=per_patient)
        parts = folds(cases, number=number, seed=3)
        assert len(parts) == number
        assert sorted(name for part in parts for name in part.held_out) == sorted(case.name for case in cases)
        for part in parts:
            assert not patients_of(part.training) & patients_of(part.held_out)
            assert len(part.training) + len(part.held_out) == len(cases)
        sizes = [len(patients_of(part.held_out)) for part in parts]
        assert max(sizes) - min(sizes) <= 1

    @pytest.mark.parametrize("patients", [2, 3, 4])
    def test_few_patients_are_held_out_one_by_one(self, patients: int):
        parts = folds(cases_of(patients), number=5, seed=0)
        assert [len(part.held_out) for part in parts] == [1] * patients

    def test_a_single_patient_has_no_folds(self):
        assert folds(cases_of(1, per_patient=3), number=5, seed=0) == []

    def test_the_seed_decides_and_the_order_of_cases_does_not(self):
        cases = cases_of(20)
        assert folds(cases, number=4, seed=1) == folds(cases, number=4, seed=1) != folds(cases, number=4, seed=2)
        turned = folds(cases[::-1], number=4, seed=1)
        assert [set(part.held_out) for part in turned] == [
            set(part.held_out) for part in folds(cases, number=4, seed=1)
        ]

    def test_one_fold_is_refused(self):
        with pytest.raises(InputError, match="too few"):
            folds(cases_of(3), number=1, seed=0)


class TestLists:
    def file(self, folder: Path, content: object) -> Path:
        path = folder / "splits.json"
        path.write_text(json.dumps(content))
        return path

    def test_a_list_of_the_users_own(self, tmp_path: Path):
        path = self.file(tmp_path, {"training": ["p0-0", "p2-0"], "held_out": ["p1-0"]})
        (part,) = read_splits(path, cases_of(4))
        assert part == Split(training=("p0-0", "p2-0"), held_out=("p1-0",), listed=True)

    def test_the_folds_of_nnunet(self, tmp_path: Path):
        content = [{"train": ["p0-0"], "val": ["p1-0"]}, {"train": ["p1-0"], "val": ["p0-0"]}]
        parts = read_splits(self.file(tmp_path, content), cases_of(2))
        assert [part.held_out for part in parts] == [("p1-0",), ("p0-0",)]

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            ({"training": ["p9-0"], "held_out": []}, "'p9-0', which is not in the cohort"),
            ({"training": [], "held_out": ["p0-0"]}, "no case to train on"),
            ({"training": ["p0-0"], "held_out": ["p0-1"]}, "same patient"),
            ({"training": ["p0-0"], "held_out": ["p0-0"]}, "same patient"),
            ({"training": "p0-0", "held_out": []}, "must hold"),
            ({"training": ["p0-0"]}, "must hold"),
            (["p0-0"], "must hold"),
            ([], "lists no split"),
        ],
    )
    def test_a_wrong_one_is_refused_in_a_sentence(self, tmp_path: Path, content: object, said: str):
        path = self.file(tmp_path, content)
        with pytest.raises(InputError, match=said) as error:
            read_splits(path, cases_of(3, per_patient=2))
        assert str(path) in str(error.value)

    def test_a_file_that_is_no_json(self, tmp_path: Path):
        (tmp_path / "splits.json").write_text("{")
        with pytest.raises(InputError, match="cannot be read as JSON"):
            read_splits(tmp_path / "splits.json", cases_of(2))


@pytest.fixture(scope="module")
def two_patients(tmp_path_factory: pytest.TempPathFactory, tiny: ModuleType) -> hqc.Cohort:
    return hqc.Cohort.open(tiny.write_tiny_cohort(tmp_path_factory.mktemp("two"), patients=2))


@pytest.mark.slow
class TestTraining:
    def config(self, tiny: ModuleType, **settings: object) -> hqc.TrainConfig:
        return hqc.TrainConfig(method="full", steps=2, **tiny.SETTINGS, **settings)

    def test_two_patients_are_divided(self, two_patients: hqc.Cohort, tiny: ModuleType, tmp_path: Path):
        hqc.finetune(two_patients, config=self.config(tiny), out=tmp_path / "run")
        parts = json.loads((tmp_path / "run" / "splits.json").read_text())
        assert (len(parts["training"]), len(parts["held_out"])) == (1, 1)

    @pytest.mark.parametrize("settings", [{}, {"folds": 5}], ids=["drawn", "folds"])
    def test_one_patient_is_trained_on_with_a_warning(
        self, two_patients: hqc.Cohort, tiny: ModuleType, tmp_path: Path, settings: dict
    ):
        events: list[dict] = []
        one = two_patients.subset(["patient0"])
        bundle = hqc.finetune(one, config=self.config(tiny, **settings), out=tmp_path / "run", on_event=events.append)
        (warning,) = [event for event in events if event["event"] == "warning"]
        assert "no case is held out" in warning["message"]
        assert bundle.manifest.training.cases == 1
        assert bundle.manifest.training.held_out_dice == {}

    def test_folds_judge_a_model_that_is_trained_on_all(
        self, two_patients: hqc.Cohort, tiny: ModuleType, tmp_path: Path
    ):
        out = tmp_path / "run"
        events: list[dict] = []
        bundle = hqc.finetune(two_patients, config=self.config(tiny, folds=5), out=out, on_event=events.append)
        assert bundle.path == out / "bundle"
        assert bundle.manifest.training.cases == 2
        summary = json.loads((out / "folds.json").read_text())
        assert [part["held_out"] for part in summary["splits"]] in (
            [["patient0"], ["patient1"]],
            [["patient1"], ["patient0"]],
        )
        for name, mean in summary["mean_dice"].items():
            assert mean == pytest.approx(sum(fold[name] for fold in summary["held_out_dice"]) / 2, abs=1e-4)
        assert hqc.Bundle.open(out / "fold1" / "bundle").manifest.training.cases == 1
        assert [event["event"] for event in events].count("done") == 1
        assert {event.get("fold") for event in events} == {1, 2, None}
        with pytest.raises(InputError, match="already holds a run"):
            hqc.finetune(two_patients, config=self.config(tiny, folds=5), out=out)

    def test_interrupted_folds_are_resumed_and_finished_ones_kept(
        self, two_patients: hqc.Cohort, tiny: ModuleType, tmp_path: Path
    ):
        def interrupt(event: dict) -> None:
            if event.get("fold") == 2 and event["event"] == "progress":
                raise KeyboardInterrupt

        out, config = tmp_path / "run", self.config(tiny, folds=2)
        with pytest.raises((KeyboardInterrupt, Interrupted)):
            hqc.finetune(two_patients, config=config, out=out, on_event=interrupt)
        first = (out / "fold1" / "bundle" / "bundle.json").stat().st_mtime_ns
        assert not (out / "bundle").exists()
        hqc.finetune(two_patients, config=config, out=out, resume=True)
        assert (out / "fold1" / "bundle" / "bundle.json").stat().st_mtime_ns == first
        assert len(json.loads((out / "folds.json").read_text())["held_out_dice"]) == 2
        assert (out / "bundle" / "bundle.json").is_file()

    def test_folds_and_held_out_exclude_each_other(self, two_patients: hqc.Cohort, tiny: ModuleType, tmp_path: Path):
        with pytest.raises(InputError, match="leave held_out out"):
            hqc.finetune(two_patients, config=self.config(tiny, folds=2, held_out=1), out=tmp_path / "run")

    def test_a_list_is_used_by_the_command_and_kept_when_it_is_resumed(self, tiny_cohort: Path, tmp_path: Path, capsys):
        from HQCSegmentLib.cli import main

        (tmp_path / "mine.json").write_text('{"training": ["patient3"], "held_out": ["patient1"]}')
        words = ["train", str(tiny_cohort), "--out", str(tmp_path / "run")]
        settings = ["--method", "full", "--steps", "2", "--patch", "16,16,16", "--no-augment", "--device", "cpu"]
        assert main([*words, *settings, "--splits", str(tmp_path / "mine.json")]) == 0
        assert main([*words, "--resume"]) == 0, capsys.readouterr().err
        parts = json.loads((tmp_path / "run" / "splits.json").read_text())
        assert parts == {"training": ["patient3"], "held_out": ["patient1"], "listed": True}
