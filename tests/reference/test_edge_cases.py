"""The reference against its "Edge cases": NaN, infinities, signed zeros, empty windows and batches.

torch is asked where it has one answer: in float64, which it computes by im2col.
"""

from __future__ import annotations

import numpy as np
import pytest
from support.specials import planted, planted_tensors

from clconv import reference
from clconv.reference import (
    adaptive_avg_pool,
    adaptive_max_pool,
    avg_pool,
    col2im,
    conv,
    conv_backward_data,
    conv_backward_weights,
    conv_general,
    conv_general_backward_data,
    conv_general_backward_weights,
    conv_transpose,
    conv_transpose_backward_data,
    conv_transpose_backward_weights,
    im2col,
    loops,
    max_pool,
    max_pool_backward,
    max_unpool,
)
from clconv.reference.activations import ACTIVATIONS
from clconv.reference.im2col import backward_data, backward_weights, forward
from clconv.reference.shapes import CONV_SHAPES

NAN, INF = np.nan, np.inf
SMALL = {name: shape for name, shape in CONV_SHAPES["edges"].items() if shape.flops <= 10_000}
SEEDS = range(60)

pytestmark = pytest.mark.filterwarnings("ignore:invalid value")


@pytest.mark.parametrize("dtype", ["float32", "float64"])  # sums in float64, and in longdouble
@pytest.mark.parametrize("shape", SMALL.values(), ids=SMALL)
def test_tap_sums_and_products_with_x_hat_are_the_loops(shape, dtype):
    """By BLAS and not: neither may leave out a product with zero."""
    keywords = shape.keywords()
    tensors = shape.integer_tensors(dtype)._asdict()
    for seed in range(3):
        t = planted_tensors(np.random.default_rng(seed), tensors, share=0.6)
        x, w, dy = t["x"], t["w"], t["dy"]
        y = loops.forward(x, w, **keywords)
        np.testing.assert_array_equal(conv(x, w, **keywords), y)
        np.testing.assert_array_equal(forward(x, w, **keywords), y)
        data = keywords | {"input_shape": x.shape}
        dx = loops.backward_data(dy, w, **data)
        np.testing.assert_array_equal(conv_backward_data(dy, w, **data), dx)
        np.testing.assert_array_equal(backward_data(dy, w, **data), dx)
        np.testing.assert_array_equal(conv_general_backward_data(dy, w, **data), dx)
        weights = keywords | {"weight_shape": w.shape}
        dw = loops.backward_weights(x, dy, **weights)
        np.testing.assert_array_equal(conv_backward_weights(x, dy, **weights), dw)
        np.testing.assert_array_equal(backward_weights(x, dy, **weights), dw)
        np.testing.assert_array_equal(conv_general_backward_weights(x, dy, **weights), dw)


def test_the_padding_is_zeros_that_are_multiplied():
    x, w = np.ones((1, 1, 3)), np.array([[[INF, 1, 1]]])
    assert same(conv(x, w, padding=1), [NAN, INF, INF])
    assert same(conv(x, w * NAN, padding=((0, 2),)), [NAN] * 3)
    dy = np.array([[[INF, 1, 1]]])
    dw = conv_backward_weights(x, dy, weight_shape=(1, 1, 3), padding=1)
    assert same(dw, [NAN, INF, INF])
    assert same(im2col(x * INF, 3, padding=1)[:, 0], [0, INF, INF])


def test_a_data_gradient_has_the_products_of_taps_with_windows_and_no_others():
    dy, w = np.ones((1, 1, 2)), np.array([[[1, INF]]])
    for gradient in (conv_backward_data, conv_general_backward_data, loops.backward_data):
        dx = gradient(dy, w, input_shape=(1, 1, 5), stride=2)
        assert same(dx, [1, INF, 1, INF, 0])
        # the NaN of window 0 lies under tap 0 on the padding alone
        dx = gradient([[[NAN, 2]]], np.ones((1, 1, 1)), input_shape=(1, 1, 1), padding=((1, 0),))
        assert same(dx, [2])
    assert same(conv_transpose(dy, w, [3], stride=2, output_padding=1), [4, INF, 4, INF, 3])
    assert same(conv_transpose([[[NAN, 2]]], np.ones((1, 1, 1)), padding=((1, 0),)), [2])


def test_a_general_data_gradient_reads_no_zeros_between_elements():
    dy, w = np.ones((1, 1, 5)), np.array([[[INF]]])
    dx = conv_general_backward_data(dy, w, input_shape=(1, 1, 3), input_dilation=2)
    assert same(dx, [INF] * 3)
    # cut off: no product at all
    dx = conv_general_backward_data(dy[..., :4], w, input_shape=(1, 1, 6), padding=((-1, -1),))
    assert same(dx, [0, INF, INF, INF, INF, 0])


def test_windows_in_the_padding_alone():
    x = np.ones((1, 1, 2))
    assert same(conv(x, np.ones((1, 1, 2)), [5], padding=3), [5, 5, 6, 7, 6, 5, 5])
    y = conv(x, [[[1, -INF]]], [5], padding=3)
    assert same(y, [NAN, NAN, -INF, -INF, NAN, NAN, NAN])
    window = {"padding": 2, "stride": 1, "semantics": "onnx"}
    assert same(max_pool(x, 2, **window), [-INF, 1, 1, 1, -INF])
    assert same(avg_pool(x, 2, **window), [NAN, 1, 1, 1, NAN])
    assert same(avg_pool(x, 2, count_include_pad=True, **window), [0, 0.5, 1, 0.5, 0])


def test_infinities_of_both_signs_are_nan_and_nan_stays():
    x, w = np.array([[[INF, 1, -INF, NAN]]]), np.ones((1, 1, 2))
    assert same(conv(x, w), [INF, -INF, NAN])
    assert same(conv(x, w, dilation=2), [NAN, NAN])
    assert same(avg_pool(x, 3, stride=1), [NAN, NAN])
    assert same(conv(x, w, [-INF]), [NAN, -INF, NAN])


def test_max_pool_takes_the_first_of_equal_zeros_and_the_last_nan():
    x = [[[0.0, -0.0, -0.0, 0.0, NAN, -NAN]]]
    y, indices = max_pool(x, 2, return_indices=True)
    assert indices.tolist() == [[[0, 2, 5]]]
    assert np.signbit(y[..., :2]).tolist() == [[[False, True]]]
    np.testing.assert_array_equal(adaptive_max_pool(x, 3, return_indices=True)[1], indices)
    dx = max_pool_backward([[[1.0, INF, NAN]]], indices, input_shape=(1, 1, 6))
    assert same(dx, [1, 0, INF, 0, 0, NAN])
    assert same(max_unpool([[[1.0, INF, NAN]]], indices, output_size=(6,)), [1, 0, INF, 0, 0, NAN])


def test_sums_of_copies():
    cols = np.array([[[1, NAN], [INF, -INF]]])
    # element 1 is under tap 1 of window 0 and under tap 0 of window 1
    assert same(col2im(cols, (3,), 2), [1, NAN, -INF])
    assert same(col2im(cols, (1,), 2, padding=((1, 1),)), [NAN])
    assert same(col2im(cols, (2,), 1 + 1, padding=((1, 0),)), [NAN, -INF])


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_padding_that_copies_has_no_zeros(mode):
    x = np.array([[[NAN, 1, 2.0]]])
    w = np.array([[[INF, 0, 0]]])
    y = conv(x, w, padding=((1, 0),), padding_mode=mode)
    assert same(y, [NAN, NAN])
    y = conv(x[..., 1:], w[..., :1], padding=1, padding_mode=mode)
    assert same(y, [INF] * 4)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_nan_passes_through_every_activation(activation):
    y = conv([[[NAN, INF, 0.0]]], [[[1.0]]], activation=activation)
    assert np.isnan(y).tolist() == [[[True, False, False]]]


def test_an_empty_axis_is_refused_by_its_name():
    for axis in (1, 2, 3):
        shape = [2, 3, 4, 5]
        shape[axis] = 0
        x = np.ones(shape)
        name = rf"x \({', '.join(map(str, shape))}\) has an empty axis: only the batch"
        for call in (
            lambda x=x: conv(x, np.ones((2, x.shape[1], 1, 1)), padding=2),
            lambda x=x: conv_general(x, np.ones((2, x.shape[1], 1, 1)), padding=2),
            lambda x=x: conv_transpose(x, np.ones((x.shape[1], 2, 1, 1))),
            lambda x=x: max_pool(x, 1),
            lambda x=x: avg_pool(x, 1),
            lambda x=x: adaptive_avg_pool(x, 1),
            lambda x=x: adaptive_max_pool(x, 1),
            lambda x=x: im2col(x, 2, padding=2),
        ):
            with pytest.raises(ValueError, match=name):
                call()
    with pytest.raises(ValueError, match=r"w \(0, 3, 1\) has an empty axis"):
        conv(np.ones((2, 3, 4)), np.ones((0, 3, 1)))
    with pytest.raises(ValueError, match=r"w \(3, 0, 1\) has an empty axis"):
        conv_transpose(np.ones((2, 3, 4)), np.ones((3, 0, 1)))
    with pytest.raises(ValueError, match=r"output_size \(0,\) has an empty axis"):
        col2im(np.ones((1, 2, 1)), (0,), 2, padding=1)


def same(actual, expected):
    """Whether the last axis of `actual` is `expected`, NaN included."""
    return np.array_equal(np.asarray(actual, float).reshape(-1), expected, equal_nan=True)


# --- torch ---


@pytest.fixture(name="torch")
def import_torch():
    return pytest.importorskip("torch", reason="torch is not installed")


def torch_gradients(torch, function, dy, *tensors):
    """Return y and the gradient of each tensor."""
    tensors = [torch.from_numpy(each).requires_grad_() for each in tensors]
    y = function(*tensors)
    y.backward(torch.from_numpy(dy))
    return [y.detach().numpy(), *(each.grad.numpy() for each in tensors)]


def random_case(seed, dtype=float):
    """Return x, w, their planted copies and options of a convolution."""
    rng = np.random.default_rng(seed)
    rank, groups = int(rng.integers(1, 4)), int(rng.integers(1, 4))
    n, c, o = (int(each) for each in rng.integers(1, 4, 3))
    kernel, stride, dilation = rng.integers(1, 4, (3, rank))
    size = np.maximum(rng.integers(3, 7, rank), dilation * (kernel - 1) + 1)
    options = {"stride": stride.tolist(), "dilation": dilation.tolist(), "groups": groups}
    padding = rng.integers(0, 1 + dilation * (kernel - 1) // 2 + 1).tolist()
    x = rng.integers(-4, 5, (n, c * groups, *size)).astype(dtype)
    w = rng.integers(-4, 5, (o * groups, c, *kernel)).astype(dtype)
    return rng, x, w, options | {"padding": padding}


@pytest.mark.parametrize("seed", SEEDS)
def test_torch_convolves_specials_in_float64_as_the_reference_does(torch, seed):
    rng, x, w, options = random_case(seed)
    bias = rng.integers(-4, 5, len(w)) * 1.0
    dy = rng.integers(-4, 5, conv(x, w, **options).shape) * 1.0
    t = planted_tensors(rng, {"x": x, "w": w, "dy": dy, "bias": bias}, share=0.6)
    x, w, dy, bias = t["x"], t["w"], t["dy"], t["bias"]
    function = getattr(torch.nn.functional, f"conv{x.ndim - 2}d")
    results = torch_gradients(torch, lambda x, w, b: function(x, w, b, **options), dy, x, w, bias)
    for theirs, ours in zip(
        results,
        (
            conv(x, w, bias, **options),
            conv_backward_data(dy, w, input_shape=x.shape, **options),
            conv_backward_weights(x, dy, weight_shape=w.shape, **options),
            reference.conv_backward_bias(dy),
        ),
        strict=True,
    ):
        np.testing.assert_array_equal(theirs, ours)


@pytest.mark.parametrize("seed", SEEDS)
def test_torch_transposes_specials_in_float64_as_the_reference_does(torch, seed):
    rng, x, _, options = random_case(seed)
    rank, groups = x.ndim - 2, options["groups"]
    steps = zip(options["stride"], options["dilation"], strict=True)
    options["output_padding"] = [int(rng.integers(0, max(pair))) for pair in steps]
    kernel = rng.integers(2, 4, rank)
    options["padding"] = [int(rng.integers(0, 2)) for _ in range(rank)]
    w = rng.integers(-4, 5, (x.shape[1], int(rng.integers(1, 3)), *kernel)) * 1.0
    bias = rng.integers(-4, 5, w.shape[1] * groups) * 1.0
    dy = rng.integers(-4, 5, conv_transpose(x, w, **options).shape) * 1.0
    t = planted_tensors(rng, {"x": x, "w": w, "dy": dy, "bias": bias}, share=0.6)
    x, w, dy, bias = t["x"], t["w"], t["dy"], t["bias"]
    function = getattr(torch.nn.functional, f"conv_transpose{rank}d")
    results = torch_gradients(torch, lambda x, w, b: function(x, w, b, **options), dy, x, w, bias)
    for theirs, ours in zip(
        results,
        (
            conv_transpose(x, w, bias, **options),
            conv_transpose_backward_data(dy, w, input_shape=x.shape, **options),
            conv_transpose_backward_weights(x, dy, weight_shape=w.shape, **options),
            reference.conv_backward_bias(dy),
        ),
        strict=True,
    ):
        np.testing.assert_array_equal(theirs, ours)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("seed", SEEDS)
def test_torch_pools_specials_as_the_reference_does(torch, seed, dtype):
    rng = np.random.default_rng(seed)
    rank, kernel = int(rng.integers(1, 4)), int(rng.integers(1, 4))
    options = {"stride": int(rng.integers(1, 3)), "padding": int(rng.integers(0, kernel // 2 + 1))}
    options["ceil_mode"] = bool(rng.integers(2))
    multiple = 1728  # of what any window is divided by
    x = multiple * rng.integers(-3, 4, (2, 2, *rng.integers(4, 7, rank))).astype(dtype)
    x = planted(rng, x, count=6)
    functional = torch.nn.functional
    pool = getattr(functional, f"max_pool{rank}d")
    y, indices = max_pool(x, kernel, return_indices=True, **options)
    _, where = pool(torch.from_numpy(x), kernel, return_indices=True, **options)
    np.testing.assert_array_equal(where.numpy(), indices)
    dy = planted(rng, multiple * rng.integers(-3, 4, y.shape).astype(dtype), count=2)
    theirs, dx = torch_gradients(torch, lambda x: pool(x, kernel, **options), dy, x)
    np.testing.assert_array_equal(theirs, y)
    np.testing.assert_array_equal(np.signbit(theirs), np.signbit(y))
    np.testing.assert_array_equal(dx, max_pool_backward(dy, indices, input_shape=x.shape))
    pool = getattr(functional, f"avg_pool{rank}d")
    theirs, dx = torch_gradients(torch, lambda x: pool(x, kernel, **options), dy, x)
    np.testing.assert_array_equal(theirs, avg_pool(x, kernel, **options))
    ours = reference.avg_pool_backward(dy, kernel, input_shape=x.shape, **options)
    np.testing.assert_array_equal(dx, ours)
    pool = getattr(functional, f"adaptive_avg_pool{rank}d")
    np.testing.assert_array_equal(pool(torch.from_numpy(x), 3).numpy(), adaptive_avg_pool(x, 3))
    pool = getattr(functional, f"adaptive_max_pool{rank}d")
    theirs, where = pool(torch.from_numpy(x), 3, return_indices=True)
    ours, indices = adaptive_max_pool(x, 3, return_indices=True)
    np.testing.assert_array_equal(theirs.numpy(), ours)
    np.testing.assert_array_equal(where.numpy(), indices)


def test_torch_activates_specials_as_the_reference_does(torch):
    """In float64: in float32, torch's gelu(inf) is NaN."""
    v = np.array([NAN, INF, -INF, 0.0, -0.0])
    for name in ACTIVATIONS:
        ours = conv(v.reshape(1, 1, -1), [[[1.0]]], activation=name).reshape(-1)
        theirs = getattr(torch.nn.functional, name)(torch.from_numpy(v)).numpy()
        np.testing.assert_array_equal(theirs, ours)


def test_torch_refuses_what_is_empty_beside_the_batch(torch):
    """And of no channels it makes a y of no channels, whatever O is: nothing to agree with."""
    convolve = torch.nn.functional.conv1d
    assert convolve(torch.ones(2, 0, 5), torch.ones(3, 0, 3)).shape == (2, 0, 3)
    for x, w in (((2, 3, 5), (0, 3, 3)), ((2, 3, 0), (4, 3, 3))):
        with pytest.raises(RuntimeError):
            convolve(torch.ones(x), torch.ones(w), padding=2)
    assert convolve(torch.ones(0, 3, 5), torch.ones(4, 3, 3)).shape == (0, 4, 3)
