"""Optimisers are pure, and take the steps their formulas say."""

import numpy as np

from wengert.optim import adam, sgd
from wengert.tree import map_leaves


def test_sgd_step():
    init, update = sgd(0.5)
    step, state = update({"w": np.array([2.0, -4.0])}, init(None))
    assert step["w"].tolist() == [-1.0, 2.0]
    assert state == ()


def test_adam_matches_the_published_algorithm():
    rng = np.random.default_rng(0)
    init, update = adam(0.02, 0.8, 0.95, 1e-4)
    params = rng.normal(size=3)
    state, mean, square = init(params), np.zeros(3), np.zeros(3)
    for count in range(1, 6):
        gradient = rng.normal(size=3)
        step, state = update(gradient, state)
        mean = 0.8 * mean + 0.2 * gradient
        square = 0.95 * square + 0.05 * gradient**2
        expected = -0.02 * (mean / (1 - 0.8**count)) / (np.sqrt(square / (1 - 0.95**count)) + 1e-4)
        np.testing.assert_allclose(step, expected, rtol=1e-13)


def test_adam_on_a_tree_leaves_its_inputs_alone():
    init, update = adam(0.1)
    params = {"w": np.array([1.0, -2.0]), "b": (3.0,)}
    state = init(params)
    for _ in range(300):
        step, new_state = update(map_leaves(lambda x: 2 * x, params), state)
        assert new_state.steps == state.steps + 1
        params, state = map_leaves(lambda x, s: x + s, params, step), new_state
    assert np.abs(params["w"]).max() < 1e-2
    assert abs(params["b"][0]) < 1e-2
