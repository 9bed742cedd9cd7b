"""How the nodes of one script find each other: by invitations, which are kept in a file per name.

An invitation is text with a node's address and its cluster's join token; `start_vineyardd` yields
it where the released package yields the address of an etcd. Where a script names an etcd itself,
the first node leaves its invitation in a folder of the user, under that name, and the next ones
find it there.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SCHEME = "vineyard://"
PROBE_SECONDS = 2.0


@dataclass(frozen=True)
class Invitation:
    """What a node needs to join a cluster: where one of its nodes is, and the token. Treat it as a
    password.
    """

    endpoint: str
    token: str

    def __str__(self) -> str:
        return f"{SCHEME}{self.token}@{self.endpoint}"

    @classmethod
    def parse(cls, text: str) -> Invitation | None:
        """The invitation in `text` (str), or None if it is something else, such as an etcd's
        address.
        """
        token, at, endpoint = text.removeprefix(SCHEME).rpartition("@")
        return cls(endpoint, token) if text.startswith(SCHEME) and at else None

    def is_open(self) -> bool:
        """Whether a node listens at the address (bool)."""
        host, _, port = self.endpoint.rpartition(":")
        try:
            socket.create_connection((host, int(port)), PROBE_SECONDS).close()
        except OSError:
            return False
        return True


class InvitationFile:
    """The invitations of the running nodes that were started under one name."""

    def __init__(self, name: str) -> None:
        """Finds the file of a name.

        Parameters:
            name: str
                Any text, such as an etcd's address and a prefix.

        Raises:
            PermissionError: the folder for these files belongs to another user.
        """
        folder = Path(tempfile.gettempdir()) / f"vineyard-clusters-{os.getuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.stat().st_uid != os.getuid():
            raise PermissionError(
                f"{folder} belongs to another user; it holds join tokens, so it is not used"
            )
        self._path = folder / hashlib.sha256(name.encode()).hexdigest()[:32]

    @contextmanager
    def locked(self) -> Iterator[list[Invitation]]:
        """Locks the file while a node starts: of two nodes started at once, one founds the cluster
        and the other joins it.

        Yields:
            The invitations (list of Invitation) of nodes that still listen; changes of the list are
            written to the file.
        """
        with open(
            os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600), "r+", encoding="utf-8"
        ) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            kept = [Invitation(*pair) for pair in json.loads(file.read() or "[]")]
            kept = [invitation for invitation in kept if invitation.is_open()]
            yield kept
            file.seek(0)
            file.truncate()
            json.dump([(invitation.endpoint, invitation.token) for invitation in kept], file)
