"""examples/train_digits.py: a short training recognises digits, the same way every time."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="the example trains on scikit-learn's digits")

FILE = Path(__file__).parents[2] / "examples" / "train_digits.py"


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("train_digits", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_four_epochs_recognise_95_percent_with_the_same_bits_each_time(device, example):
    lines = []
    network, accuracy = example.train(epochs=4, seed=0, device=device, report=lines.append)
    again, accuracy_again = example.train(epochs=4, seed=0, device=device, report=lines.append)
    assert accuracy == accuracy_again
    assert accuracy >= 0.95, lines
    assert len(lines) == 8
    for first, second in zip(network.parameters, again.parameters, strict=True):
        np.testing.assert_array_equal(first, second)


def test_gradients_agree_with_differences_of_the_loss(device, example):
    """Along the gradient itself, the loss falls as fast as the gradient's length says."""
    x, _, labels, _ = example.digits()
    x, labels = x[:32], labels[:32]
    network = example.Network(np.random.default_rng(1), device)
    _, gradient = example.cross_entropy(network.forward(x), labels)
    network.backward(gradient)
    length = np.sqrt(sum(float((g.astype(float) ** 2).sum()) for g in network.gradients))
    losses = []
    for step in (1e-3, -2e-3):  # to +1e-3, then from there to -1e-3
        for parameter, gradient in zip(network.parameters, network.gradients, strict=True):
            parameter += np.float32(step / length) * gradient
        losses.append(example.cross_entropy(network.forward(x), labels)[0])
    slope = (losses[0] - losses[1]) / 2e-3
    assert slope == pytest.approx(length, rel=0.02)  # float32, and kinks of relu and max


def test_every_image_is_shown_once_an_epoch(example):
    x = np.arange(150, dtype=np.float32).reshape(150, 1, 1, 1) * np.ones((1, 1, 8, 8), np.float32)
    shown = list(example.batches(x, np.arange(150), np.random.default_rng(0)))
    assert [len(labels) for _, labels in shown] == [64, 64, 22]
    for images, labels in shown:
        assert images.shape == (len(labels), 1, 8, 8)
        np.testing.assert_array_equal(images[:, 0, 4, 4], labels)  # the middle is never padding
    assert sorted(np.concatenate([labels for _, labels in shown])) == list(range(150))


@pytest.mark.parametrize(("wanted", "status"), [(0.0, 0), (1.01, 1)])
def test_exit_status_tells_whether_the_accuracy_was_reached(
    device, example, monkeypatch, capsys, wanted, status
):
    monkeypatch.setattr(example, "WANTED_ACCURACY", wanted)
    argv = ["train_digits.py", "--epochs", "1", "--device", device.index]
    monkeypatch.setattr("sys.argv", argv)
    assert example.main() == status
    assert capsys.readouterr().out.splitlines()[-1].startswith("test accuracy ")
