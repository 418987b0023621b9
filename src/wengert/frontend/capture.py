"""What a function takes from outside: globals, closure cells, defaults, attributes of captured objects.

Numbers and arrays become inputs that are read again at every call; everything else is used as it is, under a guard. Objects with
attributes are captured lazily: what is read from them is, with its path.
"""

from __future__ import annotations

import enum
import sys
import types
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any

import numpy as np

from wengert.errors import StagingError
from wengert.frontend.arrays import Array
from wengert.frontend.boxes import box, is_box, refuse_subclass
from wengert.frontend.capture_paths import CapturedInput, Guard, Path
from wengert.frontend.complexes import is_complex, join
from wengert.frontend.context import Trace
from wengert.frontend.memory_order import BY_ROWS
from wengert.frontend.outside import Outside
from wengert.frontend.outside_values import opened
from wengert.ir.core import Value
from wengert.types import NUMPY_DTYPES

LARGE = 64
_AS_IS = (types.FunctionType, types.BuiltinFunctionType, type, types.ModuleType, types.MethodDescriptorType, np.ufunc)
_PLAIN = (bool, int, str, bytes, complex, type(None), type(Ellipsis), type(NotImplemented), slice, range, frozenset)
_TRUSTED = frozenset({"numpy", "scipy", "wengert", *sys.stdlib_module_names} - {"__main__"})

MakeInput = Callable[[Path, Any], Value]


def is_trusted_module(name: str | None) -> bool:
    """Whether names of the module never change: the standard library, NumPy, SciPy."""
    return name is not None and name.partition(".")[0] in _TRUSTED


class Captures:
    """What one trace has captured.

    Attributes:
        inputs: numbers and arrays, in the order of first use.
        guards: conditions on everything else.
        known: captured objects with attributes, by id, and where they are.
        outside: what is written of it.
    """

    def __init__(self, trace: Trace, make_input: MakeInput, dynamic: frozenset[Any] = frozenset()) -> None:
        self.trace = trace
        self.make_input = make_input
        self.outside = Outside(trace, dynamic)
        self.met: set[int] = set()
        self._home = trace.builder
        self.inputs: list[CapturedInput] = []
        self.guards: list[Guard] = []
        self.known: dict[int, tuple[Any, Path]] = {}
        self._guarded: set[Any] = set()
        self._boxes: dict[Any, Any] = {}
        self._arrays: dict[int, tuple[Any, Path, Any]] = {}
        self._constants: dict[int, tuple[Any, Any, Value]] = {}
        self._copies: dict[int, tuple[Any, Any]] = {}
        self._whole: dict[int, tuple[Any, Any]] = {}

    # --- loading ------------------------------------------------------------------------------------------------

    def load(self, path: Path, value: Any) -> Any:
        """What traced code gets for `value`, which was found at `path`."""
        if self.trace.eager:
            return self._array_of(value, path) if type(value) is np.ndarray and value.dtype != object else value
        if isinstance(value, _AS_IS):
            self.met.add(id(value))
            self.guard(path, "is", value)
            return value
        if is_complex(value):
            return join(*(self.load(Path("attribute", path, name), getattr(value, name)) for name in ("real", "imag")))
        if is_box(value):
            return value
        if type(value) in (float, np.float64, np.float32) or (type(value) is int and path.key in self.outside.dynamic):
            return self._number(path, value)
        if isinstance(value, np.ndarray):
            refuse_subclass(value, str(path))
            if value.dtype == object:
                raise StagingError(f"{str(path)!r} is an array of Python objects", self.trace.span, fix="use a list of lists")
            return self._array(path, value)
        if isinstance(value, (*_PLAIN, enum.Enum, np.generic)):
            simple = isinstance(value, bool | type(None) | enum.Enum)
            self.guard(path, "is" if simple else "equal", value)
            return value
        if type(value) in (list, tuple, dict, OrderedDict, deque) or (isinstance(value, tuple) and hasattr(value, "_fields")):
            return self._container(path, value)
        if isinstance(value, set):
            return self._set(path, value)
        if isinstance(value, bytearray):
            self.guard(path, "equal", bytearray(value))
        self._remember(path, value)
        self.guard(path, "type", type(value))
        return value

    def guard(self, path: Path, kind: str, expected: Any) -> None:
        """Rely on a condition at `path`."""
        named = kind in ("absent", "has", "lacks")
        key = (path.key, kind, expected.key if kind == "same" else expected if named else None)
        if (path.kind == "constant" and not named) or key in self._guarded:
            return
        self._guarded.add(key)
        self.guards.append(Guard(path, kind, expected))

    def path_of(self, obj: Any) -> Path | None:
        """Where `obj` was captured, if it was."""
        found = self.known.get(id(obj))
        if found is not None:
            return found[1]
        if isinstance(obj, (type, types.ModuleType, types.FunctionType)) and not is_trusted_module(_module_of(obj)):
            return Path("constant", obj)
        return None

    def is_outside(self, obj: Any) -> bool:
        """Whether `obj` is there before the call, and attributes of it are captured."""
        if isinstance(obj, types.FunctionType) and id(obj) not in self.met:
            return False
        return id(obj) not in self.trace.born and self.path_of(obj) is not None

    def remember(self, obj: Any, path: Path | None = None) -> None:
        """Treat `obj` as captured: what is read from it becomes an input or is guarded."""
        self._remember(path or Path("constant", obj), obj)

    def _remember(self, path: Path, value: Any) -> None:
        if not isinstance(value, (*_AS_IS, *_PLAIN, float, np.ndarray, np.generic)):
            known = self.known.setdefault(id(value), (value, path))
            if known[1].key != path.key:
                self.guard(path, "same", known[1])

    # --- kinds of values ----------------------------------------------------------------------------------------

    def _number(self, path: Path, value: Any) -> Any:
        found = self._boxes.get(path.key)
        if found is None:
            numpy = isinstance(value, np.generic)
            self.guard(path, "type", type(value))
            found = self._boxes[path.key] = box(self._input(path, value), numpy)
        return found

    def _array(self, path: Path, value: Any) -> Any:
        found = self._arrays.get(id(value))
        if found is not None:
            _, first, made = found
            if first.key != path.key:
                self.guard(path, "same", first)
            return made
        made = box(self._input(path, value), True)
        self._arrays[id(value)] = (value, path, self._adopt(path, value, made))
        return made

    def _adopt(self, path: Path, value: Any, made: Any) -> Any:
        """The box of a captured array, which belongs to no region; one that cannot be written back must not be written."""
        if isinstance(made, Array):
            made.home = self._home
            if self.trace.eager:
                made.layout = BY_ROWS if value.flags.c_contiguous else value
            if not (self.trace.eager or self._is_outside(path)):
                made.frozen = f"the captured array {str(path)!r}"
            elif not value.flags.writeable:
                made.frozen = f"the read-only array {str(path)!r}"
            else:
                self.outside.arrays[id(made)] = (made, path, value, made.value)
        return made

    def _is_outside(self, path: Path) -> bool:
        """Whether a path leads from something that is there before the call; objects made while tracing are not."""
        while isinstance(path.root, Path):
            path = path.root
        if path.kind != "constant":
            return True
        return isinstance(path.root, (type, types.ModuleType, types.FunctionType)) or id(path.root) in self.known

    def _array_of(self, value: Any, path: Path) -> Any:
        """In eager mode: the box of an array from outside."""
        found = self._arrays.get(id(value))
        if found is None and value.ndim and value.dtype in NUMPY_DTYPES:
            made = box(self.trace.builder.lift_known(np.array(value)), True)
            found = self._arrays[id(value)] = (value, path, self._adopt(path, value, made))
        return value if found is None else found[2]

    def _input(self, path: Path, value: Any) -> Value:
        param = self.make_input(path, value)
        self.inputs.append(CapturedInput(path, value, param))
        if isinstance(value, np.ndarray) and path.kind != "constant":
            shape = tuple(d if isinstance(d, int) else None for d in param.dims)
            self.guard(path, "array", (value.dtype, shape))
        return param

    def constant(self, array: Any) -> Any:
        """A box of an array that was computed while tracing and is kept as it is."""
        found = self._arrays.get(id(array))
        if found is not None and isinstance(found[2], Array):
            return found[2]
        known = self._constants.get(id(array))
        if known is not None and np.array_equal(known[1], array, equal_nan=array.dtype.kind == "f"):
            return known[2]
        kept = np.array(array)
        value = self.trace.builder.lift_known(kept) if self.trace.eager else self._input(Path("constant", kept), kept)
        self._constants[id(array)] = (array, kept, value)
        return value

    def _container(self, path: Path, value: Any) -> Any:
        found = self._copies.get(id(value))
        if found is not None:
            return self._again(path, found[1])
        self.guard(path, "type", type(value))
        if _is_long_and_plain(value):
            self.guard(path, "equal", value if isinstance(value, tuple) else type(value)(value))
            copy = value if isinstance(value, tuple) else _like(value, value)
        elif isinstance(value, dict):
            self.guard(path, "keys", tuple(value))
            copy = type(value)((k, self.load(Path("item", path, k), v)) for k, v in value.items())
        else:
            self.guard(path, "length", len(value))
            items = [self.load(Path("item", path, k), v) for k, v in enumerate(value)]
            copy = type(value)._make(items) if hasattr(value, "_fields") else _like(value, items)
        self._copies[id(value)] = (value, copy)
        self.outside.note_copy(copy, value, path)
        return copy

    def _set(self, path: Path, value: set[Any]) -> Any:
        found = self._copies.get(id(value))
        if found is not None:
            return self._again(path, found[1])
        self.guard(path, "equal", set(value))
        copy = set(value)
        self._copies[id(value)] = (value, copy)
        self.outside.note_copy(copy, value, path)
        return copy

    def _again(self, path: Path, copy: Any) -> Any:
        """A copy that was made before, for another name of the same container."""
        first = self.outside.copies.get(id(copy))
        if first is not None and first.path.key != path.key:
            self.guard(path, "same", first.path)
        return copy

    def _freeze(self, copy: Any, path: Path) -> Any:
        self.trace.frozen[id(copy)] = (copy, f"the captured {type(copy).__name__} {str(path)!r}")
        return copy

    def whole(self, obj: Any) -> Any:
        """A captured object with everything that it holds loaded; anything else as it is."""
        path = None if self.trace.eager else self.path_of(obj)
        if path is None or isinstance(obj, (type, types.ModuleType, types.FunctionType)):
            return obj
        found = self._whole.get(id(obj))
        if found is not None and not self.outside.stored:
            return found[1]
        leaves, structure = opened(obj)
        if structure.kind != "object":
            return obj
        self.guard(path, "type", type(obj))
        if hasattr(obj, "__dict__"):
            self.guard(Path("attribute", path, "__dict__"), "keys", tuple(obj.__dict__))
        loaded = [
            self.whole(v if self.outside.holds(obj, k) else self.load(Path("attribute", path, k), v))
            for k, v in zip(structure.keys, leaves)
        ]
        copy = structure.unflatten(loaded)
        self._whole[id(obj)] = (obj, copy)
        return self._freeze(copy, path)


def _module_of(obj: Any) -> str | None:
    return obj.__name__ if isinstance(obj, types.ModuleType) else getattr(obj, "__module__", None)


def _like(value: Any, items: Any) -> Any:
    return deque(items, value.maxlen) if isinstance(value, deque) else type(value)(items)


def _is_long_and_plain(value: Any) -> bool:
    """Whether a container holds many numbers and nothing else: such data is compared, not passed one by one."""
    if len(value) <= LARGE:
        return False
    items = value.values() if isinstance(value, dict) else value
    return all(isinstance(item, (float, int, str)) for item in items)
