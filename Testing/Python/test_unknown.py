"""A structure that nobody drew is unknown, one that was looked for and not found is empty; training knows which."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import HQCSegmentLib as hqc
from HQCSegmentLib.cohort import Cohort, check
from HQCSegmentLib.cohort.cache import Cache
from HQCSegmentLib.demo.cohort import write_cohort
from HQCSegmentLib.demo.hospital import HOSPITAL_A
from HQCSegmentLib.imaging import write_array
from HQCSegmentLib.training.patches import PatchSource

AFFINE = np.diag([1.0, 1.0, 2.0, 1.0])
NAMES = {"1": "Liver", "2": "Spleen", "3": "Heart"}


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    """Three label maps with the first structure only; the list says what else was looked for."""
    cases: list[dict] = []
    for seed, looked_for in enumerate((["Liver", "Spleen", "Heart"], ["Liver", "Spleen"], None)):
        random = np.random.default_rng(seed)
        label = np.zeros((20, 20, 20), np.uint8)
        label[3:9, 3:9, 3:9] = 1
        if seed == 2:
            label[11:17, 3:9, 3:9], label[11:17, 11:17, 3:9] = 2, 3
        name = f"p{seed}"
        write_array(tmp_path / f"{name}.nii.gz", random.normal(100, 10, label.shape).astype(np.float32), AFFINE)
        write_array(tmp_path / f"{name}_label.nii.gz", label, AFFINE)
        cases.append({"name": name, "image": f"{name}.nii.gz", "label": f"{name}_label.nii.gz"})
        if looked_for is not None:
            cases[-1]["structures"] = looked_for
    (tmp_path / "cohort.json").write_text(json.dumps({"structures": NAMES, "cases": cases}))
    return tmp_path


def test_the_check_says_which_is_which(listed: Path):
    findings = {(finding.case, finding.structure): finding for finding in check(Cohort.open(listed))}
    assert {place: finding.code for place, finding in findings.items() if place[0]} == {
        ("p0", "Spleen"): "empty-structure",
        ("p0", "Heart"): "empty-structure",
        ("p1", "Spleen"): "empty-structure",
        ("p1", "Heart"): "unknown-structure",
    }
    assert findings["p0", "Heart"].severity == "warning"
    assert "left out of the loss" in findings["p1", "Heart"].message


def test_training_sees_the_same(listed: Path):
    from HQCSegmentLib.cohort import fingerprint
    from HQCSegmentLib.training.plan import plan_from_scratch
    from HQCSegmentLib.training.preparing import make_training_case, output_indices

    cohort = Cohort.open(listed)
    read = [case.read(cohort.structures) for case in cohort.cases]
    plan = plan_from_scratch(hqc.TrainConfig(patch=(16, 16, 16)), fingerprint(read), cohort.structures)
    outputs = output_indices(cohort.structures, plan.labels)
    cases = [make_training_case(case, plan, outputs, Cache(None)) for case in read]
    # Background, Liver, Spleen, Heart.
    assert [case.known.tolist() for case in cases] == [
        [True, True, True, True],
        [True, True, True, False],
        [True, True, True, True],
    ]
    batch = PatchSource([cases[1]], patch=(16, 16, 16), batch=2, seed=0, vary=None).batch(1)
    assert batch.known.tolist() == [[True, True, True, False]] * 2


@pytest.mark.slow
def test_a_structure_set_leaves_unknown_what_the_list_does_not_say_is_absent(tmp_path: Path):
    write_cohort(tmp_path, hospital=HOSPITAL_A, seeds=[1])
    case = {"name": "A01", "image": "A01/CT", "label": "A01/RTSTRUCT.dcm"}
    names = {"1": "Liver", "2": "Spleen", "3": "Heart"}
    for listed, expected in ((None, {1}), (["Liver", "Spleen"], {1, 2})):
        one = case if listed is None else case | {"structures": listed}
        (tmp_path / "cohort.json").write_text(json.dumps({"structures": names, "cases": [one]}))
        cohort = Cohort.open(tmp_path)
        read = cohort.cases[0].read(cohort.structures)
        assert read.known == expected
        assert set(np.unique(read.label)) == {0, 1}
