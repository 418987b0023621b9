"""A builder that runs every instruction at once: rules and transforms written for the IR compute with it right away.

Control flow leaves no trace in what it records: the instructions that ran stand in a row, as on Wengert's list.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from wengert.errors import InternalError, Span
from wengert.ir.builder import Builder, resolve_slots
from wengert.ir.core import Instr, Region, Value
from wengert.ir.effects import host_call, host_print, raise_check, wrap_index
from wengert.ir.op import OpDef, get_op
from wengert.ir.rewrite import substitute_type
from wengert.ops.index import numpy_index
from wengert.tape.versions import Version
from wengert.types import (
    BOOL,
    BOOL_SCALAR,
    DTYPES,
    F32,
    F32_SCALAR,
    F64,
    F64_SCALAR,
    I64,
    I64_SCALAR,
    Affine,
    DType,
    StackType,
    TensorType,
    Type,
)


class KnownValue(Value):
    """A value with its run-time data: a Python number (rank 0), an array, a `Version` of one, or a stack.

    An f32 scalar is an `np.float32`. A stack is a chain of `(rest, entry)` pairs ending in `()`; entries are tuples of known
    values.
    """

    __slots__ = ("data",)

    def __init__(self, type: Type, data: Any, name: str = "") -> None:
        super().__init__(type, name, data if type is I64_SCALAR else None)
        self.data = data


Env = dict[Value, Value]
_SCALAR_TYPES: dict[type, TensorType] = {float: F64_SCALAR, int: I64_SCALAR, bool: BOOL_SCALAR, np.float32: F32_SCALAR}
_PLAIN: dict[DType, Callable[[Any], Any]] = {F64: float, F32: np.float32, I64: int, BOOL: bool}
_SCALARS: dict[DType, TensorType] = {t.dtype: t for t in _SCALAR_TYPES.values()}
_DTYPES: dict[np.dtype, DType] = {d.numpy: d for d in DTYPES.values()}


class EvalBuilder(Builder):
    """Runs what is emitted and knows the run-time value of everything it made.

    Results of control flow are the values made inside; `push` and `pop` hand values through. So `instrs` holds plain
    ops only, whose operands are known values too.

    Attributes:
        record: whether `instrs` keeps the instructions that ran.
        positions: the inputs that are differentiated at, by their position; None for all.
    """

    def __init__(
        self,
        span: Span | None = None,
        record: bool = True,
        *,
        positions: Sequence[int] | None = None,
        parent: EvalBuilder | None = None,
    ) -> None:
        super().__init__(span)
        self.record = record
        self.positions = positions
        self._parent = parent
        self._active: set[Value] = set() if parent is None else parent._active
        self._scanned = 0

    def lift_known(self, array: Any, name: str = "") -> KnownValue:
        """A value of the given number or array, which is not copied and must not be changed afterwards."""
        scalar = _SCALAR_TYPES.get(type(array))
        if scalar is not None:
            return KnownValue(scalar, array, name)
        array = np.asarray(array)
        dtype = _DTYPES.get(array.dtype)
        if dtype is None:
            raise InternalError(f"a value of dtype {array.dtype} in eager mode; convert it to f64, i64 or bool first")
        if array.ndim == 0:
            return self.lift_known(_PLAIN[dtype](array), name)
        return KnownValue(TensorType(dtype, array.shape), array, name)

    def known(self, value: Value) -> Any:
        """The number (a Python one) or the array of `value`. The array must not be changed."""
        data = _data(value)
        return np.array(data.buffer()) if isinstance(data, Version) else data

    def buffer(self, value: Value) -> np.ndarray[Any, Any]:
        """An array of the strides that the array of `value` has in NumPy; its contents may be those of another time."""
        data = _data(value)
        return data.buffer() if isinstance(data, Version) else np.asarray(data)

    def moved(self, value: Value, place: np.ndarray[Any, Any]) -> Value:
        """A value that is `value`, in the memory of `place`."""
        (same,) = self.emit(get_op("assume_shape"), (value, *(self.const(int(size)) for size in place.shape)))
        place[...] = self.known(value)
        same.data = place  # type: ignore[attr-defined]
        return same

    def note_input(self, position: int, value: Value) -> None:
        """Declare `value` an input of the program that runs."""
        if self.positions is None or position in self.positions:
            self._active.add(value)

    def depends_on_input(self, value: Value) -> bool:
        """Whether a change of the inputs moves `value`, by what has run so far."""
        if not self.record or (self._parent is not None and not self._parent.record):
            return True
        if self._parent is not None:
            self._parent.depends_on_input(value)
        for instr in self.instrs[self._scanned :]:
            if instr.op.name != "stop_gradient" and not self._active.isdisjoint(instr.operands):
                self._active.update(r for r in instr.results if r.is_float)
        self._scanned = len(self.instrs)
        return value in self._active

    def child(self) -> Builder:
        """A builder for a region: it records, since the region's parameters are not known yet."""
        return Builder(self.span)

    def const(self, value: float | bool, dtype: DType | None = None) -> Value:
        """A scalar constant; the dtype follows the Python type unless given."""
        plain = value if dtype is None else _PLAIN[dtype](value)
        result = KnownValue(_SCALAR_TYPES[type(plain)], plain)
        if self.record:
            attrs = {"value": plain if dtype != F32 else float(plain), "dtype": result.tensor.dtype}
            self.instrs.append(Instr(get_op("const"), (), (result,), attrs, (), self.span))
        return result

    def lift(self, op: OpDef, operands: Sequence[Any]) -> Sequence[Value]:
        """Python numbers as constants, as in the base class; quick where everything is a scalar."""
        types = [o.type for o in operands if isinstance(o, Value)]
        if len(types) == len(operands):
            return list(operands)
        if op.kind != "elementwise" or not all(t is F64_SCALAR for t in types):
            return super().lift(op, operands)
        return [o if isinstance(o, Value) else self.const(o if isinstance(o, bool) or not types else float(o)) for o in operands]

    def append(self, instr: Instr) -> None:
        """Record an instruction that has run."""
        if not all(isinstance(r, KnownValue) for r in instr.results):
            raise InternalError(f"{instr!r} has not been run; use emit")
        if self.record:
            self.instrs.append(instr)

    def emit(
        self,
        op: OpDef,
        operands: Sequence[Value],
        attrs: dict[str, Any] | None = None,
        regions: Sequence[Region] = (),
        names: Sequence[str] = (),
    ) -> tuple[Value, ...]:
        """Run one instruction and return its results."""
        attrs = attrs or {}
        structural = _STRUCTURAL.get(op.name)
        if structural is not None:
            return structural(self, operands, attrs, regions, {})
        result = self._leaf(op, operands, attrs, names[0] if names else "")
        if self.record:
            self.instrs.append(Instr(op, tuple(operands), (result,), attrs, (), self.span))
        return (result,)

    # --- plain ops ----------------------------------------------------------------------------------------------

    def _leaf(self, op: OpDef, operands: Sequence[Value], attrs: dict[str, Any], name: str) -> KnownValue:
        data = [_data(o) for o in operands]
        scalar = _SCALAR_OPS.get(op.name)
        if scalar is not None and all(type(d) is float for d in data):
            number = scalar(*data)
            if number is not None:
                return KnownValue(_SCALAR_TYPES[type(number)], number, name)
        (declared,) = op.infer(operands, attrs, ())
        assert isinstance(declared, TensorType)
        write = _WRITES.get(op.name)
        if write is not None and declared.rank:
            if not isinstance(data[0], Version):
                # Copied once: from here on the array has versions.
                operands[0].data = data[0] = Version(np.array(data[0]))  # type: ignore[attr-defined]
            return KnownValue(declared, write(data, attrs), name)
        if op.impl is None:
            raise InternalError(f"op {op.name} has no NumPy implementation", self.span)
        arrays = [d.buffer() if isinstance(d, Version) else d for d in data]
        if _is_shared(data, arrays):
            arrays = [_array(d) for d in data]
        found = np.asarray(op.impl(*arrays, **attrs), dtype=declared.dtype.numpy)
        if found.shape != declared.dims:
            raise InternalError(f"{op.name} gave an array of shape {found.shape}, expected {declared}", self.span)
        if not found.ndim:
            return KnownValue(_SCALARS[declared.dtype], _PLAIN[declared.dtype](found), name)
        # A view of a shared buffer would change with the next version.
        views = [a for a, d in zip(arrays, data, strict=True) if isinstance(d, Version)]
        if any(np.may_share_memory(found, a) for a in views):
            found = found.copy(order="K")
        return KnownValue(declared, found, name)

    # --- control ------------------------------------------------------------------------------------------------

    def _region(self, region: Region, arguments: Sequence[Value], env: Env) -> list[Value]:
        env.update(zip(region.params, arguments, strict=True))
        outer = self.span
        for instr in region.instrs:
            self.span = instr.span or outer
            operands = [env.get(o, o) for o in instr.operands]
            structural = _STRUCTURAL.get(instr.op.name)
            if structural is not None:
                results = structural(self, operands, instr.attrs, instr.regions, env)
            else:
                results = self.emit(instr.op, operands, instr.attrs, (), [r.name for r in instr.results])
            env.update(zip(instr.results, results, strict=True))
        self.span = outer
        return [env.get(r, r) for r in region.results]

    def _if(self, operands: Sequence[Value], attrs: Any, regions: Sequence[Region], env: Env) -> tuple[Value, ...]:
        return tuple(self._region(regions[0 if _data(operands[0]) else 1], (), env))

    def _for(self, operands: Sequence[Value], attrs: Any, regions: Sequence[Region], env: Env) -> tuple[Value, ...]:
        carry = list(operands[1:])
        for index in range(_data(operands[0])):
            carry = self._region(regions[0], [self.const(index), *carry], env)
        return tuple(carry)

    def _while(self, operands: Sequence[Value], attrs: Any, regions: Sequence[Region], env: Env) -> tuple[Value, ...]:
        carry = list(operands)
        while _data(self._region(regions[0], carry, env)[0]):
            carry = self._region(regions[1], carry, env)
        return tuple(carry)

    # --- stacks, effects, fillers -------------------------------------------------------------------------------

    def _stack_new(self, operands: Sequence[Value], attrs: Any, regions: Any, env: Env) -> tuple[Value, ...]:
        elements = tuple(substitute_type(env, e) for e in attrs["elements"])
        return (KnownValue(StackType(elements), ()),)  # type: ignore[arg-type]

    def _push(self, operands: Sequence[Value], attrs: Any, regions: Any, env: Env) -> tuple[Value, ...]:
        stack, *entry = operands
        return (KnownValue(stack.type, (_data(stack), tuple(entry))),)

    def _pop(self, operands: Sequence[Value], attrs: Any, regions: Any, env: Env) -> tuple[Value, ...]:
        data = _data(operands[0])
        if not data:
            raise InternalError("pop of an empty stack", self.span)
        rest, entry = data
        return (KnownValue(operands[0].type, rest), *entry)

    def _check(self, operands: Sequence[Value], attrs: Any, regions: Any, env: Env) -> tuple[Value, ...]:
        if not _data(operands[0]):
            raise_check(attrs, self.span, [self.known(o) for o in operands[1:]])
        return ()

    def _host_print(self, operands: Sequence[Value], attrs: Any, regions: Any, env: Env) -> tuple[Value, ...]:
        host_print(attrs, [self.known(o) for o in operands])
        return ()

    def _host_call(self, operands: Sequence[Value], attrs: Any, regions: Any, env: Env) -> tuple[Value, ...]:
        """Recorded where a number or array goes in and comes out, so that a derivative through it is refused, not zero."""
        op = get_op("host_call")
        types = [substitute_type(env, t) for t in attrs["elements"]]
        formal: list[Value] = []
        for declared in types:
            formal.append(Value(resolve_slots(declared, formal)))
        found = host_call(attrs, formal, [self.known(o) for o in operands], _static_size, self.span)
        results = tuple([self.lift_known(value) for value in found])
        if self.record and any(o.is_float for o in operands) and (attrs.get("cut") or any(r.is_float for r in results)):
            self.instrs.append(Instr(op, tuple(operands), results, attrs, (), self.span))
        return results

    def _wrap_index(self, operands: Sequence[Value], attrs: Any, regions: Any, env: Env) -> tuple[Value, ...]:
        """Checked now, so that what is recorded is a constant."""
        position, size = (_data(o) for o in operands)
        return (self.const(wrap_index(position, size, attrs, self.span), I64),)

    def _undef(self, operands: Sequence[Value], attrs: Any, regions: Any, env: Env) -> tuple[Value, ...]:
        declared = substitute_type(env, attrs["type"])
        if isinstance(declared, StackType):
            return (KnownValue(declared, ()),)
        return (self.zeros_like(declared),)


def _static_size(declared: Affine) -> int:
    if isinstance(declared, int):
        return declared
    total = declared.const
    for symbol, coefficient in declared.terms:
        assert isinstance(symbol, Value)
        total += coefficient * int(_data(symbol))
    return total


def _data(value: Value) -> Any:
    if not isinstance(value, KnownValue):
        raise InternalError(f"{value!r} has no run-time value; it was not made by this builder")
    return value.data


# --- in-place writes -------------------------------------------------------------------------------------------------


def _array(data: Any) -> Any:
    """The current array or number. For a part that is written to its own whole, a copy."""
    return np.array(data.buffer()) if isinstance(data, Version) else data


def _is_shared(data: list[Any], arrays: list[Any]) -> bool:
    """Whether two versions of one array are read at once, of which the buffer can only show one."""
    owners: dict[int, Any] = {}
    return any(owners.setdefault(id(a), d) is not d for d, a in zip(data, arrays, strict=True) if isinstance(d, Version))


def _update(data: list[Any], attrs: dict[str, Any]) -> Version:
    key = numpy_index(attrs["spec"], data[2:])
    part = _array(data[1])
    return data[0].changed(key, lambda array: operator.setitem(array, key, part))


def _add_at(data: list[Any], attrs: dict[str, Any]) -> Version:
    key = numpy_index(attrs["spec"], data[2:])
    part = _array(data[1])
    with np.errstate(all="ignore"):
        return data[0].changed(key, lambda array: operator.setitem(array, key, array[key] + part))


def _scatter_add(data: list[Any], attrs: dict[str, Any]) -> Version:
    key, part = _array(data[1]), _array(data[2])
    with np.errstate(all="ignore"):
        return data[0].changed(key, lambda array: np.add.at(array, key, part))


def _scatter(data: list[Any], attrs: dict[str, Any]) -> Version:
    key, part = _array(data[1]), _array(data[2])
    if not attrs["distinct"]:
        # Of several writes to one place the last one wins.
        places, first = np.unique(key[::-1], return_index=True)
        key, part = places, part[::-1][first]
    return data[0].changed(key, lambda array: operator.setitem(array, key, part))


_WRITES: dict[str, Callable[[list[Any], dict[str, Any]], Version]] = {
    "update": _update,
    "add_at": _add_at,
    "scatter_add": _scatter_add,
    "scatter": _scatter,
}

# --- scalars ---------------------------------------------------------------------------------------------------------


def _guarded(function: Callable[..., float]) -> Callable[..., float | None]:
    """None where Python raises and IEEE arithmetic has inf or nan: the NumPy implementation takes over."""

    def call(*numbers: float) -> float | None:
        try:
            return function(*numbers)
        except (ValueError, OverflowError, ZeroDivisionError):
            return None

    return call


# Python's own arithmetic on two floats is some ten times as fast as NumPy's.
_SCALAR_OPS: dict[str, Callable[..., float | bool | None]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "zmul": lambda x, y: 0.0 if x == 0.0 or y == 0.0 else x * y,
    "neg": operator.neg,
    "abs": abs,
    "div": _guarded(operator.truediv),
    "sqrt": _guarded(math.sqrt),
    "exp": _guarded(math.exp),
    "log": _guarded(math.log),
    "sin": _guarded(math.sin),
    "cos": _guarded(math.cos),
    "tanh": math.tanh,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
    "eq": operator.eq,
    "attains": operator.eq,
    "ne": operator.ne,
    "isnan": math.isnan,
    "isfinite": math.isfinite,
    "stop_gradient": lambda x: x,
}

_STRUCTURAL: dict[str, Callable[..., tuple[Value, ...]]] = {
    "if": EvalBuilder._if,
    "for": EvalBuilder._for,
    "while": EvalBuilder._while,
    "stack_new": EvalBuilder._stack_new,
    "push": EvalBuilder._push,
    "pop": EvalBuilder._pop,
    "check": EvalBuilder._check,
    "host_print": EvalBuilder._host_print,
    "host_call": EvalBuilder._host_call,
    "wrap_index": EvalBuilder._wrap_index,
    "undef": EvalBuilder._undef,
}
