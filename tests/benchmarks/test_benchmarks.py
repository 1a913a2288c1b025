"""benchmarks/: every benchmark runs once, on its first parameters; nothing is timed."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from clconv.reference.shapes import DIRECTIONS

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "benchmarks"
MODULES = sorted(file.stem for file in FOLDER.glob("bench_*.py"))
BENCHMARK = re.compile("time_|timeraw_")


@pytest.fixture(scope="module")
def package():
    """Import benchmarks/ as asv does, as a package, without its parent on the path."""
    name = "benchmarks_of_clconv"
    spec = importlib.util.spec_from_file_location(name, FOLDER / "__init__.py")
    sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[name])
    yield name
    for loaded in [key for key in sys.modules if key.partition(".")[0] == name]:
        del sys.modules[loaded]


def classes(module):
    own = inspect.getmembers(module, inspect.isclass)
    return [each for _, each in own if each.__module__ == module.__name__]


def methods(benchmark):
    return [method for name, method in inspect.getmembers(benchmark) if BENCHMARK.match(name)]


@pytest.mark.parametrize("module", MODULES)
def test_every_benchmark_runs(device, package, module):
    found = classes(importlib.import_module(f"{package}.{module}"))
    assert found
    for each in found:
        assert each.version.isdigit()
        benchmark = each()
        parameters = [values[0] for values in getattr(benchmark, "params", ())]
        assert len(parameters) == len(getattr(benchmark, "param_names", ()))
        if hasattr(benchmark, "setup"):
            benchmark.setup(*parameters)
        assert methods(benchmark)
        for method in methods(benchmark):
            statement = method(*parameters)
            if method.__name__.startswith("timeraw_"):
                subprocess.run([sys.executable, "-c", statement], check=True)


def test_shares_of_the_bounds_are_at_most_1(device, package, monkeypatch):
    shares = importlib.import_module(f"{package}.bound_shares")
    monkeypatch.setattr(shares, "CHANNELS", (4,))
    for table in (shares.strict_table(), shares.fast_table()):
        own = [line.split("|")[2].split()[0] for line in table[2:]]
        assert len(own) >= 3
        assert all(0 < float(share) <= 1 for share in own)


def test_every_pooling_runs(device, package):
    pool = importlib.import_module(f"{package}.bench_pool").Pool()
    shape, *_ = pool.params[0]
    for operator in pool.params[1]:
        pool.setup(shape, operator)
        pool.time_pool(shape, operator)


def test_refusal_is_what_asv_shows_as_not_available(device, package):
    forward = importlib.import_module(f"{package}.bench_conv").Forward()
    with pytest.raises(NotImplementedError):
        forward.setup("3x3_64_56", "depthwise")


def test_table_of_one_layer_has_a_line_per_direction(device, package, monkeypatch, capsys):
    bench_conv = importlib.import_module(f"{package}.bench_conv")
    monkeypatch.setattr(bench_conv, "WARM_UPS", 0)
    monkeypatch.setattr(bench_conv, "REPEATS", 1)
    bench_conv.main()
    lines = capsys.readouterr().out.splitlines()[-len(DIRECTIONS) :]
    for line, direction in zip(lines, DIRECTIONS, strict=True):
        numbers = line.removeprefix(direction.replace("_", " ")).split()
        assert len(numbers) == 4
        assert all(float(number) > 0 for number in numbers)


def test_configuration_of_asv_names_what_is_there():
    config = json.loads((ROOT / "asv.conf.json").read_text())
    assert config["project"] == "clconv"
    assert (ROOT / config["benchmark_dir"] / "__init__.py").is_file()
    assert config["launch_method"] == "spawn"


def script(tmp_path, name, *arguments):
    """Run a script of benchmarks/ as its users do; return the figures that it writes."""
    figures = tmp_path / "figures.json"
    command = [sys.executable, str(FOLDER / name), *arguments, "--json", str(figures)]
    subprocess.run(command, check=True, cwd=tmp_path)
    return json.loads(figures.read_text())


def test_results_and_data_gradients_need_little_memory(device, tmp_path):
    if device.kernels != "cpu":
        pytest.skip(f"{device} has a GPU's kernels, which pack nothing")
    found = script(tmp_path, "workspace.py", "--device", device.index)
    for each in found:
        if each["direction"] != "bwd_weights":
            assert each["other_bytes"] <= each["allowed_bytes"], each["layer"]


def test_growth_is_over_the_least(device, tmp_path):
    line = "depthwise by channels"
    options = ("--device", device.index, "--rounds", "1", "--line", line)
    ((title, costs),) = script(tmp_path, "growth.py", *options).items()
    assert title.startswith(line)
    assert set(costs) == {"16", "32", "64", "256", "1024"}
    assert min(costs.values()) > 0
