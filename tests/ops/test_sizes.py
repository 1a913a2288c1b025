"""clconv/ops/sizes.py: the inverse questions against the forward one."""

from __future__ import annotations

import itertools

import pytest

import clconv

WINDOWS = list(itertools.product((1, 2, 3), ((0, 0), (1, 1), (2, 0)), (1, 2)))


@pytest.mark.parametrize(("stride", "padding", "dilation"), WINDOWS)
def test_inverse_questions_have_all_answers_and_no_others(stride, padding, dilation):
    window = {"stride": stride, "padding": [padding], "dilation": dilation}

    def output(n, k):
        try:
            return clconv.output_size(n, k, **window)
        except clconv.GeometryError:
            return None

    for n, k in itertools.product(range(1, 12), range(1, 6)):
        if output(n, k) is None:
            continue
        (out,) = output(n, k)
        inputs = clconv.input_size(out, k, **window)
        same = [m for m in range(1, 20) if output(m, k) == (out,)]
        assert (inputs.least, inputs.most) == ((min(same),), (max(same),))
        kernels = clconv.kernel_size(n, out, **window)
        same = [m for m in range(1, 20) if output(n, m) == (out,)]
        assert (kernels.least, kernels.most) == ((min(same),), (max(same),))


def test_output_padding_reaches_every_input():
    least, most = clconv.input_size((4, 5), 3, stride=(2, 3), padding=1)
    assert (least, most) == ((7, 13), (8, 15))


def test_several_axes():
    assert clconv.output_size((56, 57), 3, stride=2, padding="same") == (28, 29)
    assert clconv.kernel_size((56, 9), (28, 9), stride=(2, 1), padding=1) == ((3, 3), (4, 3))
    assert clconv.weight_shape(64, 128, (3, 5), groups=2) == (128, 32, 3, 5)


def test_cost():
    price = clconv.problem_cost("conv_fwd:f32:n8c64o128g2:i56x56:k3x3:s2:p1.1:d1")
    places = 8 * 28 * 28
    assert price.flops == 2 * places * 128 * 32 * 9
    assert price.bytes_moved == 4 * (8 * 64 * 56 * 56 + 128 * 32 * 9 + places * 128)
    assert price.im2col_bytes == 4 * places * 64 * 9
    half = clconv.problem_cost("conv_fwd:f16:n8c64o128g2:i56x56:k3x3:s2:p1.1:d1")
    assert half.bytes_moved == price.bytes_moved // 2
    complex_ = clconv.problem_cost("conv_fwd:c64:n8c64o128g2:i56x56:k3x3:s2:p1.1:d1")
    assert complex_.flops == 4 * price.flops
    assert clconv.problem_cost("im2col:f32:n1c2:i5:k3").im2col_bytes == 4 * 6 * 3
    assert clconv.problem_cost("avg_pool:f32:n1c2:i5:k3:s1").flops == 2 * 3 * 3
    assert clconv.problem_cost("max_unpool:f32:n1c2:i6:o3") == (0, 4 * 6 + 8 * 6 + 4 * 12, 0)


def test_wrong_sizes():
    with pytest.raises(clconv.GeometryError, match="has no input of 1 or more"):
        clconv.input_size(1, 1, padding=3)
    with pytest.raises(clconv.GeometryError, match="no filter with dilation"):
        clconv.kernel_size(5, 9)
    with pytest.raises(clconv.GeometryError, match=r"output_size must be at least 1, got \(0,\)"):
        clconv.input_size(0, 3)
    with pytest.raises(TypeError, match="padding must be sizes"):
        clconv.input_size(3, 3, padding="same")
    with pytest.raises(clconv.GeometryError, match="groups=3 must divide channels=4"):
        clconv.weight_shape(4, 6, (3,), groups=3)
