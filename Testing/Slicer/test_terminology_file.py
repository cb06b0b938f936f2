"""The catalogue of structures as Slicer's own terminology code reads it."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import slicer
from HQCSegmentSlicer.terminology import serialized_terminology

from HQCSegmentLib.naming import catalogue
from HQCSegmentLib.naming.slicer_terminology import CONTEXT_NAME, write_slicer_terminology

ENTRIES = {entry.tg263_name: entry for entry in catalogue().values()}


SHIPPED = Path(__file__).resolve().parents[2] / "HQCSegment" / "Resources" / "RadiotherapyStructures.term.json"


@pytest.fixture(scope="module")
def logic() -> slicer.vtkSlicerTerminologiesModuleLogic:
    made = slicer.vtkSlicerTerminologiesModuleLogic()
    made.LoadTerminologyFromFile(str(SHIPPED))
    assert made.IsTerminologyContextLoaded(CONTEXT_NAME)
    return made


def test_the_file_of_the_module_is_made_from_the_catalogue(tmp_path: Path):
    """Write it again with `write_slicer_terminology` when the catalogue changes."""
    write_slicer_terminology(tmp_path / "now.json")
    assert SHIPPED.read_text(encoding="utf-8") == (tmp_path / "now.json").read_text(encoding="utf-8")


def test_slicer_offers_the_structures_once_it_has_started(application, monkeypatch):
    own = slicer.vtkSlicerTerminologiesModuleLogic()
    monkeypatch.setattr(slicer.modules, "terminologies", SimpleNamespace(logic=lambda: own), raising=False)
    slots: list[Callable[[], None]] = []
    monkeypatch.setattr(slicer.app, "connect", lambda signal, slot: slots.append(slot))
    module = importlib.import_module("HQCSegment")
    module.HQCSegment(SimpleNamespace())
    assert module.register_terminology in slots
    module.register_terminology()
    assert own.IsTerminologyContextLoaded(CONTEXT_NAME)


def read_back(logic: slicer.vtkSlicerTerminologiesModuleLogic) -> dict[tuple[str, str], tuple[int, ...]]:
    """Colors by codes of type and side, as Slicer has them."""
    colors = {}
    category, kind = slicer.vtkSlicerTerminologyCategory(), slicer.vtkSlicerTerminologyType()
    side = slicer.vtkSlicerTerminologyType()
    for number in range(logic.GetNumberOfCategoriesInTerminology(CONTEXT_NAME)):
        assert logic.GetNthCategoryInTerminology(CONTEXT_NAME, number, category)
        for place in range(logic.GetNumberOfTypesInTerminologyCategory(CONTEXT_NAME, category)):
            assert logic.GetNthTypeInTerminologyCategory(CONTEXT_NAME, category, place, kind)
            colors[kind.GetCodeValue(), ""] = tuple(kind.GetRecommendedDisplayRGBValue())
            for which in range(logic.GetNumberOfTypeModifiersInTerminologyType(CONTEXT_NAME, category, kind)):
                assert logic.GetNthTypeModifierInTerminologyType(CONTEXT_NAME, category, kind, which, side)
                colors[kind.GetCodeValue(), side.GetCodeValue()] = tuple(side.GetRecommendedDisplayRGBValue())
    return colors


def test_every_structure_with_codes_is_there_with_its_color_and_no_other(logic):
    colors = read_back(logic)
    coded = [entry for entry in ENTRIES.values() if entry.terminology]
    assert len(coded) > 70
    for entry in coded:
        side = entry.terminology.modifier.value if entry.terminology.modifier else ""
        found = colors[entry.terminology.type.value, side]
        # Both kidneys or lungs have the code of one, which has the color.
        assert found == entry.color or entry.tg263_name in ("Kidneys", "Lungs"), entry.tg263_name
    assert {code for code, _ in colors} == {entry.terminology.type.value for entry in coded}


def test_the_text_on_a_segment_is_found_in_it(logic):
    kidney = ENTRIES["Kidney_L"].terminology
    text = serialized_terminology(kidney).split("~")
    found = slicer.vtkSlicerTerminologyEntry()
    assert logic.DeserializeTerminologyEntry("~".join([CONTEXT_NAME, *text[1:]]), found)
    assert found.GetTypeObject().GetCodeMeaning() == "Kidney"
    assert found.GetTypeModifierObject().GetCodeMeaning() == "Left"
