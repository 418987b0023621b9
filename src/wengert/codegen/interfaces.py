"""How native code passes arguments and results between functions of one program: decided per callee, before any code is written.

The one idea: an array or stack result that is made from a parameter by updates comes back in that parameter's memory, its *home*.
The caller gives a home away: memory that nothing needs any more, or a copy. All other arrays are passed by address and only read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from wengert.codegen.text import REGISTER
from wengert.ir.calls import callees
from wengert.ir.core import Function, Instr, Value, walk
from wengert.types import StackType, TensorType

# Their first operand is overwritten by their first result, where it is dead.
_IN_PLACE = frozenset({"update", "add_at", "scatter", "scatter_add", "resize", "push", "pop", "assume_shape", "add"})


@dataclass(eq=False)
class Interface:
    """What call sites know of a native function.

    Attributes:
        symbol: its name in LLVM.
        function: what it computes.
        homes: for array and stack results, the parameter in whose memory they come back.
        is_recursive: whether it may call itself, by whatever way.
    """

    symbol: str
    function: Function
    homes: dict[int, int] = field(default_factory=dict)
    is_recursive: bool = False

    @property
    def owned(self) -> set[int]:
        """Positions of the array parameters whose memory the callee may overwrite."""
        return {p for p in self.homes.values() if isinstance(self.function.params[p].type, TensorType)}

    def returned(self) -> str:
        """The LLVM type of what it returns: its status, then the scalars."""
        scalars = [REGISTER[r.tensor.dtype.name] for r in self.function.results if is_scalar(r)]
        return "{ " + ", ".join(["i64", *scalars]) + " }"


def is_scalar(value: Value) -> bool:
    """Whether a value is passed in a register."""
    return isinstance(value.type, TensorType) and not value.type.dims


def interfaces(function: Function) -> dict[str, Interface]:
    """The interfaces of all functions that `function` calls."""
    found = {name: Interface(f"@wg.f{k}", f) for k, (name, f) in enumerate(function.functions.items())}
    while True:  # homes of recursive results show once those of the callee are known
        changed = False
        for interface in found.values():
            homes = _homes(interface.function, found)
            changed = changed or homes != interface.homes
            interface.homes = homes
        if not changed:
            break
    for name, interface in found.items():
        interface.is_recursive = name in _reached(interface.function, found)
    return found


def _reached(function: Function, found: Mapping[str, Interface]) -> set[str]:
    reached: set[str] = set()
    pending = callees(function.instrs)
    while pending:
        name = pending.pop()
        if name not in reached:
            reached.add(name)
            pending += callees(found[name].function.instrs)
    return reached


def _homes(function: Function, found: Mapping[str, Interface]) -> dict[int, int]:
    makers = {r: (i, k) for i in walk(function.instrs) for k, r in enumerate(i.results)}
    params = {p: k for k, p in enumerate(function.params)}
    homes: dict[int, int] = {}
    for k, result in enumerate(function.results):
        root = None if is_scalar(result) else _root(result, makers, params, found)
        if root is not None and root not in homes.values() and _fits(function.params[root], result):
            homes[k] = root
    return homes


def _fits(param: Value, result: Value) -> bool:
    if isinstance(param.type, StackType) or isinstance(result.type, StackType):
        return param.type == result.type
    return param.tensor.dtype == result.tensor.dtype and param.rank > 0


def _root(
    value: Value, makers: Mapping[Value, tuple[Instr, int]], params: Mapping[Value, int], found: Mapping[str, Interface]
) -> int | None:
    """The parameter that `value` is made from by updates, or None."""
    while value not in params:
        made = makers.get(value)
        if made is None:
            return None
        instr, position = made
        name = instr.op.name
        if name in _IN_PLACE and position == 0:
            value = instr.operands[0]
        elif name in ("for", "while"):
            value = instr.operands[position + (name == "for")]
        elif name == "call":
            home = found[instr.attrs["callee"]].homes.get(position)
            if home is None:
                return None
            value = instr.operands[home]
        elif name == "if":
            roots = [_root(r.results[position], makers, params, found) for r in instr.regions]
            return next((r for r in roots if r is not None), None)
        else:
            return None
    return params[value]
