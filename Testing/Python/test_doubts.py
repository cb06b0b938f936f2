"""A result says where it is unlike the cases that the model was trained on, and how sure the network is."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

import HQCSegmentLib as hqc
from HQCSegmentLib.bundle import Certainty
from HQCSegmentLib.errors import InputError
from HQCSegmentLib.inference import SegmentConfig
from HQCSegmentLib.inference.plausibility import Doubt, calibrated, lowered, uncertainty_doubts

AFFINE = np.diag([1.0, 1.0, 2.0, 1.0])


@pytest.fixture(scope="module")
def bundle(tiny, tiny_cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> hqc.Bundle:
    """A sure model: ball and cube by their intensities, with the norms of three patients."""
    from HQCSegmentLib.cohort import fingerprint

    folder = tiny.write_threshold_bundle(
        tmp_path_factory.mktemp("sure") / "model", names=("Ball", "Cube"), above=(30, 90), floor=-100, spacing=(1, 1, 2)
    )
    cohort = hqc.Cohort.open(tiny_cohort)
    measured = fingerprint([case.read(cohort.structures) for case in cohort.cases[:3]], structures=cohort.structures)
    content = json.loads((folder / "bundle.json").read_text())
    content["fingerprint"] = measured.model_dump(mode="json")
    (folder / "bundle.json").write_text(json.dumps(content))
    return hqc.Bundle.open(folder)


@pytest.fixture(scope="module")
def array(tiny) -> np.ndarray:
    """An unseen patient."""
    return tiny.tiny_patient(11)[0]


def trained_with_mirrored_images(bundle: hqc.Bundle, folder: Path) -> hqc.Bundle:
    """The same model, said to have been trained with --flips."""
    copied = Path(shutil.copytree(bundle.path, folder / "mirrored"))
    content = json.loads((copied / "bundle.json").read_text())
    content["training"]["mirrored"] = True
    (copied / "bundle.json").write_text(json.dumps(content))
    return hqc.Bundle.open(copied)


def doubts(bundle: hqc.Bundle, array: np.ndarray, affine: np.ndarray = AFFINE) -> str:
    warnings = bundle.segment((array, affine)).warnings
    assert all(sentence.endswith((".", "?")) and "\n" not in sentence for sentence in warnings)
    return " ".join(warnings)


class TestUnlikeTraining:
    def test_a_patient_like_those_of_training_is_not_doubted(self, bundle: hqc.Bundle, array):
        assert doubts(bundle, array) == ""

    def test_norms_are_those_of_the_training_cases(self, bundle: hqc.Bundle):
        norms = bundle.manifest.fingerprint.structures
        assert set(norms) == {"Ball", "Cube"}
        assert norms["Cube"].volume_ml == pytest.approx((0.432, 0.432))
        assert norms["Cube"].cases == norms["Cube"].drawn == 3
        assert norms["Ball"].cut == norms["Cube"].cut == 0

    def test_half_of_the_patient(self, bundle: hqc.Bundle, array):
        said = doubts(bundle, array[:, :, :12])
        assert "24 mm from foot to head" in said
        assert "a part of the patient may be missing" in said

    def test_a_structure_that_every_training_case_shows_is_missed(self, bundle: hqc.Bundle, array):
        assert "Cube was not found, but every training case shows it." in doubts(bundle, np.minimum(array, 80))

    def test_a_structure_that_the_image_cuts(self, bundle: hqc.Bundle, array, tiny):
        top = int(np.flatnonzero((tiny.tiny_patient(11)[1] == 2).any(axis=(0, 1)))[-1])
        assert "Cube reaches the first or last slice" in doubts(bundle, array[:, :, : top - 1])

    def test_a_mirrored_image(self, bundle: hqc.Bundle, array):
        # The same voxels with an affine that calls the left the right.
        assert "is the image flipped?" in doubts(bundle, array[::-1])

    def test_other_voxels(self, bundle: hqc.Bundle, array):
        assert "The voxels are 4.4 mm from foot to head" in doubts(bundle, array, np.diag([1, 1, 4.4, 1]))

    def test_a_structure_of_another_size(self, bundle: hqc.Bundle, array):
        # Voxels of half the size: the image still shows everything, eight times smaller.
        said = doubts(bundle, np.kron(array, np.ones((1, 1, 1))), AFFINE / 2 + np.diag([0, 0, 0, 0.5]))
        assert "in the training cases it has" in said

    def test_another_contrast(self, bundle: hqc.Bundle, array):
        assert "intensities are distributed otherwise than in every training image" in doubts(bundle, 120 - array)

    def test_another_scale_of_an_mr_is_no_other_contrast(self, bundle: hqc.Bundle, array):
        assert "distributed otherwise" not in doubts(bundle, 1.1 * array + 3)

    def test_a_piece_far_off(self, bundle: hqc.Bundle, array):
        with_a_piece = array.copy()
        with_a_piece[1:3, 1:3, 1:3] = 120
        said = doubts(bundle, with_a_piece)
        assert "Cube is" in said
        assert "look for pieces far off or missing" in said

    def test_a_structure_unlike_its_surroundings_as_in_no_training_case(self, bundle: hqc.Bundle, array, tiny):
        label = tiny.tiny_patient(11)[1]
        said = doubts(bundle, np.where(label == 1, array - 25, array))
        assert "Ball" in said
        assert "deviations" in said

    def test_what_is_unlike_training_lowers_the_confidence(self, bundle: hqc.Bundle, array):
        usual, strange = (bundle.segment((one, AFFINE)).confidence["Cube"] for one in (array, 120 - array))
        assert strange < 0.7 * usual

    def test_a_ct_that_is_not_in_hounsfield_units(self, tiny, tmp_path: Path):
        model = tiny.write_threshold_bundle(
            tmp_path / "model", names=("Body", "Bone"), above=(-300, 250), floor=-1000, spacing=(1, 1, 2)
        )
        ct = np.full((40, 40, 20), -1000.0)
        ct[10:30, 10:30, 5:15] = 40
        assert "Hounsfield" not in doubts(hqc.Bundle.open(model), ct)
        said = doubts(hqc.Bundle.open(model), ct + 1024)
        assert "The image's lowest value is 24, but a CT like those of training holds air near -1000" in said

    def test_training_measures_them(self, tiny_bundle: Path):
        manifest = hqc.Bundle.open(tiny_bundle).manifest
        assert set(manifest.fingerprint.structures) == {"Ball", "Cube"}
        assert len(manifest.fingerprint.channels[0].profiles) == manifest.training.cases
        assert set(manifest.training.certainty) <= set(manifest.training.held_out_dice)

    def test_an_older_bundle_without_norms_is_not_compared(self, bundle: hqc.Bundle, tmp_path: Path, array):
        folder = Path(shutil.copytree(bundle.path, tmp_path / "model"))
        content = json.loads((folder / "bundle.json").read_text())
        del content["fingerprint"]["structures"]
        del content["postprocessing"]
        (folder / "bundle.json").write_text(json.dumps(content))
        assert "is the image flipped?" not in doubts(hqc.Bundle.open(folder), array[::-1])


class TestCalibration:
    """On held-out cases a network that expected a Dice of 0.9 had 0.75."""

    CERTAINTY: ClassVar = {"Ball": Certainty(cases=3, expected=0.9, dice=0.75)}

    def test_confidence_is_what_it_was_worth_there(self):
        found = calibrated({"Ball": 0.6, "Cube": 0.6}, self.CERTAINTY)
        assert found == pytest.approx({"Ball": 0.5, "Cube": 0.6})
        assert calibrated({"Ball": 0.9}, {"Ball": Certainty(cases=3, expected=0.5, dice=0.8)}) == {"Ball": 1.0}

    def test_less_than_usual_is_doubted_and_the_usual_is_not(self):
        (doubt,) = uncertainty_doubts({"Ball": 0.5, "Cube": 0.9}, {}, self.CERTAINTY)
        assert doubt.sentence.endswith("a Dice of about 0.50 is expected; on held-out cases it was 0.75.")
        assert not list(uncertainty_doubts({"Ball": 0.7}, {}, self.CERTAINTY))

    def test_a_structure_that_the_model_is_weak_at_is_told(self):
        (doubt,) = uncertainty_doubts({"Ball": 0.5}, {}, {"Ball": Certainty(cases=3, expected=0.9, dice=0.5)})
        assert doubt.sentence == "Ball is weak in this model: on held-out cases its mean Dice was 0.50."


def test_confidence_is_divided_by_the_largest_excess():
    told = [Doubt("all", excess=1.5), Doubt("one", "Ball", 3.0), Doubt("less", "Ball", 2.0)]
    assert lowered({"Ball": 0.9, "Cube": 0.6}, told) == pytest.approx({"Ball": 0.3, "Cube": 0.4})


class TestCertainty:
    def test_the_expected_dice_of_each_structure_is_told(self, bundle: hqc.Bundle, array):
        confidence = bundle.segment((array, AFFINE)).confidence
        assert set(confidence) == {"Ball", "Cube"}
        assert all(0.8 < value <= 1 for value in confidence.values())

    def test_noise_makes_it_less(self, bundle: hqc.Bundle, array):
        # Between ball and cube: the scores of both are nearly the same.
        clear, unclear = (bundle.segment((one, AFFINE)) for one in (array, np.where(array > 40, array / 100 + 89, 0)))
        assert min(unclear.confidence.values()) < min(clear.confidence.values())
        assert "is uncertain" in " ".join(unclear.warnings)

    def test_without_members_there_is_no_agreement(self, bundle: hqc.Bundle, array):
        assert bundle.segment((array, AFFINE)).agreement == {}


class TestQuality:
    def test_fast_and_best_find_the_same_structures(self, bundle: hqc.Bundle, array, dice, tmp_path: Path):
        bundle = trained_with_mirrored_images(bundle, tmp_path)
        standard = bundle.segment((array, AFFINE))
        for quality in ("fast", "best"):
            other = bundle.segment((array, AFFINE), config=SegmentConfig(quality=quality))
            for name in ("Ball", "Cube"):
                assert dice(other.mask(name), standard.mask(name)) > 0.9
        # Ball and cube have no sides, so the image may be mirrored.
        assert set(other.agreement) == {"Ball", "Cube"}
        assert min(other.agreement.values()) > 0.8

    def test_best_says_why_it_did_not_mirror(self, tiny, tmp_path: Path, array):
        model = tiny.write_threshold_bundle(
            tmp_path / "model", names=("Lung_L", "Heart"), above=(30, 90), floor=-100, spacing=(1, 1, 2)
        )
        result = hqc.Bundle.open(model).segment((array, AFFINE), config=SegmentConfig(quality="best"))
        assert "trained without" in result.warnings[0]
        assert result.agreement == {}
        mirrored = trained_with_mirrored_images(hqc.Bundle.open(model), tmp_path)
        result = mirrored.segment((array, AFFINE), config=SegmentConfig(quality="best"))
        assert "no partner" in result.warnings[0]
        assert result.agreement == {}


class TestEnsemble:
    def test_models_that_agree_give_what_each_gives(self, bundle: hqc.Bundle, array):
        alone = bundle.segment((array, AFFINE))
        together = bundle.segment((array, AFFINE), ensemble=[hqc.Bundle.open(bundle.path)])
        assert np.array_equal(together.array, alone.array)
        assert together.agreement == {"Ball": 1.0, "Cube": 1.0}

    def test_models_of_other_structures_are_refused(self, bundle: hqc.Bundle, tiny, tmp_path: Path, array):
        other = tiny.write_threshold_bundle(
            tmp_path / "model", names=("Ball", "Liver"), above=(30, 90), floor=-100, spacing=(1, 1, 2)
        )
        with pytest.raises(InputError, match=r"cannot be averaged .* other labels"):
            bundle.segment((array, AFFINE), ensemble=[hqc.Bundle.open(other)])


@pytest.mark.parametrize("engine", ["onnx", "openvino"])
def test_other_engines_give_the_same_contours(tiny_bundle: Path, array, dice, engine: str):
    bundle = hqc.Bundle.open(tiny_bundle)
    expected = bundle.segment((array, AFFINE))
    found = bundle.segment((array, AFFINE), config=SegmentConfig(engine=engine))
    for name in ("Ball", "Cube"):
        assert dice(found.mask(name), expected.mask(name)) >= 0.9999


def test_post_processing_of_the_bundle_is_done_and_can_be_left_out(bundle, tmp_path: Path, array):
    folder = Path(shutil.copytree(bundle.path, tmp_path / "model"))
    content = json.loads((folder / "bundle.json").read_text())
    content["postprocessing"] = {"Ball": {"minimum_ml": 1000}}
    (folder / "bundle.json").write_text(json.dumps(content))
    bundle = hqc.Bundle.open(folder)
    assert not bundle.segment((array, AFFINE)).mask("Ball").any()
    assert bundle.segment((array, AFFINE)).mask("Cube").any()
    assert bundle.segment((array, AFFINE), config=SegmentConfig(postprocessing=False)).mask("Ball").any()


def test_the_merged_model_computes_what_the_stock_network_computes(tiny_cohort: Path, tiny, tmp_path: Path, array):
    """QPG leaves nothing behind: the same tensors in MONAI's own class give the same bits."""
    from monai.networks.nets import UNet
    from safetensors.torch import load_file

    from HQCSegmentLib.cohort import prepare
    from HQCSegmentLib.inference import winning_outputs

    config = hqc.TrainConfig(method="qpg", steps=2, held_out=1, **tiny.SETTINGS)
    bundle = hqc.finetune(hqc.Cohort.open(tiny_cohort), config=config, out=tmp_path / "run")
    spec = bundle.manifest.network
    stock = UNet(spatial_dims=3, in_channels=1, out_channels=spec.out_channels, **spec.arguments)
    stock.load_state_dict(load_file(bundle.path / "model.safetensors"), strict=True)
    how = bundle.manifest.inference
    winner = winning_outputs(
        stock, prepare(hqc.Image(array, AFFINE), bundle.manifest.preprocessing), window=how.window, overlap=how.overlap
    )
    assert np.array_equal(bundle.segment((array, AFFINE), config=SegmentConfig(postprocessing=False)).array, winner)
