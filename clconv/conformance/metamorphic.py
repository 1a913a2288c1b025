"""Relations between results of one implementation, which need no reference.

Each says what has to happen to a result when the problem is changed in a way that is understood:

shift     zeros put before the image, as many as a step of the windows: the output moves by one
channels  channels in another order, within groups and group by group: the output's likewise
linear    A(u + 2v) = A u + 2 A v, in every operand that A is linear in
groups    groups = one group whose filters are block-diagonal
dilation  dilated filter = filter with zeros between its taps
depth     one more spatial axis of size 1 changes nothing
batch     images alone, or in a batch
reals     the same as batch, on real numbers: the order of every sum is the batch's no business

Data are whole numbers on which everything is exact (but for `reals`), so that both sides have to
be equal, bit for bit: what is compared are sums of the same terms, and of zeros.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property, partial
from math import gcd
from typing import Any

import numpy as np

from clconv.conformance.calls import Array, Backend, as_tuple
from clconv.conformance.data import Tensors, data_for
from clconv.conformance.problems import call_of
from clconv.conformance.rules import Finding, compare_bits, why_not
from clconv.conformance.words import Words
from clconv.reference.bounds import computed_dtype
from clconv.spec.tensor import Problem

Equalities = Iterator[tuple[Array, Array]]  # what is found, and what it has to equal
Check = Callable[[], Finding | None]
NOT_ALIKE = ("exclude_pad", "reflect", "replicate", "circular")  # a border is not like zeros
LINEAR = (
    *("im2col", "col2im", "avg_pool", "avg_pool_backward", "conv_bwd_bias"),
    *("adaptive_avg_pool", "adaptive_avg_pool_backward"),
    *("max_pool_backward", "max_unpool", "max_unpool_backward"),
)
LONGEST_STEP = 1000  # pixels that an image is made larger by
BEYOND_LINEAR = ("bias", "beta", "xzero", "wzero", *("relu", "leaky", "sigmoid", "tanh"), "silu")


class Known:
    """A problem with data and what a backend makes of it; `run` does others beside it."""

    def __init__(self, backend: Backend, problem: Problem, kind: str = "integer") -> None:
        self.backend, self.problem, self.kind = backend, problem, kind
        self.words = Words.of(problem)
        self.layouts = self.words.layouts

    @cached_property
    def tensors(self) -> Tensors:
        """The operands; ValueError where no whole numbers are exact."""
        return data_for(self.problem, self.kind)

    @cached_property
    def results(self) -> Tensors:
        """The results by name."""
        return self.run(self.words, self.tensors)

    def run(self, words: Words, tensors: Tensors) -> Tensors:
        """Return the results of another problem by name."""
        problem = words.problem
        results = as_tuple(call_of(problem, tensors).on(self.backend))
        return dict(zip(problem.results, results, strict=True))

    def changed(self, change: Callable[[str, Array], Array]) -> Tensors:
        """Return the operands, each by a function of its name and itself."""
        return {name: change(name, array) for name, array in self.tensors.items()}

    def zero_of(self, name: str) -> Any:
        """Return what stands for zero in a tensor of images."""
        if self.words.name == "max_pool":  # less than anything
            dtype = self.tensors[name].dtype
            return np.iinfo(dtype).min if dtype.kind in "iu" else -np.inf
        zero = self.tensors.get("x_zero_point")
        return int(zero[0]) if name == "x" and zero is not None else 0

    @property
    def filter_zeros(self) -> Array:
        """What stands for zero in the filters of each output."""
        return self.tensors.get("w_zero_point", np.zeros(self.words.sizes["o"], int))

    def zero_fits(self, name: str) -> bool:
        """Tell whether the zero point of x or w, if there is one, is a number of its type."""
        zero = self.tensors.get(f"{name}_zero_point")
        if zero is None:
            return True
        info = np.iinfo(self.tensors[name].dtype)
        return bool(info.min <= zero.min() and zero.max() <= info.max)


Relation = Callable[[Known], Equalities]


def shift(known: Known) -> Equalities:
    """Compare with the image one step further from the start, on all axes at once."""
    words = known.words
    windowed = "k" in words.axes and words.name not in ("im2col", "col2im")
    if not windowed or words.has(*NOT_ALIKE) or not known.zero_fits("x"):
        return
    # Pixels are lhs apart, windows s: after so many of both, they meet again.
    axes = list(zip(words.axis("s"), words.axis("lhs"), strict=True))
    steps = {True: [s // gcd(s, a) for s, a in axes], False: [a // gcd(s, a) for s, a in axes]}

    if max(steps[True]) > LONGEST_STEP:
        return

    def front(name: str) -> list[int]:
        layout = known.layouts[name]
        if name in ("w", "dw"):
            return [0] * len(layout)
        spatial = dict(zip(_spatial(known), steps[name in words.images], strict=True))
        return [spatial.get(letter, 0) for letter in layout]

    def moved(name: str, array: Array) -> Array:
        pads = [(n, 0) for n in front(name)]
        return np.pad(array, pads, constant_values=known.zero_of(name))

    larger = tuple(n + more for n, more in zip(words.axes["i"], steps[True], strict=True))
    results = known.run(words.with_axes(i=larger), known.changed(moved))
    for name in results.keys() - {"indices"}:  # which count from the image's start
        inner = tuple(slice(n, None) for n in front(name))
        yield results[name][inner], known.results[name]


def _spatial(known: Known) -> str:
    """Return the spatial letters, in the order of options per axis."""
    layouts = known.layouts
    layout = layouts["w"] if known.words.is_convolution else layouts[known.words.images[0]]
    return "".join(letter for letter in layout if letter in "DHW")


def channels(known: Known) -> Equalities:
    """Compare with the channels in another order."""
    words, sizes = known.words, known.words.sizes
    if words.has("og") and "og1" not in words.flags:
        return  # offsets belong to channels
    groups, blocks = sizes.get("g", 1), 1
    blocks = next((int(f[2:]) for f in words.flags if f.startswith("bg")), 1)
    inputs, outputs = sizes.get("c", 1) // groups, sizes.get("o", 1) // (groups * blocks)
    orders = {
        "C": _order(groups, inputs),
        "I": _order(1, inputs),
        # Outputs of a batch group stay in it.
        "O": _order(groups, outputs) if blocks == 1 else _order(blocks, outputs, moved=False),
    }

    def ordered(name: str, array: Array) -> Array:
        for axis, letter in enumerate(known.layouts[name]):
            if letter in orders:
                array = _taken(array, orders[letter], axis)
        return array

    results = known.run(words, known.changed(ordered))
    for name, result in known.results.items():
        yield results[name], ordered(name, result)


def _order(blocks: int, each: int, moved: bool = True) -> list[int]:
    """Return an order of blocks*each things: the blocks rotated, in each the things reversed."""
    first = [(block + moved) % blocks for block in range(blocks)]
    return [block * each + i for block in first for i in reversed(range(each))]


def _taken(array: Array, order: list[int], axis: int) -> Array:
    """Return the parts of an axis in another order; a part may have several elements (columns)."""
    parts = array.shape[axis] // len(order)
    places = np.add.outer(parts * np.array(order), np.arange(parts)).reshape(-1)
    taken: Array = np.take(array, places, axis)
    return taken


def linear(known: Known) -> Equalities:
    """Compare A(u + 2v) with A u + 2 A v, where results are not rounded to a stored type."""
    operands = _linear_operands(known.words)
    if not operands or any(computed_dtype(a.dtype) != a.dtype for a in known.tensors.values()):
        return
    try:
        u, other = (data_for(known.problem, "integer", seed, spare=3) for seed in (0, 1))
    except ValueError:  # u + 2v would not be exact
        return
    first = known.run(known.words, u)
    for name in operands & u.keys():
        second = known.run(known.words, {**u, name: other[name]})
        both = known.run(known.words, {**u, name: u[name] + 2 * other[name]})
        for result in first:
            yield both[result], first[result] + 2 * second[result]


def _linear_operands(words: Words) -> set[str]:
    """Return the operands in which the problem is linear, each with the others held."""
    if words.name in LINEAR:
        return {"dy"} if words.name == "conv_bwd_bias" else {"x"}
    if words.name.startswith("lp_pool"):
        is_sum = {"norm1.0", "signed"} <= set(words.flags)
        return {"x" if words.name == "lp_pool" else "dy"} if is_sum else set()
    if words.name == "deform_conv_fwd" and not words.has("bias"):
        return {"x", "w", "mask"}
    plain = words.name in ("conv_fwd", "conv_bwd_data", "conv_bwd_weights")
    return {"x", "w", "dy"} if plain and not words.has(*BEYOND_LINEAR, "gelu") else set()


def groups(known: Known) -> Equalities:
    """Compare with one group, whose filters are zero between channels of different groups."""
    words, count = known.words, known.words.sizes.get("g", 1)
    if count == 1 or not known.zero_fits("w"):
        return
    layout = known.layouts["w"]
    outputs, inputs = layout.index("O"), layout.index("I")
    zero = known.filter_zeros

    def dense(name: str, array: Array) -> Array:
        if name != "w":
            return array
        rows = np.moveaxis(array, (outputs, inputs), (0, 1))
        wide = np.empty((len(rows), count * rows.shape[1], *rows.shape[2:]), array.dtype)
        wide[:] = zero.reshape(-1, *[1] * (wide.ndim - 1))
        for part, block in zip(_blocks(wide, count), np.split(rows, count), strict=True):
            part[:] = block
        return np.ascontiguousarray(np.moveaxis(wide, (0, 1), (outputs, inputs)))

    results = known.run(words.with_sizes(g=1), known.changed(dense))
    for name, result in known.results.items():
        found = results[name]
        if name == "dw":
            rows = np.moveaxis(found, (outputs, inputs), (0, 1))
            blocks = np.concatenate(list(_blocks(rows, count)))
            found = np.moveaxis(blocks, (0, 1), (outputs, inputs))
        yield found, result


def _blocks(w: Array, count: int) -> Iterator[Array]:
    """Yield views of the diagonal blocks of w (O, C, ...)."""
    for number, rows in enumerate(np.split(w, count)):
        yield np.split(rows, count, axis=1)[number]


def dilation(known: Known) -> Equalities:
    """Compare with the filter that has zeros between its taps."""
    words = known.words
    steps, taps = words.axis("d"), words.axis("k")
    spread = any(d > 1 and k > 1 for d, k in zip(steps, taps, strict=True))
    plain = words.is_convolution and not words.name.startswith("deform")
    # conv_transpose adds less to its output than a stride or a dilation, which would be 1.
    pads = zip(words.axis("p"), words.axis("s"), strict=True)
    added = any(-high >= step for (_, high), step in pads)
    if not spread or not plain or added or not known.zero_fits("w"):
        return
    layout = known.layouts["w"]
    step_of = dict(zip(_spatial(known), steps, strict=True))
    every = tuple(slice(None, None, step_of.get(letter, 1)) for letter in layout)
    zero = known.filter_zeros

    def stuffed(name: str, array: Array) -> Array:
        if name != "w":
            return array
        sizes = zip(array.shape, layout, strict=True)
        wide = np.empty([(n - 1) * step_of.get(a, 1) + 1 for n, a in sizes], array.dtype)
        wide[:] = zero.reshape([-1 if letter == "O" else 1 for letter in layout])
        wide[every] = array
        return wide

    extents = tuple((k - 1) * d + 1 for k, d in zip(taps, steps, strict=True))
    dense = words.with_axes(k=extents, d=(1,) * words.rank)
    results = known.run(dense, known.changed(stuffed))
    for name, result in known.results.items():
        yield results[name][every] if name == "dw" else results[name], result


def depth(known: Known) -> Equalities:
    """Compare with one more spatial axis, of size 1."""
    words = known.words
    if words.rank == 3 or words.name == "conv_bwd_bias" or words.name.startswith("deform"):
        return
    raised = words.raised()

    def volume(name: str, array: Array) -> Array:
        before, after = known.layouts[name], raised.layouts[name]
        places = [i for i, letter in enumerate(after) if letter not in before]
        return np.expand_dims(array, places)

    results = known.run(raised, known.changed(volume))
    for name, result in known.results.items():
        yield results[name], volume(name, result)


def batch(known: Known) -> Equalities:
    """Compare with the first image alone, and the others without it."""
    words, images = known.words, known.words.sizes["n"]
    if images < 2 or words.has("bg") or words.name.endswith(("weights", "bias")):
        return
    for first, last in ((0, 1), (1, images)):

        def part(name: str, array: Array, span: slice = slice(first, last)) -> Array:
            layout = known.layouts[name]
            return array[tuple(span if a == "N" else slice(None) for a in layout)]

        results = known.run(words.with_sizes(n=last - first), known.changed(part))
        for name, result in known.results.items():
            yield results[name], part(name, result)


RELATIONS: Mapping[str, Relation] = {
    "shift": shift,
    "channels": channels,
    "linear": linear,
    "groups": groups,
    "dilation": dilation,
    "depth": depth,
    "batch": batch,
    "reals": batch,
}


def relations(backend: Backend, problem: Problem) -> Iterator[tuple[str, Check]]:
    """Yield relations by name, each with the check that holds the backend to it.

    A check returns None where its relation says nothing of the problem. Results of the unchanged
    problem are computed once, for all of them.
    """
    if str(problem).startswith("deform_conv_bwd"):
        return  # one call gives results of several problems
    known = {kind: Known(backend, problem, kind) for kind in ("integer", "random")}
    for name, relation in RELATIONS.items():
        kind, rule = ("random", "bound") if name == "reals" else ("integer", "bits")
        if not why_not(problem, rule):
            yield name, partial(_held, relation, known[kind])


def _held(relation: Relation, known: Known) -> Finding | None:
    try:
        _ = known.tensors
    except ValueError:  # no whole numbers are exact
        return None
    findings = [compare_bits(found, equal) for found, equal in relation(known)]
    return min(findings, key=lambda finding: finding.passed, default=None)
