"""Programs whose `with` bodies and loops over generators once gave a wrong number, as found among random ones and made small."""

import math
from contextlib import contextmanager

import pytest

from wengert.testing.check_grads import check_grads
from wengert.testing.modes import assert_modes_agree, run_modes


@contextmanager
def scaled(box, factor):
    try:
        yield factor * box[0]
    finally:
        box[0] += factor


def decay(level):
    while level > 0.1:
        yield level
        level *= 0.5


def with_in_a_loop(x):
    t = 1.0
    for _ in range(13):
        log = [t]
        with scaled(log, 0.65) as d:
            t = math.tanh(d + x)
    return t


def with_in_an_arm_in_a_loop(x):
    t, u = 1.0, 0.5
    for k in range(12):
        if math.sin(t + k) > 0.1:
            with scaled([t], 0.65) as d:
                t = math.tanh(d + x)
                u = 0.3 * u + t
        else:
            u *= x
    return t * u


def with_in_a_while(x):
    t = 2.0
    while t > 0.4:
        with scaled([t], 0.5) as d:
            t = d + 0.1 * math.sin(x)
    return t


def generator_in_a_loop(x):
    t = 1.0
    for _ in range(12):
        for level in decay(x * x):
            t = 0.5 * t + math.sin(level)
    return t


def generator_in_an_arm(x):
    t = 1.0
    if x > 0.5:
        for level in decay(x):
            with scaled([level], 0.7) as d:
                t = 0.5 * t + math.sin(d)
    return t


def with_in_a_try_in_a_loop(x):
    t = 1.0
    for k in range(12):
        try:
            with scaled([t], 0.65) as d:
                t = math.tanh(d + x)
                if t < 0.4:
                    raise ValueError("small")
        except ValueError:
            t = 0.9 * t + x
    return t


def assigned_before_a_with(x):
    t, s = 1.0, 0.0
    for _ in range(12):
        s += t * x
        t = 0.3
        with scaled([t], 0.6) as d:
            t = math.tanh(d + x)
    return t + s


def assigned_before_a_closure_writes(x):
    t, s = 1.0, 0.0

    def add(z):
        nonlocal t
        t = t * z + x

    for _ in range(12):
        s += t
        t = 0.3
        add(0.4)
    return t + s


def assigned_around_a_generator(x):
    t = 1.0
    while t < 10.0:
        t = t + x
        for level in decay(x):
            t = t + level
            if t > 8.0:
                break
        t = t + 0.1
    return t


def assigned_directly_in_the_other_arm(x):
    t, s = 1.0, 0.0

    def add(z):
        nonlocal t
        t = t * z + x

    for k in range(12):
        s += t
        if math.sin(s + k) > 0.0:
            t = 0.3
            add(0.4)
        else:
            t = 0.9 * t * x
    return t + s


FUNCTIONS = [
    with_in_a_loop,
    with_in_an_arm_in_a_loop,
    with_in_a_while,
    generator_in_a_loop,
    generator_in_an_arm,
    assigned_before_a_with,
    assigned_before_a_closure_writes,
    assigned_around_a_generator,
    assigned_directly_in_the_other_arm,
]


@pytest.mark.parametrize("x", [0.37, 0.81])
@pytest.mark.parametrize("f", [*FUNCTIONS, with_in_a_try_in_a_loop])
def test_modes_and_differences(f, x):
    assert "compiled" in run_modes(f, (x,))
    assert_modes_agree(f, (x,))
    check_grads(f, (x,))
