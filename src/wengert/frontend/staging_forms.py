"""What a Python value looks like to staging: a tree whose leaves are static objects or traced values of a type.

Two forms join where arms of a branch meet or a loop closes: equal static leaves stay static, numbers that differ become traced.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np

from wengert.frontend.arrays import Array
from wengert.frontend.boxes import box, lift, lift_as
from wengert.frontend.broadcasting import assume
from wengert.frontend.choices import MAX_OPTIONS, Choice, is_choice, may_be_option, recode
from wengert.frontend.context import current, is_tracing
from wengert.frontend.emit import joined_dtype, to_dtype, value_of
from wengert.frontend.forms import (
    DEAD,
    IN_LIST,
    SCALARS,
    UNSET,
    CannotMergeError,
    Form,
    Leaf,
    StaticLeaf,
    Unset,
    is_single,
    kinds_of_leaf,
    traced_leaf,
)
from wengert.frontend.growing import Pattern, Rows, is_growing
from wengert.frontend.references import MAX_REFERENCES, are_on, is_reference, note_rebuilt
from wengert.frontend.scalars import Scalar
from wengert.ir.core import Value
from wengert.tree import TreeDef, flatten
from wengert.types import F32, I64_SCALAR, Affine, Dim, Slot, TensorType, describe_type, describe_types

_LEAF: Final = flatten(0)[1]
_SIMPLE: Final = frozenset({Scalar, float, int, bool, np.float64, Value, Unset, Array})
"""What surely is one leaf."""
_PASSED: Final = _SIMPLE | {tuple, str, type(None), Choice}
"""What surely is no list, dict or object of the program, though such may be in it."""
_FORMS: Final = {key: Form(_LEAF, (leaf,)) for key, leaf in SCALARS.items()}


def take_apart(obj: Any) -> tuple[list[Any], TreeDef]:
    """The leaves of `obj` and its structure; bare IR values are leaves."""
    if type(obj) in _SIMPLE or isinstance(obj, Value):
        return [obj], _LEAF
    return flatten(obj, is_leaf=is_reference) if are_on(current()) else flatten(obj)


def form_of(obj: Any) -> Form:
    """The form of `obj`."""
    if type(obj) is Scalar and obj.kinds is None:
        return _FORMS[obj.value.tensor.dtype, obj.numpy]
    if type(obj) in _SIMPLE:
        return Form(_LEAF, (_leaf_of(obj),))
    leaves, structure = take_apart(obj)
    return Form(structure, _with_lengths(list(map(_leaf_of, leaves))))


def _with_lengths(leaves: list[Leaf]) -> tuple[Leaf, ...]:
    """Leaves in which the stores of growing lists have the length of their list: a `Slot` that counts the leaves."""
    for position, leaf in enumerate(leaves):
        if leaf.kind == "static" and isinstance(leaf.obj.obj, Pattern):
            leaves[position + 1] = Leaf("length", I64_SCALAR)
            for k in range(position + 2, position + 2 + leaf.obj.obj.count):
                declared = leaves[k].type
                assert declared is not None
                length = Dim(0, ((Slot(position + 1), 1),))
                leaves[k] = Leaf("value", declared.with_dims((length, *declared.dims[1:])))
    return tuple(leaves)


def typed(leaf: Leaf, made: dict[int, Value]) -> TensorType:
    """The type of a traced leaf, given the values of the leaves before it, by position."""
    assert leaf.type is not None

    def lookup(symbol: Any) -> Affine | None:
        return made[symbol.index].affine if isinstance(symbol, Slot) else None

    return leaf.type.substitute(lookup)


def _leaf_of(obj: Any) -> Leaf:
    if isinstance(obj, Scalar):
        return Leaf("scalar", obj.value.tensor, obj.numpy, None, obj.kinds)
    if isinstance(obj, Array):
        return Leaf("array", TensorType(obj.element, obj.dims))
    if isinstance(obj, Value):
        return Leaf("value", obj.tensor)
    if isinstance(obj, Unset):
        return Leaf("unset", obj=obj if obj is DEAD else None)
    return Leaf("static", obj=StaticLeaf(obj))


# --- joining ---------------------------------------------------------------------------------------------------------


def join(a: Form, b: Form) -> Form:
    """The form that values of both forms can take.

    Raises:
        CannotMergeError: there is none.
    """
    if a is b:
        return a
    if a.is_unset or b.is_unset:
        known, other = (b, a) if a.is_unset else (a, b)
        if other.leaves[0].obj is DEAD:
            return known
        return Form(known.structure, tuple(map(traced_leaf, known.leaves)))
    if a.structure == b.structure and (a.structure is _LEAF or not _patterns_differ(a, b)):
        try:
            leaves = tuple(map(_join_leaves, a.leaves, b.leaves))
            return a if leaves == a.leaves else Form(a.structure, leaves)
        except _KindsDifferError:
            pass
    structure, joined = _join_trees(a, b)
    return Form(structure, _with_lengths(joined))


class _KindsDifferError(CannotMergeError):
    """Two leaves that are values of different kinds."""


def _patterns_differ(a: Form, b: Form) -> bool:
    pairs = ((x.obj.obj, y.obj.obj) for x, y in zip(a.leaves, b.leaves) if x.kind == y.kind == "static")
    return any(x is not y and (isinstance(x, Pattern) or isinstance(y, Pattern)) for x, y in pairs)


def _statics_differ(own: Form, form: Form) -> bool:
    differ = any(y.kind == "static" and x != y for x, y in zip(own.leaves, form.leaves))
    return differ and _holds_choice(form.structure)


def _holds_choice(structure: TreeDef) -> bool:
    return structure.cls is Choice or any(map(_holds_choice, structure.children))


def _join_trees(a: Form, b: Form) -> tuple[TreeDef, list[Leaf]]:
    """The common form of two structures that differ: lists of different lengths become growing ones."""
    x, y = a.structure, b.structure
    if is_choice_form(a) or is_choice_form(b):
        return _join_options(options_of(a), options_of(b))
    if x.kind == y.kind == "leaf":
        try:
            return x, [_join_leaves(a.leaves[0], b.leaves[0])]
        except _KindsDifferError:
            return _join_options([a], [b])
    if x.kind == y.kind == "none":
        return x, []
    if x.kind != y.kind or (x.cls is not y.cls and x.kind in ("object", "tuple")):
        return _join_options([a], [b])
    lists = x.kind == y.kind == "list" and x.cls is y.cls and not x.num_attributes and x.extra == y.extra
    if lists and (len(x.children) != len(y.children) or _holds_rows(x) or _holds_rows(y)):
        pattern = pattern_of(reduce_forms([*_items(a), *_items(b)]))
        stores = [Leaf("value", _store_type(leaf)) for leaf in pattern.form.leaves if leaf.kind not in ("static", "unset")]
        inner = _rows_structure(pattern.count)
        return TreeDef("list", x.cls, (), (inner,), extra=x.extra), [_static(pattern), Leaf("length", I64_SCALAR), *stores]
    same = (x.kind, x.cls, x.keys, x.num_attributes, x.extra) == (y.kind, y.cls, y.keys, y.num_attributes, y.extra)
    if not same or len(x.children) != len(y.children):
        raise CannotMergeError(f"{_shown(a)} or {_shown(b)}")
    pairs = [_join_trees(p, q) for p, q in zip(_children(a), _children(b), strict=True)]
    structure = TreeDef(x.kind, x.cls, x.keys, tuple(t for t, _ in pairs), x.num_attributes, x.extra)
    return structure, [leaf for _, leaves in pairs for leaf in leaves]


# --- values of different kinds ---------------------------------------------------------------------------------------


def is_choice_form(form: Form) -> bool:
    """Whether it is the form of a value of one of several kinds."""
    return form.structure.cls is Choice


def options_of(form: Form) -> list[Form]:
    """The forms of the values that a choice may be; of anything else its own."""
    return _children(_children(form)[1]) if is_choice_form(form) else [form]


def _join_options(first: Sequence[Form], second: Sequence[Form]) -> tuple[TreeDef, list[Leaf]]:
    """The form of a choice of all of these; values of one kind are one of its options."""
    found = list(first)
    for form in second:
        position = _option_for(found, form)
        if position is None:
            found.append(form)
        else:
            found[position] = join(found[position], form)
    for form in found:
        _check_option(form, found)
    most = MAX_REFERENCES if all(map(_is_reference_form, found)) else MAX_OPTIONS
    if len(found) > most:
        raise CannotMergeError(f"one of more than {most} values of different kinds")
    options = TreeDef("tuple", tuple, (), tuple(form.structure for form in found))
    structure = TreeDef("object", Choice, ("code", "options"), (_LEAF, options))
    return structure, [Leaf("scalar", I64_SCALAR), *(leaf for form in found for leaf in form.leaves)]


def _option_for(options: Sequence[Form], form: Form) -> int | None:
    """Which of the options a value of the form is, if one."""
    return next((k for k, option in enumerate(options) if _same_kind(option, form)), None)


def _same_kind(a: Form, b: Form) -> bool:
    """Whether two forms are of one kind: numbers, equal objects, or containers of one sort."""
    x, y = a.structure, b.structure
    if x.kind != y.kind:
        return False
    if x.kind != "leaf":
        return x.cls is y.cls and (x.kind != "tuple" or len(x.children) == len(y.children))
    p, q = traced_leaf(a.leaves[0]), traced_leaf(b.leaves[0])
    return p == q or "static" not in (p.kind, q.kind)


def _check_option(form: Form, found: Sequence[Form]) -> None:
    for leaf in form.leaves:
        odd = leaf.kind == "static" and not (may_be_option(leaf.obj.obj) or _is_reference_form(form))
        if odd or leaf.kind in ("length", "value", "unset"):
            raise CannotMergeError(" or ".join(map(_shown, found)))
    if form.structure.kind == "list" and any(map(_is_reference_form, found)):
        raise CannotMergeError("a list made before, or one made here, by a choice that is known only at run time")


def _is_reference_form(form: Form) -> bool:
    return form.structure is _LEAF and form.leaves[0].kind == "static" and type(form.leaves[0].obj.obj) is list


def _choose_option(form: Form, obj: Any) -> Choice:
    """`obj` as a choice of the form; the options that it is not are fillers."""
    wanted = options_of(form)
    parts = list(obj.options) if is_choice(obj) else [obj]
    places = []
    for part in parts:
        place = _option_for(wanted, form_of(part))
        assert place is not None
        places.append(place)
    code = recode(obj, lambda k: places[k]) if is_choice(obj) else places[0]
    options = [conform(option, parts[places.index(k)]) if k in places else _filler(option) for k, option in enumerate(wanted)]
    return Choice(code, tuple(options))


def _filler(form: Form) -> Any:
    """What stands where a value of the form is absent."""
    return form.structure.unflatten([leaf.obj.obj if leaf.kind == "static" else UNSET for leaf in form.leaves])


def _static(obj: Any) -> Leaf:
    return Leaf("static", obj=StaticLeaf(obj))


def _children(form: Form) -> list[Form]:
    """The forms of the parts of a container."""
    leaves = iter(form.leaves)
    return [Form(c, tuple(itertools.islice(leaves, c.num_leaves))) for c in form.structure.children]


def _holds_rows(structure: TreeDef) -> bool:
    return len(structure.children) == 1 and structure.children[0].cls is Rows


def _rows_structure(count: int) -> TreeDef:
    stores = TreeDef("tuple", tuple, (), (_LEAF,) * count)
    return TreeDef("object", Rows, ("pattern", "length", "stores"), (_LEAF, _LEAF, stores))


def _items(form: Form) -> list[Form]:
    """The forms of the items of a list."""
    return [form.leaves[0].obj.obj.form] if _holds_rows(form.structure) else _children(form)


def _store_type(leaf: Leaf) -> TensorType:
    assert leaf.type is not None
    return TensorType(leaf.type.dtype, (0, *leaf.type.dims))


def reduce_forms(forms: Sequence[Form]) -> Form:
    """The form of all items of a list; numbers become traced."""
    found: Form | None = None
    for form in forms:
        if any(leaf.kind in ("length", "value") for leaf in form.leaves):
            raise CannotMergeError("a list of lists whose lengths are known only at run time")
        form = Form(form.structure, tuple(map(traced_leaf, form.leaves)))
        try:
            found = form if found is None else join(found, form)
        except CannotMergeError as error:
            raise CannotMergeError(f"a list that holds {error}", error.size) from None
    assert found is not None
    if any(leaf.kind in ("length", "value") for leaf in found.leaves):
        raise CannotMergeError("a list of lists of different lengths")
    if _holds_choice(found.structure):
        raise CannotMergeError(f"a list that holds {_shown(found)}")
    return found


def pattern_of(form: Form) -> Pattern:
    """The pattern of items of `form`: one object for equal forms."""
    known: list[Pattern] = current().extra.setdefault("patterns", [])
    found = next((p for p in known if p.form == form), None)
    if found is None:
        found = Pattern(form)
        known.append(found)
    return found


def _join_leaves(a: Leaf, b: Leaf) -> Leaf:
    if a == b:
        return a
    x, y = traced_leaf(a), traced_leaf(b)
    if x is y and x.kinds is None and x.kind == "scalar":
        return x  # one class of numbers
    if "static" in (x.kind, y.kind):
        raise _KindsDifferError(f"{_shown_leaf(a)} or {_shown_leaf(b)}")
    if {x.kind, y.kind} == {"array", "scalar"}:
        x, y = _as_number(x), _as_number(y)
    if (x.kind == "array") != (y.kind == "array"):
        raise CannotMergeError(f"{_shown_leaf(a)} or {_shown_leaf(b)}")
    assert x.type is not None and y.type is not None
    if x.type.rank != y.type.rank or not all(map(_same_size, x.type.dims, y.type.dims)):
        symbols = [s for s in (*x.type.symbols(), *y.type.symbols()) if isinstance(s, Value)]
        size = symbols[0] if x.type.rank == y.type.rank and symbols else None
        first, second = describe_types(x.type, y.type)
        raise CannotMergeError(f"an array {first} or an array {second}", size)
    if x.type.rank and x.type.dtype != y.type.dtype:
        raise CannotMergeError(f"an array of dtype {x.type.dtype} or of dtype {y.type.dtype}")
    kinds = kinds_of_leaf(a, x) | kinds_of_leaf(b, y) if x.kind == "scalar" else frozenset()
    declared = x.type.with_dtype(joined_dtype((x.type.dtype, x.numpy), (y.type.dtype, y.numpy)))
    if declared.dtype == F32 and not (is_single(a) and is_single(b)):
        raise CannotMergeError("a float32 or a number of Python's that float32 would round")
    return Leaf(x.kind, declared, x.numpy or y.numpy, None, kinds if len(kinds) > 1 else None)


def _as_number(leaf: Leaf) -> Leaf:
    """An array without axes as the number that NumPy's operators make of it."""
    return SCALARS[leaf.type.dtype, True] if leaf.kind == "array" and leaf.type is not None and not leaf.type.rank else leaf


def _same_size(a: Affine, b: Affine) -> bool:
    """Whether two sizes are equal, if need be by relying on those of the arguments at hand."""
    return a == b or current().assume_equal(a, b)


def _shown(form: Form) -> str:
    if form.structure.kind == "leaf":
        return _shown_leaf(form.leaves[0])
    if is_choice_form(form):
        return " or ".join(map(_shown, options_of(form)))
    return "None" if form.structure.kind == "none" else repr(form.structure).removeprefix("TreeDef")


def _shown_leaf(leaf: Leaf) -> str:
    if leaf.kind == "static":
        obj = leaf.obj.obj
        return "None" if obj is None else f"the {type(obj).__name__} {obj!r}"
    if leaf.kind == "unset":
        return "nothing"
    assert leaf.type is not None
    if leaf.type.rank:
        return f"an array {describe_type(leaf.type)}"
    return {"f64": "a float", "f32": "a float32", "i64": "an int", "bool": "a bool"}[leaf.type.dtype.name]


# --- values ----------------------------------------------------------------------------------------------------------


def lower(form: Form, obj: Any, filler: bool = False) -> list[Value]:
    """The traced leaves of `obj` as values of the types of `form`; unset ones as anything, if `filler` is set, else as zeros."""
    return lower_leaves(form, leaves_of(form, conform(form, obj)), filler)


def leaves_of(form: Form, obj: Any) -> list[Any]:
    """The leaves of a value that is in the form, as many as the form has."""
    return [UNSET] * len(form.leaves) if isinstance(obj, Unset) else take_apart(obj)[0]


def lower_leaves(form: Form, leaves: Sequence[Any], filler: bool = False) -> list[Value]:
    """`lower` of a value that has been taken apart."""
    if form.structure is _LEAF and form.leaves[0].kind != "length":
        (leaf,), (obj,) = form.leaves, leaves
        return [] if leaf.type is None else [_lower_leaf(leaf, obj, filler, leaf.type)]
    made: dict[int, Value] = {}
    for position, (leaf, found) in enumerate(zip(form.leaves, leaves, strict=True)):
        if leaf.kind == "length":
            made[position] = _lower_length(form.leaves[position - 1].obj.obj, leaves, position)
        elif leaf.kind not in ("static", "unset"):
            made[position] = _lower_leaf(leaf, found, filler, typed(leaf, made))
    return list(made.values())


def _lower_length(pattern: Pattern, leaves: Sequence[Any], position: int) -> Value:
    """The length of a growing list: that of its stores, so that they and it agree."""
    if isinstance(leaves[position], Unset):
        return current().builder.const(0)
    return value_of(leaves[position + 1].dims[0]) if pattern.count else leaves[position]


def _lower_leaf(leaf: Leaf, obj: Any, filler: bool, declared: TensorType) -> Value:
    builder = current().builder
    if isinstance(obj, Unset):
        return builder.undef(type=declared) if filler else builder.zeros_like(declared)
    if isinstance(obj, Value):
        getattr(builder, "check_scope", _ignore)(obj)
        return obj
    if leaf.kind == "scalar":
        value = lift_as(obj, declared.dtype)
    else:
        value = assume(lift(obj), declared.dims)
    getattr(builder, "check_scope", _ignore)(value)
    return value


def _ignore(value: Value) -> None:
    return None


def raise_up(form: Form, values: Iterator[tuple[Value, Any]], made: dict[Any, Any]) -> Any:
    """A Python value of `form` around traced values: the inverse of `lower`.

    Args:
        form: what to build.
        values: the traced leaves, each with a key that two array leaves share when they are one array.
        made: boxes of arrays made so far, by key.
    """
    leaves = [_raise_leaf(leaf, values, made) for leaf in form.leaves]
    if form.structure.kind == "leaf":
        return leaves[0]
    made_up = form.structure.unflatten(leaves)
    if is_tracing():
        for part in mutable_parts(made_up):
            note_rebuilt(part)
    return made_up


def _raise_leaf(leaf: Leaf, values: Iterator[tuple[Value, Any]], made: dict[Any, Any]) -> Any:
    if leaf.kind == "static":
        return leaf.obj.obj
    if leaf.kind == "unset":
        return UNSET
    value, key = next(values)
    if leaf.kind != "array":
        if leaf.kinds is not None and not current().eager:
            return Scalar(value, leaf.numpy, leaf.kinds)
        return value if leaf.kind in ("value", "length") else box(value, leaf.numpy)
    if key not in made:
        made[key] = box(value, True)
        if is_tracing():
            note_rebuilt(made[key])
    return made[key]


def conform(form: Form, obj: Any, own: Form | None = None) -> Any:
    """`obj`, with those of its lists as growing ones and those of its parts as choices that are such in `form`.

    `own` is the form of `obj`, where the caller has it.
    """
    if isinstance(obj, (Unset, Value)):
        return obj
    if form.structure is _LEAF and type(obj) in _SIMPLE:
        return obj
    own = form_of(obj) if own is None else own
    if own.structure == form.structure and not _patterns_differ(own, form) and not _statics_differ(own, form):
        return obj
    if is_choice_form(form):
        return _choose_option(form, obj)
    if _holds_rows(form.structure):
        made: Any = deque(maxlen=obj.maxlen) if isinstance(obj, deque) else []
        made.append(make_rows(form.leaves[0].obj.obj, obj))
        return made
    answers = iter([False])
    parts, shallow = flatten(obj, is_leaf=lambda _: next(answers, True))
    return shallow.unflatten([conform(f, p) for f, p in zip(_children(form), parts, strict=True)])


def make_rows(pattern: Pattern, items: Any) -> Rows:
    """The items of a list as rows of arrays.

    Args:
        pattern: what they look like.
        items: the list; arrays and containers in it must not be written to any more, as what is in the rows is a copy.
    """
    builder = current().builder
    types = [leaf.type for leaf in pattern.form.leaves if leaf.kind not in ("static", "unset")]
    if is_growing(items):
        old: Rows = items[0]
        stores = [to_dtype(s, t.dtype) for s, t in zip(old.stores, types, strict=True) if t is not None]
        return Rows(pattern, old.length, tuple(stores))
    columns = list(zip(*[lower_item(pattern, item) for item in items], strict=True)) or [()] * len(types)
    stores = []
    for column, declared in zip(columns, types, strict=True):
        assert declared is not None
        if column and not declared.rank:
            stores.append(builder.make_array(*column, shape=(len(column),)))
            continue
        store = builder.full((len(column), *declared.dims), 0, declared.dtype)
        for k, row in enumerate(column):
            store = put_row(store, row, builder.const(k))
        stores.append(store)
    return Rows(pattern, builder.const(len(items)), tuple(stores))


def put_row(store: Value, row: Value, position: Value) -> Value:
    """`store` with a row replaced."""
    found: Value = current().builder.update(store, row, position, spec=("i", *(":" * row.rank)))
    return found


def lower_item(pattern: Pattern, item: Any) -> list[Value]:
    """The traced leaves of an item; what in it can be written to is a copy from now on, and so must not be."""
    for leaf in take_apart(item)[0]:
        if isinstance(leaf, Array):
            leaf.root.frozen = leaf.root.frozen or IN_LIST
    frozen = current().frozen
    for part in mutable_parts(item):
        frozen.setdefault(id(part), (part, IN_LIST))
    return lower(pattern.form, item)


def mutable_parts(obj: Any) -> list[Any]:
    """The lists, dicts and objects that `obj` consists of."""
    if type(obj) in _SIMPLE or isinstance(obj, Value):
        return []
    found: list[Any] = []

    def visit(part: Any) -> bool:
        if type(part) in _PASSED:
            return False
        if is_reference(part):
            return True
        numeric = isinstance(part, (tuple, complex, np.generic, np.ndarray))
        if part is not None and not numeric and not type(part).__module__.startswith("wengert."):
            found.append(part)
        return False

    # A class that is new to `flatten` is asked about before it turns out to be a leaf.
    leaves = {id(leaf) for leaf in flatten(obj, is_leaf=visit)[0]}
    return [part for part in found if id(part) not in leaves]
