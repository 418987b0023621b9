"""What lies outside of the program: files, clocks, the environment, devices of chance, and how far an iterator has come.

A call of these while tracing would be made once, and compiled code would keep the answer for ever. So it is refused, and the
function runs eagerly.
"""

from __future__ import annotations

import array
import io
import mmap
import os
import pathlib
import types
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from wengert.errors import StagingError
from wengert.frontend.context import Trace

_CHANCE = ("random", "numpy.random", "secrets", "uuid")
_CLOCKS = frozenset(
    {"time", "perf_counter", "monotonic", "process_time", "thread_time", "localtime", "gmtime", "strftime", "ctime"}
)
_WORLD = (
    "os", "posix", "nt", "io", "_io", "glob", "shutil", "subprocess", "socket", "tempfile", "urllib.request", "http", "sqlite3",
    "fileinput", "getpass", "select", "mmap", "shelve", "dbm", "zipfile", "tarfile", "gzip", "bz2",
    "lzma", "scipy.io",
)  # fmt: skip
_PURE_OF_OS = frozenset({"fspath", "fsencode", "fsdecode", "strerror"})
_PATH_MODULES = ("genericpath", "posixpath", "ntpath")
_OF_PATHS = frozenset(
    {
        "exists", "lexists", "isfile", "isdir", "islink", "ismount", "getsize", "getmtime", "getatime", "getctime", "samefile",
        "sameopenfile", "realpath", "expanduser", "expandvars",
    }
)  # fmt: skip
_PATHS = frozenset(
    {
        "read_text", "read_bytes", "write_text", "write_bytes", "open", "exists", "is_file", "is_dir", "is_symlink", "is_mount",
        "stat", "lstat", "iterdir", "glob", "rglob", "walk", "cwd", "home", "resolve", "absolute", "expanduser", "samefile",
        "readlink", "owner", "group", "touch", "mkdir", "unlink", "rmdir", "rename", "replace", "chmod", "symlink_to",
        "hardlink_to",
    }
)  # fmt: skip
_NOW = frozenset({"now", "today", "utcnow"})
_READERS: frozenset[Callable[..., Any]] = frozenset(
    {np.load, np.loadtxt, np.genfromtxt, np.fromfile, np.fromregex, np.save, np.savez, np.savetxt, np.savez_compressed}
)
_STATEFUL = (io.IOBase, bytearray, array.array, memoryview, mmap.mmap)


def refuse_outside_world(trace: Trace, fn: Any, args: Sequence[Any], name: str) -> None:
    """Raise if a call of `fn` depends on more than the values of its arguments, or is seen by others.

    Raises:
        StagingError: it does.
    """
    owner = getattr(fn, "__self__", None)
    if any(a is os.environ for a in args):
        refused = True
    elif owner is not None and not isinstance(owner, (types.ModuleType, type)):
        if isinstance(owner, pathlib.PurePath):
            refused = getattr(fn, "__name__", "") in _PATHS
        elif isinstance(owner, _STATEFUL):
            refused = trace.captures.is_outside(owner)
        else:
            refused = _is_of(_CHANCE, type(owner).__module__)
    else:
        refused = _is_outside_world(fn, owner)
    if refused:
        raise StagingError(
            f"{name} gives another result at every call, or is seen outside, and staging would keep the first one",
            trace.span,
            fix="call it outside of the function and pass what it gives in",
        )


def _is_outside_world(fn: Any, owner: Any) -> bool:
    """The same for functions and class methods."""
    name, module = getattr(fn, "__name__", ""), getattr(fn, "__module__", None) or ""
    if isinstance(owner, type):
        return (name in _NOW and owner.__module__ == "datetime") or (issubclass(owner, pathlib.PurePath) and name in _PATHS)
    if fn in (input, open) or _is_hashable_in(fn, _READERS):
        return True
    if isinstance(fn, type):
        in_memory = issubclass(fn, (io.StringIO, io.BytesIO, BaseException))
        return issubclass(fn, (np.memmap, mmap.mmap)) or (_is_of(_WORLD, module) and not in_memory)
    if module == "time":
        return name.removesuffix("_ns") in _CLOCKS
    if (module == "pathlib" and name in _PATHS) or (module in _PATH_MODULES and name in _OF_PATHS):
        return True
    if _is_of(_CHANCE, module):
        return name != "default_rng"
    return _is_of(_WORLD, module) and name not in _PURE_OF_OS


def _is_hashable_in(fn: Any, functions: frozenset[Callable[..., Any]]) -> bool:
    try:
        return fn in functions
    except TypeError:
        return False


def _is_of(modules: tuple[str, ...], module: str) -> bool:
    return any(module == m or module.startswith(m + ".") for m in modules)
