"""`wrap`: foreign functions (C code, subprocesses, other frameworks, objects with state) as parts of differentiable programs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from wengert.api.arguments import leaf_key
from wengert.api.custom import CustomFunction
from wengert.api.quotients import METHODS, Quotients
from wengert.api.results import conjugated
from wengert.errors import ArgumentError, GradientCutError, StagingError, UnsupportedError
from wengert.frontend import calls
from wengert.frontend.boxes import is_box, lift, lift_int
from wengert.frontend.context import NeedsPythonValue, current, is_tracing
from wengert.frontend.host import Form, array_form, call_now, form_of, host_call, scalar_form
from wengert.ir.builder import Builder
from wengert.ir.core import Value
from wengert.tape.evaluate import EvalBuilder
from wengert.tree import TreeDef, flatten
from wengert.types import F64, Dim

MISSING: Any = object()


class Wrapped(CustomFunction):
    """A foreign function with a derivative; made by `wrap`."""

    kind = "wrap"

    def __init__(
        self,
        foreign: Callable[..., Any],
        vjp: Callable[..., Any] | None,
        jvp: Callable[..., Any] | None,
        quotients: Quotients | None,
        shape: Any,
        like: Any,
    ) -> None:
        super().__init__(foreign)
        self.foreign = foreign
        self.fn = self._primal
        self.vjp, self.jvp, self.quotients = vjp, jvp, quotients
        self.shape, self.like = shape, like
        self.jvp_rule, self.fwd, self.bwd = self._tangent, self._forward, self._backward
        self._forms: dict[Any, Form] = {}
        self._lock = threading.Lock()
        self._tried = False

    def require_rule(self) -> None:
        """There always is one."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The foreign function's value."""
        if is_tracing():
            return self.__wengert_call__(*args, **kwargs)
        found = self.foreign(*args, **kwargs)
        self._learn(self.positional(args, kwargs), found)
        return found

    def __wengert_call__(self, *args: Any, **kwargs: Any) -> Any:
        """The call inside of a trace."""
        if not current().eager and self.shape is None and self.like is MISSING:
            self._require_sizes(self.positional(args, kwargs))
        if self.jvp is not None and self.vjp is None and not self._tried:
            self._try_rule(self.positional(args, kwargs))
        return super().__wengert_call__(*args, **kwargs)

    # --- what comes out -----------------------------------------------------------------------------------------

    def _learn(self, args: tuple[Any, ...], found: Any) -> None:
        """Remember what the function returns for arguments of these types and sizes."""
        if self.shape is None and self.like is MISSING:
            key = _key(args)
            if key not in self._forms:
                form = form_of(found, self.name)
                with self._lock:
                    self._forms[key] = form

    def _require_sizes(self, args: tuple[Any, ...]) -> None:
        for leaf in flatten(args, is_leaf=is_box)[0]:
            for d in lift(leaf).dims if is_box(leaf) else ():
                if isinstance(d, Dim):
                    symbol = d.terms[0][0]
                    assert isinstance(symbol, Value)
                    reason = f"the size of an argument of {self.name}, of which 'shape' or 'like' was not given"
                    raise NeedsPythonValue(symbol, reason, current().span)

    def _form(self, args: tuple[Any, ...]) -> Form:
        """What the function returns for these arguments."""
        if self.like is not MISSING:
            model = calls.call(self.like, args, {}) if callable(self.like) else self.like
            leaves, tree = flatten(model, is_leaf=is_box)
            forms = [Form(tree, (lift(x).tensor,), (_is_numpy(x),)) if is_box(x) else form_of(x, self.name) for x in leaves]
            return Form(tree, tuple([f.types[0] for f in forms]), tuple([f.numpy[0] for f in forms]))
        if self.shape is not None:
            found = calls.call(self.shape, args, {}) if callable(self.shape) else self.shape
            sizes = found if isinstance(found, tuple | list) else (found,)
            dims = tuple([d if type(d) is int else lift_int(d, "a size").affine for d in sizes])
            return array_form(F64, dims) if dims else scalar_form(F64)
        form = self._forms.get(_key(args))
        if form is None:
            error = StagingError(
                f"what {self.name} returns is not known yet",
                current().span,
                fix="call it once in plain Python with such arguments, or give wg.wrap the 'shape' or 'like' of its result",
            )
            error.quiet = error.temporary = True
            raise error
        return form

    def _primal(self, *args: Any) -> Any:
        """The call of the foreign function, in a trace."""
        if not is_tracing():
            return self.foreign(*args)
        if current().eager:
            found = call_now(self.foreign, args, {})
            form = form_of(found, self.name)
            self._learn(args, found)
            return host_call(lambda *_: found, args, {}, form, self.name, pure=True)
        return host_call(self.foreign, args, {}, self._form(args), self.name, pure=True)

    # --- rules --------------------------------------------------------------------------------------------------

    def _try_rule(self, args: tuple[Any, ...]) -> None:
        """A jvp rule that can be staged serves reverse mode as well, and higher orders."""
        self._tried = True
        tangents = tuple([_zero_like(a) for a in args])
        trace = current()
        outer = trace.builder
        child: Builder = EvalBuilder(trace.span, parent=outer) if isinstance(outer, EvalBuilder) else outer.child()
        try:
            with trace.inner_function(child):
                calls.call(self.jvp, (args, tangents), {})
        except (UnsupportedError, GradientCutError, NeedsPythonValue):
            return
        self.fwd = self.bwd = None

    def _tangent(self, primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> tuple[Any, Any]:
        """The rule for forward mode; the result is that of a call like any other, so it has derivatives too."""
        out = self(*primals)
        if self.jvp is not None:
            try:
                return out, calls.call(self.jvp, (primals, tangents), {})
            except (UnsupportedError, GradientCutError, NeedsPythonValue):
                pass  # it is Python code that only runs on real values
        self._refuse_complex_steps(primals, out)
        form = _floats_of(out)
        places = _places(primals)
        found = host_call(
            lambda a, t: self._push(a, t, places), (primals, tangents), {}, form, f"the derivative of {self.name}", pure=True
        )
        return out, _filled(out, list(found), 0.0)

    def _forward(self, *args: Any) -> tuple[Any, Any]:
        out = self(*args)
        return out, (args, out)

    def _backward(self, residuals: Any, cotangent: Any) -> Any:
        """The rule for reverse mode."""
        args, out = residuals
        if self.vjp is not None:
            try:
                return _as_tuple(calls.call(self.vjp, (args, out, cotangent), {}), len(args))
            except (UnsupportedError, GradientCutError, NeedsPythonValue):
                pass
        self._refuse_complex_steps(args, out)
        form, places = _floats_of(args), _places(args)
        given = (args, out, cotangent)
        found = host_call(
            lambda a, y, ct: self._pull(a, y, ct, places), given, {}, form, f"the derivative of {self.name}", pure=True
        )
        return _filled(args, list(found), None)

    def _refuse_complex_steps(self, args: tuple[Any, ...], out: Any) -> None:
        """Raise if steps into the complex plane are to be taken through a function that is complex anyway."""
        if self.quotients is None or self.quotients.method != "complex":
            return
        if any(flatten((args, out), is_leaf=is_box)[1].imaginary()):
            raise ArgumentError(
                f"the method 'complex' of wrap is for real arguments and results, and {self.name} has complex ones",
                current().span,
                fix="use method='central', or give a rule",
            )

    # --- at run time --------------------------------------------------------------------------------------------

    def _push(self, args: tuple[Any, ...], tangents: tuple[Any, ...], places: Sequence[int]) -> list[Any]:
        """Tangents of the float results, on real values."""
        if self.jvp is not None:
            return _floats(self.jvp(args, tangents))
        leaves, tree = flatten(args)
        directions = [flatten(tangents, is_leaf=lambda x: x is None)[0][k] for k in places]
        if self.quotients is not None:
            f = _on_leaves(self.foreign, leaves, tree, places, self.quotients.method == "complex")
            return self.quotients.along(f, [leaves[k] for k in places], directions)
        out = self.foreign(*args)
        found = []
        for k, unit in _units(out):
            pulled = self._pull_parts(args, out, unit, places)
            found.append((k, sum(float(np.sum(np.asarray(g) * np.asarray(t))) for g, t in zip(pulled, directions, strict=True))))
        return _gathered(_floats(out), found)

    def _pull(self, args: tuple[Any, ...], out: Any, cotangent: Any, places: Sequence[int]) -> list[Any]:
        """Cotangents of the float arguments, on real values; `df/dx - i df/dy` for complex numbers, as is the given one."""
        return _signed(args, self._pull_parts(args, out, _conjugate(cotangent), places), places)

    def _pull_parts(self, args: tuple[Any, ...], out: Any, cotangent: Any, places: Sequence[int]) -> list[Any]:
        """The same with a derivative for each part of a complex number: `df/dx + i df/dy`."""
        leaves, tree = flatten(args)
        if self.vjp is not None:
            terms = _as_tuple(self.vjp(args, out, _conjugate(cotangent)), len(args))
            return _signed(args, self._checked(terms, args, leaves, places), places)
        seeds = [np.asarray(ct) for ct in _matching(cotangent, out)]
        chosen = [leaves[k] for k in places]
        if self.quotients is not None:
            f = _on_leaves(self.foreign, leaves, tree, places, self.quotients.method == "complex")
            return self.quotients.pulled(f, chosen, seeds)
        assert self.jvp is not None
        found = []
        for number, unit in _units(chosen):
            tangents = [np.zeros(np.shape(x)) if np.shape(x) else 0.0 for x in leaves]
            for k, part in zip(places, unit, strict=True):
                tangents[k] = part
            dots = _floats(self.jvp(args, tree.unflatten(tangents)))
            found.append((number, sum(float(np.sum(s * np.asarray(d))) for s, d in zip(seeds, dots, strict=True))))
        return _gathered(chosen, found)

    def _checked(self, terms: tuple[Any, ...], args: Any, leaves: Sequence[Any], places: Sequence[int]) -> list[Any]:
        """One cotangent per float leaf of the arguments, from what the user's rule gives."""
        found: list[Any] = []
        for arg, term in zip(args, terms, strict=True):
            count = flatten(arg)[1].num_leaves
            parts = [None] * count if term is None else flatten(term, is_leaf=lambda x: x is None)[0]
            if len(parts) != count:
                raise ArgumentError(f"the vjp of {self.name} gave a cotangent of another structure than its argument")
            found += parts
        chosen = []
        for k in places:
            part = np.zeros(np.shape(leaves[k])) if found[k] is None else np.asarray(found[k], dtype=float)
            if part.shape != np.shape(leaves[k]):
                raise ArgumentError(
                    f"the vjp of {self.name} gave a cotangent of a wrong shape",
                    found=str(part.shape),
                    expected=str(np.shape(leaves[k])),
                )
            chosen.append(part)
        return chosen


# --- trees -----------------------------------------------------------------------------------------------------------


def _is_numpy(x: Any) -> bool:
    return lift(x).rank > 0 or bool(getattr(x, "numpy", False))


def _is_float(leaf: Any) -> bool:
    if is_box(leaf):
        return bool(leaf.value.is_float)
    return isinstance(leaf, float) or (isinstance(leaf, np.ndarray) and leaf.dtype.kind == "f")


def _key(args: tuple[Any, ...]) -> Any:
    leaves, tree = flatten(args, is_leaf=is_box)
    kinds = []
    for leaf in leaves:
        if is_box(leaf):
            value = lift(leaf)
            kinds.append((value.tensor.dtype.name, value.dims))
        elif isinstance(leaf, np.ndarray) or type(leaf) in (float, int, np.float64):
            kinds.append(({"f": "f64", "i": "i64", "b": "bool"}.get(np.asarray(leaf).dtype.kind, "?"), np.shape(leaf)))
        else:
            kinds.append(leaf_key(leaf))
    return (tree, tuple(kinds))


def _places(tree: Any) -> list[int]:
    """Which leaves are traced floats."""
    return [k for k, leaf in enumerate(flatten(tree, is_leaf=is_box)[0]) if is_box(leaf) and _is_float(leaf)]


def _floats_of(tree: Any) -> Form:
    """The form of a tuple of the traced floats in a tree."""
    leaves = flatten(tree, is_leaf=is_box)[0]
    chosen = [leaves[k] for k in _places(tree)]
    structure = flatten(tuple([0.0] * len(chosen)))[1]
    return Form(structure, tuple([lift(x).tensor for x in chosen]), tuple([_is_numpy(x) for x in chosen]))


def _filled(tree: Any, values: Sequence[Any], other: Any) -> Any:
    """A tree with `values` in place of its traced floats, and `other` elsewhere."""
    leaves, structure = flatten(tree, is_leaf=is_box)
    found: list[Any] = [other] * len(leaves)
    for place, value in zip(_places(tree), values, strict=True):
        found[place] = value
    return structure.unflatten(found)


def _zero_like(tree: Any) -> Any:
    leaves, structure = flatten(tree, is_leaf=is_box)
    return structure.unflatten([calls.call(np.zeros_like, (x,), {}) if is_box(x) and lift(x).rank else 0.0 for x in leaves])


def _floats(tree: Any) -> list[Any]:
    return [leaf for leaf in flatten(tree)[0] if _is_float(leaf)]


def _matching(cotangent: Any, out: Any) -> Iterator[Any]:
    """The cotangents of the float leaves of a result."""
    pairs = zip(flatten(cotangent)[0], flatten(out)[0], strict=True)
    return (ct for ct, leaf in pairs if _is_float(leaf))


def _conjugate(tree: Any) -> Any:
    """The tree with the conjugates of its complex numbers."""
    leaves, structure = flatten(tree, is_leaf=lambda x: x is None)
    return structure.unflatten(conjugated(structure, leaves)) if any(structure.imaginary()) else tree


def _signed(args: tuple[Any, ...], values: list[Any], places: Sequence[int]) -> list[Any]:
    """`values`, one for each of the leaves at `places`, negated for imaginary parts."""
    flags = flatten(args)[1].imaginary()
    return [-value if flags[place] else value for value, place in zip(values, places, strict=True)]


def _as_tuple(found: Any, count: int) -> tuple[Any, ...]:
    """What a vjp gives: one cotangent per argument; the bare one for a function of one argument."""
    if isinstance(found, tuple | list) and len(found) == count:
        return tuple(found)
    if count == 1:
        return (found,)
    raise ArgumentError(f"a vjp given to wrap must return one cotangent per argument, {count} of them. Got {found!r} instead.")


def _on_leaves(
    foreign: Callable[..., Any], leaves: Sequence[Any], tree: TreeDef, places: Sequence[int], whole: bool
) -> Callable[[Sequence[Any]], list[Any]]:
    """The function from the leaves at `places` to the float leaves of the result; complex ones `whole`, or part by part."""

    def call(values: Sequence[Any]) -> list[Any]:
        changed = list(leaves)
        for k, value in zip(places, values, strict=True):
            changed[k] = value
        found = flatten(foreign(*tree.unflatten(changed)), is_leaf=lambda x: isinstance(x, complex | np.ndarray))[0]
        arrays = [np.asarray(leaf) for leaf in found if np.asarray(leaf).dtype.kind in "fc"]
        return arrays if whole else [part for x in arrays for part in ((x.real, x.imag) if x.dtype.kind == "c" else (x,))]

    return call


def _units(tree: Any) -> Iterator[tuple[tuple[int, tuple[int, ...]], Any]]:
    """Every direction that is 1 at one place of one float leaf and 0 elsewhere, with that place."""
    leaves, structure = flatten(tree)
    floats = [k for k, leaf in enumerate(leaves) if _is_float(leaf)]
    for number, k in enumerate(floats):
        for place in np.ndindex(*np.shape(leaves[k])):
            unit = [np.zeros(np.shape(leaf)) if np.shape(leaf) else 0.0 for leaf in leaves]
            if place:
                unit[k][place] = 1.0  # type: ignore[index]
            else:
                unit[k] = 1.0
            yield (number, place), structure.unflatten(unit)


def _gathered(models: Sequence[Any], found: Sequence[tuple[tuple[int, tuple[int, ...]], float]]) -> list[Any]:
    arrays = [np.zeros(np.shape(m)) for m in models]
    for (number, place), value in found:
        arrays[number][place] = value
    return list(arrays)


# --- the public function ---------------------------------------------------------------------------------------------


def wrap(
    f: Callable[..., Any],
    *,
    vjp: Callable[..., Any] | None = None,
    jvp: Callable[..., Any] | None = None,
    method: str | None = None,
    smooth: bool = True,
    shape: Any = None,
    like: Any = MISSING,
    step: float | None = None,
    order: int = 2,
    samples: int = 8,
    seed: int = 0,
    tolerance: float | None = None,
) -> Wrapped:
    """A foreign function as a part of differentiable programs, compiled and eager: called in Python at run time.

    Its derivative comes from a rule or from difference quotients. A rule that is Python code which can be staged is
    differentiated in turn; otherwise there is no second derivative.

    Args:
        f: takes numbers, arrays and containers of them, and returns such; it must not change its arguments.
        vjp: `vjp(args, result, cotangent)` returns one cotangent per argument (None for zero), `args` being a tuple.
        jvp: `jvp(args, tangents)` returns the tangent of the result.
        method: "complex" evaluates at `x + ih` (exact to rounding; one call per number), "central" at `x + h` and `x - h` (two
            calls per number), "spsa" at random directions (two calls per sample; noisy, unbiased).
        smooth: False says that `f` has jumps or noise: only "spsa" or a rule will do.
        shape: the shape of the result, one float array; or a function of the arguments that gives it.
        like: an example of the result; or a function of the arguments that gives something of its types and shapes.
            Without `shape` and `like`, a first call shows what comes out, and code is compiled for each size.
        step: in place of the default: `eps**(1/3)` for "central" (`eps**(1/5)` for order 4) and 1e-3 for "spsa", times
            `max(1, |x|)`; 2**-100 for "complex".
        order: of the error of "central" in the step: 2, or 4 (four calls per number).
        samples: directions that "spsa" averages over.
        seed: of the directions of "spsa".
        tolerance: with "central": raise ArithmeticError where the error, estimated from a second step, is larger,
            relative to the derivative.

    Returns:
        A callable with the signature of `f`.

    Example:
        >>> import math, wengert as wg
        >>> gamma = wg.wrap(math.gamma, method="central", order=4, shape=())
        >>> round(wg.grad(lambda x: gamma(x) ** 2)(3.0), 9)
        7.382274681
    """
    if not callable(f):
        raise ArgumentError(f"wrap takes a function. Got {f!r} instead.")
    rules = [vjp is not None or jvp is not None, method is not None]
    if sum(rules) != 1:
        raise ArgumentError("wrap takes either a rule ('vjp', 'jvp') or a 'method' for difference quotients.")
    if method is not None and method not in METHODS:
        raise ArgumentError(f"The 'method' argument of wrap must be one of {', '.join(METHODS)}. Got {method!r} instead.")
    if not smooth and method in ("complex", "central"):
        raise ArgumentError(f"the method {method!r} needs a smooth function", fix="use method='spsa', or give a rule")
    quotients = None if method is None else Quotients(method, step, order, samples, seed, tolerance)
    return Wrapped(f, vjp, jvp, quotients, shape, like)
