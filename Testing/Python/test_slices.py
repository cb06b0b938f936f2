"""2.5D: a 2D network that sees each slice with its neighbours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command_line import run
from torch import Tensor, nn

import HQCSegmentLib as hqc
from HQCSegmentLib.bundle import Manifest
from HQCSegmentLib.bundle.exporting import export
from HQCSegmentLib.bundle.updates import network_with_updates
from HQCSegmentLib.cli.options import make
from HQCSegmentLib.errors import InputError
from HQCSegmentLib.imaging import write_array
from HQCSegmentLib.inference import SegmentConfig, predict
from HQCSegmentLib.inference.scorer import NetworkScorer
from HQCSegmentLib.networks import logits
from HQCSegmentLib.training.augmentation import augmentation
from HQCSegmentLib.training.patches import PatchSource, TrainingCase
from HQCSegmentLib.training.plan import Plan, plan_from_base, plan_from_scratch
from HQCSegmentLib.training.start import make_network

AFFINE = np.diag([1.0, 1.0, 3.0, 1.0])
SETTINGS = {"method": "full", "dims": 2, "patch": (16, 16), "augment": False, "device": "cpu", "held_out": 1}
LENGTH = 10


def seen_from(place: int) -> list[int]:
    """Slices that are seen with one of them, of an image of LENGTH slices."""
    return [max(place - 1, 0), place, min(place + 1, LENGTH - 1)]


def patient(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Discs, one in each slice, and as structure of each slice the disc of the slice above it, (16, 16, LENGTH)."""
    random = np.random.default_rng(seed)
    places = np.stack(np.meshgrid(np.arange(16), np.arange(16), indexing="ij"), -1)
    discs = [np.linalg.norm(places - random.integers(3, 13, 2), axis=-1) < 3.5 for _ in range(LENGTH)]
    image = np.stack(discs, -1) * 100 + random.normal(0, 5, (16, 16, LENGTH))
    above = [discs[min(place + 1, LENGTH - 1)] for place in range(LENGTH)]
    return image.astype(np.float32), np.stack(above, -1).astype(np.uint8)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("slices") / "cohort"
    for seed in range(4):
        image, label = patient(seed)
        write_array(folder / "images" / f"patient{seed}.nii.gz", image, AFFINE)
        write_array(folder / "labels" / f"patient{seed}.nii.gz", label, AFFINE)
    (folder / "labels.json").write_text('{"1": "Above"}')
    return folder


def train(cohort: Path, out: Path, *, base: hqc.Bundle | None = None, **settings: Any) -> hqc.Bundle:
    config = hqc.TrainConfig(**{**SETTINGS, **settings})
    return hqc.finetune(hqc.Cohort.open(cohort), base=base, config=config, out=out)


@pytest.fixture(scope="module")
def model(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> hqc.Bundle:
    """A model that sees three slices."""
    out = tmp_path_factory.mktemp("three-slices") / "run"
    return train(cohort, out, slices=3, steps=80, batch=8, learning_rate=5e-3)


@pytest.fixture(scope="module")
def of_one_slice(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> hqc.Bundle:
    """A model that sees each slice alone."""
    out = tmp_path_factory.mktemp("one-slice") / "run"
    return train(cohort, out, steps=80, batch=8, learning_rate=5e-3)


class TestWhatTheNetworkSees:
    """In training and prediction alike: from feet to head, image by image, with the outermost slice repeated."""

    # The value of a voxel says which slice of which image it is of.
    IMAGE = np.broadcast_to(np.arange(LENGTH) + np.array([0, 100])[:, None, None, None], (2, 20, 20, LENGTH))

    @staticmethod
    def expected(place: int) -> list[int]:
        return [image + seen for image in (0, 100) for seen in seen_from(place)]

    def test_training(self):
        label = np.broadcast_to(np.arange(LENGTH, dtype=np.uint16), (20, 20, LENGTH))
        case = TrainingCase.make(self.IMAGE.astype(np.float32), label, np.ones(LENGTH, bool))
        source = PatchSource([case], patch=(16, 16), slices=3, batch=60, seed=0, vary=None)
        batch = source.batch(0)
        found = {
            int(labels.unique()): images.flatten(1).unique(dim=1)
            for images, labels in zip(batch.images, batch.labels, strict=True)
        }
        assert set(found) == set(range(LENGTH))
        for place, values in found.items():
            assert values.tolist() == [[value] for value in self.expected(place)]

    @pytest.mark.parametrize("window", [(8, 8), (16, 24)], ids=["smaller than the image", "larger along one axis"])
    def test_prediction(self, window: tuple[int, int]):
        echo = Echo()
        volume = torch.from_numpy(self.IMAGE.astype(np.float32))
        scores = predict(echo, volume, window=window, slices=3)
        assert scores.shape == (6, 20, 20, LENGTH)
        middle = scores[:, 10, 10]
        for place in range(LENGTH):
            assert middle[:, place].tolist() == pytest.approx(self.expected(place))

    def test_one_slice_is_as_it_was(self):
        volume = torch.randn((2, 20, 20, LENGTH), generator=torch.Generator().manual_seed(0))
        torch.testing.assert_close(predict(Echo(), volume, window=(8, 8)), volume)


class Echo(nn.Module):
    """Answers with its inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, images: Tensor) -> Tensor:
        return images * self.weight


def test_augmentation_changes_the_slices_of_an_image_alike():
    label = torch.zeros((1, 24, 24), dtype=torch.int32)
    label[0, 6:14, 8:18] = 1
    image = label.float().repeat(6, 1, 1)  # two images of three slices, all alike
    vary = augmentation(dims=2, channels=2, slices=3)
    alike = 0
    for seed in range(12):
        first, second = vary(image, label, seed)[0].split(3)
        for slices in (first, second):
            # Noise alone is drawn for each voxel.
            assert float((slices - slices[:1]).abs().max()) < 1.2
            alike += torch.equal(slices, slices[:1].expand(3, -1, -1))
    assert alike >= 12
    assert not torch.equal(first, second), "each image has a brightness of its own"


class TestLearning:
    def test_what_only_a_neighbour_tells_is_learned_from_three_slices(self, model: hqc.Bundle):
        assert model.manifest.training.held_out_dice["Above"] > 0.9

    def test_and_not_from_one(self, of_one_slice: hqc.Bundle):
        assert of_one_slice.manifest.training.held_out_dice["Above"] < 0.5

    def test_a_base_of_one_slice_learns_to_use_its_neighbours(
        self, of_one_slice: hqc.Bundle, cohort: Path, tmp_path: Path
    ):
        settings = {"method": "qpg", "slices": 3, "steps": 32, "batch": 8}
        tuned = train(cohort, tmp_path / "run", base=of_one_slice, **settings)
        before, after = (one.manifest.training.held_out_dice["Above"] for one in (of_one_slice, tuned))
        assert after > before + 0.2
        # The trained part and the base make the model again, for exchange between hospitals.
        again, images = network_with_updates(tuned, base=of_one_slice), random_images(3)
        with torch.no_grad():
            torch.testing.assert_close(logits(again, images), logits(tuned.build(), images), atol=1e-4, rtol=1e-4)


def random_images(inputs: int) -> Tensor:
    return torch.randn((1, inputs, 16, 16), generator=torch.Generator().manual_seed(0))


def started(base: hqc.Bundle, **settings: Any) -> tuple[nn.Module, Plan]:
    """The network that a run begins with, and the plan of the run."""
    config = hqc.TrainConfig(device="cpu", **settings)
    plan = plan_from_base(config, base.manifest, base.manifest.fingerprint, {1: "Above"})
    return make_network(plan, config, base)[0], plan


class TestStartingFromABase:
    @pytest.mark.parametrize("method", ["qpg", "lora", "full", "frozen", "noentangle", "randommap"])
    def test_the_neighbours_change_nothing_before_training_and_something_after_a_few_steps(
        self, method: str, of_one_slice: hqc.Bundle
    ):
        network, plan = started(of_one_slice, method=method, slices=3)
        assert (plan.network.in_channels, plan.inference.slices) == (3, 3)
        assert any("slices 3 at once (base model: 1)" in reason for reason in plan.reasons)
        images = random_images(3)
        others = images * torch.tensor([-1.0, 1.0, 2.0])[:, None, None]
        with torch.no_grad():
            expected = logits(of_one_slice.build(), images[:, 1:2])
            for seen in (images, others):
                torch.testing.assert_close(logits(network.eval(), seen), expected, atol=1e-4, rtol=1e-4)
        optimizer = torch.optim.Adam([one for one in network.parameters() if one.requires_grad], lr=0.02)
        for _ in range(2):
            optimizer.zero_grad()
            (logits(network, images) - images[:, :1]).square().mean().backward()
            optimizer.step()
        with torch.no_grad():
            assert (logits(network, images) - logits(network, others)).abs().max() > 1e-3

    def test_a_base_keeps_its_slices(self, model: hqc.Bundle):
        network, plan = started(model, method="full")
        assert plan.inference.slices == 3
        with torch.no_grad():
            assert torch.equal(logits(network.eval(), random_images(3)), logits(model.build(), random_images(3)))

    def test_or_sees_the_middle_one_alone(self, model: hqc.Bundle):
        network, plan = started(model, method="full", slices=1)
        assert (plan.network.in_channels, plan.inference.slices) == (1, 1)
        images = random_images(3) * torch.tensor([0.0, 1.0, 0.0])[:, None, None]
        with torch.no_grad():
            expected = logits(model.build(), images)
            torch.testing.assert_close(logits(network.eval(), images[:, 1:2]), expected, atol=1e-5, rtol=1e-5)

    def test_what_it_cannot_learn_is_refused(self, of_one_slice: hqc.Bundle, model: hqc.Bundle):
        with pytest.raises(InputError, match="method norms trains no weights that could use slices"):
            started(of_one_slice, method="norms", slices=3)
        assert started(model, method="norms")[1].inference.slices == 3

    def test_neighbours_of_a_base_for_volumes_are_refused(self, of_one_slice: hqc.Bundle):
        volumes = of_one_slice.manifest.network.model_copy(update={"dims": 3})
        base = of_one_slice.manifest.model_copy(update={"network": volumes})
        with pytest.raises(InputError, match="base model has dims 3, and 3 slices need dims 2; leave slices out"):
            plan_from_base(hqc.TrainConfig(slices=3), base, base.fingerprint, {1: "Above"})


def test_asking_for_slices_plans_a_2d_network(of_one_slice: hqc.Bundle):
    plan = plan_from_scratch(hqc.TrainConfig(slices=5, device="cpu"), of_one_slice.manifest.fingerprint, {1: "Above"})
    assert (plan.network.dims, plan.network.in_channels, len(plan.inference.window)) == (2, 5, 2)
    assert "2D: 5 slices at once are asked for" in plan.reasons


class TestSegmenting:
    @pytest.fixture
    def image(self) -> tuple[np.ndarray, np.ndarray]:
        return patient(7)[0], AFFINE

    def test_the_bundle_says_what_it_sees(self, model: hqc.Bundle, image):
        opened = hqc.Bundle.open(model.path)
        assert opened.manifest.inference.slices == 3
        assert "2.5D: it labels a slice and sees 3 at once" in (model.path / "MODEL_CARD.md").read_text()
        inputs = json.loads((model.path / "metadata.json").read_text())["network_data_format"]["inputs"]["image"]
        assert inputs["num_channels"] == 3
        assert inputs["channel_def"] == {"0": "image, slice -1", "1": "image", "2": "image, slice +1"}
        assert np.array_equal(opened.segment(image).array, model.segment(image).array)

    def test_contours_of_an_unseen_patient_are_right_up_to_the_outermost_slices(self, model: hqc.Bundle, image, dice):
        found, (_, label) = model.segment(image).array, patient(7)
        for place in (0, 1, LENGTH - 2, LENGTH - 1):
            assert dice(found[..., place] == 1, label[..., place] == 1) > 0.7

    def test_an_image_stored_from_head_to_feet_has_the_same_contours(self, model: hqc.Bundle, image):
        array, _ = image
        upside_down = AFFINE @ np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, -1, LENGTH - 1], [0, 0, 0, 1.0]])
        turned = model.segment((array[..., ::-1], upside_down)).array
        assert np.array_equal(turned[..., ::-1], model.segment(image).array)

    @pytest.mark.parametrize("length", [1, 4])
    def test_an_image_of_fewer_slices_is_segmented_and_doubted(self, model: hqc.Bundle, image, length: int):
        array, affine = image
        result = model.segment((array[..., :length], affine))
        assert result.array.shape == (16, 16, length)
        assert any("a part of the patient may be missing" in sentence for sentence in result.warnings)

    @pytest.mark.parametrize("number", [2, 5, 100])
    def test_windows_at_a_time_change_nothing(self, model: hqc.Bundle, image, monkeypatch, number: int):
        expected = model.segment(image)
        monkeypatch.setattr(NetworkScorer, "windows_at_a_time", lambda *_: number)
        found = model.segment(image)
        assert np.array_equal(found.array, expected.array)
        assert found.confidence == expected.confidence

    @pytest.mark.parametrize("engine", ["onnx", "openvino"])
    def test_other_engines_give_the_same_contours(self, model: hqc.Bundle, image, engine: str):
        expected = model.segment(image).array
        found = model.segment(image, config=SegmentConfig(engine=engine)).array
        assert (found == expected).mean() > 0.999


class TestOnDisk:
    def test_a_bundle_of_the_time_before_is_of_one_slice(self, of_one_slice: hqc.Bundle):
        content = json.loads((of_one_slice.path / "bundle.json").read_text())
        assert content["inference"].pop("slices") == 1
        assert Manifest.model_validate(content) == of_one_slice.manifest

    @pytest.mark.parametrize(
        ("slices", "said"),
        [(5, "1 channels of 5 slices for a network that takes 3"), (1, "1 channels for a network that takes 3")],
    )
    def test_slices_that_do_not_fit_the_network_are_refused(self, model: hqc.Bundle, slices: int, said: str):
        content = json.loads((model.path / "bundle.json").read_text())
        content["inference"]["slices"] = slices
        with pytest.raises(ValueError, match=said):
            Manifest.model_validate(content)

    def test_so_are_those_of_a_network_for_volumes(self, model: hqc.Bundle):
        content = json.loads((model.path / "bundle.json").read_text())
        content["network"]["dims"], content["inference"]["window"] = 3, [16, 16, 16]
        with pytest.raises(ValueError, match="3 slices for a network of 3 dimensions"):
            Manifest.model_validate(content)


class TestExport:
    def test_other_tools_are_told_what_the_inputs_are(self, model: hqc.Bundle, tmp_path: Path):
        export(model, "torchscript", tmp_path / "model.ts")
        about = json.loads((tmp_path / "model.ts.json").read_text())
        assert about["inputs"] == ["image, slice -1", "image", "image, slice +1"]
        assert "(batch, inputs, R, A)" in about["input"]
        assert (
            "of 3 slices across S for the one in the middle; outside the image the outermost is repeated"
            in about["input"]
        )
        images = random_images(3)
        with torch.inference_mode():
            torch.testing.assert_close(torch.jit.load(tmp_path / "model.ts")(images), logits(model.build(), images))

    def test_as_onnx(self, model: hqc.Bundle, tmp_path: Path):
        import onnxruntime

        export(model, "onnx", tmp_path / "model.onnx")
        session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
        images = random_images(3)
        with torch.inference_mode():
            expected = logits(model.build(), images).numpy()
        np.testing.assert_allclose(
            session.run(["logits"], {"images": images.numpy()})[0], expected, rtol=1e-4, atol=1e-4
        )

    def test_a_monai_bundle_of_slices_is_refused(self, model: hqc.Bundle, tmp_path: Path):
        with pytest.raises(InputError, match="a network for slices cannot be written as a MONAI bundle"):
            export(model, "monai", tmp_path / "monai")
        assert not (tmp_path / "monai").exists()


class TestCommand:
    def test_slices_are_an_option(self):
        assert make(hqc.TrainConfig, {"slices": "3"}).slices == 3

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            (["--slices", 4], "--slices '4' is not possible: input should be 1, 3, 5 or 7"),
            (
                ["--slices", 3, "--dims", 3],
                "3 slices are for a 2D network, and dims is 3; leave out one",
            ),
        ],
    )
    def test_what_is_not_possible(self, cohort: Path, tmp_path: Path, options: list, said: str):
        told = run("train", cohort, "--out", tmp_path / "run", *options, code=2).stderr
        assert said in " ".join(told.split())
        assert not (tmp_path / "run").exists()
