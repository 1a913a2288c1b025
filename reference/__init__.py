"""What convolution and pooling are, written to be read.

Convolution has one definition and several faces, and each is a module of its own that gives the
same numbers:

    windows         which elements a window touches: stride, padding, dilation, and nothing else
    loops           the definition: one multiplication and one addition at a time
    conv            a sum over the taps of a filter whose pixels are matrices
    conv_matrix     a sparse matrix times the image, whose transpose is the gradient, and is again
                    a convolution: with the flipped filter
    im2col          the filters as a matrix, times the matrix of all windows
    winograd        fewer products, in tiles; winograd_matrices: of F(m, r), from polynomials
    fft             fewer still, for large filters: products of Fourier transforms
    conv_general    the closed form: all of these, and gradients of every order, are calls of it;
                    conv_general_forms writes the calls out

The other operators, each in terms of these:

    conv_transpose  scattering instead of gathering
    depthwise       as many groups as channels, and then a mixture of channels
    deform          taps that lie anywhere, and between elements; deform_sampling: where, exactly
    integer         quantised numbers, exactly
    pool            the mean of every window
    pool_max        its largest element, where that was, and the way back
    pool_lp         its p-norm
    pool_adaptive   windows made to measure, down to one over everything

And what they share:

    layouts         "NHWC,HWIO->NHWC": which axis means what
    padding_modes   zeros, or copies of the image
    activations     relu and its kin
    matrices        rearranging arrays
    bounds          how far rounding may carry a result away from these; of norms, bounds_pool; of
                    other algorithms, bounds_winograd and bounds_fft
    shapes          problems to try it on

`from clconv.reference import conv` gives the function, and so do `im2col`, `conv_general` and
`conv_transpose`; the rest of those modules is reached by `from clconv.reference.conv import ...`.

Start with `windows` and `loops`. The package needs numpy and scipy, takes and returns numpy
arrays, and prefers a clear line to a fast one. Results are wider than the arguments: see `arrays`.
"""

from .conv import (
    conv,
    conv_backward_bias,
    conv_backward_data,
    conv_backward_weights,
)
from .conv_general import (
    conv_general,
    conv_general_backward_data,
    conv_general_backward_weights,
)
from .conv_ranks import conv1d, conv2d, conv3d
from .conv_transpose import (
    conv_transpose,
    conv_transpose_backward_data,
    conv_transpose_backward_weights,
)
from .deform import deform_conv, deform_conv_backward
from .depthwise import depthwise_conv, separable_conv
from .im2col import col2im, im2col
from .integer import conv_integer, qlinear_conv
from .pool import avg_pool, avg_pool_backward
from .pool_adaptive import (
    adaptive_avg_pool,
    adaptive_avg_pool_backward,
    adaptive_max_pool,
    global_avg_pool,
    global_lp_pool,
    global_max_pool,
)
from .pool_lp import lp_pool, lp_pool_backward
from .pool_max import max_pool, max_pool_backward, max_unpool, max_unpool_backward

__all__ = [
    "adaptive_avg_pool",
    "adaptive_avg_pool_backward",
    "adaptive_max_pool",
    "avg_pool",
    "avg_pool_backward",
    "col2im",
    "conv",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_backward_bias",
    "conv_backward_data",
    "conv_backward_weights",
    "conv_general",
    "conv_general_backward_data",
    "conv_general_backward_weights",
    "conv_integer",
    "conv_transpose",
    "conv_transpose_backward_data",
    "conv_transpose_backward_weights",
    "deform_conv",
    "deform_conv_backward",
    "depthwise_conv",
    "global_avg_pool",
    "global_lp_pool",
    "global_max_pool",
    "im2col",
    "lp_pool",
    "lp_pool_backward",
    "max_pool",
    "max_pool_backward",
    "max_unpool",
    "max_unpool_backward",
    "qlinear_conv",
    "separable_conv",
]
