"""Generators as objects in staged code, and what their consumers are made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from wengert.frontend.context import current
from wengert.frontend.staging_state import bear

Consume: TypeAlias = Callable[[Any], Any]


class StagedGenerator:
    """A generator that has not begun.

    Attributes:
        push: runs the whole of it, handing each item to a consumer; ends when that returns true.
        pull: starts it as Python's own.
    """

    def __init__(self, push: Callable[[Consume], None] | None, pull: Callable[[], Iterator[Any]]) -> None:
        self.push = push
        self.pull = pull
        self.running: Iterator[Any] | None = None

    @property
    def can_push(self) -> bool:
        """Whether it has not begun, and can be handed a consumer."""
        return self.running is None and self.push is not None

    def begun(self) -> Iterator[Any]:
        """Python's own generator."""
        if self.running is None:
            self.running = self.pull()
        return self.running

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        return next(self.begun())

    def __getattr__(self, name: str) -> Any:
        if name in ("send", "throw", "close"):
            return getattr(self.begun(), name)
        raise AttributeError(f"'generator' object has no attribute {name!r}")


class Replay:
    """The items of a Python iterator, as often as they are wanted: an attempt at staging may be given up."""

    def __init__(self, iterator: Iterator[Any]) -> None:
        self.iterator = iterator
        self.seen: list[Any] = []

    def __iter__(self) -> Iterator[Any]:
        position = 0
        while True:
            if position == len(self.seen):
                try:
                    self.seen.append(next(self.iterator))
                except StopIteration:
                    return
            yield self.seen[position]
            position += 1


class Consumer:
    """What a generator calls in place of `yield`."""

    def __init__(self, consume: Consume) -> None:
        self.consume = consume

    def __wengert_call__(self, item: Any) -> Any:
        return self.consume(item)


class Slot:
    """One value that a consumer changes, seen by branches and loops around it."""

    starts_unset = True

    def __init__(self, value: Any) -> None:
        self.value = value
        bear(current(), self)

    def put(self, value: Any) -> None:
        """Change the value."""
        key = (id(self), "slot", "")
        current().journal.write(key, self, lambda: self.value, lambda new: setattr(self, "value", new), value)


class GeneratorManager:
    """What a function decorated with `contextlib.contextmanager` gives: the generator function, and its arguments.

    Attributes:
        function: the generator function.
        args: its arguments by position.
        kwargs: its arguments by name.
        start: starts it as Python's own.
    """

    def __init__(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], start: Callable[[], Any]) -> None:
        self.function, self.args, self.kwargs, self.start = function, args, kwargs, start
        self.generator: Any = None

    def __enter__(self) -> Any:
        self.generator = self.start()
        try:
            return next(self.generator)
        except StopIteration:
            raise RuntimeError("generator didn't yield") from None

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> bool:
        if error is None:
            try:
                next(self.generator)
            except StopIteration:
                return False
            raise RuntimeError("generator didn't stop")
        try:
            self.generator.throw(error)
        except StopIteration as end:
            return end is not error
        except BaseException as other:
            if other is error:
                return False
            raise
        raise RuntimeError("generator didn't stop after throw()")
