"""Every pickle that this package reads is read here, or refused here.

Promise: with the setting "refuse" no class and no function that a pickle names is looked up. No
other file of the package calls an unpickler; a test reads the sources for that.
"""

from __future__ import annotations

import copyreg
import io
import pickle
from typing import Any, Protocol

from vineyard.core.contexts.pickle_setting import ALLOW, PickleRefused
from vineyard.data._zones import ZONES


class Source(Protocol):
    """The source of a pickle: a reader of an object, or bytes without a client."""

    pickle: str

    def refusal(self) -> PickleRefused:
        """The error that names the object."""


class _Unpickler(pickle.Unpickler):
    """The usual unpickler, but without pytz its time zones are those of the standard library."""

    def find_class(self, module: str, name: str) -> Any:
        try:
            return super().find_class(module, name)
        except ModuleNotFoundError as error:
            if error.name != "pytz":
                raise
        return ZONES[name]


class _Peeler(_Unpickler):
    """Leaves out the conversion to an array that was put around a value for the released client."""

    def find_class(self, module: str, name: str) -> Any:
        if name == "asanyarray" and module == "numpy":
            return first
        return super().find_class(module, name)


class _Nameless(pickle.Unpickler):
    """Finds nothing, so that the pickle has nothing to call: it makes containers of numbers, text,
    bytes and None.
    """

    refusal: PickleRefused

    def find_class(self, module: str, name: str) -> Any:
        raise self.refusal

    def persistent_load(self, pid: Any) -> Any:
        raise self.refusal


def unpickle_nameless(stream: Any, source: Source) -> Any:
    """The value of a pickle that names no class and no function, also for a source that refuses
    pickles.

    Raises:
        PickleRefused: it names one, or is no pickle of such a value.
    """
    unpickler = _Nameless(io.BytesIO(stream))
    unpickler.refusal = source.refusal()
    # What was registered by a number, and was asked for before, is had without `find_class`.
    if getattr(copyreg, "_extension_registry", None):
        raise unpickler.refusal
    try:
        return unpickler.load()
    except PickleRefused:
        raise
    except Exception as error:
        raise unpickler.refusal from error


def first(value: Any, *_: Any) -> Any:
    """Replaces a conversion that is left out: returns the first argument."""
    return value


def unpickle(stream: Any, source: Source, buffers: Any = (), peel: bool = False) -> Any:
    """The value of a pickle.

    `peel`: leave out calls of `numpy.asanyarray` and give what would have been converted.

    Raises:
        PickleRefused: the source refuses pickles.
    """
    if source.pickle != ALLOW:
        raise source.refusal()
    if peel:
        return _Peeler(io.BytesIO(stream), buffers=buffers).load()
    try:
        # Several times as fast as an unpickler written in Python.
        return pickle.loads(stream, buffers=buffers)
    except ModuleNotFoundError as error:
        if error.name != "pytz":
            raise
    return _Unpickler(io.BytesIO(stream), buffers=buffers).load()
