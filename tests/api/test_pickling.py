"""Transformed functions are pickled, copied and sent to other processes."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np
import pytest

import wengert as wg

X = np.array([0.3, 0.8, 1.1])


def curve(x: Any) -> Any:
    return np.sum(np.sin(x) * x**2)


def field(x: Any) -> Any:
    return np.sin(x) * x[0]


@wg.checkpoint
def kept(x: Any) -> Any:
    return np.sum(np.tanh(x) ** 3)


@wg.checkpoint(budget="sqrt")
def stepped(x: Any) -> Any:
    y = x
    for _ in range(20):
        y = y + 0.1 * np.sin(y)
    return np.sum(y)


@wg.custom_jvp
def ruled(x: Any) -> Any:
    return x * x


@ruled.defjvp
def _ruled_jvp(primals: Any, tangents: Any) -> Any:
    return primals[0] ** 2, 3.0 * primals[0] * tangents[0]


@wg.vmap
def batched(x: Any) -> Any:
    return x * x


MADE = {
    "jit": (wg.jit(curve), (X,)),
    "grad": (wg.grad(curve), (X,)),
    "vmap": (wg.vmap(curve, in_axes=1, out_axes=0), (np.outer(X, X),)),
    "vmap of grad": (wg.vmap(wg.grad(curve)), (np.outer(X, X),)),
    "hvp": (wg.hvp(curve), (X, X)),
    "jacobian": (wg.jacobian(field), (X,)),
    "jacrev": (wg.jacrev(field, argnums=0), (X,)),
    "hessian": (wg.hessian(curve), (X,)),
    "checkpointed": (kept, (X,)),
    "grad of checkpointed": (wg.grad(kept), (X,)),
    "grad with a budget": (wg.grad(stepped), (X,)),
    "grad of a rule": (wg.grad(ruled), (2.0,)),
    "decorated": (batched, (X,)),
    "holomorphic": (wg.grad(ruled, holomorphic=True), (1.0 + 2.0j,)),
}


@pytest.mark.parametrize("name", MADE)
def test_pickled_and_copied(name: str) -> None:
    made, args = MADE[name]
    expected = made(*args)
    for again in (pickle.loads(pickle.dumps(made)), copy.copy(made), copy.deepcopy(made)):
        np.testing.assert_array_equal(again(*args), expected)
        assert again.__name__ == made.__name__


def test_sparse() -> None:
    made = wg.jacobian(field, sparsity=True)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(made))(X).toarray(), made(X).toarray())


def test_names_lead_to_the_same_object() -> None:
    for made in (kept, stepped, ruled, batched):
        assert pickle.loads(pickle.dumps(made)) is made
    bare = wg.checkpoint(budget="revolve")(curve)
    assert pickle.loads(pickle.dumps(bare)).budget == "revolve"


def test_what_has_no_name_is_refused() -> None:
    with pytest.raises((pickle.PicklingError, AttributeError)):
        pickle.dumps(wg.vmap(lambda x: x))
    with pytest.raises(TypeError, match="custom_jvp curve"):
        pickle.dumps(wg.custom_jvp(curve))


def test_other_processes() -> None:
    """What was compiled here is compiled again there, or read from the store."""
    expected = MADE["grad"][0](X)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        found = list(pool.map(MADE["grad"][0], [X, 2.0 * X]))
        np.testing.assert_array_equal(found[0], expected)
        np.testing.assert_array_equal(pool.submit(wg.grad(kept), X).result(), wg.grad(kept)(X))
