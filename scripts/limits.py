"""Refuse files and functions under src/ that have grown too long to read.

Aim at 250 lines a file and 25 a function; 600 and 80 are where this script says no.
"""

import ast
import sys
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src"
FILE_LIMIT = 600
FUNCTION_LIMIT = 80

# What may be longer, and why: "path" for a file, "path:function" for a function.
EXCEPTIONS: dict[str, str] = {}


def functions(tree, prefix=""):
    for node in ast.iter_child_nodes(tree):
        named = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        name = f"{prefix}{node.name}." if named else prefix
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield name[:-1], node
        yield from functions(node, name)


def find_long(path):
    """Yield key, length and limit of whatever is too long in a file."""
    text = path.read_text(encoding="utf-8")
    key = path.relative_to(SOURCE).as_posix()
    if (lines := len(text.splitlines())) > FILE_LIMIT:
        yield key, lines, FILE_LIMIT
    for name, node in functions(ast.parse(text)):
        if (lines := node.end_lineno - node.lineno + 1) > FUNCTION_LIMIT:
            yield f"{key}:{name}", lines, FUNCTION_LIMIT


def main():
    found = [item for path in sorted(SOURCE.rglob("*.py")) for item in find_long(path)]
    unused = set(EXCEPTIONS) - {key for key, _, _ in found}
    failures = [f"{key} has {lines} lines, {limit} are allowed" for key, lines, limit in found if key not in EXCEPTIONS]
    failures += [f"{key} is listed as an exception but is short enough" for key in sorted(unused)]
    for failure in failures:
        print(f"src/{failure}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
