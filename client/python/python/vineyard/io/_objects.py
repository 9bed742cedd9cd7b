"""`vineyard://NAME-or-id`: frames and tables of the store as what is read or written."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

from vineyard._C import ObjectID
from vineyard.io._accumulate import put_batch
from vineyard.io._hooks import hooked
from vineyard.io._source import empty_of, share_of
from vineyard.io._values import batches_of

SCHEME = "vineyard"


class _Shown:
    """What errors call an object."""

    def __init__(self, shown: str) -> None:
        self.shown = shown


class _Part:
    """A batch, as a piece of a source."""

    part = None

    def __init__(self, file: _Shown, batch: Any) -> None:
        self.file, self.batch, self.size_bytes = file, batch, batch.nbytes


class ObjectSource:
    """A frame, a table, or a global frame: as :class:`vineyard.io._source.Source` is for files."""

    def __init__(self, client: Any, path: str) -> None:
        """Gets the object.

        Raises:
            ObjectNotExistsException: there is no such object or name.
            TypeError: it is none of these.
        """
        found = batches_of(client.get(id_of_path(client, path)))
        if found.schema is None:
            raise TypeError(f"{path} has bytes, not columns")
        self.schema = found.schema
        shown = _Shown(path)
        self.pieces = [
            _Part(shown, batch) for batch in itertools.chain.from_iterable(found.partitions)
        ]

    def share(self, index: int, count: int) -> list[Any]:
        """As :meth:`vineyard.io._source.Source.share`."""
        return share_of(self.pieces, index, count)

    def read(self, piece: Any) -> Iterator[Any]:
        """The one batch of a piece."""
        yield piece.batch

    def empty(self) -> Any:
        """A batch of the schema without rows (pyarrow.RecordBatch)."""
        return empty_of(self.schema)


def name_of_path(path: str) -> str:
    """What follows ``vineyard://`` (str)."""
    return path[len(SCHEME) + len("://") :]


def id_of_path(client: Any, path: str) -> ObjectID:
    """The object that a path names, by its id or by its name.

    Raises:
        ObjectNotExistsException: there is no such name.
    """
    name = name_of_path(path)
    try:
        return ObjectID(name)
    except ValueError:
        found: ObjectID = client.get_name(name)
        return found


def write_object(
    client: Any, path: str, partitions: Iterable[Iterable[Any]], hook: Any = None
) -> ObjectID:
    """Makes a global frame of batches, and gives it the name in the path.

    Parameters:
        client: Client
            Puts the members.
        path: str
            ``vineyard://NAME``.
        partitions: iterable of iterables of pyarrow.RecordBatch
            What is in it, in order.
        hook: callable or None
            Changes each batch.

    Returns:
        ObjectID: of the global frame, which is persisted.

    Raises:
        ValueError: there is no batch.
        WriteError: the hook raised.
    """
    from vineyard.data.dataframe import make_global_dataframe

    made: list[ObjectID] = []
    try:
        for number, batch in enumerate(itertools.chain.from_iterable(partitions)):
            changed = hooked(hook, batch, path, number, reads=False)
            made.append(put_batch(client, False, None, changed, number))
        if not made:
            raise ValueError(f"nothing to write to {path}: there is no batch")
        frame = make_global_dataframe(client, made)
        made.append(frame.id)
        client.put_name(frame.id, name_of_path(path))
        return frame.id
    except BaseException:
        client.delete(made, force=True)
        raise
