"""A problem string taken apart, to be changed word by word and put together again.

    conv_fwd : f32 : n8c64o128g1 : i56x56 : k3x3 : ... : bias : NHWC,HWIO->NHWC
    name       types sizes         axes                  flags

Whether the words make sense is said when they are read back: `Words.problem` raises.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from clconv.spec.layout import SPATIAL_LETTERS
from clconv.spec.parse import parse
from clconv.spec.tensor import Problem

Entries = tuple[Any, ...]  # of an axis field: numbers, or (low, high) for padding
CONVOLUTIONS = ("conv_fwd", "conv_bwd_data", "conv_bwd_weights", "qlinear_conv")
_AXES = re.compile(r"(lhs|[ikspdo])(-?\d[-\d.x]*)")
_NUMBERS = re.compile(r"[A-Z]{3,5},[A-Z]{3,5}->[A-Z]{3,5}")
_LAYOUT = re.compile(r"[NCDHW]{3,5}")
# Which tensor of an operator on images lies on the image's side of the windows, where not x.
_BACK = ("avg_pool_backward", "adaptive_avg_pool_backward", "max_pool_backward", "max_unpool")
_IMAGES = {**dict.fromkeys((*_BACK, "col2im"), ("y",)), "lp_pool_backward": ("x", "dx")}


@dataclass(frozen=True)
class Words:
    """The words of a problem string; each axis field has an entry for every spatial axis."""

    name: str
    types: str
    sizes: Mapping[str, int]
    axes: Mapping[str, Entries]
    flags: tuple[str, ...]

    @staticmethod
    def of(problem: Problem | str) -> Words:
        """Take a problem, or its string, apart."""
        name, types, sizes, *rest = str(problem).split(":")
        axes = {m[1]: _entries(m[2]) for m in map(_AXES.fullmatch, rest) if m}
        rank = len(axes["i"])
        axes = {k: v if len(v) == rank else v * rank for k, v in axes.items()}
        flags = tuple(field for field in rest if not _AXES.fullmatch(field))
        numbers = {k: int(v) for k, v in re.findall(r"([a-z])(\d+)", sizes)}
        return Words(name, types, numbers, axes, flags)

    def __str__(self) -> str:
        sizes = "".join(f"{letter}{size}" for letter, size in self.sizes.items())
        fields = [letter + _axis_text(entries) for letter, entries in self.axes.items()]
        return ":".join([self.name, self.types, sizes, *fields, *self.flags])

    @property
    def problem(self) -> Problem:
        """The problem that the words describe; ValueError or UnsupportedError if none."""
        return _read(str(self))

    @property
    def rank(self) -> int:
        """Number of spatial axes."""
        return len(self.axes["i"])

    def with_sizes(self, **sizes: int) -> Words:
        """Return the words with other sizes, n, c, o or g."""
        return replace(self, sizes={**self.sizes, **sizes})

    def with_axes(self, **axes: Entries) -> Words:
        """Return the words with other entries of axis fields."""
        return replace(self, axes={**self.axes, **axes})

    def axis(self, letter: str) -> Entries:
        """Return the entries of a field, those that it stands for where it is left out."""
        return self.axes.get(letter, ((0, 0) if letter == "p" else 1,) * self.rank)

    def has(self, *flags: str) -> bool:
        """Tell whether one of the flags begins with one of these."""
        return any(flag.startswith(flags) for flag in self.flags)

    @property
    def is_convolution(self) -> bool:
        """Whether it has two operands and three directions."""
        return self.name.removeprefix("deform_") in CONVOLUTIONS

    @property
    def layouts(self) -> Mapping[str, str]:
        """A letter for every axis of every tensor that the operator may have, by name.

        N batch, C channels of x, O of y, I those of a group, DHW space, P positions, * others.
        """
        letters = SPATIAL_LETTERS[self.rank]
        if not self.is_convolution:
            layout = self._flag(_LAYOUT) or "NC" + letters
            if self.name == "conv_bwd_bias":
                return {"dy": layout.replace("C", "O"), "db": "O"}
            columns = {"im2col": "y", "col2im": "x"}.get(self.name)
            images = dict.fromkeys(("x", "y", "dx", "dy", "indices"), layout)
            return images | ({columns: "NCP"} if columns else {})
        numbers = self._flag(_NUMBERS) or f"NC{letters},OI{letters}->NC{letters}"
        x, w, y = re.split(",|->", numbers)
        y = y.replace("C", "O")
        return {
            **dict.fromkeys(("x", "dx"), x),
            **dict.fromkeys(("w", "dw"), w),
            **dict.fromkeys(("y", "dy", "out"), y),
            **dict.fromkeys(("w_zero_point", "mantissa", "exponent"), "O"),
            **dict.fromkeys(("x_zero_point", "y_zero_point"), "*"),
            **dict.fromkeys(("offset", "mask", "doffset", "dmask"), f"N*{letters}"),
            "bias": "C" if self.name == "conv_bwd_data" else "O",
        }

    @property
    def images(self) -> tuple[str, ...]:
        """The tensors on the image's side of the windows: their space is `i`."""
        return ("x", "dx") if self.is_convolution else _IMAGES.get(self.name, ("x",))

    def _flag(self, pattern: re.Pattern[str]) -> str | None:
        return next((flag for flag in self.flags if pattern.fullmatch(flag)), None)

    def raised(self) -> Words:
        """Return the words with one more spatial axis in front, of size 1."""
        one: dict[str, Any] = {"i": 1, "k": 1, "s": 1, "p": (0, 0), "d": 1, "lhs": 1, "o": 1}
        axes = {letter: (one[letter], *entries) for letter, entries in self.axes.items()}
        layouts = self._flag(_NUMBERS) or self._flag(_LAYOUT)
        if layouts is None:
            return replace(self, axes=axes)
        (new,) = [letter for letter in "HDW" if letter not in layouts][:1]
        # A layout is a run of letters: the new one goes before its first spatial letter.
        raised = re.sub(r"(^|[,>])([NCOI]*)", rf"\1\2{new}", layouts)
        flags = tuple(raised if flag == layouts else flag for flag in self.flags)
        return replace(self, axes=axes, flags=flags)


@lru_cache(maxsize=64)  # the same words are read for every algorithm
def _read(text: str) -> Problem:
    return parse(text)


def _entries(text: str) -> Entries:
    pairs = [tuple(map(int, entry.split("."))) for entry in text.split("x")]
    return tuple(pair if len(pair) > 1 else pair[0] for pair in pairs)


def _axis_text(entries: Entries) -> str:
    words = (".".join(map(str, e)) if isinstance(e, tuple) else str(e) for e in entries)
    return "x".join(words)
