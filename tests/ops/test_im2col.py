"""clconv/ops/im2col.py; its shapes and dtypes are gone through by test_conv.py."""

from __future__ import annotations

import numpy as np
import pytest

import clconv


def test_columns_are_the_patches(device):
    x = np.arange(12, dtype=np.float32).reshape(1, 1, 3, 4)
    cols = clconv.im2col(x, 2, device=device)
    patches = [x[0, 0, p : p + 2, q : q + 2].ravel() for p in range(2) for q in range(3)]
    np.testing.assert_array_equal(cols[0], np.transpose(patches))


def test_col2im_counts_the_windows_over_a_pixel(device):
    cols = np.ones((1, 3, 4), np.float32)  # 3 taps, 4 windows over 6 pixels
    x = clconv.col2im(cols, (6,), 3, device=device)
    np.testing.assert_array_equal(x, [[[1, 2, 3, 3, 2, 1]]])


def test_columns_that_do_not_fit_are_refused(device):
    with pytest.raises(clconv.GeometryError, match=r"cols \(1, 4, 4\) must be \(N, C\*3, L\)"):
        clconv.col2im(np.ones((1, 4, 4), np.float32), (6,), 3, device=device)
    with pytest.raises(clconv.GeometryError, match=r"cols has shape \(1, 3, 5\), but output_size"):
        clconv.col2im(np.ones((1, 3, 5), np.float32), (6,), 3, device=device)


def test_empty_batch(device):
    assert clconv.im2col(np.ones((0, 2, 6), np.float32), 3, device=device).shape == (0, 6, 4)
    assert clconv.col2im(np.ones((0, 6, 4), np.float32), (6,), 3, device=device).shape == (0, 2, 6)
