"""Objects: state in attributes, operators, properties, inheritance."""

import math
from dataclasses import asdict, dataclass, field, replace
from enum import Enum, IntEnum
from typing import NamedTuple

import numpy as np

from tests.programs.catalog import example


class Account:
    rate = 0.02

    def __init__(self, balance):
        self.balance = balance
        self.history = []

    def deposit(self, amount):
        if amount < 0:
            self.balance += 0.9 * amount
        else:
            self.balance += amount
        self.history.append(amount)

    def grow(self):
        self.balance *= 1.0 + self.rate


@example(100.0, np.array([10.0, -5.0, 20.0]))
def account_over_time(start, amounts):
    account = Account(start)
    for amount in amounts:
        account.deposit(amount)
        account.grow()
    return account.balance


class Filter:
    def __init__(self, x, p, q, r):
        self.x, self.p, self.q, self.r = x, p, q, r

    def predict(self):
        self.p = self.p + self.q

    def update(self, z):
        gain = self.p / (self.p + self.r)
        self.x = self.x + gain * (z - self.x)
        self.p = (1.0 - gain) * self.p


@example(np.array([1.1, 0.9, 1.3, 1.0, 0.8]), 0.01, 0.2)
def scalar_kalman_filter(measurements, q, r):
    kalman = Filter(measurements[0], 1.0, q, r)
    error = 0.0
    for z in measurements[1:]:
        kalman.predict()
        error += (z - kalman.x) ** 2
        kalman.update(z)
    return error + kalman.p


class Vector:
    __slots__ = ("x", "y")

    def __init__(self, x, y):
        self.x = x
        self.y = y

    def __add__(self, other):
        return Vector(self.x + other.x, self.y + other.y)

    def __sub__(self, other):
        return self + -1.0 * other

    def __rmul__(self, k):
        return Vector(k * self.x, k * self.y)

    def __matmul__(self, other):
        return self.x * other.x + self.y * other.y

    def __neg__(self):
        return Vector(-self.x, -self.y)

    def __abs__(self):
        return math.sqrt(self @ self)

    def __iadd__(self, other):
        self.x += other.x
        self.y += other.y
        return self

    def __getitem__(self, k):
        return (self.x, self.y)[k]

    def __iter__(self):
        yield self.x
        yield self.y

    def __len__(self):
        return 2

    def __eq__(self, other):
        return self.x == other.x and self.y == other.y

    __hash__ = None


@example(1.0, 2.0)
def vector_operators(a, b):
    u, v = Vector(a, b), Vector(b, 0.5)
    w = u + 2.0 * v - v
    w += u
    total = sum(w) + w[0] * w[-1] + len(w)
    return total + abs(-w) * (w @ v) + (1.0 if u == v else 0.0)


class Shape:
    def __init__(self, size):
        self.size = size

    def area(self):
        raise NotImplementedError

    @property
    def side(self):
        return math.sqrt(self.area())

    @classmethod
    def unit(cls):
        return cls(1.0)

    @staticmethod
    def cost(area):
        return 3.0 * area


class Disc(Shape):
    def area(self):
        return math.pi * self.size**2


class Ring(Disc):
    def __init__(self, size, inner):
        super().__init__(size)
        self.inner = inner

    def area(self):
        return super().area() - math.pi * self.inner**2


@example(2.0, 0.5)
def inheritance(size, inner):
    shapes = [Disc(size), Ring(size, inner), Disc.unit()]
    return sum(Shape.cost(s.area()) + s.side for s in shapes)


class Thermostat:
    def __init__(self, celsius):
        self._celsius = celsius

    @property
    def fahrenheit(self):
        return self._celsius * 9.0 / 5.0 + 32.0

    @fahrenheit.setter
    def fahrenheit(self, value):
        self._celsius = (value - 32.0) * 5.0 / 9.0


@example(20.0)
def property_setter(celsius):
    room = Thermostat(celsius)
    for _ in range(12):
        room.fahrenheit += 0.1 * (80.0 - room.fahrenheit)
    return room._celsius


@dataclass
class Particle:
    position: float
    velocity: float = 0.0
    trace: list = field(default_factory=list)

    def kick(self, force, dt):
        self.velocity += force * dt
        self.position += self.velocity * dt


@example(1.0, 0.7)
def dataclass_in_a_loop(position, stiffness):
    p = Particle(position)
    for _ in range(50):
        p.kick(-stiffness * p.position, 0.05)
    return p.position + p.velocity


@dataclass(frozen=True)
class Quote:
    bid: float
    ask: float

    @property
    def mid(self):
        return 0.5 * (self.bid + self.ask)


@example(99.0, 101.0, also=((101.0, 99.0),))
def frozen_dataclass(bid, ask):
    quote = Quote(bid, ask)
    if quote.bid > quote.ask:
        quote = replace(quote, bid=ask, ask=bid)
    return quote.mid * sum(asdict(quote).values()) / quote.ask


class Pose(NamedTuple):
    x: float
    y: float
    heading: float = 0.0

    def ahead(self, distance):
        return self._replace(x=self.x + distance * math.cos(self.heading), y=self.y + distance * math.sin(self.heading))


@example(0.3, np.array([0.1, -0.2, 0.4]))
def namedtuple_walk(speed, turns):
    pose = Pose(0.0, 0.0)
    for turn in turns:
        pose = pose._replace(heading=pose.heading + turn).ahead(speed)
    x, y, _ = pose
    return x * x + 2.0 * y


class Mode(Enum):
    LINEAR = "linear"
    CUBIC = "cubic"


class Side(IntEnum):
    BUY = 1
    SELL = -1


@example(0.4)
def enum_options(x):
    total = 0.0
    for mode in Mode:
        for side in (Side.BUY, Side.SELL):
            total += side * (x if mode is Mode.LINEAR else x**3) + (0.1 * x if side == Side.BUY else 0.0)
    return total


class Polynomial:
    def __init__(self, *coefficients):
        self.coefficients = coefficients

    def __call__(self, x):
        value = 0.0
        for c in self.coefficients:
            value = value * x + c
        return value

    def __mul__(self, other):
        if not isinstance(other, Polynomial):
            return Polynomial(*[c * other for c in self.coefficients])
        product = [0.0] * (len(self.coefficients) + len(other.coefficients) - 1)
        for i, a in enumerate(self.coefficients):
            for j, b in enumerate(other.coefficients):
                product[i + j] += a * b
        return Polynomial(*product)

    __rmul__ = __mul__


@example(1.3, 0.5)
def callable_object(x, a):
    p = Polynomial(1.0, a, -2.0) * Polynomial(a, 3.0)
    return (2.0 * p)(x)


class Chain:
    class Link:
        def __init__(self, value, following):
            self.value = value
            self.following = following

    def __init__(self, values):
        self.head = None
        for v in reversed(values):
            self.head = Chain.Link(v, self.head)

    def __iter__(self):
        link = self.head
        while link is not None:
            yield link.value
            link = link.following

    def __len__(self):
        return sum(1 for _ in self)


@example([1.0, 2.0, 4.0])
def linked_list(values):
    chain = Chain(values)
    return sum(v * k for k, v in enumerate(chain)) / len(chain)


class Grid:
    def __init__(self, n):
        self.cells = np.zeros((n, n))

    def __setitem__(self, where, value):
        self.cells[where] = value

    def __getitem__(self, where):
        return self.cells[where]

    def __contains__(self, where):
        return 0 <= where[0] < self.cells.shape[0] and 0 <= where[1] < self.cells.shape[1]

    def relax(self):
        old = self.cells.copy()
        self.cells[1:-1, 1:-1] = 0.25 * (old[:-2, 1:-1] + old[2:, 1:-1] + old[1:-1, :-2] + old[1:-1, 2:])


@example(1.0, -0.5)
def grid_object(left, right):
    grid = Grid(5)
    grid[:, 0] = left
    grid[2, 4] = right
    for _ in range(6):
        grid.relax()
    return grid[2, 2] + (grid[1, 3] if (1, 3) in grid else 0.0)


class Normalised:
    """A descriptor that keeps a value inside of [0, 1]."""

    def __set_name__(self, owner, name):
        self.name = "_" + name

    def __get__(self, obj, objtype=None):
        return getattr(obj, self.name)

    def __set__(self, obj, value):
        setattr(obj, self.name, min(max(value, 0.0), 1.0))


class Mixer:
    level = Normalised()

    def __init__(self, level):
        self.level = level


@example(0.3, also=((0.8,),), eager="a descriptor compares a traced number")
def descriptor(level):
    mixer = Mixer(level)
    mixer.level = mixer.level * 2.0
    return mixer.level**2 + level


class Recorder:
    def __init__(self, inner):
        self.inner = inner
        self.reads = 0

    def __getattr__(self, name):
        return getattr(self.inner, name)


@example(3.0)
def getattr_proxy(x):
    recorder = Recorder(Quote(x, 2.0 * x))
    return recorder.bid * recorder.mid + (recorder.ask if hasattr(recorder, "ask") else 0.0)


class Stack:
    def __init__(self):
        self.items = []

    def push(self, item):
        self.items.append(item)

    def pop(self):
        return self.items.pop()

    def __bool__(self):
        return bool(self.items)


@example(2.0, 3.0)
def stack_machine(a, b):
    stack = Stack()
    for token in [a, b, "+", b, "*", a, "-"]:
        if isinstance(token, str):
            right, left = stack.pop(), stack.pop()
            stack.push(left + right if token == "+" else left * right if token == "*" else left - right)
        else:
            stack.push(token)
    return stack.pop() + (1.0 if stack else 0.0)


class Body:
    def __init__(self, mass, position, velocity):
        self.mass = mass
        self.position = np.array(position)
        self.velocity = np.array(velocity)

    def energy(self):
        return 0.5 * self.mass * np.dot(self.velocity, self.velocity)


@example(1.0, 2.0, 0.3)
def bodies_in_a_list(m1, m2, speed):
    bodies = [Body(m1, [0.0, 0.0], [0.0, speed]), Body(m2, [1.0, 0.5], [0.0, 0.0])]
    for _ in range(20):
        for body in bodies:
            for other in bodies:
                if body is not other:
                    gap = other.position - body.position
                    body.velocity = body.velocity + 0.01 * other.mass * gap / (np.dot(gap, gap) + 0.1) ** 1.5
        for body in bodies:
            body.position += 0.01 * body.velocity
    return sum(body.energy() for body in bodies)


class Optimiser:
    def __init__(self, rate, momentum):
        self.rate, self.momentum = rate, momentum
        self.state = {}

    def step(self, params, slopes):
        for name, slope in slopes.items():
            v = self.momentum * self.state.get(name, 0.0) - self.rate * slope
            self.state[name] = v
            params[name] += v


@example(0.1, 0.9)
def momentum_training(rate, momentum):
    params = {"a": 1.0, "b": -0.5}
    optimiser = Optimiser(rate, momentum)
    for _ in range(10):
        optimiser.step(params, {"a": 2.0 * params["a"], "b": params["b"] - 0.3})
    return params["a"] ** 2 + params["b"]


class Comparable:
    def __init__(self, cost, name):
        self.cost, self.name = cost, name

    def __lt__(self, other):
        return self.cost < other.cost


@example(2.0, 1.0, 3.0, also=((1.0, 2.0, 0.5),))
def compare_objects(a, b, c):
    offers = [Comparable(a, "x"), Comparable(b, "y"), Comparable(c, "z")]
    cheapest = offers[0]
    for offer in offers[1:]:
        if offer < cheapest:
            cheapest = Comparable(offer.cost, "best")
        else:
            cheapest = Comparable(cheapest.cost, "best")
    return cheapest.cost ** 2
