"""Random idioms with containers that objects and dicts hold: under other names too, tested for identity, emptied and refilled,
left half-written by an early return.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext

from wengert.testing.programs.expressions import condition, constant
from wengert.testing.programs.phrases import Body, fits, phrase, small
from wengert.testing.programs.scope import Variable, Writer


def _maybe_under(w: Writer, line: str, otherwise: str = "") -> None:
    """The line as it is, in a branch, or in a short loop."""
    roll = w.rng.random()
    if roll < 0.35:
        w.line(f"if {condition(w, 0)}:")
        w.line("    " + line)
        if otherwise and w.chance(0.5):
            w.line("else:")
            w.line("    " + otherwise)
    elif roll < 0.6 and fits(w, 3):
        w.line(f"for {w.fresh('i')} in range({w.pick('23')}):")
        w.line("    " + line)
    else:
        w.line(line)


def held_by_objects(w: Writer, body: Body) -> None:
    """An object with an array, a dict and a deque; names for what it holds, written to through both."""
    box, array, table, window = w.fresh("box"), w.fresh("x"), w.fresh("table"), w.fresh("window")
    w.line(
        f"{box} = Box(np.array([{phrase(w, 0)}, 0.4, {w.number()}]), {{'a': {phrase(w, 0)}, 'b': {w.number()}}}, {w.number()})"
    )
    w.line(f"{array}, {table}, {window} = {box}.array, {box}.table, {box}.window")
    moves = (
        f"{box}.array[{w.pick('012')}] += {phrase(w, 0)}",
        f"{array} *= {small(w)}",
        f"{array}[1:] = {box}.array[:-1]",
        f"{box}.array = {small(w)} * {array}",
        f"{box}.table['a'] = {table}['b'] * {small(w)}",
        f"{table}['c'] = {phrase(w, 0)}",
        f"{table}['b'] -= {small(w)} * {box}.table['a']",
        f"{box}.table = {{**{table}, 'a': {w.number()}}}",
        f"{window}.append({phrase(w, 0)})",
        f"{box}.window.appendleft({w.number()})",
        f"{box}.window[0] = {phrase(w, 0)}",
        f"{box}.bump({phrase(w, 0)})",
        f"{box}.total += {array}[0]",
    )
    for move in w.rng.sample(moves, w.rng.randrange(2, 6)):
        _maybe_under(w, move, f"{box}.total *= {small(w)}")
    result = w.fresh("s")
    w.line(f"{result} = math.tanh({box}.total + float(np.sum({array})) - {small(w)} * {box}.array[0] + {table}['a'])")
    w.line(f"{result} += 0.1 * math.tanh(sum({box}.table.values()) + sum({window}) + 0.3 * len({box}.window))")
    if w.chance(0.5):
        w.line(
            f"{result} += 0.2 if {box}.{w.pick(('array is ' + array, 'table is ' + table, 'window is not ' + window))} else 0.05"
        )
    w.add(Variable(result, "float"))


def chosen_numbers(w: Writer, body: Body) -> None:
    """Objects with plain numbers, one of which data chooses, once or in each round of a loop."""
    first, second, best = w.fresh("box"), w.fresh("box"), w.fresh("best")
    for name in (first, second):
        w.line(f"{name} = Box(np.array([{phrase(w, 0)}, {w.number()}]), {{'a': {phrase(w, 0)}}}, {phrase(w, 0)})")
    looped = w.chance(0.4) and fits(w, 3)
    if looped:
        w.line(f"for {w.fresh('i')} in range({w.pick('23')}):")
    with w.loop(3) if looped else nullcontext():
        w.line(f"{best} = {first} if {condition(w, 0)} else {second}")
        moves = (
            f"{best}.total += {phrase(w, 0)}",
            f"{best}.array[0] *= {small(w)}",
            f"{best}.table['a'] = {phrase(w, 0)}",
            f"{best}.bump({phrase(w, 0)})",
            f"{best}.total = {first}.total - {small(w)} * {second}.total",
        )
        for move in w.rng.sample(moves, w.rng.randrange(1, 3)):
            w.line(move)
    result = w.fresh("s")
    w.line(f"{result} = math.tanh({first}.total - {small(w)} * {second}.total + {first}.array[0] * {second}.table['a'])")
    w.add(Variable(result, "float"))


def whole_lists_chosen(w: Writer, body: Body) -> None:
    """One of two lists, or of two lists of lists of any row length, is chosen and written to."""
    xs, ys, one = w.fresh("xs"), w.fresh("ys"), w.fresh("one")
    nested, n = w.chance(0.5), w.rng.randrange(2, 5)

    def items() -> str:
        row = ", ".join(phrase(w, 0) if k < 2 else w.number() for k in range(n))
        return f"[[{row}], [{', '.join(w.number() for _ in range(n))}]]" if nested else f"[{row}]"

    w.line(f"{xs}, {ys} = {items()}, {items()}")
    w.line(f"{one} = {xs} if {condition(w, 0)} else {ys}")
    place = f"[{w.pick('01')}][{w.rng.randrange(n)}]" if nested else f"[{w.rng.randrange(-n, n)}]"
    _maybe_under(w, f"{one}{place} {w.pick(('=', '+=', '*='))} {phrase(w, 0)}")
    if w.chance(0.4):
        w.line(
            f"scale_all({w.pick((one, xs, ys))}, {small(w)})"
            if not nested
            else f"scale_all({w.pick((one, xs))}[0], {small(w)})"
        )
    if w.chance(0.4):
        w.line(f"if {one} is {w.pick((xs, ys))}:")
        w.line(f"    {ys}{place} -= {small(w)}")
    flat = "sum(sum(row) for row in {})" if nested else "sum({})"
    result = w.fresh("s")
    w.line(f"{result} = math.tanh({flat.format(xs)} - {small(w)} * {flat.format(ys)} + 0.3 * {flat.format(one)})")
    w.add(Variable(result, "float"))


def maybe_nothing(w: Writer, body: Body) -> None:
    """A name that holds a list, an array, or None until something is found."""
    found, v, result = w.fresh("found"), w.fresh("v"), w.fresh("s")
    values = f"[{', '.join(phrase(w, 0) for _ in range(w.rng.randrange(2, 5)))}]"
    if not fits(w, 4):
        return
    w.line(f"{found} = None")
    w.line(f"for {v} in {values}:")
    with w.loop(4):
        w.line(f"if {found} is None{w.pick(('', f' or {v} > {constant(w).text}'))}:")
        w.line(f"    {found} = {w.pick((f'[{v}, {w.number()}]', f'np.array([{v}, {w.number()}])', v))}")
        if "[" in w.lines[-1]:
            w.line("else:")
            w.line(f"    {found}[{w.pick('01')}] {w.pick(('+=', '*='))} {small(w)} * math.tanh({v})")
        held = "[" in w.lines[-1] or "array" in w.lines[-1]
    first = f"{found}[0] - {small(w)} * {found}[1]" if held else found
    w.line(f"{result} = math.tanh({first}) if {found} is not None else {phrase(w, 0)}")
    w.add(Variable(result, "float"))


def same_arrays(w: Writer, body: Body) -> None:
    """Arrays under two names, rebound in branches, and asked whether they are one."""
    a, b, result = w.fresh("a"), w.fresh("b"), w.fresh("s")
    w.line(f"{a} = np.array([{phrase(w, 0)}, {phrase(w, 0)}, {w.number()}])")
    w.line(f"{b} = {a}{w.pick(('', '', '.copy()', '[:]'))}")
    moves = (
        f"{a} = {a} + {phrase(w, 0)}",
        f"{a} += {phrase(w, 0)}",
        f"{b}[0] = {phrase(w, 0)}",
        f"{b} = {a}",
        f"{a}[1:] *= {small(w)}",
        f"{a}, {b} = {b}, {a}",
    )
    for move in w.rng.sample(moves, w.rng.randrange(1, 4)):
        _maybe_under(w, move)
    w.line(f"{result} = math.tanh(float(np.sum({a})) - {small(w)} * {b}[0] + {b}[1])")
    if w.chance(0.6):
        w.line(f"{result} *= {small(w)} if {a} is {b} else {small(w)}")
    w.add(Variable(result, "float"))


def removed_items(w: Writer, body: Body) -> None:
    """`remove`, `index`, `count`, `del` and `clear` on lists, by values that stand in them."""
    items, result = w.fresh("items"), w.fresh("s")
    w.line(f"{items} = [{phrase(w, 0)}, {w.number()}, {phrase(w, 0)}, {w.number()}]")
    moves = (
        f"{items}.remove({items}[{w.pick('012')}])",
        f"del {items}[{w.pick(('0', '-1', '1:2'))}]",
        f"{items}.append({items}[0])",
        f"{items}[0] += 0.1 * {items}.index({items}[-1])",
        f"{items}[-1] -= 0.1 * {items}.count({items}[0])",
        f"{items}[:] = [{small(w)} * v for v in {items}]",
        f"{items} = {items} * 2",
    )
    for move in w.rng.sample(moves, w.rng.randrange(1, 4)):
        w.line(f"if len({items}) > 2{w.pick(('', f' and {condition(w, 0)}'))}:")
        w.line("    " + move)
    w.line(f"{result} = math.tanh(sum({items}) + 0.2 * len({items}) - {items}[-1])")
    w.add(Variable(result, "float"))


def streams(w: Writer, body: Body) -> None:
    """Generator functions over a list that is written to while they run, a heap of pairs, counts of words."""
    result, items = w.fresh("s"), w.fresh("items")
    if not fits(w, 6):
        return
    w.line(f"{items} = [{phrase(w, 0)}, {phrase(w, 0)}, {w.number()}]")
    roll = w.rng.random()
    if roll < 0.35:
        v = w.fresh("v")
        w.line(f"{result} = 0.0")
        w.line(f"for {v} in running({items}, {small(w)}):")
        with w.loop(4):
            w.line(f"{result} = {small(w)} * {result} + {v}")
            w.line(
                w.pick(
                    (
                        f"{items}[-1] += {small(w)}",
                        f"{items}[0] = {v}",
                        f"if {v} > {constant(w).text}:\n{'    ' * (w.indent + 1)}break",
                    )
                )
            )
        w.line(f"{result} = math.tanh({result} + sum({items}))")
    elif roll < 0.6:
        heap = w.fresh("heap")
        w.line(f"{heap} = [({items}[0], {w.pick('01')}), ({items}[1], 2)]")
        w.line(f"heapq.heapify({heap})")
        w.line(f"heapq.heappush({heap}, ({items}[2], 3))")
        w.line(f"{result} = math.tanh(heapq.heappop({heap})[0] - {small(w)} * {heap}[0][0] + 0.1 * {heap}[0][1])")
    elif roll < 0.8:
        w.line(f"{result} = math.tanh(first_above({items}, {constant(w).text}) + {items}[{w.pick('012')}])")
    else:
        w.line(f"{result} = {small(w)} * Counter('{w.pick(('abca', 'abc', 'aab'))}')['a'] + math.tanh(sum({items}))")
    w.add(Variable(result, "float"))


IDIOMS: tuple[tuple[Callable[[Writer, Body], None], float], ...] = (
    (held_by_objects, 0.5),
    (chosen_numbers, 0.25),
    (whole_lists_chosen, 0.4),
    (maybe_nothing, 0.4),
    (same_arrays, 0.4),
    (removed_items, 0.4),
    (streams, 0.5),
)
HEADER = """
class Box:
    def __init__(self, array, table, total):
        self.array = array
        self.table = table
        self.total = total
        self.window = deque([total, 0.5], maxlen=3)

    def bump(self, z):
        self.total = 0.5 * self.total + z
        self.window.append(self.total)
        self.table["a"] -= 0.1 * z
        return self


def scale_all(row, factor):
    for k in range(len(row)):
        row[k] *= factor


def running(items, factor):
    total = 0.0
    for k in range(len(items)):
        total = factor * total + items[k]
        yield total
        items[k] += 0.1 * total


def first_above(items, limit):
    try:
        for k in range(len(items)):
            items[k] += 0.3
            try:
                if items[k] > limit:
                    return items[k] * 0.5
            finally:
                items[0] -= 0.1
        return 0.2
    finally:
        items[-1] *= 0.7


"""
