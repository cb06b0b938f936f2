"""Names of structures: TG-263 where known, untouched where not, and never a guessed side."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from HQCSegmentLib.naming import check_name, short_name, short_names
from HQCSegmentLib.naming.tg263 import listed_names
from HQCSegmentLib.planning.structure_names import PALETTE, catalogue, structure_for

LUNG_LOBES = {"Lung_LUL": "L", "Lung_LLL": "L", "Lung_RUL": "R", "Lung_RML": "R", "Lung_RLL": "R"}
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
    [
        ("GTV1", "GTV"), ("CTV_High", "CTV"), ("ptv 60", "PTV"), ("iGTV", "GTV"), ("ITV_Lung", ""), ("Leber", "ORGAN"),
        ("zz", "ORGAN"),
    ],
)  # fmt: skip
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
            assert found <= {LUNG_LOBES.get(entry.tg263_name, entry.laterality)}, synonym


def test_left_and_right_share_their_codes():
    by_name = {entry.tg263_name: entry for entry in ENTRIES}
    for name, entry in by_name.items():
        if name.endswith("_L") and entry.terminology:
            assert entry.terminology.type == by_name[name[:-1] + "R"].terminology.type


def test_no_two_structures_share_a_color_or_a_long_name():
    colors = [entry.color for entry in ENTRIES]
    assert len(set(colors)) == len(colors)
    assert all(len(entry.tg263_name) <= 16 for entry in ENTRIES)


def test_every_name_is_one_of_the_published_list():
    """Targets with a classifier (GTVp) are names by the report's rules, and in no list."""
    for entry in ENTRIES:
        listed = listed_names().get(entry.tg263_name)
        assert listed is not None or entry.tg263_name in ("GTVn", "GTVp"), entry.tg263_name
        if listed is not None:
            is_target = listed.target_type == "Target"
            assert is_target == (entry.interpreted_type in ("GTV", "CTV", "PTV", "")), entry.tg263_name
            assert structure_for(listed.reverse_order_name, 1).tg263_name == entry.tg263_name


def test_the_published_list_is_whole_and_keeps_its_own_rules():
    names = list(listed_names())
    assert len(names) == 717
    assert len({name.casefold() for name in names}) == 717
    assert all(1 <= len(name) <= 16 and name == name.strip() for name in names)
    # The list has one slip: a small letter l in place of a capital I.
    for name in names:
        if name.endswith("_L"):
            partner = name[:-1] + "R"
            assert partner in listed_names() or name in ("LN_Iliac_Int_L", "VB_L"), name


def test_a_code_of_fma_says_the_side_of_its_structure_and_is_used_once():
    coded = [entry for entry in ENTRIES if entry.fma is not None]
    assert len(coded) > 150
    assert len({entry.fma.value for entry in coded}) == len(coded)
    for entry in coded:
        side = LUNG_LOBES.get(entry.tg263_name, entry.laterality)
        if side and entry.tg263_name != "Lung_RML":  # it is the only middle lobe
            assert {"L": "left", "R": "right"}[side] in entry.fma.meaning, entry.tg263_name
        assert entry.fma.scheme == "FMA"
        assert entry.fma.value.isdigit()


@pytest.mark.parametrize(
    "name", ["Glnd_Adrenal_L", "Glnd_Adrenal_R", "Ovaries", "SeminalVes", "V_Jugular_Int_L", "V_Jugular_Int_R"]
)
def test_codes_that_the_list_has_for_something_else_are_left_empty(name):
    """It exchanges the adrenals and the jugular veins, and has the code of the bronchus for the ovaries."""
    assert next(entry for entry in ENTRIES if entry.tg263_name == name).fma is None


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


def test_codes_are_those_of_the_dicom_standard():
    """pydicom has the SNOMED codes of all context groups; what DICOM does not list must be in `NOT_IN_DICOM`."""
    from pydicom.sr._concepts_dict import concepts

    listed = {code for found in concepts["SCT"].values() for code in found}
    not_in_dicom = {"3572006"}  # vertebral body: dcmqi's list
    for entry in ENTRIES:
        if entry.terminology is not None:
            codes = [entry.terminology.type, entry.terminology.category, entry.terminology.modifier]
            assert {code.value for code in codes if code is not None} - listed <= not_in_dicom, entry.tg263_name


def test_the_meaning_of_a_code_names_the_structure():
    """A code that was put into the wrong line would not: its meaning shares a word with the structure's names."""
    for entry in ENTRIES:
        if entry.terminology is not None and entry.tg263_name not in ("GTV", "GTVp", "A_LAD"):
            words = " ".join([entry.tg263_name, *entry.synonyms]).casefold().replace("_", " ")
            meaning = entry.terminology.type.meaning.casefold().split()
            assert any(word[:5] in words for word in meaning), (entry.tg263_name, meaning)


def test_lateral_structures_say_their_side_in_name_and_laterality():
    by_name = {entry.tg263_name: entry for entry in ENTRIES}
    assert (by_name["Kidney_L"].laterality, by_name["Kidneys"].laterality) == ("L", "")
    for entry in ENTRIES:
        if entry.laterality and entry.terminology:
            assert entry.terminology.modifier is not None, entry.tg263_name


@pytest.mark.parametrize(
    "name",
    [
        "Kidney_L", "SpinalCord_PRV05", "GTVp1", "CTV_High", "PTV_6000", "PTV!_5400", "zPTV_Low", "Heart~", "Liver^Dr",
        "OpticNrv_PRV03_L", "Bolus_10mm", "Lungs-GTV", "CN_VII_L", "LN_Neck_IB_R", "E-PTV_5000", "Hypothalmus",
    ],
)  # fmt: skip
def test_names_of_tg263_are_valid(name):
    assert check_name(name).is_valid, check_name(name)


@pytest.mark.parametrize(
    ("name", "suggestion", "words"),
    [
        ("kidney_l", "Kidney_L", "spelt Kidney_L"),
        ("Lt Parotid", "Parotid_L", "is Parotid_L"),
        ("Spinal Cord", "SpinalCord", "characters other than"),
        ("Brainstm", "Brainstem", "not among the names"),
        ("Oesophagus_upper", "Esophagus", "not among the names"),
        ("Parotid", "", "side is missing"),
        ("Femur_Head_and_Neck_L", "Femur_Head_L", "21 characters"),
        ("Hypothalamus", "Hypothalmus", "is Hypothalmus"),
        ("cn_vii_l", "CN_VII_L", "spelt CN_VII_L"),
        ("Brainstem_PRVxx", "", "stand for digits"),
        ("Qqqqqqqq", "", "not among the names"),
    ],
)
def test_other_names_are_told_the_nearest_right_one(name, suggestion, words):
    found = check_name(name)
    assert not found.is_valid
    assert found.suggestion == suggestion
    assert words in " ".join(found.problems)


def test_every_name_of_the_catalogue_is_valid_and_fits():
    for entry in ENTRIES:
        assert check_name(entry.tg263_name).is_valid
        assert short_name(entry.tg263_name) == entry.tg263_name


def test_short_names_keep_beginning_and_side():
    names = ["Femur_Head_and_Neck_L", "Femur_Head_and_Neck_R", "Femur_Head_an_L", "Liver", "liver"]
    short = short_names(names)
    assert short["Femur_Head_and_Neck_L"] == "Femur_Head_and_L"
    assert short["Femur_Head_and_Neck_R"] == "Femur_Head_and_R"
    assert short["Liver"] == "Liver"
    assert short["liver"] == "liver_2"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text("abcAB_1 ", min_size=1, max_size=30).filter(str.strip), unique=True, max_size=12))
def test_short_names_are_short_and_all_different(names):
    short = short_names(names)
    assert list(short) == names
    assert all(1 <= len(one) <= 16 for one in short.values())
    assert len({one.casefold() for one in short.values()}) == len(names)
