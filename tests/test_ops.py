"""Every op in the registry, tested from its declaration: a new op is tested without a line added here."""

import zlib

import numpy as np
import pytest

import wengert.ops  # noqa: F401 - fills the registry
from wengert.codegen.compiled import compile
from wengert.ir.builder import Builder
from wengert.ir.core import Function, Value
from wengert.ir.interpret import run
from wengert.ir.op import LINEAR, REGISTRY, Marker, get_op
from wengert.ir.parser import parse
from wengert.ir.printer import print_function
from wengert.ir.rewrite import inline
from wengert.ir.verify import verify
from wengert.tape.evaluate import EvalBuilder
from wengert.testing.differences import directional, inner, scale
from wengert.testing.samples import samples_of
from wengert.transforms.jvp import jvp
from wengert.transforms.vjp import vjp
from wengert.types import F64, TensorType

# Regions, stacks, effects and calls with rules of their own have structural derivatives, tested with the transforms; markers
# that are inside of transforms only, and `undef`, have no value.
STRUCTURAL = {
    "const",
    "undef",
    "if",
    "for",
    "while",
    "call",
    "stack_new",
    "push",
    "pop",
    "stack_save",
    "stack_load",
    "check",
    "host_print",
    "host_call",
}
STRUCTURAL |= {"custom", "detach", "shadow", "attach", "with_pullback", "pullback"}
STRUCTURAL |= {"checkpoint_begin", "checkpoint_end", "checkpoint"}
TESTED = sorted(set(REGISTRY) - STRUCTURAL)
FIRST_ORDER = 1e-7
SECOND_ORDER = 1e-6


def seeded(name):
    return np.random.default_rng(zlib.crc32(name.encode()))


def close(found, expected, tolerance=1e-13):
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def parameters():
    for name in TESTED:
        for sample in samples_of(get_op(name), seeded(name)):
            yield pytest.param(sample, id=str(sample).replace(" ", ""))


def is_differentiable(sample):
    cut = isinstance(sample.op.jvp, Marker) and sample.op.jvp is not LINEAR
    return bool(sample.floats) and sample.function().results[0].is_float and not cut


SAMPLES = list(parameters())
SMOOTH = [p for p in SAMPLES if is_differentiable(p.values[0])]


def directions(sample, rng):
    return [np.asarray(rng.uniform(-1, 1, np.shape(sample.arguments[k])))[()] for k in sample.floats]


def with_floats(sample, floats):
    arguments = list(sample.arguments)
    for k, value in zip(sample.floats, floats, strict=True):
        arguments[k] = np.asarray(value)[()]
    return arguments


# --- values ----------------------------------------------------------------------------------------------------------


def test_every_op_says_what_it_is():
    for name, op in REGISTRY.items():
        assert op.doc.endswith("."), name
        assert op.smoothness in ("smooth", "kink", "jump", "integer"), name
        if name not in STRUCTURAL:
            assert op.samples, f"op {name} declares no samples"
            assert op.impl is not None, name


def test_linear_ops_have_a_transpose_for_each_linear_operand():
    for name, op in REGISTRY.items():
        if not isinstance(op.jvp, Marker) or op.jvp.name != "LINEAR" or op.linear is None:
            continue
        for k in op.linear:
            rules = op.accumulate or op.transpose
            assert k < len(rules) and rules[k] is not None, (name, k)


@pytest.mark.parametrize("sample", SAMPLES)
def test_value(sample):
    function = sample.function()
    expected = np.asarray(sample.call(sample.arguments))
    declared = function.results[0].type
    assert expected.shape == declared.dims
    assert expected.dtype == declared.dtype.numpy
    verify(function)
    close(run(function, sample.arguments), [expected])


@pytest.mark.parametrize("sample", SAMPLES)
def test_printed_form_is_read_back(sample):
    text = print_function(sample.function())
    assert print_function(parse(text)) == text


@pytest.mark.parametrize("sample", SAMPLES)
def test_run_at_once(sample):
    builder = EvalBuilder()
    arguments = [builder.lift_known(a) for a in sample.arguments]
    results = inline(builder, sample.function(), arguments)
    assert results[0].type == sample.function().results[0].type
    close([builder.known(r) for r in results], [sample.call(sample.arguments)])


# --- derivatives -----------------------------------------------------------------------------------------------------


def tangent_of(sample, floats, dots):
    """The tangent by the jvp of the op; floats that do not vary smoothly are left out."""
    derived = jvp(sample.function(), sample.floats)
    verify(derived)
    return run(derived, [*with_floats(sample, floats), *dots])[1:]


def cotangents_of(sample, floats, bar):
    derived = vjp(sample.function(), sample.floats)
    verify(derived)
    return run(derived, [*with_floats(sample, floats), bar])[1:]


def point_of(sample):
    return [sample.arguments[k] for k in sample.floats]


def assert_near(found, expected, tolerance, size):
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * max(1.0, size))


@pytest.mark.parametrize("sample", SMOOTH)
def test_jvp_against_differences(sample):
    dots = directions(sample, seeded(str(sample)))
    expected = directional(lambda x: [sample.call(with_floats(sample, x))], point_of(sample), dots, step=1e-3)
    assert_near(tangent_of(sample, point_of(sample), dots), expected, FIRST_ORDER, scale(expected))


@pytest.mark.parametrize("sample", SMOOTH)
def test_vjp_is_the_transpose_of_jvp(sample):
    rng = seeded(str(sample))
    dots = directions(sample, rng)
    bar = np.asarray(rng.uniform(-1, 1, np.shape(sample.call(sample.arguments))))[()]
    forward = tangent_of(sample, point_of(sample), dots)
    backward = cotangents_of(sample, point_of(sample), bar)
    for gradient, argument in zip(backward, point_of(sample), strict=True):
        assert np.shape(gradient) == np.shape(argument)
    np.testing.assert_allclose(inner([bar], forward), inner(backward, dots), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("sample", SMOOTH)
def test_second_order(sample):
    """Forward over reverse against differences of the reverse; reverse over reverse is its transpose."""
    rng = seeded(str(sample))
    dots = directions(sample, rng)
    bar = np.asarray(rng.uniform(-1, 1, np.shape(sample.call(sample.arguments))))[()]
    point = point_of(sample)
    reverse = vjp(sample.function(), sample.floats)
    twice = jvp(reverse, sample.floats)
    verify(twice)
    count = len(reverse.results)
    found = run(twice, [*with_floats(sample, point), bar, *dots])[count + 1 :]
    expected = directional(lambda x: cotangents_of(sample, x, bar), point, dots, step=1e-3)
    assert_near(found, expected, SECOND_ORDER, scale(expected))

    back = vjp(reverse, sample.floats)
    verify(back)
    seeds = [np.zeros_like(sample.call(sample.arguments)), *dots]
    second = run(back, [*with_floats(sample, point), bar, *seeds])[count:]
    other = directions(sample, rng)
    mixed = run(twice, [*with_floats(sample, point), bar, *other])[count + 1 :]
    np.testing.assert_allclose(inner(second, other), inner(mixed, dots), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("sample", SMOOTH)
def test_third_order(sample):
    """Forward over forward over reverse against differences; reverse over forward over forward is its transpose."""
    rng = seeded(str(sample))
    dots, others = directions(sample, rng), directions(sample, rng)
    bar = np.asarray(rng.uniform(-1, 1, np.shape(sample.call(sample.arguments))))[()]
    point, places = point_of(sample), sample.floats
    twice = jvp(vjp(sample.function(), places), places)
    thrice = jvp(twice, places)
    verify(thrice)
    own = slice(-len(places), None)  # what belongs to the arguments comes last
    found = run(thrice, [*with_floats(sample, point), bar, *dots, *others])[own]
    expected = directional(lambda x: run(twice, [*with_floats(sample, x), bar, *dots])[own], point, others, step=1e-3)
    assert_near(found, expected, SECOND_ORDER, scale(expected))

    forward = jvp(jvp(sample.function(), places), places)
    back = vjp(forward, places)
    verify(back)
    seeds = [*(np.zeros_like(sample.call(sample.arguments)) for _ in forward.results[1:]), bar]
    third = run(back, [*with_floats(sample, point), *dots, *dots, *seeds])[own]
    mixed = run(thrice, [*with_floats(sample, point), bar, *dots, *dots])[own]
    for a, b in zip(third, mixed, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9 * max(1.0, scale(mixed)))


# These relate sizes of operands to constants, so that their samples make sense for known sizes only.
SIZED = {"broadcast", "update", "add_at"}


@pytest.mark.parametrize("sample", [p for p in SAMPLES if p.values[0].op.name not in SIZED])
def test_sizes_may_be_unknown(sample):
    function = sample.function(symbolic=True)
    verify(function)
    value = sample.call(sample.arguments)
    close(run(function, sample.arguments), [value])
    if not is_differentiable(sample):
        return
    rng = seeded(str(sample))
    dots, bar = directions(sample, rng), np.asarray(rng.uniform(-1, 1, np.shape(value)))[()]
    for transform, seeds in ((jvp, dots), (vjp, [bar])):
        derived = transform(function, sample.floats)
        verify(derived)
        expected = run(transform(sample.function(), sample.floats), [*sample.arguments, *seeds])
        close(run(derived, [*sample.arguments, *seeds]), expected)


# --- native code -----------------------------------------------------------------------------------------------------


def is_enough(sample):
    """Fewer shapes than the other tests have, since each takes a compilation."""
    return sample.op.kind != "elementwise" or {np.shape(a) for a in sample.arguments} <= {(), (2, 3), (0,)}


@pytest.mark.parametrize("sample", [p for p in SAMPLES if is_enough(p.values[0])])
def test_compiled_value(sample):
    close(compile(sample.function())(*sample.arguments), [sample.call(sample.arguments)])


@pytest.mark.parametrize("sample", [p for p in SMOOTH if is_enough(p.values[0])])
def test_compiled_derivatives(sample):
    """Forward over reverse: its results are the value, the gradient and the tangents of both."""
    rng = seeded(str(sample))
    bar = np.asarray(rng.uniform(-1, 1, np.shape(sample.call(sample.arguments))))[()]
    function = jvp(vjp(sample.function(), sample.floats), sample.floats)
    arguments = [*sample.arguments, bar, *directions(sample, rng)]
    expected = run(function, arguments)
    size = scale(expected)
    for found, wanted in zip(compile(function)(*arguments), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-13 * max(1.0, size))


# --- special values --------------------------------------------------------------------------------------------------

INF, NAN = np.inf, np.nan

# op, attributes, operands, value, partial derivatives
SPECIAL = [
    ("abs", {}, (0.0,), 0.0, (0.0,)),
    ("abs", {}, (-INF,), INF, (-1.0,)),
    ("sqrt", {}, (0.0,), 0.0, (INF,)),
    ("sqrt", {}, (-1.0,), NAN, (NAN,)),
    ("cbrt", {}, (0.0,), 0.0, (INF,)),
    ("cbrt", {}, (-8.0,), -2.0, (1 / 12,)),
    ("log", {}, (0.0,), -INF, (INF,)),
    ("log1p", {}, (-1.0,), -INF, (INF,)),
    ("exp", {}, (1000.0,), INF, (INF,)),
    ("exp", {}, (-1000.0,), 0.0, (0.0,)),
    ("expm1", {}, (-50.0,), -1.0, (np.exp(-50.0),)),
    ("tanh", {}, (1000.0,), 1.0, (0.0,)),
    ("arctan", {}, (INF,), np.pi / 2, (0.0,)),
    ("arcsin", {}, (1.0,), np.pi / 2, (INF,)),
    ("arccos", {}, (1.0,), 0.0, (-INF,)),
    ("arccosh", {}, (1.0,), 0.0, (INF,)),
    ("arcsinh", {}, (1e200,), np.arcsinh(1e200), (1e-200,)),
    ("maximum", {}, (1.0, 1.0), 1.0, (0.5, 0.5)),
    ("minimum", {}, (1.0, 1.0), 1.0, (0.5, 0.5)),
    ("maximum", {}, (INF, 1.0), INF, (1.0, 0.0)),
    ("maximum", {}, (NAN, 1.0), NAN, (0.5, 0.5)),
    ("div", {}, (1.0, 0.0), INF, (INF, -INF)),
    ("div", {}, (1.0, INF), 0.0, (0.0, 0.0)),
    ("pow", {}, (0.0, 2.0), 0.0, (0.0, 0.0)),
    ("pow", {}, (0.0, 1.0), 0.0, (1.0, 0.0)),
    ("pow", {}, (0.0, 0.0), 1.0, (0.0, 0.0)),
    ("pow", {}, (0.0, 0.5), 0.0, (INF, 0.0)),
    ("pow", {}, (-2.0, 3.0), -8.0, (12.0, NAN)),
    ("pow", {}, (3.0, 0.0), 1.0, (0.0, np.log(3.0))),
    ("ipow", {"exponent": 0}, (0.0,), 1.0, (0.0,)),
    ("ipow", {"exponent": 1}, (0.0,), 0.0, (1.0,)),
    ("ipow", {"exponent": 2}, (0.0,), 0.0, (0.0,)),
    ("ipow", {"exponent": -1}, (2.0,), 0.5, (-0.25,)),
    ("ipow", {"exponent": -2}, (-2.0,), 0.25, (0.25,)),
    ("hypot", {}, (0.0, 0.0), 0.0, (0.0, 0.0)),
    ("hypot", {}, (3e200, 4e200), 5e200, (0.6, 0.8)),
    ("arctan2", {}, (0.0, -1.0), np.pi, (-1.0, 0.0)),
    ("arctan2", {}, (3e200, 4e200), np.arctan2(3.0, 4.0), (0.16e-200, -0.12e-200)),
    ("mod", {}, (-1.0, 3.0), 2.0, (1.0, 1.0)),
    ("mod", {}, (6.0, 3.0), 0.0, (1.0, -2.0)),
    ("floordiv", {}, (-1.0, 3.0), -1.0, (0.0, 0.0)),
    ("floor", {}, (2.0,), 2.0, (0.0,)),
    ("round", {}, (2.5,), 2.0, (0.0,)),
    ("sign", {}, (0.0,), 0.0, (0.0,)),
    ("zmul", {}, (0.0, INF), 0.0, (INF, 0.0)),
    ("zmul", {}, (NAN, 0.0), 0.0, (0.0, NAN)),
    ("stop_gradient", {}, (2.0,), 2.0, (0.0,)),
    ("max", {"axes": (0,)}, ([1.0, 3.0, 3.0],), 3.0, ([0.0, 0.5, 0.5],)),
    ("min", {"axes": (0,)}, ([1.0, 1.0, 3.0, 1.0],), 1.0, ([1 / 3, 1 / 3, 0.0, 1 / 3],)),
    ("prod", {"axes": (0,)}, ([2.0, 0.0, 3.0],), 0.0, ([0.0, 6.0, 0.0],)),
    ("prod", {"axes": (0,)}, ([0.0, 0.0, 3.0],), 0.0, ([0.0, 0.0, 0.0],)),
    ("prod", {"axes": (0,)}, ([1e-200, 1e-200],), 0.0, ([1e-200, 1e-200],)),
    ("sum", {"axes": (0,)}, ([],), 0.0, ([],)),
    ("prod", {"axes": (0,)}, ([],), 1.0, ([],)),
]


def program(name, attrs, operands):
    params = [Value(TensorType(F64, np.shape(o)), f"x{k}") for k, o in enumerate(operands)]
    builder = Builder()
    result = getattr(builder, name)(*params, **attrs)
    return Function("f", (), tuple(params), tuple(builder.instrs), (result,))


@pytest.mark.parametrize(("name", "attrs", "operands", "value", "partials"), SPECIAL)
def test_special_values(name, attrs, operands, value, partials):
    function = program(name, attrs, operands)
    everything = range(len(operands))
    values = [np.asarray(o, dtype=float)[()] for o in operands]
    np.testing.assert_allclose(run(function, values)[0], value, rtol=1e-14)
    reverse = vjp(function, everything)
    for runner in (lambda *arguments: run(reverse, arguments), compile(reverse)):
        result, *gradients = runner(*values, 1.0)
        np.testing.assert_allclose(result, value, rtol=1e-14)
        for found, expected in zip(gradients, partials, strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-14)
    for k, expected in enumerate(partials):
        found = []
        for j in range(np.size(values[k])):
            seed = np.zeros(np.shape(values[k]))
            seed.flat[j] = 1.0
            found.append(run(jvp(function, [k]), [*values, seed])[1])
        np.testing.assert_allclose(np.reshape(found, np.shape(expected)), expected, rtol=1e-14)


def test_second_derivative_of_a_product_with_zeros():
    function = program("prod", {"axes": (0,)}, ([2.0, 0.0, 0.0],))
    hessian = [run(jvp(vjp(function, [0]), [0]), [np.array([2.0, 0.0, 0.0]), 1.0, e])[3] for e in np.eye(3)]
    np.testing.assert_allclose(hessian, [[0, 0, 0], [0, 0, 2], [0, 2, 0]])


def test_integers_divide_as_in_python_and_by_zero_give_zero():
    for x, y in ((7, -2), (-7, 2), (-7, -2), (7, 2)):
        assert get_op("floordiv").impl(np.int64(x), np.int64(y)) == x // y
        assert get_op("mod").impl(np.int64(x), np.int64(y)) == x % y
    assert get_op("floordiv").impl(np.int64(7), np.int64(0)) == 0
    assert get_op("mod").impl(np.int64(7), np.int64(0)) == 0


# --- a cotangent that is 0 stays 0 -----------------------------------------------------------------------------------

GUARDED = {
    "log": lambda b, x: b.log(x),
    "sqrt": lambda b, x: b.sqrt(x),
    "x log x": lambda b, x: b.mul(x, b.log(x)),
    "quotient": lambda b, x: b.div(b.sin(x), x),
    "power": lambda b, x: b.pow(x, b.const(0.3)),
    "overflow": lambda b, x: b.exp(b.div(1.0, x)),
}


def guarded(name, in_loop):
    """`where(x > 0, g(x), 0)` for a `g` with an infinite slope or worse at 0; summed three times if `in_loop`."""
    x = Value(TensorType(F64), "x")
    builder = Builder()

    def safe(b):
        return b.select(b.gt(x, 0.0), GUARDED[name](b, x), 0.0)

    if not in_loop:
        return Function("f", (), (x,), tuple(builder.instrs), (safe(builder),)), builder
    count, start = builder.const(3), builder.const(0.0)
    body = builder.region([count.type, start.type], lambda b, i, total: [b.add(total, safe(b))])
    results = builder.emit(get_op("for"), (count, start), {}, (body,))
    return Function("f", (), (x,), tuple(builder.instrs), results), builder


@pytest.mark.parametrize("in_loop", [False, True])
@pytest.mark.parametrize("name", GUARDED)
def test_the_arm_not_chosen_has_no_influence(name, in_loop):
    function, builder = guarded(name, in_loop)
    function = Function("f", (), function.params, tuple(builder.instrs), function.results)
    reverse = vjp(function, [0])
    for x in (0.0, -1.0):
        assert run(reverse, [x, 1.0]) == [0.0, 0.0]
        assert list(compile(reverse)(x, 1.0)) == [0.0, 0.0]
        assert run(jvp(function, [0]), [x, 1.0]) == [0.0, 0.0]
        assert run(jvp(reverse, [0]), [x, 1.0, 1.0])[2:] == [0.0, 0.0]
        assert run(vjp(reverse, [0]), [x, 1.0, 0.0, 1.0])[2:] == [0.0]
    (slope,) = directional(lambda p: run(function, [p[0]]), [0.7], [1.0], step=1e-3)
    np.testing.assert_allclose(run(reverse, [0.7, 1.0])[1], slope, rtol=1e-8)
    (curvature,) = directional(lambda p: run(reverse, [p[0], 1.0])[1:], [0.7], [1.0], step=1e-3)
    np.testing.assert_allclose(run(jvp(reverse, [0]), [0.7, 1.0, 1.0])[3], curvature, rtol=1e-7)
    np.testing.assert_allclose(run(vjp(reverse, [0]), [0.7, 1.0, 0.0, 1.0])[2], curvature, rtol=1e-7)
