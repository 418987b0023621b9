"""The gradients of the four programs in PyTorch eager, autograd and JAX.

PyTorch and autograd run the programs' own code wherever they can (`rebound` swaps the module behind
`np` or `math` and nothing else); JAX gets each program rewritten by hand in its idiom. Where a peer
cannot express a program, its `note` says what was done instead.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import astuple, dataclass
from types import SimpleNamespace
from typing import Any

import autograd
import autograd.numpy as anp
import jax
import jax.numpy as jnp
import numpy as np
import torch
from jax import lax
from spine_programs import RECURRENCE_MAX_TRIPS, Program, flat, logistic, lynx_hare, rebound, recurrence

torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)
jax.config.update("jax_enable_x64", True)


@dataclass(frozen=True)
class Peer:
    """Another system's gradient of one program.

    Attributes:
        name: Label in tables.
        run: Computes value and gradient once, to the end.
        result: The same as a float and one flat f64 vector.
        note: How the program was changed for this peer; empty if it was not.
    """

    name: str
    run: Callable[[], Any]
    result: Callable[[], tuple[float, np.ndarray]]
    note: str = ""


def spread(program: Program) -> tuple[tuple[Any, ...], tuple[int, ...]]:
    """Arguments and argnums for a peer that knows no dataclasses: one argument a field."""
    if program.key != "a":
        return program.args, program.argnums
    numbers = astuple(program.args[0])
    return numbers, tuple(range(len(numbers)))


def spread_lynx_hare(**names: Any) -> Callable[..., Any]:
    """The lynx-hare loss as a function of seven numbers, with other modules behind its names."""
    loss = rebound(lynx_hare.loss, **names)
    return lambda *numbers: loss(lynx_hare.Params(*numbers))


# --- PyTorch eager ---


TORCH_MATH = SimpleNamespace(log=lambda x: torch.log(x) if isinstance(x, torch.Tensor) else math.log(x))


def torch_rk4_step(p: Any, hare: Any, lynx: Any, dt: float) -> Any:
    rates = lynx_hare.rates
    h1, l1 = rates(p, hare, lynx)
    h2, l2 = rates(p, hare + dt / 2 * h1, lynx + dt / 2 * l1)
    h3, l3 = rates(p, hare + dt / 2 * h2, lynx + dt / 2 * l2)
    h4, l4 = rates(p, hare + dt * h3, lynx + dt * l3)
    hare = hare + dt / 6 * (h1 + 2 * h2 + 2 * h3 + h4)
    lynx = lynx + dt / 6 * (l1 + 2 * l2 + 2 * l3 + l4)
    return hare, lynx


def torch_peer(program: Program) -> Peer:
    """Value and gradient by PyTorch's eager tape."""
    loss, note = TORCH_LOSSES[program.key]
    own_args, argnums = spread(program)
    args = [torch.tensor(arg) if isinstance(arg, float | np.ndarray) else arg for arg in own_args]
    leaves = [args[i].requires_grad_() for i in argnums]

    def run() -> Any:
        value = loss(*args)
        return value, torch.autograd.grad(value, leaves)

    def result() -> tuple[float, np.ndarray]:
        value, grads = run()
        return float(value.detach()), flat(tuple(grad.numpy() for grad in grads))

    return Peer("PyTorch eager", run, result, note)


def torch_heat(k0: Any, k1: Any, u0: Any, target: Any, steps: int) -> Any:
    u = u0
    for _ in range(steps):
        k = k0 * (1.0 + k1 * u[1:-1] ** 2)
        u = torch.cat([u[:1], u[1:-1] + k * (u[2:] - 2 * u[1:-1] + u[:-2]), u[-1:]])
    return torch.mean((u - target) ** 2)


def torch_logistic(w: Any, b: Any, x: Any, y: Any) -> Any:
    m = y * (x @ w + b)
    losses = torch.clamp(-m, min=0.0) + torch.log(1.0 + torch.exp(-torch.abs(m)))
    return torch.mean(losses) + 0.001 * torch.sum(w * w)


# --- autograd ---


def autograd_peer(program: Program) -> Peer:
    """Value and gradient by autograd's tape."""
    loss, note = AUTOGRAD_LOSSES[program.key]
    args, argnums = spread(program)
    value_and_grad = autograd.value_and_grad(loss, argnum=argnums)

    def run() -> Any:
        return value_and_grad(*args)

    def result() -> tuple[float, np.ndarray]:
        value, grads = run()
        return float(value), flat(grads)

    return Peer("autograd", run, result, note)


def autograd_heat(k0: Any, k1: Any, u0: Any, target: Any, steps: int) -> Any:
    u = u0
    for _ in range(steps):
        k = k0 * (1.0 + k1 * u[1:-1] ** 2)
        u = anp.concatenate([u[:1], u[1:-1] + k * (u[2:] - 2 * u[1:-1] + u[:-2]), u[-1:]])
    return anp.mean((u - target) ** 2)


# --- JAX ---


def jax_peer(program: Program) -> Peer:
    """Value and gradient by JAX, jitted, its inputs already on its device."""
    value_and_grad = jax_gradient(program)
    args = jax_args(program)

    def run() -> Any:
        return jax.block_until_ready(value_and_grad(*args))

    def result() -> tuple[float, np.ndarray]:
        value, grads = run()
        return float(value), flat(jax.tree.map(np.asarray, grads))

    return Peer("JAX", run, result, JAX_LOSSES[program.key][1])


def jax_gradient(program: Program) -> Callable[..., Any]:
    """The jitted value and gradient, a function of `jax_args`."""
    loss, _ = JAX_LOSSES[program.key]
    integers = tuple(i for i, arg in enumerate(program.args) if isinstance(arg, int))
    return jax.jit(jax.value_and_grad(loss, argnums=program.argnums), static_argnums=integers)


def jax_args(program: Program) -> tuple[Any, ...]:
    """The program's arguments on JAX's device, with the data of the lynx-hare program among them."""
    data = (lynx_hare.HARE, lynx_hare.LYNX) if program.key == "a" else ()
    return tuple(arg if isinstance(arg, int) else jax.tree.map(jnp.asarray, arg) for arg in program.args + data)


jax.tree_util.register_dataclass(lynx_hare.Params)


def jax_lynx_hare(params: Any, hares: Any, lynxes: Any) -> Any:
    dt = 1 / lynx_hare.STEPS_PER_YEAR

    @jax.checkpoint  # four times as fast: JAX else stores every intermediate
    def step(state: Any, _: None) -> Any:
        return lynx_hare.rk4_step(params, *state, dt), None

    def year(carry: Any, counts: Any) -> Any:
        hare, lynx, squares = carry
        squares += (jnp.log(hare) - jnp.log(counts[0])) ** 2 + (jnp.log(lynx) - jnp.log(counts[1])) ** 2
        state, _ = lax.scan(step, (hare, lynx), length=lynx_hare.STEPS_PER_YEAR)
        return (*state, squares), None

    start = (params.hare, params.lynx, jnp.float64(0.0))
    (_, _, squares), _ = lax.scan(year, start, (hares, lynxes))
    return squares / (2 * params.sigma**2) + 2 * hares.shape[0] * jnp.log(params.sigma)


def jax_recurrence(a: Any, b: Any, c: Any, data: Any) -> Any:
    @jax.checkpoint
    def step(carry: Any, d: Any) -> Any:
        x, loss = carry
        x = jnp.where(x > c, a * x - b * x * x + d, a * x + b * d)
        for _ in range(RECURRENCE_MAX_TRIPS):
            x = jnp.where(x > 1.5, x * 0.7 + 0.1 * b, x)
        return (x, loss + (x - c) * (x - c)), None

    (_, loss), _ = lax.scan(step, (jnp.float64(0.2), jnp.float64(0.0)), data)
    return loss / data.shape[0]


def jax_heat(k0: Any, k1: Any, u0: Any, target: Any, steps: int) -> Any:
    @jax.checkpoint  # halves the time: without it JAX stores every intermediate of every step
    def step(u: Any, _: None) -> Any:
        k = k0 * (1.0 + k1 * u[1:-1] ** 2)
        return jnp.concatenate([u[:1], u[1:-1] + k * (u[2:] - 2 * u[1:-1] + u[:-2]), u[-1:]]), None

    u, _ = lax.scan(step, u0, length=steps)
    return jnp.mean((u - target) ** 2)


def jax_logistic(w: Any, b: Any, x: Any, y: Any) -> Any:
    m = y * (x @ w + b)
    losses = jnp.maximum(0.0, -m) + jnp.log(1.0 + jnp.exp(-jnp.abs(m)))
    return jnp.mean(losses) + 0.001 * jnp.sum(w * w)


COPIES = "cannot differentiate the in-place update: builds a new array each step"
SPREAD = "knows no dataclasses: takes seven arguments"
IN_PLACE = "; cannot differentiate `hare += ...`, in place on a tensor: written as `hare = hare + ...`"
MASKED = "cannot reverse the `while`: five masked steps in a `lax.scan`"
TORCH_LOSSES: dict[str, tuple[Callable[..., Any], str]] = {
    "a": (spread_lynx_hare(math=TORCH_MATH, rk4_step=torch_rk4_step), SPREAD + IN_PLACE),
    "b": (recurrence, ""),
    "c": (torch_heat, COPIES),
    "d": (torch_logistic, ""),
}
AUTOGRAD_LOSSES: dict[str, tuple[Callable[..., Any], str]] = {
    "a": (spread_lynx_hare(math=anp), SPREAD),
    "b": (recurrence, ""),
    "c": (autograd_heat, COPIES),
    "d": (rebound(logistic, np=anp), ""),
}
JAX_LOSSES: dict[str, tuple[Callable[..., Any], str]] = {
    "a": (jax_lynx_hare, "has the two loops as nested `lax.scan`s and takes the data as arguments"),
    "b": (jax_recurrence, MASKED),
    "c": (jax_heat, "builds a new array each step of a `lax.scan`, recomputing the step in reverse"),
    "d": (jax_logistic, ""),
}


def peers(program: Program) -> list[Peer]:
    """All peers on one program."""
    return [torch_peer(program), autograd_peer(program), jax_peer(program)]


jax.block_until_ready(jax.jit(jax.value_and_grad(lambda x: x * x))(1.0))  # its start-up is not compile time
