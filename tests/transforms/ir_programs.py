"""Small programs in IR text with arguments, for tests of transforms: each uses another kind of region or array op."""

from __future__ import annotations

import numpy as np

STRAIGHT = """
func @straight(%x: f64[], %y: f64[]) -> (f64[]) {
  %a: f64[] = mul(%x, %y)
  %b: f64[] = sin(%a)
  %c: f64[] = div(%b, %x)
  %d: f64[] = add(%c, %a)
  return %d
}
"""

LOOP = """
func @loop<%n>(%x: f64[%n], %k: f64[]) -> (f64[]) {
  %s0: f64[] = const() {dtype=f64, value=1.0}
  %s: f64[] = for(%n, %s0) {
    region(%i: i64[], %acc: f64[]) {
      %e: f64[] = index(%x, %i) {spec=('i',)}
      %m: f64[] = mul(%e, %k)
      %p: f64[] = mul(%acc, %m)
      %q: f64[] = sin(%p)
      %t: f64[] = add(%q, %e)
      yield %t
    }
  }
  return %s
}
"""

BRANCH_AND_WHILE = """
func @branch<%n>(%x: f64[%n], %k: f64[]) -> (f64[]) {
  %s0: f64[] = const() {dtype=f64, value=1.0}
  %z0: f64[] = const() {dtype=f64, value=2.0}
  %s: f64[] = for(%n, %s0) {
    region(%i: i64[], %acc: f64[]) {
      %e: f64[] = index(%x, %i) {spec=('i',)}
      %c: bool[] = lt(%e, %k)
      %t: f64[] = if(%c) {
        region() {
          %m: f64[] = mul(%e, %k)
          %p: f64[] = exp(%m)
          %p2: f64[] = mul(%p, %acc)
          yield %p2
        }
        region() {
          %m: f64[] = mul(%acc, %acc)
          yield %m
        }
      }
      %w: f64[] = while(%t) {
        region(%v: f64[]) {
          %cc: bool[] = gt(%v, %z0)
          yield %cc
        }
        region(%v: f64[]) {
          %v1: f64[] = mul(%v, %k)
          %v2: f64[] = sin(%v1)
          %v3: f64[] = add(%v2, %k)
          yield %v3
        }
      }
      yield %w
    }
  }
  return %s
}
"""

STENCIL = """
func @stencil<%n>(%x: f64[%n], %k: f64[]) -> (f64[]) {
  %steps: i64[] = const() {dtype=i64, value=5}
  %one: i64[] = const() {dtype=i64, value=1}
  %zero: i64[] = const() {dtype=i64, value=0}
  %two: i64[] = const() {dtype=i64, value=2}
  %m: i64[] = sub(%n, %two)
  %u: f64[%n] = for(%steps, %x) {
    region(%i: i64[], %u: f64[%n]) {
      %a: f64[%n-2] = index(%u, %zero, %m, %one) {spec=('s',)}
      %b: f64[%n-2] = index(%u, %one, %m, %one) {spec=('s',)}
      %c: f64[%n-2] = index(%u, %two, %m, %one) {spec=('s',)}
      %ac: f64[%n-2] = add(%a, %c)
      %b2: f64[%n-2] = mul(%b, %b)
      %kb: f64[%n-2] = broadcast(%k, %m) {axes=()}
      %kk: f64[%n-2] = mul(%b2, %kb)
      %d: f64[%n-2] = mul(%kk, %ac)
      %e: f64[%n-2] = add(%b, %d)
      %u2: f64[%n] = update(%u, %e, %one, %m, %one) {spec=('s',)}
      yield %u2
    }
  }
  %uu: f64[%n] = mul(%u, %u)
  %s: f64[] = sum(%uu) {axes=(0,)}
  return %s
}
"""

ARM_WITH_LOOP = """
func @arm<%n>(%x: f64[%n], %k: f64[]) -> (f64[]) {
  %half: f64[] = const() {dtype=f64, value=0.5}
  %one: f64[] = const() {dtype=f64, value=1.0}
  %c: bool[] = gt(%k, %half)
  %kn: f64[%n] = broadcast(%k, %n) {axes=()}
  %r: f64[] = if(%c) {
    region() {
      %e: f64[%n] = mul(%x, %kn)
      %e2: f64[%n] = exp(%e)
      %t: f64[] = for(%n, %one) {
        region(%i: i64[], %acc: f64[]) {
          %xi: f64[] = index(%e2, %i) {spec=('i',)}
          %p: f64[] = mul(%acc, %xi)
          %q: f64[] = sin(%p)
          yield %q
        }
      }
      yield %t
    }
    region() {
      yield %k
    }
  }
  %s: f64[] = mul(%r, %k)
  return %s
}
"""

SLICE_OF_LOOP_LENGTH = """
func @triangle<%n>(%x: f64[%n], %k: f64[]) -> (f64[]) {
  %zero: i64[] = const() {dtype=i64, value=0}
  %one: i64[] = const() {dtype=i64, value=1}
  %s: f64[] = for(%n, %k) {
    region(%i: i64[], %acc: f64[]) {
      %p: f64[%i] = index(%x, %zero, %i, %one) {spec=('s',)}
      %ab: f64[%i] = broadcast(%acc, %i) {axes=()}
      %q: f64[%i] = mul(%p, %ab)
      %r: f64[%i] = sin(%q)
      %t: f64[] = sum(%r) {axes=(0,)}
      %xi: f64[] = index(%x, %i) {spec=('i',)}
      %w: f64[] = add(%t, %xi)
      yield %w
    }
  }
  return %s
}
"""

NESTED_TRIANGLE = """
func @nested<%n>(%x: f64[%n], %k: f64[]) -> (f64[]) {
  %zero: i64[] = const() {dtype=i64, value=0}
  %one: i64[] = const() {dtype=i64, value=1}
  %two: i64[] = const() {dtype=i64, value=2}
  %y: f64[%n] = for(%n, %x) {
    region(%i: i64[], %u: f64[%n]) {
      %w: f64[%n] = for(%two, %u) {
        region(%j: i64[], %v: f64[%n]) {
          %p: f64[%i] = index(%v, %zero, %i, %one) {spec=('s',)}
          %e: f64[] = index(%v, %i) {spec=('i',)}
          %eb: f64[%i] = broadcast(%e, %i) {axes=()}
          %kb: f64[%i] = broadcast(%k, %i) {axes=()}
          %q: f64[%i] = mul(%p, %eb)
          %q2: f64[%i] = sin(%q)
          %q3: f64[%i] = mul(%q2, %kb)
          %r: f64[%n] = update(%v, %q3, %zero, %i, %one) {spec=('s',)}
          %e2: f64[] = cos(%e)
          %t: f64[%n] = update(%r, %e2, %i) {spec=('i',)}
          yield %t
        }
      }
      yield %w
    }
  }
  %yy: f64[%n] = mul(%y, %y)
  %s: f64[] = sum(%yy) {axes=(0,)}
  return %s
}
"""

VECTOR = np.array([0.3, 0.5, 0.9, 1.2])
PROGRAMS = {
    "straight": (STRAIGHT, (1.3, 0.7)),
    "loop": (LOOP, (VECTOR, 0.8)),
    "branch and while": (BRANCH_AND_WHILE, (VECTOR, 0.8)),
    "stencil": (STENCIL, (np.array([0.3, 0.5, 0.9, 1.2, 0.4, 0.2]), 0.1)),
    "loop in an arm": (ARM_WITH_LOOP, (VECTOR, 0.8)),
    "the other arm": (ARM_WITH_LOOP, (VECTOR, 0.3)),
    "slices of loop length": (SLICE_OF_LOOP_LENGTH, (VECTOR, 0.3)),
    "slices of an outer loop's length": (NESTED_TRIANGLE, (VECTOR, 0.9)),
    "no iteration": (LOOP, (np.zeros(0), 0.8)),
}
