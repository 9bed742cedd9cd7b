"""One process that a read started on another host, as the read sees it.

Promise: its command line has no word of the job; its process ends with the read, and what it has
put is deleted there unless the read keeps it.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
import tempfile
import threading
from collections.abc import Callable
from typing import IO, Any

from vineyard._C import ObjectID
from vineyard.io._machines import messages
from vineyard.io._machines.here import pod_of
from vineyard.io.errors import ReadError

PROGRAM = ["python3", "-m", "vineyard.io.run"]
# A host that does not answer at all is dead after that.
CONNECT_SECONDS = 30
ALIVE_SECONDS = 15
END_SECONDS = 20.0
LOG_BYTES_SHOWN = 2000


def command_of(host: str, deployment: str) -> list[str]:
    """What starts the program on a host (list of str).

    Parameters:
        host: str
            As for ssh; or of kubernetes ``namespace:pod:container``, ``namespace:pod``, or the pod.
        deployment: str
            ``"ssh"`` or ``"kubernetes"``.
    """
    if deployment == "ssh":
        # Nobody is there to answer a question.
        options = ["BatchMode=yes", f"ConnectTimeout={CONNECT_SECONDS}"]
        options.append(f"ServerAliveInterval={ALIVE_SECONDS}")
        chosen = [word for option in options for word in ("-o", option)]
        return ["ssh", *chosen, "--", host, shlex.join(PROGRAM)]
    namespace, pod, container = pod_of(host)
    where = ["-n", namespace] if namespace else []
    which = ["-c", container] if container else []
    return ["kubectl", "exec", "-i", *where, pod, *which, "--", *PROGRAM]


class Remote:
    """Reads shares on another host. `parts` is what it has put, and `error` why it could not; both
    are None until it has answered.
    """

    def __init__(
        self,
        host: str,
        command: list[str],
        job: bytes,
        hide: Callable[[str], str],
        changed: threading.Condition,
    ) -> None:
        """Starts it.

        Parameters:
            host: str
                Its name.
            command: list of str
                What starts the program there.
            job: bytes
                Of :func:`vineyard.io._machines.messages.packed`.
            hide: callable
                Takes a text, and returns it without secrets.
            changed: threading.Condition
                Notified when it has answered.
        """
        self.host = host
        self.parts: list[ObjectID] | None = None
        self.described = ""
        self.error: Exception | None = None
        # How many of its streams have ended, and why those failed that did.
        self.ended: list[Exception | None] = []
        self._hide, self._changed, self._program = hide, changed, command[0]
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - end() closes it
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log
            )
        except OSError as error:
            self._log.close()
            reason = f"{self._program} cannot be started: {error.strerror}"
            raise ReadError(f"host {host}", reason) from error
        self._thread = threading.Thread(
            target=self._talk, args=(job,), name="vineyard-io-host", daemon=True
        )
        self._thread.start()

    def keep(self) -> None:
        """Tells it that what it put is a part of an object now."""
        self._tell(messages.KEEP)

    def stop(self) -> None:
        """Tells it to end before it is done."""
        self._tell(messages.STOP)

    def end(self) -> None:
        """Waits until it has ended. Unless it was told to keep what it put, that is deleted."""
        with contextlib.suppress(OSError):
            self._input.close()
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._thread.join()
        self._log.close()

    @property
    def _input(self) -> IO[bytes]:
        assert self._process.stdin is not None, "started with a pipe"
        return self._process.stdin

    def _tell(self, word: bytes) -> None:
        # That it has ended is found where it is read.
        with contextlib.suppress(OSError, ValueError):
            self._input.write(word)
            self._input.flush()

    def _talk(self, job: bytes) -> None:
        self._tell(job)
        assert self._process.stdout is not None, "started with a pipe"
        with self._process.stdout as answers:
            for line in answers:
                content = messages.answer_of(line)
                if content is not None:
                    with self._changed:
                        self._take(content)
                        self._changed.notify_all()
        error = self._early_end()
        with self._changed:
            if self.parts is None and self.error is None:
                self.error = error
            missing = len(self.parts or ()) - len(self.ended)
            self.ended += [self.error or error] * missing
            self._changed.notify_all()

    def _take(self, content: dict[str, Any]) -> None:
        if content.get("version", messages.VERSION) != messages.VERSION:
            self.error = ReadError(f"host {self.host}", "it has another version of vineyard-rs")
        elif "failed" in content:
            self.error = self._to_error(content["failed"])
        elif "ended" in content:
            found = content["ended"]
            self.ended.append(None if found is None else self._to_error(found))
        elif "parts" in content:
            self.parts = [ObjectID(part) for part in content["parts"]]
            self.described = content["files"]

    def _to_error(self, content: dict[str, Any]) -> Exception:
        shown = {
            name: self._hide(value) if isinstance(value, str) else value
            for name, value in content.items()
        }
        return messages.to_error(shown, self.host)

    def _early_end(self) -> ReadError:
        """The error of a process that has ended without an answer."""
        try:
            code = self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, self._log.tell() - LOG_BYTES_SHOWN))
        said = self._hide(self._log.read().decode(errors="replace").strip())
        reason = f"{self._program} ended with code {code}{': ' if said else ''}{said}"
        return ReadError(f"host {self.host}", reason)
