"""Names that are bound again in loops while other names, views, items or attributes still have the array from before.

Which of them share an array then depends on how often the loop runs: values are right, be it in eager mode.
"""

import types

import numpy as np
import pytest

import wengert as wg

X = np.array([1.630507, 1.08849, -0.025137, -1.038935, 0.552083, 0.788757])


def view_and_array_in_a_branch_of_a_loop(a, x, n):
    b = n - 1.0 + 0.0 * a
    view = x[3:5]
    k = 0
    while b > 0.02 and k < 4:
        k += 1
        if a < 0.8:
            x = np.tanh(x)
            view = np.sin(view)
        b = 0.5 * b
    view[0] -= 0.5
    return np.sum(x) + np.sum(view)


def view_and_array_in_a_branch(a, x, n):
    view = x[3:5]
    if a < 0.8:
        x = np.tanh(x)
        view = np.sin(view)
    view[0] -= 0.5
    return np.sum(x) + np.sum(view)


def view_and_array_in_a_for(a, x, n):
    view = x[3:5]
    for k in range(n):
        x = np.tanh(x)
        view = np.sin(view)
    view[0] -= 0.5
    return np.sum(x) + np.sum(view)


def view_and_array_in_a_while(a, x, n):
    b = n - 1.0 + 0.0 * a
    view = x[3:5]
    while b > 0.02:
        x = np.tanh(x)
        view = np.sin(view)
        b *= 0.5
    view[0] -= 0.5
    return np.sum(x) + np.sum(view)


def two_names_in_a_while(a, x, n):
    b = n - 1.0 + 0.0 * a
    y = x
    while b > 0.02:
        x = np.tanh(x)
        y = np.sin(y)
        b *= 0.5
    y[0] -= 0.5
    return np.sum(x) + np.sum(y)


def one_name_in_two_loops(a, x, n):
    b = n - 1.0 + 0.0 * a
    y = x
    while b > 1:
        x = x * 2
        b -= 1
    while b > 0:
        x = x + 1
        b -= 1
    x[0] -= 0.5
    return x.sum() + y.sum()


def iterated_and_rebound_in_branches(a, x, n):
    x = x * 1.0
    for i, e in enumerate(x):
        x[-1] = a * e
        if e > 0.1:
            if n % 2 == 0:
                x = np.sin(x)
    return x.sum()


def iterated_and_rebound_in_a_branch(a, x, n):
    x = x * 1.0
    for e in x:
        if e > 0.1:
            x[-1] = a * e
            x = np.sin(x[::-1] ** 2)
    return x.sum()


def iterated_and_rebound(a, x, n):
    x = x * 1.0
    for e in x:
        x[-1] = a * e
        x = np.sin(x)
    return x.sum()


def element_of_a_view_read(a, x, n):
    x = x * 1.0
    y = x[::-1]
    for i in range(n):
        x[-1] = a * y[0]
        x = np.sin(x)
    return x.sum()


def view_summed(a, x, n):
    x = x * 1.0
    y = x[1:]
    s = 0.0
    i = 0
    while i < n:
        s += y.sum()
        x[2] = a * s
        x = np.sin(x)
        i += 1
    return x.sum() + s


def view_read_in_a_closure(a, x, n):
    x = x * 1.0
    y = x[1:]

    def get():
        return y.sum()

    s = 0.0
    for i in range(n):
        s += get()
        x[2] = a * s
        x = np.sin(x)
    return x.sum() + s


def item_of_a_dict_read(a, x, n):
    x = x * 1.0
    p = {"y": x}
    s = 0.0
    for i in range(n):
        s += p["y"][2]
        x[2] = a * s
        x = np.sin(x)
    return x.sum() + s


def written_in_an_inner_loop(a, x, n):
    x = x * 1.0
    y = x
    s = 0.0
    for i in range(n):
        s += y.sum()
        for j in range(2 * n):
            x[2] += a * s
            x = np.sin(x)
    return x.sum() + s


def written_in_a_branch(a, x, n):
    x = x * 1.0
    y = x
    s = 0.0
    for i in range(n):
        if a > 0:
            x[2] += a * s
            x = np.sin(x)
        s += y.sum()
    return x.sum() + s


def attribute_written_afterwards(a, x, n):
    s = types.SimpleNamespace(x=x * 1.0)
    y = s.x[:2]
    i = 0
    while i < n:
        s.x = np.sin(s.x)
        i += 1
    s.x[0] = a
    return y.sum() + s.x.sum()


def item_written_afterwards(a, x, n):
    d = {"x": x * 1.0}
    y = d["x"][:2]
    i = 0
    while i < n:
        d["x"] = np.sin(d["x"])
        i += 1
    d["x"][0] = a
    return y.sum() + d["x"].sum()


def item_of_a_list_written_afterwards(a, x, n):
    d = [x * 1.0, 3.0]
    y = d[0]
    i = 0
    while i < n:
        d[0] = np.sin(d[0])
        i += 1
    d[0][0] = a
    return y.sum() + d[0].sum()


def attribute_written_in_the_loop(a, x, n):
    s = types.SimpleNamespace(x=x * 1.0)
    y = s.x[:2]
    t = 0.0
    for i in range(2 * n + 30):
        t += y.sum()
        s.x[0] = a * t
        s.x = np.sin(s.x)
    return t + s.x.sum()


def view_of_an_attribute_written_afterwards(a, x, n):
    s = types.SimpleNamespace(x=x * 1.0)
    y = s.x[:2]
    t = 0.0
    for i in range(n):
        s.x = np.sin(s.x)
        t += y.sum()
    y[0] = a
    return t + s.x.sum() + y.sum()


def attribute_rebound_in_a_branch(a, x, n):
    s = types.SimpleNamespace(x=x * 1.0)
    y = s.x[:2]
    if n > 1:
        s.x = np.sin(s.x)
    s.x[0] = a
    return s.x.sum() + y.sum()


def list_rebound(a, x, n):
    xs = [x * 1.0, x * 2.0]
    y = xs[0]
    for i in range(n):
        xs = [np.sin(xs[0]), xs[1]]
    y[0] = a
    xs[1][0] = a
    return y.sum() + xs[0].sum() + xs[1].sum()


def tuple_rebound(a, x, n):
    xs = (x * 1.0, x * 2.0)
    y = xs[0]
    for i in range(n):
        xs = (np.sin(xs[0]), xs[1])
    y[0] = a
    xs[1][0] = a
    return y.sum() + xs[0].sum() + xs[1].sum()


class Holder:
    def __init__(self, x):
        self.x = x


def list_written_afterwards(a, x, n):
    p = [a, 2 * a]
    q = p
    i = 0
    while i < n:
        p = [v * 0.5 for v in p]
        i += 1
    p[0] = 7.0
    return q[0] + p[1]


def dict_written_afterwards(a, x, n):
    p = {"u": a}
    q = p
    i = 0
    while i < n:
        p = {"u": p["u"] * 0.5}
        i += 1
    p["u"] = 7.0
    return q["u"] + p["u"]


def object_written_afterwards(a, x, n):
    p = Holder(a)
    q = p
    i = 0
    while i < n:
        p = Holder(p.x * 0.5)
        i += 1
    p.x = 7.0
    return q.x + p.x


def object_in_an_attribute_written_afterwards(a, x, n):
    p = Holder(Holder(a))
    q = p.x
    i = 0
    while i < n:
        p.x = Holder(p.x.x * 0.5)
        i += 1
    p.x.x = 7.0
    return q.x + p.x.x


def object_read_under_its_old_name(a, x, n):
    p = Holder(a)
    q = p
    t = 0.0
    i = 0
    while i < n:
        t += q.x
        p.x = p.x * 0.5 + 1
        p = Holder(p.x)
        i += 1
    return t + q.x + p.x


def object_in_a_list_written_afterwards(a, x, n):
    ps = [Holder(a), Holder(2 * a)]
    q = ps[0]
    for i in range(n):
        ps[0] = Holder(ps[0].x * 2)
    ps[0].x += 1
    return q.x + ps[0].x


def objects_that_change_places(a, x, n):
    p = Holder(a)
    q = Holder(2 * a)
    for i in range(n):
        p, q = q, p
        p.x += a
    return p.x + 3 * q.x


def arrays_that_change_places_and_a_third_name(a, x, n):
    u = x * 1.0
    v = x * 2.0
    w = u
    for i in range(n):
        u, v = v, u
        u[0] += a
    return u.sum() + 3 * v[0] + 7 * w[0]


def array_kept_where_data_decides(a, x, n):
    y = x * 1.0
    best = y
    for i in range(n):
        y = y * 0.9
        y[i] += a
        if y[0] > 1:
            best = y
    y[0] = -3.0
    return best.sum() + 2 * y.sum()


def array_of_a_list(a, x, n):
    buf = [x * 1.0, x * 0.0]
    cur = buf[0]
    for i in range(n):
        cur = buf[i % 2]
        cur[0] += a
    return buf[0].sum() + 3 * buf[1].sum() + 5 * cur[0]


def rebound_in_a_handler(a, x, n):
    y = x * 1.0
    z = y
    try:
        for i in range(n):
            y = y * a
            if y[0] > 2:
                raise ValueError
    except ValueError:
        y = y * 2
    y[0] = 1.0
    return z.sum() + y.sum()


def rows_of_a_matrix(a, x, n):
    A = np.outer(x, x)
    row = A[0]
    for i in range(n):
        row = A[i]
        row[0] = a
    row[1] = 3.0
    return A.sum()


def row_or_its_double(a, x, n):
    A = np.outer(x, x)
    t = 0.0
    for row in A:
        r = row
        if a > 0.5:
            r = row * 2
        r[0] = a
        t += r.sum()
    return A.sum() + t


def attribute_rebound_by_a_helper(a, x, n):
    s = Holder(x * 1.0)

    def step(s):
        s.x = s.x * 0.9
        return s

    v = s.x
    for i in range(n):
        s = step(s)
    v[0] = 5.0
    return s.x.sum() + v.sum()


def reshaped_and_rebound(a, x, n):
    y = x * 1.0
    v = y.reshape(2, 3)
    for i in range(n):
        y = y + 1
    v[0, 0] = 8.0
    return y.sum() + v.sum()


def kept_in_a_dict(a, x, n):
    d = {}
    y = x * 1.0
    for i in range(n):
        d["k"] = y
        y = y * 0.5
    if n > 0:
        d["k"][0] = 4.0
    y[1] = 2.0
    return y.sum() + (d["k"].sum() if n > 0 else 0.0)


def arrays_that_change_places(a, x, n):
    u, v = x * 1.0, x * 2.0
    for i in range(n):
        u, v = v, u
        u[0] += a
    return u.sum() + 3 * v[0]


def array_handed_on(a, x, n):
    before, now = x, x * 1.0
    for i in range(n):
        before = now
        now[0] = now[0] * a
        now = now + before
    return now.sum() + before.sum()


def rebound_and_written(a, x, n):
    y = np.zeros(len(x)) + x
    for i in range(n):
        y[i % len(y)] = a * y[0]
        y = np.sin(y)
        y[-1] += a
    return np.sum(y)


CASES = [
    list_written_afterwards,
    dict_written_afterwards,
    object_written_afterwards,
    object_in_an_attribute_written_afterwards,
    object_read_under_its_old_name,
    object_in_a_list_written_afterwards,
    objects_that_change_places,
    arrays_that_change_places_and_a_third_name,
    array_kept_where_data_decides,
    array_of_a_list,
    rebound_in_a_handler,
    rows_of_a_matrix,
    row_or_its_double,
    attribute_rebound_by_a_helper,
    reshaped_and_rebound,
    kept_in_a_dict,
    arrays_that_change_places,
    array_handed_on,
    view_and_array_in_a_branch_of_a_loop,
    view_and_array_in_a_branch,
    view_and_array_in_a_for,
    view_and_array_in_a_while,
    two_names_in_a_while,
    one_name_in_two_loops,
    iterated_and_rebound_in_branches,
    iterated_and_rebound_in_a_branch,
    iterated_and_rebound,
    element_of_a_view_read,
    view_summed,
    view_read_in_a_closure,
    item_of_a_dict_read,
    written_in_an_inner_loop,
    written_in_a_branch,
    attribute_written_afterwards,
    item_written_afterwards,
    item_of_a_list_written_afterwards,
    attribute_written_in_the_loop,
    view_of_an_attribute_written_afterwards,
    attribute_rebound_in_a_branch,
    list_rebound,
    tuple_rebound,
]


@pytest.mark.filterwarnings("ignore:.*runs eagerly")
@pytest.mark.parametrize("n", [0, 1, 4])
@pytest.mark.parametrize("f", CASES, ids=lambda f: f.__name__)
def test_values_are_those_of_python(f, n):
    for a in (0.1, 1.0):
        expected = f(a, X.copy(), n)
        value, (by_a, _) = wg.value_and_grad(f, argnums=(0, 1))(a, X.copy(), n)
        assert value == pytest.approx(expected, rel=1e-12)
        slope = (f(a + 1e-6, X.copy(), n) - f(a - 1e-6, X.copy(), n)) / 2e-6
        assert by_a == pytest.approx(slope, rel=1e-5, abs=1e-8)


@pytest.mark.parametrize("f", [rebound_and_written, arrays_that_change_places, array_handed_on], ids=lambda f: f.__name__)
def test_what_has_one_name_compiles(f):
    compiled = wg.jit(f)
    for n in (0, 5):
        assert compiled(0.3, X.copy(), n) == pytest.approx(f(0.3, X.copy(), n), rel=1e-12)
