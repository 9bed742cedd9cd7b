"""Files into one global data frame: a member for each batch, in the order of the files.

Promise: after an error nothing is stored. Batches go from the threads that parse them into shared
memory, so that at most the pieces in flight are held twice.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

from vineyard._C import ObjectID, ObjectMeta
from vineyard.core.transfers.progress import Progress
from vineyard.io._ahead import in_order
from vineyard.io._formats import Piece
from vineyard.io._hooks import NO_HOOK, Hook, hooked
from vineyard.io._source import Source

Numbered = tuple[int, Piece]


def put_members(
    client: Any,
    source: Source,
    shares: list[list[Piece]],
    threads: int,
    *,
    as_arrow: bool,
    index_col: Any = None,
    hook: Hook = NO_HOOK,
    progress: bool | None = None,
    first: int = 0,
    check: Callable[[], None] = lambda: None,
) -> list[ObjectID]:
    """Reads pieces and puts what :func:`join_members` makes a global frame of.

    Parameters:
        client: Client
            Puts the members.
        source: Source
            What to read.
        shares: list of lists of Piece
            The partitions. One without rows is one member without rows.
        threads: int
            How many pieces to read at once.
        as_arrow: bool
            Whether members are record batches; else pandas frames.
        index_col: int, str, list of them, or None
            The columns that are the index of frames, by number or name.
        hook: Hook
            Changes each batch.
        progress: bool or None
            Whether to show a bar.
        first: int
            The place of the first member in the global frame.
        check: callable
            Called for each batch; what it raises ends the reading.

    Returns:
        list of ObjectID: the members in order. They are transient.

    Raises:
        ReadError: from the source, or because the hook raised.
        NotEnoughMemoryException: there is no room.
    """
    put = functools.partial(put_batch, client, as_arrow, index_col)
    made: list[ObjectID] = []

    def work(numbered: Numbered) -> Iterator[ObjectID]:
        number, piece = numbered
        for at, batch in enumerate(source.read(piece)):
            check()
            object_id = put(hooked(called, batch, piece.file.shown, at, reads=True), number)
            made.append(object_id)
            yield object_id
        bar.advance(piece.size_bytes)

    total = sum(piece.size_bytes for share in shares for piece in share)
    try:
        members: list[ObjectID] = []
        number = first
        with hook.opened(threads) as called, Progress(total, "read", progress) as bar:
            for share in shares:
                before = len(members)
                members += in_order(list(enumerate(share, number)), work, threads)
                if len(members) == before:
                    empty = hooked(called, source.empty(), "an empty share", 0, reads=True)
                    made.append(put(empty, number))
                    members.append(made[-1])
                number += places_of(share)
        return members
    except BaseException:
        client.delete(made, force=True)
        raise


def places_of(share: list[Piece]) -> int:
    """How many places of the global frame a share has (int)."""
    return max(1, len(share))


def join_members(client: Any, members: list[ObjectID]) -> ObjectMeta:
    """Makes a global frame of members, which may be on several instances.

    Parameters:
        client: Client
            Makes it.
        members: list of ObjectID
            In order. They are persisted.

    Returns:
        ObjectMeta: the persisted ``vineyard::GlobalDataFrame``.
    """
    from vineyard.data.dataframe import make_global_dataframe

    return make_global_dataframe(client, members)


def put_batch(client: Any, as_arrow: bool, index_col: Any, batch: Any, number: int) -> ObjectID:
    """Puts a batch as a member of a global frame.

    Parameters:
        client: Client
            Puts it.
        as_arrow: bool
            Whether as a record batch; else as a pandas frame.
        index_col: int, str, list of them, or None
            The columns that are the index of the frame.
        batch: pyarrow.RecordBatch
            What to put.
        number: int
            Its place in the global frame.
    """
    if as_arrow:
        object_id: ObjectID = client.put(batch)
        return object_id
    frame = _frame(batch)
    if index_col is not None:
        listed = index_col if isinstance(index_col, list) else [index_col]
        names = [frame.columns[one] if isinstance(one, int) else one for one in listed]
        frame = frame.set_index(names)
    # Released clients want these in order.
    object_id = client.put(frame, partition_index=(number, 0), row_batch_index=number)
    return object_id


def _frame(batch: Any) -> Any:
    """The batch as a pandas frame, whose whole numbers stay whole where some are null."""
    import pandas
    import pyarrow

    frame = batch.to_pandas()
    nullable = {
        getattr(pyarrow, name)(): getattr(pandas, f"{dtype}Dtype")()
        for name, dtype in (
            *((f"int{bits}", f"Int{bits}") for bits in (8, 16, 32, 64)),
            *((f"uint{bits}", f"UInt{bits}") for bits in (8, 16, 32, 64)),
            ("bool_", "Boolean"),
        )
    }
    for name, array in zip(batch.schema.names, batch.columns, strict=True):
        if array.null_count and array.type in nullable and name in frame.columns:
            frame[name] = nullable[array.type].__from_arrow__(array)
    return frame
