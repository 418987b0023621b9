"""Containers come apart and go back together, whatever they are."""

import argparse
import collections
import dataclasses
import enum
import fractions
import functools
import pathlib
import pickle
import types

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wengert.errors import ArgumentError
from wengert.tree import TreeDef, flatten, map_leaves, register_leaf

Point = collections.namedtuple("Point", "x y")


@dataclasses.dataclass
class Model:
    w: float
    b: object = None


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    a: float
    b: float = 2.0


@dataclasses.dataclass
class Derived:
    a: float
    twice: float = dataclasses.field(init=False)
    constant: float = dataclasses.field(init=False, default=7.0)

    def __post_init__(self):
        self.twice = 2 * self.a


class Plain:
    def __init__(self, rate):
        self.rate = rate
        self._state = [1.0]

    @property
    def half(self):
        return self.rate / 2


class Slotted:
    __slots__ = ("__hidden", "x", "y")

    def __init__(self, x):
        self.x = x
        self.__hidden = x + 1

    @property
    def hidden(self):
        return self.__hidden


class SlottedChild(Slotted):
    def __init__(self, x, z):
        super().__init__(x)
        self.z = z


class Cached:
    def __init__(self, a):
        self.a = a

    @functools.cached_property
    def square(self):
        return self.a**2


class Bag(dict):
    pass


class Colour(enum.Enum):
    RED = 1


def round_trip(tree):
    leaves, treedef = flatten(tree)
    return treedef.unflatten(leaves)


@pytest.mark.parametrize(
    ("tree", "leaves", "paths"),
    [
        (1.5, [1.5], ["p"]),
        (None, [], []),
        ((1.0, 2.0), [1.0, 2.0], ["p[0]", "p[1]"]),
        ((), [], []),
        ([1.0, [2.0, (3.0,)]], [1.0, 2.0, 3.0], ["p[0]", "p[1][0]", "p[1][1][0]"]),
        ({"b": 1.0, "a": {2: "s"}}, [1.0, "s"], ["p['b']", "p['a'][2]"]),
        (Point(1.0, [2.0]), [1.0, 2.0], ["p.x", "p.y[0]"]),
        (Model(1.0, {"k": 2.0}), [1.0, 2.0], ["p.w", "p.b['k']"]),
        (Frozen(1.0), [1.0, 2.0], ["p.a", "p.b"]),
        (Derived(3.0), [3.0, 6.0, 7.0], ["p.a", "p.twice", "p.constant"]),
        ([None, 1.0, None], [1.0], ["p[1]"]),
        ({"z": 1.0 + 2.0j}, [1.0, 2.0], ["p['z'].real", "p['z'].imag"]),
    ],
)
def test_leaves_paths_and_back(tree, leaves, paths):
    found, treedef = flatten(tree)
    assert found == leaves
    assert treedef.paths("p") == paths
    assert treedef.num_leaves == len(leaves)
    assert treedef.unflatten(found) == tree
    assert type(treedef.unflatten(found)) is type(tree)


def test_paths_without_a_root():
    assert flatten(Model(1.0, {"k": [2.0]}))[1].paths() == ["w", "b['k'][0]"]
    assert flatten({"w": 1.0})[1].paths() == ["['w']"]


def test_frozen_and_derived_dataclasses_keep_what_is_given():
    treedef = flatten(Derived(3.0))[1]
    new = treedef.unflatten([10.0, 11.0, 12.0])
    assert (new.a, new.twice, new.constant) == (10.0, 11.0, 12.0)
    new = flatten(Frozen(1.0))[1].unflatten([5.0, 6.0])
    assert new == Frozen(5.0, 6.0)


def test_plain_objects():
    new = map_leaves(lambda x: 10 * x, Plain(2.0))
    assert type(new) is Plain
    assert (new.rate, new._state, new.half) == (20.0, [10.0], 10.0)
    new = map_leaves(lambda x: 10 * x, Slotted(2.0))
    assert (new.x, new.hidden) == (20.0, 30.0)
    assert not hasattr(new, "y")
    new = map_leaves(lambda x: 10 * x, SlottedChild(2.0, 5.0))
    assert (new.x, new.hidden, new.z) == (20.0, 30.0, 50.0)


def test_namespaces_are_containers():
    new = map_leaves(lambda x: -x, types.SimpleNamespace(a=1.0, b=[2.0]))
    assert new == types.SimpleNamespace(a=-1.0, b=[-2.0])
    assert map_leaves(lambda x: -x, argparse.Namespace(a=1.0)) == argparse.Namespace(a=-1.0)


def test_cached_properties_are_recomputed():
    obj = Cached(3.0)
    assert obj.square == 9.0
    new = map_leaves(lambda x: 2 * x, obj)
    assert new.square == 36.0


def test_subclasses_of_builtin_containers():
    ordered = collections.OrderedDict(b=1.0, a=2.0)
    assert round_trip(ordered) == ordered
    assert type(round_trip(ordered)) is collections.OrderedDict
    lists = collections.defaultdict(list, a=[1.0])
    assert round_trip(lists)["new"] == []
    bag = Bag(a=1.0)
    bag.extra = 2.0
    leaves, treedef = flatten(bag)
    assert leaves == [1.0, 2.0]
    assert treedef.paths("p") == ["p['a']", "p.extra"]
    new = treedef.unflatten([3.0, 4.0])
    assert (type(new), dict(new), new.extra) == (Bag, {"a": 3.0}, 4.0)


@pytest.mark.parametrize(
    "leaf",
    [
        np.arange(3.0),
        np.float64(1.0),
        np.ma.masked_array([1.0]),
        "text",
        b"bytes",
        True,
        pathlib,
        len,
        lambda: None,
        Model,
        Colour.RED,
        pathlib.Path("a"),
        fractions.Fraction(1, 2),
        {1.0, 2.0},
        object(),
        np.random.default_rng(0),
        functools.partial(len),
        ValueError("x"),
    ],
    ids=lambda leaf: type(leaf).__name__,
)
def test_leaves(leaf):
    leaves, treedef = flatten([leaf])
    assert leaves[0] is leaf
    assert treedef.paths("p") == ["p[0]"]


def test_structures_compare_and_hash():
    def same(a, b):
        first, second = flatten(a)[1], flatten(b)[1]
        assert (first == second) == (hash(first) == hash(second))
        return first == second

    assert same({"a": 1.0, "b": (2.0,)}, {"a": "x", "b": (3,)})
    assert not same({"a": 1.0, "b": 2.0}, {"b": 1.0, "a": 2.0})
    assert not same((1.0,), [1.0])
    assert not same((1.0, 2.0), Point(1.0, 2.0))
    assert not same((None,), (1.0,))
    assert not same({"a": 1.0}, collections.OrderedDict(a=1.0))
    assert same(Model(1.0, (2.0,)), Model(3.0, (4.0,)))
    assert flatten((1.0, 2.0))[1] is flatten((3.0, 4.0))[1]
    assert flatten(())[1] != "()"


def test_structures_print():
    tree = {"w": [1.0, None], "m": Model(1.0, (2.0,)), "p": Point(1.0, 2.0)}
    assert repr(flatten(tree)[1]) == "TreeDef({'w': [*, None], 'm': Model(w=*, b=(*,)), 'p': Point(x=*, y=*)})"


def test_structures_pickle():
    _, treedef = flatten({"w": [1.0, None], "m": Model(1.0, (2.0,))})
    copy = pickle.loads(pickle.dumps(treedef))
    assert copy == treedef
    assert copy.unflatten([1.0, 2.0, 3.0]) == {"w": [1.0, None], "m": Model(2.0, (3.0,))}


def test_is_leaf():
    tree = {"a": None, "b": (1.0, 2.0), "m": Model(1.0)}
    leaves, treedef = flatten(tree, is_leaf=lambda x: x is None or isinstance(x, tuple))
    assert leaves == [None, (1.0, 2.0), 1.0, None]
    assert treedef.unflatten(leaves) == tree

    class Fresh:
        pass

    fresh = Fresh()
    assert flatten([fresh], is_leaf=lambda x: isinstance(x, Fresh))[0] == [fresh]


def test_registered_leaves():
    class Box:
        def __init__(self):
            self.value = 1.0

    class SmallBox(Box):
        pass

    assert flatten(SmallBox())[0] == [1.0]
    assert register_leaf(Box) is Box
    box = SmallBox()
    assert flatten([box])[0] == [box]


def test_map_over_several_trees():
    total = map_leaves(lambda a, b: a + b, {"x": [1.0, 2.0]}, {"x": [10.0, 20.0]})
    assert total == {"x": [11.0, 22.0]}
    with pytest.raises(ArgumentError, match=r"different structure\n  found:    TreeDef\(\{'y': \*\}\)"):
        map_leaves(lambda a, b: a + b, {"x": 1.0}, {"y": 1.0})


def test_wrong_number_of_leaves():
    with pytest.raises(ArgumentError, match="wrong number of leaves"):
        flatten((1.0, 2.0))[1].unflatten([1.0])


def test_shared_references_are_flattened_twice():
    shared = [1.0]
    assert flatten((shared, shared))[0] == [1.0, 1.0]


def test_cycles_are_named():
    loop = [1.0]
    loop.append(loop)
    with pytest.raises(TypeError, match=r"\[1\] is the same object as the tree it stands in"):
        flatten(loop)
    parent, child = Plain(1.0), Plain(2.0)
    parent.children, child.parent = [child], parent
    with pytest.raises(ArgumentError, match=r"\['m'\]\.children\[0\]\.parent is the same object as \['m'\]"):
        flatten({"first": 1.0, "m": parent})


def test_deep_nesting_is_not_a_cycle():
    tree = 1.0
    for _ in range(5_000):
        tree = [tree]
    with pytest.raises(RecursionError):
        flatten(tree)


trees = st.recursive(
    st.floats(allow_nan=False) | st.none() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=2) | st.integers(0, 3), inner, max_size=3)
        | st.builds(Model, st.floats(allow_nan=False), inner)
        | st.builds(Point, inner, inner)
    ),
    max_leaves=12,
)


@given(trees)
def test_any_tree_goes_back_together(tree):
    leaves, treedef = flatten(tree)
    assert treedef.unflatten(leaves) == tree
    assert flatten(treedef.unflatten(leaves))[1] == treedef
    root = types.SimpleNamespace(tree=tree)
    for path, leaf in zip(treedef.paths("root.tree"), leaves, strict=True):
        assert eval(path, {"root": root}) is leaf
    assert isinstance(treedef, TreeDef)
