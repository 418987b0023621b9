"""Find the loss, its parameters and its further arguments in a module or a file."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import inspect
import os
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from wengert.errors import ArgumentError

__all__ = ["Target", "load_target"]


@dataclass(frozen=True)
class Target:
    """What is to be fitted."""

    loss: Callable[..., Any]
    params: Any
    args: tuple[Any, ...]


def load_target(target: str, params_name: str, args_name: str) -> Target:
    """Import what `MODULE_OR_FILE:LOSS` names.

    Args:
        target: A module or a file, and the name of a function in it; `:loss` may be left out.
        params_name: Name of the object that holds the parameters.
        args_name: Name of a tuple of further arguments, or "".

    Raises:
        ArgumentError: If something is missing, cannot be imported or does not fit the function.
    """
    place, colon, name = target.rpartition(":")
    if not colon or os.sep in name or name.endswith(".py"):
        place, name = target, "loss"
    module = _load_module(place)
    loss = _get(module, place, name, "a loss function")
    if not callable(loss):
        raise ArgumentError(f"'{name}' in {place} is not a function", found=type(loss).__name__)
    params = _get(module, place, params_name, "the starting values", option="--params NAME")
    if inspect.isroutine(params) or inspect.isclass(params):
        raise ArgumentError(
            f"'{params_name}' in {place} does not hold starting values",
            found="a class" if inspect.isclass(params) else "a function",
            expected="numbers, arrays, or containers of them",
        )
    args = _find_arguments(module, place, loss, args_name)
    _require_fit(loss, name, params, args)
    return Target(loss, params, args)


def _load_module(place: str) -> ModuleType:
    if place.endswith(".py") or os.sep in place or Path(place).is_file():
        return _load_file(Path(place))
    sys.path.insert(0, os.getcwd())
    try:
        if importlib.util.find_spec(place) is None:
            raise ModuleNotFoundError(name=place)
        return importlib.import_module(place)
    except ModuleNotFoundError as error:
        if error.name is None or not (place == error.name or place.startswith(f"{error.name}.")):
            raise _import_error(place, error) from None
        raise ArgumentError(
            f"there is no module '{place}'",
            expected="a module that can be imported from here, or a file, as in examples/lynx_hare.py:loss",
        ) from None
    except (Exception, SystemExit) as error:  # whatever the user's module raises
        raise _import_error(place, error) from error


def _load_file(path: Path) -> ModuleType:
    if not path.is_file():
        siblings = [p.name for p in path.parent.glob("*.py")] if path.parent.is_dir() else []
        close = difflib.get_close_matches(path.name, siblings, n=1)
        hint = f"; did you mean '{path.parent / close[0]}'?" if close else ""
        raise ArgumentError(f"there is no file '{path}'{hint}")
    taken = path.stem in sys.modules or path.stem in sys.stdlib_module_names
    name = f"{path.stem}_" if taken else path.stem
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    if spec is None or spec.loader is None:
        raise ArgumentError(f"'{path}' is not a Python file", expected="a file whose name ends in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    sys.path.insert(0, str(path.resolve().parent))
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # whatever the user's module raises
        raise _import_error(str(path), error) from error
    return module


def _import_error(place: str, error: BaseException) -> ArgumentError:
    """Say which line of the user's module failed."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "importlib" not in frame.filename and frame.filename != __file__]
    where = f" ({own[-1].filename}:{own[-1].lineno})" if own else ""
    if isinstance(error, SyntaxError) and error.filename:
        where = f" ({error.filename}:{error.lineno})"
        error = SyntaxError(error.msg)
    return ArgumentError(f"cannot import {place}", found=f"{type(error).__name__}: {error}{where}")


def _get(module: ModuleType, place: str, name: str, what: str, option: str = "") -> Any:
    if hasattr(module, name):
        return getattr(module, name)
    names = [n for n in vars(module) if not n.startswith("_")]
    close = difflib.get_close_matches(name, names, n=1)
    raise ArgumentError(
        f"there is no '{name}' in {place}" + (f"; did you mean '{close[0]}'?" if close else ""),
        expected=f"{what} of this name" + (f", or another name given with {option}" if option else ""),
    )


def _find_arguments(module: ModuleType, place: str, loss: Callable[..., Any], args_name: str) -> tuple[Any, ...]:
    if args_name:
        args = _get(module, place, args_name, "a tuple of arguments")
        if not isinstance(args, tuple | list):
            raise ArgumentError(f"'{args_name}' in {place} must be a tuple", found=type(args).__name__)
        return tuple(args)
    found = []
    for parameter in _parameters(loss)[1:]:
        positional = parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        if positional and parameter.default is parameter.empty:
            what = f"the argument '{parameter.name}' of {getattr(loss, '__name__', 'the loss')}, as an object"
            found.append(_get(module, place, parameter.name, what, option="--args (a tuple of arguments)"))
    return tuple(found)


def _parameters(loss: Callable[..., Any]) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(loss).parameters.values())
    except (TypeError, ValueError):
        return []


def _require_fit(loss: Callable[..., Any], name: str, params: Any, args: tuple[Any, ...]) -> None:
    try:
        signature = inspect.signature(loss)
    except (TypeError, ValueError):
        return
    try:
        signature.bind(params, *args)
    except TypeError as error:
        raise ArgumentError(
            f"{name}{signature} cannot be called with the parameters and {len(args)} more arguments", found=str(error)
        ) from None
