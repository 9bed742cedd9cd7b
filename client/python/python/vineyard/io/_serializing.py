"""`vineyard.io.serialize` and `deserialize`: their arguments."""

from __future__ import annotations

import importlib
from typing import Any

from vineyard._C import ObjectID
from vineyard.io import _options as options
from vineyard.io._clients import client_of
from vineyard.io._needs import needed


def serialize_object(path: Any, what: Any, keywords: dict[str, Any]) -> None:
    """Writes an object to a folder; see :func:`vineyard.io.serialize`."""
    asked = options.for_serializing(_without_type(keywords))
    module = _module("writing")
    call = asked.call
    module.serialize(path, what, client_of(call), asked.data, asked.storage, call.get("progress"))


def deserialize_object(path: Any, keywords: dict[str, Any]) -> ObjectID:
    """Makes the object of a folder; see :func:`vineyard.io.deserialize`."""
    asked = options.for_deserializing(_without_type(keywords))
    module = _module("reading")
    call = asked.call
    made: ObjectID = module.deserialize(
        path, client_of(call), asked.data, asked.storage, call.get("progress")
    )
    return made


def _module(name: str) -> Any:
    for library in ("pyarrow", "fsspec", "xxhash"):
        needed(library)
    return importlib.import_module(f"vineyard.io._serialize.{name}")


def _without_type(keywords: dict[str, Any]) -> dict[str, Any]:
    """The keywords without `type`, by which drivers were chosen: the released package has
    ``"default"`` and ``"global"``, which are one.

    Raises:
        ValueError: another type, for which there is no driver.
    """
    kind = keywords.get("type", "default")
    if kind not in ("default", "global"):
        raise ValueError(f"No serialization driver registered for type {kind!r}")
    return {name: value for name, value in keywords.items() if name != "type"}
