"""Problems cut into smaller ones of their kind, whose results are parts of the whole's.

Results alone are cut, never a sum: each element comes of the same terms in the same order, so that
a piece gives the whole's bits where the same algorithm solves it. The axes of a problem

    batch     images
    groups    of channels, or of the batch
    outputs   output channels of the only group
    channels  input channels of the only group; for images, any channels
    space0..  along a spatial axis: windows forward, pixels backward; operands with their halos

are offered where that is so. A gradient of weights sums over images and windows: it has neither.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from itertools import product
from math import prod
from typing import Any, NamedTuple

from clconv.spec.deform import DeformProblem
from clconv.spec.general import GeneralConvProblem, generalised
from clconv.spec.geometry import Sizes
from clconv.spec.images import (
    BiasGradientProblem,
    ColumnsProblem,
    ImageProblem,
    PoolProblem,
    WindowProblem,
)
from clconv.spec.layout import SPATIAL_LETTERS, spatial_letters
from clconv.spec.pool_lp import LpPoolProblem
from clconv.spec.problem import ConvProblem
from clconv.spec.quantized import QuantizedConvProblem
from clconv.spec.tensor import Problem
from clconv.spec.tiles import (
    Range,
    Tile,
    axes_of,
    axes_of_geometry,
    tile_of_pixels,
    tile_of_windows,
)

Place = tuple[slice, ...]  # of a piece's tensor in the whole's
Ranges = Mapping[str, Range]
SPACE = ("space0", "space1", "space2")


class Piece(NamedTuple):
    """A part of a problem, and where its tensors lie in the whole's."""

    problem: Problem
    places: Mapping[str, Place]


def cut_axes(problem: Problem) -> dict[str, int]:
    """Return the axes that a problem can be cut along, and their sizes above 1, in good order."""
    if isinstance(problem, QuantizedConvProblem):
        return cut_axes(problem.sums)
    if isinstance(problem, DeformProblem):
        sizes = _deform_axes(problem)
    elif isinstance(problem, ConvProblem | GeneralConvProblem):
        sizes = _conv_axes(generalised(problem))
    else:
        assert isinstance(problem, ImageProblem)
        sizes = _image_axes(problem)
    return {name: size for name, size in sizes.items() if size > 1}


def pieces(problem: Problem, sizes: Mapping[str, int]) -> Iterator[Piece]:
    """Yield the pieces that are `sizes` long along these axes, the last ones perhaps shorter."""
    whole = cut_axes(problem)
    spans = [_ranges(whole[name], size) for name, size in sizes.items()]
    for ranges in product(*spans):
        yield piece(problem, dict(zip(sizes, ranges, strict=True)))


def samples(problem: Problem, sizes: Mapping[str, int]) -> Iterator[Piece]:
    """Yield the pieces at the start, at the end and between: none is larger, but by a pixel."""
    whole = cut_axes(problem)
    spans = {name: _ranges(whole[name], size) for name, size in sizes.items()}
    for index in (0, 1, -1):
        chosen = {name: r[min(index, len(r) - 1)] for name, r in spans.items()}
        yield piece(problem, chosen)


def _ranges(whole: int, size: int) -> list[Range]:
    return [(first, min(first + size, whole)) for first in range(0, whole, size)]


def piece(problem: Problem, ranges: Ranges) -> Piece:
    """Return the part of a problem that is `ranges` of its axes, and all of the others."""
    if isinstance(problem, QuantizedConvProblem):
        sums, places = piece(problem.sums, ranges)
        outputs = places["w"][generalised(problem.sums).dimension_numbers.w.index("O")]
        more = {"mantissa": (outputs,), "exponent": (outputs,), "y_zero_point": (slice(None),)}
        assert isinstance(sums, ConvProblem | GeneralConvProblem)
        return Piece(replace(problem, sums=sums), {**places, **more})
    if isinstance(problem, DeformProblem):
        return _deform_piece(problem, ranges)
    if isinstance(problem, ConvProblem | GeneralConvProblem):
        return _conv_piece(generalised(problem), ranges)
    assert isinstance(problem, ImageProblem)
    return _image_piece(problem, ranges)


def is_contiguous(shape: Sizes, place: Place) -> bool:
    """Tell whether a part of a C-contiguous array is one run of its memory."""
    lengths = [len(range(*s.indices(size))) for s, size in zip(place, shape, strict=True)]
    cut = [axis for axis, n in enumerate(lengths) if n != shape[axis]]
    return not cut or all(n == 1 for n in lengths[: cut[-1]])


def _place(layout: str, ranges: Mapping[str, Range | None]) -> Place:
    """Return where the ranges, by letter, lie in an array of this layout."""
    return tuple(slice(*(ranges.get(letter) or (None,))) for letter in layout)


def _shape(whole: Sizes, place: Place) -> Sizes:
    return tuple(len(range(*s.indices(size))) for s, size in zip(place, whole, strict=True))


# Convolutions


def _conv_axes(p: GeneralConvProblem) -> dict[str, int]:
    plain, weights = p.plain, p.direction == "backward_weights"
    sizes, groups = {}, p.groups * p.batch_groups
    if p.batch_groups == 1 and not weights:
        sizes["batch"] = p.x.batch
    space: Sizes = ()
    if p.padding_mode == "zeros" and not weights:  # a border copies pixels from anywhere
        space = plain.geometry.output if p.direction == "forward" else p.x.spatial
    sizes |= dict(zip(SPACE[:1], space[:1], strict=False))
    if not (p.bias and p.batch_groups > 1):
        sizes["groups"] = groups
    if groups == 1:
        sizes |= {"outputs": p.outputs} if p.direction != "backward_data" else {}
        sizes |= {"channels": p.x.channels} if p.direction != "forward" else {}
    return sizes | dict(zip(SPACE[1:], space[1:], strict=False))


def _conv_piece(p: GeneralConvProblem, ranges: Ranges) -> Piece:
    numbers, tiles = p.dimension_numbers, _conv_tiles(p, ranges)
    letters = numbers.spatial
    pixels = {letter: tile.pixels for letter, tile in zip(letters, tiles, strict=True) if tile}
    windows = {letter: tile.windows for letter, tile in zip(letters, tiles, strict=True) if tile}
    batch, inputs, channels, outputs = _conv_channels(p, ranges)
    images = ranges.get("batch") if p.batch_groups == 1 else None
    places = {
        "x": _place(numbers.x, {"N": batch, "C": channels, **pixels}),
        "w": _place(numbers.w, {"O": outputs, "I": inputs}),
        "y": _place(numbers.y, {"N": images, "C": outputs, **windows}),
        "bias": _place("C", {"C": outputs if p.direction == "forward" else channels}),
        "w_zero_point": _place("O", {"O": outputs}),
        "x_zero_point": (slice(None),),
    }
    places |= {f"d{name}": places[name] for name in "xwy"}
    count = ranges.get("groups")
    groups = count[1] - count[0] if count else p.groups * p.batch_groups
    part = replace(
        p,
        x_shape=_shape(p.x_shape, places["x"]),
        w_shape=_shape(p.w_shape, places["w"]),
        padding=tuple(t.padding if t else pair for t, pair in zip(tiles, p.padding, strict=True)),
        groups=groups if p.batch_groups == 1 else 1,
        batch_groups=groups if p.batch_groups > 1 else 1,
    )
    return Piece(part.simplest, {n: places[n] for n in (*p.operands, *p.results)})


def _conv_tiles(p: GeneralConvProblem, ranges: Ranges) -> list[Tile | None]:
    geometry = p.plain.geometry
    walk = (p.x.spatial, p.input_dilation, geometry.extent, p.stride, p.padding, geometry.output)
    tile = tile_of_windows if p.direction == "forward" else tile_of_pixels
    axes = zip(SPACE, axes_of(*walk), strict=False)
    return [tile(axis, ranges[name]) if name in ranges else None for name, axis in axes]


def _conv_channels(p: GeneralConvProblem, ranges: Ranges) -> tuple[Range | None, ...]:
    """Return what is taken of x's batch, of w's inputs, of x's channels and of the outputs."""
    batch, inputs, outputs = (ranges.get(name) for name in ("batch", "channels", "outputs"))
    channels = inputs
    if "groups" in ranges:
        first, end = ranges["groups"]
        each = p.outputs // (p.groups * p.batch_groups)
        outputs = (first * each, end * each)
        if p.batch_groups > 1:
            batch = (first * p.x.batch, end * p.x.batch)
        else:
            each = p.x.channels // p.groups
            channels = (first * each, end * each)
    return batch, inputs, channels, outputs


def _deform_axes(p: DeformProblem) -> dict[str, int]:
    """Return the axes: samples may lie anywhere in their image, so that it stays whole."""
    conv = p.conv
    sizes = {} if conv.direction == "backward_weights" else {"batch": conv.batch}
    if conv.direction != "backward_data" and conv.groups == 1:
        sizes["outputs"] = conv.outputs
    return sizes


def _deform_piece(p: DeformProblem, ranges: Ranges) -> Piece:
    letters = SPATIAL_LETTERS[p.conv.geometry.rank]
    batch, outputs = ranges.get("batch"), ranges.get("outputs")
    ofs = _place(f"NC{letters}", {"N": batch})
    places = {
        "x": ofs,
        "w": _place(f"OI{letters}", {"O": outputs}),
        "y": _place(f"NC{letters}", {"N": batch, "C": outputs}),
        "bias": _place("C", {"C": outputs}),
    }
    places |= {f"d{name}": places[name] for name in "xwy"}
    places |= dict.fromkeys(("offset", "mask", "doffset", "dmask"), ofs)
    sizes: dict[str, Any] = {"batch": batch, "outputs": outputs}
    part = replace(p.conv, **{name: r[1] - r[0] for name, r in sizes.items() if r})
    return Piece(replace(p, conv=part), {n: places[n] for n in (*p.operands, *p.results)})


# Images


def _image_axes(p: ImageProblem) -> dict[str, int]:
    sizes = {} if isinstance(p, BiasGradientProblem) else {"batch": p.batch}
    sizes["channels"] = p.channels
    space: Sizes = ()
    if isinstance(p, WindowProblem | ColumnsProblem) and _has_tiles(p):
        space = p.geometry.input if _is_adjoint(p) else p.geometry.output
    if isinstance(p, ColumnsProblem):
        space = space[:1]  # of the columns, one run
    return sizes | dict(zip(SPACE, space, strict=False))


def _is_adjoint(p: ImageProblem) -> bool:
    return p.operator in ("col2im", "avg_pool_backward")


def _has_tiles(p: WindowProblem | ColumnsProblem) -> bool:
    """Tell whether a part of the result needs no more than the operand below it."""
    if isinstance(p, PoolProblem):
        if p.operator == "max_pool":  # whose indices are places in the whole plane
            return False
        if p.operator == "avg_pool_backward" and not (p.count_include_pad or p.divisor):
            return False  # a window's pixels are counted, those of other tiles too
    if isinstance(p, LpPoolProblem) and p.operator != "lp_pool":
        return False  # a window's norm is of all its pixels
    return all(axis.all_meet_pixels for axis in axes_of_geometry(p.geometry))


def _image_piece(p: ImageProblem, ranges: Ranges) -> Piece:
    fields: dict[str, Any] = {
        name: ranges[name][1] - ranges[name][0] for name in ("batch", "channels") if name in ranges
    }
    tiles: list[Tile | None] = []
    if isinstance(p, WindowProblem | ColumnsProblem):
        tile = tile_of_pixels if _is_adjoint(p) else tile_of_windows
        axes = zip(SPACE, axes_of_geometry(p.geometry), strict=False)
        tiles = [tile(axis, ranges[name]) if name in ranges else None for name, axis in axes]
        g = p.geometry
        fields["geometry"] = replace(
            g,
            input=tuple(
                t.pixels[1] - t.pixels[0] if t else n for t, n in zip(tiles, g.input, strict=True)
            ),
            padding=tuple(t.padding if t else n for t, n in zip(tiles, g.padding, strict=True)),
        )
    place = partial(_image_place, p, ranges, tiles)
    return Piece(replace(p, **fields), {n: place(n) for n in (*p.operands, *p.results)})


def _image_place(p: ImageProblem, ranges: Ranges, tiles: list[Tile | None], name: str) -> Place:
    batch, channels = ranges.get("batch"), ranges.get("channels")
    if name == "db":
        return _place("C", {"C": channels})
    if isinstance(p, ColumnsProblem) and name == ("y" if p.operator == "im2col" else "x"):
        run = prod(p.geometry.output[1:])
        rows = channels and (channels[0] * p.geometry.taps, channels[1] * p.geometry.taps)
        columns = tiles[0] and (tiles[0].windows[0] * run, tiles[0].windows[1] * run)
        return _place("NRL", {"N": batch, "R": rows, "L": columns})
    shape = {**p.operands, **p.results}[name].shape
    layout = p.layout or "NC" + SPATIAL_LETTERS[len(shape) - 2]
    of_pixels = (name == "x") != _is_adjoint(p)
    along = {
        letter: (tile.pixels if of_pixels else tile.windows)
        for letter, tile in zip(spatial_letters(layout), tiles, strict=False)
        if tile
    }
    return _place(layout, {"N": batch, "C": channels, **along})
