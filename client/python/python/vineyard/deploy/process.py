"""One `vineyardd` as a child process: started, waited for until it serves, stopped.

Promise: a node started here ends when this process ends (unless its program is not the one of this
package). A node that does not start is stopped, and the end of its log is in the error.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from typing import IO

from vineyard._C import ConnectionFailedException, _connect

READY_SECONDS = 120
STOP_SECONDS = 20
POLL_SECONDS = 0.02
LOG_BYTES_SHOWN = 8192

# The read end of a pipe whose write end the parent keeps open: the child ends when that is closed.
PARENT_VARIABLE = "VINEYARD_PARENT_FD"
# A temporary folder that the child removes at its end, because the parent may have been killed.
FOLDER_VARIABLE = "VINEYARD_PARENT_FOLDER"


@dataclass
class Flags:
    """What a node is started with."""

    socket: str
    data_dir: str
    folder: str
    size: str = ""
    rpc: bool = True
    port: int = 9600
    join: list[str] = field(default_factory=list)
    token: str | None = None
    debug: bool = False
    program: str | None = None

    def command(self) -> list[str]:
        """The command line; the token is not in it."""
        program = [self.program] if self.program else [sys.executable, "-m", "vineyard"]
        command = [*program, "--socket", self.socket, "--data-dir", self.data_dir]
        command += ["--listen", f"127.0.0.1:{self.port if self.rpc else 0}"]
        command += ["--rpc" if self.rpc else "--norpc"]
        if self.size:
            command += ["--size", str(self.size)]
        command += ["--join", ",".join(self.join)] if self.join else ["--found"]
        return [*command, "--log", "debug,openraft=info" if self.debug else "info,openraft=error"]


class NodeProcess:
    """A running node.

    `process` is its Popen, `socket` its Unix socket, `endpoint` its `host:port`; `token` is what
    others need to join it.
    """

    def __init__(self, flags: Flags) -> None:
        """Starts a node and waits until it serves.

        Parameters:
            flags: Flags
                What to start it with.

        Raises:
            RuntimeError: it ended, or did not serve in time; the message has the end of its log.
            FileNotFoundError: there is no such program.
        """
        self.socket = flags.socket
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - stop() closes it
        self._lifeline: int | None = None
        self.process = self._spawn(flags)
        try:
            self.endpoint, self.token = self._wait_ready()
        except BaseException:
            self.stop()
            raise

    def _spawn(self, flags: Flags) -> subprocess.Popen[bytes]:
        environment = dict(os.environ)
        if flags.token:
            environment["VINEYARD_TOKEN"] = flags.token
        log = None if flags.debug else self._log
        reader, self._lifeline = os.pipe()
        try:
            environment[PARENT_VARIABLE] = str(reader)
            environment[FOLDER_VARIABLE] = flags.folder
            return subprocess.Popen(
                flags.command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                pass_fds=(reader,),
                # Ctrl-C goes to the parent alone; closing the lifeline then ends the node.
                start_new_session=True,
            )
        except BaseException:
            self._close_lifeline()
            raise
        finally:
            os.close(reader)

    def _wait_ready(self) -> tuple[str, str]:
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(
                    f"vineyardd exited unexpectedly with code {self.process.returncode}, "
                    f"error is:\n{self.log()}"
                )
            if os.path.exists(self.socket):
                with contextlib.suppress(ConnectionFailedException):
                    return self._ask()
            time.sleep(POLL_SECONDS)
        raise RuntimeError(f"vineyardd did not serve after {READY_SECONDS} s:\n{self.log()}")

    def _ask(self) -> tuple[str, str]:
        """The endpoint of the node, and the token of its cluster."""
        # A connection of its own: the client of a path is shared, and others go on with it.
        client = _connect(self.socket).fork()
        try:
            return client.rpc_endpoint, client._token()
        finally:
            client.close()

    def log(self) -> str:
        """The end of what the node wrote (str)."""
        self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, self._log.tell() - LOG_BYTES_SHOWN))
        return self._log.read().decode(errors="replace")

    def stop(self) -> None:
        """Ends the node and waits until it has ended; does nothing if it has."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._close_lifeline()
        self._log.close()

    def _close_lifeline(self) -> None:
        if self._lifeline is not None:
            os.close(self._lifeline)
            self._lifeline = None


def end_with_parent() -> str | None:
    """In the child: ends this process when its parent has ended, even if the parent was killed.

    Returns:
        str or None: the folder to remove at the end.
    """
    number = os.environ.pop(PARENT_VARIABLE, None)
    folder = os.environ.pop(FOLDER_VARIABLE, None)
    if number is None:
        return None

    def watch(descriptor: int) -> None:
        while os.read(descriptor, 1):
            pass  # The parent writes nothing: a read returns when the pipe is closed.
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, args=(int(number),), daemon=True).start()
    return folder
