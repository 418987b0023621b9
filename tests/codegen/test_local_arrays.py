"""Arrays of small known sizes lie in the frame of the native function: they cost no allocation, and what outlives it is moved."""

from __future__ import annotations

import numpy as np
import pytest

import wengert as wg
from wengert.codegen import compile
from wengert.ir.interpret import run
from wengert.ir.parser import parse

GROWS = """
func @grows(%n: i64[], %a: f64[], %b: f64[]) -> (i64[], f64[%k]) {
  %one: i64[] = const() {dtype=i64, value=1}
  %two: i64[] = const() {dtype=i64, value=2}
  %x: f64[2] = make_array(%a, %b) {shape=(2,)}
  %y: f64[%two] = assume_shape(%x, %two)
  %k: i64[], %v: f64[%k] = for(%n, %two, %y) {
    region(%i: i64[], %m: i64[], %w: f64[%m]) {
      %larger: i64[] = add(%m, %one)
      %z: f64[%larger] = resize(%w, %larger)
      %u: f64[%larger] = update(%z, %a, %m) {spec=('i',)}
      yield %larger, %u
    }
  }
  return %k, %v
}
"""


def kalman(z: np.ndarray, q: float, r: float) -> float:
    transition, x, p = np.array([[1.0, 1.0], [0.0, 1.0]]), np.zeros(2), np.eye(2)
    total = 0.0
    for k in range(len(z)):
        x, p = transition @ x, transition @ p @ transition.T + q * np.eye(2)
        s = p[0, 0] + r
        gain = p[:, 0] / s
        error = z[k] - x[0]
        x, p = x + gain * error, p - np.outer(gain, p[0])
        total += error * error / s + np.log(s)
    return float(total)


def turned(n: int, a: float) -> float:
    if n == 0:
        raise ValueError("never")
    x = np.array([a, 2.0 * a, 3.0])
    for k in range(n):
        x[k % 3] += a * x[(k + 1) % 3]
        x = x[::-1].copy()
    return float(x @ x)


def checked(n: int, a: float) -> float:
    x = np.array([a, -a, 1.0])
    for k in range(n):
        x = x * 1.5
        if x[0] > 10.0:
            raise ValueError(f"too large: {x}")
    return float(x[2])


def test_no_allocations() -> None:
    data = np.linspace(0.0, 3.0, 20)
    for made in (wg.jit(kalman), wg.grad(kalman, argnums=(1, 2))):
        made(data, 0.1, 0.5)
        (variant,) = next(iter(made.program.variants.values()))
        assert not [n for n in variant.compiled.report if n.kind == "allocation"]
    assert wg.jit(kalman)(data, 0.1, 0.5) == pytest.approx(kalman(data, 0.1, 0.5), rel=1e-13)
    q, r = wg.grad(kalman, argnums=(1, 2))(data, 0.1, 0.5)
    step = 1e-6
    assert q == pytest.approx((kalman(data, 0.1 + step, 0.5) - kalman(data, 0.1 - step, 0.5)) / (2 * step), rel=1e-7)
    assert r == pytest.approx((kalman(data, 0.1, 0.5 + step) - kalman(data, 0.1, 0.5 - step)) / (2 * step), rel=1e-7)


def test_an_array_that_grows_leaves_the_frame() -> None:
    function = parse(GROWS)
    native = compile(function)
    for n in (0, 1, 500):
        expected = run(function, [n, 3.0, 4.0])
        found = native(n, 3.0, 4.0)
        assert found[0] == expected[0] == n + 2
        np.testing.assert_array_equal(found[1], expected[1])


def test_computed_indices() -> None:
    made = wg.jit(turned)
    for n in (1, 2, 7):
        assert made(n, 1.25) == pytest.approx(turned(n, 1.25), rel=1e-14)


def test_an_error_shows_an_array_of_a_frame_that_is_gone() -> None:
    made = wg.jit(checked)
    assert made(3, 1.0) == checked(3, 1.0)
    for n in (9, 30):
        with pytest.raises(ValueError, match="too large") as expected:
            checked(n, 1.0)
        with pytest.raises(ValueError, match="too large") as found:
            made(n, 1.0)
        assert str(found.value).splitlines()[0].startswith(str(expected.value))
