"""Elementwise ops on scalar SSA values: op name -> LLVM instructions. Array code calls the same table inside its loops.

IEEE semantics throughout, without liberties: what is computed twice is the same number both times, and NumPy's. `a * b + c`
rounds twice, since LLVM would fuse it in one loop and not in another. Integer division by zero gives 0 and never traps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from wengert.codegen import special, vecmath_single
from wengert.codegen.text import REGISTER, Writer, float_literal
from wengert.errors import InternalError
from wengert.types import BOOL, F32, F64, DType

Emit = Callable[[Writer, DType, Sequence[str], dict[str, Any]], str]

PURE = " nounwind willreturn memory(none)"
# IEEE functions of one double that are called by the name of their C counterpart.
LIBM = {
    "exp": "exp", "expm1": "expm1", "exp2": "exp2", "log": "log", "log1p": "log1p", "log2": "log2", "log10": "log10",
    "sin": "sin", "cos": "cos", "tan": "tan", "arcsin": "asin", "arccos": "acos", "arctan": "atan", "sinh": "sinh",
    "cosh": "cosh", "tanh": "tanh", "arcsinh": "asinh", "arccosh": "acosh", "arctanh": "atanh", "cbrt": "cbrt",
}  # fmt: skip
LIBM_BINARY = {"arctan2": "atan2", "hypot": "hypot", "pow": "pow"}
INTRINSIC = {"sqrt": "llvm.sqrt", "floor": "llvm.floor", "ceil": "llvm.ceil", "trunc": "llvm.trunc",
             "round": "llvm.roundeven"}  # fmt: skip


def emit(w: Writer, name: str, dtype: DType, operands: Sequence[str], attrs: dict[str, Any]) -> str:
    """The scalar result of the elementwise op `name`.

    Args:
        w: receives the instructions.
        dtype: of the op's first data operand (`select`: of its branches).
        operands: SSA values.
        attrs: of the instruction.
    """
    rule = TABLE.get(name)
    if rule is None:
        raise InternalError(f"no native code for the elementwise op {name!r}")
    if dtype == F32 and name in vecmath_single.KERNELS and w.in_loop and name in w.kernels:
        return w.helper(f"wg.{name}.f32", operands, "float")
    if dtype == F32 and name not in SINGLE:
        found = rule(w, F64, [widen(w, o) for o in operands], attrs)
        return narrow(w, found)
    return rule(w, dtype, operands, attrs)


def widen(w: Writer, x: str) -> str:
    """A float as a double."""
    return w.let(f"fpext float {x} to double")


def narrow(w: Writer, x: str) -> str:
    """A double rounded to a float."""
    return w.let(f"fptrunc double {x} to float")


def float_intrinsic(w: Writer, name: str, dtype: DType, operands: Sequence[str]) -> str:
    """A call of an LLVM intrinsic in the variant for a float dtype."""
    return intrinsic(w, f"{name}.{dtype.name}", REGISTER[dtype.name], operands)


def intrinsic(w: Writer, name: str, type: str, operands: Sequence[str], flags: str = "") -> str:
    """A call of an LLVM intrinsic whose operands and result have one type."""
    w.declarations.setdefault(name, f"declare {type} @{name}({', '.join([type] * len(operands))})")
    return w.let(f"call {flags}{type} @{name}({', '.join(f'{type} {o}' for o in operands)})")


def _arithmetic(name: str) -> Emit:
    def rule(w: Writer, dtype: DType, x: Sequence[str], attrs: dict[str, Any]) -> str:
        if dtype.is_float:
            return w.let(f"f{name} {REGISTER[dtype.name]} {x[0]}, {x[1]}")
        return w.let(f"{name} i64 {x[0]}, {x[1]}")

    return rule


def _neg(w: Writer, dtype: DType, x: Sequence[str], attrs: dict[str, Any]) -> str:
    return w.let(f"fneg {REGISTER[dtype.name]} {x[0]}" if dtype.is_float else f"sub i64 0, {x[0]}")


def _abs(w: Writer, dtype: DType, x: Sequence[str], attrs: dict[str, Any]) -> str:
    if dtype.is_float:
        return float_intrinsic(w, "llvm.fabs", dtype, x)
    negative = w.let(f"sub i64 0, {x[0]}")
    below = w.let(f"icmp slt i64 {x[0]}, 0")
    return w.let(f"select i1 {below}, i64 {negative}, i64 {x[0]}")


def _div(w: Writer, dtype: DType, x: Sequence[str], attrs: dict[str, Any]) -> str:
    return w.let(f"fdiv {REGISTER[dtype.name]} {x[0]}, {x[1]}")


def _zmul(w: Writer, dtype: DType, x: Sequence[str], attrs: dict[str, Any]) -> str:
    """A product that is 0 where a factor is, whatever the other one is."""
    kind = REGISTER[dtype.name]
    first, second = w.let(f"fcmp une {kind} {x[0]}, 0.0"), w.let(f"fcmp une {kind} {x[1]}, 0.0")
    product = w.let(f"fmul {kind} {x[0]}, {x[1]}")
    return w.let(f"select i1 {w.let(f'and i1 {first}, {second}')}, {kind} {product}, {kind} 0.0")


def _python_division(quotient: bool) -> Emit:
    """Floor division or its remainder, as in Python; i64 by zero gives 0, and no operands trap."""

    def rule(w: Writer, dtype: DType, x: Sequence[str], attrs: dict[str, Any]) -> str:
        if dtype.is_float:
            w.declarations.setdefault("fmod", "declare double @fmod(double, double)" + PURE)
            return w.helper("wg.floordiv" if quotient else "wg.mod", x)
        return w.helper("wg.ifloordiv" if quotient else "wg.imod", x, "i64")

    return rule


def _ipow(w: Writer, dtype: DType, x: Sequence[str], attrs: dict[str, Any]) -> str:
    """Power by squaring: for a static exponent e, log2(e) squarings and the products of the bits of e."""
    exponent = int(attrs["exponent"])
    times = f"fmul {REGISTER[dtype.name]}" if dtype.is_float else "mul i64"
    one = float_literal(1.0) if dtype.is_float else "1"
    result, square, left = "", x[0], abs(exponent)
    while left:
        if left & 1:
            result = w.let(f"{times} {result}, {square}") if result else square
        left >>= 1
        if left:
            square = w.let(f"{times} {square}, {square}")
    result = result or one
    if exponent < 0:
        if not dtype.is_float:
            raise InternalError("an integer to a negative power has no integer value")
        result = w.let(f"fdiv {REGISTER[dtype.name]} {one}, {result}")
    return result


def _extremum(name: str) -> Emit:
    def rule(w: Writer, dtype: DType, x: Sequence[str], attrs: dict[str, Any]) -> str:
        if dtype.is_float:
            return float_intrinsic(w, f"llvm.{name}imum", dtype, x)
        return intrinsic(w, f"llvm.s{name}.i64", "i64", x)

    return rule


def _sign(w: Writer, dtype: DType, x: Sequence[str], attrs: dict[str, Any]) -> str:
    if not dtype.is_float:
        above, below = w.let(f"icmp sgt i64 {x[0]}, 0"), w.let(f"ashr i64 {x[0]}, 63")
        return w.let(f"or i64 {below}, {w.let(f'zext i1 {above} to i64')}")
    zero, kind = float_literal(0.0), REGISTER[dtype.name]
    above, below = w.let(f"fcmp ogt {kind} {x[0]}, {zero}"), w.let(f"fcmp olt {kind} {x[0]}, {zero}")
    unordered = w.let(f"fcmp uno {kind} {x[0]}, {x[0]}")
    rest = w.let(f"select i1 {unordered}, {kind} {x[0]}, {kind} {zero}")
    rest = w.let(f"select i1 {below}, {kind} {float_literal(-1.0)}, {kind} {rest}")
    return w.let(f"select i1 {above}, {kind} {float_literal(1.0)}, {kind} {rest}")


def _compare(name: str) -> Emit:
    def rule(w: Writer, dtype: DType, x: Sequence[str], attrs: dict[str, Any]) -> str:
        if dtype.is_float:
            return w.let(f"fcmp {'u' if name == 'ne' else 'o'}{name} {REGISTER[dtype.name]} {x[0]}, {x[1]}")
        sign = "" if name in ("eq", "ne") else "u" if dtype.name == "bool" else "s"
        return w.let(f"icmp {sign}{name} {REGISTER[dtype.name]} {x[0]}, {x[1]}")

    return rule


def _logic(instruction: str) -> Emit:
    def rule(w: Writer, dtype: DType, x: Sequence[str], attrs: dict[str, Any]) -> str:
        return w.let(f"{instruction} {REGISTER[dtype.name]} {x[0]}, {x[1]}")

    return rule


def _invert(w: Writer, dtype: DType, x: Sequence[str], attrs: dict[str, Any]) -> str:
    return w.let(f"xor {REGISTER[dtype.name]} {x[0]}, {'true' if dtype.name == 'bool' else -1}")


def _shift(left: bool) -> Emit:
    """Shifts by 64 or more (or by a negative count) move every bit out, as in NumPy."""

    def rule(w: Writer, dtype: DType, x: Sequence[str], attrs: dict[str, Any]) -> str:
        fits = w.let(f"icmp ult i64 {x[1]}, 64")
        if left:
            count = w.let(f"select i1 {fits}, i64 {x[1]}, i64 0")
            return w.let(f"select i1 {fits}, i64 {w.let(f'shl i64 {x[0]}, {count}')}, i64 0")
        count = w.let(f"select i1 {fits}, i64 {x[1]}, i64 63")
        return w.let(f"ashr i64 {x[0]}, {count}")

    return rule


def _classify(name: str) -> Emit:
    def rule(w: Writer, dtype: DType, x: Sequence[str], attrs: dict[str, Any]) -> str:
        if not dtype.is_float:
            return "true" if name == "isfinite" else "false"
        if name == "isnan":
            return w.let(f"fcmp uno {REGISTER[dtype.name]} {x[0]}, {x[0]}")
        size, predicate = float_intrinsic(w, "llvm.fabs", dtype, x), "oeq" if name == "isinf" else "one"
        return w.let(f"fcmp {predicate} {REGISTER[dtype.name]} {size}, {float_literal(float('inf'))}")

    return rule


def _select(w: Writer, dtype: DType, x: Sequence[str], attrs: dict[str, Any]) -> str:
    register = REGISTER[dtype.name]
    return w.let(f"select i1 {x[0]}, {register} {x[1]}, {register} {x[2]}")


def _convert(w: Writer, dtype: DType, x: Sequence[str], attrs: dict[str, Any]) -> str:
    target: DType = attrs["dtype"]
    if dtype == target:
        return x[0]
    kind, wanted = REGISTER[dtype.name], REGISTER[target.name]
    if dtype.is_float and target.is_float:
        return widen(w, x[0]) if dtype == F32 else narrow(w, x[0])
    if target == BOOL:
        return w.let(f"fcmp une {kind} {x[0]}, 0.0" if dtype.is_float else f"icmp ne i64 {x[0]}, 0")
    if dtype == BOOL:
        return w.let(f"{'uitofp' if target.is_float else 'zext'} i1 {x[0]} to {wanted}")
    if target.is_float:
        return w.let(f"sitofp i64 {x[0]} to {wanted}")
    return _to_integer(w, widen(w, x[0]) if dtype == F32 else x[0])


def _to_integer(w: Writer, x: str) -> str:
    """Truncation; what does not fit (NaN included) gives the smallest integer, as on x86 and in NumPy there."""
    low = w.let(f"fcmp oge double {x}, {float_literal(-(2.0**63))}")
    high = w.let(f"fcmp olt double {x}, {float_literal(2.0**63)}")
    fits = w.let(f"and i1 {low}, {high}")
    safe = w.let(f"select i1 {fits}, double {x}, double 0.0")
    return w.let(f"select i1 {fits}, i64 {w.let(f'fptosi double {safe} to i64')}, i64 {-(2**63)}")


def _identity(w: Writer, dtype: DType, x: Sequence[str], attrs: dict[str, Any]) -> str:
    return x[0]


def _rounding(name: str) -> Emit:
    def rule(w: Writer, dtype: DType, x: Sequence[str], attrs: dict[str, Any]) -> str:
        return float_intrinsic(w, INTRINSIC[name], dtype, x) if dtype.is_float else x[0]

    return rule


def _libm(name: str, symbol: str) -> Emit:
    """A call of the C library."""

    def rule(w: Writer, dtype: DType, x: Sequence[str], attrs: dict[str, Any]) -> str:
        return w.call("double", symbol, [("double", o) for o in x], PURE)

    return rule


def _kernel_in_loops(name: str, otherwise: Emit) -> Emit:
    """An inlined kernel in loops over arrays, which then vectorise; a call elsewhere, unless the kernel is better by far."""

    def rule(w: Writer, dtype: DType, x: Sequence[str], attrs: dict[str, Any]) -> str:
        if name not in w.kernels or not (w.in_loop or name in BETTER):
            return otherwise(w, dtype, x, attrs)
        if name in LEFT_TO:
            symbol, operands = LEFT_TO[name]
            w.declarations.setdefault(symbol, f"declare double @{symbol}({operands}){PURE}")
        w.kernel_calls += w.in_loop
        return w.helper(f"wg.{name}", x)

    return rule


TABLE: dict[str, Emit] = {
    "add": _arithmetic("add"), "sub": _arithmetic("sub"), "mul": _arithmetic("mul"), "neg": _neg, "abs": _abs,
    "div": _div, "zmul": _zmul, "floordiv": _python_division(True), "mod": _python_division(False), "ipow": _ipow,
    "maximum": _extremum("max"), "minimum": _extremum("min"), "sign": _sign,
    "and": _logic("and"), "or": _logic("or"), "xor": _logic("xor"), "not": _invert, "invert": _invert,
    "bitand": _logic("and"), "bitor": _logic("or"), "bitxor": _logic("xor"), "shl": _shift(True), "shr": _shift(False),
    "select": _select, "convert": _convert, "stop_gradient": _identity,
}  # fmt: skip
TABLE.update({name: _compare(name) for name in ("lt", "le", "gt", "ge", "eq", "ne")})
TABLE["attains"] = TABLE["eq"]
TABLE.update({name: _classify(name) for name in ("isnan", "isinf", "isfinite")})
TABLE.update({name: _rounding(name) for name in INTRINSIC})
TABLE.update({name: _libm(name, symbol) for name, symbol in (LIBM | LIBM_BINARY).items()})
TABLE.update(special.rules(lambda name: TABLE[name]))
# What has a kernel; the names of those that this processor can run are the writer's.
KERNELS = (*LIBM, *LIBM_BINARY, "erf", "erfc", "erfinv", "expit", "gammaln", "gamma", "digamma")
# SciPy's errors are hundreds of ulp around the zeros of these, and more between zeros and poles.
BETTER = frozenset({"gammaln", "gamma", "digamma"})
# What such a kernel leaves to a library.
LEFT_TO = {
    **{name: (symbol, "double") for name, symbol in LIBM.items()}, **{n: (s, "double, double") for n, s in LIBM_BINARY.items()},
    "gammaln": ("lgamma", "double"), "gamma": (f"{special.PREFIX}gamma", "double, i32"),
    "digamma": (f"{special.PREFIX}psi", "double, i32"),
}  # fmt: skip
TABLE.update({name: _kernel_in_loops(name, TABLE[name]) for name in KERNELS})

# Ops that compute with floats as such. The others compute with doubles and round the result, which then is within half an
# ulp and a bit of the true one.
SINGLE = frozenset(
    {"add", "sub", "mul", "neg", "abs", "div", "zmul", "ipow", "maximum", "minimum", "sign", "select", "convert"}
    | {"stop_gradient", "lt", "le", "gt", "ge", "eq", "ne", "attains", "isnan", "isinf", "isfinite", *INTRINSIC}
)

HELPERS: dict[str, str] = {
    "wg.ifloordiv": """define internal i64 @wg.ifloordiv(i64 %a, i64 %b) alwaysinline nounwind {
  %z = icmp eq i64 %b, 0
  %m = icmp eq i64 %b, -1
  %u = or i1 %z, %m
  %s = select i1 %u, i64 1, i64 %b
  %q = sdiv i64 %a, %s
  %r = srem i64 %a, %s
  %x = xor i64 %r, %s
  %d = icmp slt i64 %x, 0
  %n = icmp ne i64 %r, 0
  %c = and i1 %d, %n
  %e = sext i1 %c to i64
  %f = add i64 %q, %e
  %g = sub i64 0, %a
  %h = select i1 %m, i64 %g, i64 %f
  %k = select i1 %z, i64 0, i64 %h
  ret i64 %k
}""",
    "wg.imod": """define internal i64 @wg.imod(i64 %a, i64 %b) alwaysinline nounwind {
  %z = icmp eq i64 %b, 0
  %m = icmp eq i64 %b, -1
  %u = or i1 %z, %m
  %s = select i1 %u, i64 1, i64 %b
  %r = srem i64 %a, %s
  %x = xor i64 %r, %s
  %d = icmp slt i64 %x, 0
  %n = icmp ne i64 %r, 0
  %c = and i1 %d, %n
  %e = add i64 %r, %s
  %f = select i1 %c, i64 %e, i64 %r
  %k = select i1 %u, i64 0, i64 %f
  ret i64 %k
}""",
    "wg.mod": """define internal double @wg.mod(double %a, double %b) alwaysinline nounwind {
  %r = call double @fmod(double %a, double %b)
  %n = fcmp une double %r, 0.0
  %p = fcmp olt double %r, 0.0
  %q = fcmp olt double %b, 0.0
  %d = xor i1 %p, %q
  %c = and i1 %n, %d
  %s = fadd double %r, %b
  %t = select i1 %c, double %s, double %r
  %z = call double @llvm.copysign.f64(double 0.0, double %b)
  %k = select i1 %n, double %t, double %z
  ret double %k
}
""",
    "wg.floordiv": """define internal double @wg.floordiv(double %a, double %b) alwaysinline nounwind {
  %r = call double @fmod(double %a, double %b)
  %w = fsub double %a, %r
  %v = fdiv double %w, %b
  %n = fcmp une double %r, 0.0
  %p = fcmp olt double %r, 0.0
  %q = fcmp olt double %b, 0.0
  %d = xor i1 %p, %q
  %c = and i1 %n, %d
  %m = fsub double %v, 1.0
  %e = select i1 %c, double %m, double %v
  %f = call double @llvm.floor.f64(double %e)
  %g = fsub double %e, %f
  %h = fcmp ogt double %g, 0.5
  %i = fadd double %f, 1.0
  %j = select i1 %h, double %i, double %f
  %x = fdiv double %a, %b
  %z = call double @llvm.copysign.f64(double 0.0, double %x)
  %y = fcmp une double %e, 0.0
  %k = select i1 %y, double %j, double %z
  %bz = fcmp oeq double %b, 0.0
  %o = select i1 %bz, double %x, double %k
  ret double %o
}""",
}
