"""The models of all folds as one bundle: an ensemble, or the mean of what they have trained."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError

import HQCSegmentLib as hqc
from HQCSegmentLib.cli import main
from HQCSegmentLib.errors import InputError
from HQCSegmentLib.inference import segment


@pytest.fixture(scope="module")
def ensemble(tmp_path_factory: pytest.TempPathFactory, tiny) -> Path:
    """Run of two patients, each held out once, whose models are one bundle."""
    folder = tmp_path_factory.mktemp("ensemble")
    cohort = tiny.write_tiny_cohort(folder / "cohort", patients=2)
    words = ["--method", "full", "--steps", "2", "--patch", "16,16,16", "--device", "cpu", "--no-augment", "--no-cache"]
    options = ["--folds", "2", "--after-folds", "ensemble"]
    assert main(["train", str(cohort), "--out", str(folder / "run"), *words, *options]) == 0
    return folder / "run"


class TestEnsemble:
    def test_it_segments_as_the_folds_averaged(self, ensemble: Path, tiny):
        image = (tiny.tiny_patient(9)[0], np.diag([1.0, 1.0, 2.0, 1.0]))
        first, second = (hqc.Bundle.open(ensemble / f"fold{number}" / "bundle") for number in (1, 2))
        found = hqc.Bundle.open(ensemble / "bundle").segment(image, device="cpu")
        by_hand = segment(first, image, device="cpu", ensemble=[second])
        assert np.array_equal(found.array, by_hand.array)
        assert found.agreement == by_hand.agreement
        assert not torch.equal(*(bundle.state()["model.0.conv.unit0.conv.weight"] for bundle in (first, second)))

    def test_it_is_a_bundle_like_any_other(self, ensemble: Path, tmp_path: Path):
        bundle = hqc.Bundle.open(ensemble / "bundle")
        members = [hqc.Bundle.open(ensemble / f"fold{number}" / "bundle").manifest for number in (1, 2)]
        own = bundle.manifest
        assert (own.weights_sha256, *own.further_weights_sha256) == tuple(one.weights_sha256 for one in members)
        assert own.training.cases == 2
        assert "scores of 2 networks" in (bundle.path / "MODEL_CARD.md").read_text()
        moved = Path(shutil.copytree(bundle.path, tmp_path / "moved"))
        (moved / "member2.safetensors").write_bytes(b"damaged")
        with pytest.raises(InputError, match=r"member2.safetensors is not the file"):
            hqc.Bundle.open(moved)
        (moved / "member2.safetensors").unlink()
        with pytest.raises(InputError, match=r"member2.safetensors is missing"):
            hqc.Bundle.open(moved)

    def test_its_report_has_the_dice_of_cases_that_no_judge_had_seen(self, ensemble: Path):
        report = (ensemble / "report.html").read_text()
        assert "2 held-out case(s) in 2 folds" in report
        assert "averages the scores of 2 such networks" in report
        assert "nobody knows that of the ensemble as a whole" in report
        told = json.loads((ensemble / "folds.json").read_text())["mean_dice"]
        assert hqc.Bundle.open(ensemble / "bundle").manifest.training.held_out_dice == pytest.approx(told, abs=1e-4)

    def test_what_needs_one_network_refuses_it(self, ensemble: Path, tmp_path: Path):
        bundle = hqc.Bundle.open(ensemble / "bundle")
        for use in (
            bundle.build,
            bundle.state,
            bundle.adapter,
            lambda: bundle.build_for(bundle.manifest.labels, ["image"]),
        ):
            with pytest.raises(InputError, match=r"ensemble of 2 networks.*use the bundle of one fold"):
                use()

    def test_a_run_that_was_stopped_is_gone_on_with_as_a_whole(self, ensemble: Path, capsys):
        before = (ensemble / "bundle" / "bundle.json").read_bytes()
        shutil.rmtree(ensemble / "bundle")
        shutil.rmtree(ensemble / "fold2" / "bundle")
        cohort = ensemble.parent / "cohort"
        assert main(["train", str(cohort), "--out", str(ensemble), "--resume", "--no-cache"]) == 0
        assert (ensemble / "bundle" / "bundle.json").read_bytes() == before
        said = " ".join(capsys.readouterr().out.split())
        assert "MB, an ensemble of 2 networks, which segments in about 2 times the time of one)" in said


def test_the_mean_of_what_folds_have_trained(tiny_cohort: Path, tiny_bundle: Path, tmp_path: Path, tiny):
    config = hqc.TrainConfig(steps=1, folds=2, after_folds="average", method="norms", **tiny.SETTINGS)
    cohort = hqc.Cohort.open(tiny_cohort).subset(["patient0", "patient1"])
    bundle = hqc.finetune(cohort, base=tiny_bundle, config=config, out=tmp_path / "run")
    states = [hqc.Bundle.open(tmp_path / "run" / f"fold{number}" / "bundle").state() for number in (1, 2)]
    for name, mean in bundle.state().items():
        if mean.is_floating_point():
            torch.testing.assert_close(mean, (states[0][name] + states[1][name]) / 2)
    assert bundle.manifest.training.cases == 2


@pytest.mark.parametrize(
    ("settings", "reason"),
    [({"method": "full"}, "no trained part that could be averaged"), ({"method": "qpg"}, "started from a base")],
)
def test_means_that_mean_nothing_are_refused_before_training(
    tiny_cohort: Path, tmp_path: Path, settings: dict, reason: str
):
    config = hqc.TrainConfig(folds=2, after_folds="average", **settings)
    with pytest.raises(InputError, match=reason):
        hqc.finetune(hqc.Cohort.open(tiny_cohort), config=config, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_without_folds_there_is_nothing_to_put_together():
    with pytest.raises(ValidationError, match="give --folds"):
        hqc.TrainConfig(after_folds="ensemble")
