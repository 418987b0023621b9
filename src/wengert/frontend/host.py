"""Calls that Python makes at run time: the call is put into the program, with the values that it will have.

Text, containers and objects with traced values in them are put together when the call is made, from the values it is given.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from wengert.errors import StagingError
from wengert.frontend.boxes import box, is_box, lift
from wengert.frontend.context import Trace, current
from wengert.frontend.outside_values import opened
from wengert.frontend.text import TracedText, type_name_of
from wengert.ir.core import Value
from wengert.ir.op import get_op
from wengert.tree import TreeDef, flatten
from wengert.types import DTYPES, Affine, DType, TensorType

Maker = Callable[[Sequence[Any]], Any]
"""Puts together an object from the run-time values of the operands."""

_DTYPES: dict[np.dtype[Any], DType] = {d.numpy: d for d in DTYPES.values()}


@dataclass(frozen=True)
class Form:
    """What a call returns: a structure, and for each leaf its type and whether a number is one of NumPy's."""

    tree: TreeDef
    types: tuple[TensorType, ...]
    numpy: tuple[bool, ...]

    def with_types(self, types: Sequence[TensorType]) -> Form:
        """The same structure with other types (sizes that are known by other names)."""
        return Form(self.tree, tuple(types), self.numpy)


NOTHING = Form(flatten(())[1], (), ())


def form_of(result: Any, name: str = "a host call") -> Form:
    """The form of a result.

    Raises:
        StagingError: something in it is not a float64, float32, int64 or bool.
    """
    leaves, tree = flatten(result)
    types = []
    for leaf in leaves:
        array = np.asarray(leaf)
        dtype = _DTYPES.get(array.dtype)
        if dtype is None:
            raise StagingError(f"{name} returns {type(leaf).__name__}, which is no number or array that can be staged", _span())
        types.append(TensorType(dtype, array.shape))
    return Form(tree, tuple(types), tuple([isinstance(leaf, np.generic | np.ndarray) for leaf in leaves]))


def scalar_form(dtype: DType, numpy: bool = False) -> Form:
    """The form of one number."""
    return Form(flatten(0.0)[1], (TensorType(dtype),), (numpy,))


def array_form(dtype: DType, dims: Sequence[Affine]) -> Form:
    """The form of one array (of one NumPy number, where `dims` is empty)."""
    return Form(flatten(0.0)[1], (TensorType(dtype, tuple(dims)),), (True,))


def _span() -> Any:
    return current().span


def host_call(
    function: Callable[..., Any],
    args: Sequence[Any],
    kwargs: dict[str, Any],
    form: Form,
    name: str,
    stop: bool = False,
    pure: bool = False,
) -> Any:
    """`function(*args, **kwargs)` at run time, in program order; boxes of what it will return.

    Args:
        function: called with the arguments as they will be.
        args: may hold boxes and text with traced values.
        kwargs: the same by name.
        form: what it returns; checked at run time.
        name: how messages call it.
        stop: whether derivatives with respect to the arguments are zero by intent.
        pure: whether nobody minds if it is called again.
    """
    trace = current()
    values: list[Value] = []
    positional = [maker(trace, a, values) for a in args]
    named = {k: maker(trace, v, values) for k, v in kwargs.items()}
    count = len(form.types)

    def call(*numbers: Any) -> tuple[Any, ...]:
        found = function(*[m(numbers) for m in positional], **{k: m(numbers) for k, m in named.items()})
        if not count:
            return ()
        leaves, _ = flatten(found)
        return tuple(leaves)

    b = trace.builder
    operands = [b.stop_gradient(v) if stop and v.is_float else v for v in values]
    # A whole number that was drawn has no tangent that could be missed later on.
    cut = count > 0 and not stop and any(v.is_float for v in values) and not any(t.is_float for t in form.types)
    marks = {"pure": True} if pure else {"cut": True} if cut else {}
    attrs = {"elements": form.types, "name": name, "_function": call, **marks}
    results = b.emit(get_op("host_call"), operands, attrs)
    boxes = [box(v, numpy=n or v.rank > 0) for v, n in zip(results, form.numpy, strict=True)]
    return form.tree.unflatten(boxes) if count else None


def call_now(function: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """`function(*args, **kwargs)` in eager mode, on the values of the boxes."""
    trace = current()
    values: list[Value] = []
    positional = [maker(trace, a, values) for a in args]
    named = {k: maker(trace, v, values) for k, v in kwargs.items()}
    numbers = [np.array(known) if isinstance(known := trace.known(v), np.ndarray) else known for v in values]
    return function(*[m(numbers) for m in positional], **{k: m(numbers) for k, m in named.items()})


def maker(trace: Trace, obj: Any, values: list[Value]) -> Maker:
    """What puts `obj` together at run time; `values` collects the operands that it needs."""
    first = len(values)
    if isinstance(obj, TracedText):
        template, found = obj.template()
        values += found
        return lambda numbers: template.format(*numbers[first : first + len(found)])
    if is_box(obj):
        values.append(lift(obj))
        kind = type_name_of(obj)
        return lambda numbers: kind(numbers[first])
    if type(obj) in (list, tuple):
        items = [maker(trace, item, values) for item in obj]
        if trace.eager and len(values) == first:
            return lambda numbers: obj  # the very object, which the call may change
        cls = type(obj)
        return lambda numbers: cls([item(numbers) for item in items])
    if type(obj) is dict:
        pairs = {k: maker(trace, v, values) for k, v in obj.items()}
        if trace.eager and len(values) == first:
            return lambda numbers: obj
        return lambda numbers: {k: v(numbers) for k, v in pairs.items()}
    return _object_maker(trace, obj, values)


def _object_maker(trace: Trace, obj: Any, values: list[Value]) -> Maker:
    """An object that holds traced values is made anew; any other is itself."""
    whole = trace.captures.whole(obj)
    if isinstance(whole, float | int | str | np.ndarray | type) or callable(whole) or whole is None:
        return lambda numbers: whole
    leaves, tree = opened(whole)
    if tree.kind not in ("object", "tuple", "list", "dict", "complex") or not any(map(_holds_box, leaves)):
        return lambda numbers: whole
    makers = [maker(trace, leaf, values) for leaf in leaves]
    return lambda numbers: tree.unflatten([m(numbers) for m in makers])


def _holds_box(obj: Any) -> bool:
    return is_box(obj) or any(is_box(leaf) for leaf in flatten(obj)[0])
