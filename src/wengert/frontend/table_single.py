"""Linear algebra on float32: computed with doubles, and rounded to the dtype that NumPy and SciPy give.

What counts as rank depends on the precision of the numbers, so functions that decide about it are refused.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from wengert.frontend.boxes import dtype_of, is_box
from wengert.frontend.elementwise import astype
from wengert.frontend.emit import unsupported
from wengert.frontend.registry import HANDLERS, NAMES, PASS
from wengert.tree import flatten, map_leaves
from wengert.types import F32, F64

_IN_DOUBLES = "solve inv det slogdet cholesky eigh eigvalsh svd svdvals qr"
_SCIPY = f"{_IN_DOUBLES} solve_triangular cho_factor cho_solve block_diag toeplitz hankel expm"
_REFUSED = "lstsq pinv matrix_rank"


def _is_single(args: Any) -> bool:
    """Whether a float32 box is among the arguments, and no float64 array or NumPy number."""
    leaves = [x for x in flatten(args, is_leaf=is_box)[0] if is_box(x) or isinstance(x, np.ndarray | np.generic)]
    dtypes = {dtype_of(x) for x in leaves if not isinstance(x, np.ndarray | np.generic) or x.dtype.kind in "fib"}
    return F32 in dtypes and F64 not in dtypes


def _in_doubles(handler: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(handler)
    def rounded(*args: Any, **kwargs: Any) -> Any:
        found = handler(*args, **kwargs)
        return map_leaves(_narrowed, found) if found is not PASS and _is_single((args, kwargs)) else found

    return rounded


def _narrowed(x: Any) -> Any:
    return astype(x, F32) if is_box(x) and dtype_of(x) == F64 else x


def _refused(handler: Callable[..., Any], name: str) -> Callable[..., Any]:
    @functools.wraps(handler)
    def checked(*args: Any, **kwargs: Any) -> Any:
        if _is_single((args, kwargs)):
            unsupported(f"{name} of float32 arrays is not supported", "convert them to float64 before: x.astype(np.float64)")
        return handler(*args, **kwargs)

    return checked


def _wrap_all() -> None:
    for name in _IN_DOUBLES.split():
        function = getattr(np.linalg, name, None)
        if function in HANDLERS:
            HANDLERS[function] = _in_doubles(HANDLERS[function])
    for name in _REFUSED.split():
        function = getattr(np.linalg, name)
        HANDLERS[function] = _refused(HANDLERS[function], f"np.linalg.{name}")
    for name in (*_SCIPY.split(), "pinv"):
        known, module = NAMES.get(name, {}), "scipy.linalg"
        if module in known:
            known[module] = _refused(known[module], f"{module}.{name}") if name == "pinv" else _in_doubles(known[module])


_wrap_all()
