"""Storage servers in this process: S3, SFTP, WebHDFS and OSS, each on a port that the system
picks.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import http.server
import json
import os
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from oss_server import Oss

KEYS = {"key": "testing", "secret": "testing-secret"}
READY_SECONDS = 20


@contextlib.contextmanager
def s3(bucket: str) -> Iterator[dict[str, Any]]:
    """Storage options of an S3 server that has one bucket."""
    import s3fs
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    options = {**KEYS, "endpoint_url": f"http://{host}:{port}"}
    options["client_kwargs"] = {"region_name": "eu-west-1"}
    try:
        s3fs.S3FileSystem(**options).mkdir(bucket)
        yield options
    finally:
        # All such servers of a process have the same buckets.
        reset = f"{options['endpoint_url']}/moto-api/reset"
        urllib.request.urlopen(urllib.request.Request(reset, method="POST")).close()
        server.stop()


@contextlib.contextmanager
def sftp(folder: Path) -> Iterator[dict[str, Any]]:
    """Storage options of an SFTP server whose root is a folder."""
    import asyncssh

    class Login(asyncssh.SSHServer):
        def begin_auth(self, username: str) -> bool:
            return False

    started = threading.Event()
    found: dict[str, Any] = {}

    async def serve() -> None:
        server = await asyncssh.create_server(
            Login,
            "127.0.0.1",
            0,
            server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
            sftp_factory=lambda channel: asyncssh.SFTPServer(channel, chroot=str(folder)),
        )
        found["port"] = server.sockets[0].getsockname()[1]
        found["stop"] = asyncio.Event()
        found["loop"] = asyncio.get_running_loop()
        started.set()
        await found["stop"].wait()
        server.close()
        await server.wait_closed()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert started.wait(READY_SECONDS)
    try:
        yield {"host": "127.0.0.1", "port": found["port"], "username": "x", "known_hosts": None}
    finally:
        found["loop"].call_soon_threadsafe(found["stop"].set)
        thread.join()


class _WebHdfs(http.server.BaseHTTPRequestHandler):
    """A folder as WebHDFS shows it. As in HDFS, a rename onto a file that is there is refused."""

    folder: Path
    protocol_version = "HTTP/1.1"
    # A head and its body in one packet: two would wait for each other.
    wbufsize = 1 << 16

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _asked(self) -> tuple[str, Path, dict[str, str]]:
        parts = urlsplit(self.path)
        query = {name.lower(): values[0] for name, values in parse_qs(parts.query).items()}
        path = unquote(parts.path).removeprefix("/webhdfs/v1").strip("/")
        return query["op"].upper(), self.folder / path, query

    def _answer(self, value: Any, status: int = 200, **headers: str) -> None:
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        for name, text in headers.items():
            self.send_header(name, text)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _missing(self, path: Path) -> None:
        error = {"exception": "FileNotFoundException", "message": f"no {path.name}"}
        self._answer({"RemoteException": error}, 404)

    def _status(self, path: Path) -> dict[str, Any]:
        kind = "DIRECTORY" if path.is_dir() else "FILE"
        return {"pathSuffix": path.name, "length": path.stat().st_size, "type": kind}

    def do_GET(self) -> None:
        operation, path, query = self._asked()
        if not path.exists():
            self._missing(path)
        elif operation == "GETFILESTATUS":
            self._answer({"FileStatus": self._status(path)})
        elif operation == "LISTSTATUS":
            listed = sorted(path.iterdir()) if path.is_dir() else [path]
            statuses = [self._status(one) for one in listed]
            self._answer({"FileStatuses": {"FileStatus": statuses}})
        else:
            begin = int(query.get("offset", 0))
            self._answer(path.read_bytes()[begin : begin + int(query.get("length", 1 << 40))])

    def do_PUT(self) -> None:
        operation, path, query = self._asked()
        self._content = self._body()
        if operation == "MKDIRS":
            path.mkdir(parents=True, exist_ok=True)
            self._answer({"boolean": True})
        elif operation == "RENAME":
            target = self.folder / query["destination"].strip("/")
            refused = not path.exists() or target.exists()
            if not refused:
                os.rename(path, target)
            self._answer({"boolean": not refused})
        elif "created" not in query:
            self._redirect("created")
        else:
            path.write_bytes(self._content)
            self._answer(b"", 201)

    def do_POST(self) -> None:
        _, path, query = self._asked()
        content = self._body()
        if "created" not in query:
            self._redirect("created")
            return
        with path.open("ab") as opened:
            opened.write(content)
        self._answer(b"")

    def do_DELETE(self) -> None:
        _, path, _ = self._asked()
        path.unlink(missing_ok=True)
        self._answer({"boolean": True})

    def _redirect(self, mark: str) -> None:
        host, port = self.server.server_address[:2]
        location = f"http://{host}:{port}{self.path}&{mark}=1"
        self._answer(b"", 307, Location=location)


class _Files(http.server.SimpleHTTPRequestHandler):
    """The files of a folder; as the standard library has it, without ranges."""

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextlib.contextmanager
def web(folder: Path) -> Iterator[str]:
    """The URL of a folder."""
    with _serving(functools.partial(_Files, directory=str(folder))) as port:
        yield f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def webhdfs(folder: Path) -> Iterator[dict[str, Any]]:
    """Storage options of a WebHDFS server whose root is a folder."""
    handler = type("Handler", (_WebHdfs,), {"folder": folder})
    with _serving(handler) as port:
        yield {"host": "127.0.0.1", "port": port}


@contextlib.contextmanager
def oss(bucket: str) -> Iterator[dict[str, Any]]:
    """Storage options of a server as OSS is one, that has one bucket."""
    handler = type("Handler", (Oss,), {"bucket": bucket, "objects": {}})
    with _serving(handler) as port:
        yield {**KEYS, "endpoint": f"http://127.0.0.1:{port}"}


@contextlib.contextmanager
def _serving(handler: Any) -> Iterator[int]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
