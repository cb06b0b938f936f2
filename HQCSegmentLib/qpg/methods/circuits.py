"""Quantum Parameter Generation: one circuit per channel generates the update of its weights."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn

from HQCSegmentLib.qpg.channels import ChannelView
from HQCSegmentLib.qpg.circuits import ANSATZES
from HQCSegmentLib.qpg.config import QPGConfig
from HQCSegmentLib.qpg.coordinates import make_coordinates
from HQCSegmentLib.qpg.mapping import QuantumTrainMapping
from HQCSegmentLib.qpg.methods.update import Kind, WeightUpdate, deviations, generation_dtype
from HQCSegmentLib.qpg.readout import qubits_needed, values


class CircuitUpdate(WeightUpdate):
    """W_c = W0_c + sigma_c * (g_c * T(v(start_c + phi_c) - v(start_c)) + b_c), with T the coordinates.

    Around the uniform state (start 0, v(0) = 0) most angles have no effect of first order: of 26 angles of a circuit
    of 13 qubits 23. Around random angles all of them have. Values at the start are taken off, so that training starts
    at W0 either way; not where circuits are frozen, or generate all of the weights.

    The gain g is exp(s_c) with s_c = 0 at the start, where v is zero. Where v is not zero at the start, because the
    circuits are frozen at random angles, g is itself learned from zero. Where all weights are generated (W0 = 0), s
    starts so that the first weights have the deviation sigma.

    Attributes:
        angles: phi, (channels, depth, angles per layer) in radians, distance from the uniform start; zero at the
            start, and weight decay pulls towards it.
        start: Random angles that phi is counted from, (channels, depth, angles per layer); None: zero.
        log_scale: s, (channels,), learned; with frozen circuits `gain`, g, in its place.
        shift: b in units of sigma, (channels,), learned.
        deviation: sigma, the standard deviation of W0 in each channel (where W0 is constant, for example zero: He's
            sqrt(2 / numbers)), (channels, 1), fixed.
    """

    kinds: ClassVar[dict[str, Kind]] = {
        "angles": "angles",
        "log_scale": "scales",
        "gain": "scales",
        "shift": "scales",
        "mapping": "factors",
    }
    deviation: Tensor
    start: Tensor | None

    def __init__(self, base: Tensor, *, view: ChannelView, config: QPGConfig, depth: int, seed: int) -> None:
        """Make the circuits of a layer.

        Args:
            base: W0, the weight that training starts from; set to zero where all weights are to be generated.
            view: How `base` is divided into channels.
            config: What circuits.
            depth: Layers of every circuit.
            seed: Of random start angles.
        """
        super().__init__(base, view=view)
        if config.start == "zero":
            with torch.no_grad():
                base.zero_()
        rows = view.to_rows(base.detach()).to(generation_dtype(base))
        self.config, self.depth = config, depth
        self.coordinates = make_coordinates(config, view=view, rows=rows)
        self.qubits = qubits_needed(self.coordinates.values, config.readout)
        self.register_buffer("deviation", deviations(rows))
        per_layer = ANSATZES[config.ansatz].angles_per_layer(self.qubits)
        angles = rows.new_zeros(view.channels, depth, per_layer)
        if config.start == "zero" or not config.train_angles:
            drawn = torch.rand(angles.shape, generator=torch.Generator().manual_seed(seed))
            angles = ((2 * drawn - 1) * math.pi).to(rows)
        self.angles = nn.Parameter(angles, requires_grad=config.train_angles)
        start = None
        if config.angle_spread > 0 and config.start == "weights" and config.train_angles:
            drawn = torch.randn(angles.shape, generator=torch.Generator().manual_seed(seed))
            start = (config.angle_spread * drawn).to(rows)
        self.register_buffer("start", start)
        self._at_start: Tensor | None = None
        self.mapping = (
            QuantumTrainMapping(self.qubits, values=self.coordinates.values, seed=seed).to(rows)
            if config.readout == "mapped"
            else None
        )
        scale = rows.new_zeros(view.channels)
        if config.train_angles:
            if config.start == "zero":
                scale = -torch.log(self._root_mean_square().clamp_min(torch.finfo(rows.dtype).tiny))
            self.log_scale = nn.Parameter(scale)
        else:
            self.gain = nn.Parameter(scale)
        self.shift = nn.Parameter(rows.new_zeros(view.channels))

    @torch.no_grad()
    def _root_mean_square(self) -> Tensor:
        """Size of the values that the circuits generate now, (channels,)."""
        return self.finish(self._generate([self])[0]).square().mean(dim=1).sqrt()

    def batch_key(self) -> Hashable:
        """Circuits of the same kind and size are simulated together."""
        return self.qubits, self.depth, self.config.readout, self.config.ansatz, self.angles.device, self.angles.dtype

    @classmethod
    def rows(cls, updates: Sequence[Any]) -> list[Tensor | None]:
        """Run all circuits in one batch, then place and scale the values layer by layer, (channels, numbers) each."""
        return [update.scaled(block) for update, block in zip(updates, cls._generate(updates), strict=True)]

    @staticmethod
    def _generate(updates: Sequence[CircuitUpdate]) -> list[Tensor]:
        first = updates[0].config
        sizes = [update.view.channels for update in updates]

        def generate(angles: list[Tensor]) -> tuple[Tensor, ...]:
            together = torch.cat(angles)
            # A network may have been turned to half precision after its circuits were made.
            together = together.to(torch.promote_types(together.dtype, torch.float32))
            return values(
                together,
                numbers=max(update.coordinates.values for update in updates),
                readout="probability" if first.readout == "mapped" else first.readout,
                ansatz=first.ansatz,
            ).split(sizes)

        if updates[0].start is None:
            return list(generate([update.angles for update in updates]))
        starts = [cast(Tensor, update.start) for update in updates]
        generated = generate([start + update.angles for start, update in zip(starts, updates, strict=True)])
        if first.readout == "mapped":  # zero at the start by itself
            return list(generated)
        if any(update._at_start is None or update._at_start.device != update.angles.device for update in updates):
            # The same batch as above, so that at phi = 0 the difference is zero to the last bit.
            with torch.inference_mode(mode=False), torch.no_grad():
                for update, block in zip(updates, generate(starts), strict=True):
                    update._at_start = block.clone()
        return [block - cast(Tensor, update._at_start) for block, update in zip(generated, updates, strict=True)]

    def finish(self, generated: Tensor) -> Tensor:
        """From values of the circuits to the channel's coordinates, (channels, numbers)."""
        generated = generated[:, : self.coordinates.values]
        if self.mapping is not None:
            generated = self.mapping(generated)
        return self.coordinates(generated)

    def scaled(self, generated: Tensor) -> Tensor:
        """Update of the layer from the values of its circuits, (channels, numbers)."""
        rows = self.finish(generated)
        gain = torch.exp(self.log_scale) if self.config.train_angles else self.gain
        deviation = self.deviation.to(rows.dtype)
        return torch.addcmul(deviation * self.shift.unsqueeze(1), rows, deviation * gain.unsqueeze(1))

    def extra_repr(self) -> str:
        """Shown when the network is printed."""
        return (
            f"circuits={self.view.channels}, qubits={self.qubits}, depth={self.depth}, "
            f"readout={self.config.readout}, coordinates={self.config.coordinates}"
        )
