"""Complex numbers and arrays: values of Python and NumPy in every mode, and derivatives."""

import cmath

import numpy as np
import pytest

import wengert as wg
from tests.frontend.agreement import agree
from wengert.testing.modes import assert_modes_agree

POINTS = [0.7 + 0.4j, -0.7 + 0.4j, -0.3 - 1.2j, 0.2 - 0.9j]
ELEMENTARY = "exp log sqrt sin cos tan sinh cosh tanh".split()


def check(f, *args):
    """The value of Python in every mode; the gradient of a real result agrees with differences."""
    agree(f, *args)
    assert_modes_agree(f, args)
    wg.check_grads(f, args)


@pytest.mark.parametrize("name", ELEMENTARY)
def test_elementary_functions(name):
    python, numpy = getattr(cmath, name), getattr(np, name)
    check(lambda z, w: python(z).real + 2.0 * python(z).imag + python(w).real - python(w).imag, *POINTS[:2])
    check(lambda z: np.sum(numpy(z).real + 2.0 * numpy(z).imag), np.array(POINTS))
    derivative = wg.grad(python, holomorphic=True)
    h = 1e-5
    for z in POINTS:
        expected = (python(z + h) - python(z - h)) / (2 * h)
        assert derivative(z) == pytest.approx(expected, rel=1e-8)
        assert wg.jvp(python, (z,), (1j,))[1] == pytest.approx(1j * expected, rel=1e-8)


@pytest.mark.parametrize("name", ["exp", "log", "sqrt", "sin", "cosh"])
def test_cmath_of_a_real_number(name):
    check(lambda x: abs(getattr(cmath, name)(x)), 1.3)


def test_square_root_of_a_negative_number():
    check(lambda x: cmath.sqrt(x).imag, -2.0)
    check(lambda x: cmath.log(x).real + cmath.log(x).imag, -2.0)


def test_operators():
    def f(z, w, x):
        a = z * w - w / z + x * z - z / x + x - z + 2j * x
        b = z**3 + z**-2 + (-w) + +z + w**0.5 + z**w + 2.0**z
        return abs(a) + (a * b.conjugate()).real + (1.0 if z == w else 0.5) + (z != x)

    check(f, 1.0 + 2.0j, -0.5 + 0.3j, 1.7)


def test_constructor_and_parts():
    check(lambda x, y: complex(x, y).real * complex(x, y).imag + complex(x).real, 1.5, 2.0)
    check(lambda x, y: cmath.phase(complex(x, y)) * cmath.polar(complex(x, y))[0], -1.5, 2.0)
    check(lambda r, t: cmath.rect(r, t).real + cmath.isclose(cmath.rect(r, t), 1.0), 1.5, 2.0)
    check(lambda z: float(isinstance(z, complex)) * abs(z) + (isinstance(z, float)), 1.5 + 1j)
    check(lambda z: z.real * isinstance(z.real, (complex, float)) + isinstance(z.imag, complex | int), 1.5 + 1j)


def test_loop_that_becomes_complex():
    def escape(c, n):
        z = 0
        for k in range(n):
            z = z * z + c
            if abs(z) > 2.0:
                return abs(z) + k
        return abs(z)

    check(escape, 0.2 + 0.3j, 30)
    check(escape, 0.9 + 0.3j, 30)


def test_arrays():
    def f(z, x):
        y = np.zeros(4, dtype=complex)
        y[:] = z
        y[1:3] *= 2j
        y[0] += x[0]
        w = np.concatenate([y, np.conj(y)]).reshape(2, 4)
        p = w.T @ w + np.exp(1j * x)[:, None]
        return np.sum(np.abs(p) ** 2) + np.angle(y[3]) + p.real.mean() + np.where(x > 0.0, z, 1j).imag.sum()

    check(f, np.array([1 + 1j, 2 - 1j, 0.5j, -1.0 + 0.2j]), np.array([0.3, -0.2, 0.1, 0.7]))


def test_recursive_fourier_transform():
    def transform(x):
        if len(x) == 1:
            return x
        even, odd = transform(x[::2]), transform(x[1::2])
        turned = np.exp(-2j * np.pi * np.arange(len(x) // 2) / len(x)) * odd
        return np.concatenate([even + turned, even - turned])

    x = np.random.default_rng(0).normal(size=8)
    np.testing.assert_allclose(wg.jit(lambda x: transform(x + 0j))(x), np.fft.fft(x), rtol=1e-12, atol=1e-12)
    power = wg.grad(lambda x: np.sum(np.abs(transform(x + 0j)) ** 2))(x)
    np.testing.assert_allclose(power, 2 * 8 * x, atol=1e-12)


def test_convention_of_the_gradient():
    """df/dx - i df/dy, for the gradient and for cotangents: the pullback of a holomorphic function multiplies."""
    z = 1.0 + 2.0j
    assert wg.grad(lambda z: abs(z) ** 2)(z) == pytest.approx(2 * z.conjugate())
    out, pull = wg.vjp(lambda z: z * z, z)
    assert out == z * z
    assert pull(0.5 + 1j)[0] == pytest.approx((0.5 + 1j) * 2 * z)
    with wg.eager():
        assert wg.grad(lambda z: abs(z) ** 2)(z) == pytest.approx(2 * z.conjugate())
        assert wg.vjp(lambda z: z * z, z)[1](1j)[0] == pytest.approx(2j * z)
    inside = wg.grad(lambda x: wg.grad(lambda z: (z * z).imag)(complex(x, 1.0)).imag)
    assert inside(0.5) == pytest.approx(-2.0)


def test_captured_and_nested():
    weights = {"w": np.array([1.0 + 1j, 2.0]), "c": 3.0 - 1j}
    f = wg.jit(lambda x: abs(np.sum(weights["w"] * x) + weights["c"]))
    assert f(2.0) == pytest.approx(abs((3.0 + 1j) * 2.0 + 3.0 - 1j))
    weights["c"] = 1j
    assert f(2.0) == pytest.approx(abs((3.0 + 1j) * 2.0 + 1j))
    found = wg.grad(lambda p: abs(p["a"][0] * p["b"]))({"a": [1 + 1j], "b": 2.0})
    assert isinstance(found["a"][0], complex)
    assert isinstance(found["b"], float)


def test_refusals():
    z = 1.0 + 2.0j
    with pytest.raises(wg.ArgumentError, match="holomorphic=True"):
        wg.grad(lambda z: z * z)(z)
    with pytest.raises(TypeError, match="order"):
        wg.jit(lambda z, w: max(z, w))(z, z)
    with pytest.raises(TypeError, match="complex"):
        wg.jit(lambda z: z < 2.0)(z)
    with pytest.raises(ZeroDivisionError):
        wg.jit(lambda z: abs(1.0 / z))(0j)
    with pytest.raises(wg.UnsupportedError, match="real and imaginary"):
        wg.jacobian(lambda z: z * z)(z)
    with pytest.raises(wg.UnsupportedError, match="arctan"):
        wg.jit(lambda z: np.arctan(z))(z)


def test_fit_of_complex_parameters():
    found = wg.fit(lambda p: abs(p["z"] - (1.0 - 2.0j)) ** 2 + (p["r"] - 3.0) ** 2, {"z": 0.5 + 0.5j, "r": 1.0})
    assert found.params["z"] == pytest.approx(1.0 - 2.0j, abs=1e-5)


def test_modulus_of_zero():
    """The slope at the kink is 0, as that of `hypot`."""

    def f(x):
        return abs(complex(x, 0.0 * x))

    assert wg.value_and_grad(f)(0.0) == (0.0, 0.0)
    with wg.eager():
        assert wg.value_and_grad(f)(0.0) == (0.0, 0.0)


def test_numbers_that_join_complex_arrays():
    """What is appended, or begins a sum, has an imaginary part of its own."""
    z = np.array([1.0 + 2.0j, 3.0 - 1.0j])
    for f in (
        lambda z: np.append(z, 3.0),
        lambda z: np.append(z, [3, 1j]),
        lambda z: np.append(z.real, z),
        lambda z: np.append(z, z.imag),
        lambda z: np.diff(z, prepend=1.0, append=2),
        lambda z: np.diff(z, 1, -1, 1.0 - 1j),
        lambda z: np.sum(z, initial=3.0),
        lambda z: np.sum(z, initial=2),
        lambda z: np.sum(z, initial=z[0]),
    ):
        np.testing.assert_allclose(wg.jit(f)(z), f(z), rtol=1e-14)
