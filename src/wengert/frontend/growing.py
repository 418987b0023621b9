"""What stands in a list (or deque) whose length is known only at run time: one `Rows`, in place of the items.

The list object stays the user's, with all its names; its contents are `[Rows(...)]`. A `Rows` never changes: whatever changes
the list puts another one in it, so that branches and loops can undo and merge it like any other contents.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any, NoReturn

from wengert.errors import StagingError
from wengert.frontend.context import current
from wengert.ir.core import Value
from wengert.tree import register_leaf
from wengert.types import Affine

register_leaf(Value)


@register_leaf
class Pattern:
    """What all items of a growing list look like.

    Attributes:
        form: their form; numbers in it are traced.
        count: how many traced leaves an item has: one store for each.
    """

    __slots__ = ("count", "form")

    def __init__(self, form: Any) -> None:
        self.form = form
        self.count: int = sum(leaf.kind not in ("static", "unset") for leaf in form.leaves)

    def __repr__(self) -> str:
        return "items of one form"


class Rows:
    """The items of a list of traced length.

    Attributes:
        pattern: what an item looks like.
        length: how many items there are, if there are no stores to tell.
        stores: per traced leaf of an item an array `T[n, ...]` with a row for each item.
    """

    def __init__(self, pattern: Pattern, length: Value, stores: tuple[Value, ...]) -> None:
        self.pattern = pattern
        self.length = length
        self.stores = stores

    @property
    def size(self) -> Affine:
        """How many items there are."""
        return self.stores[0].dims[0] if self.stores else self.length.affine

    def __copy__(self) -> Rows:
        return self

    def __deepcopy__(self, memo: Any) -> Rows:
        return self

    def _refuse(self, *args: Any) -> NoReturn:
        raise StagingError(
            "this use of a list whose length is known only at run time is not staged",
            current().span,
            fix="use len(), indices, slices, a for statement, or np.array(...) of the list",
        )

    __repr__ = __str__ = __format__ = __len__ = __iter__ = __bool__ = __float__ = __array__ = _refuse
    __eq__ = __hash__ = __lt__ = __add__ = __radd__ = __mul__ = _refuse


class ListResult:
    """A list of traced length among the results of a traced function: what it is made of, to be put together at run time.

    Attributes:
        pattern: what an item looks like.
        kind: `list` or `deque`.
        length: how many items there are.
        stores: arrays with a row per item.
    """

    def __init__(self, pattern: Pattern, kind: type, length: Any, stores: tuple[Any, ...]) -> None:
        self.pattern = pattern
        self.kind = kind
        self.length = length
        self.stores = stores


def is_growing(obj: Any) -> bool:
    """Whether `obj` is a list or deque that holds `Rows`."""
    return type(obj) in (list, deque) and len(obj) == 1 and type(obj[0]) is Rows


def any_growing(objs: Iterable[Any]) -> bool:
    """Whether one of `objs` is a growing list."""
    return any(type(o) in (list, deque) and len(o) == 1 and type(o[0]) is Rows for o in objs)
