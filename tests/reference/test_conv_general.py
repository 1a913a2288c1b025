"""reference/conv_general.py: other convolutions as calls of it, and its own derivatives."""

import doctest
import re

import numpy as np
import pytest

from clconv.reference import (
    conv,
    conv_backward_data,
    conv_backward_weights,
    conv_general,
    conv_general_backward_data,
    conv_general_backward_weights,
    conv_transpose,
    layouts,
)
from clconv.reference.conv_general_forms import (
    as_conv_general,
    as_conv_general_backward_data,
    as_conv_general_backward_weights,
    as_conv_general_transpose,
)
from clconv.reference.shapes import CONV_SHAPES, TRANSPOSE_SHAPES

EDGES = CONV_SHAPES["edges"]
TRANSPOSED = TRANSPOSE_SHAPES["edges"]


def run(call):
    return conv_general(call.x, call.w, **call.keywords)


@pytest.mark.parametrize("shape", EDGES.values(), ids=EDGES)
@pytest.mark.parametrize("flip", [False, True])
def test_conv_and_both_gradients_are_one_call_each(shape, flip):
    keywords = shape.keywords() | {"flip": flip}
    x, w, dy, _ = shape.integer_tensors("int64")
    np.testing.assert_array_equal(run(as_conv_general(x, w, **keywords)), conv(x, w, **keywords))
    data = keywords | {"input_shape": x.shape}
    np.testing.assert_array_equal(
        run(as_conv_general_backward_data(dy, w, **data)), conv_backward_data(dy, w, **data)
    )
    weights = keywords | {"weight_shape": w.shape}
    np.testing.assert_array_equal(
        run(as_conv_general_backward_weights(x, dy, **weights)),
        conv_backward_weights(x, dy, **weights),
    )


@pytest.mark.parametrize("shape", TRANSPOSED.values(), ids=TRANSPOSED)
@pytest.mark.parametrize("flip", [False, True])
def test_conv_transpose_is_one_call(shape, flip):
    x, w, _, _ = shape.integer_tensors("int64")
    keywords = shape.keywords() | {"flip": flip}
    np.testing.assert_array_equal(
        run(as_conv_general_transpose(x, w, **keywords)), conv_transpose(x, w, **keywords)
    )


def shuffled(rng, letters):
    return "".join(rng.permutation(list(letters)))


def random_problem(seed):
    """Shapes and keywords of a conv_general, with whatever it can do."""
    rng = np.random.default_rng(seed)
    rank = int(rng.integers(1, 4))
    spatial = "DHW"[3 - rank :]
    x_layout, w_layout, y_layout = (shuffled(rng, each + spatial) for each in ("NC", "OI", "NC"))
    groups, batch_groups = [(1, 1), (int(rng.integers(2, 4)), 1), (1, int(rng.integers(2, 4)))][
        rng.integers(3)
    ]
    size, k, stride, input_dilation, dilation = rng.integers(
        1, [[6], [4], [4], [4], [4]], (5, rank)
    )
    low = rng.integers(-3, 5, rank)
    least = dilation * (k - 1) + 1 - (input_dilation * (size - 1) + 1) - low
    high = least + rng.integers(0, 4, rank)
    sizes = dict(zip("NCO", rng.integers(1, 4, 3), strict=True))
    sizes["N"] *= batch_groups
    sizes["O"] *= groups * batch_groups
    sizes["I"] = sizes["C"]
    sizes["C"] *= groups
    order = [letter for letter in w_layout if letter in spatial]  # that of the options
    x_shape = [int((sizes | dict(zip(order, size, strict=True)))[each]) for each in x_layout]
    w_shape = [int((sizes | dict(zip(order, k, strict=True)))[each]) for each in w_layout]
    keywords = {
        "stride": stride,
        "padding": [*zip(low, high, strict=True)],
        "input_dilation": input_dilation,
        "dilation": dilation,
        "groups": groups,
        "batch_groups": batch_groups,
        "dimension_numbers": f"{x_layout},{w_layout}->{y_layout}",
        "flip": bool(rng.integers(2)),
    }
    return tuple(x_shape), tuple(w_shape), keywords


@pytest.mark.parametrize("seed", range(150))
def test_both_gradients_are_adjoint(seed):
    x_shape, w_shape, keywords = random_problem(seed)
    rng = np.random.default_rng(seed)
    x, w = rng.integers(-9, 10, x_shape), rng.integers(-9, 10, w_shape)
    y = conv_general(x, w, **keywords)
    dy = rng.integers(-9, 10, y.shape)
    dx = conv_general_backward_data(dy, w, input_shape=x_shape, **keywords)
    dw = conv_general_backward_weights(x, dy, weight_shape=w_shape, **keywords)
    assert (dx.shape, dw.shape) == (x_shape, w_shape)
    assert (y * dy).sum() == (x * dx).sum() == (w * dw).sum()


@pytest.mark.parametrize("seed", range(20))
def test_complex_gradients_are_adjoint_with_conjugation(seed):
    x_shape, w_shape, keywords = random_problem(seed)
    rng = np.random.default_rng(seed)

    def tensor(shape):
        return (rng.integers(-9, 10, shape) + 1j * rng.integers(-9, 10, shape)).astype(
            "clongdouble"
        )

    x, w = tensor(x_shape), tensor(w_shape)
    y = conv_general(x, w, **keywords)
    dy = tensor(y.shape)
    dx = conv_general_backward_data(dy, w, input_shape=x_shape, **keywords)
    dw = conv_general_backward_weights(x, dy, weight_shape=w_shape, **keywords)
    assert np.vdot(y, dy) == np.vdot(x, dx) == np.vdot(w, dw)


def test_the_gradient_of_a_gradient_is_a_call_again():
    """conv_general_backward_data is linear in dy: its adjoint is the forward map, by one call."""
    for seed in range(30):
        x_shape, w_shape, keywords = random_problem(seed)
        if keywords["batch_groups"] > 1:
            continue
        rng = np.random.default_rng(seed)
        x, w = rng.integers(-9, 10, x_shape), rng.integers(-9, 10, w_shape)
        y = conv_general(x, w, **keywords)
        call = as_conv_general_backward_data(y, w, input_shape=x_shape, **keywords)
        again = conv_general_backward_data(x, call.w, input_shape=y.shape, **call.keywords)
        np.testing.assert_array_equal(again, y)


def test_zeros_between_the_elements_meet_infinite_weights():
    y = conv_general([[[1.0, 1.0]]], [[[np.inf]]], input_dilation=2)
    np.testing.assert_array_equal(y, [[[np.inf, np.nan, np.inf]]])


def by_definition(x, w, keywords):
    """The formula of the docstring for one spatial axis, channels first, no flip."""
    low, high = keywords["padding"][0]
    (e,), (s,), (d,) = (keywords[key] for key in ("input_dilation", "stride", "dilation"))
    size, k = x.shape[2], w.shape[2]
    out = (e * (size - 1) + 1 + low + high - d * (k - 1) - 1) // s + 1
    batch = x.shape[0] // keywords["batch_groups"]
    y = np.zeros((batch, w.shape[0], out), np.int64)
    for n, o, p, c, t in np.ndindex(*y.shape, *w.shape[1:]):
        u = p * s + t * d - low
        block = o // (w.shape[0] // keywords["batch_groups"])
        group = o // (w.shape[0] // keywords["groups"])
        if u % e == 0 and 0 <= u // e < size:
            y[n, o, p] += w[o, c, t] * x[block * batch + n, group * w.shape[1] + c, u // e]
    return y


def test_the_definition():
    tried = 0
    for seed in range(400):
        x_shape, w_shape, keywords = random_problem(seed)
        if len(x_shape) != 3:
            continue
        rng = np.random.default_rng(seed)
        x, w = rng.integers(-9, 10, x_shape), rng.integers(-9, 10, w_shape)
        x_layout, w_layout, y_layout = re.split(",|->", keywords["dimension_numbers"])
        y = conv_general(x, w, **keywords | {"flip": False})
        expected = by_definition(
            layouts.permuted(x, x_layout, "NCW"), layouts.permuted(w, w_layout, "OIW"), keywords
        )
        np.testing.assert_array_equal(layouts.permuted(y, y_layout, "NCW"), expected)
        tried += 1
    assert tried > 100


def test_batch_groups_take_a_block_each():
    x, w = np.arange(1, 5).reshape(4, 1, 1), np.array([1, 10, 100, 1000]).reshape(4, 1, 1)
    assert conv_general(x, w, batch_groups=2)[..., 0].tolist() == [
        [1, 10, 300, 3000],
        [2, 20, 400, 4000],
    ]


def test_a_case_by_hand():
    x, w = [[[1, 2, 3]]], [[[1, 10]]]
    assert conv_general(x, w, input_dilation=2).tolist() == [[[1, 20, 2, 30]]]
    assert conv_general(x, w, padding=((-1, 1),)).tolist() == [[[32, 3]]]
    assert conv_general(x, w, padding=((-5, 4),)).tolist() == [[[0]]]


def test_options_follow_the_spatial_letters_of_the_weights():
    x, w = np.ones((1, 1, 9, 5)), np.ones((1, 1, 1, 1))
    y = conv_general(x, w, stride=(4, 2), dimension_numbers="NCHW,OIWH->NCHW")
    assert y.shape == (1, 1, 5, 2)


@pytest.mark.parametrize("padding", ["same", "same_lower", "valid"])
def test_words_look_at_the_dilated_image(padding):
    x, w = np.ones((1, 1, 4)), np.ones((1, 1, 2))
    y = conv_general(x, w, padding=padding, input_dilation=2)
    assert y.shape[2] == (6 if padding == "valid" else 7)


X, W = np.ones((4, 6, 5)), np.ones((4, 6, 3))
REFUSALS = [
    ({"groups": 2, "batch_groups": 2}, "groups=2 and batch_groups=2: one has to be 1"),
    ({"batch_groups": 0}, "batch_groups=0 is below"),
    ({"batch_groups": 3}, "batch_groups=3 does not divide N=4"),
    ({"input_dilation": 0}, "input_dilation=0 is below"),
    ({"padding": -2}, "spans 3 elements, more than the 1"),
    ({"padding": ((-9, 0),)}, "spans 3 elements, more than the 0"),
    ({"dimension_numbers": "NCW"}, "'NCW' is not of the form 'NCHW,OIHW->NCHW'"),
    ({"dimension_numbers": "NCW,OIW->NCC"}, "'NCC' does not have each letter of 'NCW' once"),
    ({"dimension_numbers": "NCHW,OIHW->NCHW"}, "has 4 axes, x (4, 6, 5) not"),
    ({"dimension_numbers": "NCW,OIH->NCW"}, "'NCW' does not have each letter of 'NCH' once"),
]


@pytest.mark.parametrize(("keywords", "message"), REFUSALS)
def test_refuses(keywords, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        conv_general(X, W, **keywords)


def test_dy_has_to_fit():
    with pytest.raises(ValueError, match=re.escape("dy (4, 4, 4) does not fit: wanted (4, 4, 3)")):
        conv_general_backward_data(np.ones((4, 4, 4)), W, input_shape=X.shape)
    with pytest.raises(ValueError, match=re.escape("dy (4, 4, 4) does not fit: wanted (4, 3, 4)")):
        conv_general_backward_weights(
            X, np.ones((4, 4, 4)), weight_shape=W.shape, dimension_numbers="NCW,OIW->NWC"
        )


def test_empty_batch():
    x, w, dy = np.ones((0, 2, 5)), np.ones((4, 2, 3)), np.ones((0, 4, 3))
    assert conv_general(x, w).shape == (0, 4, 3)
    assert conv_general_backward_data(dy, w, input_shape=x.shape).shape == x.shape
    dw = conv_general_backward_weights(x, dy, weight_shape=w.shape)
    assert dw.shape == w.shape
    assert not dw.any()
    with pytest.raises(ValueError, match="does not fit: wanted"):
        conv_general_backward_weights(x, dy[:, 1:], weight_shape=w.shape)


def test_an_image_of_padding_alone():
    x, w, padding = np.ones((1, 2, 5)), np.ones((3, 2, 2)), ((-5, 4),)
    y = conv_general(x, w, padding=padding)
    assert y.tolist() == [[[0] * 3] * 3]
    dx = conv_general_backward_data(y + 1, w, input_shape=x.shape, padding=padding)
    dw = conv_general_backward_weights(x, y + 1, weight_shape=w.shape, padding=padding)
    assert not dx.any()
    assert not dw.any()


def test_examples_in_docstrings():
    assert doctest.testmod(layouts).failed == 0
