"""Loss of a recurrent network with gates whose weights are diagonal, over a sequence of characters as bits."""

from __future__ import annotations

import numpy as np

SIZES = tuple((layers, c) for layers in (2, 4, 6) for c in (1024, 4096, 8192))
BITS = 14


def sigmoid(x):
    """The logistic function."""
    return 1.0 / (1.0 + np.exp(-x))


def predict(weights, bias, hidden, cell, x):
    """New hidden and cell state of a layer, from its input x."""
    b = len(x)
    forget = sigmoid(x * weights[:b] + bias[:b])
    ingate = sigmoid(hidden * weights[b : 2 * b] + bias[b : 2 * b])
    outgate = sigmoid(x * weights[2 * b : 3 * b] + bias[2 * b : 3 * b])
    change = np.tanh(hidden * weights[3 * b :] + bias[3 * b :])
    cell = cell * forget + ingate * change
    return outgate * np.tanh(cell), cell


def loss(main, extra, state, sequence):
    """Mean negative logarithm of what the network thinks of each next character."""
    state = state.copy()
    layers = len(state) // 2
    count, bits = sequence.shape
    total = 0.0
    for t in range(count - 1):
        h = sequence[t] * extra[0]
        for i in range(layers):
            h, cell = predict(main[2 * i], main[2 * i + 1], state[2 * i], state[2 * i + 1], h)
            state[2 * i] = h
            state[2 * i + 1] = cell
        y = h * extra[1] + extra[2]
        normalised = y - np.log(2.0 + np.sum(np.exp(y)))
        total += np.sum(sequence[t + 1] * normalised)
    return -total / ((count - 1) * bits)


def inputs(size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Weights, state and sequence of `size`, layers and characters."""
    layers, count = size
    rng = np.random.default_rng(0)
    sequence = rng.integers(0, 2, (count, BITS)).astype(float)
    state = rng.uniform(size=(2 * layers, BITS))
    main = rng.uniform(size=(2 * layers, 4 * BITS))
    extra = rng.uniform(size=(3, BITS))
    return main, extra, state, sequence
