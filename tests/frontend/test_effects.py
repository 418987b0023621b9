"""Effects in staged code: at run time, every time, in order, with real values; as in plain Python."""

from __future__ import annotations

import io
import logging
import sys
import time
import warnings
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest

import wengert as wg

MODES = pytest.mark.parametrize("mode", ["compiled", "eager"])


def run_in(mode: str) -> Any:
    return wg.eager() if mode == "eager" else nullcontext()


def told(f, *args):
    """What a call writes to standard output, and its result."""
    stream, before = io.StringIO(), sys.stdout
    sys.stdout = stream
    try:
        return f(*args), stream.getvalue()
    finally:
        sys.stdout = before


def talkative(x, n):
    print("start", n, sep=": ", end="!\n", flush=True)
    total = 0.0
    for k in range(n):
        total = total + k * x
        if total > 2.0:
            print(f"{k} {total:.3f}", [total, k], file=sys.stdout)
        sys.stdout.write(f"<{total!r}>\n")
    print(np.array([total, x]), total > 1.0, None, "{}", file=sys.stdout)
    return total * total


@MODES
def test_output_is_that_of_python(mode):
    gradient = wg.value_and_grad(talkative)
    with run_in(mode):
        for x, n in [(0.75, 4), (1.5, 3), (-1.0, 0)]:
            value, expected = told(talkative, x, n)
            (found, _), text = told(gradient, x, n)
            assert found == value and text == expected
    if mode == "compiled":
        (found, text), (value, expected) = told(wg.jit(talkative), 0.75, 70), told(talkative, 0.75, 70)
        np.testing.assert_allclose(found, value)
        assert text == expected


LOG = logging.getLogger("wengert.tests.effects")


def logging_function(x):
    for k in range(3):
        LOG.info("round %d: %.2f", k, x * k)
        LOG.debug("never shown %s", x)
        LOG.log(logging.WARNING, f"x is {x}")
    logging.getLogger("wengert.tests.effects").error("the end %s", {"x": x})
    return x * x


@MODES
def test_logging(mode, caplog):
    gradient = wg.grad(logging_function)
    with caplog.at_level(logging.INFO, logger=LOG.name):
        for x in (1.5, 2.5):
            caplog.clear()
            logging_function(x)
            expected = [(r.levelname, r.getMessage()) for r in caplog.records]
            caplog.clear()
            with run_in(mode):
                assert gradient(x) == 2.0 * x
            assert [(r.levelname, r.getMessage()) for r in caplog.records] == expected
            assert len(expected) == 7


@MODES
def test_warnings_of_each_call(mode):
    def f(x):
        if x > 1.0:
            warnings.warn(f"{x} is large", RuntimeWarning, stacklevel=1)
        return x * x

    gradient = wg.grad(f)
    with run_in(mode):
        for x in (2.0, 3.0, 0.5):
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                gradient(x)
            shown = [(w.category, str(w.message), w.filename) for w in caught]
            assert shown == ([(RuntimeWarning, f"{x} is large", __file__)] if x > 1.0 else [])
        with warnings.catch_warnings(), pytest.raises(RuntimeWarning, match="is large"):
            warnings.simplefilter("error")
            gradient(7.0)


@MODES
def test_clocks_run(mode):
    def f(x):
        start = time.perf_counter()
        time.sleep(0.001)
        return x * x, time.perf_counter() - start

    with run_in(mode):
        gradient = wg.grad(f, has_aux=True)
        for _ in range(2):
            slope, elapsed = gradient(3.0)
            assert slope == 6.0 and 0.001 <= elapsed < 1.0


@MODES
def test_an_exception_in_an_effect_is_the_users(mode):
    class Stream(io.StringIO):
        def write(self, text):
            raise OSError("disk full")

    stream = Stream()

    def f(x):
        print(x, file=stream)
        return x

    with run_in(mode), pytest.raises(OSError, match="disk full"):
        wg.grad(f)(1.0)


def test_effects_happen_once_per_derivative():
    seen = io.StringIO()

    def f(x):
        print(x[0], file=seen)
        return x * x[0]

    x = np.array([2.0, 3.0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", wg.EagerFallbackWarning)
        for derivative in (
            lambda: wg.jacobian(f)(x),
            lambda: wg.vjp(f, x)[1](x),
            lambda: wg.jvp(f, (x,), (x,)),
            lambda: wg.hessian(lambda y: np.sum(f(y)))(x),
        ):
            seen.truncate(0)
            seen.seek(0)
            derivative()
            assert seen.getvalue() == "2.0\n"


def test_text_as_a_key_runs_eagerly_with_the_reason():
    table = {"2.0": 5.0}
    gradient = wg.grad(lambda x: x * table[str(x)])
    with pytest.warns(wg.EagerFallbackWarning, match="Python needs the value"):
        assert gradient(2.0) == 5.0


def test_stream_of_the_function_itself():
    def report(x, n):
        out = io.StringIO()
        for k in range(3):
            print(k, k**2, file=out)
        out.write("end")
        return x * len(out.getvalue().splitlines())

    assert wg.value_and_grad(report)(2.0, 3) == (8.0, 4.0)

    def traced(x):
        out = io.StringIO()
        print(x, file=out)
        return x * len(out.getvalue())

    with pytest.raises(wg.StagingError, match="stream made inside"):
        wg.jit(traced)(2.0)


def test_filters_of_warnings_set_inside():
    def quiet(x):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.warn(f"{x} is large", RuntimeWarning, stacklevel=2)
        return x * x

    def loud(x):
        warnings.warn("careful", RuntimeWarning, stacklevel=2)
        return x * x

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert wg.jit(quiet)(3.0) == 9.0
        assert wg.jit(loud)(3.0) == 9.0
    assert [str(w.message) for w in caught] == ["careful"]
