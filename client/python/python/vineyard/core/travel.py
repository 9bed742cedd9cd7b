"""What clients and objects become in a pickle, and in a copy.

Values that are got say where they came from, so both are attributes of values, and must not keep
these from being pickled or copied. Promise: no connection is opened by unpickling.
"""

from __future__ import annotations

from typing import Any

from vineyard import _C
from vineyard.core.client import Client


class Absent:
    """Stands for a client in what was unpickled; whoever uses it is told to connect."""

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"{name!r}: this was a vineyard client before it was pickled, and connections do not "
            "travel: connect here with vineyard.connect(...)"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return Absent, ()


def _reduce_client(client: Any) -> tuple[Any, ...]:
    return Absent, ()


def _reduce_object(obj: Any) -> tuple[Any, ...]:
    if type(obj) is not _C.Object:
        # The bytes of a blob would be missing; put takes it as a member, or bytes(blob).
        raise TypeError(f"cannot pickle {type(obj).__module__}.{type(obj).__qualname__!r} object")
    return _C.ObjectID, (int(obj.id),)


def _itself(one: Any, memo: Any = None) -> Any:
    return one


def let_travel() -> None:
    """Pickles clients as :class:`Absent` and objects as their ids; copies of both are the same
    ones.
    """
    travellers = ((_C.ClientBase, _reduce_client), (Client, _reduce_client))
    for kind, reduce in (*travellers, (_C.Object, _reduce_object)):
        kind.__reduce__ = reduce
        kind.__copy__ = kind.__deepcopy__ = _itself
