"""Random float expressions that stay inside the domains of the functions they use."""

from __future__ import annotations

from collections.abc import Callable

from wengert.testing.programs.scope import Expr, Helper, Shape, Variable, Writer, bare

_TAME = 12.0

# Name, and how large the result gets.
_ANY = (("sin", 1.0), ("cos", 1.0), ("tanh", 1.0))
_MATH = (*_ANY, ("atan", 1.6), ("asinh", 3.0))
_NUMPY = (*_ANY, ("arctan", 1.6), ("arcsinh", 3.0))
# Function, expression of the argument that is inside the domain, how large the result gets; `{}` is the inner expression.
_GUARDED = (
    ("sqrt", "(abs({}) + 0.3)", 2.5),
    ("log", "(abs({}) + 0.5)", 2.0),
    ("log1p", "abs({})", 2.0),
    ("exp", "{np}.tanh({})", 2.8),
    ("exp", "(-abs({}))", 1.0),
    ("expm1", "(0.5 * {np}.sin({}))", 1.0),
    ("sinh", "{np}.tanh({})", 1.2),
    ("cosh", "(0.7 * {np}.cos({}))", 1.3),
    ("tan", "(0.8 * {np}.sin({}))", 1.1),
    ("log2", "({} ** 2 + 0.7)", 3.0),
    ("log10", "({} ** 2 + 0.7)", 1.0),
    ("exp2", "{np}.tanh({})", 2.0),
)
_ARC = ((("asin", "acos", "atanh"), ("arcsin", "arccos", "arctanh")), "(0.9 * {np}.sin({}))", 3.2)


def scalar(w: Writer, depth: int = 2) -> Expr:
    """A float."""
    if depth <= 0:
        return _leaf(w)
    found = w.rng.choices(_SCALARS, _SCALAR_WEIGHTS)[0](w, depth)
    return tame(w, found)


def tame(w: Writer, e: Expr, bound: float = _TAME) -> Expr:
    """`e`, squashed if it may get larger than `bound`."""
    if e.bound <= bound:
        return e
    library = "np" if e.shape or w.chance(0.4) else "math"
    forms = [(f"{library}.tanh({bare(e.text)})", 1.0), (f"{library}.sin({bare(e.text)})", 1.0)]
    if not e.shape:
        forms.append((f"({e.text} / (1.0 + abs({bare(e.text)})))", 1.0))
    text, size = w.pick(forms)
    if size > bound:
        text = f"({bound:.2g} * {text})"
    return Expr(text, e.shape, min(size, bound))


def constant(w: Writer) -> Expr:
    """A number."""
    value = round(w.rng.uniform(-2, 2), 2)
    return Expr(repr(value) if value >= 0 else f"({value!r})", (), abs(value))


def _leaf(w: Writer) -> Expr:
    roll = w.rng.random()
    floats = w.floats()
    if floats and roll < 0.6:
        return Expr(w.pick(floats[-6:] if w.chance(0.7) else floats).text)
    arrays = w.arrays()
    if arrays and roll < 0.85:
        return Expr(element(w, w.pick(arrays)))
    if w.ints() and roll < 0.92:
        variable = w.pick(w.ints())
        scale = 0.1 if variable.high is None or variable.high > 5 else 0.3
        return Expr(f"({scale} * {variable.text})", (), 3.0)
    return constant(w)


def _binary(w: Writer, depth: int) -> Expr:
    a, b = scalar(w, depth - 1), scalar(w, depth - 1 - w.rng.randrange(2))
    op = w.pick("+-*+-*/")
    if op == "*":
        return Expr(f"({a.text} * {b.text})", (), a.bound * b.bound)
    if op == "/":
        divisor = w.pick((f"(abs({bare(b.text)}) + 0.6)", f"(1.0 + {b.text} * {b.text})", f"(1.5 + math.sin({b.text}))"))
        return Expr(f"({a.text} / {divisor})", (), a.bound * 2)
    return Expr(f"({a.text} {op} {b.text})", (), a.bound + b.bound)


def _unary(w: Writer, depth: int) -> Expr:
    e = scalar(w, depth - 1)
    if w.chance(0.2):
        return Expr(w.pick((f"(-{e.text})", f"abs({bare(e.text)})", f"np.abs({bare(e.text)})", f"(+{e.text})")), (), e.bound)
    library = w.pick(("math", "np"))
    name, bound = w.pick(_MATH if library == "math" else _NUMPY)
    return Expr(f"{library}.{name}({bare(e.text)})", (), bound)


def _guarded(w: Writer, depth: int) -> Expr:
    library = w.pick(("math", "np"))
    return _guarded_on(w, scalar(w, depth - 1), library)


def _guarded_on(w: Writer, e: Expr, library: str) -> Expr:
    if w.chance(0.15):
        names, inner, bound = _ARC
        name = w.pick(names[library == "np"])
    else:
        name, inner, bound = w.pick(_GUARDED)
    if library == "np":
        inner = inner.replace("abs(", "np.abs(")
    text = inner.replace("{np}", library).replace("{}", e.text if "{} " in inner else bare(e.text))
    return Expr(f"{library}.{name}({bare(text)})", e.shape, bound)


def _power(w: Writer, depth: int) -> Expr:
    e = tame(w, scalar(w, depth - 1), 2.0)
    forms = [
        (f"({e.text} ** 2)", e.bound**2),
        (f"({e.text} ** 3)", e.bound**3),
        (f"((abs({bare(e.text)}) + 0.5) ** 1.7)", (e.bound + 0.5) ** 1.7),
        (f"((abs({bare(e.text)}) + 0.8) ** -1)", 1.3),
        (f"((1.2 + {e.text} ** 2) ** {scalar_power(w)})", 3.0),
        (f"math.pow(abs({bare(e.text)}) + 0.4, 1.3)", (e.bound + 0.4) ** 1.3),
        (f"({w.number(0.5, 1.5)} ** {e.text})", 4.0),
    ]
    text, bound = w.pick(forms)
    return Expr(text, (), bound)


def scalar_power(w: Writer) -> str:
    """An exponent: a constant or a squashed variable."""
    floats = w.floats()
    return f"math.tanh({w.pick(floats).text})" if floats and w.chance(0.5) else w.number(0.3, 0.9)


def _choice(w: Writer, depth: int) -> Expr:
    a, b = scalar(w, depth - 1), scalar(w, depth - 2)
    bound = max(a.bound, b.bound)
    roll = w.rng.randrange(7)
    if roll == 0:
        return Expr(f"({a.text} if {condition(w)} else {b.text})", (), bound)
    if roll == 1:
        return Expr(f"{w.pick(('max', 'min'))}({bare(a.text)}, {bare(b.text)})", (), bound)
    if roll == 2:
        return Expr(f"np.{w.pick(('maximum', 'minimum'))}({bare(a.text)}, {bare(b.text)})", (), bound)
    if roll == 3:
        return Expr(f"float(np.where({bare(a.text)} > {w.number()}, {bare(a.text)}, {bare(b.text)}))", (), bound)
    if roll == 4:
        return Expr(f"np.clip({bare(a.text)}, -{w.number(0.5, 2)}, {w.number(0.5, 2)})", (), 2.0)
    if roll == 5:
        return Expr(f"math.hypot({bare(a.text)}, 0.5 + abs({bare(b.text)}))", (), bound * 1.5)
    return Expr(f"{w.pick(('math.atan2', 'np.arctan2'))}({bare(a.text)}, 0.5 + abs({bare(b.text)}))", (), 3.2)


def _reduction(w: Writer, depth: int) -> Expr:
    if not w.arrays():
        return _unary(w, depth)
    shape = w.pick(w.arrays()).shape
    count = 1
    for n in shape:
        count *= n
    e = array(w, shape, depth - 1)
    roll = w.rng.randrange(6)
    if roll == 0 and len(shape) == 1:
        other = array(w, shape, depth - 2)
        text = w.pick((f"np.dot({bare(e.text)}, {bare(other.text)})", f"({e.text} @ {other.text})"))
        return Expr(text, (), e.bound * other.bound * count)
    if roll == 1:
        return Expr(f"{w.pick(('np.max', 'np.min'))}({bare(e.text)})", (), e.bound)
    if roll == 2:
        return Expr(w.pick((f"np.mean({bare(e.text)})", f"{e.text}.mean()", f"{e.text}.max()")), (), e.bound)
    if roll == 3 and len(shape) == 1:
        variable = w.pick(w.arrays(rank=1))
        return Expr(f"np.sum({variable.text}[:{_position(w, variable)}])", (), 3.0 * variable.shape[0])
    return Expr(w.pick((f"np.sum({bare(e.text)})", f"{e.text}.sum()")), (), e.bound * count)


def _comprehension(w: Writer, depth: int) -> Expr:
    sources = [v for v in w.variables if v.kind == "list" or (v.kind == "array" and len(v.shape) == 1)]
    if not sources:
        return _reduction(w, depth)
    v, name = w.pick(sources), w.fresh("e")
    form = w.pick((f"math.sin({name})", f"{name} * {name}", f"{w.number()} * {name}"))
    return Expr(f"sum([{form} for {name} in {v.text}])", (), 4.0 * v.shape[0])


def _call(w: Writer, depth: int) -> Expr:
    helpers = [h for h in w.helpers if h.gives == "float"]
    if not helpers:
        return _choice(w, depth)
    return Expr(call(w, w.pick(helpers), depth - 1), (), 6.0)


_SCALARS: tuple[Callable[[Writer, int], Expr], ...]
_SCALARS = (_binary, _unary, _guarded, _power, _choice, _reduction, _call, _comprehension)
_SCALAR_WEIGHTS = (10, 5, 3, 2, 3, 3, 3, 0.3)


def call(w: Writer, helper: Helper, depth: int = 1) -> str:
    """A call of `helper` on expressions; arrays that it writes to are variables or views of them."""
    arguments = []
    for k, (kind, shape) in enumerate(helper.params):
        if kind == "int":
            arguments.append(integer(w)[0] if w.chance(0.5) else str(w.rng.randrange(1, 4)))
        elif kind == "float":
            arguments.append(bare(tame(w, scalar(w, depth), 3.0).text))
        elif helper.gives == "none" and k == 0:
            arguments.append(writable_view(w, shape))
        else:
            arguments.append(bare(array(w, shape, min(depth, 1)).text))
    if helper.keyword and w.chance(0.5):
        arguments.append(f"{helper.keyword}={bare(scalar(w, 0).text)}")
    return f"{helper.name}({', '.join(arguments)})"


# --- conditions ------------------------------------------------------------------------------------------------------


def condition(w: Writer, depth: int = 1) -> str:
    """A test; mostly on floats, sometimes on integers only."""
    roll = w.rng.random()
    if depth > 0 and roll < 0.2:
        joint = w.pick(("and", "or"))
        return f"{condition(w, 0)} {joint} {condition(w, 0)}"
    if depth > 0 and roll < 0.27:
        return f"not ({condition(w, 0)})"
    if roll < 0.4 and w.ints():
        text = w.pick(w.ints()).text
        return w.pick((f"{text} % 2 == 0", f"{text} > {w.rng.randrange(5)}", f"{text} % 3 != 1", f"{text} < 3"))
    if roll < 0.5:
        return f"-{w.number()} < {scalar(w, 1).text} <= {w.number()}"
    if roll < 0.55 and w.arrays(rank=1):
        return f"len({w.pick(w.arrays(rank=1)).text}) > {w.rng.randrange(2, 6)}"
    left, right = scalar(w, 1), scalar(w, 0) if w.chance(0.5) else constant(w)
    return f"{left.text} {w.pick(('<', '>', '<=', '>='))} {right.text}"


# --- integers and indices --------------------------------------------------------------------------------------------


def integer(w: Writer) -> tuple[str, int, int | None]:
    """An int expression, with its smallest and largest value."""
    found = w.ints()
    if not found or w.chance(0.15):
        value = w.rng.randrange(0, 4)
        return str(value), value, value
    v = w.pick(found)
    if w.chance(0.65):
        return v.text, v.low, v.high
    step = w.rng.randrange(1, 3)
    forms = [
        (f"{v.text} - {step}", v.low - step, None if v.high is None else v.high - step),
        (f"{v.text} + {step}", v.low + step, None if v.high is None else v.high + step),
    ]
    if v.low >= 0:
        forms.append((f"{v.text} // 2", v.low // 2, None if v.high is None else v.high // 2))
        forms.append((f"{v.text} % 3", 0, 2))
    return w.pick(forms)


def index(w: Writer, size: int, length: str) -> str:
    """An index into an axis of this size; `length` is text that gives the size."""
    if not w.ints() or w.chance(0.3):
        return str(w.rng.randrange(-size, size))
    text, low, high = integer(w)
    if high is not None and -size <= low and high < size:
        return text
    return f"({text}) % {w.pick((length, str(size)))}" if " " in text else f"{text} % {w.pick((length, str(size)))}"


def _position(w: Writer, variable: Variable) -> str:
    """The end of a slice that may depend on a loop."""
    return index(w, variable.shape[0], f"len({variable.text})")


def element(w: Writer, variable: Variable) -> str:
    """An element of an array."""
    name, shape = variable.text, variable.shape
    if len(shape) == 1:
        return f"{name}[{index(w, shape[0], f'len({name})')}]"
    row, column = index(w, shape[0], f"{name}.shape[0]"), index(w, shape[1], f"{name}.shape[1]")
    return f"{name}[{row}][{column}]" if w.chance(0.2) else f"{name}[{row}, {column}]"


# --- arrays ----------------------------------------------------------------------------------------------------------


def array(w: Writer, shape: Shape, depth: int = 1) -> Expr:
    """An array expression of this shape."""
    if depth <= 0:
        return array_leaf(w, shape)
    roll = w.rng.randrange(10)
    a = array(w, shape, depth - 1)
    if roll < 3:
        return tame(w, _array_binary(w, a, shape, depth))
    if roll < 5:
        name, bound = w.pick(_NUMPY)
        return Expr(f"np.{name}({bare(a.text)})", shape, bound)
    if roll == 5:
        return _guarded_on(w, a, "np")
    if roll == 6:
        return _array_choice(w, a, shape, depth)
    if roll == 7 and len(shape) == 1:
        product = _matrix_vector(w, shape)
        if product is not None:
            return tame(w, product)
    if roll == 8:
        return tame(w, Expr(f"({a.text} ** {w.pick((2, 3))})", shape, a.bound**3))
    return a if w.chance(0.5) else Expr(w.pick((f"(-{a.text})", f"np.abs({bare(a.text)})")), shape, a.bound)


def _array_binary(w: Writer, a: Expr, shape: Shape, depth: int) -> Expr:
    roll = w.rng.random()
    if roll < 0.35:
        b = scalar(w, depth - 1)
    elif len(shape) == 2 and roll < 0.6:
        b = array_leaf(w, shape[1:])
        if w.chance(0.3):
            column = array_leaf(w, shape[:1])
            b = Expr(f"{column.text}[:, None]", shape, column.bound)
    else:
        b = array(w, shape, depth - 1)
    op = w.pick("+-*+-*/")
    bound = a.bound * b.bound if op == "*" else a.bound + b.bound
    if op == "/":
        b, bound = Expr(f"(np.abs({bare(b.text)}) + 0.6)", b.shape), 2 * a.bound
    left, right = (a, b) if op == "/" or w.chance(0.7) else (b, a)
    return Expr(f"({left.text} {op} {right.text})", shape, bound)


def _array_choice(w: Writer, a: Expr, shape: Shape, depth: int) -> Expr:
    b = array(w, shape, depth - 1) if w.chance(0.5) else scalar(w, depth - 1)
    bound = max(a.bound, b.bound)
    roll = w.rng.randrange(4)
    if roll == 0:
        return Expr(f"np.{w.pick(('maximum', 'minimum'))}({bare(a.text)}, {bare(b.text)})", shape, bound)
    if roll == 1:
        return Expr(f"np.clip({bare(a.text)}, -{w.number(0.3, 1)}, {w.number(0.3, 2)})", shape, 2.0)
    mask = w.pick((f"{a.text} > {w.number()}", f"({a.text} > -0.5) & ({a.text} < 0.8)", f"np.abs({bare(a.text)}) < 1.0"))
    return Expr(f"np.where({mask}, {bare(a.text)}, {bare(b.text)})", shape, bound)


def _matrix_vector(w: Writer, shape: Shape) -> Expr | None:
    for matrix in w.rng.sample(w.arrays(rank=2), len(w.arrays(rank=2))):
        if matrix.shape[0] == shape[0] and w.arrays((matrix.shape[1],)):
            vector = w.pick(w.arrays((matrix.shape[1],)))
            return Expr(f"({matrix.text} @ {vector.text})", shape, 9.0 * matrix.shape[1])
        if matrix.shape[1] == shape[0]:
            form = w.pick((f"np.sum({matrix.text}, axis=0)", f"{matrix.text}.mean(axis=0)", f"{matrix.text}.sum(axis=0)"))
            return Expr(form, shape, 3.0 * matrix.shape[0])
    return None


def array_leaf(w: Writer, shape: Shape) -> Expr:
    """A variable of this shape, a part of a larger one, or a new array."""
    views = [v.text for v in w.arrays(shape)] * 3 + _parts(w, shape, w.arrays())
    if views and not w.chance(0.12):
        return Expr(w.pick(views), shape)
    return new_array(w, shape)


def writable_view(w: Writer, shape: Shape) -> str:
    """An array of this shape that may be written to; falls back on a new one."""
    found = [v.text for v in w.arrays(shape, writable=True)] * 2 + _parts(w, shape, w.arrays(writable=True))
    return w.pick(found) if found else new_array(w, shape).text


def _parts(w: Writer, shape: Shape, arrays: list[Variable]) -> list[str]:
    found = []
    for v in arrays:
        if len(shape) == 2:
            if v.shape == (shape[1], shape[0]):
                found.append(f"{v.text}.T")
        elif len(v.shape) == 2:
            if v.shape[1] == shape[0]:
                found.append(f"{v.text}[{index(w, v.shape[0], f'{v.text}.shape[0]')}]")
            if v.shape[0] == shape[0]:
                found.append(f"{v.text}[:, {index(w, v.shape[1], f'{v.text}.shape[1]')}]")
        elif v.shape[0] == shape[0]:
            found.append(f"{v.text}[::-1]")
        elif v.shape[0] > shape[0]:
            found.append(v.text + part_of(w, v.shape[0], shape[0]))
    return found


def part_of(w: Writer, size: int, count: int) -> str:
    """A slice of `count` elements of an axis with more than that."""
    start = w.rng.randrange(size - count + 1)
    forms = [f"[{start}:{start + count}]", f"[:{count}]", f"[-{count}:]"]
    if size - count - start:
        forms.append(f"[{start}:-{size - count - start}]" if start else f"[:-{size - count}]")
    if (size + 1) // 2 == count:
        forms.append("[::2]")
    if size // 2 == count:
        forms.append("[1::2]")
    return w.pick(forms)


def new_array(w: Writer, shape: Shape) -> Expr:
    """An expression that makes an array."""
    like = w.arrays(shape)
    roll = w.rng.randrange(6)
    if like and roll < 2:
        name = w.pick(like).text
        return Expr(w.pick((f"np.zeros_like({name})", f"np.ones_like({name})", f"{name}.copy()")), shape)
    if len(shape) == 1 and roll < 5:
        size = size_text(w, shape[0])
        if roll == 2:
            return Expr(f"(0.3 * np.arange({size}))", shape)
        if roll == 3:
            items = [bare(scalar(w, 1 if w.chance(0.3) else 0).text) for _ in range(shape[0])]
            return Expr(f"np.array([{', '.join(items)}])", shape, 6.0)
        return Expr(w.pick((f"np.zeros({size})", f"np.ones({size})", f"np.full({size}, {bare(scalar(w, 0).text)})")), shape)
    sizes = ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "")
    return Expr(w.pick((f"np.zeros(({sizes}))", f"np.ones(({sizes}))")), shape)


def size_text(w: Writer, size: int) -> str:
    """A way to write a size."""
    forms = [str(size), str(size)]
    forms += [f"len({v.text})" for v in w.arrays(rank=1) if v.shape[0] == size]
    forms += [f"{v.text}.shape[1]" for v in w.arrays(rank=2) if v.shape[1] == size]
    forms += [v.text for v in w.ints() if v.low == v.high == size]
    return w.pick(forms)
