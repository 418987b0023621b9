"""The reference interpreter: runs a function instruction by instruction on NumPy. Slow and plain: the meaning of the IR.

Values are NumPy scalars (rank 0) and arrays; a stack is a chain of `(rest, entry)` pairs, so nothing is ever mutated and the
arguments stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from wengert.errors import ArgumentError, InternalError
from wengert.ir.core import Function, Instr, Region, Value
from wengert.ir.effects import host_call, host_print, raise_check, wrap_index
from wengert.ir.stack_words import from_words, to_words
from wengert.types import Affine, Dim, Slot, StackType, TensorType

Env = dict[Any, Any]
TraceHook = Callable[[Instr, tuple[Any, ...]], None]


def run(function: Function, args: Sequence[Any], trace_hook: TraceHook | None = None) -> list[Any]:
    """The results of `function` on `args`.

    Args:
        function: what to run.
        args: one Python or NumPy number or array per parameter. Sizes are read from their shapes.
        trace_hook: called with each instruction and the tuple of its results, after it ran.

    Returns:
        NumPy scalars and arrays, none of which shares memory with an argument.

    Raises:
        ArgumentError: wrong number, rank, dtype or shape of arguments.
        Exception: whatever a check of the program raises.
    """
    env = bind_arguments(function, args)
    with np.errstate(all="ignore"):
        results = _Interpreter(env, trace_hook, function.functions).region(function.body)
    return [np.array(r) if isinstance(r, np.ndarray) and r.ndim else r for r in results]


def bind_arguments(function: Function, args: Sequence[Any]) -> Env:
    """Parameters and dims of `function` with their values; checks types and shapes."""
    if len(args) != len(function.params):
        raise ArgumentError(f"{function.name} takes {len(function.params)} arguments. Got {len(args)} instead.")
    env: Env = {p: _to_tensor(p, a) for p, a in zip(function.params, args, strict=True)}
    bind_sizes(function, [np.shape(env[p]) for p in function.params], env)
    return env


def bind_sizes(function: Function, shapes: Sequence[tuple[int, ...]], env: Env) -> None:
    """Add the values of `function.dims` to `env`, read from the shapes of its arguments, and check all sizes."""
    pairs = [
        (param, declared, size)
        for param, shape in zip(function.params, shapes, strict=True)
        if isinstance(param.type, TensorType)
        for declared, size in zip(param.dims, shape, strict=True)
    ]
    wanted = set(function.dims)
    for _, declared, size in pairs:
        if isinstance(declared, Dim) and len(declared.terms) == 1:
            symbol, coefficient = declared.terms[0]
            if symbol in wanted and symbol not in env and (size - declared.const) % coefficient == 0:
                env[symbol] = np.int64((size - declared.const) // coefficient)
    for dim in function.dims:
        if dim not in env:
            raise InternalError(f"size %{dim.name} of {function.name} cannot be read from its arguments")
    for param, declared, size in pairs:
        if dim_value(declared, env) != size:
            raise ArgumentError(
                f"argument {param.name!r} of {function.name} has a wrong shape",
                found=f"an axis of size {size}",
                expected=f"{declared} = {dim_value(declared, env)}",
            )


def dim_value(d: Affine, env: Env) -> int:
    """The size that dimension `d` has in `env`."""
    if isinstance(d, int):
        return d
    return d.const + sum(coefficient * int(env[symbol]) for symbol, coefficient in d.terms)


def _to_tensor(param: Value, argument: Any) -> Any:
    declared = param.type
    if not isinstance(declared, TensorType):
        raise InternalError(f"parameter %{param.name} is a {declared}; functions take tensors only")
    array = np.asarray(argument)
    if array.ndim != declared.rank or not np.can_cast(array.dtype, declared.dtype.numpy, casting="safe"):
        raise ArgumentError(
            f"argument {param.name!r} has a wrong type",
            found=f"{array.dtype} of shape {array.shape}",
            expected=str(declared),
        )
    return array.astype(declared.dtype.numpy)[()] if declared.rank == 0 else array.astype(declared.dtype.numpy)


class _Interpreter:
    def __init__(self, env: Env, trace_hook: TraceHook | None, functions: Mapping[str, Function]) -> None:
        self.env = env
        self.trace_hook = trace_hook
        self.functions = functions

    def region(self, region: Region, arguments: Sequence[Any] = ()) -> list[Any]:
        env = self.env
        if arguments:
            env.update(zip(region.params, arguments, strict=True))
        for instr in region.instrs:
            results = self.instr(instr)
            env.update(zip(instr.results, results, strict=True))
            if self.trace_hook is not None:
                self.trace_hook(instr, results)
        return [env[r] for r in region.results]

    def instr(self, instr: Instr) -> tuple[Any, ...]:
        values = [self.env[o] for o in instr.operands]
        special = _SPECIAL.get(instr.op.name)
        if special is not None:
            return special(self, instr, values)
        if instr.op.impl is None:
            raise InternalError(f"op {instr.op.name} has no NumPy implementation", instr.span)
        attrs = {k: v for k, v in instr.attrs.items() if not k.startswith("_")}
        found = instr.op.impl(*values, **attrs)
        many = found if len(instr.results) != 1 else (found,)
        return tuple(self.conform(r, v, instr) for r, v in zip(instr.results, many, strict=True))

    def conform(self, result: Value, found: Any, instr: Instr) -> Any:
        """`found` with the dtype of `result`, rank checked: implementations may return Python numbers."""
        if not isinstance(result.type, TensorType):
            return found
        array = np.asarray(found, dtype=result.type.dtype.numpy)
        if array.ndim != result.rank:
            raise InternalError(f"{instr} gave an array of shape {array.shape}", instr.span)
        return array if array.ndim else array[()]

    # --- control ------------------------------------------------------------------------------------------------

    def run_if(self, instr: Instr, values: list[Any]) -> tuple[Any, ...]:
        return tuple(self.region(instr.regions[0 if values[0] else 1]))

    def run_for(self, instr: Instr, values: list[Any]) -> tuple[Any, ...]:
        count, *carry = values
        for index in range(int(count)):
            carry = self.region(instr.regions[0], [np.int64(index), *carry])
        return tuple(carry)

    def run_while(self, instr: Instr, values: list[Any]) -> tuple[Any, ...]:
        cond, body = instr.regions
        carry = values
        while self.region(cond, carry)[0]:
            carry = self.region(body, carry)
        return tuple(carry)

    def run_call(self, instr: Instr, values: list[Any]) -> tuple[Any, ...]:
        callee = self.functions[instr.attrs["callee"]]
        env: Env = dict(zip(callee.params, values, strict=True))
        bind_sizes(callee, [np.shape(v) if isinstance(p.type, TensorType) else () for p, v in env.items()], env)
        return tuple(_Interpreter(env, self.trace_hook, self.functions).region(callee.body))

    # --- stacks -------------------------------------------------------------------------------------------------

    def run_stack_new(self, instr: Instr, values: list[Any]) -> tuple[Any, ...]:
        return ((),)

    def run_push(self, instr: Instr, values: list[Any]) -> tuple[Any, ...]:
        return ((values[0], tuple(values[1:])),)

    def run_pop(self, instr: Instr, values: list[Any]) -> tuple[Any, ...]:
        if not values[0]:
            raise InternalError("pop of an empty stack", instr.span)
        rest, entry = values[0]
        return (rest, *entry)

    def run_stack_save(self, instr: Instr, values: list[Any]) -> tuple[Any, ...]:
        declared = instr.operands[0].type
        assert isinstance(declared, StackType)
        words = to_words(values[0], declared)
        return (np.int64(len(words)), words)

    def run_stack_load(self, instr: Instr, values: list[Any]) -> tuple[Any, ...]:
        declared = instr.result.type
        assert isinstance(declared, StackType)
        return (from_words(values[0], declared, lambda d: dim_value(d, self.env)),)

    # --- effects and fillers ------------------------------------------------------------------------------------

    def run_check(self, instr: Instr, values: list[Any]) -> tuple[Any, ...]:
        if not values[0]:
            raise_check(instr.attrs, instr.span, values[1:])
        return ()

    def run_wrap_index(self, instr: Instr, values: list[Any]) -> tuple[Any, ...]:
        return (np.int64(wrap_index(int(values[0]), int(values[1]), instr.attrs, instr.span)),)

    def run_host_print(self, instr: Instr, values: list[Any]) -> tuple[Any, ...]:
        host_print(instr.attrs, values)
        return ()

    def run_host_call(self, instr: Instr, values: list[Any]) -> tuple[Any, ...]:
        found = host_call(instr.attrs, instr.results, values, lambda d: dim_value(d, self.env), instr.span)
        return tuple(self.conform(r, v, instr) for r, v in zip(instr.results, found, strict=True))

    def run_custom(self, instr: Instr, values: list[Any]) -> tuple[Any, ...]:
        primal: Function = instr.attrs["_rule"].primal
        inner = _Interpreter(bind_arguments(primal, values), self.trace_hook, primal.functions)
        return tuple(inner.region(primal.body))

    def run_undef(self, instr: Instr, values: list[Any]) -> tuple[Any, ...]:
        declared = instr.result.type
        if not isinstance(declared, TensorType):
            return ((),)
        if any(isinstance(s, Slot) for s in declared.symbols()):
            raise InternalError(f"undef of type {declared}", instr.span)
        shape = tuple(dim_value(d, self.env) for d in declared.dims)
        filler = np.full(shape, np.nan if declared.is_float else 0, dtype=declared.dtype.numpy)
        return (filler if declared.rank else filler[()],)


_SPECIAL: dict[str, Callable[[_Interpreter, Instr, list[Any]], tuple[Any, ...]]] = {
    "if": _Interpreter.run_if,
    "for": _Interpreter.run_for,
    "while": _Interpreter.run_while,
    "call": _Interpreter.run_call,
    "stack_new": _Interpreter.run_stack_new,
    "push": _Interpreter.run_push,
    "pop": _Interpreter.run_pop,
    "stack_save": _Interpreter.run_stack_save,
    "stack_load": _Interpreter.run_stack_load,
    "check": _Interpreter.run_check,
    "wrap_index": _Interpreter.run_wrap_index,
    "host_print": _Interpreter.run_host_print,
    "host_call": _Interpreter.run_host_call,
    "custom": _Interpreter.run_custom,
    "undef": _Interpreter.run_undef,
}
