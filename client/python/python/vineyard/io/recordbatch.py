"""Streams of objects: batches, frames, or any other values."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from typing import Any

from vineyard._C import ObjectMeta, VineyardException
from vineyard.io.stream import BaseStream, register_type


class RecordBatchStream(BaseStream):
    """A stream whose chunks are objects.

    >>> stream = RecordBatchStream.new(client)
    >>> with stream.writer as writer:
    ...     writer.write({"any": "value"})
    >>> list(stream.reader)
    [{'any': 'value'}]
    """

    typename = "vineyard::RecordBatchStream"

    @staticmethod
    def new(
        client: Any,
        params: dict[str, Any] | None = None,
        meta: ObjectMeta | None = None,
        **options: Any,
    ) -> RecordBatchStream:
        """Makes a stream; the parameters are those of :meth:`vineyard.io.byte.ByteStream.new`."""
        return RecordBatchStream._new(client, params, meta, options)

    class Writer(BaseStream.Writer):
        """Writes values, or objects that exist."""

        def write(self, value: Any) -> None:
            """Puts a value and queues it. Errors are those of a put and of :meth:`append`."""
            object_id = self._client.put(value)
            try:
                self.append(object_id)
            except VineyardException:
                # After any other exception, of a signal, it may be queued.
                self._client.delete(object_id)
                raise


def register_recordbatch_stream_types(builder_ctx: Any, resolver_ctx: Any) -> None:
    """Registers what a get makes of these streams, as
    :func:`vineyard.data.register_builtin_types` does.
    """
    register_type(RecordBatchStream.typename, resolver_ctx)


@contextlib.contextmanager
def recordbatch_stream_context() -> Generator[tuple[Any, Any], Any, Any]:
    """Contexts in which these types are registered. Yields both."""
    from vineyard.core import context

    with context() as (builders, resolvers):
        register_recordbatch_stream_types(builders, resolvers)
        yield builders, resolvers
