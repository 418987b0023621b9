"""Elementwise functions and reductions of one-dimensional arrays, as one writes them with NumPy."""

import math

import numpy as np
from scipy.special import erf

# --- as fast as memory ------------------------------------------------------------------------------------------------------


def axpy(x, y):
    y += 2.5 * x


def triad(x, y, out):
    out[:] = x + 1.5 * y


def blend(x, y, z, out):
    out[:] = np.where(z > 0.5, x, y) * z


def norm(x):
    return np.sqrt(np.sum(x * x))


def moments(x):
    n = len(x)
    mean = np.sum(x) / n
    return mean + (np.sum(x * x) / n - mean * mean) + np.max(x) - np.min(x)


# --- transcendental functions -----------------------------------------------------------------------------------------------


def exponential(x):
    return np.exp(x)


def softplus(x):
    return np.log1p(np.exp(x))


def waves(x, y):
    return np.sin(x) * np.exp(-y) + np.log1p(x * x)


def powers(x, y):
    return (x * x + 0.1) ** 1.7 + np.cbrt(y) * np.hypot(x, y)


def logsumexp(x):
    top = np.max(x)
    return top + np.log(np.sum(np.exp(x - top)))


def softmax(x):
    e = np.exp(x - np.max(x))
    return e / np.sum(e)


def black_scholes(spot, strike, years):
    root = 0.3 * np.sqrt(years)
    d = (np.log(spot / strike) + (0.02 + 0.045) * years) / root
    near = 0.5 * (1.0 + erf(d * 0.7071067811865476))
    far = 0.5 * (1.0 + erf((d - root) * 0.7071067811865476))
    return spot * near - strike * np.exp(-0.02 * years) * far


def distance(lat, lon):
    """Along a great circle from a fixed place, in kilometres."""
    a = np.sin(0.5 * (lat - 0.8)) ** 2 + math.cos(0.8) * np.cos(lat) * np.sin(0.5 * (lon - 0.2)) ** 2
    return 12742.0 * np.arcsin(np.sqrt(a))


def chain(x, y):
    """Ten functions, one after the other."""
    a = np.sin(np.exp(-x) + y)
    b = np.log1p(np.tanh(a) ** 2)
    c = np.arctan(np.expm1(b) * y)
    return np.cosh(np.cos(c)) * np.log(2.0 + np.sinh(c) ** 2)
