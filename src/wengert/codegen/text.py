"""Writing LLVM IR as text: blocks, temporaries, literals. Plain strings are much faster to make than llvmlite's builder objects.

A scalar SSA value is the string that stands for it: `%t12`, or a literal.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from wengert.types import DType, plain_number

REGISTER = {"f64": "double", "f32": "float", "i64": "i64", "bool": "i1"}
MEMORY = {"f64": "double", "f32": "float", "i64": "i64", "bool": "i8"}


# Number of the first metadata node of a loop that only stores.
SIMPLE_LOOPS = 1_000_000
# The same for loops that compute many elementary functions, one from another: two iterations at a time hide how long that takes.
DEEP_LOOPS = 1_500_000
DEEP = 4


def literal(value: float | bool, dtype: DType) -> str:
    """A constant of `dtype` in LLVM notation; floats are written by their bits."""
    if dtype.name == "bool":
        return "true" if value else "false"
    if dtype.name == "i64":
        return str(int(value))
    return float_literal(float(plain_number(value, dtype)))


def float_literal(value: float) -> str:
    """A double in LLVM notation, exactly; so are floats written that are rounded to single precision."""
    return f"0x{struct.unpack('<Q', struct.pack('<d', value))[0]:016X}"


def is_known(number: str) -> bool:
    """Whether an i64 is a number, not the name of a value."""
    return not number.startswith("%")


class Writer:
    """The text of one LLVM function under construction.

    Attributes:
        lines: the body so far.
        entry: instructions of the entry block (stack slots), which goes before `lines`.
        declarations: signatures of outside functions, by name.
        helpers: names of our own helper functions (`wg.exp`) that the text calls.
        block: label of the block being written; that of a kernel is entered from the stack slots.
        in_loop: whether the code is the body of a loop over array elements.
        kernels: elementary functions that are inlined there.
        stores_only: whether such loops are being written that carry nothing from one iteration to the next.
        simple_loops: number of these loops; each has a metadata node.
        kernel_calls: how many elementary functions have been inlined so far.
    """

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.entry: list[str] = []
        self.declarations: dict[str, str] = {}
        self.helpers: set[str] = set()
        self.block = "begin"
        self.in_loop = False
        self.kernels: frozenset[str] = frozenset()
        self.stores_only = False
        self.simple_loops = 0
        self.kernel_calls = 0
        self._count = 0

    def continue_from(self, other: Writer) -> None:
        """Write another function of the same module, with names that `other` has not."""
        self.take_from(other)
        self.kernels, self.in_loop, self.stores_only = other.kernels, other.in_loop, other.stores_only

    def take_from(self, other: Writer) -> None:
        """Count on from where `other` is, and declare what it declares."""
        self._count, self.simple_loops = other._count, other.simple_loops
        self.declarations.update(other.declarations)
        self.helpers |= other.helpers

    def fresh(self, hint: str = "t") -> str:
        """A new local name, without sigil."""
        self._count += 1
        return f"{hint}{self._count}"

    def let(self, text: str) -> str:
        """Write an instruction with a result and return its name."""
        name = "%" + self.fresh()
        self.lines.append(f"  {name} = {text}")
        return name

    def plus(self, a: str, b: str | int) -> str:
        """The sum of two i64, indices or sizes; of numbers, a number."""
        if str(b) == "0":
            return a
        if a == "0":
            return str(b)
        return str(int(a) + int(b)) if is_known(a) and is_known(str(b)) else self.let(f"add nsw i64 {a}, {b}")

    def minus(self, a: str, b: str | int) -> str:
        """The difference of two i64, indices or sizes; of numbers, a number."""
        if str(b) == "0":
            return a
        return str(int(a) - int(b)) if is_known(a) and is_known(str(b)) else self.let(f"sub nsw i64 {a}, {b}")

    def times(self, a: str, b: str | int) -> str:
        """The product of two i64, indices or sizes; of numbers, a number."""
        if str(b) == "1":
            return a
        if a == "1":
            return str(b)
        return str(int(a) * int(b)) if is_known(a) and is_known(str(b)) else self.let(f"mul nsw i64 {a}, {b}")

    def do(self, text: str) -> None:
        """Write an instruction without a result."""
        self.lines.append(f"  {text}")

    def label(self, block: str) -> None:
        """Start a block."""
        self.lines.append(f"{block}:")
        self.block = block

    def jump(self, block: str, metadata: str = "") -> None:
        """End the block by going to `block`."""
        self.do(f"br label %{block}{metadata}")

    def jump_back(self, header: str, kernel_calls: int = 0) -> None:
        """Close a loop over array elements, in which so many elementary functions are computed."""
        if not self.stores_only:
            self.jump(header)
            return
        first = DEEP_LOOPS if kernel_calls >= DEEP else SIMPLE_LOOPS
        self.jump(header, f", !llvm.loop !{first + self.simple_loops}")
        self.simple_loops += 1

    def branch(self, condition: str, then: str, otherwise: str, weights: str = "") -> None:
        """End the block by a condition; `weights` is ", !prof !N" or nothing."""
        self.do(f"br i1 {condition}, label %{then}, label %{otherwise}{weights}")

    def hole(self) -> int:
        """Leave a line to be filled by `fill`: phis whose operands come later."""
        self.lines.append("")
        return len(self.lines) - 1

    def fill(self, hole: int, text: str) -> None:
        """Write the line left by `hole`."""
        self.lines[hole] = f"  {text}"

    def slot(self, type: str, initial: str | None = None, count: int = 1) -> str:
        """A stack slot in the entry block; LLVM turns it into registers unless its address escapes."""
        name = "%" + self.fresh("s")
        size = f", i64 {count}" if count != 1 else ""
        self.entry.append(f"  {name} = alloca {type}{size}, align 8")
        if initial is not None:
            self.entry.append(f"  store {type} {initial}, ptr {name}, align 8")
        return name

    def record(self, words: Sequence[tuple[str, str]]) -> str:
        """A stack slot for consecutive words of eight bytes (type and initial value); `field` gives their addresses."""
        name = "%" + self.fresh("s")
        self.entry.append(f"  {name} = alloca [{len(words)} x i64], align 8")
        for position, (type, initial) in enumerate(words):
            at = self.field(name, position)
            self.entry.append(f"  store {type} {initial}, ptr {at}, align 8")
        return name

    def field(self, record: str, position: int) -> str:
        """The address of a word of a record; computed in the entry block."""
        if not position:
            return record
        name = "%" + self.fresh("f")
        self.entry.append(f"  {name} = getelementptr inbounds i64, ptr {record}, i64 {position}")
        return name

    def call(self, result: str, name: str, arguments: Sequence[tuple[str, str]], attributes: str = "") -> str:
        """Call an outside function and return the result ("" for void); declares it on first use."""
        types = ", ".join(t for t, _ in arguments)
        self.declarations.setdefault(name, f"declare {result} @{name}({types}){attributes}")
        values = ", ".join(f"{t} {v}" for t, v in arguments)
        text = f"call {result} @{name}({values})"
        if result == "void":
            self.do(text)
            return ""
        return self.let(text)

    def helper(self, name: str, arguments: Sequence[str], type: str = "double") -> str:
        """Call one of our own scalar helpers, all of whose operands have `type`."""
        self.helpers.add(name)
        values = ", ".join(f"{type} {a}" for a in arguments)
        return self.let(f"call {type} @{name}({values})")
