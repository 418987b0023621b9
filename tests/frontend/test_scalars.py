"""Traced numbers follow Python's or NumPy's rules: results, classes and errors."""

from __future__ import annotations

import math
import operator

import numpy as np
import pytest

from tests.frontend.boxed import call, check, eager, run_eagerly, stage
from wengert.errors import GradientCutError, UnsupportedError
from wengert.frontend.boxes import box
from wengert.frontend.context import NeedsPythonValue
from wengert.frontend.table_builtins import python_type
from wengert.ir.interpret import run

BINARY = [
    operator.add,
    operator.sub,
    operator.mul,
    operator.truediv,
    operator.floordiv,
    operator.mod,
    operator.lt,
    operator.le,
    operator.gt,
    operator.ge,
    operator.eq,
    operator.ne,
    lambda x, y: divmod(x, y),
]
NUMBERS = [2.5, -1.75, 3, -7, np.float64(1.5), np.int64(-4)]


@pytest.mark.parametrize("function", BINARY)
@pytest.mark.parametrize("x", NUMBERS)
def test_binary(function, x):
    for y in NUMBERS:
        check(function, x, y)
        check(lambda a, y=y: function(a, y), x)
        check(lambda b, y=y: function(y, b), x)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x**2,
        lambda x: x**3,
        lambda x: x**-2,
        lambda x: x**0,
        lambda x: x**2.0,
        lambda x: x**1,
        lambda x: x**20,
        lambda x: pow(x, 3),
        lambda x: -x,
        lambda x: +x,
        lambda x: abs(x),
        lambda x: 2 * x - x / 4 + (1 - x) * 3.0,
    ],
)
@pytest.mark.parametrize("x", [2.5, -1.75, 3, np.float64(1.5)])
def test_unary(function, x):
    check(function, x)


@pytest.mark.parametrize("function", [lambda x: x**0.5, lambda x: x**1.7, lambda x: 2.0**x, lambda x: x**x, lambda x: 3**x])
def test_real_powers(function):
    for x in (2.25, np.float64(0.7)):
        check(function, x)


def test_integers_and_bits():
    check(lambda n: (n & 6, n | 1, n ^ 3, ~n, n << 2, n >> 1), 13)
    check(lambda n, m: ((-1) ** n, 2**n, n**n, m**n, 3**n, np.int64(3) ** n), 13, -4)
    check(lambda n: ((-1) ** n, 2**n, n**n), 0)
    staged, inputs, _ = stage(lambda n: 2**n, -1)
    with pytest.raises(ValueError, match="write the base as a float"):
        run(staged, inputs)
    staged, inputs, _ = stage(lambda n: 7**n, 40)
    with pytest.raises(OverflowError, match="too large"):
        run(staged, inputs)
    check(lambda n, m: (n**3, 2 * n - m, n // m, n % m, n / m), 13, -4)
    check(lambda x: ((x > 1) & (x < 2), (x > 1) | (x < 0), (x > 1) ^ (x < 9)), 1.5)
    check(lambda x: ((x > 1) + 1, -(x > 1), (x > 1) * 2.5), 1.5)
    check(lambda x: ~(x > 1.0), np.float64(3.0))


FLAVOURS = [
    (lambda x: x + 1.0, 2.0, float),
    (lambda x: x + 1, 2, int),
    (lambda x: x / 2, 3, float),
    (lambda x: x > 1, 2.0, bool),
    (lambda x: x * np.float64(2), 2.0, np.float64),
    (lambda x: np.sin(x), 2.0, np.float64),
    (lambda x: x + 1.0, np.float64(2.0), np.float64),
    (lambda x: x > 1.0, np.float64(2.0), np.bool_),
    (lambda x: x.sum(), np.ones(3), np.float64),
    (lambda x: x[0], np.ones(3), np.float64),
    (lambda x: x[0].item(), np.ones(3), float),
    (lambda x: call(float, x[0]), np.ones(3), float),
    (lambda x: call(math.sin, x[0]), np.ones(3), float),
    (lambda x: call(int, x), 2.5, int),
    (lambda x: call(round, x), 2.5, int),
    (lambda x: call(round, x, 1), 2.5, float),
    (lambda x: x + 0, np.ones(3), np.ndarray),
]


@pytest.mark.parametrize(("function", "x", "kind"), FLAVOURS)
def test_flavours(function, x, kind):
    _, _, found = stage(function, x)
    assert python_type(found) is kind
    assert call(type, found) is kind
    assert call(isinstance, found, kind)
    assert not call(isinstance, found, (str, dict))


def test_isinstance_of_numpy_float():
    def f(x):
        return [call(isinstance, x, k) for k in (float, np.floating, int, np.ndarray, (int, float))]

    assert stage(f, np.float64(1.0))[2] == [True, True, False, False, True]
    assert stage(f, 1.0)[2] == [True, False, False, False, True]


ZERO_DIVISIONS = [
    lambda x, y: x / y,
    lambda x, y: x // y,
    lambda x, y: x % y,
    lambda x, y: y**-1,
    lambda x, y: (x + 1) / (y * 2),
    lambda x, y: y**-0.5,
    lambda x, y: y ** (-x * 1.0),
]


@pytest.mark.parametrize("function", ZERO_DIVISIONS)
@pytest.mark.parametrize("numbers", [(1.5, 0.0), (3, 0)])
def test_division_by_zero(function, numbers):
    with pytest.raises(ZeroDivisionError) as expected:
        function(*numbers)
    for mode in (lambda: run(*stage(function, *numbers)[:2]), lambda: run_eagerly(function, *numbers)):
        with pytest.raises(ZeroDivisionError) as found:
            mode()
        assert str(expected.value) in str(found.value)
        assert "user.py:7" in str(found.value) or isinstance(numbers[0], int)


def test_numpy_divisions_do_not_raise():
    check(lambda x, y: (x / y, -x / y), np.float64(1.0), np.float64(0.0))
    check(lambda x, y: x / y, np.ones(3), np.array([0.0, 1.0, 2.0]))
    check(lambda x: x / 0.0, np.float64(2.0))


def test_constant_divisors_need_no_check():
    staged, _, _ = stage(lambda x: x / 2 + x // 3.0, 1.0)
    assert "check" not in [i.op.name for i in staged.instrs]


def test_negative_base_with_fractional_exponent():
    staged, inputs, _ = stage(lambda x: x**0.5, -2.0)
    with pytest.raises(ValueError, match="complex"):
        run(staged, inputs)


def test_requests_for_python_values():
    def ask(question):
        return lambda x: question(x)

    for question in (bool, int, float, hash, lambda x: [1, 2][x], lambda x: f"{x}", lambda x: {x: 1}, lambda x: range(x)):
        with pytest.raises(NeedsPythonValue):
            stage(ask(question), 3)


def test_eager_answers():
    with eager() as b:
        constant = box(b.lift_known(4.0))
        assert float(constant * 2.0) == 8.0 and np.asarray(constant) == 4.0
        x = box(b.lift_known(2.5))
        b.note_input(0, x.value)
        assert (x > 1) is True
        assert isinstance(np.sin(x) > 1, np.bool_)
        with pytest.raises(GradientCutError, match=r"user.py:7[\s\S]*stop_gradient"):
            float(x)
        with pytest.raises(GradientCutError):
            math.sin(x)
        with pytest.raises(GradientCutError):
            np.asarray(x)
        assert box(b.lift_known(3)) == 3
        assert [str(x), repr(x), f"{x:.2f}", str(np.sin(x) * 0)] == ["2.5", "2.5", "2.50", "0.0"]
        assert str(box(b.lift_known(np.ones(2)))) == "[1. 1.]"
        assert type(box(b.lift_known(3))) is int


def test_static_integers_are_plain():
    def f(x):
        n = x.shape[0]
        assert type(n) is int
        assert type(call(len, x)) is int
        return x

    stage(f, np.ones(4), symbolic=False)
    _, _, found = stage(lambda x: (x.shape[0] - x.shape[0] + 2, x.shape[0] < x.shape[0] + 1), np.ones(4))
    assert found == (2, True)


def test_attributes():
    def f(x):
        y = x[0]
        return y.real, y.conjugate(), y.astype(int), y.sum(), y.max(), call(np.round, y, 1), y.item()

    check(f, np.array([2.56, 1.0]))
    _, _, found = stage(lambda x: (x[0].shape, x[0].ndim, x[0].dtype == np.float64, x.real.shape), np.ones(2), symbolic=False)
    assert found == ((), 0, True, (2,))
    assert stage(lambda x: hasattr(x, "shape"), 1.0)[2] is False
    assert stage(lambda x: hasattr(x, "dtype"), np.float64(1.0))[2] is True
    check(lambda x: x.is_integer(), 2.0)
    check(lambda x: x.is_integer(), 2.5)


def test_unknown_operands():
    class Other:
        def __radd__(self, x):
            return "other"

    assert stage(lambda x: [x + Other() == "other", x == "text", x != None], 1.0)[2] == [True, False, True]  # noqa: E711
    with pytest.raises(TypeError):
        stage(lambda x: x + "text", 1.0)
    with pytest.raises(TypeError):
        stage(lambda x: x & 1, 1.0)
    with pytest.raises(UnsupportedError, match="float16"):
        stage(lambda x: x * np.float16(2.0), 1.0)
    with pytest.raises(UnsupportedError, match="float16"):
        stage(lambda x: x.astype(np.float16), np.ones(3))


def test_mixed_with_arrays():
    check(lambda x, s: (x * s, s * x, s / x, x**s, x > s, s - x), np.arange(1.0, 4.0), 2.5)
    check(lambda x: (np.ones(3) * x, np.float64(2.0) * x, np.arange(3) - x), 2.5)
    check(lambda x: np.array([1.0, 2.0]) * x, np.ones((3, 1)))
    check(lambda x: x + [1, 2, 3], np.ones(3))  # noqa: RUF005
