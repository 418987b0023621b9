"""Checks that a function is well formed. Runs after every stage in tests and under `WENGERT_CHECK=1`.

What holds in verified IR: every type is the one that `op.infer` gives; every value is defined once and before its uses, in the
same region or one around it, and so is every value that a type's dimensions refer to; a stack value is used at most once on
every path (the two arms of an `if` are two paths; a loop body is many, so it only uses stacks that it carries). A call knows
the present signature of its callee.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, NoReturn

from wengert.errors import InternalError
from wengert.ir.builder import holds_in_arms, resolve_slots
from wengert.ir.calls import Signature, same_signature, signature_of
from wengert.ir.core import Function, Instr, Region, Value
from wengert.ir.op import REGISTRY
from wengert.ir.printer import print_function
from wengert.types import BOOL_SCALAR, I64_SCALAR, Affine, Dim, Slot, StackType, TensorType, Type, dim_of

_REGION_COUNTS = {"if": 2, "for": 1, "while": 2}
_UNUSABLE = -1


def verify(fn: Function) -> None:
    """Raise InternalError unless `fn` is well formed; the message has the instruction and the whole function."""
    _Verifier(fn, fn.functions).function()
    for name, callee in fn.functions.items():
        if callee.name != name or callee.functions:
            raise InternalError(f"@{callee.name} is known as @{name}, or holds functions itself")
        verify_body(callee, fn.functions)


def verify_body(fn: Function, functions: Mapping[str, Function]) -> None:
    """Raise InternalError unless `fn` by itself is well formed; its calls lead to `functions`, which are not looked into."""
    _Verifier(fn, functions).function(is_callee=True)


class _Verifier:
    """Walks a function once, keeping the values in scope.

    Attributes:
        scope: values that may be used here.
        defined: every value defined so far.
        home: for stacks, the loop body (a number) that defines them: only there they may be used.
        consumed: stacks that have been used on this path, in order.
    """

    def __init__(self, fn: Function, functions: Mapping[str, Function]) -> None:
        self.fn = fn
        self.functions = functions
        self.scope: set[Value] = set()
        self.defined: set[Value] = set()
        self.home: dict[Value, int] = {}
        self.loop = 0
        self.loops = 0
        self.consumed: dict[Value, None] = {}
        self.instr_now: Instr | None = None

    def fail(self, what: str) -> NoReturn:
        instr = self.instr_now
        where = "" if instr is None else f"\n  in: {instr!r}"
        span = None if instr is None else instr.span
        raise InternalError(f"malformed IR in @{self.fn.name}: {what}{where}\n{print_function(self.fn)}", span)

    # --- structure ----------------------------------------------------------------------------------------------

    def function(self, is_callee: bool = False) -> None:
        for dim in self.fn.dims:
            if dim.type != I64_SCALAR or dim.affine != dim_of(dim):
                self.fail(f"size {dim!r} is not a plain i64[]")
        for param in self.fn.params:
            if not isinstance(param.type, TensorType) and not is_callee:
                self.fail(f"parameter {param!r} is not a tensor")
        self.region(self.fn.body)

    def region(self, region: Region) -> None:
        """Check `region`; what it defines goes out of scope behind it."""
        added = list(region.params)
        self.define(region.params)
        for instr in region.instrs:
            self.instr(instr)
            added += instr.results
        self.instr_now = None
        self.use(region.results)
        self.scope.difference_update(added)

    def instr(self, instr: Instr) -> None:
        self.instr_now = instr
        if REGISTRY.get(instr.op.name) is not instr.op:
            self.fail(f"op {instr.op.name} is not registered")
        self.use(instr.operands)
        if len(instr.regions) != _REGION_COUNTS.get(instr.op.name, 0):
            self.fail(f"{instr.op.name} with {len(instr.regions)} regions")
        self.attributes(instr.attrs)
        if instr.op.name == "call":
            self.call(instr)
        if instr.op.name == "if":
            self.arms(instr.regions)
        else:
            for index, region in enumerate(instr.regions):
                self.loop_region(region, is_condition=instr.op.name == "while" and index == 0)
        self.instr_now = instr
        self.types(instr)
        self.define(instr.results)

    def call(self, instr: Instr) -> None:
        callee = self.functions.get(instr.attrs.get("callee", ""))
        if callee is None:
            self.fail(f"there is no function @{instr.attrs.get('callee')}")
        known = instr.attrs.get("_signature")
        if not isinstance(known, Signature) or not same_signature(known, signature_of(callee)):
            self.fail(f"the call has another signature than @{callee.name}")

    def arms(self, regions: Sequence[Region]) -> None:
        """Each arm is a path of its own: a stack may be used in both."""
        then, otherwise = regions
        if then.params or otherwise.params:
            self.fail("an arm of if has parameters")
        before = len(self.consumed)
        self.region(then)
        used_by_then = list(islice(reversed(self.consumed), len(self.consumed) - before))
        for stack in used_by_then:
            del self.consumed[stack]
        self.region(otherwise)
        self.consumed.update(dict.fromkeys(used_by_then))

    def loop_region(self, region: Region, is_condition: bool) -> None:
        outer = self.loop
        self.loops += 1
        self.loop = self.loops
        if is_condition:  # the condition looks at the carry of which the body is the owner
            self.home.update({p: _UNUSABLE for p in region.params if isinstance(p.type, StackType)})
        self.region(region)
        self.loop = outer

    # --- definitions and uses -----------------------------------------------------------------------------------

    def define(self, values: Sequence[Value]) -> None:
        for value in values:
            if value in self.defined:
                self.fail(f"{value!r} is defined twice")
            self.defined.add(value)
            self.scope.add(value)
            if isinstance(value.type, StackType):
                self.home.setdefault(value, self.loop)
        for value in values:
            self.symbols(value.type, f"the type of {value!r}")
            if isinstance(value.type, TensorType) and value.type == I64_SCALAR:
                self.affine(value.affine, f"the affine form of {value!r}")

    def symbols(self, declared: Type, what: str) -> None:
        """Check that the sizes in a type are integers in scope, without slots."""
        inside = isinstance(declared, StackType)
        for symbol in declared.symbols():
            if isinstance(symbol, Slot) and not inside:
                self.fail(f"{what} has an unresolved slot")
            self.symbol(symbol, what)

    def affine(self, d: Affine, what: str) -> None:
        for symbol, _ in d.terms if isinstance(d, Dim) else ():
            self.symbol(symbol, what)

    def symbol(self, symbol: Any, what: str) -> None:
        if symbol not in self.scope:
            self.fail(f"{what} refers to {symbol!r}, which is not in scope")
        if symbol.type != I64_SCALAR or symbol.affine != dim_of(symbol):
            self.fail(f"{what} refers to {symbol!r}, which is not a plain i64[]")

    def use(self, values: Sequence[Value]) -> None:
        for value in values:
            if value not in self.scope:
                self.fail(f"{value!r} is used where it is not defined")
            if isinstance(value.type, StackType):
                self.consume(value)

    def consume(self, stack: Value) -> None:
        if self.home[stack] == _UNUSABLE:
            self.fail(f"{stack!r} is used in the condition of a while")
        if self.home[stack] != self.loop:
            self.fail(f"{stack!r} is used inside a loop that does not carry it")
        if stack in self.consumed:
            self.fail(f"{stack!r} is used twice")
        self.consumed[stack] = None

    # --- types --------------------------------------------------------------------------------------------------

    def attributes(self, attrs: dict[str, Any]) -> None:
        """Types held by attributes refer to values in scope; slots may stand for elements of the entry."""
        declared = attrs.get("type")
        types = [declared] if isinstance(declared, TensorType | StackType) else []
        for found in [*types, *attrs.get("elements", ())]:
            for symbol in found.symbols():
                if not isinstance(symbol, Slot):
                    self.symbol(symbol, f"attribute type {found}")

    def types(self, instr: Instr) -> None:
        try:
            declared = instr.op.infer(instr.operands, instr.attrs, instr.regions)
        except (InternalError, AssertionError, KeyError, ValueError, TypeError, IndexError, AttributeError) as error:
            self.fail(f"{type(error).__name__}: {error}")
        if len(declared) != len(instr.results):
            self.fail(f"{len(declared)} results expected, {len(instr.results)} found")
        for k, (expected, result) in enumerate(zip(declared, instr.results, strict=True)):
            is_free = instr.op.name == "if" and holds_in_arms(result.type, instr.results, k, instr.regions)
            if resolve_slots(expected, instr.results) != result.type and not is_free:
                self.fail(f"{result!r} should have type {expected}")
            self.affine_form(instr, result)
        if instr.op.name in ("if", "check") and instr.operands[0].type != BOOL_SCALAR:
            self.fail(f"{instr.op.name} of {instr.operands[0]!r}")

    def affine_form(self, instr: Instr, result: Value) -> None:
        """A known affine form is the one of the op; not knowing it is allowed."""
        if result.type != I64_SCALAR or result.affine == dim_of(result):
            return
        known = instr.op.affine
        if known is None or known(*[o.affine for o in instr.operands], **instr.attrs) != result.affine:
            self.fail(f"{result!r} is not {result.affine}")
