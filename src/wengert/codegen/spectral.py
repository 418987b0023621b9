"""Native code of factorisations by orthogonal matrices, all by LAPACK: the routines that NumPy calls, on the same layout."""

from __future__ import annotations

from collections.abc import Callable

from wengert.codegen.blas import call_routine
from wengert.codegen.linalg import NAN, matrix_at, operand
from wengert.codegen.loops import (
    between,
    by_columns,
    copy,
    fill,
    get,
    larger,
    part,
    plus,
    private,
    put,
    times,
    when,
)
from wengert.codegen.lowering import Handler, Lowering
from wengert.codegen.matmul import multiply, transposed
from wengert.codegen.nests import nest
from wengert.codegen.storage import Index, Mem
from wengert.codegen.text import float_literal
from wengert.ir.core import Instr
from wengert.types import F64

# Block size that work space is made for.
BLOCK = 64
EPSILON = 2.0**-52


def _each(low: Lowering, instr: Instr, body: Callable[[Mem, Mem], None]) -> None:
    """`body(matrix, target)` for each matrix of the operand and the part of the result that belongs to it."""
    source = operand(low, instr.operands[0])
    target = low.allocate(instr.result, instr.op.name)
    _over(low, source, target, body)
    low.bind(instr.result, target)


def _over(low: Lowering, source: Mem, target: Mem, body: Callable[[Mem, Mem], None]) -> None:
    lead = len(source.sizes) - 2

    def at(index: Index) -> None:
        rest = len(target.sizes) - lead
        pointer = low.address(target, (*index, *("0",) * rest)) if index else target.pointer
        inner = Mem(F64, target.buffer, pointer, target.sizes[lead:], target.strides[lead:], None, True)
        body(matrix_at(low, source, index), inner)

    nest(low, source.sizes[:lead], at)


def _nan_if_failed(low: Lowering, info: str, target: Mem) -> None:
    failed = low.w.let(f"icmp ne i32 {low.w.let(f'load i32, ptr {info}')}, 0")
    when(low, failed, lambda: fill(low, target, NAN))


def _when_any(low: Lowering, size: str, body: Callable[[], None]) -> None:
    """LAPACK is not called for matrices without elements."""
    if not size.startswith("%"):
        if int(size) > 0:
            body()
        return
    when(low, low.w.let(f"icmp sgt i64 {size}, 0"), body)


def _work(low: Lowering, count: str) -> tuple[str, tuple[str, str]]:
    """Work space and its length, as LAPACK asks for."""
    return private(low, (count,), "LAPACK").pointer, ("int", count)


# --- symmetric matrices ----------------------------------------------------------------------------------------------


def eigh(low: Lowering, instr: Instr) -> None:
    """`dsyevd` on the lower triangle."""
    _each(low, instr, lambda a, target: _when_any(low, a.sizes[0], lambda: _syevd(low, a, target, "V")))
    _keep_values(low, instr, "eigvalsh")


def _keep_values(low: Lowering, instr: Instr, name: str) -> None:
    """Copy the first rows of a factorisation: the op called `name` on the same operand asks for them."""
    packed = low.array(instr.result)
    assert isinstance(packed, Mem)
    lead = len(packed.sizes) - 2
    kept = private(low, (*packed.sizes[:lead], packed.sizes[-1]), name)
    nest(low, kept.sizes, lambda i: put(low, kept, get(low, packed, *i[:lead], "0", i[-1]), *i))
    low.remember(low.factors, (name, instr.operands[0]), kept)


def _known_values(low: Lowering, instr: Instr) -> bool:
    """Take the values from a factorisation of the same operand, if there is one."""
    known = low.factors.get((instr.op.name, instr.operands[0]))
    if known is None:
        return False
    target = low.allocate(instr.result, instr.op.name)
    copy(low, known, target)
    low.bind(instr.result, target)
    return True


def eigvalsh(low: Lowering, instr: Instr) -> None:
    """`dsyevd` without eigenvectors."""
    if _known_values(low, instr):
        return
    _each(low, instr, lambda a, target: _when_any(low, a.sizes[0], lambda: _syevd(low, a, target, "N")))


def _syevd(low: Lowering, a: Mem, target: Mem, job: str) -> None:
    n, info = a.sizes[0], low.w.slot("i32")
    columns = by_columns(low, a, "eigh")
    squared = times(low, times(low, n, n), 2)
    work, length = _work(low, plus(low, plus(low, squared, times(low, n, 6 + BLOCK)), 1))
    integers, count = _work(low, plus(low, times(low, n, 5), 3))
    call_routine(
        low,
        "dsyevd",
        [
            ("letter", job), ("letter", "L"), ("int", n), columns.pointer, ("int", n), target.pointer,
            work, length, integers, count, info,
        ],
    )  # fmt: skip
    if job == "V":
        copy(low, columns, part(low, target, "1", n))
    _nan_if_failed(low, info, target)


# --- singular values -------------------------------------------------------------------------------------------------


def svd(low: Lowering, instr: Instr) -> None:
    """`dgesdd`."""
    _each(low, instr, lambda a, target: _when_any(low, a.sizes[1], lambda: _gesdd(low, a, target, "S")))
    _keep_values(low, instr, "svdvals")


def svdvals(low: Lowering, instr: Instr) -> None:
    """`dgesdd` without singular vectors."""
    if _known_values(low, instr):
        return
    _each(low, instr, lambda a, target: _when_any(low, a.sizes[1], lambda: _gesdd(low, a, target, "N")))


def _gesdd(low: Lowering, a: Mem, target: Mem, job: str) -> None:
    """nan of a matrix that is not finite: LAPACK may search the singular vectors of one for ever."""
    w, total = low.w, low.w.slot("double")
    w.do(f"store double 0.0, ptr {total}")

    def add(i: str, j: str) -> None:
        term = w.let(f"fmul double {get(low, a, i, j)}, 0.0")  # nan of what is not finite
        before = w.let(f"load double, ptr {total}")
        w.do(f"store double {w.let(f'fadd double {before}, {term}')}, ptr {total}")

    between(low, "0", a.sizes[0], lambda i: between(low, "0", a.sizes[1], lambda j: add(i, j)))
    fill(low, target, NAN)
    finite = w.let(f"fcmp ord double {w.let(f'load double, ptr {total}')}, 0.0")
    when(low, finite, lambda: _gesdd_of_finite(low, a, target, job))


def _gesdd_of_finite(low: Lowering, a: Mem, target: Mem, job: str) -> None:
    rows, columns = a.sizes
    info = low.w.slot("i32")
    source = by_columns(low, a, "svd")
    left = right = source
    if job == "S":
        left = transposed(private(low, (columns, rows), "U"))
        right = transposed(private(low, (columns, columns), "V"))
    squared = times(low, times(low, columns, columns), 4)
    linear = plus(low, times(low, columns, 7 + BLOCK), times(low, rows, 1 + BLOCK))
    work, length = _work(low, plus(low, plus(low, squared, linear), 1))
    integers, _ = _work(low, times(low, columns, 8))
    call_routine(
        low,
        "dgesdd",
        [
            ("letter", job), ("int", rows), ("int", columns), source.pointer, ("int", rows), target.pointer,
            left.pointer, ("int", rows), right.pointer, ("int", columns), work, length, integers, info,
        ],
    )  # fmt: skip
    if job == "S":
        copy(low, right, part(low, target, "1", columns))
        copy(low, left, part(low, target, plus(low, columns, 1), rows))
    _nan_if_failed(low, info, target)


# --- pseudoinverse ---------------------------------------------------------------------------------------------------


def pinv(low: Lowering, instr: Instr) -> None:
    """V diag(1 / s) U^T, with 0 in place of 1 / s where s is small."""
    cutoff = float(instr.attrs["cutoff"])

    def one(a: Mem, target: Mem) -> None:
        _when_any(low, a.sizes[1], lambda: _pseudoinverse(low, a, target, cutoff))

    _each(low, instr, one)


def _pseudoinverse(low: Lowering, a: Mem, target: Mem, cutoff: float) -> None:
    w = low.w
    rows, columns = a.sizes
    packed = private(low, (plus(low, plus(low, rows, columns), 1), columns), "pinv")
    _gesdd(low, a, packed, "S")
    right, left = part(low, packed, "1", columns), part(low, packed, plus(low, columns, 1), rows)
    factor = float_literal(cutoff)
    if not cutoff:
        size = w.let(f"sitofp i64 {larger(low, rows, columns)} to double")
        factor = w.let(f"fmul double {size}, {float_literal(EPSILON)}")
    limit = w.let(f"fmul double {get(low, packed, '0', '0')}, {factor}")

    def scale(k: str) -> None:
        value = get(low, packed, "0", k)
        counts = w.let(f"fcmp ugt double {value}, {limit}")
        inverse = w.let(f"select i1 {counts}, double {w.let(f'fdiv double 1.0, {value}')}, double 0.0")
        between(low, "0", columns, lambda j: put(low, right, w.let(f"fmul double {get(low, right, k, j)}, {inverse}"), k, j))

    between(low, "0", columns, scale)
    multiply(low, transposed(right), transposed(left), target)


# --- QR --------------------------------------------------------------------------------------------------------------


def qr(low: Lowering, instr: Instr) -> None:
    """`dgeqrf`, then `dorgqr`."""
    _each(low, instr, lambda a, target: _when_any(low, a.sizes[1], lambda: _geqrf(low, a, target)))


def _geqrf(low: Lowering, a: Mem, target: Mem) -> None:
    rows, columns = a.sizes
    info = low.w.slot("i32")
    source = by_columns(low, a, "qr")
    scales = private(low, (columns,), "qr").pointer
    work, length = _work(low, times(low, columns, BLOCK))
    size = [("int", rows), ("int", columns)]
    call_routine(low, "dgeqrf", [*size, source.pointer, ("int", rows), scales, work, length, info])
    upper = part(low, target, "0", columns)

    def keep(i: str) -> None:
        between(low, "0", i, lambda j: put(low, upper, "0.0", i, j))
        between(low, i, columns, lambda j: put(low, upper, get(low, source, i, j), i, j))

    between(low, "0", columns, keep)
    call_routine(low, "dorgqr", [*size, ("int", columns), source.pointer, ("int", rows), scales, work, length, info])
    copy(low, source, part(low, target, columns, rows))


HANDLERS: dict[str, Handler] = {
    "eigh": eigh, "eigvalsh": eigvalsh, "svd": svd, "svdvals": svdvals, "pinv": pinv, "qr": qr,
}  # fmt: skip
