"""Steps on the mask of one structure: masks (i, j, k) to new masks of the same shape; none is changed in place."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]


def keep_touching(mask: Mask, organ: Mask) -> Mask:
    """The connected pieces (26 neighbours) that touch or overlap an organ; all of them where the organ is empty."""
    from skimage.morphology import dilation

    if not organ.any():
        return mask.copy()
    pieces = _pieces(mask)
    near = np.unique(pieces[dilation(organ, np.ones((3, 3, 3), bool)) & mask])
    return np.isin(pieces, near[near > 0])


def remove_small(mask: Mask, *, voxels: float) -> Mask:
    """Without connected pieces (26 neighbours) of fewer voxels."""
    pieces = _pieces(mask)
    sizes = np.bincount(pieces.ravel())
    large = sizes >= voxels
    large[0] = False
    return large[pieces]


def keep_largest(mask: Mask) -> Mask:
    """The largest connected piece (26 neighbours); of equal ones the first."""
    pieces = _pieces(mask)
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    return mask.copy() if len(sizes) == 1 else pieces == sizes.argmax()


def fill_holes(mask: Mask) -> Mask:
    """With the cavities that no path of face neighbours leads out of."""
    from scipy.ndimage import binary_fill_holes

    # A cavity at the border of the box that the mask fills is open.
    return np.asarray(binary_fill_holes(np.pad(mask, 1)))[1:-1, 1:-1, 1:-1]


def smooth(mask: Mask, *, sigma_mm: float, spacing: tuple[float, float, float]) -> Mask:
    """Where a Gaussian average of the mask is above one half: outlines move by parts of a voxel before they are cut."""
    from skimage.filters import gaussian

    sigma = [sigma_mm / step for step in spacing]
    # Wider than the kernel, so that the border of the array does not pull the outline.
    margin = [int(4 * one + 0.5) + 1 for one in sigma]
    padded = np.pad(mask.astype(np.float32), [(one, one) for one in margin], mode="edge")
    averaged = gaussian(padded, sigma=sigma, mode="nearest", preserve_range=True)
    inner = tuple(slice(one, size - one) for one, size in zip(margin, averaged.shape, strict=True))
    return np.asarray(averaged[inner] > 0.5)


def _pieces(mask: Mask) -> npt.NDArray[np.intp]:
    from skimage.measure import label

    return np.asarray(label(mask, connectivity=3))
