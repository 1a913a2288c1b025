"""clconv/frontends/run.py: `clconv run STRING`, as a user types it."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from clconv.conformance import runner
from clconv.conformance.rules import Finding
from clconv.frontends.cli import app, main


def invoke(device, *arguments):
    # In a wide terminal, so that no line is broken.
    environment = {"COLUMNS": "200"}
    return CliRunner().invoke(app, ["run", *arguments, "--device", device.index], env=environment)


def test_a_problem_is_run_checked_and_timed(device):
    text = "conv_fwd:f32:n2c4o6g2:i9x8:k3x3:s2:p1.1:d1"
    result = invoke(device, text, "--repeat", "2")
    assert result.exit_code == 0, result.output
    assert text in result.output
    for part in ("_gemm", "equal the reference", "of its bound", "GFLOP/s", "GB/s", " ms"):
        assert part in result.output


def test_an_algorithm_by_name(device):
    text = "conv_fwd:f16:n2c4o4g4:i9:k3:s1:p1.1:d1"
    assert "direct, " in invoke(device, text, "--algorithm", "direct", "--repeat", "1").output
    refused = invoke(device, text.replace("g4", "g1"), "--algorithm", "depthwise")
    assert refused.exit_code == 1
    assert "refused: depthwise needs one channel a group" in refused.output


def test_a_fast_algorithm_is_held_to_its_own_bound(device, monkeypatch):
    monkeypatch.setenv("CLCONV_ACCURACY", "fast")
    text = "conv_fwd:f32:n4c16o16g1:i14x15:k3x3:s1:p1.1:d1"
    result = invoke(device, text, "--repeat", "1")
    assert result.exit_code == 0, result.output
    if device.kernels == "cpu":
        assert "winograd_f4, " in result.output
        assert result.output.count("of its bound") == 2
    moved = invoke(device, f"{text}:reflect", "--repeat", "1").output
    assert "no bound is stated" in moved or device.kernels == "gpu"


def test_rules_that_do_not_apply_are_named(device):
    smooth = invoke(device, "conv_fwd:f32:n1c2o2g1:i9:k3:tanh", "--repeat", "1")
    assert "not held: the activation is not exact" in smooth.output
    whole = invoke(device, "conv_fwd:i8:n1c2o2g1:i9:k3", "--repeat", "1")
    assert "not held: integers are whole" in whole.output


def test_a_miss_is_an_exit_status(device, monkeypatch):
    monkeypatch.setattr(runner, "check_bits", lambda call: Finding(False, 2.0, "planted"))
    result = invoke(device, "max_pool:f32:n1c2:i9:k3", "--repeat", "1")
    assert result.exit_code == 1
    assert "planted" in result.output


def test_no_problem_string_is_one_message(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["clconv", "run", "conv:f32"])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    assert "begins with none of conv_fwd" in capsys.readouterr().err
