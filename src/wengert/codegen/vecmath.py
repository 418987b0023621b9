"""Elementary and special functions as straight-line LLVM, so that loops around them vectorise; at most 2 ulp from the true value.

Each kernel is written once through `Kernel`, whose methods emit an instruction and return its result. Range reduction needs
fused multiply-add; without it in hardware the C library is called instead. Arguments out of the ordinary are left to it, too,
lane by lane: see `wengert.codegen.rare`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache

from wengert.codegen import rare, scalars, special, vecmath_single
from wengert.codegen.elementary import error_functions, exponential, gamma_functions, logarithm, powers, trigonometric
from wengert.codegen.kernels import DOUBLE, Kernel

KERNELS: dict[str, Callable[[Kernel], str]] = {
    **exponential.KERNELS, **logarithm.KERNELS, **trigonometric.KERNELS, **powers.KERNELS, **error_functions.KERNELS,
    **gamma_functions.KERNELS,
}  # fmt: skip


@cache
def kernel(name: str) -> str:
    """The LLVM function `@wg.<name>`."""
    k = Kernel(DOUBLE, ("%x", "%y") if name in scalars.LIBM_BINARY else ("%x",))
    result = KERNELS[name](k)
    return k.function(f"wg.{name}", result)


def helpers(names: Iterable[str]) -> list[str]:
    """The text of the helper functions called `names`, and of what they call."""
    texts = [_helper(n) for n in sorted(names)]
    texts += [_of_rare(name) for name in rare.used(texts) if name in gamma_functions.RARE]
    return [*texts, *(_rare(name) for name in rare.used(texts))]


def _helper(name: str) -> str:
    short = name.removeprefix("wg.")
    if short.startswith("polygamma"):
        return special.polygamma_helper(int(short.removeprefix("polygamma")))
    if short.endswith(".f32"):
        return vecmath_single.kernel(short.removesuffix(".f32"))
    return kernel(short) if short in KERNELS else scalars.HELPERS[name]


@cache
def _of_rare(name: str) -> str:
    """The LLVM function `@wg.<name>` for arguments that a kernel leaves to it."""
    k = Kernel(DOUBLE)
    return k.function(f"wg.{name}", gamma_functions.RARE[name](k))


@cache
def _rare(name: str) -> str:
    """The function of ours, of the C library or of SciPy for the lanes that a kernel leaves to it."""
    arity = 2 if name in scalars.LIBM_BINARY.values() else 1
    operands = ", ".join(("double %x", "double %y")[:arity])
    more = ", i32 0" if name.startswith(special.PREFIX) else ""
    symbol = f"wg.{name}" if name in gamma_functions.RARE else name
    return rare.text(name, arity, f"call double @{symbol}({operands}{more})")
