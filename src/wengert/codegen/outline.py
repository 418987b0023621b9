"""Code on matrices that stands once in the module and is called: so that a program with many products compiles quickly."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from wengert.codegen.engine import vector_width
from wengert.codegen.lowering import Lowering
from wengert.codegen.storage import Buffer, Index, Mem
from wengert.codegen.text import Writer
from wengert.errors import InternalError

# Arrays of known sizes up to this one keep their code in place, where the sizes are constants.
IN_PLACE = 8

Body = Callable[[list[Mem], list[str]], None]


def outlined(low: Lowering, name: str, arrays: Sequence[Mem], extras: Sequence[str], body: Body) -> None:
    """Run `body(arrays, extras)`, in a function of its own unless the arrays are small.

    Args:
        low: where to write.
        name: of the code; all options of `body` are part of it.
        arrays: what it works on; they do not overlap unless they are the same memory, read only.
        extras: further addresses.
        body: writes the code, by nothing but its arguments. It must not allocate.

    Raises:
        InternalError: the body allocates.
    """
    sizes = [s for a in arrays for s in a.sizes]
    if all(not s.startswith("%") and int(s) <= IN_PLACE for s in sizes):
        body(list(arrays), list(extras))
        return
    formals: list[Mem] = []
    parameters: list[tuple[str, str]] = []
    arguments: list[str] = []
    pattern = ""
    for k, array in enumerate(arrays):
        numbers: list[str] = []
        for kind, given in (*(("n", s) for s in array.sizes), *(("s", s) for s in array.strides)):
            if given in ("0", "1"):
                numbers.append(given)
                pattern += given
                continue
            pattern += kind
            numbers.append(f"%a{k}.{kind}{len(numbers)}")
            parameters.append(("i64", numbers[-1]))
            arguments.append(given)
        parameters.append(("ptr", f"%a{k}"))
        arguments.append(array.pointer)
        rank = len(array.sizes)
        shape: tuple[Index, Index] = (tuple(numbers[:rank]), tuple(numbers[rank:]))
        formals.append(Mem(array.dtype, Buffer(0, False), f"%a{k}", *shape, None, array.contiguous))
    places = [f"%e{k}" for k in range(len(extras))]
    parameters += [("ptr", p) for p in places]
    symbol = f"wg.{name}.{pattern}"
    if symbol not in low.routines:
        low.routines[symbol] = ""
        low.routines[symbol] = _function(low, symbol, parameters, formals, lambda made: body(made, places))
    values = ", ".join(f"{t} {v}" for (t, _), v in zip(parameters, [*arguments, *extras], strict=True))
    low.w.do(f"call void @{symbol}({values})")


def _function(
    low: Lowering, symbol: str, parameters: Sequence[tuple[str, str]], formals: list[Mem], body: Callable[[list[Mem]], None]
) -> str:
    outer, w = low.w, Writer()
    w.kernels, w.simple_loops = outer.kernels, outer.simple_loops
    low.w = w
    buffers = len(low.buffers)
    made = [Mem(f.dtype, Buffer(low.new_scope(), False), f.pointer, f.sizes, f.strides, None, f.contiguous) for f in formals]
    body(made)
    low.w = outer
    if len(low.buffers) != buffers:
        raise InternalError(f"@{symbol} allocates: its memory would be that of the function around it", low.span)
    outer.simple_loops = w.simple_loops
    outer.declarations.update(w.declarations)
    outer.helpers |= w.helpers
    head = ", ".join(f"{t} {n}" for t, n in parameters)
    lines = [*w.entry, "  br label %begin", "begin:", *w.lines, "  ret void"]
    text = "\n".join(lines)
    return f"define internal void @{symbol}({head}) noinline nounwind {vector_width()} {{\nstart:\n{text}\n}}"
