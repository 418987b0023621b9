"""What is another thing at the next call: flags of NumPy's type, contents of sets and buffers, iterators, files, clocks."""

from __future__ import annotations

import array
import datetime
import io
import itertools
import os
import warnings
from pathlib import Path

import numpy as np
import pytest

import wengert as wg
from wengert.errors import StagingError


def chosen(x, flag):
    return 2.0 * x if flag else 3.0 * x * x


@pytest.mark.parametrize("order", [(True, False), (False, True)])
def test_a_flag_of_numpy_is_known_by_its_value(order):
    value, gradient, batched = wg.jit(chosen), wg.grad(chosen), wg.vmap(chosen, in_axes=(0, None))
    for flag in (*order, *order):
        flag = np.bool_(flag)
        assert value(5.0, flag) == chosen(5.0, flag)
        assert gradient(5.0, flag) == (2.0 if flag else 30.0)
        np.testing.assert_array_equal(batched(np.array([1.0, 5.0]), flag), [chosen(1.0, flag), chosen(5.0, flag)])


def test_masks_without_axes():
    def bumped(x, k):
        y = x.copy()
        y[k] += 1.5
        return y

    found = wg.jit(bumped)
    for flag in (np.True_, np.False_, np.True_):
        np.testing.assert_array_equal(found(np.arange(3.0), flag), bumped(np.arange(3.0), flag))


TEXTS = [
    (np.str_("a"), np.str_("b")),
    (np.bytes_(b"a"), np.bytes_(b"b")),
    (np.datetime64("2020-01-01"), np.datetime64("2021-01-01")),
    (np.timedelta64(1, "D"), np.timedelta64(2, "D")),
]


@pytest.mark.parametrize(("first", "second"), TEXTS, ids=lambda v: type(v).__name__)
def test_texts_and_dates_of_numpy(first, second):
    def f(x, k):
        return x if k == first else 2.0 * x

    found = wg.jit(f)
    assert [found(1.0, k) for k in (first, second, first)] == [1.0, 2.0, 1.0]


CONTENTS = {
    "set": (lambda: {1, 2}, lambda o: o.add(7), lambda x, o: x * len(o) + max(o)),
    "bytearray": (lambda: bytearray(b"ab"), lambda o: o.append(3), lambda x, o: x * len(o) + o[-1]),
    "array": (lambda: array.array("d", [1.0, 2.0]), lambda o: o.append(3.0), lambda x, o: x * len(o) + o[-1]),
    "memoryview": (lambda: memoryview(bytearray(b"ab")), lambda o: o.__setitem__(0, 9), lambda x, o: x * o[0]),
}


@pytest.mark.parametrize("kind", CONTENTS)
def test_contents_that_change_between_calls(kind):
    make, change, f = CONTENTS[kind]
    given = make()
    found = wg.jit(f)
    assert found(2.0, given) == f(2.0, given)
    change(given)
    assert found(2.0, given) == f(2.0, given)


buffer = bytearray(b"a")


def of_buffer(x):
    return x * len(buffer)


def test_a_captured_buffer():
    found = wg.jit(of_buffer)
    assert found(2.0) == 2.0
    buffer.append(1)
    assert found(2.0) == 4.0


counter = itertools.count(1)


def from_counter(x):
    return x * next(counter)


ITERATORS = {
    "iter": lambda: iter([1.0, 2.0, 3.0, 4.0]),
    "generator": lambda: (k for k in [1.0, 2.0, 3.0, 4.0]),
    "range": lambda: iter(range(1, 5)),
    "count": lambda: itertools.count(1),
    "lines": lambda: io.StringIO("1\n2\n3\n4\n"),
}


@pytest.mark.parametrize("kind", ITERATORS)
def test_an_iterator_from_outside_is_not_staged(kind):
    def f(x, items):
        return x * float(next(items))

    with pytest.raises(StagingError, match="iterator that was there before"):
        wg.jit(f)(2.0, ITERATORS[kind]())
    given = ITERATORS[kind]()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert [wg.grad(f)(2.0, given) for _ in range(3)] == [1.0, 2.0, 3.0]


def test_a_captured_iterator_is_not_staged():
    with pytest.raises(StagingError, match="iterator that was there before"):
        wg.jit(from_counter)(2.0)


def test_an_iterator_made_inside_is_staged():
    def f(x):
        items = itertools.count(1)
        return x * next(items) * next(items)

    assert wg.jit(f)(3.0) == 6.0


WORLD = {
    "open": lambda x: x * float(open("number.txt").read()),
    "path": lambda x: x * float(Path("number.txt").read_text()),
    "loadtxt": lambda x: x * np.loadtxt("number.txt"),
    "environment": lambda x: x * float(os.environ["NUMBER"]),
    "get of the environment": lambda x: x * float(os.environ.get("NUMBER", "0")),
    "getenv": lambda x: x * float(os.getenv("NUMBER", "0")),
    "size": lambda x: x * os.path.getsize("number.txt"),
}


@pytest.mark.parametrize("what", WORLD)
def test_files_and_the_environment_are_read_at_each_call(what, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    f = WORLD[what]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gradient = wg.grad(f)
        for text in ("4", "25"):
            Path("number.txt").write_text(text)
            monkeypatch.setenv("NUMBER", text)
            assert gradient(3.0) == f(1.0)
    with pytest.raises(StagingError, match="staging would keep the first"):
        wg.jit(f)(3.0)


def test_the_time_of_day():
    with pytest.raises(StagingError, match=r"datetime\.now"):
        wg.jit(lambda x: x * datetime.datetime.now().timestamp())(1.0)


def test_names_of_files_are_only_texts():
    def f(x):
        return x * len(os.path.join("a", "b")) * len(Path("a", "b.txt").suffix)

    assert wg.jit(f)(1.0) == 12.0
