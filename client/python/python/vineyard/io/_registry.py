"""Functions that others can add to: for a scheme, or for all.

Promise: what was registered last is asked first; what returns None or raises passes the call on to
the one before, and at last to the package's own.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Generic, ParamSpec, TypeVar, overload

P = ParamSpec("P")
R = TypeVar("R")
Driver = Callable[..., Any]


class Registered(Generic[P, R]):
    """A function with `register`."""

    def __init__(self, function: Callable[P, R]) -> None:
        """`function`: what is called when no driver answers."""
        functools.update_wrapper(self, function)
        self._function = function
        self._drivers: list[tuple[str | None, Driver]] = []

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self._function(*args, **kwargs)

    @overload
    def register(self, scheme: Driver) -> Driver: ...
    @overload
    def register(self, scheme: str, function: Driver) -> Driver: ...
    def register(self, scheme: str | Driver, function: Driver | None = None) -> Driver:
        """Adds a driver.

        Parameters:
            scheme: str or callable
                The scheme of the paths it is for; without it, the driver, for all paths.
            function: callable
                The driver. It is called with the path, for writes with the value, then with the
                socket of the node or None, and the keywords of the call.

        Returns:
            callable: the driver, so that this can be a decorator.

        Raises:
            TypeError: the driver cannot be called.
        """
        driver = scheme if function is None else function
        if not callable(driver) or (function is not None and not isinstance(scheme, str)):
            raise TypeError("register(driver) or register('scheme', driver)")
        named = scheme.lower() if isinstance(scheme, str) else None
        self._drivers.append((named, driver))
        return driver

    def unregister(self, driver: Driver) -> None:
        """Removes a driver; it is not an error if it is not there."""
        self._drivers = [one for one in self._drivers if one[1] is not driver]

    def ask(self, scheme: str, *args: Any, **kwargs: Any) -> tuple[Any, list[Exception]]:
        """What the first driver that answers returns, and what those before it raised.

        Parameters:
            scheme: str
                The scheme of the path.
            *args, **kwargs:
                For the drivers.

        Returns:
            (object or None, list of Exception)
        """
        raised: list[Exception] = []
        for named, driver in reversed(self._drivers):
            if named not in (None, scheme):
                continue
            try:
                found = driver(*args, **kwargs)
            except Exception as error:
                raised.append(error)
                continue
            if found is not None:
                return found, raised
        return None, raised


def note(error: Exception, raised: list[Exception]) -> None:
    """Adds to the error notes of what drivers raised that were asked before."""
    for one in raised:
        error.add_note(f"a registered driver raised {type(one).__name__}: {one}")
