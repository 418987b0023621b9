"""Random IR programs with loops, branches, in-place updates, views and stacks: native code against the interpreter.

What is looked for are hazards: an array overwritten while something still needs its old elements.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import wengert.ops  # noqa: F401 - registers the ops
from wengert.codegen import Options, compile
from wengert.ir.builder import Builder
from wengert.ir.core import Function, Value
from wengert.ir.interpret import run
from wengert.ir.op import get_op
from wengert.types import BOOL_SCALAR, F64, F64_SCALAR, I64_SCALAR, Affine, Dim, TensorType, dim_add, dim_of

PROGRAMS = int(os.environ.get("WENGERT_RANDOM_PROGRAMS", "60"))


class Generator:
    """Writes one random function over arrays `f64[n]`, `f64[n-2]`, `f64[3,n]` and scalars."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.n = Value(I64_SCALAR, "n")
        self.vector = TensorType(F64, (dim_of(self.n),))
        self.inner = TensorType(F64, (dim_add(dim_of(self.n), -2),))
        self.matrix = TensorType(F64, (3, dim_of(self.n)))
        self.types = (F64_SCALAR, self.vector, self.inner, self.matrix)
        self.budget = 60

    def function(self) -> Function:
        params = [Value(t, name) for t, name in zip((*self.types, self.vector), "axymz", strict=True)]
        b = Builder()
        pool = [self.n, *params]
        self.fill(b, pool, self.rng.randint(6, 14), 0)
        results = [self.pick(pool, t) for t in (*self.types, self.vector, self.vector, self.inner)]
        return Function("f", (self.n,), tuple(params), tuple(b.instrs), tuple(results))

    def pick(self, pool: Sequence[Value], declared: Any) -> Value:
        """A value of a type, one of the latest three mostly: values that die soon are overwritten soon."""
        found = [v for v in pool if v.type == declared]
        return self.rng.choice(found[-3:] if self.rng.random() < 0.85 else found)

    def kind(self) -> TensorType:
        """A type, vectors most often."""
        return self.rng.choices(self.types, (2, 6, 3, 2))[0]

    def fill(self, b: Builder, pool: list[Value], count: int, depth: int) -> None:
        steps: list[tuple[Callable[..., None], int]] = [
            (self.elementwise, 6), (self.write, 6), (self.view, 3), (self.reduce, 2), (self.shape, 3), (self.element, 3)
        ]  # fmt: skip
        if depth < 3:
            steps += [(self.loop, 2), (self.branch, 2), (self.while_loop, 1), (self.stack_loops, 1)]
        for _ in range(count):
            if self.budget <= 0:
                return
            self.budget -= 1
            step = self.rng.choices([s for s, _ in steps], [w for _, w in steps])[0]
            step(b, pool, depth)

    # --- steps --------------------------------------------------------------------------------------------------

    def elementwise(self, b: Builder, pool: list[Value], depth: int) -> None:
        declared = self.kind()
        x, y = self.pick(pool, declared), self.pick(pool, declared)
        name = self.rng.choice(["add", "sub", "mul", "maximum", "sin", "tanh", "exp", "select"])
        if name in ("sin", "tanh"):
            pool.append(getattr(b, name)(x))
        elif name == "exp":
            pool.append(b.exp(b.minimum(x, 1.0)))
        elif name == "select":
            pool.append(b.select(b.lt(x, y), y, b.mul(x, 0.5)))
        else:
            pool.append(b.mul(getattr(b, name)(x, y), 0.5) if name != "maximum" else b.maximum(x, y))

    def index(self, b: Builder, pool: Sequence[Value]) -> Value:
        found = [v for v in pool if v.type == I64_SCALAR and v.name == "i"]
        return self.rng.choice(found) if found and self.rng.random() < 0.7 else b.const(self.rng.randint(0, 3))

    def part(self, b: Builder, pool: Sequence[Value], whole: TensorType) -> tuple[tuple[str, ...], list[Value]]:
        start = b.const(self.rng.randint(0, 2))
        size, one = b.dim(self.inner.dims[0]), b.const(1)
        if whole == self.vector:
            if self.rng.random() < 0.25:
                return ("s",), [b.dim(dim_add(dim_of(self.n), -1)), size, b.const(-1)]
            return ("s",), [start, size, one]
        return (":", "s"), [start, size, one]

    def write(self, b: Builder, pool: list[Value], depth: int) -> None:
        add = self.rng.random() < 0.5
        write = b.add_at if add else b.update
        kind = self.rng.choices(range(4), (3, 4, 1, 1))[0]
        if kind == 0:
            x = self.pick(pool, self.vector)
            pool.append(write(x, self.pick(pool, F64_SCALAR), self.index(b, pool), spec=("i",)))
        elif kind == 1:
            x = self.pick(pool, self.vector)
            spec, indices = self.part(b, pool, self.vector)
            pool.append(write(x, self.pick(pool, self.inner), *indices, spec=spec))
        elif kind == 2:
            x = self.pick(pool, self.matrix)
            row = b.const(self.rng.randint(0, 2))
            pool.append(write(x, self.pick(pool, self.vector), row, spec=("i", ":")))
        else:
            x = self.pick(pool, self.matrix)
            at = (b.const(self.rng.randint(0, 2)), self.index(b, pool))
            pool.append(write(x, self.pick(pool, F64_SCALAR), *at, spec=("i", "i")))

    def view(self, b: Builder, pool: list[Value], depth: int) -> None:
        if self.rng.random() < 0.6:
            spec, indices = self.part(b, pool, self.vector)
            pool.append(b.index(self.pick(pool, self.vector), *indices, spec=spec))
        else:
            row = b.const(self.rng.randint(0, 2))
            pool.append(b.index(self.pick(pool, self.matrix), row, spec=("i", ":")))

    def element(self, b: Builder, pool: list[Value], depth: int) -> None:
        pool.append(b.index(self.pick(pool, self.vector), self.index(b, pool), spec=("i",)))

    def reduce(self, b: Builder, pool: list[Value], depth: int) -> None:
        kind = self.rng.randint(0, 4)
        if kind == 0:
            x = self.pick(pool, self.inner)
            pool.append(b.mul(b.sum(x, axes=(0,)), 0.1))
        elif kind == 1:
            pool.append(b.max(self.pick(pool, self.vector), axes=(0,)))
        elif kind == 2:
            pool.append(b.sum(self.pick(pool, self.matrix), axes=(0,)))
        elif kind == 3:
            pool.append(b.mul(b.matmul(self.pick(pool, self.vector), self.pick(pool, self.vector)), 0.1))
        else:
            pool.append(b.mul(b.cumsum(self.pick(pool, self.vector), axis=0, reverse=self.rng.random() < 0.5), 0.2))

    def shape(self, b: Builder, pool: list[Value], depth: int) -> None:
        kind = self.rng.randint(0, 4)
        if kind == 0:
            pool.append(b.full(self.vector.dims, self.pick(pool, F64_SCALAR)))
        elif kind == 1:
            pool.append(b.broadcast_to(self.pick(pool, self.vector), self.matrix.dims, (1,)))
        elif kind == 2:
            turned = b.transpose(self.pick(pool, self.matrix), perm=(1, 0))
            pool.append(b.transpose(b.mul(turned, 0.5), perm=(1, 0)))
        elif kind == 3:
            count: Affine = Dim(0, ((self.n, 3),))
            flat = b.reshape(self.pick(pool, self.matrix), b.dim(count))
            pool.append(b.reshape(flat, b.const(3), self.n))
        else:
            places = b.sub(b.full(self.vector.dims, b.sub(self.n, 1)), b.iota(self.n))
            if self.rng.random() < 0.5:
                pool.append(b.gather(self.pick(pool, self.vector), places))
            else:
                pool.append(b.scatter_add(self.pick(pool, self.vector), places, self.pick(pool, self.vector)))

    # --- regions ------------------------------------------------------------------------------------------------

    def loop(self, b: Builder, pool: list[Value], depth: int) -> None:
        initial = [self.pick(pool, self.kind()) for _ in range(self.rng.randint(1, 4))]

        def body(inner: Builder, i: Value, *carry: Value) -> list[Value]:
            mine = [*pool, i, *carry]
            self.fill(inner, mine, self.rng.randint(2, 6), depth + 1)
            return [self.pick(mine, c.type) for c in carry]

        region = b.region([I64_SCALAR, *(v.type for v in initial)], body, names=["i"])
        pool += b.emit(get_op("for"), [b.const(self.rng.randint(0, 4)), *initial], {}, [region])

    def while_loop(self, b: Builder, pool: list[Value], depth: int) -> None:
        initial = [b.const(0), *(self.pick(pool, self.kind()) for _ in range(self.rng.randint(1, 3)))]
        types = [v.type for v in initial]
        limit = self.rng.randint(0, 4)

        def cond(inner: Builder, *carry: Value) -> list[Value]:
            return [inner.lt(carry[0], inner.const(limit))]

        def body(inner: Builder, *carry: Value) -> list[Value]:
            mine = [*pool, *carry[1:]]
            self.fill(inner, mine, self.rng.randint(2, 6), depth + 1)
            return [inner.add(carry[0], inner.const(1)), *(self.pick(mine, c.type) for c in carry[1:])]

        regions = [b.region(types, cond), b.region(types, body)]
        pool += b.emit(get_op("while"), initial, {}, regions)[1:]

    def branch(self, b: Builder, pool: list[Value], depth: int) -> None:
        types = [self.kind() for _ in range(self.rng.randint(1, 3))]

        def arm(inner: Builder) -> list[Value]:
            mine = list(pool)
            self.fill(inner, mine, self.rng.randint(0, 4), depth + 1)
            return [self.pick(mine, t) for t in types]

        test = b.lt(self.pick(pool, F64_SCALAR), self.pick(pool, F64_SCALAR))
        assert test.type == BOOL_SCALAR
        pool += b.emit(get_op("if"), [test], {}, [b.region([], arm), b.region([], arm)])

    def stack_loops(self, b: Builder, pool: list[Value], depth: int) -> None:
        """A loop that pushes and one that pops, as reverse mode makes them."""
        entry = [self.kind() for _ in range(self.rng.randint(1, 3))]
        x = self.pick(pool, self.vector)
        count = b.const(self.rng.randint(0, 4))
        stack = b.stack_new(count, elements=tuple(entry))

        def forward(inner: Builder, i: Value, s: Value, carry: Value) -> list[Value]:
            mine = [*pool, i, carry]
            self.fill(inner, mine, self.rng.randint(1, 4), depth + 1)
            pushed = inner.push(s, *(self.pick(mine, t) for t in entry))
            self.fill(inner, mine, self.rng.randint(0, 3), depth + 1)
            return [pushed, self.pick(mine, self.vector)]

        region = b.region([I64_SCALAR, stack.type, self.vector], forward, names=["i"])
        full, y = b.emit(get_op("for"), [count, stack, x], {}, [region])

        def backward(inner: Builder, i: Value, s: Value, carry: Value) -> list[Value]:
            rest, *values = inner.pop(s)
            mine = [*pool, i, carry, *values]
            self.fill(inner, mine, self.rng.randint(1, 5), depth + 1)
            return [rest, self.pick(mine, self.vector)]

        region = b.region([I64_SCALAR, stack.type, self.vector], backward, names=["i"])
        pool.append(b.emit(get_op("for"), [count, full, y], {}, [region])[1])


@pytest.mark.parametrize("seed", range(PROGRAMS))
def test_random_program(seed: int) -> None:
    function = Generator(seed).function()
    rng = np.random.default_rng(seed)
    size = int(rng.integers(4, 40))
    args = [0.3, rng.normal(size=size), rng.normal(size=size - 2), rng.normal(size=(3, size)), rng.normal(size=size)]
    expected = run(function, args)
    kept = [np.array(a) for a in args]
    options = (Options(), Options(fuse=False), Options(inplace=False))[seed % 3 if seed % 2 else 0]
    native = compile(function, options)
    for _ in range(2):
        found = native(*args)
        for mine, theirs in zip(found, expected, strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-9, atol=1e-9)
    for before, after in zip(kept, args, strict=True):
        np.testing.assert_array_equal(before, after)
