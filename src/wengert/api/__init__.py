"""The public functions: argument handling, trees, guards, caching, choice of mode."""

from wengert.api.custom import custom_jvp, custom_vjp
from wengert.api.derivatives import grad, jit, stop_gradient, value_and_grad
from wengert.api.directional import jvp, vjp
from wengert.api.jacobians import hessian, jacobian
from wengert.api.mode import EagerFallbackWarning, eager

__all__ = [
    "EagerFallbackWarning",
    "custom_jvp",
    "custom_vjp",
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
