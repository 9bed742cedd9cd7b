"""Streams of tables: each chunk is a record batch, written as Arrow IPC.

Promise: what is read is what was written, also when many batches are kept: the bytes of a chunk do
not change while a batch is made of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from vineyard._C import NotEnoughMemoryException, ObjectMeta
from vineyard.io.stream import BaseStream, bytes_of, register_type


class DataframeStream(BaseStream):
    """A stream whose chunks are record batches. Needs pyarrow.

    >>> stream = DataframeStream.new(client)
    >>> with stream.writer as writer:
    ...     writer.write(pandas.DataFrame({"x": [1, 2, 3]}))
    >>> stream.reader.read_table().column("x").to_pylist()
    [1, 2, 3]
    """

    typename = "vineyard::DataframeStream"

    @staticmethod
    def new(
        client: Any,
        params: dict[str, Any] | None = None,
        meta: ObjectMeta | None = None,
        **options: Any,
    ) -> DataframeStream:
        """Makes a stream; the parameters are those of :meth:`vineyard.io.byte.ByteStream.new`."""
        return DataframeStream._new(client, params, meta, options)

    class Reader(BaseStream.Reader):
        """Reads record batches, which are views of the shared memory."""

        def next(self, timeout: float | None = None) -> Any:
            """The next batch (pyarrow.RecordBatch), whatever kind of table the writer put.
            Otherwise as :meth:`BaseStream.Reader.next`.
            """
            import pyarrow as pa

            chunk = self._next_chunk(timeout)
            view = bytes_of(chunk)
            if view is None:
                return _batch(self._value_of(chunk))
            with pa.ipc.open_stream(pa.py_buffer(view)) as reader:
                batches = list(reader)
                return batches[0] if len(batches) == 1 else _joined(batches, reader.schema)

        def read_table(self, copy: bool | None = None) -> Any:
            """All batches that are left, as one table.

            Parameters:
                copy: bool or None
                    Whether its memory is private. None: only what the writer needs room for.

            Returns:
                pyarrow.Table: without columns if there was no batch.

            Raises:
                NotEnoughMemoryException: with ``copy=False``: the table does not fit into the
                    memory of the instance.
            """
            import pyarrow as pa

            batches: list[Any] = []
            copied = 0
            while True:
                is_short = False
                try:
                    batches.append(self.next())
                except StopIteration:
                    break
                except NotEnoughMemoryException:
                    # The writer waits for the memory of the batches that are kept.
                    if copy is False or copied == len(batches):
                        raise
                    is_short = True
                if copy or is_short:
                    batches[copied:] = map(_copied, batches[copied:])
                    copied = len(batches)
            return pa.Table.from_batches(batches) if batches else pa.table({})

    class Writer(BaseStream.Writer):
        """Writes batches, tables and frames."""

        def write(self, value: Any) -> None:
            """Writes a table.

            Parameters:
                value: pyarrow.RecordBatch, pyarrow.Table, pandas or polars DataFrame
                    A batch is one chunk; a table one for each of its batches.

            Raises:
                TypeError: it is none of these.
            """
            for batch in _batches_of(value):
                self._write_batch(batch)

        def write_table(self, table: Any) -> None:
            """Writes a table; the same as :meth:`write`."""
            self.write(table)

        def _write_batch(self, batch: Any) -> None:
            import pyarrow as pa

            measure = pa.MockOutputStream()
            _write_ipc(batch, measure)

            def encode(chunk: memoryview) -> None:
                with pa.FixedSizeBufferWriter(pa.py_buffer(chunk)) as sink:
                    _write_ipc(batch, sink)

            self.fill(measure.size(), encode)


def _write_ipc(batch: Any, sink: Any) -> None:
    import pyarrow as pa

    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)


def _copied(batch: Any) -> Any:
    """The same batch in private memory."""
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    _write_ipc(batch, sink)
    with pa.ipc.open_stream(sink.getvalue()) as reader:
        return reader.read_next_batch()


def _batches_of(value: Any) -> Iterable[Any]:
    import pyarrow as pa

    if isinstance(value, pa.RecordBatch):
        return [value]
    if isinstance(value, pa.Table):
        return value.to_batches() or [_joined([], value.schema)]
    library = type(value).__module__.partition(".")[0]
    if library == "pandas":
        return [pa.RecordBatch.from_pandas(value)]
    if library == "polars":
        return _batches_of(value.to_arrow())
    raise TypeError(
        f"a DataframeStream takes record batches, tables and data frames, not {type(value)!r}"
    )


def _batch(value: Any) -> Any:
    """The batch that a chunk is, whatever kind of table it was put as."""
    batches = list(_batches_of(value))
    return batches[0] if len(batches) == 1 else _joined(batches, batches[0].schema)


def _joined(batches: list[Any], schema: Any) -> Any:
    """One batch of several, or of none."""
    import pyarrow as pa

    table = pa.Table.from_batches(batches, schema)
    columns = [column.combine_chunks() for column in table.columns]
    arrays = [
        column if isinstance(column, pa.Array) else pa.concat_arrays(column.chunks)
        for column in columns
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def register_dataframe_stream_types(builder_ctx: Any, resolver_ctx: Any) -> None:
    """Registers what a get makes of these streams, as
    :func:`vineyard.data.register_builtin_types` does.
    """
    register_type(DataframeStream.typename, resolver_ctx)
