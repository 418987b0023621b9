"""Arrays that loops overwrite part by part, put back part by part on the way back.

What a loop reads of an array that it writes to as well would have to be stored, read by read. What its writes destroy is often
far less: a factorisation reads O(n^3) elements of the matrix that it overwrites, and overwrites O(n^2). So the reversed loop
carries the array, as the loop left it, and takes back one write after the other; then every read can be made again. This is
the tape of overwritten values of Griewank & Walther, Evaluating Derivatives (2008), section 4.2; here it is chosen array by
array, where it saves a whole axis.

A *chain* is what becomes of a carried array: its versions, each a write or a loop away from the one before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from wengert.ir.core import Instr, Value
from wengert.ir.op import get_op
from wengert.transforms.activity import loop_parts
from wengert.transforms.checkpoint_loops import REPLAY
from wengert.transforms.linearize import Block, LinearLoop, Split
from wengert.types import TensorType

LOOPS = ("for", "while")


@dataclass(frozen=True, eq=False)
class Write:
    """A write to a part of an array, and the read of what it destroys.

    Attributes:
        instr: the `update`.
        read: reads the part before.
        block: where both stand.
        is_new: whether the program itself does not have this read.
        gives: whether what is written can be read again behind the write rather than stored.
    """

    instr: Instr
    read: Instr
    block: Block
    is_new: bool
    gives: bool

    @property
    def where(self) -> tuple[Value, ...]:
        """The indices."""
        return self.instr.operands[2:]


@dataclass(frozen=True, eq=False)
class Chain:
    """What becomes of an array that a loop carries.

    Attributes:
        root: the outermost loop that carries it.
        loops: (loop, position among its carries), the root first.
        writes: all writes.
        versions: the array at every place in the loops, other than before and behind the root.
    """

    root: Split
    loops: list[tuple[Split, int]]
    writes: list[Write]
    versions: set[Value]


@dataclass(eq=False)
class Restored:
    """The chains that are put back.

    Attributes:
        carried: the positions of the arrays that the reversed loops carry.
        versions: all versions.
        recipes: how the reversed pass gets a version from the next, and what was written from the version behind the write.
        kept: what is destroyed: always stored.
        writes: in each block.
    """

    carried: dict[Split, list[int]] = field(default_factory=dict)
    roots: set[Split] = field(default_factory=set)
    versions: set[Value] = field(default_factory=set)
    recipes: dict[Value, Instr] = field(default_factory=dict)
    kept: set[Value] = field(default_factory=set)
    writes: dict[Block, list[Write]] = field(default_factory=dict)

    def add(self, chain: Chain) -> None:
        """Put the arrays of `chain` back."""
        self.roots.add(chain.root)
        for split, position in chain.loops:
            self.carried.setdefault(split, []).append(position)
        self.versions |= chain.versions
        for write in chain.writes:
            before, part, *where = write.instr.operands
            after, old = write.instr.result, write.read.result
            spec, span = {"spec": write.instr.attrs["spec"]}, write.instr.span
            self.recipes[before] = Instr(get_op("update"), (after, old, *where), (before,), spec, (), span)
            if write.gives:
                self.recipes.setdefault(part, Instr(get_op("index"), (after, *where), (part,), spec, (), span))
            self.kept.add(old)
            self.writes.setdefault(write.block, []).append(write)

    def is_inner(self, split: Split) -> bool:
        """Whether the way back of a loop must run because the loop around it puts back an array."""
        return split in self.carried and split not in self.roots

    def finals(self, split: Split) -> list[Value]:
        """The arrays as `split` left them."""
        return [split.instr.results[k] for k in self.carried.get(split, ())]

    def initials(self, split: Split) -> list[Value]:
        """The arrays as `split` found them."""
        init = loop_parts(split.instr)[1]
        return [init[k] for k in self.carried.get(split, ())]

    def inside(self, split: Split) -> tuple[list[Value], list[Value]]:
        """The arrays at the start and at the end of an iteration."""
        body, _, params = loop_parts(split.instr)
        places = self.carried.get(split, ())
        return [params[k] for k in places], [body.results[k] for k in places]

    def needs(self, block: Block) -> Iterator[Value]:
        """What taking back the writes of a block reads."""
        for write in self.writes.get(block, ()):
            for value in (write.read.result, *write.where):
                yield value
                yield from (s for s in value.type.symbols() if isinstance(s, Value))

    def sources(self, value: Value) -> list[Value] | None:
        """What the reversed pass reads to get what a write has written; None if the value is not known that way."""
        recipe = self.recipes.get(value)
        if recipe is None or value in self.kept:
            return None
        return [*recipe.operands, *(s for s in value.type.symbols() if isinstance(s, Value))]

    def gone(self, block: Block) -> Iterator[tuple[int, set[Value]]]:
        """Versions that are not yet there again when an item of the reversed block runs: for all items from a position on."""
        before = {w.instr.result: w.instr.operands[0] for w in self.writes.get(block, ())}
        links = [(k, i.split) for k, i in enumerate(block.linear) if isinstance(i, LinearLoop) and self.is_inner(i.split)]
        for _, split in links:
            before.update(zip(self.finals(split), self.initials(split), strict=True))
        for position, split in links:
            missing: set[Value] = set()
            for value in self.initials(split):
                missing.add(value)
                while value in before:
                    value = before[value]
                    missing.add(value)
            yield position, missing


def chains_of(split: Split) -> list[Chain]:
    """The chains of which `split` is the root."""
    if REPLAY in split.instr.attrs or not _is_plain(split.blocks[0]):
        return []
    count = len(loop_parts(split.instr)[1])
    found = [_chain(split, split, position) for position in range(count)]
    return [chain for chain in found if chain is not None and chain.writes]


def _is_plain(block: Block) -> bool:
    """Whether there is nothing in a block that has a way back of its own kind: calls, and what is computed again."""
    for item in block.primal:
        if isinstance(item, Split):
            if item.key is not None or item.instr.op.name == "checkpoint" or REPLAY in item.instr.attrs:
                return False
            if not all(_is_plain(inner) for inner in item.blocks):
                return False
    return True


def _chain(root: Split, split: Split, position: int) -> Chain | None:
    """The chain of a carried array within `split`; None if something else than writes and loops changes it."""
    body, init, params = loop_parts(split.instr)
    start, value = params[position], body.results[position]
    types = {v.type for v in (start, value, init[position], split.instr.results[position])}
    if len(types) > 1 or not isinstance(start.type, TensorType) or not start.rank:
        return None
    block = split.blocks[0]
    makers = {r: item for item in block.primal for r in _instr(item).results}
    chain = Chain(root, [(split, position)], [], {start})
    while value is not start:
        chain.versions.add(value)
        item = makers.get(value)
        if isinstance(item, Split) and item.instr.op.name in LOOPS:
            place = item.instr.results.index(value)
            inner = _chain(root, item, place)
            if inner is None:
                return None
            chain.loops.extend(inner.loops)
            chain.writes.extend(inner.writes)
            chain.versions.update(inner.versions)
            value = loop_parts(item.instr)[1][place]
        elif isinstance(item, Instr) and item.op.name == "update":
            chain.writes.append(_write(block, item))
            value = item.operands[0]
        else:
            return None
    return chain


def _instr(item: Instr | Split) -> Instr:
    return item.instr if isinstance(item, Split) else item


def _write(block: Block, instr: Instr) -> Write:
    """The write with the read of the same part before it, which may be there already."""
    whole, part, *where = instr.operands
    found, gives = None, False
    for item in block.primal:
        if item is instr:
            break
        made = _instr(item)
        gives = gives or (part in made.results and made.op.kind not in ("constant", "shape"))
        if found is None and made.op.name == "index" and made.operands[0] is whole:
            same = made.attrs["spec"] == instr.attrs["spec"] and made.result.type == part.type
            found = made if same and all(a is b for a, b in zip(made.operands[1:], where, strict=True)) else None
    if found is not None:
        return Write(instr, found, block, False, gives)
    spec = {"spec": instr.attrs["spec"]}
    read = Instr(get_op("index"), (whole, *where), (Value(part.type, "old"),), spec, (), instr.span)
    return Write(instr, read, block, True, gives)


def insert_reads(chains: Iterable[Chain]) -> None:
    """Let the program read what its writes destroy."""
    for chain in chains:
        for write in chain.writes:
            if write.is_new:
                at = next(k for k, item in enumerate(write.block.primal) if item is write.instr)
                write.block.primal.insert(at, write.read)


def restored_of(chains: Sequence[Chain]) -> Restored:
    """What puts the arrays of all these chains back."""
    restored = Restored()
    for chain in chains:
        restored.add(chain)
    return restored
