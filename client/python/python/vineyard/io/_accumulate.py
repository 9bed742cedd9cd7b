"""Files into one global data frame: a member for each batch, in the order of the files.

Promise: after an error nothing is stored. Batches go from the threads that parse them into shared
memory, so that at most the pieces in flight are held twice.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

from vineyard._C import ObjectID, ObjectMeta
from vineyard.core.transfers.progress import Progress
from vineyard.io._ahead import in_order
from vineyard.io._formats import Piece
from vineyard.io._hooks import hooked
from vineyard.io._source import Source

Numbered = tuple[int, Piece]


def accumulate(
    client: Any,
    source: Source,
    shares: list[list[Piece]],
    threads: int,
    *,
    as_arrow: bool,
    index_col: Any = None,
    chunk_hook: Any = None,
    progress: bool | None = None,
) -> ObjectMeta:
    """Reads pieces and makes a global frame of them.

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
        chunk_hook: callable or None
            Changes each batch.
        progress: bool or None
            Whether to show a bar.

    Returns:
        ObjectMeta: the persisted ``vineyard::GlobalDataFrame``.

    Raises:
        ReadError: from the source, or because the hook raised.
        NotEnoughMemoryException: there is no room.
    """
    from vineyard.data.dataframe import make_global_dataframe

    put = functools.partial(put_batch, client, as_arrow, index_col)
    made: list[ObjectID] = []

    def work(numbered: Numbered) -> Iterator[ObjectID]:
        number, piece = numbered
        for at, batch in enumerate(source.read(piece)):
            if chunk_hook is not None:
                batch = hooked(chunk_hook, batch, piece.file.shown, at, reads=True)
            object_id = put(batch, number)
            made.append(object_id)
            yield object_id
        bar.advance(piece.size_bytes)

    total = sum(piece.size_bytes for share in shares for piece in share)
    try:
        members: list[ObjectID] = []
        number = 0
        with Progress(total, "read", progress) as bar:
            for share in shares:
                before = len(members)
                members += in_order(list(enumerate(share, number)), work, threads)
                if len(members) == before:
                    members.append(_put_empty(source, put, chunk_hook, number, made))
                number += max(1, len(share))
        return make_global_dataframe(client, members)
    except BaseException:
        client.delete(made, force=True)
        raise


def _put_empty(
    source: Source, put: Any, chunk_hook: Any, number: int, made: list[ObjectID]
) -> ObjectID:
    batch = source.empty()
    if chunk_hook is not None:
        batch = hooked(chunk_hook, batch, "an empty share", 0, reads=True)
    object_id: ObjectID = put(batch, number)
    made.append(object_id)
    return object_id


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
