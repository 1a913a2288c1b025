"""The rules that keep the structure: who imports whom, what is packaged, what is public."""

from __future__ import annotations

import ast
import inspect
import tomllib
from pathlib import Path

import pytest

import clconv
from clconv import reference

ROOT = Path(__file__).parents[2]
LAYERS = ["spec", "program", "algorithms", "ops", "conformance", "frontends"]
NEVER_BY_HAND = ("reference", "kernels_cl")

pytestmark = pytest.mark.skipif(
    not (ROOT / "pyproject.toml").exists(), reason="needs the source tree"
)


def imported(path, package):
    """Yield the clconv modules that a file imports, relative imports resolved."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - node.level + 1]
            module = ".".join([*base, node.module or ""] if node.level else [node.module])
            yield from (f"{module.rstrip('.')}.{alias.name}" for alias in node.names)


def test_imports_point_one_way():
    """spec <- program <- algorithms <- ops <- conformance <- frontends."""
    for depth, layer in enumerate(LAYERS):
        for path in (ROOT / "clconv" / layer).glob("*.py"):
            for module in imported(path, f"clconv.{layer}"):
                parts = module.split(".")
                if parts[0] == "clconv" and len(parts) > 1 and parts[1] in LAYERS:
                    assert LAYERS.index(parts[1]) <= depth, f"{path} imports {module}"


def test_the_judge_and_the_judged_share_nothing():
    for path in (ROOT / "reference").glob("*.py"):
        for module in imported(path, "clconv.reference"):
            root = module.split(".")[0]
            assert module.startswith("clconv.reference") or root != "clconv", f"{path}: {module}"
            assert root in STANDARD | {"clconv", "numpy", "scipy"}, f"{path} imports {module}"
    for layer in ("spec", "program", "algorithms", "ops"):
        for path in (ROOT / "clconv" / layer).glob("*.py"):
            for module in imported(path, f"clconv.{layer}"):
                assert not module.startswith("clconv.reference"), f"{path} imports {module}"


STANDARD = {
    *("__future__", "collections", "dataclasses", "functools", "itertools", "math"),
    *("operator", "typing", "fractions"),
}


def test_spec_knows_neither_arrays_nor_opencl():
    for path in (ROOT / "clconv" / "spec").glob("*.py"):
        for module in imported(path, "clconv.spec"):
            assert module.split(".")[0] not in ("numpy", "pyopencl"), f"{path} imports {module}"


def test_every_package_is_listed():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    folders = {"clconv.reference", "clconv.kernels_cl", "clconv"}
    folders |= {f"clconv.{path.parent.name}" for path in ROOT.glob("clconv/*/__init__.py")}
    assert set(settings["packages"]) == folders


def test_kernels_and_pictures_are_package_data():
    from importlib.resources import files

    for path in ROOT.glob("kernels_cl/*/*.cl*"):
        assert files("clconv.kernels_cl").joinpath(path.parent.name, path.name).is_file()
    assert files("clconv.frontends").joinpath("astronaut.png").is_file()
    assert files("clconv").joinpath("py.typed").is_file()


def test_top_level_is_what_the_readme_draws():
    folders = {path.name for path in ROOT.iterdir() if path.is_dir() and path.name[0] != "."}
    built = {"build", "dist", "clconv.egg-info", "clconv-demo", "__pycache__"}
    expected = {"clconv", "kernels_cl", "reference", "tests", "benchmarks", "docs", "examples"}
    assert folders - built == expected


def test_every_operator_that_is_defined_is_computed():
    public = {name for name in clconv.__all__ if callable(getattr(clconv, name))}
    assert set(reference.__all__) <= public


@pytest.mark.parametrize("name", sorted(reference.__all__))
def test_backend_and_reference_have_one_signature(name):
    """clconv's functions take what the reference's do; beyond it only how and where."""
    ours = dict(inspect.signature(getattr(clconv, name)).parameters)
    for extra in ("algorithm", "accuracy", "device"):
        ours.pop(extra, None)
    theirs = dict(inspect.signature(getattr(reference, name)).parameters)
    assert list(ours) == list(theirs)
    for key, parameter in theirs.items():
        assert ours[key].default == parameter.default
        assert ours[key].kind == parameter.kind


def test_public_names_exist_and_are_documented():
    for name in clconv.__all__:
        assert getattr(clconv, name) is not None
        if name != "__version__":
            assert getattr(clconv, name).__doc__
    with pytest.raises(AttributeError, match="has no attribute 'convolve'"):
        clconv.convolve  # noqa: B018
    assert set(clconv.__all__) <= set(dir(clconv))
