"""The public functions: argument handling, trees, guards, caching, choice of mode."""

from wengert.api.derivatives import grad, hessian, jacobian, jit, jvp, stop_gradient, value_and_grad, vjp
from wengert.api.mode import EagerFallbackWarning, eager

__all__ = [
    "EagerFallbackWarning",
    "eager",
    "grad",
    "hessian",
    "jacobian",
    "jit",
    "jvp",
    "stop_gradient",
    "value_and_grad",
    "vjp",
]
