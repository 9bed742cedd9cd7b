"""Builders, under the name that the released package has for this module; and `put`."""

from vineyard.core.contexts.builders import (
    Builder,
    BuilderContext,
    TypeKey,
    builder_context,
    default_builder_context,
    get_current_builders,
    id_of_built,
    takes,
)
from vineyard.core.verbs.values import put

__all__ = [
    "Builder",
    "BuilderContext",
    "TypeKey",
    "builder_context",
    "default_builder_context",
    "get_current_builders",
    "id_of_built",
    "put",
    "takes",
]
