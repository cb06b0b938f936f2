"""The model on disk, and what it makes of an image: the same contours whatever way the image comes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from scipy.spatial.transform import Rotation

import HQCSegmentLib as hqc
from HQCSegmentLib import files
from HQCSegmentLib.errors import InputError
from HQCSegmentLib.imaging import Grid, write_array

AFFINE = np.diag([1.0, 1.0, 2.0, 1.0])
AFFINE[:3, 3] = (-11.5, 40.25, -300)


@pytest.fixture(scope="module")
def bundle(tiny_run: Path) -> hqc.Bundle:
    return hqc.Bundle.open(tiny_run / "bundle")


@pytest.fixture
def folder(tiny_run: Path, tmp_path: Path) -> Path:
    """A copy of the model to spoil."""
    return Path(shutil.copytree(tiny_run / "bundle", tmp_path / "model"))


@pytest.fixture(scope="module")
def array(tiny) -> np.ndarray:
    """An unseen patient, int16."""
    return np.rint(tiny.tiny_patient(11)[0]).astype(np.int16)


@pytest.fixture(scope="module")
def expected(bundle: hqc.Bundle, array: np.ndarray) -> np.ndarray:
    """What the model makes of it."""
    result = bundle.segment((array, AFFINE)).array
    assert set(np.unique(result)) == {0, 1, 2}
    return result


def refused(action: Callable[[], object], *words: str | Path) -> None:
    """One sentence for a person, with these words in it."""
    with pytest.raises(InputError) as error:
        action()
    message = str(error.value)
    assert message.endswith(".")
    assert "\n" not in message
    for word in words:
        assert str(word) in message


class TestOnDisk:
    def test_it_holds_text_and_plain_tensors_only(self, folder: Path):
        names = {"bundle.json", "metadata.json", "model.safetensors", "MODEL_CARD.md"}
        assert {path.name for path in folder.iterdir()} == names

    def test_the_weights_fit_the_class_of_monai(self, folder: Path, array: np.ndarray):
        from monai.networks.nets import UNet

        spec = json.loads((folder / "bundle.json").read_text())["network"]
        assert spec["name"] == "unet"
        network = UNet(
            spatial_dims=spec["dims"],
            in_channels=spec["in_channels"],
            out_channels=spec["out_channels"],
            **spec["arguments"],
        )
        network.load_state_dict(load_file(folder / "model.safetensors"), strict=True)
        patch = torch.from_numpy(array[None, None, :16, :16, :16].astype(np.float32))
        assert torch.equal(network.eval()(patch), hqc.Bundle.open(folder).build()(patch))

    def test_the_model_card_says_what_it_is(self, folder: Path):
        card = (folder / "MODEL_CARD.md").read_text()
        assert "Research use only" in card
        assert "Ball" in card
        assert "Cube" in card

    def test_programs_of_monai_find_their_metadata(self, folder: Path):
        from monai.bundle import ConfigParser

        metadata = ConfigParser.load_config_file(folder / "metadata.json")
        outputs = metadata["network_data_format"]["outputs"]["pred"]
        assert outputs["channel_def"] == {"0": "background", "1": "Ball", "2": "Cube"}
        assert outputs["num_channels"] == 3

    @pytest.mark.parametrize("name", ["bundle.json", "model.safetensors"])
    def test_a_missing_file_is_named(self, folder: Path, name: str):
        (folder / name).unlink()
        refused(lambda: hqc.Bundle.open(folder), folder, f"{name} is missing")

    @pytest.mark.parametrize("place", [0, 200, -1])
    def test_a_single_changed_bit_of_the_weights_is_noticed(self, folder: Path, place: int):
        content = bytearray((folder / "model.safetensors").read_bytes())
        content[place] ^= 1
        (folder / "model.safetensors").write_bytes(content)
        refused(lambda: hqc.Bundle.open(folder), folder / "model.safetensors", "SHA-256")

    @pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"{}"])
    def test_what_is_no_description_is_refused(self, folder: Path, content: bytes):
        (folder / "bundle.json").write_bytes(content)
        refused(lambda: hqc.Bundle.open(folder), folder / "bundle.json", "is not valid")

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("schema_version", 2),
            ("labels", []),
            ("labels", [{"value": 1, "name": "Ball"}]),
            ("network", {"name": "os.system", "dims": 3, "in_channels": 1, "out_channels": 3}),
            ("inference", {"window": [16, 16]}),
            ("weights_sha256", "0"),
            ("run_this", "import os"),
        ],
    )
    def test_a_description_that_does_not_hold_together_is_refused(self, folder: Path, key: str, value: Any):
        change(folder, **{key: value})
        refused(lambda: hqc.Bundle.open(folder), folder / "bundle.json", "is not valid")

    def test_weights_of_another_network_are_refused(self, folder: Path):
        state = load_file(folder / "model.safetensors")
        state.pop(next(iter(state)))
        save_file(state, folder / "model.safetensors")
        change(folder, weights_sha256=files.sha256(folder / "model.safetensors"))
        refused(lambda: hqc.Bundle.open(folder).build(), folder, "do not fit")

    def test_weights_that_are_no_tensors_are_refused(self, folder: Path):
        (folder / "model.safetensors").write_bytes(b"\x80\x04pickle" * 10)
        change(folder, weights_sha256=files.sha256(folder / "model.safetensors"))
        refused(lambda: hqc.Bundle.open(folder).build(), folder / "model.safetensors", "cannot be read")

    def test_arguments_that_the_class_does_not_take_are_refused(self, folder: Path):
        spec = json.loads((folder / "bundle.json").read_text())["network"]
        change(folder, network={**spec, "arguments": {**spec["arguments"], "magic": 1}})
        refused(lambda: hqc.Bundle.open(folder).build(), "unet", "magic")

    def test_a_write_that_fails_leaves_the_old_model(self, folder: Path):
        before = {path.name: path.read_bytes() for path in folder.iterdir()}
        with pytest.raises(ValueError, match="validation error"):
            hqc.Bundle.write(folder, manifest={"software": "1"}, state={"a": torch.zeros(1)})
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
        assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def change(folder: Path, **fields: object) -> None:
    """Other fields in `bundle.json`."""
    content = json.loads((folder / "bundle.json").read_text())
    (folder / "bundle.json").write_text(json.dumps({**content, **fields}))


class TestForms:
    def test_an_array_with_its_affine(self, bundle: hqc.Bundle, array, expected):
        result = bundle.segment((array, AFFINE.tolist()))
        assert np.array_equal(result.array, expected)
        assert np.array_equal(result.affine, AFFINE)

    def test_an_image(self, bundle: hqc.Bundle, array, expected):
        result = bundle.segment(hqc.Image(array, AFFINE, name="patient_7"))
        assert result.name == "patient_7"
        assert result.series is None
        assert np.array_equal(result.array, expected)

    @pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
    def test_a_file(self, bundle: hqc.Bundle, array, expected, tmp_path: Path, suffix: str):
        write_array(tmp_path / f"patient_7{suffix}", array, AFFINE)
        for source in (tmp_path / f"patient_7{suffix}", str(tmp_path / f"patient_7{suffix}")):
            result = bundle.segment(source)
            assert result.name == "patient_7"
            assert np.array_equal(result.array, expected)
            assert np.array_equal(result.affine, hqc.read_image(source).affine)

    def test_a_folder_of_dicom_slices(self, bundle: hqc.Bundle, array, expected, tmp_path: Path, write_slices):
        lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ AFFINE
        # DICOM axes are right-handed: both in-plane axes are turned round.
        turned = lps @ np.diag([-1.0, -1.0, 1.0, 1.0])
        turned[:3, 3] = (lps @ [23, 23, 0, 1])[:3]
        write_slices(tmp_path / "patient_7", array[::-1, ::-1], turned)
        result = bundle.segment(tmp_path / "patient_7")
        assert np.array_equal(result.array[::-1, ::-1], expected)
        assert result.series is not None
        assert len(result.series.files) == 24

    def test_a_file_that_is_not_there(self, bundle: hqc.Bundle, tmp_path: Path):
        refused(lambda: bundle.segment(tmp_path / "a.nii.gz"), tmp_path / "a.nii.gz", "does not exist")

    def test_a_folder_without_images(self, bundle: hqc.Bundle, tmp_path: Path):
        refused(lambda: bundle.segment(tmp_path), tmp_path, "no DICOM image series")

    @pytest.mark.parametrize(
        ("make", "said"),
        [
            (lambda array: (array[..., None], AFFINE), "a single 3D volume"),
            (lambda array: (array, np.zeros((4, 4))), "invertible 4x4"),
            (lambda array: (array, np.eye(3)), "invertible 4x4"),
            (lambda array: (np.full_like(array, 7), AFFINE), "the same value everywhere"),
            (lambda array: (np.where(array > 90, np.nan, array), AFFINE), "not finite"),
        ],
        ids=["four axes", "flat affine", "small affine", "constant", "not a number"],
    )
    def test_what_is_no_image(self, bundle: hqc.Bundle, array, make, said: str):
        refused(lambda: bundle.segment(make(array)), said)

    def test_an_unknown_device(self, bundle: hqc.Bundle, array):
        refused(lambda: bundle.segment((array, AFFINE), device="abacus"), "abacus", "cpu", "cuda")


class TestResult:
    def test_structures_by_name(self, bundle: hqc.Bundle, array, expected):
        result = bundle.segment((array, AFFINE))
        assert result.labels == {1: "Ball", 2: "Cube"}
        assert result.structures == bundle.manifest.labels
        assert np.array_equal(result.mask("Cube"), expected == 2)
        refused(lambda: result.mask("Liver"), "'Liver'", "Ball, Cube")

    def test_the_structures_are_where_they_are(self, bundle: hqc.Bundle, tiny, dice):
        image, label = tiny.tiny_patient(12)
        result = bundle.segment((image, AFFINE))
        for value, name in tiny.NAMES.items():
            assert dice(result.mask(name), label == value) > 0.8

    def test_the_image_is_left_alone(self, bundle: hqc.Bundle, array):
        own = array.copy()
        own.setflags(write=False)
        bundle.segment((own, AFFINE))
        assert np.array_equal(own, array)

    def test_again_is_the_same(self, bundle: hqc.Bundle, array, expected):
        assert np.array_equal(bundle.segment((array, AFFINE)).array, expected)

    def test_progress_is_told_to_the_end(self, bundle: hqc.Bundle, array):
        told: list[tuple[int, int]] = []
        bundle.segment((array, AFFINE), on_progress=lambda done, of: told.append((done, of)))
        assert told
        assert told[-1][0] == told[-1][1]

    @pytest.mark.parametrize(("value", "dtype"), [(2, np.uint8), (255, np.uint8), (256, np.uint16), (65535, np.uint16)])
    def test_label_values_are_those_of_the_model(self, folder: Path, array, expected, value: int, dtype: type):
        labels = json.loads((folder / "bundle.json").read_text())["labels"]
        change(folder, labels=[labels[0], {**labels[1], "value": value}])
        result = hqc.Bundle.open(folder).segment((array, AFFINE))
        assert result.array.dtype == dtype
        assert np.array_equal(result.array == value, expected == 2)
        assert np.array_equal(result.mask("Ball"), expected == 1)

    @pytest.mark.parametrize("shape", [(3, 4, 5), (24, 24, 1), (1, 24, 24), (40, 9, 17)])
    def test_images_smaller_or_odder_than_the_window(self, bundle: hqc.Bundle, shape: tuple[int, int, int]):
        image = np.random.default_rng(0).normal(size=shape)
        assert bundle.segment((image, AFFINE)).array.shape == shape


@st.composite
def turned_copies(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[bool, ...], np.ndarray]:
    """Exchange and flips of axes, and a rotation of the patient that keeps each axis nearest to its own."""
    tilt = draw(st.tuples(*[st.floats(-15, 15)] * 3))
    return (
        tuple(draw(st.permutations(range(3)))),
        draw(st.tuples(*[st.booleans()] * 3)),
        Rotation.from_euler("xyz", tilt, degrees=True).as_matrix(),
    )


def turned(array: np.ndarray, affine: np.ndarray, permutation, flips) -> tuple[np.ndarray, np.ndarray]:
    """The same voxels at the same places with other axes, by nibabel's arithmetic."""
    codes = np.array([[source, -1 if flip else 1] for source, flip in zip(np.argsort(permutation), flips, strict=True)])
    moved = nibabel.orientations.apply_orientation(array, codes)
    return moved, affine @ nibabel.orientations.inv_ornt_aff(codes, array.shape)


class TestGeometry:
    @settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(copy=turned_copies())
    def test_order_and_direction_of_axes_change_nothing(self, bundle: hqc.Bundle, array, expected, copy):
        permutation, flips, tilt = copy
        tilted = AFFINE.copy()
        tilted[:3, :3] = tilt @ AFFINE[:3, :3]
        moved, affine = turned(array, tilted, permutation, flips)
        result = bundle.segment((moved, affine))
        assert result.array.shape == moved.shape
        assert np.array_equal(result.affine, affine)
        assert np.array_equal(result.array, turned(expected, tilted, permutation, flips)[0])

    @pytest.mark.parametrize(
        ("spacing", "tilt"),
        [
            ((1, 1, 1), (0, 0, 0)),
            ((0.9, 1.2, 3), (0, 0, 0)),
            ((1.2, 1.8, 2.4), (20, -15, 30)),
            ((-1.7, 1.1, -2.5), (0, 25, -40)),
        ],
        ids=["finer", "anisotropic", "oblique", "flipped oblique"],
    )
    @pytest.mark.parametrize("permutation", [(0, 1, 2), (2, 0, 1)])
    def test_another_grid_gives_the_same_contours_in_the_patient(self, threshold, dice, spacing, tilt, permutation):
        """The same patient scanned on another grid, with a model that knows intensities only."""
        grid = grid_around_the_patient(spacing, tilt)
        array, affine = turned(patient_on(grid), grid.affine, permutation, (False, True, False))
        result = threshold.segment((array, affine))
        assert np.array_equal(result.affine, affine)
        assert dice(result.mask("Outer"), (array > LOW) & (array <= HIGH)) > 0.99
        assert dice(result.mask("Inner"), array > HIGH) > 0.99

    @pytest.mark.parametrize("spacing", [(1, 1, 2), (0.7, 0.7, 3.1)])
    def test_a_written_result_lies_on_the_written_image(self, bundle, array, tmp_path: Path, spacing):
        affine = np.eye(4)
        affine[:3, :3] = Rotation.from_euler("xyz", (10, -25, 40), degrees=True).as_matrix() @ np.diag(spacing)
        affine[:3, 3] = (-40.5, 12.25, 300)
        # nibabel writes the image and reads the result.
        nibabel.save(nibabel.Nifti1Image(array, affine), tmp_path / "image.nii.gz")
        result = bundle.segment(tmp_path / "image.nii.gz")
        write_array(tmp_path / "result.nii.gz", result.array, result.affine)
        image, written = (nibabel.load(tmp_path / f"{name}.nii.gz") for name in ("image", "result"))
        np.testing.assert_allclose(written.affine, image.affine, atol=1e-4)
        assert written.get_data_dtype() == np.uint8
        assert np.array_equal(np.asanyarray(written.dataobj), result.array)


LOW, HIGH = 30, 60
"""Intensities from which a voxel belongs to the outer and to the inner structure."""


def grid_around_the_patient(spacing: tuple[float, float, float], tilt: tuple[float, float, float]) -> Grid:
    """A grid of about 90 mm around the origin."""
    shape = tuple(round(90 / abs(step)) for step in spacing)
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", tilt, degrees=True).as_matrix() @ np.diag(spacing)
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return Grid((shape[0], shape[1], shape[2]), affine)


def patient_on(grid: Grid) -> np.ndarray:
    """Two bumps of different size as a function of the place in the patient."""
    places = np.stack(np.meshgrid(*(np.arange(size) for size in grid.shape), indexing="ij"), -1)
    places = places @ grid.affine[:3, :3].T + grid.affine[:3, 3]
    large = np.exp(-(((places - (6, -4, 3)) / (16, 22, 19)) ** 2).sum(-1) / 2)
    small = np.exp(-(((places - (-18, 12, -10)) / (9, 11, 8)) ** 2).sum(-1) / 2)
    return (100 * large + 40 * small).astype(np.float32)


@pytest.fixture(scope="module")
def threshold(tiny, tmp_path_factory: pytest.TempPathFactory) -> hqc.Bundle:
    """A model that knows intensities only."""
    folder = tmp_path_factory.mktemp("threshold") / "model"
    tiny.write_threshold_bundle(folder, names=("Outer", "Inner"), above=(LOW, HIGH), floor=0, spacing=(1.5, 1.5, 2))
    return hqc.Bundle.open(folder)
