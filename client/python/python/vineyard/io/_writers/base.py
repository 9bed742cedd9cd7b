"""What every format's writer is: it takes record batches of one schema and writes bytes."""

from __future__ import annotations

import abc
from typing import Any

from vineyard.io._options import WriteOptions

# What is gathered before columns are written: a row group, a stripe, a batch of a file.
GROUP_BYTES = 64 << 20
GROUP_ROWS = 1 << 20


class Writer(abc.ABC):
    """Writes one file."""

    def __init__(self, stream: Any, schema: Any, options: WriteOptions) -> None:
        """Begins the file.

        Parameters:
            stream: file object
                Takes the bytes; it is not closed.
            schema: pyarrow.Schema
                What every batch has.
            options: WriteOptions
                How.

        Raises:
            ValueError, pyarrow.ArrowException: the format cannot have a column of the schema.
        """
        self.stream, self.schema, self.options = stream, schema, options

    @abc.abstractmethod
    def write(self, batch: Any) -> None:
        """Writes a batch (pyarrow.RecordBatch)."""

    @abc.abstractmethod
    def close(self) -> None:
        """Writes what is left, so that the file is whole."""


class GroupWriter(Writer):
    """Gathers batches to groups of a size that is good to read."""

    def __init__(self, stream: Any, schema: Any, options: WriteOptions) -> None:
        super().__init__(stream, schema, options)
        self._gathered: list[Any] = []
        self._bytes = self._rows = 0

    def write(self, batch: Any) -> None:
        self._gathered.append(batch)
        self._bytes += batch.nbytes
        self._rows += batch.num_rows
        if self._bytes >= GROUP_BYTES or self._rows >= GROUP_ROWS:
            self._flush()

    def _flush(self) -> None:
        import pyarrow

        if self._gathered:
            table = pyarrow.Table.from_batches(self._gathered, self.schema)
            self._gathered, self._bytes, self._rows = [], 0, 0
            self._write_group(table)

    @abc.abstractmethod
    def _write_group(self, table: Any) -> None:
        """Writes a table as one group."""


class Borrowed:
    """A file object whose close does nothing: pyarrow's writers close what they are given."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.closed = False
        self._written = 0

    def write(self, data: Any) -> int:
        """Writes bytes, and counts them."""
        self._stream.write(data)
        self._written += len(memoryview(data).cast("B"))
        return self._written

    def tell(self) -> int:
        """How many bytes were written (int)."""
        return self._written

    def flush(self) -> None:
        """Nothing: the file is flushed when it is finished."""

    def readable(self) -> bool:
        """False."""
        return False

    def writable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """False."""
        return False

    def close(self) -> None:
        """Nothing but a mark."""
        self.closed = True
