"""A proxy between a client and a node that counts the round trips.

Promise: bytes and descriptors arrive unchanged and in order. A round trip is counted when the node
sends after the client has sent, in any number of pieces: it is what a caller waits for. The proxy
knows nothing of the protocol. It is a process of its own, because a client that holds the
interpreter while it waits would block a proxy in the same process.
"""

from __future__ import annotations

import array
import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PIECE_BYTES = 1 << 20
FDS_MAX = 16
Address = str | tuple[str, int]


@dataclass
class Trips:
    """How many round trips there were inside a `with proxy.counted()`."""

    count: int = 0


class Proxy:
    """A proxy to a node, as a process that ends with `close` or with this process.

    `target` is the node's Unix socket or its `(host, port)`; the proxy listens on a socket of the
    same kind, at `address`.
    """

    def __init__(self, target: Address, folder: Path) -> None:
        arguments = json.dumps({"target": target, "folder": str(folder)})
        command = [sys.executable, __file__, arguments]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
        address = self._read()
        self.address: Address = address if isinstance(address, str) else tuple(address)

    def _read(self) -> object:
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the proxy ended with {self._process.wait()}")
        return json.loads(line)

    @property
    def trips(self) -> int:
        """Round trips so far, all connections together."""
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return self._read()

    @contextlib.contextmanager
    def counted(self) -> Iterator[Trips]:
        """Counts the round trips of what is done inside."""
        trips, before = Trips(), self.trips
        yield trips
        trips.count = self.trips - before

    def close(self) -> None:
        """Ends the proxy and its connections."""
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *ignored: object) -> None:
        self.close()


class _Server:
    """The proxy's own side: two threads for each connection."""

    def __init__(self, target: Address, folder: Path) -> None:
        self._target = target
        self._lock = threading.Lock()
        self._trips = 0
        if isinstance(target, str):
            self.address: Address = str(folder / f"proxy-{os.getpid()}")
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(self.address)
        else:
            self._listener = socket.socket(socket.AF_INET)
            self._listener.bind(("127.0.0.1", 0))
            self.address = self._listener.getsockname()
        self._listener.listen()
        _start(self._accept)

    @property
    def trips(self) -> int:
        with self._lock:
            return self._trips

    def _accept(self) -> None:
        while True:
            client, _ = self._listener.accept()
            node = socket.socket(self._listener.family)
            node.connect(self._target)
            for one in (client, node):
                if one.family == socket.AF_INET:
                    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            conversation = _Conversation()
            _start(self._forward, client, node, conversation, False)
            _start(self._forward, node, client, conversation, True)

    def _forward(
        self, source: socket.socket, sink: socket.socket, conversation: _Conversation, answers: bool
    ) -> None:
        with contextlib.suppress(OSError):
            while True:
                data, fds = _receive(source)
                if not data:
                    break
                with self._lock:
                    self._trips += conversation.heard(answers)
                try:
                    _send(sink, data, fds)
                finally:
                    for fd in fds:
                        os.close(fd)
        for one in (source, sink):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


class _Conversation:
    """Which side of one connection sent last."""

    def __init__(self) -> None:
        self._asked = False

    def heard(self, answers: bool) -> int:
        """Notes which side sent; returns 1 if that was an answer, else 0."""
        trips = int(answers and self._asked)
        self._asked = not answers
        return trips


def _receive(source: socket.socket) -> tuple[bytes, list[int]]:
    if source.family == socket.AF_INET:
        return source.recv(PIECE_BYTES), []
    fds = array.array("i")
    data, ancillary, _, _ = source.recvmsg(PIECE_BYTES, socket.CMSG_LEN(FDS_MAX * fds.itemsize))
    for level, kind, content in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds.frombytes(content[: len(content) - len(content) % fds.itemsize])
    return data, list(fds)


def _send(sink: socket.socket, data: bytes, fds: list[int]) -> None:
    """Sends descriptors with the last byte, and the bytes before it without them."""
    if not fds:
        sink.sendall(data)
        return
    if len(data) > 1:
        sink.sendall(data[:-1])
    socket.send_fds(sink, [data[-1:]], fds)


def _start(function: object, *arguments: object) -> None:
    threading.Thread(target=function, args=arguments, daemon=True).start()


def main() -> None:
    """Prints the address, then the count for each line it reads, until the end of its input."""
    arguments = json.loads(sys.argv[1])
    target = arguments["target"]
    folder = Path(arguments["folder"])
    server = _Server(target if isinstance(target, str) else tuple(target), folder)
    print(json.dumps(server.address), flush=True)
    for _ in sys.stdin:
        print(server.trips, flush=True)
    if isinstance(server.address, str):
        os.unlink(server.address)
    # The threads of the proxy never end by themselves.
    os._exit(0)


if __name__ == "__main__":
    main()
