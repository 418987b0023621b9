"""Native code of linear systems, determinants and Cholesky factors: own loops where matrices are small, LAPACK where large.

A matrix is factored once in a region: `solve`, `inv`, `det` and the questions about it share what `_lu` made.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from wengert.codegen import scalars
from wengert.codegen.blas import SMALLEST, call_routine, layout
from wengert.codegen.loops import (
    between,
    by_columns,
    copy,
    dot_between,
    downwards,
    fill,
    get,
    is_less,
    larger,
    plus,
    private,
    put,
    subtract_product,
    when,
)
from wengert.codegen.lowering import Handler, Lowering
from wengert.codegen.matmul import each_matrix
from wengert.codegen.nests import force, nest
from wengert.codegen.outline import outlined
from wengert.codegen.storage import Index, Mem
from wengert.codegen.text import float_literal
from wengert.ir.core import Instr, Value
from wengert.types import F64

# From this size on LAPACK factors.
LARGE = 32
NAN = float_literal(float("nan"))


@dataclass(frozen=True)
class Factors:
    """The factorisation of a stack of matrices.

    Attributes:
        matrices: L below the diagonal (its own is 1) and U.
        pivots: the row that each row was exchanged with, as an i64 in the place of a float; one axis less.
        failed: slot of an i8 that is not 0 where a pivot is 0 (the matrix is not positive definite).
    """

    matrices: Mem
    pivots: Mem
    failed: str


def operand(low: Lowering, value: Value) -> Mem:
    """An operand in memory."""
    force(low, [value])
    found = low.array(value)
    assert isinstance(found, Mem)
    return found


def as_columns(mem: Mem) -> Mem:
    """A vector as a matrix of one column."""
    return Mem(mem.dtype, mem.buffer, mem.pointer, (*mem.sizes, "1"), (*mem.strides, "1"), None, mem.contiguous)


def vectors(low: Lowering, mem: Mem, index: Index) -> Mem:
    """The vector at a place of a stack of vectors."""
    if not index:
        return mem
    return Mem(mem.dtype, mem.buffer, low.address(mem, (*index, "0")), mem.sizes[-1:], mem.strides[-1:])


def leading(low: Lowering, mem: Mem, body: Any) -> None:
    """`body(index)` for each matrix of a stack."""
    nest(low, mem.sizes[:-2], body)


def matrix_at(low: Lowering, mem: Mem, index: Index) -> Mem:
    """The matrix at a place of a stack."""
    pointer = low.address(mem, (*index, "0", "0")) if index else mem.pointer
    return Mem(mem.dtype, mem.buffer, pointer, mem.sizes[-2:], mem.strides[-2:], None, mem.contiguous)


# --- LU --------------------------------------------------------------------------------------------------------------


def _lu(low: Lowering, value: Value) -> Factors:
    """The factors of `value`: made here, or earlier in this region or one around."""
    known = low.factors.get(("lu", value))
    if known is not None:
        assert isinstance(known, Factors)
        return known
    source = operand(low, value)
    made = private(low, source.sizes, f"{value.type}: factors")
    pivots = private(low, source.sizes[:-1], f"{value.type}: pivots")
    failed = low.w.slot("i8")
    low.w.do(f"store i8 0, ptr {failed}")

    def one(index: Index) -> None:
        a, f, p = matrix_at(low, source, index), matrix_at(low, made, index), vectors(low, pivots, index)
        small = is_less(low, a.sizes[0], LARGE)
        when(low, small, lambda: outlined(low, "lu", [a, f, p], [], eliminate), lambda: _getrf(low, a, f, p))
        _note_zero_pivots(low, f, failed)

    def eliminate(arrays: list[Mem], extras: list[str]) -> None:
        _eliminate(low, arrays[0], arrays[1], arrays[2])

    leading(low, source, one)
    found = Factors(made, pivots, failed)
    low.remember(low.factors, ("lu", value), found)
    return found


def _note_zero_pivots(low: Lowering, f: Mem, failed: str) -> None:
    def look(k: str) -> None:
        _note(low, low.w.let(f"fcmp oeq double {get(low, f, k, k)}, 0.0"), failed)

    between(low, "0", f.sizes[0], look)


def _note(low: Lowering, condition: str, failed: str) -> None:
    w = low.w
    old = w.let(f"load i8, ptr {failed}")
    bit = w.let(f"zext i1 {condition} to i8")
    w.do(f"store i8 {w.let(f'or i8 {old}, {bit}')}, ptr {failed}")


def _eliminate(low: Lowering, a: Mem, f: Mem, pivots: Mem) -> None:
    """Gaussian elimination with partial pivoting, row by row (Golub & Van Loan 2013, section 3.4.1)."""
    w, n = low.w, a.sizes[0]
    copy(low, a, f)

    def column(k: str) -> None:
        below = plus(low, k, 1)
        position = _pivot(low, f, k, n)
        w.do(f"store i64 {position}, ptr {low.address(pivots, (k,))}, align 8{low.alias(pivots.buffer)}")
        when(low, w.let(f"icmp ne i64 {position}, {k}"), lambda: _exchange(low, f, k, position))
        pivot = get(low, f, k, k)
        is_zero = w.let(f"fcmp oeq double {pivot}, 0.0")
        divisor = w.let(f"select i1 {is_zero}, double 1.0, double {pivot}")

        def eliminate(i: str) -> None:
            factor = w.let(f"fdiv double {get(low, f, i, k)}, {divisor}")
            put(low, f, factor, i, k)
            between(
                low, below, n, lambda j: put(low, f, subtract_product(low, get(low, f, i, j), factor, get(low, f, k, j)), i, j)
            )

        between(low, below, n, eliminate)

    between(low, "0", n, column)


def _pivot(low: Lowering, f: Mem, k: str, n: str) -> str:
    """The row at or below k with the largest element in column k."""
    w = low.w
    best, where = w.slot("double"), w.slot("i64")

    def size(i: str) -> str:
        return w.let(f"call double @llvm.fabs.f64(double {get(low, f, i, k)})")

    w.do(f"store double {size(k)}, ptr {best}")
    w.do(f"store i64 {k}, ptr {where}")

    def compare(i: str) -> None:
        found, old = size(i), w.let(f"load double, ptr {best}")
        better = w.let(f"fcmp ogt double {found}, {old}")
        w.do(f"store double {w.let(f'select i1 {better}, double {found}, double {old}')}, ptr {best}")
        at = w.let(f"load i64, ptr {where}")
        w.do(f"store i64 {w.let(f'select i1 {better}, i64 {i}, i64 {at}')}, ptr {where}")

    between(low, plus(low, k, 1), n, compare)
    return w.let(f"load i64, ptr {where}")


def _exchange(low: Lowering, x: Mem, i: str, j: str) -> None:
    def swap(column: str) -> None:
        first, second = get(low, x, i, column), get(low, x, j, column)
        put(low, x, second, i, column)
        put(low, x, first, j, column)

    between(low, "0", x.sizes[1], swap)


def _getrf(low: Lowering, a: Mem, f: Mem, pivots: Mem) -> None:
    w, n = low.w, a.sizes[0]
    columns = by_columns(low, a, "factors")
    numbers = private(low, (n,), "pivots")
    info = w.slot("i32")
    width = ("int", larger(low, n, 1))
    call_routine(low, "dgetrf", [("int", n), ("int", n), columns.pointer, width, numbers.pointer, info])
    copy(low, columns, f)

    def convert(k: str) -> None:
        at = w.let(f"getelementptr inbounds i32, ptr {numbers.pointer}, i64 {k}")
        number = w.let(f"sext i32 {w.let(f'load i32, ptr {at}')} to i64")
        address = low.address(pivots, (k,))
        w.do(f"store i64 {w.let(f'sub i64 {number}, 1')}, ptr {address}, align 8{low.alias(pivots.buffer)}")

    between(low, "0", n, convert)


def _position(low: Lowering, pivots: Mem, k: str) -> str:
    return low.w.let(f"load i64, ptr {low.address(pivots, (k,))}, align 8{low.alias(pivots.buffer)}")


# --- triangular systems ----------------------------------------------------------------------------------------------


def substitute(low: Lowering, a: Mem, x: Mem, lower: bool, trans: bool, unit: bool) -> None:
    """Solve `op(a) X = x` in place, for one triangle of `a`; `x` is contiguous."""
    name = f"solve.{'l' if lower else 'u'}{'t' if trans else 'n'}{'u' if unit else 'n'}"
    outlined(low, name, [a, x], [], lambda arrays, extras: _substituted(low, arrays[0], arrays[1], lower, trans, unit))


def _substituted(low: Lowering, a: Mem, x: Mem, lower: bool, trans: bool, unit: bool) -> None:
    found = layout(a)
    count = low.product([a.sizes[0], a.sizes[0], x.sizes[1]])
    if found is None or x.sizes[1] == "1":
        _substitute(low, a, x, lower, trans, unit)
        return
    transposed, distance = found
    letter = "T" if trans != transposed else "N"
    triangle = "U" if lower != transposed else "L"

    def call() -> None:
        call_routine(
            low,
            "dtrsm",
            [
                ("letter", "R"), ("letter", triangle), ("letter", letter), ("letter", "U" if unit else "N"),
                ("int", x.sizes[1]), ("int", a.sizes[0]), ("number", "1.0"), a.pointer,
                ("int", larger(low, distance, 1)), x.pointer, ("int", larger(low, x.sizes[1], 1)),
            ],
        )  # fmt: skip

    when(low, is_less(low, count, SMALLEST), lambda: _substitute(low, a, x, lower, trans, unit), call)


def _substitute(low: Lowering, a: Mem, x: Mem, lower: bool, trans: bool, unit: bool) -> None:
    n, width = x.sizes
    forward = lower != trans

    def divide(i: str) -> None:
        if not unit:
            pivot = get(low, a, i, i)
            between(low, "0", width, lambda c: put(low, x, low.w.let(f"fdiv double {get(low, x, i, c)}, {pivot}"), i, c))

    def others(i: str, done: bool, body: Any) -> None:
        """The rows solved before row i, or those that are still to be solved."""
        if done == forward:
            between(low, "0", i, body)
        else:
            between(low, plus(low, i, 1), n, body)

    def take(target: str, source: str, factor: str) -> None:
        between(
            low,
            "0",
            width,
            lambda c: put(low, x, subtract_product(low, get(low, x, target, c), factor, get(low, x, source, c)), target, c),
        )

    def by_row(i: str) -> None:
        if width == "1":
            start, stop = ("0", i) if forward else (plus(low, i, 1), n)
            known = dot_between(low, start, stop, lambda k: get(low, a, i, k), lambda k: get(low, x, k, "0"))
            put(low, x, low.w.let(f"fsub double {get(low, x, i, '0')}, {known}"), i, "0")
        else:
            others(i, True, lambda k: take(i, k, get(low, a, i, k)))
        divide(i)

    def by_column(i: str) -> None:
        divide(i)
        others(i, False, lambda k: take(k, i, get(low, a, i, k)))

    step = by_column if trans else by_row
    if forward:
        between(low, "0", n, step)
    else:
        downwards(low, n, step)


def triangular_solve(low: Lowering, instr: Instr) -> None:
    """Forward or backward substitution."""
    a, y = (operand(low, o) for o in instr.operands)
    target = low.allocate(instr.result, "triangular_solve")
    copy(low, y, target)
    kinds = {name: bool(instr.attrs[name]) for name in ("lower", "trans", "unit")}
    if len(y.sizes) == 1:
        substitute(low, a, as_columns(target), **kinds)
    else:
        each_matrix(low, [a, target], lambda planes: substitute(low, planes[0], planes[1], **kinds))
    low.bind(instr.result, target)


# --- systems ---------------------------------------------------------------------------------------------------------


def solve(low: Lowering, instr: Instr) -> None:
    """By the LU factors."""
    y = operand(low, instr.operands[1])
    factors = _lu(low, instr.operands[0])
    target = low.allocate(instr.result, "solve")
    copy(low, y, target)
    trans = bool(instr.attrs["trans"])
    if len(y.sizes) == 1:
        _solve_factored(low, factors.matrices, factors.pivots, as_columns(target), trans)
    else:
        leading(low, target, lambda index: _solve_at(low, factors, target, index, trans))
    _nan_if_singular(low, factors, target)
    low.bind(instr.result, target)


def _solve_at(low: Lowering, factors: Factors, target: Mem, index: Index, trans: bool) -> None:
    f, pivots = matrix_at(low, factors.matrices, index), vectors(low, factors.pivots, index)
    _solve_factored(low, f, pivots, matrix_at(low, target, index), trans)


def _nan_if_singular(low: Lowering, factors: Factors, target: Mem) -> None:
    """Nothing has to be right in the other matrices of a stack: a program with a singular one stops."""
    is_bad = low.w.let(f"icmp ne i8 {low.w.let(f'load i8, ptr {factors.failed}')}, 0")
    when(low, is_bad, lambda: fill(low, target, NAN))


def _solve_factored(low: Lowering, f: Mem, pivots: Mem, x: Mem, trans: bool) -> None:
    name = "solve.t" if trans else "solve.n"
    outlined(low, name, [f, pivots, x], [], lambda arrays, extras: _solve_by_factors(low, arrays[0], arrays[1], arrays[2], trans))


def _solve_by_factors(low: Lowering, f: Mem, pivots: Mem, x: Mem, trans: bool) -> None:
    def swap(k: str) -> None:
        position = _position(low, pivots, k)
        when(low, low.w.let(f"icmp ne i64 {position}, {k}"), lambda: _exchange(low, x, k, position))

    if not trans:
        between(low, "0", x.sizes[0], swap)
        substitute(low, f, x, lower=True, trans=False, unit=True)
        substitute(low, f, x, lower=False, trans=False, unit=False)
        return
    substitute(low, f, x, lower=False, trans=True, unit=False)
    substitute(low, f, x, lower=True, trans=True, unit=True)
    downwards(low, x.sizes[0], swap)


def inv(low: Lowering, instr: Instr) -> None:
    """The solution for the unit matrix."""
    factors = _lu(low, instr.operands[0])
    target = low.allocate(instr.result, "inv")

    def unit(i: Index) -> None:
        same = low.w.let(f"icmp eq i64 {i[-1]}, {i[-2]}")
        put(low, target, low.w.let(f"select i1 {same}, double 1.0, double 0.0"), *i)

    nest(low, target.sizes, unit)
    leading(low, target, lambda index: _solve_at(low, factors, target, index, False))
    _nan_if_singular(low, factors, target)
    low.bind(instr.result, target)


def _failed(low: Lowering, instr: Instr, factors: Factors) -> None:
    found = low.w.let(f"load i8, ptr {factors.failed}")
    low.bind(instr.result, low.w.let(f"icmp ne i8 {found}, 0"))


def is_singular(low: Lowering, instr: Instr) -> None:
    """Whether a pivot is 0."""
    _failed(low, instr, _lu(low, instr.operands[0]))


# --- determinants ----------------------------------------------------------------------------------------------------


def determinant(low: Lowering, instr: Instr) -> None:
    """`det`, `logabsdet` and `detsign` from the diagonal of U and the number of exchanges."""
    factors, name = _lu(low, instr.operands[0]), instr.op.name
    target = low.allocate(instr.result, name) if instr.result.rank else None
    total = low.w.slot("double")

    def one(index: Index) -> None:
        f, pivots = matrix_at(low, factors.matrices, index), vectors(low, factors.pivots, index)
        _accumulate(low, name, f, pivots, total)
        if target is not None:
            put(low, target, low.w.let(f"load double, ptr {total}"), *index)

    leading(low, factors.matrices, one)
    low.bind(instr.result, low.w.let(f"load double, ptr {total}") if target is None else target)


def _accumulate(low: Lowering, name: str, f: Mem, pivots: Mem, total: str) -> None:
    w = low.w
    w.do(f"store double {'0.0' if name == 'logabsdet' else '1.0'}, ptr {total}")

    def factor(k: str) -> None:
        pivot, old = get(low, f, k, k), w.let(f"load double, ptr {total}")
        if name == "logabsdet":
            size = w.let(f"call double @llvm.fabs.f64(double {pivot})")
            new = w.let(f"fadd double {old}, {scalars.emit(w, 'log', F64, (size,), {})}")
        else:
            pivot = scalars.emit(w, "sign", F64, (pivot,), {}) if name == "detsign" else pivot
            moved = w.let(f"icmp ne i64 {_position(low, pivots, k)}, {k}")
            signed = w.let(f"select i1 {moved}, double {w.let(f'fneg double {pivot}')}, double {pivot}")
            new = w.let(f"fmul double {old}, {signed}")
        w.do(f"store double {new}, ptr {total}")

    between(low, "0", f.sizes[0], factor)


# --- Cholesky --------------------------------------------------------------------------------------------------------


def _cholesky_factors(low: Lowering, value: Value) -> tuple[Mem, str]:
    """The factor of `value` and the slot that says whether it does not exist."""
    known = low.factors.get(("cholesky", value), (None, ""))
    if known[0] is not None:
        return known[0], known[1]
    source = operand(low, value)
    target = low.allocate(value, "cholesky")
    failed = low.w.slot("i8")
    low.w.do(f"store i8 0, ptr {failed}")

    def one(planes: list[Mem]) -> None:
        a, f = planes
        small = is_less(low, a.sizes[0], LARGE)
        when(low, small, lambda: outlined(low, "cholesky", [a, f], [failed], by_rows), lambda: _potrf(low, a, f, failed))

    def by_rows(arrays: list[Mem], extras: list[str]) -> None:
        _cholesky_rows(low, arrays[0], arrays[1], extras[0])

    each_matrix(low, [source, target], one)
    is_bad = low.w.let(f"icmp ne i8 {low.w.let(f'load i8, ptr {failed}')}, 0")
    when(low, is_bad, lambda: fill(low, target, NAN))
    low.remember(low.factors, ("cholesky", value), (target, failed))
    return target, failed


def _cholesky_rows(low: Lowering, a: Mem, f: Mem, failed: str) -> None:
    """Row by row, by dot products of rows (Golub & Van Loan 2013, section 4.2.5)."""
    w, n = low.w, a.sizes[0]

    def one_row(i: str) -> None:
        def rest(j: str) -> str:
            known = dot_between(low, "0", j, lambda k: get(low, f, i, k), lambda k: get(low, f, j, k))
            return w.let(f"fsub double {get(low, a, i, j)}, {known}")

        between(low, "0", i, lambda j: put(low, f, w.let(f"fdiv double {rest(j)}, {get(low, f, j, j)}"), i, j))
        pivot = rest(i)
        _note(low, w.let(f"fcmp ole double {pivot}, 0.0"), failed)
        put(low, f, w.let(f"call double @llvm.sqrt.f64(double {pivot})"), i, i)
        between(low, plus(low, i, 1), n, lambda j: put(low, f, "0.0", i, j))

    between(low, "0", n, one_row)


def _potrf(low: Lowering, a: Mem, f: Mem, failed: str) -> None:
    """LAPACK reads rows as columns: the lower triangle is the upper one of what it sees."""
    w, n = low.w, a.sizes[0]

    def lower(i: str) -> None:
        between(low, "0", plus(low, i, 1), lambda j: put(low, f, get(low, a, i, j), i, j))
        between(low, plus(low, i, 1), n, lambda j: put(low, f, "0.0", i, j))

    between(low, "0", n, lower)
    info = w.slot("i32")
    call_routine(low, "dpotrf", [("letter", "U"), ("int", n), f.pointer, ("int", larger(low, n, 1)), info])
    _note(low, w.let(f"icmp sgt i32 {w.let(f'load i32, ptr {info}')}, 0"), failed)


def cholesky(low: Lowering, instr: Instr) -> None:
    """The lower factor; later code may overwrite it, so what stays known is only whether it exists."""
    source = instr.operands[0]
    target, failed = _cholesky_factors(low, source)
    low.bind(instr.result, target)
    low.remember(low.factors, ("cholesky", source), (None, failed))


def is_indefinite(low: Lowering, instr: Instr) -> None:
    """Whether a pivot is not positive."""
    _, failed = low.factors.get(("cholesky", instr.operands[0])) or _cholesky_factors(low, instr.operands[0])
    found = low.w.let(f"load i8, ptr {failed}")
    low.bind(instr.result, low.w.let(f"icmp ne i8 {found}, 0"))


HANDLERS: dict[str, Handler] = {
    "triangular_solve": triangular_solve, "solve": solve, "inv": inv, "is_singular": is_singular, "det": determinant,
    "logabsdet": determinant, "detsign": determinant, "cholesky": cholesky, "is_indefinite": is_indefinite,
}  # fmt: skip
