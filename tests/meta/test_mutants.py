"""tests/mutants: every mutant is one, ids name one each, and the hunt tells faults from none."""

from __future__ import annotations

import pytest
from mutants.__main__ import read_reviewed
from mutants.catalogue import KERNELS, ROOT, Mutant, candidates, files, named, wanted
from mutants.hunt import LIMIT_S, including
from mutants.sandbox import Sandbox

import clconv
from clconv.conformance.cases import list_cases

pytestmark = pytest.mark.skipif(
    not (ROOT / "pyproject.toml").exists(), reason="needs the source tree"
)


def drawn():
    return [*named(), *(m for path in files() for m in candidates(path)[: wanted(path)])]


def test_there_are_enough_over_all_kernel_files():
    mutants = drawn()
    assert len(mutants) >= 150
    code = {path for path in files() if path.startswith(KERNELS) and candidates(path)}
    assert {path for path in files() if path.startswith(KERNELS)} - code <= {
        f"{KERNELS}/common/lone.clh"  # an attribute, no code
    }
    assert code <= {mutant.path for mutant in mutants}


def test_each_changes_its_file_and_has_an_id_of_its_own():
    mutants = [*named(), *(m for path in files() for m in candidates(path))]
    assert len({mutant.id for mutant in mutants}) == len(mutants)
    for mutant in mutants:
        for each in (mutant, *mutant.also):
            assert each.text() != (ROOT / each.path).read_text()


def test_the_reviewed_exist():
    known = {m.id for m in [*named(), *(m for path in files() for m in candidates(path))]}
    reviewed, missed = read_reviewed()
    assert set(reviewed) | set(missed) <= known
    assert not set(reviewed) & set(missed)
    assert all(reason.strip() for reason in [*reviewed.values(), *missed.values()])


def test_an_id_stays_while_its_line_does():
    one = candidates("kernels_cl/pool/avg_pool.cl")[0]
    moved = Mutant(one.path, one.kind, one.offset, one.old, one.new, one.line + 5, one.where)
    assert moved.id == one.id


def test_headers_lead_to_the_kernels_that_include_them():
    assert "deform/panels.cl" in including("deform/sampling.clh")
    assert "gemm/gemm.cl" not in including("common/window.clh")


def test_faults_are_caught_and_their_absence_is_not(device, tmp_path, monkeypatch):
    monkeypatch.setenv("CLCONV_DEVICE", str(device.index))
    sandbox = Sandbox(tmp_path / "copy")
    texts = [str(case) for case in list_cases("quick", clconv.algorithm_names())]
    number = next(n for n, text in enumerate(texts) if text.startswith("max_pool:"))
    task = {"do": "hunt", "tests": str(ROOT / "tests"), "cases": [number]}
    right = sandbox.run(None, task, LIMIT_S)
    assert right["verdict"] == "survived", right
    path, old = f"{KERNELS}/pool/max_pool.cl", "value > best"
    offset = (ROOT / path).read_text().index(old)
    for new, verdict in (("value < best", "caught"), ("value > > best", "build")):
        fault = Mutant(path, "test", offset, old, new, 1, "")
        assert sandbox.run(fault, task, LIMIT_S)["verdict"] == verdict
    assert sandbox.run(None, task, LIMIT_S)["verdict"] == "survived"
