"""The builder: makes instructions with inferred types. Rules, transforms and the frontend all write IR through it.

`emit` is the one point through which every instruction goes; the eager tape and the linearising builder override it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from wengert.errors import InternalError, Span
from wengert.ir.core import Function, Instr, Region, Value
from wengert.ir.op import OpDef, get_op
from wengert.types import BOOL, F64, I64, Affine, Dim, DType, Slot, StackType, TensorType, Type, plain_number


class Builder:
    """Appends instructions to `instrs`. `b.add(x, y)` emits the op `add`.

    Attributes:
        instrs: what has been emitted so far.
        span: the source span given to instructions made from here on.
        functions: the functions that calls among the instructions lead to; regions share it.
    """

    def __init__(self, span: Span | None = None) -> None:
        self.instrs: list[Instr] = []
        self.span = span
        self.functions: dict[str, Function] = {}

    # --- emitting -----------------------------------------------------------------------------------------------

    def emit(
        self,
        op: OpDef,
        operands: Sequence[Value],
        attrs: dict[str, Any] | None = None,
        regions: Sequence[Region] = (),
        names: Sequence[str] = (),
    ) -> tuple[Value, ...]:
        """Append one instruction and return its results."""
        instr = self.make(op, operands, attrs or {}, regions, names)
        self.append(instr)
        return instr.results

    def append(self, instr: Instr) -> None:
        """Append a finished instruction as it is."""
        self.instrs.append(instr)

    def make(
        self,
        op: OpDef,
        operands: Sequence[Value],
        attrs: dict[str, Any],
        regions: Sequence[Region] = (),
        names: Sequence[str] = (),
    ) -> Instr:
        """The instruction that `emit` would append."""
        types = op.infer(operands, attrs, regions)
        if len(types) == 1:  # a single result has none before it to refer to
            declared, name = types[0], names[0] if names else ""
            whole = op.affine is not None and type(declared) is TensorType and declared.dtype is I64
            affine = _affine(op, declared, operands, attrs) if whole else None
            results: tuple[Value, ...] = (Value(declared, name, affine),)
        else:
            found: list[Value] = []
            for index, declared in enumerate(types):
                name = names[index] if index < len(names) else ""
                found.append(Value(resolve_slots(declared, found), name, _affine(op, declared, operands, attrs)))
            results = tuple(found)
        return Instr(op, tuple(operands), results, attrs, tuple(regions), self.span)

    def known(self, value: Value) -> Any:
        """The run-time value of `value`; only the builder of the eager tape has one."""
        raise InternalError("this builder records instructions without running them")

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """`b.sin(x)`: emit the op called `name`; keyword arguments are attributes. One result is returned bare."""
        if name.startswith("_"):
            raise AttributeError(name)
        setattr(Builder, name, _method_of(get_op(name)))  # made when it is first asked for
        return getattr(self, name)

    def lift(self, op: OpDef, operands: Sequence[Any]) -> Sequence[Value]:
        """Python numbers as constants: of the shape (and dtype, if a float) of the other operands where the op is elementwise."""
        for operand in operands:
            if not isinstance(operand, Value):
                break
        else:
            return operands
        model = next((o for o in operands if isinstance(o, Value) and o.is_float), None)
        model = model or next((o for o in operands if isinstance(o, Value)), None)
        lifted: list[Value] = []
        for operand in operands:
            if isinstance(operand, Value):
                lifted.append(operand)
                continue
            dtype = None
            if model is not None and model.is_float and not isinstance(operand, bool):
                dtype = model.tensor.dtype
            elementwise = op.kind == "elementwise" and model is not None
            if elementwise:
                assert model is not None
                lifted.append(self.full(model.dims, operand, dtype))
            else:
                lifted.append(self.const(operand, dtype if op.kind not in ("index", "shape") else None))
        return lifted

    # --- constants and shapes -----------------------------------------------------------------------------------

    def const(self, value: float | bool, dtype: DType | None = None) -> Value:
        """A scalar constant; the dtype follows the Python type unless given."""
        if dtype is None:
            dtype = BOOL if isinstance(value, bool) else I64 if isinstance(value, int) else F64
        return self.emit(get_op("const"), (), {"value": plain_number(value, dtype), "dtype": dtype})[0]

    def full(self, dims: Sequence[Affine], value: Value | float | bool, dtype: DType | None = None) -> Value:
        """An array (or scalar, when `dims` is empty) that holds `value` everywhere."""
        scalar = value if isinstance(value, Value) else self.const(value, dtype)
        return self.broadcast_to(scalar, dims, ())

    def zeros_like(self, model: Value | Type) -> Value:
        """Zeros of the type of `model`: the zero tangent or cotangent. For a stack type, an empty stack."""
        declared = model.type if isinstance(model, Value) else model
        if isinstance(declared, StackType):
            return self.stack_new(0, elements=declared.elements)
        return self.full(declared.dims, 0, declared.dtype)

    def broadcast_to(self, x: Value, dims: Sequence[Affine], axes: Sequence[int]) -> Value:
        """`x` placed on `axes` of an array of shape `dims` and repeated along the others."""
        if tuple(axes) == tuple(range(len(dims))) and tuple(dims) == x.dims:
            return x
        shape = [self.dim(d) for d in dims]
        return self.emit(get_op("broadcast"), (x, *shape), {"axes": tuple(axes)})[0]

    def dim(self, d: Affine) -> Value:
        """A dimension as an `i64[]` value."""
        if isinstance(d, int):
            return self.const(d)
        total: Value | None = None
        for symbol, coefficient in d.terms:
            if not isinstance(symbol, Value):
                raise InternalError(f"dimension {d} has an unresolved slot")
            if total is None and coefficient == 1:
                total = symbol
            elif abs(coefficient) == 1 and total is not None:
                total = self.add(total, symbol) if coefficient == 1 else self.sub(total, symbol)
            else:
                term = self.mul(symbol, self.const(coefficient))
                total = term if total is None else self.add(total, term)
        assert total is not None
        if d.const:
            total = self.add(total, self.const(d.const))
        return total

    # --- regions ------------------------------------------------------------------------------------------------

    def child(self) -> Builder:
        """A builder for a region nested here."""
        inner = type(self)(self.span)
        inner.functions = self.functions
        return inner

    def region(self, types: Sequence[Type], body: Callable[..., Sequence[Value]], names: Sequence[str] = ()) -> Region:
        """A region with parameters of `types` (their `Slot(k)` refers to parameter k), filled by `body(builder, *params)`."""
        params: list[Value] = []
        for index, declared in enumerate(types):
            params.append(Value(resolve_slots(declared, params), names[index] if index < len(names) else ""))
        inner = self.child()
        results = body(inner, *params)
        return Region(tuple(params), tuple(inner.instrs), tuple(results))


def _method_of(op: OpDef) -> Callable[..., Any]:
    """The method of builders that emits `op`."""

    def method(self: Builder, *operands: Value | float | bool, **attrs: Any) -> Any:
        results = self.emit(op, self.lift(op, operands), attrs)
        return results[0] if len(results) == 1 else results

    return method


def _affine(op: OpDef, declared: Type, operands: Sequence[Value], attrs: dict[str, Any]) -> Affine | None:
    """An integer result as an affine expression of the operands, if the op gives one."""
    if op.affine is None or type(declared) is not TensorType or declared.dims or declared.dtype is not I64:
        return None
    return op.affine(*[o.affine for o in operands], **attrs)


def resolve_slots(declared: Type, values: Sequence[Value]) -> Type:
    """`declared` with every `Slot(k)` replaced by the affine form of `values[k]`."""

    def lookup(symbol: Any) -> Affine | None:
        return values[symbol.index].affine if isinstance(symbol, Slot) else None

    if isinstance(declared, StackType):
        return declared
    for dim in declared.dims:
        if type(dim) is Dim and any(type(symbol) is Slot for symbol, _ in dim.terms):
            return declared.substitute(lookup)
    return declared


def to_slots(types: Sequence[Type], values: Sequence[Value]) -> tuple[Type, ...]:
    """`types` with symbols that are among `values` replaced by the `Slot` of their position: the inverse of `resolve_slots`.

    Stack types stay: their slots count the elements of an entry.
    """
    positions: dict[Any, Affine] = {v: Dim(0, ((Slot(k), 1),)) for k, v in enumerate(values)}
    return tuple(t if isinstance(t, StackType) else t.substitute(positions) for t in types)


def types_agree(types: Sequence[Type], values: Sequence[Value], other: Sequence[Value]) -> bool:
    """Whether `other` has `types`, once references to `values` are read as references to `other` by position."""
    expected = to_slots(types, values)
    return len(types) == len(other) and all(
        resolve_slots(e, other) == o.type for e, o in zip(expected, other, strict=True)
    )


def holds_in_arms(declared: Type, values: Sequence[Value], place: int, arms: Sequence[Region]) -> bool:
    """Whether the result of an `if` at `place` may have the type `declared`, which refers to its results `values`.

    A size may be named in two ways, by an earlier result and by a value outside that both arms give for it: either is right.
    """
    (slots,) = to_slots([declared], values)
    return all(resolve_slots(slots, arm.results) == arm.results[place].type for arm in arms)
