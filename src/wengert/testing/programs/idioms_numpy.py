"""Random idioms of NumPy: arrays joined and moved around, scans, contractions, results written to arrays that are there."""

from __future__ import annotations

from collections.abc import Callable

from wengert.testing.programs.expressions import array, condition, constant, tame
from wengert.testing.programs.phrases import Body, phrase
from wengert.testing.programs.scope import Variable, Writer, bare


def joined(w: Writer, body: Body) -> None:
    """Arrays put together and taken apart."""
    found = w.arrays(rank=1)
    if not found:
        return
    v, u, name = w.pick(found), w.pick(found), w.fresh("j")
    n, m = v.shape[0], u.shape[0]
    text, size = w.pick((
        (f"np.concatenate([{v.text}, {u.text}])", n + m),
        (f"np.concatenate(({v.text}[1:], [{phrase(w, 0)}]))", n),
        (f"np.hstack([{phrase(w, 0)}, {v.text}])", n + 1),
        (f"np.append({v.text}, {phrase(w, 0)})", n + 1),
        (f"np.tile({v.text}, 2)", 2 * n),
        (f"np.repeat({v.text}, 2)", 2 * n),
        (f"np.roll({v.text}, {w.rng.randrange(-2, 3)})", n),
        (f"np.stack([{v.text}, {v.text} ** 2]).sum(axis=0)", n),
        (f"np.outer({v.text}, {u.text}).T[0]", n),
        (f"np.pad({v.text}, 1)", n + 2),
        (f"np.diff(np.concatenate(([0.0], {v.text})))", n),
    ))
    w.line(f"{name} = {w.number(0.3, 0.9)} * {text}")
    w.add(Variable(name, "array", (size,)))


def scanned(w: Writer, body: Body) -> None:
    """Running sums, differences, interpolation, statistics."""
    found = w.arrays(rank=1)
    if not found:
        return
    v, name = w.pick(found), w.fresh("s")
    n = v.shape[0]
    forms = [
        f"np.cumsum({v.text})[-1]",
        f"np.var({v.text})",
        f"np.linalg.norm({v.text} + {w.number(1.5, 2.0)})",
        f"np.prod(np.cos({v.text}))",
        f"np.interp({phrase(w)}, np.linspace(-2.0, 2.0, {n}), {v.text})" if n > 1 else f"np.sum({v.text})",
        f"np.std({v.text} + np.arange({n}) * 1.3)" if n > 1 else f"np.mean({v.text})",
        f"np.polyval({v.text}, {phrase(w, 0, 1.0)})",
        f"{v.text}[np.argmax({v.text})]",
        f"np.vdot({v.text}, np.cos({v.text}))",
        f"np.trapezoid({v.text}, dx=0.3)" if n > 1 else f"np.max({v.text})",
    ]
    w.line(f"{name} = math.tanh({w.pick(forms)})")
    w.add(Variable(name, "float"))


def contracted(w: Writer, body: Body) -> None:
    """Products of matrices, traces, determinants."""
    found = w.arrays(rank=2)
    if not found:
        return
    m, name = w.pick(found), w.fresh("c")
    rows, columns = m.shape
    forms = [
        f'np.einsum("ij,ij->", {m.text}, np.cos({m.text}))',
        f"np.trace({m.text} @ {m.text}.T)",
        f'np.einsum("ij,kj->ik", {m.text}, {m.text})[0, -1]',
        f"np.linalg.det(2.0 * np.eye({rows}) + 0.1 * np.tanh({m.text}) @ np.tanh({m.text}).T)",
        f"np.tensordot({m.text}, {m.text}, axes=2)",
        f"np.max(np.sum(np.abs({m.text}), axis=1))",
        f"np.sum(np.triu({m.text}) ** 2)",
        f"np.linalg.cholesky(2.0 * np.eye({columns}) + 0.1 * np.tanh({m.text}).T @ np.tanh({m.text}))[0, 0]",
        f"np.sum({m.text}.swapaxes(0, 1).reshape(-1)[:{min(rows * columns, 4)}])",
    ]
    w.line(f"{name} = math.tanh(0.2 * {w.pick(forms)})")
    w.add(Variable(name, "float"))


def written_out(w: Writer, body: Body) -> None:
    """Results written to an array that is there: out=, copyto, fill, put through views of views."""
    found = [v for v in w.arrays(rank=1, writable=True) if v.shape[0] > 1]
    if not found:
        return
    v = w.pick(found)
    n = v.shape[0]
    e = bare(tame(w, array(w, v.shape), 2.0).text)
    w.line(w.pick((
        f"np.multiply({v.text}, {w.number(0.3, 0.9)}, out={v.text})",
        f"np.sin({e}, out={v.text})",
        f"np.copyto({v.text}, {e})" if "[" not in e and "view" not in e else f"np.copyto({v.text}, np.tanh({e}))",
        f"{v.text}.fill({phrase(w)})",
        f"{v.text}[1:][::-1][0] = {phrase(w)}",
        f"{v.text}[::-1][: {n - 1}][0] += {phrase(w, 1, 1.0)}",
        f"{v.text}[1:] = {v.text}[:-1]",
        f"{v.text}[:-1] += {w.number(0.2, 0.6)} * {v.text}[1:]",
        f"{v.text}[0], {v.text}[-1] = {v.text}[-1], {v.text}[0]",
        f"{v.text}.reshape(1, -1)[0, {w.rng.randrange(n)}] *= {w.number(0.3, 0.9)}",
    )))  # fmt: skip


def stencil(w: Writer, body: Body) -> None:
    """Steps of a difference scheme on two arrays that swap."""
    found = [v for v in w.arrays(rank=1) if v.shape[0] > 2]
    if not found or w.frame.trips > 6:
        return
    v, old, new, i = w.pick(found), w.fresh("old"), w.fresh("new"), w.fresh("i")
    w.line(f"{old} = {v.text}.copy()")
    w.line(f"{new} = np.zeros_like({old})")
    w.line(f"for {i} in range({w.rng.randrange(1, 6)}):")
    with w.loop(3):
        w.line(f"{new}[1:-1] = {old}[1:-1] + {w.number(0.1, 0.3)} * ({old}[2:] - 2.0 * {old}[1:-1] + {old}[:-2])")
        w.line(f"{new}[0] = {phrase(w, 0)}" if w.chance(0.5) else f"{new}[-1] = {new}[-2]")
        if w.chance(0.3):
            w.line(f"if {condition(w)}:")
            w.line(f"    {w.pick(('break', f'{new}[1] -= {constant(w).text}'))}")
        w.line(f"{old}, {new} = {new}, {old}")
    w.add(Variable(old, "array", v.shape, assignable=False))


def flattened(w: Writer, body: Body) -> None:
    """A matrix, by rows or by columns in memory, and its elements in a line: a view or a copy, one of which is written to."""
    found = w.arrays(rank=2)
    if not found:
        return
    m, made, line, name = w.pick(found), w.fresh("y"), w.fresh("line"), w.fresh("f")
    forms = ["np.tanh({0})", "np.tanh({0}.T)", "0.5 * {0}", "{0}.T - 0.3", "{0}.copy()", "{0}.T.copy()", "np.array({0}.T)"]
    forms += ["np.concatenate([{0}.T, {0}.T])", "np.zeros_like({0}.T)", "np.where({0}.T > 0.1, {0}.T, 0.2)", "{0}[::-1] * 0.7"]
    forms += ["np.sort({0}, axis=0)", "np.cumsum({0}.T, axis=1)", "{0}[:, [0]]", "np.stack([{0}[0], {0}[-1]]).T", "{0}.T @ {0}"]
    w.line(f"{made} = {w.pick(forms).format(m.text)}")
    part, flat = w.pick(("", "", ".T", "[:, 0:1]")), w.pick((".ravel()", ".reshape(-1)", ".reshape((-1, 1))[:, 0]"))
    w.line(f"{line} = {made}{part}{flat}")
    w.line(w.pick((f"{line}[-1] = {phrase(w)}", f"{made}[-1, 0] = {phrase(w)}", f"{line}[0] *= {w.number(0.3, 0.9)}")))
    w.line(f"{name} = 0.1 * (np.sum({made} ** 2) + np.sum(np.sin({line})))")
    w.add(Variable(name, "float"))


IDIOMS: tuple[tuple[Callable[[Writer, Body], None], float], ...] = (
    (joined, 1.2),
    (scanned, 1.0),
    (contracted, 0.7),
    (written_out, 1.2),
    (stencil, 0.6),
    (flattened, 0.2),
)
