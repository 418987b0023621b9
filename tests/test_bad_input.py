"""Bad input raises one clear error of the right class, with the user's line, in every mode."""

import copy
import inspect
import linecache
import math
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import wengert as wg
from tests import bad_input_programs as programs
from wengert.errors import ArgumentError, SourceUnavailableError, StagingError, UnsupportedError
from wengert.testing.modes import run_reference

HERE = Path(__file__).parent


@dataclass(frozen=True, eq=False)
class Case:
    """A call that has to fail: `text` marks the line to blame."""

    fn: object
    args: tuple
    error: type
    message: str
    text: str
    argnums: object = 0

    @property
    def name(self):
        return self.fn.__name__


FIVE = np.arange(5.0)
RUN_TIME = [
    Case(programs.index_fixed, (FIVE,), IndexError, "index 7 is out of bounds .* size 5", "x[7]"),
    Case(programs.index_in_loop, (FIVE, 20), IndexError, "index 5 is out of bounds .* size 5", "total = total + x[i]"),
    Case(programs.index_in_loop, (FIVE, 6), IndexError, "index 5 is out of bounds .* size 5", "total = total + x[i]"),
    Case(
        programs.index_from_data, (FIVE, np.array([-6])), IndexError, "index -6 is out of bounds .* size 5", "x[k[0]]"
    ),
    Case(programs.store_out_of_range, (2.0, 20), IndexError, "index 3 is out of bounds .* size 3", "y[i] = x * i"),
    Case(programs.add_arrays, (FIVE, np.arange(4.0)), ValueError, "could not be broadcast", "x + y"),
    Case(programs.add_slices, (FIVE, 2), ValueError, "could not be broadcast", "x[:n] + x[1:]"),
    Case(programs.multiply_matrices, (np.ones((3, 2)), FIVE), ValueError, "matmul", "a @ x"),
    Case(programs.multiply_matrices, (np.ones((3, 2)), np.ones((3, 2))), ValueError, "matmul", "a @ x"),
    Case(programs.largest, (np.zeros(0),), ValueError, "zero-size array to reduction", "np.max"),
    Case(programs.own_exception, (-1.0,), ArithmeticError, "x must not be negative", "raise ArithmeticError"),
    Case(programs.divide, (1.0, 0.0), ZeroDivisionError, "division", "return x / y"),
]
AT_TRACE_TIME = [
    Case(programs.half_precision, (1.0,), UnsupportedError, "float16", "np.float16(0.5) * x"),
    Case(programs.missing_key, ({"x": 1.0},), KeyError, "scale", 'p["scale"]'),
    Case(programs.missing_name, (1.0,), NameError, "undefined_name", "undefined_name"),
    Case(programs.wrong_call, (1.0,), TypeError, "square.*positional argument", "square(x, x)"),
    Case(
        programs.calls_function_without_source,
        (2.0,),
        SourceUnavailableError,
        "the source of made is not available.*exec",
        "return made(x)",
    ),
    Case(programs.text_times_number, (1.0, "two"), TypeError, "unsupported operand|cannot be used", "x - text"),
]


def compiled(case):
    wg.value_and_grad(case.fn, case.argnums)(*case.args)


def eager(case):
    with wg.eager():
        wg.value_and_grad(case.fn, case.argnums)(*case.args)


def reference(case):
    run_reference(wg.value_and_grad(case.fn, case.argnums), case.args)


def primal(case):
    wg.jit(case.fn)(*case.args)


def explained(case):
    wg.explain(case.fn, *case.args, argnums=case.argnums)


MODES = [compiled, eager, reference, primal]


def line_of(case):
    lines, first = inspect.getsourcelines(case.fn)
    (offset,) = [k for k, line in enumerate(lines) if case.text in line]
    return first + offset


def message_of(error):
    return "\n".join([str(error), *getattr(error, "__notes__", ())])


def failure(mode, case):
    with pytest.raises(case.error) as caught:
        mode(case)
    return caught.value


def assert_blames(error, case):
    """The error's class and words fit, and the user's line is in the message or is the traceback's last line of the user's."""
    assert re.search(case.message, message_of(error), re.DOTALL), message_of(error)
    place = f"{Path(programs.__file__)}:{line_of(case)}"
    if place in message_of(error):
        return
    frames = [f for f in inspect.getinnerframes(error.__traceback__) if f.filename == programs.__file__]
    assert frames, f"no line of the user's in: {message_of(error)}"
    assert frames[-1].lineno == line_of(case), message_of(error)


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.__name__)
@pytest.mark.parametrize("case", RUN_TIME, ids=lambda case: case.name)
def test_faults_at_run_time(case, mode):
    error = failure(mode, case)
    assert_blames(error, case)
    if case.error is not ArithmeticError:  # what the user raises keeps the user's message
        assert f"{Path(programs.__file__)}:{line_of(case)}" in str(error)


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.__name__)
@pytest.mark.parametrize("case", AT_TRACE_TIME, ids=lambda case: case.name)
def test_faults_while_tracing(case, mode):
    assert_blames(failure(mode, case), case)


@pytest.mark.parametrize("case", [*RUN_TIME, *AT_TRACE_TIME], ids=lambda case: case.name)
def test_explaining_does_not_fail_at_run_time(case):
    if case in AT_TRACE_TIME and not issubclass(case.error, UnsupportedError):
        assert_blames(failure(explained, case), case)
        return
    found = wg.explain(case.fn, *case.args, argnums=case.argnums)
    assert found.mode == ("compiled" if case in RUN_TIME else "refused")
    assert case.text in str(found)


@pytest.mark.parametrize("case", RUN_TIME, ids=lambda case: case.name)
def test_a_function_works_again_after_a_fault(case):
    gradient = wg.value_and_grad(case.fn, case.argnums)
    for _ in range(2):
        with pytest.raises(case.error):
            gradient(*case.args)
    if case.fn is programs.index_in_loop:
        assert gradient(FIVE, 3)[0] == 3.0


# --- what the result must be ---


@pytest.mark.parametrize("mode", [compiled, eager, explained], ids=lambda mode: mode.__name__)
@pytest.mark.parametrize(
    ("fn", "message"),
    [
        (programs.pair_result, "needs a scalar; the output is a tuple"),
        (programs.integer_result, "needs a float"),
        (programs.vector_result, "needs a scalar; the output is f64"),
    ],
)
def test_a_result_that_is_no_float(fn, message, mode):
    case = Case(fn, (FIVE,) if fn is programs.vector_result else (2.0,), ArgumentError, message, "def ")
    if mode is explained and fn is not programs.integer_result:
        mode(case)
        return
    error = failure(mode, case)
    assert_blames(error, case)


# --- arguments ---


@pytest.mark.parametrize("transform", [wg.grad, wg.value_and_grad, wg.jacobian, wg.hessian])
@pytest.mark.parametrize(
    ("args", "argnums", "message"),
    [
        ((3,), 0, "needs floats.*3, an int.*write 3.0"),
        ((np.arange(3),), 0, "needs floats.*int64.*astype"),
        ((2.0,), 1, "argnums.*Got 1 with 1"),
        ((2.0,), (0, 5), "argnums.*Got 5 with 1"),
        ((True,), 0, "nothing to differentiate"),
        (({"n": 3},), 0, "needs floats.*'n'"),
    ],
)
def test_bad_arguments(transform, args, argnums, message):
    for mode in (False, True):
        with pytest.raises(ArgumentError) as caught:
            if mode:
                with wg.eager():
                    transform(programs.square, argnums)(*args)
            else:
                transform(programs.square, argnums)(*args)
        assert re.search(message, str(caught.value), re.DOTALL), str(caught.value)
        assert "bad_input_programs.py:" in str(caught.value)


def test_no_function_at_all():
    for transform in (wg.grad, wg.value_and_grad, wg.jit, wg.jacobian, wg.hessian):
        with pytest.raises(ArgumentError, match="takes a function"):
            transform(3.0)


def test_float16_is_refused_or_right():
    for x in (np.ones(3, dtype=np.float16), np.float16(2.0)):
        for run in (wg.grad(programs.total), lambda x: wg.jit(programs.total)(x)):
            try:
                found = run(x)
            except (UnsupportedError, ArgumentError) as error:
                assert "float16" in str(error)
                assert "bad_input_programs.py:" in str(error)
            else:
                np.testing.assert_allclose(np.sum(found), np.sum(2.0 * x) if np.ndim(found) or np.ndim(x) == 0 else 3.0)


# --- what cannot be compiled ---


@pytest.mark.parametrize(
    ("fn", "message", "text"),
    [
        (programs.formats_into_file, "gives another result at every call", "with open"),
        (programs.grows_in_while, "dictionary key", "parts[x] = x"),
    ],
)
def test_what_cannot_be_staged_runs_eagerly_with_one_notice(fn, message, text):
    case = Case(fn, (3.0,), StagingError, message, text)
    assert_blames(failure(primal, case), case)
    gradient = wg.grad(fn)
    with pytest.warns(wg.EagerFallbackWarning, match=message) as notices:
        found = [gradient(3.0) for _ in range(3)]
    assert len(notices) == 1
    assert f"bad_input_programs.py:{line_of(case)}" in str(notices[0].message)
    assert found == [2.0 if fn is programs.formats_into_file else 64.0] * 3


# --- source ---


def from_exec():
    namespace = {}
    exec("def made(x):\n    return x * x\n", namespace)
    return namespace["made"]


@pytest.mark.parametrize("mode", [compiled, eager, primal, explained], ids=lambda mode: mode.__name__)
def test_a_function_without_source(mode):
    made = from_exec()
    linecache.checkcache()
    case = Case(made, (2.0,), SourceUnavailableError, "the source of made is not available.*exec", "")
    assert re.search(case.message, str(failure(mode, case)), re.DOTALL)


def test_a_builtin_works_or_says_why_not():
    for fn, args in ((math.sin, (1.0,)), (divmod, (3.0, 2.0)), (abs, (2.0,)), (np.sin, (1.0,))):
        for run in (wg.grad(fn), wg.jit(fn)):
            try:
                run(*args)
            except (UnsupportedError, ArgumentError) as error:
                assert str(error)


# --- empty arrays ---


@pytest.mark.parametrize("mode", [compiled, eager, reference], ids=lambda mode: mode.__name__)
def test_empty_arrays(mode):
    mode(Case(programs.total, (np.zeros(0),), Exception, "", ""))
    mode(Case(programs.total, (np.zeros((0, 3)),), Exception, "", ""))
    mode(Case(programs.multiply_matrices, (np.zeros((0, 2)), np.zeros(2)), Exception, "", ""))


def test_the_value_of_empty_sums():
    for shape in ((0,), (0, 3)):
        value, gradient = wg.value_and_grad(programs.total)(np.zeros(shape))
        assert value == 0.0
        assert gradient.shape == shape


# --- sizes and indices at random: the result, or the class of the error, is that of NumPy ---


def vector(rng):
    return rng.normal(size=int(rng.choice([0, 2, 3, 5])))


def matrix(rng):
    return rng.normal(size=(int(rng.choice([0, 2, 3])), int(rng.choice([0, 2, 3]))))


def number(rng):
    return int(rng.choice([-3, -1, 0, 1, 2, 3, 5, 20]))


def outcome(run, args):
    try:
        return run(*copy.deepcopy(args))
    except Exception as error:  # noqa: BLE001 - every class is compared
        return type(error)


@pytest.mark.parametrize(
    ("fn", "kinds"),
    [
        (programs.index_in_loop, (vector, number)),
        (programs.add_arrays, (vector, vector)),
        (programs.add_arrays, (matrix, vector)),
        (programs.multiply_matrices, (matrix, vector)),
        (programs.multiply_matrices, (matrix, matrix)),
        (programs.largest, (vector,)),
        (programs.stencil, (vector, lambda rng: 0.1, number)),
        (programs.write_rows, (matrix, number, vector)),
        (programs.growing_dots, (vector, vector, number)),
        (programs.both_ends, (vector, number)),
        (programs.fill, (vector, number)),
    ],
    ids=lambda x: getattr(x, "__name__", None),
)
def test_random_sizes_and_indices(fn, kinds):
    rng = np.random.default_rng(7)
    compiled_fn, gradient = wg.jit(fn), wg.value_and_grad(fn)
    for _ in range(40):
        args = tuple(kind(rng) for kind in kinds)
        expected = outcome(fn, args)
        found, pair = outcome(compiled_fn, args), outcome(gradient, args)
        if isinstance(expected, type):
            assert (found, pair) == (expected, expected), args
        else:
            np.testing.assert_allclose([found, pair[0]], [expected, expected], rtol=1e-12, atol=1e-12)


# --- golden messages ---


@pytest.mark.parametrize(
    "case",
    [
        next(c for c in [*RUN_TIME, *AT_TRACE_TIME] if c.fn is fn)
        for fn in (
            programs.index_in_loop,
            programs.add_arrays,
            programs.multiply_matrices,
            programs.half_precision,
        )
    ]
    + [
        Case(programs.vector_result, (FIVE,), ArgumentError, "", ""),
        Case(programs.square, (3,), ArgumentError, "", ""),
        Case(programs.square, (3.0,), ArgumentError, "", "", argnums=1),
    ],
    ids=lambda case: case.name,
)
def test_golden_messages(case, golden):
    found = {mode.__name__: message_of(failure(mode, case)).replace(str(HERE), "tests") for mode in (compiled, eager)}
    if found["compiled"] == found["eager"]:
        text = found["compiled"] + "\n"
    else:
        text = "".join(f"--- {name}\n{message}\n" for name, message in found.items())
    suffix = "_argnums" if case.argnums else ""
    golden(f"errors/{case.name}{suffix}.txt", text)
