"""Random programs with calls: functions that call themselves and each other in arms and loops, on scalars and arrays.

Every function takes a budget `k` and runs its base arm at zero; calls pass less. Values stay in [-1, 1] by sines.
"""

from __future__ import annotations

import random

from wengert.ir.builder import Builder
from wengert.ir.calls import Signature, emit_call, refresh
from wengert.ir.core import Function, Region, Value
from wengert.ir.op import get_op
from wengert.types import F64, F64_SCALAR, I64_SCALAR, TensorType, dim_of


class RandomProgram:
    """A random program; `function` is its outermost function of (array of size n, scalar, budget)."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.signatures: dict[str, Signature] = {}
        self.functions: dict[str, Function] = {}
        names = [f"f{k}" for k in range(self.rng.choice((1, 1, 2, 3)))]
        for name in names:
            self.signatures[name] = self.signature()
        for name in names:
            self.functions[name] = self.callee(name)
        self.function = self.main()

    def signature(self) -> Signature:
        n = Value(I64_SCALAR, "n")
        array = TensorType(F64, (dim_of(n),))
        params = [Value(I64_SCALAR, "k"), Value(array, "a"), Value(F64_SCALAR, "x")]
        if self.rng.random() < 0.4:
            params.append(Value(array, "c"))
        results = [F64_SCALAR, array] if self.rng.random() < 0.5 else [F64_SCALAR]
        if self.rng.random() < 0.3:
            results.append(F64_SCALAR)
        return Signature((n,), tuple(params), tuple(results))

    def callee(self, name: str) -> Function:
        signature = self.signatures[name]
        n, (k, *params) = signature.dims[0], signature.params
        b = Builder()
        pool = list(params)
        if self.rng.random() < 0.3:
            self.step(b, pool, n, None)
        stop = b.lt(k, b.const(1))
        arms = []
        for budget in (None, b.sub(k, b.const(1))):
            inner, local = b.child(), list(pool)
            for _ in range(self.rng.randint(1, 2) if budget is None else self.rng.randint(2, 5)):
                self.step(inner, local, n, budget)
            arms.append((inner, local))
        results = [[self.pick(local, t) for t in signature.results] for _, local in arms]
        regions = [Region((), tuple(i.instrs), tuple(r)) for (i, _), r in zip(arms, results, strict=True)]
        found = list(b.emit(get_op("if"), (stop,), {}, regions))
        if self.rng.random() < 0.5:
            found[0] = b.sin(b.mul(found[0], params[1]))
        return Function(name, signature.dims, signature.params, tuple(b.instrs), tuple(found))

    def main(self) -> Function:
        n = Value(I64_SCALAR, "n")
        a, x, k = Value(TensorType(F64, (dim_of(n),)), "a"), Value(F64_SCALAR, "x"), Value(I64_SCALAR, "k")
        b = Builder()
        pool = [a, x]
        self.call(b, pool, k)
        for _ in range(self.rng.randint(0, 2)):
            self.step(b, pool, n, k)
        results = [self.pick(pool, F64_SCALAR)]
        results += [self.pick(pool, a.type)] if self.rng.random() < 0.5 else []
        results[0] = b.add(results[0], b.sum(self.pick(pool, a.type), axes=(0,)))
        fn = Function("main", (n,), (a, x, k), tuple(b.instrs), tuple(results), functions=self.functions)
        return refresh(fn)

    # --- pieces -----------------------------------------------------------------------------------------------------

    def pick(self, pool: list[Value], declared: object) -> Value:
        rank = getattr(declared, "rank", 0)
        recent = [v for v in pool if v.is_float and v.rank == rank]
        return recent[-1] if self.rng.random() < 0.5 else self.rng.choice(recent)

    def step(self, b: Builder, pool: list[Value], n: Value, budget: Value | None) -> None:
        """Emit one random piece; calls need a budget."""
        kinds = ["scalar", "read", "write", "array", "reduce", "branch", "select", "loop"]
        kinds += ["call", "call", "call", "loop", "while"] if budget is not None else []
        kind = self.rng.choice(kinds)
        scalar, array = self.pick(pool, F64_SCALAR), self.pick(pool, TensorType(F64, (0,)))
        place = b.mod(b.add(b.const(self.rng.randint(0, 5)), budget if budget is not None else b.const(1)), n)
        if kind == "scalar":
            pool.append(b.sin(self.rng.choice((b.mul, b.add))(scalar, self.pick(pool, F64_SCALAR))))
        elif kind == "read":
            pool.append(b.mul(scalar, b.index(array, place, spec=("i",))))
        elif kind == "write":
            pool.append(self.rng.choice((b.update, b.add_at))(array, b.sin(scalar), place, spec=("i",)))
        elif kind == "array":
            pool.append(b.sin(b.mul(array, self.pick(pool, array.type))))
        elif kind == "reduce":
            pool.append(b.sin(b.sum(b.mul(array, self.pick(pool, array.type)), axes=(0,))))
        elif kind == "select":
            pool.append(b.select(b.lt(scalar, b.const(0.2)), scalar, b.sin(self.pick(pool, F64_SCALAR))))
        elif kind == "branch":
            self.branch(b, pool, n, budget, b.lt(scalar, b.const(self.rng.uniform(-0.5, 0.5))))
        elif kind == "call":
            assert budget is not None
            self.call(b, pool, budget)
        else:
            self.loop(b, pool, n, budget, kind == "while")

    def call(self, b: Builder, pool: list[Value], budget: Value) -> None:
        name = self.rng.choice(list(self.signatures))
        signature = self.signatures[name]
        arguments = [budget, *(self.pick(pool, p.type) for p in signature.params[1:])]
        pool.extend(emit_call(b, name, signature, arguments))

    def branch(self, b: Builder, pool: list[Value], n: Value, budget: Value | None, test: Value) -> None:
        rank = self.rng.choice((0, 0, 1))
        arms = []
        for _ in range(2):
            inner, local = b.child(), list(pool)
            if self.rng.random() < 0.8:
                self.step(inner, local, n, budget)
            declared = F64_SCALAR if not rank else TensorType(F64, (0,))
            arms.append(Region((), tuple(inner.instrs), (self.pick(local, declared),)))
        pool.extend(b.emit(get_op("if"), (test,), {}, arms))

    def loop(self, b: Builder, pool: list[Value], n: Value, budget: Value | None, is_while: bool) -> None:
        scalar, array = self.pick(pool, F64_SCALAR), self.pick(pool, TensorType(F64, (0,)))
        both = self.rng.random() < 0.4
        init = [scalar, array] if both else [scalar]
        params = [Value(v.type, v.name) for v in init]
        index = Value(I64_SCALAR, "i")
        inner, local = b.child(), [*pool, *params]
        for _ in range(self.rng.randint(1, 2)):
            self.step(inner, local, n, budget)
        yields = [inner.sin(inner.add(self.pick(local, F64_SCALAR), params[0]))]
        yields += [self.pick(local, array.type)] if both else []
        if not is_while:
            region = Region((index, *params), tuple(inner.instrs), tuple(yields))
            pool.extend(b.emit(get_op("for"), (b.const(2), *init), {}, (region,)))
            return
        test = b.child()
        others = [Value(I64_SCALAR, "i"), *(Value(v.type) for v in init)]
        cond = Region(tuple(others), (), (test.lt(others[0], test.const(2)),))
        cond = Region(tuple(others), tuple(test.instrs), cond.results)
        body = Region((index, *params), tuple([*inner.instrs]), ())
        following = inner.add(index, inner.const(1))
        body = Region((index, *params), tuple(inner.instrs), (following, *yields))
        pool.extend(b.emit(get_op("while"), (b.const(0), *init), {}, (cond, body))[1:])
