"""Lynx and hare: a predator-prey model fitted to 21 years of pelt counts.

The Lotka-Volterra equations, in thousands of pelts and years,

    d hare / dt = (alpha - beta * lynx) * hare
    d lynx / dt = (delta * hare - gamma) * lynx

are integrated by Runge-Kutta steps of order four. Counts scatter around the model by a factor that is lognormal, with
standard deviation `sigma` on the log scale. `loss` is the negative log-likelihood of the log counts without its
constant. Its minimum over the 7 parameters is -42.739937122959.

    wengert fit examples/lynx_hare.py:loss

The data are described in `data/README.md`.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

STEPS_PER_YEAR = 20

YEAR, HARE, LYNX = np.loadtxt(Path(__file__).parent / "data" / "lynx_hare.csv", delimiter=",", skiprows=1, unpack=True)


@dataclass
class Params:
    alpha: float  # births of hares, per year
    beta: float  # hares eaten, per year and thousand lynxes
    gamma: float  # deaths of lynxes, per year
    delta: float  # births of lynxes, per year and thousand hares
    hare: float  # hares in 1900, in thousands
    lynx: float  # lynxes in 1900, in thousands
    sigma: float  # scatter of the log counts


params = Params(alpha=0.5, beta=0.025, gamma=0.8, delta=0.025, hare=30.0, lynx=5.0, sigma=0.5)


def rates(p, hare, lynx):
    return (p.alpha - p.beta * lynx) * hare, (p.delta * hare - p.gamma) * lynx


def rk4_step(p, hare, lynx, dt):
    h1, l1 = rates(p, hare, lynx)
    h2, l2 = rates(p, hare + dt / 2 * h1, lynx + dt / 2 * l1)
    h3, l3 = rates(p, hare + dt / 2 * h2, lynx + dt / 2 * l2)
    h4, l4 = rates(p, hare + dt * h3, lynx + dt * l3)
    hare += dt / 6 * (h1 + 2 * h2 + 2 * h3 + h4)
    lynx += dt / 6 * (l1 + 2 * l2 + 2 * l3 + l4)
    return hare, lynx


def loss(params):
    hare, lynx = params.hare, params.lynx
    dt = 1 / STEPS_PER_YEAR
    squares = 0.0
    for year in range(len(HARE)):
        squares += (math.log(hare) - math.log(HARE[year])) ** 2
        squares += (math.log(lynx) - math.log(LYNX[year])) ** 2
        for _ in range(STEPS_PER_YEAR):
            hare, lynx = rk4_step(params, hare, lynx, dt)
    return squares / (2 * params.sigma**2) + 2 * len(HARE) * math.log(params.sigma)
