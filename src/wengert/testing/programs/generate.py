"""Random programs: numerical Python as source text, with inputs to run it at, from a seed.

A program is a module with helpers, captured constants and a function `program` that returns a float. It is differentiable at
the drawn inputs except by accident: functions are used inside their domains, values are squashed before they grow, and the
operands of comparisons are random numbers.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from wengert.testing.programs import idioms, idioms_held, idioms_nested, idioms_shared
from wengert.testing.programs.expressions import scalar, tame
from wengert.testing.programs.scope import Frame, Helper, Shape, Variable, Writer, bare
from wengert.testing.programs.statements import statements

_HEADER = '''"""A random program, from seed {seed}."""

import bisect
import heapq
import itertools
import math
from collections import Counter, defaultdict, deque, namedtuple
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce

import numpy as np

GAIN = {gain}
TABLE = np.array([{table}])

Pair = namedtuple("Pair", ["low", "high"])


@dataclass
class Model:
    rate: float
    shift: float
    weights: np.ndarray

    def at(self, t):
        return {method}

'''


@dataclass(frozen=True)
class Program:
    """A generated program.

    Attributes:
        seed: what it was made from.
        source: the text of its module; `make_args()` in it gives the arguments, `program(*args)` runs it.
        wrt: positions of the arguments that hold floats.
    """

    seed: int
    source: str
    wrt: tuple[int, ...]


def generate(seed: int) -> Program:
    """The program of this seed: always the same."""
    rng = random.Random(seed)
    w = Writer(rng)
    inputs = _draw_inputs(w)
    table = ", ".join(_number(rng) for _ in range(rng.randrange(3, 6)))
    globals_ = [
        Variable("GAIN", "float", assignable=False),
        Variable("TABLE", "array", (table.count(",") + 1,), assignable=False, writable=False),
    ]
    method = w.pick(("self.rate * t + self.shift", "math.tanh(self.rate + t) * self.shift", "self.weights[0] * t + self.rate"))
    shapes = [v.shape for i in inputs for v in i.variables if v.kind == "array"] or [(4,)]
    for _ in range(rng.randrange(0, 3)):
        _write_helper(w, shapes, globals_ if rng.random() < 0.5 else [])
    w.variables = [v for i in inputs for v in i.variables] + (globals_ if rng.random() < 0.4 else [])
    w.helpers += [h for i in inputs for h in i.helpers]
    _write_program(w, inputs)
    _write_arguments(w, inputs)
    header = _HEADER.format(seed=seed, gain=_number(rng), table=table, method=method)
    header += idioms.HEADER + idioms_nested.HEADER + idioms_shared.HEADER + idioms_held.HEADER
    wrt = tuple(k for k, i in enumerate(inputs) if i.moves)
    return Program(seed, header + "\n".join(w.lines) + "\n", wrt)


# --- inputs ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Input:
    """A parameter of the program: its name, the text of its argument, and the variables that it brings in sight."""

    name: str
    text: str
    variables: tuple[Variable, ...]
    moves: bool = True
    helpers: tuple[Helper, ...] = ()


def _number(rng: random.Random) -> str:
    return repr(round(rng.uniform(-1.8, 1.8), 6))


def _vector(rng: random.Random, size: int) -> str:
    return f"np.array([{', '.join(_number(rng) for _ in range(size))}])"


def _matrix(rng: random.Random, shape: Shape) -> str:
    rows = [f"[{', '.join(_number(rng) for _ in range(shape[1]))}]" for _ in range(shape[0])]
    return f"np.array([{', '.join(rows)}])"


def _draw_inputs(w: Writer) -> list[Input]:
    rng = w.rng
    sizes = [rng.randrange(2, 7), rng.randrange(1, 8)]
    inputs = [_float_input(w, name) for name in "abc"[: rng.randrange(1, 4)]]
    for name in "xy"[: rng.choice((0, 1, 1, 2, 2))]:
        size = rng.choice(sizes)
        inputs.append(Input(name, _vector(rng, size), (Variable(name, "array", (size,)),)))
    if w.chance(0.45):
        shape = (rng.choice((*sizes, 3)), rng.choice((*sizes, 3)))
        inputs.append(Input("M", _matrix(rng, shape), (Variable("M", "array", shape),)))
    if w.chance(0.4):
        size = rng.choice((*sizes, 11))
        inputs.append(Input("n", str(size), (Variable("n", "int", low=size, high=size, assignable=False),), moves=False))
    if w.chance(0.5):
        inputs.append(w.pick(_CONTAINERS)(w, "p", rng.choice(sizes)))
    return inputs


def _float_input(w: Writer, name: str) -> Input:
    return Input(name, _number(w.rng), (Variable(name, "float"),))


def _dict_input(w: Writer, name: str, size: int) -> Input:
    text = f'{{"rate": {_number(w.rng)}, "w": {_vector(w.rng, size)}}}'
    return Input(name, text, (Variable(f'{name}["rate"]', "float"), Variable(f'{name}["w"]', "array", (size,))))


def _list_input(w: Writer, name: str, size: int) -> Input:
    text = f"[{', '.join(_number(w.rng) for _ in range(size))}]"
    names = [f"{name}[{k}]" for k in range(min(size, 3))] + [f"{name}[-1]"]
    whole = Variable(name, "list", (size,), assignable=False)
    return Input(name, text, (*(Variable(n, "float") for n in dict.fromkeys(names)), whole))


def _tuple_input(w: Writer, name: str, size: int) -> Input:
    text = f"({_number(w.rng)}, {_vector(w.rng, size)})"
    parts = (Variable(f"{name}[0]", "float", assignable=False), Variable(f"{name}[1]", "array", (size,), assignable=False))
    return Input(name, text, parts)


def _named_tuple_input(w: Writer, name: str, size: int) -> Input:
    text = f"Pair({_number(w.rng)}, {_number(w.rng)})"
    parts = (Variable(f"{name}.low", "float", assignable=False), Variable(f"{name}.high", "float", assignable=False))
    return Input(name, text, parts)


def _object_input(w: Writer, name: str, size: int) -> Input:
    text = f"Model({_number(w.rng)}, {_number(w.rng)}, {_vector(w.rng, size)})"
    parts = (
        Variable(f"{name}.rate", "float"),
        Variable(f"{name}.shift", "float"),
        Variable(f"{name}.weights", "array", (size,)),
    )
    return Input(name, text, parts, helpers=(Helper(f"{name}.at", (("float", ()),), "float"),))


_CONTAINERS: tuple[Callable[[Writer, str, int], Input], ...] = (
    _dict_input,
    _list_input,
    _tuple_input,
    _named_tuple_input,
    _object_input,
)


# --- functions -------------------------------------------------------------------------------------------------------


def _write_helper(w: Writer, shapes: list[Shape], globals_: list[Variable]) -> None:
    """A helper on top level, which may call those above it."""
    gives = w.pick(("float", "float", "pair", "array", "none"))
    shape = w.pick(shapes)
    name = w.fresh("helper")
    params: list[Variable] = []
    if gives in ("array", "none"):
        params.append(Variable(w.fresh("x"), "array", shape, writable=gives == "none"))
    for _ in range(w.rng.randrange(1, 3)):
        params.append(Variable(w.fresh("s"), "float"))
    if gives == "float" and w.chance(0.4):
        params.append(Variable(w.fresh("v"), "array", w.pick(shapes), writable=False))
    keyword = w.fresh("gain") if w.chance(0.4) else ""
    texts = [p.text for p in params] + ([f"{keyword}={w.number()}"] if keyword else [])
    w.line(f"def {name}({', '.join(texts)}):")
    helpers, frame, budget = list(w.helpers), w.frame, w.budget
    w.frame, w.budget = Frame(gives=gives, may_return=gives != "array"), 4
    w.variables = params + ([Variable(keyword, "float")] if keyword else []) + globals_
    with w.block():
        statements(w, w.rng.randrange(1, 4))
        _return(w, gives, params[0])
    w.line("")
    w.line("")
    w.variables, w.frame, w.budget = [], frame, budget
    w.helpers = [*helpers, Helper(name, tuple((p.kind, p.shape) for p in params), gives, keyword)]


def _return(w: Writer, gives: str, first: Variable) -> None:
    if gives == "array":
        scale = tame(w, scalar(w, 1), 1.0)
        w.line(f"return np.tanh({first.text}) * {scale.text}")
    elif gives == "pair":
        w.line(f"return {bare(tame(w, scalar(w), 3.0).text)}, {bare(tame(w, scalar(w), 3.0).text)}")
    elif gives == "none":
        w.line(f"{first.text}[{w.rng.randrange(-first.shape[0], first.shape[0])}] *= {w.number(0.5, 0.9)}")
    else:
        w.line(f"return {bare(tame(w, scalar(w), 3.0).text)}")


def _write_program(w: Writer, inputs: list[Input]) -> None:
    w.line(f"def program({', '.join(i.name for i in inputs)}):")
    w.frame, w.budget = Frame(), w.rng.randrange(4, 9) if w.chance(0.6) else w.rng.randrange(9, 16)
    with w.block():
        statements(w, w.budget)
        parts = []
        for variable in w.rng.sample(w.variables, len(w.variables)):
            weight = w.number(0.2, 1.2)
            if variable.kind == "float":
                parts.append(f"{weight} * {variable.text}")
            elif variable.kind == "array":
                parts.append(f"{weight} * " + w.pick((f"np.sum({variable.text} ** 2)", f"np.mean({variable.text})")))
            elif variable.kind == "int" and w.chance(0.5):
                parts.append(f"0.01 * {variable.text}")
        w.line(f"return {' + '.join(parts[:5])} + {bare(scalar(w).text)}")
    w.line("")
    w.line("")


def _write_arguments(w: Writer, inputs: list[Input]) -> None:
    w.line("def make_args():")
    w.line(f"    return ({', '.join(i.text for i in inputs)},)")

