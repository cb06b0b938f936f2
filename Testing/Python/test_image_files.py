"""Image files: what is written is read again, by others too; bad files are named; nothing half-written stays."""

from __future__ import annotations

import gzip
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from HQCSegmentLib import files
from HQCSegmentLib.errors import InputError
from HQCSegmentLib.imaging import read_image, write_array
from HQCSegmentLib.imaging.image_files import image_stem, image_suffix

SUFFIXES = [".nii.gz", ".nii", ".nrrd", ".mha"]
OBLIQUE = np.eye(4)
OBLIQUE[:3, :3] = Rotation.from_euler("xyz", (10, -25, 40), degrees=True).as_matrix() * (0.7, 1.3, 2.9)
OBLIQUE[:3, 3] = (-40.5, 12.25, 300)
LEFT_HANDED = np.diag([-0.8, 0.8, 3.0, 1.0])
LEFT_HANDED[:3, 3] = (100, -50, 7)
AFFINES = {"oblique": OBLIQUE, "left-handed": LEFT_HANDED}


def voxels(dtype: str = "int16") -> np.ndarray:
    """All values different, all sides different."""
    return np.arange(3 * 4 * 5).reshape(3, 4, 5).astype(dtype)


@pytest.mark.parametrize("geometry", AFFINES)
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_image_is_read_as_it_was_written(tmp_path: Path, suffix: str, geometry: str):
    write_array(tmp_path / f"case{suffix}", voxels(), AFFINES[geometry])
    image = read_image(tmp_path / f"case{suffix}")
    assert image.name == "case"
    assert np.array_equal(image.array, voxels())
    np.testing.assert_allclose(image.affine, AFFINES[geometry], atol=1e-5)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32", "float32", "float64"])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_type_of_the_voxels_is_kept(tmp_path: Path, suffix: str, dtype: str):
    write_array(tmp_path / f"case{suffix}", voxels(dtype), OBLIQUE)
    assert read_image(tmp_path / f"case{suffix}").array.dtype == dtype


def test_a_mask_is_written_as_zeros_and_ones(tmp_path: Path):
    write_array(tmp_path / "mask.nii.gz", voxels() > 20, OBLIQUE)
    assert np.array_equal(read_image(tmp_path / "mask.nii.gz").array, (voxels() > 20).astype(np.uint8))


@settings(max_examples=25, deadline=None)
@given(
    turn=st.tuples(*[st.floats(-180, 180)] * 3),
    spacing=st.tuples(*[st.floats(0.3, 6)] * 3),
    flip=st.sampled_from([1, -1]),
)
def test_nibabel_reads_the_same_voxels_at_the_same_places(tmp_path_factory, turn, spacing, flip: int):
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", turn, degrees=True).as_matrix() * spacing * (flip, 1, 1)
    affine[:3, 3] = (-40.5, 12.25, 300)
    path = tmp_path_factory.mktemp("nifti") / "case.nii.gz"
    write_array(path, voxels(), affine)
    other = nibabel.load(path)
    assert np.array_equal(np.asanyarray(other.dataobj), voxels())
    # NIfTI keeps the orientation as float32.
    np.testing.assert_allclose(other.affine, affine, atol=1e-4)
    assert read_image(path).grid.same_as(type(read_image(path).grid)(other.shape, other.affine), tolerance=1e-3)


@pytest.mark.parametrize("geometry", AFFINES)
def test_what_nibabel_writes_is_read_at_the_same_place(tmp_path: Path, geometry: str):
    nibabel.save(nibabel.Nifti1Image(voxels("float32"), AFFINES[geometry]), tmp_path / "case.nii.gz")
    image = read_image(tmp_path / "case.nii.gz")
    assert np.array_equal(image.array, voxels("float32"))
    np.testing.assert_allclose(image.affine, AFFINES[geometry], atol=1e-4)


def test_the_scale_of_stored_values_is_applied(tmp_path: Path):
    nifti = nibabel.Nifti1Image(voxels(), OBLIQUE)
    nifti.header.set_slope_inter(2, -1024)
    nibabel.save(nifti, tmp_path / "ct.nii")
    expected = np.asanyarray(nibabel.load(tmp_path / "ct.nii").dataobj)
    np.testing.assert_allclose(read_image(tmp_path / "ct.nii").array, expected)


def test_a_fourth_axis_of_one_is_dropped(tmp_path: Path):
    nibabel.save(nibabel.Nifti1Image(voxels()[..., None], OBLIQUE), tmp_path / "one.nii.gz")
    assert np.array_equal(read_image(tmp_path / "one.nii.gz").array, voxels())


@pytest.mark.parametrize(
    ("name", "suffix", "stem"),
    [
        ("a.nii.gz", ".nii.gz", "a"),
        ("a.b.NII.GZ", ".nii.gz", "a.b"),
        ("a.nii", ".nii", "a"),
        ("scan.2.mha", ".mha", "scan.2"),
        ("notes.txt", None, "notes.txt"),
        ("archive.gz", None, "archive.gz"),
    ],
)
def test_image_names(name: str, suffix: str | None, stem: str):
    assert image_suffix(Path(name)) == suffix
    assert image_stem(Path(name)) == stem


def one_sentence(error: pytest.ExceptionInfo[InputError], *words: str) -> None:
    message = str(error.value)
    assert message.endswith(".")
    assert "\n" not in message
    for word in words:
        assert word in message


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(InputError) as error:
        read_image(tmp_path / "scan.nii.gz", name="patient_7")
    one_sentence(error, "patient_7", str(tmp_path / "scan.nii.gz"), "does not exist")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_random_bytes_are_refused(tmp_path: Path, suffix: str):
    path = tmp_path / f"scan{suffix}"
    path.write_bytes(np.random.default_rng(0).bytes(5000))
    with pytest.raises(InputError) as error:
        read_image(path, name="patient_7")
    one_sentence(error, "patient_7", str(path), "cannot be read as an image")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_empty_file_is_refused(tmp_path: Path, suffix: str):
    (tmp_path / f"scan{suffix}").touch()
    with pytest.raises(InputError) as error:
        read_image(tmp_path / f"scan{suffix}", name="patient_7")
    one_sentence(error, "patient_7", f"scan{suffix}", "cannot be read as an image")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_half_a_file_is_refused(tmp_path: Path, suffix: str):
    path = tmp_path / f"scan{suffix}"
    write_array(path, np.random.default_rng(0).normal(size=(20, 20, 20)), OBLIQUE)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError) as error:
        read_image(path, name="patient_7")
    one_sentence(error, "patient_7", str(path), "cannot be read as an image")


@pytest.mark.parametrize("missing", [1, 100])
def test_a_file_without_its_last_bytes_is_refused(tmp_path: Path, missing: int):
    for suffix in (".nii", ".nii.gz"):
        path = tmp_path / f"scan{suffix}"
        write_array(path, voxels(), OBLIQUE)
        path.write_bytes(path.read_bytes()[:-missing])
        with pytest.raises(InputError, match="cannot be read as an image"):
            read_image(path)


def test_a_damaged_compressed_file_is_refused(tmp_path: Path):
    path = tmp_path / "scan.nii.gz"
    write_array(path, np.random.default_rng(0).normal(size=(20, 20, 20)), OBLIQUE)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"patient_7: .* cannot be read as an image"):
        read_image(path, name="patient_7")


@pytest.mark.parametrize("dtype", [">i2", "<f4", ">f8", "u1"])
def test_a_file_of_either_byte_order_is_read_when_whole(tmp_path: Path, dtype: str):
    path = tmp_path / "case.nii"
    order = ">" if dtype.startswith(">") else "<"
    header = nibabel.Nifti1Header(endianness=order)
    header.set_data_dtype(dtype)
    nibabel.save(nibabel.Nifti1Image(voxels(dtype), OBLIQUE, header), path)
    assert nibabel.load(path).header.endianness == order
    assert np.array_equal(read_image(path).array, voxels(dtype))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match="cut off or damaged"):
        read_image(path)


def test_several_gzip_members_in_one_file_are_read(tmp_path: Path):
    write_array(tmp_path / "one.nii", voxels(), OBLIQUE)
    content = (tmp_path / "one.nii").read_bytes()
    (tmp_path / "one.nii.gz").write_bytes(gzip.compress(content[:200]) + gzip.compress(content[200:]))
    assert np.array_equal(read_image(tmp_path / "one.nii.gz").array, voxels())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_number_is_found_where_the_reader_makes_it_zero(
    tmp_path: Path, value: float, suffix: str, dtype: type
):
    array = voxels().astype(dtype)
    array[-1, -1, -1] = value
    nibabel.save(nibabel.Nifti1Image(array, OBLIQUE), tmp_path / f"scan{suffix}")
    with pytest.raises(InputError, match=r"case patient_7: scan\.nii.* not finite") as caught:
        read_image(tmp_path / f"scan{suffix}", name="patient_7")
    assert caught.value.code == "not-finite"


def test_nifti_2_is_refused_by_its_name(tmp_path: Path):
    nibabel.save(nibabel.Nifti2Image(voxels(), OBLIQUE), tmp_path / "scan.nii.gz")
    with pytest.raises(InputError, match=r"scan\.nii\.gz is a NIfTI-2 file.* save it as NIfTI-1"):
        read_image(tmp_path / "scan.nii.gz")


def test_several_volumes_are_refused(tmp_path: Path):
    nibabel.save(nibabel.Nifti1Image(np.zeros((3, 4, 5, 2), np.int16), OBLIQUE), tmp_path / "two.nii.gz")
    with pytest.raises(InputError) as error:
        read_image(tmp_path / "two.nii.gz", name="patient_7")
    one_sentence(error, "patient_7", str(tmp_path / "two.nii.gz"), "one 3D volume")


def test_colors_are_refused(tmp_path: Path):
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((3, 4, 5, 3), np.uint8), isVector=True), tmp_path / "rgb.nrrd")
    with pytest.raises(InputError) as error:
        read_image(tmp_path / "rgb.nrrd", name="patient_7")
    one_sentence(error, "patient_7", str(tmp_path / "rgb.nrrd"), "one value per voxel")


def test_a_single_slice_is_refused(tmp_path: Path):
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((4, 5), np.uint8)), tmp_path / "flat.mha")
    with pytest.raises(InputError) as error:
        read_image(tmp_path / "flat.mha", name="patient_7")
    one_sentence(error, "patient_7", str(tmp_path / "flat.mha"), "one 3D volume")


def test_an_unknown_suffix_is_refused(tmp_path: Path):
    (tmp_path / "scan.png").write_bytes(b"")
    with pytest.raises(InputError) as error:
        read_image(tmp_path / "scan.png", name="patient_7")
    one_sentence(error, "patient_7", str(tmp_path / "scan.png"), ".nii.gz", ".nrrd")


class Stopped(Exception):
    """Something that happens in the middle of writing."""


def write_half(path: Path) -> None:
    with files.replacing(path) as temporary:
        temporary.write_text("half of the new")
        raise Stopped


def write_half_folder(path: Path) -> None:
    with files.replacing_folder(path) as temporary:
        (temporary / "weights").write_text("half of the new")
        raise Stopped


def everything_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path):
    (tmp_path / "case.nii.gz").write_text("old")
    with pytest.raises(Stopped):
        write_half(tmp_path / "case.nii.gz")
    assert (tmp_path / "case.nii.gz").read_text() == "old"
    assert everything_in(tmp_path) == ["case.nii.gz"]


def test_an_interrupted_first_write_leaves_nothing(tmp_path: Path):
    with pytest.raises(Stopped):
        write_half(tmp_path / "case.nii.gz")
    assert everything_in(tmp_path) == []


def test_an_image_that_cannot_be_written_leaves_the_old_file(tmp_path: Path):
    write_array(tmp_path / "case.nii.gz", voxels(), OBLIQUE)
    before = files.sha256(tmp_path / "case.nii.gz")
    with pytest.raises(Exception, match=r".+"):
        write_array(tmp_path / "case.nii.gz", voxels("datetime64[s]"), OBLIQUE)
    assert files.sha256(tmp_path / "case.nii.gz") == before
    assert everything_in(tmp_path) == ["case.nii.gz"]


def test_an_interrupted_folder_leaves_the_old_one(tmp_path: Path):
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "weights").write_text("old")
    with pytest.raises(Stopped):
        write_half_folder(tmp_path / "bundle")
    assert (tmp_path / "bundle" / "weights").read_text() == "old"
    assert everything_in(tmp_path) == ["bundle", "bundle/weights"]


def test_an_interrupted_new_folder_leaves_nothing(tmp_path: Path):
    with pytest.raises(Stopped):
        write_half_folder(tmp_path / "bundle")
    assert everything_in(tmp_path) == []


def test_a_finished_folder_replaces_the_old_one_as_a_whole(tmp_path: Path):
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "old").write_text("old")
    with files.replacing_folder(tmp_path / "bundle") as temporary:
        (temporary / "new").write_text("new")
        assert (tmp_path / "bundle" / "old").read_text() == "old"
    assert everything_in(tmp_path) == ["bundle", "bundle/new"]


@pytest.mark.parametrize("failing", ["making way", "taking the place"])
def test_the_old_folder_comes_back_if_the_new_one_cannot_take_its_place(tmp_path: Path, monkeypatch, failing: str):
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (bundle / "weights").write_text("old")
    rename = Path.replace

    def fail_once(source: Path, target: Path) -> Path:
        if (source if failing == "making way" else target) == bundle:
            monkeypatch.setattr(Path, "replace", rename)
            raise PermissionError
        return rename(source, target)

    monkeypatch.setattr(Path, "replace", fail_once)
    with pytest.raises(PermissionError), files.replacing_folder(bundle) as temporary:
        (temporary / "weights").touch()
    assert (bundle / "weights").read_text() == "old"
    assert everything_in(tmp_path) == ["bundle", "bundle/weights"]


def test_a_file_in_the_place_of_a_folder_is_left_alone(tmp_path: Path):
    (tmp_path / "bundle").write_text("years of work")
    with pytest.raises(OSError, match="bundle"), files.replacing_folder(tmp_path / "bundle"):
        pass
    assert everything_in(tmp_path) == ["bundle"]
    assert (tmp_path / "bundle").read_text() == "years of work"


def test_a_written_file_is_as_readable_as_any_other(tmp_path: Path):
    (tmp_path / "usual").touch()
    files.write_json(tmp_path / "sub" / "new.json", {"a": "ä"})
    assert (tmp_path / "sub" / "new.json").stat().st_mode == (tmp_path / "usual").stat().st_mode
    assert (tmp_path / "sub" / "new.json").read_bytes() == '{\n  "a": "ä"\n}\n'.encode()


def test_written_images_are_compressed(tmp_path: Path):
    write_array(tmp_path / "zeros.nii.gz", np.zeros((50, 50, 50), np.int16), OBLIQUE)
    content = (tmp_path / "zeros.nii.gz").read_bytes()
    assert len(gzip.decompress(content)) > 50**3 * 2 > 20 * len(content)
