"""Products of vectors, matrices and stacks of matrices."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

from wengert.codegen.blas import product
from wengert.codegen.lowering import Handler, Lowering
from wengert.codegen.nests import force, loop_sizes, nest
from wengert.codegen.outline import outlined
from wengert.codegen.reductions import combine
from wengert.codegen.storage import Index, Mem
from wengert.codegen.text import REGISTER
from wengert.ir.core import Instr


def matmul(low: Lowering, instr: Instr) -> None:
    """Dot products, matrix times vector, matrix times matrix, matrix by matrix in stacks."""
    x, y = instr.operands
    result = instr.result
    force(low, [x, y])
    left, right = low.array(x), low.array(y)
    assert isinstance(left, Mem) and isinstance(right, Mem)
    if x.rank == 1 and y.rank == 1:
        low.bind(result, dot(low, left, right))
        return
    target = low.allocate(result, "matmul")
    if x.rank == 1:
        columns(low, left, transposed(right), target)
    elif y.rank == 1:
        rows(low, left, right, target)
    else:
        each_matrix(low, [left, right, target], lambda planes: multiply(low, *planes))
    low.bind(result, target)


def multiply(low: Lowering, x: Mem, y: Mem, target: Mem) -> None:
    """`target = x @ y` for matrices."""

    def body(arrays: list[Mem], extras: list[str]) -> None:
        left, right, into = arrays
        product(low, left, right, into, lambda: matrices(low, left, right, into))

    outlined(low, f"matmul.{x.dtype}", [x, y, target], [], body)


def each_matrix(low: Lowering, stacks: Sequence[Mem], body: Callable[[list[Mem]], None]) -> None:
    """Run `body` on the matrices at each place of stacks of one shape, in a loop."""

    def at(index: Index) -> None:
        body([plane(low, stack, index) for stack in stacks])

    nest(low, stacks[0].sizes[:-2], at)


def plane(low: Lowering, stack: Mem, index: Index) -> Mem:
    """The matrix at a place of a stack."""
    if not index:
        return stack
    pointer = low.address(stack, (*index, "0", "0"))
    return Mem(stack.dtype, stack.buffer, pointer, stack.sizes[-2:], stack.strides[-2:], None, stack.contiguous)


def transposed(mem: Mem) -> Mem:
    """The same matrix with its axes exchanged."""
    return Mem(mem.dtype, mem.buffer, mem.pointer, mem.sizes[::-1], mem.strides[::-1])


def dot(low: Lowering, x: Mem, y: Mem, x_at: Index = (), y_at: Index = ()) -> str:
    """The sum of products along the last axis of x and the last axis of y."""
    w, kind = low.w, REGISTER[x.dtype.name]
    total = w.slot(kind)
    w.do(f"store {kind} 0.0, ptr {total}")

    def body(index: Index) -> None:
        a = low.load(x.dtype, low.address(x, (*x_at, *index)), x.buffer)
        b = low.load(y.dtype, low.address(y, (*y_at, *index)), y.buffer)
        product = w.let(f"fmul reassoc contract {kind} {a}, {b}")
        w.do(f"store {kind} {combine(low, 'sum', x.dtype, w.let(f'load {kind}, ptr {total}'), product)}, ptr {total}")

    nest(low, [x.sizes[-1]], body)
    return w.let(f"load {kind}, ptr {total}")


def rows(low: Lowering, matrix: Mem, vector: Mem, target: Mem) -> None:
    """`matrix @ vector`, by whichever axis of the matrix is contiguous."""
    if matrix.strides[0] == "1" and matrix.strides[1] != "1":
        columns(low, vector, matrix, target)
        return
    nest(
        low,
        [matrix.sizes[0]],
        lambda i: low.store(target.dtype, dot(low, matrix, vector, i), low.address(target, i), target.buffer),
    )


def columns(low: Lowering, vector: Mem, matrix: Mem, target: Mem) -> None:
    """`matrix @ vector` where the first axis of the matrix is contiguous: scaled columns are added up."""
    if matrix.strides[0] != "1" and matrix.strides[1] == "1":
        rows(low, matrix, vector, target)
        return
    nest(low, target.sizes, lambda i: low.store(target.dtype, "0.0", low.address(target, i), target.buffer))

    def column(j: Index) -> None:
        factor = low.load(vector.dtype, low.address(vector, j), vector.buffer)
        nest(low, target.sizes, lambda i: _multiply_add(low, matrix, (*i, *j), factor, target, i))

    nest(low, vector.sizes, column)


def _multiply_add(low: Lowering, x: Mem, at: Index, factor: str, target: Mem, where: Index) -> None:
    address, kind = low.address(target, where), REGISTER[x.dtype.name]
    product = low.w.let(f"fmul contract {kind} {low.load(x.dtype, low.address(x, at), x.buffer)}, {factor}")
    old = low.load(x.dtype, address, target.buffer)
    low.store(x.dtype, low.w.let(f"fadd contract {kind} {old}, {product}"), address, target.buffer)


def matrices(low: Lowering, x: Mem, y: Mem, target: Mem) -> None:
    """`x @ y`: rows of y, scaled, are added into rows of the result; or dots, where both run along the summed axis."""
    if not any(loop_sizes(m.sizes) for m in (x, y, target)):
        in_registers(low, x, y, target)
        return
    if y.strides[0] == "1" and y.strides[1] != "1":
        across = transposed(y)
        nest(
            low,
            target.sizes,
            lambda i: low.store(x.dtype, dot(low, x, across, i[:1], i[1:]), low.address(target, i), target.buffer),
        )
        return
    nest(low, target.sizes, lambda i: low.store(target.dtype, "0.0", low.address(target, i), target.buffer))

    def term(index: Index) -> None:
        factor = low.load(x.dtype, low.address(x, index), x.buffer)
        inner = (y.sizes[1],)
        nest(low, inner, lambda j: _multiply_add(low, y, (*index[1:], *j), factor, target, (*index[:1], *j)))

    nest(low, x.sizes, term)


def in_registers(low: Lowering, x: Mem, y: Mem, target: Mem) -> None:
    """`x @ y` of small matrices of known sizes: each element is read once, and sums are stored when they are complete."""
    w, kind = low.w, REGISTER[x.dtype.name]
    rows, inner, columns = (range(int(s)) for s in (*x.sizes, y.sizes[1]))
    left = {(i, k): low.load(x.dtype, low.address(x, (str(i), str(k))), x.buffer) for i in rows for k in inner}
    right = {(k, j): low.load(y.dtype, low.address(y, (str(k), str(j))), y.buffer) for k in inner for j in columns}
    for i, j in itertools.product(rows, columns):
        total = "0.0"
        for k in inner:
            product = w.let(f"fmul contract {kind} {left[i, k]}, {right[k, j]}")
            total = w.let(f"fadd contract {kind} {total}, {product}")
        low.store(target.dtype, total, low.address(target, (str(i), str(j))), target.buffer)


HANDLERS: dict[str, Handler] = {"matmul": matmul}
