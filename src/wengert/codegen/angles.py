"""Sines and cosines of arrays: a vector loop over all of them, and once more by the C library if an angle is too large for it."""

from __future__ import annotations

from wengert.codegen import scalars
from wengert.codegen.arrays import elementwise
from wengert.codegen.lowering import COLD, Handler, Lowering
from wengert.codegen.nests import Task, cluster, force, loop_sizes, run, store_task
from wengert.codegen.storage import Index, Lazy
from wengert.codegen.text import float_literal
from wengert.codegen.vecmath import LARGEST_ANGLE
from wengert.ir.core import Instr
from wengert.types import F64


def angle(low: Lowering, instr: Instr) -> None:
    """`sin` or `cos`: in a register, or an array that is computed at once, since the second loop cannot be fused."""
    x, result, name = instr.operands[0], instr.result, instr.op.name
    small = not loop_sizes(low.sizes(result))
    place = low.array(x) if x.rank else None
    if result.rank == 0 or name not in low.w.kernels or small or (isinstance(place, Lazy) and place.uniform):
        elementwise(low, instr)
        return
    force(low, [x], f"argument of {name}")
    target = low.allocate(result, name)
    w = low.w
    wild = w.slot("i1")
    w.do(f"store i1 false, ptr {wild}")

    dtype = result.tensor.dtype

    def fast(found: str, index: Index) -> None:
        found = scalars.emit(w, "convert", dtype, (found,), {"dtype": F64})
        size = scalars.intrinsic(w, "llvm.fabs.f64", "double", (found,))
        large = w.let(f"fcmp ogt double {size}, {float_literal(LARGEST_ANGLE)}")
        before = w.let(f"load i1, ptr {wild}")
        w.do(f"store i1 {w.let(f'or i1 {before}, {large}')}, ptr {wild}")
        put(scalars.emit(w, "convert", F64, (w.helper(f"wg.{name}", (found,)),), {"dtype": dtype}), index)

    def exact(found: str, index: Index) -> None:
        put(scalars.emit(w, name, dtype, (found,), {}), index)

    put = store_task(low, result, target).finish
    cluster(low, [], [Task(x, fast, target)])
    slow, done = w.fresh("large"), w.fresh("angles")
    w.branch(w.let(f"load i1, ptr {wild}"), slow, done, COLD)
    w.label(slow)
    run(low, [Task(x, exact, target)])
    w.jump(done)
    w.label(done)
    low.bind(result, target)


HANDLERS: dict[str, Handler] = dict.fromkeys(scalars.ANGLES, angle)
