"""Every op in the registry, tested from its declaration: a new op is tested without a line added here."""

import zlib

import numpy as np
import pytest

import wengert.ops  # noqa: F401 - fills the registry
from wengert.ir.builder import Builder
from wengert.ir.core import Value
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

# Regions, stacks and effects have structural derivatives, which the tests of the transforms cover; `undef` has no value.
STRUCTURAL = {"const", "undef", "if", "for", "while", "call", "stack_new", "push", "pop", "check", "host_print"}
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


@pytest.mark.parametrize("sample", [p for p in SAMPLES if p.values[0].op.kind in ("elementwise", "reduce", "linalg")])
def test_sizes_may_be_unknown(sample):
    function = sample.function(symbolic=True)
    verify(function)
    close(run(function, sample.arguments), [sample.call(sample.arguments)])


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
