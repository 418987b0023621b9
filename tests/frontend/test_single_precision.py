"""Single precision: results in the dtype that NumPy gives, gradients in the dtype of the input, in every mode."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.linalg
import scipy.special

import wengert as wg
from wengert.errors import UnsupportedError
from wengert.frontend.trace import trace
from wengert.ir.core import walk
from wengert.ir.interpret import run
from wengert.passes.pipeline import optimize
from wengert.transforms.vjp import value_and_grad
from wengert.types import TensorType

EPS = float(np.finfo(np.float32).eps)
f32 = np.float32


def numbers(*shape: int) -> Any:
    """Numbers between 0.2 and 0.9, none of them equal."""
    count = int(np.prod(shape))
    order = np.random.default_rng(7).permutation(count)
    return (0.2 + 0.7 * (order + 0.5) / count).reshape(shape).astype(f32)


X, Y, M, N = numbers(6), numbers(7)[:6] + f32(0.05), numbers(3, 4), numbers(4, 3)
HALF = f32(0.5)

ELEMENTWISE: dict[str, Callable[..., Any]] = {
    name: getattr(np, name)
    for name in """
        sqrt cbrt exp expm1 exp2 log log1p log2 log10 sin cos tan arcsin arccos arctan sinh cosh tanh arcsinh arctanh
        negative positive absolute fabs sign square reciprocal floor ceil trunc rint deg2rad rad2deg radians degrees
        isnan isinf isfinite signbit logical_not
    """.split()
}
BINARY: dict[str, Callable[..., Any]] = {
    name: getattr(np, name)
    for name in """
        add subtract multiply divide floor_divide remainder fmod power arctan2 hypot maximum minimum fmax fmin logaddexp
        logaddexp2 copysign heaviside less less_equal greater greater_equal equal not_equal logical_and logical_or logical_xor
        float_power
    """.split()
}
ARRAYS: dict[str, Callable[[Any], Any]] = {
    "sum": lambda x: x.sum(),
    "sum of columns": lambda x: x.sum(axis=0),
    "sum of rows": lambda x: x.sum(axis=1),
    "sum, dims kept": lambda x: x.sum(axis=1, keepdims=True),
    "prod": lambda x: x.prod(axis=1),
    "max": lambda x: x.max(),
    "min of rows": lambda x: x.min(axis=1),
    "mean": lambda x: x.mean(),
    "mean of columns": lambda x: x.mean(axis=0),
    "var": lambda x: x.var(axis=1),
    "std": lambda x: x.std(),
    "median": lambda x: np.median(x),
    "average": lambda x: np.average(x, axis=0),
    "cumsum": lambda x: np.cumsum(x, axis=1),
    "argmax": lambda x: x.argmax(axis=1),
    "any": lambda x: np.any(x > 0.5),
    "count": lambda x: np.count_nonzero(x > 0.5, axis=0),
    "norm": lambda x: np.linalg.norm(x),
    "transpose": lambda x: x.T * 2,
    "reshape": lambda x: x.reshape(2, 6) + 1,
    "ravel": lambda x: x.ravel()[1:],
    "part": lambda x: x[1:, ::2],
    "element": lambda x: x[1, 2],
    "rows": lambda x: x[np.array([0, 2, 0])],
    "mask": lambda x: x[x > 0.5],
    "where": lambda x: np.where(x > 0.5, x, 0.0),
    "where, both": lambda x: np.where(x > 0.5, 1.0, x),
    "clip": lambda x: np.clip(x, 0.3, 0.6),
    "concatenate": lambda x: np.concatenate([x, np.zeros((1, 4), dtype=np.float32)]),
    "concatenate f64": lambda x: np.concatenate([x, np.zeros((1, 4))]),
    "stack": lambda x: np.stack([x[0], x[1]]),
    "repeat": lambda x: np.repeat(x, 2, axis=0),
    "tile": lambda x: np.tile(x, (2, 1)),
    "roll": lambda x: np.roll(x, 1, axis=1),
    "flip": lambda x: x[::-1],
    "diff": lambda x: np.diff(x, axis=1),
    "sort": lambda x: np.sort(x, axis=1),
    "argsort": lambda x: np.argsort(x, axis=1),
    "zeros_like": lambda x: np.zeros_like(x) + x,
    "ones_like": lambda x: np.ones_like(x) * x,
    "full_like": lambda x: np.full_like(x, 2.5) * x,
    "diag": lambda x: np.diag(x[0]),
    "tril": lambda x: np.tril(x),
    "outer": lambda x: np.outer(x[0], x[1]),
    "dot": lambda x: x[0] @ x[1],
    "matmul": lambda x: x @ x.T,
    "matmul f64": lambda x: x @ np.ones((4, 2)),
    "matvec": lambda x: x @ x[0],
    "vecmat": lambda x: x[:, 0] @ x,
    "einsum": lambda x: np.einsum("ij,kj->ik", x, x),
    "tensordot": lambda x: np.tensordot(x, x, axes=([0, 1], [0, 1])),
    "trace": lambda x: np.trace(x @ x.T),
    "python float": lambda x: 0.1 * x + 1.0 / 3.0,
    "python int": lambda x: 2 * x + 1,
    "f64 scalar": lambda x: np.float64(0.1) * x,
    "f64 array": lambda x: np.full(4, 0.1) * x,
    "i64 array": lambda x: np.arange(4) * x,
    "bool array": lambda x: (x > 0.5) * x,
    "power int": lambda x: x**3,
    "power float": lambda x: x**1.7,
    "rpower": lambda x: 2.0**x,
    "astype f64": lambda x: x.astype(np.float64) * 0.1,
    "astype i64": lambda x: (10 * x).astype(np.int64),
    "astype f32": lambda x: (x * np.ones(4)).astype(np.float32),
    "float": lambda x: float(x[0, 0]) * 0.1,
    "item": lambda x: x[0, 1].item() * 0.1,
    "np.float32": lambda x: np.float32(x[0, 1]) * np.float32(0.1),
    "np.float64": lambda x: np.float64(x[0, 1]) * 0.1,
    "array": lambda x: np.array([x[0, 0], x[1, 1], 0.5]),
    "asarray": lambda x: np.asarray([1.0, 2.0, 3.0, 4.0], dtype=np.float32) * x,
    "linspace": lambda x: np.linspace(0.0, x[0, 0], 5),
    "eye": lambda x: np.eye(3, dtype=np.float32) @ x,
    "sum as f64": lambda x: x.sum(dtype=np.float64),
    "nan_to_num": lambda x: np.nan_to_num(x),
    "logsumexp": lambda x: np.log(np.sum(np.exp(x - x.max(axis=1, keepdims=True)), axis=1)),
    "result_type": lambda x: np.zeros(3, dtype=np.result_type(x, 1.0)) + x[:, 0],
    "dtype": lambda x: np.ones(3, dtype=x.dtype) * x[:, 0],
    "round": lambda x: np.round(10 * x),
    "in place": lambda x: _in_place(x),
    "loop": lambda x: _loop(x),
    "while": lambda x: _while(x),
    "branch": lambda x: 2.0 * x if x[0, 0] > 0.5 else x / 3.0,
    "list": lambda x: np.array(_listed(x)),
}


def _in_place(x: Any) -> Any:
    y = x.copy()
    y *= 1.5
    y[0] = 0.1
    y[1, 1:] += np.float64(0.2)
    return y


def _loop(x: Any) -> Any:
    total = 0.0
    for k in range(len(x)):
        for j in range(4):
            total += x[k, j] * 0.1
    return total


def _while(x: Any) -> Any:
    y = x[0, 0]
    while y < 3.0:
        y = y * np.float32(1.5) + 0.1
    return y


def _listed(x: Any) -> list[Any]:
    found = []
    for k in range(len(x)):
        if x[k, 0] > 0.4:
            found.append(np.sin(x[k, 1]))
    return found


Named = dict[str, Callable[..., Any]]


def _float_results(f: Callable[..., Any], *args: Any) -> list[bool]:
    return [np.asarray(r).dtype.kind == "f" for r in f(*args)]


def agree(functions: Named, *args: Any, tolerance: float = 4 * EPS) -> None:
    """Every mode has NumPy's dtype and value, and gradients of the dtypes of the arguments that f64 agrees with."""

    def every(*args: Any) -> Any:
        return [f(*args) for f in functions.values()]

    expected = every(*args)
    traced = trace(every, args, {}).function
    with wg.eager():
        eager = wg.vjp(every, *args)[0]
    for mode, results in (("compiled", wg.jit(every)(*args)), ("eager", eager), ("reference", run(optimize(traced), args))):
        for name, found, truth in zip(functions, results, expected, strict=True):
            assert np.asarray(found).dtype == np.asarray(truth).dtype or mode == "reference", (mode, name)
            np.testing.assert_allclose(found, truth, rtol=tolerance, atol=tolerance, err_msg=f"{mode}: {name}")
    smooth = {n: f for (n, f), r in zip(functions.items(), expected, strict=True) if np.asarray(r).dtype.kind == "f"}
    _agree_on_gradients(smooth, args)


def _agree_on_gradients(functions: Named, args: Any) -> None:
    weights = {n: np.random.default_rng(3).uniform(0.5, 1.5, np.shape(f(*args))) for n, f in functions.items()}

    def losses(*args: Any) -> Any:
        return [np.sum(f(*args) * weights[n].astype(np.asarray(args[0]).dtype)) for n, f in functions.items()]

    wide = [np.asarray(a, dtype=np.float64)[()] for a in args]
    numbers = tuple(range(len(args)))
    with np.errstate(all="ignore"), wg.eager():
        truth = wg.jacobian(losses, argnums=numbers)(*wide)
        eager = wg.jacobian(losses, argnums=numbers)(*args)
    for mode, results in (("compiled", wg.jacobian(losses, argnums=numbers)(*args)), ("eager", eager)):
        for name, bars, exact in zip(functions, results, truth, strict=True):
            for bar, argument, number in zip(bars, args, exact, strict=True):
                assert np.asarray(bar).dtype == np.asarray(argument).dtype == f32, (mode, name)
                size = max(1.0, float(np.max(np.abs(number))))
                np.testing.assert_allclose(bar, number, rtol=40 * EPS, atol=40 * EPS * size, err_msg=f"{mode}: {name}")


def parts(functions: Named, size: int) -> list[Named]:
    items = list(functions.items())
    return [dict(items[k : k + size]) for k in range(0, len(items), size)]


def _id(functions: Named) -> str:
    return next(iter(functions))


@pytest.mark.parametrize("functions", parts(ELEMENTWISE, 12), ids=_id)
def test_elementwise(functions: Named) -> None:
    agree(functions, X)


@pytest.mark.parametrize("functions", parts(BINARY, 12), ids=_id)
def test_binary(functions: Named) -> None:
    agree(functions, X, Y)
    agree(functions, HALF, HALF + HALF)


@pytest.mark.parametrize("functions", parts(ARRAYS, 12), ids=_id)
def test_arrays(functions: Named) -> None:
    agree(functions, M)


DEFINITE = (M @ M.T + np.eye(3, dtype=f32)).astype(f32)
LINALG: Named = {
    "solve": lambda a: np.linalg.solve(a, a[0]),
    "inv": np.linalg.inv,
    "det": np.linalg.det,
    "slogdet": lambda a: np.linalg.slogdet(a)[1],
    "cholesky": np.linalg.cholesky,
    "eigvalsh": np.linalg.eigvalsh,
    "svdvals": lambda a: np.linalg.svd(a, compute_uv=False),
    "qr": lambda a: np.abs(np.linalg.qr(a)[1]),
    "norm": np.linalg.norm,
    "norm 1": lambda a: np.linalg.norm(a, 1),
    "scipy solve": lambda a: scipy.linalg.solve(a, a[0]),
    "scipy cholesky": lambda a: scipy.linalg.cholesky(a, lower=True),
    "scipy triangular": lambda a: scipy.linalg.solve_triangular(a, a[0]),
    "erf": scipy.special.erf,
    "expit": scipy.special.expit,
    "gammaln": scipy.special.gammaln,
    "xlogy": lambda a: scipy.special.xlogy(a, a),
    "logsumexp": lambda a: scipy.special.logsumexp(a, axis=1),
    "softmax": lambda a: scipy.special.softmax(a, axis=1),
    "log_softmax": lambda a: scipy.special.log_softmax(a, axis=1),
}


@pytest.mark.parametrize("functions", parts(LINALG, 13), ids=_id)
def test_linear_algebra_and_special_functions(functions: Named) -> None:
    agree(functions, DEFINITE, tolerance=20 * EPS)


def test_what_depends_on_the_precision_is_refused() -> None:
    for f in (np.linalg.matrix_rank, np.linalg.pinv, lambda a: np.linalg.lstsq(a, a[0])[0], lambda a: np.nextafter(a, a)):
        with pytest.raises(UnsupportedError, match="float32"):
            wg.jit(f)(DEFINITE)


# --- networks --------------------------------------------------------------------------------------------------------


def cross_entropy(weights: Any, x: Any, labels: Any) -> Any:
    """The mean loss of a network with two hidden layers."""
    for w, b in weights[:-1]:
        x = np.maximum(x @ w + b, 0.0)
    w, b = weights[-1]
    logits = x @ w + b
    shifted = logits - np.max(logits, axis=1, keepdims=True)
    log_p = shifted - np.log(np.sum(np.exp(shifted), axis=1, keepdims=True))
    return -np.mean(log_p[np.arange(len(labels)), labels])


def train_step(weights: Any, x: Any, labels: Any, rate: float) -> Any:
    """The loss, and the weights after one step of gradient descent."""
    loss, bars = wg.value_and_grad(cross_entropy)(weights, x, labels)
    return loss, [tuple(p - rate * g for p, g in zip(*pair, strict=True)) for pair in zip(weights, bars, strict=True)]


def network(dtype: Any, sizes: tuple[int, ...] = (11, 7, 5, 3)) -> Any:
    rng = np.random.default_rng(0)
    weights = [
        (rng.normal(size=(m, n)).astype(dtype) / dtype(np.sqrt(m)), np.zeros(n, dtype))
        for m, n in itertools.pairwise(sizes)
    ]
    return weights, rng.normal(size=(8, sizes[0])).astype(dtype), rng.integers(0, sizes[-1], 8)


def test_training_step() -> None:
    weights, x, labels = network(f32)
    wide, *_ = network(np.float64)
    exact, moved = train_step(wide, x.astype(np.float64), labels, 0.1)
    for step in (train_step, wg.jit(train_step)):
        loss, new = step(weights, x, labels, 0.1)
        assert loss.dtype == f32
        np.testing.assert_allclose(loss, exact, rtol=1e-5)
        for pair, expected in zip(new, moved, strict=True):
            for found, number in zip(pair, expected, strict=True):
                assert found.dtype == f32
                np.testing.assert_allclose(found, number, rtol=1e-4, atol=1e-6)


def test_no_doubles_in_single_precision_programs() -> None:
    weights, x, labels = network(f32)
    function = trace(cross_entropy, (weights, x, labels), {}).function
    for each in (optimize(function), optimize(value_and_grad(function, range(6)))):
        for instr in walk(each.instrs):
            for value in (*instr.operands, *instr.results):
                assert value.tensor.dtype.name != "f64", instr


UPCAST = {"float_power", "median", "astype f32", "in place"}


@pytest.mark.parametrize(("functions", "args"), [(ELEMENTWISE, (X,)), (BINARY, (X, Y)), (ARRAYS, (M,))])
def test_no_doubles_in_functions_of_floats(functions: Named, args: Any) -> None:
    for name, f in functions.items():
        if np.asarray(f(*args)).dtype != f32 or name in UPCAST:
            continue
        function = trace(lambda *xs, f=f: f(*xs), args, {}).function
        gradients = [value_and_grad(function, range(len(args)))] if np.ndim(f(*args)) == 0 else []
        for each in (function, *gradients):
            for instr in walk(optimize(each).instrs):
                for value in (*instr.operands, *instr.results):
                    assert not (isinstance(value.type, TensorType) and value.type.dtype.name == "f64"), (name, instr)


# --- transformations, numbers, complex numbers -----------------------------------------------------------------------


def wave(x: Any) -> Any:
    return np.sum(np.sin(x) * x)


def test_transformations() -> None:
    wide = X.astype(np.float64)
    value, dot = wg.jvp(wave, (X,), (np.ones(6),))
    out, pull = wg.vjp(np.tanh, X)
    cases = [
        (value, wave(wide)), (dot, np.sum(np.cos(wide) * wide + np.sin(wide))), (out, np.tanh(wide)),
        (pull(np.ones(6))[0], 1.0 - np.tanh(wide) ** 2), (wg.hessian(wave)(X), wg.hessian(wave)(wide)),
        (wg.jacfwd(np.cumsum)(X), np.tril(np.ones((6, 6)))), (wg.jacrev(np.cumsum)(X), np.tril(np.ones((6, 6)))),
        (wg.vmap(wg.grad(lambda a: np.sin(a) * a))(X), np.cos(wide) * wide + np.sin(wide)),
        (wg.grad(lambda a: np.sum(wg.grad(wave)(a) ** 2))(X), wg.grad(lambda a: np.sum(wg.grad(wave)(a) ** 2))(wide)),
    ]  # fmt: skip
    for found, expected in cases:
        assert found.dtype == f32
        np.testing.assert_allclose(found, expected, rtol=40 * EPS, atol=40 * EPS)
    wg.check_grads(wave, (X,), order=2)


SCALE = f32(1.5)


def many(a: Any, b: float) -> Any:
    total = 0
    for _ in range(100):
        total += a * b + SCALE
        a = a * f32(0.99) + np.sin(a) * 0.01
    return total, a * b, a.item() * b, float(a), int(a * 10), a.dtype == np.float32, isinstance(a, np.floating), round(a, 1)


def power(a: Any, n: int) -> Any:
    return a if n <= 0 else power(a * f32(1.1), n - 1)


def test_numbers() -> None:
    expected, found = many(HALF, 0.3), wg.jit(many)(HALF, 0.3)
    assert [type(x) for x in found[:7]] == [type(x) for x in expected[:7]]
    np.testing.assert_allclose(found, expected, rtol=20 * EPS)
    first, second = wg.grad(lambda a, b: many(a, b)[0], argnums=(0, 1))(HALF, 0.3)
    exact = wg.grad(lambda a, b: many(a, b)[0], argnums=(0, 1))(0.5, 0.3)
    assert type(first) is f32
    assert type(second) is float
    np.testing.assert_allclose((first, second), exact, rtol=1e-5)
    assert type(wg.jit(power)(HALF, 5)) is f32
    np.testing.assert_allclose(wg.grad(power)(HALF, 5), 1.1**5, rtol=1e-6)


def test_sums_are_accurate() -> None:
    tenths = np.full(10**6, 0.1, f32)
    np.testing.assert_allclose(wg.jit(np.sum)(tenths), float(f32(0.1)) * 1e6, rtol=EPS)
    np.testing.assert_allclose(wg.jit(lambda x: x.mean(axis=1))(tenths.reshape(2, -1)), f32(0.1), rtol=EPS)


def test_complex_numbers_of_two_floats() -> None:
    z = np.array([1.0 + 2.0j, 0.5 - 1.0j], np.complex64)
    functions: Named = {
        "product": lambda z: z * z + np.exp(1j * z),
        "parts": lambda z: z.real * 2.0 + z.imag,
        "sum": lambda z: (z * 2.5).sum(),
        "astype": lambda z: z.astype(np.complex128) * 0.1,
        "wide": lambda z: z * np.complex128(0.1),
        "of real": lambda z: z.real * (0.1 + 2.0j),
        "zeros": lambda z: np.zeros(2, dtype=np.complex64) + z,
        "array": lambda z: np.array([z[0], z[1], 1.0], dtype=np.complex64),
        "dtype": lambda z: np.ones(2, dtype=z.dtype) * z,
        "number": lambda z: z[0] * 2.0,
        "modulus": np.abs,
    }
    for name, f in functions.items():
        found, expected = wg.jit(f)(z), f(z)
        assert np.asarray(found).dtype == expected.dtype, name
        np.testing.assert_allclose(found, expected, rtol=4 * EPS, err_msg=name)
    bar = wg.grad(lambda z: np.sum(np.abs(z * z + 1.0) ** 2))(z)
    assert bar.dtype == np.complex64
    np.testing.assert_allclose(bar, [24.0 - 32.0j, 4.5 + 1.0j], rtol=1e-5)


def one_or_the_other(v, c):
    x = 1.1
    if c > 0:
        x = v
    return x


def put_into_a_list(values, k, v):
    values[k] = v
    return values[0] + values[-1] * v


ROUNDED = [(one_or_the_other, (f32(0.7), -1)), (put_into_a_list, ([1.1, 2.2], 0, f32(0.7)))]


@pytest.mark.parametrize(("f", "args"), ROUNDED)
def test_numbers_that_would_be_rounded_are_refused(f, args):
    with pytest.raises(wg.WengertError, match="float32 would round"):
        wg.jit(f)(*args)


def test_numbers_that_are_not_rounded_are_joined():
    def total(v, start=0.0):
        for x in v:
            start = start + x if x < 2.0 else 0.5
        return start

    v = np.array([1.25, 0.3, 1.1], np.float32)
    found = wg.jit(total)(v)
    assert found == total(v)
    assert type(found) is np.float32


def test_classes_of_numbers_that_are_float32_or_not():
    def is_float(v, c):
        x = 0.5
        if c > 0:
            x = v
        y = (x / 2 + v) * 3.0 - x
        return isinstance(y, float), y

    v = np.float32(0.7)
    for c in (-1, 1):
        found, expected = wg.jit(is_float)(v, c), is_float(v, c)
        assert found[0] is expected[0] is False
        assert abs(found[1] - expected[1]) <= 1e-6
