"""Random IR functions for property tests: arithmetic, arrays, loops, branches, stacks, index checks.

Every function takes `(x: f64[n], a: f64[], k: i64[])` with n at least 2.
Numbers stay moderate, so that rounding does not grow without bound.
"""

from __future__ import annotations

import random

from wengert.ir.builder import Builder, to_slots
from wengert.ir.core import Function, Value
from wengert.ir.op import get_op
from wengert.types import BOOL_SCALAR, F64, F64_SCALAR, I64_SCALAR, StackType, TensorType, Type, dim_of

FLOATS = ("add", "sub", "mul", "maximum", "minimum")
INTS = ("add", "sub", "mul", "maximum", "minimum", "floordiv", "mod")
COMPARISONS = ("lt", "le", "gt", "ge", "eq", "ne")


class Scope:
    """Values at hand, by type, in one region."""

    def __init__(self, outer: Scope | None = None) -> None:
        self.pools: dict[Type, list[Value]] = {} if outer is None else {t: list(v) for t, v in outer.pools.items()}

    def add(self, *values: Value) -> None:
        for value in values:
            self.pools.setdefault(value.type, []).append(value)


class Generator:
    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def function(self, size: int = 14) -> Function:
        n = Value(I64_SCALAR, "n")
        array = TensorType(F64, (dim_of(n),))
        params = (Value(array, "x"), Value(F64_SCALAR, "a"), Value(I64_SCALAR, "k"))
        scope = Scope()
        scope.add(n, *params)
        self.n, self.array = n, array
        b = Builder()
        self.block(b, scope, size, depth=0)
        results = [self.pick(b, scope, t) for t in (F64_SCALAR, F64_SCALAR, array, I64_SCALAR)]
        return Function("random", (n,), params, tuple(b.instrs), tuple(results))

    def pick(self, b: Builder, scope: Scope, declared: Type) -> Value:
        pool = scope.pools.get(declared, [])
        if pool and self.random.random() < 0.85:
            return self.random.choice(pool[-6:] if self.random.random() < 0.7 else pool)
        if declared == F64_SCALAR:
            return b.const(self.random.choice([0.0, 1.0, -1.0, 0.5, 2.0, 0.3]))
        if declared == I64_SCALAR:
            return b.const(self.random.choice([0, 1, 2, -1, 3]))
        if declared == BOOL_SCALAR:
            return b.const(self.random.random() < 0.5)
        assert declared == self.array
        return b.broadcast(self.pick(b, scope, F64_SCALAR), self.n, axes=())

    def block(self, b: Builder, scope: Scope, size: int, depth: int) -> None:
        simple = [self.float_op, self.float_op, self.int_op, self.compare, self.choose, self.array_op, self.read, self.write]
        nested = [self.counted, self.conditional, self.loop, self.stacks]
        for _ in range(size):
            statement = self.random.choice(simple + (nested if depth < 3 else []))
            statement(b, scope, depth)

    # --- straight-line statements -------------------------------------------------------------------------------

    def float_op(self, b: Builder, scope: Scope, depth: int) -> None:
        x, y = (self.pick(b, scope, F64_SCALAR) for _ in range(2))
        choice = self.random.randrange(5)
        if choice == 0:
            scope.add(getattr(b, self.random.choice(["tanh", "neg", "sin", "abs"]))(x))
        elif choice == 1:
            scope.add(b.pow(b.add(b.abs(b.tanh(x)), 0.5), self.random.choice([0.5, 2.0, 1.0, -1.0, 3.0, 1.5])))
        elif choice == 2:
            scope.add(b.div(b.tanh(x), self.random.choice([2.0, 3.0, 1.0, -4.0])))
        else:
            scope.add(b.tanh(getattr(b, self.random.choice(FLOATS))(x, y)))

    def int_op(self, b: Builder, scope: Scope, depth: int) -> None:
        x, y = (self.pick(b, scope, I64_SCALAR) for _ in range(2))
        value = getattr(b, self.random.choice(INTS))(x, y)
        scope.add(b.mod(value, b.const(17)) if self.random.random() < 0.5 else value)

    def compare(self, b: Builder, scope: Scope, depth: int) -> None:
        declared = self.random.choice([F64_SCALAR, I64_SCALAR])
        x, y = (self.pick(b, scope, declared) for _ in range(2))
        value = getattr(b, self.random.choice(COMPARISONS))(x, y)
        if self.random.random() < 0.3:
            other = self.pick(b, scope, BOOL_SCALAR)
            value = getattr(b, self.random.choice(["and", "or", "xor"]))(value, other)
        scope.add(getattr(b, "not")(value) if self.random.random() < 0.3 else value)

    def choose(self, b: Builder, scope: Scope, depth: int) -> None:
        declared = self.random.choice([F64_SCALAR, I64_SCALAR, BOOL_SCALAR])
        x, y = (self.pick(b, scope, declared) for _ in range(2))
        scope.add(b.select(self.pick(b, scope, BOOL_SCALAR), x, y))

    def array_op(self, b: Builder, scope: Scope, depth: int) -> None:
        x, y = (self.pick(b, scope, self.array) for _ in range(2))
        choice = self.random.randrange(4)
        if choice == 0:
            scope.add(b.tanh(b.sum(x, axes=(0,))))
        elif choice == 1:
            scope.add(b.tanh(b.add(x, b.broadcast(self.pick(b, scope, F64_SCALAR), self.n, axes=()))))
        elif choice == 2:
            scope.add(b.tanh(b.matmul(x, y)))
        else:
            scope.add(b.tanh(getattr(b, self.random.choice(FLOATS))(x, y)))

    def place(self, b: Builder, scope: Scope) -> Value:
        index = self.pick(b, scope, I64_SCALAR)
        if self.random.random() < 0.98:
            index = b.mod(index, self.n)
            if self.random.random() < 0.3:
                index = b.sub(index, self.n)
        return b.wrap_index(index, self.n, what="axis 0")

    def read(self, b: Builder, scope: Scope, depth: int) -> None:
        x = self.pick(b, scope, self.array)
        if self.random.random() < 0.3:
            one = b.const(1)
            short = b.sub(self.n, one)
            part = b.index(x, self.random.choice([one, b.const(0)]), short, one, spec=("s",))
            scope.add(b.tanh(b.sum(part, axes=(0,))))
            position = b.wrap_index(b.mod(self.pick(b, scope, I64_SCALAR), short), short, what="axis 0")
            scope.add(b.index(part, position, spec=("i",)))
            return
        scope.add(b.index(x, self.place(b, scope), spec=("i",)))

    def write(self, b: Builder, scope: Scope, depth: int) -> None:
        x = self.pick(b, scope, self.array)
        op = b.update if self.random.random() < 0.7 else b.add_at
        position = self.place(b, scope)
        x = op(x, self.pick(b, scope, F64_SCALAR), position, spec=("i",))
        scope.add(x)
        if self.random.random() < 0.4:
            scope.add(b.index(x, position, spec=("i",)))

    # --- regions ------------------------------------------------------------------------------------------------

    def carry(self, b: Builder, scope: Scope) -> list[Value]:
        kinds = [F64_SCALAR, F64_SCALAR, I64_SCALAR, BOOL_SCALAR, self.array]
        return [self.pick(b, scope, self.random.choice(kinds)) for _ in range(self.random.randrange(1, 5))]

    def yields(self, b: Builder, scope: Scope, params: list[Value]) -> list[Value]:
        results: list[Value] = []
        for param in params:
            choice = self.random.random()
            if choice < 0.25:
                results.append(param)
            elif choice < 0.5 and param.type == I64_SCALAR:
                results.append(b.add(param, b.const(self.random.choice([1, 2, -1]))))
            else:
                results.append(self.pick(b, scope, param.type))
        return results

    def body(self, b: Builder, scope: Scope, params: list[Value], size: int, depth: int) -> list[Value]:
        inner = Scope(scope)
        inner.add(*params)
        self.block(b, inner, size, depth + 1)
        return self.yields(b, inner, params)

    def counted(self, b: Builder, scope: Scope, depth: int) -> None:
        init = self.carry(b, scope)
        count = self.random.choice([b.const(self.random.randrange(4)), self.n, b.sub(self.n, b.const(1))])

        def fill(inner: Builder, index: Value, *params: Value) -> list[Value]:
            nested = Scope(scope)
            nested.add(index)
            return self.body(inner, nested, list(params), 4, depth)

        region = b.region([I64_SCALAR, *(v.type for v in init)], fill, ["i"])
        scope.add(*b.emit(get_op("for"), [count, *init], {}, [region]))

    def conditional(self, b: Builder, scope: Scope, depth: int) -> None:
        models = self.carry(b, scope)
        arms = [
            b.region([], lambda inner: self.body(inner, scope, [], 3, depth) + self.yields(inner, scope, models))
            for _ in range(2)
        ]
        scope.add(*b.emit(get_op("if"), [self.pick(b, scope, BOOL_SCALAR)], {}, arms))

    def loop(self, b: Builder, scope: Scope, depth: int) -> None:
        init = [b.const(0), *self.carry(b, scope)]
        types = [v.type for v in init]
        limit = self.random.choice([b.const(3), self.n])

        def cond(inner: Builder, counter: Value, *params: Value) -> list[Value]:
            nested = Scope(scope)
            nested.add(*params)
            going = inner.lt(counter, limit)
            self.float_op(inner, nested, depth)
            other = inner.lt(self.pick(inner, nested, F64_SCALAR), 0.9)
            return [getattr(inner, "and")(going, other) if self.random.random() < 0.5 else going]

        def fill(inner: Builder, counter: Value, *params: Value) -> list[Value]:
            nested = Scope(scope)
            nested.add(counter)
            return [inner.add(counter, inner.const(1)), *self.body(inner, nested, list(params), 3, depth)]

        regions = [b.region(types, cond), b.region(types, fill)]
        scope.add(*b.emit(get_op("while"), init, {}, regions)[1:])

    def stacks(self, b: Builder, scope: Scope, depth: int) -> None:
        """One loop that pushes, and one that pops as often."""
        elements = (F64_SCALAR, I64_SCALAR)
        count = self.random.choice([b.const(self.random.randrange(4)), self.n])
        stack = b.stack_new(count, elements=to_slots(elements, ()))
        declared = StackType(elements)

        def push(inner: Builder, index: Value, stack: Value, x: Value) -> list[Value]:
            nested = Scope(scope)
            nested.add(index, x)
            self.block(inner, nested, 2, depth + 2)
            pushed = inner.push(stack, self.pick(inner, nested, F64_SCALAR), index)
            return [pushed, self.pick(inner, nested, F64_SCALAR)]

        def pop(inner: Builder, index: Value, stack: Value, x: Value) -> list[Value]:
            nested = Scope(scope)
            rest, value, number = inner.pop(stack)
            nested.add(index, x, value, number)
            self.block(inner, nested, 2, depth + 2)
            return [rest, self.pick(inner, nested, F64_SCALAR)]

        types = [I64_SCALAR, declared, F64_SCALAR]
        x = self.pick(b, scope, F64_SCALAR)
        stack, x = b.emit(get_op("for"), [count, stack, x], {}, [b.region(types, push)])
        _, x = b.emit(get_op("for"), [count, stack, x], {}, [b.region(types, pop)])
        scope.add(x)
