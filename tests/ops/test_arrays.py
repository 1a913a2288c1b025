"""clconv/ops/arrays.py and execute.py: every kind of array that users have."""

from __future__ import annotations

import numpy as np
import pytest

import clconv

RNG = np.random.default_rng(0)
X = RNG.standard_normal((2, 4, 9, 10)).astype(np.float32)
W = RNG.standard_normal((6, 4, 3, 3)).astype(np.float32)


def read_only(a):
    a = a.copy()
    a.flags.writeable = False
    return a


def unaligned(a):
    raw = np.empty(a.nbytes + 1, np.uint8)[1:]
    view = raw.view(a.dtype).reshape(a.shape)
    view[...] = a
    assert not view.flags.aligned
    return view


def strided(a):
    wide = np.zeros((*a.shape[:-1], 2 * a.shape[-1]), a.dtype)
    wide[..., ::2] = a
    return wide[..., ::2]


KINDS = {
    "fortran order": np.asfortranarray,
    "read-only": read_only,
    "unaligned": unaligned,
    "strided": strided,
    "negative strides": lambda a: np.ascontiguousarray(a[:, :, ::-1])[:, :, ::-1],
    "big-endian": lambda a: a.astype(a.dtype.newbyteorder(">")),
    "lists": lambda a: a.tolist(),
    "subclass": lambda a: a.view(np.matrix) if a.ndim == 2 else np.ma.masked_array(a),
    "offset": lambda a: np.concatenate([a, a])[len(a) :],
}


@pytest.mark.parametrize("change", KINDS.values(), ids=KINDS)
def test_any_numpy_array_works_and_is_left_alone(device, change):
    expected = clconv.conv(X, W, padding=1, device=device)
    x, w = change(X), change(W)
    if isinstance(x, list):  # lists are float64
        x, w = np.float32(x), np.float32(w)
    y = clconv.conv(x, w, padding=1, device=device)
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(x, X)
    assert type(y) is np.ndarray
    assert y.dtype == np.dtype("f4")


def test_lists_are_float64_as_numpy_has_them(device):
    if not device.fp64:
        pytest.skip(f"{device} has no float64")
    y = clconv.conv([[[1.0, 2.0, 3.0]]], [[[1.0, 10.0]]], device=device)
    np.testing.assert_array_equal(y, [[[21.0, 32.0]]])


def test_same_array_twice(device):
    x = RNG.integers(-3, 4, (1, 2, 5)).astype(np.float32)
    y = clconv.conv(x, x, padding=2, device=device)
    np.testing.assert_array_equal(y[0, 0, 2], (x * x).sum())


@pytest.fixture
def on_device(queue):
    import pyopencl.array as cl_array

    return lambda a: cl_array.to_device(queue, a)


def test_pyopencl_in_pyopencl_out(device, on_device, queue):
    import pyopencl.array as cl_array

    y = clconv.conv(on_device(X), on_device(W), padding=1)
    assert isinstance(y, cl_array.Array)
    assert y.queue is queue or y.queue == queue
    np.testing.assert_array_equal(y.get(), clconv.conv(X, W, padding=1, device=device))
    for call in (
        lambda f, x: f.max_pool(x, 2, return_indices=True),
        lambda f, x: f.avg_pool(x, 3, stride=1),
        lambda f, x: f.im2col(x, 3),
        lambda f, x: f.conv_backward_bias(x),
    ):
        on_host, there = call(clconv, X), call(clconv, on_device(X))
        pairs = zip(on_host, there, strict=True) if isinstance(there, tuple) else [(on_host, there)]
        for a, b in pairs:
            np.testing.assert_array_equal(a, b.get())


def test_pyopencl_adjoints(on_device, device):
    dy = clconv.conv(X, W, device=device)
    dx = clconv.conv_backward_data(on_device(dy), on_device(W), input_shape=X.shape)
    dw = clconv.conv_backward_weights(on_device(X), on_device(dy), weight_shape=W.shape)
    options = {"device": device}
    np.testing.assert_array_equal(
        dx.get(), clconv.conv_backward_data(dy, W, input_shape=X.shape, **options)
    )
    np.testing.assert_array_equal(
        dw.get(), clconv.conv_backward_weights(X, dy, weight_shape=W.shape, **options)
    )


@pytest.mark.parametrize("start", [1, 32])
def test_pyopencl_view_with_an_offset(on_device, device, start):
    """Aligned offsets become sub-buffers, others a copy on the device."""
    batch = np.concatenate([np.zeros((start, 1, 4), np.float32), X[:1, :1, 0, :4][..., :4]])
    w = W[:1, :1, 0, :3].copy()
    view = on_device(batch)[start:]
    assert view.offset > 0
    np.testing.assert_array_equal(
        clconv.conv(view, on_device(w)).get(), clconv.conv(batch[start:], w, device=device)
    )


def test_nothing_waits_and_nothing_is_copied_to_the_host(on_device, monkeypatch):
    """A pyopencl call neither finishes the queue, waits for events, maps nor reads."""
    import pyopencl as cl

    x, w = on_device(X), on_device(W)
    clconv.conv(x, w).get()  # builds

    def refuse(*_, **__):
        raise AssertionError("a wait or a host copy")

    for name in ("wait_for_events", "enqueue_map_buffer", "enqueue_copy"):
        monkeypatch.setattr(cl, name, refuse)
    monkeypatch.setattr(cl.CommandQueue, "finish", refuse)
    monkeypatch.setattr(cl.Event, "wait", refuse)
    y = clconv.conv(x, w)
    assert len(y.events) == 1


def test_out_of_order_queue(device):
    """Launches that share scratch memory are chained by events."""
    import pyopencl as cl
    import pyopencl.array as cl_array

    flag = cl.command_queue_properties.OUT_OF_ORDER_EXEC_MODE_ENABLE
    if not device.handle.queue_properties & flag:
        pytest.skip(f"{device} has no out-of-order queues")
    context = cl.Context([device.handle])
    queue = cl.CommandQueue(context, properties=flag)
    x, w = (cl_array.to_device(queue, a) for a in (X, W))
    results = [clconv.conv(x, w, padding=1) for _ in range(20)]
    expected = clconv.conv(X, W, padding=1, device=device)
    for y in results:
        np.testing.assert_array_equal(y.get(), expected)


def test_kinds_are_not_mixed(on_device, device):
    with pytest.raises(TypeError, match="x is pyopencl, w is numpy"):
        clconv.conv(on_device(X), W)
    with pytest.raises(TypeError, match="device is for numpy arrays"):
        clconv.conv(on_device(X), on_device(W), device=device)


def test_device_arrays_that_cannot_be_used(on_device):
    with pytest.raises(ValueError, match=r"x of shape .* is not C-contiguous"):
        clconv.conv(on_device(X).T, on_device(W))
    with pytest.raises(ValueError, match="x has no queue"):
        clconv.conv(on_device(X).with_queue(None), on_device(W))


def test_device_indices_that_cannot_be_used(on_device, device):
    import pyopencl as cl
    import pyopencl.array as cl_array

    dy, indices = on_device(np.ones((1, 1, 3), np.float32)), np.zeros((1, 1, 3), np.int64)
    context = cl.Context([device.handle])
    elsewhere = cl_array.to_device(cl.CommandQueue(context), indices)
    with pytest.raises(ValueError, match="y and indices live in different OpenCL contexts"):
        clconv.max_unpool(dy, elsewhere, output_size=(5,))
    with pytest.raises(ValueError, match="indices has no queue"):
        clconv.max_pool_backward(dy, on_device(indices).with_queue(None), input_shape=(1, 1, 5))


def test_empty_device_arrays(on_device):
    x = on_device(np.ones((0, 4, 9, 10), np.float32))
    y = clconv.conv(x, on_device(W))
    assert y.shape == (0, 6, 7, 8)
    dw = clconv.conv_backward_weights(x, y, weight_shape=W.shape)
    np.testing.assert_array_equal(dw.get(), np.zeros_like(W))


def test_what_cannot_be_allocated_is_a_memory_error(device, monkeypatch):
    import pyopencl as cl

    def refuse(*_, **__):
        raise cl.LogicError("create_buffer failed: INVALID_BUFFER_SIZE")

    monkeypatch.setattr(cl, "Buffer", refuse)
    with pytest.raises(MemoryError, match=r"conv_fwd:f32:.* INVALID_BUFFER_SIZE") as caught:
        clconv.conv(X, W, device=device)
    assert caught.value.__notes__[0].startswith("problem: conv_fwd:f32:n2c4o6g1")


def test_device_without_shared_memory(device, monkeypatch):
    """The path of discrete GPUs: operands and results are copied."""
    import dataclasses

    from clconv.ops import execute
    from clconv.program.context import default_context

    apart = dataclasses.replace(device, shares_host_memory=False)
    context = default_context(device)
    copying = dataclasses.replace(context, device=apart)
    monkeypatch.setattr(execute, "default_context", lambda choice: copying)
    y, indices = clconv.max_pool(X, 2, return_indices=True)
    monkeypatch.undo()
    expected, where = clconv.max_pool(X, 2, return_indices=True, device=device)
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(indices, where)


def test_memory_is_mapped_where_a_driver_is_not_known_to_work_in_place(device, monkeypatch):
    import dataclasses

    import pyopencl as cl

    if not device.shares_host_memory:
        pytest.skip(f"{device} has memory of its own: arrays are copied")
    expected, calls, enqueue = clconv.conv(X, W, device=device), [], cl.enqueue_map_buffer
    monkeypatch.setattr(
        cl, "enqueue_map_buffer", lambda *a, **k: calls.append(a) or enqueue(*a, **k)
    )
    other = dataclasses.replace(device, platform="Another")
    assert not other.works_in_place
    np.testing.assert_array_equal(clconv.conv(X, W, device=other), expected)
    assert len(calls) == 1
