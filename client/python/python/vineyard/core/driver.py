"""Drivers, under the name that the released package has for this module."""

from vineyard.core.contexts.drivers import (
    DriverContext,
    Methods,
    default_driver_context,
    driver_context,
    get_current_drivers,
)

__all__ = [
    "DriverContext",
    "Methods",
    "default_driver_context",
    "driver_context",
    "get_current_drivers",
]
