"""Several images of a patient, such as CT and PET, are the channels of one, from the files to the contours."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
import torch
from command_line import run
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation

import HQCSegmentLib as hqc
from HQCSegmentLib.bundle import Manifest
from HQCSegmentLib.cohort import Cohort, Finding, Fingerprint, Preprocessing, check, fingerprint, prepare
from HQCSegmentLib.cohort.cache import Cache
from HQCSegmentLib.errors import InputError
from HQCSegmentLib.imaging import Image, join, read_image, write_array
from HQCSegmentLib.imaging.image_files import to_simpleitk
from HQCSegmentLib.training.augmentation import augmentation

AFFINE = np.diag([2.0, 2.0, 3.0, 1.0])
SHAPE = (12, 13, 14)


def volume(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(100 * seed, 10, SHAPE).astype(np.float32)


def label() -> np.ndarray:
    array = np.zeros(SHAPE, np.uint8)
    array[3:8, 3:8, 3:8] = 1
    return array


def numbered(folder: Path, *, images: str, labels: str, channels: int = 2, cases: tuple[str, ...] = ("a", "b")) -> Path:
    """Files as nnU-Net names them; the intensity of an image is about 100 times the number of its channel, from 1."""
    for case in cases:
        for channel in range(channels):
            write_array(folder / images / f"{case}_{channel:04d}.nii.gz", volume(channel + 1), AFFINE)
        write_array(folder / labels / f"{case}.nii.gz", label(), AFFINE)
    return folder


def described(folder: Path, **description: object) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "GTV": 1}} | description))
    return folder


def write_4d(path: Path, *volumes: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(sitk.JoinSeries([to_simpleitk(one, AFFINE) for one in volumes]), str(path))


def is_in_order(image: Image, channels: int = 2) -> bool:
    expected = [volume(channel + 1) for channel in range(channels)]
    return all(np.array_equal(one, wanted) for one, wanted in zip(image.channels, expected, strict=True))


class TestCheck:
    """Every image of a case is looked at, and the finding says which one it is about."""

    @pytest.fixture
    def findings(self, tmp_path: Path) -> Callable[..., list[Finding]]:
        """Check three cases with a CT and a PET, of which case b has another PET or other CTs."""
        numbered(tmp_path, images="imagesTr", labels="labelsTr", cases=("a", "b", "c"))
        for seed, case in enumerate("abc"):
            for channel in range(2):
                write_array(tmp_path / "imagesTr" / f"{case}_{channel:04d}.nii.gz", volume(10 * seed + channel), AFFINE)

        def check_with(spoil: Callable[[np.ndarray], np.ndarray], channel: int = 1) -> list[Finding]:
            file = tmp_path / "imagesTr" / f"b_{channel:04d}.nii.gz"
            write_array(file, spoil(read_image(file).array), AFFINE)
            return check(Cohort.open(described(tmp_path, channel_names={"0": "CT", "1": "PET"})))

        return check_with

    @pytest.mark.parametrize(
        ("spoil", "code", "words"),
        [
            (lambda array: np.full_like(array, 3), "constant-image", "the PET image has the same value everywhere"),
            (lambda array: (array > array.mean()).astype(np.uint8), "few-values", "the PET image has only 2"),
            (lambda array: array - 2000, "mixed-scales", "the PET image seems to have Hounsfield units, and"),
            (lambda array: volume(1), "duplicate-image", "the PET image is the same as that of case a"),
            (lambda array: volume(10), "same-channels", "the PET image has the same voxels as the CT image"),
            (lambda array: np.where(array == array.max(), 1e6, array), "glaring-voxels", "voxels of the PET image"),
        ],
        ids=lambda value: value if isinstance(value, str) and " " not in value else "",
    )
    def test_a_fault_of_the_second_image(
        self, findings: Callable[..., list[Finding]], spoil: Callable, code: str, words: str
    ):
        assert [(one.case, one.code) for one in findings(spoil) if words in one.message] == [("b", code)]

    def test_values_that_are_no_numbers(self, findings: Callable[..., list[Finding]]):
        (finding,) = findings(lambda array: np.where(array == array.max(), np.nan, array))
        assert (finding.case, finding.code) == ("b", "not-finite")
        assert "b_0001.nii.gz" in finding.message

    def test_good_images_have_no_findings(self, findings: Callable[..., list[Finding]]):
        assert findings(lambda array: array) == []


class TestLayouts:
    def test_nnunet_numbers_the_channels_and_names_them(self, tmp_path: Path):
        numbered(tmp_path, images="imagesTr", labels="labelsTr")
        cohort = Cohort.open(described(tmp_path, channel_names={"1": "PET", "0": "CT"}))
        assert cohort.channels == ("CT", "PET")
        assert [case.name for case in cohort.cases] == ["a", "b"]
        assert all(is_in_order(case.read(cohort.structures).image) for case in cohort.cases)

    def test_the_decathlon_keeps_channels_in_one_file(self, tmp_path: Path):
        for case in ("a", "b"):
            write_4d(tmp_path / "imagesTr" / f"{case}.nii.gz", volume(1), volume(2), volume(3))
            write_array(tmp_path / "labelsTr" / f"{case}.nii.gz", label(), AFFINE)
        cohort = Cohort.open(described(tmp_path, modality={"0": "T1", "1": "T2", "2": "FLAIR"}))
        assert cohort.channels == ("T1", "T2", "FLAIR")
        assert all(is_in_order(case.read(cohort.structures).image, 3) for case in cohort.cases)

    def test_images_and_labels_may_be_numbered_as_nnunet_does(self, tmp_path: Path):
        cohort = Cohort.open(numbered(tmp_path, images="images", labels="labels"))
        assert cohort.channels == ("image_0", "image_1")
        assert [case.name for case in cohort.cases] == ["a", "b"]
        assert all(is_in_order(case.read(cohort.structures).image) for case in cohort.cases)

    def test_images_and_labels_may_hold_several_volumes(self, tmp_path: Path):
        write_4d(tmp_path / "images" / "a.nii.gz", volume(1), volume(2))
        write_array(tmp_path / "labels" / "a.nii.gz", label(), AFFINE)
        cohort = Cohort.open(tmp_path)
        assert cohort.channels == ("image_0", "image_1")
        assert is_in_order(cohort.cases[0].read(cohort.structures).image)

    def test_a_number_that_label_maps_have_too_is_a_part_of_the_name(self, tmp_path: Path):
        for case in ("scan_0000", "scan_0001"):
            write_array(tmp_path / "images" / f"{case}.nii.gz", volume(1), AFFINE)
            write_array(tmp_path / "labels" / f"{case}.nii.gz", label(), AFFINE)
        cohort = Cohort.open(tmp_path)
        assert [case.name for case in cohort.cases] == ["scan_0000", "scan_0001"]
        assert cohort.channels == ("image",)

    def test_a_missing_channel_is_a_fault_of_that_case_only(self, tmp_path: Path):
        numbered(tmp_path, images="imagesTr", labels="labelsTr")
        (tmp_path / "imagesTr" / "b_0001.nii.gz").unlink()
        cohort = Cohort.open(described(tmp_path, channel_names={"0": "CT", "1": "PET"}))
        (finding,) = [one for one in hqc.check(cohort) if one.severity == "error"]
        assert finding.case == "b"
        assert "b_0001.nii.gz does not exist" in finding.message

    def test_a_channel_without_name_is_refused(self, tmp_path: Path):
        numbered(tmp_path, images="imagesTr", labels="labelsTr")
        with pytest.raises(InputError, match=r"case a: a_0001\.nii\.gz is channel 1, but .* names 1 channel"):
            Cohort.open(described(tmp_path, channel_names={"0": "CT"}))

    def test_a_file_with_another_number_of_volumes_is_refused(self, tmp_path: Path):
        write_4d(tmp_path / "imagesTr" / "a.nii.gz", volume(1), volume(2))
        write_array(tmp_path / "labelsTr" / "a.nii.gz", label(), AFFINE)
        cohort = Cohort.open(described(tmp_path, modality={"0": "T1", "1": "T2", "2": "FLAIR"}))
        with pytest.raises(InputError, match=r"a\.nii\.gz holds .* 3 3D volumes are needed"):
            cohort.cases[0].read(cohort.structures)


class TestListed:
    @pytest.fixture
    def write(self, tmp_path: Path) -> Callable[..., Path]:
        """Writes a `cohort.json` of one case."""
        write_array(tmp_path / "mask.nii.gz", label(), AFFINE)
        write_array(tmp_path / "ct.nii.gz", volume(1), AFFINE)
        write_array(tmp_path / "pet.nii.gz", volume(2), AFFINE)
        write_4d(tmp_path / "both.nii.gz", volume(1), volume(2))

        def write(image: object, label: str = "mask.nii.gz", **more: object) -> Path:
            case = {"name": "a", "image": image, "label": label}
            (tmp_path / "cohort.json").write_text(json.dumps({"cases": [case], "channels": ["CT", "PET"]} | more))
            return tmp_path

        return write

    @pytest.mark.parametrize("image", [["ct.nii.gz", "pet.nii.gz"], "both.nii.gz", [{"path": "both.nii.gz"}]])
    def test_files_in_the_order_of_the_channels(self, write: Callable[..., Path], image: object):
        cohort = Cohort.open(write(image))
        assert cohort.channels == ("CT", "PET")
        assert is_in_order(cohort.cases[0].read(cohort.structures).image)

    def test_as_many_images_as_channels_are_needed(self, write: Callable[..., Path]):
        with pytest.raises(InputError, match='case a lists 2 images, but "channels" names 3'):
            Cohort.open(write(["ct.nii.gz", "pet.nii.gz"], channels=["CT", "PET", "T1"]))
        with pytest.raises(InputError, match="case a lists 2 images, but their names are missing"):
            Cohort.open(write(["ct.nii.gz", "pet.nii.gz"], channels=None))

    @pytest.fixture
    def series(self, write_slices: Callable[..., list[Path]], tmp_path: Path) -> Path:
        """CT, PET and two MR series of a patient in one folder, in one frame of reference."""
        lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ AFFINE
        for number, (modality, words) in enumerate([("CT", ""), ("PT", ""), ("MR", "T1"), ("MR", "T2")], start=1):
            tags = {"Modality": modality, "SeriesDescription": words, "FrameOfReferenceUID": "1.2.3"}
            write_slices(tmp_path / "p" / f"{number}", np.rint(volume(number)), lps, **tags)
        return tmp_path

    @pytest.mark.parametrize(
        ("image", "expected"),
        [
            (["p/1", "p/2"], (1, 2)),
            ([{"path": "p", "modality": "CT"}, {"path": "p", "modality": "PT"}], (1, 2)),
            ([{"path": "p", "description": "T2"}, {"path": "p", "modality": "CT"}], (4, 1)),
            ([{"path": "p", "description": "T2"}, {"path": "p", "modality": "MR"}], (4, 3)),
        ],
    )
    def test_dicom_series_by_folder_modality_or_description(
        self, write: Callable[..., Path], series: Path, image: object, expected: tuple[int, int]
    ):
        cohort = Cohort.open(write(image))
        read = cohort.cases[0].read(cohort.structures).image
        for array, number in zip(read.channels, expected, strict=True):
            assert np.array_equal(array, np.rint(volume(number)))

    def test_a_series_that_cannot_be_told_is_asked_for(self, write: Callable[..., Path], series: Path):
        with pytest.raises(InputError, match='give its "modality" or "description"'):
            Cohort.open(write(["p/1", "p"]))
        with pytest.raises(InputError, match="lists the MR 'FLAIR' series of a folder that has none"):
            Cohort.open(write(["p/1", {"path": "p", "modality": "MR", "description": "FLAIR"}]))

    def test_series_in_different_coordinates_are_refused(self, write: Callable[..., Path], series: Path):
        for file in (series / "p" / "2").iterdir():
            dataset = pydicom.dcmread(file)
            dataset.FrameOfReferenceUID = "1.2.4"
            dataset.save_as(file)
        cohort = Cohort.open(write(["p/1", "p/2"]))
        with pytest.raises(InputError, match="case a: its images have different frames of reference"):
            cohort.cases[0].read(cohort.structures)


class TestJoining:
    @settings(max_examples=25, deadline=None)
    @given(
        turn=st.tuples(*[st.floats(-30, 30)] * 3),
        spacing=st.tuples(*[st.floats(0.7, 2.5)] * 3),
        shift=st.tuples(*[st.floats(-3, 3)] * 3),
    )
    def test_another_grid_is_brought_to_the_first_one_by_position(
        self, turn: tuple[float, ...], spacing: tuple[float, ...], shift: tuple[float, ...]
    ):
        affine = np.eye(4)
        affine[:3, :3] = Rotation.from_euler("xyz", turn, degrees=True).as_matrix() * spacing
        affine[:3, 3] = shift - affine[:3, :3] @ [25, 25, 25] + [10, 10, 10]

        def slope(places: np.ndarray) -> np.ndarray:
            return 3 * places[..., 0] - 2 * places[..., 1] + places[..., 2]

        def positions(shape: tuple[int, int, int], affine: np.ndarray) -> np.ndarray:
            return np.stack(np.indices(shape), -1) @ affine[:3, :3].T + affine[:3, 3]

        first = Image(np.zeros((11, 11, 11)), np.diag([2.0, 2.0, 2.0, 1.0]))
        other = Image(slope(positions((51, 51, 51), affine)), affine)
        (joined,) = join([first, other]).others
        inside = (slice(2, 9),) * 3
        places = positions((11, 11, 11), first.affine)
        voxels = (places - affine[:3, 3]) @ np.linalg.inv(affine[:3, :3]).T
        seen = ((voxels > 6) & (voxels < 44)).all(axis=-1)[inside]
        assert seen.any()
        np.testing.assert_allclose(joined[inside][seen], slope(places)[inside][seen], atol=1e-3)

    def test_an_image_on_the_same_grid_is_taken_as_it_is(self):
        other = volume(2).astype(np.int16)
        joined = join([Image(volume(1), AFFINE), Image(other, AFFINE + 1e-6)])
        assert joined.others[0] is other

    def test_a_finer_image_is_averaged_not_sampled(self):
        fine = np.tile([0.0, 100.0], 24)[:, None, None] * np.ones((1, 48, 48))
        coarse = join([Image(np.zeros((12, 12, 12)), np.diag([4.0, 4.0, 4.0, 1.0])), Image(fine, np.eye(4))]).others[0]
        np.testing.assert_allclose(coarse[2:-2, 2:-2, 2:-2], 50, atol=3)

    def test_beyond_its_edges_an_image_has_its_lowest_value(self):
        other = Image(volume(2)[:, :, :8], AFFINE)
        joined = join([Image(volume(1), AFFINE), other]).others[0]
        np.testing.assert_allclose(joined[:, :, :8], other.array, rtol=1e-5)
        assert (joined[:, :, 9:] == other.array.min()).all()

    def test_images_of_different_places_are_refused(self):
        away = AFFINE.copy()
        away[2, 3] = 30
        with pytest.raises(InputError, match="case image: one of its images covers only 29% of the first one"):
            join([Image(volume(1), AFFINE), Image(volume(2), away)])


class TestPreparing:
    def test_each_channel_is_normalised_by_itself(self):
        ct = np.random.default_rng(0).normal(-200, 400, SHAPE)
        image = Image(ct, AFFINE, others=(volume(2),))
        how = Preprocessing(
            spacing=(2, 2, 3),
            channels=(
                {"name": "CT", "normalization": "ct", "low": -100, "high": 300, "mean": 50, "deviation": 80},
                {"name": "PET", "normalization": "zscore"},
            ),
        )
        array = prepare(image, how).array
        assert array.shape == (2, *SHAPE)
        assert array.dtype == np.float32
        np.testing.assert_allclose(array[0], (np.clip(ct, -100, 300) - 50) / 80, atol=1e-5)
        alone = prepare(Image(volume(2), AFFINE), Preprocessing(spacing=(2, 2, 3), normalization="zscore"))
        assert np.array_equal(array[1], alone.array[0])

    def test_the_cache_tells_channels_apart(self, tmp_path: Path):
        how = Preprocessing(spacing=(4, 4, 4), channels=[{"normalization": "zscore"}] * 2)
        one, other = (Image(volume(first), AFFINE, others=(volume(second),)) for first, second in [(1, 2), (2, 1)])
        for image in (one, other, one):
            assert np.array_equal(Cache.open(tmp_path).prepare(image, how).array, prepare(image, how).array)

    def test_another_number_of_channels_is_refused(self):
        how = Preprocessing(
            spacing=(2, 2, 3), channels=[{"name": name, "normalization": "zscore"} for name in ("CT", "PET")]
        )
        with pytest.raises(
            InputError, match=r"needs 2 images \(CT, PET, in this order.*\) of each patient, but one is"
        ):
            prepare(Image(volume(1), AFFINE, name="p7"), how)

    def test_only_channels_in_hounsfield_units_keep_their_scale(self, tmp_path: Path):
        ct = np.where(label() > 0, 40, -1000).astype(np.int16)
        write_array(tmp_path / "images" / "a_0000.nii.gz", ct, AFFINE)
        write_array(tmp_path / "images" / "a_0001.nii.gz", volume(2), AFFINE)
        write_array(tmp_path / "labels" / "a.nii.gz", label(), AFFINE)
        cohort = Cohort.open(tmp_path)
        measured = fingerprint((case.read(cohort.structures) for case in cohort.cases), channels=cohort.channels)
        first, second = measured.preprocessing().channels
        assert (first.name, first.normalization, first.mean) == ("image_0", "ct", 40)
        assert (second.name, second.normalization) == ("image_1", "zscore")

    def test_settings_of_earlier_versions_are_those_of_the_only_channel(self):
        old = {"spacing": [1, 1, 2], "normalization": "ct", "low": -5, "high": 5, "mean": 1, "deviation": 2}
        (channel,) = Preprocessing.model_validate(old).channels
        assert (channel.name, channel.normalization, channel.low, channel.deviation) == ("image", "ct", -5, 2)
        inside = {"foreground_low": 0, "foreground_high": 1, "foreground_mean": 2, "foreground_deviation": 3}
        measured = {"cases": 1, "median_spacing": [1, 1, 1], "median_extent": [9, 9, 9], "hounsfield": True}
        (seen,) = Fingerprint.model_validate(measured | inside).channels
        assert (seen.hounsfield, seen.foreground_mean) == (True, 2)


def test_augmentation_moves_channels_together_and_colors_each_by_itself():
    image = torch.zeros(2, 16, 16, 16)
    image[:, 5:11, 5:11, 5:11] = torch.tensor([1.0, 1.0])[:, None, None, None]
    vary = augmentation(dims=3, channels=2)
    outlines, differences = [], []
    for seed in range(6):
        varied, mask = vary(image, image[:1].to(torch.int64), seed)
        assert varied.shape == image.shape
        for channel in varied:
            outlines.append(float(((channel - channel.min()) / (channel.max() - channel.min()))[mask[0] > 0].mean()))
        differences.append(float((varied[0] - varied[1]).abs().max()))
    assert min(outlines) > 0.6
    assert max(differences) > 0.1


@pytest.fixture(scope="module")
def two_images(tmp_path_factory: pytest.TempPathFactory, tiny: ModuleType) -> Path:
    """The tiny cohort with each structure seen in one of two channels only; the second has a coarser grid."""
    folder = tmp_path_factory.mktemp("two-images")
    for seed in range(3):
        image, mask = tiny.tiny_patient(seed, intensities=(0, 80, 0))
        other, _ = tiny.tiny_patient(seed, intensities=(0, 0, 80))
        write_array(folder / "images" / f"p{seed}_0000.nii.gz", image, np.diag([1.0, 1.0, 2.0, 1.0]))
        coarse = gaussian_filter(other, 0.5)[:, :, ::2]
        write_array(folder / "images" / f"p{seed}_0001.nii.gz", coarse, np.diag([1.0, 1.0, 4.0, 1.0]))
        write_array(folder / "labels" / f"p{seed}.nii.gz", mask, np.diag([1.0, 1.0, 2.0, 1.0]))
    (folder / "labels.json").write_text(json.dumps(tiny.NAMES))
    return folder


@pytest.fixture(scope="module")
def model(two_images: Path, tiny: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> hqc.Bundle:
    config = hqc.TrainConfig(method="full", steps=60, learning_rate=5e-3, held_out=1, **tiny.SETTINGS)
    out = tmp_path_factory.mktemp("two-images-run") / "run"
    return hqc.finetune(Cohort.open(two_images), config=config, out=out)


class TestModel:
    def test_training_sees_all_channels(self, model: hqc.Bundle):
        # Each structure is visible in one channel only.
        assert min(model.manifest.training.held_out_dice.values()) > 0.8

    def test_the_bundle_says_what_it_needs(self, model: hqc.Bundle):
        assert model.manifest.network.in_channels == 2
        assert model.manifest.preprocessing.names == ("image_0", "image_1")
        metadata = json.loads((model.path / "metadata.json").read_text())
        image = metadata["network_data_format"]["inputs"]["image"]
        assert (image["num_channels"], image["channel_def"]) == (2, {"0": "image_0", "1": "image_1"})
        assert "2 images of a patient (image_0, image_1, in this order)" in (model.path / "MODEL_CARD.md").read_text()

    def test_channels_that_do_not_fit_the_network_are_refused(self, model: hqc.Bundle):
        content = json.loads((model.path / "bundle.json").read_text())
        content["preprocessing"]["channels"].pop()
        with pytest.raises(ValueError, match="1 channels for a network that takes 2"):
            Manifest.model_validate(content)

    def test_files_arrays_and_images_give_the_same_contours(self, model: hqc.Bundle, two_images: Path):
        files = [two_images / "images" / f"p0_000{channel}.nii.gz" for channel in range(2)]
        images = [read_image(file) for file in files]
        joined = join(images)
        expected = model.segment(joined)
        assert expected.array.any()
        assert np.array_equal(expected.affine, images[0].affine)
        stacked = np.stack([channel.astype(np.float32) for channel in joined.channels]), joined.affine
        for source in (files, images, stacked):
            assert np.array_equal(model.segment(source).array, expected.array)
        assert not np.array_equal(model.segment([images[0], images[0]]).array, expected.array)

    def test_the_command_joins_images_by_plus(self, model: hqc.Bundle, two_images: Path, tmp_path: Path):
        first, second = (two_images / "images" / f"p0_000{channel}.nii.gz" for channel in range(2))
        run("segment", model.path, f"{first}+{second}", "--out", tmp_path)
        written = read_image(tmp_path / "p0_0000.nii.gz")
        assert np.array_equal(written.array, model.segment([first, second]).array)

    def test_the_command_says_how_many_images_are_needed(self, model: hqc.Bundle, two_images: Path, tmp_path: Path):
        first = two_images / "images" / "p0_0000.nii.gz"
        told = run("segment", model.path, first, "--out", tmp_path, code=2).stderr
        assert "needs 2 images (image_0, image_1, in this order, on the command line joined by +)" in told
        assert list(tmp_path.iterdir()) == []

    def test_a_cohort_with_other_channels_does_not_continue_a_base(
        self, model: hqc.Bundle, tiny_cohort: Path, tiny: ModuleType, tmp_path: Path
    ):
        config = hqc.TrainConfig(method="full", steps=1, **tiny.SETTINGS)
        with pytest.raises(InputError, match=r"the base model takes 2 image\(s\) per case .* the cohort has 1"):
            hqc.finetune(Cohort.open(tiny_cohort), base=model, config=config, out=tmp_path / "run")
