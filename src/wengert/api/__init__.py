"""The public functions: argument handling, trees, guards, caching, choice of mode."""

from wengert.api.c_function import c_function
from wengert.api.checkpoint import checkpoint
from wengert.api.custom import custom_jvp, custom_vjp
from wengert.api.derivatives import grad, jit, stop_gradient, value_and_grad
from wengert.api.directional import jvp, vjp
from wengert.api.flow import (
    clip_gradient,
    gradient_probe,
    probe_report,
    reverse_gradient,
    scale_gradient,
    straight_through,
)
from wengert.api.hvp import hvp
from wengert.api.jacobians import hessian, jacfwd, jacobian, jacrev
from wengert.api.linearize import linear_transpose, linearize
from wengert.api.mode import EagerFallbackWarning, eager
from wengert.api.vmap import vmap
from wengert.api.wrap import wrap

__all__ = [
    "EagerFallbackWarning",
    "c_function",
    "checkpoint",
    "clip_gradient",
    "custom_jvp",
    "custom_vjp",
    "eager",
    "grad",
    "gradient_probe",
    "hessian",
    "hvp",
    "jacfwd",
    "jacobian",
    "jacrev",
    "jit",
    "jvp",
    "linear_transpose",
    "linearize",
    "probe_report",
    "reverse_gradient",
    "scale_gradient",
    "stop_gradient",
    "straight_through",
    "value_and_grad",
    "vjp",
    "vmap",
    "wrap",
]
