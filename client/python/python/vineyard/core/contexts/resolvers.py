"""Resolvers: how an object becomes a Python value. Maps typename prefixes to functions, in contexts
that nest.

Promise: the resolver of an object is the one with the longest prefix of its typename, in the
innermost context that has any. This file knows no type of its own; `vineyard.data` registers those.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Generator, Mapping
from typing import Any

from vineyard.core.contexts.base import CurrentContext, NestedContext
from vineyard.core.contexts.pickle_setting import PickleRefused

Resolver = Callable[..., Any]


class ResolverContext(NestedContext[str, str]):
    """Resolvers by typename prefix, with a context around it that is asked for what is not
    registered here.

    Parameters:
        parent_context: ResolverContext or None
            Asked for typenames without a resolver here. None: there is no other.
    """

    def __repr__(self) -> str:
        return repr(self._factory)

    def register(self, typename_prefix: str, resolver: Resolver) -> None:
        """Registers the resolver of all typenames with a prefix, in place of an earlier one.

        Parameters:
            typename_prefix: str
                Like ``"vineyard::Tensor"``; the longest prefix that fits is used.
            resolver: callable
                Called as ``resolver(obj)``; gets the context as ``resolver=`` if it has such a
                parameter, and all arguments of the get if it takes ``**kwargs``.
        """
        self._add(typename_prefix, resolver)

    def find(self, typename: str) -> Resolver | None:
        """The resolver for `typename` (callable), or None."""
        resolver: Resolver | None = self._lookup(typename)[0]
        return resolver

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
        return self._extended(resolvers)

    def _find_here(self, wanted: str) -> Resolver | None:
        fits = [prefix for prefix in self._factory if wanted.startswith(prefix)]
        return self._factory[max(fits, key=len)] if fits else None

    def _describe(self, function: Resolver | None) -> tuple[Resolver | None, bool, bool]:
        """The resolver, whether it has a parameter `resolver`, and whether it takes any keyword."""
        try:
            parameters = inspect.signature(function).parameters if function else {}
        except (TypeError, ValueError):
            parameters = {}
        takes_all = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
        return function, "resolver" in parameters, takes_all


default_resolver_context = ResolverContext()

_current = CurrentContext(default_resolver_context)


def get_current_resolvers() -> ResolverContext:
    """The resolver context of this thread (ResolverContext).

    The main thread begins with the default one, every other with a fresh context inside it: what is
    registered in a context of one thread is not seen by the others.
    """
    return _current.current


@contextlib.contextmanager
def resolver_context(
    resolvers: Mapping[str, Resolver] | None = None, base: ResolverContext | None = None
) -> Generator[ResolverContext, Any, Any]:
    """Opens a context for resolvers that are forgotten at its end; contexts nest.

    Useful when one type can become several Python values, such as a ``vineyard::Tensor``:

    >>> object_id = client.put(numpy.arange(8))
    >>> with resolver_context({"vineyard::Tensor": lambda obj: obj.meta["shape_"]}):
    ...     client.get(object_id)
    '[8]'

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
    with _current.opened(resolvers, base) as opened:
        yield opened
