"""Which class a number is of that a branch has left as an int or a float: where Python asks, compiled code does not guess."""

import warnings

import pytest

import wengert as wg


def is_true(x):
    y = 1 if x > 0 else True
    return x * 2 if y is True else x


def is_a_bool(x):
    y = 1 if x > 0 else True
    return x * 2 if isinstance(y, bool) else x


def is_an_int(x):
    y = 1 if x > 0 else 2.0
    return x * 2 if isinstance(y, int) else x


def is_false(x):
    y = 0.0 if x > 0 else False
    return x * 2 if y is False else x


def after_arithmetic(x):
    y = 1 if x > 0 else 2.0
    z = -(y * 3 + 1)
    return x * 2 if type(z) is int else x


def after_a_loop(x):
    y = True
    for i in range(30):
        if x > i:
            y = 1
    return x * 2 if y is True else x


def in_a_list(x):
    y = [1, 2.0][int(x) % 2]
    return x * y if isinstance(y, float) else -x


def by_a_pattern(x):
    y = 1 if x > 0 else 2.0
    match y:
        case float():
            return x * y
        case int():
            return 3 * x
    return x


def by_a_constant(x):
    y = 1 if x > 0 else True
    match y:
        case True:
            return x * 5
    return x


UNSURE = [is_true, is_a_bool, is_an_int, is_false, after_arithmetic, after_a_loop, in_a_list, by_a_pattern, by_a_constant]


@pytest.mark.parametrize("program", UNSURE)
def test_runs_eagerly_with_the_kind_that_python_has(program):
    with pytest.raises(wg.StagingError, match="class of a number"):
        wg.jit(program)(2.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", wg.EagerFallbackWarning)
        for x in (2.0, -2.0, 5.0):
            assert wg.value_and_grad(program)(x) == (program(x), pytest.approx(program(x) / x))


def any_of_both(x):
    y = 1 if x > 0 else 2.0
    return x * y if isinstance(y, (int, float)) else -x


def sum_of_a_loop(x):
    total = 0
    for k in range(40):
        total += k * x
    return total if isinstance(total, float) and type(total) is float else -total


def quotient(x):
    y = (1 if x > 0 else 2.0) / 4
    return x * y if isinstance(y, float) else -x


@pytest.mark.parametrize("program", [any_of_both, sum_of_a_loop, quotient])
def test_compiles_where_the_answer_is_sure(program):
    for x in (2.0, -2.0):
        assert wg.jit(program)(x) == program(x)
