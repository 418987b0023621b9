"""Forward mode from a rule for reverse mode: the transpose of the user's pullback, where it is known to be linear."""

from __future__ import annotations

from collections.abc import Sequence

from wengert.errors import UnsupportedError
from wengert.ir.builder import Builder
from wengert.ir.core import Function, Instr, Value
from wengert.ir.op import LINEAR
from wengert.ir.rewrite import inline
from wengert.ops.custom import CustomRule, Pullback
from wengert.transforms.activity import loop_parts
from wengert.transforms.vjp import vjp

_JOINT = {"add": (0, 1), "sub": (0, 1), "update": (0, 1), "add_at": (0, 1), "scatter_add": (0, 2), "select": (1, 2)}
"""Operands in which ops are jointly linear, whose rules are written out for other reasons."""

_BILINEAR = frozenset({"mul", "zmul", "matmul"})


def forward_of_pullback(rule: CustomRule, pullback: Pullback) -> Function:
    """A function of the operands of `rule` and of tangents, which gives its results and their tangents.

    Raises:
        UnsupportedError: the pullback is not known to be linear in the cotangents, so it has no transpose.
    """
    bwd = pullback.bwd
    floats = [r for r in rule.primal.results if r.is_float]
    seeds = range(len(bwd.params) - len(floats), len(bwd.params))
    if not is_linear(bwd, [bwd.params[k] for k in seeds]):
        raise UnsupportedError(
            f"forward mode through {rule.name} is not available: its bwd rule is not linear in the cotangent, "
            "as far as can be seen",
            fix="give it a jvp rule as well, or use reverse mode (grad, vjp)",
        )
    fwd = pullback.fwd
    builder = Builder(fwd.span)
    tangents = [Value(fwd.params[k].type, f"{fwd.params[k].name}_dot") for k in rule.differentiable]
    found = inline(builder, fwd, fwd.params)
    count = len(rule.primal.results)
    saved = [*fwd.params, *found[count:]]
    zeros = [builder.zeros_like(out) for out in found[:count] if out.is_float]
    pulled = inline(builder, vjp(bwd, list(seeds)), [*(saved[k] for k in pullback.kept), *zeros, *tangents])
    dots = pulled[len(bwd.results) :]
    results = (*found[:count], *dots)
    return Function(f"{rule.name}_jvp", fwd.dims, (*fwd.params, *tangents), tuple(builder.instrs), results, fwd.span)


def is_linear(fn: Function, params: Sequence[Value]) -> bool:
    """Whether the results of `fn` are surely linear in `params`; False also where that is not known."""
    known = _Linear(set(params))
    return known.block(fn.instrs) and all(r in known.moving or r in known.zeros or not r.is_float for r in fn.results)


class _Linear:
    """Follows values that are linear in the parameters (`moving`), and zeros, which are too."""

    def __init__(self, moving: set[Value]) -> None:
        self.moving = moving
        self.zeros: set[Value] = set()

    def block(self, instrs: Sequence[Instr]) -> bool:
        return all([self.instr(i) for i in instrs])

    def instr(self, instr: Instr) -> bool:
        name = instr.op.name
        if name == "if":
            return self.branch(instr)
        if instr.regions:
            return self.loop(instr)
        if name == "const":
            if instr.attrs["value"] == 0 and instr.result.is_float:
                self.zeros.add(instr.result)
            return True
        moving = [k for k, o in enumerate(instr.operands) if o in self.moving]
        if not moving:
            if self.only_zeros(instr):
                self.zeros.update(instr.results)
            return True
        if name in ("host_call", "host_print"):
            return not instr.results
        if not self.is_linear_in(instr, moving):
            return False
        self.moving.update(instr.results)
        return True

    def is_linear_in(self, instr: Instr, moving: Sequence[int]) -> bool:
        name = instr.op.name
        if name in _BILINEAR:
            return len(moving) == 1
        if name == "div":
            return list(moving) == [0]
        if name in ("push", "pop"):
            return False
        positions = self.linear_positions(instr)
        others = [instr.operands[k] for k in positions if k not in moving]
        return set(moving) <= set(positions) and all(o in self.zeros for o in others)

    def linear_positions(self, instr: Instr) -> list[int]:
        if instr.op.name in _JOINT:
            return list(_JOINT[instr.op.name])
        if instr.op.jvp is not LINEAR:
            return []
        positions = instr.op.linear if instr.op.linear is not None else range(len(instr.operands))
        return [k for k in positions if instr.operands[k].is_float]

    def only_zeros(self, instr: Instr) -> bool:
        positions = self.linear_positions(instr)
        return bool(positions) and all(instr.operands[k] in self.zeros for k in positions)

    def branch(self, instr: Instr) -> bool:
        if instr.operands[0] in self.moving or not all([self.block(r.instrs) for r in instr.regions]):
            return False
        for result, *arms in zip(instr.results, *(r.results for r in instr.regions), strict=True):
            if not any(a in self.moving for a in arms):
                continue
            if not all(a in self.moving or a in self.zeros for a in arms):
                return False
            self.moving.add(result)
        return True

    def loop(self, instr: Instr) -> bool:
        """A carry may be linear if it starts so (zero does), and is if every iteration keeps it so."""
        body, init, carry = loop_parts(instr)
        assumed = [k for k, start in enumerate(init) if start in self.moving or start in self.zeros]
        before = set(self.moving), set(self.zeros)
        while True:
            self.moving.update(carry[k] for k in assumed)
            fine = self.block(body.instrs)
            kept = [k for k in assumed if body.results[k] in self.moving or body.results[k] in self.zeros]
            if kept == assumed:
                break
            self.moving, self.zeros = set(before[0]), set(before[1])
            assumed = kept
        grown = any(end in self.moving and k not in assumed for k, end in enumerate(body.results))
        if not fine or grown or any(init[k] in self.moving and k not in assumed for k in range(len(init))):
            return False
        self.moving.update(instr.results[k] for k in assumed)
        if instr.op.name == "while":
            cond = instr.regions[0]
            self.moving.update(cond.params[k] for k in assumed)
            return self.block(cond.instrs) and not any(o in self.moving for i in cond.instrs for o in i.operands)
        return True
