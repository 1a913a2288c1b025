"""Layouts of transposed, depthwise and separable convolution and of the bias's gradient.

In exact integers: what is computed in any layout is, moved, what the reference has channels-first.
"""

from __future__ import annotations

import numpy as np
import pytest
from support.grid import ALGORITHMS
from support.layouts import Layouts, moved

import clconv
from clconv import reference
from clconv.reference.shapes import TRANSPOSE_SHAPES

TYPES = ("float32", "float16", "complex64")


def integers(rng, shape, dtype="float32"):
    values = rng.integers(-3, 4, shape)
    return (values + 1j * rng.integers(-3, 4, shape) if dtype[0] == "c" else values).astype(dtype)


def per_axis(rng, rank, low, high):
    return tuple(int(v) for v in rng.integers(low, high, rank))


def inner(a, b):
    """Return the inner product of whole numbers, exactly."""
    wide = "complex128" if a.dtype.kind == "c" else "float64"
    return np.vdot(a.astype(wide), b.astype(wide))


def transposed_case(rng):
    """Return layouts, shapes of x and w channels-first, and options; some leave nothing of y."""
    rank = int(rng.integers(1, 4))
    layouts, groups = Layouts(rng, rank, "IO"), int(rng.integers(1, 4))
    stride, dilation = per_axis(rng, rank, 1, 4), per_axis(rng, rank, 1, 4)
    largest = np.maximum(stride, dilation)
    options = {
        "stride": stride,
        "dilation": dilation,
        "padding": tuple((int(low), int(high)) for low, high in rng.integers(0, 3, (rank, 2))),
        "output_padding": tuple(int(v) for v in rng.integers(0, largest)),
        "groups": groups,
        "flip": bool(rng.integers(2)),
    }
    channels, outputs = groups * int(rng.integers(1, 3)), int(rng.integers(1, 3))
    x_shape = (int(rng.integers(1, 3)), channels, *per_axis(rng, rank, 1, 6))
    return layouts, x_shape, (channels, outputs, *per_axis(rng, rank, 1, 4)), options


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("seed", range(3))
def test_random_transposed_convolutions(device, dtype, seed):
    """Forward with a bias, and both adjoints by the reference and by their identity."""
    rng = np.random.default_rng([seed, TYPES.index(dtype)])
    direct = {"algorithm": "direct", "device": device}  # generic: nothing is built anew
    fitting = 0
    for _ in range(25):
        layouts, x_shape, w_shape, options = transposed_case(rng)
        x, w = integers(rng, x_shape, dtype), integers(rng, w_shape, dtype)
        bias = integers(rng, w_shape[1] * options["groups"], dtype)
        laid = options | {"dimension_numbers": str(layouts)}
        x_laid, w_laid = layouts.give_x(x), layouts.give_w(w)
        try:
            expected = reference.conv_transpose(x, w, bias, **options)
        except ValueError:
            with pytest.raises(clconv.GeometryError):
                clconv.conv_transpose(x_laid, w_laid, bias, **laid, **direct)
            continue
        fitting += 1
        y = clconv.conv_transpose(x_laid, w_laid, bias, **laid, **direct)
        np.testing.assert_array_equal(y, layouts.give_y(expected))
        dy = integers(rng, expected.shape, dtype)
        dy_laid = layouts.give_y(dy)
        dx = clconv.conv_transpose_backward_data(
            dy_laid, w_laid, input_shape=x_laid.shape, **laid, **direct
        )
        exact = reference.conv_transpose_backward_data(dy, w, input_shape=x_shape, **options)
        np.testing.assert_array_equal(dx, layouts.give_x(exact))
        dw = clconv.conv_transpose_backward_weights(
            x_laid, dy_laid, weight_shape=w_laid.shape, **laid, **direct
        )
        exact = reference.conv_transpose_backward_weights(x, dy, weight_shape=w_shape, **options)
        np.testing.assert_array_equal(dw, layouts.give_w(exact))
        linear = clconv.conv_transpose(x_laid, w_laid, **laid, **direct)
        assert inner(linear, dy_laid) == inner(x_laid, dx) == inner(w_laid, dw)
    assert fitting > 10


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("name", ["groups", "depthwise", "3d_anisotropic"])
def test_channels_last_by_every_algorithm(device, name, algorithm):
    shape = TRANSPOSE_SHAPES["edges"][name]
    if algorithm == "depthwise" and shape.outputs != shape.groups:
        pytest.skip("conv's input channels are the outputs here: more than one a group")
    letters = "DHW"[3 - len(shape.spatial) :]
    plain, last = f"NC{letters}", f"N{letters}C"
    x, w, dy, bias = shape.integer_tensors("float32")
    keywords = shape.keywords()
    y = reference.conv_transpose(x, w, bias, **keywords)
    dx = reference.conv_transpose_backward_data(dy, w, input_shape=x.shape, **keywords)
    dw = reference.conv_transpose_backward_weights(x, dy, weight_shape=w.shape, **keywords)
    x, y, dy, dx = (moved(each, plain, last) for each in (x, y, dy, dx))
    w, dw = (moved(each, f"IO{letters}", f"{letters}OI") for each in (w, dw))
    keywords["dimension_numbers"] = f"{last},{letters}OI->{last}"
    keywords |= {"algorithm": algorithm, "device": device}
    np.testing.assert_array_equal(clconv.conv_transpose(x, w, bias, **keywords), y)
    data = clconv.conv_transpose_backward_data(dy, w, input_shape=x.shape, **keywords)
    np.testing.assert_array_equal(data, dx)
    weights = clconv.conv_transpose_backward_weights(x, dy, weight_shape=w.shape, **keywords)
    np.testing.assert_array_equal(weights, dw)


def test_default_of_transposed_convolution_has_input_channels_first(device):
    rng = np.random.default_rng(0)
    x, w = integers(rng, (2, 4, 5, 3)), integers(rng, (4, 2, 3, 3))
    y = clconv.conv_transpose(x, w, device=device)
    named = {"dimension_numbers": "NCHW,IOHW->NCHW", "device": device}
    np.testing.assert_array_equal(clconv.conv_transpose(x, w, **named), y)
    swapped = {"dimension_numbers": "NCHW,OIHW->NCHW", "device": device}
    y_swapped = clconv.conv_transpose(x, w.swapaxes(0, 1), **swapped)
    np.testing.assert_array_equal(y_swapped, y)


def test_data_gradient_of_conv_is_a_transposed_convolution(device):
    rng = np.random.default_rng(5)
    dy, w = integers(rng, (4, 2, 3, 5)), integers(rng, (3, 2, 6, 4))
    of_conv = {"dimension_numbers": "NHWC,HWIO->CNWH", "stride": (2, 1), "device": device}
    dx = clconv.conv_backward_data(dy, w, input_shape=(2, 11, 4, 6), **of_conv)
    transposed = of_conv | {"dimension_numbers": "CNWH,HWOI->NHWC"}
    np.testing.assert_array_equal(clconv.conv_transpose(dy, w, **transposed), dx)


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("dtype", TYPES)
def test_depthwise_and_separable_convolution(device, dtype, rank):
    rng = np.random.default_rng([rank, TYPES.index(dtype)])
    for _ in range(3):
        layouts = Layouts(rng, rank)
        x = integers(rng, (2, 3, *per_axis(rng, rank, 4, 7)), dtype)
        w = integers(rng, (6, 1, *per_axis(rng, rank, 1, 4)), dtype)
        pointwise = rng.choice([-1, 1], (4, 6, *[1] * rank)).astype(dtype)
        bias = integers(rng, 6, dtype)
        options = {"stride": per_axis(rng, rank, 1, 3), "padding": per_axis(rng, rank, 0, 3)}
        expected = layouts.give_y(reference.depthwise_conv(x, w, bias, **options))
        mixed = layouts.give_y(reference.separable_conv(x, w, pointwise, bias[:4], **options))
        options |= {"dimension_numbers": str(layouts), "device": device}
        x, w, pointwise = layouts.give_x(x), layouts.give_w(w), layouts.give_w(pointwise)
        y = clconv.depthwise_conv(x, w, bias, **options)
        np.testing.assert_array_equal(y, expected)
        y = clconv.separable_conv(x, w, pointwise, bias[:4], **options)
        np.testing.assert_array_equal(y, mixed)


@pytest.mark.parametrize("dtype", [*TYPES, "int16"])
@pytest.mark.parametrize("layout", ["NWC", "CNHW", "NHWC", "HWCN", "DNWHC"])
def test_gradient_of_the_bias(device, layout, dtype):
    """By the reference, and as the adjoint of a bias that is added in that layout."""
    rng = np.random.default_rng(3)
    plain = "NC" + "".join(letter for letter in layout if letter in "DHW")
    shape = (2, 3, 4, 5, 6)[: len(layout)]
    dy, bias = integers(rng, shape, dtype), integers(rng, 3, dtype)
    everywhere = np.zeros_like(dy) + bias.reshape(-1, *[1] * (len(shape) - 2))
    expected = reference.conv_backward_bias(dy)
    dy, everywhere = (moved(each, plain, layout) for each in (dy, everywhere))
    db = clconv.conv_backward_bias(dy, layout=layout, device=device)
    np.testing.assert_array_equal(db, expected)
    assert db.dtype == ("int32" if dtype == "int16" else dtype)
    assert inner(everywhere, dy) == inner(bias, db)


def test_pyopencl_arrays(device, queue):
    import pyopencl.array as cl_array

    rng = np.random.default_rng(1)
    x, w, separable = (integers(rng, s) for s in ((2, 5, 4, 3), (3, 2, 2, 3), (3, 2, 1, 3)))
    pointwise, numbers = integers(rng, (1, 1, 3, 4)), {"dimension_numbers": "NHWC,HWOI->NHWC"}
    given = [cl_array.to_device(queue, array) for array in (x, w, separable, pointwise)]
    y = clconv.conv_transpose(*given[:2], stride=2, **numbers)
    expected = clconv.conv_transpose(x, w, stride=2, device=device, **numbers)
    np.testing.assert_array_equal(y.get(), expected)
    db = clconv.conv_backward_bias(y, layout="NHWC")
    np.testing.assert_array_equal(db.get(), expected.sum(axis=(0, 1, 2)))
    numbers = {"dimension_numbers": "NHWC,HWOI->NCHW"}
    depthwise, pointwise = integers(rng, (2, 2, 6, 1)), integers(rng, (1, 1, 4, 6))
    given = [given[0], *(cl_array.to_device(queue, array) for array in (depthwise, pointwise))]
    y = clconv.separable_conv(*given, **numbers)
    expected = clconv.separable_conv(x, depthwise, pointwise, device=device, **numbers)
    np.testing.assert_array_equal(y.get(), expected)


@pytest.mark.parametrize("numbers", ["CHWN,IHWO->CHWN", "HWNC,OIHW->NHWC", "CNHW,OHWI->HWCN"])
def test_the_batch_alone_may_be_empty(device, numbers):
    given, y_layout = numbers.split("->")
    x_layout, w_layout = given.split(",")
    w = moved(np.ones((3, 2, 3, 3), np.float32), "IOHW", w_layout)
    depthwise = moved(np.ones((3, 1, 3, 3), np.float32), "OIHW", w_layout)
    options = {"dimension_numbers": numbers, "device": device}
    for empty in "NCHW":
        sizes = {"N": 2, "C": 3, "H": 4, "W": 5} | {empty: 0}
        x = np.ones([sizes[letter] for letter in x_layout], np.float32)
        dy = np.ones([{"N": 0, "C": 2, "H": 6, "W": 7}[letter] for letter in y_layout], np.float32)
        if empty == "N":
            assert clconv.conv_transpose(x, w, **options).shape == dy.shape
            data = clconv.conv_transpose_backward_data(dy, w, input_shape=x.shape, **options)
            assert data.shape == x.shape
            weights = clconv.conv_transpose_backward_weights(x, dy, weight_shape=w.shape, **options)
            np.testing.assert_array_equal(weights, np.zeros_like(w))
            assert clconv.depthwise_conv(x, depthwise, **options).size == 0
            assert not clconv.conv_backward_bias(x, layout=x_layout, device=device).any()
            continue
        for call in (
            lambda f, x=x, **on: f.conv_transpose(x, w, dimension_numbers=numbers, **on),
            lambda f, x=x, **on: f.depthwise_conv(x, depthwise, dimension_numbers=numbers, **on),
            lambda f, x=x, **on: f.conv_backward_bias(x, layout=x_layout, **on),
        ):
            with pytest.raises(clconv.GeometryError, match="must have all sizes 1 or more"):
                call(clconv, device=device)
            with pytest.raises(ValueError, match="only the batch may be empty"):
                call(reference)


X, W = np.ones((1, 5, 6, 4), np.float32), np.ones((3, 3, 2, 4), np.float32)
WRONG = {
    "one layout": ("NHWC", "dimension_numbers 'NHWC' must name the 4 axes of x, w and y"),
    "letter twice": ("NHWC,HWOO->NHWC", "must name the 4 axes"),
    "letter of x in w": ("NHWC,HWOC->NHWC", "must name the 4 axes"),
    "no y": ("NHWC,HWOI", "must name the 4 axes"),
    "rank": ("NWC,WOI->NWC", "must name the 4 axes"),
    "other spatial letter": ("NHWC,HDOI->NHWC", "must name the 4 axes"),
}
CALLS = {
    "conv_transpose": lambda **options: clconv.conv_transpose(X, W, **options),
    "backward_data": lambda **options: clconv.conv_transpose_backward_data(
        X, W, input_shape=X.shape, **options
    ),
    "backward_weights": lambda **options: clconv.conv_transpose_backward_weights(
        X, X, weight_shape=W.shape, **options
    ),
    "depthwise": lambda **options: clconv.depthwise_conv(X, W, **options),
    "separable": lambda **options: clconv.separable_conv(X, W, W, **options),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_wrong_strings(device, call):
    for text, message in WRONG.values():
        with pytest.raises(clconv.GeometryError, match=message):
            call(dimension_numbers=text, device=device)
    with pytest.raises(TypeError, match="dimension_numbers must be a string, got 3"):
        call(dimension_numbers=3, device=device)


def test_sizes_that_do_not_fit_the_letters(device):
    last = {"dimension_numbers": "NHWC,HWIO->NHWC", "device": device}
    with pytest.raises(clconv.GeometryError, match=r"w \(3, 3, 2, 4\) .*; dimension_numbers NHW"):
        clconv.conv_transpose(X, W, **last)
    with pytest.raises(clconv.GeometryError, match=r"w \(3, 3, 2, 4\) must be \(C\*M, 1, \*k"):
        clconv.depthwise_conv(X, W, **last)
    depthwise, pointwise = np.ones((3, 3, 1, 4), "f4"), np.ones((1, 1, 5, 2), "f4")
    with pytest.raises(clconv.GeometryError, match=r"w_pointwise \(1, 1, 5, 2\) must have as m"):
        clconv.separable_conv(X, depthwise, pointwise, **last)
    with pytest.raises(clconv.GeometryError, match=r"w_pointwise \(3, 3, 2, 4\) must be \(O, C\*M"):
        clconv.separable_conv(X, depthwise, W, **last)
    with pytest.raises(clconv.GeometryError, match=r"w_pointwise \(1, 1, 5\) must have as many ax"):
        clconv.separable_conv(X, depthwise, pointwise[..., 0], **last)
    dy = np.ones((1, 7, 8, 2), np.float32)
    last["dimension_numbers"] = "NHWC,HWOI->NHWC"
    for shape in ((1, 6, 5, 4), (1, 4, 5, 6)):
        with pytest.raises(
            clconv.GeometryError, match=r"dy has shape \(1, 7, 8, 2\), but|w \(3, 3"
        ):
            clconv.conv_transpose_backward_data(dy, W, input_shape=shape, **last)


@pytest.mark.parametrize(
    ("layout", "error"), [("NHWX", ValueError), ("NWC", ValueError), (3, TypeError)]
)
def test_wrong_layouts_of_the_bias(device, layout, error):
    with pytest.raises(error, match=r"layout .*must (name 4 axes|be a string)"):
        clconv.conv_backward_bias(X, layout=layout, device=device)
