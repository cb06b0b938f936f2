"""From a cohort to a model: learning, what a run leaves behind, stopping and going on."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch.optim.optimizer import register_optimizer_step_post_hook

import HQCSegmentLib as hqc
from HQCSegmentLib import qpg
from HQCSegmentLib.devices import trains_in_bfloat16
from HQCSegmentLib.errors import InputError, Interrupted, WorkError
from HQCSegmentLib.evaluation.training_report import read_events
from HQCSegmentLib.imaging import write_array
from HQCSegmentLib.networks import NETWORKS, specify


def train(cohort: Path, out: Path, tiny, *, base=None, on_event=None, resume=False, **settings):
    config = hqc.TrainConfig(**{"steps": 3, "held_out": 1, **tiny.SETTINGS, **settings})
    return hqc.finetune(hqc.Cohort.open(cohort), base=base, config=config, out=out, on_event=on_event, resume=resume)


def weights(run: Path) -> bytes:
    return (run / "bundle" / "model.safetensors").read_bytes()


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_network_learns_and_is_judged_on_the_patient_that_was_held_out(tiny_run: Path):
    dice = hqc.Bundle.open(tiny_run / "bundle").manifest.training.held_out_dice
    assert set(dice) == {"Ball", "Cube"}
    assert min(dice.values()) > 0.8


def test_a_run_leaves_model_report_settings_splits_and_events(tiny_run: Path):
    assert {path.name for path in tiny_run.iterdir()} == {
        "bundle", "report.html", "config.json", "splits.json", "events.jsonl", "checkpoints", "held_out",
    }  # fmt: skip
    events = read_events(tiny_run / "events.jsonl")
    progress = [event for event in events if event["event"] == "progress"]
    assert [event["step"] for event in progress] == list(range(1, 61))
    assert all({"step", "of", "loss", "eta_s"} <= set(event) for event in progress)
    assert {event["of"] for event in progress} == {60}
    assert all(event["eta_s"] >= 0 for event in progress)
    assert progress[-1]["eta_s"] == 0
    assert events[-1]["event"] == "done"
    assert events[-1]["dice"] == hqc.Bundle.open(tiny_run / "bundle").manifest.training.held_out_dice
    splits = json.loads((tiny_run / "splits.json").read_text())
    assert len(splits["training"]) == 3
    assert len(splits["held_out"]) == 1
    assert "Research use only" in (tiny_run / "report.html").read_text()


def test_nothing_of_a_case_and_no_path_is_in_what_is_passed_on(tiny_run: Path, tiny_cohort: Path):
    passed_on = [
        *(tiny_run / "bundle").iterdir(),
        *(tiny_run / name for name in ("events.jsonl", "config.json")),
    ]
    names = [path.name.removesuffix(".nii.gz") for path in (tiny_cohort / "images").iterdir()]
    assert len(names) == 4
    for path in passed_on:
        for private in (*names, str(tiny_run.parent), str(tiny_cohort.parent)):
            assert private.encode() not in path.read_bytes(), (path.name, private)


def test_a_run_says_all_that_is_needed_to_do_it_again(tiny_cohort: Path, tmp_path, tiny):
    train(tiny_cohort, tmp_path / "run", tiny, seed=3)
    again = hqc.TrainConfig(**json.loads((tmp_path / "run" / "config.json").read_text())["config"])
    hqc.finetune(hqc.Cohort.open(tiny_cohort), config=again, out=tmp_path / "again")
    assert weights(tmp_path / "again") == weights(tmp_path / "run")
    assert (tmp_path / "again" / "splits.json").read_bytes() == (tmp_path / "run" / "splits.json").read_bytes()


def test_a_caller_hears_what_is_written(tiny_cohort: Path, tmp_path, tiny):
    heard: list[dict[str, Any]] = []
    train(tiny_cohort, tmp_path / "run", tiny, on_event=heard.append)
    written = read_events(tmp_path / "run" / "events.jsonl")
    assert [event for event in heard if event["event"] != "preparing"] == written


def test_a_caller_hears_how_far_the_work_before_the_first_step_is(tiny_run: Path, tmp_path, tiny):
    cohort = tiny.write_tiny_cohort(tmp_path / "balls")
    for seed, path in enumerate(sorted((cohort / "labels").iterdir())):
        write_array(path, np.uint8(tiny.tiny_patient(seed)[1] == 1), np.diag([1.0, 1.0, 2.0, 1.0]))
    (cohort / "labels.json").write_text('{"1": "Ball"}')
    heard: list[dict[str, Any]] = []
    train(cohort, tmp_path / "run", tiny, base=hqc.Bundle.open(tiny_run / "bundle"), steps=1, on_event=heard.append)
    told = [(event["work"], event["done"], event["total"]) for event in heard if event["event"] == "preparing"]
    assert told == [
        *(("reading", step, 4) for step in range(5)),
        *(("preparing", step, 3) for step in range(4)),
        *(("rehearsing", step, 3) for step in range(4)),
        *(("judging", step, 1) for step in range(2)),
    ]


def test_without_held_out_patients_nothing_is_claimed(tiny_cohort: Path, tmp_path, tiny):
    bundle = train(tiny_cohort, tmp_path / "run", tiny, held_out=0)
    assert bundle.manifest.training.held_out_dice == {}
    assert bundle.manifest.training.cases == 4
    assert "held-out" not in {event["event"] for event in read_events(tmp_path / "run" / "events.jsonl")}
    assert "not measured" in (bundle.path / "MODEL_CARD.md").read_text()


def test_fine_tuning_starts_at_the_base_and_trains_few_numbers(tiny_run: Path, tiny_cohort: Path, tmp_path, tiny):
    base = hqc.Bundle.open(tiny_run / "bundle")
    still = {"angle_rate": 1e-12, "scale_rate": 1e-12, "learning_rate": 1e-12}
    tuned = train(tiny_cohort, tmp_path / "run", tiny, base=base, method="qpg", steps=1, **still)
    for name, tensor in base.state().items():
        torch.testing.assert_close(tuned.state()[name], tensor, atol=1e-6, rtol=1e-5)
    summary = tuned.manifest.training
    assert summary.trainable_numbers < summary.network_numbers / 20
    assert summary.from_base


@pytest.mark.slow
def test_qpg_lowers_the_loss_from_scratch(tiny_cohort: Path, tmp_path, tiny):
    losses = []
    train(
        tiny_cohort, tmp_path / "run", tiny, method="qpg", steps=30, held_out=0,
        on_event=lambda event: losses.append(event.get("loss")),
    )  # fmt: skip
    losses = [loss for loss in losses if loss is not None]
    assert sum(losses[-5:]) < 0.9 * sum(losses[:5])


@pytest.mark.slow
def test_qpg_adapts_a_base_to_other_intensities(tiny_run: Path, tmp_path, tiny):
    """The second hospital's images have the ball brighter than the cube: the base has to unlearn."""
    cohort = tiny.write_tiny_cohort(tmp_path / "cohort", intensities=(0, 120, 60))
    base = hqc.Bundle.open(tiny_run / "bundle")
    bundle = train(cohort, tmp_path / "run", tiny, base=base, method="qpg", steps=60)
    losses = [event["loss"] for event in read_events(tmp_path / "run" / "events.jsonl") if event["event"] == "progress"]
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])
    summary = bundle.manifest.training
    assert summary.trainable_numbers < base.manifest.training.trainable_numbers / 20
    # The circuits are gone: what is written is the stock network.
    assert {name: tensor.shape for name, tensor in bundle.state().items()} == {
        name: tensor.shape for name, tensor in base.state().items()
    }


def test_the_method_full_trains_all_weights_of_a_base(tiny_run: Path, tiny_cohort: Path, tmp_path, tiny):
    summary = train(tiny_cohort, tmp_path / "run", tiny, base=tiny_run / "bundle", method="full").manifest.training
    assert summary.from_base
    assert summary.trainable_numbers == summary.network_numbers
    assert weights(tmp_path / "run") != weights(tiny_run)


@pytest.mark.slow
def test_structures_that_only_the_base_knows_stay_in_the_model_and_are_not_forgotten(tmp_path, tiny, dice):
    """The second hospital draws the cube only, with a value of its own."""
    # Voxels as cubes: a ball is one for the network, too.
    affine = np.eye(4)
    base = tiny.train_all_weights(tiny.write_tiny_cohort(tmp_path / "first", spacing=(1, 1, 1)), tmp_path / "base")
    cohort = tiny.write_tiny_cohort(tmp_path / "cohort", patients=2, spacing=(1, 1, 1))
    (cohort / "labels.json").write_text('{"7": "Cube"}')
    for seed in range(2):
        cube = np.where(tiny.tiny_patient(seed)[1] == 2, 7, 0).astype(np.uint8)
        write_array(cohort / "labels" / f"patient{seed}.nii.gz", cube, affine)
    image, label = tiny.tiny_patient(9)
    found, reasons = {}, {}
    for rehearse in (True, False):
        out = tmp_path / f"rehearse-{rehearse}"
        tuned = train(cohort, out, tiny, base=base.path, steps=60, rehearse=rehearse)
        assert tuned.manifest.names == {1: "Ball", 2: "Cube"}
        assert set(tuned.manifest.training.held_out_dice) == {"Cube"}
        result = tuned.segment((image, affine))
        found[rehearse] = {name: dice(result.mask(name), label == value) for value, name in tiny.NAMES.items()}
        reasons[rehearse] = " ".join(json.loads((out / "config.json").read_text())["plan"]["reasons"])
    assert min(found[True].values()) > 0.9
    assert found[False]["Ball"] < found[True]["Ball"] - 0.1
    assert "so as not to be forgotten: Ball" in reasons[True]
    assert "small layers not in full: Ball" in reasons[False]


@pytest.mark.slow
@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("network", NETWORKS)
def test_every_network_trains_and_segments(tiny_cohort: Path, tmp_path, tiny, network: str, dims: int):
    side = 2 * specify(network, dims=dims, preset="small", in_channels=1, out_channels=3).divisors[0]
    patch = (max(16, side), *[max(16, side // 2)] * (dims - 1))
    bundle = train(tiny_cohort, tmp_path / "run", tiny, network=network, dims=dims, patch=patch, steps=2)
    image, _ = tiny.tiny_patient(9)
    result = hqc.Bundle.open(bundle.path).segment((image, torch.eye(4).numpy()))
    assert result.array.shape == image.shape


@pytest.mark.parametrize(
    "settings",
    [
        {"loss": "dice_focal"},
        {"loss": "tversky", "class_weights": "rare"},
        {"schedule": "onecycle", "average": 0.9},
        {"schedule": "constant", "gradient_norm": 0},
        {"network": "unetpp", "patch": (32, 16, 16), "deep_supervision": True},
        {"network": "dynunet", "deep_supervision": True},
        {"augment": True, "augmentation": "strong", "flips": True, "invert_contrast": True},
    ],
    ids=lambda settings: " ".join(map(str, settings.values())),
)
def test_the_loss_falls_with_every_setting(tiny_cohort: Path, tmp_path, tiny, settings: dict[str, Any]):
    train(tiny_cohort, tmp_path / "run", tiny, **{"method": "full", "steps": 24, "learning_rate": 3e-3, **settings})
    losses = [event["loss"] for event in read_events(tmp_path / "run" / "events.jsonl") if event["event"] == "progress"]
    assert np.mean(losses[-5:]) < 0.97 * np.mean(losses[:5])


def test_long_gradients_are_cut(tiny_cohort: Path, tmp_path, tiny):
    """To a norm so small that it is lost beside AdamW's own small number, so that nothing is learned."""
    settings = {"method": "full", "steps": 1, "held_out": 0, "weight_decay": 0}
    start, cut, free = (
        train(tiny_cohort, tmp_path / name, tiny, **{**settings, **options}).state()
        for name, options in {
            "start": {"learning_rate": 1e-30},
            "cut": {"gradient_norm": 1e-12},
            "free": {"gradient_norm": 0},
        }.items()
    )
    learned = [name for name in start if name.endswith("conv.weight")]
    assert all(torch.allclose(cut[name], start[name], atol=1e-6) for name in learned)
    assert not any(torch.allclose(free[name], start[name], atol=1e-6) for name in learned)


def test_bfloat16_trains_where_the_processor_computes_it_rightly_and_is_refused_elsewhere(
    tiny_cohort: Path, tmp_path, tiny
):
    def run() -> list[float]:
        train(tiny_cohort, tmp_path / "run", tiny, method="qpg", precision="bfloat16", steps=24)
        return [
            event["loss"] for event in read_events(tmp_path / "run" / "events.jsonl") if event["event"] == "progress"
        ]

    if trains_in_bfloat16():
        losses = run()
        assert np.mean(losses[-5:]) < 0.97 * np.mean(losses[:5])
    else:
        with pytest.raises(InputError, match="bfloat16 are wrong on this computer's processor; use float32"):
            run()


def test_training_stops_where_dice_no_longer_rises_and_keeps_the_best(tiny_cohort: Path, tmp_path, tiny):
    """With learning rates of nothing the first check is the best."""
    still = {"learning_rate": 1e-12, "method": "full", "steps": 30, "patience": 2}
    bundle = train(tiny_cohort, tmp_path / "run", tiny, **still)
    assert bundle.manifest.training.steps == 3
    steps = [event["step"] for event in read_events(tmp_path / "run" / "events.jsonl") if event["event"] == "progress"]
    assert steps[-1] == 9


@pytest.mark.slow
@pytest.mark.parametrize("step", [1, 4])
@pytest.mark.parametrize("method", ["full", "qpg"])
def test_a_stopped_run_goes_on_to_the_same_bits(tiny_run: Path, tiny_cohort: Path, tmp_path, tiny, method, step: int):
    settings = {"method": method, "steps": 6, "augment": True, "base": tiny_run / "bundle"}
    train(tiny_cohort, tmp_path / "straight", tiny, **settings)
    with pytest.raises(Interrupted, match=f"after {step} of 6 steps.*--resume"):
        train(tiny_cohort, tmp_path / "stopped", tiny, on_event=tiny.stop_after(step), **settings)
    assert not (tmp_path / "stopped" / "bundle").exists()
    train(tiny_cohort, tmp_path / "stopped", tiny, resume=True, **settings)
    assert weights(tmp_path / "stopped") == weights(tmp_path / "straight")
    steps = [
        event["step"] for event in read_events(tmp_path / "stopped" / "events.jsonl") if event["event"] == "progress"
    ]
    assert steps == [1, 2, 3, 4, 5, 6]


@pytest.mark.slow
def test_ctrl_c_in_the_middle_of_a_step_loses_no_bit(tiny_cohort: Path, tmp_path, tiny):
    settings = {"method": "full", "steps": 6}
    train(tiny_cohort, tmp_path / "straight", tiny, **settings)
    taken = 0

    def stop(*_: object) -> None:
        """The weights are changed; nobody has counted the step yet."""
        nonlocal taken
        taken += 1
        if taken == 4:
            signal.raise_signal(signal.SIGINT)

    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    hook = register_optimizer_step_post_hook(stop)
    try:
        with pytest.raises(Interrupted, match="stopped after 4 of 6"):
            train(tiny_cohort, tmp_path / "stopped", tiny, **settings)
    finally:
        hook.remove()
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    train(tiny_cohort, tmp_path / "stopped", tiny, resume=True, **settings)
    assert weights(tmp_path / "stopped") == weights(tmp_path / "straight")


@pytest.mark.slow
def test_a_run_stopped_before_its_first_step_or_after_its_last_goes_on(tiny_cohort: Path, tmp_path, tiny):
    train(tiny_cohort, tmp_path / "straight", tiny)
    for number, kind in enumerate(("started", "held-out")):
        out = tmp_path / kind

        def stop(event: dict[str, Any], kind: str = kind, number: int = number) -> None:
            if event["event"] == kind and event.get("step", 0) == 3 * number:
                raise KeyboardInterrupt

        with pytest.raises((Interrupted, KeyboardInterrupt)):
            train(tiny_cohort, out, tiny, on_event=stop)
        assert not (out / "bundle").exists()
        train(tiny_cohort, out, tiny, resume=True)
        assert weights(out) == weights(tmp_path / "straight")


def test_resuming_a_finished_run_changes_nothing(tiny_cohort: Path, tmp_path, tiny):
    train(tiny_cohort, tmp_path / "run", tiny, method="qpg")
    before = contents(tmp_path / "run" / "bundle")
    train(tiny_cohort, tmp_path / "run", tiny, method="qpg", resume=True)
    assert contents(tmp_path / "run" / "bundle") == before


def test_a_run_that_diverges_ends_with_an_error_and_no_model(tiny_cohort: Path, tmp_path, tiny):
    with pytest.raises(WorkError, match="learning rates"):
        train(tiny_cohort, tmp_path / "run", tiny, method="full", steps=8, learning_rate=1e30)
    assert not (tmp_path / "run" / "bundle").exists()
    last = read_events(tmp_path / "run" / "events.jsonl")[-1]
    assert last["event"] == "error"
    assert "learning rates" in last["message"]
    assert str(tmp_path) not in (tmp_path / "run" / "events.jsonl").read_text()


def test_the_same_seed_gives_the_same_model_and_another_seed_another(tiny_cohort: Path, tmp_path, tiny):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        train(tiny_cohort, tmp_path / name, tiny, seed=seed)
    assert weights(tmp_path / "a") == weights(tmp_path / "b") != weights(tmp_path / "c")


def test_a_run_is_not_overwritten_nor_continued_with_other_settings(tiny_run: Path, tiny_cohort: Path, tiny):
    before = contents(tiny_run)
    with pytest.raises(InputError, match="already holds a run"):
        train(tiny_cohort, tiny_run, tiny)
    same = {"method": "full", "steps": 60, "learning_rate": 5e-3}
    for changed in ({"seed": 1}, {"steps": 61}, {"method": "qpg"}, {"learning_rate": 1e-3}, {"batch": 3}):
        with pytest.raises(InputError, match="other settings"):
            train(tiny_cohort, tiny_run, tiny, resume=True, **{**same, **changed})
    with pytest.raises(InputError, match="other settings"):
        train(tiny_cohort, tiny_run, tiny, resume=True, base=tiny_run / "bundle", **same)
    assert contents(tiny_run) == before


def test_a_run_is_not_continued_on_other_patients(tiny_cohort: Path, tmp_path, tiny):
    with pytest.raises(Interrupted):
        train(tiny_cohort, tmp_path / "run", tiny, on_event=tiny.stop_after(1))
    before = contents(tmp_path / "run")
    other = Path(shutil.copytree(tiny_cohort, tmp_path / "cohort"))
    for kind in ("images", "labels"):
        (other / kind / "patient0.nii.gz").rename(other / kind / "patient9.nii.gz")
    with pytest.raises(InputError, match="other cases"):
        train(other, tmp_path / "run", tiny, resume=True)
    assert contents(tmp_path / "run") == before


def test_where_there_is_no_run_nothing_is_resumed(tiny_cohort: Path, tmp_path, tiny):
    with pytest.raises(InputError, match="no run to resume"):
        train(tiny_cohort, tmp_path / "run", tiny, resume=True)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_base_learns_a_structure_that_it_does_not_know_and_keeps_the_others(tiny_run: Path, tmp_path, tiny):
    """The second hospital names the cube otherwise."""
    cohort = tiny.write_tiny_cohort(tmp_path / "cohort", patients=3)
    (cohort / "labels.json").write_text('{"1": "Ball", "2": "Spleen"}')
    settings = {"base": tiny_run / "bundle", "method": "full", "steps": 80, "learning_rate": 5e-3}
    tuned = train(cohort, tmp_path / "run", tiny, **settings)
    assert tuned.manifest.names == {1: "Ball", 2: "Cube", 3: "Spleen"}
    assert tuned.manifest.training.held_out_dice["Spleen"] > 0.8
    assert tuned.manifest.training.held_out_dice["Ball"] > 0.8
    alone = train(cohort, tmp_path / "alone", tiny, **{**settings, "steps": 1}, keep_structures=False)
    assert alone.manifest.names == {1: "Ball", 3: "Spleen"}


@pytest.mark.parametrize(
    "settings", [{"spacing": (0, 1, 1)}, {"spacing": (1, 1, float("inf"))}, {"patch": (16, 0, 16)}, {"angle_rate": 0}]
)
def test_settings_that_no_run_could_use_are_refused_at_once(settings):
    with pytest.raises(ValidationError, match=next(iter(settings))):
        hqc.TrainConfig(**settings)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"patch": (16, 12, 16)}, "a multiple of 8,8,4, such as 16,16,16"),
        ({"patch": (8, 8, 4)}, "at least 8 voxels"),
        ({"patch": (16, 16)}, "3"),
        ({"network": "unetpp", "patch": (24, 24, 24)}, "a multiple of 16, such as 32,32,32"),
        ({"held_out": 4}, "none would be left"),
        ({"base": "missing"}, "not a model bundle"),
    ],
)
def test_settings_that_do_not_fit_are_refused(tiny_cohort: Path, tmp_path, tiny, settings, said: str):
    with pytest.raises(InputError, match=said):
        train(tiny_cohort, tmp_path / "run", tiny, **settings)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"network": "segresnet"}, "base model has network unet"),
        ({"dims": 2, "patch": (16, 16)}, "base model has dims 3"),
        ({"spacing": (1, 1, 1)}, "base model has spacing"),
        ({"preset": "large"}, "leave preset out"),
        ({"patch": (16, 12, 16)}, "a multiple of 8,8,4, such as 16,16,16"),
    ],
    ids=["network", "dims", "spacing", "preset", "patch"],
)
def test_settings_that_do_not_fit_the_base_are_refused(tiny_run, tiny_cohort, tmp_path, tiny, settings, said: str):
    with pytest.raises(InputError, match=said):
        train(tiny_cohort, tmp_path / "run", tiny, base=tiny_run / "bundle", **settings)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("part", ["images", "labels"])
@pytest.mark.parametrize("patient", range(4))
def test_an_unreadable_file_of_any_patient_stops_a_run_before_it_begins(tiny_cohort, tmp_path, tiny, patient, part):
    """Also of the patient that is held out, who is not needed before the first Dice."""
    cohort = Path(shutil.copytree(tiny_cohort, tmp_path / "cohort"))
    path = cohort / part / f"patient{patient}.nii.gz"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(InputError, match=f"patient{patient}"):
        train(cohort, tmp_path / "run", tiny)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("content", [np.nan, 7.0], ids=["not a number", "constant"])
@pytest.mark.parametrize("patient", range(4))
def test_an_unusable_image_of_any_patient_stops_a_run_before_it_begins(tiny_cohort, tmp_path, tiny, patient, content):
    """Also of the patient that is held out."""
    cohort = Path(shutil.copytree(tiny_cohort, tmp_path / "cohort"))
    # ITK reads what is not finite in a NIfTI file as 0.
    (cohort / "images" / f"patient{patient}.nii.gz").unlink()
    image = np.full((24, 24, 24), content, np.float32)
    write_array(cohort / "images" / f"patient{patient}.nrrd", image, np.diag([1.0, 1.0, 2.0, 1.0]))
    with pytest.raises(InputError, match=f"patient{patient}"):
        train(cohort, tmp_path / "run", tiny)
    assert not (tmp_path / "run").exists()


def test_a_file_is_no_folder_for_a_run(tiny_cohort: Path, tmp_path, tiny):
    (tmp_path / "run").write_text("thesis")
    with pytest.raises(InputError, match="is a file"):
        train(tiny_cohort, tmp_path / "run", tiny)
    assert (tmp_path / "run").read_text() == "thesis"


def test_the_cohort_is_only_read(tiny_cohort: Path, tmp_path, tiny):
    cohort = Path(shutil.copytree(tiny_cohort, tmp_path / "cohort"))
    before = contents(cohort)
    train(cohort, tmp_path / "run", tiny)
    assert contents(cohort) == before


# Methods


@pytest.mark.parametrize("method", ["qpg", "lora", "frozen", "noentangle", "randommap", "norms"])
def test_base_and_trained_part_together_are_the_model(method: str, tiny_run: Path, tiny_cohort: Path, tmp_path, tiny):
    base = hqc.Bundle.open(tiny_run / "bundle")
    tuned = train(tiny_cohort, tmp_path / "run", tiny, base=base, method=method)
    assert tuned.manifest.training.method == method
    assert tuned.manifest.training.base_weights_sha256 == base.manifest.weights_sha256
    assert tuned.manifest.training.trainable_numbers < tuned.manifest.training.network_numbers / 10
    trained, written = tuned.adapter()
    network = qpg.inject(base.build(), qpg.config_from_json(written))
    qpg.load_adapter(network, trained)
    for name, tensor in qpg.merge(network).state_dict().items():
        assert torch.equal(tensor, tuned.state()[name])


def test_circuits_can_generate_all_weights_from_nothing(tiny_cohort: Path, tmp_path, tiny):
    model = train(tiny_cohort, tmp_path / "run", tiny, start="zero", steps=40)
    losses = [event["loss"] for event in read_events(tmp_path / "run" / "events.jsonl") if event["event"] == "progress"]
    assert np.mean(losses[-10:]) < np.mean(losses[:5])
    assert json.loads(model.adapter()[1])["start"] == "zero"


def test_layers_may_have_other_depths_or_stay_classical(tiny_run: Path, tiny_cohort: Path, tmp_path, tiny):
    base = tiny_run / "bundle"
    run = {"base": base, "steps": 1, "classical_part": 0}
    trained, _ = train(tiny_cohort, tmp_path / "a", tiny, **run, depth_pattern={"*submodule*": 4}).adapter()
    depths = {name: tensor.shape[1] for name, tensor in trained.items() if name.endswith("angles")}
    assert {depth for name, depth in depths.items() if "submodule" in name} == {4}
    assert {depth for name, depth in depths.items() if "submodule" not in name} == {2}
    trained, _ = train(tiny_cohort, tmp_path / "b", tiny, **run, exclude=("*submodule*",)).adapter()
    assert {name for name in trained if name.endswith("angles")} == {name for name in depths if "submodule" not in name}
    trained, _ = train(tiny_cohort, tmp_path / "scratch", tiny, steps=1).adapter()
    assert {tensor.shape[1] for name, tensor in trained.items() if name.endswith("angles")} == {2}
    trained, _ = train(tiny_cohort, tmp_path / "small", tiny, base=base, steps=1).adapter()
    assert {name for name in trained if name.endswith("angles")} < {name for name in depths if "submodule" in name}
    assert "model.2.0.conv.weight" in trained
    with pytest.raises(InputError, match=r"name like encoder\.\*"):
        train(tiny_cohort, tmp_path / "c", tiny, **run, include=("encoder.*",))


@pytest.mark.parametrize("method", ["qpg", "lora", "full"])
def test_a_batch_may_go_through_the_network_in_parts(method: str, tiny_cohort: Path, tmp_path, tiny):
    """With one patch in every part, so that all parts count the same; Dice is then that of each patch."""
    settings = {"method": method, "batch": 4, "steps": 4}
    train(tiny_cohort, tmp_path / "whole", tiny, **settings)
    train(tiny_cohort, tmp_path / "parts", tiny, **settings, micro_batches=4)
    whole, parts = (
        [event["loss"] for event in read_events(tmp_path / name / "events.jsonl") if event["event"] == "progress"]
        for name in ("whole", "parts")
    )
    assert parts == pytest.approx(whole, rel=0.05)
    assert parts[-1] < parts[0]


def test_without_updates_a_model_has_no_trained_part_of_its_own(tiny_run: Path):
    assert hqc.Bundle.open(tiny_run / "bundle").adapter() is None


def test_ranks_of_the_updates_are_told_during_training_and_in_the_report(
    tiny_run: Path, tiny_cohort: Path, tmp_path, tiny
):
    train(tiny_cohort, tmp_path / "run", tiny, base=tiny_run / "bundle", method="lora", rank=2)
    ranks = [event for event in read_events(tmp_path / "run" / "events.jsonl") if event["event"] == "ranks"]
    assert [event["step"] for event in ranks] == [1, 2, 3]
    for layer in ranks[-1]["layers"].values():
        assert layer["numerical"] <= 2 <= layer["full"]
        assert 0 < layer["stable"] <= 2.001
    report = (tmp_path / "run" / "report.html").read_text()
    assert "Ranks of the weight updates" in report
    assert all(name in report for name in ranks[-1]["layers"])


def test_settings_of_a_method_that_do_not_fit_are_refused_before_anything_is_written(tiny_cohort: Path, tmp_path, tiny):
    with pytest.raises(InputError, match="method qpg: `coordinates`"):
        train(tiny_cohort, tmp_path / "run", tiny, channel="kernel", coordinates="register")
    assert not (tmp_path / "run").exists()
