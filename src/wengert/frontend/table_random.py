"""Random numbers: drawn from the user's own generator at run time, in program order.

The numbers are those of plain Python with the same seed. Where a draw is a formula of its parameters (`normal` is
`loc + scale * z`) the derivative is that of the formula at fixed `z`; other draws have none with respect to their parameters.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from wengert.errors import StagingError
from wengert.frontend.arrays import Array
from wengert.frontend.boxes import as_array, box, holds_box, is_box, lift, lift_as, lift_int, shape_of
from wengert.frontend.broadcasting import broadcast_shapes, placed, spread
from wengert.frontend.calls import METHOD_RULES, SPECIAL
from wengert.frontend.context import current
from wengert.frontend.host import NOTHING, Form, array_form, call_now, form_of, host_call, scalar_form
from wengert.frontend.registry import PASS
from wengert.ir.core import Value
from wengert.types import F64, I64, Affine

Owner = Callable[[], Any]
"""Gives the generator at run time."""

_SIZE_AFTER = {
    0: "standard_normal standard_exponential standard_cauchy random random_sample",
    1: "exponential poisson rayleigh weibull pareto power chisquare standard_t standard_gamma geometric zipf logseries dirichlet",
    2: "normal uniform laplace gumbel logistic lognormal vonmises wald gamma beta f binomial negative_binomial "
    "noncentral_chisquare integers randint multivariate_normal multinomial",
    3: "triangular hypergeometric noncentral_f",
}
"""How many parameters come before `size`."""

_PLACE_OF_SIZE = {name: place for place, names in _SIZE_AFTER.items() for name in names.split()}
_INTEGERS = frozenset(
    (
        "integers", "randint", "poisson", "binomial", "negative_binomial", "geometric", "hypergeometric", "zipf", "logseries",
        "multinomial",
    )
)  # fmt: skip
_EVENTS = {"multivariate_normal": 0, "dirichlet": 0, "multinomial": 1}
"""Draws that are vectors: which parameter has their length."""

_PYTHON_FLOATS = frozenset(
    (
        "random", "uniform", "gauss", "normalvariate", "expovariate", "betavariate", "gammavariate", "lognormvariate",
        "vonmisesvariate", "paretovariate", "weibullvariate", "triangular",
    )
)  # fmt: skip
_PYTHON_INTEGERS = frozenset(("randint", "randrange", "getrandbits", "binomialvariate"))


class HostGenerator:
    """Stands for a generator that the function makes at run time; one per thread."""

    def __init__(self, make: Callable[..., Any], kind: type, args: Sequence[Any], kwargs: dict[str, Any]) -> None:
        self._kind = kind
        self._cell = threading.local()

        def create(*given: Any, **named: Any) -> None:
            self._cell.generator = make(*given, **named)

        host_call(create, args, kwargs, NOTHING, make.__name__, stop=True)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if not hasattr(self._kind, name):
            raise AttributeError(f"{self._kind.__name__!r} object has no attribute {name!r}")
        return HostMethod(lambda: self._cell.generator, self._kind, name)


class HostMethod:
    """A method of a generator that is made at run time."""

    def __init__(self, owner: Owner, kind: type, name: str) -> None:
        self.owner, self.kind, self.name = owner, kind, name

    def __wengert_call__(self, *args: Any, **kwargs: Any) -> Any:
        """The call inside of a trace."""
        return method(self.owner, self.kind, self.name, args, kwargs)


def _constructor(make: Any, kind: type) -> Callable[..., Any]:
    def rule(*args: Any, **kwargs: Any) -> Any:
        given = [*args, *kwargs.values()]
        if current().eager or any(isinstance(a, np.random.Generator | np.random.BitGenerator) for a in given):
            return PASS
        if any(isinstance(a, HostGenerator) for a in given):
            return given[0]
        return HostGenerator(make, kind, args, kwargs)

    return rule


SPECIAL[np.random.default_rng] = _constructor(np.random.default_rng, np.random.Generator)
SPECIAL[np.random.RandomState] = _constructor(np.random.RandomState, np.random.RandomState)
SPECIAL[random.Random] = _constructor(random.Random, random.Random)


def _np_seed(*args: Any, **kwargs: Any) -> Any:
    return host_call(np.random.seed, args, kwargs, NOTHING, "numpy.random.seed", stop=True)


SPECIAL[np.random.seed] = _np_seed


def generator_method(fn: Any, owner: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A method of a generator that exists."""
    trace = current()
    path = None if trace.eager else trace.captures.path_of(owner)
    return method((lambda: owner) if path is None else path.read, type(owner), fn.__name__, args, kwargs)


for _cls in (np.random.Generator, np.random.RandomState, random.Random):
    METHOD_RULES.append((_cls, generator_method))


def method(owner: Owner, kind: type, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The method `name` of a generator of class `kind`, in a trace."""
    if name == "seed":
        return host_call(lambda *a, **k: owner().seed(*a, **k), args, kwargs, NOTHING, "seed", stop=True)
    if issubclass(kind, random.Random):
        return _python_draw(owner, name, args, kwargs)
    if name in ("shuffle", "permutation", "choice"):
        return _rearranged(owner, name, args, kwargs)
    if name in ("rand", "randn"):
        plain = "random_sample" if name == "rand" else "standard_normal"
        return _draw(owner, plain, (), {"size": args or None}, plain)
    if name not in _PLACE_OF_SIZE:
        return _other(owner, name, args, kwargs)
    return _draw(owner, name, args, kwargs, name)


def _other(owner: Owner, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A method that is not staged; in eager mode it is called, if nothing traced goes in."""
    trace = current()
    if trace.eager:
        found = call_now(getattr(owner(), name), args, kwargs)
        if not holds_box([*args, *kwargs.values()]) or found is not None:
            form = None if found is None else form_of(found, name)
            return found if form is None else host_call(lambda *a, **k: found, args, kwargs, form, f"random {name}")
    raise StagingError(
        f"the method {name!r} of a random generator is not staged",
        current().span,
        fix="draw the numbers outside of the function and pass them in",
    )


# --- draws of numbers ------------------------------------------------------------------------------------------------


def _draw(owner: Owner, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], shown: str) -> Any:
    place = _PLACE_OF_SIZE[name]
    options = dict(kwargs)
    params = list(args[:place])
    size = args[place] if len(args) > place else options.pop("size", None)
    if len(args) > place + 1:
        raise StagingError(f"{shown} with arguments after 'size' by position is not staged", current().span)
    if np.dtype(options.get("dtype", float)) not in (np.float64, np.int64) or options.get("out") is not None:
        raise StagingError(f"{shown} of another dtype, or into 'out', is not staged", current().span)
    shape = _shape(name, params, options, size)
    dtype = I64 if name in _INTEGERS else F64
    if shape:
        form = array_form(dtype, shape)
    else:
        form = scalar_form(dtype, numpy=name == "integers")
    if size is not None:
        options["size"] = size
    found = host_call(lambda *a, **k: getattr(owner(), name)(*a, **k), params, options, form, f"random {shown}")
    return _with_gradient(name, _parameters(name, params, kwargs), found)


def _shape(name: str, params: Sequence[Any], options: dict[str, Any], size: Any) -> tuple[Affine, ...]:
    event: tuple[Affine, ...] = ()
    named = [v for k, v in options.items() if k not in ("dtype", "method", "endpoint", "check_valid", "tol", "size")]
    if name in _EVENTS:
        given = [*params, *named]
        event = shape_of(given[_EVENTS[name]])[-1:]
        return (*_dims(size), *event)
    if size is not None:
        return _dims(size)
    return broadcast_shapes([shape_of(p) for p in (*params, *named) if p is not None])


def _dims(size: Any) -> tuple[Affine, ...]:
    if size is None:
        return ()
    entries = size if isinstance(size, tuple | list) else (size,)
    return tuple([e if type(e) is int else lift_int(e, "a size").affine for e in entries])


_NAMES = {
    "normal": ("loc", "scale"), "laplace": ("loc", "scale"), "gumbel": ("loc", "scale"), "logistic": ("loc", "scale"),
    "uniform": ("low", "high"), "lognormal": ("mean", "sigma"), "exponential": ("scale",), "rayleigh": ("scale",),
}  # fmt: skip
_DEFAULTS = {"loc": 0.0, "scale": 1.0, "low": 0.0, "high": 1.0, "mean": 0.0, "sigma": 1.0}


def _parameters(name: str, params: Sequence[Any], kwargs: dict[str, Any]) -> list[Any]:
    names = _NAMES.get(name, ())
    return [params[k] if k < len(params) else kwargs.get(n, _DEFAULTS[n]) for k, n in enumerate(names)]


def _with_gradient(name: str, params: Sequence[Any], found: Any) -> Any:
    """A draw whose value is that of the generator, and whose derivative is that of the formula it comes from."""
    if not any(is_box(p) and lift(p).is_float for p in params):
        return found
    b = current().builder
    drawn = b.stop_gradient(lift(found))
    values = [_spread(p, drawn) for p in params]
    fixed = [b.stop_gradient(v) for v in values]
    if name in ("exponential", "rayleigh"):
        formula = b.mul(values[0], b.div(drawn, fixed[0]))
    else:
        low, width = values[0], values[1]
        fixed_low, fixed_width = fixed
        if name == "uniform":
            width, fixed_width = b.sub(width, low), b.sub(fixed_width, fixed_low)
        start = b.log(drawn) if name == "lognormal" else drawn
        z = b.stop_gradient(b.div(b.sub(start, fixed_low), fixed_width))
        formula = b.add(low, b.mul(width, z))
        if name == "lognormal":
            formula = b.mul(drawn, formula)
    # The difference is exactly zero, so the value stays the generator's to the last bit.
    value = b.add(drawn, b.sub(formula, b.stop_gradient(formula)))
    return box(value, numpy=value.rank > 0 or getattr(found, "numpy", False))


def _spread(param: Any, model: Value) -> Value:
    if model.rank == 0:
        return lift_as(param, F64)
    return spread(placed(as_array(param) if not is_box(param) and np.ndim(param) else box(lift_as(param, F64))), model.dims)


# --- orders and choices ----------------------------------------------------------------------------------------------


def _rearranged(owner: Owner, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`shuffle`, `permutation` and `choice`: the generator rearranges indices, and the array is read at those."""
    x, *rest = args if args else (kwargs.pop("a" if name == "choice" else "x"),)
    if kwargs.get("axis", 0) != 0 or "shuffle" in kwargs:
        return _other(owner, name, args, kwargs)
    if name == "choice":
        return _choice(owner, x, rest, kwargs)
    if not isinstance(x, Array) and not (name == "permutation" and not isinstance(x, np.ndarray | list)):
        return _other(owner, name, args, kwargs)
    if not isinstance(x, Array):
        length = lift_int(x, "a length")
        form = array_form(I64, (length.affine,))
        return host_call(lambda n: getattr(owner(), name)(n), (x,), {}, form, name, stop=True)
    shape = list(x.dims)
    form = array_form(I64, (shape[0],))

    def order(*sizes: int) -> Any:
        rows = np.arange(sizes[0]).reshape(-1, *[1] * (len(sizes) - 1))
        indices = np.array(np.broadcast_to(rows, sizes))
        if name == "shuffle":
            owner().shuffle(indices)
        else:
            indices = owner().permutation(indices)
        return indices.reshape(sizes[0], -1)[:, 0] if indices.size else np.zeros(sizes[0], dtype=np.int64)

    index = host_call(order, [box(current().builder.dim(d)) for d in shape], {}, form, name, stop=True)
    if name == "permutation":
        return x[index]
    x[...] = x[index]
    return None


def _choice(owner: Owner, x: Any, rest: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    names = ("size", "replace", "p")
    options = {**dict(zip(names, rest)), **kwargs}
    dims = _dims(options.get("size"))
    form = array_form(I64, dims) if dims else scalar_form(I64)
    known = isinstance(x, list | np.ndarray) and np.ndim(x) > 0
    if known and np.asarray(x).dtype.kind not in "fib" and not holds_box(x):
        return _other(owner, "choice", (x, *rest), kwargs)
    whole = isinstance(x, Array) or known
    source = as_array(np.asarray(x) if known and not holds_box(x) else x) if whole else None
    count = box(current().builder.dim(source.dims[0])) if source is not None else x
    found = host_call(lambda n, **k: owner().choice(n, **k), (count,), options, form, "choice", stop=True)
    return found if source is None else source[found]


# --- the module random -----------------------------------------------------------------------------------------------


def _python_draw(owner: Owner, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    def call(*a: Any, **k: Any) -> Any:
        return getattr(owner(), name)(*a, **k)

    if name in _PYTHON_FLOATS:
        found = host_call(call, args, kwargs, scalar_form(F64), f"random.{name}")
        return _python_gradient(name, args, kwargs, found)
    if name in _PYTHON_INTEGERS:
        return host_call(call, args, kwargs, scalar_form(I64), f"random.{name}", stop=True)
    if name == "choice" and args and isinstance(args[0], Array):
        count = box(current().builder.dim(args[0].dims[0]))
        index = host_call(lambda n: owner().choice(range(n)), (count,), {}, scalar_form(I64), "random.choice")
        return args[0][index]
    if name == "choice" and args and isinstance(args[0], list | tuple | range) and not holds_box(args[0]):
        form = _common_form(args[0])
        if form is not None:
            return host_call(call, args, kwargs, form, "random.choice")
    return _other(owner, name, args, kwargs)


def _common_form(items: Sequence[Any]) -> Form | None:
    """The form of all of `items`, if they are numbers of one type."""
    kinds = {type(item) for item in items}
    if len(kinds) != 1 or not kinds <= {float, int, bool}:
        return None
    return form_of(items[0])


def _python_gradient(name: str, args: tuple[Any, ...], kwargs: dict[str, Any], found: Any) -> Any:
    if name in ("gauss", "normalvariate"):
        given = {**dict(zip(("mu", "sigma"), args)), **kwargs}
        return _with_gradient("normal", [given.get("mu", 0.0), given.get("sigma", 1.0)], found)
    if name == "lognormvariate":
        given = {**dict(zip(("mu", "sigma"), args)), **kwargs}
        return _with_gradient("lognormal", [given["mu"], given["sigma"]], found)
    if name == "uniform":
        given = {**dict(zip(("a", "b"), args)), **kwargs}
        return _with_gradient("uniform", [given["a"], given["b"]], found)
    if name == "expovariate":
        rate = args[0] if args else kwargs.get("lambd", 1.0)
        return _with_gradient("exponential", [1.0 / rate], found) if is_box(rate) else found
    return found
