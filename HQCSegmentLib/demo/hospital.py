"""Two hospitals that scan differently: what changes an image, but not the anatomy."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Hospital:
    """Scanner, protocol and contrast phase of one hospital.

    Attributes:
        name: Short name, used in aliases and DICOM headers.
        pixel_spacing: Millimetres in the slice.
        slice_thickness: Millimetres from slice to slice.
        kernel: Name of the reconstruction kernel in the headers.
        kernel_sigma: Standard deviation of the kernel's blur in millimetres.
        noise: Standard deviation of the noise in HU.
        noise_grain: Correlation length (standard deviation) of the noise in millimetres.
        scale: Factor on HU: wrong calibration or tube voltage.
        offset: Added to HU.
        table: Whether the couch is in the field of view.
        liver, kidney_cortex, kidney_medulla, tumor, spleen, vessels: HU of the contrast phase.
    """

    name: str
    pixel_spacing: float
    slice_thickness: float
    kernel: str
    kernel_sigma: float
    noise: float
    noise_grain: float
    scale: float
    offset: float
    table: bool
    liver: float
    kidney_cortex: float
    kidney_medulla: float
    tumor: float
    spleen: float
    vessels: float


HOSPITAL_A = Hospital(
    name="A",
    pixel_spacing=4.0,
    slice_thickness=5.0,
    kernel="SHARP",
    kernel_sigma=0.8,
    noise=11.0,
    noise_grain=1.0,
    scale=1.0,
    offset=0.0,
    table=False,
    liver=112.0,
    kidney_cortex=195.0,
    kidney_medulla=165.0,
    tumor=95.0,
    spleen=125.0,
    vessels=155.0,
)
"""Portal venous contrast, low noise, sharp kernel, couch cropped away."""

HOSPITAL_B = Hospital(
    name="B",
    pixel_spacing=4.0,
    slice_thickness=4.5,
    kernel="SMOOTH",
    kernel_sigma=2.4,
    noise=20.0,
    noise_grain=3.0,
    scale=1.04,
    offset=-14.0,
    table=True,
    liver=58.0,
    kidney_cortex=36.0,
    kidney_medulla=28.0,
    tumor=66.0,
    spleen=48.0,
    vessels=40.0,
)
"""No contrast agent, grainy noise, smooth kernel, miscalibrated HU, couch in the picture."""
