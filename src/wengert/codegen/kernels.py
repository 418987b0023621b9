"""Bodies of elementary functions as straight-line LLVM, in double or in single precision."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from wengert.codegen import rare
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


Pair = tuple[str | float, str | float]


class Kernel:
    """Emits the body of one function of `%x` (and `%y`): a method writes an instruction and returns the name of its result."""

    def __init__(self, precision: Precision, operands: Sequence[str] = ("%x",)) -> None:
        self.precision = precision
        self.type = precision.type
        self.operands = tuple(operands)
        self.lines: list[str] = []

    def function(self, name: str, result: str) -> str:
        """The function called `name`, whose body has been written."""
        parameters = ", ".join(f"{self.type} {x}" for x in self.operands)
        head = f"define internal {self.type} @{name}({parameters}) alwaysinline nounwind willreturn memory(none) {{"
        return "\n".join([head, *self.lines, f"  ret {self.type} {result}", "}"])

    def mend(self, name: str, wild: str, found: str) -> str:
        """`found`, or what the function `name` gives where the i1 `wild` holds; see `wengert.codegen.rare`."""
        given = "".join(f"{self.type} {x}, " for x in self.operands)
        return self.let(
            f"call {self.type} @{rare.PREFIX}{name}({given}i1 {wild}, {self.type} {found}) nounwind willreturn memory(none) "
            f'"vector-function-abi-variant"="{rare.variants(name, len(self.operands))}"'
        )

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

    def neg(self, a: str | float) -> str:
        """`-a`."""
        return self.let(f"fneg {self.type} {self.of(a)}")

    def abs(self, a: str | float) -> str:
        """`|a|`."""
        return self._call("fabs", a)

    def sign_of(self, a: str | float, sign: str) -> str:
        """The size of `a` with the sign of `sign`."""
        return self._call("copysign", a, sign)

    def sqrt(self, a: str | float) -> str:
        """The square root."""
        return self._call("sqrt", a)

    def floor(self, a: str | float) -> str:
        """The largest whole number that is not larger."""
        return self._call("floor", a)

    def test(self, relation: str, a: str | float, b: str | float) -> str:
        """Whether `a relation b` (an fcmp predicate), as an i1."""
        return self.let(f"fcmp {relation} {self.type} {self.of(a)}, {self.of(b)}")

    def either(self, a: str, b: str) -> str:
        """Whether one of two i1 holds."""
        return self.let(f"or i1 {a}, {b}")

    def choose(self, test: str, yes: str | float, no: str | float) -> str:
        """`yes` where an i1 holds, else `no`."""
        return self.let(f"select i1 {test}, {self.type} {self.of(yes)}, {self.type} {self.of(no)}")

    def select(self, relation: str, a: str | float, b: str | float, yes: str | float, no: str | float) -> str:
        """`yes` where `a relation b` (an fcmp predicate) holds, else `no`."""
        return self.choose(self.test(relation, a, b), yes, no)

    def bits(self, a: str | float) -> str:
        """The representation of a number."""
        return self.let(f"bitcast {self.type} {self.of(a)} to {self.precision.word}")

    def number(self, a: str) -> str:
        """The number of a representation."""
        return self.let(f"bitcast {self.precision.word} {a} to {self.type}")

    def integer(self, operation: str, a: str | int, b: str | int) -> str:
        """An operation on integers of the same size."""
        return self.let(f"{operation} {self.precision.word} {a}, {b}")

    def larger(self, a: str, b: int) -> str:
        """The larger of two integers."""
        word = self.precision.word
        return self.let(f"call {word} @llvm.smax.{word}({word} {a}, {word} {b})")

    def power_of_two(self, k: str) -> str:
        """2**k where that is a normal number."""
        return self.number(self.integer("shl", self.integer("add", k, self.precision.bias), self.precision.digits))

    def from_integer(self, k: str) -> str:
        """A small integer as a number, without a conversion instruction (which AVX2 has not)."""
        return self.sub(self.number(self.integer("add", k, self.precision.shifter_bits)), self.precision.shifter)

    def polynomial(self, x: str | float, coefficients: Iterable[float]) -> str:
        """Even and odd parts by Horner's rule; coefficients of x**0, x**1, ..."""
        terms = list(coefficients)
        square = self.mul(x, x)
        even, odd = (self.horner(square, part) for part in (terms[0::2], terms[1::2]))
        return self.fma(odd, x, even)

    def horner(self, x: str, coefficients: Sequence[str | float]) -> str:
        """A polynomial; coefficients of x**0, x**1, ..."""
        total: str | float = coefficients[-1]
        for c in reversed(coefficients[:-1]):
            total = self.fma(total, x, c)
        return self.of(total)

    # --- numbers in two parts: the nearest double and what is missing -------------------------------------------------

    def ordered_sum(self, a: str | float, b: str | float) -> Pair:
        """`a + b` and its rounding error, where |a| >= |b| or a is 0 (Dekker, 1971)."""
        total = self.add(a, b)
        return total, self.sub(b, self.sub(total, a))

    def exact_sum(self, a: str | float, b: str | float) -> Pair:
        """`a + b` and its rounding error (Knuth, The Art of Computer Programming 2, 4.2.2)."""
        total = self.add(a, b)
        part = self.sub(total, a)
        return total, self.add(self.sub(a, self.sub(total, part)), self.sub(b, part))

    def exact_product(self, a: str | float, b: str | float) -> Pair:
        """`a * b` and its rounding error."""
        product = self.mul(a, b)
        return product, self.fma(a, b, self.neg(product))

    def quotient(self, a: Pair, b: Pair) -> Pair:
        """`a / b` and what is missing, by one division."""
        inverse = self.div(1.0, b[0])
        found = self.mul(a[0], inverse)
        left = self.fma(self.neg(found), b[0], a[0])
        left = self.fma(self.neg(found), b[1], self.add(left, a[1]))
        return found, self.mul(left, inverse)

    def root(self, a: Pair) -> Pair:
        """The square root and what is missing; the number is positive."""
        found = self.sqrt(a[0])
        left = self.add(self.fma(self.neg(found), found, a[0]), a[1])
        return found, self.div(left, self.add(found, found))
