"""Train a small convolutional network on handwritten digits with nothing but clconv.

    python examples/train_digits.py

The data are scikit-learn's 1797 images of 8x8 pixels, a fifth of them held out for the test. Every
convolution, pooling and gradient is clconv's; numpy does the element-wise rest: relu, softmax and
the optimiser. The exit status is 1 if fewer than 98 % of the test images are recognised. The same
seed on the same device gives the same weights, to the last bit.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import clconv

Array = np.ndarray[Any, Any]
WANTED_ACCURACY = 0.98
BATCH = 64
RATE = 0.003  # of Adam, at the start; it falls to zero along a half-cosine
SHIFT = 1  # training images are moved by up to so many pixels each way


class Conv:
    """Convolution with learned weights (O, C, k, k) and bias (O,); stride 1, zero padding."""

    def __init__(
        self, channels: int, outputs: int, size: int, padding: int, rng: np.random.Generator
    ) -> None:
        self.padding = padding
        # He's initialisation: relu halves the variance, sqrt(2/terms) keeps it from layer to layer.
        scale = np.sqrt(2 / (channels * size * size))
        w = scale * rng.standard_normal((outputs, channels, size, size))
        self.parameters = [w.astype(np.float32), np.zeros(outputs, np.float32)]
        self.gradients = [np.zeros_like(parameter) for parameter in self.parameters]

    def forward(self, x: Array, device: clconv.Device) -> Array:
        self.x = x
        w, bias = self.parameters
        return clconv.conv(x, w, bias, padding=self.padding, device=device)

    def backward(self, dy: Array, device: clconv.Device) -> Array:
        """Keep the gradients of weights and bias, and return that of the input."""
        w, _ = self.parameters
        options = {"padding": self.padding, "device": device}
        self.gradients = [
            clconv.conv_backward_weights(self.x, dy, weight_shape=w.shape, **options),
            clconv.conv_backward_bias(dy, device=device),
        ]
        return clconv.conv_backward_data(dy, w, input_shape=self.x.shape, **options)


class Relu:
    """max(x, 0), element by element."""

    parameters: tuple[Array, ...] = ()
    gradients: tuple[Array, ...] = ()

    def forward(self, x: Array, device: clconv.Device) -> Array:
        self.positive = x > 0
        return x * self.positive

    def backward(self, dy: Array, device: clconv.Device) -> Array:
        return dy * self.positive


class MaxPool:
    """The largest of each 2x2 pixels; the gradient goes to the pixel that it came from."""

    parameters: tuple[Array, ...] = ()
    gradients: tuple[Array, ...] = ()

    def forward(self, x: Array, device: clconv.Device) -> Array:
        self.input_shape = x.shape
        y, self.indices = clconv.max_pool(x, 2, return_indices=True, device=device)
        return y

    def backward(self, dy: Array, device: clconv.Device) -> Array:
        return clconv.max_pool_backward(
            dy, self.indices, input_shape=self.input_shape, device=device
        )


class Network:
    """Layers in a row: images (N, 1, 8, 8) to scores (N, 10), 38314 parameters."""

    def __init__(self, rng: np.random.Generator, device: clconv.Device) -> None:
        self.device = device
        self.layers = [
            *(Conv(1, 32, 3, 1, rng), Relu()),
            *(Conv(32, 32, 3, 1, rng), Relu(), MaxPool()),
            *(Conv(32, 64, 3, 1, rng), Relu()),
            # The dense layer: a filter as large as the image sees all of it, at one position.
            Conv(64, 10, 4, 0, rng),
        ]
        self.parameters = [p for layer in self.layers for p in layer.parameters]

    @property
    def gradients(self) -> list[Array]:
        """What the last `backward` found, in the order of `parameters`."""
        return [g for layer in self.layers for g in layer.gradients]

    def forward(self, x: Array) -> Array:
        for layer in self.layers:
            x = layer.forward(x, self.device)
        return x[:, :, 0, 0]

    def backward(self, dy: Array) -> None:
        dy = dy[:, :, None, None]
        for layer in reversed(self.layers):
            dy = layer.backward(dy, self.device)

    def accuracy(self, x: Array, labels: Array) -> float:
        """Return the share of images whose highest score is their label's."""
        return float(np.mean(self.forward(x).argmax(axis=1) == labels))


class Adam:
    """Steps scaled by running means of the gradient and of its square (Kingma & Ba, 2015)."""

    def __init__(self, parameters: list[Array]) -> None:
        self.parameters = parameters
        self.means = [np.zeros_like(p) for p in parameters]
        self.squares = [np.zeros_like(p) for p in parameters]
        self.steps = 0

    def step(self, gradients: list[Array], rate: float) -> None:
        self.steps += 1
        # The means start at zero; dividing by these takes the pull towards it out again.
        first, second = 1 - 0.9**self.steps, 1 - 0.999**self.steps
        every = zip(self.parameters, gradients, self.means, self.squares, strict=True)
        for parameter, gradient, mean, square in every:
            mean += 0.1 * (gradient - mean)
            square += 0.001 * (gradient * gradient - square)
            parameter -= rate * (mean / first) / (np.sqrt(square / second) + 1e-8)


def cross_entropy(scores: Array, labels: Array) -> tuple[float, Array]:
    """Return the mean of -log softmax(scores)[label] and its gradient."""
    rows = np.arange(len(labels))
    shifted = scores - scores.max(axis=1, keepdims=True)  # or exp overflows
    log_shares = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    gradient = np.exp(log_shares)
    gradient[rows, labels] -= 1
    return -float(log_shares[rows, labels].mean()), gradient / np.float32(len(labels))


def digits() -> tuple[Array, Array, Array, Array]:
    """Return training images (N, 1, 8, 8) in [0, 1], test images, and the labels of both."""
    images, labels = load_digits(return_X_y=True)
    images = (images / 16).astype(np.float32).reshape(-1, 1, 8, 8)
    return tuple(train_test_split(images, labels, test_size=0.2, stratify=labels, random_state=0))


def batches(x: Array, labels: Array, rng: np.random.Generator) -> Iterator[tuple[Array, Array]]:
    """Yield every image once, in random order, each moved a little."""
    order = rng.permutation(len(x))
    edge = (SHIFT, SHIFT)
    padded = np.pad(x, ((0, 0), (0, 0), edge, edge))
    windows = np.lib.stride_tricks.sliding_window_view(padded, x.shape[2:], axis=(2, 3))
    for first in range(0, len(x), BATCH):
        chosen = order[first : first + BATCH]
        down, right = rng.integers(0, 2 * SHIFT + 1, size=(2, len(chosen)))
        yield windows[chosen, :, down, right], labels[chosen]


def train(
    epochs: int, seed: int, device: clconv.Device, report: Callable[[str], None] = print
) -> tuple[Network, float]:
    """Return a trained network and its accuracy on the test images."""
    x_train, x_test, labels_train, labels_test = digits()
    rng = np.random.default_rng(seed)
    network = Network(rng, device)
    adam = Adam(network.parameters)
    start, accuracy = time.perf_counter(), 0.0
    for epoch in range(epochs):
        losses = []
        for x, labels in batches(x_train, labels_train, rng):
            done = adam.steps * BATCH / (epochs * len(x_train))
            loss, gradient = cross_entropy(network.forward(x), labels)
            network.backward(gradient)
            adam.step(network.gradients, RATE * (1 + np.cos(np.pi * min(done, 1.0))) / 2)
            losses.append(loss)
        accuracy = network.accuracy(x_test, labels_test)
        seconds = time.perf_counter() - start
        report(
            f"epoch {epoch + 1:2}  loss {np.mean(losses):.4f}"
            f"  test accuracy {accuracy:.2%}  {seconds:5.1f} s"
        )
    return network, accuracy


def main() -> int:
    parser = argparse.ArgumentParser(description="Train a small network on handwritten digits.")
    parser.add_argument("--epochs", type=int, default=20, help="passes over the training images")
    parser.add_argument("--seed", type=int, default=0, help="of the weights, shifts and order")
    parser.add_argument("--device", help="part of a device's name, or its numbers as in 0:0")
    options = parser.parse_args()
    start = time.perf_counter()
    device = clconv.select_device(options.device)
    print(f"device {device}")
    _, accuracy = train(options.epochs, options.seed, device)
    print(f"test accuracy {accuracy:.2%} after {time.perf_counter() - start:.1f} s")
    return 0 if accuracy >= WANTED_ACCURACY else 1


if __name__ == "__main__":
    sys.exit(main())
