"""Exchanging the trained part of a model: written, averaged and applied to the base, and nothing mixed up."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
import torch
from command_line import run

import HQCSegmentLib as hqc
from HQCSegmentLib.bundle.adapters import Adapter, aggregate
from HQCSegmentLib.errors import InputError


def train(cohort: Path, out: Path, tiny: ModuleType, *, base: Path | None, cases: int = 3, **settings) -> Path:
    opened = hqc.Cohort.open(cohort)
    opened = opened.subset([case.name for case in opened.cases][:cases])
    config = hqc.TrainConfig(**{"steps": 3, "held_out": 0, **tiny.SETTINGS, **settings})
    return hqc.finetune(opened, base=base, config=config, out=out).path


@pytest.fixture(scope="module")
def ours(tiny_bundle: Path, tiny_cohort: Path, tiny: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tiny_cohort, tmp_path_factory.mktemp("ours") / "run", tiny, base=tiny_bundle)


@pytest.fixture(scope="module")
def theirs(tiny_bundle: Path, tiny_cohort: Path, tiny: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tiny_cohort, tmp_path_factory.mktemp("theirs") / "run", tiny, base=tiny_bundle, cases=1, steps=5)


def test_base_and_file_give_the_model_bit_by_bit(ours: Path, tiny_bundle: Path, tmp_path: Path):
    run("adapter", "export", ours, "--out", tmp_path / "ours.safetensors")
    run("adapter", "apply", tmp_path / "ours.safetensors", "--base", tiny_bundle, "--out", tmp_path / "model")
    assert (tmp_path / "model" / "model.safetensors").read_bytes() == (ours / "model.safetensors").read_bytes()
    assert hqc.Bundle.open(tmp_path / "model").manifest == hqc.Bundle.open(ours).manifest


def test_a_model_from_scratch_needs_no_base(tiny_cohort: Path, tiny: ModuleType, tmp_path: Path):
    scratch = train(tiny_cohort, tmp_path / "run", tiny, base=None, steps=1)
    made = Adapter.of(hqc.Bundle.open(scratch)).apply(base=None, out=tmp_path / "model")
    assert (made.path / "model.safetensors").read_bytes() == (scratch / "model.safetensors").read_bytes()


def test_the_file_is_small_beside_the_model(ours: Path, tmp_path: Path):
    file = Adapter.of(hqc.Bundle.open(ours)).write(tmp_path / "ours.safetensors")
    assert file.stat().st_size < (ours / "model.safetensors").stat().st_size / 8


def test_the_mean_weighs_by_cases(ours: Path, theirs: Path):
    adapters = [Adapter.of(hqc.Bundle.open(path)) for path in (ours, theirs)]
    mean = aggregate(adapters)
    for name, tensor in mean.tensors.items():
        if tensor.is_floating_point():
            expected = (3 * adapters[0].tensors[name] + adapters[1].tensors[name]) / 4
            torch.testing.assert_close(tensor, expected)
    assert mean.description.manifest.training.cases == 4
    assert mean.description.manifest.training.held_out_dice == {}
    assert mean.description.parts == 2


def test_the_user_may_weigh(ours: Path, theirs: Path):
    adapters = [Adapter.of(hqc.Bundle.open(path)) for path in (ours, theirs)]
    mean = aggregate(adapters, weights=[1, 1e9])
    for name, tensor in mean.tensors.items():
        torch.testing.assert_close(tensor, adapters[1].tensors[name])


def test_an_averaged_model_segments(ours: Path, theirs: Path, tiny_bundle: Path, tiny_cohort: Path, tmp_path: Path):
    files = [Adapter.of(hqc.Bundle.open(path)).write(tmp_path / f"{path.parents[0].parent.name}.safetensors")
             for path in (ours, theirs)]  # fmt: skip
    said = run("adapter", "aggregate", *files, "--out", tmp_path / "mean.safetensors").stdout
    assert "Mean of 2 adapters, 4 cases in all" in said
    run("adapter", "apply", tmp_path / "mean.safetensors", "--base", tiny_bundle, "--out", tmp_path / "model")
    image = next((tiny_cohort / "images").iterdir())
    assert hqc.Bundle.open(tmp_path / "model").segment(image, device="cpu").array.any()


class TestRefusals:
    def test_another_base(self, ours: Path, theirs: Path, tmp_path: Path):
        file = Adapter.of(hqc.Bundle.open(ours)).write(tmp_path / "ours.safetensors")
        said = run("adapter", "apply", file, "--base", theirs, "--out", tmp_path / "model", code=2).stderr
        assert "is not the base model that the adapter was fine-tuned from" in " ".join(said.split())
        assert not (tmp_path / "model").exists()

    def test_another_seed(self, ours: Path, tiny_bundle: Path, tiny_cohort: Path, tiny: ModuleType, tmp_path: Path):
        other = train(tiny_cohort, tmp_path / "run", tiny, base=tiny_bundle, seed=1)
        with pytest.raises(InputError, match=r"adapter 2 .* another seed"):
            aggregate([Adapter.of(hqc.Bundle.open(path)) for path in (ours, other)])

    def test_a_model_of_which_all_weights_were_trained(self, tiny_bundle: Path, tmp_path: Path):
        said = run("adapter", "export", tiny_bundle, "--out", tmp_path / "file.safetensors", code=2).stderr
        assert "method full" in said

    def test_one_adapter_and_wrong_weights(self, ours: Path, theirs: Path):
        adapters = [Adapter.of(hqc.Bundle.open(path)) for path in (ours, theirs)]
        with pytest.raises(InputError, match="two or more"):
            aggregate(adapters[:1])
        for weights in ([1], [1, 0], [1, float("nan")]):
            with pytest.raises(InputError, match="do not fit 2 adapters"):
                aggregate(adapters, weights=weights)

    def test_what_is_no_adapter(self, ours: Path, tmp_path: Path):
        (tmp_path / "text.safetensors").write_text("hello")
        for path in (tmp_path / "text.safetensors", ours / "model.safetensors", tmp_path / "missing.safetensors"):
            with pytest.raises(InputError, match=r"no adapter of HQCSegment|does not exist"):
                Adapter.open(path)

    def test_a_place_that_is_taken(self, ours: Path, tmp_path: Path):
        (tmp_path / "taken.safetensors").write_text("theirs")
        run("adapter", "export", ours, "--out", tmp_path / "taken.safetensors", code=2)
        assert (tmp_path / "taken.safetensors").read_text() == "theirs"
