"""Optimisations that can be switched off: `WENGERT_DISABLE=fuse,cse` leaves two of them out."""

from __future__ import annotations

import os

from wengert.errors import ArgumentError

PASSES = (
    "dce", "fold", "carries", "bounds", "checks", "overwritten", "forward", "unroll", "hoist", "cse", "stacks", "accumulators",
    "abreast", "sweeps", "shifts", "hits", "interfaces",
)  # fmt: skip
PLANS = ("fuse", "inplace", "latewrites", "vecmath", "pieces", "llvm", "threads")
DERIVATIVES = ("restore", "blocks", "apart")
SERVICES = ("diskcache",)


def disabled() -> frozenset[str]:
    """The names in WENGERT_DISABLE: passes, plans of the code generator and of reverse mode, and what is kept on disk.

    Raises:
        ArgumentError: a name that is none of them.
    """
    names = frozenset(filter(None, os.environ.get("WENGERT_DISABLE", "").replace(" ", "").split(",")))
    unknown = names - {*PASSES, *PLANS, *DERIVATIVES, *SERVICES}
    if unknown:
        raise ArgumentError(
            "WENGERT_DISABLE names optimisations that do not exist",
            found=", ".join(sorted(unknown)),
            expected=f"some of {', '.join((*PLANS, *PASSES, *DERIVATIVES, *SERVICES))}",
        )
    return names
