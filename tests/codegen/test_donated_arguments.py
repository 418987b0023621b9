"""Arrays that a function writes to are written to where they are, not in a copy; what else reads them sees the right values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import wengert as wg
from wengert.codegen import Options, compile


def smooth(x: Any, y: Any) -> None:
    x[1:-1] = 0.5 * (y[:-2] + y[2:])


def shift(x: Any, y: Any) -> None:
    x[1:] = x[:-1]
    y[:-1] = y[1:] * x[0]


def turn_round(x: Any, y: Any) -> None:
    x[:] = x[::-1]
    y[::2] = y[::-1][::2] + x[::2]


def exchange(x: Any, y: Any) -> None:
    x[:], y[:] = y + 1.0, x * 2.0


def exchange_in_a_loop(x: Any, y: Any) -> Any:
    for _ in range(3):
        old = x.copy()
        x[:] = y + 0.5 * x
        y[:] = old - 0.1 * y
    return np.sum(x * y)


def sweep(x: Any, y: Any) -> Any:
    for i in range(1, len(x) - 1):
        x[i] = 0.3 * (x[i - 1] + x[i] + x[i + 1]) + 0.1 * y[i]
    return np.sum(x)


def old_and_new(x: Any, y: Any) -> Any:
    before, total = x.copy(), np.sum(x)
    x *= 2.0
    y += x
    return before, total, x.copy(), y[1:].copy()


def writes_if(x: Any, y: Any) -> Any:
    if y[0] > 0.0:
        x += y
    else:
        y[1:] = 0.0
    return np.sum(x)


def halves_until(x: Any, y: Any) -> Any:
    steps = 0
    while np.sum(np.abs(x)) > 1.0 and steps < 20:
        x *= 0.5
        y -= x
        steps += 1
    return steps


def temporary_arrays(x: Any, y: Any) -> None:
    z = np.sort(x) + y
    y[:] = np.cumsum(z)
    x[:] = z - y[::-1]


PROGRAMS = [
    smooth, shift, turn_round, exchange, exchange_in_a_loop, sweep, old_and_new, writes_if, halves_until, temporary_arrays,
]  # fmt: skip


@pytest.mark.parametrize("fn", PROGRAMS, ids=lambda f: f.__name__)
def test_arguments_end_as_in_python(fn: Any) -> None:
    made, rng = wg.jit(fn), np.random.default_rng(3)
    for n in (6, 8, 6, 40):
        for step in (1, 2):
            ours = [rng.normal(size=step * n)[::step] for _ in range(2)]
            theirs = [a.copy() for a in ours]
            found, expected = made(*ours), fn(*theirs)
            for a, b in zip([*ours], [*theirs], strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-14, atol=1e-15)
            if expected is not None:
                for a, b in zip(found, expected, strict=True) if isinstance(expected, tuple) else [(found, expected)]:
                    np.testing.assert_allclose(a, b, rtol=1e-13)
                    assert not np.may_share_memory(a, ours[0]) and not np.may_share_memory(a, ours[1])


def test_small_arrays_of_known_size() -> None:
    def rotate(m: Any, v: Any) -> None:
        m[0, 1], m[1, 0] = m[1, 0], m[0, 1]
        v[:] = m @ v

    made = wg.jit(rotate)
    for _ in range(3):
        ours = [np.arange(4.0).reshape(2, 2), np.array([1.0, -2.0])]
        theirs = [a.copy() for a in ours]
        made(*ours)
        rotate(*theirs)
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(a, b)


def variant_of(fn: Any, *args: Any) -> Any:
    made = wg.jit(fn)
    made(*args)
    (found,) = next(iter(made.program.variants.values()))
    return found


def test_the_result_is_the_argument_itself() -> None:
    x, y = np.zeros(50), np.linspace(0.0, 1.0, 50)
    code = variant_of(smooth, x, y).compiled
    (found,) = code(x, y)
    assert found is x
    assert not [note for note in code.report if note.kind in ("copy", "allocation")]
    assert variant_of(sweep, x, y).compiled.donated == {0: 1}


def test_what_raises_leaves_its_arguments() -> None:
    def early(x: Any, k: Any) -> None:
        x *= 2.0
        x[len(k) - 3] = 1.0

    def late(x: Any, k: Any) -> None:
        for j in k:
            x[j] += 1.0

    for fn, donated in ((early, {0: 0}), (late, {})):
        x, good, bad = np.ones(5), np.array([1, 2, 2]), np.array([1, 2, 2, 99, 4, 4, 4, 4, 4])
        made = wg.jit(fn)
        made(x, good)
        (variant,) = next(iter(made.program.variants.values()))
        assert variant.compiled.donated == donated
        expected = np.ones(5)
        fn(expected, good)
        np.testing.assert_array_equal(x, expected)
        with pytest.raises(IndexError):
            made(x, bad)
        np.testing.assert_array_equal(x, expected)


def test_read_only_arguments_are_not_written_to() -> None:
    made, x, y = wg.jit(smooth), np.zeros(5), np.ones(5)
    x.flags.writeable = False
    for _ in range(2):
        with pytest.raises(ValueError, match="read-only"):
            made(x, y)
    np.testing.assert_array_equal(x, np.zeros(5))


def test_references_are_balanced() -> None:
    import sys

    made, x, y = wg.jit(smooth), np.zeros(30), np.ones(30)
    made(x, y)
    before = sys.getrefcount(x)
    for _ in range(100):
        made(x, y)
    assert sys.getrefcount(x) == before


def test_without_writing_in_place() -> None:
    other = compile(variant_of(smooth, np.zeros(9), np.ones(9)).function, Options(inplace=False), donated={0: 0})
    x, y = np.zeros(9), np.arange(9.0) ** 2
    (found,) = other(x, y)
    smooth(expected := np.zeros(9), y)
    np.testing.assert_array_equal(found, expected)
