"""Pictures of contours on an image, for reports."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from HQCSegmentLib.cohort.hounsfield import hounsfield_offset
from HQCSegmentLib.evaluation.pictures import png
from HQCSegmentLib.imaging.geometry import FloatArray, Grid, Reorientation
from HQCSegmentLib.imaging.structure import Structure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CT_WINDOW_HU = (-160.0, 240.0)
"""Abdominal soft tissue window, for CT."""

PLANES = ("axial", "coronal", "sagittal")

_PICTURE_AXES = {"axial": (0, 1, 2), "coronal": (0, 2, 1), "sagittal": (1, 2, 0)}
"""RAS axes that run across, run up, and are cut, by plane."""


def contour_figure(
    image: npt.NDArray,
    affine: FloatArray,
    reference: npt.NDArray[np.integer] | None,
    prediction: npt.NDArray[np.integer] | None,
    structures: Sequence[Structure],
    *,
    title: str,
    margin_mm: float | None = None,
) -> Figure:
    """Draw axial, coronal and sagittal slices with contours: reference solid, prediction dashed.

    The slices go through the center of the target (GTV) where there is one, else of the largest structure, in
    the reference, or in the prediction without one. Display is radiological: the patient's right is at the
    left, seen from the feet; in the sagittal slice the front is at the left.

    Args:
        image: Voxels, axes (i, j, k).
        affine: 4x4, voxel index to RAS millimetres.
        reference: Label map of the same shape, or None.
        prediction: Label map of the same shape, or None.
        structures: What to draw, by value and color.
        title: Heading; say here when the patient is synthetic.
        margin_mm: Show only what is so near to the structures; None: the whole image.
    """
    from matplotlib.figure import Figure

    reorientation = Reorientation.to_ras(affine)
    shape = (image.shape[0], image.shape[1], image.shape[2])
    spacing = Grid(shape, affine).reoriented(reorientation).spacing
    volume = reorientation.apply(image)
    maps = [None if labels is None else reorientation.apply(labels) for labels in (reference, prediction)]
    center = _center([labels for labels in maps if labels is not None], structures, volume.shape)
    window = _window(volume)
    if margin_mm is not None:
        near = _near(maps, structures, spacing, margin_mm)
        volume, maps = volume[near], [None if labels is None else labels[near] for labels in maps]
        center = tuple(index - (side.start or 0) for index, side in zip(center, near, strict=True))

    extent = np.array(volume.shape) * spacing
    widths = [extent[_PICTURE_AXES[plane][0]] for plane in PLANES]
    height = max(extent[_PICTURE_AXES[plane][1]] for plane in PLANES)
    # All panels have the same scale; the figure is twelve inches wide, with room for heading and legend.
    figure = Figure(figsize=(12, 12 * height / sum(widths) + 1.1), facecolor="white", layout="constrained")
    panels = figure.subplots(1, 3, width_ratios=widths)
    for panel, plane in zip(panels, PLANES, strict=True):
        _draw_plane(panel, plane, volume, maps, structures, center, spacing, window)
    figure.suptitle(title, fontsize=12)
    figure.legend(handles=_legend(maps, structures), loc="outside lower center", ncols=8, frameon=False, fontsize=9)
    return figure


def thumbnail(
    image: npt.NDArray,
    affine: FloatArray,
    labels: npt.NDArray[np.integer] | None,
    structures: Sequence[Structure],
) -> bytes:
    """Draw a small axial and coronal slice with contours, through the same place as `contour_figure` does.

    Args:
        image: Voxels, axes (i, j, k).
        affine: 4x4, voxel index to RAS millimetres.
        labels: Label map of the same shape, or None.
        structures: What to draw, by value and color.

    Returns:
        A PNG file, 400 pixels wide.
    """
    from matplotlib.figure import Figure

    reorientation = Reorientation.to_ras(affine)
    spacing = Grid((image.shape[0], image.shape[1], image.shape[2]), affine).reoriented(reorientation).spacing
    volume = reorientation.apply(image)
    drawn = None if labels is None else reorientation.apply(labels)
    center = _center([] if drawn is None else [drawn], structures, volume.shape)
    figure = Figure(figsize=(4, 2.4), dpi=100, facecolor="white", layout="constrained")
    for panel, plane in zip(figure.subplots(1, 2), ("axial", "coronal"), strict=True):
        _draw_plane(panel, plane, volume, (drawn, None), structures, center, spacing, _window(volume))
    return png(figure)


def _center(
    maps: Sequence[npt.NDArray[np.integer]], structures: Sequence[Structure], shape: tuple[int, ...]
) -> tuple[int, ...]:
    """Voxel index (RAS order) that the slices go through."""
    for labels in maps:
        drawn = [(int((labels == one.value).sum()), one) for one in structures]
        drawn = [(size, one) for size, one in drawn if size]
        if drawn:
            _, chosen = max(drawn, key=lambda pair: (pair[1].interpreted_type == "GTV", pair[0]))
            voxels = np.argwhere(labels == chosen.value)
            # The voxel nearest to the centroid: the centroid itself may lie outside a curved structure.
            nearest = voxels[np.linalg.norm(voxels - voxels.mean(axis=0), axis=1).argmin()]
            return tuple(int(index) for index in nearest)
    return tuple(size // 2 for size in shape)


def _near(
    maps: Sequence[npt.NDArray[np.integer] | None],
    structures: Sequence[Structure],
    spacing: Sequence[float],
    margin_mm: float,
) -> tuple[slice, ...]:
    """Part of the volume (RAS order) around all that is drawn; the whole where nothing is."""
    values = [one.value for one in structures]
    drawn = np.logical_or.reduce([np.isin(labels, values) for labels in maps if labels is not None])
    sides = []
    for axis, step in enumerate(spacing):
        found = np.flatnonzero(drawn.any(axis=tuple(other for other in range(3) if other != axis)))
        margin = math.ceil(margin_mm / step)
        sides.append(slice(max(0, found[0] - margin), found[-1] + margin + 1) if len(found) else slice(None))
    return tuple(sides)


def _window(volume: npt.NDArray) -> tuple[float, float]:
    """Gray values shown as black and white."""
    offset = hounsfield_offset(volume)
    if offset is not None:
        return CT_WINDOW_HU[0] - offset, CT_WINDOW_HU[1] - offset
    low, high = np.percentile(volume, (1, 99))
    return float(low), float(max(high, low + 1))


def _draw_plane(
    panel: Axes,
    plane: str,
    volume: npt.NDArray,
    maps: Sequence[npt.NDArray[np.integer] | None],
    structures: Sequence[Structure],
    center: Sequence[int],
    spacing: Sequence[float],
    window: tuple[float, float],
) -> None:
    """Draw one slice of RAS-ordered arrays with its contours."""
    from matplotlib.patheffects import withStroke

    across, up, cut = _PICTURE_AXES[plane]

    def picture(array: npt.NDArray) -> npt.NDArray:
        """Rows upwards, columns to the right; reversed across: right and front are on the left."""
        return np.moveaxis(array, (up, across, cut), (0, 1, 2))[:, ::-1, center[cut]]

    gray = picture(volume)
    panel.imshow(
        gray,
        cmap="gray",
        vmin=window[0],
        vmax=window[1],
        origin="lower",
        aspect=spacing[up] / spacing[across],
    )
    for labels, style in zip(maps, ("solid", "dashed"), strict=True):
        if labels is None:
            continue
        section = picture(labels)
        for structure in structures:
            mask = section == structure.value
            if mask.any():
                color = tuple(part / 255 for part in structure.color)
                lines = panel.contour(mask, levels=[0.5], colors=[color], linestyles=style, linewidths=1.3)
                # Seen on bright tissue, too.
                lines.set_path_effects([withStroke(linewidth=2.2, foreground="black")])
    left, right = ("A", "P") if plane == "sagittal" else ("R", "L")
    for text, position in ((left, 0.03), (right, 0.97)):
        panel.text(
            position,
            0.5,
            text,
            transform=panel.transAxes,
            color="white",
            ha="center",
            va="center",
            fontsize=9,
        )
    panel.set_title(plane, fontsize=10)
    panel.set_axis_off()


def _legend(maps: Sequence[npt.NDArray[np.integer] | None], structures: Sequence[Structure]) -> list:
    """Lines for the structures that are drawn, and for the two styles."""
    from matplotlib.lines import Line2D

    present = {int(value) for labels in maps if labels is not None for value in np.unique(labels)}
    handles = [
        Line2D([], [], color=tuple(part / 255 for part in structure.color), label=structure.name)
        for structure in structures
        if structure.value in present
    ]
    styles = (("reference", "solid"), ("prediction", "dashed"))
    for labels, (name, style) in zip(maps, styles, strict=True):
        if labels is not None and name not in (handle.get_label() for handle in handles):
            handles.append(Line2D([], [], color="black", linestyle=style, label=name))
    return handles
