"""Programs with calls, as IR text, with their meaning in NumPy: what tests of calls run in every mode."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import wengert.ops  # noqa: F401
from wengert.ir.core import Function
from wengert.ir.parser import parse
from wengert.ir.verify import verify


@dataclass(frozen=True)
class Program:
    """A program as text.

    Attributes:
        text: the IR.
        args: arguments.
        value: the results in NumPy, as a tuple.
        wrt: the float parameters.
    """

    text: str
    args: tuple[Any, ...]
    value: Callable[..., tuple[Any, ...]]
    wrt: tuple[int, ...]


def program(name: str) -> Function:
    """The verified function called `name`, made anew."""
    fn = parse(PROGRAMS[name].text)
    verify(fn)
    return fn


PRODUCT = """
func @main(%x: f64[], %n: i64[]) -> (f64[]) {
  %y: f64[] = call(%n, %x) {callee='fact'}
  return %y
}
func @fact(%n: i64[], %x: f64[]) -> (f64[]) {
  %one: i64[] = const() {dtype=i64, value=1}
  %small: bool[] = lt(%n, %one)
  %r: f64[] = if(%small) {
    region() {
      %c: f64[] = const() {dtype=f64, value=1.0}
      yield %c
    }
    region() {
      %m: i64[] = sub(%n, %one)
      %rest: f64[] = call(%m, %x) {callee='fact'}
      %f: f64[] = convert(%n) {dtype=f64}
      %s: f64[] = sin(%rest)
      %t: f64[] = add(%x, %f)
      %p: f64[] = mul(%t, %s)
      yield %p
    }
  }
  return %r
}
"""


def product(x: float, n: int) -> tuple[float]:
    return (1.0,) if n < 1 else ((x + n) * np.sin(product(x, n - 1)[0]),)


TREE = """
func @main<%n>(%x: f64[%n]) -> (f64[]) {
  %z: i64[] = const() {dtype=i64, value=0}
  %s: f64[] = call(%x, %z, %n) {callee='tree'}
  return %s
}
func @tree<%n>(%x: f64[%n], %lo: i64[], %hi: i64[]) -> (f64[]) {
  %d: i64[] = sub(%hi, %lo)
  %one: i64[] = const() {dtype=i64, value=1}
  %two: i64[] = const() {dtype=i64, value=2}
  %p: bool[] = le(%d, %one)
  %r: f64[] = if(%p) {
    region() {
      %e: f64[] = index(%x, %lo) {spec=('i',)}
      %s: f64[] = exp(%e)
      %m: f64[] = mul(%e, %s)
      yield %m
    }
    region() {
      %t: i64[] = add(%lo, %hi)
      %mid: i64[] = floordiv(%t, %two)
      %a: f64[] = call(%x, %lo, %mid) {callee='tree'}
      %b: f64[] = call(%x, %mid, %hi) {callee='tree'}
      %sa: f64[] = sin(%a)
      %ab: f64[] = mul(%sa, %b)
      %c: f64[] = add(%ab, %a)
      yield %c
    }
  }
  return %r
}
"""


def tree(x: np.ndarray) -> tuple[float]:
    if len(x) <= 1:
        return (x[0] * np.exp(x[0]),)
    a, b = tree(x[: len(x) // 2])[0], tree(x[len(x) // 2 :])[0]
    return (np.sin(a) * b + a,)


def tree_by_range(x: np.ndarray) -> tuple[float]:
    def part(lo: int, hi: int) -> Any:
        if hi - lo <= 1:
            return x[lo] * np.exp(x[lo])
        a, b = part(lo, (lo + hi) // 2), part((lo + hi) // 2, hi)
        return np.sin(a) * b + a

    return (part(0, len(x)),)


MUTUAL = """
func @main(%x: f64[], %n: i64[]) -> (f64[], f64[]) {
  %a: f64[], %u: f64[] = call(%n, %x, %x) {callee='even'}
  return %a, %u
}
func @even(%n: i64[], %x: f64[], %y: f64[]) -> (f64[], f64[]) {
  %one: i64[] = const() {dtype=i64, value=1}
  %stop: bool[] = lt(%n, %one)
  %r: f64[], %s: f64[] = if(%stop) {
    region() {
      yield %x, %y
    }
    region() {
      %m: i64[] = sub(%n, %one)
      %xy: f64[] = mul(%x, %y)
      %q: f64[] = sin(%xy)
      %c: f64[], %d: f64[] = call(%m, %q, %y) {callee='odd'}
      yield %d, %c
    }
  }
  return %r, %s
}
func @odd(%n: i64[], %x: f64[], %y: f64[]) -> (f64[], f64[]) {
  %one: i64[] = const() {dtype=i64, value=1}
  %stop: bool[] = lt(%n, %one)
  %r: f64[], %s: f64[] = if(%stop) {
    region() {
      yield %y, %x
    }
    region() {
      %m: i64[] = sub(%n, %one)
      %q: f64[] = exp(%x)
      %c: f64[], %d: f64[] = call(%m, %y, %q) {callee='even'}
      %cd: f64[] = mul(%c, %d)
      yield %cd, %q
    }
  }
  return %r, %s
}
"""


def even(x: float, n: int) -> tuple[float, float]:
    def at_even(n: int, x: Any, y: Any) -> Any:
        if n < 1:
            return x, y
        c, d = at_odd(n - 1, np.sin(x * y), y)
        return d, c

    def at_odd(n: int, x: Any, y: Any) -> Any:
        if n < 1:
            return y, x
        q = np.exp(x)
        c, d = at_even(n - 1, y, q)
        return c * d, q

    return at_even(n, x, x)  # type: ignore[no-any-return]


LOOPS = """
func @main<%n>(%x: f64[%n], %k: f64[]) -> (f64[]) {
  %zero: f64[] = const() {dtype=f64, value=0.0}
  %s: f64[] = for(%n, %zero) {
    region(%i: i64[], %acc: f64[]) {
      %e: f64[] = index(%x, %i) {spec=('i',)}
      %t: f64[] = call(%i, %e, %k, %x) {callee='nest'}
      %sum: f64[] = add(%acc, %t)
      %next: f64[] = sin(%sum)
      yield %next
    }
  }
  return %s
}
func @nest<%n>(%m: i64[], %e: f64[], %k: f64[], %x: f64[%n]) -> (f64[]) {
  %one: i64[] = const() {dtype=i64, value=1}
  %stop: bool[] = lt(%m, %one)
  %r: f64[] = if(%stop) {
    region() {
      %ek: f64[] = mul(%e, %k)
      yield %ek
    }
    region() {
      %l: i64[] = sub(%m, %one)
      %out: f64[] = for(%n, %e) {
        region(%j: i64[], %c: f64[]) {
          %xj: f64[] = index(%x, %j) {spec=('i',)}
          %p: f64[] = mul(%c, %xj)
          %q: f64[] = sin(%p)
          %d: f64[] = call(%l, %q, %k, %x) {callee='nest'}
          %f: f64[] = mul(%d, %c)
          yield %f
        }
      }
      yield %out
    }
  }
  return %r
}
"""


def loops(x: np.ndarray, k: float) -> tuple[float]:
    def nest(m: int, e: Any) -> Any:
        if m < 1:
            return e * k
        for xj in x:
            e = nest(m - 1, np.sin(e * xj)) * e
        return e

    s = 0.0
    for i, e in enumerate(x):
        s = np.sin(s + nest(i, e))
    return (s,)


MUTATED = """
func @main<%n>(%x: f64[%n], %m: i64[]) -> (f64[%n], f64[]) {
  %y: f64[%n] = call(%x, %m) {callee='smooth'}
  %s: f64[] = sum(%y) {axes=(0,)}
  return %y, %s
}
func @smooth<%n>(%x: f64[%n], %m: i64[]) -> (f64[%n]) {
  %one: i64[] = const() {dtype=i64, value=1}
  %stop: bool[] = lt(%m, %one)
  %r: f64[%n] = if(%stop) {
    region() {
      yield %x
    }
    region() {
      %l: i64[] = sub(%m, %one)
      %at: i64[] = mod(%m, %n)
      %e: f64[] = index(%x, %at) {spec=('i',)}
      %f: f64[] = exp(%e)
      %g: f64[] = sin(%f)
      %y: f64[%n] = update(%x, %g, %at) {spec=('i',)}
      %h: f64[%n] = mul(%y, %y)
      %z: f64[%n] = call(%h, %l) {callee='smooth'}
      %w: f64[%n] = add(%z, %y)
      yield %w
    }
  }
  return %r
}
"""


def smooth(x: np.ndarray, m: int) -> tuple[np.ndarray, float]:
    def step(x: np.ndarray, m: int) -> np.ndarray:
        if m < 1:
            return x
        y = x.copy()
        y[m % len(x)] = np.sin(np.exp(y[m % len(x)]))
        return step(y * y, m - 1) + y

    y = step(x, m)
    return y, y.sum()


GROWN = """
func @main(%x: f64[], %m: i64[]) -> (f64[]) {
  %k: i64[], %v: f64[%k] = call(%m) {callee='evens'}
  %xs: f64[%k] = broadcast(%x, %k) {axes=()}
  %p: f64[%k] = mul(%v, %xs)
  %k2: i64[], %w: f64[%k2] = call(%p) {callee='doubled'}
  %s: f64[%k2] = sin(%w)
  %r: f64[] = sum(%s) {axes=(0,)}
  return %r
}
func @evens(%m: i64[]) -> (i64[], f64[%k]) {
  %two: i64[] = const() {dtype=i64, value=2}
  %k: i64[] = floordiv(%m, %two)
  %i: i64[%k] = iota(%k)
  %v: f64[%k] = convert(%i) {dtype=f64}
  return %k, %v
}
func @doubled<%n>(%x: f64[%n]) -> (i64[], f64[%k]) {
  %zero: f64[] = const() {dtype=f64, value=0.5}
  %three: i64[] = const() {dtype=i64, value=3}
  %k: i64[] = maximum(%n, %three)
  %one: i64[] = const() {dtype=i64, value=1}
  %c: i64[] = const() {dtype=i64, value=0}
  %v: f64[%k] = broadcast(%zero, %k) {axes=()}
  %q: f64[%n] = mul(%x, %x)
  %w: f64[%k] = update(%v, %q, %c, %n, %one) {spec=('s',)}
  return %k, %w
}
"""


def grown(x: float, m: int) -> tuple[float]:
    p = np.arange(m // 2) * x
    w = np.full(max(len(p), 3), 0.5, dtype=p.dtype)
    w[: len(p)] = p * p
    return (np.sin(w).sum(),)


CHECKED = """
func @main(%x: f64[], %n: i64[]) -> (f64[]) {
  %y: f64[] = call(%x, %n) {callee='root'}
  return %y
}
func @root(%x: f64[], %n: i64[]) -> (f64[]) {
  %zero: f64[] = const() {dtype=f64, value=0.0}
  %one: i64[] = const() {dtype=i64, value=1}
  %ok: bool[] = ge(%x, %zero)
  check(%ok, %x) {exception='ValueError', message='root of {}'}  # user.py:7
  %stop: bool[] = lt(%n, %one)
  %r: f64[] = if(%stop) {
    region() {
      yield %x
    }
    region() {
      %s: f64[] = sqrt(%x)
      %half: f64[] = const() {dtype=f64, value=0.25}
      %t: f64[] = sub(%s, %half)
      %m: i64[] = sub(%n, %one)
      %u: f64[] = call(%t, %m) {callee='root'}
      %v: f64[] = mul(%u, %x)
      yield %v
    }
  }
  return %r
}
"""


def root(x: float, n: int) -> tuple[float]:
    return (x,) if n < 1 else (root(np.sqrt(x) - 0.25, n - 1)[0] * x,)


SIMPSON = """
func @main(%a: f64[], %b: f64[], %k: f64[]) -> (f64[]) {
  %fa: f64[] = call(%a, %k) {callee='f'}
  %fb: f64[] = call(%b, %k) {callee='f'}
  %whole: f64[], %fm: f64[] = call(%a, %fa, %b, %fb, %k) {callee='rule'}
  %tol: f64[] = const() {dtype=f64, value=1e-07}
  %s: f64[] = call(%a, %fa, %b, %fb, %fm, %whole, %tol, %k) {callee='adapt'}
  return %s
}
func @f(%x: f64[], %k: f64[]) -> (f64[]) {
  %kx: f64[] = mul(%k, %x)
  %kxx: f64[] = mul(%kx, %x)
  %y: f64[] = sin(%kxx)
  return %y
}
func @rule(%a: f64[], %fa: f64[], %b: f64[], %fb: f64[], %k: f64[]) -> (f64[], f64[]) {
  %half: f64[] = const() {dtype=f64, value=0.5}
  %four: f64[] = const() {dtype=f64, value=4.0}
  %six: f64[] = const() {dtype=f64, value=6.0}
  %ab: f64[] = add(%a, %b)
  %m: f64[] = mul(%ab, %half)
  %fm: f64[] = call(%m, %k) {callee='f'}
  %fm4: f64[] = mul(%four, %fm)
  %fab: f64[] = add(%fa, %fb)
  %s: f64[] = add(%fab, %fm4)
  %h: f64[] = sub(%b, %a)
  %w: f64[] = div(%h, %six)
  %r: f64[] = mul(%w, %s)
  return %r, %fm
}
func @adapt(%a: f64[], %fa: f64[], %b: f64[], %fb: f64[], %fm: f64[], %whole: f64[], %tol: f64[], %k: f64[]) -> (f64[]) {
  %half: f64[] = const() {dtype=f64, value=0.5}
  %c15: f64[] = const() {dtype=f64, value=15.0}
  %ab: f64[] = add(%a, %b)
  %m: f64[] = mul(%ab, %half)
  %left: f64[], %fl: f64[] = call(%a, %fa, %m, %fm, %k) {callee='rule'}
  %right: f64[], %fr: f64[] = call(%m, %fm, %b, %fb, %k) {callee='rule'}
  %lr: f64[] = add(%left, %right)
  %delta: f64[] = sub(%lr, %whole)
  %size: f64[] = abs(%delta)
  %limit: f64[] = mul(%c15, %tol)
  %done: bool[] = le(%size, %limit)
  %r: f64[] = if(%done) {
    region() {
      %corr: f64[] = div(%delta, %c15)
      %v: f64[] = add(%lr, %corr)
      yield %v
    }
    region() {
      %t: f64[] = mul(%tol, %half)
      %x: f64[] = call(%a, %fa, %m, %fm, %fl, %left, %t, %k) {callee='adapt'}
      %y: f64[] = call(%m, %fm, %b, %fb, %fr, %right, %t, %k) {callee='adapt'}
      %xy: f64[] = add(%x, %y)
      yield %xy
    }
  }
  return %r
}
"""


def simpson(a: float, b: float, k: float) -> tuple[float]:
    def f(x: Any) -> Any:
        return np.sin(k * x * x)

    def rule(a: Any, fa: Any, b: Any, fb: Any) -> Any:
        fm = f((a + b) * 0.5)
        return (b - a) / 6.0 * (fa + fb + 4.0 * fm), fm

    def adapt(a: Any, fa: Any, b: Any, fb: Any, fm: Any, whole: Any, tol: float) -> Any:
        m = (a + b) * 0.5
        (left, fl), (right, fr) = rule(a, fa, m, fm), rule(m, fm, b, fb)
        delta = left + right - whole
        if abs(np.real(delta)) <= 15 * tol:
            return left + right + delta / 15
        return adapt(a, fa, m, fm, fl, left, tol / 2) + adapt(m, fm, b, fb, fr, right, tol / 2)

    fa, fb = f(a), f(b)
    whole, fm = rule(a, fa, b, fb)
    return (adapt(a, fa, b, fb, fm, whole, 1e-7),)


HALVES = """
func @main<%n>(%x: f64[%n], %k: f64[]) -> (f64[%n], f64[]) {
  %m: i64[], %y: f64[%n], %z: f64[%m] = call(%x, %k) {callee='halves'}
  %s: f64[] = sum(%y) {axes=(0,)}
  %t: f64[] = sum(%z) {axes=(0,)}
  %st: f64[] = mul(%s, %t)
  return %y, %st
}
func @halves<%n>(%x: f64[%n], %k: f64[]) -> (i64[], f64[%n], f64[%count]) {
  %one: i64[] = const() {dtype=i64, value=1}
  %zero: i64[] = const() {dtype=i64, value=0}
  %two: i64[] = const() {dtype=i64, value=2}
  %stop: bool[] = le(%n, %one)
  %count: i64[], %y: f64[%n], %w: f64[%count] = if(%stop) {
    region() {
      %e: f64[%n] = exp(%x)
      %kk: f64[%one] = broadcast(%k, %one) {axes=()}
      yield %one, %e, %kk
    }
    region() {
      %m: i64[] = floordiv(%n, %two)
      %r: i64[] = sub(%n, %m)
      %a: f64[%m] = index(%x, %zero, %m, %one) {spec=('s',)}
      %b: f64[%n-%m] = index(%x, %m, %r, %one) {spec=('s',)}
      %ca: i64[], %ya: f64[%m], %wa: f64[%ca] = call(%a, %k) {callee='halves'}
      %cb: i64[], %yb: f64[%n-%m], %wb: f64[%cb] = call(%b, %k) {callee='halves'}
      %c: i64[] = add(%ca, %cb)
      %more: i64[] = add(%c, %one)
      %blank: f64[] = const() {dtype=f64, value=0.5}
      %v: f64[%ca+%cb+1] = broadcast(%blank, %more) {axes=()}
      %v1: f64[%ca+%cb+1] = update(%v, %wa, %zero, %ca, %one) {spec=('s',)}
      %v2: f64[%ca+%cb+1] = update(%v1, %wb, %ca, %cb, %one) {spec=('s',)}
      %sn: f64[%ca+%cb+1] = sin(%v2)
      %o: f64[%n] = update(%x, %yb, %zero, %r, %one) {spec=('s',)}
      %o1: f64[%n] = update(%o, %ya, %r, %m, %one) {spec=('s',)}
      %p: f64[%n] = mul(%o1, %x)
      %q: f64[%n] = sin(%p)
      yield %more, %q, %sn
    }
  }
  return %count, %y, %w
}
"""


def halves(x: np.ndarray, k: float) -> tuple[np.ndarray, float]:
    def split(x: np.ndarray) -> Any:
        n = len(x)
        if n <= 1:
            return np.exp(x), np.array([k])
        (ya, wa), (yb, wb) = split(x[: n // 2]), split(x[n // 2 :])
        return np.sin(np.concatenate([yb, ya]) * x), np.sin(np.concatenate([wa, wb, [0.5]]))

    y, z = split(x)
    return y, y.sum() * z.sum()


_ARRAY = np.array([0.3, -0.4, 0.9, 1.2, -0.7])

PROGRAMS = {
    "product": Program(PRODUCT, (0.7, 5), product, (0,)),
    "tree": Program(TREE, (_ARRAY,), tree_by_range, (0,)),
    "mutual": Program(MUTUAL, (0.8, 5), even, (0,)),
    "loops": Program(LOOPS, (np.array([0.6, 1.1, 0.8]), 0.9), loops, (0, 1)),
    "mutated": Program(MUTATED, (_ARRAY * 0.5, 4), smooth, (0,)),
    "grown": Program(GROWN, (0.4, 9), grown, (0,)),
    "checked": Program(CHECKED, (2.5, 3), root, (0,)),
    "halves": Program(HALVES, (_ARRAY, 0.7), halves, (0, 1)),
    "simpson": Program(SIMPSON, (0.1, 1.3, 2.0), simpson, (0, 1, 2)),
}
"""Programs by name."""
