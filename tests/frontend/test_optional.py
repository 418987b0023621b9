"""Values of different kinds after a traced test: None or a number, one of several texts, functions, classes or tuples."""

import enum
import math

import numpy as np
import pytest

import wengert as wg
from tests.frontend.agreement import agree
from wengert.errors import StagingError
from wengert.frontend.trace import trace

VALUES = np.array([0.3, 2.1, 1.4, -0.5, 0.9, 1.1, 0.2, -1.3, 0.7, 1.9, 0.4])


def slope(f, x, *rest):
    """A central difference in the first argument."""
    h = 1e-6
    if not isinstance(x, np.ndarray):
        return (f(x + h, *rest) - f(x - h, *rest)) / (2 * h)
    steps = h * np.eye(len(x))
    return np.array([(f(x + s, *rest) - f(x - s, *rest)) / (2 * h) for s in steps])


def check(f, *args, also=()):
    """CPython, eager, reference and compiled values; the gradient of compiled code against differences."""
    agree(f, *args, also=also)
    for given in (args, *also):
        expected = f(*given)
        np.testing.assert_allclose(wg.jit(f)(*given), expected, rtol=1e-12)
        np.testing.assert_allclose(wg.grad(f)(*given), slope(f, *given), rtol=1e-6, atol=1e-7)


# --- None or a value -------------------------------------------------------------------------------------------------


def best_of(scores):
    best = None
    for s in scores:
        if best is None or s > best:
            best = s
    return best * 2.0


def test_the_best_so_far_starts_as_none():
    check(best_of, VALUES, also=[(VALUES[::-1].copy(),)])


def test_a_use_of_none_raises_pythons_error_at_the_users_line():
    with pytest.raises(TypeError, match=r"unsupported operand type\(s\) for \*: 'NoneType' and 'float'"):
        wg.jit(best_of)(np.zeros(0))


def last_positive(x):
    last = None
    for v in x:
        if v > 0.0:
            last = v
    if last is None:
        raise ValueError("nothing positive")
    return last**2


def test_a_test_for_none_dominates_what_follows():
    check(last_positive, VALUES)
    with pytest.raises(ValueError, match="nothing positive"):
        wg.jit(last_positive)(-np.abs(VALUES))
    text = str(trace(last_positive, (VALUES,), {}).function)
    assert "TypeError" not in text


def bounded(x, limit):
    low = None
    if x > 0.5:
        low = limit * x
    return x if low is None else min(x * x, low)


def compared_with_eq(x):
    found = None
    if x > 1.0:
        found = x * x
    if found == None:  # noqa: E711
        return x
    return found * 3.0 if found != None and found > 2.0 else -found  # noqa: E711


def by_truth(x):
    found = None
    if x > 0.0:
        found = math.floor(x) * x
    return found * 2.0 if found else x * x


def of_arrays(x):
    found = None
    for v in x:
        if found is None or v > found[0]:
            found = np.array([v, v * v])
    found[0] = 3.0 * found[0]
    return found.sum()


def of_tuples(x):
    pair = None
    if x > 0.0:
        pair = (x, "up")
    elif x < -1.0:
        pair = (2.0 * x, "down")
    if pair is None:
        return x * x
    size, way = pair
    return size * 3.0 if way == "up" else size * 5.0


class Pid:
    def __init__(self, gain):
        self.gain, self.previous = gain, None

    def __call__(self, error):
        change = 0.0 if self.previous is None else error - self.previous
        self.previous = error
        return self.gain * change + error


def controlled(x, gain):
    pid = Pid(gain)
    for _ in range(30):
        x = x - 0.1 * pid(x)
    return x


def test_none_or_a_value_in_branches_loops_and_attributes():
    check(bounded, 0.8, 0.9, also=[(0.3, 0.9), (2.0, 0.4)])
    check(compared_with_eq, 1.2, also=[(0.4,), (1.9,)])
    check(by_truth, 2.3, also=[(0.4,), (-1.1,)])
    check(of_arrays, VALUES)
    check(of_tuples, 0.7, also=[(-0.5,), (-1.5,)])
    check(controlled, 0.7, 0.4)


def sine_of_none(x):
    angle = None
    if x > 0.0:
        angle = x
    return math.sin(angle)


def caught(x):
    found = None
    if x > 0.0:
        found = x
    try:
        return found + x * x
    except TypeError:
        return 7.0 * x


def test_errors_of_none_come_at_run_time_and_can_be_caught():
    check(sine_of_none, 0.3)
    with pytest.raises(TypeError, match="must be real number, not NoneType"):
        wg.jit(sine_of_none)(-0.3)
    check(caught, 0.3, also=[(-0.3,)])


# --- one of several known values -------------------------------------------------------------------------------------


def machine(x, steps):
    state = "heat"
    total = 0.0
    for _ in range(steps):
        if state == "heat":
            x += 0.3
            if x > 1.5:
                state = "cool"
        elif state == "cool":
            x *= 0.6
            if x < 0.8:
                state = "heat"
        total += x
    return total


def matched(x, n):
    state, total = "a", 0.0
    for _ in range(n):
        match state:
            case "a":
                total += x
                state = "b"
            case "b":
                total *= 1.1
                if total > 1.0:
                    state = "c"
            case _:
                total -= 0.5 * x
                state = "a"
    return total


class Mode(enum.Enum):
    SLOW = 1
    FAST = 2


def looked_up(x, n):
    mode, rates, total = Mode.SLOW, {Mode.SLOW: 1.5, Mode.FAST: x}, 0.0
    for _ in range(n):
        total += rates[mode] * x
        mode = Mode.FAST if total > 2.0 else Mode.SLOW
    return total


def test_states_of_a_machine():
    check(machine, 0.7, 10, also=[(0.7, 3), (0.7, 100)])
    check(matched, 0.3, 40)
    check(looked_up, 0.7, 12)


def double(v):
    return 2.0 * v


class Square:
    def __init__(self, side):
        self.side = side

    def area(self):
        return self.side**2


class Circle(Square):
    def area(self):
        return 3.0 * self.side**2


def functions(x):
    rule = double if x > 1.0 else math.sin if x > 0.0 else abs
    return rule(x) * x


def objects(x):
    shape = Square(x) if x > 0.0 else Circle(2.0 * x)
    return shape.area() + shape.side


def classes(x):
    kind = Square if x > 0.0 else Circle
    return kind(x).area()


def kinds(x):
    found = 1 if x > 0.0 else "text"
    return x * 2.0 if isinstance(found, str) else x * 7.0 * found


def texts(x):
    name = "u" if x > 0.0 else "v" if x < -1.0 else "w"
    table = {"k_u": x, "k_v": x * x, "k_w": 3.0 * x}
    return table[f"k_{name}"] * (2.0 if name in ("u", "v") else 5.0)


@pytest.mark.parametrize("f", [functions, objects, classes, kinds, texts])
def test_one_of_several(f):
    check(f, 0.7, also=[(1.7,), (-0.5,), (-1.5,)])


# --- what is refused -------------------------------------------------------------------------------------------------


def returns_either(x):
    return "positive" if x > 0.0 else None


def counts_kinds(x):
    name = "none"
    for k, found in enumerate(("a", "b", "c", "d", "e", "f", "g", "h", "i", "j")):
        if x > k:
            name = found
    return x * len(name)


def second_name(x):
    y = x.copy()
    b = x.copy()
    for k in range(len(x)):
        if x[k] > 1.0:
            b = y
    b[0] = 7.0 * x[1]
    return y[0] + y[1]


def second_name_of_none(x):
    y = x.copy()
    b = None
    for k in range(len(x)):
        if x[k] > 1.0:
            b = y
    if b is not None:
        b[0] = 7.0 * x[1]
    return y[0] + y[1]


def test_refusals_name_the_reason():
    with pytest.raises(StagingError, match="the result may be of different kinds"):
        trace(returns_either, (1.0,), {})
    with pytest.raises(StagingError, match="differs between the arms"):
        trace(counts_kinds, (3.5,), {})


@pytest.mark.parametrize("f", [second_name, second_name_of_none])
def test_an_array_that_got_a_second_name_in_a_loop_is_not_written_to(f):
    with pytest.raises(StagingError):
        trace(f, (VALUES,), {})
    with pytest.warns(wg.EagerFallbackWarning):
        np.testing.assert_allclose(wg.grad(f)(VALUES), slope(f, VALUES), rtol=1e-6, atol=1e-7)
