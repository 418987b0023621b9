"""Loops over columns become operations on rows where their trips are independent, and stay loops where they are not."""

import importlib.util
import itertools
import random

import numpy as np
import pytest

import wengert as wg
from tests.passes.helpers import body, ops, stays
from wengert.frontend.trace import trace
from wengert.ir.core import walk
from wengert.ir.interpret import run
from wengert.ir.verify import verify
from wengert.passes.abreast import abreast
from wengert.passes.checks import checks
from wengert.passes.pipeline import optimize

LOOP = """
  %zero: i64[] = const() {{dtype=i64, value=0}}
  %one: i64[] = const() {{dtype=i64, value=1}}
  %r: f64[%n,%m] = for(%{trips}, %x) {{
    region(%j: i64[], %y: f64[%n,%m]) {{
      {lines}
      yield %z
    }}
  }}
  return %r
"""
SCALED = """%c: f64[%n] = index(%y, %j) {spec=(':', 'i')}
      %d: f64[] = matmul(%u, %c)
      %e: f64[%n] = broadcast(%d, %n) {axes=()}
      %f: f64[%n] = sub(%c, %e)
      %z: f64[%n,%m] = update(%y, %f, %j) {spec=(':', 'i')}"""


def loop(lines, trips="m"):
    signature = "<%n, %m>(%x: f64[%n,%m], %u: f64[%n], %k: i64[]) -> (f64[%n,%m])"
    return body(signature, LOOP.format(lines=lines, trips=trips))


def loops(fn):
    """How many loops there are that go round more than once."""
    return sum(i.op.name == "for" and bool(i.regions[0].params[0].name != "once") for i in walk(fn.instrs))


def agree(fn, found, *args):
    verify(found)
    for a, b in zip(run(found, args), run(fn, args), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-13, atol=1e-13)


def matrix(n, m):
    return np.random.default_rng(n * 10 + m).uniform(-1.0, 1.0, (n, m))


def test_columns_are_taken_abreast():
    fn = loop(SCALED)
    found = abreast(fn)
    assert "for" not in ops(found) and abreast(found) is found
    for n, m in itertools.product((0, 1, 3), repeat=2):
        agree(fn, found, matrix(n, m), np.arange(n) + 0.5, 0)


def test_a_number_of_trips_that_may_be_negative():
    fn = loop(SCALED, "k")
    found = abreast(fn)
    assert "for" not in ops(found)
    for trips in (-2, 0, 1, 3):
        agree(fn, found, matrix(2, 3), np.arange(2) + 0.5, trips)


def test_what_is_the_same_in_all_trips_is_read_where_there_is_one():
    lines = SCALED.replace("%d: f64[] = matmul(%u, %c)", "%d: f64[] = index(%u, %k) {spec=('i',)}")
    fn = loop(lines, "m")
    found = abreast(fn)
    assert loops(fn) == 1 and loops(found) == 0 and "for" in ops(found)
    agree(fn, found, matrix(2, 3), np.array([0.5, 2.0]), 1)
    agree(fn, found, matrix(2, 0), np.array([0.5, 2.0]), 7)


@pytest.mark.parametrize(
    "lines",
    [
        SCALED.replace("index(%y, %j)", "index(%y, %zero)") + "\n%w: f64[%n] = index(%x, %j) {spec=(':', 'i')}",
        SCALED.replace("index(%y, %j)", "index(%y, %k)") + "\n%w: f64[%n] = index(%x, %j) {spec=(':', 'i')}",
        "%p: i64[] = sub(%j, %one)\n" + SCALED.replace("index(%y, %j)", "index(%y, %p)"),
        SCALED.replace("update(%y, %f, %j)", "update(%y, %f, %k)"),
        "%o: f64[] = convert(%j) {dtype=f64}\n" + SCALED.replace("broadcast(%d", "broadcast(%o"),
        SCALED.replace("%d: f64[] = matmul(%u, %c)", "%d: f64[] = index(%x, %j, %zero) {spec=('i', 'i')}").replace(
            "%c: f64[%n] = index(%y", "%s: f64[%n,%m] = exp(%y)\n%c: f64[%n] = index(%s"
        ),
    ],
)
def test_trips_that_need_each_other_stay(lines):
    stays(abreast, loop(lines))


def test_what_is_larger_than_what_is_read_is_not_computed_for_all_trips_at_once():
    lines = """%c: f64[%n] = index(%y, %j) {spec=(':', 'i')}
      %d: f64[] = matmul(%u, %c)
      %e: f64[%k] = broadcast(%d, %k) {axes=()}
      %f: f64[%k] = exp(%e)
      %g: f64[] = sum(%f) {axes=(0,)}
      %z: f64[%n,%m] = update(%y, %g, %zero, %j) {spec=('i', 'i')}"""
    stays(abreast, loop(lines))
    assert loops(abreast(loop(lines.replace("%k", "%n")))) == 0


# --- whole programs --------------------------------------------------------------------------------------------------

STATEMENTS = (
    "a[i, j] -= a[i, :i] @ a[:i, j]",
    "a[:, j] = a[:, j] * u",
    "b[:, j] += a[:, j] * a[i, j]",
    "b[i, j] = u @ a[:, j]",
    "a[:, j] -= u * b[i, j]",
    "a[:, j] += 0.5 * a[:, j - 1]",
    "b[j, :] = a[:, j]",
    "a[i, j] += 0.1 * (a[0, :] @ a[:, j])",
    "a[i + 1, j] = np.sum(a[: i + 1, j])",
    "a[i, j] = b[i, n - 1 - j] + np.max(a[1:, j])",
    "a[i - 1, j] = np.sum(np.where(b[:, j] > 0.0, b[:, j], u * a[:, j]))",
    "a[:i, n - 1 - j] *= b[i, :i]",
    "b[i, j] = a[i, :j] @ a[:j, j]",
    "a[i, j] -= (a[:, j] * u) @ b[:, j]",
    "s += a[:, j] @ u",
    "s = s + 0.5 * (np.sum(b[:, j]) + a[i, j]); t = a[i, 0] + t",
    "s = 0.9 * s + u @ a[:, j]",
    "b[i, j] = s - u @ b[:, j]; s += b[i, j]",
    "s = (s + u @ a[:, j]) + t; t = t + s",
)
RANGES = ("n", "i, n", "i + 1, n", "n - 1, -1, -1", "i")
PROGRAM = """
def f{k}(a, b, u):
    a, b = a.copy(), b.copy()
    n = len(a)
    s = t = 0.25
    for i in range(1, n - 1):
        for j in range({range}):
            {first}
            {second}
    return a, b, np.array([s, t]) * u[0]
"""


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """Two statements in a loop over columns, in all ways that fit into the time of a test, some of them by chance."""
    rng = random.Random(5)
    pairs = [(s, "pass", r) for s in STATEMENTS for r in RANGES[:1]]
    pairs += [(*rng.sample(STATEMENTS, 2), rng.choice(RANGES)) for _ in range(30)]
    texts = [PROGRAM.format(k=k, first=s, second=t, range=r) for k, (s, t, r) in enumerate(pairs)]
    path = tmp_path_factory.mktemp("abreast") / "columns.py"
    path.write_text("import numpy as np\n" + "".join(texts))
    spec = importlib.util.spec_from_file_location("columns", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return [(text, getattr(module, f"f{k}")) for k, text in enumerate(texts)]


def arguments(n):
    rng = np.random.default_rng(n)
    return rng.uniform(-1.0, 1.0, (n, n)), rng.uniform(-1.0, 1.0, (n, n)), rng.uniform(-1.0, 1.0, n)


def test_programs_compute_what_they_did(programs):
    args = arguments(5)
    changed = 0
    for text, f in programs:
        fn = trace(f, list(args), {}).function
        found, plain = optimize(fn), optimize(fn, without=frozenset({"abreast"}))
        changed += loops(found) < loops(plain)
        verify(found)
        for size in (5, 2):
            given = arguments(size)
            for value, expected in zip(run(found, list(given)), f(*given), strict=True):
                np.testing.assert_allclose(value, expected, rtol=1e-11, atol=1e-11, err_msg=text)
    assert len(programs) // 6 < changed < len(programs)


def test_gradients_are_those_of_the_loops(programs, monkeypatch):
    args = arguments(5)

    def slope(f):
        return wg.grad(lambda *xs: sum(np.sum(x * x) for x in f(*xs)), argnums=(0, 1, 2))(*args)

    for text, f in programs[:10:2]:
        found = slope(f)
        with wg.eager():
            expected = slope(f)
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9, err_msg=text)


def totals(a, u):
    a = a.copy()
    s, t = 0.1, 0.2
    for j in range(a.shape[1]):
        a[:, j] = a[:, j] * u
        s += a[0, j]
        t = a[1, j] * 0.3 + t + a[2, j]
    return a, s, t


def test_numbers_are_added_up_in_the_order_of_the_trips():
    a, u = np.random.default_rng(2).uniform(-1e3, 1e3, (4, 301)), np.array([1.0, 1e-7, 3.0, 1e9])
    assert loops(optimize(trace(totals, [a, u], {}).function)) == 1
    for found, expected in zip(wg.jit(totals)(a, u), totals(a, u), strict=True):
        np.testing.assert_array_equal(found, expected)


# --- checks that go in front -----------------------------------------------------------------------------------------

CHECKED = """
  %zero: f64[] = const() {dtype=f64, value=0.0}
  %s: f64[] = for(%m, %zero) {
    region(%i: i64[], %t: f64[]) {
      %p: i64[] = add(%i, %a)
      %w: i64[] = wrap_index(%p, %n) {what='axis 0'}
      %q: bool[] = lt(%k, %n)
      check(%q, %k) {exception='ValueError', message='too large: {}'}
      %v: f64[] = index(%x, %p) {spec=('i',)}
      %t1: f64[] = add(%t, %v)
      yield %t1
    }
  }
  return %s
"""


def outcome(fn, args):
    try:
        return run(fn, args)[0]
    except (IndexError, ValueError) as error:
        return type(error), str(error).splitlines()[0]


def test_checks_and_index_checks_raise_what_came_first():
    text = CHECKED.replace("%q: bool[] = lt(%k, %n)\n", "").replace("  %s: f64[] =", "  %q: bool[] = lt(%k, %n)\n  %s: f64[] =")
    fn = body("<%n>(%x: f64[%n], %m: i64[], %a: i64[], %k: i64[]) -> (f64[])", text)
    found = checks(fn)
    verify(found)
    (inner,) = [i for i in found.instrs if i.op.name == "for"]
    assert not {i.op.name for i in inner.regions[0].instrs} & {"check", "wrap_index"}
    for n, m, a, k in itertools.product((1, 3), (0, 1, 3), (0, 2, 5), (0, 9)):
        args = [np.arange(n) + 1.0, m, a, k]
        assert outcome(found, args) == outcome(fn, args), args
