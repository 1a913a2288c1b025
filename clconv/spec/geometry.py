"""How a window walks over an image: the shape arithmetic of this library, in one place.

With `extent = dilation*(kernel - 1) + 1` (the pixels that one window spans), along every axis

    output = (input + low + high - extent)//stride + 1                       (floor)
    output = windows that overhang the padded edge by less than a stride
             and start inside the image or its low padding                   (ceil_mode)

Source: Dumoulin & Visin, "A guide to convolution arithmetic for deep learning", 2016; ceil_mode
as PyTorch defines it.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from clconv.errors import GeometryError, UnsupportedError

Sizes = tuple[int, ...]
Padding = tuple[tuple[int, int], ...]
SPATIAL_RANKS = (1, 2, 3)
INDEX_LIMIT = 2**31  # kernels index with int


def output_size(size: int, extent: int, stride: int, low: int, high: int, ceil_mode: bool) -> int:
    """Return how many windows fit along one axis (0 or less: none)."""
    room = size + low + high - extent
    count = room // stride + 1
    # One more, which overhangs, if it starts before the high padding.
    overhangs = room % stride != 0 and count >= 0 and count * stride - low < size
    return count + 1 if ceil_mode and overhangs else count


def same_padding(
    input: Sizes, kernel: Sizes, stride: Sizes, dilation: Sizes, lower: bool = False
) -> Padding:
    """Return the padding that makes output = ceil(input/stride), the odd pixel on the high side.

    With `lower` it lies on the low side.
    """
    pairs = []
    for size, taps, step, dil in zip(input, kernel, stride, dilation, strict=True):
        total = max((-(-size // step) - 1) * step + dil * (taps - 1) + 1 - size, 0)
        low = total - total // 2 if lower else total // 2
        pairs.append((low, total - low))
    return tuple(pairs)


@dataclass(frozen=True, slots=True)
class Geometry:
    """Spatial sizes of one windowed operation; one entry per axis, in layout order.

    High padding may be negative: then no window lies on the last pixels, which kernels need not be
    told, for they count windows.

    Raises GeometryError where a size is out of range or no window fits, UnsupportedError where
    pixels cannot be indexed.
    """

    input: Sizes
    kernel: Sizes
    stride: Sizes
    dilation: Sizes
    padding: Padding
    ceil_mode: bool = False

    def __post_init__(self) -> None:
        ranks = [len(sizes) for sizes in (self.kernel, self.stride, self.dilation, self.padding)]
        if self.rank not in SPATIAL_RANKS or any(rank != self.rank for rank in ranks):
            raise GeometryError(
                f"kernel {self.kernel}, stride {self.stride}, dilation {self.dilation} and padding"
                f" {self.padding} must each have as many axes as the image {self.input}: 1, 2 or 3"
            )
        for name in ("kernel", "stride", "dilation", "input"):
            if min(getattr(self, name)) < 1:
                raise GeometryError(f"{name} must be at least 1, got {getattr(self, name)}")
        if min(low for low, _ in self.padding) < 0:
            raise GeometryError(f"low padding must be at least 0, got {self.padding}")
        padded = tuple(n + sum(p) for n, p in zip(self.input, self.padding, strict=True))
        if prod(padded) >= INDEX_LIMIT:
            raise UnsupportedError(
                f"the padded image {padded} has {prod(padded)} pixels, past the index limit, 2**31"
            )
        if min(self.output) < 1:
            raise GeometryError(
                f"kernel {self.kernel} with dilation {self.dilation} spans {self.extent} pixels,"
                f" more than the padded image {padded}"
            )
        if max(self._ends) >= INDEX_LIMIT:  # with ceil_mode, windows overhang
            raise UnsupportedError(
                f"the last windows end {self._ends} pixels from the padded image's start, past the"
                " index limit, 2**31"
            )

    @property
    def _ends(self) -> Sizes:
        """The last tap of the last window along each axis, from the low padding on."""
        axes = zip(self.output, self.stride, self.extent, strict=True)
        return tuple((n - 1) * step + extent for n, step, extent in axes)

    @property
    def rank(self) -> int:
        """Number of spatial axes."""
        return len(self.input)

    @property
    def extent(self) -> Sizes:
        """Pixels that one window spans."""
        return tuple(d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilation, strict=True))

    @property
    def output(self) -> Sizes:
        """Windows along each axis."""
        axes = zip(self.input, self.extent, self.stride, self.padding, strict=True)
        return tuple(output_size(n, e, s, *p, self.ceil_mode) for n, e, s, p in axes)

    @property
    def taps(self) -> int:
        """Elements of one window."""
        return prod(self.kernel)

    @property
    def positions(self) -> int:
        """Windows in one channel plane."""
        return prod(self.output)

    @property
    def pixels(self) -> int:
        """Elements of one channel plane of the input."""
        return prod(self.input)

    def macros(self) -> dict[str, int]:
        """Return filter, stride and dilation as kernels name them (see common/window.clh).

        The stride of a single window and the dilation of a single tap say nothing: they are 1
        here, which spares builds, and any value may have been given.
        """
        stride = tuple(s if n > 1 else 1 for s, n in zip(self.stride, self.output, strict=True))
        dilation = tuple(d if k > 1 else 1 for d, k in zip(self.dilation, self.kernel, strict=True))
        named = {"F": self.kernel, "S": stride, "D": dilation}
        return {
            prefix + axis: size
            for prefix, sizes in named.items()
            for axis, size in zip("DHW", three_axes(sizes, 1), strict=True)
        }

    def scalars(self, generic: bool = False) -> Sizes:
        """Return the run-time sizes: input, output and low padding, three axes each.

        A `generic` kernel, built without `macros`, takes those as run-time sizes too.
        """
        low = tuple(pair[0] for pair in self.padding)
        sizes = three_axes(self.input, 1) + three_axes(self.output, 1) + three_axes(low, 0)
        return sizes + tuple(self.macros().values()) if generic else sizes


def three_axes(sizes: Sizes, fill: int) -> Sizes:
    """Return `sizes` with leading axes added: kernels know volumes only."""
    return (fill,) * (3 - len(sizes)) + sizes
