"""Anatomy of the synthetic patient: simple bodies in millimetres, painted one over the other.

Positions are DICOM's LPS: +x the patient's left, +y the back, +z the head, origin in the volume's middle.
HU without contrast agent are textbook values; those that depend on the contrast phase come from the hospital.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from HQCSegmentLib.demo.canvas import Canvas, Field, blend, ellipsoid
from HQCSegmentLib.demo.hospital import Hospital

STRUCTURE_NAMES = {1: "Liver", 2: "Kidney_L", 3: "Kidney_R", 4: "VB", 5: "GTV"}
"""Label values and TG-263 names of the structures (VB: vertebral bodies)."""

AIR, LUNG, FAT, MUSCLE, SKIN, BOWEL, SPONGY_BONE, CORTICAL_BONE, DISC, FLUID = (
    -1000.0, -820.0, -102.0, 56.0, 10.0, 35.0, 190.0, 620.0, 85.0, 12.0,
)  # fmt: skip
"""HU without contrast agent."""


@dataclass(frozen=True)
class _Wall:
    """Elliptic wall of the trunk: half axes of the skin and thickness of the fat below it, millimetres."""

    width: float
    depth: float
    fat: float

    def body(self, canvas: Canvas) -> Field:
        """Distance to the skin."""
        waist = 0.05 * self.depth * np.cos(canvas.z / 70)
        return canvas.cylinder((0.0, 0.0), (self.width, self.depth)) + waist

    def cavity(self, canvas: Canvas) -> Field:
        """Distance to the inside of the muscular wall."""
        return self.body(canvas) + self.fat + 13


def draw_patient(
    positions: Sequence[Field], shifts: Sequence[Field], *, hospital: Hospital, random: np.random.Generator
) -> tuple[Field, npt.NDArray[np.uint8]]:
    """Draw one patient.

    Args:
        positions: LPS millimetres of the voxel centres along x, y and z, broadcastable to one volume.
        shifts: Displacement of the anatomy along x, y and z in millimetres, each of the volume's shape.
        hospital: Contrast phase, and whether there is a couch.
        random: Source of the patient's proportions.

    Returns:
        HU without blur and noise, and the label map (values of `STRUCTURE_NAMES`).
    """
    shape = shifts[0].shape
    depth = random.uniform(104, 122)
    size = depth / 112
    wall = _Wall(random.uniform(150, 172) / size, 112.0, random.uniform(12, 26))
    anatomy = [(position + shift) / size for position, shift in zip(positions, shifts, strict=True)]
    canvas = Canvas(np.full(shape, AIR, np.float32), np.zeros(shape, np.uint8), *anatomy)
    if hospital.table:
        flat = (np.broadcast_to(position, shape) for position in positions)
        _paint_couch(Canvas(canvas.hu, canvas.labels, *flat), depth)
    _paint_trunk(canvas, wall)
    _paint_bowel(canvas, wall, random)
    _paint_upper_organs(canvas, wall, hospital, random)
    _paint_liver(canvas, wall, hospital, random)
    _paint_spine(canvas)
    _paint_great_vessels(canvas, hospital)
    _paint_kidneys(canvas, wall, hospital, random)
    _paint_ribs(canvas, wall)
    return canvas.hu, canvas.labels


def _texture(canvas: Canvas) -> Field:
    """Fine irregularity of an organ, some HU."""
    x, y, z = canvas.x, canvas.y, canvas.z
    return 5 * np.sin(x / 7 + y / 11) * np.sin(y / 9 - z / 13) * np.sin(z / 10 + x / 15)


def _paint_couch(canvas: Canvas, depth: float) -> None:
    """Paint a hollow, slightly curved board of carbon fibre under the patient."""
    board = np.abs(canvas.y - (depth + 24) + (canvas.x / 60) ** 2) - 14
    board = np.maximum(board, np.abs(canvas.x) - 200)
    canvas.paint(board, 120.0)
    canvas.paint(board + 8, -880.0)


def _paint_trunk(canvas: Canvas, wall: _Wall) -> None:
    """Paint skin, fat, and the muscles of the wall and the back."""
    body = wall.body(canvas)
    canvas.paint(body, SKIN)
    canvas.paint(body + 3, FAT)
    canvas.paint(body + wall.fat, MUSCLE)
    canvas.paint(body + wall.fat + 13, FAT)
    z = canvas.z
    for side in (-1, 1):
        canvas.paint(canvas.cylinder((side * 38.0, 76.0), (33.0, 19.0)), MUSCLE)
        # The psoas grows and moves outwards on its way down.
        psoas = canvas.cylinder((side * (40.0 - z * 0.08), 50.0 + z * 0.03), (17.0, 18.0))
        canvas.paint(psoas + np.clip(z / 6, 0, 30), MUSCLE)


def _paint_bowel(canvas: Canvas, wall: _Wall, random: np.random.Generator) -> None:
    """Paint loops of small bowel in front, and the colon with gas at both sides."""
    for _ in range(60):
        center = (random.uniform(-95, 95), random.uniform(-80, 5), random.uniform(-135, 20))
        rx, ry, rz = random.uniform(10, 21), random.uniform(10, 18), random.uniform(10, 21)
        part = canvas.near(center, (rx, ry, rz))
        inside = wall.cavity(part) + 4
        content = random.uniform(10, 50)
        loop = np.maximum(part.ellipsoid(center, (rx, ry, rz)), inside)
        part.paint(loop, BOWEL + 12)
        part.paint(loop + 3.5, content)
        if random.random() < 0.25:
            # Gas gathers at the front of a loop.
            bubble = part.ellipsoid((center[0], center[1] - 0.4 * ry, center[2]), (0.6 * rx, 0.5 * ry, 0.6 * rz))
            part.paint(np.maximum(bubble, inside + 2), -900.0)
    for side in (-1, 1):
        part = canvas.near((side * 104.0, 22.0, -70.0), (35.0, 35.0, 100.0))
        y, z = part.y, part.z
        middle = (side * (104.0 + 5 * np.sin(z / 21)), 22.0 + 6 * np.cos(z / 26))
        haustra = 2.5 * np.sin(z / 7)
        colon = np.maximum(part.cylinder(middle, (21.0, 21.0)) + haustra, z - 20 * side)
        part.paint(np.maximum(colon, wall.cavity(part) + 2), BOWEL)
        gas = np.maximum(colon + 7, y - middle[1] + random.uniform(-6, 6))
        part.paint(np.maximum(gas, wall.cavity(part) + 8), -880.0)


def _paint_upper_organs(canvas: Canvas, wall: _Wall, hospital: Hospital, random: np.random.Generator) -> None:
    """Paint lung bases, heart, stomach with gas, spleen and pancreas."""
    for side, base in ((-1, 128.0), (1, 112.0)):
        center, radii = (side * 72.0, 18.0, base + 40), (66.0, 82.0, 74.0)
        part = canvas.near(center, radii)
        part.paint(np.maximum(part.ellipsoid(center, radii), wall.cavity(part) + 3), LUNG)
    center, radii = (18.0, -40.0, 138.0), (55.0, 45.0, 48.0)
    part = canvas.near(center, radii)
    part.paint(part.ellipsoid(center, radii), max(MUSCLE - 10, hospital.vessels - 20))

    center, radii = (62.0, -38.0, 62.0), (46.0, 40.0, 52.0)
    part = canvas.near(center, radii)
    stomach = np.maximum(part.ellipsoid(center, radii), wall.cavity(part) + 4)
    part.paint(stomach, MUSCLE)
    part.paint(stomach + 5, FLUID + 10)
    part.paint(np.maximum(stomach + 5, part.y + random.uniform(42, 56)), -920.0)

    center, radii = (102.0, 36.0, 66.0), (27.0, 44.0, 46.0)
    part = canvas.near(center, radii)
    spleen = np.maximum(part.ellipsoid(center, radii), wall.cavity(part) + 2)
    part.paint(spleen, hospital.spleen + _texture(part))

    center, radii = (14.0, -6.0, 22.0), (62.0, 12.0, 16.0)
    part = canvas.near(center, (70.0, 35.0, 40.0))
    pancreas = ellipsoid(part.x, part.y + 0.25 * part.x, part.z - 0.25 * part.x, center, radii)
    part.paint(pancreas, 0.6 * hospital.liver + 12 + 2 * _texture(part))


def _paint_liver(canvas: Canvas, wall: _Wall, hospital: Hospital, random: np.random.Generator) -> None:
    """Paint the liver with its veins (label 1), and the gallbladder."""
    scale = random.uniform(0.92, 1.1)
    part = canvas.near((-50.0, 0.0, 62.0), (110.0, 120.0, 100.0))
    x, y, z = part.x, part.y, part.z
    right = ellipsoid(x + 0.12 * z, y, z, (-64.0, 4.0, 62.0), (70 * scale, 86 * scale, 74 * scale))
    left = ellipsoid(x, y + 0.2 * z, z, (-6.0, -32.0, 72.0), (66 * scale, 34.0, 40 * scale))
    liver = np.maximum(blend(right, left, 22.0), wall.cavity(part) + 3)
    # The liver ends at the spine and the great vessels.
    liver = np.maximum(liver, 34 - np.hypot(x - 2, (y - 52) * 0.75))
    part.paint(liver, hospital.liver + _texture(part), label=1)
    for start, tilt in ((-30.0, 0.35), (-62.0, -0.3), (-88.0, 0.1)):
        vein = np.hypot(x - start - tilt * y, z - 66 - 0.3 * (x - start)) - 4.5
        part.paint(np.maximum(vein, liver + 12), hospital.vessels, label=1)
    center, radii = (-44.0, -58.0, 16.0), (15.0, 17.0, 24.0)
    part = canvas.near(center, radii)
    part.paint(part.ellipsoid(center, radii), FLUID)


def _paint_spine(canvas: Canvas) -> None:
    """Paint vertebrae with cortical shell and spongy core (label 4), discs, cord and processes."""
    part = canvas.near((0.0, 75.0, 0.0), (45.0, 65.0, 150.0))
    x, y, z = part.x, part.y, part.z
    bend = 46 + 9 * np.cos((z + 20) / 75)
    period, height = 35.0, 27.0
    # Distance along z to the nearest vertebral body, negative inside.
    along = np.abs((z + 9) % period - period / 2) - height / 2
    column = part.cylinder((0.0, bend), (24.0, 18.0))
    canal = part.cylinder((0.0, bend + 29), (13.0, 10.0))

    part.paint(np.maximum(canal - 6, along - 3), 330.0)
    process = np.maximum(np.abs(x) - 4.5, np.maximum(np.abs(y - bend - 50) - 14, along + 4))
    part.paint(process, 380.0)
    wings = np.maximum(np.abs(y - bend - 22 - 0.1 * np.abs(x)) - 5, np.maximum(np.abs(x) - 40, along + 7))
    part.paint(wings, 340.0)
    part.paint(column + 1, DISC)
    # The waist of a vertebral body is thinner than its end plates.
    body = np.maximum(column + 2.0 * np.clip(-along / (height / 2), 0, 1), along)
    part.paint(body, CORTICAL_BONE, label=4)
    part.paint(body + 4, SPONGY_BONE, label=4)
    part.paint(canal, 15.0)
    part.paint(canal + 5, 40.0)


def _paint_great_vessels(canvas: Canvas, hospital: Hospital) -> None:
    """Paint aorta and inferior vena cava in front of the spine."""
    part = canvas.near((0.0, 20.0, 0.0), (35.0, 25.0, 150.0))
    front = 19 + 9 * np.cos((part.z + 20) / 75)
    part.paint(part.cylinder((13.0, front - 1), (10.5, 10.5)), hospital.vessels)
    part.paint(part.cylinder((-19.0, front), (13.0, 10.0)), hospital.vessels - 8)


def _paint_kidneys(canvas: Canvas, wall: _Wall, hospital: Hospital, random: np.random.Generator) -> None:
    """Paint the kidneys in their fat (labels 2 and 3), and a tumor growing out of one of them."""
    tumor_side = 1 if random.random() < 0.5 else -1
    for side, label, height in ((1, 2, -8.0), (-1, 3, -22.0)):
        cx, cy, cz = side * random.uniform(62, 70), random.uniform(36, 44), height + random.uniform(-10, 10)
        scale = random.uniform(0.9, 1.08)
        radii = (27.0 * scale, 25.0 * scale, 52.0 * scale)
        part = canvas.near((cx, cy, cz), (75.0, 50.0, 85.0))
        x, y, z = part.x, part.y, part.z
        # The lower pole lies further outwards and to the front.
        tilted_x, tilted_y = x + side * 0.22 * (z - cz), y - 0.12 * (z - cz)
        inside = wall.cavity(part) + 2
        kidney = np.maximum(ellipsoid(tilted_x, tilted_y, z, (cx, cy, cz), radii), inside)
        sinus = ellipsoid(tilted_x, tilted_y, z, (cx - side * 20, cy - 6, cz), (17.0, 9.0, 19.0))
        texture = _texture(part)
        part.paint(kidney - 7, FAT)
        # The renal vein runs from the sinus to the middle.
        vein = np.maximum(np.hypot(y - cy + 10, z - cz) - 4.5, np.abs(x - side * 34) - 20)
        part.paint(vein, hospital.vessels)
        part.paint(kidney, hospital.kidney_cortex + texture, label)
        part.paint(np.maximum(kidney + 8, -sinus - 3), hospital.kidney_medulla + texture, label)
        part.paint(sinus, -60.0)
        if side == tumor_side:
            tumor = _tumor(part, (cx, cy, cz), radii, side, random)
            part.paint(np.maximum(tumor, inside), hospital.tumor + 2 * texture, label=5)
            part.paint(tumor + 11, 0.4 * hospital.tumor + 14 + texture, label=5)


def _tumor(
    part: Canvas,
    kidney: Sequence[float],
    kidney_radii: Sequence[float],
    side: int,
    random: np.random.Generator,
) -> Field:
    """Distance to a lumpy tumor centred near the outer surface of a kidney."""
    angle, rise, depth = random.uniform(-1.6, 0.1), random.uniform(-0.6, 0.6), random.uniform(0.6, 0.9)
    up = rise * kidney_radii[2] * depth
    center = (
        kidney[0] + side * float(np.cos(angle)) * kidney_radii[0] * depth - side * 0.22 * up,
        kidney[1] + float(np.sin(angle)) * kidney_radii[1] * depth + 0.12 * up,
        kidney[2] + up,
    )
    radius = random.uniform(16, 25)
    radii = [radius * random.uniform(0.88, 1.12) for _ in range(3)]
    lumps = 2.5 * np.sin(part.x / 6.5 + center[0]) * np.sin(part.y / 7.5) * np.sin(part.z / 8.5)
    return part.ellipsoid(center, radii) + lumps


def _paint_ribs(canvas: Canvas, wall: _Wall) -> None:
    """Paint ribs in the wall of the upper half, falling from the back to the front."""
    part = canvas.near((0.0, 0.0, 70.0), (200.0, 150.0, 110.0))
    x, y, z = part.x, part.y, part.z
    period = 30.0
    along = (z - 0.45 * y + 6) % period - period / 2
    rib = np.hypot(wall.cavity(part) - 6, along * 0.8) - 5.5
    # Lower ribs end ever further back; none reaches the spine.
    rib = np.maximum(rib, np.maximum(-30 - z, (-20 - y) - 0.9 * z))
    part.paint(np.maximum(rib, 30 - np.abs(x)), 420.0)
