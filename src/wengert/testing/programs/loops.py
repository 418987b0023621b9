"""Random loops: over ranges, arrays and lists, nested, data-dependent but bounded, left early."""

from __future__ import annotations

from collections.abc import Callable

from wengert.testing.programs.expressions import condition, scalar, tame
from wengert.testing.programs.scope import Variable, Writer, bare

_MOST_TRIPS = 60
_MOST_LOOPS = 3

Body = Callable[[Writer, int], None]


def for_loop(w: Writer, body: Body) -> None:
    """A `for` of one of many forms."""
    if w.frame.loops >= _MOST_LOOPS:
        return
    counted = (_short_range, _long_range, _range_of_int, _range_of_length)
    form = w.pick((*counted, _over_array, _enumerated, _zipped, _items, _over_list))
    head, variables, trips = form(w)
    if w.frame.trips * trips > _MOST_TRIPS:
        head, variables, trips = _short_range(w, 3)
        if w.frame.trips * trips > 2 * _MOST_TRIPS:
            return
    w.line(f"for {head}:")
    with w.loop(trips):
        for variable in variables:
            w.add(variable)
        body(w, w.rng.randrange(1, 4))


Form = tuple[str, list[Variable], int]


def _count(w: Writer, first: int, last: int) -> list[Variable]:
    return [Variable(w.fresh("i"), "int", low=first, high=last, assignable=False)]


def _short_range(w: Writer, most: int = 6) -> Form:
    count = w.rng.randrange(0 if w.chance(0.1) else 1, most + 1)
    names = _count(w, 0, max(count - 1, 0))
    return f"{names[0].text} in range({count})", names, count


def _long_range(w: Writer) -> Form:
    count = w.rng.randrange(9, 16)
    names = _count(w, 0, count - 1)
    return f"{names[0].text} in range({count})", names, count


def _range_of_int(w: Writer) -> Form:
    """A range up to an int argument or the variable of a loop around."""
    found = [v for v in w.ints() if v.high is not None and v.low >= 0 and v.high <= 12]
    if not found:
        return _long_range(w)
    v = w.pick(found)
    top = v.high or 0
    forms = [
        (f"range({v.text})", 0, max(top - 1, 0), top),
        (f"range({v.text} + 1)", 0, top, top + 1),
        (f"range(1, {v.text})", 1, max(top - 1, 1), max(top - 1, 0)),
        (f"range({v.text} - 1, -1, -1)", 0, max(top - 1, 0), top),
        (f"range(0, {v.text}, 2)", 0, max(top - 1, 0), (top + 1) // 2),
    ]
    text, low, high, trips = w.pick(forms)
    names = _count(w, low, high)
    return f"{names[0].text} in {text}", names, trips


def _range_of_length(w: Writer) -> Form:
    arrays = w.arrays()
    if not arrays:
        return _short_range(w)
    v = w.pick(arrays)
    size = v.shape[0]
    length = f"len({v.text})" if w.chance(0.6) else f"{v.text}.shape[0]"
    forms = [
        (f"range({length})", 0, size - 1, size),
        (f"range(1, {length})", 1, max(size - 1, 1), size - 1),
        (f"range({length} - 1)", 0, max(size - 2, 0), size - 1),
        (f"range(1, {length} - 1)", 1, max(size - 2, 1), max(size - 2, 0)),
        (f"range({length} - 1, 0, -1)", 1, max(size - 1, 1), size - 1),
        (f"range({length} - 2, -1, -1)", 0, max(size - 2, 0), size - 1),
    ]
    text, low, high, trips = w.pick(forms)
    names = _count(w, low, high)
    return f"{names[0].text} in {text}", names, trips


def _item(w: Writer, array: Variable) -> Variable:
    """What iterating over an array gives: floats, or rows that are views."""
    if len(array.shape) == 1:
        return Variable(w.fresh("e"), "float")
    return Variable(w.fresh("row"), "array", array.shape[1:], writable=array.writable)


def _over_array(w: Writer) -> Form:
    if not w.arrays():
        return _short_range(w)
    array = w.pick(w.arrays())
    item = _item(w, array)
    suffix = w.pick(("", "", "[1:]", "[::-1]"))
    return f"{item.text} in {array.text}{suffix}", [item], array.shape[0]


def _enumerated(w: Writer) -> Form:
    if not w.arrays():
        return _short_range(w)
    array = w.pick(w.arrays())
    item, count = _item(w, array), _count(w, 0, array.shape[0] - 1)
    return f"{count[0].text}, {item.text} in enumerate({array.text})", [*count, item], array.shape[0]


def _zipped(w: Writer) -> Form:
    arrays = w.arrays()
    if len(arrays) < 2:
        return _enumerated(w)
    first, second = w.rng.sample(arrays, 2)
    items = [_item(w, first), _item(w, second)]
    trips = min(first.shape[0], second.shape[0])
    return f"{items[0].text}, {items[1].text} in zip({first.text}, {second.text})", items, trips


def _over_list(w: Writer) -> Form:
    """A list of floats: its items, or its positions."""
    lists = [v for v in w.variables if v.kind == "list"]
    if not lists:
        return _over_array(w)
    v, item = w.pick(lists), Variable(w.fresh("e"), "float")
    size = v.shape[0]
    if w.chance(0.3):
        return f"{item.text} in {v.text}", [item], size
    count = _count(w, 0, size - 1)
    if w.chance(0.5):
        return f"{count[0].text}, {item.text} in enumerate({v.text})", [*count, item], size
    return f"{count[0].text} in range(len({v.text}))", [*count, Variable(f"{v.text}[{count[0].text}]", "float")], size


def _items(w: Writer) -> Form:
    """A literal tuple of floats."""
    name = w.fresh("e")
    texts = [bare(tame(w, scalar(w, 1), 3.0).text) for _ in range(w.rng.randrange(1, 4))]
    return f"{name} in ({', '.join(texts)},)", [Variable(name, "float")], len(texts)


# --- while and jumps -------------------------------------------------------------------------------------------------


def while_loop(w: Writer, body: Body) -> None:
    """A `while` with a test on floats and a counter that bounds it."""
    floats = [v for v in w.floats() if v.assignable and v.text.isidentifier()]
    trips = w.rng.randrange(3, 12)
    if w.frame.loops >= _MOST_LOOPS or w.frame.trips * trips > _MOST_TRIPS or not floats:
        return
    counter, moving = w.fresh("k"), w.pick(floats)
    w.line(f"{counter} = 0")
    endless = w.chance(0.2)
    test = f"{moving.text} {w.pick('<>')} {w.number(-0.5, 0.5)}"
    if endless:
        w.line("while True:")
    elif w.chance(0.7):
        w.line(f"while {test} and {counter} < {trips}:")
    else:
        w.line(f"while {counter} < {trips} and ({condition(w)}):")
    with w.loop(trips):
        w.add(Variable(counter, "int", low=0, high=trips, assignable=False))
        w.line(f"{counter} += 1")
        if endless:
            w.line(f"if {counter} >= {trips} or {test}:")
            w.line("    break")
        body(w, w.rng.randrange(1, 3))
        drift = w.pick((f"{w.number(0.6, 0.9)} * {moving.text} - {w.number(0.1, 0.4)}",
                        f"{w.number(0.6, 0.9)} * {moving.text} + {w.number(0.1, 0.4)}"))
        w.line(f"{moving.text} = {drift}")
    w.add(Variable(counter, "int", low=0, high=trips, assignable=False))


def jump(w: Writer, give_back: Callable[[Writer], None]) -> None:
    """A `break`, `continue` or `return` under a test."""
    w.line(f"if {condition(w)}:")
    with w.block():
        if w.chance(0.3) and w.floats():
            names = [v.text for v in w.floats() if v.assignable]
            if names:
                w.line(f"{w.pick(names)} *= {w.number(0.5, 0.9)}")
        if w.frame.may_return and w.chance(0.15):
            give_back(w)
        else:
            w.line(w.pick(("break", "continue", "break")))
