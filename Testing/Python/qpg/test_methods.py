"""Circuits in all their forms and the classical controls: one way in, one way out."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn.functional import conv2d

from HQCSegmentLib import qpg
from HQCSegmentLib.qpg import channels, coordinates
from HQCSegmentLib.qpg.accounting import trainable_numbers_by_kind
from HQCSegmentLib.qpg.config import AnsatzName
from HQCSegmentLib.qpg.injection import start_weight

METHODS = {
    "signed": qpg.QPGConfig(),
    "probability": qpg.QPGConfig(readout="probability"),
    "mapped": qpg.QPGConfig(readout="mapped"),
    "register": qpg.QPGConfig(coordinates="register"),
    "walsh": qpg.QPGConfig(coordinates="walsh"),
    "walsh around random angles": qpg.QPGConfig(coordinates="walsh", angle_spread=0.5),
    "mapped walsh": qpg.QPGConfig(coordinates="walsh", readout="mapped"),
    "singular": qpg.QPGConfig(coordinates="singular"),
    "singular, by roots": qpg.QPGConfig(coordinates="singular", singular_power=0.5),
    "kernel": qpg.QPGConfig(channel="kernel"),
    "around random angles": qpg.QPGConfig(angle_spread=0.5),
    "mapped around random angles": qpg.QPGConfig(readout="mapped", angle_spread=0.5),
    "RY, RZ and CZ": qpg.QPGConfig(ansatz="ryrz_cz_chain"),
    "U3 and CU3": qpg.QPGConfig(ansatz="u3_cu3_ring", depth=1),
    "frozen": qpg.QPGConfig(train_angles=False),
    "no entanglement": qpg.QPGConfig(ansatz="ry_cnot_none"),
    "low rank": qpg.LoRAConfig(rank=2),
    "low rank with alpha": qpg.LoRAConfig(rank=2, alpha=4),
    "random map": qpg.RandomMapConfig(),
    "random map in singular directions": qpg.RandomMapConfig(like=qpg.QPGConfig(coordinates="singular")),
    "norms and biases": qpg.NormsAndBiasesConfig(),
}
LAYERS = {
    "Conv3d": lambda: nn.Conv3d(8, 6, 3, padding=1),
    "Conv2d with groups": lambda: nn.Conv2d(16, 6, 3, padding=1, groups=2),
    "ConvTranspose2d": lambda: nn.ConvTranspose2d(16, 6, 3, padding=1),
    "ConvTranspose3d with groups": lambda: nn.ConvTranspose3d(16, 6, 3, padding=1, groups=2),
}
RATES = {"angle_rate": 0.05, "scale_rate": 0.05, "factor_rate": 0.05, "classical_rate": 0.01}


def input_of(layer: nn.Module) -> torch.Tensor:
    return torch.randn(1, layer.in_channels, *(5 for _ in layer.kernel_size))


def update(layer: nn.Module) -> nn.Module:
    return layer.parametrizations.weight[0]


def train(network: nn.Module, images: torch.Tensor, *, steps: int = 3) -> None:
    optimizer = torch.optim.AdamW(qpg.parameter_groups(network, **RATES))
    for _ in range(steps):
        optimizer.zero_grad()
        (network(images) - 1).square().mean().backward()
        optimizer.step()


@pytest.fixture
def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(8, 12, 3), nn.BatchNorm2d(12), nn.ReLU(), nn.Conv2d(12, 5, 3))


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randn(2, 8, 9, 9, generator=torch.Generator().manual_seed(1))


# One way in, one way out


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("method", METHODS)
def test_every_method_starts_at_w0_trains_and_merges_to_a_stock_layer(method: str, layer: str):
    torch.manual_seed(0)
    network = nn.Sequential(LAYERS[layer]())
    images = input_of(network[0])
    plain, before = copy.deepcopy(network), network(images)
    qpg.inject(network, METHODS[method])
    assert torch.equal(network(images), before)

    train(network, images)
    trained = network(images)
    assert not torch.equal(trained, before)
    weight_changed = not torch.equal(network[0].weight, plain[0].weight)
    assert weight_changed == (method != "norms and biases")
    qpg.merge(network)
    assert type(network[0]) is type(plain[0])
    plain.load_state_dict(network.state_dict(), strict=True)
    assert torch.equal(plain(images), trained)
    assert all(parameter.requires_grad for parameter in network.parameters())


@pytest.mark.parametrize("method", METHODS)
def test_the_trained_part_alone_makes_the_network_again(method: str, network, images):
    start = copy.deepcopy(network)
    config = METHODS[method]
    train(qpg.inject(network, config), images)
    state = qpg.adapter_state(network)

    again = qpg.inject(start, qpg.config_from_json(qpg.config_to_json(config)))
    qpg.load_adapter(again, state)
    assert torch.equal(again.eval()(images), network.eval()(images))


def test_the_trained_part_is_small_and_has_no_start_weights(network):
    qpg.inject(network)
    state = qpg.adapter_state(network)
    assert not any("original" in name for name in state)
    statistics = sum(buffer.numel() for buffer in network[1].buffers())
    assert sum(tensor.numel() for tensor in state.values()) == qpg.trainable_numbers(network) + statistics


def test_the_trained_part_of_another_network_is_refused(network, images):
    other = qpg.inject(nn.Sequential(nn.Conv2d(8, 11, 3), nn.BatchNorm2d(11), nn.ReLU(), nn.Conv2d(11, 5, 3)))
    qpg.inject(network)
    before = network(images)
    with pytest.raises(qpg.QPGError, match="has shape"):
        qpg.load_adapter(network, qpg.adapter_state(other))
    lora = qpg.inject(qpg.merge(copy.deepcopy(network)), qpg.LoRAConfig())
    with pytest.raises(qpg.QPGError, match="does not belong"):
        qpg.load_adapter(network, qpg.adapter_state(lora))
    assert torch.equal(network(images), before)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"method": "magic"}', '{"method": "lora", "colour": 1}'])
def test_text_that_is_no_configuration_is_refused(text: str):
    with pytest.raises(qpg.QPGError, match="not the configuration"):
        qpg.config_from_json(text)


def test_weights_that_were_frozen_are_frozen_again_after_merging(network):
    network[0].weight.requires_grad_(False)
    qpg.merge(qpg.inject(network))
    assert not network[0].weight.requires_grad
    assert network[3].weight.requires_grad


def test_another_object_than_a_configuration_is_refused(network):
    with pytest.raises(qpg.QPGError, match=r"`config`.*'deep'"):
        qpg.inject(network, "deep")


def test_the_names_of_ansatzes_are_those_of_the_circuits():
    assert set(AnsatzName.__args__) == set(qpg.ANSATZES)


# Circuits


def test_every_layer_may_have_its_own_depth(network):
    qpg.inject(network, qpg.QPGConfig(depth=2, depth_pattern={"0": 4, "*": 1}))
    assert update(network[0]).angles.shape == (12, 4, 8)
    assert update(network[3]).angles.shape == (5, 1, 8)


@pytest.mark.parametrize(("spread", "effective"), [(0.0, 3), (0.5, 16)])
def test_around_random_angles_all_of_them_have_an_effect_from_the_start(network, spread: float, effective: int):
    network.double()
    qpg.inject(network, qpg.QPGConfig(angle_spread=spread))
    angles = update(network[0]).angles
    gradients = []
    for number in range(72):
        network.zero_grad()
        network[0].weight.flatten(1)[0, number].backward()
        gradients.append(angles.grad[0].flatten().clone())
    assert torch.linalg.matrix_rank(torch.stack(gradients), rtol=1e-6) == effective


def test_pure_generation_starts_from_weights_of_hes_size_made_by_circuits(network):
    qpg.inject(network, qpg.QPGConfig(start="zero"))
    assert not start_weight(network[0]).any()
    deviation = network[0].weight.detach().flatten(1).square().mean(dim=1).sqrt()
    torch.testing.assert_close(deviation, torch.full((12,), (2 / 72) ** 0.5))


def test_a_kernel_with_its_own_circuit_is_changed_by_its_own_angles_only():
    torch.manual_seed(0)
    network = qpg.inject(nn.Sequential(nn.Conv2d(8, 3, 3)), qpg.QPGConfig(channel="kernel"))
    before = network[0].weight.detach().clone()
    with torch.no_grad():
        update(network[0]).angles[2 * 8 + 5] += 0.3  # output 2, input 5
    changed = (network[0].weight.detach() - before).flatten(2).any(dim=2)
    assert changed.nonzero().tolist() == [[2, 5]]


def test_layers_with_kernels_of_one_number_stay_classical_where_kernels_own_circuits():
    network = nn.Sequential(nn.Conv2d(64, 4, 1), nn.Conv2d(8, 4, 3), nn.Linear(100, 4))
    qpg.inject(network, qpg.QPGConfig(channel="kernel"))
    assert [name for name, _ in qpg.injected_layers(network)] == ["1"]


# Coordinates


def test_registers_number_input_channels_and_places_of_the_kernel():
    view = channels.ChannelView((5, 6, 3, 2))
    places = coordinates.RegisterCoordinates(view)
    assert places.values == 8 * 4 * 2
    values = torch.randn(5, 64)
    rows = places(values).reshape(5, 6, 3, 2)
    assert torch.equal(rows, values.reshape(5, 8, 4, 2)[:, :6, :3])


def test_singular_updates_stay_in_the_directions_of_w0_and_need_few_qubits(network, images):
    qpg.inject(network, qpg.QPGConfig(coordinates="singular"))
    assert update(network[0]).qubits == 5  # 12 directions, and the sign
    start = start_weight(network[0]).flatten(1)
    train(network, images)
    change = network[0].weight.detach().flatten(1) - start
    rank = torch.linalg.matrix_rank
    # The shifts, equal for all numbers of a channel, are one more direction.
    assert rank(torch.cat([start, change])) <= rank(start) + 1


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_values_of_size_1_are_weights_of_size_1_in_singular_directions(power: float):
    torch.manual_seed(0)
    places = coordinates.SingularCoordinates(torch.randn(20, 50), power=power)
    assert places(torch.randn(4000, 20)).square().mean().sqrt() == pytest.approx(1, abs=0.02)


# Controls


def test_a_low_rank_update_is_a_convolution_to_few_channels_and_one_back():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(8, 6, 3, bias=False))
    images = torch.randn(2, 8, 9, 9)
    before = network(images)
    qpg.inject(network, qpg.LoRAConfig(rank=2, alpha=6))
    train(network, images)
    lora = update(network[0])
    down, up = lora.down.reshape(2, 8, 3, 3), lora.up.reshape(6, 2, 1, 1)
    torch.testing.assert_close(network(images), before + 3 * conv2d(conv2d(images, down), up))
    assert qpg.update_ranks(network)["0"].numerical == 2


def test_every_layer_may_have_its_own_rank_up_to_what_its_matrix_allows(network):
    qpg.inject(network, qpg.LoRAConfig(rank=2, rank_pattern={"3": 1000}))
    assert update(network[0]).down.shape == (2, 72)
    assert update(network[3]).down.shape == (5, 108)


def test_frozen_circuits_keep_their_angles(network, images):
    qpg.inject(network, qpg.QPGConfig(train_angles=False))
    before = update(network[0]).angles.clone()
    assert before.any()
    train(network, images)
    assert torch.equal(update(network[0]).angles, before)
    assert trainable_numbers_by_kind(network).angles == 0


def test_a_random_map_is_linear_and_comes_from_its_seed(network):
    def made(seed: int) -> nn.Module:
        return qpg.inject(copy.deepcopy(network), qpg.RandomMapConfig(seed=seed))

    first, again, other = made(0), made(0), made(1)
    assert torch.equal(update(first[0]).map, update(again[0]).map)
    assert not torch.equal(update(first[0]).map, update(other[0]).map)
    changes = []
    for size in (1, 2):
        with torch.no_grad():
            update(first[0]).coefficients.fill_(0.01 * size)
        changes.append(first[0].weight.detach() - network[0].weight.detach())
    torch.testing.assert_close(changes[1], 2 * changes[0], atol=1e-6, rtol=1e-4)


def test_without_updates_only_norms_and_biases_are_trained(network, images):
    before = [layer.weight.detach().clone() for layer in (network[0], network[3])]
    qpg.inject(network, qpg.NormsAndBiasesConfig())
    train(network, images)
    assert all(torch.equal(a, b.weight) for a, b in zip(before, (network[0], network[3]), strict=True))
    assert qpg.trainable_numbers(network) == 12 + 2 * 12 + 5


def test_controls_change_the_same_layers_with_comparable_numbers(network):
    like = qpg.QPGConfig(depth=2)

    def counted(name: str) -> qpg.TrainableNumbers:
        config = qpg.method_config(name, like=like, network=network)
        return trainable_numbers_by_kind(qpg.inject(copy.deepcopy(network), config))

    circuits = counted("qpg")
    assert counted("noentangle") == circuits
    assert counted("randommap").factors == circuits.angles
    assert counted("randommap").total == circuits.total
    assert counted("frozen").total == circuits.total - circuits.angles
    assert counted("norms").total == 12 + 2 * 12 + 5
    rank = qpg.method_config("lora", like=like, network=network).rank
    wanted = circuits.angles + circuits.scales_and_shifts
    sizes = {r: r * (12 + 72) + min(r, 5) * (5 + 108) for r in (rank - 1, rank, rank + 1)}
    assert min(sizes, key=lambda r: abs(sizes[r] - wanted)) == rank
    assert counted("lora").factors == sizes[rank]


def test_an_unknown_method_is_named(network):
    with pytest.raises(qpg.QPGError, match=r"`name`.*'magic'"):
        qpg.method_config("magic", like=qpg.QPGConfig(), network=network)


@pytest.mark.parametrize(
    ("config", "field", "value"),
    [
        (qpg.QPGConfig, "depth_pattern", {"*": 0}),
        (qpg.QPGConfig, "depth_pattern", ["*"]),
        (qpg.QPGConfig, "coordinates", "polar"),
        (qpg.QPGConfig, "channel", "voxel"),
        (qpg.QPGConfig, "start", "one"),
        (qpg.QPGConfig, "train_angles", 2),
        (qpg.QPGConfig, "angle_spread", -1),
        (qpg.QPGConfig, "singular_power", 3),
        (qpg.QPGConfig, "seed", -1),
        (qpg.LoRAConfig, "rank", 0),
        (qpg.LoRAConfig, "rank_pattern", {"*": 1.5}),
        (qpg.LoRAConfig, "alpha", 0),
        (qpg.RandomMapConfig, "numbers", 0),
        (qpg.RandomMapConfig, "like", None),
    ],
)
def test_wrong_settings_are_named(config: type, field: str, value):
    with pytest.raises(qpg.QPGError) as caught:
        config(**{field: value})
    assert f"`{field}`" in str(caught.value)
    assert str(caught.value).endswith(f"got {value!r}")


@pytest.mark.parametrize(
    "settings", [{"channel": "kernel", "coordinates": "register"}, {"start": "zero", "coordinates": "singular"}]
)
def test_settings_that_do_not_fit_together_are_refused(settings: dict):
    with pytest.raises(qpg.QPGError, match="`coordinates`"):
        qpg.QPGConfig(**settings)


# Accumulation


def gradients(network: nn.Module) -> list[torch.Tensor]:
    return [p.grad.clone() for p in network.parameters() if p.requires_grad]


@pytest.fixture
def injected() -> nn.Sequential:
    torch.manual_seed(0)
    network = qpg.inject(nn.Sequential(nn.Conv2d(8, 12, 3), nn.ReLU(), nn.Conv2d(12, 5, 3)))
    train(network, torch.randn(2, 8, 9, 9))
    network.zero_grad()
    return network


def test_micro_batches_share_one_generation_and_give_the_same_gradients(injected, images, monkeypatch):
    from HQCSegmentLib.qpg.methods import circuits

    for image in images:
        injected(image[None]).square().sum().backward()
    wanted = gradients(injected)
    injected.zero_grad()
    calls = []
    original = circuits.values_run
    monkeypatch.setattr(circuits, "values_run", lambda *a, **k: calls.append(1) or original(*a, **k))
    with qpg.accumulation(injected):
        for image in images:
            injected(image[None]).square().sum().backward()
            with torch.no_grad():
                injected(image[None])
    assert len(calls) == 1
    for ours, theirs in zip(gradients(injected), wanted, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_a_step_inside_the_accumulation_is_refused(injected, images):
    optimizer = torch.optim.SGD(injected.parameters(), lr=0.1)

    def step_inside() -> None:
        with qpg.accumulation(injected):
            injected(images).sum().backward()
            optimizer.step()
            injected(images)

    with pytest.raises(RuntimeError, match="step the optimizer after it"):
        step_inside()
    # The network works on.
    injected(images).sum().backward()


def test_accumulation_needs_updates(images):
    with pytest.raises(qpg.NotInjectedError), qpg.accumulation(nn.Conv2d(8, 4, 3)):
        pass


# Ranks


def test_ranks_of_matrices_that_are_known():
    identity = qpg.matrix_ranks(torch.eye(5, 8))
    assert (identity.numerical, identity.full) == (5, 5)
    assert identity.stable == pytest.approx(5)
    assert identity.entropic == pytest.approx(5)
    single = qpg.matrix_ranks(torch.outer(torch.arange(1.0, 5), torch.arange(1.0, 7)))
    assert (single.numerical, single.full) == (1, 4)
    assert single.stable == pytest.approx(1, abs=1e-5)
    assert single.entropic == pytest.approx(1, abs=1e-4)
    assert qpg.matrix_ranks(torch.zeros(3, 4)) == qpg.Ranks(0, 0.0, 0.0, 3)
    # s = (2, 1): 1 + 1/4, and exp of the entropy of (2/3, 1/3)
    two = qpg.matrix_ranks(torch.diag(torch.tensor([2.0, 1.0])))
    assert two.stable == pytest.approx(1.25)
    assert two.entropic == pytest.approx(3 / 2 ** (2 / 3))


def test_the_update_of_circuits_has_full_numerical_rank_after_the_first_steps(injected):
    ranks = qpg.update_ranks(injected)
    assert {name: rank.numerical for name, rank in ranks.items()} == {"0": 12, "2": 5}
    assert all(1 <= rank.stable <= rank.entropic * 1.5 <= rank.full * 1.5 for rank in ranks.values())
