"""Make a failing program smaller: lines are left out for as long as it fails in the same way."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from wengert.testing.programs.compare import ProgramMismatchError, compare_program
from wengert.testing.programs.generate import Program

_ROUNDS = 3


def shrink(program: Program) -> Program:
    """A smaller program with the same kind of mismatch; `program` itself if it has none."""
    kind = failure(program)
    if not kind:
        return program
    for _ in range(_ROUNDS):
        before = program
        size = len(program.source.splitlines()) // 2
        while size:
            program = _without_lines(program, size, kind)
            size //= 2
        program = _with_simpler_lines(program, kind)
        if program.source == before.source:
            break
    return program


def failure(program: Program) -> str:
    """In which way a program fails, without the numbers; "" if it does not, or is no program."""
    try:
        compare_program(program)
    except ProgramMismatchError as error:
        first = str(error).splitlines()[0].partition(": ")[2].partition(" where ")[0]
        cause = error.__cause__
        return first if cause is None else f"{first} {_words(str(cause))}"
    except Exception:  # noqa: BLE001 - a line that the program needs is missing
        return ""
    return ""


def _words(message: str) -> str:
    return re.sub(r"\W?\w*\d\w*\W?", "", message.partition("\n")[0])


def _without_lines(program: Program, size: int, kind: str) -> Program:
    """Leave out stretches of `size` lines wherever that keeps the failure."""
    start = len(program.source.splitlines()) - size
    while start >= 0:
        lines = program.source.splitlines()
        smaller = _with_lines(program, lines[:start] + lines[start + size :])
        if failure(smaller) == kind:
            program = smaller
        start -= size
    return program


def _with_simpler_lines(program: Program, kind: str) -> Program:
    """Replace calls and brackets by constants wherever that keeps the failure."""
    lines = program.source.splitlines()
    for k in range(len(lines)):
        again = True
        while again:
            again = False
            for simpler in _simpler(lines[k]):
                changed = [*lines[:k], simpler, *lines[k + 1 :]]
                if failure(_with_lines(program, changed)) == kind:
                    lines, again = changed, True
                    break
    return _with_lines(program, lines)


def _with_lines(program: Program, lines: list[str]) -> Program:
    return replace(program, source="\n".join(lines) + "\n")


def _simpler(line: str) -> Iterator[str]:
    """The line with a bracketed part replaced by a constant."""
    for found in re.finditer(r"(?:[\w.]+)?\([^()]*\)", line):
        if len(found[0]) > 4 and not line.lstrip().startswith(("def ", "class ", "@")):
            yield line[: found.start()] + "0.7" + line[found.end() :]
