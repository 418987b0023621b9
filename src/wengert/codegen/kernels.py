"""Bodies of elementary functions as straight-line LLVM, in double or in single precision."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from wengert.codegen.text import literal
from wengert.types import F32, F64, DType


@dataclass(frozen=True)
class Precision:
    """A floating-point format.

    Attributes:
        dtype: its dtype in the IR.
        type: its LLVM type.
        word: the integer of the same size.
        digits: bits of the significand that are stored.
        bias: of the exponent.
        shifter: adding it rounds to an integer, which is then in the low bits.
        shifter_bits: the representation of `shifter`.
    """

    dtype: DType
    type: str
    word: str
    digits: int
    bias: int
    shifter: float
    shifter_bits: int


DOUBLE = Precision(F64, "double", "i64", 52, 1023, 1.5 * 2.0**52, 0x4338000000000000)
SINGLE = Precision(F32, "float", "i32", 23, 127, 1.5 * 2.0**23, 0x4B400000)


class Kernel:
    """Emits the body of one function of a number `%x`: a method writes an instruction and returns the name of its result."""

    def __init__(self, precision: Precision) -> None:
        self.precision = precision
        self.type = precision.type
        self.lines: list[str] = []

    def function(self, name: str, result: str) -> str:
        """The function called `name`, whose body has been written."""
        head = f"define internal {self.type} @{name}({self.type} %x) alwaysinline nounwind willreturn memory(none) {{"
        return "\n".join([head, *self.lines, f"  ret {self.type} {result}", "}"])

    def let(self, text: str) -> str:
        """Write an instruction."""
        name = f"%v{len(self.lines)}"
        self.lines.append(f"  {name} = {text}")
        return name

    def of(self, x: str | float) -> str:
        """An operand: a name, or a constant rounded to the precision."""
        return x if isinstance(x, str) else literal(x, self.precision.dtype)

    def _call(self, name: str, *operands: str | float) -> str:
        given = ", ".join(f"{self.type} {self.of(v)}" for v in operands)
        return self.let(f"call {self.type} @llvm.{name}.{self.precision.dtype.name}({given})")

    def op(self, name: str, a: str | float, b: str | float) -> str:
        """`fadd`, `fsub`, `fmul` or `fdiv`."""
        return self.let(f"{name} {self.type} {self.of(a)}, {self.of(b)}")

    def add(self, a: str | float, b: str | float) -> str:
        """`a + b`."""
        return self.op("fadd", a, b)

    def sub(self, a: str | float, b: str | float) -> str:
        """`a - b`."""
        return self.op("fsub", a, b)

    def mul(self, a: str | float, b: str | float) -> str:
        """`a * b`."""
        return self.op("fmul", a, b)

    def div(self, a: str | float, b: str | float) -> str:
        """`a / b`."""
        return self.op("fdiv", a, b)

    def fma(self, a: str | float, b: str | float, c: str | float) -> str:
        """`a * b + c`, rounded once."""
        return self._call("fma", a, b, c)

    def neg(self, a: str) -> str:
        """`-a`."""
        return self.let(f"fneg {self.type} {a}")

    def abs(self, a: str) -> str:
        """`|a|`."""
        return self._call("fabs", a)

    def sign_of(self, a: str, sign: str) -> str:
        """The size of `a` with the sign of `sign`."""
        return self._call("copysign", a, sign)

    def select(self, relation: str, a: str | float, b: str | float, yes: str | float, no: str | float) -> str:
        """`yes` where `a relation b` (an fcmp predicate) holds, else `no`."""
        test = self.let(f"fcmp {relation} {self.type} {self.of(a)}, {self.of(b)}")
        return self.let(f"select i1 {test}, {self.type} {self.of(yes)}, {self.type} {self.of(no)}")

    def bits(self, a: str) -> str:
        """The representation of a number."""
        return self.let(f"bitcast {self.type} {a} to {self.precision.word}")

    def number(self, a: str) -> str:
        """The number of a representation."""
        return self.let(f"bitcast {self.precision.word} {a} to {self.type}")

    def integer(self, operation: str, a: str, b: str | int) -> str:
        """An operation on integers of the same size."""
        return self.let(f"{operation} {self.precision.word} {a}, {b}")

    def power_of_two(self, k: str) -> str:
        """2**k where that is a normal number."""
        return self.number(self.integer("shl", self.integer("add", k, self.precision.bias), self.precision.digits))

    def from_integer(self, k: str) -> str:
        """A small integer as a number, without a conversion instruction (which AVX2 has not)."""
        return self.sub(self.number(self.integer("add", k, self.precision.shifter_bits)), self.precision.shifter)

    def polynomial(self, x: str, coefficients: Iterable[float]) -> str:
        """Even and odd parts by Horner's rule; coefficients of x**0, x**1, ..."""
        terms = list(coefficients)
        square = self.mul(x, x)
        even, odd = (self.horner(square, part) for part in (terms[0::2], terms[1::2]))
        return self.fma(odd, x, even)

    def horner(self, x: str, coefficients: list[float]) -> str | float:
        """A polynomial; coefficients of x**0, x**1, ..."""
        total: str | float = coefficients[-1]
        for c in reversed(coefficients[:-1]):
            total = self.fma(total, x, c)
        return total
