"""Arrow IPC files, also called Feather."""

from __future__ import annotations

from typing import Any

import pyarrow.ipc

from vineyard.io._options import WriteOptions
from vineyard.io._writers.base import Borrowed, Writer


class IpcWriter(Writer):
    """Writes an Arrow IPC file, one batch as it comes."""

    def __init__(self, stream: Any, schema: Any, options: WriteOptions) -> None:
        super().__init__(stream, schema, options)
        codec = options.compression
        if codec and options.compression_level is not None:
            codec = pyarrow.Codec(codec, compression_level=options.compression_level)
        # Batches may each have a dictionary of their own, which only unified ones a file can have.
        given = pyarrow.ipc.IpcWriteOptions(compression=codec, unify_dictionaries=True)
        self._writer = pyarrow.ipc.new_file(
            pyarrow.PythonFile(Borrowed(stream), "w"), schema, options=given
        )

    def write(self, batch: Any) -> None:
        self._writer.write_batch(batch)

    def close(self) -> None:
        self._writer.close()
