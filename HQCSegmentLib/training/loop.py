"""The training loop: from step to step, with checkpoints and events, and nothing else."""

from __future__ import annotations

import math
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn

from HQCSegmentLib import qpg
from HQCSegmentLib.errors import Interrupted, WorkError
from HQCSegmentLib.networks import logits
from HQCSegmentLib.training import checkpoints
from HQCSegmentLib.training.config import TrainConfig
from HQCSegmentLib.training.events import EventLog, TimeLeft
from HQCSegmentLib.training.losses import dice_cross_entropy
from HQCSegmentLib.training.patches import PatchSource

WARM_UP_PART = 0.05
"""Part of the steps in which learning rates rise from zero; they fall to zero as a cosine afterwards."""

CHECKPOINTS_PER_RUN = 10

GRADIENT_NORM = 12.0
"""Gradients are scaled down to this norm, as nnU-Net does."""


@dataclass(frozen=True)
class Loop:
    """Trains a network in place.

    Attributes:
        network: With or without circuits.
        source: Of the batches.
        config: Learning rates of what a method trains, and weight decays.
        learning_rate: Of ordinary weights.
        steps: Optimizer steps in all.
        device: Where to compute.
        folder: Of the checkpoints.
        log: Of the events.
    """

    network: nn.Module
    source: PatchSource
    config: TrainConfig
    learning_rate: float
    steps: int
    device: torch.device
    folder: Path
    log: EventLog

    def run(self, *, resume: bool = False, on_checkpoint: Callable[[int], None] | None = None) -> None:
        """Train to the last step.

        Args:
            resume: Continue from the last checkpoint, if there is one.
            on_checkpoint: Called with the number of steps done whenever a checkpoint was written.

        Raises:
            Interrupted: after Ctrl-C; the state is saved.
            WorkError: if the loss is no longer a finite number.
        """
        from lightning_fabric import Fabric

        fabric = Fabric(accelerator=self.device.type, devices=1)
        optimizer = torch.optim.AdamW(
            qpg.parameter_groups(
                self.network,
                angle_rate=self.config.angle_rate,
                scale_rate=self.config.scale_rate,
                classical_rate=self.learning_rate,
                factor_rate=self.config.factor_rate,
                angle_decay=self.config.angle_decay,
                classical_decay=self.config.weight_decay,
            )
        )
        network, optimizer = fabric.setup(self.network, optimizer)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate_factor(step, self.steps))
        loss_of = dice_cross_entropy()
        done = self._restore(optimizer, schedule) if resume else 0
        left = TimeLeft(self.steps)
        every = max(1, math.ceil(self.steps / CHECKPOINTS_PER_RUN))
        network.train()
        try:
            for step in range(done, self.steps):
                with whole():
                    loss = self._step(fabric, network, optimizer, loss_of, step)
                    schedule.step()
                    done = step + 1
                value = loss.item()
                if not math.isfinite(value):
                    msg = f"the loss is {value} at step {done}; lower the learning rates and start a new run."
                    raise WorkError(msg)
                self.log.emit("progress", step=done, of=self.steps, loss=round(value, 5), eta_s=left.after(done))
                if done % every == 0 or done == self.steps:
                    self._save(optimizer, schedule, done)
                    if on_checkpoint is not None:
                        on_checkpoint(done)
                        network.train()
        except KeyboardInterrupt:
            self._save(optimizer, schedule, done)
            msg = f"stopped after {done} of {self.steps} steps; the state is saved, continue with --resume."
            raise Interrupted(msg) from None

    def _step(
        self, fabric: Any, network: nn.Module, optimizer: torch.optim.Optimizer, loss_of: Any, step: int
    ) -> Tensor:
        batch = self.source.batch(step)
        images, labels, known = (part.to(self.device) for part in (batch.images, batch.labels, batch.known))
        optimizer.zero_grad(set_to_none=True)
        parts = [part.tensor_split(min(self.config.micro_batches, len(images))) for part in (images, labels, known)]
        total = torch.zeros((), device=self.device)
        with qpg.accumulation(self.network) if qpg.injected_layers(self.network) else nullcontext():
            for some_images, some_labels, some_known in zip(*parts, strict=True):
                loss = loss_of(logits(network, some_images), some_labels, some_known)
                loss = loss * (len(some_images) / len(images))
                fabric.backward(loss)
                total += loss.detach()
        nn.utils.clip_grad_norm_([p for p in network.parameters() if p.requires_grad], GRADIENT_NORM)
        optimizer.step()
        return total

    def _save(self, optimizer: Any, schedule: Any, done: int) -> None:
        state = {
            "step": done,
            "network": self.network.state_dict(),
            "optimizer": optimizer.state_dict(),
            "schedule": {"last_epoch": schedule.last_epoch},
        }
        checkpoints.save(self.folder, state)

    def _restore(self, optimizer: Any, schedule: Any) -> int:
        state = checkpoints.load(self.folder)
        if state is None:
            return 0
        self.network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
        schedule.last_epoch = state["schedule"]["last_epoch"]
        return int(state["step"])


@contextmanager
def whole() -> Iterator[None]:
    """Put Ctrl-C and SIGTERM off to the end of the block: a step is saved as done only when all of it is done.

    Only the main thread gets signals; in another one this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[tuple[int, FrameType | None]] = []
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    # What the system does by itself (end the process, ignore) is left to it.
    own = {number: handler for number, handler in handlers.items() if callable(handler)}
    for number in own:
        signal.signal(number, lambda number, frame: came.append((number, frame)))
    try:
        yield
    finally:
        for number, handler in own.items():
            signal.signal(number, handler)
    if came:
        received, frame = came[0]
        own[signal.Signals(received)](received, frame)


def rate_factor(step: int, steps: int) -> float:
    """Factor of the learning rates: linear warm-up, then a cosine to zero."""
    warm_up = max(1, round(WARM_UP_PART * steps))
    if step < warm_up:
        return (step + 1) / warm_up
    return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, steps - warm_up)))
