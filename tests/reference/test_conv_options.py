"""The options of reference/conv.py: padding modes, activations, accumulation, layouts."""

import re

import numpy as np
import pytest

from clconv.reference import conv, conv_backward_data, conv_backward_weights
from clconv.reference.layouts import permuted
from clconv.reference.shapes import CONV_SHAPES

EDGES = CONV_SHAPES["edges"]
MODES = ["reflect", "replicate", "circular"]
NUMPY_MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}
INF, NAN = np.inf, np.nan


def fits(shape, mode):
    """Whether the image is large enough for its padding in that mode."""
    limit = {"reflect": -1, "replicate": 10**6, "circular": 0}[mode]
    return all(max(each.low, each.high) <= each.size + limit for each in shape.axes)


PADDED = [
    pytest.param(shape, mode, id=f"{name}-{mode}")
    for name, shape in EDGES.items()
    for mode in MODES
    if any(map(any, shape.padding)) and fits(shape, mode)
]


def test_most_padded_shapes_fit():
    assert len(PADDED) > 60


@pytest.mark.parametrize(("shape", "mode"), PADDED)
def test_padding_modes_are_those_of_numpy_and_have_adjoints(shape, mode):
    keywords = shape.keywords()
    x, w, dy, _ = shape.integer_tensors("int64")
    padded = np.pad(x, ((0, 0), (0, 0), *shape.padding), NUMPY_MODES[mode])
    y = conv(x, w, padding_mode=mode, **keywords)
    np.testing.assert_array_equal(y, conv(padded, w, **keywords | {"padding": 0}))
    keywords |= {"padding_mode": mode}
    dx = conv_backward_data(dy, w, input_shape=x.shape, **keywords)
    dw = conv_backward_weights(x, dy, weight_shape=w.shape, **keywords)
    assert (y * dy).sum() == (x * dx).sum() == (w * dw).sum()


@pytest.mark.parametrize(
    ("mode", "padding", "message"),
    [
        ("reflect", 3, "padding (3, 3) is too large for padding_mode='reflect' and size 3: at mo"),
        ("circular", ((0, 4),), "padding (0, 4) is too large for padding_mode='circular'"),
        ("mirror", 1, "padding_mode='mirror' is unknown: wanted one of ('zeros', 'reflect'"),
    ],
)
def test_padding_modes_refuse(mode, padding, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        conv(np.ones((1, 1, 3)), np.ones((1, 1, 1)), padding=padding, padding_mode=mode)


def test_same_lower_has_the_odd_element_low():
    x, w = np.array([[[1, 2, 3]]]), np.array([[[1, 10]]])
    assert conv(x, w, padding="same").tolist() == [[[21, 32, 3]]]
    assert conv(x, w, padding="same_lower").tolist() == [[[10, 21, 32]]]


LAYOUTS = ["NHWC,HWIO->NHWC", "NHWC,OHWI->NCHW", "CHWN,IHWO->HWNC", "NCHW,OIHW->NHWC"]


@pytest.mark.parametrize("text", LAYOUTS)
@pytest.mark.parametrize("name", [n for n, s in CONV_SHAPES["quick"].items() if len(s.kernel) == 2])
def test_layouts_move_numbers_and_change_none(text, name):
    shape = CONV_SHAPES["quick"][name]
    x_layout, w_layout, y_layout = re.split(",|->", text)
    x, w, dy, bias = shape.integer_tensors("int64")
    keywords = shape.keywords()
    expected = conv(x, w, bias, **keywords)
    data = conv_backward_data(dy, w, input_shape=x.shape, **keywords)
    weights = conv_backward_weights(x, dy, weight_shape=w.shape, **keywords)
    x, data = (permuted(each, "NCHW", x_layout) for each in (x, data))
    w, weights = (permuted(each, "OIHW", w_layout) for each in (w, weights))
    dy, expected = (permuted(each, "NCHW", y_layout) for each in (dy, expected))
    keywords |= {"dimension_numbers": text}
    np.testing.assert_array_equal(conv(x, w, bias, **keywords), expected)
    np.testing.assert_array_equal(conv_backward_data(dy, w, input_shape=x.shape, **keywords), data)
    np.testing.assert_array_equal(
        conv_backward_weights(x, dy, weight_shape=w.shape, **keywords), weights
    )


def test_weights_of_another_rank_are_refused():
    with pytest.raises(ValueError, match=r"w \(1, 1, 1\) has 3 axes, layout 'HWIO' not"):
        conv(np.ones((1, 1, 1, 1)), np.ones((1, 1, 1)), dimension_numbers="NHWC,HWIO->NHWC")


def test_accumulation():
    x, w = np.array([[[1, 2, 3]]], "f4"), np.array([[[2]]], "f4")
    out = np.array([[[10, 20, NAN]]], "f4")
    assert conv(x, w, [1], out=out).tolist() == [[[3, 5, 7]]]
    y = conv(x, w, np.float32([1]), out=out, beta=-0.5, activation="relu")
    assert y.dtype == np.float64
    assert y[0, 0, :2].tolist() == [0, 0]
    assert np.isnan(y[0, 0, 2])
    assert out[0, 0, 0] == 10
    y = conv(x, w, out=np.ones((3, 1, 1)), beta=2, dimension_numbers="NCW,OIW->WNC")
    assert y.ravel().tolist() == [4, 6, 8]
    with pytest.raises(ValueError, match="beta=1 needs `out`"):
        conv(x, w, beta=1)
    with pytest.raises(ValueError, match=r"out \(1, 1, 2\) does not fit: wanted \(1, 1, 3\)"):
        conv(x, w, out=out[..., :2])


def through(activation, values, dtype="float64"):
    return conv(np.array([[values]], dtype), np.ones((1, 1, 1), dtype), activation=activation)[0, 0]


TORCH_NAMES = ["relu", "leaky_relu", "relu6", "sigmoid", "tanh", "silu", "gelu"]


@pytest.mark.parametrize("name", TORCH_NAMES)
def test_activations_are_those_of_torch(name):
    torch = pytest.importorskip(
        "torch", reason="torch, an independent implementation, is not installed"
    )
    values = np.array([*np.linspace(-9, 9, 361), -40.0, 40.0, INF, -INF, NAN, -0.0, 0.0])
    expected = getattr(torch.nn.functional, name)(torch.from_numpy(values)).numpy()
    np.testing.assert_allclose(
        through(name, values).astype("float64"), expected, rtol=1e-12, atol=1e-15
    )


@pytest.mark.parametrize("name", TORCH_NAMES)
def test_activations_of_integers(name):
    expected = through(name, [-3, 0, 9], "float64")
    actual = through(name, [-3, 0, 9], "int32")
    assert actual.dtype == ("int64" if name in ("relu", "relu6") else "float64")
    np.testing.assert_allclose(actual, expected.astype("float64"), rtol=1e-15)


def test_gelu_far_below_zero_has_correct_digits():
    assert through("gelu", [-10.0])[0] == pytest.approx(-7.619853024160525e-23, rel=1e-13)


def test_an_unknown_activation_and_complex_ones_are_refused():
    with pytest.raises(ValueError, match="activation='elu' is unknown: wanted None or one of"):
        through("elu", [1])
    with pytest.raises(ValueError, match="activation='relu' is not defined for complex numbers"):
        through("relu", [1], "complex64")


def test_infinite_weights_meet_the_zeros_of_the_padding():
    y = conv(np.ones((1, 1, 3)), [[[INF, 1.0, 1.0]]], padding=1)
    np.testing.assert_array_equal(y, [[[NAN, INF, INF]]])


def test_a_window_wholly_in_the_padding_is_the_bias():
    assert conv([[[3.0]]], [[[2.0]]], [5.0], padding=1).tolist() == [[[5, 11, 5]]]


def test_a_nan_reaches_its_windows_and_no_other():
    y = conv([[[1.0, NAN, 1.0, 1.0]]], [[[1.0, 0.0]]])
    np.testing.assert_array_equal(y, [[[NAN, NAN, 1.0]]])


def complex_integers(rng, shape, dtype):
    real, imaginary = rng.integers(-5, 6, (2, *shape))
    return (real + 1j * imaginary).astype(dtype)


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
@pytest.mark.parametrize("name", CONV_SHAPES["quick"])
def test_complex_gradients_are_adjoint_with_conjugation(name, dtype):
    """<conv(x, w), dy> = <x, dx> = <w, dw>, where <a, b> is the sum of conj(a)*b."""
    shape = CONV_SHAPES["quick"][name]
    rng = np.random.default_rng(0)
    tensors = (complex_integers(rng, each, dtype) for each in (shape.x_shape, shape.w_shape))
    (x, w), dy = tensors, complex_integers(rng, shape.y_shape, dtype)
    keywords = shape.keywords()
    y = conv(x, w, **keywords)
    dx = conv_backward_data(dy, w, input_shape=x.shape, **keywords)
    dw = conv_backward_weights(x, dy, weight_shape=w.shape, **keywords)
    assert y.dtype == ("complex128" if dtype == "complex64" else "clongdouble")
    x, w = x.astype(y.dtype), w.astype(y.dtype)
    assert np.vdot(y, dy) == np.vdot(x, dx) == np.vdot(w, dw)
