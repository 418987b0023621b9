"""Small numerical methods on floats."""

import cmath
import itertools
import math

import numpy as np

from tests.programs.catalog import example


@example(0.5, also=((2.0,), (-1.0,)))
def exponential_series(x):
    term, total, k = 1.0, 1.0, 1
    while abs(term) > 1e-17 * abs(total):
        term *= x / k
        total += term
        k += 1
    return total


@example([1.0, -3.0, 0.5, 2.0], 1.4)
def horner(coefficients, x):
    value = 0.0
    for c in coefficients:
        value = value * x + c
    return value


@example(1.0, 0.5, 2.0)
def runge_kutta(x, a, b):
    def slope(t, y):
        return -a * y + b * math.sin(t)

    t, h = 0.0, 0.1
    for _ in range(40):
        k1 = slope(t, x)
        k2 = slope(t + h / 2, x + h / 2 * k1)
        k3 = slope(t + h / 2, x + h / 2 * k2)
        k4 = slope(t + h, x + h * k3)
        x += h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        t += h
    return x


@example(3.0, 0.2)
def kepler_equation(mean_anomaly, eccentricity):
    e = mean_anomaly
    for _ in range(50):
        step = (e - eccentricity * math.sin(e) - mean_anomaly) / (1.0 - eccentricity * math.cos(e))
        e -= step
        if abs(step) < 1e-14:
            break
    return math.degrees(e) % 360.0


@example(0.3, 4.0, 1.5)
def golden_section(low, high, centre):
    ratio = (math.sqrt(5.0) - 1.0) / 2.0
    c, d = high - ratio * (high - low), low + ratio * (high - low)
    for _ in range(12):
        if (c - centre) ** 2 + 0.1 * c < (d - centre) ** 2 + 0.1 * d:
            high = d
        else:
            low = c
        c, d = high - ratio * (high - low), low + ratio * (high - low)
    return (low + high) / 2.0 * centre


@example(1.7, 6)
def legendre(x, n):
    p0, p1 = 1.0, x
    for k in range(2, n + 1):
        p0, p1 = p1, ((2 * k - 1) * x * p1 - (k - 1) * p0) / k
    return p1


@example(5.3, 1.7)
def python_arithmetic(a, b):
    q, r = divmod(a, b)
    return q * b + r**2 + a % b + a // b + (-a) % b + round(a) + round(b, 1) + abs(-a) + math.fmod(a, b) + int(a)


@example(100.0, 0.05, 2.0, 0.3, 95.0)
def black_scholes(s, r, t, sigma, k):
    def cdf(z):
        return 0.5 * (1.0 + math.erf(z / math.sqrt(2.0)))

    d1 = (math.log(s / k) + (r + 0.5 * sigma**2) * t) / (sigma * math.sqrt(t))
    d2 = d1 - sigma * math.sqrt(t)
    return s * cdf(d1) - k * math.exp(-r * t) * cdf(d2)


@example(2.3, also=((0.4,), (7.5,)))
def gamma_functions(x):
    return math.lgamma(x) + math.gamma(x) * 0.1 + math.erfc(x) + math.log2(x) + math.cbrt(x) + math.exp2(-x)


@example(1.0, 0.3, 2.0)
def complex_impedance(r, c, w):
    z = r + 1.0 / (1j * w * c)
    return abs(z) + z.real * cmath.phase(z) + (z * z.conjugate()).real


@example(1.0, -3.0, 4.0, also=((1.0, -5.0, 4.0),))
def quadratic_roots(a, b, c):
    d = b * b - 4.0 * a * c
    root = cmath.sqrt(d)
    x1, x2 = (-b + root) / (2.0 * a), (-b - root) / (2.0 * a)
    return abs(x1) + x2.real + x1.imag**2


@example(np.array([1.0, 2.0, 4.0, 7.0, 11.0]))
def richardson_table(values):
    table = list(values)
    level = 1
    while len(table) > 1:
        table = [(2.0**level * b - a) / (2.0**level - 1.0) for a, b in itertools.pairwise(table)]
        level += 1
    return table[0]


@example(40.7, -74.0, 51.5, -0.1)
def haversine(lat1, lon1, lat2, lon2):
    p1, p2 = math.radians(lat1), math.radians(lat2)
    dp, dl = p2 - p1, math.radians(lon2 - lon1)
    a = math.sin(dp / 2) ** 2 + math.cos(p1) * math.cos(p2) * math.sin(dl / 2) ** 2
    return 2 * 6371.0 * math.atan2(math.sqrt(a), math.sqrt(1 - a))


@example(300.0, 0.5, 60)
def annuity(payment, rate, months):
    balance = 10_000.0
    interest = 0.0
    month = 0
    while balance > 0.0 and month < months:
        due = balance * rate / 100.0
        interest += due
        balance = max(balance + due - payment, 0.0)
        month += 1
    return interest + balance


@example(0.2, 3)
def sierpinski_weights(x, n):
    total = 0.0
    for i in range(2**n):
        for j in range(i + 1):
            if (i & j) == j:
                total += x ** ((i ^ j) + (i >> 1) - (j << 1) + 2 * n)
    return total


@example(np.array([0.1, 0.9, 0.4]), 3.7)
def logistic_map_ensemble(x, r):
    for _ in range(6):
        x = r * x * (1.0 - x)
    return float(x.mean() + x.std())
