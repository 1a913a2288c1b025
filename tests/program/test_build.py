"""clconv/program/source.py and build.py: includes, options, the memory of builds, failures."""

from __future__ import annotations

from importlib.resources import files

import pyopencl as cl
import pytest

import clconv
from clconv.program import build as module
from clconv.program.build import build, build_options
from clconv.program.source import read_source

KERNEL_FILES = [
    f"{folder.name}/{file.name}"
    for folder in files("clconv.kernels_cl").iterdir()
    if folder.is_dir()
    for file in folder.iterdir()
    if file.name.endswith(".cl")
]


@pytest.mark.parametrize("name", KERNEL_FILES)
def test_sources_are_whole_and_say_what_they_do(name):
    source = read_source(name)
    assert "#include" not in source
    assert source.startswith("/* ")
    header = source[: source.index("*/")]
    for word in ("Launch", "Macros"):
        assert word in header


def test_each_include_comes_once():
    assert read_source("depthwise/depthwise.cl").count("#define CLCONV_TYPES") == 1


def test_programs_are_built_once(device):
    context = cl.Context([device.handle])
    first = build(context, device, "gemm/pack.cl", {"REAL": "float", "WIDTH": 4, "DEPTH": 8})
    again = build(context, device, "gemm/pack.cl", {"DEPTH": 8, "WIDTH": 4, "REAL": "float"})
    other = build(context, device, "gemm/pack.cl", {"REAL": "float", "WIDTH": 8, "DEPTH": 8})
    assert first is again
    assert first is not other


def test_failure_carries_file_options_and_log(device):
    context = cl.Context([device.handle])
    with pytest.raises(clconv.BuildError) as caught:
        build(context, device, "gemm/pack.cl", {"REAL": "no_such_type", "WIDTH": 4, "DEPTH": 8})
    for text in ("gemm/pack.cl", "-DREAL=no_such_type", device.name):
        assert text in str(caught.value)
    assert "no_such_type" in str(caught.value).split("options:")[1].split("\n", 1)[1]  # the log
    assert not any("no_such_type" in key[2] for key in module._programs)


def test_options_ask_for_division_only_where_it_is_offered(device):
    import dataclasses

    option = "-cl-fp32-correctly-rounded-divide-sqrt"
    for offered in (True, False):
        each = dataclasses.replace(device, rounds_division=offered)
        assert (option in build_options(each, {})) == offered
