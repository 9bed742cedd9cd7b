"""Collections: streams that belong together, and what they are.

Promise: a collection is metadata alone. Nothing of a stream is opened here.
"""

from __future__ import annotations

import json
from typing import Any

from vineyard._C import ObjectID, ObjectMeta


class StreamCollection:
    """Streams that belong together, such as the files of a folder, or collections of these."""

    KEY_OF_STREAMS = "__streams"
    KEY_OF_PATH = "__path"
    KEY_OF_GLOBAL = "__global"
    KEY_OF_OPTIONS = "__options"

    # What the metadata of the collection says by itself.
    _OWN = frozenset({"id", "signature", "instance_id", "transient", "global", "typename"})

    def __init__(self, meta: ObjectMeta, streams: list[ObjectID]) -> None:
        self._meta = meta
        self._streams = streams

    @classmethod
    def of(cls, meta: ObjectMeta) -> StreamCollection:
        """The collection of an object."""
        found: Any = meta[cls.KEY_OF_STREAMS]
        ids = json.loads(found) if isinstance(found, str) else found
        return cls(meta, [ObjectID(at) for at in ids])

    @staticmethod
    def new(
        client: Any,
        metadata: dict[str, Any],
        streams: list[ObjectID],
        meta: ObjectMeta | None = None,
    ) -> StreamCollection:
        """Makes a collection.

        Parameters:
            client: Client
                The client to make it with.
            metadata: dict
                What else its metadata says.
            streams: list of ObjectID
                The streams.
            meta: ObjectMeta or None
                Metadata to add to.
        """
        meta = meta if meta is not None else ObjectMeta()
        meta["typename"] = "vineyard::StreamCollection"
        for key, value in metadata.items():
            if key not in StreamCollection._OWN:
                meta[key] = value
        meta[StreamCollection.KEY_OF_STREAMS] = json.dumps([int(stream) for stream in streams])
        return StreamCollection(client.create_metadata(meta), list(streams))

    @property
    def id(self) -> ObjectID:
        """Of the collection (ObjectID)."""
        return self._meta.id

    @property
    def meta(self) -> ObjectMeta:
        """Of the collection (ObjectMeta)."""
        return self._meta

    @property
    def isglobal(self) -> bool:
        """Whether its parts are on several instances (bool)."""
        return bool(self._meta.get(self.KEY_OF_GLOBAL, False))

    @property
    def streams(self) -> list[ObjectID]:
        """The streams (list of ObjectID)."""
        return self._streams

    def __repr__(self) -> str:
        return f"StreamCollection: {self.id!r} {self.streams!r}"
