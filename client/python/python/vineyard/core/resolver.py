"""Resolvers, under the name that the released package has for this module; and `get`."""

from vineyard.core.contexts.resolvers import (
    Resolver,
    ResolverContext,
    default_resolver_context,
    get_current_resolvers,
    resolver_context,
)
from vineyard.core.verbs.values import get

__all__ = [
    "Resolver",
    "ResolverContext",
    "default_resolver_context",
    "get",
    "get_current_resolvers",
    "resolver_context",
]
