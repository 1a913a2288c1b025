"""Empty batches: empty images, zero gradients of weights; no other axis may be empty."""

from __future__ import annotations

import numpy as np
import pytest

import clconv
from clconv import reference

F32 = np.float32

EMPTY = {
    "conv": (("x", "w", "bias"), {}, ["y"]),
    "conv_backward_data": (("y", "w"), {"input_shape": "x"}, ["x"]),
    "conv_backward_weights": (("x", "y"), {"weight_shape": "w"}, ["w"]),
    "conv_backward_bias": (("y",), {}, ["bias"]),
    "conv_transpose": (("y", "w"), {}, ["x"]),
    "conv_transpose_backward_data": (("x", "w"), {"input_shape": "y"}, ["y"]),
    "conv_transpose_backward_weights": (("y", "x"), {"weight_shape": "w"}, ["w"]),
    "conv_general": (("x", "w"), {}, ["y"]),
    "conv_general_backward_data": (("y", "w"), {"input_shape": "x"}, ["x"]),
    "conv_general_backward_weights": (("x", "y"), {"weight_shape": "w"}, ["w"]),
    "depthwise_conv": (("x", "depthwise"), {}, ["d"]),
    "separable_conv": (("x", "depthwise", "pointwise"), {}, ["y"]),
    "im2col": (("x", 3), {}, ["cols"]),
    "col2im": (("cols", (5, 6), 3), {}, ["x"]),
    "max_pool": (("x", 3), {"stride": 1, "return_indices": True}, ["d", "d"]),
    "max_pool_backward": (("d", "indices"), {"input_shape": "x"}, ["x"]),
    "avg_pool": (("x", 3), {"stride": 1}, ["d"]),
    "avg_pool_backward": (("d", 3), {"input_shape": "x", "stride": 1}, ["x"]),
    "adaptive_avg_pool": (("x", (3, 4)), {}, ["d"]),
    "adaptive_avg_pool_backward": (("d",), {"input_shape": "x"}, ["x"]),
    "adaptive_max_pool": (("x", (3, 4)), {"return_indices": True}, ["d", "d"]),
    "global_avg_pool": (("x",), {}, ["g"]),
    "global_max_pool": (("x",), {}, ["g"]),
    "max_unpool": (("d", "indices"), {"output_size": (5, 6)}, ["x"]),
    "max_unpool_backward": (("x", "indices"), {}, ["d"]),
}
SHAPES = {
    "x": (0, 2, 5, 6),
    "w": (4, 2, 3, 3),
    "bias": (4,),
    "y": (0, 4, 3, 4),
    "depthwise": (2, 1, 3, 3),
    "pointwise": (4, 2, 1, 1),
    "d": (0, 2, 3, 4),
    "g": (0, 2, 1, 1),
    "cols": (0, 18, 12),
    "indices": (0, 2, 3, 4),
}


def empty_call(name, to_device=lambda a: a):
    """Return the positional and keyword arguments of `name` on an empty batch."""
    positional, options, _ = EMPTY[name]
    dtypes = {"indices": np.int64}
    arrays = {n: np.ones(shape, dtypes.get(n, F32)) for n, shape in SHAPES.items()}
    arguments = [to_device(arrays[each]) if isinstance(each, str) else each for each in positional]
    options = {k: SHAPES[v] if isinstance(v, str) else v for k, v in options.items()}
    return arguments, options


def as_tuple(results):
    return results if isinstance(results, tuple) else (results,)


@pytest.mark.parametrize("name", EMPTY)
def test_an_empty_batch_gives_empty_images_and_zero_gradients(device, name):
    arguments, options = empty_call(name)
    actual = as_tuple(getattr(clconv, name)(*arguments, device=device, **options))
    expected = as_tuple(getattr(reference, name)(*arguments, **options))
    for y, exact, shape in zip(actual, expected, EMPTY[name][2], strict=True):
        assert y.shape == exact.shape == SHAPES[shape]
        assert not y.any()
        assert not exact.any()


@pytest.mark.parametrize("name", EMPTY)
def test_an_empty_batch_on_a_queue(device, queue, name):
    import pyopencl.array as cl_array

    arguments, options = empty_call(name, lambda a: cl_array.to_device(queue, a))
    for y, shape in zip(
        as_tuple(getattr(clconv, name)(*arguments, **options)), EMPTY[name][2], strict=True
    ):
        assert isinstance(y, cl_array.Array)
        assert y.shape == SHAPES[shape]
        assert not y.get().any()


def test_an_empty_batch_with_everything(device, queue):
    import pyopencl.array as cl_array

    x, w, bias, out = (np.ones(SHAPES[name], F32) for name in ("x", "w", "bias", "y"))
    options = {"beta": 2, "activation": "sigmoid"}
    assert clconv.conv(x, w, bias, out=out, device=device, **options) is out
    x, w, bias, out = (cl_array.to_device(queue, each) for each in (x, w, bias, out))
    assert clconv.conv(x, w, bias, out=out, **options) is out


@pytest.mark.parametrize("numbers", ["CHWN,IHWO->CHWN", "HWNC,OIHW->NHWC", "CNHW,OHWI->HWCN"])
def test_the_batch_is_the_axis_that_the_layout_says(device, numbers):
    def laid_out(shape, layout, letters):
        return tuple(dict(zip(letters, shape, strict=True))[letter] for letter in layout)

    x_layout, rest = numbers.split(",")
    w_layout, y_layout = rest.split("->")
    w_shape = laid_out(SHAPES["w"], w_layout, "OIHW")
    options = {"dimension_numbers": numbers}
    for batch, channels in ((0, 2), (2, 0)):
        x = np.ones(laid_out((batch, channels, 5, 6), x_layout, "NCHW"), F32)
        y = np.ones(laid_out((batch, 4, 3, 4), y_layout, "NCHW"), F32)
        w = np.ones(w_shape, F32)
        for name, arguments, more in (
            ("conv", (x, w), {}),
            ("conv_backward_data", (y, w), {"input_shape": x.shape}),
            ("conv_backward_weights", (x, y), {"weight_shape": w.shape}),
            ("conv_general", (x, w), {}),
            ("conv_general_backward_data", (y, w), {"input_shape": x.shape}),
            ("conv_general_backward_weights", (x, y), {"weight_shape": w.shape}),
        ):
            ours, theirs = getattr(clconv, name), getattr(reference, name)
            if batch == 0:
                actual = ours(*arguments, device=device, **options, **more)
                expected = theirs(*arguments, **options, **more)
                np.testing.assert_array_equal(actual, expected)
            else:
                with pytest.raises(clconv.GeometryError, match=r"must have all sizes 1 or more"):
                    ours(*arguments, device=device, **options, **more)
                with pytest.raises(ValueError, match="only the batch may be empty"):
                    theirs(*arguments, **options, **more)


@pytest.mark.parametrize("layout", ["CHWN", "HNWC", "NHWC"])
def test_pools_know_the_batch_by_its_letter(device, layout):
    for empty in "NCHW":
        sizes = {"N": 2, "C": 3, "H": 4, "W": 4} | {empty: 0}
        x = np.ones([sizes[letter] for letter in layout], F32)
        for name in ("max_pool", "avg_pool", "im2col"):
            if empty == "N":
                y = getattr(clconv, name)(x, 2, layout=layout, device=device)
                assert y.shape == getattr(reference, name)(x, 2, layout=layout).shape
                continue
            with pytest.raises(clconv.GeometryError, match=r"x \(.*0.*\) must have all sizes 1"):
                getattr(clconv, name)(x, 2, layout=layout, device=device)
            with pytest.raises(ValueError, match="only the batch may be empty"):
                getattr(reference, name)(x, 2, layout=layout)


@pytest.mark.parametrize("name", EMPTY)
def test_no_other_axis_may_be_empty(device, name):
    """Each axis of each argument in turn, the batch aside; a shape as well as an array."""
    positional, options, _ = EMPTY[name]
    sized = {n: (2, *s[1:]) if s[0] == 0 else s for n, s in SHAPES.items()}
    named = {*positional, *options.values()} & SHAPES.keys() - {"bias"}
    for change in sorted(named):
        for axis in range(len(sized[change])):
            if axis == 0 and SHAPES[change][0] == 0:
                continue
            shapes = sized | {change: tuple(n * (a != axis) for a, n in enumerate(sized[change]))}
            arrays = {
                n: np.zeros(s, np.int64 if n == "indices" else F32) for n, s in shapes.items()
            }
            arguments = [arrays[each] if isinstance(each, str) else each for each in positional]
            more = {k: shapes[v] if isinstance(v, str) else v for k, v in options.items()}
            more["device"] = device
            with pytest.raises(ValueError, match=r"\(.*0.*\)") as caught:
                getattr(clconv, name)(*arguments, **more)
            assert isinstance(caught.value, clconv.GeometryError)
            del more["device"]
            with pytest.raises(ValueError, match=r"empty|fit|kernel_size|output_size|is not|has 0"):
                getattr(reference, name)(*arguments, **more)
