"""Builders, resolvers and drivers by context. Here: builders and resolvers in one block."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Mapping
from typing import Any

from vineyard.core.contexts.builders import Builder, BuilderContext, TypeKey, builder_context
from vineyard.core.contexts.resolvers import Resolver, ResolverContext, resolver_context


@contextlib.contextmanager
def context(
    builders: Mapping[TypeKey, Builder] | None = None,
    resolvers: Mapping[str, Resolver] | None = None,
    base_builder: BuilderContext | None = None,
    base_resolver: ResolverContext | None = None,
) -> Generator[tuple[BuilderContext, ResolverContext], Any, Any]:
    """Opens a builder context and a resolver context together.

    Parameters:
        builders: dict of type to callable, or None
            As for :func:`builder_context`.
        resolvers: dict of str to callable, or None
            As for :func:`resolver_context`.
        base_builder: BuilderContext or None
            The context around the first; None: the current one.
        base_resolver: ResolverContext or None
            The context around the second; None: the current one.

    Yields:
        Both contexts (tuple of BuilderContext, ResolverContext).
    """
    with (
        builder_context(builders, base_builder) as builder,
        resolver_context(resolvers, base_resolver) as resolver,
    ):
        yield builder, resolver
