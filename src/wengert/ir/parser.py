"""Reads the text form of functions (`docs/ir.md`) back into IR. The types written in the text are checked, not trusted.

Each instruction is made by a `Builder`, which infers its types; what the text says must agree. Recursive descent over tokens.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NoReturn

from wengert.errors import ArgumentError, InternalError, Span
from wengert.ir.builder import Builder
from wengert.ir.calls import Signature, make_signature, refresh
from wengert.ir.core import Function, Region, Value
from wengert.ir.op import get_op
from wengert.types import DTYPES, I64_SCALAR, Affine, Dim, Slot, StackType, TensorType, Type, dim_add

_TOKEN = re.compile(
    r"""(?P<space>[ \t\r]+)
      | (?P<newline>\n)
      | (?P<comment>\#\ [^\n]*)
      | (?P<slot>\#\d+)
      | (?P<value>%[A-Za-z0-9_.]+)
      | (?P<function>@[^\s<(]+)
      | (?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
      | (?P<string>'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*")
      | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<arrow>->)
      | (?P<mark>[()\[\]{}<>,:=+*-])
    """,
    re.VERBOSE,
)

_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}
_WORDS: dict[str, Any] = {"True": True, "False": False, "None": None, "nan": float("nan"), "inf": float("inf")}


def parse(text: str) -> Function:
    """The function that `text` describes.

    Raises:
        ArgumentError: `text` is not a function in the notation of `docs/ir.md`, or a written type is not the inferred one;
            the message has the line.
    """
    parser = _Parser(text)
    parser.signatures()
    functions: dict[str, Function] = {}
    function = parser.function()
    while parser.token.kind != "end":
        if not parser.at("func"):
            parser.fail("text after the end of the function", expected="another function")
        callee = parser.function()
        functions[callee.name] = callee
    return refresh(replace(function, functions=functions)) if functions else function


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    line: int


def _tokenize(text: str) -> tuple[list[_Token], dict[int, str]]:
    """The tokens of `text`, and the comments by line."""
    tokens: list[_Token] = []
    comments: dict[int, str] = {}
    line, position = 1, 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise ArgumentError(f"line {line} of the IR text: unexpected character {text[position]!r}")
        kind = match.lastgroup or ""
        if kind == "comment":
            comments[line] = match.group()[2:].strip()
        elif kind not in ("space", "newline"):
            tokens.append(_Token(kind, match.group(), line))
        line += kind == "newline"
        position = match.end()
    tokens.append(_Token("end", "the end of the text", line))
    return tokens, comments


class _Parser:
    def __init__(self, text: str) -> None:
        self.lines = text.split("\n")
        self.tokens, self.comments = _tokenize(text)
        self.position = 0
        self.values: dict[str, Value] = {}
        self.defined: list[str] = []
        self.known: dict[str, Signature] = {}

    # --- tokens -------------------------------------------------------------------------------------------------

    @property
    def token(self) -> _Token:
        """The next token."""
        return self.tokens[self.position]

    def next(self) -> _Token:
        token = self.token
        self.position += 1
        return token

    def at(self, text: str) -> bool:
        return self.token.text == text

    def accept(self, text: str) -> bool:
        if self.at(text):
            self.position += 1
            return True
        return False

    def expect(self, text: str) -> None:
        if not self.accept(text):
            self.fail("syntax error", found=repr(self.token.text), expected=repr(text))

    def take(self, kind: str) -> str:
        if self.token.kind != kind:
            self.fail("syntax error", found=repr(self.token.text), expected=f"a {kind}")
        return self.next().text

    def fail(self, what: str, *, line: int | None = None, found: str | None = None, expected: str | None = None) -> NoReturn:
        line = self.token.line if line is None else line
        source = self.lines[line - 1] if line <= len(self.lines) else ""
        raise ArgumentError(f"line {line} of the IR text: {what}\n{line:>6} | {source}", found=found, expected=expected)

    def listed(self, close: str, item: Callable[[], Any]) -> list[Any]:
        """Items separated by commas, up to and including `close`."""
        items: list[Any] = []
        while not self.accept(close):
            items.append(item())
            if not self.at(close):
                self.expect(",")
        return items

    def span(self, line: int) -> Span | None:
        """The span in the comment at the end of `line`."""
        file, _, number = self.comments.get(line, "").rpartition(":")
        return Span(file, int(number)) if file and number.isdigit() else None

    # --- functions, regions, instructions -----------------------------------------------------------------------

    def signatures(self) -> None:
        """Read the headers of all functions behind the first: calls may come before their callees."""
        starts = [k for k, t in enumerate(self.tokens) if t.text == "func" and t.kind == "name"]
        ends = [*starts[1:], len(self.tokens)]
        for start, end in list(zip(starts, ends, strict=False))[1:]:
            self.position, self.values, self.defined = start + 1, {}, []
            name = self.take("function")[1:]
            if name in self.known:
                self.fail(f"@{name} is defined twice")
            self.known[name] = self.signature(name, end)
        self.position, self.values, self.defined = 0, {}, []

    def signature(self, name: str, end: int) -> Signature:
        """The signature of the function that begins here and ends before token `end`; it returns by one `return`."""
        dims = self.listed(">", lambda: self.define(self.take("value"), I64_SCALAR)) if self.accept("<") else []
        self.expect("(")
        params = self.listed(")", self.parameter)
        self.expect("->")
        self.expect("(")
        last = max((k for k in range(self.position, end) if self.tokens[k].text == "return"), default=end)
        returned = [t.text for t in self.tokens[last:end] if t.kind == "value"]
        for value in dict.fromkeys(returned):
            if value not in self.values:
                self.define(value, I64_SCALAR)
        types = self.listed(")", self.type)
        if len(types) != len(returned):
            self.fail(f"@{name} returns another number of values than it says")
        results = [
            known if (known := self.values[text]) in (*dims, *params) or declared == I64_SCALAR else Value(declared)
            for text, declared in zip(returned, types, strict=True)
        ]
        return make_signature(name, dims, params, results)

    def function(self) -> Function:
        self.values, self.defined = {}, []
        self.expect("func")
        name = self.take("function")[1:]
        dims = self.listed(">", lambda: self.define(self.take("value"), I64_SCALAR)) if self.accept("<") else []
        self.expect("(")
        params = self.listed(")", self.parameter)
        self.expect("->")
        self.expect("(")
        declared_at = self.position
        self.skip_types()
        header = self.tokens[self.position - 1].line
        self.expect("{")
        span = self.span(header)
        builder = Builder()
        results = self.block(builder, "return")
        end, self.position = self.position, declared_at
        declared = self.listed(")", self.type)
        self.compare(declared, [r.type for r in results], header, "results")
        self.position = end
        return Function(name, tuple(dims), tuple(params), tuple(builder.instrs), tuple(results), span)

    def skip_types(self) -> None:
        """Skip to behind the parenthesis that closes a list of types (they may name values that come later)."""
        depth = 1
        while depth:
            if self.token.kind == "end":
                self.fail("syntax error", found="the end of the text", expected="')'")
            text = self.next().text
            depth += (text == "(") - (text == ")")

    def define(self, name: str, declared: Type) -> Value:
        value = Value(declared, "" if name[1].isdigit() else name[1:])
        self.bind(name, value)
        return value

    def bind(self, name: str, value: Value, line: int | None = None) -> None:
        if name in self.values:
            self.fail(f"{name} is defined twice", line=line)
        self.values[name] = value
        self.defined.append(name)

    def parameter(self) -> Value:
        name = self.take("value")
        self.expect(":")
        return self.define(name, self.type())

    def block(self, builder: Builder, last: str) -> list[Value]:
        """Instructions up to and including the `return` or `yield` line and the closing brace."""
        while not self.accept(last):
            self.instr(builder)
        results: list[Value] = []
        while not self.accept("}"):
            results.append(self.operand())
            if not self.at("}"):
                self.expect(",")
        return results

    def region(self) -> Region:
        self.expect("region")
        self.expect("(")
        mark = len(self.defined)
        params = self.listed(")", self.parameter)
        self.expect("{")
        builder = Builder()
        results = self.block(builder, "yield")
        for name in self.defined[mark:]:  # not visible behind the region
            del self.values[name]
        del self.defined[mark:]
        return Region(tuple(params), tuple(builder.instrs), tuple(results))

    def instr(self, builder: Builder) -> None:
        line = self.token.line
        names: list[tuple[str, int]] = []
        while self.token.kind == "value":
            name = self.take("value")
            self.expect(":")
            names.append((name, self.position))
            self.skip_type()
            if not self.accept(","):
                self.expect("=")
                break
        op_name = self.take("name")
        self.expect("(")
        operands = self.listed(")", self.operand)
        attrs = self.attributes()
        regions: list[Region] = []
        opened = self.accept("{")
        builder.span = self.span(line)
        while opened and not self.accept("}"):
            regions.append(self.region())
        self.make(builder, line, op_name, operands, attrs, regions, names)

    def make(self, builder: Builder, line: int, op_name: str, operands: list[Value], attrs: dict[str, Any],
             regions: list[Region], names: list[tuple[str, int]]) -> None:  # fmt: skip
        """Build the instruction and compare the written types with the inferred ones."""
        hints = ["" if name[1].isdigit() else name[1:] for name, _ in names]
        if op_name == "call":
            if attrs.get("callee") not in self.known:
                self.fail(f"there is no function @{attrs.get('callee')}", line=line)
            attrs["_signature"] = self.known[attrs["callee"]]
        try:
            results = builder.emit(get_op(op_name), operands, attrs, regions, hints)
        except (AttributeError, InternalError, AssertionError, KeyError, ValueError, TypeError, IndexError) as error:
            self.fail(f"{op_name}: {error}", line=line)
        if len(results) != len(names):
            self.fail(f"{op_name} has {len(results)} results", line=line, found=f"{len(names)} names")
        end = self.position
        for (name, position), result in zip(names, results, strict=True):
            self.bind(name, result, line)
            self.position = position
            self.compare([self.type()], [result.type], line, name)
        self.position = end

    def compare(self, written: list[Type], inferred: list[Type], line: int, what: str) -> None:
        if written != inferred:
            self.fail(
                f"the type of {what} is not the inferred one",
                line=line,
                found=", ".join(map(str, written)),
                expected=", ".join(map(str, inferred)),
            )

    def operand(self) -> Value:
        name = self.take("value")
        value = self.values.get(name)
        if value is None:
            self.position -= 1
            self.fail(f"{name} is not defined here", expected="a value of this or an enclosing region")
        return value

    # --- types --------------------------------------------------------------------------------------------------

    def skip_type(self) -> None:
        close = {"(": ")", "[": "]"}
        if self.token.kind != "name":
            self.fail("syntax error", found=repr(self.token.text), expected="a type")
        self.next()
        opening = self.next().text
        if opening not in close:
            self.position -= 1
            self.fail("syntax error", found=repr(self.token.text), expected="a type")
        depth = 1
        while depth:
            if self.token.kind == "end":
                self.fail("syntax error", expected=repr(close[opening]))
            text = self.next().text
            depth += (text in "([") - (text in ")]")

    def type(self) -> Type:
        name = self.take("name")
        if name == "stack":
            self.expect("(")
            return StackType(tuple(self.listed(")", self.tensor_type)))
        if name not in DTYPES:
            self.fail(f"unknown type {name!r}", expected=f"one of {', '.join(DTYPES)}, stack")
        self.expect("[")
        return TensorType(DTYPES[name], tuple(self.listed("]", self.dim)))

    def tensor_type(self) -> TensorType:
        declared = self.type()
        if not isinstance(declared, TensorType):
            self.fail("a stack holds tensors", found=str(declared))
        return declared

    def dim(self) -> Affine:
        total = self.dim_term(-1 if self.accept("-") else 1)
        while self.at("+") or self.at("-"):
            sign = -1 if self.next().text == "-" else 1
            total = dim_add(total, self.dim_term(sign))
        return total

    def dim_term(self, factor: int) -> Affine:
        if self.token.kind == "number":
            factor *= int(self.next().text)
            if not self.accept("*"):
                return factor
        if self.token.kind == "slot":
            return Dim(0, ((Slot(int(self.next().text[1:])), factor),))
        return dim_add(0, self.operand().affine, factor)

    # --- attributes ---------------------------------------------------------------------------------------------

    def attributes(self) -> dict[str, Any]:
        attrs: dict[str, Any] = {}
        following = self.tokens[self.position + 2] if self.position + 2 < len(self.tokens) else None
        if not self.at("{") or following is None or following.text != "=":
            return attrs
        self.expect("{")
        for name, value in self.listed("}", self.attribute):
            attrs[name] = value
        return attrs

    def attribute(self) -> tuple[str, Any]:
        name = self.take("name")
        self.expect("=")
        return name, self.literal()

    def literal(self) -> Any:
        token = self.token
        if token.kind == "name":
            return self.word()
        token = self.next()
        if token.kind == "number":
            return float(token.text) if any(c in ".eE" for c in token.text) else int(token.text)
        if token.kind == "string":
            return _unquote(token.text)
        if token.text == "-":
            return -self.literal()
        if token.text == "(":
            return tuple(self.listed(")", self.literal))
        if token.text == "[":
            return self.listed("]", self.literal)
        if token.text == "{":
            return dict(self.listed("}", self.pair))
        self.position -= 1
        self.fail("syntax error", found=repr(token.text), expected="a literal")

    def pair(self) -> tuple[Any, Any]:
        key = self.literal()
        self.expect(":")
        return key, self.literal()

    def word(self) -> Any:
        """A named constant, an element type or a type."""
        name = self.token.text
        if name in _WORDS:
            self.next()
            return _WORDS[name]
        is_type = self.tokens[self.position + 1].text in ("[", "(")
        if name in DTYPES and not is_type:
            self.next()
            return DTYPES[name]
        return self.type()


def _unquote(text: str) -> str:
    """The string that a Python string literal with simple escapes stands for."""

    def escape(match: re.Match[str]) -> str:
        code = match.group(1)
        if code[0] in "xuU":
            return chr(int(code[1:], 16))
        return _ESCAPES.get(code, code)

    return re.sub(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)", escape, text[1:-1], flags=re.DOTALL)
