"""The client and the contexts: what turns values into objects and back."""

from vineyard.core.builder import builder_context, default_builder_context, get_current_builders
from vineyard.core.client import Client
from vineyard.core.contexts import context
from vineyard.core.driver import default_driver_context, driver_context, get_current_drivers
from vineyard.core.resolver import default_resolver_context, get_current_resolvers, resolver_context

__all__ = [
    "Client",
    "builder_context",
    "context",
    "default_builder_context",
    "default_driver_context",
    "default_resolver_context",
    "driver_context",
    "get_current_builders",
    "get_current_drivers",
    "get_current_resolvers",
    "resolver_context",
]
