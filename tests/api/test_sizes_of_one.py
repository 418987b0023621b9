"""An axis that has size 1 only at run time repeats, as NumPy's does."""

import warnings

import numpy as np
import pytest

import wengert as wg


def summed(x, y):
    return np.sum(np.sin(x) * y[1:])


def stored(x, y):
    z = x.copy()
    z[1:] = y[1:]
    return np.sum(z * z * np.arange(1.0, len(z) + 1.0))


def chosen(x, y):
    kept = y[y > 0]
    return np.sum(x * kept)


X, Y, TWO = np.array([0.3, -0.2, 1.1]), np.array([1.5, 2.5, -0.5, 0.4]), np.array([0.7, 0.6])


@pytest.mark.parametrize("function", [summed, stored])
def test_a_size_of_one_repeats(function):
    y = Y if function is summed else Y[1:]
    compiled, gradient = wg.jit(function), wg.grad(function, argnums=(0, 1))
    for _ in range(2):
        for given in (y, TWO, y * 0.3, TWO + 0.1):
            assert compiled(X, given) == pytest.approx(function(X, given), rel=1e-14)
            found = gradient(X, given)
            step = 1e-6
            slope = [(function(X + step * e, given) - function(X - step * e, given)) / (2 * step) for e in np.eye(3)]
            assert found[0] == pytest.approx(slope, rel=1e-6)
            assert found[1].shape == given.shape
    assert compiled.stats.eager_calls == 0


def shifted(x, n):
    return np.sum((x[:n] + x[1:]) * x[0])


def test_an_integer_that_a_size_depends_on():
    compiled, gradient = wg.jit(shifted), wg.grad(shifted)
    for _ in range(2):
        for n in (3, 1):
            assert compiled(Y, n) == pytest.approx(shifted(Y, n), rel=1e-14)
            step = 1e-6
            slope = [(shifted(Y + step * e, n) - shifted(Y - step * e, n)) / (2 * step) for e in np.eye(4)]
            assert gradient(Y, n) == pytest.approx(slope, rel=1e-6)
    assert compiled.stats.eager_calls == gradient.stats.eager_calls == 0
    assert compiled.stats.traces == gradient.stats.traces == 2


def test_a_size_of_one_that_the_function_computes():
    with warnings.catch_warnings():
        warnings.simplefilter("error", wg.EagerFallbackWarning)
        gradient = wg.grad(chosen)
        assert gradient(X, np.array([-1.0, 2.0, -3.0])) == pytest.approx([2.0, 2.0, 2.0])
    assert gradient(X, abs(Y[1:])) == pytest.approx(abs(Y[1:]))
    assert gradient.stats.eager_calls == 1


def caught(x):
    try:
        y = np.sum(x[x > 0] * x)
    except ValueError:
        y = 100.0 * x[0]
    return y


@pytest.mark.filterwarnings("ignore::wengert.EagerFallbackWarning")
def test_a_try_takes_only_sizes_that_do_not_go_together():
    compiled, gradient = wg.jit(caught), wg.grad(caught)
    cases = (([1.0, 2.0, 3.0], [2.0, 4.0, 6.0]), ([-1.0, 2.0, -3.0], [2.0, 0.0, 2.0]), ([-1.0, 2.0, 3.0], [100.0, 0.0, 0.0]))
    for x, slope in cases:
        assert compiled(np.array(x)) == caught(np.array(x))
        assert gradient(np.array(x)) == pytest.approx(slope)


def test_sizes_that_do_not_go_together_are_an_error_as_ever():
    with pytest.raises(ValueError, match="could not be broadcast"):
        wg.jit(summed)(X, Y[:3])
    with pytest.raises(ValueError, match="could not be broadcast"):
        wg.grad(summed)(X, Y[:3])


def test_a_function_that_prints_is_not_run_twice(capsys):
    def shown(x, y):
        print(x[0])
        return np.sum(x * y[1:])

    compiled = wg.jit(shown)
    compiled(X, Y)
    capsys.readouterr()
    with pytest.raises(ValueError, match="could not be broadcast"):
        compiled(X, TWO)
    assert capsys.readouterr().out.count("\n") == 1


def test_a_size_of_one_repeats_under_every_transformation():
    weights = np.array([1.0, -2.0, 0.5])
    for given in (Y, TWO, Y * 0.3):
        slope = wg.grad(summed)(X, given)
        assert wg.jacobian(summed)(X, given) == pytest.approx(slope, rel=1e-14)
        assert wg.jacfwd(summed)(X, given) == pytest.approx(slope, rel=1e-14)
        assert wg.vjp(summed, X, given)[1](1.0)[0] == pytest.approx(slope, rel=1e-14)
        assert wg.linearize(summed, X, given)[1](weights, 0.0 * given) == pytest.approx(slope @ weights, rel=1e-14)
        assert wg.jvp(summed, (X, given), (weights, 0.0 * given))[1] == pytest.approx(slope @ weights, rel=1e-14)
        assert wg.hvp(summed)(X, given, weights) == pytest.approx(wg.hessian(summed)(X, given) @ weights, rel=1e-13)
        assert wg.vmap(summed, in_axes=(0, None))(np.stack([X, X]), given) == pytest.approx([summed(X, given)] * 2)


def printing(n, y, z):
    def down(k, total):
        if k <= 0:
            return total
        print("down", k)
        return down(k - 1, total + 1.0)

    count = down(n, 0.0)
    return y[:n] + z + count


def test_a_function_that_prints_in_a_recursion_is_not_run_twice(capsys):
    compiled = wg.jit(printing)
    compiled(3, Y, X)
    capsys.readouterr()
    with pytest.raises(ValueError, match="could not be broadcast"):
        compiled(1, Y, X)
    assert capsys.readouterr().out.count("down") == 1
    assert compiled(1, Y, X) == pytest.approx(printing(1, Y, X))


def test_an_error_of_an_inner_function_is_not_tried_again_outside():
    log = []
    inner = wg.jit(lambda v, n: (print(n), np.sum(v[:n] + v))[1])

    def example(v):
        log.append(len(v))
        return inner(v, 2)

    with pytest.raises(ValueError), wg.eager():
        wg.vmap(example)(np.ones((2, 4)))
    assert len(log) == 1
