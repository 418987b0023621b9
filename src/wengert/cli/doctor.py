"""What `wengert doctor` looks at: versions, the processor, and whether everything can be imported."""

from __future__ import annotations

import importlib
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

__all__ = ["find_trouble", "report_lines"]

REQUIRED = {"numpy": "numpy", "scipy": "scipy.linalg", "llvmlite": "llvmlite.binding", "typer": "typer", "rich": "rich"}
OPTIONAL = {"matplotlib": "matplotlib"}
OWN = ("wengert.api", "wengert.train")


def report_lines() -> list[str]:
    """Return the lines of the report: one per package, then the machine."""
    rows = [("wengert", _version("wengert")), ("python", platform.python_version())]
    rows += [(package, _version(package)) for package in (*REQUIRED, *OPTIONAL)]
    rows += [("system", platform.platform()), ("cpu", f"{_cpu_name()}, {os.cpu_count()} threads")]
    return [f"{name:<12}{text}" for name, text in rows]


def find_trouble() -> list[str]:
    """Return one line for each required module that cannot be imported."""
    trouble = []
    for module in (*REQUIRED.values(), *OWN):
        try:
            importlib.import_module(module)
        except Exception as error:  # noqa: BLE001  (a broken library may raise anything, and that is the finding)
            trouble.append(f"cannot import {module}: {type(error).__name__}: {error}")
    return trouble


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed (optional)" if package in OPTIONAL else "not installed"


def _cpu_name() -> str:
    """Return the name of the processor; `platform` does not know it on Linux."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
