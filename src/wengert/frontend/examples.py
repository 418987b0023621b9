"""A function called once per example of a batch: one staged loop whose body is traced once, on a traced position.

Control flow may differ between examples, since each is a round of the loop. Results go into arrays made before the loop, so
sizes of results must not depend on the example. In eager mode the loop runs as Python.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from wengert.errors import ArgumentError, StagingError
from wengert.frontend.batched_products import Products
from wengert.frontend.boxes import box, is_box, lift
from wengert.frontend.calls import call
from wengert.frontend.choices import narrowed
from wengert.frontend.context import Trace, current
from wengert.frontend.emit import ensure, value_of
from wengert.frontend.growing import is_growing
from wengert.frontend.rows import rows_of
from wengert.frontend.staging_builder import TraceBuilder
from wengert.frontend.staging_state import NoValueYet, Outcome, Variables, bear, run_region
from wengert.ir.core import Instr, Region, Value
from wengert.ir.op import get_op
from wengert.tree import TreeDef, flatten
from wengert.types import I64_SCALAR, Affine, TensorType

Axis = int | None
Place = Callable[[TreeDef, Sequence[Any]], list[Axis]]
"""Along which axis the leaves of a result are stacked, given its structure and the leaves; None: one for all examples."""

_WHAT = "a call for one example of a batch"
_SIZE_STEPS = ("elementwise", "constant")


def for_each_example(count: Affine, run: Callable[[Value], Any], place: Place) -> Any:
    """The results of `run(position)` for all positions below `count`, stacked leaf by leaf.

    Args:
        count: how many examples there are.
        run: the function on one example.
        place: where the leaves of its result are stacked.

    Raises:
        StagingError: the results cannot be stacked in a staged loop.
    """
    trace = current()
    if trace.eager:
        assert isinstance(count, int)
        found = [run(trace.builder.const(k)) for k in range(count)]
        return stack_known(found, place, _stack_boxes)
    staged = _Examples(trace, count, run, place)
    return staged.gathered() if staged.keeps_state() else staged.finish()


# --- staged ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Target:
    """Where one leaf of the result goes.

    Attributes:
        param: a parameter of the loop.
        axis: along which it is filled; None for a value that the last round leaves.
        value: the leaf.
        yielded: what the body yields for it.
    """

    param: Value
    axis: Axis
    value: Value
    yielded: Value


class _Examples:
    """The loop over the examples of one call."""

    def __init__(self, trace: Trace, count: Affine, run: Callable[[Value], Any], place: Place) -> None:
        builder = trace.builder.child()
        assert isinstance(builder, TraceBuilder)
        self.trace, self.count, self.run, self.place = trace, count, run, place
        self.builder = builder
        builder.kind = "loop"
        self.trips = value_of(count)
        self.index = builder.param(I64_SCALAR, "example", [self.trips])
        self.tree: TreeDef | None = None
        self.leaves: list[Any] = []
        self.outcome: Outcome = run_region(trace, builder, Variables(None), self.body, _WHAT)

    def body(self) -> None:
        """One example: its results, written into what the loop carries."""
        out = self.trace.captures.whole(narrowed(self.run(self.index)))
        refuse_lists(out, self.trace)
        leaves, self.tree = flatten(out, is_leaf=is_box)
        axes = self.place(self.tree, leaves)
        for leaf, axis in zip(leaves, axes, strict=True):
            if axis is None and not is_box(leaf):
                self.leaves.append(leaf)
                continue
            value = lift(leaf)
            self.settle_sizes(value)
            self.leaves.append(self.write(value, axis))

    def write(self, value: Value, axis: Axis) -> _Target:
        """Put the value of a leaf where it belongs."""
        history = self.builder.history
        dims: list[Affine] = list(value.dims)
        if axis is None and history.depends_on(value, [self.index]):
            raise ArgumentError(
                "an output of vmap that depends on the example has no axis",
                self.trace.span,
                found="out_axes=None for it",
                fix="give it an axis in out_axes; only what is the same for all examples can go without",
            )
        if axis is not None:
            dims.insert(axis, self.count)
        sources = [self.trips, *history.sources.get(value, ())]
        param = self.builder.param(TensorType(value.tensor.dtype, tuple(dims)), value.name, sources)
        yielded = value
        if axis is not None:
            spec = [":"] * value.rank
            spec.insert(axis, "i")
            yielded = self.builder.update(param, value, self.index, spec=tuple(spec))
        return _Target(param, axis, value, yielded)

    def settle_sizes(self, value: Value) -> None:
        """Move the computation of sizes of `value` in front of the loop.

        Raises:
            StagingError: they depend on the example.
        """
        for symbol in value.type.symbols():
            if isinstance(symbol, Value) and not self.move_out(symbol):
                raise StagingError(
                    "the size of a result of vmap depends on the example",
                    self.trace.span,
                    found="an array whose size is computed from the values of an example",
                    fix="return arrays of one size: pad them, or return a sum or a mask",
                )

    def move_out(self, wanted: Value) -> bool:
        """Whether `wanted` is known before the loop; what computes it from values out there is moved there."""
        made = {r: instr for instr in self.builder.instrs for r in instr.results}
        chain: dict[Instr, None] = {}

        def needs(value: Value) -> bool:
            if not self.is_inside(value):
                return True
            instr = made.get(value)
            if instr is None or instr.op.effects or instr.op.kind not in _SIZE_STEPS or value.rank:
                return False
            chain.setdefault(instr)
            return all(map(needs, instr.operands))

        if not needs(wanted):
            return False
        outer = self.builder.parent
        assert outer is not None
        for instr in [i for i in self.builder.instrs if i in chain]:
            self.builder.instrs.remove(instr)
            outer.append(instr)
        return True

    def is_inside(self, value: Value) -> bool:
        """Whether a value was made in the body of the loop."""
        owner = self.builder.history.owner.get(value)
        return owner is not None and self.builder.holds(owner)

    def keeps_state(self) -> bool:
        """Whether the examples write to state outside, or end in an exception that a `try` around takes."""
        ended = self.outcome.ended
        if isinstance(ended, NoValueYet):
            raise ended
        if ended is not None:
            raise StagingError("a function under vmap always raises", self.trace.span)
        return bool(self.outcome.stores or self.builder.forks or self.tree is None)

    def finish(self) -> Any:
        """The loop, emitted, and the results behind it."""
        b = self.trace.builder
        targets = [x for x in self.leaves if type(x) is _Target]
        products = Products(self.builder, self.index, self.count)
        products.move()
        whole = {t: products.stacked(t.value, t.axis) for t in targets if t.axis is not None}
        made = {t: value for t, value in whole.items() if value is not None}
        written = {t.yielded for t in made}
        instrs = tuple([i for i in self.builder.instrs if written.isdisjoint(i.results)])
        if any(t.axis is None for t in targets):
            message = "vmap of no examples has no output that is the same for all of them"
            if self.count == 0:
                raise ArgumentError(message, self.trace.span)
            ensure(b.gt(self.trips, b.const(0)), "ValueError", message)
        rest = [t for t in targets if t not in made]
        init = [b.full(t.param.dims, 0, t.param.tensor.dtype) for t in rest]
        params = (self.index, *[t.param for t in rest])
        region = Region(params, instrs, tuple([t.yielded for t in rest]))
        results = b.emit(get_op("for"), (self.trips, *init), {}, [region], [t.value.name for t in rest])
        made.update(zip(rest, results, strict=True))
        assert self.tree is not None
        return self.tree.unflatten([box(made[x], numpy=True) if type(x) is _Target else x for x in self.leaves])

    def gathered(self) -> Any:
        """The results of a loop that carries state, collected in a list."""
        trace = self.trace
        assert trace.enter is not None
        found = trace.enter(_gather)(_Example(self.run), box(self.trips))
        if not is_growing(found):
            return stack_known(found, self.place, _stack_boxes)
        rows = rows_of(found)
        supply = iter(rows.stores)
        leaves = [x.obj.obj if x.kind == "static" else box(next(supply)) for x in rows.pattern.form.leaves]
        tree: TreeDef = rows.pattern.form.structure
        axes = self.place(tree, leaves)
        return tree.unflatten([_moved(leaf, axis) for leaf, axis in zip(leaves, axes, strict=True)])


class _Example:
    """The function on one example, called from a converted loop."""

    def __init__(self, run: Callable[[Value], Any]) -> None:
        self.run = run

    def __call__(self, position: Any) -> Any:
        """The result for the example at a traced position."""
        return self.run(lift(position))


def _gather(example: Any, count: Any) -> Any:
    """A list with a result per example; this runs as the user's code does."""
    found = []
    for k in range(count):
        found.append(example(k))
    return found


def _moved(leaf: Any, axis: Axis) -> Any:
    if axis is None or not is_box(leaf):
        raise StagingError("an output without an axis of a function that writes to state outside is not staged under vmap")
    return call(np.moveaxis, (leaf, 0, axis), {})


def refuse_lists(out: Any, trace: Trace) -> None:
    """Raise StagingError if there are lists of traced length in a result."""
    if any(map(is_growing, flatten(out, is_leaf=is_growing)[0])):
        raise StagingError(
            "a result of vmap is a list whose length is known only at run time",
            trace.span,
            fix="return arrays of one size: np.array(items) of a list of known length, a sum, or a padded array",
        )


def own_containers(obj: Any) -> Any:
    """`obj`, whose containers are known to be made here, so that writes to them are no news outside."""
    bear_all(current(), obj)
    return obj


def bear_all(trace: Trace, obj: Any) -> None:
    """Note all containers in `obj` as made here."""
    seen: list[Any] = []

    def visit(part: Any) -> bool:
        seen.append(part)
        return False

    leaves = {id(leaf) for leaf in flatten(obj, is_leaf=visit)[0]}
    for part in seen:
        if part is not None and not isinstance(part, tuple) and id(part) not in leaves:
            bear(trace, part)


# --- known values ----------------------------------------------------------------------------------------------------


def _stack_boxes(leaves: Sequence[Any], axis: int) -> Any:
    return call(np.stack, (list(leaves),), {"axis": axis})


def stack_known(found: Sequence[Any], place: Place, stack: Callable[[Sequence[Any], int], Any]) -> Any:
    """The results of all examples, each at hand, stacked leaf by leaf.

    Raises:
        ArgumentError: there are none, or they differ in structure, shape, or where they should not.
    """
    if not found:
        raise ArgumentError(
            "vmap of no examples, in a function that runs eagerly: nothing says what the results would look like",
            found="a mapped axis of size 0",
        )
    flat = [flatten(out, is_leaf=is_box) for out in found]
    tree = flat[0][1]
    for _, other in flat:
        if other != tree:
            raise ArgumentError(
                "the results of vmap differ in structure between examples", found=repr(other), expected=repr(tree)
            )
    columns = list(zip(*[leaves for leaves, _ in flat], strict=True))
    axes = place(tree, flat[0][0])
    return tree.unflatten([_stacked(column, axis, stack) for column, axis in zip(columns, axes, strict=True)])


def _stacked(column: Sequence[Any], axis: Axis, stack: Callable[[Sequence[Any], int], Any]) -> Any:
    if axis is None:
        if all(leaf is column[0] for leaf in column):
            return column[0]
        known = [current().known(lift(leaf)) if is_box(leaf) else leaf for leaf in column]
        if all(_same(leaf, known[0]) for leaf in known):
            return column[-1]
        raise ArgumentError(
            "an output of vmap that differs between examples has no axis",
            found="out_axes=None for it",
            fix="give it an axis in out_axes; only what is the same for all examples can go without",
        )
    shapes = {tuple(np.shape(leaf) if not is_box(leaf) else lift(leaf).dims) for leaf in column}
    if len(shapes) > 1:
        raise ArgumentError(
            "the results of vmap differ in shape between examples",
            found=", ".join(map(str, sorted(shapes))),
            expected="one shape for all examples",
            fix="return arrays of one size: pad them, or return a sum or a mask",
        )
    return stack(column, axis)


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, float | int | np.ndarray | np.generic):
        return bool(np.array_equal(a, b, equal_nan=np.asarray(a).dtype.kind == "f"))
    return bool(a == b)
