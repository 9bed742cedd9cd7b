"""What the contexts of builders, resolvers and drivers have in common.

Promise: a context that is opened in a thread is current in that thread until its block ends. This
file knows neither types nor typenames.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Generator, Mapping
from typing import Any, Generic, Protocol, Self, TypeVar

Function = Callable[..., Any]


class Extensible(Protocol):
    """A context: it can be extended by a mapping of what to register."""

    def extend(self, added: Any = None, /) -> Self: ...


Key = TypeVar("Key")
# What a lookup is for: a type, or a typename.
Wanted = TypeVar("Wanted")
Context = TypeVar("Context", bound=Extensible)

# Counts registrations in all contexts: results that a context cached before the last are stale.
_registrations = 0


class NestedContext(Generic[Key, Wanted]):
    """Functions by key, with a context around it that is asked for what is not registered here.

    A subclass defines which keys fit (`_find_here`), and what is cached with the function that was
    found (`_describe`).
    """

    def __init__(self, parent_context: Self | None = None) -> None:
        """Makes an empty context; without a `parent_context`, a root."""
        self._factory: dict[Key, Function] = {}
        self._parent_context: Self = parent_context or self
        self._found: dict[Wanted, Any] = {}
        self._known: dict[Any, Any] = {}
        self._found_at = -1

    def __str__(self) -> str:
        return str(self._factory)

    @property
    def parent_context(self) -> Self:
        """The context around this one, of the same class; itself at the root."""
        return self._parent_context

    def _extended(self, added: Mapping[Key, Function] | None) -> Self:
        """A new context inside this one, with `added` registered in it."""
        inner = type(self)(self)
        for key, function in (added or {}).items():
            inner._add(key, function)
        return inner

    def _add(self, key: Key, function: Function) -> None:
        global _registrations
        self._factory[key] = function
        _registrations += 1

    def _lookup(self, wanted: Wanted) -> Any:
        """The result of `_describe` for the function for `wanted`; cached until a function is
        registered anywhere.
        """
        if self._found_at != _registrations:
            self._forget()
        found = self._found.get(wanted)
        if found is None:
            found = self._describe(self._search(wanted))
            self._found[wanted] = found
        return found

    def _forget(self) -> None:
        self._found, self._known, self._found_at = {}, {}, _registrations

    def known(self, question: Any, answer: Callable[[Self], bool]) -> bool:
        """What `answer` says of this context; asked again after a function is registered."""
        if self._found_at != _registrations:
            self._forget()
        known: bool | None = self._known.get(question)
        if known is None:
            known = self._known[question] = answer(self)
        return known

    def _search(self, wanted: Wanted) -> Function | None:
        found = self._find_here(wanted)
        if found is not None or self._parent_context is self:
            return found
        return self._parent_context._search(wanted)

    def _find_here(self, wanted: Wanted) -> Function | None:
        raise NotImplementedError

    def _describe(self, function: Function | None) -> Any:
        raise NotImplementedError


class CurrentContext(threading.local, Generic[Context]):
    """The context that is current in each thread, as its attribute `current`.

    The main thread begins with the default one, every other with a fresh context inside it: what is
    registered in a context of one thread is not seen by the others.
    """

    def __init__(self, default: Context) -> None:
        """Runs once in each thread that asks for its context."""
        is_main = threading.current_thread() is threading.main_thread()
        self.current: Context = default if is_main else default.extend()

    @contextlib.contextmanager
    def opened(
        self, added: Mapping[Any, Any] | None, base: Context | None
    ) -> Generator[Context, Any, Any]:
        """Extends `base`, or else the current context; the result is current inside the block."""
        before = self.current
        inside = (base or before).extend(added)
        self.current = inside
        try:
            yield inside
        finally:
            self.current = before
