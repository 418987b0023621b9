import functools
import math
from collections import namedtuple
from dataclasses import dataclass, field

import numpy as np
import pytest

from tests.frontend.agreement import agree, assert_same, eager_result, staged_result
from wengert.errors import SourceUnavailableError, StagingError, UnsupportedError
from wengert.frontend.known_sizes import known_sizes
from wengert.frontend.trace import counter, trace

SCALE = 2.0
COUNT = 3
DATA = np.array([1.0, 2.0, 3.0])
TABLE = {"a": 1.5, "b": [2.0, 3.0]}
X = np.linspace(-1.0, 2.0, 11)


# --- what is captured ---


def uses_globals(x):
    return x * SCALE * COUNT + np.sum(DATA) * TABLE["a"] + TABLE["b"][1]


def test_globals_are_inputs(monkeypatch):
    traced = agree(uses_globals, 1.5)
    assert len(traced.captures) == 4
    monkeypatch.setitem(globals(), "SCALE", 5.0)
    assert traced.guards_hold()
    assert_same(staged_result(traced, (1.5,), {}), uses_globals(1.5))
    DATA[0] = 7.0
    assert_same(staged_result(traced, (1.5,), {}), uses_globals(1.5))
    DATA[0] = 1.0
    monkeypatch.setitem(globals(), "COUNT", 4)
    assert not traced.guards_hold()
    assert not all(g.holds() for g in traced.guards)
    monkeypatch.setitem(globals(), "COUNT", 3)
    assert traced.guards_hold()
    monkeypatch.setitem(globals(), "DATA", np.array([2.0, 0.5, 1.0, 3.0]))
    assert traced.guards_hold()
    assert_same(staged_result(traced, (1.5,), {}), uses_globals(1.5))
    monkeypatch.setitem(globals(), "DATA", np.zeros((2, 2)))
    assert not traced.guards_hold()


def make_closure(k, w):
    def inner(x):
        return x * k + w[0]

    def change(new):
        nonlocal k
        k = new

    return inner, change


def test_cells_are_inputs():
    w = np.array([1.0, 2.0])
    inner, change = make_closure(3.0, w)
    traced = agree(inner, 2.0)
    change(10.0)
    w[0] = -5.0
    assert_same(staged_result(traced, (2.0,), {}), 15.0)
    change("text")
    assert not traced.guards_hold()


def with_defaults(x, k=1.5, w=DATA, *, mode="plain"):
    return x * k + w[2] if mode == "plain" else x


def test_defaults_are_inputs():
    traced = agree(with_defaults, 2.0)
    assert len(traced.captures) == 2
    agree(with_defaults, 2.0, 3.0, mode="other")


class Model:
    rate = 0.5

    def __init__(self, w, n):
        self.w = w
        self.n = n
        self.inner = {"scale": 2.0}

    def predict(self, x):
        s = 0.0
        for i in range(self.n):
            s += self.w[i] * x * self.rate
        return s * self.scale

    @property
    def scale(self):
        return self.inner["scale"] * SCALE


def test_methods_read_attributes_again():
    model = Model(np.array([1.0, 2.0, 3.0]), 3)
    traced = agree(model.predict, 2.0)
    model.w = np.array([4.0, 5.0, 6.0])
    model.inner["scale"] = 3.0
    assert traced.guards_hold()
    assert_same(staged_result(traced, (2.0,), {}), model.predict(2.0))
    model.n = 2
    assert not traced.guards_hold()


def test_model_as_argument():
    model = Model(np.array([1.0, 2.0, 3.0]), 3)
    traced = agree(lambda m, x: m.predict(x), model, 2.0)
    assert [k for k in traced.static_leaves] == []


def loss_of(model, x):
    return model.predict(x)


def test_captured_function_identity_is_guarded(monkeypatch):
    traced = agree(lambda x: helper(x), 2.0)
    monkeypatch.setitem(globals(), "helper", math.cos)
    assert not traced.guards_hold()


def helper(x):
    return x * SCALE


def writes_global(x):
    DATA[0] = x
    return DATA[0]


def appends_global(x):
    TABLE["b"].append(x)
    return x


def assigns_global(x):
    global COUNT
    COUNT = 5
    return x


def test_tracing_leaves_captured_state_as_it_was():
    count = COUNT
    for f in (writes_global, appends_global, assigns_global):
        assert trace(f, (5.0,), {}).writes
    assert DATA[0] == 1.0 and count == COUNT and all(type(e) is float for e in TABLE["b"])


def test_long_plain_data_is_compared_not_passed():
    data = [float(k) for k in range(200)]
    traced = agree(lambda x: x * sum(data) + len(data), 2.0)
    assert not traced.captures
    data[3] = 100.0
    assert not traced.guards_hold()


# --- objects and functions ---


@dataclass
class Params:
    alpha: float
    beta: float
    start: list = field(default_factory=lambda: [10.0, 5.0])


@dataclass(frozen=True)
class Point:
    x: float
    y: float

    def __add__(self, other):
        return Point(self.x + other.x, self.y + other.y)

    def __post_init__(self):
        if self.x != self.x:
            raise ValueError("not a number")

    @property
    def norm(self):
        return math.hypot(self.x, self.y)


def derivatives(p, u, v):
    return p.alpha * u - p.beta * u * v, p.beta * u * v - 0.5 * v


def rk4(p, steps, dt):
    u, v = p.start
    history = np.zeros((steps, 2))
    for t in range(steps):
        history[t, 0], history[t, 1] = u, v
        a1, b1 = derivatives(p, u, v)
        a2, b2 = derivatives(p, u + dt / 2 * a1, v + dt / 2 * b1)
        a3, b3 = derivatives(p, u + dt / 2 * a2, v + dt / 2 * b2)
        a4, b4 = derivatives(p, u + dt * a3, v + dt * b3)
        u = u + dt / 6 * (a1 + 2 * a2 + 2 * a3 + a4)
        v = v + dt / 6 * (b1 + 2 * b2 + 2 * b3 + b4)
    return history


def test_dataclass_and_helpers():
    traced = agree(lambda p, n: rk4(p, n, 0.05), Params(0.6, 0.03), 40)
    assert len(traced.function.params) == 5


def objects(x, n):
    p = Point(x, 1.0)
    for i in range(n):
        if p.x < 5.0:
            p = p + Point(i * 0.5, 1.0)
        else:
            p = Point(p.y, p.x)
    return p.norm, p


def test_objects_made_while_tracing():
    agree(objects, 1.0, 12, also=[(9.0, 3)])


class Counter:
    def __init__(self):
        self.total = 0.0
        self.__hidden = 1.0
        self.items = []

    def add(self, v):
        if v > 0:
            self.total += v
        else:
            self.__hidden = self.__hidden * 2
        return self

    @property
    def value(self):
        return self.total * self.__hidden


def stateful(x):
    c = Counter()
    for v in x:
        c.add(v)
        if v > 1:
            c.items.append(v)
            c.items.pop()
    return c.value


def test_attribute_stores_are_journaled():
    agree(stateful, X)


Pair = namedtuple("Pair", "left right")


def tuples(p):
    q = Pair(p.left * 2, p.right)
    q = q._replace(right=q.left)
    (a, b), *rest = [q, 1.0, 2.0]
    return q, a + b + sum(rest)


def test_namedtuples():
    agree(tuples, Pair(1.0, 2.0))


def functional(xs):
    squares = [x * x for x in xs if x is not None]
    total = functools.reduce(lambda a, b: a + b, squares)
    scaled = list(map(lambda x: x / total, squares))
    named = {f"k{i}": v for i, v in enumerate(scaled)}
    power = functools.partial(pow_of, exponent=2.0)
    return sum(power(v) for v in named.values()), max(scaled), any(v > 0.5 for v in scaled), sorted(named)


def pow_of(x, exponent=1.0):
    return x**exponent


def test_functional_style():
    agree(functional, [1.0, 2.0, None, 3.0])


def nested_functions(x):
    count = 0.0

    def bump(v, by=1.5):
        nonlocal count
        if v > 0:
            count += by
        return v * count

    for i in range(12):
        x = bump(x - i * 0.1)
        x = x / (1 + abs(x))
    return x + count, (lambda z, k=2.0: z * k)(x)


def test_nested_functions_and_nonlocal():
    agree(nested_functions, 3.0)


class Base:
    def __init__(self, k):
        self.k = k

    def apply(self, x):
        return x * self.k


class Derived(Base):
    def __init__(self, k):
        super().__init__(k)
        self.more = k + 1

    def apply(self, x):
        return super().apply(x) + self.more

    def __call__(self, x):
        return self.apply(x) if x > 0 else -x


def inheritance(x):
    d = Derived(x)
    return d(x) + d.apply(2.0)


def test_super_and_call():
    agree(inheritance, 3.0, also=[(-3.0,)])


def dictionaries(p, n):
    state = dict(p)
    for _ in range(n):
        state["x"] = state["x"] * 0.9 + state["k"]
        if state["x"] > 4:
            state["k"] = -state["k"]
    return state


def test_dict_items_are_carried():
    agree(dictionaries, {"x": 1.0, "k": 0.5}, 30)


def lists_of_state(x, n):
    pos, vel = [x, 0.0], [0.0, 1.0]
    for _ in range(n):
        acc = [-pos[0], -pos[1]]
        vel = [v + 0.01 * a for v, a in zip(vel, acc)]
        pos = [p + 0.01 * v for p, v in zip(pos, vel)]
    return pos, vel


def test_lists_of_numbers_are_carried():
    agree(lists_of_state, 1.0, 50)


# --- arguments and errors ---


def test_integers_become_static_on_demand():
    before = counter.count
    traced = agree(lambda x, n: [x] * n, 2.0, 3)
    assert counter.count - before >= 2
    assert traced.static_leaves == {1: 3}


def test_sizes_become_static_on_demand():
    traced = agree(lambda x: [v * 2 for v in x], X)
    assert list(known_sizes(traced.assumptions).values()) == [11]


def test_unsupported_dtype_is_named():
    with pytest.raises(UnsupportedError, match=r"(?s)float16.*astype"):
        trace(lambda x: x, (np.zeros(3, np.float16),), {})


def test_no_source():
    space = {}
    exec("def made(x):\n    return x * 2", space)
    with pytest.raises(SourceUnavailableError, match="made"):
        trace(space["made"], (1.0,), {})


def test_lambdas_on_one_line():
    f, g = (lambda x: x + 1.0), (lambda x: x * 3.0)
    agree(f, 2.0)
    agree(g, 2.0)


def test_random_methods_that_are_not_staged_are_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(StagingError, match="not staged"):
        trace(lambda x: x * rng.permuted(np.arange(3.0)), (1.0,), {})


def test_c_functions_are_refused_by_name():
    with pytest.raises(StagingError, match=r"struct\.pack"):
        trace(packs, (1.0,), {})


def packs(x):
    import struct

    return struct.pack("d", x)


def generator(n):
    for i in range(n):
        yield i * SCALE


def test_generators_run_as_python():
    agree(lambda x: sum(v * x for v in generator(4)), 2.0)


def test_state_is_clean_after_errors():
    from wengert.frontend.context import is_tracing

    with pytest.raises(ZeroDivisionError):
        trace(lambda x: x + 1 / 0, (1.0,), {})
    assert not is_tracing()


def test_error_shows_the_users_line():
    def f(x, n):
        y = x * 2
        for i in range(n):
            y = y + "a"
        return y

    with pytest.raises(TypeError) as caught:
        trace(f, (1.0, 20), {})
    here = [entry for entry in caught.traceback if str(entry.path) == __file__]
    assert 3 in [entry.lineno + 1 - f.__code__.co_firstlineno for entry in here]


class Recorder:
    def __init__(self):
        self.last = 0.0

    def run(self, x):
        self.last = x * 2
        return self.last + 1


def test_eager_stores_leave_plain_numbers():
    recorder = Recorder()
    assert trace(recorder.run, (1.0,), {}).writes and recorder.last == 0.0
    assert_same(eager_result(recorder.run, (1.5,), {}), 4.0)
    assert type(recorder.last) is float and recorder.last == 3.0
