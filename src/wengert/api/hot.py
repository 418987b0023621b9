"""Further calls with arguments of one kind: Python source made for them, from the arguments to native code and back.

A call of a transformed function finds out what its arguments are, which compilation fits, and how its results go back into the
structures that the user expects. Nearly always the answers are those of the call before, so code is made that only checks this.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from wengert.api.arguments import leaf_test
from wengert.api.mode import eager_now
from wengert.codegen.threads import mode
from wengert.frontend.context import trace_now
from wengert.frontend.growing import ListResult
from wengert.frontend.trace import Traced
from wengert.tree import TreeDef, flatten
from wengert.tree_code import fetch_code, tree_expression
from wengert.types import TensorType

if TYPE_CHECKING:
    from wengert.api.program import Stats, Variant

HotCode = Callable[[tuple[Any, ...], dict[str, Any]], Any]
"""Takes the arguments of a call; gives its result, or `MISSING` where they are not what the code is made for."""

MISSING: Any = object()
FETCHED = """    known = fetch(args)
    if known is None:
        return MISSING
"""
_may_share_memory = getattr(np.may_share_memory, "_implementation", np.may_share_memory)
"""NumPy's function without the question whether a class has another one, which takes as long as the answer."""
_NUMPY_NUMBERS = {"f64": np.float64, "i64": np.int64, "bool": np.bool_}


def hot_code(variant: Variant, args: Sequence[Any], result: str, names: Mapping[str, Any], counts: Stats) -> HotCode | None:
    """Code for further calls with arguments of the kinds of `args`; None if it cannot be made.

    Args:
        variant: the compilation.
        args: of the present call, which has none by name.
        result: Python source of the call's result in terms of `f`, the tuple of the compiled results.
        names: what that source refers to.
        counts: where calls are counted.
    """
    traced = variant.traced
    leaves, tree = flatten(tuple(args))
    flat = tree.cls is tuple and all(child.kind == "leaf" for child in tree.children)
    fetch = None if flat else fetch_code(tree, [leaf_test(leaf) for leaf in leaves])
    written = _written_arguments(variant, leaves)
    if not leaves or written is None or (not flat and (fetch is None or written)):
        return None
    space: dict[str, Any] = {
        **names, "mode": mode,
        "trace_now": trace_now, "eager_now": eager_now, "MISSING": MISSING, "counts": counts, "ndarray": np.ndarray,
        "entry": variant.compiled.entry, "fetch": fetch, "contiguous": np.ascontiguousarray,
        "holds": traced.guards_hold, "fits": variant.fits, "captures": traced.read_captures,
    }  # fmt: skip
    variables = [f"a{k}" for k in range(len(leaves))]
    tests = [_test(leaf, k, space) for k, leaf in enumerate(leaves)]
    tests += _conditions(variant, leaves, space) or [f"fits(({''.join(f'{v}, ' for v in variables)}))"]
    tests += [f"a{traced.param_leaves[k]}.flags.c_contiguous" for k in traced.ordered]
    tests += _own_memory(variant, leaves, written, space)
    stores = "".join(
        f"    if f[{place}] is not a{k}:\n        a{k}[...] = f[{place}]\n" for k, place in written.items() if place is not None
    )
    passed = [variables[k] for k in traced.param_leaves]
    for k, captured in enumerate(traced.captures):
        is_array = isinstance(captured.value, np.ndarray)
        passed.append(f"c[{k}] if c[{k}].flags.c_contiguous else contiguous(c[{k}])" if is_array else f"c[{k}]")
    known = "args" if flat else "known"
    source = f"""def hot(args, kwargs):
    if kwargs or len(args) != {len(args)} or mode.splits is not {mode.splits} or trace_now() is not None or eager_now():
        return MISSING
{"" if flat else FETCHED}    {"".join(f"{v}, " for v in variables)} = {known}
    if not ({" and ".join(tests)}):
        return MISSING
    counts.calls += 1
{"    c = captures()" if traced.captures else ""}
    f = entry({", ".join(passed)})
{stores}    return {result}
"""
    exec(compile(source, "<wengert call>", "exec"), space)  # source made above from types
    found: HotCode = space["hot"]
    return found


def _written_arguments(variant: Variant, leaves: Sequence[Any]) -> dict[int, int | None] | None:
    """The arguments that the function writes to, and which result each one becomes (None: the caller's stay as they are).

    None if the function changes anything else, or if NumPy would ask more of an argument than that it can be written to.
    """
    traced, updates = variant.traced, variant.traced.updates
    if variant.protected or traced.writes or traced.written_captures or (traced.written and traced.captures):
        return None
    if any(k >= len(traced.param_leaves) for k in traced.ordered):
        return None
    written: dict[int, int | None] = dict.fromkeys(traced.written)
    if updates is not None:
        if updates.parts or not all(isinstance(place, int) for place in updates.leaves):
            return None
        arrays, _ = updates.tree.unflatten(updates.leaves)
        written.update(arrays)
    return written if all(type(leaves[k]) is np.ndarray for k in written) else None


def _own_memory(variant: Variant, leaves: Sequence[Any], written: Mapping[int, int | None], space: dict[str, Any]) -> list[str]:
    """That arrays which are written to can be, and share no memory with others."""
    space["shared"] = _may_share_memory
    arrays = [k for k in variant.traced.param_leaves if isinstance(leaves[k], np.ndarray)]
    found = [f"a{k}.flags.writeable" for k, place in written.items() if place is not None]
    pairs = {frozenset({k, other}) for k in written for other in arrays if other != k}
    return found + [f"not shared(a{min(pair)}, a{max(pair)})" for pair in sorted(pairs, key=sorted)]


def _test(leaf: Any, k: int, space: dict[str, Any]) -> str:
    """The condition that argument `a<k>` is of the kind of `leaf`; binds the sizes of an array to `s<k>`."""
    if type(leaf) is np.ndarray and 1 not in leaf.shape:
        space[f"k{k}"] = leaf.dtype
        return f"type(a{k}) is ndarray and a{k}.dtype is k{k} and len(s{k} := a{k}.shape) == {leaf.ndim} and 1 not in s{k}"
    source, space[f"k{k}"] = leaf_test(leaf)
    return f"({source.format(x=f'a{k}', k=f'k{k}')})"


def _conditions(variant: Variant, leaves: Sequence[Any], space: dict[str, Any]) -> list[str]:
    """What `variant.fits` asks, written out; nothing if it asks about sizes of captured arrays or of such with unit axes."""
    traced = variant.traced
    involved = [array for _, terms in variant.sizes for array, _, _ in terms]
    if any(k >= len(traced.param_leaves) for k in involved):
        return []
    looked_at = [*(traced.param_leaves[k] for k in involved), *(leaf for leaf, _ in traced.static_sizes)]
    if any(type(leaves[k]) is not np.ndarray or 1 in leaves[k].shape for k in looked_at):
        return []
    space.update({f"static{k}": value for k, value in variant.statics})
    found = [f"a{k} == static{k}" for k, _ in variant.statics]
    found += [f"s{leaf}[{axis}] == {size}" for (leaf, axis), size in traced.static_sizes.items()]
    place = traced.param_leaves
    found += _size_tests([(slack, [(f"s{place[k]}[{axis}]", c) for k, axis, c in terms]) for slack, terms in variant.sizes])
    if traced.guards:
        found.append("holds()")
    return found or ["True"]


def _size_tests(conditions: Sequence[tuple[int, Sequence[tuple[str, int]]]]) -> list[str]:
    """Source of the conditions `slack + c * size + ... >= 0`: none that always holds, and one for two that say "equal"."""
    wanted: dict[tuple[int, frozenset[tuple[str, int]]], None] = {}
    for slack, terms in conditions:
        total: Counter[str] = Counter()
        for size, c in terms:
            total[size] += c
        wanted[slack, frozenset((size, c) for size, c in total.items() if c)] = None
    tests: list[str] = []
    done = set()
    for slack, kept in wanted:
        opposite = (-slack, frozenset((size, -c) for size, c in kept))
        if (slack, kept) in done or (slack >= 0 and all(c > 0 for _, c in kept)):
            continue
        done.add(opposite)
        left = _sum_source(slack, [(size, c) for size, c in kept if c > 0])
        right = _sum_source(-slack, [(size, -c) for size, c in kept if c < 0])
        tests.append(f"{left} {'==' if opposite in wanted else '>='} {right}")
    return tests


def _sum_source(constant: int, terms: Sequence[tuple[str, int]]) -> str:
    """Source of a sum of sizes; of the constant, what is above zero."""
    parts = [size if c == 1 else f"{c} * {size}" for size, c in sorted(terms)]
    return " + ".join([*parts, str(max(constant, 0))] if constant > 0 or not parts else parts)


def result_source(traced: Traced, names: dict[str, Any]) -> str | None:
    """Source of the function's own result in terms of `f`; None if it holds what is no result of native code."""
    leaves = []
    for place, is_numpy in zip(traced.out_leaves, traced.out_numpy, strict=True):
        if not isinstance(place, int):
            if place.value is not None:
                return None
            leaves.append("None")
            continue
        leaves.append(number_source(traced, place, is_numpy, names))
    if _holds_list_results(traced.out_tree):
        return None
    return tree_expression(traced.out_tree, leaves, names)


def number_source(traced: Traced, place: int, is_numpy: bool, names: dict[str, Any]) -> str:
    """Source of a result: a number becomes NumPy's where the function would give that."""
    declared = traced.function.results[place].type
    if not is_numpy or not isinstance(declared, TensorType) or declared.dims or declared.dtype.name not in _NUMPY_NUMBERS:
        return f"f[{place}]"
    kind = _NUMPY_NUMBERS[declared.dtype.name]
    names[kind.__name__] = kind
    return f"{kind.__name__}(f[{place}])"


def _holds_list_results(tree: TreeDef) -> bool:
    return tree.cls is ListResult or any(map(_holds_list_results, tree.children))
