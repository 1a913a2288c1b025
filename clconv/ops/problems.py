"""States the problem that a convolution's arguments describe, or says what is wrong with them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from clconv.errors import GeometryError, UnsupportedError
from clconv.ops.arguments import (
    expect_shape,
    image_shape,
    integer,
    padding_pairs,
    per_axis,
    real,
    spatial_rank,
    window_geometry,
)
from clconv.ops.arrays import Array, is_device_array
from clconv.program.context import PLANS_REMEMBERED
from clconv.spec.dtypes import INTEGER, REAL
from clconv.spec.general import GeneralConvProblem
from clconv.spec.geometry import INDEX_LIMIT, Geometry, Sizes
from clconv.spec.layout import DimensionNumbers, permuted
from clconv.spec.problem import ACTIVATIONS, COMPUTED, ConvProblem, Direction
from clconv.spec.rearrangement import check_padding_mode

Convolution = ConvProblem | GeneralConvProblem


def conv_problem(
    direction: Direction,
    dtypes: tuple[str, str],
    x_shape: Sizes,
    w_shape: Sizes,
    options: Mapping[str, Any],
    *,
    bias: bool = False,
    **stored: Any,
) -> Convolution:
    """Check shapes and options against each other and state the problem.

    `dtypes` are those of the two operands, `options` the public keywords: stride, padding,
    dilation, groups, flip, padding_mode, dimension_numbers, activation, beta. `stored` are fields
    of a GeneralConvProblem: accumulator, zero_points. A problem that has nothing
    of the general kind is a plain one.

    Problems of plain arguments are remembered: a call's own work is then to look one up.
    """
    given = (direction, dtypes, x_shape, w_shape)
    if all(map(_is_simple, options.values())):
        # 1, 1.0 and True are one key, but not one argument.
        kinds = tuple(map(type, options.values()))
        return _remembered(*given, tuple(options.items()), kinds, bias, tuple(stored.items()))
    return _stated(*given, options, bias, stored)


def _is_simple(value: Any) -> bool:
    """Tell whether a value is told from others by its type and by being equal."""
    kind = type(value)
    return kind in _SIMPLE or (kind is tuple and all(map(_is_sizes, value)))


def _is_sizes(value: Any) -> bool:
    kind = type(value)
    return kind is int or (kind is tuple and all(type(entry) is int for entry in value))


_SIMPLE = frozenset({int, bool, float, str, type(None)})


@lru_cache(maxsize=PLANS_REMEMBERED)
def _remembered(
    direction: Direction,
    dtypes: tuple[str, str],
    x_shape: Sizes,
    w_shape: Sizes,
    options: tuple[tuple[str, Any], ...],
    kinds: tuple[type, ...],
    bias: bool,
    stored: tuple[tuple[str, Any], ...],
) -> Convolution:
    return _stated(direction, dtypes, x_shape, w_shape, dict(options), bias, dict(stored))


def _stated(
    direction: Direction,
    dtypes: tuple[str, str],
    x_shape: Sizes,
    w_shape: Sizes,
    options: Mapping[str, Any],
    bias: bool,
    stored: Mapping[str, Any],
) -> Convolution:
    numbers = _numbers(direction, x_shape, w_shape, options.get("dimension_numbers"))
    groups = integer("groups", options["groups"])
    plain_x = permuted(x_shape, numbers.x, numbers.plain_x)
    plain_w = permuted(w_shape, numbers.w, numbers.plain_w)
    _check_channels(x_shape, w_shape, plain_x, plain_w, groups)
    window = {name: options[name] for name in ("stride", "padding", "dilation")}
    try:
        geometry = window_geometry(plain_x[2:], plain_w[2:], **window)
    except GeometryError as error:
        raise GeometryError(f"x {x_shape}, w {w_shape}: {error}") from None
    mode = options.get("padding_mode", "zeros")
    check_padding_mode(mode, geometry.padding, geometry.input)
    fields: dict[str, Any] = {
        "bias": bias,
        "flip": bool(options["flip"]),
        "activation": _activation(options.get("activation"), dtypes[0]),
        "beta": _beta(options.get("beta", 0), dtypes[0]),
        "padding_mode": mode,
        **stored,
    }
    given = (direction, dtypes, x_shape, w_shape)
    return stated_problem(*given, geometry, groups, numbers, **fields)


def stated_problem(
    direction: Direction,
    dtypes: tuple[str, str],
    x_shape: Sizes,
    w_shape: Sizes,
    geometry: Geometry,
    groups: int,
    numbers: DimensionNumbers,
    **fields: Any,
) -> Convolution:
    """Return the problem between arrays of these shapes, as given: the plain one if that will do.

    `fields` are those of a GeneralConvProblem that are not their defaults.
    """
    dtype, second = dtypes
    plain_fields = ("bias", "flip", "activation", "beta")
    written = {name: fields[name] for name in plain_fields if name in fields}
    beyond = {name: value for name, value in fields.items() if name not in plain_fields and value}
    if beyond.get("padding_mode") == "zeros":
        del beyond["padding_mode"]
    plain_layout = numbers == DimensionNumbers.channels_first(geometry.rank)
    if plain_layout and dtype == second and dtype in COMPUTED and not beyond:
        sizes = (x_shape[0], x_shape[1], w_shape[0], groups)
        return ConvProblem(direction, dtype, *sizes, geometry, **written)
    return GeneralConvProblem(
        direction,
        dtype,
        x_shape,
        w_shape,
        geometry.stride,
        geometry.padding,
        (1,) * geometry.rank,
        geometry.dilation,
        groups,
        1,
        numbers,
        second_dtype=second if second != dtype else "",
        **written,
        **beyond,
    )


def general_problem(
    direction: Direction,
    dtypes: tuple[str, str],
    x_shape: Sizes,
    w_shape: Sizes,
    options: Mapping[str, Any],
) -> Convolution:
    """State the problem of `conv_general`: padding may be negative, x dilated, batch in groups."""
    numbers = _numbers(direction, x_shape, w_shape, options["dimension_numbers"])
    groups = integer("groups", options["groups"])
    batch_groups = integer("batch_groups", options["batch_groups"])
    plain_x = permuted(x_shape, numbers.x, numbers.plain_x)
    plain_w = permuted(w_shape, numbers.w, numbers.plain_w)
    _check_channels(x_shape, w_shape, plain_x, plain_w, groups)
    if batch_groups < 1 or plain_x[0] % batch_groups or plain_w[0] % batch_groups:
        raise GeometryError(
            f"batch_groups={batch_groups} does not divide N={plain_x[0]} of x {x_shape} and"
            f" O={plain_w[0]} of w {w_shape}"
        )
    if groups > 1 and batch_groups > 1:
        raise GeometryError(f"groups={groups} and batch_groups={batch_groups} exclude each other")
    rank = len(plain_x) - 2
    steps = {
        name: per_axis(name, options[name], rank)
        for name in ("stride", "input_dilation", "dilation")
    }
    for name, entries in steps.items():
        if min(entries) < 1:
            raise GeometryError(f"{name} must be at least 1, got {entries}")
    gaps = steps["input_dilation"]
    spread = tuple((size - 1) * gap + 1 for size, gap in zip(plain_x[2:], gaps, strict=True))
    kernel = plain_w[2:]
    pads = padding_pairs(options["padding"], spread, kernel, steps["stride"], steps["dilation"])
    for size, (low, high) in zip(spread, pads, strict=True):
        if size + abs(low) + abs(high) >= INDEX_LIMIT:
            raise UnsupportedError(
                f"x {x_shape} with input_dilation {gaps} and padding {pads} passes the index"
                f" limit, 2**31"
            )
    left = tuple(size + low + high for size, (low, high) in zip(spread, pads, strict=True))
    if min(left) < 1:
        raise GeometryError(f"padding {pads} leaves {left} pixels of x {x_shape}")
    dtype, second = dtypes
    try:
        return GeneralConvProblem(
            direction,
            dtype,
            x_shape,
            w_shape,
            steps["stride"],
            pads,
            gaps,
            steps["dilation"],
            groups,
            batch_groups,
            numbers,
            flip=bool(options["flip"]),
            second_dtype=second if second != dtype else "",
        ).simplest
    except GeometryError as error:
        raise GeometryError(f"x {x_shape}, w {w_shape}: {error}") from None


def expect_dy(dy: Array, problem: Convolution) -> None:
    """Raise GeometryError unless dy has the shape that the forward operator gives."""
    because = f"x {problem.x_shape}, w {problem.w_shape} and the options"
    expect_shape("dy", dy.shape, problem.y_shape, because)


def checked_bias(bias: Array, problem: Convolution, because: str) -> Array:
    """Return the bias if the problem can take it; numpy's integers in the type of the sums."""
    wanted = problem.operands["bias"]
    expect_shape("bias", bias.shape, wanted.shape, because)
    if bias.dtype.name == wanted.dtype:
        return bias
    if is_device_array(bias):
        raise TypeError(f"bias has dtype {bias.dtype.name}, but the sums have {wanted.dtype}")
    return bias.astype(wanted.dtype)


def _activation(name: Any, dtype: str) -> str:
    known = ACTIVATIONS[1:]
    if name is None:
        return ACTIVATIONS[0]
    if name not in known:
        raise ValueError(f"activation must be None or one of {', '.join(known)}; got {name!r}")
    if dtype not in REAL:
        raise TypeError(f"activation {name!r} takes {', '.join(REAL)}, not {dtype}")
    return str(name)


def _beta(value: Any, dtype: str) -> float:
    beta = real("beta", value)
    if dtype in INTEGER and not beta.is_integer():
        raise ValueError(f"beta must be a whole number for integers, got {value!r}")
    return beta


def _numbers(
    direction: Direction, x_shape: Sizes, w_shape: Sizes, text: str | None
) -> DimensionNumbers:
    """Return the layouts, the sizes of x and w checked: of the arguments that give them."""
    x = "input_shape" if direction == "backward_data" else "x"
    w = "weight_shape" if direction == "backward_weights" else "w"
    numbers = DimensionNumbers.parse(text, spatial_rank(x, x_shape))
    image_shape(x, x_shape, numbers.x.index("N"))
    if len(w_shape) != len(x_shape):
        raise GeometryError(f"{w} {w_shape} must have as many axes as {x} {x_shape}")
    if min(w_shape) < 1:
        raise GeometryError(f"{w} {w_shape} must have all sizes 1 or more")
    return numbers


def _check_channels(
    x_shape: Sizes, w_shape: Sizes, plain_x: Sizes, plain_w: Sizes, groups: int
) -> None:
    if groups < 1 or plain_x[1] % groups or plain_w[0] % groups:
        raise GeometryError(
            f"groups={groups} does not divide C={plain_x[1]} of x {x_shape}"
            f" and O={plain_w[0]} of w {w_shape}"
        )
    if plain_w[1] * groups != plain_x[1]:
        raise GeometryError(
            f"w {w_shape} has {plain_w[1]} channels, but x {x_shape} with groups={groups}"
            f" needs C/groups = {plain_x[1] // groups}"
        )
