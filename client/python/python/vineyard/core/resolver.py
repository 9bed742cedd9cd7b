"""Resolvers: how an object becomes a Python value. Maps typename prefixes to functions, in contexts
that nest.

Promise: the resolver of an object is the one with the longest prefix of its typename, in the
innermost context that has any. This file knows no type of its own; `vineyard.data` registers those.
"""

from __future__ import annotations

import contextlib
import inspect
import threading
from collections.abc import Callable, Generator, Mapping
from typing import Any

from vineyard._C import ObjectID
from vineyard.core.driver import get_current_drivers
from vineyard.core.pickles import PickleRefused, read_for

Resolver = Callable[..., Any]

# Counts registrations anywhere: what a context found before the last one may be stale.
_registrations = 0

# Unpickled values belong to the user whole, and sparse arrays pickle all their attributes: ours
# would go with them the next time, to readers that cannot know it.
_UNMARKED = ("vineyard::PickleBuffer", "vineyard::SparseArray")


class ResolverContext:
    """Resolvers by typename prefix, with a context around it that is asked for what is not
    registered here.
    """

    def __init__(self, parent_context: ResolverContext | None = None) -> None:
        """Makes an empty context.

        Parameters:
            parent_context: ResolverContext or None
                Asked for typenames without a resolver here. None: there is no other.
        """
        self._factory: dict[str, Resolver] = {}
        self._parent_context = parent_context or self
        self._found: dict[str, tuple[Resolver | None, bool, bool]] = {}
        self._found_at = -1

    def __str__(self) -> str:
        return str(self._factory)

    def __repr__(self) -> str:
        return repr(self._factory)

    @property
    def parent_context(self) -> ResolverContext:
        """The context around this one (ResolverContext); itself at the root."""
        return self._parent_context

    def register(self, typename_prefix: str, resolver: Resolver) -> None:
        """Registers the resolver of all typenames with a prefix, in place of an earlier one.

        Parameters:
            typename_prefix: str
                Like ``"vineyard::Tensor"``; the longest prefix that fits is used.
            resolver: callable
                Called as ``resolver(obj)``; gets the context as ``resolver=`` if it has such a
                parameter, and all arguments of the get if it takes ``**kwargs``.
        """
        global _registrations
        self._factory[typename_prefix] = resolver
        _registrations += 1

    def find(self, typename: str) -> Resolver | None:
        """The resolver for `typename` (callable), or None."""
        return self._lookup(typename)[0]

    def run(self, obj: Any, **kw: Any) -> Any:
        """Resolves `obj` to a Python value.

        Parameters:
            obj: Object
                What to resolve.
            **kw:
                For the resolver; dropped if it does not take them.

        Returns:
            The value; `obj` itself if there is no resolver for its typename.

        Raises:
            RuntimeError: a resolver without ``**kwargs`` failed; the cause is attached. One with
            them raises its own.
            PickleRefused: a pickle is needed, and the client refuses them.
        """
        resolver, takes_context, takes_all = self._lookup(obj.typename)
        if resolver is None:
            return obj
        if takes_all:
            kw["resolver"] = self
            value = resolver(obj, **kw)
        else:
            try:
                value = resolver(obj, resolver=self) if takes_context else resolver(obj)
            except PickleRefused:
                raise
            except Exception as error:
                raise RuntimeError(
                    "Unable to construct the object using resolver: "
                    f"typename is {obj.typename}, resolver is {resolver}"
                ) from error
        return value

    def __call__(self, obj: Any, **kw: Any) -> Any:
        """The same as :meth:`run`."""
        return self.run(obj, **kw)

    def extend(self, resolvers: Mapping[str, Resolver] | None = None) -> ResolverContext:
        """A new context (ResolverContext) inside this one.

        Parameters:
            resolvers: dict of str to callable, or None
                What to register in it.
        """
        inner = ResolverContext(self)
        for typename_prefix, resolver in (resolvers or {}).items():
            inner.register(typename_prefix, resolver)
        return inner

    def _lookup(self, typename: str) -> tuple[Resolver | None, bool, bool]:
        if self._found_at != _registrations:
            self._found, self._found_at = {}, _registrations
        found = self._found.get(typename)
        if found is None:
            found = _described(self._search(typename))
            self._found[typename] = found
        return found

    def _search(self, typename: str) -> Resolver | None:
        fits = [prefix for prefix in self._factory if typename.startswith(prefix)]
        if fits:
            return self._factory[max(fits, key=len)]
        if self._parent_context is self:
            return None
        return self._parent_context._search(typename)


def _described(resolver: Resolver | None) -> tuple[Resolver | None, bool, bool]:
    """The resolver, whether it has a parameter `resolver`, and whether it takes any keyword."""
    try:
        parameters = inspect.signature(resolver).parameters if resolver else {}
    except (TypeError, ValueError):
        parameters = {}
    takes_all = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    return resolver, "resolver" in parameters, takes_all


default_resolver_context = ResolverContext()

_local = threading.local()


def get_current_resolvers() -> ResolverContext:
    """The resolver context of this thread (ResolverContext).

    The main thread begins with the default one, every other with a fresh context inside it: what is
    registered in a context of one thread is not seen by the others.
    """
    current: ResolverContext | None = getattr(_local, "current", None)
    if current is None:
        is_main = threading.current_thread() is threading.main_thread()
        current = default_resolver_context if is_main else default_resolver_context.extend()
        _local.current = current
    return current


@contextlib.contextmanager
def resolver_context(
    resolvers: Mapping[str, Resolver] | None = None, base: ResolverContext | None = None
) -> Generator[ResolverContext, Any, Any]:
    """Opens a context for resolvers that are forgotten at its end; contexts nest.

    Useful when one type can become several Python values, such as a ``vineyard::Tensor``:

    >>> with resolver_context({"vineyard::Tensor": to_torch}):
    ...     tensor = client.get(object_id)

    Parameters:
        resolvers: dict of str to callable, or None
            Typename prefixes and resolvers to register in it.
        base: ResolverContext or None
            The context around it; None: the current one.

    Yields:
        The new context (ResolverContext).

    Raises:
        nothing of its own.

    See also:
        builder_context, driver_context
    """
    before = get_current_resolvers()
    _local.current = (base or before).extend(resolvers)
    try:
        yield _local.current
    finally:
        _local.current = before


def get(
    client: Any,
    object_id: ObjectID | int | str | None = None,
    name: str | None = None,
    resolver: Resolver | None = None,
    fetch: bool = False,
    **kwargs: Any,
) -> Any:
    """Gets an object as a Python value. Arrays and tables are read-only views of the shared memory.

    >>> client.get(vineyard.ObjectID("o00002ec13bc81226"))
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
    context = resolver if resolver is not None else get_current_resolvers()
    with read_for(client):
        value = context(obj, __vineyard_client=client, **kwargs)
    if value is None:
        return None
    typename = obj.typename
    value = get_current_drivers().resolve(value, typename)
    if value is not obj and not typename.startswith(_UNMARKED):
        _mark(value, obj, client)
    return value


def _mark(value: Any, obj: Any, client: Any) -> None:
    """Lets the value say where it came from, if its type has room for that."""
    # pandas looks for a column of that name first, which takes as long as a small get.
    from_pandas = type(value).__module__.partition(".")[0] == "pandas"
    put = object.__setattr__ if from_pandas else setattr
    try:
        put(value, "__vineyard_ref", obj)
        put(value, "__vineyard_client", client)
    except (AttributeError, TypeError):
        pass  # Numbers, text, containers: there is no place for it.
