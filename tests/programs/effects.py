"""Output, random numbers, logging, files, C code: what happens while a program runs."""

import io
import json
import logging
import random
import tempfile
import warnings

import numpy as np
from scipy.integrate import quad

from tests.programs.catalog import example

log = logging.getLogger(__name__)


@example(1.5, 3)
def prints(x, n):
    for k in range(n):
        x = x * 1.1
        print(f"step {k}: {x:.3f}", "value", x, sep=" | ")
    return x


@example(0.5, also=((2.5,),))
def logs(x):
    log.debug("x = %s", x)
    if x > 2.0:
        log.warning("x is large: %.2f", x)
    return x * x


@example(0.5, also=((2.5,),))
def warns(x):
    if x > 2.0:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.warn(f"{x} is large", RuntimeWarning, stacklevel=2)
    return np.exp(x)


def seed():
    np.random.seed(5)
    random.seed(5)


@example(0.3, 2.0, fresh=seed)
def global_random(mean, spread):
    noise = np.random.normal(size=6)
    shift = np.random.rand()
    return float(np.sum((mean + spread * noise) ** 2)) + shift * mean


@example(0.3, 2.0, 7)
def seeded_generator(mean, spread, n):
    rng = np.random.default_rng(42)
    total = 0.0
    for _ in range(n):
        total += (mean + spread * rng.standard_normal()) ** 2
    return total + rng.uniform(0.5, 1.5) * mean


@example(0.3, fresh=seed)
def python_random(x):
    walk = x
    for _ in range(10):
        walk += 0.1 if random.random() < 0.5 else -0.1 * x
    return walk


@example(np.array([1.0, 2.0, 3.0, 4.0]), 2)
def monte_carlo_batches(data, size):
    rng = np.random.default_rng(1)
    total = 0.0
    for _ in range(3):
        order = rng.permutation(len(data))
        total += np.mean(data[order[:size]] ** 2)
    return total


@example(0.7)
def error_state(x):
    with np.errstate(divide="ignore", invalid="ignore"):
        safe = np.where(x > 0.0, np.log(x), 0.0)
    return float(safe * 2.0)


@example(2.0, eager="writes a file and reads the numbers back")
def through_a_file(x):
    with tempfile.TemporaryFile("w+") as file:
        json.dump({"factor": 1.5}, file)
        file.seek(0)
        factor = json.load(file)["factor"]
    return factor * x


@example(2.0)
def text_report(x):
    out = io.StringIO()
    for k in range(3):
        print(k, k**2, file=out)
    return x * len(out.getvalue().splitlines())


@example(1.5, eager="quad is C code that calls back into Python")
def constants_from_c_code(x):
    area, _ = quad(lambda t: t * t, 0.0, 3.0)
    return x * area
