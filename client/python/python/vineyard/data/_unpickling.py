"""Every pickle that this package reads is read here, or refused here.

Promise: with the setting "refuse" no unpickler reads the bytes: `vineyard.data.restoring` does,
which knows a list of names and imports no other. No other file of the package calls an unpickler; a
test reads the sources for that.
"""

from __future__ import annotations

import io
import pickle
from typing import Any, Protocol

from vineyard.core.contexts.pickle_setting import ALLOW, PickleRefused
from vineyard.data._zones import ZONES


class Source(Protocol):
    """The source of a pickle: a reader of an object, or bytes without a client."""

    @property
    def pickle(self) -> str:
        """Whether it may be read: ``"allow"`` or ``"refuse"``."""

    def refusal(self, name: str = "") -> PickleRefused:
        """The error that names the object, and what its pickle needs."""


# The functions in pickles of frames and series, those of this package and those of pandas itself,
# and what is called in their place.
_PROTECTED = {
    ("pandas.core.generic", "NDFrame.set_flags"): "protected",
    ("pandas._libs.internals", "_unpickle_block"): "unpickle_block",
}


class _Unpickler(pickle.Unpickler):
    """The usual unpickler, but without pytz its time zones are those of the standard library, and
    the memory of frames in it is protected as that of other frames.
    """

    def find_class(self, module: str, name: str) -> Any:
        protecting = _PROTECTED.get((module, name))
        if protecting is not None:
            from vineyard.data import _copy_on_write

            return getattr(_copy_on_write, protecting)
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


def _has_frames(stream: bytes) -> bool:
    return any(name.encode() in stream for _, name in _PROTECTED)


def first(value: Any, *_: Any) -> Any:
    """Replaces a conversion that is left out: returns the first argument."""
    return value


def unpickle(stream: Any, source: Source, buffers: Any = (), peel: bool = False) -> Any:
    """The value of a pickle.

    `peel`: leave out calls of `numpy.asanyarray` and give what would have been converted.

    Raises:
        PickleRefused: the source refuses pickles, and this one needs a name that is not listed.
    """
    if source.pickle != ALLOW:
        from vineyard.data.restoring import machine

        return machine.read(stream, buffers, source.refusal, peel)
    if peel:
        return _Peeler(io.BytesIO(stream), buffers=buffers).load()
    if buffers and buffers[0].readonly and _has_frames(stream):
        return _Unpickler(io.BytesIO(stream), buffers=buffers).load()
    try:
        # Several times as fast as an unpickler written in Python.
        return pickle.loads(stream, buffers=buffers)
    except ModuleNotFoundError as error:
        if error.name != "pytz":
            raise
    return _Unpickler(io.BytesIO(stream), buffers=buffers).load()
