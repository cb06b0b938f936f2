"""`hqcsegment circuits` as a user meets it: real child processes, and a few steps of real training."""

from __future__ import annotations

import functools
import json
import re
import shutil
from pathlib import Path
from types import ModuleType

import command_line
import pytest
import torch

import HQCSegmentLib as hqc
from HQCSegmentLib import qpg
from HQCSegmentLib.bundle import Bundle
from HQCSegmentLib.bundle.updates import network_with_updates
from HQCSegmentLib.errors import InputError
from HQCSegmentLib.evaluation.execution_study import study

run = functools.partial(command_line.run, "circuits")


def refused(*arguments: str | Path) -> str:
    """Run the command with something wrong: exit code 2, no result, and a sentence as the last line on stderr."""
    result = run(*arguments, code=2)
    assert result.stdout == ""
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("Error: ")
    assert last.endswith((".", "--help`."))
    assert not last.endswith("..")
    return last


def trained(folder: Path, cohort: Path, tiny: ModuleType, *, base: Path | None = None, **settings) -> Path:
    """Folder of a finished run of very few steps."""
    config = hqc.TrainConfig(held_out=1, **{"steps": 3, **settings}, **tiny.SETTINGS)
    hqc.finetune(hqc.Cohort.open(cohort), base=base, config=config, out=folder)
    return folder


@pytest.fixture(scope="module")
def fine_tuned(tmp_path_factory, tiny, tiny_cohort: Path, tiny_bundle: Path) -> Path:
    """A run of QPG from the tiny base model."""
    return trained(tmp_path_factory.mktemp("fine-tuned") / "run", tiny_cohort, tiny, base=tiny_bundle)


@pytest.fixture(scope="module")
def from_scratch(tmp_path_factory, tiny, tiny_cohort: Path) -> Path:
    """A run of QPG from the seeded initialisation, with small circuits."""
    return trained(tmp_path_factory.mktemp("scratch") / "run", tiny_cohort, tiny, coordinates="singular", seed=3)


def test_help_teaches():
    shown = run("--help").stdout
    assert "Usage: hqcsegment circuits" in shown
    assert "Example: hqcsegment circuits" in shown
    assert "rotations-cnot|ibm|clifford-rotations" in shown


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], ["BUNDLE|RUN"]),
        (["nowhere"], ["nowhere", "not a model bundle"]),
        (["nowhere", "--gate-set", "toffoli"], ["--gate-set", "toffoli", "rotations-cnot", "ibm"]),
        (["nowhere", "--shots", "100,many"], ["--shots", "100,many"]),
        (["nowhere", "--shots", "0"], ["--shots", "got 0"]),
        (["nowhere", "--depolarising", "0.1,0.2,0.3"], ["--depolarising", "0.1,0.2,0.3"]),
        (["nowhere", "--depolarising", "2"], ["--depolarising", "2.0"]),
        (["nowhere", "--readout-error", "-1"], ["--readout-error", "got -1"]),
        (["nowhere", "--readout-error", "0.1", "--device", "lightning.qubit"], ["--device", "lightning.qubit"]),
        (["nowhere", "--cases", "0"], ["--cases"]),
        (["nowhere", "--draws", "0"], ["--draws"]),
        (["nowhere", "--trajectories", "0"], ["--trajectories"]),
    ],
    ids=lambda value: " ".join(value),
)
def test_wrong_usage_gets_one_sentence(tmp_path: Path, monkeypatch, arguments: list[str], said: list[str]):
    monkeypatch.chdir(tmp_path)
    error = refused(*arguments)
    assert all(part in error for part in said), error


@pytest.mark.slow
def test_tables_drawings_and_dice_of_a_fine_tuned_model(
    fine_tuned: Path, tiny_bundle: Path, tiny_cohort: Path, tmp_path: Path
):
    out = tmp_path / "out"
    result = run(
        fine_tuned, "--base", tiny_bundle, "--cohort", tiny_cohort, "--out", out,
        "--shots", "100,1000000", "--depolarising", "0.0001,0.001", "--trajectories", "5", "--draws", "2",
        "--readout-error", "0.01", "--gate-set", "ibm", "--json", tmp_path / "copy.json",
    )  # fmt: skip
    content = json.loads((out / "circuits.json").read_text())
    assert content == json.loads((tmp_path / "copy.json").read_text())

    network = network_with_updates(Bundle.open(fine_tuned / "bundle"), base=Bundle.open(tiny_bundle))
    layers = qpg.layer_circuits(network)
    assert [layer["layer"] for layer in content["layers"]] == [layer.layer for layer in layers]
    assert all(layer.layer in result.stdout for layer in layers)
    assert {"gates", "two-qubit", "depth *"} <= set(re.split(r"\s*[┃\n]\s*", result.stdout)), "whole on 80 columns"
    for layer in content["layers"]:
        assert layer["resources"]["described"]["gates"] == {"RY": 2 * layer["qubits"], "CNOT": layer["qubits"]}
        assert set(layer["resources"]["decomposed"]["gates"]) == {"RZ", "SX", "CZ"}
    assert "0: ──RY─╭●" in result.stdout

    # Exact; noise alone; noise with each number of shots; all on the one case that the run held out.
    assert content["cases"] == 1
    exact, noisy, few, many = content["outcomes"]
    assert [one["execution"]["shots"] for one in content["outcomes"]] == [None, None, 100, 1_000_000]
    assert exact["weight_error"]["mean"] < 1e-3 < noisy["weight_error"]["lowest"]
    assert noisy["weight_error"]["mean"] < many["weight_error"]["mean"] < few["weight_error"]["mean"]
    held_out = Bundle.open(fine_tuned / "bundle").manifest.training.held_out_dice
    assert {name: dice["mean"] for name, dice in exact["dice"].items()} == pytest.approx(held_out, abs=1e-3)
    assert set(noisy["dice"]) == set(few["dice"]) == {"Ball", "Cube"}

    # What is exact is evaluated once, all else twice, with seeds of its own.
    assert [[draw["seed"] for draw in one["draws"]] for one in content["outcomes"]] == [[0], [0, 1], [0, 1], [0, 1]]
    for one in (noisy, few, many):
        errors = [draw["weight_error"] for draw in one["draws"]]
        assert errors[0] != errors[1]
        assert one["weight_error"] == {
            "mean": pytest.approx(sum(errors) / 2), "lowest": min(errors), "highest": max(errors)
        }  # fmt: skip
    assert "of 2 draws" in result.stdout
    assert f"({few['mean_dice']['lowest']:.3f} to {few['mean_dice']['highest']:.3f})" in result.stdout

    sizes = {(layer.qubits, layer.depth) for layer in layers}
    drawings = {f"ry_cnot_ring-{qubits}x{depth}.png" for qubits, depth in sizes}
    assert {path.name for path in out.iterdir()} == {"circuits.json", "dice_over_shots.png"} | drawings
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in out.glob("*.png"))

    assert "no quantum computer was used" in result.stdout
    assert "Research use only" in result.stdout
    assert "whole images" in result.stderr  # progress


@pytest.mark.slow
def test_without_a_cohort_only_weights_are_compared_and_nothing_is_written(from_scratch: Path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run(from_scratch / "bundle", "--shots", "50", "--draws", "1")
    assert "50 shots" in result.stdout
    assert "draws" not in result.stdout
    assert "Dice" not in result.stdout
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_what_is_random_is_drawn_again_with_the_next_seed_and_progress_counts_all_draws(
    from_scratch: Path, tiny_cohort: Path
):
    bundle, cohort = Bundle.open(from_scratch / "bundle"), hqc.Cohort.open(tiny_cohort)
    network = network_with_updates(bundle)
    seen: dict[str, list[tuple[int, int]]] = {}
    exact, few = study(
        network,
        [qpg.Execution(), qpg.Execution(shots=50)],
        manifest=bundle.manifest,
        cases=cohort.cases[:2],
        structures=cohort.structures,
        draws=3,
        seed=7,
        on_progress=lambda work, done, of: seen.setdefault(work, []).append((done, of)),
    )
    assert [draw.seed for draw in exact.draws] == [7]
    assert [draw.seed for draw in few.draws] == [7, 8, 9]
    # A draw can be made again by itself.
    (again,) = study(network, [few.execution], manifest=bundle.manifest, seed=8)
    assert again.draws[0].weight_error == few.draws[1].weight_error
    assert few.weight_error.lowest < few.weight_error.mean < few.weight_error.highest

    circuits = sum(layer.circuits for layer in qpg.layer_circuits(network))
    assert set(seen) == {"circuits", "whole images"}
    for work, of_one in (("circuits", circuits), ("whole images", 2)):
        assert {of for _, of in seen[work]} == {4 * of_one}
        assert [done for done, _ in seen[work]] == sorted(done for done, _ in seen[work])
        assert seen[work][-1][0] == 4 * of_one


@pytest.mark.slow
def test_the_network_before_merging_gives_the_weights_of_the_bundle(from_scratch: Path):
    bundle = Bundle.open(from_scratch / "bundle")
    merged = qpg.merge(network_with_updates(bundle)).state_dict()
    kept = bundle.state()
    assert set(merged) == set(kept)
    assert all(torch.allclose(merged[name], kept[name], atol=1e-6) for name in kept)


@pytest.mark.slow
def test_a_missing_or_wrong_base_is_refused(fine_tuned: Path, from_scratch: Path, tiny_bundle: Path):
    wanted = Bundle.open(tiny_bundle).manifest.weights_sha256[:12]
    error = refused(fine_tuned)
    assert all(part in error for part in ("--base", wanted))
    error = refused(fine_tuned, "--base", from_scratch / "bundle")
    assert all(part in error for part in ("not the base model", wanted))
    error = refused(from_scratch, "--base", tiny_bundle)
    assert "from scratch" in error


@pytest.mark.slow
def test_a_model_without_circuits_is_refused_by_its_method(tiny, tiny_cohort: Path, tiny_run: Path, tmp_path: Path):
    assert "method full" in refused(tiny_run)
    lora = trained(tmp_path / "lora", tiny_cohort, tiny, method="lora", steps=1)
    error = refused(lora)
    assert all(part in error for part in ("method lora", "without circuits", "--method qpg"))


@pytest.mark.slow
def test_weights_that_do_not_come_out_again_are_refused(from_scratch: Path, tmp_path: Path):
    shutil.copytree(from_scratch / "bundle", tmp_path / "bundle")
    manifest = json.loads((tmp_path / "bundle" / "bundle.json").read_text())
    manifest["training"]["seed"] += 1  # other start weights
    (tmp_path / "bundle" / "bundle.json").write_text(json.dumps(manifest))
    with pytest.raises(InputError, match=r"are not those of model\.safetensors"):
        network_with_updates(Bundle.open(tmp_path / "bundle"))


@pytest.mark.slow
def test_what_cannot_be_run_is_refused_before_anything_is_shown(
    fine_tuned: Path, from_scratch: Path, tiny_bundle: Path, tmp_path: Path
):
    noise = ("--depolarising", "0.01", "--device", "default.mixed")
    error = refused(fine_tuned, "--base", tiny_bundle, *noise, "--out", tmp_path / "out")
    assert all(part in error for part in ("--depolarising", "up to 8 qubits", "leave the device out"))
    error = refused(from_scratch, "--device", "abacus.qubit", "--out", tmp_path / "out")
    assert all(part in error for part in ("--device", "abacus.qubit"))
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_cohort_of_other_structures_is_refused(from_scratch: Path, tiny_cohort: Path, tmp_path: Path):
    shutil.copytree(tiny_cohort, tmp_path / "cohort")
    (tmp_path / "cohort" / "labels.json").write_text(json.dumps({1: "Sphere", 2: "Box"}))
    error = refused(from_scratch, "--cohort", tmp_path / "cohort")
    assert all(part in error for part in ("Ball", "Sphere", "none in common"))
