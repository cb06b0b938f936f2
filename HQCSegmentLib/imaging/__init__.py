"""Volumes in patient space: images, label maps, structures, and where their voxels are."""

from HQCSegmentLib.imaging.channels import Source, join
from HQCSegmentLib.imaging.dicom_reference import SeriesReference
from HQCSegmentLib.imaging.geometry import GRID_TOLERANCE_VOXELS, Grid, Reorientation
from HQCSegmentLib.imaging.image import Image
from HQCSegmentLib.imaging.image_files import read_image, read_label_map, write_array
from HQCSegmentLib.imaging.segmentation import Segmentation
from HQCSegmentLib.imaging.structure import Code, Structure, Terminology

__all__ = [
    "GRID_TOLERANCE_VOXELS",
    "Code",
    "Grid",
    "Image",
    "Reorientation",
    "Segmentation",
    "SeriesReference",
    "Source",
    "Structure",
    "Terminology",
    "join",
    "read_image",
    "read_label_map",
    "write_array",
]
