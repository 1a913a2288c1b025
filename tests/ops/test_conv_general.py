"""clconv/ops/conv_general.py, layouts and padding modes, against the reference and numpy."""

from __future__ import annotations

import numpy as np
import pytest
from support.grid import ALGORITHMS

import clconv
from clconv import reference

GROUPS = [(1, 1), (2, 1), (1, 2), (3, 1), (1, 3)]


def integers(rng, shape):
    return rng.integers(-4, 5, shape).astype(np.float32)


def per_axis(rng, rank, low, high):
    return tuple(int(v) for v in rng.integers(low, high, rank))


def shuffled(rng, letters):
    return "".join(rng.permutation(list(letters)))


def general_case(rng):
    """Return x, w and options; about one case in seven does not fit."""
    rank = int(rng.integers(1, 4))
    groups, batch_groups = GROUPS[rng.integers(len(GROUPS))]
    spatial = "DHW"[3 - rank :]
    layouts = [shuffled(rng, letters + spatial) for letters in ("NC", "OI", "NC")]
    sizes = dict(zip(spatial, per_axis(rng, rank, 1, 7), strict=True))
    taps = dict(zip(spatial, per_axis(rng, rank, 1, 4), strict=True))
    per_group = int(rng.integers(1, 3))
    sizes |= {"N": batch_groups * int(rng.integers(1, 3)), "C": groups * per_group}
    taps |= {"O": groups * batch_groups * int(rng.integers(1, 3)), "I": per_group}
    x = integers(rng, tuple(sizes[letter] for letter in layouts[0]))
    w = integers(rng, tuple(taps[letter] for letter in layouts[1]))
    return (
        x,
        w,
        {
            "stride": per_axis(rng, rank, 1, 4),
            "padding": tuple((int(low), int(high)) for low, high in rng.integers(-2, 4, (rank, 2))),
            "input_dilation": per_axis(rng, rank, 1, 4),
            "dilation": per_axis(rng, rank, 1, 3),
            "groups": groups,
            "batch_groups": batch_groups,
            "dimension_numbers": "{},{}->{}".format(*layouts),
            "flip": bool(rng.integers(2)),
        },
    )


@pytest.mark.parametrize("seed", range(4))
def test_random_configurations(device, seed):
    rng = np.random.default_rng(seed)
    fitting = 0
    for _ in range(60):
        x, w, options = general_case(rng)
        direct = {"algorithm": "direct", "device": device}  # generic: nothing is built anew
        try:
            expected = reference.conv_general(x, w, **options)
        except ValueError:
            with pytest.raises(clconv.GeometryError):
                clconv.conv_general(x, w, **options, **direct)
            continue
        fitting += 1
        np.testing.assert_array_equal(clconv.conv_general(x, w, **options, **direct), expected)
        dy = integers(rng, expected.shape)
        for name, arguments, shape in (
            ("conv_general_backward_data", (dy, w), {"input_shape": x.shape}),
            ("conv_general_backward_weights", (x, dy), {"weight_shape": w.shape}),
        ):
            exact = getattr(reference, name)(*arguments, **shape, **options)
            actual = getattr(clconv, name)(*arguments, **shape, **options, **direct)
            np.testing.assert_array_equal(actual, exact)
    assert fitting > 30


@pytest.mark.parametrize("algorithm", ALGORITHMS[1:])
def test_channels_last_is_the_transpose_of_channels_first(device, algorithm):
    rng = np.random.default_rng(0)
    x, w, bias = integers(rng, (2, 6, 9, 8)), integers(rng, (4, 3, 3, 2)), integers(rng, 4)
    options = {"stride": (2, 1), "padding": (1, 2), "groups": 2}
    run = {"algorithm": algorithm, "device": device}
    last = {"dimension_numbers": "NHWC,HWIO->NHWC"}
    x_last, w_last = np.moveaxis(x, 1, -1), np.moveaxis(w, (0, 1), (-1, -2))
    y = clconv.conv(x, w, bias, **options, **run)
    y_last = clconv.conv(x_last, w_last, bias, **options, **last, **run)
    np.testing.assert_array_equal(y_last, np.moveaxis(y, 1, -1))
    dx = clconv.conv_backward_data(y, w, input_shape=x.shape, **options, **run)
    dx_last = clconv.conv_backward_data(
        y_last, w_last, input_shape=x_last.shape, **options, **last, **run
    )
    np.testing.assert_array_equal(dx_last, np.moveaxis(dx, 1, -1))
    dw = clconv.conv_backward_weights(x, y, weight_shape=w.shape, **options, **run)
    dw_last = clconv.conv_backward_weights(
        x_last, y_last, weight_shape=w_last.shape, **options, **last, **run
    )
    np.testing.assert_array_equal(dw_last, np.moveaxis(dw, (0, 1), (-1, -2)))


@pytest.mark.parametrize(
    ("mode", "numpys"), [("reflect", "reflect"), ("replicate", "edge"), ("circular", "wrap")]
)
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_padding_modes(device, mode, numpys, rank):
    """Forward against numpy's pad, and the adjoints by their identity, in exact integers."""
    rng = np.random.default_rng(rank)
    run = {"algorithm": "direct", "device": device}
    for _ in range(15):
        x = integers(rng, (2, 4, *per_axis(rng, rank, 3, 7)))
        w = integers(rng, (6, 2, *per_axis(rng, rank, 1, 4)))
        padding = tuple((int(low), int(high)) for low, high in rng.integers(0, 3, (rank, 2)))
        options = {"stride": per_axis(rng, rank, 1, 3), "groups": 2}
        padded = np.pad(x, ((0, 0), (0, 0), *padding), mode=numpys)
        expected = reference.conv(padded, w, **options)
        options |= {"padding": padding, "padding_mode": mode, **run}
        y = clconv.conv(x, w, **options)
        np.testing.assert_array_equal(y, expected)
        dy = integers(rng, y.shape)
        dx = clconv.conv_backward_data(dy, w, input_shape=x.shape, **options)
        dw = clconv.conv_backward_weights(x, dy, weight_shape=w.shape, **options)
        products = [(a * b).sum(dtype=np.float64) for a, b in ((y, dy), (x, dx), (w, dw))]
        assert len(set(products)) == 1


def test_same_lower_puts_the_odd_pixel_low(device):
    x, w = np.ones((1, 1, 4), np.float32), np.array([[[1, 10]]], np.float32)
    np.testing.assert_array_equal(
        clconv.conv(x, w, padding="same", device=device), [[[11, 11, 11, 1]]]
    )
    np.testing.assert_array_equal(
        clconv.conv(x, w, padding="same_lower", device=device), [[[10, 11, 11, 11]]]
    )


def test_derivatives_are_general_convolutions(device):
    """conv's two adjoints, each as one call of conv_general, in exact integers."""
    rng = np.random.default_rng(7)
    x, w = integers(rng, (2, 3, 8, 9)), integers(rng, (4, 3, 3, 2))
    stride, dilation, padding = (2, 1), (1, 3), ((1, 2), (0, 2))
    options = {"stride": stride, "dilation": dilation, "padding": padding, "device": device}
    y = clconv.conv(x, w, **options)
    extent = [d * (k - 1) for d, k in zip(dilation, w.shape[2:], strict=True)]
    low = [e - p[0] for e, p in zip(extent, padding, strict=True)]
    spread = [(n - 1) * s + 1 for n, s in zip(y.shape[2:], stride, strict=True)]
    sizes = zip(x.shape[2:], spread, low, extent, strict=True)
    high = [n - a - front + e for n, a, front, e in sizes]
    dx = clconv.conv_general(
        y,
        w,
        input_dilation=stride,
        dilation=dilation,
        padding=list(zip(low, high, strict=True)),
        dimension_numbers="NCHW,IOHW->NCHW",
        flip=True,
        device=device,
    )
    np.testing.assert_array_equal(
        dx, clconv.conv_backward_data(y, w, input_shape=x.shape, **options)
    )
    steps = zip(spread, extent, padding, x.shape[2:], strict=True)
    fitted = [(p[0], a + e - n - p[0]) for a, e, p, n in steps]  # high: the windows that y has
    dw = clconv.conv_general(
        x,
        y,
        stride=dilation,
        dilation=stride,
        padding=fitted,
        dimension_numbers="CNHW,IOHW->CNHW",
        device=device,
    )
    np.testing.assert_array_equal(
        dw, clconv.conv_backward_weights(x, y, weight_shape=w.shape, **options)
    )


WRONG = {
    "numbers": ({"dimension_numbers": "NHWC"}, r"dimension_numbers 'NHWC' must name the 4 axes"),
    "letter": ({"dimension_numbers": "NCHW,OIHX->NCHW"}, r"must name the 4 axes of x, w and y"),
    "batch groups": ({"batch_groups": 3}, r"batch_groups=3 does not divide N=2 of x"),
    "both groups": ({"batch_groups": 2, "groups": 2}, r"groups=2 and batch_groups=2 exclude"),
    "input dilation": ({"input_dilation": 0}, r"input_dilation must be at least 1, got \(0, 0\)"),
    "all cut off": ({"padding": -5}, r"padding .* leaves \(-2, -1\) pixels of x"),
    "window": ({"padding": -3}, r"spans \(3, 3\) pixels, more than the padded image \(2, 3\)"),
}


@pytest.mark.parametrize(("change", "message"), WRONG.values(), ids=WRONG)
def test_wrong_options(device, change, message):
    x, w = np.ones((2, 4, 8, 9), np.float32), np.ones((6, 4, 3, 3), np.float32)
    if "groups" in change:
        w = w[:, :2]
    with pytest.raises(ValueError, match=message):
        clconv.conv_general(x, w, device=device, **change)


def test_wrong_padding_modes(device):
    x, w = np.ones((1, 1, 3), np.float32), np.ones((1, 1, 2), np.float32)
    with pytest.raises(ValueError, match=r"padding_mode must be one of zeros, reflect, .* 'wrap'"):
        clconv.conv(x, w, padding_mode="wrap", device=device)
    for mode, size in (("reflect", 3), ("circular", 4)):
        with pytest.raises(clconv.GeometryError, match="needs more pixels than the image"):
            clconv.conv(x, w, padding=size, padding_mode=mode, device=device)


def test_transposed_convolution_refuses(device):
    x, w = np.ones((1, 4, 5), np.float32), np.ones((4, 2, 3), np.float32)
    for change, message in (
        (
            {"output_padding": 1},
            r"output_padding \(1,\) must be at least 0 and below stride",
        ),
        ({"padding": 4}, r"padding \(\(4, 4\),\) leaves an output of \(-1,\) pixels"),
        ({"padding": "same"}, "padding must be sizes or 'valid', got 'same'"),
        ({"padding": -1}, r"padding must be at least 0, got \(\(-1, -1\),\)"),
        ({"groups": 3}, r"w \(4, 2, 3\) must be \(C, O/groups, \*kernel\), groups=3 dividing C"),
        ({"bias": np.ones(3, np.float32)}, r"bias has shape \(3,\), but filters w .* give \(2,\)"),
    ):
        with pytest.raises(ValueError, match=message):
            clconv.conv_transpose(x, w, device=device, **change)


def test_padding_of_transposed_convolution_may_be_an_array(device):
    x, w = np.ones((1, 4, 5), np.float32), np.ones((4, 2, 3), np.float32)
    expected = clconv.conv_transpose(x, w, padding=1, device=device)
    y = clconv.conv_transpose(x, w, padding=np.array([1]), device=device)
    np.testing.assert_array_equal(y, expected)


def test_huge_numbers_of_the_general_kind(device):
    """A single pixel may be spread by anything; what cannot be indexed is refused."""
    x, w = np.full((1, 1, 1), 3, np.float32), np.ones((1, 1, 1), np.float32)
    options = {"padding": ((2, -1),), "device": device}
    y = clconv.conv_general(x, w, input_dilation=2**40, **options)
    np.testing.assert_array_equal(y, clconv.conv_general(x, w, **options))
    for change in ({"padding": ((-(2**40), 2**40),)}, {"padding": ((2**31, -(2**31)),)}):
        with pytest.raises(clconv.UnsupportedError, match="passes the index limit"):
            clconv.conv_general(x, w, device=device, **change)


def test_pyopencl_arrays_in_any_layout(device, queue):
    import pyopencl.array as cl_array

    rng = np.random.default_rng(1)
    x, w = integers(rng, (2, 7, 6, 3)), integers(rng, (2, 2, 3, 4))
    numbers = {"dimension_numbers": "NHWC,HWIO->NHWC", "padding_mode": "reflect", "padding": 1}
    y = clconv.conv(cl_array.to_device(queue, x), cl_array.to_device(queue, w), **numbers)
    np.testing.assert_array_equal(y.get(), clconv.conv(x, w, device=device, **numbers))
