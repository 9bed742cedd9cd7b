"""Drivers: methods that are added to values when they are got, by the typename of their object.

Promise: the methods of the longest typename prefix that fits are bound to the value, if it can have
attributes. There are none by default.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Generator, Mapping
from typing import Any

from vineyard.core.contexts.base import CurrentContext

Methods = Mapping[str, Callable[..., Any]]


class DriverContext:
    """Methods by typename prefix."""

    def __init__(self) -> None:
        """Makes an empty context."""
        self._factory: dict[str, dict[str, Callable[..., Any]]] = {}

    def __str__(self) -> str:
        return str(self._factory)

    def register(self, typename_prefix: str, meth: str, func: Callable[..., Any]) -> None:
        """Adds a method to the values of all objects whose typename has a prefix.

        Parameters:
            typename_prefix: str
                Like ``"vineyard::Tensor"``.
            meth: str
                The name of the method.
            func: callable
                Called as ``func(value, *args, **kwargs)``.
        """
        self._factory.setdefault(typename_prefix, {})[meth] = func

    def resolve(self, obj: Any, typename: str) -> Any:
        """Binds the methods for `typename` (str) to `obj`, and returns it. A value whose type has
        no attributes, such as an array or a number, is returned as it is.
        """
        if not self._factory:
            return obj
        fits = [prefix for prefix in self._factory if typename.startswith(prefix)]
        if fits:
            # An array or a number has no attributes: it is returned without the methods.
            with contextlib.suppress(AttributeError, TypeError):
                for meth, func in self._factory[max(fits, key=len)].items():
                    setattr(obj, meth, functools.partial(func, obj))
        return obj

    def __call__(self, obj: Any, typename: str) -> Any:
        """The same as :meth:`resolve`."""
        return self.resolve(obj, typename)

    def extend(self, drivers: Mapping[str, Methods] | None = None) -> DriverContext:
        """A copy (DriverContext) of this context with more methods.

        Parameters:
            drivers: dict of str to dict of str to callable, or None
                Methods by name, by typename prefix.
        """
        copy = DriverContext()
        for source in (self._factory, drivers or {}):
            for prefix, methods in source.items():
                copy._factory.setdefault(prefix, {}).update(methods)
        return copy


default_driver_context = DriverContext()

_current = CurrentContext(default_driver_context)


def get_current_drivers() -> DriverContext:
    """The driver context of this thread (DriverContext); the main thread begins with the default
    one.
    """
    return _current.current


@contextlib.contextmanager
def driver_context(
    drivers: Mapping[str, Methods] | None = None, base: DriverContext | None = None
) -> Generator[DriverContext, Any, Any]:
    """Opens a context for drivers that are forgotten at its end; contexts nest.

    >>> object_id = client.put(pandas.DataFrame({"a": [1, 2, 3]}))
    >>> with driver_context({"vineyard::DataFrame": {"total": lambda df: int(df.sum().sum())}}):
    ...     client.get(object_id).total()
    6

    Parameters:
        drivers: dict of str to dict of str to callable, or None
            Methods by name, by typename prefix.
        base: DriverContext or None
            The context to start from; None: the current one.

    Yields:
        The new context (DriverContext).

    Raises:
        nothing of its own.

    See also:
        builder_context, resolver_context
    """
    with _current.opened(drivers, base) as opened:
        yield opened
