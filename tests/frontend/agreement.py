"""Runs a function as Python, staged on the reference interpreter, and eagerly, and compares."""

from __future__ import annotations

import copy

import numpy as np

from wengert.frontend.trace import trace
from wengert.ir.interpret import run
from wengert.ir.verify import verify
from wengert.tape.evaluate import EvalBuilder
from wengert.tree import flatten


def staged_result(traced, args, kwargs):
    """The result of a trace by the interpreter."""
    leaves, _ = flatten((args, kwargs))
    values = run(traced.function, [leaves[k] for k in traced.param_leaves] + [c.read() for c in traced.captures])
    return traced.out_tree.unflatten([values[o] if isinstance(o, int) else o.value for o in traced.out_leaves])


def eager_result(f, args, kwargs):
    """The result of the converted function on known values."""
    builder = EvalBuilder()
    traced = trace(f, args, kwargs, eager_builder=builder)
    results = traced.function.results
    return traced.out_tree.unflatten(
        [builder.known(results[o]) if isinstance(o, int) else o.value for o in traced.out_leaves]
    )


def assert_same(found, expected):
    """Same structure, same numbers."""
    a, _ = flatten(found)
    b, _ = flatten(expected)
    assert len(a) == len(b), (found, expected)
    for x, y in zip(a, b, strict=True):
        if isinstance(y, str) or y is None:
            assert x == y
        else:
            np.testing.assert_allclose(x, y, rtol=1e-12, atol=1e-300)
            assert np.shape(x) == np.shape(y)


def agree(f, *args, eager=True, also=(), **kwargs):
    """Compare the three on `args`, and the staged one on the argument tuples in `also`; returns the trace."""
    expected = f(*copy.deepcopy(args), **copy.deepcopy(kwargs))
    before = copy.deepcopy((args, kwargs))
    traced = trace(f, args, kwargs)
    verify(traced.function)
    assert traced.guards_hold() and all(g.holds() for g in traced.guards)
    assert_same(staged_result(traced, args, kwargs), expected)
    for other in also:
        assert_same(staged_result(traced, other, {}), f(*copy.deepcopy(other)))
    if eager:
        assert_same(eager_result(f, args, kwargs), expected)
        for other in also:
            assert_same(eager_result(f, other, {}), f(*copy.deepcopy(other)))
    assert_same((args, kwargs), before)
    return traced
