"""The processes that train one network together; mostly a single one.

`torchrun --nproc-per-node N -m HQCSegmentLib train ...` starts several. Each sees its share of every step's patches and
has the same weights; the first one alone writes. Gradients are added up once a step, after they have gone back through
the circuits, which torch's own wrapper for distributed training does not wait for.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from HQCSegmentLib.devices import choose_device, trains_in_bfloat16
from HQCSegmentLib.errors import InputError
from HQCSegmentLib.training.config import Precision

Value = TypeVar("Value")

FABRIC_PRECISION: dict[Precision, str] = {"float32": "32-true", "bfloat16": "bf16-mixed", "float16": "16-mixed"}


@dataclass(frozen=True)
class Team:
    """The processes of a run, seen from one of them.

    Attributes:
        fabric: Lightning Fabric, launched: device, precision and communication.
        rank: Which process this is, from 0.
        size: Number of processes.
    """

    fabric: Any
    rank: int = 0
    size: int = 1

    @classmethod
    def gather(cls, *, device: str, precision: Precision = "float32") -> Team:
        """The processes that torchrun (or SLURM) has started, or this one alone.

        Raises:
            InputError: if this computer has no such device, or the device cannot compute with this precision.
        """
        from lightning_fabric import Fabric
        from lightning_fabric.strategies import DDPStrategy

        chosen = choose_device(device)
        if precision == "float16" and chosen.type != "cuda":
            msg = f"precision float16 needs a CUDA device, and this run is on {chosen.type}; use bfloat16 or float32."
            raise InputError(msg)
        if precision == "bfloat16" and chosen.type == "cpu" and not trains_in_bfloat16():
            msg = "PyTorch's gradients in precision bfloat16 are wrong on this computer's processor; use float32."
            raise InputError(msg)
        size, local = (int(os.environ.get(name, "1")) for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"))
        kind = {"accelerator": chosen.type, "precision": FABRIC_PRECISION[precision]}
        if size == 1:
            return cls(Fabric(devices=1, **kind))
        backend = "nccl" if chosen.type == "cuda" else "gloo"
        fabric = Fabric(
            devices=local, num_nodes=size // local, strategy=DDPStrategy(process_group_backend=backend), **kind
        )
        fabric.launch()
        return cls(fabric, fabric.global_rank, fabric.world_size)

    @property
    def device(self) -> torch.device:
        """Where this process computes."""
        return self.fabric.device

    @property
    def leads(self) -> bool:
        """Whether this process writes and tells."""
        return self.rank == 0

    def share(self, items: Sequence[Value]) -> list[Value]:
        """The items that this process works on."""
        return list(items[self.rank :: self.size])

    def add_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Sum the gradients over all processes."""
        trained = [parameter for parameter in parameters if parameter.requires_grad]
        if self.size == 1 or not trained:
            return
        flat = torch.cat([torch.zeros_like(p).ravel() if p.grad is None else p.grad.ravel() for p in trained])
        flat = self.add(flat)
        for parameter, part in zip(trained, flat.split([p.numel() for p in trained]), strict=True):
            parameter.grad = part.view_as(parameter)

    def average_statistics(self, network: nn.Module) -> None:
        """Give all processes the mean running statistics of normalisation layers."""
        if self.size == 1:
            return
        for buffer in network.buffers():
            if buffer.is_floating_point():
                buffer.copy_(self.add(buffer) / self.size)

    def add(self, tensor: Tensor) -> Tensor:
        """Sum over all processes of a tensor that has the same shape in each."""
        return tensor if self.size == 1 else self.fabric.all_reduce(tensor, reduce_op="sum")

    def mean(self, value: float) -> float:
        """Mean of a number over all processes, the same for all of them."""
        return value if self.size == 1 else float(self.add(torch.tensor(value, device=self.device))) / self.size

    def any(self, flag: bool) -> bool:
        """Whether any process says so."""
        return flag if self.size == 1 else bool(self.add(torch.tensor(float(flag), device=self.device)) > 0)

    def collect(self, items: Sequence[Value]) -> list[Value]:
        """The items of all processes, in the order that `share` took them from."""
        if self.size == 1:
            return list(items)
        parts: list[Any] = [None] * self.size
        torch.distributed.all_gather_object(parts, list(items))
        return [parts[number % self.size][number // self.size] for number in range(sum(map(len, parts)))]

    def wait(self) -> None:
        """Until all processes are here."""
        self.fabric.barrier()
