"""What `explain` returns: notes per source line, totals, and how they print."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby

from wengert.diagnose.listing import short_path

WIDTH = 120
SOURCE_WIDTH = 66
_GUTTER = "  | "


@dataclass(frozen=True)
class LineNote:
    """One line of the user's source with what is to be said about it."""

    file: str
    line: int
    text: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ParameterNote:
    """A parameter whose gradient is zero whatever its value, and why."""

    name: str
    why: str


@dataclass(frozen=True)
class Explanation:
    """How wengert sees a function; print it.

    Attributes:
        name: of the function.
        wrt: what it is differentiated with respect to, in words.
        mode: "compiled", "eager" or "refused".
        reason: why it is not compiled (or not differentiated at all), "" if it is.
        lines: the user's source with notes, in the order of the files and lines.
        stored_bytes: the most that is on stacks (or on the tape) for the reverse pass, for the arguments at hand.
        kept_bytes: the most that arrays outside of loops take because the reverse pass reads them.
        parameters: those without any influence on the gradient.
        libraries: files of libraries that were reached.
        notes: what belongs to no line.
    """

    name: str
    wrt: str
    mode: str
    reason: str
    lines: tuple[LineNote, ...]
    stored_bytes: int
    kept_bytes: int
    parameters: tuple[ParameterNote, ...] = ()
    libraries: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())

    def notes_at(self, line: int, file: str | None = None) -> tuple[str, ...]:
        """The notes of a line; `file` may be left out where one file is shown."""
        return tuple(
            note for at in self.lines if at.line == line and file in (None, at.file) for note in at.notes
        )

    def __str__(self) -> str:
        return "\n".join(self._text())

    def _text(self) -> Iterator[str]:
        yield from _wrapped(self._headline())
        if self.reason:
            yield from textwrap.indent(self.reason, "  ").splitlines()
        if self.mode != "refused":
            where = "on stacks" if self.mode == "compiled" else "on the tape"
            kept = f", at most {bytes_text(self.kept_bytes)} in arrays outside of loops" if self.kept_bytes else ""
            yield f"stored for the reverse pass, with these arguments: {bytes_text(self.stored_bytes)} {where}{kept}"
        for note in self.notes:
            yield from note.splitlines()
        for file, lines in groupby(self.lines, key=lambda line: line.file):
            yield ""
            yield short_path(file)
            yield from _source(list(lines))
        if self.parameters:
            yield ""
            yield "parameters whose gradient is always zero:"
            for parameter in self.parameters:
                yield from _wrapped(f"  {parameter.name}: {parameter.why}")
        if self.libraries:
            yield ""
            yield from _wrapped(f"library code reached: {', '.join(self.libraries)}")

    def _headline(self) -> str:
        ways = {
            "compiled": "compiled to native code",
            "eager": "runs eagerly, it cannot be compiled:",
            "refused": "cannot be differentiated:",
        }
        if self.mode == "eager" and not self.reason:
            ways["eager"] = "runs eagerly, as asked for"
        return f"{self.name}, gradient with respect to {self.wrt}: {ways[self.mode]}"


def _wrapped(text: str) -> list[str]:
    indent = " " * (len(text) - len(text.lstrip()) + 2)
    return textwrap.wrap(text, WIDTH, subsequent_indent=indent, break_on_hyphens=False, drop_whitespace=True) or [text]


def _source(lines: list[LineNote]) -> Iterator[str]:
    """Source on the left, notes on the right; below the line where it is too long for that."""
    digits = max(4, len(str(lines[-1].line)) + 1)
    fitting = [len(at.text) for at in lines if len(at.text) <= SOURCE_WIDTH]
    left = max([30, *fitting])
    room = WIDTH - digits - 2 - left - len(_GUTTER)
    previous = lines[0].line - 1
    for at in lines:
        if at.line != previous + 1:
            yield f"{'...':>{digits}}"
        previous = at.line
        head = f"{at.line:>{digits}}  {at.text}"
        notes = textwrap.wrap("; ".join(at.notes), room, break_on_hyphens=False) if at.notes else []
        if len(at.text) > left or not notes:
            yield head.rstrip()
        else:
            yield f"{head:<{digits + 2 + left}}{_GUTTER}{notes.pop(0)}"
        for note in notes:
            yield f"{'':<{digits + 2 + left}}{_GUTTER}{note}"


def bytes_text(count: int) -> str:
    """A number of bytes as people write it: 512 B, 15.6 kB, 3.2 MB."""
    if count < 1000:
        return f"{count} B"
    amount = float(count)
    for unit in ("kB", "MB", "GB", "TB"):
        amount /= 1000
        if amount < 999.95 or unit == "TB":
            return f"{amount:.1f} {unit}"
    raise AssertionError
