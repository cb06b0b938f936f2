"""Names of structures: TG-263 where known, untouched where not, and never a guessed side."""

import pytest

from HQCSegmentLib.planning.structure_names import PALETTE, catalogue, structure_for

ENTRIES = list({entry.tg263_name: entry for entry in catalogue().values()}.values())


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Kidney_L", "Kidney_L"),
        ("kidney left", "Kidney_L"),
        ("KIDNEY-R", "Kidney_R"),
        ("Lt Parotid", "Parotid_L"),
        ("right lung", "Lung_R"),
        ("spinal cord", "SpinalCord"),
        ("Oesophagus", "Esophagus"),
        ("Mandible", "Bone_Mandible"),
        ("optic nerve left", "OpticNrv_L"),
        ("gtv_p", "GTVp"),
        (" Liver ", "Liver"),
    ],
)
def test_spellings_of_known_structures_get_their_tg263_name(name, expected):
    structure = structure_for(name, 3)
    assert structure.name == structure.tg263_name == expected
    assert structure.value == 3


@pytest.mark.parametrize("name", ["kidney", "Parotid", "lung", "eye", "Hippocampus", "femur"])
def test_a_side_is_never_guessed(name):
    structure = structure_for(name, 1)
    assert structure.name == name
    assert structure.tg263_name is None


@pytest.mark.parametrize(
    ("name", "interpreted_type"),
    [("GTV1", "GTV"), ("CTV_High", "CTV"), ("ptv 60", "PTV"), ("Leber", "ORGAN"), ("zz", "ORGAN")],
)
def test_unknown_names_are_kept(name, interpreted_type):
    structure = structure_for(name, 2)
    assert structure.name == name
    assert structure.interpreted_type == interpreted_type
    assert structure.color == PALETTE[1]
    assert structure.tg263_name is None
    assert structure.terminology is None


def test_sides_in_name_and_code_agree():
    for entry in ENTRIES:
        modifier = entry.terminology.modifier if entry.terminology else None
        if modifier is not None:
            assert modifier.meaning == {"L": "Left", "R": "Right"}[entry.tg263_name[-1]]
        for synonym in entry.synonyms:
            words = synonym.lower().replace("_", " ").split()
            sides = {"left": "L", "lt": "L", "l": "L", "right": "R", "rt": "R", "r": "R"}
            found = {sides[word] for word in words if word in sides}
            assert found <= {entry.tg263_name[-1]}, synonym


def test_left_and_right_share_their_codes():
    by_name = {entry.tg263_name: entry for entry in ENTRIES}
    for name, entry in by_name.items():
        if name.endswith("_L") and entry.terminology:
            assert entry.terminology.type == by_name[name[:-1] + "R"].terminology.type


def test_no_two_structures_share_a_color_or_a_long_name():
    colors = [entry.color for entry in ENTRIES]
    assert len(set(colors)) == len(colors)
    assert all(len(entry.tg263_name) <= 16 for entry in ENTRIES)


def test_no_spelling_belongs_to_two_structures():
    spellings = sum(len({s.casefold() for s in (entry.tg263_name, *entry.synonyms)}) for entry in ENTRIES)
    assert len(catalogue()) == spellings


def test_one_code_is_one_structure():
    codes = {}
    for entry in ENTRIES:
        if entry.terminology:
            base = entry.tg263_name.removesuffix("_L").removesuffix("_R").removesuffix("s")
            codes.setdefault(entry.terminology.type.value, set()).add(base)
    assert all(len(names) == 1 for names in codes.values()), codes
