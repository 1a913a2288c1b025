"""clconv/frontends: the commands, as a user types them."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import clconv
from clconv.frontends import cli, pictures, tables
from clconv.frontends.demo import PICTURES, filter_bank

runner = CliRunner()


def run(*arguments):
    return runner.invoke(cli.app, arguments, env={"COLUMNS": "120"})


def test_devices_lists_the_device(device):
    result = run("devices")
    assert result.exit_code == 0
    assert device.driver_version in result.stdout
    assert f"{device.compute_units} compute units" in result.stdout


def test_version():
    assert run("--version").stdout.strip() == f"clconv {clconv.__version__}"


def test_demo_checks_and_draws(device, tmp_path):
    result = run("demo", "--out", str(tmp_path), "--device", device.index)
    assert result.exit_code == 0, result.stdout
    assert "all right" in result.stdout
    assert {file.name for file in tmp_path.iterdir()} == set(PICTURES)
    for name in PICTURES:
        with Image.open(tmp_path / name) as picture:
            assert np.asarray(picture).std() > 10  # something is to be seen


def test_demo_takes_any_picture_and_shrinks_a_large_one(device, tmp_path):
    rng = np.random.default_rng(0)
    photo = tmp_path / "wide.jpg"
    Image.fromarray(rng.integers(0, 256, (40, 700, 3)).astype(np.uint8)).save(photo)
    result = run("demo", str(photo), "--out", str(tmp_path / "out"), "--device", device.index)
    assert result.exit_code == 0, result.stdout
    assert "wide.jpg, 512 x 29 pixels" in result.stdout


def test_demo_without_a_picture_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a short path, which no line break cuts
    result = run("demo", "none.png")
    assert result.exit_code == 2
    assert "does not exist" in " ".join(result.stderr.split())


def test_file_that_is_no_picture_is_one_message(tmp_path, capsys, monkeypatch):
    text = tmp_path / "text.png"
    text.write_text("no picture")
    monkeypatch.setattr("sys.argv", ["clconv", "demo", str(text)])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 2
    assert "cannot identify image file" in capsys.readouterr().err


def test_no_device_is_one_message(monkeypatch, capsys):
    def none():
        raise clconv.NoDeviceError("no OpenCL device was found. Install a driver")

    monkeypatch.setattr(tables, "devices", none)
    monkeypatch.setattr("sys.argv", ["clconv", "devices"])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 2
    assert "error: no OpenCL device was found" in capsys.readouterr().err


def test_unknown_device_is_one_message(device, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["clconv", "verify", "--device", "none such"])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 2
    assert "no OpenCL device matches 'none such'; there are" in capsys.readouterr().err


def test_filter_bank_does_what_its_names_say():
    """Edge filters have no mean; the blur and the sharpening keep it."""
    sums = filter_bank().astype(float).sum(axis=(1, 2, 3))
    np.testing.assert_array_equal(np.round(sums, 6), [0, 0, 0, 0, 1, 1])


def test_shipped_photograph():
    image, name = pictures.load(None)
    assert image.shape == (1, 3, 256, 256)
    assert image.dtype == np.float32
    assert 0 <= image.min() < image.max() <= 1
    assert "NASA" in name
