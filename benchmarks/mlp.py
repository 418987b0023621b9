"""One training step of a network in single precision (batch 128, layers 784-256-128-10), against JAX and PyTorch.

Softmax cross entropy, a step of gradient descent; one core, one thread, medians of paired rounds.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from timing import Contender, confine_to_one_core, interleave, ratio

SIZES = (784, 256, 128, 10)
BATCH = 128
RATE = 0.05
console = Console()


def loss(weights: Any, x: Any, labels: Any) -> Any:
    """The mean cross entropy of the classes that the network predicts."""
    for w, b in weights[:-1]:
        x = np.maximum(x @ w + b, 0.0)
    w, b = weights[-1]
    logits = x @ w + b
    shifted = logits - np.max(logits, axis=1, keepdims=True)
    log_p = shifted - np.log(np.sum(np.exp(shifted), axis=1, keepdims=True))
    return -np.mean(log_p[np.arange(len(labels)), labels])


def problem() -> tuple[Any, Any, Any]:
    """Weights, inputs and labels; all numbers are float32."""
    rng = np.random.default_rng(0)
    weights = [
        ((rng.normal(size=(m, n)) / np.sqrt(m)).astype(np.float32), np.zeros(n, np.float32)) for m, n in itertools.pairwise(SIZES)
    ]
    return weights, rng.normal(size=(BATCH, SIZES[0])).astype(np.float32), rng.integers(0, SIZES[-1], BATCH)


def own() -> tuple[Callable[[], Any], Any]:
    """A call that takes one step and returns the loss, and the weights that it changes."""
    import wengert as wg

    weights, x, labels = problem()

    def step(weights: Any, x: Any, labels: Any) -> Any:
        value, bars = wg.value_and_grad(loss)(weights, x, labels)
        for layer, bar in zip(weights, bars, strict=True):
            for w, g in zip(layer, bar, strict=True):
                w -= RATE * g
        return value

    compiled = wg.jit(step)
    return lambda: compiled(weights, x, labels), weights


def jax_step() -> tuple[Callable[[], Any], Any]:
    """The same with JAX; the old weights are donated."""
    import jax
    import jax.numpy as jnp

    weights, x, labels = jax.device_put(problem())

    def of(weights: Any, x: Any, labels: Any) -> Any:
        for w, b in weights[:-1]:
            x = jnp.maximum(x @ w + b, 0.0)
        w, b = weights[-1]
        return -jnp.mean(jax.nn.log_softmax(x @ w + b)[jnp.arange(len(labels)), labels])

    def step(weights: Any, x: Any, labels: Any) -> Any:
        value, bars = jax.value_and_grad(of)(weights, x, labels)
        return value, jax.tree.map(lambda w, g: w - np.float32(RATE) * g, weights, bars)

    compiled = jax.jit(step, donate_argnums=0)
    state = [weights]

    def call() -> Any:
        value, state[0] = compiled(state[0], x, labels)
        return jax.block_until_ready(value)

    return call, state


def torch_step() -> tuple[Callable[[], Any], Any]:
    """The same with PyTorch, eagerly, with its fused functions."""
    import torch

    torch.set_num_threads(1)
    weights, x, labels = problem()
    layers = [tuple(torch.tensor(w, requires_grad=True) for w in layer) for layer in weights]
    inputs, targets = torch.tensor(x), torch.tensor(labels)
    flat = [w for layer in layers for w in layer]

    def call() -> Any:
        hidden = inputs
        for w, b in layers[:-1]:
            hidden = torch.relu(torch.addmm(b, hidden, w))
        w, b = layers[-1]
        value = torch.nn.functional.cross_entropy(torch.addmm(b, hidden, w), targets)
        bars = torch.autograd.grad(value, flat)
        with torch.no_grad():
            torch._foreach_add_(flat, bars, alpha=-RATE)
        return value.item()

    return call, flat


def main(repeats: Annotated[int, typer.Option(help="Rounds; every round times every system once.")] = 15) -> None:
    """Time the step and check that all systems find the same losses."""
    confine_to_one_core()
    makers = {"wengert": own}
    makers |= {"JAX": jax_step} if find_spec("jax") else {}
    makers |= {"PyTorch": torch_step} if find_spec("torch") else {}
    contenders, losses = [], {}
    for name, make in makers.items():
        call, _ = make()
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


if __name__ == "__main__":
    typer.run(main)
