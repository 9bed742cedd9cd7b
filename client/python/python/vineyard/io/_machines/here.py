"""Which hosts are this machine."""

from __future__ import annotations

import socket
from typing import Any


def are_elsewhere(call: dict[str, Any]) -> bool:
    """Whether a call names a host that is not this machine (bool)."""
    deployment = call.get("deployment", "ssh")
    return any(not is_here(host, deployment) for host in call.get("hosts", ()))


def is_here(host: str, deployment: str) -> bool:
    """Whether a host is this machine, or this pod (bool)."""
    mine = socket.gethostname()
    name = pod_of(host)[1] if deployment == "kubernetes" else host
    return name in ("localhost", "127.0.0.1", "::1", mine, mine.partition(".")[0])


def pod_of(host: str) -> tuple[str, str, str]:
    """Namespace, pod and container of a host (str each); the first and the last may be empty."""
    namespace, colon, rest = host.partition(":")
    if not colon:
        return "", host, ""
    pod, _, container = rest.partition(":")
    return namespace, pod, container
