"""What eager mode refuses at the end of a run leaves everything outside as it was."""

from types import SimpleNamespace

import numpy as np
import pytest

import wengert as wg
from wengert.errors import UnsupportedError


def test_nothing_is_stored_where_an_array_must_not_be_written():
    base = np.zeros(3)
    part = base[1:]
    owner, log, table, seen = SimpleNamespace(v=1.0), [1.0], {"a": 2.0}, {5}

    def write(x):
        owner.v = x
        owner.w = x
        log.append(x)
        log[0] = x
        table["b"] = x
        del table["a"]
        seen.add(6)
        base[1] = x
        return part[0] * x

    with wg.eager(), pytest.raises(UnsupportedError, match="shares memory"):
        wg.grad(write)(2.0)
    assert not base.any()
    assert vars(owner) == {"v": 1.0} and log == [1.0] and table == {"a": 2.0} and seen == {5}
