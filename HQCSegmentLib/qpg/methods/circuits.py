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
from HQCSegmentLib.qpg.coordinates import FlatCoordinates, WalshCoordinates, make_coordinates
from HQCSegmentLib.qpg.engine import Run
from HQCSegmentLib.qpg.mapping import QuantumTrainMapping
from HQCSegmentLib.qpg.methods.combining import Layers, combine, generate
from HQCSegmentLib.qpg.methods.update import Kind, WeightUpdate, deviations, generation_dtype
from HQCSegmentLib.qpg.readout import qubits_needed, values, values_run


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
        return self.finish(self._generate([self])).square().mean(dim=1).sqrt()

    def tensors(self, base: Tensor) -> list[Tensor]:
        """All that the weight depends on, W0 (`base`) and values at the start among it."""
        return super().tensors(base) + ([] if self._at_start is None else [self._at_start])

    def batch_key(self) -> Hashable:
        """Circuits of the same kind and size are simulated together."""
        config = self.config
        return (
            self.qubits, self.depth, config.readout, config.ansatz, config.coordinates, config.train_angles,
            self.angles.device, self.angles.dtype,
        )  # fmt: skip

    @classmethod
    def weights(cls, updates: Sequence[Any], bases: Sequence[Tensor]) -> list[Tensor]:
        """Run all circuits in one batch, then place and scale the values, each of the shape and type of its W0."""
        starts = cls._at_starts(updates)
        if cls._are_direct(updates):
            angles = cls._angles(updates)
            run = cls._run(updates, angles)
            weights = generate(angles, run, cls._layers(updates, bases, starts), **cls._sizes(updates))
            return [weight.to(base.dtype) for weight, base in zip(weights, bases, strict=True)]
        blocks = list(cls._generate(updates).split([update.view.channels for update in updates]))
        if starts is not None:
            blocks = [block[:, : start.shape[1]] - start for block, start in zip(blocks, starts, strict=True)]
        return [update.weight_of(base, block) for update, base, block in zip(updates, bases, blocks, strict=True)]

    def weight_of(self, base: Tensor, generated: Tensor) -> Tensor:
        """Weight from W0 and from values of the circuits less those at the start, (channels, at least `values`)."""
        layers = self._layers([self], [base], None)
        (weight,) = combine(self.finish(generated), layers, **self._sizes([self]))
        return weight.to(base.dtype)

    def finish(self, generated: Tensor) -> Tensor:
        """From values of the circuits to the channel's coordinates, (channels, numbers)."""
        generated = generated[:, : self.coordinates.values]
        if self.mapping is not None:
            generated = self.mapping(generated)
        return self.coordinates(generated)

    @staticmethod
    def _are_direct(updates: Sequence[CircuitUpdate]) -> bool:
        """Whether the engine itself gives what the channels' numbers are made of, in their order."""
        direct = (FlatCoordinates, WalshCoordinates)
        return all(update.mapping is None and isinstance(update.coordinates, direct) for update in updates)

    @classmethod
    def _run(cls, updates: Sequence[CircuitUpdate], angles: Tensor) -> Run:
        """How the engine gives it: values, or their Walsh transform."""
        transformed = isinstance(updates[0].coordinates, WalshCoordinates)
        numbers = max(update.view.numbers for update in updates)
        return values_run(angles, **{**cls._read(updates), "numbers": numbers}, transformed=transformed)

    @staticmethod
    def _layers(updates: Sequence[CircuitUpdate], bases: Sequence[Tensor], starts: Sequence[Tensor] | None) -> Layers:
        return Layers([update.view for update in updates], [base.to(generation_dtype(base)) for base in bases], starts)

    @staticmethod
    def _sizes(updates: Sequence[CircuitUpdate]) -> dict[str, Tensor]:
        """Scales and shifts of all channels, (channels of all layers, 1)."""
        if updates[0].config.train_angles:
            gain = torch.exp(torch.cat([update.log_scale for update in updates]))
        else:
            gain = torch.cat([update.gain for update in updates])
        shift = torch.cat([update.shift for update in updates])
        # A network may have been turned to half precision after its circuits were made.
        deviation = torch.cat([update.deviation for update in updates]).to(generation_dtype(gain))
        return {"scale": deviation * gain.unsqueeze(1), "shift": deviation * shift.unsqueeze(1)}

    @staticmethod
    def _angles(updates: Sequence[CircuitUpdate], *, at_start: bool = False) -> Tensor:
        """Angles of all circuits, (channels of all layers, depth, angles per layer), at least float32."""
        angles: list[Tensor] = []
        for update in updates:
            if update.start is None:
                angles.append(update.angles)
            else:
                angles.append(update.start if at_start else update.start + update.angles)
        together = torch.cat(angles)
        return together.to(generation_dtype(together))

    @staticmethod
    def _read(updates: Sequence[CircuitUpdate]) -> dict[str, Any]:
        """What is read: at least as many values as the layer with most needs."""
        config = updates[0].config
        return {
            "numbers": max(update.coordinates.values for update in updates),
            "readout": "probability" if config.readout == "mapped" else config.readout,
            "ansatz": config.ansatz,
        }

    @classmethod
    def _generate(cls, updates: Sequence[CircuitUpdate], *, at_start: bool = False) -> Tensor:
        """Values of all circuits, (channels of all layers, at least as many as the layer with most needs)."""
        return values(cls._angles(updates, at_start=at_start), **cls._read(updates))

    @classmethod
    def _at_starts(cls, updates: Sequence[CircuitUpdate]) -> list[Tensor] | None:
        """Values at the start, (channels, values) of each layer; None where they are zero by themselves."""
        if updates[0].start is None or updates[0].config.readout == "mapped":
            return None
        if any(update._at_start is None or update._at_start.device != update.angles.device for update in updates):
            # In the same batch and blocks as in training, so that at phi = 0 the difference is zero to the last bit.
            with torch.inference_mode(mode=False), torch.no_grad():
                for update, block in zip(updates, cls._start_values(updates), strict=True):
                    update._at_start = block[:, : update.coordinates.values].clone()
        return [cast(Tensor, update._at_start) for update in updates]

    @classmethod
    def _start_values(cls, updates: Sequence[CircuitUpdate]) -> Sequence[Tensor]:
        if not cls._are_direct(updates):
            return cls._generate(updates, at_start=True).split([update.view.channels for update in updates])
        angles = cls._angles(updates, at_start=True)
        run = cls._run(updates, angles)
        layers = Layers([update.view for update in updates], [angles.new_zeros(one.view.shape) for one in updates])
        one, zero = angles.new_ones(len(angles), 1), angles.new_zeros(len(angles), 1)
        weights = generate(angles, run, layers, scale=one, shift=zero)
        return [update.view.to_rows(weight) for update, weight in zip(updates, weights, strict=True)]

    def extra_repr(self) -> str:
        """Shown when the network is printed."""
        return (
            f"circuits={self.view.channels}, qubits={self.qubits}, depth={self.depth}, "
            f"readout={self.config.readout}, coordinates={self.config.coordinates}"
        )
