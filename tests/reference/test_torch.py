"""The reference against torch in float64: random problems of whole numbers, so to the last bit."""

import numpy as np
import pytest

from clconv import reference

torch = pytest.importorskip(
    "torch", reason="torch, an independent implementation, is not installed"
)
functional = torch.nn.functional


def gradients(function, *tensors):
    """The result and the gradients of every tensor, for a whole-number dy, which comes last."""
    tensors = [torch.from_numpy(each).requires_grad_() for each in tensors]
    y = function(*tensors)
    dy = torch.from_numpy(np.random.default_rng(1).integers(-9, 10, y.shape) * 1.0)
    y.backward(dy)
    return y.detach().numpy(), [each.grad.numpy() for each in tensors], dy.numpy()


@pytest.mark.parametrize("seed", range(150))
def test_conv(seed):
    rng = np.random.default_rng(seed)
    rank, groups = int(rng.integers(1, 4)), int(rng.integers(1, 4))
    n, c, o = (int(each) for each in rng.integers(1, 4, 3))
    size = rng.integers(4, 8, rank)
    kernel, stride, dilation = rng.integers(1, 4, (3, rank))
    size = np.maximum(size, dilation * (kernel - 1) + 1)
    padding = rng.integers(0, 4, rank)
    mode = str(rng.choice(["zeros", "reflect", "replicate", "circular"]))
    x = rng.integers(-9, 10, (n, c * groups, *size)) * 1.0
    w = rng.integers(-9, 10, (o * groups, c, *kernel)) * 1.0
    bias = rng.integers(-9, 10, o * groups) * 1.0
    names = {"stride": stride.tolist(), "dilation": dilation.tolist(), "groups": groups}
    convolve = getattr(functional, f"conv{rank}d")
    sides = [int(each) for pad in padding[::-1] for each in (pad, pad)]

    def torch_conv(x, w, bias):
        if mode == "zeros":
            return convolve(x, w, bias, padding=padding.tolist(), **names)
        return convolve(functional.pad(x, sides, mode=mode), w, bias, **names)

    y, (dx, dw, db), dy = gradients(torch_conv, x, w, bias)
    names |= {"padding": padding.tolist()}
    np.testing.assert_array_equal(reference.conv(x, w, bias, padding_mode=mode, **names), y)
    names |= {"padding_mode": mode}
    data = reference.conv_backward_data(dy, w, input_shape=x.shape, **names)
    np.testing.assert_array_equal(data, dx)
    weights = reference.conv_backward_weights(x, dy, weight_shape=w.shape, **names)
    np.testing.assert_array_equal(weights, dw)
    np.testing.assert_array_equal(reference.conv_backward_bias(dy), db)


@pytest.mark.parametrize("seed", range(150))
def test_pools(seed):
    rng = np.random.default_rng(seed)
    rank = int(rng.integers(1, 4))
    kernel, stride, dilation = rng.integers(1, 5, (3, rank))
    padding = [int(rng.integers(0, k // 2 + 1)) for k in kernel]
    size = rng.integers(4, 9, rank)
    x = rng.integers(-9, 10, (2, 2, *np.maximum(size, dilation * (kernel - 1) + 1))) * 1.0
    names = {
        "stride": stride.tolist(),
        "padding": padding,
        "ceil_mode": bool(rng.integers(2)),
    }
    kernel, dilation = kernel.tolist(), dilation.tolist()
    pool = getattr(functional, f"max_pool{rank}d")
    indices = pool(torch.from_numpy(x), kernel, dilation=dilation, return_indices=True, **names)[1]
    y, (dx,), dy = gradients(lambda x: pool(x, kernel, dilation=dilation, **names), x)
    ours = reference.max_pool(x, kernel, dilation=dilation, return_indices=True, **names)
    np.testing.assert_array_equal(ours[0], y)
    np.testing.assert_array_equal(ours[1], indices.numpy())
    back = reference.max_pool_backward(dy, ours[1], input_shape=x.shape)
    np.testing.assert_array_equal(back, dx)

    names |= {"count_include_pad": bool(rng.integers(2))}
    override = {"divisor_override": int(rng.integers(1, 9))} if rank > 1 and seed % 3 == 0 else {}
    pool = getattr(functional, f"avg_pool{rank}d")
    y, (dx,), dy = gradients(lambda x: pool(x, kernel, **names, **override), x)
    ours = reference.avg_pool(x, kernel, **names, **override)
    np.testing.assert_allclose(ours.astype(float), y, rtol=1e-14, atol=1e-14)
    back = reference.avg_pool_backward(dy, kernel, input_shape=x.shape, **names, **override)
    np.testing.assert_allclose(back.astype(float), dx, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_complex_gradients_are_conjugated_as_in_torch(dtype):
    rng = np.random.default_rng(0)
    x, w, dy = (
        (rng.integers(-5, 6, shape) + 1j * rng.integers(-5, 6, shape)).astype(dtype)
        for shape in ((2, 4, 7), (6, 2, 3), (2, 6, 4))
    )
    a, b = (torch.from_numpy(each).requires_grad_() for each in (x, w))
    functional.conv1d(a, b, stride=2, padding=1, groups=2).backward(torch.from_numpy(dy))
    names = {"stride": 2, "padding": 1, "groups": 2}
    dx = reference.conv_backward_data(dy, w, input_shape=x.shape, **names)
    dw = reference.conv_backward_weights(x, dy, weight_shape=w.shape, **names)
    np.testing.assert_array_equal(dx, a.grad.numpy())
    np.testing.assert_array_equal(dw, b.grad.numpy())


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_max_unpool(rank):
    x = np.random.default_rng(0).integers(-9, 10, (2, 3) + (6,) * rank) * 1.0
    y, indices = reference.max_pool(x, 3, stride=2, padding=1, return_indices=True)
    unpool = getattr(functional, f"max_unpool{rank}d")
    given = torch.from_numpy(indices)
    image, (dy,), dx = gradients(lambda y: unpool(y, given, 3, 2, 1, x.shape), y)
    np.testing.assert_array_equal(reference.max_unpool(y, indices, output_size=x.shape[2:]), image)
    np.testing.assert_array_equal(reference.max_unpool_backward(dx, indices), dy)
