"""One patient of a cohort: where the image and its contours are, and reading them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from HQCSegmentLib.cohort.rasterize import Box, empty_volume
from HQCSegmentLib.errors import InputError, few
from HQCSegmentLib.imaging import GRID_TOLERANCE_VOXELS, Image, Segmentation, Source, Structure, join, read_label_map
from HQCSegmentLib.imaging.dicom_folder import SeriesSummary


@dataclass(frozen=True)
class Case:
    """Where the files of one case are.

    Attributes:
        name: Alias, unique in the cohort; the only thing of a case that appears in any output.
        image: Image file, or folder of a DICOM series.
        label: Label map file, DICOM RTSTRUCT or DICOM SEG.
        patient: Cases of the same patient are never divided between training and held-out.
        renamed: Name in the cohort by the name that the structure set of this case has; "-" where it is not used.
        revalued: Value in the cohort by the value that the label map file has; 0 where it is not used.
        series: Which series of the folder `image`, where several were there to choose from.
        others: Further channels of the image.
        volumes: How many volumes the file `image` holds, each a channel, as the Decathlon has it.
        further_labels: More DICOM files with contours of the same images, such as one DICOM SEG for each organ.
        fault: Why it cannot be told which contours belong to the case; reading it says so.
        present: Names in the files of the structures that were looked for in this case and may be empty; others are
            unknown. None where the label says so itself: all of a label map, the drawn ones of a DICOM file.
    """

    name: str
    image: Path
    label: Path
    patient: str
    renamed: Mapping[str, str] = field(default_factory=dict)
    revalued: Mapping[int, int] = field(default_factory=dict)
    series: SeriesSummary | None = None
    others: tuple[Source, ...] = ()
    volumes: int = 1
    further_labels: tuple[Path, ...] = ()
    fault: str = ""
    present: frozenset[str] | None = None

    @property
    def labels(self) -> tuple[Path, ...]:
        """All files with contours."""
        return self.label, *self.further_labels

    def read_image(self) -> Image:
        """The image, with all its channels.

        Raises:
            InputError: if one cannot be read, they do not belong together, or the case has a fault.
        """
        if self.fault:
            raise InputError(self.fault, code="ambiguous-contours")
        first = Source(self.image, self.series).read(name=self.name, volumes=self.volumes)
        return join([first, *(other.read(name=self.name) for other in self.others)])

    def read(self, structures: Mapping[int, str]) -> LabelledCase:
        """Image and label map.

        Args:
            structures: Names of the cohort's structures by label value.

        Raises:
            InputError: naming case and file, if a file is missing or unreadable, image and label map are not on the
                same grid, or the label map holds values that are not in `structures`.
        """
        from HQCSegmentLib.cohort.drawings import is_drawing

        image = self.read_image()
        if is_drawing(self.label):
            return self._from_drawing(image, structures)
        known = frozenset(structures)
        if self.present is not None:
            meant = {self.renamed.get(name, name) for name in self.present}
            known = frozenset(value for value, name in structures.items() if name in meant)
        return LabelledCase(image, self._from_label_map(image, structures), known)

    def label_values(self) -> dict[int, int]:
        """Voxels of each value of the label map file, background left out.

        Raises:
            InputError: if the file is missing, unreadable or holds values that are not whole numbers.
        """
        values, counts = np.unique(self._read_label_map().array, return_counts=True)
        return {int(v): int(c) for v, c in zip(values, counts, strict=True) if v != 0}

    def _read_label_map(self) -> Image:
        if not self.label.is_file():
            msg = f"case {self.name}: the label map {self.label} is missing; add it, or remove the image."
            raise InputError(msg)
        return read_label_map(self.label, name=f"case {self.name}")

    def _from_label_map(self, image: Image, structures: Mapping[int, str]) -> npt.NDArray[np.uint16]:
        label = self._read_label_map()
        if label.array.shape != image.array.shape:
            msg = (
                f"case {self.name}: the label map {self.label} has {label.array.shape} voxels and the image "
                f"{image.array.shape}; they must be on the same grid."
            )
            raise InputError(msg)
        difference = image.grid.difference(label.grid)
        if difference > GRID_TOLERANCE_VOXELS:
            msg = (
                f"case {self.name}: image and label map {self.label} lie up to {difference:.2f} voxels apart in "
                f"patient space (at most {GRID_TOLERANCE_VOXELS} is accepted); export them again on one grid."
            )
            raise InputError(msg)
        array = self._revalue(label.array)
        outside = sorted(set(np.unique(array).tolist()) - {0, *structures})
        if outside:
            msg = (
                f"case {self.name}: the label map {self.label} holds the value(s) {few(outside)}, which are not "
                f"among the cohort's structures {dict(structures)}."
            )
            raise InputError(msg)
        return array

    def _revalue(self, array: npt.NDArray[np.uint16]) -> npt.NDArray[np.uint16]:
        """Label map with the cohort's values."""
        if not self.revalued:
            return array
        table = np.arange(max(int(array.max(initial=0)), *self.revalued) + 1, dtype=np.uint16)
        for value, wanted in self.revalued.items():
            table[value] = wanted
        return table[array]

    def _from_drawing(self, image: Image, structures: Mapping[int, str]) -> LabelledCase:
        """Read a structure set or DICOM SEG."""
        from HQCSegmentLib.cohort.drawings import drawn_in

        value_of = {name: value for value, name in structures.items()}
        wanted = {local for local, name in self.renamed.items() if name in value_of}
        wanted |= {name for name in value_of if name not in self.renamed}
        array = empty_volume(image.grid.shape, np.uint16)
        notes: list[str] = []
        local: dict[str, str] = {}
        boxes: dict[int, Box] = {}
        for drawn in (one for file in self.labels for one in drawn_in(file, image, names=wanted)):
            name = self.renamed.get(drawn.name, drawn.name)
            if name in local:
                msg = (
                    f"case {self.name}: {local[name]!r} and {drawn.name!r} are both drawn and both stand for {name}; "
                    "write the table of names (hqcsegment check --write-names) and put - for the one to leave out."
                )
                raise InputError(msg)
            local[name] = drawn.name
            boxes[value_of[name]] = drawn.box
            notes += drawn.notes
        # Where structures overlap the larger value wins: a target is listed after the organ that it lies in.
        for value, box in sorted(boxes.items()):
            np.copyto(array[box.slices], np.uint16(value), where=box.mask)
        # What was looked for and not found has no contours either, but is known to be empty.
        looked_for = {self.renamed.get(name, name) for name in self.present or ()} & set(value_of)
        known = frozenset(value_of[name] for name in {*local, *looked_for})
        return LabelledCase(image, array, known, tuple(notes))


@dataclass(frozen=True, eq=False)
class LabelledCase:
    """Voxels of one case.

    Attributes:
        image: The image.
        label: Label map on the image's grid, (i, j, k), uint16.
        known: Values of the structures that were drawn for this case; others are unknown, not background.
        notes: Sentences on what is odd about the contours, or was done to read them.
    """

    image: Image
    label: npt.NDArray[np.uint16]
    known: frozenset[int]
    notes: tuple[str, ...] = ()

    def segmentation(self, structures: tuple[Structure, ...]) -> Segmentation:
        """The reference contours as a segmentation."""
        return Segmentation(self.label, self.image.affine, structures, self.image.name, self.image.series)
