"""Calls between functions: what a call site knows of its callee, and walks over a function together with its callees.

The one idea: a `call` carries the signature of its callee, a template of types. So its result types are inferred at the call
site alone, also while a recursive callee is still being written. `refresh` brings all call sites up to date afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from wengert.errors import InternalError
from wengert.ir.builder import Builder
from wengert.ir.core import Function, Instr, Region, Value, walk
from wengert.ir.op import get_op
from wengert.types import I64_SCALAR, Affine, Dim, Slot, StackType, Symbol, TensorType, Type, dim_add


@dataclass(frozen=True, eq=False)
class Signature:
    """What a call site knows of a function.

    Attributes:
        dims: sizes that are read from the arguments.
        params: the parameters; types among them refer to `dims` and to `i64[]` parameters.
        results: types of the results, which refer to `dims`, to `i64[]` parameters and by `Slot` to earlier results.
        effects: whether calling it may raise or print; True as long as nobody has looked.
    """

    dims: tuple[Value, ...]
    params: tuple[Value, ...]
    results: tuple[Type, ...]
    effects: bool = True


def signature_of(fn: Function, effects: bool = True) -> Signature:
    """The signature of `fn`.

    Raises:
        InternalError: the size of a result is neither known from the arguments nor an earlier result.
    """
    return make_signature(fn.name, fn.dims, fn.params, fn.results, effects)


def make_signature(
    name: str, dims: Sequence[Value], params: Sequence[Value], results: Sequence[Value], effects: bool = True
) -> Signature:
    """The signature of a function with these parameters and results; `name` is for messages."""
    outside = {*dims, *params}
    positions: dict[Symbol, Affine] = {}
    types: list[Type] = []
    for k, result in enumerate(results):
        declared = result.type if isinstance(result.type, StackType) else result.type.substitute(positions)
        unknown = [s for s in declared.symbols() if isinstance(s, Value) and s not in outside]
        if unknown:
            raise InternalError(f"size {unknown[0]!r} of result {result!r} of @{name} is not an earlier result")
        types.append(declared)
        if result not in outside:
            positions.setdefault(result, Dim(0, ((Slot(k), 1),)))
    return Signature(tuple(dims), tuple(params), tuple(types), effects)


def call_types(signature: Signature, operands: Sequence[Value]) -> tuple[Type, ...]:
    """The types of the results of a call with `operands`; sizes known only inside the callee are slots.

    Raises:
        InternalError: the operands do not fit.
    """
    env = bind_symbols(signature, operands)
    for param, operand in zip(signature.params, operands, strict=True):
        if param.type.substitute(env) != operand.type:
            raise InternalError(f"argument {operand!r} of a call does not fit parameter {param!r}")
    return tuple(t.substitute(env) for t in signature.results)


def bind_symbols(signature: Signature, operands: Sequence[Value]) -> dict[Symbol, Affine]:
    """What the sizes in the types of `signature` are at a call with `operands`."""
    if len(operands) != len(signature.params):
        raise InternalError(f"a call of a function of {len(signature.params)} parameters has {len(operands)} arguments")
    env: dict[Symbol, Affine] = {}
    for param, operand in zip(signature.params, operands, strict=True):
        if param.type == I64_SCALAR and operand.type == I64_SCALAR:
            env[param] = operand.affine
    sizes = set(signature.dims)
    for param, operand in zip(signature.params, operands, strict=True):
        if not isinstance(param.type, TensorType) or not isinstance(operand.type, TensorType):
            continue
        for declared, actual in zip(param.dims, operand.dims, strict=False):
            if isinstance(declared, Dim) and len(declared.terms) == 1 and declared.terms[0][1] == 1:
                symbol = declared.terms[0][0]
                if symbol in sizes and symbol not in env:
                    env[symbol] = dim_add(actual, declared.const, -1)
    return env


def emit_call(
    b: Builder, callee: str, signature: Signature, operands: Sequence[Value], names: Sequence[str] = ()
) -> tuple[Value, ...]:
    """Emit a call of the function called `callee` and return its results."""
    return b.emit(get_op("call"), operands, {"callee": callee, "_signature": signature}, (), names)


def has_effects(instr: Instr) -> bool:
    """Whether `instr` itself (regions not included) may raise or print; a call may if its callee may."""
    if instr.op.name == "call":
        signature = instr.attrs["_signature"]
        assert isinstance(signature, Signature)
        return signature.effects
    return instr.op.effects


# --- a function with its callees -------------------------------------------------------------------------------------


def all_functions(fn: Function) -> Iterator[Function]:
    """`fn`, then the functions that it reaches through calls."""
    yield fn
    yield from fn.functions.values()


def walk_all(fn: Function) -> Iterator[Instr]:
    """All instructions of `fn` and of the functions that it calls."""
    for each in all_functions(fn):
        yield from walk(each.instrs)


def callees(instrs: Iterable[Instr]) -> list[str]:
    """Names of the functions that `instrs` call, regions included, in order of first use."""
    return list(dict.fromkeys(i.attrs["callee"] for i in walk(tuple(instrs)) if i.op.name == "call"))


def reachable(fn: Function) -> Function:
    """`fn` without the functions that no call leads to."""
    if not fn.functions:
        return fn
    found: dict[str, None] = {}
    pending = callees(fn.instrs)
    while pending:
        name = pending.pop()
        if name not in found:
            found[name] = None
            pending += callees(fn.functions[name].instrs)
    if len(found) == len(fn.functions):
        return fn
    return replace(fn, functions={n: f for n, f in fn.functions.items() if n in found})


def effectful(functions: Mapping[str, Function]) -> set[str]:
    """Names of those of `functions` that may raise or print, by themselves or through calls."""
    calls = {name: callees(f.instrs) for name, f in functions.items()}
    found = {name for name, f in functions.items() if any(i.op.effects for i in walk(f.instrs) if i.op.name != "call")}
    while True:
        new = {name for name, called in calls.items() if name not in found and any(c in found for c in called)}
        if not new:
            return found
        found |= new


def refresh(fn: Function) -> Function:
    """`fn` with the present signature of its callee at each call; `fn` itself if all are up to date."""
    if not fn.functions:
        return fn
    fn = reachable(fn)
    effects = effectful(fn.functions)
    current: dict[str, Signature] = {}
    for name, callee in fn.functions.items():
        current[name] = signature_of(callee, name in effects)
    for instr in walk_all(fn):  # keep the objects that are in use where they still hold
        if instr.op.name == "call":
            name, known = instr.attrs["callee"], instr.attrs["_signature"]
            if known is not current[name] and known.effects == current[name].effects and same_signature(known, current[name]):
                current[name] = known

    def update(instr: Instr) -> Instr:
        if instr.op.name != "call" or instr.attrs["_signature"] is current[instr.attrs["callee"]]:
            return instr
        return replace(instr, attrs={**instr.attrs, "_signature": current[instr.attrs["callee"]]})

    return map_instrs(fn, update)


def same_signature(a: Signature, b: Signature) -> bool:
    """Whether two signatures are equal up to the names of their sizes and parameters (effects not compared)."""
    if len(a.dims) != len(b.dims) or len(a.params) != len(b.params) or len(a.results) != len(b.results):
        return False
    env: dict[Symbol, Affine] = {x: y.affine for x, y in zip((*a.dims, *a.params), (*b.dims, *b.params), strict=True)}
    return all(x.type.substitute(env) == y.type for x, y in zip(a.params, b.params, strict=True)) and all(
        x.substitute(env) == y for x, y in zip(a.results, b.results, strict=True)
    )


def map_instrs(fn: Function, update: Callable[[Instr], Instr]) -> Function:
    """`fn` and its callees with `update` applied to every instruction (results keep their values); `fn` if nothing changed."""
    new = [replace(f, instrs=i) if (i := _mapped(f.instrs, update)) is not f.instrs else f for f in all_functions(fn)]
    if all(a is b for a, b in zip(new, all_functions(fn), strict=True)):
        return fn
    return replace(new[0], functions=dict(zip(fn.functions, new[1:], strict=True)))


def _mapped(instrs: tuple[Instr, ...], update: Callable[[Instr], Instr]) -> tuple[Instr, ...]:
    new = []
    for instr in instrs:
        regions = tuple([_mapped_region(r, update) for r in instr.regions])
        kept = all(a is b for a, b in zip(regions, instr.regions, strict=True))
        new.append(update(instr if kept else replace(instr, regions=regions)))
    return instrs if all(a is b for a, b in zip(new, instrs, strict=True)) else tuple(new)


def _mapped_region(region: Region, update: Callable[[Instr], Instr]) -> Region:
    instrs = _mapped(region.instrs, update)
    return region if instrs is region.instrs else replace(region, instrs=instrs)


# --- names -----------------------------------------------------------------------------------------------------------


def unused_name(hint: str, used: Iterable[str]) -> str:
    """`hint`, or `hint.1` and so on if that is among `used`."""
    taken, name, number = set(used), hint, 0
    while name in taken:
        number += 1
        name = f"{hint}.{number}"
    return name


def renamed(fn: Function, names: Mapping[str, str]) -> Function:
    """`fn` with its callees under other names; those that are not in `names` stay."""
    if all(names.get(n, n) == n for n in fn.functions):
        return fn

    def update(instr: Instr) -> Instr:
        callee = instr.attrs.get("callee")
        new = names.get(callee) if isinstance(callee, str) else None
        return instr if new is None else replace(instr, attrs={**instr.attrs, "callee": new})

    new = map_instrs(fn, update)
    functions = {names.get(n, n): replace(f, name=names.get(n, n)) for n, f in new.functions.items()}
    return replace(new, functions=functions)


def linked(fn: Function, functions: dict[str, Function]) -> Function:
    """`fn` with its callees added to `functions`, under other names where a name is taken by another function."""
    names: dict[str, str] = {}
    for name, callee in fn.functions.items():
        if functions.get(name, callee) is not callee:
            names[name] = unused_name(name, {*functions, *fn.functions, *names.values()})
    if any(name in functions and name not in names for name in fn.functions) and names:
        names = {n: names.get(n) or unused_name(n, {*functions, *fn.functions, *names.values()}) for n in fn.functions}
    new = renamed(fn, names)
    functions.update(new.functions)
    return new

