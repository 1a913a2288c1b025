"""Reads problem strings: `parse(str(problem)) == problem`.

name : types : sizes : fields, each a letter and its numbers : flags
conv_fwd:f32:n8c64o128g1:i56x56:k3x3:s2:p1.1:d1:bias:relu
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from clconv.errors import GeometryError
from clconv.spec.deform import DeformProblem
from clconv.spec.dtypes import BY_CODE, summed
from clconv.spec.general import GeneralConvProblem
from clconv.spec.geometry import Geometry, Padding, Sizes
from clconv.spec.images import (
    AdaptivePoolProblem,
    BiasGradientProblem,
    ColumnsProblem,
    IndexProblem,
    PoolProblem,
)
from clconv.spec.layout import DimensionNumbers, parse_layout, permuted
from clconv.spec.pool_lp import LpPoolProblem
from clconv.spec.problem import ACTIVATIONS, DIRECTION_NAMES, ConvProblem
from clconv.spec.quantized import QuantizedConvProblem
from clconv.spec.rearrangement import PADDING_MODES
from clconv.spec.tensor import Problem

_LAYOUT = re.compile(r"[NCDHW]{3,5}")
_NUMBERS = re.compile(r"[A-Z]{3,5},[A-Z]{3,5}->[A-Z]{3,5}")


class Fields:
    """What stands between the colons; each is taken once, and none may be left."""

    def __init__(self, text: str) -> None:
        if not isinstance(text, str):
            raise TypeError(f"a problem is described by a string, got {text!r}")
        self.text = text
        self.name, *rest = text.strip().split(":")
        if self.name not in _READERS:
            known = ", ".join(_READERS)
            raise ValueError(f"problem {text!r} begins with none of {known}")
        if len(rest) < 2:
            raise ValueError(f"problem {text!r} must have types and sizes after its name")
        self.dtypes = [self._dtype(code) for code in rest[0].split(".")]
        self._sizes = dict(re.findall(r"([a-z])(\d+)", rest[1]))
        if "".join(f"{k}{v}" for k, v in self._sizes.items()) != rest[1]:
            raise ValueError(f"problem {text!r}: {rest[1]!r} must be like n8c64o128g1")
        self.rest = rest[2:]

    def _dtype(self, code: str) -> str:
        if code not in BY_CODE:
            known = ", ".join(BY_CODE)
            raise ValueError(f"problem {self.text!r}: {code!r} is no element type; known: {known}")
        return BY_CODE[code].name

    def size(self, letter: str) -> int:
        """Return the number behind `letter` in "n8c64o128g1"."""
        if letter not in self._sizes:
            raise ValueError(f"problem {self.text!r} has no size {letter!r}")
        return int(self._sizes.pop(letter))

    def matching(self, pattern: str) -> str | None:
        """Take the first field that matches wholly and return its group, None if there is none."""
        for field in self.rest:
            match = re.fullmatch(pattern, field)
            if match:
                self.rest.remove(field)
                return match[1] if match.re.groups else field
        return None

    def sizes(self, letter: str, rank: int = 0, default: int | None = None) -> Sizes:
        """Return the numbers of a field: as many as there are, or `rank` (one stands for all)."""
        found = self.matching(rf"{letter}(\d+(?:x\d+)*)")
        if found is None and default is None:
            raise ValueError(f"problem {self.text!r} has no field {letter!r}")
        numbers = tuple(map(int, found.split("x"))) if found else (default or 0,)
        return self._of_rank(numbers, letter, rank)

    def padding(self, rank: int) -> Padding:
        """Return the padding, none if there is no field for it."""
        found = self.matching(r"p(-?\d+\.-?\d+(?:x-?\d+\.-?\d+)*)") or "0.0"
        sides = [tuple(map(int, pair.split("."))) for pair in found.split("x")]
        pairs = tuple((low, high) for low, high in sides)
        return self._of_rank(pairs, "p", rank)

    def _of_rank(self, entries: tuple[Any, ...], letter: str, rank: int) -> tuple[Any, ...]:
        if rank and len(entries) not in (1, rank):
            raise ValueError(
                f"problem {self.text!r}: field {letter!r} must have 1 or {rank} entries"
            )
        return entries * rank if rank and len(entries) == 1 else entries

    def flag(self, name: str) -> bool:
        """Take the field `name` and tell whether it was there."""
        return self.matching(re.escape(name)) is not None

    def windows(self) -> dict[str, Any]:
        """Take what says how a window walks."""
        input, kernel = self.sizes("i"), self.sizes("k")
        rank = len(input)
        return {
            "input": input,
            "kernel": kernel,
            "stride": self.sizes("s", rank, default=1),
            "padding": self.padding(rank),
            "dilation": self.sizes("d", rank, default=1),
        }

    def geometry(self) -> Geometry:
        """Take a whole geometry."""
        return Geometry(**self.windows(), ceil_mode=self.flag("ceil"))

    def layout(self, rank: int) -> str:
        """Take the layout of the images, "" where it is the plain one."""
        found = self.matching(_LAYOUT.pattern)
        return parse_layout(found, rank) if found else ""


def parse(text: str) -> Problem:
    """Return the problem that a string describes.

    Raises
    ------
    ValueError : it is no problem string, or sizes do not fit
    UnsupportedError : the problem is too large
    """
    fields = Fields(text)
    problem = _READERS[fields.name](fields)
    if fields.rest or fields._sizes:
        left = ", ".join([*fields.rest, *fields._sizes])
        raise ValueError(f"problem {text!r}: nothing is known of {left}")
    return problem


def _conv(fields: Fields) -> Problem:
    names = {name: direction for direction, name in DIRECTION_NAMES.items()}
    sizes = {letter: fields.size(letter) for letter in "ncog"}
    window = fields.windows()
    rank = len(window["input"])
    text = fields.matching(_NUMBERS.pattern)
    numbers = DimensionNumbers.parse(text, rank)
    if len(window["kernel"]) != rank or sizes["g"] < 1:
        raise GeometryError(f"problem {fields.text!r}: i and k must have as many axes, g a group")
    plain_x = (sizes["n"], sizes["c"], *window["input"])
    plain_w = (sizes["o"], sizes["c"] // sizes["g"], *window["kernel"])
    accumulator = fields.matching(r"acc(i32|i64)")
    beta = fields.matching(r"beta(.+)")
    return GeneralConvProblem(
        names.get(fields.name, "forward"),
        fields.dtypes[0],
        permuted(plain_x, numbers.plain_x, numbers.x),
        permuted(plain_w, numbers.plain_w, numbers.w),
        window["stride"],
        window["padding"],
        fields.sizes("lhs", rank, default=1),
        window["dilation"],
        sizes["g"],
        int(fields.matching(r"bg(\d+)") or 1),
        numbers,
        fields.matching("|".join(PADDING_MODES[1:])) or "zeros",
        bias=fields.flag("bias"),
        flip=fields.flag("flip"),
        activation=fields.matching("|".join(ACTIVATIONS[1:])) or "none",
        beta=float(beta) if beta else 0.0,
        conjugate=fields.flag("conj"),
        second_dtype=fields.dtypes[1] if len(fields.dtypes) > 1 else "",
        accumulator=BY_CODE[accumulator].name if accumulator else "",
        zero_points="x" * fields.flag("xzero") + "w" * fields.flag("wzero"),
    ).simplest


def _quantized(fields: Fields) -> Problem:
    code = fields.matching(r"to([iu]\d+)")
    if code not in BY_CODE:
        raise ValueError(f"problem {fields.text!r} has no type of y, as toi8")
    sums: Any = _conv(fields)
    return QuantizedConvProblem(sums, BY_CODE[code].name)


def _deform(fields: Fields) -> Problem:
    offset_groups, has_mask = int(fields.matching(r"og(\d+)") or 1), fields.flag("mask")
    stored, fields.name = fields.dtypes[0], fields.name.removeprefix("deform_")
    fields.dtypes = [summed(stored)]
    conv = _conv(fields)
    if not isinstance(conv, ConvProblem):
        raise ValueError(f"problem {fields.text!r}: deform_conv has no general form")
    return DeformProblem(conv, offset_groups, has_mask, stored if stored != conv.dtype else "")


def _bias_gradient(fields: Fields) -> Problem:
    batch, outputs, output = fields.size("n"), fields.size("o"), fields.sizes("i")
    sizes = (fields.dtypes[0], batch, outputs, output)
    return BiasGradientProblem("conv_bwd_bias", *sizes, layout=fields.layout(len(output)))


def _images(fields: Fields) -> tuple[Any, str, int, int]:
    return fields.name, fields.dtypes[0], fields.size("n"), fields.size("c")


def _columns(fields: Fields) -> Problem:
    images, geometry = _images(fields), fields.geometry()
    return ColumnsProblem(*images, geometry, layout=fields.layout(geometry.rank))


def _pool(fields: Fields) -> Problem:
    images, geometry = _images(fields), fields.geometry()
    divisor = int(fields.matching(r"divisor(\d+)") or 0)
    include = not fields.flag("exclude_pad")
    return PoolProblem(*images, geometry, include, divisor, layout=fields.layout(geometry.rank))


def _lp_pool(fields: Fields) -> Problem:
    images, geometry = _images(fields), fields.geometry()
    p = fields.matching(r"norm(.+)")
    flags = fields.flag("signed"), fields.flag("scale_overhang")
    norm = (float(p) if p else 2.0, *flags)
    return LpPoolProblem(*images, geometry, *norm, layout=fields.layout(geometry.rank))


def _adaptive(fields: Fields) -> Problem:
    images, input, output = _images(fields), fields.sizes("i"), fields.sizes("o")
    return AdaptivePoolProblem(*images, input, output, layout=fields.layout(len(input)))


def _index(fields: Fields) -> Problem:
    images, image, output = _images(fields), fields.sizes("i"), fields.sizes("o")
    return IndexProblem(*images, image, output, layout=fields.layout(len(image)))


_READERS: dict[str, Callable[[Fields], Problem]] = {
    **dict.fromkeys(DIRECTION_NAMES.values(), _conv),
    **{f"deform_{name}": _deform for name in DIRECTION_NAMES.values()},
    "qlinear_conv": _quantized,
    "conv_bwd_bias": _bias_gradient,
    **dict.fromkeys(("im2col", "col2im"), _columns),
    **dict.fromkeys(("max_pool", "avg_pool", "avg_pool_backward"), _pool),
    **dict.fromkeys(("lp_pool", "lp_pool_backward"), _lp_pool),
    **dict.fromkeys(
        ("adaptive_max_pool", "adaptive_avg_pool", "adaptive_avg_pool_backward"), _adaptive
    ),
    **dict.fromkeys(("max_pool_backward", "max_unpool", "max_unpool_backward"), _index),
}
