"""The programs of `benchmarks/field_programs` at small sizes: in all modes, against formulas, differences and C by hand."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

import wengert as wg

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import field_native
import field_own
from field_programs import ba, gmm, kmeans, llsq, lse, lstm

ROWS = 7


def arguments(key):
    return {
        "llsq": (np.linspace(-1.0, 0.5, 6), 16),
        "lse": lse.inputs(50),
        "gmm_loops": gmm.inputs((3, 4), ROWS),
        "gmm_arrays": gmm.inputs((3, 4), ROWS),
        "kmeans": kmeans.inputs((3, 20, 2)),
        "lstm": lstm.inputs((2, 6)),
        "ba": ba.inputs((2, 3, 7)),
    }[key]


FORMULAS = {"llsq": llsq, "lse": lse, "gmm_loops": gmm, "gmm_arrays": gmm, "kmeans": kmeans}


def close(found, expected, tolerance=1e-9):
    found, expected = wg.tree.flatten(found)[0], wg.tree.flatten(expected)[0]
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("key", field_own.PRIMALS)
def test_values_are_those_of_python(key):
    args = arguments(key)
    close(field_own.primal(key, args)(), field_own.PRIMALS[key](*args), 1e-12)


@pytest.mark.parametrize("key", FORMULAS)
def test_derivatives_agree_with_the_formulas(key):
    args = arguments(key)
    expected = FORMULAS[key].expected(*args)
    close(field_own.derivative(key, args)(), expected)
    with wg.eager():
        close(field_own.derivative(key, args)(), expected)


def test_the_gradient_of_the_network_agrees_with_complex_steps():
    main, extra, state, sequence = arguments("lstm")
    gradient = field_own.derivative("lstm", (main, extra, state, sequence))()
    rng = np.random.default_rng(1)
    for _ in range(3):
        toward = rng.normal(size=main.shape), rng.normal(size=extra.shape)
        moved = [x + 1e-30j * v for x, v in zip((main, extra), toward, strict=True)]
        slope = lstm.loss(*moved, state.astype(complex), sequence).imag / 1e-30
        assert slope == pytest.approx(sum(np.sum(g * v) for g, v in zip(gradient, toward, strict=True)), rel=1e-12)
    with wg.eager():
        close(field_own.derivative("lstm", (main, extra, state, sequence))(), gradient)


def test_the_sparse_jacobian_is_the_dense_one():
    args = arguments("ba")
    weights, observations, features = args[2:]
    parts = wg.jacobian(lambda c, x, w: ba.residuals(c, x, w, observations, features), argnums=(0, 1, 2))(*args[:3])
    dense = np.hstack([part.reshape(3 * len(weights), -1) for part in parts])
    found = field_own.derivative("ba", args)()
    assert found.nnz == 31 * len(weights)
    close(found.toarray(), dense)


def test_a_camera_that_is_not_turned():
    args = arguments("ba")
    args[0][:, :3] = 0.0
    first = field_own.derivative("ba", args)().toarray()
    args[0][:, :3] = 1e-7
    np.testing.assert_allclose(first, field_own.derivative("ba", args)().toarray(), rtol=1e-4, atol=1e-3)


@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs a C compiler")
@pytest.mark.parametrize("key", field_own.PRIMALS)
def test_the_programs_in_c(key):
    args = arguments(key)
    close(np.asarray(field_native.primal(key, args)()), np.asarray(field_own.PRIMALS[key](*args)), 1e-12)
    found = field_own.derivative(key, args)()
    found = found.data if key == "ba" else np.concatenate([np.ravel(leaf) for leaf in ordered(found)])
    close(field_native.derivative(key, args)(), found)


def ordered(tree):
    if isinstance(tree, dict):
        return [tree[name] for name in ("alpha", "mu", "q", "l")]
    return list(tree) if isinstance(tree, tuple) else [tree]
