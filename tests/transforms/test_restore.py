"""Arrays that loops overwrite and the way back puts back: what is stored, and that derivatives are those of the program."""

import math

import numpy as np
import pytest

import wengert as wg
from wengert.ir.core import walk
from wengert.transforms import residuals
from wengert.types import StackType


def stacks(f, *args):
    """The ranks of what the gradient of f stores."""
    from wengert.api.lowering import lower_grad
    from wengert.api.program import Program

    program = Program(f, lambda traced, wrt: lower_grad(traced, wrt, what="grad", has_aux=False), strict=True)
    variant, _ = program.variant(args, {}, (0,))
    made = [i.result.type for i in walk(variant.function.instrs) if i.op.name == "stack_new"]
    return [tuple(e.rank for e in s.elements) for s in made if isinstance(s, StackType)]


def triangle(a):
    n = len(a)
    for i in range(n):
        for j in range(i):
            a[i, j] = (a[i, j] - a[i, :j] @ a[j, :j]) / a[j, j]
        a[i, i] = np.sqrt(a[i, i] - a[i, :i] @ a[i, :i])
    return np.sum(np.sin(a))


def substitution(a):
    x = np.zeros(len(a))
    for i in range(len(a)):
        x[i] = (1.0 - a[i, :i] @ x[:i]) / a[i, i]
    return x @ x


def read_late(a):
    """What is read before the inner loop is needed behind it."""
    total = 0.0
    for i in range(2, len(a)):
        first = a[0].copy()
        row = a[1].copy()
        for j in range(i):
            a[j] = 0.5 * np.sin(a[j]) + 0.1 * (a[i, :i] @ a[j, :i])
        total += first[i] * row[0] * a[1, 1] * total + np.sum(first * a[2])
    return total + np.sum(a)


def old_copy(a):
    """A version from before a loop is read in a later one."""
    total = 0.0
    for i in range(2, len(a)):
        before = a.copy()
        for j in range(1, i):
            a[j] = np.cos(a[j]) * (a[j - 1] @ a[j])
        for j in range(i):
            total += np.sum(before[j] * before[j]) * a[j, 0]
    return total


def with_while(a):
    i = 1
    while i < len(a) and a[i - 1, 0] < 50.0:
        a[i, :i] += 0.3 * a[i - 1, :i] * a[i, :i] * (a[i, :i] @ a[i - 1, :i])
        a[i, i:] = np.exp(0.1 * a[i - 1, i:])
        i += 1
    return np.sum(a * a)


def written_twice(a):
    for i in range(1, len(a)):
        a[i, 0] = np.exp(-a[i, :i] @ a[i, :i])
        a[i, 0] = a[i, 0] * (a[i - 1, :i] @ a[i, :i])
        a[:, i] *= np.sum(a[i]) * 0.1
    return np.sum(a * a)


def swapped(a):
    b = np.ones_like(a)
    for i in range(1, len(a)):
        for j in range(i):
            b[j, :i] = a[i, :i] * b[i, :i] * (a[j, :i] @ b[j, :i])
        a[i] = 0.2 * b[i - 1] + a[i] * a[i - 1]
    return np.sum(a * b)


def branches(a):
    for i in range(1, len(a)):
        for j in range(i):
            if a[i, j] > 0.4:
                a[i, j] *= a[i, :j] @ a[j, :j] + a[j, j]
        a[i, i] = math.tanh(a[i, :i] @ a[i, :i])
    return np.sum(a * a)


def reads_an_outer_version(a):
    """A loop that carries one array reads another as it was before it was written to."""
    b = np.zeros_like(a)
    for i in range(1, len(a)):
        row = a[i - 1].copy()
        a[i - 1] = np.sin(a[i] * a[i - 1])
        for j in range(len(a)):
            b[j, :i] += row[:i] * b[j, :i] + a[j, :i] * (row[:i] @ a[i, :i])
    return np.sum(b * b)


PROGRAMS = (triangle, substitution, read_late, old_copy, with_while, written_twice, swapped, branches, reads_an_outer_version)
MATRIX = np.random.default_rng(3).uniform(0.1, 0.9, (5, 5)) + 3.0 * np.eye(5)


def test_a_factorisation_stores_numbers_only():
    assert stacks(triangle, MATRIX) == [(0,), (0,)]
    assert stacks(substitution, MATRIX) == [(0,)]


def test_without_it_rows_are_stored(monkeypatch):
    monkeypatch.setenv("WENGERT_DISABLE", "restore")
    assert any(1 in entry for entry in stacks(triangle, MATRIX))


@pytest.mark.parametrize("f", PROGRAMS, ids=lambda f: f.__name__)
def test_derivatives_are_those_of_the_program(f, monkeypatch):
    def on_copy(a):
        return f(a.copy())

    with wg.eager():
        expected = wg.grad(on_copy)(MATRIX)
    found = wg.grad(on_copy)(MATRIX)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10)
    monkeypatch.setattr(residuals, "SAVING", 0)  # whatever can be put back is put back
    always = wg.grad(lambda a: f(a.copy()))
    np.testing.assert_allclose(always(MATRIX), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("f", (triangle, read_late), ids=lambda f: f.__name__)
def test_second_derivatives_go_through_what_is_put_back(f, monkeypatch):
    monkeypatch.setattr(residuals, "SAVING", 0)
    way = np.random.default_rng(5).uniform(-1.0, 1.0, MATRIX.shape)
    gradient = wg.grad(lambda a: f(a.copy()))
    curvature = wg.hvp(lambda a: f(a.copy()))(MATRIX, way)
    slopes = [gradient(MATRIX + s * 1e-6 * way) for s in (1.0, -1.0)]
    np.testing.assert_allclose(curvature, (slopes[0] - slopes[1]) / 2e-6, rtol=1e-5, atol=1e-5 * np.max(np.abs(curvature)))


def test_arrays_that_cannot_be_put_back_in_time_are_stored(monkeypatch):
    """A choice that holds for each loop but not for all of them together is taken back whole."""
    dropped = []
    forget = residuals._Planner.forget

    def all_of_them(planner, frame, others):
        return planner.candidates(frame)

    def noted(planner, frames):
        dropped.append(planner)
        forget(planner, frames)

    monkeypatch.setattr(residuals._Planner, "chains_that_pay", all_of_them)
    monkeypatch.setattr(residuals._Planner, "forget", noted)
    for f in (read_late, old_copy, reads_an_outer_version):
        with wg.eager():
            expected = wg.grad(lambda a, f=f: f(a.copy()))(MATRIX)
        found = wg.grad(lambda a, f=f: f(a.copy()))(MATRIX)
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10)
    assert dropped
