"""State outside of the function: what a call leaves behind is what CPython leaves behind, in all modes and call after call."""

import copy
from collections import deque
from types import SimpleNamespace

import numpy as np
import pytest

import wengert as wg
from wengert.errors import StagingError, UnsupportedError


class Smoother:
    """A filter with state: a level, the last input, and how often it ran."""

    def __init__(self):
        self.level = 0.0
        self.history = []
        self.count = 0
        self.state = np.zeros(2)

    def step(self, x):
        self.count += 1
        self.level = 0.5 * self.level + x
        if x > 2.0:
            self.level = self.level - 1.0
        self.state = np.array([self.level, x]) + 0.1 * self.state
        return self.level * self.level + np.sum(self.state)

    def drift(self, x):
        for k in range(3):
            self.level += x * k
            self.state[1] += self.level
        return self.level * self.state[1]


def run_as(mode, fn):
    """`fn` in one of the ways to run it: a function that returns its value."""
    if mode == "jit":
        return wg.jit(fn)
    gradient = wg.value_and_grad(fn)

    def value(*args):
        if mode == "grad":
            return gradient(*args)[0]
        if mode == "jvp":
            return wg.jvp(fn, args, tuple(np.ones_like(a) if isinstance(a, np.ndarray) else 1.0 for a in args))[0]
        if mode == "vjp":
            return wg.vjp(fn, *args)[0]
        with wg.eager():
            return gradient(*args)[0]

    return value


@pytest.fixture(params=["jit", "grad", "jvp", "vjp", "eager"])
def mode(request):
    return request.param


def assert_same_state(found, expected):
    """The same values of the same types."""
    assert type(found) is type(expected)
    if isinstance(expected, np.ndarray):
        np.testing.assert_allclose(found, expected, rtol=1e-13)
    elif isinstance(expected, list | tuple | deque):
        assert len(found) == len(expected)
        for a, b in zip(found, expected, strict=True):
            assert_same_state(a, b)
    elif isinstance(expected, dict):
        assert list(found) == list(expected)
        for key in expected:
            assert_same_state(found[key], expected[key])
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, rel=1e-13)
    elif hasattr(expected, "__dict__") and not callable(expected):
        assert_same_state(vars(found), vars(expected))
    else:
        assert found == expected


def compare(mode, make, inputs):
    """Call after call, the function of `make()` gives the values and leaves the state of another one that CPython runs."""
    (fn, state), (plain, expected) = make(), make()
    ran = run_as(mode, fn)
    for x in inputs:
        given = x.copy() if isinstance(x, np.ndarray) else x
        assert_same_state(ran(given), plain(x.copy() if isinstance(x, np.ndarray) else x))
        assert_same_state(state(), expected())


def test_filter_object(mode):
    def make():
        smoother = Smoother()
        return smoother.step, lambda: smoother

    compare(mode, make, [1.0, 3.0, 0.5])


def test_attributes_in_a_loop(mode):
    def make():
        smoother = Smoother()
        return smoother.drift, lambda: smoother

    compare(mode, make, [1.0, -2.0])


def test_array_attribute_written_in_place_keeps_its_identity(mode):
    smoother = Smoother()
    array, view = smoother.state, smoother.state[1:]
    run_as(mode, smoother.drift)(1.0)
    assert smoother.state is array
    assert view[0] == array[1] != 0.0


def test_running_statistics(mode):
    def make():
        stats = SimpleNamespace(n=0, mean=0.0, m2=0.0)

        def push(x):
            stats.n += 1
            delta = x - stats.mean
            stats.mean += delta / stats.n
            stats.m2 += delta * (x - stats.mean)
            return stats.m2 / stats.n

        return push, lambda: stats

    compare(mode, make, [1.0, 4.0, 2.0, 8.0])


def test_items_of_lists_and_dicts(mode):
    def make():
        memo, table = [0.0, 1.0], {"calls": 0, "last": None, "rows": [1.0, 2.0]}

        def update(x):
            memo[1] += x
            memo[0], memo[1] = memo[1], memo[0]
            table["calls"] += 1
            table["last"] = x
            table["rows"][0] = x * memo[0]
            return table["rows"][0] + memo[1]

        return update, lambda: (memo, table)

    compare(mode, make, [1.0, 2.0, 3.0])


def test_growing_containers(mode):
    def make():
        log, recent, names = [], deque([0.0], maxlen=2), {}

        def note(x):
            log.append(x * x)
            recent.append(x)
            names[f"run{len(log)}"] = x + recent[0]
            return sum(log) + recent[0]

        return note, lambda: (log, recent, names)

    compare(mode, make, [1.0, 2.0, 3.0])


def test_identity_of_containers(mode):
    log = [1.0]
    alias = log

    def note(x):
        log.append(x)
        return x * log[0]

    run_as(mode, note)(2.0)
    assert alias == [1.0, 2.0] and alias is log


TOTAL = 0
LEVEL = 1.0


def count(x):
    global TOTAL, LEVEL
    TOTAL += 1
    for _ in range(20):
        LEVEL = 0.9 * LEVEL + 0.1 * x
    if x > 2.0:
        TOTAL += 10
    return LEVEL * TOTAL


def test_globals(mode):
    global TOTAL, LEVEL

    def run(ran):
        global TOTAL, LEVEL
        TOTAL, LEVEL = 0, 1.0
        return [(ran(x), TOTAL, LEVEL) for x in (1.0, 3.0, 2.0, 4.0)]

    assert_same_state(run(run_as(mode, count)), run(count))


def test_nonlocals(mode):
    def make():
        calls, total = 0, 0.0

        def add(x):
            nonlocal calls, total
            calls += 1
            while total < 10.0:
                total += x
            return total * x + calls

        return add, lambda: (calls, total)

    compare(mode, make, [3.0, 1.0, 2.0])


def test_class_and_function_attributes(mode):
    def make():
        class Counter:
            made = 0

        def counted(x):
            Counter.made += 1
            counted.calls = getattr(counted, "calls", 0) + 1
            return x * Counter.made + counted.calls

        return counted, lambda: (Counter.made, counted.calls)

    compare(mode, make, [1.0, 2.0, 3.0])


def test_captured_array(mode):
    def make():
        table = np.zeros(3)

        def store(x):
            table[1] += x
            table[2] = table[1] * x
            return np.sum(table) * x

        return store, lambda: table

    compare(mode, make, [1.0, 2.0, 3.0])


def test_first_call_that_makes_the_attribute(mode):
    def make():
        owner = SimpleNamespace()

        def lazily(x):
            if not hasattr(owner, "weights"):
                owner.weights = np.array([1.0, 2.0])
                owner.ready = True
            owner.weights[0] += 1.0
            return np.sum(owner.weights) * x

        return lazily, lambda: owner

    compare(mode, make, [1.0, 2.0, 3.0])


def test_new_objects_are_stored(mode):
    def make():
        owner = SimpleNamespace(last=None, pair=None)

        def replace(x):
            new = SimpleNamespace(x=x, rows=[x, 2.0 * x])
            owner.last = new
            owner.pair = (new, {"k": x})
            return new.rows[1] ** 2

        return replace, lambda: owner

    compare(mode, make, [1.0, 2.0])
    fn, state = make()
    run_as(mode, fn)(1.0)
    first = state().last
    assert state().pair[0] is first
    run_as(mode, fn)(2.0)
    assert state().last is not first and first.x == 1.0


def test_swapped_objects(mode):
    def make():
        owner = SimpleNamespace(a=SimpleNamespace(v=1.0), b=SimpleNamespace(v=2.0))

        def swap(x):
            owner.a, owner.b = owner.b, owner.a
            owner.a.v *= x
            return owner.a.v - owner.b.v * x

        return swap, lambda: owner

    compare(mode, make, [2.0, 3.0, 4.0])


# --- arguments -------------------------------------------------------------------------------------------------------


def normalise(x):
    x -= x.mean()
    x /= np.sqrt(np.sum(x * x))
    return x[0] * 2.0


def test_argument_array_is_written_by_jit_and_not_by_derivatives():
    start = np.array([1.0, 2.0, 4.0])
    expected = start.copy()
    value = normalise(expected)
    found = start.copy()
    assert wg.jit(normalise)(found[:]) == pytest.approx(value)
    np.testing.assert_allclose(found, expected)
    strided = np.zeros((3, 2))
    strided[:, 0] = start
    wg.jit(normalise)(strided[:, 0])
    np.testing.assert_allclose(strided[:, 0], expected)
    given = start.copy()
    wg.grad(normalise)(given)
    wg.vjp(normalise, given)
    wg.jvp(normalise, (given,), (np.ones(3),))
    np.testing.assert_array_equal(given, start)


def test_argument_objects_and_containers():
    def update(owner, rows, table, x):
        owner.level += x
        owner.state[0] = owner.level
        rows.append(x)
        rows[0] += 1.0
        table["n"] += 1
        table["new"] = owner.level
        return owner.step(x)

    def arguments():
        return Smoother(), [1.0, 2.0], {"n": 3}

    found, expected = arguments(), arguments()
    compiled = wg.jit(update)
    for x in (1.0, 1.5):
        assert compiled(*found, x) == pytest.approx(update(*expected, x))
        assert_same_state(found, expected)
    given, untouched = arguments(), arguments()
    wg.grad(update, 3)(*given, 1.0)
    assert_same_state(given, untouched)


def test_arguments_stored_in_arguments_keep_their_identity():
    def keep(owner, rows, x):
        rows[0] = x
        owner.rows = rows
        return x * rows[1]

    owner, rows = SimpleNamespace(), [0.0, 1.0]
    wg.jit(keep)(owner, rows, 2.0)
    assert owner.rows is rows and rows == [2.0, 1.0]


# --- gradients, effects, exceptions ----------------------------------------------------------------------------------


def test_gradient_through_state(mode):
    if mode == "jit":
        pytest.skip("jit gives no derivative")

    def make():
        smoother = Smoother()
        smoother.level = 1.5
        return smoother

    def gradient(smoother, x):
        if mode == "jvp":
            return wg.jvp(smoother.step, (x,), (1.0,))[1]
        if mode == "vjp":
            return wg.vjp(smoother.step, x)[1](1.0)[0]
        if mode == "grad":
            return wg.grad(smoother.step)(x)
        with wg.eager():
            return wg.grad(smoother.step)(x)

    smoother = make()
    for x in (1.0, 3.0):
        before = copy.deepcopy(smoother)
        up, down = copy.deepcopy(before).step(x + 1e-6), copy.deepcopy(before).step(x - 1e-6)
        assert gradient(smoother, x) == pytest.approx((up - down) / 2e-6, rel=1e-7)
    assert smoother.count == 2


def test_jacobian_writes_once():
    smoother, plain = Smoother(), Smoother()

    def both(x):
        return np.array([smoother.step(x[0]), smoother.level * x[1]])

    with pytest.warns(wg.EagerFallbackWarning, match="Jacobian"):
        found = wg.jacobian(both)(np.array([1.0, 2.0]))
    plain.step(np.float64(1.0))
    assert_same_state(smoother, plain)
    np.testing.assert_allclose(found, [[4.0, 0.0], [2.0, 1.0]])


def test_pullback_sees_the_state_of_its_call():
    smoother = Smoother()
    smoother.level = 1.0
    _, pullback = wg.vjp(smoother.step, 1.0)
    smoother.level = 100.0
    assert pullback(1.0)[0] == pytest.approx(2 * 1.5 + 2.0)
    assert smoother.level == 100.0 and smoother.count == 1


def test_effects_in_program_order(mode, capsys):
    def make():
        rng, seen = np.random.default_rng(3), []

        def draw(x):
            noise = rng.normal()
            seen.append(noise)
            print("drawn", len(seen), noise)
            return x * noise

        return draw, lambda: seen

    compare(mode, make, [1.0, 2.0])
    lines = capsys.readouterr().out.split("\n")[:-1]
    assert lines[0] == lines[1] and lines[2] == lines[3] and len(lines) == 4


def test_nothing_is_written_by_compiled_code_that_raises():
    state = SimpleNamespace(n=0, level=0.0)

    def checked(x):
        state.n += 1
        state.level = x
        if x > 1.0:
            raise ValueError("too large")
        return x * state.level

    for ran in (wg.jit(checked), wg.grad(checked)):
        with pytest.raises(ValueError, match="too large"):
            ran(2.0)
    assert vars(state) == {"n": 0, "level": 0.0}
    wg.jit(checked)(0.5)
    assert vars(state) == {"n": 1, "level": 0.5}
    with wg.eager(), pytest.raises(ValueError, match="too large"):
        wg.grad(checked)(2.0)
    assert vars(state) == {"n": 2, "level": 2.0} and type(state.level) is float


# --- names that share ------------------------------------------------------------------------------------------------


def test_two_names_of_one_object():
    first = SimpleNamespace(v=1.0)
    holder = SimpleNamespace(a=first, b=first)

    def both(x):
        holder.a.v += x
        return holder.b.v * x

    compiled = wg.jit(both)
    assert compiled(2.0) == 6.0
    holder.b = SimpleNamespace(v=10.0)
    assert compiled(2.0) == 20.0 and holder.a.v == 5.0
    holder.b = holder.a
    assert compiled(1.0) == 6.0


def test_shared_names_are_refused_where_they_are_not_followed():
    shared = SimpleNamespace(v=1.0)

    def bump(p, x):
        shared.v += x
        return p.v * x

    with pytest.raises(UnsupportedError, match="two names"):
        wg.jit(bump)(shared, 2.0)
    assert shared.v == 1.0
    base = np.zeros(3)
    part = base[1:]

    def write(x):
        base[1] = x
        return part[0] * x

    for run in (wg.jit(write), wg.grad(write)):
        with pytest.raises(UnsupportedError, match="shares memory"):
            run(2.0)
    with wg.eager(), pytest.raises(UnsupportedError, match="shares memory"):
        wg.grad(write)(2.0)
    assert not base.any()


def test_views_of_arrays_outside_are_not_stored():
    owner = SimpleNamespace(part=None)
    table = np.arange(3.0)

    def keep(x):
        owner.part = table[1:]
        return x * owner.part[0]

    with pytest.raises(StagingError, match="a view of an array"):
        wg.jit(keep)(1.0)
    assert owner.part is None


def test_counters_do_not_compile_again():
    smoother = Smoother()
    compiled = wg.jit(smoother.step)
    for _ in range(6):
        compiled(1.0)
    assert smoother.count == 6
    assert sum(map(len, compiled.program.variants.values())) == 1


# --- idioms ----------------------------------------------------------------------------------------------------------


def long_loop():
    state = SimpleNamespace(s=0.0, n=0, a=np.zeros(3))

    def f(x):
        for i in range(200):
            state.s += x * 1e-3
            state.n += 1
            state.a[i % 3] += state.s
        return state.s * state.a[1]

    return f, lambda: state


def recursive():
    state = SimpleNamespace(depth=0, total=0.0)

    def f(x):
        state.depth += 1
        state.total += x
        return f(x / 2) + state.total if x > 1.0 else x

    return f, lambda: state


def default_argument():
    def f(x, cache={}):
        if "v" not in cache:
            cache["v"] = 0.0
        cache["v"] += x
        return cache["v"] * x

    return f, lambda: f.__defaults__


def ring_buffer():
    buffer, state = [0.0] * 5, SimpleNamespace(k=0)

    def f(x):
        buffer[state.k % 5] = x
        state.k += 1
        return sum(buffer) * x

    return f, lambda: (buffer, state)


def early_return():
    state = SimpleNamespace(n=0, flag=False)

    def f(x):
        state.n += 1
        if x > 2:
            state.flag = True
            return x
        state.n += 1
        return x * state.n

    return f, lambda: state


def caught():
    state = SimpleNamespace(n=0, errors=0)

    def f(x):
        try:
            state.n += 1
            if x > 2:
                raise ValueError("large")
            state.n += 10
        except ValueError:
            state.errors += 1
        return x * state.n + state.errors

    return f, lambda: state


def complex_attribute():
    state = SimpleNamespace(z=1 + 1j)

    def f(x):
        state.z = state.z * (x + 2j)
        return abs(state.z)

    return f, lambda: [state.z.real, state.z.imag]


@pytest.mark.parametrize("run", ["jit", "grad"])
@pytest.mark.parametrize("make", [long_loop, recursive, default_argument, ring_buffer, early_return, caught, complex_attribute])
def test_idioms(make, run):
    compare(run, make, [0.3, 3.0, 1.7])
