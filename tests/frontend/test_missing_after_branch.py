"""What is made in one arm of a branch only is never read as if it were always there."""

import functools

import pytest

import wengert as wg
from wengert.errors import StagingError
from wengert.frontend.trace import trace


class Thing:
    def __init__(self, x):
        self.x = x

    @functools.cached_property
    def square(self):
        return self.x * self.x


def item(x):
    table = {}
    if x > 0:
        table["a"] = x
    return table.get("a", 5.0) * 1.0


def attribute(x):
    thing = Thing(x)
    if x > 0:
        thing.extra = x
    return getattr(thing, "extra", 7.0) * 1.0


def length(x):
    table = {}
    if x > 0:
        table["a"] = x
    else:
        table["b"] = x
    return sum(table.values()) * len(table)


@pytest.mark.parametrize("program", [item, attribute, length])
def test_is_refused_and_runs_eagerly(program):
    with pytest.raises(StagingError, match="may be missing after this branch"):
        trace(program, (2.0,), {})
    with wg.eager():
        for x in (2.0, -2.0):
            assert wg.value_and_grad(program)(x)[0] == program(x)


def cached(x):
    thing = Thing(x)
    y = 0.0
    if x > 0:
        y = thing.square
    return y + thing.square


@pytest.mark.parametrize("x", [2.0, -2.0])
def test_cached_property_first_used_in_an_arm(x):
    assert wg.jit(cached)(x) == cached(x)
