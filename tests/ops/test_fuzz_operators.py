"""Wrong and odd arguments of every operator: a clear refusal, or what the reference says.

Each case begins as one that fits, and then up to two of its arguments are replaced.
"""

from __future__ import annotations

import inspect
from math import prod

import numpy as np
import pytest
from support.within import assert_within

import clconv
from clconv import reference
from clconv.reference.bounds import sum_bound
from clconv.reference.bounds_pool import lp_pool_backward_bound, lp_pool_bound

F32 = np.float32
REFUSALS = (ValueError, TypeError, clconv.UnsupportedError, MemoryError)
CASES = 100  # of each operator; a new kind of window is built anew
HUGE = 2**40
ODD = (
    *(-1, 0, 1, 2, 3, HUGE, -HUGE, 10**30, 1.5, float("nan"), float("inf"), True, None, 2j),
    *("same", "same_lower", "valid", "full", "", "NHWC", "zeros", "reflect", "onnx", b"NC", "é"),
    *((), (1,), (2, 1), (1, 1, 2), (-1, 1), (0, 0), ((1, 2),), ((0, 1), (1, 0)), ((1, 2, 3),)),
    *([2, 2], [[1, 1], [0, 2]], (HUGE, 1), (1.5, 1), ("1", "2"), (None, 1), range(2), {}, {1, 2}),
    *(np.int64(2), np.uint8(1), np.float32(1), np.array(2), np.array([1, 2]), np.array([[1, 1]])),
    *(object(), int, lambda: 1, "NCW,OIW->NCW", "NCHW,OIHW->NCHW", "NHWC,HWIO->NHWC", "NCW,OIW"),
)
NAMES = {  # what else than ODD an option is replaced by
    "padding_mode": ("zeros", "reflect", "replicate", "circular", "wrap"),
    "activation": (None, "relu", "relu6", "swish"),
    "semantics": ("torch", "onnx", "jax"),
    "layout": ("NCW", "NWC", "NCHW", "NHWC", "CHWN", "NCDHW", "NDHWC", "NC", "NCC"),
    "dimension_numbers": ("NCW,OIW->NCW", "NWC,WIO->NWC", "NHWC,HWIO->NHWC", "CNHW,OHWI->HWCN"),
    "beta": (0, 1, -2, 0.5),
    "algorithm": ("auto", *clconv.algorithm_names(), "magic"),
    "divisor_override": (None, 1, 7),
}


def integers(rng, shape):
    return rng.integers(-3, 4, shape).astype(F32)


def window_case(rng):
    """Return rank and window options that fit any image of 3 to 6 pixels an axis."""
    rank = int(rng.integers(1, 4))
    kernel = tuple(int(k) for k in rng.integers(1, 3, rank))
    return rank, kernel, {"stride": int(rng.integers(1, 3)), "padding": int(rng.integers(0, 2))}


def image(rng, rank, channels):
    sizes = (int(n) for n in rng.integers(3, 7 if rank < 3 else 5, rank))
    return integers(rng, (int(rng.integers(0, 3)), channels, *sizes))


def conv_case(rng, depthwise=False):
    rank, kernel, options = window_case(rng)
    groups = int(rng.integers(1, 3))
    c, o = (1, 2) if depthwise else (int(n) for n in rng.integers(1, 3, 2))
    x, w = image(rng, rank, c * groups), integers(rng, (o * groups, c, *kernel))
    return x, w, integers(rng, o * groups), options | {"groups": groups}


def conv(rng):
    x, w, bias, options = conv_case(rng)
    return {"x": x, "w": w, "bias": bias, **options}


def conv_backward_data(rng):
    x, w, _, options = conv_case(rng)
    dy = integers(rng, reference.conv(x, w, **options).shape)
    return {"dy": dy, "w": w, "input_shape": x.shape, **options}


def conv_backward_weights(rng):
    x, w, _, options = conv_case(rng)
    dy = integers(rng, reference.conv(x, w, **options).shape)
    return {"x": x, "dy": dy, "weight_shape": w.shape, **options}


def transposed_case(rng):
    y, w, _, options = conv_case(rng)
    x = integers(rng, (y.shape[0], w.shape[0], *y.shape[2:]))
    options["output_padding"] = int(rng.integers(0, options["stride"]))
    return x, w, options


def conv_transpose(rng):
    x, w, options = transposed_case(rng)
    return {"x": x, "w": w, "bias": integers(rng, w.shape[1] * options["groups"]), **options}


def conv_transpose_backward_data(rng):
    x, w, options = transposed_case(rng)
    dy = integers(rng, reference.conv_transpose(x, w, **options).shape)
    return {"dy": dy, "w": w, "input_shape": x.shape, **options}


def conv_transpose_backward_weights(rng):
    x, w, options = transposed_case(rng)
    dy = integers(rng, reference.conv_transpose(x, w, **options).shape)
    return {"x": x, "dy": dy, "weight_shape": w.shape, **options}


def general(case):
    """Return the case of a conv_general: no bias, pixels apart, an edge cut off."""

    def of(rng):
        arguments = case(rng)
        arguments.pop("bias", None)
        x_shape = arguments.get("input_shape", getattr(arguments.get("x"), "shape", None))
        extra = {"input_dilation": 2, "padding": ((1, -1),) * (len(x_shape) - 2)}
        if "dy" in arguments:
            x, w = (
                np.zeros(x_shape),
                np.zeros(arguments.get("weight_shape", np.shape(arguments.get("w")))),
            )
            window = {n: arguments[n] for n in ("stride", "groups")}
            arguments["dy"] = integers(rng, reference.conv_general(x, w, **window, **extra).shape)
        return arguments | extra

    return of


def depthwise_conv(rng):
    x, w, bias, options = conv_case(rng, depthwise=True)
    del options["groups"]
    return {"x": x, "w": w, "bias": bias, **options}


def separable_conv(rng):
    x, w, _, options = conv_case(rng, depthwise=True)
    del options["groups"]
    pointwise = integers(rng, (3, len(w), *[1] * (x.ndim - 2)))
    return {"x": x, "w_depthwise": w, "w_pointwise": pointwise, "bias": None, **options}


def im2col(rng):
    rank, kernel, options = window_case(rng)
    return {"x": image(rng, rank, 2), "kernel_size": kernel, **options}


def col2im(rng):
    arguments = im2col(rng)
    x = arguments.pop("x")
    shape = reference.im2col(x, **arguments).shape
    return {"cols": integers(rng, shape), "output_size": x.shape[2:], **arguments}


def pool(rng):
    rank, kernel, options = window_case(rng)
    options["padding"] = int(rng.integers(0, min(kernel) // 2 + 1))
    return {"x": image(rng, rank, 2), "kernel_size": kernel, **options}


def avg_pool_backward(rng):
    arguments = pool(rng)
    x = arguments.pop("x")
    dy = integers(rng, reference.avg_pool(x, **arguments).shape)
    return {"dy": dy, "input_shape": x.shape, **arguments}


def max_pool_backward(rng):
    arguments = pool(rng)
    y, indices = reference.max_pool(**arguments, return_indices=True)
    return {"dy": integers(rng, y.shape), "indices": indices, "input_shape": arguments["x"].shape}


def max_unpool(rng):
    arguments = max_pool_backward(rng)
    spatial = arguments["input_shape"][2:]
    return {"y": arguments["dy"], "indices": arguments["indices"], "output_size": spatial}


def max_unpool_backward(rng):
    arguments = max_pool_backward(rng)
    return {"dx": integers(rng, arguments["input_shape"]), "indices": arguments["indices"]}


def adaptive(rng):
    rank, kernel, _ = window_case(rng)
    return {"x": image(rng, rank, 2), "output_size": kernel}


def adaptive_avg_pool_backward(rng):
    arguments = adaptive(rng)
    x = arguments["x"]
    dy = integers(rng, (*x.shape[:2], *arguments["output_size"]))
    return {"dy": dy, "input_shape": x.shape}


def global_pool(rng):
    return {"x": adaptive(rng)["x"]}


def conv_integer(rng):
    x, w, _, options = conv_case(rng)
    zeros = {"x_zero_point": int(rng.integers(-3, 4)), "w_zero_point": rng.integers(-3, 4, len(w))}
    return {"x": x.astype("i1"), "w": abs(w).astype("u1"), **zeros, **options}


def qlinear_conv(rng):
    arguments = conv_integer(rng)
    scales = {"x_scale": 0.5, "w_scale": rng.uniform(0.1, 1, len(arguments["w"])), "y_scale": 2.0}
    bias = rng.integers(-9, 10, len(arguments["w"])).astype("i4")
    return arguments | scales | {"y_zero_point": np.uint8(3), "bias": bias}


def deform_conv(rng):
    x, w, bias, options = conv_case(rng)
    taps, rank = prod(w.shape[2:]), x.ndim - 2
    output = reference.conv(x, w, **options).shape[2:]
    offset = rng.integers(-8, 9, (len(x), taps * rank, *output)) / 4
    mask = integers(rng, (len(x), taps, *output))
    return {"x": x, "w": w, "offset": offset.astype(F32), "mask": mask, "bias": bias, **options}


def deform_conv_backward(rng):
    arguments = deform_conv(rng)
    shape = reference.deform_conv(**arguments).shape
    del arguments["bias"]
    return {"dy": integers(rng, shape), **arguments}


def lp_pool(rng):
    return pool(rng) | {"p": 1, "signed": bool(rng.integers(2))}


def lp_pool_backward(rng):
    arguments = lp_pool(rng)
    return {"dy": integers(rng, reference.lp_pool(**arguments).shape), **arguments}


OPERATORS = {
    "conv_integer": conv_integer,
    "qlinear_conv": qlinear_conv,
    "deform_conv": deform_conv,
    "deform_conv_backward": deform_conv_backward,
    "lp_pool": lp_pool,
    "lp_pool_backward": lp_pool_backward,
    "global_lp_pool": lambda rng: global_pool(rng) | {"p": 1},
    "conv": conv,
    "conv_backward_data": conv_backward_data,
    "conv_backward_weights": conv_backward_weights,
    "conv_backward_bias": lambda rng: {"dy": global_pool(rng)["x"]},
    "conv_transpose": conv_transpose,
    "conv_transpose_backward_data": conv_transpose_backward_data,
    "conv_transpose_backward_weights": conv_transpose_backward_weights,
    "conv_general": general(conv),
    "conv_general_backward_data": general(conv_backward_data),
    "conv_general_backward_weights": general(conv_backward_weights),
    "depthwise_conv": depthwise_conv,
    "separable_conv": separable_conv,
    "im2col": im2col,
    "col2im": col2im,
    "max_pool": pool,
    "max_pool_backward": max_pool_backward,
    "avg_pool": pool,
    "avg_pool_backward": avg_pool_backward,
    "adaptive_max_pool": adaptive,
    "adaptive_avg_pool": adaptive,
    "adaptive_avg_pool_backward": adaptive_avg_pool_backward,
    "global_max_pool": global_pool,
    "global_avg_pool": global_pool,
    "max_unpool": max_unpool,
    "max_unpool_backward": max_unpool_backward,
}


def odd_array(rng, a):
    """Return something else in the place of an array."""
    axis = int(rng.integers(a.ndim)) if a.ndim else 0
    ways = (
        lambda: a.take(range(a.shape[axis] - 1), axis) if a.shape[axis] else a,
        lambda: np.concatenate([a, a], axis),
        lambda: a.take([], axis),
        lambda: a[..., None],
        lambda: a.reshape(-1),
        lambda: a.astype(rng.choice(["f8", "i8", "i4", "f2", "c8", "O", "?", ">f4", "U4"])),
        lambda: a.tolist(),
        lambda: np.asfortranarray(a),
        lambda: np.flip(a, axis),
        lambda: a.T,
        lambda: a.swapaxes(0, -1),
        lambda: a * 0 - 5,
        lambda: (
            np.where(a == 0, np.nan, a).astype(a.dtype) if a.dtype == F32 else a + np.int64(10**6)
        ),
        lambda: np.ma.masked_array(a),
        lambda: np.broadcast_to(a[:1], a.shape) if a.shape[0] else a,
    )
    return ways[rng.integers(len(ways))]()


def replaced(rng, arguments, optional):
    """Return `arguments` with one of them, or of the options not given, replaced by an odd one."""
    names = [*arguments, *optional]
    name = names[rng.integers(len(names))]
    value = arguments.get(name)
    if (
        isinstance(value, np.ndarray)
        and value.ndim
        and value.dtype.kind in "fi"
        and rng.random() < 0.8
    ):
        return arguments | {name: odd_array(rng, value)}
    if isinstance(value, tuple) and set(map(type, value)) == {int} and rng.random() < 0.5:
        change = (-1, 1, HUGE)[rng.integers(3)]
        place = int(rng.integers(len(value)))
        return arguments | {name: (*value[:place], value[place] + change, *value[place + 1 :])}
    known = NAMES.get(name, ())
    pool = known if known and rng.random() < 0.8 else ODD
    return arguments | {name: pool[rng.integers(len(pool))]}


def tuple_of(results):
    return results if isinstance(results, tuple) else (results,)


def norm_bound(name, arguments):
    if name == "lp_pool_backward":
        return lp_pool_backward_bound(**arguments)
    x = np.asarray(arguments["x"])
    layout = arguments.get("layout") or "NCDHW"
    spatial = [n for n, letter in zip(x.shape, layout, strict=False) if letter in "DHW"]
    return lp_pool_bound(**{"kernel_size": spatial, **arguments})


def assert_agrees(name, arguments, results):
    """Hold results to the reference: equal, but for the sums of quotients, which are rounded."""
    expected = tuple_of(getattr(reference, name)(**arguments))
    for actual, exact in zip(results, expected, strict=True):
        assert actual.shape == exact.shape
        if "lp_pool" in name and arguments.get("p", 2) != 1:
            assert_within(actual, exact, norm_bound(name, dict(arguments)))
            continue
        if "avg_pool" not in name:
            np.testing.assert_array_equal(actual, exact)
            continue
        first = next(iter(arguments))  # x or dy
        given = np.asarray(arguments[first])
        magnitude = getattr(reference, name)(**arguments | {first: abs(given)})
        terms = prod(given.shape[2:]) + 1
        finite = np.isfinite(exact)
        np.testing.assert_array_equal(actual[~finite], exact[~finite])
        allowed = sum_bound(magnitude[finite], terms, actual.dtype)
        assert (abs(actual[finite] - exact[finite]) <= allowed).all()


@pytest.mark.filterwarnings("ignore:invalid value", "ignore:divide by zero")
@pytest.mark.parametrize("name", OPERATORS)
def test_odd_arguments_are_refused_or_agree(device, name):
    function = getattr(clconv, name)
    parameters = inspect.signature(function).parameters
    run = {"device": device} | ({"algorithm": "direct"} if "algorithm" in parameters else {})
    rng = np.random.default_rng([*name.encode()])
    agreed = 0
    for case in range(CASES):
        arguments = OPERATORS[name](rng)
        optional = [each for each in parameters if each not in ("device", *arguments)]
        changes = case % 4 % 3  # none, one, two, none
        for _ in range(changes):
            arguments = replaced(rng, arguments, optional)
        note = f"{name}, case {case}: {arguments}"
        try:
            results = tuple_of(function(**run | arguments))
        except REFUSALS:
            assert changes, note
            continue
        arguments.pop("algorithm", None)
        try:
            assert_agrees(name, arguments, results)
        except Exception as error:
            raise AssertionError(note) from error
        agreed += 1
    assert agreed >= CASES // 2


def test_every_operator_is_here():
    # a name for each rank adds nothing but a check of the rank
    ranked = {name for name in reference.__all__ if name[-2:] in ("1d", "2d", "3d")}
    computed = {name for name in reference.__all__ if callable(getattr(clconv, name, None))}
    assert computed - ranked == set(OPERATORS)
