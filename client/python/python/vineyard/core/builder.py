"""Builders: how a Python value becomes an object. Maps types to functions, in contexts that nest.

Promise: the builder of a value is the one registered for the first class in its method resolution
order, in the innermost context that has any. This file knows no type of its own; `vineyard.data`
registers those.
"""

from __future__ import annotations

import contextlib
import inspect
import threading
import warnings
from collections.abc import Callable, Generator, Mapping
from typing import Any

from vineyard._C import ObjectID

Builder = Callable[..., Any]
TypeKey = type | str

# Counts registrations anywhere: what a context found before the last one may be stale.
_registrations = 0


class BuilderContext:
    """Builders by type, with a context around it that is asked for what is not registered here.

    A key is a type, or the text ``"module.QualifiedName"`` of one, so that a builder can be
    registered without importing the library whose values it builds.
    """

    def __init__(self, parent_context: BuilderContext | None = None) -> None:
        """Makes an empty context.

        Parameters:
            parent_context: BuilderContext or None
                Asked for types without a builder here. None: there is no other.
        """
        self._factory: dict[TypeKey, Builder] = {}
        self._parent_context = parent_context or self
        self._found: dict[type, tuple[Builder | None, bool]] = {}
        self._found_at = -1

    def __str__(self) -> str:
        return str(self._factory)

    @property
    def parent_context(self) -> BuilderContext:
        """The context around this one (BuilderContext); itself at the root."""
        return self._parent_context

    def register(self, type_id: TypeKey, builder: Builder) -> None:
        """Registers the builder of a type, in place of an earlier one.

        Parameters:
            type_id: type or str
                The type, like ``int``, or its name, like ``"numpy.ndarray"``.
            builder: callable
                Called as ``builder(client, value, **kwargs)``; gets the context as ``builder=`` if
                it has such a parameter. Returns an ObjectID, Object or ObjectMeta.

        Raises:
            nothing: an earlier builder of the type is replaced.
        """
        global _registrations
        self._factory[type_id] = builder
        _registrations += 1

    def find(self, type_id: type) -> Builder | None:
        """The builder for values of `type_id` (callable), or None if neither it nor a class above
        it has one.
        """
        return self._lookup(type_id)[0]

    def run(self, client: Any, value: Any, **kw: Any) -> Any:
        """Builds `value` with the builder of its type: the first class in its method resolution
        order that has one.

        Parameters:
            client: Client
                The client to build with.
            value: object
                What to build.
            **kw:
                For the builder.

        Returns:
            What the builder returned: ObjectID, Object or ObjectMeta.

        Raises:
            RuntimeError: no class of the value has a builder.
        """
        builder, takes_context = self._lookup(type(value))
        if builder is None:
            kind = type(value)
            raise RuntimeError(
                f"Unknown type to build as vineyard object: {kind.__module__}.{kind.__qualname__}; "
                "register a builder for it with BuilderContext.register(type, builder)"
            )
        if takes_context:
            kw["builder"] = self
        return builder(client, value, **kw)

    def __call__(self, client: Any, value: Any, **kw: Any) -> Any:
        """The same as :meth:`run`."""
        return self.run(client, value, **kw)

    def extend(self, builders: Mapping[TypeKey, Builder] | None = None) -> BuilderContext:
        """A new context (BuilderContext) inside this one.

        Parameters:
            builders: dict of type to callable, or None
                What to register in it.
        """
        inner = BuilderContext(self)
        for type_id, builder in (builders or {}).items():
            inner.register(type_id, builder)
        return inner

    def _lookup(self, type_id: type) -> tuple[Builder | None, bool]:
        if self._found_at != _registrations:
            self._found, self._found_at = {}, _registrations
        found = self._found.get(type_id)
        if found is None:
            builder = self._search(type_id)
            found = (builder, builder is not None and takes(builder, "builder"))
            self._found[type_id] = found
        return found

    def _search(self, type_id: type) -> Builder | None:
        for cls in type_id.__mro__:
            for key in (cls, f"{cls.__module__}.{cls.__qualname__}"):
                if key in self._factory:
                    return self._factory[key]
        if self._parent_context is self:
            return None
        return self._parent_context._search(type_id)


def takes(function: Callable[..., Any], parameter: str) -> bool:
    """Whether `function` can be called with `parameter` as a keyword (bool); False if that cannot
    be known.
    """
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return False
    return parameter in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())


default_builder_context = BuilderContext()

_local = threading.local()


def get_current_builders() -> BuilderContext:
    """The builder context of this thread (BuilderContext).

    The main thread begins with the default one, every other with a fresh context inside it: what is
    registered in a context of one thread is not seen by the others.
    """
    current: BuilderContext | None = getattr(_local, "current", None)
    if current is None:
        is_main = threading.current_thread() is threading.main_thread()
        current = default_builder_context if is_main else default_builder_context.extend()
        _local.current = current
    return current


@contextlib.contextmanager
def builder_context(
    builders: Mapping[TypeKey, Builder] | None = None, base: BuilderContext | None = None
) -> Generator[BuilderContext, Any, Any]:
    """Opens a context for builders that are forgotten at its end; contexts nest.

    Parameters:
        builders: dict of type to callable, or None
            What to register in it.
        base: BuilderContext or None
            The context around it; None: the current one.

    Yields:
        The new context (BuilderContext).

    Raises:
        nothing of its own.

    See also:
        resolver_context, driver_context
    """
    before = get_current_builders()
    _local.current = (base or before).extend(builders)
    try:
        yield _local.current
    finally:
        _local.current = before


def put(
    client: Any,
    value: Any,
    builder: Builder | None = None,
    persist: bool = False,
    name: str | None = None,
    **kwargs: Any,
) -> Any:
    """Puts a Python value into vineyard.

    >>> client.put(numpy.arange(8))
    o00002ec13bc81226

    Parameters:
        client: Client, IPCClient or RPCClient
            The client to put with.
        value: object
            The value. Without a builder for its type it is pickled, with buffers out of band.
        builder: callable, BuilderContext or None
            Builds the value instead of the current context; what it returns is returned as it is.
        persist: bool
            Whether all instances of the cluster shall see the object. Default False.
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


def id_of_built(built: Any, builder: Any) -> ObjectID:
    """The id of what `builder` returned.

    Raises:
        TypeError: that is no ObjectID, Object or ObjectMeta.
    """
    object_id = built if isinstance(built, ObjectID) else getattr(built, "id", None)
    if isinstance(object_id, ObjectID):
        return object_id
    raise TypeError(
        f"the builder {builder!r} returned {built!r}: it must return the ObjectID, Object or "
        "ObjectMeta of what it put"
    )


def _publish(client: Any, object_id: ObjectID, name: str | None) -> None:
    client.persist(object_id)
    if name is not None:
        client.put_name(object_id, name)
