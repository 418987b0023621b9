"""The pages under docs/ and the README say what is so: their examples run, their links lead somewhere, nothing is left out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import wengert as wg
from tests.doc_runner import matches, read_blocks, read_examples, run_page
from wengert import errors
from wengert.testing.check_grads import GradientMismatchError

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")])
EXECUTED = [page for page in PAGES if read_examples(page)]
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def slugs(page: Path) -> set[str]:
    """The anchors that GitHub makes of a page's headings."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+?)\s*$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", EXECUTED, ids=name_of)
def test_examples_print_what_the_page_says(page: Path, tmp_path: Path) -> None:
    faults = run_page(page, tmp_path)
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        if re.match(r"\w+:", link):
            continue
        place, _, anchor = link.partition("#")
        target = (page.parent / place).resolve() if place else page
        assert target.exists(), f"{link} leads nowhere"
        if anchor:
            assert anchor in slugs(target), f"{link}: no such heading"


def test_the_pages_that_teach_are_executed() -> None:
    executed = {name_of(page) for page in EXECUTED}
    assert {
        "README.md",
        "docs/tutorial.md",
        "docs/supported.md",
        "docs/errors.md",
        "docs/limitations.md",
        "docs/from_scratch.md",
    } <= executed


def test_every_error_has_a_section() -> None:
    found = [getattr(wg, name) for name in wg.__all__] + list(vars(errors).values()) + [GradientMismatchError]
    classes = {c for c in found if isinstance(c, type) and issubclass(c, Warning | errors.WengertError)}
    described = slugs(ROOT / "docs" / "errors.md")
    missing = sorted(c.__name__ for c in classes if c.__name__.lower() not in described)
    assert len(classes) > 8
    assert not missing, f"docs/errors.md has no section for {missing}"


def test_the_readme_is_short_enough_to_be_read() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150
    assert len((ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8").splitlines()) <= 80


def test_packages_that_the_architecture_names_exist() -> None:
    named = set(re.findall(r"`(src/wengert/[\w/.]*)`", (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")))
    assert named
    for place in named:
        assert (ROOT / place).exists(), f"{place} does not exist"
    for package in (ROOT / "src" / "wengert").iterdir():
        if (package / "__init__.py").exists():
            assert f"src/wengert/{package.name}/" in named, f"ARCHITECTURE.md does not mention {package.name}"


# --- the runner itself ---


def page_of(folder: Path, text: str) -> Path:
    page = folder / "page.md"
    page.write_text(text, encoding="utf-8")
    return page


def test_the_runner_sees_prints_warnings_and_errors(tmp_path: Path) -> None:
    text = """
```python
import inspect, warnings
def f(x):
    return x
print(inspect.getsource(f), end="")
warnings.warn("careful")
raise KeyError("gone")
```
```text
def f(x):
    return x
UserWarning: ...
KeyError: 'gone'
```
"""
    assert run_page(page_of(tmp_path, text), tmp_path) == []


def test_the_runner_reports_what_differs(tmp_path: Path) -> None:
    text = "```python\nprint(1)\n```\n```text\n2\n```\n```python\nraise ValueError\n```\n"
    wrong, silent = run_page(page_of(tmp_path, text), tmp_path)
    assert wrong.startswith("page.md:2 prints\n    1\nand not\n    2")
    assert "ValueError" in silent and "(nothing)" in silent


def test_shell_blocks_run_where_their_output_is_shown(tmp_path: Path) -> None:
    text = "```sh\nexit 1\n```\n\n```python\n# made.py\nx = 1\n```\n\n```sh\nls *.py\n```\n```text\nmade.py\npage.py\n```\n"
    assert run_page(page_of(tmp_path, text), tmp_path) == []


def test_blocks_and_ellipses(tmp_path: Path) -> None:
    (block,) = read_blocks(page_of(tmp_path, "text\n\n```python\nx = 1\n```\n"))
    assert (block.language, block.line, block.text) == ("python", 4, "x = 1\n")
    assert matches("a ... c\n", "a b\n b c  \n\n")
    assert not matches("a ... c", "a b")
    assert matches("", "")
