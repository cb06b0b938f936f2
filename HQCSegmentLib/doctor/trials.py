"""Small pieces of the real work, done once: what a version number cannot tell."""

from __future__ import annotations

import time
from collections.abc import Iterator

from HQCSegmentLib.doctor.diagnosis import Diagnosis

CIRCUIT_TOLERANCE = 1e-10


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
    for name in names:
        yield _device(name)
    if len(names) == 1:
        yield Diagnosis("graphics card", "note", "none that PyTorch can use", "all works without one, but slower")


def _device(name: str) -> Diagnosis:
    import torch

    subject = f"device {name}"
    try:
        seconds = min(_step_seconds(name) for _ in range(2))
    except Exception as error:  # whatever a driver may throw is the finding
        reason = str(error).strip().partition("\n")[0]
        state, advice = ("missing", "reinstall torch") if name == "cpu" else ("note", "use --device cpu, or update it")
        return Diagnosis(subject, state, f"does not work: {reason}", advice)  # type: ignore[arg-type]
    about = ""
    if name == "cuda":
        properties = torch.cuda.get_device_properties(0)
        about = f"{properties.name}, {properties.total_memory / 1e9:.0f} GB; "
    return Diagnosis(subject, "good", f"{about}a small training step takes {seconds:.2f} s")


def _step_seconds(device: str) -> float:
    """Time of forward, loss, backward and update of a small 3D network whose weights circuits generate."""
    import torch

    from HQCSegmentLib import qpg
    from HQCSegmentLib.networks import logits, specify
    from HQCSegmentLib.training.losses import make_loss

    network = specify("unet", dims=3, preset="small", in_channels=1, out_channels=2).build_seeded(0)
    network = qpg.inject(network, qpg.QPGConfig()).to(device)
    optimizer = torch.optim.AdamW(qpg.parameter_groups(network, angle_rate=0.02, scale_rate=0.01, classical_rate=0.001))
    images = torch.zeros(1, 1, 32, 32, 32, device=device)
    labels = torch.zeros(1, 1, 32, 32, 32, dtype=torch.int64, device=device)
    known = torch.ones(1, 2, dtype=torch.bool, device=device)
    start = time.perf_counter()
    loss = make_loss("dice_ce")(logits(network, images), labels, known)
    loss.backward()
    optimizer.step()
    # Reading the value waits until the device is done.
    float(loss.detach())
    return time.perf_counter() - start
