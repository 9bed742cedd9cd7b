"""Parallel streams: the partitions of one, which are a list of streams when they are got."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Sequence
from typing import Any

from vineyard._C import ObjectID, ObjectMeta
from vineyard.io.stream import register_type

TYPENAME = "vineyard::ParallelStream"


def make_parallel_stream(client: Any, streams: Sequence[ObjectID]) -> ObjectMeta:
    """Makes one object of several streams, visible on all instances.

    Parameters:
        client: Client
            The client to make it with.
        streams: list of ObjectID
            The streams, in order. They are persisted.

    Returns:
        ObjectMeta: the persisted object.
    """
    meta = ObjectMeta()
    meta["typename"] = TYPENAME
    meta.set_global(True)
    meta["__streams_-size"] = len(streams)
    for at, stream in enumerate(streams):
        client.persist(stream)
        meta.add_member(f"__streams_-{at}", stream)
    made: ObjectMeta = client.create_metadata(meta)
    client.persist(made.id)
    return made


def register_parallel_stream_types(builder_ctx: Any, resolver_ctx: Any) -> None:
    """Registers what a get makes of parallel streams, as
    :func:`vineyard.data.register_builtin_types` does.
    """
    register_type(TYPENAME, resolver_ctx)


@contextlib.contextmanager
def parallel_stream_context() -> Generator[tuple[Any, Any], Any, Any]:
    """Contexts in which these types are registered. Yields both."""
    from vineyard.core import context

    with context() as (builders, resolvers):
        register_parallel_stream_types(builders, resolvers)
        yield builders, resolvers
