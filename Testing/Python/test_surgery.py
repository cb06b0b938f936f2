"""A network gets other outputs or inputs and keeps what it knows of those that stay."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from HQCSegmentLib.cohort import Fingerprint
from HQCSegmentLib.errors import InputError
from HQCSegmentLib.networks import NETWORKS, NetworkSpec, logits, specify, with_inputs, with_outputs
from HQCSegmentLib.networks.surgery import NEW_OUTPUT_MARGIN
from HQCSegmentLib.training.plan import choose_channels, in_stored_units

NAMES = ["Liver", "Spleen", "Heart"]


def built(name: str, *, dims: int = 2) -> tuple[nn.Module, NetworkSpec, torch.Tensor]:
    """A network of three structures, its specification, and images for it."""
    spec = specify(name, dims=dims, preset="small", in_channels=2, out_channels=4)
    side = 2 * max(spec.divisors)
    images = torch.randn((1, 2, *[side] * dims), generator=torch.Generator().manual_seed(0))
    return spec.build_seeded(1).eval(), spec, images


@pytest.mark.parametrize("name", NETWORKS)
def test_added_structures_change_nothing_for_those_that_were_there(name: str):
    network, spec, images = built(name)
    wanted = ["Spleen", "Kidney", "Liver", "Heart"]
    changed, changed_spec = with_outputs(network, spec, names=NAMES, wanted=wanted)
    with torch.inference_mode():
        before, after = logits(network, images), logits(changed, images)
    assert changed_spec.out_channels == after.shape[1] == 5
    for index, structure in enumerate(["background", *wanted]):
        if structure == "Kidney":
            torch.testing.assert_close(after[:, index], before[:, 0] - NEW_OUTPUT_MARGIN, atol=1e-5, rtol=1e-5)
        else:
            old = ["background", *NAMES].index(structure)
            torch.testing.assert_close(after[:, index], before[:, old], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_structures_may_be_left_out(name: str):
    network, spec, images = built(name)
    changed, _ = with_outputs(network, spec, names=NAMES, wanted=["Heart", "Liver"])
    with torch.inference_mode():
        assert logits(changed, images).shape[1] == 3
    if name != "unet":  # whose last layer mixes the outputs of the one before
        with torch.inference_mode():
            torch.testing.assert_close(logits(changed, images), logits(network, images)[:, [0, 3, 1]])


@pytest.mark.parametrize("name", NETWORKS)
def test_an_added_image_changes_nothing_before_training(name: str):
    network, spec, images = built(name)
    changed, changed_spec = with_inputs(network, spec, names=["CT", "PET"], wanted=["MR", "CT", "PET"])
    more = torch.cat([torch.randn_like(images[:, :1]), images], dim=1)
    with torch.inference_mode():
        torch.testing.assert_close(logits(changed, more), logits(network, images), atol=1e-5, rtol=1e-5)
    assert changed_spec.in_channels == 3


def test_the_same_structures_give_the_same_network():
    network, spec, _ = built("unet", dims=3)
    assert with_outputs(network, spec, names=NAMES, wanted=NAMES) == (network, spec)


def measured(*names: str) -> Fingerprint:
    """Of a cohort with these images per case, each with intensities of its own."""
    inside = {"foreground_low": 0, "foreground_high": 1, "foreground_deviation": 1, "hounsfield": True}
    channels = [{"name": name, "foreground_mean": mean, **inside} for mean, name in enumerate(names, start=10)]
    return Fingerprint(cases=1, median_spacing=(1, 1, 1), median_extent=(9, 9, 9), channels=channels)


def test_images_of_the_base_keep_their_preparation_and_new_ones_are_measured():
    base = measured("PET", "CT").preprocessing()
    chosen = choose_channels(base, measured("CT", "MR"))
    assert [(channel.name, channel.mean) for channel in chosen.channels] == [("CT", 11), ("MR", 11)]
    # One image under another name is the base's.
    assert choose_channels(measured("image").preprocessing(), measured("CT")).names == ("image",)


def test_a_ct_stored_with_another_offset_is_prepared_alike():
    base, own = measured("CT"), measured("image")
    stored = own.channels[0].model_copy(update={"offset": -1024})
    chosen, reasons = in_stored_units(base.preprocessing(), base, own.model_copy(update={"channels": (stored,)}))
    assert [(one.low, one.high, one.mean) for one in chosen.channels] == [(1024, 1025, 1034)]
    assert "moved by +1024" in reasons[0]
    assert in_stored_units(base.preprocessing(), base, own) == (base.preprocessing(), [])


def test_where_no_name_says_which_image_is_the_bases_it_is_asked_for():
    with pytest.raises(InputError, match=r"takes 1 image\(s\) per case \(image\), and the cohort has 2 \(CT, MR\)"):
        choose_channels(measured("image").preprocessing(), measured("CT", "MR"))
