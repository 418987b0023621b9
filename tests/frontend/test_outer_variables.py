"""Variables of enclosing functions and attributes that inner functions write, in branches and loops of traced code."""

import pytest

from tests.frontend.agreement import agree


class Box:
    pass


def test_loop_in_a_function_in_a_branch():
    def run(x, n):
        count = 0

        def add(k):
            nonlocal count
            for _ in range(k):
                count += 1

        if x > 0.0:
            add(n)
        else:
            add(n + 3)
        return x * count

    agree(run, 1.5, 2, also=[(-1.5, 2), (1.5, 20)])


def test_while_in_a_function_in_a_branch():
    def run(x, n):
        count = 0

        def raise_to(k):
            nonlocal count
            while count < k:
                count += 2

        if x > 0.0:
            raise_to(n)
        else:
            raise_to(n + 3)
        return x * count

    agree(run, 1.5, 3, also=[(-1.5, 2), (1.5, 21)])


def test_check_beside_a_write():
    def run(x, n):
        count = 0

        def add(k):
            nonlocal count
            if k < -5:
                raise ValueError("too small")
            else:
                count += 1

        if x > 0.0:
            add(n)
        else:
            add(n + 3)
        return x * count

    agree(run, 1.5, 2, also=[(-1.5, 2)])


@pytest.mark.parametrize("new", [1, "text", 2.5])
def test_both_arms_store_the_same_object(new):
    def run(x):
        box, items = Box(), [0, 1]
        box.value = 0
        if x > 0.0:
            box.value = new
            items[0] = new
        else:
            box.value = new
            items[0] = new
        return x * 2.0 if box.value == new and items[0] == new else x

    agree(run, 1.5, also=[(-1.5,)])


def test_both_arms_store_the_same_object_in_a_loop():
    def run(x, n):
        items = [0, 1]
        for _ in range(n):
            if x > 0.5:
                items[0] = 5
            else:
                items[0] = 5
            x = x * 0.5
        return x * items[0]

    agree(run, 1.5, 3, also=[(1.5, 12)])
