"""Special functions: SciPy's compiled routines by their addresses, and those that are a few instructions around exp and log.

The addresses come from `scipy.special.cython_special`, whose functions take an integer behind their operands that means nothing.
"""

from __future__ import annotations

import ctypes
import importlib
import math
import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from wengert.codegen.text import Writer, float_literal
from wengert.errors import InternalError
from wengert.ops.bessel import ROUTINES
from wengert.ops.special import zeta_tail, zeta_terms
from wengert.types import DType

Emit = Callable[[Writer, DType, Sequence[str], dict[str, Any]], str]

PURE = " nounwind willreturn memory(none)"
PREFIX = "wg_special_"
# Ops that are one routine: op name -> its name in SciPy, number of operands.
_CALLS = {
    "erf": ("erf", 1), "erfc": ("erfc", 1), "erfcx": ("erfcx", 1), "erfinv": ("erfinv", 1), "erfcinv": ("erfcinv", 1),
    "ndtr": ("ndtr", 1), "ndtri": ("ndtri", 1), "log_ndtr": ("log_ndtr", 1), "digamma": ("psi", 1),
    "gammaln": ("gammaln", 1), "gamma": ("gamma", 1), "logit": ("logit", 1), "beta": ("beta", 2), "betaln": ("betaln", 2),
    "binom": ("binom", 2), "rel_entr": ("rel_entr", 2), "kl_div": ("kl_div", 2),
}  # fmt: skip


def outside_symbols(text: str) -> dict[str, int]:
    """Addresses of SciPy's routines that LLVM text calls; SciPy is imported only where there are any."""
    found = set(re.findall(rf"declare double @{PREFIX}(\w+)\((double(?:, double)*), i32\)", text))
    return {f"{PREFIX}{name}": _address(name, operands.count("double")) for name, operands in found}


@cache
def _address(name: str, arity: int) -> int:
    """Where the variant of a routine for doubles is."""
    signature = f"double ({'double, ' * arity}int __pyx_skip_dispatch)".encode()
    api = ctypes.pythonapi
    api.PyCapsule_GetName.restype, api.PyCapsule_GetName.argtypes = ctypes.c_char_p, (ctypes.py_object,)
    api.PyCapsule_GetPointer.restype = ctypes.c_void_p
    api.PyCapsule_GetPointer.argtypes = (ctypes.py_object, ctypes.c_char_p)
    for public, capsule in importlib.import_module("scipy.special.cython_special").__pyx_capi__.items():
        if re.fullmatch(rf"(__pyx_fuse_\d+)?{name}", public) and api.PyCapsule_GetName(capsule) == signature:
            return api.PyCapsule_GetPointer(capsule, signature) or 0
    raise InternalError(f"SciPy exports no routine {name} of {arity} doubles")


def _call(w: Writer, name: str, operands: Sequence[str]) -> str:
    return w.call("double", f"{PREFIX}{name}", [*(("double", o) for o in operands), ("i32", "0")], PURE)


def _routine(name: str) -> Emit:
    return lambda w, dtype, x, attrs: _call(w, name, x)


def _bessel(family: str) -> Emit:
    def rule(w: Writer, dtype: DType, x: Sequence[str], attrs: dict[str, Any]) -> str:
        order = attrs["order"]
        if order < 2:
            return _call(w, ROUTINES[family][order], x)
        return _call(w, ROUTINES[family][2], [float_literal(float(order)), *x])

    return rule


def _polygamma(w: Writer, dtype: DType, x: Sequence[str], attrs: dict[str, Any]) -> str:
    return w.helper(f"wg.polygamma{attrs['order']}", x)


def rules(elementary: Callable[[str], Emit]) -> dict[str, Emit]:
    """The rules of all special functions; `elementary` gives those of `exp`, `log` and `log1p`."""

    def expit(w: Writer, dtype: DType, x: Sequence[str], attrs: dict[str, Any]) -> str:
        power = elementary("exp")(w, dtype, (w.let(f"fneg double {x[0]}"),), {})
        return w.let(f"fdiv double 1.0, {w.let(f'fadd double 1.0, {power}')}")

    def log_expit(w: Writer, dtype: DType, x: Sequence[str], attrs: dict[str, Any]) -> str:
        below = w.let(f"fcmp olt double {x[0]}, 0.0")
        least = w.let(f"select i1 {below}, double {x[0]}, double 0.0")
        minus = w.let(f"fneg double {x[0]}")
        power = elementary("exp")(w, dtype, (w.let(f"select i1 {below}, double {x[0]}, double {minus}"),), {})
        return w.let(f"fsub double {least}, {elementary('log1p')(w, dtype, (power,), {})}")

    def product_with(name: str) -> Emit:
        def rule(w: Writer, dtype: DType, x: Sequence[str], attrs: dict[str, Any]) -> str:
            product = w.let(f"fmul double {x[0]}, {elementary(name)(w, dtype, x[1:], {})}")
            zero, known = w.let(f"fcmp oeq double {x[0]}, 0.0"), w.let(f"fcmp ord double {x[1]}, {x[1]}")
            return w.let(f"select i1 {w.let(f'and i1 {zero}, {known}')}, double 0.0, double {product}")

        return rule

    return {
        **{op: _routine(name) for op, (name, _) in _CALLS.items()},
        **{family: _bessel(family) for family in ROUTINES},
        "polygamma": _polygamma, "expit": expit, "log_expit": log_expit,
        "xlogy": product_with("log"), "xlog1py": product_with("log1p"),
    }  # fmt: skip


# --- polygamma functions ----------------------------------------------------------------------------------------------


@cache
def polygamma_helper(order: int) -> str:
    """The LLVM functions `@wg.zeta<s>`, s = order + 1, and `@wg.polygamma<order>`; see the op for the formulas."""
    s = order + 1
    zeta = f"@wg.zeta{s}"
    scale = float_literal((-1.0) ** (order + 1) * math.factorial(order))
    return f"""{_zeta_text(s)}
define internal double @wg.polygamma{order}(double %x) nounwind willreturn memory(none) {{
entry:
  %below = fcmp olt double %x, 0.0
  br i1 %below, label %negative, label %positive
positive:
  %p = call double {zeta}(double %x)
  %ps = fmul double %p, {scale}
  ret double %ps
negative:
  %minus = fneg double %x
  %whole = call double @llvm.floor.f64(double %minus)
  %fraction = fsub double %minus, %whole
  %rest = fsub double 1.0, %fraction
  %far = fadd double 1.0, %minus
  %a = call double {zeta}(double %rest)
  %b = call double {zeta}(double %fraction)
  %c = call double {zeta}(double %far)
  %d = fsub double %b, %c
  %e = fmul double %d, {float_literal((-1.0) ** s)}
  %f = fadd double %a, %e
  %pole = fcmp oeq double %fraction, 0.0
  %g = select i1 %pole, double {float_literal(math.inf)}, double %f
  %ns = fmul double %g, {scale}
  ret double %ns
}}"""


def _zeta_text(s: int) -> str:
    """Straight-line powers around one loop over the terms."""
    lines: list[str] = []

    def let(name: str, text: str) -> str:
        lines.append(f"  %{name} = {text}")
        return f"%{name}"

    shifted = let("shifted", f"fadd double %q, {float_literal(float(zeta_terms(s)))}")
    w = let("w", f"fdiv double 1.0, {shifted}")
    square = let("square", f"fmul double {w}, {w}")
    series = float_literal(0.0)
    for j, c in reversed(list(enumerate(zeta_tail(s)))):
        scaled = let(f"t{j}", f"fmul double {series}, {square}")
        series = let(f"u{j}", f"fadd double {scaled}, {float_literal(c)}")
    first = _power(let, "a", w, s - 1)
    tail = let("tail", f"fadd double {float_literal(0.5)}, {let('ws', f'fmul double {w}, {series}')}")
    second = let("second", f"fmul double {let('wp', f'fmul double {first}, {w}')}, {tail}")
    start = let("start", f"fadd double {let('lead', f'fdiv double {first}, {float_literal(s - 1.0)}')}, {second}")
    head, lines = lines, []

    def inner(name: str, text: str) -> str:
        lines.append(f"  %{name} = {text}")
        return f"%{name}"

    term = inner("term", f"fdiv double 1.0, {_power(inner, 'b', '%at', s)}")
    body = "\n".join(lines)
    return f"""define internal double @wg.zeta{s}(double %q) nounwind willreturn memory(none) {{
entry:
{chr(10).join(head)}
  br label %terms
terms:
  %k = phi double [ {float_literal(zeta_terms(s) - 1.0)}, %entry ], [ %next, %terms ]
  %sum = phi double [ {start}, %entry ], [ %total, %terms ]
  %at = fadd double %q, %k
{body}
  %total = fadd double %sum, {term}
  %next = fsub double %k, 1.0
  %more = fcmp oge double %next, 0.0
  br i1 %more, label %terms, label %done
done:
  ret double %total
}}"""


def _power(let: Callable[[str, str], str], prefix: str, base: str, exponent: int) -> str:
    """`base**exponent` for a positive exponent, by squaring."""
    result, square, count = "", base, 0
    while exponent:
        if exponent & 1:
            result = let(f"{prefix}p{count}", f"fmul double {result}, {square}") if result else square
        exponent >>= 1
        if exponent:
            square = let(f"{prefix}s{count}", f"fmul double {square}, {square}")
        count += 1
    return result
