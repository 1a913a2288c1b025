"""clconv/frontends/verify.py: `clconv verify`, as a user types it."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

from clconv.conformance.rules import Finding
from clconv.frontends import cli, verify

CONV = "conv_fwd:f32:n2c4o6g2:i9x8:k3x3:s2:p1.1:d1"
POOL = "max_pool:f32:n1c2:i9:k3:s2:p1.1:d1"


def run(*arguments):
    # In a wide terminal, so that no line is broken.
    return CliRunner().invoke(cli.app, ["verify", *arguments], env={"COLUMNS": "200"})


def fails(monkeypatch, capsys, *arguments):
    """Return the message that wrong options end with."""
    monkeypatch.setattr("sys.argv", ["clconv", "verify", *arguments])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == 2
    return " ".join(capsys.readouterr().err.split())


@pytest.fixture
def few(monkeypatch):
    """Make the grids short and return their cases."""
    cases = verify.list_cases("quick", ("im2col_gemm", "depthwise"))[:4]
    monkeypatch.setattr(verify, "list_cases", lambda *_: cases)
    return cases


def test_verify_passes_and_counts(device, few):
    result = run("--quick", "--device", device.index)
    assert result.exit_code == 0, result.stdout
    assert "every result conforms" in result.stdout
    assert "depthwise needs one channel a group, not C/groups=.." in result.stdout
    for rule in ("bits", "bound", "adjoint", "shift", "channels", "linear", "depth", "batch"):
        assert f"│ {rule} " in result.stdout


def test_quick_verify_takes_the_default_device_and_names_the_others(device, few, monkeypatch):
    monkeypatch.setattr(verify, "usable_devices", lambda _: [device, device])
    result = run("--quick")
    assert result.exit_code == 0, result.stdout
    assert f"the default device only; for the others: --device {device.index}" in result.stdout
    assert result.stdout.count("worst error / bound") == 1
    every = run().stdout
    assert "All implementations" in every
    assert every.count("worst error / bound") == 3


def test_a_miss_is_shrunk_and_its_command_printed(device, monkeypatch):
    from clconv.conformance import runner

    def more_than_one_channel(call):
        return Finding(call.public.arguments[0].shape[1] < 2, 9.0, "planted")

    monkeypatch.setattr(runner, "check_bits", more_than_one_channel)
    result = run("--problem", CONV, "--device", device.index)
    assert result.exit_code == 1
    assert f"miss conv, bits, {CONV} by" in result.stdout
    assert "planted" in result.stdout
    smallest = "conv_fwd:f32:n1c2o1g1:i1:k1:s1:p0.0:d1"
    assert f"clconv verify --device {device.index} --problem {smallest}\n" in result.stdout
    assert "there are misses" in result.stdout
    again = run("--problem", smallest, "--device", device.index)
    assert again.exit_code == 1


def test_fail_fast_stops_at_the_first_miss(device, monkeypatch):
    from clconv.conformance import runner

    monkeypatch.setattr(runner, "check_bits", lambda call: Finding(False, 9.0, "planted"))
    monkeypatch.setattr(verify, "SHRUNK", 0)
    arguments = ("--problem", CONV, "--problem", POOL, "--device", device.index)
    assert run(*arguments).stdout.count("planted") > 1
    assert run(*arguments, "--fail-fast").stdout.count("planted") == 1


def test_patterns_choose(device, few, monkeypatch, capsys):
    name, kind = str(few[0]).split(":")[:2]
    result = run("--quick", "--device", device.index, "--only", f"{name}:{kind}:*", "--only", "x")
    assert result.exit_code == 0
    message = fails(monkeypatch, capsys, "--only", "no_such*", "--device", device.index)
    assert f"none of 4 cases matches no_such*; they are like {few[0]}" in message


def test_a_walk(device):
    result = run("--deep", "6", "--seed", "3", "--device", device.index)
    assert result.exit_code == 0, result.stdout


def test_files(device, tmp_path):
    files = tmp_path / "verify.json", tmp_path / "verify.xml"
    arguments = ("--problem", POOL, "--json", str(files[0]), "--junit", str(files[1]))
    assert run(*arguments, "--device", device.index).exit_code == 0
    (one,) = json.loads(files[0].read_text())["implementations"]
    assert (one["passed"], one["total"]["cases"], one["misses"]) == (True, 1, [])
    (suite,) = ElementTree.parse(files[1]).getroot()
    assert (suite.get("tests"), suite.get("failures")) == ("1", "0")


BACKEND = """
import numpy as np
from clconv import reference

class Narrow:
    def max_pool(self, *arguments, **options):
        y, indices = reference.max_pool(*arguments, **options)
        return y.astype(np.float32), indices

    def conv(self, *arguments, **options):
        raise NotImplementedError("no convolution here")

    def conv2d(self, *arguments, **options):
        raise RuntimeError("broken")

class Names:
    backend = Narrow()
"""


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    (tmp_path / "backend_elsewhere.py").write_text(BACKEND)
    monkeypatch.chdir(tmp_path)
    return "backend_elsewhere:Names.backend"


def test_a_backend_of_ones_own(elsewhere):
    result = run("--backend", elsewhere, "--problem", POOL)
    assert result.exit_code == 0, result.stdout
    assert elsewhere in result.stdout


def test_what_a_backend_lacks_is_skipped_and_what_it_raises_is_a_miss(elsewhere):
    result = run("--backend", elsewhere, "--problem", CONV, "--problem", POOL)
    assert result.exit_code == 1
    assert "no convolution here" in result.stdout
    assert "miss conv2d, bits" in result.stdout
    assert "raised RuntimeError: broken" in result.stdout
    assert f"clconv verify --backend {elsewhere} --problem conv_fwd:" in result.stdout
    missing = run("--backend", elsewhere, "--problem", "im2col:f32:n1c2:i9:k3", "--problem", POOL)
    assert missing.exit_code == 0
    assert "there is no function im2col" in missing.stdout


def test_nothing_checked_is_no_pass(elsewhere):
    result = run("--backend", elsewhere, "--problem", "im2col:f32:n1c2:i9:k3")
    assert result.exit_code == 1
    assert "nothing was checked: everything was skipped" in result.stdout


def test_the_reference_is_a_backend():
    assert run("--backend", "clconv.reference", "--problem", POOL).exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--backend", "no.such.module"), "backend 'no.such.module' is no module:object"),
        (("--backend", "clconv:nothing"), "has no attribute 'nothing'"),
        (("--backend", "clconv.reference", "--device", "0"), "--backend runs where it likes"),
        (("--quick", "--deep", "3"), "--quick, --deep and --problem exclude each other"),
        (("--problem", "conv:f32"), "begins with none of conv_fwd"),
        (
            ("--problem", "conv_fwd:f32:n1c1o1g1:i5:k3:lhs2:bias", "--backend", "clconv.reference"),
            "no public function states",
        ),
    ],
)
def test_wrong_options_are_one_message(arguments, message, monkeypatch, capsys):
    assert message in fails(monkeypatch, capsys, *arguments)
