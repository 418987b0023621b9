"""`math` and the builtins on boxes: values, and Python's errors at run time."""

from __future__ import annotations

import builtins as python
import math as real_math
import operator

import numpy as np
import pytest

from tests.frontend.boxed import Hooked, call, check, eager, run_eagerly, stage
from wengert.frontend.boxes import box, is_box
from wengert.frontend.table_builtins import stop_gradient
from wengert.ir.interpret import run

math = Hooked(real_math)
b = Hooked(python)

UNARY = """sin cos tan asin atan sinh cosh tanh asinh exp expm1 exp2 cbrt log log2 log10 log1p sqrt fabs floor ceil trunc degrees
radians isnan isinf isfinite acos atanh modf""".split()


@pytest.mark.parametrize("name", UNARY)
def test_unary(name):
    for x in (0.7, np.float64(0.3)):
        check(getattr(math, name), x)
    check(lambda a: getattr(math, name)(a[0]), np.array([0.5]))
    if name not in ("atanh",):
        check(getattr(math, name), 1)


def test_more_arguments():
    check(lambda x, y: (math.atan2(x, y), math.hypot(x, y), math.pow(x, y), math.fmod(x, y), math.copysign(x, -y)), 2.5, 0.7)
    check(lambda x, y: (math.fmod(-x, y), math.hypot(x, y, 1.0), math.hypot(-x), math.log(x, y), math.log(x, 3)), 2.5, 0.7)
    check(
        lambda x, y: (math.dist([x, 1.0], [y, 2]), math.fsum([x, y, 1]), math.prod([x, y], start=2), math.isclose(x, y)), 2.5, 0.7
    )
    check(lambda x: (math.pow(x, 2), math.pow(x, 3.0), math.pow(2, x), math.isclose(x, x + 1e-12)), -1.5)
    check(lambda x: (math.acosh(x), math.floor(-x), math.ceil(x), math.trunc(-x), math.copysign(x, -0.0)), 1.5)


DOMAIN = [
    (lambda x: math.sqrt(x), -1.0),
    (lambda x: math.log(x), 0.0),
    (lambda x: math.log(x), -2.0),
    (lambda x: math.log2(x), 0.0),
    (lambda x: math.log10(x), -1.0),
    (lambda x: math.log1p(x), -1.0),
    (lambda x: math.asin(x), 2.0),
    (lambda x: math.acos(x), -2.0),
    (lambda x: math.acosh(x), 0.5),
    (lambda x: math.atanh(x), 1.0),
    (lambda x: math.sin(x), math.inf),
    (lambda x: math.pow(x, 0.5), -1.0),
    (lambda x: math.pow(x, -1.0), 0.0),
    (lambda x: math.fmod(x, 0.0), 1.0),
    (lambda x: math.exp(x), 1000.0),
    (lambda x: math.cosh(x), 1000.0),
    (lambda x: math.pow(x, 400.0), 10.0),
    (lambda x: math.floor(x), math.inf),
    (lambda x: b.int(x), math.nan),
    (lambda x: b.round(x), math.inf),
]


@pytest.mark.parametrize(("function", "x"), DOMAIN)
def test_domain_errors(function, x):
    with pytest.raises((ValueError, OverflowError)) as expected:
        function(x)
    for mode in (lambda: run(*stage(function, x)[:2]), lambda: run_eagerly(function, x)):
        with pytest.raises(type(expected.value)) as found:
            mode()
        if x > -2.0 and x != 0.5:
            assert str(expected.value) in str(found.value)
        assert "user.py:7" in str(found.value)


def test_no_errors_at_the_ends():
    check(lambda x: (math.exp(x), math.sqrt(x), math.log(x)), math.inf)
    check(lambda x: (math.sqrt(x), math.exp(x), math.log(x), math.sin(x)), math.nan)
    check(lambda x: math.exp(x), -math.inf)


NUMBERS = [
    lambda x, y: b.abs(x),
    lambda x, y: b.max(x, y),
    lambda x, y: b.min(x, y, 1.0),
    lambda x, y: b.max([x, y, 2.0]),
    lambda x, y: b.sum([x, y, 3]),
    lambda x, y: b.sum((x, y), 1.5),
    lambda x, y: b.sum(v * v for v in (x, y)),
    lambda x, y: b.round(x),
    lambda x, y: b.round(x, 2),
    lambda x, y: b.pow(abs(x), y),
    lambda x, y: b.divmod(x, y),
    lambda x, y: (b.int(x), b.float(b.int(x)), b.bool(x)),
    lambda x, y: b.any([x > 1, y > 1]),
    lambda x, y: b.all([x > 1, True, y > 0]),
    lambda x, y: (b.any([]), b.all([]), b.any([x > 1, True])),
    lambda x, y: operator.mul(x, y),
]


@pytest.mark.parametrize("function", NUMBERS)
def test_builtins(function):
    for x, y in ((2.567, 0.7), (-1.25, 3.0), (0.5, 0.5)):
        check(function, x, y)


def test_builtins_on_arrays():
    x = np.array([0.5, -2.0, 1.5])
    check(lambda a: (b.sum(a), b.max(a), b.min(a), b.abs(a), b.len(a), b.any(a > 1), b.all(a > 1)), x)
    check(lambda a: (b.sum(a), b.len(a)), np.ones((2, 3)))
    check(lambda a: (b.max(a[0], a[1]), b.min(a[0], 0.0), b.float(a[0]), b.int(a[2])), x)
    check(lambda a: b.float(a), np.array(1.5))
    check(lambda a: b.sum(b.list(a)), x, modes="de")
    with pytest.raises(ValueError, match="ambiguous"):
        stage(lambda a: b.bool(a), x)
    with pytest.raises(TypeError, match="only"):
        stage(lambda a: b.float(a), x)


def test_stop_gradient():
    kept = []
    staged, _, _ = stage(lambda x, a: kept.append(stop_gradient({"x": x, "a": [a, 3, "text"]})), 1.5, np.ones(3))
    (found,) = kept
    assert is_box(found["x"])
    assert found["a"][1:] == [3, "text"]
    assert [i.op.name for i in staged.instrs] == ["stop_gradient", "stop_gradient"]


def test_calls_without_boxes_pass():
    with eager() as builder:
        assert call(math.sin, 1.0) == real_math.sin(1.0)
        assert type(call(max, 1, 2)) is int
        assert call(sum, [1, 2]) == 3
        assert call(isinstance, 1, int)
        assert isinstance(call(np.sin, np.ones(2)), np.ndarray)
        assert is_box(call(np.zeros, 2))
        assert is_box(call(np.array, [1.0, 2.0]))
        assert call(np.array, ["a"]).dtype.kind == "U"
        assert list(builder.known(call(np.eye(2).dot, box(builder.lift_known(np.ones(2)))).value)) == [1.0, 1.0]
        assert call(len, [1, box(builder.lift_known(1.0))]) == 2
