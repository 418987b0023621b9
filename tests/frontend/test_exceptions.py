"""`try`, `raise` and `with` in staged code: exceptions that depend on traced values jump to their handlers."""

import contextlib
import math
import struct

import numpy as np
import pytest

import wengert as wg
from tests.frontend.programs import raises_alike, same_everywhere
from wengert.errors import StagingError
from wengert.frontend.trace import trace

X = np.array([0.5, -1.0, 2.0, 0.25, -3.0, 1.5, 0.75, -0.1, 4.0, 0.2])


class OutOfRangeError(ValueError):
    def __init__(self, value, limit):
        super().__init__(f"{value} is above {limit}")
        self.value = value
        self.limit = limit


# --- raised under a traced condition ---


def guarded_root(x):
    try:
        return math.sqrt(x)
    except ValueError:
        return -x


def test_domain_error():
    same_everywhere(guarded_root, (2.0,), (-2.0,))


def checked(x):
    if x > 3.0:
        raise OutOfRangeError(x, 3.0)
    return x * x


def uses_exception(x):
    try:
        y = checked(x)
    except OutOfRangeError as error:
        y = 2.0 * error.value + error.limit
    return y + 1.0


def test_exception_object_with_traced_attributes():
    same_everywhere(uses_exception, (2.0,), (5.0,))


def which_handler(x, y):
    a = 1.0
    try:
        a = 3.0 * y
        z = x / y
        if z > 2.0:
            raise KeyError("large")
        a = a + z
        w = math.log(z)
    except ZeroDivisionError:
        w = a
    except (KeyError, IndexError):
        w = 10.0 * z
    except ValueError:
        w = z * a
    else:
        w = w + 100.0 * x
    return w + a


def test_handlers_see_the_state_at_the_failure():
    same_everywhere(which_handler, (1.0, 2.0), (1.0, 0.0), (5.0, 1.0), (-1.0, 2.0))


def falls_through(x):
    y = 0.0
    try:
        y = 1.0 / x
    except ZeroDivisionError:
        pass
    return y + x


def test_pass_keeps_the_value_from_before():
    same_everywhere(falls_through, (2.0,))
    assert wg.jit(falls_through)(0.0) == 0.0
    assert wg.grad(falls_through)(0.0) == 1.0


def rethrows(x):
    try:
        try:
            return 1.0 / (x - 1.0)
        except ZeroDivisionError as error:
            raise ValueError("no inverse") from error
    except ValueError:
        return 7.0 * x


def test_raise_from_handler():
    same_everywhere(rethrows, (3.0,))
    assert wg.jit(rethrows)(1.0) == 7.0
    assert wg.grad(rethrows)(1.0) == 7.0


def bare_raise(x):
    try:
        try:
            if x > 1.0:
                raise ValueError("above")
            y = 1.0 / (x + 1.0)
        except (ValueError, ZeroDivisionError):
            if x > 5.0:
                raise
            y = 5.0 * x
    except ValueError:
        y = 50.0 * x
    return y


def test_bare_raise():
    same_everywhere(bare_raise, (0.5,), (2.0,), (8.0,))
    assert wg.jit(bare_raise)(-1.0) == -5.0


def uncaught(x):
    try:
        y = math.log(x)
    except ZeroDivisionError:
        y = 0.0
    return y


def test_what_no_handler_takes_is_raised_at_run_time():
    raises_alike(uncaught, -1.0)
    same_everywhere(uncaught, (2.0,))


def raised_by_handler(x):
    try:
        y = 1.0 / x
    except ZeroDivisionError:
        raise ValueError(f"bad: {x}") from None
    return y


def test_exception_raised_by_a_handler():
    raises_alike(raised_by_handler, 0.0)
    same_everywhere(raised_by_handler, (2.0,))


# --- finally ---


def with_finally(x):
    trail = 0.0
    try:
        try:
            y = 1.0 / x
            trail += 1.0
        finally:
            trail += 10.0
    except ZeroDivisionError:
        y = 3.0
    return y + trail * x


def test_finally_on_both_paths():
    same_everywhere(with_finally, (2.0,))
    assert wg.jit(with_finally)(0.0) == with_finally(0.0)
    assert wg.grad(with_finally)(0.0) == 10.0


def returns_through_finally(x, log):
    log = log + 0.0
    try:
        if x > 1.0:
            return x + log
        log = log + x
    finally:
        log = log * 2.0
    return log


def test_return_through_finally():
    same_everywhere(returns_through_finally, (2.0, 1.0), (0.5, 1.0))


def finally_overrides(x):
    try:
        return x
    finally:
        return 2.0 * x


def test_return_in_finally():
    same_everywhere(finally_overrides, (2.0,))


# --- loops ---


def sums_roots(x):
    total = 0.0
    bad = 0
    for v in x:
        try:
            total += math.sqrt(v)
        except ValueError:
            bad += 1
            continue
        total += 0.5
    return total * (1 + bad)


def test_try_in_a_loop():
    same_everywhere(sums_roots, (X,))


def stops_at_first(x):
    total = 0.0
    k = 0
    try:
        while True:
            total = total + math.log(x[k])
            k += 1
    except ValueError:
        total = total * 3.0
    except IndexError:
        total = total - 1.0
    return total + k


def test_loop_in_a_try():
    same_everywhere(stops_at_first, (X,), (np.abs(X),))


def for_in_try(x, limit):
    total = 0.0
    try:
        for k in range(len(x)):
            total += x[k] ** 2
            if total > limit:
                raise StopIteration
    except StopIteration:
        return -total
    return total


def test_raise_leaves_a_loop():
    same_everywhere(for_in_try, (X, 4.0), (X, 1000.0))


def breaks_in_try(x):
    total = 0.0
    for v in x:
        try:
            if v > 1.8:
                break
            if v < 0.0:
                continue
            total += v
        finally:
            total += 0.25
    else:
        total = -total
    return total


def test_break_and_continue_in_try():
    same_everywhere(breaks_in_try, (X,), (np.minimum(X, 1.0),))


# --- nested calls ---


def inner_call(x, k):
    if x[k] < 0.0:
        raise ValueError("negative")
    return math.sqrt(x[k])


def middle_call(x):
    total = 0.0
    for k in range(len(x)):
        total += inner_call(x, k)
    return total


def outer_call(x):
    try:
        return middle_call(x)
    except ValueError:
        return x[0] * 2.0


def test_exception_through_calls_and_loops():
    same_everywhere(outer_call, (X,), (np.abs(X),))


# --- objects and arrays ---


class Account:
    def __init__(self, balance):
        self.balance = balance
        self.fails = 0.0

    def withdraw(self, amount):
        self.balance = self.balance - amount
        if self.balance < 0.0:
            self.fails = self.fails + 1.0
            raise OverflowError("overdrawn")


def objects(x):
    account = Account(x)
    for amount in (1.0, 2.0, 3.0):
        try:
            account.withdraw(amount)
        except OverflowError:
            account.balance = account.balance + amount
    return account.balance * 2.0 + account.fails * x


def test_state_of_objects_at_the_failure():
    same_everywhere(objects, (10.0,), (4.0,), (0.5,))


def arrays(x):
    a = np.zeros(3)
    a[0] = x
    try:
        a[1] = 2.0 * x
        b = 1.0 / (x - 2.0)
        a[2] = b
        a[0] = 5.0 * b
    except ZeroDivisionError:
        a[2] = 7.0 * x
    return a[0] + 10.0 * a[1] + 100.0 * a[2]


def test_contents_of_arrays_at_the_failure():
    same_everywhere(arrays, (3.0,))
    assert wg.jit(arrays)(2.0) == arrays(2.0)
    assert wg.grad(arrays)(2.0) == 1.0 + 20.0 + 700.0


def lists(x):
    seen = [x]
    try:
        seen[0] = x * 2.0
        seen.append(3.0)
        y = math.sqrt(x)
        seen[0] = y
    except ValueError:
        seen[1] = seen[1] * x
    return seen[0] + 10.0 * seen[1]


def test_contents_of_lists_at_the_failure():
    same_everywhere(lists, (4.0,), (-4.0,))


# --- known while tracing ---


def known(x, table, key):
    try:
        y = table[key] * x
    except KeyError as error:
        y = -x if error.args[0] == key else x
    return y


def test_exceptions_known_while_tracing():
    same_everywhere(known, (2.0, {"a": 3.0}, "a"), gradient=True)
    same_everywhere(known, (2.0, {"a": 3.0}, "b"), gradient=True)


def duck_typed(x):
    try:
        n = len(x)
    except TypeError:
        n = 1
    return n * np.sum(x)


def test_type_errors_choose():
    same_everywhere(duck_typed, (2.0,))
    same_everywhere(duck_typed, (X,))


def raises_known(x):
    try:
        raise KeyError("k")
    except ValueError:
        return x


def test_known_and_not_taken():
    raises_alike(raises_known, 1.0)


def message_with_values(x):
    try:
        if x > 1.0:
            raise ValueError(f"too large: {x}")
        return x
    except ValueError as error:
        raise RuntimeError(f"{error}!") from error


def test_text_of_an_exception():
    error = raises_alike(message_with_values, 2.5)
    assert str(error) == "too large: 2.5!"


# --- asserts ---


def asserts(x):
    try:
        assert x > 0.0, "must be positive"
        return x
    except AssertionError:
        return -2.0 * x


def test_assert():
    same_everywhere(asserts, (2.0,), (-2.0,))


# --- what is ours is never the user's ---


def swallows_everything(x):
    try:
        return struct.unpack("d", struct.pack("d", x[0]))[0]
    except Exception:  # noqa: BLE001
        return 0.0


def test_our_errors_are_not_handled():
    with pytest.raises(wg.GradientCutError), wg.eager():
        wg.grad(swallows_everything)(X)


# --- with ---


class Scale:
    def __init__(self, factor):
        self.factor = factor
        self.left = 0

    def __enter__(self):
        return self.factor

    def __exit__(self, kind, error, traceback):
        self.left += 1
        return kind is not None and issubclass(kind, ZeroDivisionError)


def own_manager(x):
    manager = Scale(3.0 * x)
    y = 1.0
    with manager as factor:
        y = 2.0
        y = factor / (x - 1.0)
    return y * x + manager.left


def test_own_manager():
    same_everywhere(own_manager, (2.0,))
    assert wg.jit(own_manager)(1.0) == 3.0
    assert wg.grad(own_manager)(1.0) == 2.0


def suppressed(x):
    y = x
    with contextlib.suppress(ValueError, ZeroDivisionError), contextlib.nullcontext(2.0) as two:
        y = math.log(x) * two
    return y


def test_suppress_and_nullcontext():
    same_everywhere(suppressed, (2.0,), (-2.0,))


def quiet(x):
    with np.errstate(all="ignore"):
        y = np.log(x)
    return np.sum(y)


def test_errstate():
    same_everywhere(quiet, (np.abs(X),))


def opened(x):
    with open("/nonexistent") as file:
        return x * len(file.read())


def test_other_managers_are_refused():
    with pytest.raises((StagingError, FileNotFoundError)):
        trace(opened, (1.0,), {})


def test_exceptions_with_traced_arguments_in_eager_mode():
    def f(x):
        try:
            if x > 5.0:
                raise LookupError("far", x)
            y = x
        except LookupError as error:
            y = 3.0 * x + len(error.args)
        return y

    with wg.eager():
        assert wg.value_and_grad(f)(7.0) == (23.0, 3.0)
