"""Counting what is trained, and sorting it for the optimizer."""

from __future__ import annotations

import pytest
import torch
from monai.networks.nets import UNet
from torch import nn

from HQCSegmentLib import qpg

RATES = {"angle_rate": 1.0, "scale_rate": 2.0, "classical_rate": 3.0, "angle_decay": 0.5, "classical_decay": 0.25}


@pytest.fixture
def unet() -> nn.Module:
    """The 3D residual UNet of the published numbers."""
    return UNet(
        spatial_dims=3,
        in_channels=1,
        out_channels=3,
        channels=(16, 32, 64, 128),
        strides=(2, 2, 2),
        num_res_units=2,
    )


def test_a_plain_network_trains_all_its_numbers(unet):
    assert qpg.trainable_numbers(unet) == 1_187_766
    assert qpg.trainable_numbers_by_kind(unet) == qpg.TrainableNumbers(0, 0, 1_187_766)


@pytest.mark.parametrize(
    ("readout", "depth", "total"),
    [("signed", 1, 11_912), ("signed", 2, 20_545), ("probability", 1, 11_122), ("probability", 2, 18_965)],
)
def test_circuits_train_few_numbers(unet, readout: str, depth: int, total: int):
    qpg.inject(unet, qpg.QPGConfig(readout=readout, depth=depth))
    kinds = qpg.trainable_numbers_by_kind(unet)
    assert qpg.trainable_numbers(unet) == kinds.total == total
    assert kinds.scales_and_shifts == 2 * 790  # of 790 channels
    assert kinds.classical == 1_699
    assert kinds.angles == total - 1_580 - 1_699


def test_angles_of_the_signed_readout(unet):
    assert qpg.trainable_numbers_by_kind(qpg.inject(unet)).angles == 17_266


def test_all_numbers_are_trained_again_after_merging(unet):
    assert qpg.trainable_numbers(qpg.merge(qpg.inject(unet))) == 1_187_766


def test_frozen_parameters_do_not_count():
    network = nn.Sequential(nn.Linear(100, 4), nn.Linear(4, 2))
    network[1].requires_grad_(False)
    assert qpg.trainable_numbers(network) == 404


def test_every_trainable_parameter_is_in_exactly_one_group(unet):
    groups = qpg.parameter_groups(qpg.inject(unet), **RATES)
    grouped = [id(parameter) for group in groups for parameter in group["params"]]
    trainable = [id(parameter) for parameter in unet.parameters() if parameter.requires_grad]
    assert sorted(grouped) == sorted(trainable)


def test_groups_have_their_own_rate_and_decay(unet):
    groups = {group["kind"]: group for group in qpg.parameter_groups(qpg.inject(unet), **RATES)}
    assert {kind: (group["lr"], group["weight_decay"]) for kind, group in groups.items()} == {
        "angles": (1.0, 0.5),
        "scales": (2.0, 0.0),
        "classical": (3.0, 0.25),
    }
    numbers = {kind: sum(parameter.numel() for parameter in group["params"]) for kind, group in groups.items()}
    assert numbers == {"angles": 17_266, "scales": 1_580, "classical": 1_699}
    # Optimizers take them as they are.
    torch.optim.AdamW(groups.values())


def test_empty_groups_are_left_out(unet):
    assert [group["kind"] for group in qpg.parameter_groups(unet, **RATES)] == ["classical"]
    network = qpg.inject(nn.Linear(100, 4, bias=False))
    assert [group["kind"] for group in qpg.parameter_groups(network, **RATES)] == ["angles", "scales"]


def test_weight_decay_of_the_angles_leads_back_to_w0():
    network = nn.Linear(100, 4, bias=False)
    start = network.weight.detach().clone()
    qpg.inject(network)
    angles = network.parametrizations.weight[0].angles
    with torch.no_grad():
        angles.fill_(0.1)
    assert not torch.equal(network.weight, start)
    groups = qpg.parameter_groups(network, angle_rate=1.0, scale_rate=0.0, classical_rate=0.0, angle_decay=1.0)
    angles.grad = torch.zeros_like(angles)
    torch.optim.AdamW(groups).step()
    assert torch.equal(network.weight, start)
