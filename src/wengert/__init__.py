"""Wengert differentiates the Python you have and runs it as native code.

The public names are listed here and loaded when first used, so that `import wengert` is quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wengert.api import (
        EagerFallbackWarning,
        c_function,
        checkpoint,
        clip_gradient,
        custom_jvp,
        custom_vjp,
        eager,
        grad,
        gradient_probe,
        hessian,
        hvp,
        jacfwd,
        jacobian,
        jacrev,
        jit,
        jvp,
        linear_transpose,
        linearize,
        probe_report,
        reverse_gradient,
        scale_gradient,
        stop_gradient,
        straight_through,
        value_and_grad,
        vjp,
        vmap,
        wrap,
    )
    from wengert.codegen.threads import get_threads, set_threads
    from wengert.diagnose import explain, memory
    from wengert.errors import (
        ArgumentError,
        GradientCutError,
        SourceUnavailableError,
        StagingError,
        UnsupportedError,
        WengertError,
    )
    from wengert.testing import check_grads
    from wengert.train import FitResult, GradientError, fit, load_params, save_params

__version__ = "0.1.0"

_HOMES = {
    "wengert.api": [
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
    ],
    "wengert.codegen.threads": ["get_threads", "set_threads"],
    "wengert.diagnose": ["explain", "memory"],
    "wengert.errors": [
        "ArgumentError",
        "GradientCutError",
        "SourceUnavailableError",
        "StagingError",
        "UnsupportedError",
        "WengertError",
    ],
    "wengert.testing": ["check_grads"],
    "wengert.train": ["FitResult", "GradientError", "fit", "load_params", "save_params"],
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [  # noqa: RUF022 - in the order of a user's first steps
    "grad",
    "value_and_grad",
    "jvp",
    "vjp",
    "linearize",
    "linear_transpose",
    "jacobian",
    "jacfwd",
    "jacrev",
    "hessian",
    "hvp",
    "vmap",
    "checkpoint",
    "jit",
    "eager",
    "set_threads",
    "get_threads",
    "c_function",
    "stop_gradient",
    "custom_jvp",
    "custom_vjp",
    "wrap",
    "straight_through",
    "scale_gradient",
    "reverse_gradient",
    "clip_gradient",
    "gradient_probe",
    "probe_report",
    "check_grads",
    "explain",
    "memory",
    "fit",
    "FitResult",
    "load_params",
    "save_params",
    "ArgumentError",
    "EagerFallbackWarning",
    "GradientCutError",
    "GradientError",
    "SourceUnavailableError",
    "StagingError",
    "UnsupportedError",
    "WengertError",
]


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'wengert' has no attribute {name!r}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME_OF])
