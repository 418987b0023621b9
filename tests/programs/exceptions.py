"""Code that validates, tries, and cleans up."""

import contextlib
import math

import numpy as np

from tests.programs.catalog import example


@example(2.0, also=((-0.5,), (-1.0,)))
def divide_or_default(x):
    try:
        return 1.0 / max(x, 0.0)
    except ZeroDivisionError:
        return 10.0 + x


@example(4.0, also=((-4.0,),))
def domain_error(x):
    try:
        root = math.sqrt(x)
    except ValueError:
        root = -math.sqrt(-x)
    else:
        root += 1.0
    finally:
        x = 2.0 * x
    return root + x


class OutOfRangeError(ValueError):
    pass


def checked(x, limit):
    if x > limit:
        raise OutOfRangeError(f"{x} is over {limit}")
    return x * x


@example(np.array([0.5, 3.0, 1.0, 4.0]), 2.0)
def count_failures(x, limit):
    total, failures = 0.0, 0
    for v in x:
        try:
            total += checked(v, limit)
        except OutOfRangeError:
            failures += 1
            total += limit
    return total * (1.0 + failures)


@example(2.0, also=((0.5,),))
def validates(x):
    if x < 0:
        raise ValueError("x must not be negative")
    if not isinstance(x, float):
        raise TypeError("x must be a float")
    return math.log1p(x)


@example(1.5, also=((6.0,),))
def nested_try(x):
    total = 0.0
    try:
        try:
            if x > 5.0:
                raise KeyError("big")
            total += x
        finally:
            total += 1.0
        total *= 2.0
    except KeyError:
        total -= 0.5 * x
    return total


@example(np.array([1.0, 2.0, 0.1, 4.0]))
def retry_loop(x):
    total = 0.0
    for v in x:
        shift = 0.0
        while True:
            try:
                total += 1.0 / (float(v) + shift if v + shift > 0.25 else 0.0)
                break
            except ZeroDivisionError:
                shift += 0.5
    return total


@example(3.0, also=((0.1,),))
def suppressed(x):
    total = x
    with contextlib.suppress(ArithmeticError):
        if x < 1.0:
            raise OverflowError
        total *= x
    return total


@contextlib.contextmanager
def scaled(state, factor):
    state["scale"] *= factor
    try:
        yield state["scale"]
    finally:
        state["scale"] /= factor


@example(1.2, 3.0)
def context_manager(x, factor):
    state = {"scale": 1.0}
    with scaled(state, factor) as s, contextlib.nullcontext(2.0) as two:
        inside = s * x * two
    return inside + state["scale"] * x


class Section:
    def __init__(self, log):
        self.log = log

    def __enter__(self):
        self.log.append(1.0)
        return self

    def __exit__(self, kind, value, traceback):
        self.log.append(2.0 if kind is None else 5.0)
        return kind is ArithmeticError


@example(1.5, also=((-1.5,),))
def user_context(x):
    log = [x]
    with Section(log):
        if x < 0.0:
            raise ArithmeticError("negative")
        log.append(x * x)
    return sum(log) * len(log)


@example(0.4, also=((2.4,), (7.0,)))
def several_handlers(x):
    try:
        if x > 5.0:
            raise LookupError("far", x)
        if x > 2.0:
            raise ValueError("off")
        y = x
    except (ValueError, TypeError):
        y = 2.0 * x
    except LookupError as error:
        y = 3.0 * x + len(error.args)
    return y


@example(np.array([0.1, 0.5, 0.9]), 5, also=((np.array([0.1, 0.5, 0.9]), 1),))
def index_error(x, k):
    try:
        v = x[k]
    except IndexError:
        v = x[-1] * 2.0
    return v + x[0]


@example({"a": 1.0}, also=(({"b": 2.0},),))
def key_error(table):
    try:
        return table["a"] * 2.0
    except KeyError as missing:
        return table["b"] + len(str(missing))


@example(2.0, also=((-3.0,),))
def return_in_finally_order(x):
    steps = [x]

    def work():
        try:
            if x < 0:
                return x * 2.0
            steps.append(x * x)
            return x
        finally:
            steps.append(0.5 * x)

    return work() + sum(steps) * len(steps)


def solve_or_raise(x, tries):
    for _ in range(tries):
        new = math.cos(x)
        if abs(new - x) < 1e-3:
            return new
        x = new
    raise RuntimeError("no convergence")


@example(0.5, 30, also=((0.5, 2),))
def fall_back_to_other_method(x, tries):
    try:
        return solve_or_raise(x, tries)
    except RuntimeError:
        return 0.739 + 0.1 * x
