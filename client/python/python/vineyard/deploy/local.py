"""Nodes on this machine: one for a script, several as a cluster, a private one for
`vineyard.connect()`.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Generator

from vineyard.deploy.invitation import Invitation, InvitationFile
from vineyard.deploy.process import Flags, NodeProcess

METAS = ("etcd", "local")


@contextlib.contextmanager
def start_vineyardd(
    meta: str | None = "etcd",
    etcd_endpoints: str | None = None,
    etcd_prefix: str | None = None,
    vineyardd_path: str | None = None,
    size: str | None = "",
    socket: str | None = None,
    rpc: bool | str | None = True,
    rpc_socket_port: int | str | None = 9600,
    debug: bool = False,
) -> Generator[tuple[subprocess.Popen[bytes], str, str], None, None]:
    """Starts a node on this machine, for the time of a with block.

    >>> with start_vineyardd(rpc_socket_port=0) as (process, socket, cluster):
    ...     object_id = vineyard.connect(socket).put([1, 2, 3], persist=True)
    ...     with start_vineyardd(etcd_endpoints=cluster, rpc_socket_port=0) as (_, second, _):
    ...         vineyard.connect(second).get(object_id)
    [1, 2, 3]

    Parameters:
        meta: str or None
            ``"etcd"`` or ``"local"``; either way the nodes keep the metadata themselves, and need
            no etcd. Default ``"etcd"``.
        etcd_endpoints: str or None
            The third value that another ``start_vineyardd`` yielded: the node joins its cluster. Or
            any other text,
            such as the address of an etcd, which is not contacted: nodes of this user started on
            this machine with the same text and ``etcd_prefix`` form one cluster. None: a cluster of
            its own.
        etcd_prefix: str or None
            Tells clusters on the same etcd apart.
        vineyardd_path: str or None
            The program; None: the node in this package.
        size: str or None
            Shared memory: bytes, or with a suffix, as in ``"512M"``, ``"1.5Gi"`` (``M`` and ``Mi``
            are both 2**20 bytes). Empty: half of the machine's memory, taken as it is used.
        socket: str or None
            The path of its Unix socket; None: in a temporary folder.
        rpc: bool
            Whether it serves clients over TCP. Default True.
        rpc_socket_port: int or str
            The TCP port; 0 is any free one. Default 9600.
        debug: bool
            Whether its log goes to standard error. Default False.

    Yields:
        tuple of (subprocess.Popen, str, str): the process, its Unix socket, and what a second call
        takes as ``etcd_endpoints`` to join its cluster. Treat the last as a password.

    Raises:
        RuntimeError: an unknown ``meta``, or the node ended; the message has the end of its log.
        FileNotFoundError: there is no program at ``vineyardd_path``.
    """
    if meta not in (*METAS, None):
        raise RuntimeError(
            f"unknown meta {meta!r}: it is 'etcd' or 'local'; either way, no etcd is needed"
        )
    folder = tempfile.mkdtemp(prefix="vineyard-")
    node: NodeProcess | None = None
    flags = Flags(
        socket=socket or os.path.join(folder, "vineyard.sock"),
        data_dir=os.path.join(folder, "data"),
        folder=folder,
        size=str(size or ""),
        rpc=bool(rpc),
        port=int(rpc_socket_port or 0),
        debug=debug,
        program=vineyardd_path,
    )
    try:
        node, invitation = _start(flags, None if meta == "local" else etcd_endpoints, etcd_prefix)
        yield node.process, node.socket, str(invitation)
    finally:
        if node is not None:
            node.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _start(
    flags: Flags, etcd_endpoints: str | None, etcd_prefix: str | None
) -> tuple[NodeProcess, Invitation]:
    """Starts a node, in the cluster that `etcd_endpoints` names if it names one."""
    if not etcd_endpoints:
        return _join(flags, [])
    invitation = Invitation.parse(etcd_endpoints)
    if invitation is not None:
        return _join(flags, [invitation])
    with InvitationFile(f"{etcd_endpoints} {etcd_prefix or ''}").locked() as invitations:
        node, mine = _join(flags, invitations)
        invitations.append(mine)
        return node, mine


def _join(flags: Flags, invitations: list[Invitation]) -> tuple[NodeProcess, Invitation]:
    if invitations:
        flags.join = [invitation.endpoint for invitation in invitations]
        flags.token = invitations[0].token
    node = NodeProcess(flags)
    return node, Invitation(node.endpoint, node.token)


class _Private:
    """The node of this process, if it has one. A forked child uses it and never ends it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._node: NodeProcess | None = None
        self._folder = ""
        self._pid = 0
        atexit.register(self.stop)

    @property
    def socket(self) -> str | None:
        return self._node.socket if self._node is not None else None

    def start(self) -> None:
        with self._lock:
            assert self._node is None, (
                "vineyard.try_init() was called before: vineyard.shutdown() ends that node"
            )
            if os.environ.get("VINEYARD_IPC_SOCKET"):
                raise ValueError(
                    "VINEYARD_IPC_SOCKET is set, so there is a node to connect to: unset it to "
                    "start a private one"
                )
            self._start()

    def ensure(self) -> str:
        """The socket of the node of this process, started now if there is none: for threads that
        find none at the same time.
        """
        with self._lock:
            if self._node is None:
                self._start()
            assert self._node is not None
            return self._node.socket

    def _start(self) -> None:
        """Starts the node; the lock is held."""
        self._folder, self._pid = tempfile.mkdtemp(prefix="vineyard-"), os.getpid()
        try:
            self._node = NodeProcess(
                Flags(
                    socket=os.path.join(self._folder, "vineyard.sock"),
                    data_dir=os.path.join(self._folder, "data"),
                    folder=self._folder,
                    rpc=False,
                )
            )
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise
        os.environ["VINEYARD_IPC_SOCKET"] = self._node.socket

    def stop(self) -> None:
        with self._lock:
            node, self._node = self._node, None
            if node is None or self._pid != os.getpid():
                return
            if os.environ.get("VINEYARD_IPC_SOCKET") == node.socket:
                del os.environ["VINEYARD_IPC_SOCKET"]
            node.stop()
            shutil.rmtree(self._folder, ignore_errors=True)


_private = _Private()


def private_socket() -> str:
    """The Unix socket of this process's private node (str), which is started if there is none.

    Raises:
        RuntimeError: the node did not start; the message has the end of its log.
    """
    return _private.ensure()


def try_init() -> None:
    """Starts a private node for this process and sets VINEYARD_IPC_SOCKET to its socket. It ends
    with the process.

    Its memory is half of the machine's at most, taken as it is used; it does not listen to other
    machines.

    Raises:
        AssertionError: there is a private node already.
        ValueError: VINEYARD_IPC_SOCKET is set.
        RuntimeError: the node did not start; the message has the end of its log.
    """
    _private.start()


def shutdown() -> None:
    """Ends the private node, if there is one, and unsets VINEYARD_IPC_SOCKET."""
    _private.stop()


def get_current_socket() -> str:
    """The Unix socket of the private node that :func:`try_init` started (str).

    Raises:
        ValueError: there is none.
    """
    socket = _private.socket
    if socket is None:
        raise ValueError(
            "Vineyard has not been initialized, use vineyard.try_init() to launch vineyard "
            "instances"
        )
    return socket


__all__ = ["get_current_socket", "shutdown", "start_vineyardd", "try_init"]
