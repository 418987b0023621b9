"""Random idioms with lists that several names hold: rows that are chosen, swapped and written to, closures, lists that are read
while they change, queues, recursion that fills a list.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext

from wengert.testing.programs.expressions import condition, constant
from wengert.testing.programs.phrases import Body, fits, phrase, small
from wengert.testing.programs.scope import Variable, Writer

# --- rows with several names ---------------------------------------------------------------------------------------------


class _Rows:
    """Moves on lists of rows of two numbers, which share rows with each other and with names.

    Attributes:
        w: where they are written.
        lists: names of lists of three rows.
        names: names of rows.
        holder: an object whose attribute `row` is a row.
        place: an integer variable from -3 to 2.
        indices: loop variables in sight.
    """

    def __init__(self, w: Writer) -> None:
        self.w = w
        self.lists = [w.fresh("rows"), w.fresh("rows")]
        self.names = [w.fresh("row"), w.fresh("row"), w.fresh("row")]
        self.holder, self.place, self.setter, self.reader = w.fresh("holder"), w.fresh("place"), w.fresh("put"), w.fresh("seen")
        self.indices: list[str] = []

    def start(self) -> None:
        """Write what makes them."""
        w, (first, second), (a, b, c) = self.w, self.lists, self.names
        w.line(f"{first} = [[{phrase(w, 0)}, {phrase(w, 0)}], [{phrase(w, 0)}, {w.number()}], [{w.number()}, {phrase(w, 0)}]]")
        w.line(f"{second} = [{first}[2], [{phrase(w, 0)}, {w.number()}], {first}[{w.pick('01')}]]")
        w.line(f"{a}, {b}, {c}, {self.place} = {first}[0], {second}[1], [{phrase(w, 0)}, {w.number()}], {w.pick('012')}")
        w.line(f"{self.holder} = Holder({w.pick((a, b, c))})")
        w.line(f"def {self.setter}(row, value):")
        w.line(f"    row[{w.pick('01')}] = value")
        w.line(f"    {a}[1] += {small(w)}")
        w.line(f"{self.reader} = lambda: {b}[0] + {small(w)} * {c}[1]")

    def index(self) -> str:
        w = self.w
        forms = [w.pick("012"), f"-{w.pick('123')}", self.place, self.place]
        forms += [f"({name} + {w.pick('012')}) % 3" for name in self.indices] * 2
        if w.chance(0.3):
            return f"int({phrase(w, 0)} > {constant(w).text}) + int({phrase(w, 0)} > {constant(w).text})"
        return w.pick(forms)

    def row(self) -> str:
        w = self.w
        return w.pick(
            (
                w.pick(self.names),
                f"{self.lists[0]}[{self.index()}]",
                f"{w.pick(self.lists)}[{self.index()}]",
                f"{self.holder}.row",
            )
        )

    def value(self) -> str:
        w = self.w
        return w.pick(
            (
                f"{self.reader}()",
                phrase(w, 0),
                f"{self.row()}[{w.pick('01')}]",
                f"{small(w)} * {self.row()}[{w.pick('01')}]",
                w.number(),
            )
        )

    def test(self) -> str:
        w, roll = self.w, self.w.rng.random()
        if roll < 0.5:
            return condition(w, 0)
        if roll < 0.75:
            return f"{self.row()}[{w.pick('01')}] > {constant(w).text}"
        return f"{self.row()} {w.pick(('is', 'is', 'is not', '=='))} {self.row()}"

    def move(self, depth: int) -> None:
        """Write one statement."""
        w, roll = self.w, self.w.rng.random()
        first, second = w.pick(self.lists), w.pick(self.lists)
        if depth and roll < 0.16:
            w.line(f"if {self.test()}:")
            self.block(depth)
            if w.chance(0.6):
                w.line("else:")
                self.block(depth)
        elif depth and roll < 0.28 and fits(w, 10):
            self.loop(depth)
        elif roll < 0.48:
            w.line(f"{self.row()}[{w.pick(('0', '1', '-1'))}] {w.pick(('=', '=', '+=', '*='))} {self.value()}")
        elif roll < 0.58:
            w.line(f"{w.pick(self.names)} = {self.row()}")
        elif roll < 0.62:
            w.line(f"{self.holder}.row = {self.row()}")
        elif roll < 0.68:
            w.line(f"{self.place} = {self.index()}")
        elif roll < 0.76:
            i, j = self.index(), self.index()
            w.line(f"{first}[{i}], {second}[{j}] = {second}[{j}], {first}[{i}]")
        elif roll < 0.81:
            w.line(f"{first}[{self.index()}] = {self.row()}")
        elif roll < 0.84:
            w.line(f"{w.pick(self.names)} = {self.row()} if {self.test()} else {self.row()}")
        elif roll < 0.86:
            w.line(f"{w.pick(self.names)} = {w.pick(('min', 'max'))}({first}, key=lambda row: row[{w.pick('01')}])")
        elif roll < 0.91:
            name = w.pick(self.names)
            also = w.pick((w.pick(self.names), f"{first}[{self.index()}]", f"{self.holder}.row"))
            w.line(
                f"{name} = {also} = [{self.value()}, {self.value()}]"
                if w.chance(0.6)
                else f"{name} = [{self.value()}, {self.value()}]"
            )
        elif roll < 0.95:
            w.line(f"{self.setter}({self.row()}, {self.value()})")
        else:
            a, b = self.lists
            forms = (f"{a}[:]", f"[{a}[1], {a}[0], {a}[2]]", a, f"list({a})", f"[row[:] for row in {b}]", f"{b}[::-1]")
            w.line(f"{b} = {w.pick(forms)}")

    def block(self, depth: int) -> None:
        with self.w.block():
            for _ in range(self.w.rng.randrange(1, 4)):
                self.move(depth - 1)

    def loop(self, depth: int) -> None:
        w, i, roll = self.w, self.w.fresh("i"), self.w.rng.random()
        trips = 3 if roll < 0.4 else w.pick((3, 10))
        item = w.fresh("row")
        counts = [v for v in w.ints() if v.high is not None and v.high <= 11 and v.low >= 0]
        if roll < 0.4:
            w.line(f"for {i}, {item} in enumerate({w.pick(self.lists)}):")
        else:
            w.line(f"for {i} in range({w.pick(counts).text if counts and w.chance(0.5) else trips}):")
        self.indices.append(i)
        with w.loop(11):
            if roll < 0.4:
                w.line(f"{item}[0] = {small(w)} * {item}[0] + {self.value()}")
            for _ in range(w.rng.randrange(1, 4)):
                self.move(depth - 1)
            if w.chance(0.2):
                w.line(f"if {self.test()}:")
                w.line("    " + w.pick(("break", "continue")))
        self.indices.pop()


def shared_rows(w: Writer, body: Body) -> None:
    """Lists of rows that have rows in common, names of rows, an object that holds one, functions that see them."""
    if w.frame.trips > 3 or w.frame.loops > 1:
        return
    rows, total, row, k = _Rows(w), w.fresh("t"), w.fresh("row"), w.fresh("k")
    rows.start()
    for _ in range(w.rng.randrange(2, 7)):
        rows.move(2)
    w.line(f"{total} = 0.0")
    everything = ", ".join((*(f"*{name}" for name in rows.lists), *rows.names, f"{rows.holder}.row"))
    w.line(f"for {k}, {row} in enumerate([{everything}]):")
    w.line(f"    {total} = {total} + 0.1 * ({k} + 1.0) * math.tanh({row}[0]) - 0.05 * ({k} + 0.5) * math.sin({row}[1])")
    w.add(Variable(total, "float"))


def chosen_objects(w: Writer, body: Body) -> None:
    """An object that data chooses is changed, and seen by its other names."""
    first, second, best = w.fresh("holder"), w.fresh("holder"), w.fresh("best")
    w.line(f"{first}, {second} = Holder([{phrase(w, 0)}, 1.0]), Holder([{phrase(w, 0)}, 0.5])")
    forms = (
        f"{first} if {condition(w)} else {second}",
        f"max(({first}, {second}), key=lambda h: h.row[0])",
        f"[{first}, {second}][{w.pick('01')}]",
    )
    w.line(f"{best} = {w.pick(forms)}")
    w.line(f"{best}.row[{w.pick('01')}] += {phrase(w, 0)}")
    if w.chance(0.5):
        w.line(f"{best}.row = [{small(w)} * {first}.row[0], {second}.row[1]]")
    if w.chance(0.3):
        w.line(f"if {best} is {first}:")
        w.line(f"    {second}.row[0] *= {small(w)}")
    result = w.fresh("s")
    w.line(f"{result} = math.tanh({first}.row[0] + {small(w)} * {second}.row[0] * {first}.row[1] - {second}.row[1])")
    w.add(Variable(result, "float"))


# --- lists that change while they are read -------------------------------------------------------------------------------


def read_while_written(w: Writer, body: Body) -> None:
    """A loop over a list that grows, shrinks or is written to in it."""
    name, v, total, i = w.fresh("items"), w.fresh("v"), w.fresh("t"), w.fresh("i")
    count = w.rng.randrange(2, 6)
    if not fits(w, 2 * count):
        return
    w.line(f"{name} = [{', '.join(phrase(w, 0) for _ in range(count))}]")
    w.line(f"{total} = {phrase(w, 0)}")
    form = w.pick(("enumerate({})", "enumerate({})", "enumerate(reversed({}))", "enumerate(zip({}, {}[1:]))")).replace("{}", name)
    pair = "zip" in form
    w.line(f"for {i}, {v} in {form}:" if not pair else f"for {i}, ({v}, {w.fresh('z')}) in {form}:")
    with w.loop(2 * count):
        w.line(f"{total} = {small(w)} * {total} + {v}")
        moves = [f"{name}[{i}] = {phrase(w, 0)}", f"{name}[-1] *= {small(w)}", f"{name}[{i} // 2] += {total}"]
        if "reversed" not in form:
            moves += [f"if len({name}) < {2 * count}:\n{'    ' * (w.indent + 1)}{name}.append({small(w)} * {v})"]
        line = w.pick(moves)
        if w.chance(0.4) and not line.startswith("if"):
            w.line(f"if {condition(w)}:")
            w.line("    " + line)
        else:
            w.line(line)
    w.line(f"{total} = math.tanh({total} + {small(w)} * sum({name}))")
    w.add(Variable(total, "float"))


def list_methods(w: Writer, body: Body) -> None:
    """A list under the methods of lists, seen by a second name, in branches and outside."""
    name, other = w.fresh("items"), w.fresh("items")
    count = w.rng.randrange(3, 6)
    w.line(f"{name} = [{', '.join(phrase(w, 0) for _ in range(count))}]")
    w.line(f"{other} = {name}" if w.chance(0.7) else f"{other} = {name}[:]")
    for _ in range(w.rng.randrange(1, 5)):
        move = w.pick(
            (
                f"{name}.append({phrase(w, 0)})",
                f"{other}.append({phrase(w, 0)})",
                f"{name}.insert({w.pick('012')}, {phrase(w, 0)})",
                f"{name}.extend([{phrase(w, 0)}, {w.number()}])",
                f"{name}.reverse()",
                f"{other}.sort()",
                f"{name}[0] = {phrase(w, 0)}",
                f"{name}[1:2] = [{phrase(w, 0)}, {w.number()}]",
                f"{other}.pop()",
                f"{name} += [{phrase(w, 0)}]",
                f"{name} = {name} + [1.0]",
                f"{name}[-1] = {other}[0] * {small(w)}",
                f"{other}[1:] = {name}[:-1]",
            )
        )
        guard = f"if len({name}) > 2 and len({other}) > 2" + (f" and {condition(w, 0)}:" if w.chance(0.3) else ":")
        w.line(guard)
        w.line("    " + move)
    result = w.fresh("s")
    w.line(f"{result} = math.tanh(sum({name}) - {small(w)} * {other}[-1] + 0.1 * len({other}) + {name}[0])")
    w.add(Variable(result, "float"))


def queues(w: Writer, body: Body) -> None:
    """A heap, a sorted list, a window with a bound, or counts by key."""
    name, total, i = w.fresh("queue"), w.fresh("t"), w.fresh("i")
    count = w.rng.randrange(3, 6)
    if not fits(w, count):
        return
    values = f"[{', '.join(phrase(w, 0) for _ in range(count))}]"
    roll = w.rng.random()
    if roll < 0.35:
        w.line(f"{name} = []")
        w.line(f"for {i} in {values}:")
        w.line(f"    heapq.heappush({name}, {i})")
        w.line(f"{total} = heapq.heappop({name}) + {small(w)} * heapq.heappop({name})")
        w.line(f"{total} += {small(w)} * heapq.heappushpop({name}, {phrase(w, 0)}) - {name}[0]")
    elif roll < 0.6:
        w.line(
            f"{name} = sorted({values}"
            + (", key=lambda z: -z)" if w.chance(0.3) else ", reverse=True)" if w.chance(0.3) else ")")
        )
        w.line(f"{total} = {name}[0] - {small(w)} * {name}[{w.pick(('1', '-1'))}]")
        if "key" not in w.lines[-2] and "reverse" not in w.lines[-2]:
            w.line(f"{total} += 0.1 * bisect.{w.pick(('bisect', 'bisect_left'))}({name}, {constant(w).text})")
    elif roll < 0.8:
        w.line(f"{name} = deque(maxlen={w.rng.randrange(1, 4)})")
        w.line(f"for {i} in {values}:")
        with w.block():
            w.line(f"{name}.{w.pick(('append', 'append', 'appendleft'))}({i})")
            if w.chance(0.4):
                w.line(f"{name}[0] *= {small(w)}")
        w.line(f"{total} = sum({name}) - {small(w)} * {name}[-1]")
    else:
        w.line(f"{name} = defaultdict({w.pick(('float', 'lambda: 0.5'))})")
        w.line(f"for {i}, v in enumerate({values}):")
        w.line(f"    {name}[{w.pick((f'{i} % 2', f'chr(97 + {i} % 3)'))}] += v")
        w.line(f"{total} = sum({small(w)} * v for v in {name}.values()) + len({name})")
    w.line(f"{total} = math.tanh({total})")
    w.add(Variable(total, "float"))


def chains(w: Writer, body: Body) -> None:
    """Iterators of the standard library, put together."""
    name, values = w.fresh("s"), f"[{', '.join(phrase(w, 0) for _ in range(w.rng.randrange(2, 5)))}]"
    if not fits(w, 8):
        return
    forms = (
        f"list(itertools.accumulate({values}))[-1]",
        f"sum(itertools.accumulate({values}, lambda s, z: {small(w)} * s + math.sin(z)))",
        f"sum((b - a) ** 2 for a, b in itertools.pairwise({values}))",
        f"sum({small(w)} * z for z in itertools.chain({values}, ({phrase(w, 0)},)))",
        f"sum(a * b for a, b in itertools.product({values}, ({w.number()}, {phrase(w, 0)})))",
        f"sum(a * b for a, b in itertools.combinations({values}, 2))",
        f"sum(a - {small(w)} * b for a, b in zip({values}, itertools.cycle((1.0, {phrase(w, 0)}))))",
        f"sum(itertools.islice({values}, 1, None))",
    )
    w.line(f"{name} = math.tanh({w.pick(forms)})")
    w.add(Variable(name, "float"))


# --- functions that see lists --------------------------------------------------------------------------------------------


def late_bindings(w: Writer, body: Body) -> None:
    """Functions made in a loop, with and without defaults, and generators over a list that changes before they run."""
    name, i, items, result = w.fresh("functions"), w.fresh("i"), w.fresh("items"), w.fresh("s")
    if not fits(w, 3):
        return
    w.line(f"{items} = [{phrase(w, 0)}, {phrase(w, 0)}, {phrase(w, 0)}]")
    default = w.pick(("", f"{i}={i}, ", f"{i}={i}, kept={items}[0], "))
    inside = w.pick((f"{items}[{i}]", f"{items}[{i} - 1]")) + (" * kept" if "kept" in default else "")
    w.line(f"{name} = [lambda {default}z=1.0: {small(w)} * z + {inside} for {i} in range(3)]")
    stream = w.fresh("stream")
    lazy = w.chance(0.5)
    if lazy:
        w.line(f"{stream} = (math.sin(v) for v in {items})")
    w.line(f"{items}[{w.pick('012')}] = {phrase(w, 0)}")
    if w.chance(0.4):
        w.line(f"if {condition(w)}:")
        w.line("    " + w.pick((f"{items}[1] += {w.number()}", f"{items}.append({phrase(w, 0)})")))
    w.line(f"{result} = sum(f() for f in {name})" + (f" + sum({stream})" if lazy else f" - {items}[0]"))
    w.line(f"{result} = math.tanh({result})")
    w.add(Variable(result, "float"))


def writes_outside(w: Writer, body: Body) -> None:
    """A function inside that rebinds and writes to names around it; it is called in branches and loops."""
    change, total, items, i = w.fresh("change"), w.fresh("t"), w.fresh("items"), w.fresh("i")
    if w.frame.loops or not fits(w, 4):
        return
    w.line(f"{total}, {items} = {phrase(w, 0)}, [{phrase(w, 0)}, {w.number()}]")
    w.line(f"def {change}(z):")
    with w.block():
        w.line(f"nonlocal {total}, {items}")
        w.line(f"{total} = {small(w)} * {total} + z")
        w.line(w.pick((f"{items}[0] -= {small(w)} * z", f"{items} = [z, {items}[0]]", f"{items}[:] = {items}[::-1]")))
        if w.chance(0.4):
            w.line(f"if {items}[0] > {constant(w).text}:")
            w.line(f"    {items} = [{items}[1], z]")
    trips = w.rng.randrange(2, 5)
    old = w.fresh("items")
    w.line(f"{old} = {items}")
    w.line(f"for {i} in range({trips}):" if w.chance(0.6) else f"if {condition(w)}:")
    with w.loop(trips) if w.lines[-1].startswith("    " * w.indent + "for") else w.block():
        w.line(f"{change}({phrase(w, 0)} + {items}[1])")
        if w.chance(0.4):
            w.line(f"{items}[1] = {small(w)} * {total}")
    result = w.fresh("s")
    w.line(
        f"{result} = math.tanh({total} + {items}[0] - {small(w)} * {items}[1] + {old}[0] + (0.3 if {old} is {items} else 0.0))"
    )
    w.add(Variable(result, "float"))


def half_written(w: Writer, body: Body) -> None:
    """A loop that writes to a list until an error, which leaves it as far as it came."""
    items, i, result = w.fresh("items"), w.fresh("i"), w.fresh("s")
    count = w.rng.randrange(2, 5)
    if not fits(w, count):
        return
    w.line(f"{items} = [{w.number()}] * {count}")
    w.line("try:")
    with w.block():
        w.line(f"for {i} in range({count}):")
        with w.loop(count):
            w.line(f"{items}[{i}] = {small(w)} * {items}[{i} - 1] + {phrase(w, 0)}")
            w.line(f"if {items}[{i}] > {constant(w).text}:")
            w.line(f"    raise Refused({items}[{i}])")
            w.line(f"{items}[-1] += {small(w)}")
    w.line("except Refused as refused:")
    w.line(f"    {items}.append({small(w)} * refused.value)")
    if w.chance(0.5):
        w.line("else:")
        w.line(f"    {items}[0] *= {small(w)}")
    if w.chance(0.4):
        w.line("finally:")
        w.line(f"    {items}[1] -= 0.1")
    w.line(f"{result} = math.tanh(sum({items}) + 0.2 * len({items}))")
    w.add(Variable(result, "float"))


def recursive_fill(w: Writer, body: Body) -> None:
    """Recursion that writes to or fills a list it is given, or gives one back."""
    items, result = w.fresh("items"), w.fresh("s")
    if not fits(w, 8):
        return
    w.line(f"{items} = [{phrase(w, 0)}, {phrase(w, 0)}, {phrase(w, 0)}, {w.number()}]")
    forms = (
        f"halves({items}, 0, {w.pick('234')})",
        f"sum(quick({items}))",
        f"quick({items})[{w.pick(('0', '1', '-1'))}]",
        f"sum(z * (k + 1) for k, z in enumerate(collected({items}, {w.pick('0123')}, [])))",
    )
    w.line(f"{result} = math.tanh({w.pick(forms)} + {small(w)} * {items}[0])")
    w.add(Variable(result, "float"))


def views_in_lists(w: Writer, body: Body) -> None:
    """Views of an array held in a list, written to through its items."""
    base, parts, i = w.fresh("base"), w.fresh("parts"), w.fresh("i")
    n = w.rng.randrange(4, 7)
    if not fits(w, 3):
        return
    w.line(f"{base} = np.array([{', '.join(phrase(w, 0) for _ in range(n))}])")
    w.line(
        f"{parts} = [{base}[:2], {base}[1:3], {base}[::-1][:2]]"
        if w.chance(0.6)
        else f"{parts} = [{base}[k : k + 2] for k in range(3)]"
    )
    w.line(f"for {i} in range(3):" if w.chance(0.5) else f"{i} = {w.pick('012')}")
    with w.loop(3) if "for" in w.lines[-1] else nullcontext():
        moves = (
            f"{parts}[{i}][0] += {phrase(w, 0)}",
            f"{parts}[{i}] *= {small(w)}",
            f"{parts}[{i}][:] = {parts}[{i} - 1] + {small(w)}",
        )
        w.line(w.pick(moves))
        if w.chance(0.3):
            w.line(f"{parts}[{i}], {parts}[0] = {parts}[0], {parts}[{i}]")
    result = w.fresh("s")
    w.line(f"{result} = math.tanh(float(np.sum({base})) + {small(w)} * {parts}[0][0] - {parts}[-1][1])")
    w.add(Variable(result, "float"))


IDIOMS: tuple[tuple[Callable[[Writer, Body], None], float], ...] = (
    (shared_rows, 1.6),
    (chosen_objects, 0.5),
    (read_while_written, 0.7),
    (list_methods, 0.8),
    (queues, 0.8),
    (chains, 0.6),
    (late_bindings, 0.7),
    (writes_outside, 0.7),
    (half_written, 0.6),
    (recursive_fill, 0.6),
    (views_in_lists, 0.6),
)
HEADER = """
class Holder:
    def __init__(self, row):
        self.row = row


def halves(items, low, high):
    if high - low < 2:
        items[low] *= 0.5
        return math.sin(items[low])
    middle = (low + high) // 2
    return halves(items, low, middle) + 0.7 * halves(items, middle, high)


def quick(items):
    if len(items) < 2:
        return list(items)
    first, *rest = items
    return quick([z for z in rest if z < first]) + [first] + quick([z for z in rest if z >= first])


def collected(items, k, found):
    if k >= len(items):
        return found
    found.append(items[k] * 0.5 + len(found))
    return collected(items, k + 1, found)


"""
