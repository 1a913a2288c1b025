"""clconv/program/source.py and build.py: includes, options, the memory of builds, failures."""

from __future__ import annotations

from importlib.resources import files

import pyopencl as cl
import pytest

import clconv
from clconv.program import build as module
from clconv.program import cache
from clconv.program.build import build, build_options
from clconv.program.device import identity
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


MACROS = {"REAL": "float", "WIDTH": 4, "DEPTH": 8}


@pytest.fixture
def rebuild(device, tmp_path, monkeypatch):
    """Return what builds as a new process would, and says whether the compiler ran.

    On drivers that keep programs on disk themselves, too: their binaries are binaries.
    """
    monkeypatch.setenv("CLCONV_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(module, "keeps_own_cache", lambda device: False)
    compiled = []
    original = module._from_source
    monkeypatch.setattr(
        module, "_from_source", lambda *given: compiled.append(1) or original(*given)
    )

    def rebuild(macros=MACROS, device=device):
        compiled.clear()
        program = build(cl.Context([device.handle]), device, "gemm/pack.cl", macros)
        assert cl.Kernel(program, "pack").num_args == 13
        return bool(compiled)

    return rebuild


def entries(tmp_path):
    return list((tmp_path / "cache").iterdir())


def test_a_new_process_finds_programs_on_disk(rebuild, tmp_path):
    assert [rebuild(), rebuild(), rebuild()] == [True, False, False]
    assert [rebuild(MACROS | {"WIDTH": 8}), rebuild()] == [True, False]
    assert len(entries(tmp_path)) == 2


@pytest.mark.parametrize("damage", ["corrupt", "truncated", "empty", "foreign"])
def test_a_damaged_binary_is_built_anew(rebuild, tmp_path, damage):
    rebuild()
    (path,) = entries(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(
        {
            "corrupt": whole[:-100] + bytes([whole[-100] ^ 1]) + whole[-99:],
            "truncated": whole[: len(whole) // 2],
            "empty": b"",
            "foreign": cache._entry("of another source", b"binary"),
        }[damage]
    )
    assert [rebuild(), rebuild()] == [True, False]


def test_a_binary_that_the_driver_refuses_is_built_anew(rebuild, device, monkeypatch):
    rebuild()
    original = module.RawProgram

    def refuse(context, *given):
        if len(given) == 2:  # devices and binaries
            raise cl.RuntimeError("clCreateProgramWithBinary failed: INVALID_BINARY")
        return original(context, *given)

    with monkeypatch.context() as patch:
        patch.setattr(module, "RawProgram", refuse)
        assert rebuild()
    assert not rebuild()


def test_another_driver_finds_nothing(rebuild, device):
    import dataclasses

    rebuild()
    for changed in ({"driver_version": "1"}, {"version": "OpenCL 9.9"}, {"simd_width_f32": 3}):
        assert rebuild(device=dataclasses.replace(device, **changed))
    assert not rebuild(device=dataclasses.replace(device, index="9:9"))


def test_settings_of_the_driver_belong_to_its_identity(device, monkeypatch):
    before = identity(device)
    monkeypatch.setenv("CL_CONFIG_CPU_TARGET_ARCH", "corei7")
    assert identity(device) != before


def test_only_one_disk_cache_serves(device, tmp_path, monkeypatch):
    """Where the driver has its own, ours stays empty; pyopencl's is never asked."""
    import pyopencl.cache

    monkeypatch.setenv("CLCONV_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(pyopencl.cache, "create_built_program_from_source_cached", None)
    build(cl.Context([device.handle]), device, "gemm/pack.cl", MACROS)
    kept = (tmp_path / "cache").exists()
    assert kept != module.keeps_own_cache(device)


def test_a_build_leaves_the_filters_of_warnings_alone(device):
    """Not even for a moment: they are those of all threads."""
    import warnings

    before = list(warnings.filters)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        build(cl.Context([device.handle]), device, "gemm/pack.cl", MACROS | {"WIDTH": 5})
    assert not caught
    assert warnings.filters == before
