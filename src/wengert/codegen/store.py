"""Native code kept on disk, so that a program that was compiled before starts without compiling.

An entry is a file named by the digest of all that its contents follow from. It begins with the digest of the rest, so a damaged
one is noticed, dropped and made again. Files are written under another name and then renamed: several processes may share the
folder. The entries used longest ago go first when the folder grows too large.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from wengert.switches import disabled

MAGIC = b"wengert native code 1\n"
SUFFIX = ".native"
DEFAULT_MEGABYTES = 512
# The folder is measured once in so many entries written by a process, and at the first one.
WRITES_BETWEEN_MEASURES = 16
# What is left of a folder that had grown too large.
KEPT_SHARE = 0.8

IS_SAFE_HERE = os.name == "posix"
"""Whether the owner of a folder and who may write to it can be told."""


@dataclass(frozen=True)
class Contents:
    """What a store holds.

    Attributes:
        folder: where it is.
        entries: number of programs.
        size: bytes.
        limit: bytes that it may take.
        trouble: why it is not used; "" if it is.
    """

    folder: Path
    entries: int
    size: int
    limit: int
    trouble: str


def folder() -> Path | None:
    """Where native code is kept: WENGERT_CACHE_DIR, else a place by the convention of the platform; None if there is none."""
    chosen = os.environ.get("WENGERT_CACHE_DIR")
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        if chosen:
            return Path(chosen).expanduser()
        if base and os.path.isabs(base):
            return Path(base) / "wengert"
        home = Path.home()
    except RuntimeError:
        return None
    return home / ("Library/Caches" if sys.platform == "darwin" else ".cache") / "wengert"


def limit() -> int:
    """The bytes that the folder may take: WENGERT_CACHE_MEGABYTES times a million."""
    text = os.environ.get("WENGERT_CACHE_MEGABYTES", "")
    try:
        return max(0, int(float(text) * 1e6))
    except (ValueError, OverflowError):
        return DEFAULT_MEGABYTES * 1_000_000


def digest(parts: Sequence[str]) -> str:
    """A name for what follows from `parts` alone."""
    found = hashlib.sha256()
    for part in parts:
        encoded = part.encode()
        found.update(b"%d:" % len(encoded))
        found.update(encoded)
    return found.hexdigest()


class Store:
    """Entries in one folder; every trouble with the file system reads as "not there"."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self._written = 0

    def load(self, name: str) -> bytes | None:
        """The contents of an entry, or None."""
        path = self._path(name)
        try:
            if not self._is_ours():
                return None
            data = path.read_bytes()
        except OSError:
            return None
        head = len(MAGIC) + hashlib.sha256().digest_size
        body = data[head:]
        if not body or data[:head] != MAGIC + hashlib.sha256(body).digest():
            with contextlib.suppress(OSError):
                path.unlink()
            return None
        with contextlib.suppress(OSError):
            os.utime(path)
        return body

    def save(self, name: str, body: bytes) -> None:
        """Keep an entry, or do nothing where that is not possible."""
        try:
            self.place.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not self._is_ours():
                return
            handle, temporary = tempfile.mkstemp(suffix=".new", dir=self.place)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(MAGIC + hashlib.sha256(body).digest() + body)
                os.replace(temporary, self._path(name))
            except OSError:
                with contextlib.suppress(OSError):
                    os.unlink(temporary)
                return
        except OSError:
            return
        if self._written % WRITES_BETWEEN_MEASURES == 0:
            self.shrink(limit())
        self._written += 1

    def shrink(self, most: int) -> None:
        """Drop the entries used longest ago if all of them together take more than `most` bytes."""
        found = sorted(self._files(), key=lambda f: f[1])
        total = sum(size for _, _, size in found)
        if total <= most:
            return
        for path, _, size in found:
            with contextlib.suppress(OSError):
                path.unlink()
            total -= size
            if total <= KEPT_SHARE * most:
                break

    def clear(self) -> int:
        """Drop all entries; returns how many there were."""
        count = 0
        for path, _, _ in self._files():
            with contextlib.suppress(OSError):
                path.unlink()
                count += path.suffix == SUFFIX
        return count

    def contents(self) -> Contents:
        """What there is."""
        files = list(self._files())
        trouble = "" if "diskcache" not in disabled() else "switched off by WENGERT_DISABLE"
        if not IS_SAFE_HERE:
            trouble = "this platform does not tell who may write to a folder"
        if not trouble and self.place.exists() and not self._is_ours():
            trouble = "the folder belongs to another user, or others may write to it"
        entries = sum(path.suffix == SUFFIX for path, _, _ in files)
        return Contents(self.place, entries, sum(size for _, _, size in files), limit(), trouble)

    def _path(self, name: str) -> Path:
        return self.place / f"{name}{SUFFIX}"

    def _is_ours(self) -> bool:
        """Whether nobody else can put code there that we would run."""
        found = os.stat(self.place)
        return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o022

    def _files(self) -> Iterator[tuple[Path, float, int]]:
        """Path, time of last use and size of all that we have written."""
        try:
            listed = list(os.scandir(self.place))
        except OSError:
            return
        for entry in listed:
            with contextlib.suppress(OSError):
                if entry.name.endswith((SUFFIX, ".new")) and entry.is_file(follow_symlinks=False):
                    found = entry.stat(follow_symlinks=False)
                    yield Path(entry.path), found.st_mtime, found.st_size


_stores: dict[Path, Store] = {}


def store() -> Store | None:
    """The store in force, or None: switched off by `WENGERT_DISABLE=diskcache`, or the platform has no place for it."""
    place = folder()
    if place is None or not IS_SAFE_HERE or "diskcache" in disabled():
        return None
    return _stores.setdefault(place, Store(place))
