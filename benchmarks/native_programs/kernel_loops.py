"""The functions of `kernels.py` as one writes them for Numba: one loop over the elements."""

import math

import numpy as np


def axpy(x, y):
    for i in range(len(x)):
        y[i] += 2.5 * x[i]


def triad(x, y, out):
    for i in range(len(x)):
        out[i] = x[i] + 1.5 * y[i]


def blend(x, y, z, out):
    for i in range(len(x)):
        out[i] = (x[i] if z[i] > 0.5 else y[i]) * z[i]


def norm(x):
    total = 0.0
    for i in range(len(x)):
        total += x[i] * x[i]
    return math.sqrt(total)


def moments(x):
    n = len(x)
    total, square, top, low = 0.0, 0.0, x[0], x[0]
    for i in range(n):
        total += x[i]
        square += x[i] * x[i]
        top = max(top, x[i])
        low = min(low, x[i])
    mean = total / n
    return mean + (square / n - mean * mean) + top - low


def exponential(x):
    out = np.empty_like(x)
    for i in range(len(x)):
        out[i] = math.exp(x[i])
    return out


def softplus(x):
    out = np.empty_like(x)
    for i in range(len(x)):
        out[i] = math.log1p(math.exp(x[i]))
    return out


def waves(x, y):
    out = np.empty_like(x)
    for i in range(len(x)):
        out[i] = math.sin(x[i]) * math.exp(-y[i]) + math.log1p(x[i] * x[i])
    return out


def powers(x, y):
    out = np.empty_like(x)
    for i in range(len(x)):
        out[i] = (x[i] * x[i] + 0.1) ** 1.7 + np.cbrt(y[i]) * math.hypot(x[i], y[i])
    return out


def logsumexp(x):
    top = x[0]
    for i in range(len(x)):
        top = max(top, x[i])
    total = 0.0
    for i in range(len(x)):
        total += math.exp(x[i] - top)
    return top + math.log(total)


def softmax(x):
    top = x[0]
    for i in range(len(x)):
        top = max(top, x[i])
    out = np.empty_like(x)
    total = 0.0
    for i in range(len(x)):
        out[i] = math.exp(x[i] - top)
        total += out[i]
    for i in range(len(x)):
        out[i] /= total
    return out


def black_scholes(spot, strike, years):
    out = np.empty_like(spot)
    for i in range(len(spot)):
        root = 0.3 * math.sqrt(years[i])
        d = (math.log(spot[i] / strike[i]) + (0.02 + 0.045) * years[i]) / root
        near = 0.5 * (1.0 + math.erf(d * 0.7071067811865476))
        far = 0.5 * (1.0 + math.erf((d - root) * 0.7071067811865476))
        out[i] = spot[i] * near - strike[i] * math.exp(-0.02 * years[i]) * far
    return out


def distance(lat, lon):
    out = np.empty_like(lat)
    for i in range(len(lat)):
        a = math.sin(0.5 * (lat[i] - 0.8)) ** 2 + math.cos(0.8) * math.cos(lat[i]) * math.sin(0.5 * (lon[i] - 0.2)) ** 2
        out[i] = 12742.0 * math.asin(math.sqrt(a))
    return out


def chain(x, y):
    out = np.empty_like(x)
    for i in range(len(x)):
        a = math.sin(math.exp(-x[i]) + y[i])
        b = math.log1p(math.tanh(a) ** 2)
        c = math.atan(math.expm1(b) * y[i])
        out[i] = math.cosh(math.cos(c)) * math.log(2.0 + math.sinh(c) ** 2)
    return out
