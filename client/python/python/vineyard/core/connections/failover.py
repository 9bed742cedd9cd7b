"""Which node a client goes to when the memory of its own is full.

Promise: it asks, it moves nothing; the caller decides whether to reconnect.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from vineyard._C import InstanceStatus, VineyardException
from vineyard.core.connections.addresses import endpoint_of


def roomiest(
    instances: Mapping[int, dict[str, Any]],
    own: int,
    status_at: Callable[[tuple[str, int]], InstanceStatus],
) -> int | None:
    """The instance with the most free memory, other than `own`; None if no other answers.

    `instances` are those of the cluster, as `client.meta` has them; `status_at` asks one of them.
    """
    free: dict[int, int] = {}
    for instance, described in instances.items():
        if instance == own:
            continue
        try:
            status = status_at(endpoint_of(described))
        except (VineyardException, OSError, ValueError):
            continue  # It has gone, or does not listen.
        free[instance] = status.memory_limit - status.memory_usage
    return max(free, key=lambda instance: free[instance]) if free else None
