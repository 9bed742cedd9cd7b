"""What clients and objects become when they are pickled or copied.

A value that was got has its client and its object as attributes, and these must not keep it from
being pickled or copied. Promise: unpickling opens no connection. Whether pickles are read at all is
another matter: `vineyard.core.contexts.pickle_setting`.
"""

from __future__ import annotations

from typing import Any

from vineyard import _C


class Absent:
    """Stands for a client in what was unpickled. Using it is an error that says to connect."""

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"{name!r}: this was a vineyard client before it was pickled, and connections cannot "
            "be pickled: connect here with vineyard.connect(...)"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return Absent, ()


def reduce_client(client: Any) -> tuple[Any, ...]:
    """A client is pickled as :class:`Absent`."""
    return Absent, ()


def reduce_object(obj: Any) -> tuple[Any, ...]:
    """An object is pickled as its id.

    Raises:
        TypeError: it is a blob.
    """
    if type(obj) is not _C.Object:
        # The bytes of a blob would be missing; put takes it as a member, or bytes(blob).
        raise TypeError(f"cannot pickle {type(obj).__module__}.{type(obj).__qualname__!r} object")
    return _C.ObjectID, (int(obj.id),)


def itself(one: Any, memo: Any = None) -> Any:
    """A copy of a client or object is the same one."""
    return one
