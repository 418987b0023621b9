"""Programs that fail on some inputs. Golden messages hold line numbers of this file: add at the end."""

import numpy as np


def index_fixed(x):
    return x[7] * 2.0


def index_in_loop(x, n):
    total = 0.0
    for i in range(n):
        total = total + x[i]
    return total


def index_from_data(x, k):
    return np.sum(x) + x[k[0]]


def store_out_of_range(x, n):
    y = np.zeros(3)
    for i in range(n):
        y[i] = x * i
    return np.sum(y)


def add_arrays(x, y):
    return np.sum(x + y)


def add_slices(x, n):
    return np.sum(x[:n] + x[1:])


def multiply_matrices(a, x):
    return np.sum(a @ x)


def half_precision(x):
    z = np.float16(0.5) * x
    return z * 2.0


def vector_result(x):
    return x * 2.0


def pair_result(x):
    return x * 2.0, x


def integer_result(x):
    return int(x) + 1


def square(x):
    return x * x


def total(x):
    return np.sum(x * x)


def largest(x):
    return np.max(x * 2.0)


def average(x):
    return np.mean(x)


def own_exception(x):
    if x < 0.0:
        raise ArithmeticError("x must not be negative")
    return np.sqrt(x)


def divide(x, y):
    return x / y


def missing_key(p):
    return p["x"] * p["scale"]


def missing_name(x):
    return x * undefined_name  # noqa: F821


def wrong_call(x):
    return square(x, x)


def text_times_number(x, text):
    return x - text


_namespace = {}
exec("def made(x):\n    return x * x\n", _namespace)
made = _namespace["made"]


def calls_function_without_source(x):
    return made(x) + 1.0


def generator_function(x):
    def parts():
        yield x
        yield x * 2.0

    return sum(parts())


def formats_into_file(x):
    with open("/dev/null", "w") as file:
        file.write(str(float(x)))
    return x * 2.0


def grows_in_while(x):
    parts = {}
    while x < 100.0:
        x = x * 2.0
        parts[x] = x
    return x


def stencil(u, k, n):
    u = u.copy()
    for _ in range(n):
        u[1:-1] += k * (u[2:] - 2 * u[1:-1] + u[:-2])
    return np.sum(u * u)


def write_rows(a, i, x):
    b = a.copy()
    b[i] = x
    b[:, 0] += x[0]
    return np.sum(b * b)


def growing_dots(x, y, n):
    s = 0.0
    for t in range(n):
        s += x[:t] @ y[:t]
    return s


def both_ends(x, k):
    return x[k] * x[-k] + x[k - 1]


def fill(x, n):
    y = np.zeros(n)
    for t in range(n):
        y[t] = x[t % 3]
    return np.sum(y)
