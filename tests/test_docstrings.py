"""Public names have docstrings, what these say of arguments fits the signatures, and their examples run."""

from __future__ import annotations

import dataclasses
import doctest
import importlib
import inspect
import re
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

import wengert

PACKAGES = ("wengert", "wengert.api", "wengert.diagnose", "wengert.optim", "wengert.testing", "wengert.train")
MODULES = (
    *PACKAGES,
    "wengert.errors",
    "wengert.tree",
    "wengert.types",
    "wengert.api.custom",
    "wengert.api.derivatives",
    "wengert.api.flow",
    "wengert.api.mode",
    "wengert.api.wrap",
    "wengert.optim.adam",
    "wengert.optim.optimizer",
    "wengert.optim.sgd",
    "wengert.testing.check_grads",
    "wengert.testing.differences",
    "wengert.train.fit",
    "wengert.train.store",
)
SECTION = re.compile(r"^(Args|Attributes|Returns|Raises|Example|Examples|References|Yields|Note):$", re.MULTILINE)


def public_objects() -> Iterator[tuple[str, Any]]:
    """Every public name of the public packages, and every public method of the classes among them; each object once."""
    seen: set[int] = set()
    for package in PACKAGES:
        module = importlib.import_module(package)
        for name in module.__all__:
            value = getattr(module, name)
            if id(value) in seen:
                continue
            seen.add(id(value))
            yield f"{package}.{name}", value
            if inspect.isclass(value):
                for method, member in vars(value).items():
                    if not method.startswith("_") and inspect.isfunction(member):
                        yield f"{package}.{name}.{method}", member


def modules() -> list[ModuleType]:
    return [importlib.import_module(name) for name in MODULES]


PUBLIC = list(public_objects())
OBJECTS = pytest.mark.parametrize(("name", "value"), PUBLIC, ids=[name for name, _ in PUBLIC])


def sections(text: str) -> dict[str, str]:
    """The sections of a docstring by title; what stands before the first is called ""."""
    parts = SECTION.split(inspect.cleandoc(text))
    return {"": parts[0], **dict(zip(parts[1::2], parts[2::2], strict=True))}


def documented(section: str) -> list[str]:
    """The names that a section of arguments or attributes describes, without stars."""
    return [
        name
        for line in re.findall(r"^    (\*{0,2}\w+(?:, \*{0,2}\w+)*): ", section, re.MULTILINE)
        for name in re.findall(r"\w+", line)
    ]


def parameters(value: Any) -> list[str]:
    """The names of the parameters of a function, or of the constructor of a class."""
    names = list(inspect.signature(value).parameters)
    return names[1:] if names[:1] == ["self"] else names


@OBJECTS
def test_public_names_have_docstrings(name: str, value: Any) -> None:
    text = inspect.getdoc(value) if inspect.isfunction(value) else vars(value).get("__doc__")
    assert text, f"{name} has no docstring"
    first = sections(text)[""].split("\n\n")[0]
    generated = inspect.isclass(value) and dataclasses.is_dataclass(value) and text.startswith(f"{value.__name__}(")
    assert not generated, f"{name} has only the docstring that dataclasses make"
    assert first.rstrip().endswith((".", ":", ";")), f"the docstring of {name} does not begin with a sentence: {first!r}"


@OBJECTS
def test_documented_arguments_are_those_of_the_signature(name: str, value: Any) -> None:
    found = sections(inspect.getdoc(value) or "")
    if "Args" in found:
        assert documented(found["Args"]) == parameters(value), f"the Args of {name} and its signature differ"
    if "Attributes" in found and inspect.isclass(value):
        described = set(documented(found["Attributes"]))
        fields = {f.name for f in dataclasses.fields(value)} if dataclasses.is_dataclass(value) else set()
        fields |= set(getattr(value, "_fields", ())) | set(inspect.get_annotations(value))
        assert described <= fields, f"{name} has no {sorted(described - fields)}"
        assert not fields or described == fields, f"the Attributes of {name} leave out {sorted(fields - described)}"


@OBJECTS
def test_functions_of_several_arguments_describe_them(name: str, value: Any) -> None:
    if inspect.isfunction(value) and name.startswith("wengert.") and name.count(".") == 1:
        count = len([p for p in parameters(value) if p != "args"])
        text = inspect.getdoc(value) or ""
        assert count < 3 or "Args" in sections(text) or "Like `" in text, f"{name} has {count} arguments and describes none"


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.__name__)
def test_examples_in_docstrings(module: ModuleType) -> None:
    finder = doctest.DocTestFinder(exclude_empty=True)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    report: list[str] = []
    names = {**vars(module), "__name__": "examples"}  # they are a user's code, not wengert's own
    for test in finder.find(module, module.__name__, globs=names):
        runner.run(test, out=report.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(report)


def test_there_are_examples_to_run() -> None:
    finder = doctest.DocTestFinder(exclude_empty=True)
    with_examples = {test.name for module in modules() for test in finder.find(module, module.__name__) if test.examples}
    assert {
        "wengert.api.derivatives.grad",
        "wengert.api.mode.eager",
        "wengert.optim.adam.adam",
        "wengert.testing.check_grads.check_grads",
        "wengert.train.fit.fit",
    } <= with_examples


def test_public_names_are_listed_and_exist() -> None:
    assert len(wengert.__all__) == len(set(wengert.__all__))
    for name in wengert.__all__:
        assert getattr(wengert, name) is not None
    assert set(wengert.__all__) <= set(dir(wengert))
