"""Builders: how a Python value becomes an object. Maps types to functions, in contexts that nest.

Promise: the builder of a value is the one registered for the first class in its method resolution
order, in the innermost context that has any. This file knows no type of its own; `vineyard.data`
registers those.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Generator, Mapping
from typing import Any

from vineyard._C import ObjectID
from vineyard.core.contexts.base import CurrentContext, NestedContext

Builder = Callable[..., Any]
TypeKey = type | str


class BuilderContext(NestedContext[TypeKey, type]):
    """Builders by type, with a context around it that is asked for what is not registered here.

    A key is a type, or the text ``"module.QualifiedName"`` of one, so that a builder can be
    registered without importing the library whose values it builds.

    Parameters:
        parent_context: BuilderContext or None
            Asked for types without a builder here. None: there is no other.
    """

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
        self._add(type_id, builder)

    def find(self, type_id: type) -> Builder | None:
        """The builder for values of `type_id` (callable), or None if neither it nor a class above
        it has one.
        """
        builder: Builder | None = self._lookup(type_id)[0]
        return builder

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
        return self._extended(builders)

    def _find_here(self, wanted: type) -> Builder | None:
        for cls in wanted.__mro__:
            for key in (cls, f"{cls.__module__}.{cls.__qualname__}"):
                if key in self._factory:
                    return self._factory[key]
        return None

    def _describe(self, function: Builder | None) -> tuple[Builder | None, bool]:
        """The builder, and whether it has a parameter `builder`."""
        return function, function is not None and takes(function, "builder")


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

_current = CurrentContext(default_builder_context)


def get_current_builders() -> BuilderContext:
    """The builder context of this thread (BuilderContext).

    The main thread begins with the default one, every other with a fresh context inside it: what is
    registered in a context of one thread is not seen by the others.
    """
    return _current.current


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
    with _current.opened(builders, base) as opened:
        yield opened


def id_of_built(built: Any, builder: Any) -> ObjectID:
    """The id of what `builder` returned.

    Raises:
        TypeError: that is not an ObjectID, Object or ObjectMeta.
    """
    object_id = built if isinstance(built, ObjectID) else getattr(built, "id", None)
    if isinstance(object_id, ObjectID):
        return object_id
    raise TypeError(
        f"the builder {builder!r} returned {built!r}: it must return the ObjectID, Object or "
        "ObjectMeta of what it put"
    )
