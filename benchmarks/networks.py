"""One training step of two networks in single precision (batch 128), against JAX and PyTorch.

Dense layers 784-256-128-10, and two convolutions of 5 by 5 (8 and 16 channels) with pooling before a dense layer; softmax cross
entropy, a step of gradient descent; medians of paired rounds, on as many threads as are asked for.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import Annotated, Any

import network_programs as programs
import numpy as np
import typer
from rich.console import Console
from timing import Contender, confine, interleave, ratio

RATE = 0.05
NETWORKS = {
    "dense": (programs.perceptron, programs.perceptron_problem),
    "convolutional": (programs.convolutional, programs.convolutional_problem),
}
console = Console()


def own(network: str, threads: int) -> Callable[[], Any]:
    """A call that takes one step and returns the loss."""
    import wengert as wg

    loss, problem = NETWORKS[network]
    weights, x, labels = problem()

    def step(weights: Any, x: Any, labels: Any) -> Any:
        value, bars = wg.value_and_grad(loss)(weights, x, labels)
        for layer, bar in zip(weights, bars, strict=True):
            for w, g in zip(layer, bar, strict=True):
                w -= RATE * g
        return value

    compiled = wg.jit(step)
    return lambda: compiled(weights, x, labels)


def jax_step(network: str, threads: int) -> Callable[[], Any]:
    """The same with JAX and its convolution; the old weights are donated."""
    import jax
    import jax.numpy as jnp

    weights, x, labels = jax.device_put(NETWORKS[network][1]())

    def hidden(x: Any, w: Any, b: Any) -> Any:
        if w.ndim == 2:
            return jnp.maximum(x @ w + b, 0.0)
        x = jax.lax.conv_general_dilated(x, w, (1, 1), "VALID", dimension_numbers=("NHWC", "IHWO", "NHWC"))
        return jax.lax.reduce_window(jnp.maximum(x + b, 0.0), -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")

    def of(weights: Any, x: Any, labels: Any) -> Any:
        for w, b in weights[:-1]:
            x = hidden(x, w, b)
        w, b = weights[-1]
        return -jnp.mean(jax.nn.log_softmax(x.reshape(len(x), -1) @ w + b)[jnp.arange(len(labels)), labels])

    def step(weights: Any, x: Any, labels: Any) -> Any:
        value, bars = jax.value_and_grad(of)(weights, x, labels)
        return value, jax.tree.map(lambda w, g: w - np.float32(RATE) * g, weights, bars)

    compiled = jax.jit(step, donate_argnums=0)
    state = [weights]

    def call() -> Any:
        value, state[0] = compiled(state[0], x, labels)
        return jax.block_until_ready(value)

    return call


def torch_step(network: str, threads: int) -> Callable[[], Any]:
    """The same with PyTorch, eagerly, with its fused functions and its own layout of images."""
    import torch
    from torch.nn.functional import conv2d, cross_entropy, max_pool2d

    torch.set_num_threads(threads)
    weights, x, labels = NETWORKS[network][1]()
    kernels = [torch.tensor(w if w.ndim == 2 else w.transpose(3, 0, 1, 2).copy(), requires_grad=True) for w, _ in weights]
    biases = [torch.tensor(b, requires_grad=True) for _, b in weights]
    inputs, targets = torch.tensor(x if x.ndim == 2 else x.transpose(0, 3, 1, 2).copy()), torch.tensor(labels)
    flat = [*kernels, *biases]
    if x.ndim == 4:  # the dense layer reads rows, columns, channels; here channels come first
        side, channels = round((len(weights[-1][0]) / weights[-2][0].shape[-1]) ** 0.5), weights[-2][0].shape[-1]
        order = torch.tensor(np.arange(side * side * channels).reshape(side, side, channels).transpose(2, 0, 1).ravel())
        with torch.no_grad():
            kernels[-1].copy_(kernels[-1][order].clone())

    def call() -> Any:
        hidden = inputs
        for w, b in zip(kernels[:-1], biases[:-1], strict=True):
            if w.ndim == 2:
                hidden = torch.relu(torch.addmm(b, hidden, w))
            else:
                hidden = max_pool2d(torch.relu(conv2d(hidden, w, b)), 2)
        value = cross_entropy(torch.addmm(biases[-1], hidden.flatten(1), kernels[-1]), targets)
        bars = torch.autograd.grad(value, flat)
        with torch.no_grad():
            torch._foreach_add_(flat, bars, alpha=-RATE)
        return value.item()

    return call


def compare(network: str, threads: int, repeats: int) -> None:
    """Time the step of one network and check that all systems find the same losses."""
    makers = {"wengert": own}
    makers |= {"JAX": jax_step} if find_spec("jax") else {}
    makers |= {"PyTorch": torch_step} if find_spec("torch") else {}
    contenders, losses = [], {}
    for name, make in makers.items():
        call = make(network, threads)
        started = time.perf_counter()
        losses[name] = [float(call())]
        console.print(f"{name}: first call {time.perf_counter() - started:.2f} s")
        losses[name] += [float(call()) for _ in range(4)]
        contenders.append(Contender(name, call))
    for name, found in losses.items():
        np.testing.assert_allclose(found, losses["wengert"], rtol=2e-5, err_msg=name)
    interleave(contenders, repeats)
    for contender in contenders:
        over = ratio(contenders[0], contender)
        console.print(f"{contender.name:<8} {contender.median * 1e3:7.3f} ms   wengert / this: {over:.2f}")


def main(
    repeats: Annotated[int, typer.Option(help="Rounds; every round times every system once.")] = 15,
    threads: Annotated[int, typer.Option(help="Threads, each on its own core.")] = 1,
    only: Annotated[str, typer.Option(help="'dense' or 'convolutional'; both if not given.")] = "",
) -> None:
    """Time the training steps."""
    confine(threads)
    for network in [only] if only else NETWORKS:
        console.print(f"[bold]{network}, {threads} thread{'s' * (threads > 1)}")
        compare(network, threads, repeats)


if __name__ == "__main__":
    typer.run(main)
