"""Directions that the start weights already use: the right-singular vectors of W0.

W0 (channels x numbers) = U S V^T has at most as many directions V as it has channels, so that a circuit needs
log2(channels) qubits instead of log2(numbers): for 128 filters of 3456 numbers 7 instead of 12, and 32 times fewer
amplitudes. The rank of the update is free up to the number of channels.
"""

from __future__ import annotations

import torch
from torch import Tensor

from HQCSegmentLib.qpg.coordinates.coordinates import WeightCoordinates


class SingularCoordinates(WeightCoordinates):
    """Value j is the coefficient of the j-th direction, largest singular value first.

    Attributes:
        basis: (values, numbers): V^T times S^power, scaled so that values of size 1 give weights of size 1.
    """

    basis: Tensor

    def __init__(self, rows: Tensor, *, power: float) -> None:
        """Take the directions of W0.

        Args:
            rows: W0, (channels, numbers), float32 or float64; only zeros give no directions: all are then equal.
                Decomposed on the CPU: Apple's MPS cannot, or with an error
                (https://github.com/pytorch/pytorch/issues/196112).
            power: Directions are scaled by this power of their singular values.
        """
        super().__init__()
        _, singular, directions = torch.linalg.svd(rows.detach().cpu(), full_matrices=False)
        self.values = len(singular)
        # A decomposition leaves signs open: the largest number of every direction is made positive.
        largest = directions.gather(1, directions.abs().argmax(dim=1, keepdim=True))
        directions = directions * torch.sign(largest)
        scales = singular**power if singular.any() else torch.ones_like(singular)
        norm = rows.shape[1] ** 0.5 / torch.linalg.vector_norm(scales)
        # Kept in the state_dict: a decomposition made anew elsewhere may mix directions of equal singular values.
        self.register_buffer("basis", (directions * (scales * norm).unsqueeze(1)).to(rows.device))

    def forward(self, values: Tensor) -> Tensor:
        """Combine the directions: (channels, at least `values`) -> (channels, numbers)."""
        return values[:, : self.values] @ self.basis
