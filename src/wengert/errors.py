"""The exception tree and the source spans that messages point at.

    WengertError
    ├── UnsupportedError      (also NotImplementedError)  the program cannot be staged or differentiated here
    │   ├── StagingError      (also RuntimeError)         staging refused; eager mode may run it
    │   └── SourceUnavailableError (also OSError)         no Python source to convert
    ├── ArgumentError         (also TypeError)            a bad argument to one of our own functions
    ├── GradientCutError      (also TypeError)            a traced value would leave through code that has no derivative
    └── InternalError         (also AssertionError)       a defect in wengert, never the user's fault

Errors that NumPy or Python would raise in the user's program (IndexError, ValueError, ZeroDivisionError, the user's own)
keep their class; they are raised with the user's line in the message.
"""

from __future__ import annotations

import linecache
from dataclasses import dataclass


@dataclass(frozen=True)
class Span:
    """A place in the user's source: lines from 1, columns from 0 as in `ast`."""

    file: str
    line: int
    column: int = 0
    end_column: int | None = None
    function: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"

    def excerpt(self) -> str:
        """The source line with a caret under the expression, indented by two, or "" when the source is not available."""
        text = linecache.getline(self.file, self.line).rstrip("\n")
        if not text:
            return ""
        number = f"{self.line:>6} | "
        end = self.end_column if self.end_column is not None and self.end_column > self.column else len(text)
        carets = "^" * max(1, min(end, len(text)) - self.column)
        return f"{number}{text}\n{' ' * (len(number) - 2)}| {' ' * self.column}{carets}"


def describe(
    what: str,
    span: Span | None = None,
    *,
    found: str | None = None,
    expected: str | None = None,
    fix: str | None = None,
) -> str:
    """The four parts of every message: what went wrong, where, found and expected, what to do."""
    lines = [what]
    if span is not None:
        lines.append(f"  {span}" + (f", in {span.function}" if span.function else ""))
        excerpt = span.excerpt()
        if excerpt:
            lines.append(excerpt)
    if found is not None:
        lines.append(f"  found:    {found}")
    if expected is not None:
        lines.append(f"  expected: {expected}")
    if fix is not None:
        lines.append(f"  fix:      {fix}")
    return "\n".join(lines)


class WengertError(Exception):
    """Base of every error that is wengert's own."""

    def __init__(self, what: str, span: Span | None = None, **parts: str | None) -> None:
        super().__init__(describe(what, span, **parts))
        self.what = what
        self.span = span


class UnsupportedError(WengertError, NotImplementedError):
    """The program uses something that cannot be staged or differentiated; the message says what to do instead."""


class StagingError(UnsupportedError, RuntimeError):
    """The function cannot be staged (compiled); eager mode may still run it.

    Attributes:
        quiet: whether eager mode is simply the right one here, so that no warning is due.
        temporary: whether the next call may be staged.
    """

    quiet: bool = False
    temporary: bool = False


class SourceUnavailableError(UnsupportedError, OSError):
    """The Python source of a function is not available, so it cannot be converted."""


class ArgumentError(WengertError, TypeError):
    """A bad argument to one of wengert's own functions."""


class GradientCutError(WengertError, TypeError):
    """A traced value would be turned into a plain number, and its gradient silently dropped."""


class InternalError(WengertError, AssertionError):
    """A defect in wengert itself."""
