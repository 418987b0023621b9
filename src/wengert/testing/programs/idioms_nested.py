"""Random idioms with things inside of things: rows in lists, arrays in dicts, functions in functions, errors with values."""

from __future__ import annotations

from collections.abc import Callable

from wengert.testing.programs.expressions import condition, constant
from wengert.testing.programs.phrases import Body, fits, phrase, small
from wengert.testing.programs.scope import Variable, Writer

# --- containers in containers --------------------------------------------------------------------------------------------


def rows_of_lists(w: Writer, body: Body) -> None:
    """A matrix as a list of lists: made by a comprehension or a loop, changed in place, and read."""
    rows, columns = w.rng.randrange(2, 4), w.rng.randrange(2, 4)
    if not fits(w, rows * columns):
        return
    name, i, j = w.fresh("rows"), w.fresh("i"), w.fresh("j")
    item = f"{phrase(w, 0)} * {i} + {w.number()} * {j} - {phrase(w, 1)}"
    if w.chance(0.5):
        w.line(f"{name} = [[{item} for {j} in range({columns})] for {i} in range({rows})]")
    else:
        w.line(f"{name} = []")
        w.line(f"for {i} in range({rows}):")
        with w.block():
            w.line(f"{name}.append([0.0] * {columns})")
            w.line(f"for {j} in range({columns}):")
            w.line(f"    {name}[{i}][{j}] = {item}")
    w.line(f"for {i} in range(1, {rows}):")
    with w.loop(rows - 1):
        w.line(f"for {j} in range({columns}):")
        with w.loop(columns):
            w.line(f"{name}[{i}][{j}] -= {small(w)} * math.tanh({name}[{i} - 1][{j}]) * {name}[{i}][0]")
            if w.chance(0.3):
                w.line(f"if {condition(w)}:")
                w.line(f"    {name}[{i} - 1][{j}] *= {small(w)}")
    if w.chance(0.3):
        w.line(f"{name}[0], {name}[-1] = {name}[-1], {name}[0]")
    result = w.fresh("s")
    forms = (f"sum(sum(row) for row in {name})", f"float(np.sum(np.array({name}) ** 2))", f"max(max(row) for row in {name})",
             f"sum({name}[k][-1] for k in range(len({name})))")  # fmt: skip
    w.line(f"{result} = math.tanh({w.pick(forms)})")
    w.add(Variable(result, "float"))
    w.add(Variable(f"{name}[{w.rng.randrange(rows)}][{w.rng.randrange(columns)}]", "float"))


def dict_of_arrays(w: Writer, body: Body) -> None:
    """Arrays in a dict, in a loop over its keys or items."""
    found = w.arrays(rank=1)
    if not found or not fits(w, 2):
        return
    first, second, name, key = w.pick(found), w.pick(found), w.fresh("parts"), w.fresh("key")
    own = ".copy()" if w.chance(0.6) else ""
    writable = bool(own) or (first.writable and second.writable)
    w.line(f'{name} = {{"u": {first.text}{own}, "v": np.sin({second.text})}}')
    w.line(f"for {key} in {w.pick((name, f'sorted({name})', f'list({name}.keys())'))}:")
    with w.loop(2):
        w.line(f"{name}[{key}] {w.pick(('= 0.1 +', '*=') if writable else ('= 0.1 +',))} {small(w)} * np.cos({name}[{key}])")
        if w.chance(0.3):
            w.line(f"if {condition(w)}:")
            w.line("    " + w.pick((f"{name}[{key}] = {name}[{key}] + {phrase(w)}", "continue", "break")))
    result, value = w.fresh("s"), w.fresh("v")
    w.line(f"{result} = {w.number()} * sum(float(np.sum({value})) for {value} in {name}.values())")
    w.line(f"for {key}, {value} in {name}.items():")
    w.line(f'    {result} = 0.5 * {result} + (1.0 if {key} == "u" else 0.3) * {value}[0]')
    w.line(f"{result} = math.tanh({result})")
    w.add(Variable(result, "float"))
    w.add(Variable(f'{name}["v"]', "array", second.shape, assignable=False))


def records(w: Writer, body: Body) -> None:
    """Pairs in a list: built, unpacked in a loop, the best of them by a key."""
    name, count = w.fresh("pairs"), w.rng.randrange(2, 5)
    if not fits(w, count):
        return
    items = [f"({phrase(w, 1)}, {phrase(w, 0)})" for _ in range(count)]
    maker = w.pick(("", "Pair"))
    w.line(f"{name} = [{', '.join(f'{maker}{item}' for item in items)}]")
    p, q, total = w.fresh("p"), w.fresh("q"), w.fresh("t")
    w.line(f"{total} = 0.0")
    w.line(f"for {p}, {q} in {name}:")
    with w.loop(count):
        w.add(Variable(p, "float"))
        w.add(Variable(q, "float"))
        if w.chance(0.3):
            body(w, 1)
        w.line(f"{total} = {small(w)} * {total} + math.sin({p}) * {q}")
    best = w.fresh("best")
    if w.chance(0.5):
        w.line(f"{best} = {w.pick(('max', 'min'))}({name}, key=lambda pair: pair[0] + {constant(w).text})[1]")
    else:
        w.line(f"{best}, *_ = [q for _, q in {name}]")
    w.add(Variable(total, "float"))
    w.add(Variable(best, "float"))


# --- functions -----------------------------------------------------------------------------------------------------------


def accumulator(w: Writer, body: Body) -> None:
    """A closure that keeps a number of the function around, by nonlocal or in a list."""
    add, total, i, trips = w.fresh("add"), w.fresh("t"), w.fresh("i"), w.rng.randrange(2, 11)
    if w.frame.loops or not fits(w, trips):
        return
    keeps = w.chance(0.5)
    w.line(f"{total} = {phrase(w, 0)}" if keeps else f"{total} = [{phrase(w, 0)}]")
    w.line(f"def {add}(z, k={w.number()}):")
    with w.block():
        if keeps:
            w.line(f"nonlocal {total}")
        place = total if keeps else f"{total}[0]"
        if w.chance(0.5):
            w.line(f"if z > {constant(w).text}:")
            w.line(f"    {place} -= k * math.sin(z)" + ("" if w.chance(0.5) else f"\n{'    ' * w.indent}    return z"))
        w.line(f"{place} = {small(w)} * {place} + k * z")
        w.line(f"return {place} * {small(w)}")
    last = w.fresh("s")
    w.line(f"{last} = 0.0")
    w.line(f"for {i} in range({trips}):")
    with w.loop(trips):
        w.add(Variable(i, "int", low=0, high=trips - 1, assignable=False))
        if w.chance(0.3):
            w.line(f"{place} = {small(w)} * {place} + {phrase(w, 0)}" if w.chance(0.6) else f"{place} = {phrase(w, 1)}")
        w.line(f"{last} = {add}({phrase(w, 1)}" + (f", k={phrase(w, 0, 1.0)})" if w.chance(0.4) else ")"))
    w.add(Variable(last, "float"))
    w.add(Variable(place, "float", assignable=keeps))


def functions_of_functions(w: Writer, body: Body) -> None:
    """Functions that take or give functions: compositions, reduce, map, any and all."""
    name = w.fresh("h")
    arrays = w.arrays(rank=1)
    forms = [
        f"compose(math.sin, lambda z: {small(w)} * z + {phrase(w, 0)})({phrase(w)})",
        f"secant(lambda z: math.cos(z) - {small(w)} * z, {w.number(0.1, 0.4)}, 1.0)",
        f"sum(map(lambda z: math.tanh(z * {phrase(w, 0)}), ({phrase(w, 0)}, {phrase(w, 0)})))",
    ]
    if arrays:
        v = w.pick(arrays).text
        forms += [
            f"reduce(lambda s, z: {small(w)} * s + math.sin(z), {v}, {phrase(w, 0)})",
            f"({phrase(w)} if any(z > {constant(w).text} for z in {v}) else {phrase(w)})",
            f"({phrase(w)} if all(z < {constant(w).text} for z in {v}) else {phrase(w)})",
            f"sum(a * b for a, b in zip({v}, {v}[1:]) if a > {constant(w).text})",
            f"sum(sorted(float(z) for z in {v})[:2])",
        ]
    if not fits(w, 8):
        return
    w.line(f"{name} = math.tanh({w.pick(forms)})")
    w.add(Variable(name, "float"))


def layered_object(w: Writer, body: Body) -> None:
    """A class that inherits, with a property, items and a call, changed in a loop."""
    name, i, trips = w.fresh("stack"), w.fresh("i"), w.rng.randrange(2, 11)
    if not fits(w, trips):
        return
    w.line(f"{name} = {w.pick(('Scaled', 'Shifted'))}([{phrase(w, 0)}, {phrase(w, 0)}, {phrase(w, 0)}], {small(w)})")
    w.line(f"for {i} in range({trips}):")
    with w.loop(trips):
        w.add(Variable(i, "int", low=0, high=trips - 1, assignable=False))
        w.line(w.pick((f"{name}[{i} % 3] = {name}({phrase(w)})", f"{name}.factor = {small(w)} * math.cos({name}({phrase(w, 0)}))",
                       f"{name}[0] += {small(w)} * {name}.mean")))  # fmt: skip
        if w.chance(0.3):
            w.line(f"if {name}.mean > {constant(w).text}:")
            w.line(f"    {name}.factor *= {small(w)}")
    result = w.fresh("s")
    w.line(f"{result} = {name}.mean + math.tanh({name}({phrase(w, 0)}))")
    w.add(Variable(result, "float"))


# --- jumps ---------------------------------------------------------------------------------------------------------------


def search_with_else(w: Writer, body: Body) -> None:
    """A loop with `else`."""
    found = w.arrays(rank=1)
    name, v, i = w.fresh("found"), w.fresh("v"), w.fresh("i")
    if found and w.chance(0.6) and fits(w, w.arrays(rank=1)[0].shape[0]):
        head, item, trips = f"for {v} in {found[0].text}:", v, found[0].shape[0]
    else:
        trips = w.rng.randrange(2, 11)
        if not fits(w, trips):
            return
        head, item = f"for {i} in range({trips}):", f"(0.3 * {i})"
    w.line(head)
    with w.loop(trips):
        w.line(f"if {w.pick(('math.sin', 'math.tanh', ''))}({item} + {phrase(w, 0)}) > {constant(w).text}:")
        w.line(f"    {name} = {small(w)} * {item}")
        w.line("    break")
    w.line("else:")
    w.line(f"    {name} = {phrase(w)}")
    w.add(Variable(name, "float"))


def carried_error(w: Writer, body: Body) -> None:
    """An error raised two calls deep that carries a value; caught in a loop that goes on, or stops."""
    name, i, trips, error = w.fresh("e"), w.fresh("i"), w.rng.randrange(1, 11), w.fresh("error")
    if not fits(w, trips):
        return
    w.line(f"{name} = {phrase(w, 0)}")
    w.line(f"for {i} in range({trips}):")
    with w.loop(trips):
        w.add(Variable(i, "int", low=0, high=trips - 1, assignable=False))
        w.line("try:")
        w.line(f"    {name} = {small(w)} * {name} + checked_twice({phrase(w)}, {w.number(0.2, 1.2)})")
        w.line(f"except Refused as {error}:")
        w.line(f"    {name} = {w.pick((f'{small(w)} * {error}.value', f'{small(w)} * {error}.args[0] - 0.1'))}")
        if w.chance(0.4):
            w.line(f"    {w.pick(('break', 'continue'))}")
        if w.chance(0.3):
            w.line("finally:")
            w.line(f"    {name} -= 0.05")
    w.add(Variable(name, "float"))


IDIOMS: tuple[tuple[Callable[[Writer, Body], None], float], ...] = (
    (rows_of_lists, 1.0),
    (dict_of_arrays, 1.0),
    (records, 0.8),
    (accumulator, 0.8),
    (functions_of_functions, 1.0),
    (layered_object, 0.8),
    (search_with_else, 0.8),
    (carried_error, 0.8),
)
HEADER = '''
class Scaled:
    def __init__(self, values, factor):
        self.values = values
        self.factor = factor

    @property
    def mean(self):
        return sum(self.values) / len(self.values)

    def __getitem__(self, k):
        return self.values[k]

    def __setitem__(self, k, value):
        self.values[k] = math.tanh(value)

    def __call__(self, t):
        return self.factor * t * self[0] + self[-1]


class Shifted(Scaled):
    def __call__(self, t):
        return 0.5 * super().__call__(t) + self.values[1]


class Refused(Exception):
    def __init__(self, value):
        super().__init__(value)
        self.value = value


def checked_once(value, limit):
    if value > limit:
        raise Refused(value - limit)
    return math.sin(value)


def checked_twice(value, limit):
    result = checked_once(0.9 * value, limit)
    return result * checked_once(result, limit + 0.1)


def compose(outer, inner):
    return lambda z: outer(inner(z))


def secant(function, low, high):
    for _ in range(3):
        low, high = high, high - 0.3 * function(high) * (1.0 + 0.1 * low)
    return high


'''
