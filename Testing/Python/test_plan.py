"""A plan follows from what was measured, says why, and gives way to what was asked for."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from HQCSegmentLib.cohort import Fingerprint, LabelledCase, fingerprint
from HQCSegmentLib.errors import InputError
from HQCSegmentLib.imaging import Image
from HQCSegmentLib.networks import logits, specify
from HQCSegmentLib.training import TrainConfig, memory
from HQCSegmentLib.training.plan import Plan, choose_class_weights, plan_from_scratch


def measured(*spacings: tuple[float, float, float], shape: tuple[int, int, int] = (40, 40, 24)) -> Fingerprint:
    cases = []
    for spacing in spacings:
        label = np.zeros(shape, np.uint16)
        label[:2, :2, :2] = 1
        image = Image(np.random.default_rng(0).normal(size=shape), np.diag([*spacing, 1.0]))
        cases.append(LabelledCase(image, label, frozenset({1})))
    return fingerprint(cases, structures={1: "GTV"})


def test_images_of_few_slices_are_trained_slice_by_slice_unless_asked_otherwise():
    few = measured((1, 1, 5), shape=(40, 40, 5))
    plan = plan_from_scratch(TrainConfig(device="cpu"), few, {1: "GTV"})
    assert plan.network.dims == 2
    assert any(reason.startswith("2D: images have 5 slices") for reason in plan.reasons)
    assert plan_from_scratch(TrainConfig(device="cpu", dims=3), few, {1: "GTV"}).network.dims == 3


def test_far_coarser_slices_are_worked_on_at_the_spacing_of_the_finer_images():
    cohort = measured((1, 1, 2), (1, 1, 5), (1, 1, 5))
    assert cohort.spacing() == pytest.approx((1, 1, 2.6))
    assert measured((1, 1, 2), (1, 1, 2.5), (1, 1, 2.5)).spacing() == (1, 1, 2.5)


class TestThickSlices:
    """Long axes are halved only when the others have caught up, as nnU-Net does."""

    @pytest.mark.parametrize(
        ("spacing", "divisors"),
        [
            ((1, 1, 1), (8, 8, 8)),
            ((1, 1, 1.9), (8, 8, 8)),
            ((1, 1, 3), (8, 8, 4)),
            ((1, 1, 4), (8, 8, 2)),
            ((5, 1, 1), (2, 8, 8)),
        ],
    )
    @pytest.mark.parametrize("network", ["unet", "attentionunet", "dynunet"])
    def test_how_often_axes_are_halved_follows_from_the_spacing(self, network, spacing, divisors):
        assert (
            specify(network, dims=3, preset="small", in_channels=1, out_channels=2, spacing=spacing).divisors
            == divisors
        )

    @pytest.mark.parametrize("network", ["unet", "attentionunet", "dynunet"])
    def test_such_networks_take_patches_of_few_slices(self, network: str):
        spec = specify(network, dims=3, preset="small", in_channels=1, out_channels=2, spacing=(1, 1, 4))
        built = type(spec).model_validate_json(spec.model_dump_json()).build().eval()
        assert logits(built, torch.zeros(1, 1, 24, 16, 6)).shape == (1, 2, 24, 16, 6)

    def test_where_voxels_are_alike_networks_are_the_usual_ones(self):
        usual = specify("unet", dims=3, preset="small", in_channels=1, out_channels=2)
        assert specify("unet", dims=3, preset="small", in_channels=1, out_channels=2, spacing=(1, 1, 1.9)) == usual

    def test_the_plan_chooses_them_and_says_so(self):
        plan = plan_from_scratch(TrainConfig(device="cpu"), measured((1, 1, 4), shape=(40, 40, 10)), {1: "GTV"})
        assert plan.network.dims == 3
        assert plan.inference.window == (40, 40, 10)
        assert "made 2 times coarser along S and not 8 times, since voxels are 4 mm long there" in plan.reasons

    def test_patches_are_checked_along_each_axis(self):
        thick = measured((1, 1, 4), shape=(40, 40, 10))
        plan = plan_from_scratch(TrainConfig(device="cpu", patch=(32, 32, 6)), thick, {1: "GTV"})
        assert plan.inference.window == (32, 32, 6)
        with pytest.raises(InputError, match=r"multiple of 8,8,2, such as 32,32,6"):
            plan_from_scratch(TrainConfig(device="cpu", patch=(32, 33, 6)), thick, {1: "GTV"})
        with pytest.raises(InputError, match="at least 4 voxels"):
            plan_from_scratch(TrainConfig(device="cpu", patch=(8, 8, 2)), thick, {1: "GTV"})


class TestMemory:
    """What goes through the network at once is cut to what the device can hold."""

    @pytest.fixture
    def plan(self, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Plan]:
        cohort = measured((1, 1, 1), shape=(64, 64, 64))

        def make(device_bytes: float, **settings: object) -> Plan:
            monkeypatch.setattr(memory, "bytes_of_device", lambda _: device_bytes)
            return plan_from_scratch(TrainConfig(device="cpu", **settings), cohort, {1: "GTV"})

        return make

    @pytest.fixture
    def one_patch(self) -> float:
        """Bytes that a device needs for a step of one patch."""
        network = specify("unet", dims=3, preset="small", in_channels=1, out_channels=2)
        return memory.footprint(network).bytes_of_step(patch=(64, 64, 64), batch=1) / memory.USABLE_PART

    def test_where_all_fits_the_patches_of_a_step_go_through_together(self, plan: Callable[..., Plan]):
        usual = plan(1e12)
        assert (usual.inference.window, usual.micro_batches, usual.warnings) == ((64, 64, 64), 1, ())

    def test_first_they_go_one_after_the_other(self, plan: Callable[..., Plan], one_patch: float):
        tight = plan(1.1 * one_patch)
        assert (tight.inference.window, tight.micro_batches) == ((64, 64, 64), 2)
        assert any("go through the network in 2 parts, to fit into memory" in reason for reason in tight.reasons)
        assert plan(2.0 * one_patch, batch=5).micro_batches == 3

    def test_then_the_patch_is_made_smaller(self, plan: Callable[..., Plan], one_patch: float):
        small = plan(0.6 * one_patch)
        window = small.inference.window
        assert np.prod(window) < 64**3
        assert any(f"so the patch is {window} instead of (64, 64, 64)" in reason for reason in small.reasons)

    @pytest.mark.parametrize(
        "asked", [{"patch": (64, 64, 64), "micro_batches": 1}, {"patch": (64, 64, 64), "batch": 1}]
    )
    def test_what_was_asked_for_stays_with_a_warning(self, plan: Callable[..., Plan], one_patch: float, asked: dict):
        kept = plan(0.5 * one_patch, **asked)
        assert (kept.inference.window, kept.micro_batches) == ((64, 64, 64), 1)
        (warning,) = kept.warnings
        assert "ask for a smaller patch, more micro-batches or a smaller network" in warning

    def test_a_patch_that_the_caller_chose_needs_no_reason_and_is_fitted_too(
        self, plan: Callable[..., Plan], one_patch: float
    ):
        cohort, config = measured((1, 1, 1), shape=(64, 64, 64)), TrainConfig(device="cpu")
        plan(1e12)
        taken = plan_from_scratch(config, cohort, {1: "GTV"}, patch=(32, 32, 64))
        assert taken.inference.window == (32, 32, 64)
        assert not any(reason.startswith("patch") for reason in taken.reasons)
        plan(0.52 * one_patch)
        smaller = plan_from_scratch(config, cohort, {1: "GTV"}, patch=(32, 32, 64))
        assert smaller.inference.window == (32, 32, 32)
        assert smaller.warnings == ()


def test_how_much_of_an_image_a_structure_fills_is_measured():
    assert measured((1, 1, 1)).frequencies == {"GTV": pytest.approx(8 / (40 * 40 * 24))}


@pytest.mark.parametrize(("method", "trains"), [("full", "all weights"), ("norms", "no weights of layers")])
def test_a_classical_part_is_told_to_be_without_effect_where_it_is(method: str, trains: str):
    reason = f"classical part: without effect, since method {method} trains {trains}"
    asked = TrainConfig(device="cpu", method=method, classical_part=0.1)
    assert reason in plan_from_scratch(asked, measured((1, 1, 1)), {1: "GTV"}).reasons
    silent = TrainConfig(device="cpu", method=method)
    assert not any(
        "classical part" in text for text in plan_from_scratch(silent, measured((1, 1, 1)), {1: "GTV"}).reasons
    )


class TestClassWeights:
    RARE, COMMON = measured((1, 1, 1)), measured((1, 1, 1), shape=(16, 16, 16))

    def test_rare_structures_count_more_where_the_network_has_yet_to_learn_them(self):
        plan = plan_from_scratch(TrainConfig(device="cpu"), self.RARE, {1: "GTV"})
        assert plan.class_weights == "rare"
        assert "class weights rare: GTV fill less than 0.05% of an image" in plan.reasons
        assert plan_from_scratch(TrainConfig(device="cpu"), self.COMMON, {1: "GTV"}).class_weights == "equal"
        assert choose_class_weights(TrainConfig(), self.RARE, [])[0] == "equal", "a base model knows it"

    def test_what_is_asked_for_holds(self):
        assert choose_class_weights(TrainConfig(class_weights="equal"), self.RARE, ["GTV"])[0] == "equal"
        assert choose_class_weights(TrainConfig(class_weights="rare"), self.COMMON, ["GTV"])[0] == "rare"
