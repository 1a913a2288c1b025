"""clconv/ops/deform.py against reference/deform.py."""

from __future__ import annotations

import ml_dtypes  # noqa: F401, which teaches numpy bfloat16
import numpy as np
import pytest
from support.deform_cases import CASES

import clconv
from clconv import reference
from clconv.conformance.rules import as_stored, compare_bits, compare_within
from clconv.reference.bounds import computed_dtype, stored_bound, sum_bound
from clconv.reference.deform import deform_conv_backward_magnitude

EACH = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
DTYPES = pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
BACKWARD = ("dy", "x", "w", "offset", "mask")
FORWARD = ("x", "w", "offset", "mask", "bias")


def results_of(library, tensors, keywords, **options):
    """Return y and the gradients by name; without a mask there is no dmask."""
    forward, backward = ([tensors[name] for name in names] for names in (FORWARD, BACKWARD))
    y = library.deform_conv(*forward, **keywords, **options)
    gradients = library.deform_conv_backward(*backward, **keywords, **options)
    named = dict(zip(("y", "dx", "dw", "doffset", "dmask"), (y, *gradients), strict=True))
    assert (named["dmask"] is None) == (tensors["mask"] is None)
    return {name: array for name, array in named.items() if array is not None}


def magnitudes_of(tensors, keywords):
    """Return the sums of absolute values that y and the gradients are."""
    absolute = {
        name: array if array is None or name == "offset" else abs(array)
        for name, array in tensors.items()
    }
    y = reference.deform_conv(*(absolute[name] for name in FORWARD), **keywords)
    gradients = deform_conv_backward_magnitude(*(tensors[name] for name in BACKWARD), **keywords)
    return dict(zip(("y", "dx", "dw", "doffset", "dmask"), (y, *gradients), strict=True))


def skip_without(device, dtype):
    if dtype == "float64" and not device.fp64:
        pytest.skip(f"{device} has no float64")


@DTYPES
@EACH
def test_bits_in_exact_numbers(device, case, dtype):
    skip_without(device, dtype)
    tensors = case.tensors(dtype)
    expected = results_of(reference, tensors, case.keywords())
    for name, actual in results_of(clconv, tensors, case.keywords(), device=device).items():
        # In quarters along each axis, sums of products are whole multiples of 4**-rank.
        largest = magnitudes_of(tensors, case.keywords())[name].max()
        assert largest * 4**case.rank <= 2**24
        finding = compare_bits(actual, as_stored(actual, expected[name]))
        assert finding.passed, (name, finding.message)
        assert actual.dtype.name == dtype


@DTYPES
@EACH
def test_reals_are_within_the_bound(device, case, dtype):
    skip_without(device, dtype)
    tensors = case.tensors(dtype, "random")
    expected = results_of(reference, tensors, case.keywords())
    magnitudes, roundings = magnitudes_of(tensors, case.keywords()), case.roundings()
    for name, actual in results_of(clconv, tensors, case.keywords(), device=device).items():
        allowed = sum_bound(magnitudes[name], roundings[name], computed_dtype(dtype))
        allowed = stored_bound(allowed, expected[name], dtype)
        finding = compare_within(actual, expected[name], allowed)
        assert finding.passed, (name, finding.message)


@EACH
def test_gradients_are_adjoint_where_it_is_linear(device, case):
    tensors = case.tensors("float32", seed=1) | {"bias": None}
    wide = {name: None if a is None else a.astype(np.float64) for name, a in tensors.items()}
    found = results_of(clconv, tensors, case.keywords(), device=device)
    found = {name: array.astype(np.float64) for name, array in found.items()}
    pairs = [("y", "dy"), ("dx", "x"), ("dw", "w")] + [("dmask", "mask")] * case.has_mask
    products = {(found[ours] * wide[theirs]).sum() for ours, theirs in pairs}
    assert len(products) == 1


@EACH
def test_same_bits_every_time(device, case):
    tensors = case.tensors("float32", "random")
    first, again = (results_of(clconv, tensors, case.keywords(), device=device) for _ in range(2))
    for name, array in first.items():
        np.testing.assert_array_equal(array, again[name])


@EACH
def test_pyopencl_arrays(device, queue, case):
    import pyopencl.array as cl_array

    tensors = case.tensors("float32", "random")
    there = {
        name: None if a is None else cl_array.to_device(queue, a) for name, a in tensors.items()
    }
    results = results_of(clconv, there, case.keywords())
    for name, expected in results_of(clconv, tensors, case.keywords(), device=device).items():
        np.testing.assert_array_equal(results[name].get(), expected)


def test_a_wrong_rounding_count_would_show(device):
    """The bound is not so wide that a lost digit hides in it."""
    case = CASES["2d"]
    tensors = case.tensors("float32", "random")
    expected = results_of(reference, tensors, case.keywords())
    moved = tensors | {"offset": tensors["offset"] * np.float32(1 + 2.0**-10)}
    magnitudes, roundings = magnitudes_of(tensors, case.keywords()), case.roundings()
    for name, actual in results_of(clconv, moved, case.keywords(), device=device).items():
        allowed = sum_bound(magnitudes[name], roundings[name], "float32")
        assert not compare_within(actual, expected[name], allowed).passed


def test_without_displacement_it_is_conv(device):
    case = CASES["2d_groups"]
    tensors = case.tensors("float32")
    x, w, still = tensors["x"], tensors["w"], 0 * tensors["offset"]
    y = clconv.deform_conv(x, w, still, **case.keywords(), device=device)
    plain = clconv.conv(x, w, **case.shape.keywords(), device=device)
    np.testing.assert_array_equal(y, plain)


def test_padding_same_and_one_number_for_all_axes(device):
    case = CASES["2d"]
    x, w = (case.tensors("float32")[name] for name in ("x", "w"))
    offset = np.full((2, 12, 5, 4), 0.5, np.float32)
    options = {"stride": 2, "padding": "same"}
    y = clconv.deform_conv(x, w, offset, **options, device=device)
    np.testing.assert_array_equal(y, reference.deform_conv(x, w, offset, **options))


def test_an_infinity_reaches_the_samples_around_it(device):
    x = np.array([[[np.inf, 1, 2, np.nan, 4, 5]]], np.float32)
    w, offset = np.ones((1, 1, 1), np.float32), np.full((1, 1, 6), 0.25, np.float32)
    for shift in (0, -1, 1, 4):
        given = x, w, offset + np.float32(shift)
        y = clconv.deform_conv(*given, device=device)
        np.testing.assert_array_equal(y, reference.deform_conv(*given))


def test_offsets_that_are_not_finite(device, queue):
    """Refused where that is cheap to see; on a device neither a crash nor a read outside."""
    import pyopencl.array as cl_array

    x, w = np.ones((1, 2, 5), np.float32), np.ones((1, 2, 1), np.float32)
    dy = np.ones((1, 1, 5), np.float32)
    offset = np.array([[[np.nan, np.inf, -np.inf, 0, 3e38]]], np.float32)
    with pytest.raises(ValueError, match="offset has to be finite"):
        clconv.deform_conv(x, w, offset, device=device)
    with pytest.raises(ValueError, match="offset has to be finite"):
        clconv.deform_conv_backward(dy, x, w, offset, device=device)
    x, w, dy, offset = (cl_array.to_device(queue, a) for a in (x, w, dy, offset))
    y = clconv.deform_conv(x, w, offset)
    np.testing.assert_array_equal(y.get(), [[[np.nan, 0, 0, 2, 0]]])
    dx, dw, doffset, _ = clconv.deform_conv_backward(dy, x, w, offset)
    np.testing.assert_array_equal(dx.get(), [[[np.nan, np.nan, 0, 1, 0]] * 2])
    np.testing.assert_array_equal(dw.get(), np.full((1, 2, 1), np.nan))
    np.testing.assert_array_equal(doffset.get(), [[[0, 0, 0, 0, 0]]])


def test_empty_batch(device):
    case = CASES["1d"]
    tensors = case.tensors("float32")
    empty = {name: a if name in ("w", "bias") else a[:0] for name, a in tensors.items()}
    shapes = {name: a.shape for name, a in empty.items()}
    shapes |= {f"d{name}": shapes[name] for name in ("x", "w", "offset", "mask")}
    shapes["y"] = shapes["dy"]
    for name, array in results_of(clconv, empty, case.keywords(), device=device).items():
        assert array.shape == shapes[name]
        assert not array.any()


def test_refusals(device):
    case = CASES["2d_groups"]
    given = case.tensors("float32")
    x, w, offset, mask, bias, dy = (
        given[name] for name in ("x", "w", "offset", "mask", "bias", "dy")
    )
    options = case.keywords() | {"device": device}

    def refused(error, text, *arguments, **others):
        with pytest.raises(error, match=text):
            clconv.deform_conv(*arguments, **(options | others))

    text = "offset_groups=4 does not divide C=6"
    refused(clconv.GeometryError, text, x, w, offset, offset_groups=4)
    refused(clconv.GeometryError, "offset_groups=0", x, w, offset, offset_groups=0)
    refused(TypeError, "offset_groups must be an integer, got 2.0", x, w, offset, offset_groups=2.0)
    refused(clconv.GeometryError, "groups=4 does not divide", x, w, offset, groups=4)
    refused(clconv.GeometryError, r"offset has shape .* but x .* give", x, w, offset[:, 1:])
    refused(clconv.GeometryError, r"mask has shape .* but x .* give", x, w, offset, offset)
    refused(clconv.GeometryError, "bias has shape", x, w, offset, mask, bias[1:])
    refused(TypeError, "dtypes differ: .* offset has float64", x, w, offset.astype("f8"))
    refused(TypeError, "mask has dtype int64", x, w, offset, mask.astype(np.int64))
    with pytest.raises(clconv.GeometryError, match="dy has shape"):
        clconv.deform_conv_backward(dy[..., 1:], x, w, offset, mask, **options)


def test_arrays_of_two_kinds_are_refused(queue):
    import pyopencl.array as cl_array

    given = CASES["2d"].tensors("float32")
    x, w = (cl_array.to_device(queue, given[name]) for name in ("x", "w"))
    with pytest.raises(TypeError, match="offset is numpy"):
        clconv.deform_conv(x, w, given["offset"])
