"""Random programs: CPython, native code, the interpreter and the tape agree, and the gradient is that of differences."""

import os

import pytest

from wengert.testing.programs import generate
from wengert.testing.programs.campaign import run_many
from wengert.testing.programs.compare import ProgramMismatchError, compare, compare_program, load, unload
from wengert.testing.programs.generate import Program

COUNT = int(os.environ.get("WENGERT_PROGRAMS", "360"))
PARTS = 4


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_random_programs(part):
    summary = run_many(range(part, COUNT, PARTS))
    print(f"\n{summary}")
    assert not summary.mismatches, "\n\n".join(o.mismatch for o in summary.mismatches[:3])
    assert summary.compiled_share > 0.9
    assert summary.discarded_share < 0.05


@pytest.mark.parametrize("seed", range(10))
def test_first_programs(seed):
    assert not compare(seed).discarded


def test_a_seed_gives_the_same_program():
    assert generate(5) == generate(5)
    assert generate(5).source != generate(6).source


def test_programs_cover_the_language():
    text = "\n".join(generate(seed).source for seed in range(300))
    for part in (
        "for i", " in enumerate(", " in zip(", "while ", "break", "continue", "elif ", "else:", " if ", " and ", " or ",
        "not (", "lambda ", "np.where(", "np.dot(", " @ ", ".T", "np.empty(", "np.zeros(", "axis=0", "[::-1]", "Model(",
        "Pair(", "math.", " ** ", " // ", " += ", "TABLE", "[:, None]", "return ",
        " is row", "Holder(", "key=lambda row:", "heapq.", "bisect.", "deque(maxlen=", "defaultdict(", "itertools.", "nonlocal ",
        "raise Refused(", "except Refused", "finally:", "quick(", "halves(", "collected(", ".insert(", ".reverse()", "reversed(",
        "Box(", ".bump(", "scale_all(", " is None", ".remove(", ".index(", ".count(", "del ", "running(", "first_above(",
    ):  # fmt: skip
        assert part in text, part


SOURCE = """import math
import numpy as np
import wengert as wg

def program(a, x):
    y = x[1:]
    y += {expression}
    return np.sum(x) * math.sin(a)

def make_args():
    return 0.7, np.array([0.1, 0.2, 0.3])
"""


def test_a_wrong_gradient_is_found():
    assert compare_program(Program(1, SOURCE.format(expression="a * a"), (0, 1))).mismatch == ""
    with pytest.raises(ProgramMismatchError, match="gradient against central differences") as caught:
        compare_program(Program(1, SOURCE.format(expression="wg.stop_gradient(a) * a"), (0, 1)))
    assert "seed 1" in str(caught.value) and "y += wg.stop_gradient" in str(caught.value)


def test_a_jump_is_discarded():
    outcome = compare_program(Program(1, SOURCE.format(expression="1.0 if a > 0.7 else 2.0"), (0, 1)))
    assert outcome.discarded


def test_modules_are_forgotten():
    module = load(generate(3))
    assert module.program(*module.make_args()) == module.program(*module.make_args())
    unload(module)
    assert not os.path.exists(module.__file__)
