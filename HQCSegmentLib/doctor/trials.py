"""Small pieces of the real work, done once: what a version number cannot tell."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from HQCSegmentLib.doctor.diagnosis import Diagnosis

if TYPE_CHECKING:
    from torch import Tensor

CIRCUIT_TOLERANCE = 1e-10

GRADIENT_TOLERANCE = 0.05
"""By how much, of its size, the gradient of another device may differ from that of the CPU: some round in convolutions
to ten bits."""


@dataclass(frozen=True)
class Step:
    """What came of a small training step.

    Attributes:
        seconds: How long it took.
        gradient: Of the loss by all angles of the circuits, (angles,), float32, on the CPU.
    """

    seconds: float
    gradient: Tensor


def circuits() -> Diagnosis:
    """Born probabilities of the engine beside PennyLane's."""
    import torch

    from HQCSegmentLib import qpg

    angles = torch.linspace(-2, 2, 3 * 2 * 6, dtype=torch.float64).reshape(3, 2, 6)
    found = qpg.born_probabilities(angles)
    expected = torch.as_tensor(qpg.qnode(qubits=6, depth=2)(angles))
    error = float((found - expected).abs().max())
    if error <= CIRCUIT_TOLERANCE:
        return Diagnosis("circuits", "good", f"engine and PennyLane agree to {error:.0e}")
    advice = "do not train here; please report it with this output"
    return Diagnosis("circuits", "missing", f"engine and PennyLane differ by {error:.1e}", advice)


def devices() -> Iterator[Diagnosis]:
    """A training step with circuits on every device that PyTorch offers here."""
    import torch

    names = ["cpu"]
    if torch.cuda.is_available():
        names.append("cuda")
    if torch.backends.mps.is_available():
        names.append("mps")
    working = True
    for name in names:
        diagnosis = device_trial(name, like=training_step("cpu") if working and name != "cpu" else None)
        working = working and diagnosis.state == "good"
        yield diagnosis
    if len(names) == 1:
        yield Diagnosis("graphics card", "note", "none that PyTorch can use", "all works without one, but slower")


def device_trial(name: str, *, like: Step | None = None) -> Diagnosis:
    """Two training steps on a device; the second must have the gradient of a step on the CPU (`like`)."""
    import torch

    subject = f"device {name}"
    try:
        steps = [training_step(name) for _ in range(2)]
    except Exception as error:  # whatever a driver may throw is the finding
        reason = str(error).strip().partition("\n")[0]
        state, advice = ("missing", "reinstall torch") if name == "cpu" else ("note", "use --device cpu, or update it")
        return Diagnosis(subject, state, f"does not work: {reason}", advice)  # type: ignore[arg-type]
    if like is not None:
        off = float((steps[-1].gradient - like.gradient).norm() / like.gradient.norm())
        if not off <= GRADIENT_TOLERANCE:
            found = f"its gradients differ from the CPU's by {off:.0%}"
            return Diagnosis(subject, "note", found, "use --device cpu, and report it with this output")
    about = ""
    if name == "cuda":
        properties = torch.cuda.get_device_properties(0)
        about = f"{properties.name}, {properties.total_memory / 1e9:.0f} GB; "
    seconds = min(step.seconds for step in steps)
    return Diagnosis(subject, "good", f"{about}a small training step takes {seconds:.2f} s")


def training_step(device: str) -> Step:
    """Forward, loss, backward and update of a small 3D network whose weights circuits generate."""
    import torch

    from HQCSegmentLib import qpg
    from HQCSegmentLib.networks import logits, specify
    from HQCSegmentLib.training.losses import make_loss

    network = specify("unet", dims=3, preset="small", in_channels=1, out_channels=2).build_seeded(0)
    network = qpg.inject(network, qpg.QPGConfig()).to(device)
    optimizer = torch.optim.AdamW(qpg.parameter_groups(network, angle_rate=0.02, scale_rate=0.01, classical_rate=0.001))
    places = torch.arange(32.0)
    ball = ((places - 15).square() + (places[:, None] - 15).square() + (places[:, None, None] - 15).square()) < 81
    images = ball.float().expand(1, 1, -1, -1, -1).to(device)
    labels = ball.long().expand(1, 1, -1, -1, -1).to(device)
    known = torch.ones(1, 2, dtype=torch.bool, device=device)
    start = time.perf_counter()
    loss = make_loss("dice_ce")(logits(network, images), labels, known)
    loss.backward()
    optimizer.step()
    # Copying waits until the device is done.
    named = network.named_parameters()
    gradient = torch.cat(
        [one.grad.flatten().cpu() for name, one in named if name.endswith("angles") and one.grad is not None]
    )
    return Step(time.perf_counter() - start, gradient)
