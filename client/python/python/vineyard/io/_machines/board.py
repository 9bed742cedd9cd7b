"""Notes that the processes of one run leave for each other in the cluster.

A note is a small persisted object with a name. It is an ephemeral stream, too, so that its node
deletes it, and its names, when the connection of its writer ends: who is killed leaves none.

Promise: a note says what its writer said last; none is left of a board that was closed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
from typing import Any
from urllib.parse import quote

from vineyard._C import (
    DeadlineException,
    ObjectID,
    ObjectMeta,
    ObjectNotExistsException,
    VineyardException,
)
from vineyard.core.verbs.handles import Handles

TYPENAME = "vineyard::io::Note"
# At the end of the second name of a note that is the last of its writer: others wait for it.
_LAST = ".last"


@dataclasses.dataclass(frozen=True)
class Note:
    """What a process said. `id` is that of the object."""

    id: ObjectID
    content: dict[str, Any]


class Board:
    """The notes of a run; a context manager. Two threads do not use it at the same time."""

    def __init__(self, client: Any, run_id: str, name: str) -> None:
        """Opens a connection of its own.

        Parameters:
            client: Client
                Where to.
            run_id, name: str
                Which run, and what it makes.
        """
        # Neither has a character then that means something in a pattern.
        self._prefix = "/".join(("vineyard.io", quote(run_id, safe=""), quote(name, safe=""), ""))
        raw = client.default_client() if isinstance(client, Handles) else client
        self._connection = raw.fork()
        self._read: dict[ObjectID, Note] = {}
        self._written: list[ObjectID] = []

    def __enter__(self) -> Board:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Deletes the notes that were written here."""
        # The node deletes those that are left when the connection has ended.
        with contextlib.suppress(VineyardException):
            for note in self._written:
                self._connection.drop_stream(note)
        self._connection.close()

    def write(self, rank: int, content: dict[str, Any], is_last: bool = False) -> ObjectID:
        """Says something, in place of what this process said before.

        Parameters:
            rank: int
                Who it is that says it.
            content: dict
                What, as JSON has it.
            is_last: bool
                Whether :meth:`wait` of others ends.

        Returns:
            ObjectID: of the note.
        """
        meta = ObjectMeta()
        meta["typename"] = TYPENAME
        meta["content_"] = json.dumps(content)
        note: ObjectID = self._connection.create_metadata(meta).id
        self._connection.create_stream(note, ephemeral=True)
        self._written.append(note)
        self._connection.persist(note)
        self._connection.put_name(note, f"{self._prefix}{rank}")
        if is_last:
            self._connection.put_name(note, f"{self._prefix}{rank}{_LAST}")
        return note

    def read(self, rank: int) -> Note | None:
        """What a process said, or None."""
        try:
            return self._note(self._connection.get_name(f"{self._prefix}{rank}"))
        except ObjectNotExistsException:
            return None

    def read_all(self, size: int) -> dict[int, Note]:
        """What each process said that said something, by its rank.

        Parameters:
            size: int
                How many there are.
        """
        names = self._connection.list_names(f"{self._prefix}*", False, 2 * size)
        found = {}
        for name, object_id in names.items():
            rank = str(name)[len(self._prefix) :]
            if rank.isdecimal() and (note := self._note(object_id)) is not None:
                found[int(rank)] = note
        return found

    def wait(self, rank: int, seconds: float, for_last: bool = True) -> None:
        """Waits until a process says something for the last time, or at all.

        Parameters:
            rank: int
                Which.
            seconds: float
                How long at most.
            for_last: bool
                Whether only the last counts.
        """
        name = f"{self._prefix}{rank}{_LAST if for_last else ''}"
        with contextlib.suppress(DeadlineException):
            self._connection.get_name(name, wait=True, timeout=seconds)

    def _note(self, object_id: ObjectID) -> Note | None:
        """The note of an object, or None if it is gone."""
        known = self._read.get(object_id)
        if known is not None:
            return known
        try:
            content = str(self._connection.get_meta(object_id)["content_"])
        except ObjectNotExistsException:
            return None
        note = self._read[object_id] = Note(object_id, json.loads(content))
        return note
