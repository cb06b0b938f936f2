"""Metrics of two masks: right on shapes whose numbers are known, and equal to those of three other libraries."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from HQCSegmentLib.evaluation import METRICS, Sums, compare_masks, pooled_hd95_mm

Spacing = tuple[float, float, float]
SPACINGS: list[Spacing] = [(1.0, 1.0, 1.0), (0.9, 1.3, 3.0), (2.5, 0.7, 1.1)]
SHAPE = (44, 40, 30)
EMPTY = np.zeros(SHAPE, bool)


def box(start: tuple[int, int, int], size: tuple[int, int, int]) -> np.ndarray:
    mask = EMPTY.copy()
    mask[tuple(slice(a, a + n) for a, n in zip(start, size, strict=True))] = True
    return mask


def ball(radius: float, spacing: Spacing) -> np.ndarray:
    """Radius in mm, in the middle of an array that is just large enough."""
    half = [math.ceil(radius / step) + 2 for step in spacing]
    places = np.stack(np.meshgrid(*[np.arange(-n, n + 1) for n in half], indexing="ij"), -1) * spacing
    return np.linalg.norm(places, axis=-1) <= radius


def padded_like(mask: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.pad(mask, [((b - a) // 2,) * 2 for a, b in zip(mask.shape, other.shape, strict=True)])


def organs(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two irregular masks that agree in most places."""
    random = np.random.default_rng(seed)
    smooth = gaussian_filter(random.normal(size=SHAPE), 4)
    other = smooth + gaussian_filter(random.normal(size=SHAPE), 3) * 0.6
    return smooth > smooth.std() * 0.6, other > other.std() * 0.6


class TestEmptyMasks:
    def test_both_empty_agree_perfectly(self):
        found = compare_masks(prediction=EMPTY, reference=EMPTY, spacing=(1, 1, 1))
        assert (found.dice, found.iou, found.surface_dice) == (1, 1, 1)
        assert (found.hd95_mm, found.mean_surface_distance_mm, found.centroid_distance_mm) == (0, 0, 0)
        assert (found.added_path_length_mm, found.predicted_ml, found.reference_ml) == (0, 0, 0)

    @pytest.mark.parametrize("missed", [True, False], ids=["missed", "invented"])
    def test_one_empty_overlaps_in_nothing_and_has_no_distance(self, missed: bool):
        drawn = box((5, 5, 5), (10, 8, 4))
        pair = {"prediction": EMPTY, "reference": drawn} if missed else {"prediction": drawn, "reference": EMPTY}
        found = compare_masks(**pair, spacing=(1, 2, 5))
        assert (found.dice, found.iou, found.surface_dice) == (0, 0, 0)
        assert math.isnan(found.hd95_mm)
        assert math.isnan(found.mean_surface_distance_mm)
        assert math.isnan(found.centroid_distance_mm)
        assert found.volume_difference_ml == pytest.approx(-3.2 if missed else 3.2)
        # Of what was missed all has to be drawn; nothing has to be drawn of what was invented.
        perimeter = 4 * (2 * (10 - 1) * 1 + 2 * (8 - 1) * 2 + 4 * math.hypot(1, 2) / 2)
        assert found.added_path_length_mm == pytest.approx(perimeter if missed else 0)


class TestShapesOfKnownNumbers:
    @pytest.mark.parametrize("spacing", SPACINGS, ids=str)
    def test_a_shifted_box(self, spacing: Spacing):
        first, second = box((5, 5, 5), (20, 20, 16)), box((8, 5, 5), (20, 20, 16))
        found = compare_masks(prediction=second, reference=first, spacing=spacing, tolerance_mm=3 * spacing[0])
        assert found.dice == pytest.approx(17 / 20)
        assert found.iou == pytest.approx(17 / 23)
        assert found.centroid_distance_mm == pytest.approx(3 * spacing[0])
        assert found.hd95_mm == pytest.approx(3 * spacing[0])
        assert found.surface_dice == 1
        assert found.added_path_length_mm == 0
        assert found.predicted_ml == found.reference_ml == pytest.approx(6400 * math.prod(spacing) / 1000)
        assert found.volume_difference_ml == 0

    def test_the_shift_must_be_within_the_tolerance(self):
        first, second = box((5, 5, 5), (20, 20, 16)), box((8, 5, 5), (20, 20, 16))
        found = compare_masks(prediction=second, reference=first, spacing=(0.7, 1, 1), tolerance_mm=3 * 0.7)
        assert found.surface_dice == 1  # 2.1 is not below 3 * 0.7 by the last digit only
        strict = compare_masks(prediction=second, reference=first, spacing=(0.7, 1, 1), tolerance_mm=2)
        # The two end faces with their edges, of all faces with half of their edges.
        assert 0.65 < strict.surface_dice < 0.75

    @pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.8, 1.2, 2.0)], ids=str)
    def test_two_balls_of_one_center(self, spacing: Spacing):
        """Distances are between corners of voxels, so between slanted surfaces up to half a voxel too small."""
        large = ball(24, spacing)
        small = padded_like(ball(20, spacing), large)
        found = compare_masks(prediction=small, reference=large, spacing=spacing)
        assert 4 - max(spacing) / 2 < found.mean_surface_distance_mm < 4
        assert found.hd95_mm == pytest.approx(4, abs=max(spacing) / 2)
        assert found.surface_dice == pytest.approx(0, abs=0.03)
        assert found.dice == pytest.approx(2 * 20**3 / (20**3 + 24**3), abs=0.003)
        assert found.centroid_distance_mm == pytest.approx(0, abs=1e-9)
        assert found.predicted_ml == pytest.approx(4 / 3 * math.pi * 20**3 / 1000, rel=0.01)
        near = compare_masks(prediction=small, reference=large, spacing=spacing, tolerance_mm=4 + max(spacing))
        assert near.surface_dice == pytest.approx(1)

    @pytest.mark.parametrize("spacing", [(0.5, 0.5, 2.0), (0.4, 0.8, 3.0)], ids=str)
    def test_the_added_path_is_the_outline_of_a_disc(self, spacing: Spacing):
        """Steps of pixels make an outline a little longer, on a circle by 5 or 6 %."""
        disc = ball(20, spacing)
        disc = np.repeat(disc[:, :, disc.shape[2] // 2, None], 5, axis=2)
        found = compare_masks(prediction=np.zeros_like(disc), reference=disc, spacing=spacing)
        assert found.added_path_length_mm == pytest.approx(5 * 2 * math.pi * 20 * 1.06, rel=0.04)

    def test_the_added_path_is_looked_for_on_the_same_slice_only(self):
        reference, prediction = box((5, 5, 5), (10, 10, 2)), box((5, 5, 7), (10, 10, 2))
        found = compare_masks(prediction=prediction, reference=reference, spacing=(1, 1, 0.5), tolerance_mm=5)
        assert found.surface_dice == 1
        assert found.added_path_length_mm == pytest.approx(2 * (4 * 9 + 4 * math.sqrt(0.5)))

    def test_half_of_an_outline_has_to_be_added(self):
        reference, prediction = box((5, 5, 5), (20, 10, 1)), box((5, 5, 5), (10, 10, 1))
        found = compare_masks(prediction=prediction, reference=reference, spacing=(1, 1, 1), tolerance_mm=0)
        # One short side and what is left of the long sides.
        assert found.added_path_length_mm == pytest.approx(9 + 2 * 9 + 2 * math.sqrt(0.5))

    def test_pooling_adds_volumes_and_surfaces(self):
        large = compare_masks(prediction=box((2, 2, 2), (30, 30, 20)), reference=box((2, 2, 2), (30, 30, 20)),
                              spacing=(1, 1, 1))  # fmt: skip
        missed = compare_masks(prediction=EMPTY, reference=box((2, 2, 2), (10, 10, 10)), spacing=(1, 1, 1))
        pooled = Sums.of([large.sums, missed.sums])
        assert pooled.dice == pytest.approx(2 * 18 / (18 + 18 + 1))
        assert pooled.iou == pytest.approx(18 / 19)
        areas = (large.sums.surface_mm2, missed.sums.surface_mm2)
        assert pooled.surface_dice == pytest.approx(areas[0] / sum(areas))
        assert pooled.mean_surface_distance_mm == 0  # what was missed has no distance

    def test_the_pooled_hd95_is_that_of_one_patient_with_all_surfaces(self):
        """No mean or percentile of the cases' own: two cases side by side, too far apart to meet, are the same."""
        spacing = (1.0, 1.5, 3.0)
        masks = [
            (box((5, 5, 5), (30, 20, 8)), box((8, 5, 5), (30, 20, 8))),
            (box((5, 5, 5), (6, 6, 3)), box((5, 9, 5), (8, 6, 3))),
        ]
        cases = [compare_masks(prediction=one, reference=other, spacing=spacing) for one, other in masks]
        gap = np.zeros((60, *EMPTY.shape[1:]), bool)
        together = [np.concatenate([masks[0][which], gap, masks[1][which]]) for which in (0, 1)]
        whole = compare_masks(prediction=together[0], reference=together[1], spacing=spacing)
        assert pooled_hd95_mm(cases) == pytest.approx(whole.hd95_mm, abs=1e-5)
        assert pooled_hd95_mm(cases) != pytest.approx(sum(one.hd95_mm for one in cases) / 2, abs=0.1)

    def test_cases_without_distances_are_left_out_of_the_pooled_hd95(self):
        mask, moved = box((5, 5, 5), (10, 10, 10)), box((7, 5, 5), (10, 10, 10))
        found, missed, nothing = (
            compare_masks(prediction=one, reference=other, spacing=(1, 1, 1))
            for one, other in ((mask, moved), (EMPTY, mask), (EMPTY, EMPTY))
        )
        assert pooled_hd95_mm([found, missed, nothing]) == pytest.approx(found.hd95_mm)
        assert math.isnan(pooled_hd95_mm([missed, nothing]))
        assert pooled_hd95_mm([nothing]) == 0


def test_masks_of_different_shape_are_refused():
    with pytest.raises(ValueError, match="one shape"):
        compare_masks(prediction=EMPTY, reference=EMPTY[1:], spacing=(1, 1, 1))
    with pytest.raises(ValueError, match="positive"):
        compare_masks(prediction=EMPTY, reference=EMPTY, spacing=(1, 0, 1))


small_masks = st.lists(st.booleans(), min_size=60, max_size=60).map(lambda bits: np.array(bits).reshape(3, 4, 5))


@settings(max_examples=15, deadline=None)
@given(first=small_masks, second=small_masks, order=st.permutations((0, 1, 2)))
def test_axes_may_be_exchanged_and_flipped(first: np.ndarray, second: np.ndarray, order: list[int]):
    """So an image may lie in the patient as it likes."""
    spacing = np.array((0.9, 1.3, 3.0))
    straight = compare_masks(prediction=first, reference=second, spacing=spacing)
    turned = compare_masks(
        prediction=np.flip(first.transpose(order), 0),
        reference=np.flip(second.transpose(order), 0),
        spacing=spacing[order],
        slice_axis=order.index(2),
    )
    for name in METRICS:
        assert getattr(turned, name) == pytest.approx(getattr(straight, name), rel=1e-5, nan_ok=True), name


@settings(max_examples=15, deadline=None)
@given(first=small_masks, second=small_masks)
def test_most_metrics_do_not_care_which_is_the_reference(first: np.ndarray, second: np.ndarray):
    one = compare_masks(prediction=first, reference=second, spacing=(1, 2, 3))
    other = compare_masks(prediction=second, reference=first, spacing=(1, 2, 3))
    for name in ("dice", "iou", "surface_dice", "hd95_mm", "mean_surface_distance_mm", "centroid_distance_mm"):
        assert getattr(one, name) == pytest.approx(getattr(other, name), nan_ok=True), name
    assert one.volume_difference_ml == pytest.approx(-other.volume_difference_ml)


@pytest.mark.parametrize("spacing", SPACINGS, ids=str)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
class TestOtherLibraries:
    def test_deepmind_surface_distance(self, spacing: Spacing):
        """Surface metrics are defined as there, so they are equal up to its single precision."""
        import surface_distance

        prediction, reference = organs(0)
        found = compare_masks(prediction=prediction, reference=reference, spacing=spacing, tolerance_mm=1.5)
        theirs = surface_distance.compute_surface_distances(reference, prediction, spacing)
        assert found.surface_dice == pytest.approx(
            surface_distance.compute_surface_dice_at_tolerance(theirs, 1.5), rel=1e-6
        )
        assert found.hd95_mm == pytest.approx(surface_distance.compute_robust_hausdorff(theirs, 95), rel=1e-9)
        areas = theirs["surfel_areas_gt"].sum(), theirs["surfel_areas_pred"].sum()
        means = surface_distance.compute_average_surface_distance(theirs)
        assert found.mean_surface_distance_mm == pytest.approx(np.average(means, weights=areas), rel=1e-6)
        assert found.dice == pytest.approx(surface_distance.compute_dice_coefficient(reference, prediction))

    def test_monai(self, spacing: Spacing):
        """Overlap and surface Dice are equal; its distances are between centers of voxels at the edge."""
        import torch
        from monai import metrics

        prediction, reference = organs(0)
        found = compare_masks(prediction=prediction, reference=reference, spacing=spacing, tolerance_mm=1.5)
        pair = [torch.from_numpy(mask)[None, None].float() for mask in (prediction, reference)]
        assert found.dice == pytest.approx(float(metrics.compute_dice(*pair)))
        assert found.iou == pytest.approx(float(metrics.compute_iou(*pair)))
        options = {"include_background": True, "spacing": spacing}
        theirs = metrics.compute_surface_dice(*pair, class_thresholds=[1.5], use_subvoxels=True, **options)
        assert found.surface_dice == pytest.approx(float(theirs), abs=1e-4)
        voxel = float(np.linalg.norm(spacing))
        distance = metrics.compute_average_surface_distance(*pair, symmetric=True, **options)
        assert found.mean_surface_distance_mm == pytest.approx(float(distance), abs=voxel / 2)
        hausdorff = metrics.compute_hausdorff_distance(*pair, percentile=95, **options)
        assert found.hd95_mm == pytest.approx(float(hausdorff), abs=voxel)

    def test_simpleitk(self, spacing: Spacing):
        """Overlap and centers are equal."""
        import SimpleITK as sitk

        prediction, reference = organs(0)
        found = compare_masks(prediction=prediction, reference=reference, spacing=spacing)
        images = [sitk.GetImageFromArray(mask.astype(np.uint8).transpose(2, 1, 0)) for mask in (prediction, reference)]
        for image in images:
            # An oblique image has the same metrics.
            image.SetDirection((0.8, -0.6, 0.0, 0.36, 0.48, -0.8, 0.48, 0.64, 0.6))
            image.SetSpacing(spacing)
        overlap = sitk.LabelOverlapMeasuresImageFilter()
        overlap.Execute(*images)
        assert found.dice == pytest.approx(overlap.GetDiceCoefficient())
        assert found.iou == pytest.approx(overlap.GetJaccardCoefficient())
        shapes = []
        for image in images:
            shape = sitk.LabelShapeStatisticsImageFilter()
            shape.Execute(image)
            shapes.append(shape)
        centers = [np.array(shape.GetCentroid(1)) for shape in shapes]
        assert found.centroid_distance_mm == pytest.approx(np.linalg.norm(centers[0] - centers[1]), abs=1e-6)
        volumes = [shape.GetPhysicalSize(1) / 1000 for shape in shapes]
        assert (found.predicted_ml, found.reference_ml) == pytest.approx(volumes)
