"""What an op is: one declaration with every rule about it, and the registry that the test harness walks.

Conventions of the rules (all receive a builder `b`; Python numbers among the operands of elementwise ops are lifted to
constants of the other operand's shape):

* `infer(operands, attrs, regions) -> tuple of types`. A dimension of the k-th result may refer to the j-th result (j < k)
  by `Slot(j)`.
* `impl(*arrays, **attrs) -> result or tuple`: NumPy implementation; the eager value and the test oracle. Arrays of rank 0
  are passed and returned as NumPy scalars or 0-d arrays.
* `jvp`: `LINEAR` (the tangent is the same op on the tangents of the operands in `linear`, the other operands unchanged),
  `NON_DIFFERENTIABLE` (integers, comparisons: no tangent), or one rule per operand, `None` where the operand has no
  tangent: `rule(b, out, *operands, d, **attrs) -> contribution` where `d` is the tangent of that operand and `out` the
  primal result. The engine sums the contributions. A rule must apply only ops linear in `d` to `d`.
* `transpose`: for ops linear in operand k, `transpose[k](b, ct, *operands, **attrs) -> contribution to the cotangent of
  operand k`. `operands[k]` itself must only be asked for its type. (A tuple of one rule stands for all operands.)
* `accumulate`: instead of `transpose` for reads: `accumulate[k](b, acc, ct, *operands, **attrs) -> new accumulator`, where
  `acc` is the cotangent of operand k gathered so far. This is what makes the adjoint of `x[i]` an in-place `+=`.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from wengert.errors import InternalError
from wengert.types import Affine, Type

if TYPE_CHECKING:
    from wengert.ir.core import Region, Value


@dataclass(frozen=True)
class Marker:
    """A word used in place of a rule."""

    name: str
    reason: str = ""

    def __repr__(self) -> str:
        return self.name


LINEAR: Final = Marker("LINEAR")
NON_DIFFERENTIABLE: Final = Marker("NON_DIFFERENTIABLE")


def NOT_YET(reason: str) -> Marker:
    """A derivative that does not exist yet: differentiation raises UnsupportedError with `reason`."""
    return Marker("NOT_YET", reason)


Infer = Callable[[Sequence["Value"], dict[str, Any], Sequence["Region"]], tuple[Type, ...]]
Rule = Callable[..., "Value"]


@dataclass(frozen=True, eq=False)
class OpDef:
    """An op with all of its rules; see the module docstring for the conventions.

    Attributes:
        name: how it is called in the IR.
        doc: one sentence.
        kind: "elementwise", "shape", "index", "reduce", "linalg", "stack", "control", "effect" or "constant": what the
            code generator and the passes dispatch on.
        linear: positions of operands in which the op is jointly linear (for `LINEAR`); None means all float operands.
        effects: must not be removed, reordered with other effects, or executed speculatively (it may raise or print).
        affine: for integer scalars: the result as an affine expression of the operands' (None: opaque).
        cost: rough cost per element of recomputing it: 0 free (views), 1 an addition, 4 a division, 20 a transcendental.
        smoothness: "smooth", "kink", "jump" or "integer", for the differentiability report.
        samples: of elementwise ops, per operand the (low, high) range that the test harness draws from; a single pair
            serves all operands. Of others, cases `(operands, attrs)`: an operand is a type to draw (`"f64[2,3]"`), an
            int or a tuple of ints.
        extra: `dtypes`, `arity`, `attrs` (for samples of elementwise ops); `variadic`: `transpose` is one rule, called as
            `rule(b, ct, k, *operands, **attrs)` for operand k; `masked_transpose`: used instead of `transpose` where an
            exact 0 of the cotangent must stay 0 against an infinite partial derivative.
    """

    name: str
    doc: str
    infer: Infer
    kind: str
    impl: Callable[..., Any] | None = None
    jvp: Marker | tuple[Rule | None, ...] = NON_DIFFERENTIABLE
    linear: tuple[int, ...] | None = None
    transpose: tuple[Rule | None, ...] = ()
    accumulate: tuple[Rule | None, ...] = ()
    effects: bool = False
    affine: Callable[..., Affine | None] | None = None
    cost: int = 1
    smoothness: str = "smooth"
    samples: tuple[Any, ...] = ()
    extra: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"op {self.name}"


REGISTRY: dict[str, OpDef] = {}


def op(name: str, **fields: Any) -> OpDef:
    """Declare an op and register it under its name."""
    if name in REGISTRY:
        raise InternalError(f"op {name!r} is declared twice")
    REGISTRY[name] = OpDef(name, **fields)
    return REGISTRY[name]


def get_op(name: str) -> OpDef:
    """The op called `name`.

    Raises:
        AttributeError: no such op; the message suggests near names.
    """
    found = REGISTRY.get(name)
    if found is None:
        near = difflib.get_close_matches(name, REGISTRY, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise AttributeError(f"no op named {name!r}{hint}")
    return found
