"""A synthetic abdominal CT patient, for demonstrations and tests without patient data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from HQCSegmentLib.demo.anatomy import draw_patient
from HQCSegmentLib.demo.hospital import HOSPITAL_A, HOSPITAL_B, Hospital
from HQCSegmentLib.imaging.geometry import LPS_FROM_RAS, FloatArray

__all__ = ["HOSPITAL_A", "HOSPITAL_B", "SHAPE", "Hospital", "PhantomPatient", "phantom_patient"]

SHAPE = (96, 96, 48)
"""Voxels along i (towards the patient's left), j (towards the back) and k (towards the head)."""

DEFORMATION_MM = 5.0
"""Standard deviation of the smooth random displacement of the anatomy."""


class PhantomPatient(NamedTuple):
    """One synthetic patient.

    Attributes:
        image: HU, int16, axes (i, j, k).
        labels: Label map, uint8, of the same shape; values as in `anatomy.STRUCTURE_NAMES`.
        affine: 4x4, voxel index to RAS millimetres.
    """

    image: npt.NDArray[np.int16]
    labels: npt.NDArray[np.uint8]
    affine: FloatArray


def phantom_patient(*, seed: int, hospital: Hospital) -> PhantomPatient:
    """Make one synthetic patient: the seed decides the anatomy, the hospital how it is imaged.

    The same seed gives the same anatomy at every hospital, on the hospital's grid.
    """
    from scipy import ndimage

    anatomy_random = np.random.default_rng([seed, 0])
    noise_random = np.random.default_rng([seed, 1])
    spacing = np.array([hospital.pixel_spacing, hospital.pixel_spacing, hospital.slice_thickness])
    affine = LPS_FROM_RAS @ np.diag([*spacing, 1.0])
    affine[:3, 3] = LPS_FROM_RAS[:3, :3] @ (-(np.array(SHAPE) - 1) / 2 * spacing)

    positions = _positions(spacing)
    shifts = [_smooth_field(anatomy_random, positions) for _ in range(3)]
    hu, labels = draw_patient(positions, shifts, hospital=hospital, random=anatomy_random)

    hu = ndimage.gaussian_filter(hu, hospital.kernel_sigma / spacing)
    noise = ndimage.gaussian_filter(
        noise_random.standard_normal(SHAPE, dtype=np.float32), hospital.noise_grain / spacing
    )
    hu = hu * hospital.scale + hospital.offset + noise * (hospital.noise / noise.std())
    return PhantomPatient(np.clip(np.rint(hu), -1024, 3071).astype(np.int16), labels, affine)


def _positions(spacing: FloatArray) -> list[npt.NDArray[np.float32]]:
    """LPS millimetres of the voxel centres around the volume's middle, broadcastable to SHAPE."""
    axes = [(np.arange(size) - (size - 1) / 2) * step for size, step in zip(SHAPE, spacing, strict=True)]
    return [axis.astype(np.float32).reshape([-1 if a == b else 1 for b in range(3)]) for a, axis in enumerate(axes)]


def _smooth_field(random: np.random.Generator, positions: Sequence[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
    """Smooth random displacement in millimetres: a few long waves, each a product of one wave per axis."""
    field = np.zeros(SHAPE, np.float32)
    count = 6
    for _ in range(count):
        waves = []
        for position in positions:
            wavelength, phase = random.uniform(130, 320), random.uniform(0, 2 * np.pi)
            waves.append(np.sin(2 * np.pi * position / wavelength + phase))
        field += waves[0] * waves[1] * waves[2]
    # The mean square of a product of three waves is 1/8.
    return field * (DEFORMATION_MM / np.sqrt(count / 8))
