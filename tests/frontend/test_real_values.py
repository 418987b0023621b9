"""Values pass for the real thing: library Python is converted like the user's, and who asks a value what it is hears so."""

from __future__ import annotations

import bisect
import collections.abc
import functools
import heapq
import itertools
import math
import numbers
import operator
import queue
import struct
import warnings
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pytest
from scipy import integrate, optimize

import wengert as wg

VECTOR = np.array([1.5, -0.5, 2.0])


def derivative(f, x, step=1e-5):
    """Central differences, extrapolated once."""
    if np.ndim(x):
        return np.array([derivative(lambda t, e=e: f(x + t * e), 0.0, step) for e in np.eye(np.size(x))]).reshape(np.shape(x))

    def slope(h):
        return (f(x + h) - f(x - h)) / (2 * h)

    return (4 * slope(step) - slope(2 * step)) / 3


def everywhere(f, x, compiles=True, tolerance=1e-8):
    """Value and gradient in CPython, eager and compiled mode agree."""
    value, slope = f(x), derivative(f, x)
    with wg.eager():
        found, gradient = wg.value_and_grad(f)(x)
    np.testing.assert_allclose(found, value, rtol=1e-13)
    np.testing.assert_allclose(gradient, slope, rtol=tolerance, atol=tolerance)
    if compiles:
        np.testing.assert_allclose(wg.jit(f)(x), value, rtol=1e-13)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            np.testing.assert_allclose(wg.grad(f)(x), slope, rtol=tolerance, atol=tolerance)


def eagerly(f, *args, argnums=0):
    with wg.eager():
        return wg.grad(f, argnums=argnums)(*args)


# --- questions about values ------------------------------------------------------------------------------------------

QUESTIONS = [
    lambda x: 2 * x if isinstance(x, float) and isinstance(x, numbers.Real) else x,
    lambda x: 2 * x if not isinstance(x, numbers.Integral | collections.abc.Iterable) else x,
    lambda x: 2 * x if type(x) is float and x.__class__ is float and type(x).__name__ == "float" else x,
    lambda x: 2 * x if np.isscalar(x) and np.issubdtype(type(x), np.floating) else x,
    lambda x: 2 * x if not hasattr(x, "shape") and not hasattr(x, "__len__") and not callable(x) else x,
    lambda x: 2 * x if not (hasattr(x, "__getitem__") or hasattr(np.float64(x), "__iter__")) else x,
    lambda x: 2 * x if hasattr(x, "__float__") and hasattr(x, "__add__") else x,
]


@pytest.mark.parametrize("k", range(len(QUESTIONS)))
def test_a_float_is_taken_for_a_float(k):
    everywhere(QUESTIONS[k], 1.7)


ARRAY_QUESTIONS = [
    lambda x: np.sum(x * x) if isinstance(x, np.ndarray) and type(x) is np.ndarray and x.__class__ is np.ndarray else x[0],
    lambda x: np.sum(x * x) if isinstance(x, collections.abc.Iterable | collections.abc.Sized) else x[0],
    lambda x: np.sum(x * x) if not isinstance(x, collections.abc.Sequence) and hasattr(x, "shape") else x[0],
    lambda x: np.sum(x * x) if x.dtype == float and x.dtype.kind == "f" and np.issubdtype(x.dtype, np.number) else x[0],
]


@pytest.mark.parametrize("k", range(len(ARRAY_QUESTIONS)))
def test_an_array_is_taken_for_an_array(k):
    everywhere(ARRAY_QUESTIONS[k], VECTOR)


SPECIAL_METHODS = [
    lambda x: x.__add__(1.0) * x.__mul__(x) + x.__rsub__(3.0) / x.__truediv__(2.0),
    lambda x: float.__add__(x, 1.0) * float.__mul__(x, x) + float.__pow__(x, 2),
    lambda x: x.__float__() * x.__round__() + x.__abs__() * x.__neg__() + x.__divmod__(0.6)[1],
    lambda x: (2.0).__mul__(x) + (3).__rsub__(4) * x + (5.0).__pow__(x) + x.__rpow__(2.0),
]


@pytest.mark.parametrize("k", range(len(SPECIAL_METHODS)))
def test_special_methods(k):
    everywhere(SPECIAL_METHODS[k], 1.7)


# --- classes ---------------------------------------------------------------------------------------------------------


class Angle:
    """Made by `__new__`, which looks at its argument."""

    def __new__(cls, value):
        if not isinstance(value, float):
            raise TypeError(f"no float: {type(value)}")
        made = super().__new__(cls)
        made.sine = math.sin(value)
        return made

    def __init__(self, value):
        self.cosine = math.cos(value)


class Counted(type):
    """A metaclass with a `__call__` in Python."""

    def __call__(cls, *args):
        made = super().__call__(*args)
        made.double = 2.0 * made.value
        return made


class Number(metaclass=Counted):
    def __init__(self, value):
        self.value = value


def test_numbers_are_not_iterable():
    def f(x):
        try:
            iter(x)
        except TypeError:
            return 2.0 * x
        return x

    everywhere(f, 1.7, compiles=False)
    everywhere(lambda x: 2.0 * x if not np.iterable(x) and not np.iterable(np.float64(x)) else x, 1.7, compiles=False)


@dataclass
class Place:
    """A dataclass that checks what is stored."""

    latitude: float
    longitude: float = 1.0

    def __setattr__(self, name, value):
        if not isinstance(value, float):
            raise TypeError(name)
        super().__setattr__(name, float(value) % 180.0)


def test_objects_are_made_by_converted_code():
    everywhere(lambda x: Angle(x).sine * Angle(2.0 * x).cosine, 0.7)
    everywhere(lambda x: Number(x).double * x, 0.7)
    everywhere(lambda x: Place(x, 2.0 * x).longitude * Place(x).longitude * x, 0.7)


# --- NumPy and SciPy in Python ---------------------------------------------------------------------------------------

NUMPY = [
    (lambda x: np.sum(np.gradient(x * x) * x), VECTOR),
    (lambda x: np.sum(np.polyder(x) * np.polyadd(x[:2], [1.0, 2.0])), VECTOR),
    (lambda x: np.polynomial.chebyshev.chebval(x / 3.0, [1.0, 2.0, 3.0]), 1.7),
    (lambda x: np.polynomial.legendre.legval(x / 3.0, [1.0, x, 3.0]), 1.7),
]


@pytest.mark.parametrize("k", range(len(NUMPY)))
def test_python_layers_of_numpy(k):
    everywhere(*NUMPY[k])


def test_a_comprehension_variable_is_not_the_variable_of_that_name():
    def f(x):
        scaled = [c * x if c > 1.0 else x for c in (1.0, 2.0)]
        total = (lambda c: c * x)(2.0)
        for c in scaled:
            total = total + c * x
        return total

    everywhere(f, 1.7)


def test_integration_of_a_converted_callback():
    def oscillator(k):
        start = np.array([1.0, 0.0])
        found = integrate.solve_ivp(lambda t, y: np.array([y[1], -k * y[0]]), (0.0, 2.0), start, rtol=1e-7, atol=1e-7)
        return found.y[0, -1]

    exact = -math.sin(2.0 * math.sqrt(1.3)) / math.sqrt(1.3)
    assert eagerly(oscillator, 1.3) == pytest.approx(exact, abs=1e-5)


def test_newton_of_a_converted_callback():
    def root(a):
        return optimize.newton(lambda y: y**3 - a, 1.0, fprime=lambda y: 3.0 * y * y, tol=1e-13)

    assert eagerly(root, 2.0) == pytest.approx(2.0 ** (-2 / 3) / 3, rel=1e-9)


@pytest.mark.parametrize(
    ("f", "name"),
    [
        (lambda a: integrate.quad(lambda y: a * y, 0.0, 1.0)[0], "scipy.integrate.quad"),
        (lambda a: optimize.brentq(lambda y: y**3 - a, 0.0, 2.0), "scipy.optimize.brentq"),
        (lambda a: optimize.brentq(functools.partial(lambda b, y: y**3 - b, a), 0.0, 2.0), "scipy.optimize.brentq"),
    ],
)
def test_callbacks_of_c_code_are_refused_by_name(f, name):
    with pytest.raises(wg.GradientCutError, match=rf"^{name} is not known(.|\n)*test_real_values.py"):
        eagerly(f, 1.3)


# --- the representation of floats ------------------------------------------------------------------------------------

FLOATS = [0.0, 1.0, 0.1, 2.0, 3.0, math.pi, 5e-324, 1e-310, 2.2250738585072014e-308, 2.0**-900, 2.0**53, 1e300, 1 - 2**-53]
FLOATS += [1.7976931348623157e308, math.inf, math.nan, *(float(2.0**k) for k in range(-1074, 1024, 191))]
REPRESENTATION = [
    lambda x: (math.nextafter(x, math.inf), math.nextafter(x, 0.0), math.nextafter(-x, 1.0), math.ulp(x)),
    lambda x: (*math.frexp(x), *math.frexp(-x)),
    lambda x: math.ldexp(x, -3) + math.ldexp(x, -700),
]


def bits(numbers):
    return [(float(n) + 0.0).hex() for n in (numbers if isinstance(numbers, tuple) else (numbers,))]


@pytest.mark.parametrize("k", range(len(REPRESENTATION)))
def test_representation_is_exact(k):
    native = wg.jit(REPRESENTATION[k])
    for x in FLOATS:
        expected = REPRESENTATION[k](x)
        assert bits(native(x)) == bits(expected), x


def test_remainder_is_exact():
    native = wg.jit(lambda x, y: math.remainder(x, y))
    for x in (7.0, -7.0, 3.0, 5.0, 1e17, 0.0, 1e-300, 2.9):
        for y in (2.0, -2.0, 2.9, math.inf, 1e-5, 7.5):
            assert native(x, y).hex() == math.remainder(x, y).hex(), (x, y)
    for x, y in ((1.0, 0.0), (math.inf, 1.0)):
        with pytest.raises(ValueError, match=r"math domain error|invalid"):
            native(x, y)
    with pytest.raises(OverflowError):
        wg.jit(lambda x: math.ldexp(x, 2000))(1.0)


def test_derivatives_of_representations():
    assert wg.grad(lambda x, y: math.remainder(x, y), argnums=(0, 1))(7.0, 2.9) == (1.0, -2.0)
    assert wg.grad(lambda x, y: math.remainder(x, y), argnums=(0, 1))(-8.6, 2.9) == (1.0, 3.0)
    everywhere(lambda x: math.frexp(x)[0] * math.ldexp(x, 4) + math.frexp(x)[1] * x + math.ulp(x), 5.3)
    assert wg.grad(lambda x: 3.0 * math.nextafter(x, 2.0))(1.0) == 3.0


# --- iteration and operators -----------------------------------------------------------------------------------------

ITERATION = [
    lambda x: sum(a * b for a, b in itertools.product([x, 1.0], [2.0, x])),
    lambda x: sum(a * b for a, b in itertools.combinations([x, 1.0, 2.0], 2)) + sum(itertools.chain([x], (x * x,))),
    lambda x: sum(itertools.starmap(operator.mul, [(x, 2.0), (x, x)])) + sum(itertools.islice([x, x, x], 2)),
    lambda x: sum(a * b for a, b in zip(itertools.repeat(x), [1.0, 2.0])) + next(itertools.count(x, 0.5)),
    lambda x: operator.itemgetter(0, 1)([x, x * x])[1] + operator.attrgetter("real")(x) * operator.methodcaller("conjugate")(x),
    lambda x: functools.partial(operator.mul, x)(x) + functools.reduce(operator.mul, [x, 2.0, x], 1.0),
    lambda x: np.sum(np.vectorize(lambda v, w: v * v if v > 1.0 else w * v)(np.array([x, 0.5 * x]), x)),
    lambda x: float(np.vectorize(lambda v: (v * v, 2.0 * v))(x)[1]) * x,
    lambda x: sum(itertools.takewhile(lambda v: v < 2.0, [x, 1.0, 3.0])) + sum(itertools.filterfalse(math.isnan, [x, 3.0 * x])),
    lambda x: sum(len(list(group)) * x for _, group in itertools.groupby([x, x, 2.0], key=lambda v: v > 1.8)),
    lambda x: sorted(np.array([x, 1.0, 2.5]))[1] * x,
]


@pytest.mark.parametrize("k", range(len(ITERATION)))
def test_iteration(k):
    everywhere(ITERATION[k], 1.7, compiles=k < 8)


def test_whole_numbers_become_static_for_functions_that_need_them():
    def f(x, n):
        return math.comb(n, 2) * x * math.factorial(n) + sum(x[0] for _ in itertools.combinations(range(n), 2)) * x

    found = wg.jit(lambda x, n: np.sum(f(x, n)) + math.perm(x.shape[0], 2))
    for n in (3, 5):
        assert found(VECTOR, n) == pytest.approx(np.sum(f(VECTOR, n)) + 6.0, rel=1e-14)


# --- tables, NumPy scalars, cached properties ------------------------------------------------------------------------

WEIGHTS, COUNTS, MIXED = (1.0, 3.0, 7.0), [2, 5, 9], [4, 2.5, 1]


@pytest.mark.parametrize("x", [0.5, 1.5, 2.5])
def test_lists_of_numbers_are_tables(x):
    everywhere(lambda x: WEIGHTS[int(x)] * x + COUNTS[int(x)] * x + [x, x * x, 3 * x][-int(x) - 1] * MIXED[int(x)], x)


@pytest.mark.parametrize("x", [3.5, -4.5])
def test_positions_outside_of_a_table(x):
    with pytest.raises(IndexError, match="tuple index out of range"):
        wg.jit(lambda x: WEIGHTS[int(x)] * x)(x)


def test_numpy_scalars_can_be_indexed():
    def f(x):
        y = np.float64(x)
        return y[()] * y + y[...] + np.sum(y[y > 5.0]) + np.sum(y[np.bool_(True)]) * y[None][0]

    with wg.eager():
        assert wg.grad(f)(1.5) == pytest.approx(7.0)
    with pytest.raises(TypeError, match="'float' object is not subscriptable"):
        eagerly(lambda x: x[0], 1.5)


class Series:
    """Coefficients that are computed once, and changed afterwards."""

    def __init__(self, x):
        self.x = x
        self.computed = 0

    @functools.cached_property
    def terms(self):
        self.computed += 1
        return [self.x, self.x**2]


def test_cached_properties_are_computed_once():
    def f(x):
        series = Series(x)
        series.terms.append(x**3)
        return sum(series.terms) * series.computed

    everywhere(f, 1.3)


class Scaled(np.ndarray):
    """An array with an operator of its own."""

    def __add__(self, other):
        return 10.0 * self.size + other


def test_operators_of_array_classes_are_converted():
    offset = np.ones(3).view(Scaled)
    np.testing.assert_allclose(eagerly(lambda x: np.sum((offset + x) * x), VECTOR), 30.0 + 2.0 * VECTOR)


# --- messages --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("f", "text"),
    [
        (lambda x: x + x[1:], r"shapes \(3,\) \(2,\)"),
        (lambda x: np.dot(x, x[1:]), r"\(3,\) \(2,\)"),
        (lambda x: np.stack([x, x[1:]]), r"\(1,3\) \(1,2\)"),
        (lambda x: x * 2.0, r"the output is f64\[n\]"),
    ],
)
def test_sizes_in_messages_are_those_of_the_user(f, text):
    with pytest.raises((ValueError, TypeError), match=text):
        wg.grad(f)(VECTOR)


# --- values without a gradient ---------------------------------------------------------------------------------------


def test_values_that_depend_on_no_input_pass_to_c_code():
    def f(x):
        order = np.sort(np.array([3.0, 1.0, 2.0]))
        return np.sum(order * x) + float(np.median(np.ones(3) * 4.0)) * x[0]

    np.testing.assert_allclose(eagerly(f, VECTOR), [5.0, 2.0, 3.0])


def test_arguments_that_are_not_differentiated_pass_to_c_code():
    def f(x, data):
        return x * np.fft.rfft(data)[0].real

    assert eagerly(f, 2.0, VECTOR) == np.fft.rfft(VECTOR)[0].real
    with pytest.raises(wg.GradientCutError, match=r"fft"):
        eagerly(f, 2.0, VECTOR, argnums=1)


def test_c_code_cannot_write_to_what_it_is_given():
    def f(x):
        data = np.array([3.0, 1.0, 2.0])
        struct.pack_into("d", data, 0, 9.0)
        return x * data[0]

    with pytest.raises(TypeError, match="read-write"):
        eagerly(f, 2.0)


TEXTS = [
    lambda x: float(str(x)),
    lambda x: float(f"{x:.3f}".strip()),
    lambda x: float("%r" % x),  # noqa: UP031 - as above
    lambda x: float("{}".format(x)),  # noqa: UP032 - it is what is tested
    lambda x: np.float64("".join([repr(x), "0"])),
    lambda x: float(Fraction(f"{x}")),
]


@pytest.mark.parametrize("k", range(len(TEXTS)))
def test_gradients_do_not_slip_out_through_text(k):
    for run in (eagerly, lambda f, x: wg.grad(f)(x)):
        with pytest.raises(wg.GradientCutError):
            run(TEXTS[k], 1.7)


def test_text_of_values_is_right_in_eager_mode():
    seen = []

    def f(x):
        seen.append("%.2f %s" % (x, 2))  # noqa: UP031
        seen.append("{:.1f}|{a}".format(x, a=3))  # noqa: UP032
        seen.extend([", ".join([f"{x}", "b"]), "<" + str(x) + ">"])
        return x * float("2.5") * int(f"{x:.0f}"[:1])

    assert eagerly(f, 1.3) == 2.5
    assert seen == ["1.30 2", "1.3|3", "1.3, b", "<1.3>"]


def test_comparing_c_code_takes_values_eagerly():
    def f(x):
        heap = [5.0]
        heapq.heappush(heap, x)
        waiting = queue.Queue()
        waiting.put(x * x)
        return heapq.heappop(heap) * bisect.bisect([1.0, 2.0], x) + waiting.get() + [1.0, x].index(x) * x

    assert eagerly(f, 1.5) == pytest.approx(1.0 + 3.0 + 1.0)


def test_gradients_do_not_slip_out_through_an_inner_gradient():
    def inner(x, a):
        return np.fft.rfft(np.array([a, x, 3.0 * a]))[0].real * x

    with pytest.raises(wg.GradientCutError, match=r"fft"):
        eagerly(lambda a: wg.grad(inner)(1.0, a), 2.0)


def test_the_fallback_is_not_announced_when_eager_mode_refuses():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(wg.GradientCutError):
            wg.grad(lambda x: np.fft.rfft(x)[0].real)(VECTOR)
