"""Functions: arguments, closures, decorators, generators, and the functions that take functions."""

import functools
import itertools
import math
import operator
from functools import lru_cache, partial, reduce, wraps

import numpy as np

from tests.programs.catalog import example


def damped(x, rate=0.5, *, power=1):
    return math.exp(-rate * x) * x**power


@example(1.3, also=((0.4,),))
def defaults_and_keywords(x):
    return damped(x) + damped(x, 0.2) + damped(x, power=2) + damped(x, rate=x, power=3)


def weighted(*values, **weights):
    return sum(v * weights.get(f"w{k}", 1.0) for k, v in enumerate(values))


@example(1.0, 2.0, 3.0)
def star_arguments(a, b, c):
    options = {"w0": 0.5, "w2": a}
    values = (b, *[c, a], a * b)
    return weighted(*values, **options, w1=2.0)


@example(0.5, 8)
def counter_closure(x, n):
    calls = 0
    total = 0.0

    def visit(value):
        nonlocal calls, total
        calls += 1
        total += value * calls

    for k in range(n):
        visit(x**k)
    return total + calls


@example(1.1)
def lambdas_on_one_line(x):
    f, g, h = (lambda v: v + 1.0), (lambda v: v * v), (lambda v, k=3: v**k)
    return h(g(f(x))) + sum((lambda v: 2.0 * v)(k * x) for k in range(3))


@example(0.8, 1.5)
def partial_application(x, y):
    power = partial(pow, x)
    scaled = partial(damped, rate=y)
    return power(3) + scaled(x) + partial(scaled, power=2)(y)


def logged(function):
    @wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)

    wrapper.original = function
    return wrapper


def repeated(times):
    def decorate(function):
        @functools.wraps(function)
        def wrapper(value):
            for _ in range(times):
                value = function(value)
            return value

        return wrapper

    return decorate


@logged
@repeated(3)
def softened(x):
    return x / (1.0 + abs(x))


@example(2.5, also=((-0.5,),))
def decorated(x):
    return softened(x) + softened.original(x)


@lru_cache(maxsize=64)
def binomial(n, k):
    return 1 if k in (0, n) else binomial(n - 1, k - 1) + binomial(n - 1, k)


@example(0.3)
def bernstein(t):
    return sum(binomial(5, k) * t**k * (1.0 - t) ** (5 - k) * math.sin(k) for k in range(6))


@example(np.array([1.5, 0.7, 2.0, 1.1]))
def reduce_product(x):
    return reduce(operator.mul, x) + reduce(lambda a, b: a * 0.5 + b, list(x), 1.0)


@example([3.0, -1.0, 2.5, -0.5])
def map_and_filter(values):
    kept = filter(lambda v: v > 0, values)
    return sum(map(math.sqrt, kept)) + sum(map(operator.mul, values, values[1:]))


@example([3.0, -1.0, 2.5, -0.5], also=(([0.1, -0.2, 0.3, 4.0],),))
def sorted_with_key(values):
    ordered = sorted(values, key=lambda v: abs(v), reverse=True)
    return sum(v * k for k, v in enumerate(ordered))


@example([3.0, -1.0, 2.5, -4.5])
def min_and_max(values):
    pairs = [(v * v, v) for v in values]
    return max(values) + 2.0 * min(values, key=abs) + max(pairs, key=lambda p: p[0])[1] + min(v**2 for v in values)


@example([0.3, 1.5, 2.0], also=(([-0.3, 1.5, 2.0],),))
def any_all_sum(values):
    bonus = 10.0 if all(v > 0 for v in values) else 1.0
    bonus += 5.0 if any(v > 1.9 for v in values) else 0.0
    return bonus * sum(values, 0.5)


@example([1.0, 2.0, 3.0], [0.5, 0.25, 4.0])
def zip_enumerate_reversed(a, b):
    total = 0.0
    for k, (u, v) in enumerate(zip(a, reversed(b), strict=True), start=1):
        total += k * u / v
    return total


def odd_powers(x, n):
    for k in range(n):
        if k % 2:
            yield x**k


@example(0.9, 9, also=((0.9, 2),))
def generator_in_a_loop(x, n):
    total = 0.0
    for p in odd_powers(x, n):
        total += p
        if total > 2.0:
            break
    return total


def trajectory(x, rate):
    while x > 0.1:
        yield x
        x -= rate * x


@example(2.0, 0.2, also=((0.05, 0.2),))
def generator_with_while(x, rate):
    area = 0.0
    for position in trajectory(x, rate):
        area += position
    return area


def flattened(rows):
    for row in rows:
        yield from row


@example([[1.0, 2.0], [3.0], [0.5, 0.25]])
def yield_from(rows):
    return sum(v * v for v in flattened(rows)) + max(flattened(rows))


@example([1.0, 2.0, 3.0, 4.0])
def nested_comprehensions(x):
    table = [[a * b for b in x if b > a] for a in x]
    pairs = {(i, j): x[i] - x[j] for i in range(4) for j in range(i)}
    return sum(sum(row) for row in table) + sum(d * d for d in pairs.values()) + len({k for k, _ in pairs})


@example([1.0, -2.0, 3.0, 0.5])
def itertools_chain(x):
    running = list(itertools.accumulate(x))
    bumps = [b - a for a, b in itertools.pairwise(x)]
    mixed = [a * b for a, b in itertools.product(x[:2], x[2:])]
    head = sum(itertools.islice(itertools.chain(running, bumps), 5))
    return head + sum(mixed) + sum(a * b for a, b in itertools.combinations(x, 2))


def power(x, n):
    return 1.0 if n == 0 else x * power(x, n - 1)


@example(1.2)
def recursion_of_known_depth(x):
    return power(x, 5) + power(power(x, 2), 3)


def integrate(f, a, b, n=20):
    h = (b - a) / n
    return h * (0.5 * f(a) + sum(f(a + k * h) for k in range(1, n)) + 0.5 * f(b))


@example(0.7, 2.0)
def callback(k, b):
    return integrate(lambda t: math.exp(-k * t * t), 0.0, b) + integrate(math.sin, 0.0, k)


def compose(*functions):
    return reduce(lambda f, g: lambda x: g(f(x)), functions)


@example(0.4)
def composition(x):
    return compose(math.exp, lambda v: v - 1.0, abs, math.sqrt)(x)


@np.vectorize
def soft_step(x, width):
    if x < -width:
        return 0.0
    if x > width:
        return 1.0
    return 0.5 + 0.5 * x / width


@example(np.array([-2.0, -0.2, 0.1, 3.0]), 0.5)
def vectorized(x, width):
    return float(np.sum(soft_step(x, width) * x))


GRAVITY = 9.81
CALLS = []


def fall(t):
    return 0.5 * GRAVITY * t**2


@example(1.5)
def globals_read(t):
    return fall(t) - GRAVITY * t


@example((1.0, 2.0, 3.0, 4.0, 5.0))
def star_unpacking(values):
    first, *middle, last = values
    (a, b), c = (first, last), middle[1]
    *rest, end = middle
    return a * b + c * end + sum(rest)


@example(1.7, [2.0, 0.5])
def dispatch_table(x, params):
    rules = {"add": operator.add, "mul": lambda a, b: a * b, "pow": math.pow}
    for name in ("add", "mul", "pow"):
        x = rules[name](x, params[len(name) % 2])
    return x


class Wave:
    def __init__(self, phase):
        self.phase = phase

    @functools.cached_property
    def table(self):
        return [math.sin(self.phase * k) for k in range(4)]


@example(0.6)
def cached_property_read(phase):
    wave = Wave(phase)
    return wave.table[1] * wave.table[3] + sum(wave.table)


@functools.singledispatch
def magnitude(value):
    return abs(value)


@magnitude.register
def _(value: list):
    return math.sqrt(sum(v * v for v in value))


@example(-1.5, [3.0, 4.5])
def single_dispatch(x, vector):
    return magnitude(x) * magnitude(vector)


@example(0.2, 30)
def next_of_iterator(x, n):
    it = iter(range(1, n))
    first = next(it)
    total = first * x
    for k in it:
        total += x / k
    return total + next(it, 7) * x


@example(1.5, also=((3.5,),), eager="the data choose among functions in a list")
def default_bound_late(x):
    makers = [lambda v, k=k: v * k for k in range(4)]
    return sum(make(x) for make in makers) + makers[int(x) % 4](x)
