"""reference/bounds_winograd.py: simulated roundings are within it; a planted error is not."""

import dataclasses
from fractions import Fraction

import numpy as np
import pytest

from clconv.reference import bounds_winograd, conv, conv_backward_data, winograd, winograd_matrices
from clconv.reference.bounds_winograd import (
    amplification,
    roundings_of,
    winograd_backward_data_bound,
    winograd_bound,
)
from clconv.reference.shapes import CONV_SHAPES

EDGES = {
    name: shape
    for name, shape in CONV_SHAPES["edges"].items()
    if set(shape.stride) == {1} == set(shape.dilation) and max(shape.kernel) <= 5
}


def tensors(channels=8, size=(13, 14), outputs=3, dtype="float32", kernel=(3, 3)):
    rng = np.random.default_rng(channels)
    x = rng.uniform(-1, 1, (2, channels, *size)).astype(dtype)
    return x, rng.uniform(-1, 1, (outputs, channels, *kernel)).astype(dtype)


def share(x, w, dtype, *, m=4, **options):
    """The worst error of a simulation in `dtype` as a share of its bound; inf if it is NaN."""
    y = winograd.forward(x, w, m=m, dtype=dtype, **options)
    assert y.dtype == dtype
    bound = winograd_bound(x, w, dtype, m=m, **options)
    keywords = {key: options[key] for key in ("padding", "groups") if key in options}
    error = abs(y - conv(x, w, **keywords))
    assert (error[bound == 0] == 0).all()
    return np.nan_to_num(error / np.where(bound > 0, bound, 1), nan=np.inf).max()


@pytest.mark.parametrize(
    ("m", "dtype"),
    [
        *((m, "float32") for m in (1, 2, 4, 6)),
        *((m, "float16") for m in (2, 4)),
        (6, "float64"),
    ],
)
@pytest.mark.parametrize("name", EDGES)
def test_roundings_are_within_the_bound(name, m, dtype):
    shape = EDGES[name]
    x, w, dy, _ = shape.random_tensors(dtype)
    keywords = {"padding": shape.padding, "groups": shape.groups}
    assert share(x, w, dtype, m=m, **keywords) <= 1
    keywords["input_shape"] = x.shape
    dx = winograd.backward_data(dy, w, m=m, dtype=dtype, **keywords)
    bound = winograd_backward_data_bound(dy, w, dtype, m=m, **keywords)
    assert (abs(dx - conv_backward_data(dy, w, **keywords)) <= bound).all()


@pytest.mark.parametrize("scale", [1e-7, 1e-6, 1e-4, 1, 30])
@pytest.mark.parametrize("m", [2, 4, 6])
def test_underflow_of_float16(m, scale):
    x, w = tensors(dtype="float64")
    assert share(x.astype("float16"), (w * scale).astype("float16"), "float16", m=m) <= 1


def test_without_underflow_the_bound_would_be_exceeded(monkeypatch):
    x, w = tensors(channels=1, dtype="float64")
    w = (w * 1e-6).astype("float16")
    assert share(x.astype("float16"), w, "float16") <= 1
    monkeypatch.setattr(bounds_winograd, "smallest_error", lambda dtype: 0.0)
    assert share(x.astype("float16"), w, "float16") > 1


@pytest.mark.parametrize("points", [[0, -1, 1, Fraction(1, 2), -2], [1, 2, 3, 4, 5]])
def test_other_points(points):
    x, w = tensors()
    assert 1e-3 < share(x, w, "float32", points=points) <= 1


def test_filters_transformed_in_a_wider_dtype():
    x, w = tensors(channels=1)
    assert 1e-3 < share(x, w, "float32", m=6, filter_dtype="float64") <= 1
    narrow = winograd_bound(x, w, "float32", m=6)
    wider = winograd_bound(x, w, "float32", m=6, filter_dtype="float64")
    assert (wider < narrow).all()
    assert wider.sum() < 0.9 * narrow.sum()


@pytest.mark.parametrize("channels", [1, 16, 64, 256])
@pytest.mark.parametrize("m", [2, 4, 6])
def test_the_bound_is_not_silly(m, channels):
    x, w = tensors(channels, size=(24, 24))
    assert 1e-3 < share(x, w, "float32", m=m) < 1


def test_any_order_of_the_channels_and_of_the_transforms(monkeypatch):
    x, w = tensors(channels=40)
    bound, exact = winograd_bound(x, w, "float32", m=4), conv(x, w)
    backwards = winograd.forward(x[:, ::-1], w[:, ::-1], m=4, dtype="float32")
    monkeypatch.setattr(winograd, "weighted_sum", backward_sum)
    transforms = winograd.forward(x, w, m=4, dtype="float32")
    assert (backwards != transforms).any()
    for y in (backwards, transforms):
        assert (abs(y - exact) <= bound).all()


def backward_sum(weights, lines):
    """The last term first, zeros included, by fused multiply-adds: float64, and rounded once."""
    total = np.zeros_like(lines[0])
    for weight, line in zip(weights[::-1], lines[::-1], strict=True):
        total = (weight * line.astype(np.float64) + total).astype(lines.dtype)
    return total


def test_a_tile_of_zeros_is_exact_and_what_stands_beside_is_not():
    x, w = tensors(channels=16)
    x[:, :, :, :7] = 0  # windows 0 to 4 have only zeros, 4 is in a tile with others
    y, bound = winograd.forward(x, w, m=4, dtype="float32"), winograd_bound(x, w, "float32", m=4)
    assert (y[..., :4] == 0).all()
    assert (bound[..., :4] == 0).all()
    assert (conv(x, w)[..., 4] == 0).all()
    assert (y[..., 4] != 0).any()
    assert (abs(y[..., 4]) <= bound[..., 4]).all()
    assert (winograd_bound(x, 0 * w, "float32", m=4) == 0).all()


def wrong_transforms(name, place, factor):
    """`minimal_filtering` with one entry multiplied by `factor`."""
    right = winograd_matrices.minimal_filtering

    def wrong(m, r, points=None):
        along = right(m, r, points)
        matrix = getattr(along, name).copy()
        assert matrix[place] != 0
        matrix[place] *= factor
        return dataclasses.replace(along, **{name: matrix})

    return wrong


@pytest.mark.parametrize("factor", [-1, 0, Fraction(1001, 1000)])
@pytest.mark.parametrize(
    ("name", "place"),
    [("at", (0, 1)), ("at", (3, 5)), ("g", (1, 2)), ("bt", (0, 2)), ("bt", (5, 5))],
)
def test_a_wrong_entry_exceeds_the_bound(monkeypatch, name, place, factor):
    x, w = tensors(channels=64)
    bound, exact = winograd_bound(x, w, "float32", m=4), conv(x, w)
    monkeypatch.setattr(winograd, "minimal_filtering", wrong_transforms(name, place, factor))
    y = winograd.forward(x, w, m=4, dtype="float32")
    assert (abs(y - exact) > bound).any()


def dropped_edge(image, axes, steps):
    cut = RIGHT_TILES(image, axes, steps).copy()
    cut[..., -1] = 0  # the last column of every tile
    return cut


def shifted(image, axes, steps):
    return RIGHT_TILES(np.roll(image, 1, axis=-1), axes, steps)


def without_the_last_channel(u, v, groups):
    return RIGHT_SUMS(u[:, :-1], v[:, :-1], groups)


RIGHT_TILES, RIGHT_SUMS = winograd.tiles, winograd.channel_sums


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("tiles", dropped_edge),
        ("tiles", shifted),
        ("channel_sums", without_the_last_channel),
    ],
)
@pytest.mark.parametrize("m", [2, 4, 6])
def test_wrong_tiles_exceed_the_bound(monkeypatch, name, wrong, m):
    x, w = tensors(channels=256)
    bound, exact = winograd_bound(x, w, "float32", m=m), conv(x, w)
    monkeypatch.setattr(winograd, name, wrong)
    y = winograd.forward(x, w, m=m, dtype="float32")
    assert (abs(y - exact) > bound).mean() > 0.1


def test_roundings_of_a_row():
    """A row of whole powers of two has additions only; weights and products add one each."""
    row = [Fraction(1), Fraction(-2), Fraction(0), Fraction(1, 4)]
    assert roundings_of(np.array([row]), "float32") == 2
    assert roundings_of(np.array([[*row, Fraction(3)]]), "float32") == 4
    assert roundings_of(np.array([[*row, Fraction(1, 3)]]), "float32") == 5
    assert roundings_of(np.array([[Fraction(4097)], [Fraction(2)]]), "float16") == 2
    assert roundings_of(np.array([[Fraction(4097)], [Fraction(2)]]), "float32") == 1


def test_amplification():
    assert amplification(1, 1) == 1
    assert amplification(2, 3) == Fraction(8, 3)  # (1*2 + 3/2*2 + 3/2*2)/3
    growths = [amplification(m, 3) for m in range(1, 9)]
    assert growths == sorted(growths)


def test_too_many_roundings():
    x, w = tensors(channels=2048, size=(3, 3), dtype="float16")
    with pytest.raises(ValueError, match="roundings in float16 leave no correct digit"):
        winograd_bound(x, w, "float16", m=2)
