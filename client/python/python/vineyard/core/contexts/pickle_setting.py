"""Whether pickles are read: a setting of each client, else of the environment.

Reading a pickle runs code that its writer chose. Promise: nothing is read here; the one place that
reads pickles, `vineyard.data._unpickling`, asks for the setting here.
"""

from __future__ import annotations

import contextvars
import os
import pickle
import weakref
from typing import Any

from vineyard._C import ObjectID, VineyardException

ALLOW, REFUSE = "allow", "refuse"
VARIABLE = "VINEYARD_PICKLE"

# Raw clients cannot have attributes, and clients of one node share them.
_of_raw: weakref.WeakKeyDictionary[Any, str] = weakref.WeakKeyDictionary()

# The client of the get that runs, for resolvers that do not pass it on.
reading: contextvars.ContextVar[Any] = contextvars.ContextVar("reading", default=None)


class PickleRefused(VineyardException, pickle.UnpicklingError):
    """A value is a pickle, or has a part that is one, that needs more than the names that are read
    where pickles are refused.

    `object_id` (ObjectID or None) and `typename` (str or None) are those of the object; None if
    there is no object. Also a :class:`pickle.UnpicklingError`.
    """

    def __init__(
        self,
        object_id: ObjectID | None = None,
        typename: str | None = None,
        member: str = "",
        name: str = "",
    ) -> None:
        """`member`: where below the object the pickle is, empty for the object itself. `name`: what
        the pickle needs, such as the name of a class; empty if that is not known.
        """
        self.object_id = object_id
        self.typename = typename
        self.member = member
        self.name = name
        subject = "these bytes are"
        if object_id is not None:
            part = f", at its member {member}," if member else ""
            subject = f"{object_id!r} of type {typename}{part} has"
        needed = f" that needs {name}" if name else ""
        super().__init__(
            f"{subject} a pickle{needed}, and reading a pickle runs code that its writer chose: "
            f"refused, as pickle={REFUSE!r} or {VARIABLE}={REFUSE} says. Connect with "
            f"pickle={ALLOW!r} only if you trust every user who may write to the node"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.object_id, self.typename, self.member, self.name)


def chosen(setting: str | None = None) -> str:
    """The setting that holds: the one given, else that of the environment, else ``"allow"``.

    Raises:
        ValueError: it is neither ``"allow"`` nor ``"refuse"``.
    """
    source = "pickle"
    if setting is None:
        source, setting = VARIABLE, os.environ.get(VARIABLE) or ALLOW
    if setting not in (ALLOW, REFUSE):
        raise ValueError(f"{source} is {ALLOW!r} or {REFUSE!r}, not {setting!r}")
    return setting


def bind(raw: Any, setting: str) -> None:
    """Gives a raw client the setting of a client around it; if one of several refuses, it does."""
    if REFUSE not in (setting, _of_raw.get(raw)):
        _of_raw[raw] = setting
    else:
        _of_raw[raw] = REFUSE


def inherit(raw: Any, made: Any) -> None:
    """Gives a raw client the setting of the one that it was made of."""
    if raw in _of_raw:
        bind(made, _of_raw[raw])


def setting_of(client: Any) -> str:
    """The setting of a client, raw or not; without one, that of the get that runs, or else of the
    environment.
    """
    if client is None:
        client = reading.get()
        if client is None:
            return chosen()
    own = getattr(client, "pickle", None)
    return own or _of_raw.get(client) or chosen()
