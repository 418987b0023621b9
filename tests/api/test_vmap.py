"""`vmap`: every batched call equals the loop in Python, compiled, eager and inside of other programs; so do derivatives."""

from __future__ import annotations

import math
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest

import wengert as wg
from wengert.errors import ArgumentError, StagingError
from wengert.frontend.trace import trace
from wengert.ir.verify import verify

MODES = pytest.mark.parametrize("mode", ["compiled", "eager"])
A = np.array([0.7, 2.0, 3.5, 9.0])
M = np.arange(12.0).reshape(4, 3) / 7.0 + 0.3


def run_in(mode: str) -> Any:
    return wg.eager() if mode == "eager" else nullcontext()


# --- programs of one example ---------------------------------------------------------------------------------------


def branch(x):
    if x > 3.0:
        return x * x
    elif x > 1.0:
        return math.sin(x)
    return -x


def newton(a):
    x = a
    while abs(x * x - a) > 1e-13:
        x = 0.5 * (x + a / x)
    return x


def steps(x):
    total = 0.0
    for k in range(int(x) + 1):
        if k == 5:
            break
        total += x**k
    return total


def power(n, x):
    if n < 1:
        return 1.0
    half = power(n // 2, x)
    return half * half * (x if n % 2 else 1.0)


def recursive(x):
    return power(int(x), x)


def growing(x):
    items = []
    while len(items) < x:
        items.append(x * len(items))
    return sum(items)


def in_place(x):
    u = np.zeros(5)
    u[0] = x
    for i in range(1, 5):
        u[i] = u[i - 1] * x + 0.1
    u[1:] += u[:-1]
    return u


SCALAR = [branch, newton, steps, recursive, growing]


@MODES
@pytest.mark.parametrize("f", [*SCALAR, in_place], ids=lambda f: f.__name__)
def test_each_example_goes_its_own_way(f: Any, mode: str) -> None:
    with run_in(mode):
        found = wg.vmap(f)(A)
    np.testing.assert_allclose(found, np.stack([f(a) for a in A]), rtol=1e-14)


@pytest.mark.parametrize("f", [*SCALAR, in_place], ids=lambda f: f.__name__)
def test_compiled_without_falling_back(f: Any) -> None:
    batched = wg.vmap(f)
    batched(A)
    batched(np.concatenate([A, A]))
    assert batched.stats.eager_calls == 0
    assert batched.stats.compilations == 1
    verify(trace(batched, (A,), {}).function)


@MODES
@pytest.mark.parametrize("f", SCALAR, ids=lambda f: f.__name__)
def test_gradients_inside_and_outside(f: Any, mode: str) -> None:
    weights = np.array([1.0, -2.0, 0.5, 3.0])
    with run_in(mode):
        expected = np.array([wg.grad(f)(float(a)) for a in A])
        per_example = wg.vmap(wg.grad(f))(A)
        total = wg.grad(lambda x: np.sum(weights * wg.vmap(f)(x)))(A)
        _, tangent = wg.jvp(wg.vmap(f), (A,), (weights,))
        jacobian = wg.jacobian(wg.vmap(f))(A)
        second = wg.vmap(wg.hessian(f))(A)
        twice = np.array([float(wg.hessian(f)(float(a))) for a in A])
    np.testing.assert_allclose(per_example, expected, rtol=1e-13)
    np.testing.assert_allclose(total, weights * expected, rtol=1e-13)
    np.testing.assert_allclose(tangent, weights * expected, rtol=1e-13)
    np.testing.assert_allclose(jacobian, np.diag(expected), rtol=1e-13)
    np.testing.assert_allclose(second, twice, rtol=1e-12)


# --- axes and trees ------------------------------------------------------------------------------------------------


@MODES
def test_axes(mode: str) -> None:
    w = np.array([[1.0, 2.0, 3.0, 4.0], [0.5, 0.0, 0.0, 1.0]])
    with run_in(mode):
        found = wg.vmap(lambda w, x: w @ x, in_axes=(None, 1), out_axes=1)(w, M)
        last = wg.vmap(lambda x, s: x * s, in_axes=(-1, 0), out_axes=-1)(M, np.array([1.0, 2.0, 3.0]))
        named = wg.vmap(lambda x, *, k: x * k, in_axes=0)(A, k=M)
    assert found.shape == (2, 3)
    np.testing.assert_allclose(found, w @ M)
    np.testing.assert_allclose(last, M * np.array([1.0, 2.0, 3.0]))
    np.testing.assert_allclose(named, A[:, None] * M)


@MODES
def test_trees(mode: str) -> None:
    def model(params, batch):
        x, label = batch
        return {"out": params["w"] @ x + params["b"], "hit": x[0] > 1.0, "label": label + 1, "shared": params["b"] * 2.0}

    params = {"w": np.ones((2, 3)), "b": 0.5}
    with run_in(mode):
        found = wg.vmap(model, in_axes=(None, 0), out_axes={"out": 1, "hit": 0, "label": 0, "shared": None})(
            params, (M, np.arange(4))
        )
        partly = wg.vmap(lambda p, x: p["w"] * x + p["b"], in_axes=({"w": 0, "b": None}, None))({"w": A, "b": 1.0}, 2.0)
    np.testing.assert_allclose(found["out"], (M @ np.ones((3, 2)) + 0.5).T)
    assert found["hit"].dtype == bool and found["label"].dtype == np.int64
    np.testing.assert_array_equal(found["hit"], M[:, 0] > 1.0)
    np.testing.assert_array_equal(found["label"], np.arange(4) + 1)
    assert found["shared"] == 1.0
    np.testing.assert_allclose(partly, 2.0 * A + 1.0)


@MODES
def test_constant_results_are_repeated(mode: str) -> None:
    with run_in(mode):
        ones, flags, eye = wg.vmap(lambda x: (1, True, np.eye(2)))(A)
    np.testing.assert_array_equal(ones, [1, 1, 1, 1])
    assert flags.dtype == bool and flags.all()
    assert eye.shape == (4, 2, 2)


@MODES
def test_nested(mode: str) -> None:
    table = wg.vmap(wg.vmap(math.atan2, in_axes=(None, 0)), in_axes=(0, None))
    third = wg.vmap(wg.vmap(wg.vmap(lambda x, y, z: x * y + z, (None, None, 0)), (None, 0, None)), (0, None, None))
    with run_in(mode):
        np.testing.assert_allclose(table(A, M[:, 0]), np.arctan2(A[:, None], M[None, :, 0]), rtol=1e-14)
        np.testing.assert_allclose(third(A, A, A), A[:, None, None] * A[None, :, None] + A, rtol=1e-14)


@MODES
def test_inside_of_a_program(mode: str) -> None:
    def loss(w, xs):
        total = 0.0
        for _ in range(3):
            hidden = wg.vmap(lambda x: np.tanh(w @ x))(xs)
            total = total + np.sum(hidden**2)
            w = w * 0.9
        return total

    def plain(w, xs):
        total = 0.0
        for _ in range(3):
            total = total + np.sum(np.tanh(xs @ w.T) ** 2)
            w = w * 0.9
        return total

    w = np.array([[0.1, -0.2, 0.3], [0.5, 0.4, -0.1]])
    with run_in(mode):
        np.testing.assert_allclose(wg.grad(loss)(w, M), wg.grad(plain)(w, M), rtol=1e-12)


def test_sizes_of_results_computed_inside() -> None:
    def padded(x):
        out = np.zeros(2 * len(x) + 1)
        out[: len(x)] = x
        return out.reshape(-1), np.concatenate([x, x[1:]])

    batched = wg.vmap(padded)
    first, second = batched(M)
    assert first.shape == (4, 7) and second.shape == (4, 5)
    np.testing.assert_allclose(first[:, :3], M)
    assert batched.stats.eager_calls == 0


def test_no_examples() -> None:
    assert wg.vmap(newton)(np.zeros(0)).shape == (0,)
    assert wg.vmap(lambda x: x[::2])(np.zeros((0, 5))).shape == (0, 3)
    with wg.eager(), pytest.raises(ArgumentError, match="no examples"):
        wg.vmap(newton)(np.zeros(0))


@MODES
def test_complex_numbers(mode: str) -> None:
    z = np.array([1.0 + 2.0j, -0.5j, 3.0])
    with run_in(mode):
        np.testing.assert_allclose(wg.vmap(lambda z: z * z + 1j)(z), z * z + 1j)


# --- state ---------------------------------------------------------------------------------------------------------


@MODES
def test_arguments_stay_as_they_are(mode: str) -> None:
    def scribble(x, shared):
        x[0] = 5.0
        shared[0] += x[1]
        return shared[0] + x[0]

    x, shared = M.copy(), np.ones(2)
    with run_in(mode):
        found = wg.vmap(scribble, in_axes=(0, None))(x, shared)
    np.testing.assert_allclose(found, 6.0 + M[:, 1])
    np.testing.assert_array_equal(x, M)
    np.testing.assert_array_equal(shared, np.ones(2))


def test_state_outside_is_written_example_by_example() -> None:
    def scan(xs):
        total = np.zeros(1)

        def step(x):
            total[0] = total[0] * 0.5 + x
            return total[0]

        return wg.vmap(step)(xs)

    expected, total = [], 0.0
    for a in A:
        total = total * 0.5 + a
        expected.append(total)
    np.testing.assert_allclose(wg.jit(scan)(A), expected, rtol=1e-14)


def test_captured_values_are_read_at_every_call() -> None:
    scale = {"k": 2.0}
    batched = wg.vmap(lambda x: x * scale["k"])
    np.testing.assert_allclose(batched(A), A * 2.0)
    scale["k"] = 3.0
    np.testing.assert_allclose(batched(A), A * 3.0)


class Gain:
    def __init__(self, k: float) -> None:
        self.k = k

    def squared(self, x: float) -> float:
        return self.k * x * x

    def __call__(self, x: float) -> float:
        return self.squared(x)


GAIN = Gain(2.0)
TRANSFORMED = [
    (wg.vmap(GAIN.squared), A, lambda k: k * A * A),
    (wg.vmap(GAIN), A, lambda k: k * A * A),
    (wg.vmap(wg.grad(GAIN.squared)), A, lambda k: 2.0 * k * A),
    (wg.jit(wg.grad(GAIN.squared)), 3.0, lambda k: 6.0 * k),
    (wg.grad(wg.jit(GAIN)), 3.0, lambda k: 6.0 * k),
    (wg.jit(wg.hvp(GAIN.squared)), (3.0, 1.0), lambda k: 2.0 * k),
    (wg.jit(wg.jacobian(GAIN)), 3.0, lambda k: 6.0 * k),
    (wg.hessian(GAIN.squared), 3.0, lambda k: 2.0 * k),
]


@pytest.mark.parametrize(("transformed", "x", "value"), TRANSFORMED)
def test_attributes_of_objects_whose_methods_are_transformed_are_read_again(transformed: Any, x: Any, value: Any) -> None:
    args = x if isinstance(x, tuple) else (x,)
    outside = wg.jit(lambda *args: transformed(*args))
    for GAIN.k in (2.0, 5.0, 7.0):
        np.testing.assert_allclose(transformed(*args), value(GAIN.k), rtol=1e-14)
        np.testing.assert_allclose(outside(*args), value(GAIN.k), rtol=1e-14)


@MODES
def test_exceptions_of_an_example(mode: str) -> None:
    def checked(x):
        if x < 0.0:
            raise ValueError("negative example")
        return math.sqrt(x)

    with run_in(mode):
        np.testing.assert_allclose(wg.vmap(checked)(A), np.sqrt(A))
        with pytest.raises(ValueError, match="negative example"):
            wg.vmap(checked)(np.array([1.0, -1.0]))


def test_an_exception_that_is_taken() -> None:
    def checked(x):
        if x < 0.0:
            raise ValueError("negative example")
        return math.sqrt(x)

    def outer(xs):
        try:
            return np.sum(wg.vmap(checked)(xs))
        except ValueError:
            return -1.0

    compiled = wg.jit(outer)
    assert compiled(A) == pytest.approx(np.sum(np.sqrt(A)))
    assert compiled(np.array([1.0, -1.0, 2.0])) == -1.0


# --- refused -------------------------------------------------------------------------------------------------------


@MODES
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: wg.vmap(newton)(2.0), "argument 0 along axis 0, which it does not have"),
        (lambda: wg.vmap(newton, in_axes=1)(A), "argument 0 along axis 1, which it does not have"),
        (lambda: wg.vmap(lambda x: x["w"][1])({"w": (A, 3.0)}), r"argument 0\['w'\]\[1\] along axis 0"),
        (lambda: wg.vmap(lambda x, *, k: x * k)(A, k=1.0), "argument 'k' along axis 0"),
        (lambda: wg.vmap(lambda x, y: x + y)(A, A[:2]), "different sizes"),
        (lambda: wg.vmap(lambda x, y: x, in_axes=(0,))(A, A), "2 positional arguments and in_axes for 1"),
        (lambda: wg.vmap(lambda x: x, in_axes=({"a": 0},))({"b": A}), "in_axes of vmap does not fit"),
        (lambda: wg.vmap(lambda x: (x, x), out_axes=(0, 0, 0))(A), "out_axes of vmap does not fit"),
        (lambda: wg.vmap(lambda x: x, out_axes=None)(A), "has no axis"),
        (lambda: wg.vmap(lambda x: x, out_axes=2)(A), "axis 2 of a stacked result that has 1"),
        (lambda: wg.vmap(lambda x: "abc")(A), "cannot stack 'abc'"),
        (lambda: wg.vmap(lambda x: x, in_axes=None)(A), "nothing to map over"),
        (lambda: wg.vmap(lambda x: x, in_axes="0"), "must be an int, None"),
        (lambda: wg.vmap(3), "takes a function"),
    ],
)
def test_errors(call: Any, message: str, mode: str) -> None:
    with run_in(mode), pytest.raises(ArgumentError, match=message):
        call()


def test_sizes_that_differ_inside_of_a_trace() -> None:
    program = wg.jit(lambda x, y: wg.vmap(lambda a, b: a * b)(x, y))
    np.testing.assert_allclose(program(A, A), A * A)
    with pytest.raises(ValueError, match="different sizes"):
        program(A, A[:2])


@pytest.mark.filterwarnings("ignore::wengert.EagerFallbackWarning")
def test_results_whose_size_depends_on_the_example() -> None:
    batched = wg.vmap(lambda x, n: np.ones(n) * x)
    with pytest.raises(StagingError, match="size of a result of vmap depends on the example"):
        wg.jit(batched)(A, np.array([1, 2, 3, 4]))
    with pytest.raises(ArgumentError, match="differ in shape between examples"):
        batched(A, np.array([1, 2, 3, 4]))
    np.testing.assert_allclose(batched(A, np.array([2, 2, 2, 2])), np.stack([A, A], axis=1))


def test_a_list_of_traced_length_is_refused() -> None:
    def listed(x):
        items = []
        while len(items) < x:
            items.append(x)
        return items

    with pytest.raises(StagingError, match="list whose length is known only at run time"):
        wg.jit(wg.vmap(listed))(A)


# --- products of matrices ------------------------------------------------------------------------------------------

W = np.cos(np.arange(15.0)).reshape(5, 3)
B = np.linspace(-0.5, 0.5, 5)
XS = np.sin(np.arange(21.0)).reshape(7, 3)


def network(w, b, x):
    z = w @ x
    hidden = np.tanh(z + b)
    return {"score": hidden @ z + np.sum(hidden * b), "back": hidden @ w, "hidden": hidden}


def guarded(w, b, x):
    if x[0] > 10.0:
        raise ValueError("too large")
    return network(w, b, x)["back"]


def loops_of(instrs: Any) -> list[Any]:
    return [inner for i in instrs for r in i.regions for inner in [*r.instrs, *loops_of(r.instrs)]]


def test_products_with_a_shared_matrix_are_one_product() -> None:
    batched = wg.vmap(network, in_axes=(None, None, 0))
    traced = trace(lambda w, b, xs: batched(w, b, xs), (W, B, XS), {})
    verify(traced.function)
    ranks = [[o.rank for o in i.operands] for i in traced.function.instrs if i.op.name == "matmul"]
    assert ranks == [[2, 2]] * 2
    inside = [(i.op.name, [o.rank for o in i.operands]) for i in loops_of(traced.function.instrs)]
    assert ("matmul", [1, 1]) in inside and "tanh" not in dict(inside) and ("matmul", [2, 1]) not in inside
    found = batched(W, B, XS)
    for k, x in enumerate(XS):
        for name, value in network(W, B, x).items():
            np.testing.assert_allclose(found[name][k], value, rtol=1e-13)


@MODES
@pytest.mark.parametrize("f", [network, guarded], ids=lambda f: f.__name__)
def test_derivatives_of_batched_products(f: Any, mode: str) -> None:
    def total(batch: Any) -> Any:
        leaves = batch.values() if isinstance(batch, dict) else [batch]
        return sum(np.sum(leaf * np.cos(1.0 + np.arange(leaf.size).reshape(leaf.shape))) for leaf in leaves)

    def by_vmap(w, b, xs):
        return total(wg.vmap(f, in_axes=(None, None, 0), out_axes=0)(w, b, xs))

    def by_hand(w, b, xs):
        h = np.tanh(xs @ w.T + b)
        parts = {"score": np.sum(h * (xs @ w.T), axis=1) + h @ b, "back": h @ w, "hidden": h}
        return total(parts if f is network else parts["back"])

    with run_in(mode):
        for found, wanted in zip(wg.grad(by_vmap, (0, 1, 2))(W, B, XS), wg.grad(by_hand, (0, 1, 2))(W, B, XS), strict=True):
            np.testing.assert_allclose(found, wanted, rtol=1e-11, atol=1e-13)
        per_example = wg.vmap(wg.grad(lambda w, x: np.sum(np.tanh(w @ x) ** 2)), in_axes=(None, 0))(W, XS)
    h = np.tanh(XS @ W.T)
    np.testing.assert_allclose(per_example, (2.0 * h * (1.0 - h * h))[:, :, None] * XS[:, None, :], rtol=1e-12)


def test_batched_products_check_sizes_first() -> None:
    program = wg.vmap(lambda w, x: w @ x[1:], in_axes=(None, 0))
    np.testing.assert_allclose(program(W, np.ones((7, 4))), np.ones((7, 3)) @ W.T)
    with pytest.raises(ValueError, match="matmul"):
        program(W, XS)
    inner = wg.jit(lambda w, xs, n: wg.vmap(lambda x: w[:, :n] @ x)(xs))
    np.testing.assert_allclose(inner(W, XS, 3), XS @ W.T)
    with pytest.raises(ValueError, match="matmul"):
        inner(W, XS, 2)


def test_axes_of_batched_products() -> None:
    for in_axis, out_axis in ((0, 1), (1, 0), (1, 1)):
        batch = XS if in_axis == 0 else XS.T
        found = wg.vmap(lambda w, x: x @ w.T, in_axes=(None, in_axis), out_axes=out_axis)(W, batch)
        np.testing.assert_allclose(found, XS @ W.T if out_axis == 0 else (XS @ W.T).T, rtol=1e-13)
    nested = wg.vmap(wg.vmap(lambda w, x: w @ x, in_axes=(None, 0)), in_axes=(None, 1))(W, np.stack([XS, 2.0 * XS], axis=1))
    np.testing.assert_allclose(nested, np.stack([XS @ W.T, 2.0 * XS @ W.T]), rtol=1e-13)


def test_no_examples_have_no_common_result():
    def f(w):
        return wg.vmap(lambda x, w: w * 2.0, in_axes=(0, None), out_axes=None)(np.zeros((0, 3)), w)

    with pytest.raises((wg.ArgumentError, ValueError), match="no examples"):
        wg.jit(f)(4.0)
