"""Nodes on other machines, started over ssh as one cluster.

Promise: the nodes end with the with block, and also when this process is killed: each reads from
its ssh connection and ends when that is closed.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import socket as sockets
import subprocess
import sys
import tempfile
import threading
from collections.abc import Generator, Sequence
from typing import IO

from vineyard.deploy.invitation import Invitation
from vineyard.deploy.process import LOG_BYTES_SHOWN, READY_SECONDS, STOP_SECONDS

# The token is read from standard input, so that no process list shows it. Nothing else is written
# there; when it is closed, the node is stopped. The first line of standard output says that the
# node serves, and the token for the next ones.
SCRIPT = """
program=$1; control=$2; socket=$3; shift 3
exec 3<&0
IFS= read -r VINEYARD_TOKEN <&3
if [ -n "$VINEYARD_TOKEN" ]; then export VINEYARD_TOKEN; else set -- "$@" --found; fi
folder=$(mktemp -d) || exit 1
"$program" --socket "$socket" --data-dir "$folder" "$@" </dev/null >&2 3<&- &
node=$!
( while IFS= read -r _ <&3; do :; done; kill $node ) >/dev/null 2>&1 &
watcher=$!
exec 3<&-
while kill -0 $node 2>/dev/null; do
  if token=$("$control" --socket "$socket" token 2>/dev/null </dev/null); then
    echo "ready $token"
    break
  fi
  sleep 0.1
done
wait $node; code=$?
kill $watcher 2>/dev/null
rm -rf "$folder"
exit $code
"""


class _Remote:
    """One node on a host, and the ssh that carries it."""

    def __init__(self, host: str, command: list[str], token: str, debug: bool) -> None:
        self._host = host
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - stop() closes it
        self.process = subprocess.Popen(
            ["ssh", host, shlex.join(command)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if debug else self._log,
        )
        # It may have ended already: waiting for it gives the reason.
        with contextlib.suppress(BrokenPipeError):
            self._input.write(f"{token}\n".encode())
            self._input.flush()

    @property
    def _input(self) -> IO[bytes]:
        assert self.process.stdin is not None, "started with a pipe"
        return self.process.stdin

    def wait_ready(self) -> str:
        """Waits until the node serves; returns its cluster's token."""
        line = [b""]
        reader = threading.Thread(target=lambda: line.append(self._first_line()), daemon=True)
        reader.start()
        reader.join(READY_SECONDS)
        word, _, token = line[-1].decode(errors="replace").strip().partition(" ")
        if word == "ready" and token:
            return token
        self.stop()
        raise RuntimeError(
            f"vineyardd on {self._host} did not serve; ssh ended with code "
            f"{self.process.returncode}, error is:\n{self._end_of_log()}"
        )

    def _first_line(self) -> bytes:
        assert self.process.stdout is not None, "started with a pipe"
        return self.process.stdout.readline()

    def _end_of_log(self) -> str:
        self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, self._log.tell() - LOG_BYTES_SHOWN))
        return self._log.read().decode(errors="replace")

    def hang_up(self) -> None:
        """Tells the node to end."""
        with contextlib.suppress(BrokenPipeError):
            self._input.close()

    def stop(self) -> None:
        """Tells the node to end, and waits until it has."""
        self.hang_up()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextlib.contextmanager
def start_vineyardd(
    hosts: Sequence[str] | None = None,
    etcd_endpoints: str | None = None,
    vineyardd_path: str | None = None,
    size: str = "",
    socket: str = "/var/run/vineyard.sock",
    rpc_socket_port: int = 9600,
    debug: bool = False,
) -> Generator[tuple[list[subprocess.Popen[bytes]], str, str], None, None]:
    """Starts a node on each of several machines, over ssh, as one cluster, for the time of a with
    block.

    ssh must log this user in on each machine without asking anything, and each must have this
    package or `vineyardd` and `vineyardctl`.

    >>> hosts = ["node1", "node2", "node3"]
    >>> with start_vineyardd(hosts) as (processes, socket, cluster):  # doctest: +SKIP
    ...     client = vineyard.connect(socket)

    Parameters:
        hosts: list of str or None
            The machines, as for ssh; other machines of the cluster must reach them by these names.
            None: localhost.
        etcd_endpoints: str or None
            The third value that another ``start_vineyardd`` yielded: the nodes join its cluster.
            Anything else is not used, since nodes need no etcd.
        vineyardd_path: str or None
            The program there, with ``vineyardctl`` beside it; None: the one on the PATH there, or
            in the folder that this interpreter has here.
        size: str
            Shared memory of each node: bytes, or with a suffix, as in ``"512M"`` (2**20 bytes
            each). Empty: half of the memory of its machine.
        socket: str
            The path of the Unix socket on each host.
        rpc_socket_port: int
            The TCP port of each. Default 9600.
        debug: bool
            Whether their logs go to standard error. Default False.

    Yields:
        tuple of (list of subprocess.Popen, str, str): the ssh of each host, the Unix socket, and
        what another call takes as ``etcd_endpoints`` to join the cluster. Treat the last as a
        password.

    Raises:
        RuntimeError: a node did not start; the message has the host and the end of its log.
        FileNotFoundError: there is no ssh.
    """
    hosts = list(hosts) if hosts is not None else ["localhost"]
    invitation = Invitation.parse(etcd_endpoints) if etcd_endpoints else None
    remotes: list[_Remote] = []

    def start(host: str, join: Invitation | None) -> _Remote:
        command = _command(host, vineyardd_path, size, socket, rpc_socket_port, join)
        remote = _Remote(host, command, join.token if join else "", debug)
        remotes.append(remote)
        return remote

    try:
        waiting = hosts
        if invitation is None:
            token = start(hosts[0], None).wait_ready()
            invitation = Invitation(f"{address_of(hosts[0])}:{rpc_socket_port}", token)
            waiting = hosts[1:]
        for remote in [start(host, invitation) for host in waiting]:
            remote.wait_ready()
        yield [remote.process for remote in remotes], socket, str(invitation)
    finally:
        for remote in remotes:
            remote.hang_up()
        for remote in remotes:
            remote.stop()


def _command(
    host: str, program: str | None, size: str, socket: str, port: int, join: Invitation | None
) -> list[str]:
    """The command for the shell of the host; it has no secret in it."""
    control = os.path.join(os.path.dirname(program), "vineyardctl") if program else "vineyardctl"
    path = f"PATH=$PATH:{shlex.quote(os.path.dirname(sys.executable))}\n"
    arguments = [program or "vineyardd", control, socket]
    arguments += ["--listen", f"{address_of(host)}:{port}", "--deployment", "distributed"]
    arguments += ["--size", str(size)] if size else []
    arguments += ["--join", join.endpoint] if join else []
    return ["sh", "-c", path + SCRIPT, "vineyard", *arguments]


def address_of(host: str) -> str:
    """The address other machines reach a host at (str): what its name means here, without the user
    before the @.
    """
    name = host.rpartition("@")[2]
    try:
        return sockets.gethostbyname(name)
    except OSError:
        return name


__all__ = ["start_vineyardd"]
