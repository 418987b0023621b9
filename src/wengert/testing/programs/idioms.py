"""Random idioms: lists that grow, exceptions, masks, generators, objects with state, sorting, matching, contexts."""

from __future__ import annotations

from collections.abc import Callable

from wengert.testing.programs.expressions import array, condition, constant, scalar, tame
from wengert.testing.programs.scope import Variable, Writer, bare

Body = Callable[[Writer, int], None]
_SMALL = 2.0
_LONGEST = 40


def _text(w: Writer, depth: int = 1, bound: float = _SMALL) -> str:
    return bare(tame(w, scalar(w, depth), bound).text)


# --- containers ------------------------------------------------------------------------------------------------------


def growing_list(w: Writer, body: Body) -> None:
    """A list that is appended to in a loop, under a test or not, and then read in one of several ways."""
    items, i, trips = w.fresh("items"), w.fresh("i"), w.rng.randrange(2, 14)
    if w.frame.trips * trips > _LONGEST:
        return
    start = _text(w, 0)
    w.line(f"{items} = [{start}]" if w.chance(0.7) else f"{items} = []")
    holds_one = w.lines[-1].endswith(f"[{start}]")
    w.line(f"for {i} in range({trips}):")
    with w.loop(trips):
        w.add(Variable(i, "int", low=0, high=trips - 1, assignable=False))
        if w.chance(0.4):
            body(w, 1)
        text = _text(w) if not holds_one or w.chance(0.6) else f"{w.number(0.3, 0.8)} * {items}[-1] + {_text(w, 1, 1.0)}"
        if w.chance(0.5):
            w.line(f"if {condition(w)}:")
            w.line(f"    {items}.append({text})")
        else:
            w.line(f"{items}.append({text})")
        if holds_one and w.chance(0.2):
            w.line(f"if len({items}) > {w.rng.randrange(2, 6)}:")
            w.line(f"    {items}.pop({w.pick(('', '0'))})")
    total = w.fresh("t")
    uses = [f"{total} = sum({items})", f"{total} = 0.1 * len({items}) + {w.number()} * sum(v * v for v in {items})"]
    if holds_one:
        uses += [f"{total} = {items}[-1] - {items}[0]", f"{total} = max({items})"]
        uses += [f"{total} = float(np.sum(np.array({items}) ** 2))"]
    w.line(w.pick(uses))
    w.line(f"{total} = math.tanh({total})")
    w.add(Variable(total, "float"))


def queue(w: Writer, body: Body) -> None:
    """A deque: a window that slides, or jobs that go round."""
    name, v, source = w.fresh("queue"), w.fresh("v"), [x for x in w.arrays() if len(x.shape) == 1]
    if not source or w.frame.trips * source[0].shape[0] > _LONGEST:
        return
    total = w.fresh("t")
    w.line(f"{total} = 0.0")
    w.line(f"{name} = deque([{_text(w, 0)}, {_text(w, 0)}], maxlen={w.rng.randrange(2, 4)})")
    w.line(f"for {v} in {source[0].text}:")
    with w.loop(source[0].shape[0]):
        w.add(Variable(v, "float"))
        w.line(f"{name}.{w.pick(('append', 'appendleft'))}({w.number(0.2, 0.9)} * {v} + {_text(w, 1, 0.5)})")
        w.line(f"{total} = 0.5 * {total} + math.sin(sum({name})) * {name}[{w.pick(('0', '-1'))}] / (1.0 + {name}[0] ** 2)")
    w.add(Variable(total, "float"))


def table_update(w: Writer, body: Body) -> None:
    """A dict whose entries change in a loop."""
    name, i, trips = w.fresh("table"), w.fresh("i"), w.rng.randrange(2, 12)
    if w.frame.trips * trips > _LONGEST:
        return
    w.line(f'{name} = {{"even": {_text(w, 0)}, "odd": {_text(w, 0)}}}')
    w.line(f"for {i} in range({trips}):")
    with w.loop(trips):
        w.add(Variable(i, "int", low=0, high=trips - 1, assignable=False))
        key = w.pick(('"even"', '"odd"', f'"even" if {trips} % 2 == 0 else "odd"'))
        w.line(f"{name}[{key}] = {w.number(0.3, 0.9)} * {name}[{key}] + {_text(w, 1, 1.0)}")
        if w.chance(0.4):
            w.line(f"if {condition(w)}:")
            w.line(f'    {name}.update(odd={w.number(0.3, 0.9)} * {name}["odd"])')
    for key in ('"even"', '"odd"'):
        w.add(Variable(f"{name}[{key}]", "float"))


# --- exceptions, contexts, matching ------------------------------------------------------------------------------------


def attempt(w: Writer, body: Body) -> None:
    """A `try` whose body raises or not, by the data."""
    name = w.fresh("e")
    w.line(f"{name} = {_text(w, 0)}")
    risk, error = w.pick((("raise", "ValueError"), ("raise", "KeyError"), ("sqrt", "ValueError"), ("log", "ValueError")))
    w.line("try:")
    with w.block():
        if risk == "raise":
            w.line(f"if {condition(w)}:")
            w.line(f'    raise {error}("refused")')
            w.line(f"{name} = {_text(w)}")
        else:
            w.line(f"{name} = math.{risk}({_text(w)} + {w.number(0.1, 0.4)})")
            w.line(f"{name} = {name} / (1.0 + {name} ** 2)")
    w.line(f"except {w.pick((error, f'({error}, TypeError)', 'Exception'))}:")
    with w.block():
        w.line(f"{name} = {_text(w)}")
        if w.chance(0.4):
            body(w, 1)
    if w.chance(0.3):
        w.line("else:")
        w.line(f"    {name} *= {w.number(0.4, 0.9)}")
    if w.chance(0.3):
        w.line("finally:")
        w.line(f"    {name} -= {w.number(0.1, 0.5)}")
    w.add(Variable(name, "float"))


def checked_call(w: Writer, body: Body) -> None:
    """A call of the function that raises for large values, inside of a `try`."""
    name = w.fresh("e")
    w.line("try:")
    w.line(f"    {name} = checked({_text(w)}, {w.number(0.2, 1.2)})")
    w.line("except OverflowError:")
    w.line(f"    {name} = {_text(w)}")
    w.add(Variable(name, "float"))


def context(w: Writer, body: Body) -> None:
    """A context manager around a few statements."""
    box, name = w.fresh("log"), w.fresh("d")
    w.line(f"{box} = [{_text(w, 0)}]")
    w.line(f"with scaled({box}, {w.number(0.4, 0.9)}) as {name}:")
    with w.block():
        w.add(Variable(name, "float"))
        body(w, 1)
        w.line(f"{box}.append({_text(w, 1, 1.0)})")
    result = w.fresh("s")
    w.line(f"{result} = {box}[0] * {box}[-1] + 0.1 * len({box})")
    w.add(Variable(result, "float"))


def match(w: Writer, body: Body) -> None:
    """A `match` on a float pair or an int."""
    name = w.fresh("m")
    ints = w.ints()
    if ints and w.chance(0.5):
        w.line(f"match {w.pick(ints).text} % 3:")
        arms = ["case 0:", "case 1 | 7:", "case other if other > 1:", "case _:"]
    else:
        first, second = w.fresh("p"), w.fresh("q")
        w.line(f"match ({_text(w)}, {_text(w)}):")
        tests = [f"({first}, {second}) if {first} > {second}", f"({first}, _) if {first} > {constant(w).text}", "_"]
        arms = [f"case {test}:" for test in tests]
    with w.block():
        for arm in arms:
            w.line(arm)
            w.line(f"    {name} = {_text(w)}")
    w.add(Variable(name, "float"))


# --- functions and objects ---------------------------------------------------------------------------------------------


def generator(w: Writer, body: Body) -> None:
    """A loop over a generator whose length depends on the data."""
    name, v = w.fresh("t"), w.fresh("v")
    if w.frame.trips * 8 > _LONGEST:
        return
    w.line(f"{name} = {_text(w, 0)}")
    w.line(f"for {v} in decay(abs({_text(w)}) + 0.2, {w.number(0.3, 0.7)}):")
    with w.loop(8):
        w.add(Variable(v, "float"))
        w.line(f"{name} = {w.number(0.3, 0.8)} * {name} + {_text(w, 1, 1.0)} * {v}")
        if w.chance(0.3):
            w.line(f"if {condition(w)}:")
            w.line("    break")
    w.add(Variable(name, "float"))


def counter_object(w: Writer, body: Body) -> None:
    """An object whose methods change its attributes in a loop."""
    name, i, trips = w.fresh("filter"), w.fresh("i"), w.rng.randrange(2, 12)
    if w.frame.trips * trips > _LONGEST:
        return
    w.line(f"{name} = Filter({_text(w, 0)}, {w.number(0.2, 0.9)})")
    w.line(f"for {i} in range({trips}):")
    with w.loop(trips):
        w.add(Variable(i, "int", low=0, high=trips - 1, assignable=False))
        w.line(f"{name}.update({_text(w, 1, 1.0)})")
        if w.chance(0.3):
            body(w, 1)
    w.add(Variable(f"{name}.level", "float"))
    result = w.fresh("s")
    w.line(f"{result} = 0.1 * {name}.ups + math.sin({name}.level) + abs({name} + Filter({_text(w, 0)}, 0.5))")
    w.add(Variable(result, "float"))


def recursion(w: Writer, body: Body) -> None:
    """A call of one of the recursive functions."""
    name = w.fresh("r")
    arrays = [v for v in w.arrays(rank=1)]
    forms = [
        f"shrink({_text(w)}, {w.rng.randrange(3, 9)})",
        f"even({_text(w, 1, 1.0)}, {w.rng.randrange(0, 7)})",
    ]
    if w.ints() and w.chance(0.5):
        forms.append(f"even({_text(w, 1, 1.0)}, abs({w.pick(w.ints()).text}) % 5)")
    if arrays:
        v = w.pick(arrays).text
        forms += [f"halves({v}, 0, len({v}))"] * 2
    if w.frame.trips > 12:
        return
    w.line(f"{name} = math.tanh({w.pick(forms)})")
    w.add(Variable(name, "float"))


def best_so_far(w: Writer, body: Body) -> None:
    """A search that starts from None."""
    source = [v for v in w.arrays(rank=1)]
    if not source:
        return
    name, v, array_ = w.fresh("best"), w.fresh("v"), w.pick(source)
    if w.frame.trips * array_.shape[0] > _LONGEST:
        return
    w.line(f"{name} = None")
    w.line(f"for {v} in {array_.text}:")
    w.line(f"    if {name} is None or math.sin({v} + {constant(w).text}) > {name}:")
    w.line(f"        {name} = math.sin({v} + {constant(w).text})")
    w.add(Variable(name, "float"))


# --- arrays ----------------------------------------------------------------------------------------------------------


def mask(w: Writer, body: Body) -> None:
    """Boolean masks: read, store, count."""
    found = [v for v in w.arrays(rank=1)]
    if not found:
        return
    v, name = w.pick(found), w.fresh("m")
    w.line(f"{name} = {v.text} {w.pick('<>')} {constant(w).text}")
    result = w.fresh("s")
    w.line(f"{result} = np.sum({v.text}[{name}] ** 2) + 0.1 * np.count_nonzero({name})")
    w.line(f"{result} = math.tanh({result})")
    w.add(Variable(result, "float"))
    if v.writable and w.chance(0.6):
        stores = (f"{v.text}[{name}] *= {w.number(0.3, 0.9)}", f"{v.text}[{name}] = {_text(w)}",
                  f"{v.text}[{name}] = np.sin({v.text}[{name}] + {constant(w).text})")  # fmt: skip
        w.line(w.pick(stores))


def positions(w: Writer, body: Body) -> None:
    """Arrays of indices: read, store, add."""
    found = [v for v in w.arrays(rank=1)]
    if not found:
        return
    v, name = w.pick(found), w.fresh("idx")
    size = v.shape[0]
    count = w.rng.randrange(1, 5)
    w.line(f"{name} = np.array([{', '.join(str(w.rng.randrange(-size, size)) for _ in range(count))}])")
    new = w.fresh("z")
    w.line(f"{new} = {v.text}[{name}] * {_text(w, 0)}")
    w.add(Variable(new, "array", (count,)))
    if v.writable and w.chance(0.6):
        value = bare(tame(w, array(w, (count,)), 1.0).text)
        w.line(w.pick((f"np.add.at({v.text}, {name}, {value})", f"{v.text}[{name}] = {value}", f"{v.text}[{name}] += {value}")))


def sorting(w: Writer, body: Body) -> None:
    """Sorted values, their order, running extremes."""
    found = [v for v in w.arrays(rank=1)]
    if not found:
        return
    v, name = w.pick(found), w.fresh("o")
    forms = (f"np.sort({v.text})", f"{v.text}[np.argsort({v.text})[::-1]]", f"np.maximum.accumulate({v.text})",
             f"np.cumprod(np.tanh({v.text}))", f"np.flip(np.sort({v.text}))")  # fmt: skip
    w.line(f"{name} = {w.pick(forms)} * {w.number(0.4, 1.1)}")
    w.add(Variable(name, "array", v.shape))


def linear_system(w: Writer, body: Body) -> None:
    """A well-conditioned system of equations."""
    found = [v for v in w.arrays(rank=1) if 1 < v.shape[0] < 5]
    if not found:
        return
    v, name = w.pick(found), w.fresh("z")
    n = v.shape[0]
    matrix = f"{n + 1}.0 * np.eye({n}) + np.outer(np.tanh({v.text}), np.cos({v.text}))"
    w.line(w.pick((f"{name} = np.linalg.solve({matrix}, {v.text})", f"{name} = np.linalg.inv({matrix}) @ {v.text}")))
    w.add(Variable(name, "array", v.shape))


IDIOMS: tuple[tuple[Callable[[Writer, Body], None], float], ...] = (
    (growing_list, 1.6),
    (queue, 0.6),
    (table_update, 0.7),
    (attempt, 1.6),
    (checked_call, 0.8),
    (context, 0.5),
    (match, 0.8),
    (generator, 0.8),
    (counter_object, 1.0),
    (recursion, 1.5),
    (best_so_far, 0.6),
    (mask, 1.0),
    (positions, 0.8),
    (sorting, 0.6),
    (linear_system, 0.4),
)
HEADER = '''
class Filter:
    def __init__(self, level, gain):
        self.level = level
        self.gain = gain
        self.ups = 0

    def update(self, value):
        if value > self.level:
            self.ups += 1
        self.level += self.gain * (value - self.level)

    def __add__(self, other):
        return Filter(self.level + other.level, self.gain * other.gain)

    def __abs__(self):
        return math.tanh(self.level) * self.gain


def checked(value, limit):
    if value > limit:
        raise OverflowError(f"{value} is over {limit}")
    return value * value


@contextmanager
def scaled(box, factor):
    box[0] *= factor
    try:
        yield box[0]
    finally:
        box[0] += factor


def decay(level, rate):
    steps = 0
    while level > 0.05 and steps < 8:
        yield level
        level *= rate
        steps += 1


def shrink(value, depth):
    if abs(value) < 0.3 or depth == 0:
        return value
    return 0.6 * shrink(0.7 * math.sin(value), depth - 1) + 0.1 * value


def even(value, depth):
    return math.cos(value) if depth <= 0 else 0.5 * odd(value, depth - 1) + 0.2


def odd(value, depth):
    return math.sin(value) if depth <= 0 else 0.7 * even(0.9 * value, depth - 1) - 0.1


def halves(values, low, high):
    if high - low < 2:
        return math.tanh(values[low])
    middle = (low + high) // 2
    left, right = halves(values, low, middle), halves(values, middle, high)
    return 0.6 * left - 0.5 * right if left > right else 0.4 * left * right + 0.1


'''
