"""A variable that may be unset, read where Python need not come to it: in arms of ternaries, behind `and`, in comprehensions."""

import pytest

import wengert as wg


def in_a_ternary(x, n):
    if n > 5:
        h = x
    return h * 2 if n > 0 else x


def in_a_ternary_on_data(x, n):
    if x > 5:
        h = x * x
    return h * n if x > 3 else x


def behind_and(x, n):
    if x > 5:
        h = x
    if n == 3 and h > 2.0:
        return x * h
    return x * x


def behind_or(x, n):
    if x > 5:
        h = x
    done = x < 4 or h > 5.5
    return x * x if done else x


def in_a_comprehension(x, n):
    if x > 5:
        h = x
    total = sum([h * i for i in range(n)])
    return total + sum([h for h in (x, 2 * x)])


def in_a_message(x, n):
    if x > 5:
        h = x
    assert x < 5 or n != 4, f"{h} is too much"
    return x * 2


def in_a_message_alone(x, n):
    if x > 5:
        h = x
    assert x > -n, h
    return x * 2


def in_a_chain(x, n):
    if x > 5:
        h = x
    return x if 4 < x < h + 1 else 2 * x


def in_the_test_of_a_loop(x, n):
    i = 0
    while i < n and (i < 1 or y < 100.0):  # noqa: F821
        y = x * i + 1
        i += 1
    return x if n == 0 else y


PROGRAMS = [
    in_a_ternary,
    in_a_ternary_on_data,
    behind_and,
    behind_or,
    in_a_comprehension,
    in_a_message,
    in_a_message_alone,
    in_a_chain,
    in_the_test_of_a_loop,
]


def outcome(run, *args):
    try:
        return run(*args)
    except (UnboundLocalError, NameError, AssertionError) as error:
        return "unset" if isinstance(error, NameError) else type(error)


@pytest.mark.parametrize("program", PROGRAMS)
def test_is_read_only_where_python_reads_it(program):
    compiled, gradient = wg.jit(program), wg.grad(program)
    for x in (1.0, 4.5, 6.0):
        for n in (0, 1, 3, 4, 7):
            expected = outcome(program, x, n)
            assert outcome(compiled, x, n) == expected
            with wg.eager():
                found = outcome(wg.value_and_grad(program), x, n)
            assert (found[0] if isinstance(found, tuple) else found) == expected
            if isinstance(found, tuple):
                assert gradient(x, n) == pytest.approx(found[1])


def test_the_message_of_an_assertion_is_made_where_it_fails():
    def careful(x):
        assert x > 0.0, 1.0 / (x + 1.0)
        return x

    assert wg.jit(careful)(2.0) == 2.0
    with pytest.raises(ZeroDivisionError):
        wg.jit(careful)(-1.0)

    def harmless(x):
        assert x > -2.0, 1.0 / (x + 1.0)
        return x

    assert wg.jit(harmless)(-1.0) == -1.0


def test_a_function_made_in_one_branch_reads_what_that_branch_set():
    def chosen(x):
        if x > 0:
            k = x * 2
            f = lambda z: z * k  # noqa: E731
        else:
            f = lambda z: z + 1.0  # noqa: E731
        return f(x)

    with pytest.raises(wg.StagingError, match="'k' may be undefined here"):
        wg.jit(chosen)(0.7)
    for x, slope in ((0.7, 2.8), (-0.7, 1.0)):
        with wg.eager():
            assert wg.value_and_grad(chosen)(x) == (chosen(x), pytest.approx(slope))
