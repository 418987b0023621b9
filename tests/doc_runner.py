"""Runs the examples of a Markdown page as a reader would: in order, in one namespace, in an empty folder.

A block of `python` or `sh` runs; a block of `text` behind it is what it prints, where `...` stands for anything. Warnings and
the exception that ends a block count as printed. All Python of a page is one source file in which every line has the number it
has on the page, so that sources can be inspected and messages point into the page. A Python block whose first line is a
comment with a file name (`# pendulum.py`) is that file: it is written, and messages show its own line numbers.
"""

from __future__ import annotations

import contextlib
import io
import linecache
import os
import re
import subprocess
import sys
import types
import warnings
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

RUNS = ("python", "sh")
FENCE = re.compile(r"^( *)```(\w*)\s*$")
FILE_NAME = re.compile(r"# ([\w.]+\.py)\s*")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, the page's line on which its text begins, its lines."""

    language: str
    line: int
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        """The text between the fences."""
        return "".join(line + "\n" for line in self.lines)


@dataclass(frozen=True)
class Example:
    """A block that runs, and what it has to print (None: nothing, for Python; anything, for shell commands)."""

    code: Block
    expected: Block | None


def read_blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page."""
    blocks: list[Block] = []
    inside: list[str] | None = None
    language, start, indent = "", 0, 0
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        fence = FENCE.match(line)
        if fence and inside is None:
            indent, language, start, inside = len(fence[1]), fence[2], number + 1, []
        elif fence and inside is not None:
            blocks.append(Block(language, start, tuple(inside)))
            inside = None
        elif inside is not None:
            inside.append(line[indent:])
    assert inside is None, f"{page}: the block that begins on line {start} has no end"
    return blocks


def read_examples(page: Path) -> list[Example]:
    """The blocks of a page that run; shell commands only where their output is shown."""
    blocks = read_blocks(page)
    examples = []
    for block, after in zip_longest(blocks, blocks[1:]):
        expected = after if after is not None and after.language == "text" else None
        if block.language == "python" or (block.language == "sh" and expected is not None):
            examples.append(Example(block, expected))
    return examples


def run_page(page: Path, folder: Path) -> list[str]:
    """Run the examples of a page in `folder`.

    Returns:
        One text for each example that did not print what the page says; empty if all did.
    """
    examples = read_examples(page)
    runner = Runner(page.stem, folder, examples)
    with contextlib.chdir(folder), runner:
        return [fault for example in examples if (fault := runner.fault(example, page.name))]


class Runner:
    """Runs examples one after another; a context manager that keeps the page's module importable while it lasts."""

    def __init__(self, name: str, folder: Path, examples: list[Example]) -> None:
        self.folder = folder
        self.module = types.ModuleType(f"page_{name}")
        self.file = folder / f"{name}.py"
        self.write_source(examples)

    def write_source(self, examples: list[Example]) -> None:
        """Write all Python of the page to one file."""
        lines: list[str] = []
        for example in examples:
            if example.code.language == "python":
                lines += [""] * (example.code.line - 1 - len(lines)) + list(example.code.lines)
        self.file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        linecache.checkcache(str(self.file))

    def __enter__(self) -> Runner:
        sys.modules[self.module.__name__] = self.module
        self.module.__file__ = str(self.file)
        shim = self.folder / "bin" / "wengert"
        shim.parent.mkdir()
        shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "from wengert.cli import app; app()" "$@"\n')
        shim.chmod(0o755)
        return self

    def __exit__(self, *exception: object) -> None:
        del sys.modules[self.module.__name__]

    def fault(self, example: Example, page: str) -> str:
        """What is wrong with an example, or ""."""
        printed = self.run_shell(example.code) if example.code.language == "sh" else self.run_python(example.code)
        expected = example.expected.text if example.expected is not None else ""
        if matches(expected, printed):
            return ""
        return f"{page}:{example.code.line} prints\n{indented(printed)}and not\n{indented(expected)}"

    def run_shell(self, block: Block) -> str:
        """What the commands print."""
        path = f"{self.folder / 'bin'}:/usr/bin:/bin"
        done = subprocess.run(
            ["sh", "-e"], input=block.text, env={**environment(), "PATH": path}, capture_output=True, text=True, timeout=300
        )
        ending = f"exit code {done.returncode}\n" if done.returncode else ""
        return done.stdout + (done.stderr if done.returncode else "") + ending

    def compiled(self, block: Block) -> types.CodeType:
        """The code of a block, in a file of its own if it has a name."""
        name = FILE_NAME.fullmatch(block.lines[0]) if block.lines else None
        if name is None:
            return compile("\n" * (block.line - 1) + block.text, str(self.file), "exec", dont_inherit=True)
        file = self.folder / name[1]
        file.write_text(block.text, encoding="utf-8")
        linecache.checkcache(str(file))
        return compile(block.text, str(file), "exec", dont_inherit=True)

    def run_python(self, block: Block) -> str:
        """What the code prints, with its warnings and the exception that ended it."""
        code = self.compiled(block)
        printed = io.StringIO()

        def show(message: Any, category: type[Warning], *place: Any) -> None:
            printed.write(f"{category.__name__}: {message}\n")

        with warnings.catch_warnings(), contextlib.redirect_stdout(printed):
            warnings.simplefilter("always")
            warnings.showwarning = show
            try:
                exec(code, self.module.__dict__)
            except Exception as error:  # noqa: BLE001 - what an example raises is what it shows
                notes = "".join(f"\n{note}" for note in getattr(error, "__notes__", ()))
                printed.write(f"{type(error).__name__}: {error}{notes}\n")
        return printed.getvalue().replace(str(self.folder) + "/", "")


def environment() -> dict[str, str]:
    """Environment variables for shell commands: this process's, with the package importable and a fixed width."""
    return {**os.environ, "PYTHONPATH": ":".join(p for p in sys.path if p), "COLUMNS": "100", "NO_COLOR": "1"}


def matches(expected: str, printed: str) -> bool:
    """Whether `printed` is `expected` up to trailing blanks, where `...` stands for any text."""
    pattern = ".*?".join(map(re.escape, trimmed(expected).split("...")))
    return re.fullmatch(pattern, trimmed(printed), re.DOTALL) is not None


def trimmed(text: str) -> str:
    """`text` without blanks at the ends of lines and empty lines at its own ends."""
    return "\n".join(line.rstrip() for line in text.strip("\n").splitlines())


def indented(text: str) -> str:
    """`text`, indented."""
    return "".join(f"    {line}\n" for line in text.splitlines()) or "    (nothing)\n"
