"""What a client does when its instance is full: go to the one with the most room.

Promise: it looks, it does not move anything; the caller decides whether to go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vineyard._C import VineyardException
from vineyard.core.remote import endpoint_of

if TYPE_CHECKING:
    from vineyard.core.client import Client


def roomiest(client: Client) -> int | None:
    """The other instance with the most free memory (int, its id), or None if no other answers."""
    free: dict[int, int] = {}
    for instance, described in client.meta.items():
        if instance == _own(client):
            continue
        try:
            status = client._rpc_to(endpoint_of(described)).status
        except (VineyardException, OSError, ValueError):
            continue  # It is gone or does not listen: not a place to go to.
        free[instance] = status.memory_limit - status.memory_usage
    return max(free, key=lambda instance: free[instance]) if free else None


def _own(client: Client) -> int:
    if client.has_ipc_client():
        return client.ipc_client.instance_id
    return client.rpc_client.remote_instance_id
