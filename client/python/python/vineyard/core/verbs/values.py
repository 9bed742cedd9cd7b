"""Put and get of values, for any client: the wrapper or a raw one.

Promise: which builder, resolver and driver runs is decided by the contexts alone.
"""

from __future__ import annotations

import warnings
from typing import Any

from vineyard._C import ObjectID
from vineyard.core.contexts.builders import Builder, get_current_builders, id_of_built
from vineyard.core.contexts.drivers import get_current_drivers
from vineyard.core.contexts.pickle_setting import reading
from vineyard.core.contexts.resolvers import Resolver, get_current_resolvers

# Their values get no attributes of ours: these would be pickled with the value the next time, for
# readers that cannot know them.
_UNMARKED = ("vineyard::PickleBuffer", "vineyard::SparseArray")


def put(
    client: Any,
    value: Any,
    builder: Builder | None = None,
    persist: bool = False,
    name: str | None = None,
    **kwargs: Any,
) -> Any:
    """Puts a Python value into vineyard.

    >>> object_id = client.put(numpy.arange(8))

    Parameters:
        client: Client, IPCClient or RPCClient
            The client to put with.
        value: object
            The value. Without a builder for its type it is pickled, with buffers out of band.
        builder: callable, BuilderContext or None
            Builds the value instead of the current context; what it returns is returned as it is.
        persist: bool
            Whether to make the object visible to all instances of the cluster. Default False.
        name: str or None
            The name to give it; needs ``persist``.
        **kwargs:
            For the builder.

    Returns:
        ObjectID: the id of the new object.

    Raises:
        NotEnoughMemoryException: no instance has room for the value.
        RuntimeError: the context has no builder for the type.
    """
    if name is not None and not persist:
        warnings.warn("The object is not persisted, the name won't be associated.", stacklevel=3)
        name = None
    if builder is not None:
        built = builder(client, value, **kwargs)
        if persist and hasattr(client, "persist"):
            _publish(client, id_of_built(built, builder), name)
        return built
    context = get_current_builders()
    found = context.find(type(value))
    if persist and getattr(found, "publishes", False):
        return context.run(client, value, persist=True, name=name, **kwargs).id
    object_id = id_of_built(context.run(client, value, **kwargs), found)
    if persist:
        _publish(client, object_id, name)
    return object_id


def _publish(client: Any, object_id: ObjectID, name: str | None) -> None:
    client.persist(object_id)
    if name is not None:
        client.put_name(object_id, name)


def get(
    client: Any,
    object_id: ObjectID | int | str | None = None,
    name: str | None = None,
    resolver: Resolver | None = None,
    fetch: bool = False,
    *,
    copy: bool = False,
    **kwargs: Any,
) -> Any:
    """Gets an object as a Python value. Arrays and tables are read-only views of the shared memory.

    >>> object_id = client.put(numpy.arange(8))
    >>> client.get(object_id)
    array([0, 1, 2, 3, 4, 5, 6, 7])

    Parameters:
        client: Client, IPCClient or RPCClient
            The client to get with.
        object_id: ObjectID, int, str or None
            The object.
        name: str or None
            The name of the object; used if ``object_id`` is None.
        resolver: callable, ResolverContext or None
            Makes the value, instead of the current context.
        fetch: bool
            Whether an object of another instance is first copied to this one, to stay. Default
            False: its bytes are read from their owner, and nothing is stored here.
        copy: bool
            Whether the value gets bytes of its own, which can be written, in place of views.
            Default False.
        **kwargs:
            For the resolver.

    Returns:
        The value; the Object itself if there is no resolver for its typename.

    Raises:
        ObjectNotExistsException: there is no such object or name.
        PickleRefused: the value needs a pickle, and the client refuses them.
        TypeError: neither an id nor a name was given.
    """
    if object_id is None:
        if name is None:
            raise TypeError(
                "get() needs the id of an object or its name: get(object_id) or get(name='...')"
            )
        obj = client._object(None, name, fetch)
    else:
        if not isinstance(object_id, ObjectID):
            object_id = ObjectID(object_id)
        obj = client._object(object_id, None, fetch)
    context = resolver if resolver is not None else get_current_resolvers().run
    if copy:
        kwargs["copy"] = True
    before = reading.set(client)
    try:
        value = context(obj, __vineyard_client=client, **kwargs)
    finally:
        reading.reset(before)
    if value is None:
        return None
    typename = obj.typename
    value = get_current_drivers().resolve(value, typename)
    # The mark would keep the memory that was copied from.
    if not copy and value is not obj and not typename.startswith(_UNMARKED):
        _mark(value, obj, client)
    return value


def _mark(value: Any, obj: Any, client: Any) -> None:
    """Gives the value its object and client as attributes, if its type can have attributes."""
    # pandas looks for a column of that name first, which takes as long as a small get.
    from_pandas = type(value).__module__.partition(".")[0] == "pandas"
    put = object.__setattr__ if from_pandas else setattr
    try:
        put(value, "__vineyard_ref", obj)
        put(value, "__vineyard_client", client)
    except (AttributeError, TypeError):
        pass  # Numbers, text and containers have no attributes.
