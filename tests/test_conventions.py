"""The table of docs/conventions.md, line by line: forward and reverse, compiled, eager and by the interpreter."""

from __future__ import annotations

import math
import re
import warnings
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import scipy.special as sp

import wengert as wg
from wengert.testing.modes import run_modes

PAGE = Path(__file__).parents[1] / "docs" / "conventions.md"
LINE = re.compile(r"\| `([^`]+)` \| (\S+) \| (\S+) \|")
TABLE = [m.groups() for m in map(LINE.match, PAGE.read_text().splitlines()) if m]


def number(text):
    return float(text) if "/" not in text else float(Fraction(text))


def written(text, folder):
    """The function of x that an expression is; in a file, since it is converted from its source."""
    path = folder / "line.py"
    path.write_text(f"import math\nimport numpy as np\nimport scipy.special as sp\n\n\ndef f(x):\n    return {text}\n")
    space = {"__name__": "line"}
    exec(compile(path.read_text(), str(path), "exec"), space)
    return space["f"]


def test_the_page_has_a_table():
    assert len(TABLE) > 60
    assert math.isnan(number("nan")) and sp.expit(0.0) == 0.5


@pytest.mark.parametrize(("text", "at", "derivative"), TABLE, ids=[f"{t} at {a}" for t, a, _ in TABLE])
def test_a_line(text, at, derivative, tmp_path):
    f, x, expected = written(text, tmp_path), number(at), number(derivative)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        found = {f"{mode}, reverse": outcome[1] for mode, outcome in run_modes(f, (x,)).items() if mode != "python"}
        found["compiled, forward"] = wg.jvp(f, (x,), (1.0,))[1]
        with wg.eager():
            found["eager, forward"] = wg.jvp(f, (x,), (1.0,))[1]
    assert len(found) == 5, list(found)
    for mode, value in found.items():
        assert np.asarray(value).ravel()[0] == pytest.approx(expected, nan_ok=True, rel=1e-12), mode
