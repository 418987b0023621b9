"""Native code on disk: hits, damage, size, trust, several processes."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import wengert as wg
from wengert.cli.main import app
from wengert.codegen import compile, engine
from wengert.codegen.engine import Effort, key
from wengert.codegen.store import MAGIC, SUFFIX, Store, folder, limit, store
from wengert.ir.parser import parse

PROGRAM = """
func @f<%n>(%x: f64[%n], %y: f64[], %k: i64[]) -> (f64[%n], f64[], i64[], bool[]) {
  %z: f64[%n] = sin(%x)
  %g: f64[] = gammaln(%y)
  %t: bool[] = gt(%y, %g)
  check(%t) {exception='ValueError', message='y is small'}
  return %z, %g, %k, %t
}
"""

SCRIPT = """
import sys
import numpy as np
from wengert.codegen import compile
from wengert.ir.parser import parse
found = compile(parse(sys.argv[1]))(np.array([0.5, 1.0]), 2.5, 7)
print([float(v) for v in found[0]], *found[1:])
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    chosen = tmp_path / "native"
    monkeypatch.setenv("WENGERT_CACHE_DIR", str(chosen))
    monkeypatch.delenv("WENGERT_DISABLE", raising=False)
    return chosen


def entries(place: Path) -> list[Path]:
    return sorted(place.glob(f"*{SUFFIX}"))


def forbid_llvm(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> None:
        raise AssertionError("this program was to come from disk")

    monkeypatch.setattr(engine, "_optimized", refuse)


def test_a_second_compilation_comes_from_disk(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.linspace(0.0, 1.0, 5)
    first = compile(parse(PROGRAM))
    expected = first(x, 2.5, -3)
    assert len(entries(place)) == 1
    with monkeypatch.context() as patch:
        forbid_llvm(patch)
        second = compile(parse(PROGRAM))
    found = second(x, 2.5, -3)
    np.testing.assert_array_equal(found[0], expected[0])
    assert found[1:] == expected[1:]
    np.testing.assert_array_equal(second(list(x), 3, np.int64(9))[0], expected[0])  # through the callback that converts
    with pytest.raises(ValueError, match="y is small"):
        second(x, -0.5, 0)
    assert "define" in second.optimized()
    assert "wg_entry" in second.asm()


def test_another_process_reads_it(place: Path) -> None:
    made = [
        subprocess.run([sys.executable, "-c", SCRIPT, PROGRAM], capture_output=True, text=True, check=True, env=os.environ)
        for _ in range(2)
    ]
    assert made[0].stdout == made[1].stdout
    (entry,) = entries(place)
    assert place.stat().st_mode & 0o777 == 0o700
    assert entry.stat().st_mode & 0o777 == 0o600
    compile(parse(PROGRAM))
    assert entries(place) == [entry]


def test_several_processes_at_once(place: Path) -> None:
    running = [
        subprocess.Popen([sys.executable, "-c", SCRIPT, PROGRAM], stdout=subprocess.PIPE, text=True, env=os.environ)
        for _ in range(4)
    ]
    found = {process.communicate(timeout=60)[0] for process in running}
    assert all(process.returncode == 0 for process in running)
    assert len(found) == 1
    assert len(entries(place)) == 1
    assert not list(place.glob("*.new"))


@pytest.mark.parametrize("damage", ["empty", "short", "changed", "foreign"])
def test_damaged_entries_are_made_again(place: Path, damage: str) -> None:
    compile(parse(PROGRAM))
    (entry,) = entries(place)
    good = entry.read_bytes()
    changed = bytearray(good)
    changed[len(good) // 2] ^= 1
    entry.write_bytes({"empty": b"", "short": good[:-7], "changed": bytes(changed), "foreign": b"x" * len(good)}[damage])
    assert compile(parse(PROGRAM))(np.zeros(2), 2.5, 1)[2] == 1
    assert entry.read_bytes() == good


def test_the_name_of_an_entry_depends_on_all_that_made_it(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = compile(parse(PROGRAM)).llvm_ir
    names = {key(text, Effort()), key(text + " ", Effort()), key(text, Effort(1)), key(text, Effort(2, fast=True))}
    with monkeypatch.context() as patch:
        patch.setattr(engine.np, "__version__", "0.0")
        names.add(key(text, Effort()))
    with monkeypatch.context() as patch:
        patch.setattr(engine, "host", lambda: engine.Host("triple", "cpu", "", ""))
        names.add(key(text, Effort()))
    assert len(names) == 6
    assert key(text, Effort()) in names
    assert entries(place) == [place / f"{key(text, Effort())}{SUFFIX}"]


def test_text_holds_no_addresses(place: Path) -> None:
    """The text is the same in two processes, whose objects lie elsewhere."""
    script = SCRIPT.replace("found = ", "made = ").partition("made")[0]
    script += "import hashlib\nprint(hashlib.sha256(compile(parse(sys.argv[1])).llvm_ir.encode()).hexdigest())\n"
    found = subprocess.run([sys.executable, "-c", script, PROGRAM], capture_output=True, text=True, check=True, env=os.environ)
    assert found.stdout.strip() == hashlib.sha256(compile(parse(PROGRAM)).llvm_ir.encode()).hexdigest()


def test_the_folder_is_bounded(place: Path) -> None:
    kept = Store(place)
    for k in range(10):
        kept.save(f"{k}", bytes(1000))
        os.utime(place / f"{k}{SUFFIX}", (time.time() - 100 + k,) * 2)
    assert kept.load("0") == bytes(1000)  # used: now the youngest
    kept.shrink(5000)
    assert {p.stem for p in entries(place)} == {"0", "9", "8"}
    assert kept.contents().size <= 5000


def test_limit_from_the_environment(monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    monkeypatch.setenv("WENGERT_CACHE_MEGABYTES", "0.005")
    assert limit() == 5000
    compile(parse(PROGRAM))
    kept = Store(place)
    for k in range(20):
        kept.save(f"{k}", bytes(1000))
    assert kept.contents().size < 5000 + 16 * 1100


def test_folders_of_others_are_not_trusted(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compile(parse(PROGRAM))
    (entry,) = entries(place)
    place.chmod(0o777)
    assert Store(place).load(entry.stem) is None
    assert "others may write" in Store(place).contents().trouble
    compile(parse(PROGRAM.replace("sin", "cos")))
    assert entries(place) == [entry]
    place.chmod(0o700)
    assert Store(place).load(entry.stem) is not None
    with monkeypatch.context() as patch:
        patch.setattr(os, "geteuid", lambda: 12345)
        assert Store(place).load(entry.stem) is None


def test_nothing_is_kept_where_that_is_not_possible(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    file.write_text("")
    monkeypatch.setenv("WENGERT_CACHE_DIR", str(file / "below"))
    assert compile(parse(PROGRAM))(np.zeros(1), 2.5, 4)[2] == 4
    monkeypatch.setenv("WENGERT_CACHE_DIR", str(tmp_path / "off"))
    monkeypatch.setenv("WENGERT_DISABLE", "diskcache")
    assert store() is None
    compile(parse(PROGRAM))
    assert not (tmp_path / "off").exists()


def test_where_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WENGERT_CACHE_DIR", str(tmp_path / "a"))
    assert folder() == tmp_path / "a"
    monkeypatch.delenv("WENGERT_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert folder() == tmp_path / "wengert"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert folder() in (tmp_path / ".cache/wengert", tmp_path / "Library/Caches/wengert")


def test_the_command(place: Path) -> None:
    wg.jit(lambda x: x * x + 1.0)(2.0)
    runner = CliRunner()
    shown = runner.invoke(app, ["cache"])
    assert shown.exit_code == 0
    assert str(place) in shown.output
    assert f"programs: {len(entries(place))}," in shown.output
    cleared = runner.invoke(app, ["cache", "--clear"])
    assert cleared.output == f"dropped 1 programs from {place}\n"
    assert entries(place) == []
    assert MAGIC.endswith(b"\n")


def test_a_home_that_nobody_has_is_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WENGERT_CACHE_DIR", "~nobody-of-this-name/native")
    assert folder() is None and store() is None


def test_platforms_without_owners_keep_nothing_and_say_so(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place.mkdir()
    monkeypatch.setattr("wengert.codegen.store.IS_SAFE_HERE", False)
    monkeypatch.delattr(os, "geteuid")
    assert store() is None
    found = CliRunner().invoke(app, ["cache"])
    assert found.exit_code == 0 and "platform" in found.output
