"""One check for functions of arrays: every mode gives CPython's value, and the gradient matches differences."""

from __future__ import annotations

import numpy as np

from wengert.testing.modes import assert_modes_agree, largest_difference, run_modes

STEP = 1e-6


def agree_everywhere(f, *args, staged=True, tolerance=2e-8, gradient=True):
    """Run the scalar function `f` in all modes.

    Args:
        f: returns a float.
        args: floats and arrays of floats.
        staged: whether it must compile.
        tolerance: of the gradient against central differences, relative to its largest entry or 1.
        gradient: whether to compare with differences at all.
    """
    with np.errstate(all="ignore"):
        outcomes = run_modes(f, args)
        assert ("compiled" in outcomes) == staged
        assert_modes_agree(f, args)
    if gradient:
        found = outcomes["eager"][1]
        found = found if isinstance(found, tuple) else (found,)
        for k in range(len(args)):
            expected = differences(f, args, k)
            assert largest_difference(np.asarray(found[k]), expected) < tolerance, (found[k], expected)


def differences(f, args, k):
    """The gradient with respect to argument k, by central differences of every entry."""
    whole = np.array(args[k], dtype=float)
    result = np.zeros(whole.shape)
    for place in np.ndindex(whole.shape):
        ends = []
        for sign in (1, -1):
            moved = whole.copy()
            moved[place] += sign * STEP
            given = [np.array(a) if isinstance(a, np.ndarray) else a for a in args]
            given[k] = moved if moved.ndim else float(moved)
            with np.errstate(all="ignore"):
                ends.append(f(*given))
        result[place] = (ends[0] - ends[1]) / (2 * STEP)
    return result
