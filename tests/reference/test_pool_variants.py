"""reference/pool*.py: semantics, layouts, unpooling, norms, adaptive and global pooling."""

import re

import numpy as np
import pytest

from clconv.reference import (
    adaptive_avg_pool,
    adaptive_avg_pool_backward,
    adaptive_max_pool,
    avg_pool,
    avg_pool_backward,
    global_avg_pool,
    global_lp_pool,
    global_max_pool,
    lp_pool,
    lp_pool_backward,
    max_pool,
    max_pool_backward,
    max_unpool,
    max_unpool_backward,
)
from clconv.reference.shapes import POOL_SHAPES

EDGES = POOL_SHAPES["edges"]
INF, NAN = np.inf, np.nan


def integers(shape, seed=0):
    return np.random.default_rng(seed).integers(-9, 10, shape)


def adjoint(forward, backward, x):
    """Whether <A x, dy> = <x, A* dy>, for numbers that need no rounding."""
    y = forward(x)
    dy = integers(y.shape, seed=1) * 2520.0
    return (y * dy).sum() == (x * backward(dy)).sum()


# semantics


def test_what_none_means():
    x = np.arange(1.0, 6).reshape(1, 1, 5)
    assert avg_pool(x, 3, padding=1).tolist() == [[[1, 4]]]
    assert avg_pool(x, 3, padding=1, semantics="onnx").tolist() == [[[1.5, 2, 3, 4, 4.5]]]
    assert max_pool(x, 3).tolist() == [[[3]]]
    assert max_pool(x, 3, semantics="onnx").tolist() == [[[3, 4, 5]]]


def test_padding_beyond_half_is_onnx():
    x = np.array([[[-1.0, -2.0]]])
    keywords = {"stride": 1, "padding": 2, "semantics": "onnx"}
    y, indices = max_pool(x, 2, return_indices=True, **keywords)
    assert y.tolist() == [[[-INF, -1, -1, -2, -INF]]]
    assert indices.tolist() == [[[-1, 0, 0, 1, -1]]]
    np.testing.assert_array_equal(avg_pool(x, 2, **keywords), [[[NAN, -1, -1.5, -2, NAN]]])
    assert avg_pool(x, 2, count_include_pad=True, **keywords).tolist() == [[[0, -0.5, -1.5, -1, 0]]]
    dx = avg_pool_backward(np.ones((1, 1, 5)), 2, input_shape=x.shape, **keywords)
    assert dx.tolist() == [[[1.5, 1.5]]]


def test_an_unknown_semantics_is_refused():
    with pytest.raises(ValueError, match="semantics='jax' is unknown: wanted one of"):
        max_pool(np.ones((1, 1, 1)), 1, semantics="jax")


def test_complex_numbers_have_no_maximum():
    with pytest.raises(ValueError, match="dtype complex64 has no order"):
        max_pool(np.ones((1, 1, 1), "complex64"), 1)
    with pytest.raises(ValueError, match="dtype complex64 has no order"):
        adaptive_max_pool(np.ones((1, 1, 1), "complex64"), 1)


def test_bfloat16_keeps_its_dtype():
    ml_dtypes = pytest.importorskip(
        "ml_dtypes", reason="ml_dtypes, which has bfloat16, is not installed"
    )
    x = np.array([[[-3, -2, -5]]], ml_dtypes.bfloat16)
    y = max_pool(x, 2, stride=1, padding=1)
    assert y.dtype == x.dtype
    assert y.astype(float).tolist() == [[[-3, -2, -2, -5]]]
    assert avg_pool(x, 3).item() == -10 / 3


def test_divisor_override_and_dilation():
    x = np.arange(1.0, 8).reshape(1, 1, 7)
    assert avg_pool(x, 3, divisor_override=2).tolist() == [[[3, 7.5]]]
    assert avg_pool(x, 3, stride=1, dilation=3).tolist() == [[[4]]]
    y = avg_pool(x, 2, stride=6, padding=1, dilation=2, count_include_pad=False)
    assert y.tolist() == [[[2, 6]]]
    with pytest.raises(ValueError, match="divisor_override=0 is below 1"):
        avg_pool(x, 3, divisor_override=0)


AVERAGES = [
    {"divisor_override": 5},
    {"dilation": 2, "stride": 3, "padding": 1},
    {"dilation": (1, 3), "padding": 1, "ceil_mode": True, "count_include_pad": False},
    {"padding": ((2, 3), (1, 4)), "semantics": "onnx"},
    {"padding": 1, "stride": 2, "layout": "NHWC"},
    {"padding": 1, "stride": (2, 1), "layout": "CWHN"},
]


@pytest.mark.parametrize("keywords", AVERAGES, ids=str)
def test_average_backward_is_the_adjoint(keywords):
    x = integers((8, 9, 8, 9)) * 1.0
    assert adjoint(
        lambda x: np.nan_to_num(avg_pool(x, (3, 2), **keywords)),
        lambda dy: avg_pool_backward(dy, (3, 2), input_shape=x.shape, **keywords),
        x,
    )


@pytest.mark.parametrize("layout", ["NHWC", "CHWN", "HWNC"])
@pytest.mark.parametrize("name", ["3x3_stride_2", "ceil_padded_exclude", "dilation_ceil"])
def test_layouts(layout, name):
    shape = EDGES[name]
    axes = ["NCHW".index(each) for each in layout]
    x, dy = shape.integer_tensors("float64")
    moved = x.transpose(axes)
    y, indices = max_pool(x, shape.kernel, return_indices=True, **shape.max_keywords())
    y_moved, indices_moved = max_pool(
        moved, shape.kernel, return_indices=True, layout=layout, **shape.max_keywords()
    )
    np.testing.assert_array_equal(y_moved, y.transpose(axes))
    np.testing.assert_array_equal(indices_moved, indices.transpose(axes))
    dx = max_pool_backward(
        dy.transpose(axes), indices_moved, input_shape=moved.shape, layout=layout
    )
    np.testing.assert_array_equal(
        dx, max_pool_backward(dy, indices, input_shape=x.shape).transpose(axes)
    )


@pytest.mark.parametrize("layout", ["NHWC", "CHWN", "HWNC"])
def test_layouts_of_adaptive_pooling_and_unpooling(layout):
    axes = ["NCHW".index(each) for each in layout]
    x = integers((2, 3, 5, 6)) * 1.0
    y, indices = adaptive_max_pool(x, (2, 4), return_indices=True)
    moved = [each.transpose(axes) for each in (x, y, indices)]
    shape = moved[0].shape
    for actual, expected in (
        (adaptive_max_pool(moved[0], (2, 4), return_indices=True, layout=layout)[0], y),
        (adaptive_max_pool(moved[0], (2, 4), return_indices=True, layout=layout)[1], indices),
        (adaptive_avg_pool(moved[0], (2, 4), layout=layout), adaptive_avg_pool(x, (2, 4))),
        (
            adaptive_avg_pool_backward(moved[1], input_shape=shape, layout=layout),
            adaptive_avg_pool_backward(y, input_shape=x.shape),
        ),
        (global_avg_pool(moved[0], layout=layout), global_avg_pool(x)),
        (global_max_pool(moved[0], layout=layout), global_max_pool(x)),
        (
            max_unpool(*moved[1:], output_size=(5, 6), layout=layout),
            max_unpool(y, indices, output_size=(5, 6)),
        ),
        (max_unpool_backward(moved[0], moved[2], layout=layout), max_unpool_backward(x, indices)),
    ):
        np.testing.assert_array_equal(actual, expected.transpose(axes))


# unpooling


def test_unpool_puts_back_and_the_last_one_stays():
    y = max_unpool([[[5, 6, 7, 8]]], [[[3, 1, 1, -1]]], output_size=(5,))
    assert y.tolist() == [[[0, 7, 0, 5, 0]]]
    assert max_unpool_backward([[[1, 2, 3, 4, 5]]], [[[3, 1, 1, -1]]]).tolist() == [[[4, 2, 2, 0]]]


@pytest.mark.parametrize("name", ["plain", "remainder", "stride_beyond_window", "3d_plain"])
def test_unpool_is_undone_and_has_its_adjoint(name):
    shape = EDGES[name]
    x = shape.random_tensors("float64").x
    y, indices = max_pool(x, shape.kernel, return_indices=True, **shape.max_keywords())
    image = max_unpool(y, indices, output_size=shape.spatial)
    assert image.dtype == x.dtype
    assert ((image == x) | (image == 0)).all()
    np.testing.assert_array_equal(max_unpool_backward(image, indices), y)
    y, dx = integers(y.shape), integers(x.shape, seed=1)
    assert (max_unpool(y, indices, output_size=shape.spatial) * dx).sum() == (
        y * max_unpool_backward(dx, indices)
    ).sum()


def test_unpool_refuses():
    with pytest.raises(ValueError, match="indices run from 0 to 4, but a channel plane"):
        max_unpool([[[1, 2]]], [[[0, 4]]], output_size=(4,))
    with pytest.raises(ValueError, match=re.escape("indices (1, 1, 1) does not fit")):
        max_unpool([[[1, 2]]], [[[0]]], output_size=(4,))
    with pytest.raises(ValueError, match="indices run from 0 to 4"):
        max_unpool_backward([[[1, 2]]], [[[0, 4]]])


# norms


@pytest.mark.parametrize("name", EDGES)
@pytest.mark.parametrize("p", [1, 2, 3, 2.5])
def test_norms_are_averages_of_powers(name, p):
    shape = EDGES[name]
    keywords = shape.max_keywords()
    x = shape.random_tensors("float64").x
    taps = int(np.prod(shape.kernel))
    averages = avg_pool(abs(x) ** p, shape.kernel, **keywords)
    np.testing.assert_allclose(
        lp_pool(x, shape.kernel, p=p, **keywords).astype(float),
        ((averages * taps) ** (1 / p)).astype(float),
        rtol=1e-12,
    )


@pytest.mark.parametrize("p", [1, 2, 3, 2.5])
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("semantics", ["torch", "onnx"])
def test_the_gradient_of_a_norm_is_a_difference_quotient(p, signed, semantics):
    keywords = {"p": p, "signed": signed, "stride": 2, "ceil_mode": True, "semantics": semantics}
    x = np.random.default_rng(0).uniform(0.1, 1, (1, 2, 6, 7))
    if not signed:
        x = -x
    dy = integers(lp_pool(x, 3, **keywords).shape)
    direction = np.random.default_rng(2).uniform(-1, 1, x.shape)
    step = 1e-6
    ahead, behind = (lp_pool(x + sign * step * direction, 3, **keywords) for sign in (1, -1))
    quotient = ((ahead - behind) * dy).sum() / (2 * step)
    dx = lp_pool_backward(dy, x, 3, **keywords)
    assert float((dx * direction).sum()) == pytest.approx(float(quotient), rel=1e-8)


def test_signs_edges_and_zeros_of_norms():
    x = np.array([[[3.0, -5.0, 2.0]]])
    assert lp_pool(x, 2, p=1, stride=1).tolist() == [[[8, 7]]]
    assert lp_pool(x, 2, p=1, signed=True, stride=1).tolist() == [[[-2, -3]]]
    assert np.isnan(lp_pool(x, 2, p=3, signed=True)).all()
    keywords = {"p": 1, "stride": 2, "ceil_mode": True}
    assert lp_pool(x, 2, **keywords).tolist() == [[[8, 4]]]
    assert lp_pool(x, 2, semantics="onnx", **keywords).tolist() == [[[8, 2]]]
    assert lp_pool_backward([[[1.0]]], [[[0.0, 0.0]]], 2).tolist() == [[[0, 0]]]
    assert lp_pool_backward([[[2.0]]], [[[3.0, -4.0]]], 2, p=1).tolist() == [[[2, -2]]]
    # The last element is in no window: nothing comes of a slope of NaN.
    keywords = {"p": 1.5, "signed": True}
    assert lp_pool_backward([[[1.0]]], [[[4.0, 0.0, -1.0]]], 2, **keywords).tolist()[0][0][1:] == [
        0,
        0,
    ]
    with pytest.raises(ValueError, match=re.escape("p=0.5 is below 1")):
        lp_pool(x, 2, p=0.5)
    with pytest.raises(ValueError, match="p=inf is not finite"):
        lp_pool(x, 2, p=INF)


@pytest.mark.parametrize("layout", ["NHWC", "CHWN", "HWNC"])
@pytest.mark.parametrize("p", [1, 3])
def test_layouts_of_norms(p, layout):
    axes = ["NCHW".index(each) for each in layout]
    x, keywords = integers((2, 3, 5, 6)) * 1.0, {"p": p, "stride": (2, 1), "padding": 1}
    y, moved = lp_pool(x, (2, 3), **keywords), x.transpose(axes)
    dx = lp_pool_backward(y, x, (2, 3), **keywords)
    # "NHWC" and "CHWN" have H before W, as have the options.
    keywords["layout"] = layout
    np.testing.assert_array_equal(lp_pool(moved, (2, 3), **keywords), y.transpose(axes))
    np.testing.assert_array_equal(
        lp_pool_backward(y.transpose(axes), moved, (2, 3), **keywords), dx.transpose(axes)
    )
    np.testing.assert_array_equal(
        global_lp_pool(moved, p=p, layout=layout), global_lp_pool(x, p=p).transpose(axes)
    )


def test_exponents_are_rounded_to_the_wide_dtype_only():
    x = np.full((1, 1, 1), 1e90)
    error = lp_pool(x, 1, p=3)[0, 0, 0] / np.longdouble(1e90) - 1
    assert abs(error) <= 1000 * np.finfo(np.longdouble).eps


@pytest.mark.parametrize("p", [1, 2, 3])
def test_norms_and_their_gradients_are_those_of_torch(p):
    torch = pytest.importorskip(
        "torch", reason="torch, an independent implementation, is not installed"
    )
    x = torch.rand(2, 3, 8, 7, dtype=torch.float64, requires_grad=True)
    y = torch.nn.functional.lp_pool2d(x, p, 3, 2, True)
    y.sum().backward()
    keywords = {"p": p, "signed": True, "stride": 2, "ceil_mode": True}
    values = x.detach().numpy()
    np.testing.assert_allclose(
        lp_pool(values, 3, **keywords).astype(float), y.detach().numpy(), rtol=1e-12
    )
    dx = lp_pool_backward(np.ones(y.shape), values, 3, **keywords)
    np.testing.assert_allclose(dx.astype(float), x.grad.numpy(), rtol=1e-12)


# windows made to measure

ADAPTIVE = [((7,), 3), ((5,), 9), ((8, 6), (4, 3)), ((7, 5), (3, 1)), ((3, 5, 4), (2, 3, 4))]


@pytest.mark.parametrize(("spatial", "size"), ADAPTIVE)
def test_adaptive_pooling_is_that_of_torch_and_has_its_adjoint(spatial, size):
    torch = pytest.importorskip(
        "torch", reason="torch, an independent implementation, is not installed"
    )
    x = integers((2, 3, *spatial)) * 1.0
    name = f"adaptive_{{}}_pool{len(spatial)}d"
    average = getattr(torch.nn.functional, name.format("avg"))
    maximum = getattr(torch.nn.functional, name.format("max"))
    expected = average(torch.from_numpy(x), size).numpy()
    y = adaptive_avg_pool(x, size)
    np.testing.assert_allclose(y.astype(float), expected, rtol=1e-14, atol=1e-15)
    assert adjoint(
        lambda x: adaptive_avg_pool(x, size),
        lambda dy: adaptive_avg_pool_backward(dy, input_shape=x.shape),
        x * 2520,
    )
    x[0, 0, ..., :2] = NAN
    expected, places = maximum(torch.from_numpy(x), size, return_indices=True)
    y, indices = adaptive_max_pool(x, size, return_indices=True)
    np.testing.assert_array_equal(y, expected.numpy())
    np.testing.assert_array_equal(indices, places.numpy())
    assert max_pool_backward(np.ones(y.shape), indices, input_shape=x.shape).sum() == y.size


def test_global_pooling():
    x = integers((2, 3, 4, 5)) * 1.0
    planes = x.reshape(2, 3, 20)
    np.testing.assert_array_equal(global_max_pool(x)[..., 0, 0], planes.max(axis=-1))
    np.testing.assert_array_equal(global_avg_pool(x * 20)[..., 0, 0], planes.sum(axis=-1))
    np.testing.assert_array_equal(global_lp_pool(x, p=1)[..., 0, 0], abs(planes).sum(axis=-1))
    assert global_avg_pool(x[..., 0]).shape == (2, 3, 1)


def test_empty_batches():
    x = np.zeros((0, 2, 4))
    assert adaptive_avg_pool(x, 3).shape == adaptive_max_pool(x, 3).shape == (0, 2, 3)
    assert adaptive_avg_pool_backward(x, input_shape=(0, 2, 9)).shape == (0, 2, 9)
    assert global_lp_pool(x).shape == (0, 2, 1)
    assert lp_pool_backward(x, np.zeros((0, 2, 8)), 2).shape == (0, 2, 8)
    assert max_unpool(x, np.zeros(x.shape, int), output_size=(8,)).shape == (0, 2, 8)


def test_nothing_to_pool():
    for function in (adaptive_avg_pool, adaptive_max_pool):
        with pytest.raises(ValueError, match="has an empty axis"):
            function(np.zeros((1, 1, 0)), 1)
        with pytest.raises(ValueError, match="output_size=0 is below"):
            function(np.zeros((1, 1, 2)), 0)
