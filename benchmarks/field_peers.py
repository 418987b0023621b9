"""The same derivatives in JAX and PyTorch, where they are natural to write there. Optional: both may be missing."""

from __future__ import annotations

import math
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
from field_programs import gmm

Call = Callable[[], Any]


def jax_derivative(key: str, args: tuple) -> Call | None:
    """A call of JAX's derivative, or None."""
    if find_spec("jax") is None or key == "gmm_loops":
        return None
    import jax

    jax.config.update("jax_enable_x64", True)
    function, given = _jax(key, args)
    compiled = jax.jit(function)
    placed = jax.device_put(given)
    return lambda: jax.block_until_ready(compiled(*placed))


def torch_derivative(key: str, args: tuple) -> Call | None:
    """A call of PyTorch's derivative, or None."""
    if find_spec("torch") is None or key not in ("lse", "gmm_arrays", "kmeans"):
        return None
    import torch

    torch.set_num_threads(1)
    return {"lse": _torch_lse, "gmm_arrays": _torch_gmm, "kmeans": _torch_kmeans}[key](torch, args)


# --- JAX -----------------------------------------------------------------------------------------------------------


def _jax(key: str, args: tuple) -> tuple[Callable[..., Any], tuple]:
    """The derivative as a function to be compiled, and its arguments."""
    import jax
    import jax.numpy as jnp

    match key:
        case "llsq":
            return jax.grad(_jax_llsq), (args[0], -1.0 + 2.0 * np.arange(args[1]) / (args[1] - 1))
        case "lse":
            return jax.grad(lambda x: jnp.max(x) + jnp.log(jnp.sum(jnp.exp(x - jnp.max(x))))), args
        case "gmm_arrays":
            return jax.grad(_jax_gmm), args[:2]
        case "kmeans":
            return _jax_direction, args
        case "lstm":
            return jax.grad(_jax_lstm, argnums=(0, 1)), args
    cameras, points, weights, seen, features = args
    return _jax_ba, (cameras, points, weights, seen[:, 0], seen[:, 1], features)


def _jax_llsq(x: Any, t: Any) -> Any:
    import jax
    import jax.numpy as jnp

    def step(carry: Any, coefficient: Any) -> Any:
        residual, power = carry
        return (residual - coefficient * power, power * t), None

    (residual, _), _ = jax.lax.scan(step, (jnp.sign(t), jnp.ones_like(t)), x)
    return 0.5 * jnp.sum(residual * residual)


def _jax_gmm(params: Any, x: Any) -> Any:
    import jax
    import jax.numpy as jnp

    alpha, mu, q, lower = (params[name] for name in ("alpha", "mu", "q", "l"))
    (n, d), k = x.shape, len(alpha)
    columns, rows = np.triu_indices(d, 1)
    diagonal = jnp.exp(q)
    factors = jnp.zeros((k, d, d)).at[:, columns, rows].set(lower) + jax.vmap(jnp.diag)(diagonal)
    transformed = jax.vmap(lambda m, f: (x - m) @ f)(mu, factors)
    terms = alpha[:, None] + jnp.sum(q, axis=1)[:, None] - 0.5 * jnp.sum(transformed**2, axis=2)
    prior = 0.5 * gmm.GAMMA**2 * (jnp.sum(diagonal**2) + jnp.sum(lower * lower)) - gmm.M * jnp.sum(q)
    scores = jax.scipy.special.logsumexp(terms, axis=0)
    constant = -n * d * 0.5 * math.log(2.0 * math.pi) + gmm.wishart_constant(d, k, gmm.GAMMA, gmm.M)
    return constant + jnp.sum(scores) - n * jax.scipy.special.logsumexp(alpha) - prior


def _jax_direction(centroids: Any, points: Any) -> Any:
    import jax
    import jax.numpy as jnp

    def cost(c: Any) -> Any:
        squares = jnp.sum(points**2, axis=1)[:, None] + jnp.sum(c**2, axis=1)[None] - 2.0 * points @ c.T
        return jnp.sum(jnp.min(squares, axis=1))

    first, second = jax.jvp(jax.grad(cost), (centroids,), (jnp.ones_like(centroids),))
    return first / second


def _jax_lstm(main: Any, extra: Any, state: Any, sequence: Any) -> Any:
    import jax
    import jax.numpy as jnp

    count, bits = sequence.shape
    layers = len(state) // 2
    weights, biases = main.reshape(layers, 2, 4, bits).transpose(1, 0, 2, 3)

    def step(state: Any, now_and_next: Any) -> Any:
        now, following = now_and_next
        h, new = now * extra[0], []
        for i in range(layers):
            (f, g, o, c), (bf, bg, bo, bc), (hidden, cell) = weights[i], biases[i], state[i]
            cell = cell * jax.nn.sigmoid(h * f + bf) + jax.nn.sigmoid(hidden * g + bg) * jnp.tanh(hidden * c + bc)
            h = jax.nn.sigmoid(h * o + bo) * jnp.tanh(cell)
            new.append(jnp.stack([h, cell]))
        y = h * extra[1] + extra[2]
        return jnp.stack(new), jnp.sum(following * (y - jnp.log(2.0 + jnp.sum(jnp.exp(y)))))

    _, terms = jax.lax.scan(step, state.reshape(layers, 2, bits), (sequence[:-1], sequence[1:]))
    return -jnp.sum(terms) / ((count - 1) * bits)


def _jax_ba(cameras: Any, points: Any, weights: Any, camera: Any, point: Any, features: Any) -> Any:
    import jax
    import jax.numpy as jnp

    def residual(c: Any, x: Any, weight: Any, feature: Any) -> Any:
        r, offset = c[:3], x - c[3:6]
        theta = jnp.sqrt(r @ r)
        w = r / theta
        turned = offset * jnp.cos(theta) + jnp.cross(w, offset) * jnp.sin(theta)
        turned = turned + w * ((w @ offset) * (1.0 - jnp.cos(theta)))
        seen = turned[:2] / turned[2]
        rho = seen @ seen
        return weight * (seen * ((1.0 + c[9] * rho + c[10] * rho * rho) * c[6]) + c[7:9] - feature)

    parts = jax.vmap(jax.jacrev(residual, argnums=(0, 1, 2)))(cameras[camera], points[point], weights, features)
    rows = jnp.concatenate([parts[0], parts[1], parts[2][..., None]], axis=2)
    return jnp.concatenate([rows.ravel(), -2.0 * weights])


# --- PyTorch -------------------------------------------------------------------------------------------------------


def _torch_lse(torch: Any, args: tuple) -> Call:
    x = torch.tensor(args[0], requires_grad=True)

    def gradient() -> Any:
        largest = torch.max(x)
        return torch.autograd.grad(largest + torch.log(torch.sum(torch.exp(x - largest))), x)[0].numpy()

    return gradient


def _torch_gmm(torch: Any, args: tuple) -> Call:
    params = {name: torch.tensor(value, requires_grad=True) for name, value in args[0].items()}
    x = torch.tensor(args[1])
    n, d = x.shape
    columns, rows = (torch.tensor(side) for side in np.triu_indices(d, 1))

    def gradient() -> Any:
        alpha, mu, q, lower = (params[name] for name in ("alpha", "mu", "q", "l"))
        diagonal = torch.exp(q)
        factors = torch.diag_embed(diagonal)
        factors[:, columns, rows] = lower
        transformed = torch.bmm(x[None] - mu[:, None], factors)
        terms = alpha[:, None] + torch.sum(q, 1)[:, None] - 0.5 * torch.sum(transformed**2, 2)
        prior = 0.5 * gmm.GAMMA**2 * (torch.sum(diagonal**2) + torch.sum(lower * lower)) - gmm.M * torch.sum(q)
        value = torch.sum(torch.logsumexp(terms, 0)) - n * torch.logsumexp(alpha, 0) - prior
        found = torch.autograd.grad(value, [alpha, mu, q, lower])
        return dict(zip(("alpha", "mu", "q", "l"), (g.numpy() for g in found), strict=True))

    return gradient


def _torch_kmeans(torch: Any, args: tuple) -> Call:
    centroids, points = torch.tensor(args[0]), torch.tensor(args[1])

    def cost(c: Any) -> Any:
        return torch.sum(torch.min(torch.sum((points[:, None] - c[None]) ** 2, 2), 1).values)

    def direction() -> Any:
        c = centroids.clone().requires_grad_(True)
        (first,) = torch.autograd.grad(cost(c), c, create_graph=True)
        (second,) = torch.autograd.grad(first, c, torch.ones_like(c))
        return (first / second).detach().numpy()

    return direction
