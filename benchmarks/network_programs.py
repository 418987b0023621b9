"""Two networks in plain NumPy, in single precision: a perceptron of three layers and a small convolutional network.

No import of wengert here: this is the code that is differentiated as it stands.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

BATCH = 128
CLASSES = 10
LAYERS = (784, 256, 128, CLASSES)
KERNELS = ((1, 5, 5, 8), (8, 5, 5, 16))
SIDE = 28


def cross_entropy(logits: Any, labels: Any) -> Any:
    """The mean cross entropy of classes."""
    shifted = logits - np.max(logits, axis=1, keepdims=True)
    log_p = shifted - np.log(np.sum(np.exp(shifted), axis=1, keepdims=True))
    return -np.mean(log_p[np.arange(len(labels)), labels])


def perceptron(weights: Any, x: Any, labels: Any) -> Any:
    """The loss of a network of dense layers."""
    for w, b in weights[:-1]:
        x = np.maximum(x @ w + b, 0.0)
    w, b = weights[-1]
    return cross_entropy(x @ w + b, labels)


def convolved(x: Any, kernel: Any, bias: Any) -> Any:
    """Images `(batch, rows, columns, channels)` under a kernel `(channels in, size, size, channels out)`, without padding."""
    patches = sliding_window_view(x, kernel.shape[1:3], axis=(1, 2))
    return patches.reshape(*patches.shape[:3], -1) @ kernel.reshape(-1, kernel.shape[-1]) + bias


def pooled(x: Any) -> Any:
    """The greatest of each 2 by 2 pixels."""
    batch, rows, columns, channels = x.shape
    return x.reshape(batch, rows // 2, 2, columns // 2, 2, channels).max(axis=(2, 4))


def convolutional(weights: Any, x: Any, labels: Any) -> Any:
    """The loss of a network of two convolutions, each with pooling, and a dense layer."""
    for kernel, bias in weights[:-1]:
        x = pooled(np.maximum(convolved(x, kernel, bias), 0.0))
    w, b = weights[-1]
    return cross_entropy(x.reshape(len(x), -1) @ w + b, labels)


def perceptron_problem() -> tuple[Any, Any, Any]:
    """Weights, inputs and labels of the perceptron; all numbers are float32."""
    rng = np.random.default_rng(0)
    weights = [layer(rng, shape) for shape in itertools.pairwise(LAYERS)]
    return weights, rng.normal(size=(BATCH, LAYERS[0])).astype(np.float32), rng.integers(0, CLASSES, BATCH)


def convolutional_problem() -> tuple[Any, Any, Any]:
    """Weights, images of one channel and labels of the convolutional network; all numbers are float32."""
    rng = np.random.default_rng(0)
    side = SIDE
    for _, size, *_ in KERNELS:
        side = (side - size + 1) // 2
    weights = [layer(rng, shape) for shape in (*KERNELS, (side * side * KERNELS[-1][-1], CLASSES))]
    return weights, rng.normal(size=(BATCH, SIDE, SIDE, 1)).astype(np.float32), rng.integers(0, CLASSES, BATCH)


def layer(rng: np.random.Generator, shape: tuple[int, ...]) -> tuple[Any, Any]:
    """Weights of that shape, whose last axis is what the layer gives, and biases of zero."""
    weights = rng.normal(size=shape) / np.sqrt(np.prod(shape[:-1]))
    return weights.astype(np.float32), np.zeros(shape[-1], np.float32)
