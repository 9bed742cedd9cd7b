"""A read whose shares are read on several hosts, which this process starts.

Promise: all hosts put their shares and the object is made of them, or nothing of it is left.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator
from typing import Any

from vineyard._C import ObjectID
from vineyard.io._machines import messages
from vineyard.io._machines.here import is_here
from vineyard.io._machines.remote import Remote, command_of
from vineyard.io._reading import Reading, Share, make_reading
from vineyard.io.errors import ReadError

# What is for this process alone.
_HERE = ("client", "hosts", "deployment", "num_workers", "name", "run_id", "progress")


def read_on_hosts(
    path: Any, how: Any, chunk_hook: Any, handlers: Any, keywords: dict[str, Any]
) -> Any:
    """Reads files with a process on each of several hosts.

    Parameters:
        path, how, chunk_hook, handlers, keywords:
            As of :func:`vineyard.io._reading.read_files`.

    Raises:
        ReadError: a host cannot be reached, or cannot read; the text names it.
        ValueError: a host has no name, or ranks are given, too.
    """
    # All options are checked before a process is started.
    reading = make_reading(path, how, chunk_hook, keywords, Share(0, 0, 1))
    call = reading.call
    if "rank" in call or "size" in call:
        raise ValueError("give hosts=, which starts processes, or rank= and size= of this one")
    for host in call["hosts"]:
        if not host or host.startswith("-"):
            raise ValueError(f"{host!r} in hosts is no name of a host")
    spread = _Spread(reading, path, how, chunk_hook, keywords)
    try:
        parts = spread.put()
        made = reading.join(parts)
    except BaseException:
        spread.discard()
        raise
    reading.jobs = spread.keep()
    return reading.result(made, handlers)


@dataclasses.dataclass
class _Own:
    """Shares that this process reads."""

    reading: Reading
    parts: list[ObjectID] = dataclasses.field(default_factory=list)


class _Spread:
    """The shares of a read, on hosts."""

    def __init__(
        self, reading: Reading, path: Any, how: Any, hook: Any, keywords: dict[str, Any]
    ) -> None:
        """Starts a process on each host."""
        self._reading = reading
        self._changed = threading.Condition()
        self._all: list[_Own | Remote] = []
        sent = {name: value for name, value in keywords.items() if name not in _HERE}
        hide = reading.storage.secrets.hide
        deployment = reading.call.get("deployment", "ssh")
        try:
            for host, share in _shares(reading.call["hosts"], reading.workers):
                if is_here(host, deployment):
                    own = make_reading(path, how, hook, keywords, share)
                    self._all.append(_Own(own))
                    continue
                job = {"path": path, "how": how, "hook": hook, "keywords": sent, "share": share}
                command = command_of(host, deployment)
                one = Remote(host, command, messages.packed(job), hide, self._changed)
                self._all.append(one)
        except BaseException:
            self.discard()
            raise

    def put(self) -> list[ObjectID]:
        """What all have put, in order.

        Raises:
            Exception: what the first failed of that did.
        """
        for one in self._own():
            one.reading.open()
            one.parts = one.reading.put(self._check)
        with self._changed:
            self._changed.wait_for(self._are_done)
        self._check()
        self._compare()
        return [part for one in self._all for part in one.parts or ()]

    def discard(self) -> None:
        """Ends all processes; they delete what they have put, and so does this one."""
        for one in self._remotes():
            one.stop()
        for one in self._remotes():
            one.end()
        # Those that were killed delete nothing.
        left = [part for one in self._remotes() for part in one.parts or ()]
        for own in self._own():
            if own.parts:
                own.reading.discard(own.parts)
        if left:
            self._reading.client.delete(left, force=True)

    def keep(self) -> list[Any]:
        """Tells all that the object is made; returns what fills its streams, if it has any."""
        for one in self._remotes():
            one.keep()
        jobs: list[Any] = []
        for each in self._all:
            if isinstance(each, _Own):
                jobs += each.reading.jobs
            elif self._reading.accumulates:
                each.end()
            else:
                jobs += _remote_jobs(self._reading.client, each, self._changed)
        return jobs

    def _own(self) -> list[_Own]:
        return [one for one in self._all if isinstance(one, _Own)]

    def _remotes(self) -> list[Remote]:
        return [one for one in self._all if isinstance(one, Remote)]

    def _check(self) -> None:
        for one in self._remotes():
            if one.error is not None:
                raise one.error

    def _are_done(self) -> bool:
        remotes = self._remotes()
        failed = any(one.error is not None for one in remotes)
        return failed or all(one.parts is not None for one in remotes)

    def _compare(self) -> None:
        """Fails if two hosts have found other files than one another."""
        found = {own.reading.described: "this one" for own in self._own()}
        for one in self._remotes():
            found.setdefault(one.described, f"host {one.host}")
        if len(found) > 1:
            (files, host), (others, other) = list(found.items())[:2]
            raise ReadError(host, f"found {files}, and {other} {others}")


def _shares(hosts: list[str], workers: int) -> Iterator[tuple[str, Share]]:
    """The shares of each host that has one."""
    for at, host in enumerate(hosts):
        first, end = (workers * one // len(hosts) for one in (at, at + 1))
        if first < end:
            yield host, Share(first, end - first, workers)


def _remote_jobs(client: Any, remote: Remote, changed: threading.Condition) -> list[RemoteJob]:
    streams = [client.get(part) for part in remote.parts or ()]
    jobs = [RemoteJob(remote, at, stream, changed) for at, stream in enumerate(streams)]
    end = threading.Thread(target=_end_after, args=(jobs,), name="vineyard-io-host", daemon=True)
    end.start()
    return jobs


def _end_after(jobs: list[RemoteJob]) -> None:
    for job in jobs:
        job.wait()
    for job in jobs[:1]:
        job.remote.end()


class RemoteJob:
    """One stream that a process on another host fills; as :class:`vineyard.io._streaming.Job`."""

    def __init__(self, remote: Remote, at: int, stream: Any, changed: threading.Condition) -> None:
        """`at`: which of the streams of that process."""
        self.remote, self.stream = remote, stream
        self._at, self._changed = at, changed
        # Bytes that were read there are not reported.
        self.total_bytes = 1

    def start(self) -> None:
        """It has begun already."""

    @property
    def read_bytes(self) -> int:
        """1 of 1 when it is done (int)."""
        return int(self._has_ended())

    @property
    def status(self) -> str:
        """``"running"``, ``"done"`` or ``"failed"`` (str)."""
        if not self._has_ended():
            return "running"
        return "done" if self.remote.ended[self._at] is None else "failed"

    @property
    def diagnostics(self) -> list[str]:
        """What went wrong (list of str)."""
        error = self.remote.ended[self._at] if self._has_ended() else None
        return [] if error is None else [str(error)]

    def wait(self, timeout: float | None = None) -> bool:
        """Waits until the stream is complete or has failed.

        Parameters:
            timeout: float or None
                The most seconds.

        Returns:
            bool: whether it is.
        """
        with self._changed:
            return self._changed.wait_for(self._has_ended, timeout)

    def join(self) -> None:
        """Waits until the stream is complete.

        Raises:
            ReadError: a file could not be read, or the host was lost.
        """
        self.wait()
        error = self.remote.ended[self._at]
        if error is not None:
            raise error

    def dispose(self) -> None:
        """Ends the reading on that host; readers of its streams are told."""
        self.remote.stop()

    def _has_ended(self) -> bool:
        return len(self.remote.ended) > self._at
