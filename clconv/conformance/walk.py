"""A random walk over problem strings: every operator, type, rank, layout, border and option.

A step draws words (see `words`) and keeps them if they are a problem that a public function
states. Kernels are built for a filter, its stride and dilation, so most steps keep those of an
earlier one: what is drawn anew is cheap, and a build is not.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

from clconv.conformance.cases import Case, is_defined
from clconv.conformance.data import data_for
from clconv.conformance.problems import call_of
from clconv.conformance.words import CONVOLUTIONS, Entries, Words
from clconv.errors import UnsupportedError
from clconv.spec.layout import SPATIAL_LETTERS
from clconv.spec.problem import ACTIVATIONS
from clconv.spec.rearrangement import PADDING_MODES
from clconv.spec.tensor import Problem

DIRECTIONS = CONVOLUTIONS[:3]
REALS = ("f32", "f32", "f32", "f64", "f16", "bf16")
NUMBERS = (*REALS, "c64", "c128")
INTEGERS = ("i8", "u8", "i16", "u16", "i32", "i64")
ANY = (*NUMBERS, *INTEGERS)
LARGEST_IMAGE = {1: 40, 2: 12, 3: 6}  # along an axis, by rank
REMEMBERED = 8  # filters
NEW_FILTER = 0.005  # how often


@dataclass
class Walker:
    """Draws words; remembers the filters that it went by."""

    rng: Random
    filters: deque[dict[str, Entries]] = field(default_factory=lambda: deque(maxlen=REMEMBERED))

    def filter(self) -> dict[str, Entries]:
        """Return kernel, stride and dilation: mostly those of an earlier step."""
        rng = self.rng
        if len(self.filters) == REMEMBERED and rng.random() > NEW_FILTER:
            return dict(rng.choice(self.filters))
        rank = rng.choice((1, 2, 2, 3))
        most = {1: 7, 2: 5, 3: 3}[rank]
        new: dict[str, Entries] = {
            "k": tuple(rng.randint(1, most) for _ in range(rank)),
            "s": tuple(rng.choice((1, 1, 2, 3, 5)) for _ in range(rank)),
            "d": tuple(rng.choice((1, 1, 1, 2, 4)) for _ in range(rank)),
        }
        self.filters.append(new)
        return dict(new)

    def windows(self, least: int = 0) -> dict[str, Entries]:
        """Return a filter and an image that, with its padding, is large enough; p from `least`."""
        rng, axes = self.rng, self.filter()
        rank = len(axes["k"])
        extents = [(k - 1) * d + 1 for k, d in zip(axes["k"], axes["d"], strict=True)]
        axes["p"] = tuple((rng.randint(least, 3), rng.randint(least, 3)) for _ in extents)
        needs = [max(e - sum(p), 1) for e, p in zip(extents, axes["p"], strict=True)]
        more = LARGEST_IMAGE[rank]
        return {"i": tuple(need + rng.randrange(more) for need in needs), **axes}

    def image(self) -> Entries:
        """Return the sizes of an image."""
        rank = self.rng.choice((1, 2, 2, 3))
        return tuple(self.rng.randint(1, LARGEST_IMAGE[rank]) for _ in range(rank))

    def channels(self) -> dict[str, int]:
        """Return batch, channels, outputs and groups."""
        rng = self.rng
        groups, most = rng.choice((1, 1, 1, 2, 3)), rng.choice((1, 3, 5, 20))
        if rng.random() < 0.2:
            groups, most = rng.randint(1, 9), 1  # depthwise
        return {
            "n": rng.randint(1, 3),
            "c": groups * rng.randint(1, most),
            "o": groups * rng.randint(1, rng.choice((1, 3, 9, 20))),
            "g": groups,
        }

    def flags(self, **chances: float) -> tuple[str, ...]:
        """Return those that come up."""
        return tuple(flag for flag, chance in chances.items() if self.rng.random() < chance)

    def layout(self, rank: int) -> tuple[str, ...]:
        """Return no layout or any."""
        if self.rng.random() < 0.6:
            return ()
        return ("".join(self.rng.sample("NC" + SPATIAL_LETTERS[rank], rank + 2)),)

    def numbers(self, rank: int) -> tuple[str, ...]:
        """Return no dimension numbers or any."""
        if self.rng.random() < 0.6:
            return ()
        x, w, y = (
            "".join(self.rng.sample(both + SPATIAL_LETTERS[rank], rank + 2))
            for both in ("NC", "OI", "NC")
        )
        return (f"{x},{w}->{y}",)


def _conv(w: Walker) -> Words:
    """Draw a convolution, fused with what may follow it, or its adjoint."""
    name, kind, axes = w.rng.choice(DIRECTIONS), w.rng.choice(ANY), w.windows()
    flags = w.flags(flip=0.2)
    if name == "conv_fwd":
        flags += w.flags(bias=0.4, **{"beta-2.0": 0.2})
        if kind in REALS:
            flags += tuple(w.rng.sample(ACTIVATIONS[1:], w.rng.choice((0, 0, 1))))
    return Words(name, kind, w.channels(), axes, flags + w.numbers(len(axes["k"])))


def _bordered(w: Walker) -> Words:
    """Draw borders that are copies of the image, which has to have the pixels."""
    name, axes = w.rng.choice(DIRECTIONS), w.windows()
    pads = zip(axes["p"], axes["i"], strict=True)
    axes["p"] = tuple((min(low, n - 1), min(high, n - 1)) for (low, high), n in pads)
    flags = (w.rng.choice(PADDING_MODES[1:]), *w.numbers(len(axes["k"])))
    return Words(name, w.rng.choice(NUMBERS), w.channels(), axes, flags)


def _general(w: Walker) -> Words:
    """Draw pixels apart, signed padding, or batch groups."""
    name, axes, sizes = w.rng.choice(DIRECTIONS), w.windows(least=-1), w.channels()
    axes["lhs"] = tuple(w.rng.choice((1, 1, 2, 3)) for _ in axes["k"])
    flags = w.flags(flip=0.2) + w.numbers(len(axes["k"]))
    if w.rng.random() < 0.3:
        blocks = w.rng.choice((2, 3))
        sizes |= {"n": blocks * sizes["n"], "o": blocks * sizes["o"] // sizes["g"], "g": 1}
        flags += (f"bg{blocks}",)
    return Words(name, w.rng.choice(NUMBERS), sizes, axes, flags)


def _transposed(w: Walker) -> Words:
    """Draw conv_transpose, or an adjoint: its image is what the windows of x cover."""
    axes, kind = w.filter(), w.rng.choice(NUMBERS)
    rows: list[Any] = []
    for k, s, d in zip(axes["k"], axes["s"], axes["d"], strict=True):
        windows, low, high = w.rng.randint(1, 5), w.rng.randint(0, 2), w.rng.randint(0, 2)
        added = w.rng.randrange(max(s, d))
        rows.append(((windows - 1) * s + (k - 1) * d + 1 - low - high + added, (low, high - added)))
    axes = {"i": tuple(i for i, _ in rows), **axes, "p": tuple(p for _, p in rows)}
    name = w.rng.choice(DIRECTIONS) if kind.startswith("c") else "conv_bwd_data"
    flags = ("conj",) * kind.startswith("c") + w.flags(flip=0.2)
    # Without a bias or complex numbers, it would be an adjoint of conv.
    biased = name == "conv_bwd_data" and ("conj" not in flags or w.rng.random() < 0.5)
    flags += ("bias",) * biased
    return Words(name, kind, w.channels(), axes, flags)


def _integer(w: Walker) -> Words:
    pair, axes = (w.rng.choice(INTEGERS[:4]), w.rng.choice(INTEGERS[:4])), w.windows()
    flags = w.flags(acci64=0.4, xzero=0.6, wzero=0.4) or ("xzero",)
    return Words("conv_fwd", ".".join(dict.fromkeys(pair)), w.channels(), axes, flags)


def _quantized(w: Walker) -> Words:
    pair, axes = (w.rng.choice(("i8", "u8")), w.rng.choice(("i8", "u8"))), w.windows()
    flags = (*w.flags(xzero=0.6, wzero=0.4, bias=0.5), "to" + w.rng.choice(INTEGERS[:4]))
    return Words("qlinear_conv", ".".join(dict.fromkeys(pair)), w.channels(), axes, flags)


def _deformed(w: Walker) -> Words:
    name = w.rng.choice(("deform_conv_fwd", "deform_conv_bwd_data"))
    flags = (f"og{w.rng.choice((1, 1, 2, 3))}", *w.flags(mask=0.5))
    flags += w.flags(bias=0.4) if name == "deform_conv_fwd" else ()
    return Words(name, w.rng.choice(REALS), w.channels(), w.windows(), flags)


def _bias_gradient(w: Walker) -> Words:
    sizes = {"n": w.rng.randint(1, 4), "o": w.rng.randint(1, 20)}
    return Words("conv_bwd_bias", w.rng.choice(ANY), sizes, {"i": (w.rng.randint(1, 99),)}, ())


def _images(w: Walker) -> dict[str, int]:
    return {"n": w.rng.randint(1, 3), "c": w.rng.randint(1, 9)}


def _pooled(w: Walker) -> Words:
    name, axes = w.rng.choice(("max_pool", "avg_pool", "avg_pool_backward")), w.windows()
    flags = w.flags(ceil=0.4)
    if name != "max_pool":
        flags += w.rng.choice(((), (), ("exclude_pad",), ("divisor7",)))
    return Words(name, w.rng.choice(ANY), _images(w), axes, flags + w.layout(len(axes["k"])))


def _normed(w: Walker) -> Words:
    name, axes = w.rng.choice(("lp_pool", "lp_pool_backward")), w.windows()
    norm = w.rng.choice((1.0, 1.0, 2.0, 2.5, 3.0))
    if w.rng.random() < 0.2:  # of everything
        axes = {"i": axes["k"], "k": axes["k"]}
    flags = (f"norm{norm}", *w.flags(ceil=0.3), *w.layout(len(axes["k"])))
    flags += w.flags(signed=0.3 * (norm != 2.5))
    return Words(name, w.rng.choice(REALS), _images(w), axes, flags)


def _unfolded(w: Walker) -> Words:
    name, axes = w.rng.choice(("im2col", "col2im")), w.windows()
    return Words(name, w.rng.choice(ANY), _images(w), axes, w.layout(len(axes["k"])))


def _sized(w: Walker) -> Words:
    """Draw what goes between two sizes: adaptive pooling, and what follows indices."""
    names = ("adaptive_max_pool", "adaptive_avg_pool", "adaptive_avg_pool_backward")
    name = w.rng.choice((*names, "max_pool_backward", "max_unpool", "max_unpool_backward"))
    image = w.image()
    output = tuple(w.rng.randint(1, n + 2 * (name in names)) for n in image)
    if w.rng.random() < 0.1:
        output = (1,) * len(image)
    axes = {"i": image, "o": output}
    return Words(name, w.rng.choice(ANY), _images(w), axes, w.layout(len(image)))


DRAWN: tuple[Callable[[Walker], Words], ...] = (
    *(_conv, _conv, _conv, _bordered, _general, _general, _transposed, _integer, _quantized),
    *(_deformed, _bias_gradient, _pooled, _pooled, _normed, _unfolded, _sized, _sized),
)


def walk(seed: int, algorithms: tuple[str, ...]) -> Iterator[Case]:
    """Yield cases without end, the same for the same seed; a convolution by one of `algorithms`."""
    walker = Walker(Random(seed))
    while True:
        problem = _stated(walker.rng.choice(DRAWN)(walker))
        if problem is not None:
            chosen = Words.of(problem).name in CONVOLUTIONS
            yield Case(problem, (walker.rng.choice(algorithms) if chosen else "auto",))


def _stated(words: Words) -> Problem | None:
    """Return the problem that the words are, if they are one and a public function states it."""
    if not is_defined(str(words)):
        return None
    try:
        problem = words.problem
        call_of(problem, data_for(problem, "random"))
    except (ValueError, UnsupportedError):
        return None
    return problem
