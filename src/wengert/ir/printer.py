"""The text form of a function, as `docs/ir.md` defines it. `parser.parse` reads it back.

Names are made unique from the hints that values carry; values without a hint get a number. The text depends on the structure
and the hints only, so equal functions print equally.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from wengert.ir.core import Function, Instr, Region, Value
from wengert.types import Affine, Dim, DType, Slot, StackType, TensorType, Type

_NOT_A_NAME = re.compile(r"[^A-Za-z0-9_.]")


def print_function(fn: Function, spans: bool = False) -> str:
    """`fn` and then its callees as text; with `spans`, each line ends with a comment that names the user's line."""
    return "\n".join(_Printer(spans).function(f) for f in (fn, *fn.functions.values()))


def print_instr(instr: Instr) -> str:
    """One instruction as text, for messages; names are only unique within it."""
    printer = _Printer(spans=False)
    printer.instr(instr, 0)
    return "\n".join(printer.lines)


class Names:
    """Unique names of values, handed out in the order of definition."""

    def __init__(self) -> None:
        self._names: dict[Value, str] = {}
        self._used: set[str] = set()
        self._next: dict[str, int] = {}
        self._numbers = 0

    def define(self, value: Value) -> str:
        """Name `value`, which has no name yet."""
        hint = _NOT_A_NAME.sub("_", value.name)
        if not hint or hint[0].isdigit():
            name = str(self._numbers)
            self._numbers += 1
        else:
            name = hint
            while name in self._used:
                self._next[hint] = self._next.get(hint, 0) + 1
                name = f"{hint}.{self._next[hint]}"
        self._used.add(name)
        self._names[value] = name
        return name

    def of(self, value: Any) -> str:
        """The name of `value`; one that is not defined (broken IR) shows as `?name.serial`."""
        known = self._names.get(value)
        return f"%{known}" if known is not None else f"%?{value.name}.{value.serial}"


class _Printer:
    def __init__(self, spans: bool) -> None:
        self.names = Names()
        self.spans = spans
        self.lines: list[str] = []
        self._ranks: dict[Value, int] = {}

    # --- functions and instructions -----------------------------------------------------------------------------

    def function(self, fn: Function) -> str:
        dims = ", ".join(self.define(d) for d in fn.dims)
        for param in fn.params:
            self.define(param)
        params = ", ".join(self.typed(p) for p in fn.params)
        header = f"func @{fn.name or 'f'}" + (f"<{dims}>" if dims else "") + f"({params}) -> "
        self.lines.append("")
        self.block(fn.instrs, fn.results, "return", 1)
        results = ", ".join(self.type(r.type) for r in fn.results)
        self.lines[0] = f"{header}({results}) {{" + self.comment(fn)
        return "\n".join([*self.lines, "}"]) + "\n"

    def block(self, instrs: Sequence[Instr], results: Sequence[Value], last: str, depth: int) -> None:
        for instr in instrs:
            self.instr(instr, depth)
        values = ", ".join(map(self.names.of, results))
        self.lines.append("  " * depth + f"{last} {values}".rstrip())

    def instr(self, instr: Instr, depth: int) -> None:
        indent = "  " * depth
        operands = ", ".join(map(self.names.of, instr.operands))
        text = f"{instr.op.name}({operands})"
        public = {k: v for k, v in instr.attrs.items() if k[0] != "_"}
        if public:
            text += " {" + ", ".join(f"{k}={self.attribute(public[k])}" for k in sorted(public)) + "}"
        for result in instr.results:
            self.define(result)
        left = ", ".join(map(self.typed, instr.results))
        opening = " {" if instr.regions else ""
        self.lines.append(indent + (f"{left} = " if left else "") + text + opening + self.comment(instr))
        for region in instr.regions:
            self.region(region, depth + 1)
        if instr.regions:
            self.lines.append(indent + "}")

    def region(self, region: Region, depth: int) -> None:
        for param in region.params:
            self.define(param)
        params = ", ".join(map(self.typed, region.params))
        self.lines.append("  " * depth + f"region({params}) {{")
        self.block(region.instrs, region.results, "yield", depth + 1)
        self.lines.append("  " * depth + "}")

    def comment(self, owner: Function | Instr) -> str:
        return f"  # {owner.span}" if self.spans and owner.span is not None else ""

    # --- values, types, attributes ------------------------------------------------------------------------------

    def define(self, value: Value) -> str:
        self._ranks[value] = len(self._ranks)
        return f"%{self.names.define(value)}"

    def typed(self, value: Value) -> str:
        return f"{self.names.of(value)}: {self.type(value.type)}"

    def type(self, declared: Type) -> str:
        if isinstance(declared, StackType):
            return f"stack({', '.join(map(self.type, declared.elements))})"
        return f"{declared.dtype}[{','.join(map(self.dim, declared.dims))}]"

    def dim(self, d: Affine) -> str:
        if not isinstance(d, Dim):
            return str(d)
        text = ""
        for symbol, coefficient in sorted(d.terms, key=lambda term: self._order(term[0])):
            name = symbol.name if isinstance(symbol, Slot) else self.names.of(symbol)
            factor = name if abs(coefficient) == 1 else f"{abs(coefficient)}*{name}"
            text += ("-" if coefficient < 0 else "+" if text else "") + factor
        return text + (f"{d.const:+d}" if d.const else "")

    def _order(self, symbol: Any) -> tuple[int, int]:
        """Slots, then values in the order of definition (serials differ between equal functions)."""
        if isinstance(symbol, Slot):
            return (0, symbol.index)
        return (1, self._ranks.get(symbol, 1 << 60))

    def attribute(self, value: Any) -> str:
        if isinstance(value, DType):
            return value.name
        if isinstance(value, TensorType | StackType):
            return self.type(value)
        if isinstance(value, Dim):
            return self.dim(value)
        if isinstance(value, tuple):
            inner = ", ".join(map(self.attribute, value))
            return f"({inner},)" if len(value) == 1 else f"({inner})"
        if isinstance(value, list):
            return f"[{', '.join(map(self.attribute, value))}]"
        if isinstance(value, dict):
            return "{" + ", ".join(f"{self.attribute(k)}: {self.attribute(v)}" for k, v in value.items()) + "}"
        return repr(value.item()) if hasattr(value, "item") else repr(value)
