"""Rules for functions of complex numbers: cotangents are `df/dx - i df/dy`, as those of every other function."""

import contextlib

import numpy as np
import pytest

import wengert as wg

MODES = pytest.mark.parametrize("mode", [contextlib.nullcontext, wg.eager], ids=["compiled", "eager"])
Z = 1.5 + 0.5j
ARRAY = np.array([1.0 + 1.0j, 2.0 - 1.0j])


@wg.custom_vjp
def cube(z):
    return z * z * z


def cube_bwd(z, cotangent):
    return (3.0 * z * z * cotangent,)


cube.defvjp(lambda z: (z * z * z, z), cube_bwd)


@wg.custom_jvp
def cube_jvp(z):
    return z * z * z


cube_jvp.defjvp(lambda primals, tangents: (primals[0] ** 3, 3.0 * primals[0] ** 2 * tangents[0]))


def foreign_vjp(args, out, cotangent):
    assert isinstance(args[0], complex | np.ndarray), type(args[0])
    return (3.0 * np.fft.ifft(np.fft.fft(np.atleast_1d(args[0]) ** 2)).reshape(np.shape(args[0]))[()] * cotangent,)


def foreign_jvp(args, tangents):
    return 3.0 * np.fft.ifft(np.fft.fft(np.atleast_1d(args[0]) ** 2)).reshape(np.shape(args[0]))[()] * tangents[0]


def same(z):
    return z


def python_cube(z):
    assert isinstance(z, complex | np.ndarray), type(z)
    return z**3


CUBES = {
    "custom_vjp": cube,
    "custom_jvp": cube_jvp,
    "wrapped vjp": wg.wrap(python_cube, vjp=lambda args, out, ct: (3.0 * args[0] ** 2 * ct,), like=same),
    "wrapped jvp": wg.wrap(python_cube, jvp=lambda args, t: 3.0 * args[0] ** 2 * t[0], like=same),
    "wrapped foreign vjp": wg.wrap(python_cube, vjp=foreign_vjp, like=same),
    "wrapped foreign jvp": wg.wrap(python_cube, jvp=foreign_jvp, like=same),
    "wrapped differences": wg.wrap(python_cube, method="central", order=4, like=same),
}


def loss_of(f):
    def loss(z):
        w = f(z)
        return np.sum(2.0 * w.real + 3.0 * w.imag * w.real)

    return loss


@MODES
@pytest.mark.parametrize("point", [Z, ARRAY], ids=["number", "array"])
@pytest.mark.parametrize("name", CUBES)
def test_gradients_are_those_without_a_rule(name, point, mode):
    plain = wg.grad(loss_of(lambda z: z * z * z))(point)
    step = 1e-6
    if point is Z:
        parts = [loss_of(lambda z: z**3)(Z + d) - loss_of(lambda z: z**3)(Z - d) for d in (step, 1j * step)]
        np.testing.assert_allclose(plain, (parts[0] - 1j * parts[1]) / (2.0 * step), rtol=1e-8)
    with mode():
        np.testing.assert_allclose(wg.grad(loss_of(CUBES[name]))(point), plain, rtol=1e-9)


@MODES
@pytest.mark.parametrize("name", CUBES)
def test_tangents_and_pullbacks(name, mode):
    f = CUBES[name]
    with mode():
        _, tangent = wg.jvp(lambda z: f(z), (Z,), (0.3 - 0.2j,))
        _, pullback = wg.vjp(lambda z: f(z), Z)
        np.testing.assert_allclose(tangent, 3.0 * Z**2 * (0.3 - 0.2j), rtol=1e-9)
        np.testing.assert_allclose(pullback(0.5 + 2.0j)[0], 3.0 * Z**2 * (0.5 + 2.0j), rtol=1e-9)


@MODES
def test_real_to_complex_and_back(mode):
    turned = wg.custom_vjp(lambda x: x * (1.0 + 2.0j))
    turned.defvjp(lambda x: (x * (1.0 + 2.0j), None), lambda _, cotangent: ((cotangent * (1.0 + 2.0j)).real,))
    area = wg.custom_vjp(lambda z: z.real * z.imag)
    area.defvjp(lambda z: (z.real * z.imag, z), lambda z, cotangent: (cotangent * (z.imag - 1j * z.real),))
    spectrum = wg.wrap(lambda x: np.fft.rfft(x), method="central", like=lambda x: np.zeros(3) * 1j)
    x = np.array([1.0, 2.0, 4.0, 7.0])
    with mode():
        assert wg.grad(lambda x: 2.0 * turned(x).real + 3.0 * turned(x).imag)(1.5) == 8.0
        assert wg.grad(lambda z: area(z))(Z) == 0.5 - 1.5j
        found = wg.grad(lambda x: np.sum(np.arange(3.0) * (2.0 * spectrum(x).real + 3.0 * spectrum(x).imag)))(x)
    np.testing.assert_allclose(found, [6.0, -7.0, 2.0, -1.0], rtol=1e-8)


@MODES
def test_what_does_not_fit_is_refused(mode):
    area = wg.custom_vjp(lambda z: z.real * z.imag)
    area.defvjp(lambda z: (z.real * z.imag, z), lambda z, cotangent: (cotangent * z.imag,))
    stepped = wg.wrap(python_cube, method="complex", like=same)
    with mode():
        with pytest.raises(wg.ArgumentError, match="wrong structure"):
            wg.grad(lambda z: area(z))(Z)
        with pytest.raises(wg.ArgumentError, match="method 'complex' of wrap is for real arguments"):
            wg.grad(loss_of(stepped))(Z)
