"""Random statements: assignments, stores into arrays and containers, branches, loops, jumps, local functions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from wengert.testing.programs import idioms, idioms_held, idioms_nested, idioms_numpy, idioms_shared
from wengert.testing.programs.expressions import (
    array,
    array_leaf,
    call,
    condition,
    element,
    integer,
    new_array,
    part_of,
    scalar,
    size_text,
    tame,
    writable_view,
)
from wengert.testing.programs.loops import for_loop, jump, while_loop
from wengert.testing.programs.scope import Frame, Helper, Shape, Variable, Writer, bare

_SMALL = 3.0


def statements(w: Writer, count: int) -> None:
    """Write about this many statements, while the program's budget lasts."""
    for _ in range(count):
        if w.budget <= 0:
            return
        w.budget -= 1
        w.rng.choices(_KINDS, _WEIGHTS)[0](w)


def scope_shapes(w: Writer) -> list[Shape]:
    """Shapes that arrays in sight have; one at least."""
    return [v.shape for v in w.arrays()] or [(4,)]


# --- scalars ---------------------------------------------------------------------------------------------------------


def _new_float(w: Writer) -> None:
    e = tame(w, scalar(w), _SMALL)
    name = w.fresh(w.pick("abcdst"))
    w.line(f"{name} = {bare(e.text)}")
    w.add(Variable(name, "float"))


def _reassign(w: Writer) -> None:
    found = [v for v in w.floats() if v.assignable]
    if not found:
        return _new_float(w)
    name = w.pick(found).text
    e = tame(w, scalar(w), _SMALL)
    roll = w.rng.random()
    if roll < 0.35:
        w.line(f"{name} = {bare(e.text)}")
    elif roll < 0.6:
        w.line(f"{name} = {w.number(0.3, 0.8)} * {name} + {tame(w, e, 1.5).text}")
    elif roll < 0.9:
        small = tame(w, e, 1.0).text
        w.line(f"{name} {w.pick(('+=', '-='))} {w.number(0.1, 0.6)} * {small}")
    else:
        w.line(w.pick((f"{name} *= {w.number(0.5, 0.95)}", f"{name} /= 1.0 + {e.text} ** 2")))


def _swap(w: Writer) -> None:
    found = [v.text for v in w.floats() if v.assignable]
    if len(found) < 2:
        return _new_float(w)
    first, second = w.rng.sample(found, 2)
    if w.chance(0.5):
        w.line(f"{first}, {second} = {second}, {first}")
    else:
        w.line(f"{first}, {second} = {second} * {w.number(0.3, 0.9)}, {bare(tame(w, scalar(w, 1), _SMALL).text)}")


def _counter(w: Writer) -> None:
    counters = [v for v in w.ints() if v.assignable]
    if not counters:
        name = w.fresh("k")
        w.line(f"{name} = {w.rng.randrange(3)}")
        w.add(Variable(name, "int", low=0, high=None))
    else:
        w.line(f"{w.pick(counters).text} += {w.rng.randrange(1, 3)}")


# --- arrays ----------------------------------------------------------------------------------------------------------


def _new_array(w: Writer) -> None:
    shape = w.pick(scope_shapes(w))
    name = w.fresh(w.pick("uvw"))
    roll = w.rng.random()
    captured = False
    if roll < 0.12 and len(shape) == 1:
        w.line(f"{name} = np.empty({size_text(w, shape[0])})")
        w.line(f"{name}[:] = {bare(tame(w, array(w, shape), _SMALL).text)}")
    elif roll < 0.4:
        e = new_array(w, shape)
        captured = "TABLE" in e.text
        w.line(f"{name} = {bare(e.text)}")
    else:
        e = tame(w, array(w, shape, 2 if w.chance(0.5) else 1), _SMALL)
        captured = "TABLE" in e.text
        w.line(f"{name} = {bare(e.text)}" + (".copy()" if e.text.isidentifier() else ""))
    # An array computed from captured ones alone is a real array in eager mode, which refuses to store traced values in it.
    w.add(Variable(name, "array", shape, writable=not captured))


def _rebind_array(w: Writer) -> None:
    found = [v for v in w.arrays() if v.assignable]
    if not found:
        return _new_array(w)
    v = w.pick(found)
    e = tame(w, array(w, v.shape, 2), _SMALL)
    if "TABLE" in e.text:
        return _new_array(w)
    w.line(f"{v.text} = {bare(e.text)}" + (".copy()" if e.text.isidentifier() else ""))


def _view(w: Writer) -> None:
    base = [v for v in w.arrays() if v.shape[0] > 1]
    if not base:
        return _new_array(w)
    v = w.pick(base)
    name = w.fresh("view")
    if len(v.shape) == 2:
        text, shape = w.pick((
            (f"{v.text}[{w.rng.randrange(v.shape[0])}]", v.shape[1:]),
            (f"{v.text}[:, {w.rng.randrange(-v.shape[1], v.shape[1])}]", v.shape[:1]),
            (f"{v.text}.T", (v.shape[1], v.shape[0])),
            (f"{v.text}[1:]", (v.shape[0] - 1, v.shape[1])),
            (f"{v.text}.ravel()", (v.shape[0] * v.shape[1],)),
            (f"{v.text}.reshape(-1)", (v.shape[0] * v.shape[1],)),
        ))
    else:
        count = w.rng.randrange(1, v.shape[0] + 1)
        whole = count == v.shape[0]
        text, shape = v.text + ("[::-1]" if whole else part_of(w, v.shape[0], count)), (count,)
    w.line(f"{name} = {text}")
    # Whether `ravel` of a transposed view is a copy does not matter: either is an array of its own name.
    w.add(Variable(name, "array", shape, writable=v.writable))


def _store(w: Writer) -> None:
    found = w.arrays(writable=True)
    if not found:
        return _new_array(w)
    place = element(w, w.pick(found))
    e = tame(w, scalar(w), _SMALL)
    roll = w.rng.random()
    if roll < 0.4:
        w.line(f"{place} = {bare(e.text)}")
    elif roll < 0.6:
        w.line(f"{place} = {w.number(0.2, 0.8)} * {place} + {tame(w, e, 1.5).text}")
    elif roll < 0.9:
        w.line(f"{place} {w.pick(('+=', '-='))} {w.number(0.1, 0.5)} * {tame(w, e, 1.0).text}")
    else:
        w.line(f"{place} *= {w.number(0.5, 0.95)}")


def _store_part(w: Writer) -> None:
    found = w.arrays(writable=True)
    if not found:
        return _new_array(w)
    v = w.pick(found)
    place, shape = _part(w, v)
    roll = w.rng.random()
    if roll < 0.25:
        w.line(f"{place} = {bare(tame(w, scalar(w, 1), _SMALL).text)}")
        return
    e = tame(w, array(w, shape), _SMALL)
    if roll < 0.55:
        w.line(f"{place} = {bare(e.text)}")
    elif roll < 0.9:
        w.line(f"{place} {w.pick(('+=', '-='))} {w.number(0.1, 0.5)} * {tame(w, e, 1.0).text}")
    else:
        w.line(f"{place} *= np.tanh({bare(e.text)})")


def _part(w: Writer, v: Variable) -> tuple[str, Shape]:
    """A part of an array as a target, and its shape."""
    roll = w.rng.random()
    if roll < 0.2:
        return f"{v.text}[:]", v.shape
    if len(v.shape) == 2:
        rows, columns = v.shape
        if roll < 0.5:
            return f"{v.text}[{w.rng.randrange(-rows, rows)}]", (columns,)
        if roll < 0.75:
            return f"{v.text}[:, {w.rng.randrange(-columns, columns)}]", (rows,)
        count = w.rng.randrange(1, rows + 1)
        return (f"{v.text}{part_of(w, rows, count)[:-1]}, :]", (count, columns)) if count < rows else (v.text + "[::-1]", v.shape)
    count = w.rng.randrange(1, v.shape[0] + 1)
    if count == v.shape[0]:
        return v.text + "[::-1]", v.shape
    return v.text + part_of(w, v.shape[0], count), (count,)


def _in_place(w: Writer) -> None:
    """An augmented assignment to a whole array or view by name."""
    found = [v for v in w.arrays(writable=True) if v.text.isidentifier() and v.assignable]
    if not found:
        return _new_array(w)
    v = w.pick(found)
    e = tame(w, array(w, v.shape) if w.chance(0.7) else scalar(w, 1), 1.0)
    w.line(f"{v.text} {w.pick(('+=', '-='))} {w.number(0.1, 0.5)} * {e.text}" if w.chance(0.7) else f"{v.text} *= {e.text}")


# --- branches --------------------------------------------------------------------------------------------------------


def _branch(w: Writer) -> None:
    new = w.fresh("r") if w.chance(0.3) else ""
    w.line(f"if {condition(w)}:")
    _arm(w, new, w.rng.randrange(1, 4))
    while w.chance(0.25):
        w.line(f"elif {condition(w)}:")
        _arm(w, new, w.rng.randrange(1, 3))
    if new or w.chance(0.6):
        w.line("else:")
        _arm(w, new, w.rng.randrange(1, 3))
    if new:
        w.add(Variable(new, "float"))


def _arm(w: Writer, new: str, count: int) -> None:
    with w.block():
        statements(w, count)
        if new:
            w.line(f"{new} = {bare(tame(w, scalar(w), _SMALL).text)}")
        elif w.frame.may_return and w.chance(0.06):
            give_back(w)


def give_back(w: Writer) -> None:
    """A `return` of what the function gives."""
    gives = w.frame.gives
    if gives == "none":
        w.line("return")
    elif gives == "pair":
        w.line(f"return {bare(tame(w, scalar(w, 1), _SMALL).text)}, {bare(tame(w, scalar(w, 1), _SMALL).text)}")
    elif gives == "array":
        raise AssertionError("an early return of an array")
    else:
        w.line(f"return {bare(tame(w, scalar(w), _SMALL).text)}")


# --- calls, containers, local functions --------------------------------------------------------------------------------


def _call_statement(w: Writer) -> None:
    helpers = [h for h in w.helpers if h.gives != "float"]
    if not helpers:
        return _new_float(w)
    helper = w.pick(helpers)
    if helper.gives == "none":
        w.line(call(w, helper))
    elif helper.gives == "pair":
        first, second = w.fresh("p"), w.fresh("q")
        text = call(w, helper)
        if w.chance(0.7):
            w.line(f"{first}, {second} = {text}")
            w.add(Variable(first, "float"))
            w.add(Variable(second, "float"))
        else:
            w.line(f"{first} = {text}")
            w.add(Variable(f"{first}[0]", "float", assignable=False))
            w.add(Variable(f"{first}[1]", "float", assignable=False))
    else:
        name = w.fresh("y")
        w.line(f"{name} = {call(w, helper)}")
        w.add(Variable(name, "array", helper.params[0][1]))


def _container(w: Writer) -> None:
    name = w.fresh(w.pick(("state", "box", "rec")))
    items = [bare(tame(w, scalar(w, 1), _SMALL).text) for _ in range(2)]
    holds = w.arrays()
    extra = w.pick(holds) if holds and w.chance(0.4) else None
    if w.chance(0.6):
        more = f', "z": {extra.text}' if extra else ""
        w.line(f'{name} = {{"a": {items[0]}, "b": {items[1]}{more}}}')
        paths = [f'{name}["a"]', f'{name}["b"]', f'{name}["z"]']
    else:
        w.line(f"{name} = [{items[0]}, {items[1]}{f', {extra.text}' if extra else ''}]")
        paths = [f"{name}[0]", f"{name}[1]", f"{name}[2]"]
    for path in paths[:2]:
        w.add(Variable(path, "float"))
    if extra:
        w.add(replace(extra, text=paths[2], assignable=True))


def _local_function(w: Writer) -> None:
    if w.frame.loops:
        return _reassign(w)
    name = w.fresh("g")
    if w.chance(0.5):
        outer = list(w.variables)
        w.variables.append(Variable("z", "float"))
        w.line(f"{name} = lambda z: {bare(tame(w, scalar(w), _SMALL).text)}")
        w.variables = outer
        w.helpers.append(Helper(name, (("float", ()),), "float"))
        return
    w.line(f"def {name}(z, k=0.4):")
    frame = w.frame
    w.frame = Frame()
    with w.block():
        # What belongs to the function around may be read and mutated here, but not rebound.
        w.variables = [replace(v, assignable=False) if v.text.isidentifier() else v for v in w.variables]
        w.variables = [replace(v, writable=v.writable and w.chance(0.3)) for v in w.variables]
        w.variables += [Variable("z", "float"), Variable("k", "float")]
        statements(w, w.rng.randrange(1, 3))
        give_back(w)
    w.frame = frame
    w.helpers.append(Helper(name, (("float", ()),), "float", keyword="k"))


def _integer(w: Writer) -> None:
    """A new int with a known range."""
    if not w.ints():
        return _counter(w)
    text, low, high = integer(w)
    name = w.fresh("m")
    w.line(f"{name} = {text}")
    w.add(Variable(name, "int", low=low, high=high, assignable=False))


def _alias(w: Writer) -> None:
    """A second name for an array."""
    found = [v for v in w.arrays() if v.text.isidentifier()]
    if not found:
        return _new_array(w)
    v = w.pick(found)
    name = w.fresh("same")
    w.line(f"{name} = {v.text}")
    w.add(replace(v, text=name, assignable=True))


def _for(w: Writer) -> None:
    for_loop(w, statements)


def _while(w: Writer) -> None:
    while_loop(w, statements)


def _jump(w: Writer) -> None:
    if w.frame.loops:
        jump(w, give_back)
    else:
        _new_float(w)


def _mutate_view(w: Writer) -> None:
    """A helper that mutates, on a part of an array."""
    helpers = [h for h in w.helpers if h.gives == "none"]
    if not helpers:
        return _in_place(w)
    w.line(call(w, w.pick(helpers)))


def _row_assign(w: Writer) -> None:
    """A store through a view made on the spot."""
    found = w.arrays(writable=True, rank=2)
    if not found:
        return _store_part(w)
    v = w.pick(found)
    target = writable_view(w, v.shape[1:])
    if "(" in target.split("[")[0]:
        return _store_part(w)
    w.line(f"{target}[:] = {bare(tame(w, array_leaf(w, v.shape[1:]), _SMALL).text)}")


_IDIOMS = (*idioms.IDIOMS, *idioms_nested.IDIOMS, *idioms_numpy.IDIOMS, *idioms_shared.IDIOMS, *idioms_held.IDIOMS)


def _idiom(w: Writer) -> None:
    before = len(w.lines)
    w.rng.choices([kind for kind, _ in _IDIOMS], [weight for _, weight in _IDIOMS])[0](w, statements)
    if len(w.lines) == before:
        _new_float(w)


_STATEMENTS: tuple[tuple[Callable[[Writer], None], float], ...] = (
    (_idiom, 10),
    (_new_float, 5),
    (_reassign, 6),
    (_swap, 1),
    (_counter, 1),
    (_integer, 0.7),
    (_new_array, 3),
    (_rebind_array, 1.5),
    (_view, 1.5),
    (_store, 4),
    (_store_part, 3),
    (_in_place, 2),
    (_branch, 4),
    (_for, 4),
    (_while, 1.5),
    (_jump, 2.5),
    (_call_statement, 2),
    (_mutate_view, 1),
    (_row_assign, 0.7),
    (_container, 1),
    (_local_function, 1),
    (_alias, 0.5),
)
_KINDS = [kind for kind, _ in _STATEMENTS]
_WEIGHTS = [weight for _, weight in _STATEMENTS]
