"""Other engines' convolutions, float32, on two threads: what clconv is measured against.

Each function takes a layer and its operands and returns a call from numpy array to numpy array, or
raises ImportError or NotImplementedError. torch is called as a function; the others are given the
weights beforehand, and may lay them out as they like.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from clconv.reference.shapes import ConvShape, Direction

THREADS = 2

Array = np.ndarray[Any, Any]
Tensors = tuple[Array, Array, Array]  # x, w, dy
Call = Callable[[], Array]


def _pads(shape: ConvShape) -> tuple[list[int], list[int]]:
    return [low for low, _ in shape.padding], [high for _, high in shape.padding]


def torch(shape: ConvShape, x: Array, w: Array) -> Call:
    """PyTorch's functional call, which runs oneDNN."""
    import torch
    from torch.nn import functional

    torch.set_num_threads(THREADS)
    convolve = getattr(functional, f"conv{len(shape.spatial)}d")
    image, filters = torch.from_numpy(x), torch.from_numpy(w)
    low, high = _pads(shape)
    if low != high:
        raise NotImplementedError("torch pads both sides alike")
    options = {"stride": shape.stride, "padding": low, "dilation": shape.dilation}

    def call() -> Array:
        with torch.no_grad():
            y: Array = convolve(image, filters, groups=shape.groups, **options).numpy()
        return y

    return call


def torch_gradient(shape: ConvShape, direction: Direction, tensors: Tensors) -> Call:
    """PyTorch's gradient of a convolution with respect to its image or its weights alone."""
    import torch

    torch.set_num_threads(THREADS)
    x, w, dy = map(torch.from_numpy, tensors)
    low, high = _pads(shape)
    if low != high:
        raise NotImplementedError("torch pads both sides alike")
    data = direction == "backward_data"
    window = (list(shape.stride), low, list(shape.dilation), False, [0] * len(low), shape.groups)

    def call() -> Array:
        with torch.no_grad():
            gradients = torch.ops.aten.convolution_backward(
                dy, x, w, None, *window, [data, not data, False]
            )
        dx_or_dw: Array = gradients[0 if data else 1].numpy()
        return dx_or_dw

    return call


def onnxruntime(shape: ConvShape, x: Array, w: Array) -> Call:
    """ONNX Runtime's session of one Conv with constant weights."""
    import onnx
    import onnxruntime as ort

    low, high = _pads(shape)
    attributes = {
        "strides": shape.stride,
        "dilations": shape.dilation,
        "pads": low + high,
        "group": shape.groups,
    }
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"], **attributes)],
        "layer",
        [helper.make_tensor_value_info("x", kind, x.shape)],
        [helper.make_tensor_value_info("y", kind, shape.y_shape)],
        [onnx.numpy_helper.from_array(w, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    options = ort.SessionOptions()
    options.intra_op_num_threads = THREADS
    options.log_severity_level = 3
    session = ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return lambda: session.run(None, {"x": x})[0]


def openvino(shape: ConvShape, x: Array, w: Array) -> Call:
    """OpenVINO's compiled model of one convolution with constant weights."""
    import openvino as ov
    from openvino import opset13 as ops

    low, high = _pads(shape)
    image = ops.parameter(x.shape, np.float32)
    window = (shape.stride, low, high, shape.dilation)
    if shape.groups == 1:
        node = ops.convolution(image, ops.constant(w), *map(list, window))
    else:
        grouped = w.reshape(shape.groups, -1, *w.shape[1:])
        node = ops.group_convolution(image, ops.constant(grouped), *map(list, window))
    hints = {
        "INFERENCE_NUM_THREADS": THREADS,
        "INFERENCE_PRECISION_HINT": "f32",
        "PERFORMANCE_HINT": "LATENCY",
    }
    compiled = ov.Core().compile_model(ov.Model([node], [image]), "CPU", hints)
    request = compiled.create_infer_request()

    def call() -> Array:
        y: Array = request.infer({0: x}, share_inputs=True, share_outputs=True)[0]
        return y

    return call


_NCNN_LAYERS = {
    (1, False): "Convolution1D",
    (1, True): "ConvolutionDepthWise1D",
    (2, False): "Convolution",
    (2, True): "ConvolutionDepthWise",
    (3, False): "Convolution3D",
    (3, True): "ConvolutionDepthWise3D",
}
# What the width's, height's and depth's parameters of these layers are numbered.
_NCNN_WINDOW = {"kernel": (1, 11, 21), "dilation": (2, 12, 22), "stride": (3, 13, 23)}
_NCNN_LOW, _NCNN_HIGH = (4, 14, 24), (15, 16, 17)


def ncnn(shape: ConvShape, x: Array, w: Array) -> Call:
    """ncnn's network of one layer; it takes images one by one."""
    import ncnn

    low, high = _pads(shape)
    parameters = {0: shape.outputs, 5: 0, 6: w.size}
    for name, numbers in _NCNN_WINDOW.items():
        parameters |= dict(zip(numbers, reversed(getattr(shape, name)), strict=False))
    parameters |= dict(zip(_NCNN_LOW, reversed(low), strict=False))
    parameters |= dict(zip(_NCNN_HIGH, reversed(high), strict=False))
    if shape.groups > 1:
        parameters[7] = shape.groups
    layer = _NCNN_LAYERS[len(shape.spatial), shape.groups > 1]
    told = " ".join(f"{number}={value}" for number, value in sorted(parameters.items()))
    network = ncnn.Net()
    network.opt.num_threads = THREADS
    for name in ("packed", "storage", "arithmetic"):
        setattr(network.opt, f"use_fp16_{name}", False)
    with tempfile.TemporaryDirectory() as folder:
        structure, weights = Path(folder, "layer.param"), Path(folder, "layer.bin")
        structure.write_text(f"7767517\n2 2\nInput x 0 1 x\n{layer} conv 1 1 x y {told}\n")
        weights.write_bytes(b"\0\0\0\0" + w.tobytes())
        if network.load_param(str(structure)) or network.load_model(str(weights)):
            raise NotImplementedError(f"ncnn does not load {layer} {told}")

    def call() -> Array:
        results = []
        for image in x:
            extractor = network.create_extractor()
            extractor.input("x", ncnn.Mat(image))
            status, y = extractor.extract("y")
            if status:
                raise NotImplementedError(f"ncnn does not run {layer} {told}")
            results.append(np.array(y, copy=False))
        return np.stack(results) if len(results) > 1 else results[0][None]

    return call


PEERS: dict[str, Callable[[ConvShape, Array, Array], Call]] = {
    "torch": torch,
    "onnxruntime": onnxruntime,
    "openvino": openvino,
    "ncnn": ncnn,
}
