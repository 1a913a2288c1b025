"""clconv/ops/settings.py: "auto" stays in the accuracy class that is asked for."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import clconv
from clconv.algorithms import registry
from clconv.algorithms.base import FAST
from clconv.algorithms.direct import Direct
from clconv.ops import execute
from clconv.ops.settings import accuracy_of

X, W = np.ones((1, 2, 9), np.float32), np.ones((3, 2, 3), np.float32)


class Hasty(Direct):
    """The first choice where it is allowed; it notes that it was asked for a plan."""

    name = "hasty"
    accuracy = FAST
    plans = 0

    def plan(self, problem, device, limits):
        self.plans += 1
        return super().plan(problem, device, limits)


@pytest.fixture
def hasty(monkeypatch):
    entry = Hasty()
    monkeypatch.setattr(registry, "ALGORITHMS", (entry, *registry.ALGORITHMS))
    monkeypatch.setattr(registry, "CONVOLUTIONS", (entry, *registry.CONVOLUTIONS))
    monkeypatch.delenv("CLCONV_ACCURACY", raising=False)
    return entry


@pytest.fixture
def call(queue):
    """Return a convolution on a queue of its own, for which no plan is remembered."""
    import pyopencl.array as cl_array

    x, w = cl_array.to_device(queue, X), cl_array.to_device(queue, W)
    return lambda **options: clconv.conv(x, w, **options)


def test_strict_is_the_default(hasty, call):
    call()
    assert hasty.plans == 0


def test_by_call_by_context_and_by_variable(hasty, call, monkeypatch):
    call(accuracy="fast")
    assert hasty.plans == 1
    with clconv.settings(accuracy="fast"):
        call(padding=1)
        assert hasty.plans == 2
        call(padding=2, accuracy="strict")
        assert hasty.plans == 2
    monkeypatch.setenv("CLCONV_ACCURACY", "fast")
    call(padding=3)
    assert hasty.plans == 3
    with clconv.settings(accuracy="strict"):
        call(padding=4)
    assert hasty.plans == 3


def test_classes_have_plans_of_their_own(hasty, call):
    """What was planned for one class does not serve the other."""
    for _ in range(2):
        call(accuracy="fast")
        call(accuracy="strict")
    assert hasty.plans == 1


def test_a_named_algorithm_is_taken(hasty, call):
    call(algorithm="hasty")
    assert hasty.plans == 1


def test_every_function_that_takes_an_algorithm_takes_a_class(device, monkeypatch):
    seen = []
    monkeypatch.setattr(execute, "accuracy_of", lambda choice: seen.append(choice) or "strict")
    y = clconv.conv(X, W, accuracy="fast", device=device)
    calls = (
        ("conv_backward_data", (y, W), {"input_shape": X.shape}),
        ("conv_backward_weights", (X, y), {"weight_shape": W.shape}),
        ("conv_general", (X, W), {}),
        ("conv_general_backward_data", (y, W), {"input_shape": X.shape}),
        ("conv_general_backward_weights", (X, y), {"weight_shape": W.shape}),
        ("conv_transpose", (y, W), {}),
        ("conv_transpose_backward_data", (X, W), {"input_shape": y.shape}),
        ("conv_transpose_backward_weights", (y, X), {"weight_shape": W.shape}),
        ("depthwise_conv", (X[:, :1], W[:, :1]), {}),
    )
    for name, arguments, options in calls:
        getattr(clconv, name)(*arguments, accuracy="fast", **options, device=device)
    assert seen == ["fast"] * (1 + len(calls))


def test_wrong_settings(monkeypatch):
    with (
        pytest.raises(ValueError, match="accuracy must be one of strict, fast; got None"),
        clconv.settings(accuracy=None),
    ):
        pass
    monkeypatch.setenv("CLCONV_ACCURACY", "loose")
    with pytest.raises(
        ValueError, match="CLCONV_ACCURACY must be one of strict, fast; got 'loose'"
    ):
        accuracy_of(None)


def test_a_thread_has_settings_of_its_own(monkeypatch):
    monkeypatch.delenv("CLCONV_ACCURACY", raising=False)
    seen = []
    with clconv.settings(accuracy="fast"):
        thread = threading.Thread(target=lambda: seen.append(accuracy_of(None)))
        thread.start()
        thread.join()
        assert accuracy_of(None) == "fast"
    assert seen == ["strict"]


def test_fast_algorithms():
    fast = {entry.name for entry in registry.ALGORITHMS if entry.accuracy == FAST}
    assert fast == {"winograd_f4", "winograd_f2"}
