"""The training loop: from step to step, with checkpoints and events, and nothing else."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn

from HQCSegmentLib import qpg
from HQCSegmentLib.errors import InputError, Interrupted, WorkError
from HQCSegmentLib.networks import outputs
from HQCSegmentLib.training import checkpoints
from HQCSegmentLib.training.config import TrainConfig
from HQCSegmentLib.training.events import EventLog, TimeLeft
from HQCSegmentLib.training.losses import LossOf, supervised
from HQCSegmentLib.training.patches import PatchSource
from HQCSegmentLib.training.plan import Plan
from HQCSegmentLib.training.schedules import running_average, schedule_rates
from HQCSegmentLib.training.signals import Requests, held, whole
from HQCSegmentLib.training.team import Team

SAVE_EVERY_S = 120.0
"""The state is saved so often at least, so that a crash or a flat battery costs minutes of a night."""

Check = Callable[[int, nn.Module], float | None]
"""Called with the steps done and the network to judge; gives mean held-out Dice, or None if it was not measured."""


@dataclass
class Best:
    """The state with the highest held-out Dice so far.

    Attributes:
        step: When it was; 0 before the first check.
        dice: Mean held-out Dice.
        network: Its state_dict.
        since: Checks since then.
    """

    step: int = 0
    dice: float = -1.0
    network: dict[str, Tensor] = field(default_factory=dict)
    since: int = 0


@dataclass
class Loop:
    """Trains a network in place.

    Attributes:
        network: With or without circuits.
        source: Of the batches.
        loss: Of logits, labels and known structures.
        config: Learning rates of what a method trains, weight decays, schedule, average and patience.
        plan: Learning rate, steps, checks on the way (when the state is saved, too), and parts of a batch.
        team: Which processes train, and where.
        folder: Of the checkpoints.
        log: Of the events.
    """

    network: nn.Module
    source: PatchSource
    loss: LossOf
    config: TrainConfig
    plan: Plan
    team: Team
    folder: Path
    log: EventLog

    def __post_init__(self) -> None:
        optimizer = make_optimizer(self.network, self.config, self.plan)
        self._optimizer = self.team.fabric.setup_optimizers(optimizer)
        self._schedule = schedule_rates(optimizer, self.config.schedule, steps=self.plan.steps)
        self._average = running_average(self.network, self.config.average) if self.config.average else None
        self._carries_updates = bool(qpg.injected_layers(self.network))
        self._best = Best()
        self._saved_step, self._saved_at = -1, time.monotonic()

    def run(self, *, resume: bool = False, check: Check | None = None) -> int:
        """Train to the last step, or until held-out Dice no longer rises; the network is then what is to be kept.

        Args:
            resume: Continue from the last checkpoint, if there is one.
            check: Called so many times as there are checks, after a checkpoint was written.

        Returns:
            The step that the kept weights are of.

        Raises:
            Interrupted: after Ctrl-C; the state is saved.
            WorkError: if the loss is no longer a finite number, or the state cannot be saved.
        """
        done = self._restore() if resume else 0
        left = TimeLeft(self.plan.steps)
        # A state is saved before it is checked, so that the check of the last one is made again.
        stop = self._check(check, done) if self._is_check(done) else False
        with held() if self.team.size > 1 else nullcontext() as requests:
            try:
                while done < self.plan.steps and not stop:
                    with whole():
                        value = self.step(done)
                        done += 1
                        eta = left.after(done)
                        self.log.emit("progress", step=done, of=self.plan.steps, loss=round(value, 5), eta_s=eta)
                    self._stop_together(requests)
                    stop = self._after(done, check)
            except KeyboardInterrupt:
                with whole():
                    self._save(done)
                msg = f"stopped after {done} of {self.plan.steps} steps; the state is saved, continue with --resume."
                raise Interrupted(msg) from None
        return self._keep(done)

    def _stop_together(self, requests: Requests | None) -> None:
        """Where one of several processes was asked to stop, all do, after the same step."""
        if requests is not None and self.team.any(requests.came):
            raise KeyboardInterrupt

    def step(self, step: int) -> float:
        """One step of the optimizer; the loss over the patches of all processes.

        Raises:
            WorkError: if the loss is no longer a finite number.
        """
        self.network.train()
        parts = self.team.share(divide(self.config.batch, self.plan.micro_batches, processes=self.team.size))
        # Layers that draw random numbers draw the same ones in a resumed run.
        torch.manual_seed(self.config.seed * 1_000_003 + step)
        self._optimizer.zero_grad(set_to_none=True)
        total = torch.zeros((), device=self.team.device)
        with qpg.accumulation(self.network) if self._carries_updates else nullcontext():
            for places in parts:
                batch = self.source.batch(step, places).to(self.team.device)
                with self.team.fabric.autocast():
                    told = outputs(self.network, batch.images)
                loss = supervised(self.loss, told, batch, progress=step / self.plan.steps)
                loss = loss * (len(places) / self.config.batch)
                self.team.fabric.backward(loss)
                total += loss.detach()
        self.team.add_gradients(self.network.parameters())
        if self.config.gradient_norm:
            self.team.fabric.clip_gradients(
                self.network, self._optimizer, max_norm=self.config.gradient_norm, error_if_nonfinite=False
            )
        self._optimizer.step()
        self._schedule.step()
        self.team.average_statistics(self.network)
        if self._average is not None:
            self._average.update_parameters(self.network)
        value = self.team.add(total).item()
        if not math.isfinite(value):
            msg = f"the loss is {value} at step {step + 1}; lower the learning rates and start a new run."
            raise WorkError(msg)
        return value

    def _after(self, done: int, check: Check | None) -> bool:
        """Save and check where it is time; whether to stop."""
        if self._is_check(done):
            self._save(done)
            return self._check(check, done)
        if self.team.leads and time.monotonic() - self._saved_at > SAVE_EVERY_S:
            self._save(done)
        return False

    def _is_check(self, done: int) -> bool:
        every = max(1, math.ceil(self.plan.steps / self.plan.checks))
        return done > 0 and (done % every == 0 or done == self.plan.steps)

    def _check(self, check: Check | None, done: int) -> bool:
        dice = None if check is None else check(done, self._kept())
        if self.config.patience is None or dice is None:
            return False
        if dice > self._best.dice:
            state = {name: tensor.detach().cpu().clone() for name, tensor in self._kept().state_dict().items()}
            self._best = Best(done, dice, state)
            return False
        self._best.since += 1
        return self._best.since >= self.config.patience

    def _kept(self) -> nn.Module:
        """The network that is judged and kept: the running average, where there is one."""
        return self.network if self._average is None else self._average.module

    def _keep(self, done: int) -> int:
        """Give the network the weights that are kept."""
        if self._best.network:
            self.network.load_state_dict(self._best.network)
            return self._best.step
        if self._average is not None:
            self.network.load_state_dict(self._average.module.state_dict())
        return done

    def _save(self, done: int) -> None:
        if done == self._saved_step or not self.team.leads:
            return
        state = {
            "step": done,
            "network": self.network.state_dict(),
            "average": None if self._average is None else self._average.state_dict(),
            "best": vars(self._best),
            "optimizer": self._optimizer.state_dict(),
            "schedule": {name: getattr(self._schedule, name) for name in _SCHEDULE_STATE},
            "scaler": self.team.fabric.strategy.precision.state_dict(),
        }
        checkpoints.save(self.folder, state, step=done)
        self._saved_step, self._saved_at = done, time.monotonic()

    def _restore(self) -> int:
        self.team.wait()
        state = checkpoints.load(self.folder, on_damage=lambda message: self.log.emit("warning", message=message))
        if state is None:
            return 0
        self.network.load_state_dict(state["network"])
        if self._average is not None:
            self._average.load_state_dict(state["average"])
        self._best = Best(**state["best"])
        self._optimizer.load_state_dict(state["optimizer"])
        for name, value in state["schedule"].items():
            setattr(self._schedule, name, value)
        if state["scaler"]:
            self.team.fabric.strategy.precision.load_state_dict(state["scaler"])
        self._saved_step = int(state["step"])
        return self._saved_step


_SCHEDULE_STATE = ("last_epoch", "_step_count", "_last_lr")
"""What changes in a schedule; the rest is made again from the settings."""


def divide(batch: int, parts: int, *, processes: int) -> list[range]:
    """Places of a batch in parts that go through the network one after the other, the same number in every process.

    Raises:
        InputError: if there are more processes than patches in a step.
    """
    if processes > batch:
        msg = f"{processes} processes share {batch} patch(es) a step; give a --batch of {processes} or more."
        raise InputError(msg)
    parts = max(1, min(parts, batch) // processes) * processes
    edges = [round(batch * part / parts) for part in range(parts + 1)]
    return [range(first, last) for first, last in pairwise(edges)]


def make_optimizer(network: nn.Module, config: TrainConfig, plan: Plan) -> torch.optim.Optimizer:
    """AdamW with groups of their own for angles, scales, factors and ordinary weights."""
    return torch.optim.AdamW(
        qpg.parameter_groups(
            network,
            angle_rate=plan.angle_rate,
            scale_rate=config.scale_rate,
            classical_rate=plan.learning_rate,
            factor_rate=config.factor_rate,
            angle_decay=config.angle_decay,
            classical_decay=config.weight_decay,
        )
    )
