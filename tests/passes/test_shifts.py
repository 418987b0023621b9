"""Additions of one array to shifted parts of another become one; frames of an array that is the same number everywhere."""

import itertools

import numpy as np
import pytest

import wengert as wg
from tests.passes.helpers import body, ops, stays
from wengert.ir.interpret import run
from wengert.ir.verify import verify
from wengert.passes.shifts import shifts

HEAD = """
  %zero: i64[] = const() {dtype=i64, value=0}
  %one: i64[] = const() {dtype=i64, value=1}
  %two: i64[] = const() {dtype=i64, value=2}
  %m: i64[] = sub(%n, %two)
  %l: i64[] = sub(%k, %two)
"""
LINE = "<%n>(%x: f64[%n], %v: f64[%n-2], %o: i64[]) -> (f64[%n])"


def added(*starts, tail="%d"):
    lines, names = [], ["x", *"abcdefg"]
    for before, after, start in zip(names, names[1:], starts, strict=False):
        lines.append(f"  %{after}: f64[%n] = add_at(%{before}, %v, %{start}, %m, %one) {{spec=('s',)}}")
    return "\n".join(lines) + f"\n  return {tail.replace('%d', '%' + names[len(starts)])}"


def line(*starts):
    return body(LINE, HEAD.replace("  %l: i64[] = sub(%k, %two)\n", "") + added(*starts))


def agree(fn, found, *args):
    verify(found)
    np.testing.assert_allclose(run(found, args)[0], run(fn, args)[0], rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("starts", [*itertools.permutations(("zero", "one", "two")), ("two", "zero", "two", "one", "zero")])
def test_shifts_along_a_line_are_one_addition(starts):
    fn = line(*starts)
    found = shifts(fn)
    assert ops(found).count("add_at") == 1 and shifts(found) is found
    for n in (2, 3, 5, 9):
        agree(fn, found, np.arange(n) + 0.25, np.cos(np.arange(n - 2)), 1)


def test_shifts_along_several_axes_at_one_index():
    lines, before = [], "x"
    for k, (row, column) in enumerate([("one", "zero"), ("zero", "one"), ("one", "two"), ("two", "one")]):
        place = f"%o, %{row}, %m, %one, %{column}, %l, %one"
        lines.append(f"  %y{k}: f64[3,%n,%k] = add_at(%{before}, %v, {place}) {{spec=('i', 's', 's')}}")
        before = f"y{k}"
    text = HEAD + "\n".join(lines) + "\n  return %y3"
    fn = body("<%n, %k>(%x: f64[3,%n,%k], %v: f64[%n-2,%k-2], %o: i64[]) -> (f64[3,%n,%k])", text)
    found = shifts(fn)
    assert ops(found).count("add_at") == 1
    for n, k in ((2, 4), (3, 3), (5, 7)):
        agree(fn, found, np.ones((3, n, k)), np.cos(np.arange((n - 2) * (k - 2.0))).reshape(n - 2, k - 2), 2)


def test_what_is_no_shift_stays():
    stays(shifts, line("zero", "two"))
    stays(shifts, line("zero", "o", "two"))
    stays(shifts, line("one", "one", "one"))
    head = HEAD.replace("  %l: i64[] = sub(%k, %two)\n", "")
    used = head + added("zero", "one", "two", tail="%b, %d")
    stays(shifts, body(LINE.replace("-> (f64[%n])", "-> (f64[%n], f64[%n])"), used.replace("%b, %d", "%b, %c")))
    other = head + added("zero", "one", "two").replace("%b, %v", "%b, %w")
    stays(shifts, body(LINE.replace("%o:", "%w: f64[%n-2], %o:"), other))


def test_infinite_parts_reach_no_other_element():
    fn = line("zero", "one", "two")
    v = np.array([1.0, np.inf, -2.0, np.nan])
    np.testing.assert_array_equal(run(shifts(fn), [np.ones(6), v, 0])[0], run(fn, [np.ones(6), v, 0])[0])


# --- frames in native code -------------------------------------------------------------------------------------------


def framed(x):
    n, m = x.shape
    rows = np.zeros((n + 3, m))
    rows[1 : n + 1] = x
    both = np.full((n + 3, m + 1), 2.0)
    both[2 : n + 2, 1:] = x * x
    deep = np.zeros((2, n + 2, m + 2))
    deep[:, 1 : n + 1, 1 : m + 1] = x
    return rows, both, deep


def grown(x):
    n = len(x)
    y = np.ones(n)
    y[2:-2] = x[2:-2] * 3.0
    z = np.zeros(n)
    z[1:] = y[:-1]
    z[:1] = 5.0
    return y, z


@pytest.mark.parametrize("shape", [(0, 0), (1, 1), (3, 0), (4, 5)])
def test_frames(shape):
    x = np.random.default_rng(1).uniform(-1.0, 1.0, shape)
    for found, expected in zip(wg.jit(framed)(x), framed(x), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 5, 9])
def test_frames_that_leave_nothing_in_the_middle(n):
    x = np.arange(n) + 1.0
    for found, expected in zip(wg.jit(grown)(x), grown(x), strict=True):
        np.testing.assert_array_equal(found, expected)


def wave(u, steps):
    u = u.copy()
    for _ in range(steps):
        u[2:-2] += 0.1 * (u[4:] + u[:-4] - 2.0 * (u[1:-3] + u[3:-1]) * u[2:-2])
    return np.sum(u * u)


@pytest.mark.parametrize("n", [5, 6, 30])
def test_gradients_of_stencils(n):
    u = np.random.default_rng(n).uniform(0.0, 1.0, n)
    found = wg.grad(wave)(u, 5)
    with wg.eager():
        np.testing.assert_allclose(found, wg.grad(wave)(u, 5), rtol=1e-12, atol=1e-12)
    slopes = [wave(u + 1e-30j * np.eye(n)[k], 5).imag / 1e-30 for k in range(n)]
    np.testing.assert_allclose(found, slopes, rtol=1e-12, atol=1e-12)
