"""Storages that tests write to: a folder of this machine, memory, and the servers of
`io_servers`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import io_servers

BUCKET = "bucket"


class Storage:
    """A storage: its URL, its options, and what is in it."""

    def __init__(self, base: str, options: dict[str, Any]) -> None:
        self.base, self.options = base, options
        self.fs = fsspec.core.url_to_fs(base, **options)[0]
        self.root = self.fs._strip_protocol(base)

    def path(self, name: str) -> str:
        """The URL of a file."""
        return f"{self.base.rstrip('/')}/{name}"

    def files(self) -> set[str]:
        """The names of all files, hidden ones too."""
        self.fs.invalidate_cache()
        return {path.rpartition("/")[2] for path in self.fs.find(self.root)}

    def uploads(self) -> list[Any]:
        """The uploads that are neither completed nor aborted."""
        if not self.base.startswith("s3"):
            return []
        return self.fs.call_s3("list_multipart_uploads", Bucket=BUCKET).get("Uploads", [])

    def clear(self) -> None:
        """Removes all files, and aborts all uploads."""
        for path in self.fs.find(self.root):
            self.fs.rm(path)
        for one in self.uploads():
            which = {"Bucket": BUCKET, "Key": one["Key"], "UploadId": one["UploadId"]}
            self.fs.call_s3("abort_multipart_upload", **which)


@contextlib.contextmanager
def storages(folder: Callable[[str], Path]) -> Iterator[Callable[[str], Storage]]:
    """Gives each kind of storage, started when it is first asked for, and empty. `folder` makes
    one for each.
    """
    with contextlib.ExitStack() as stack:
        made: dict[str, Storage] = {}

        def get(kind: str) -> Storage:
            if kind not in made:
                made[kind] = _start(kind, stack, folder(kind))
            made[kind].clear()
            return made[kind]

        yield get


def _start(kind: str, stack: contextlib.ExitStack, folder: Path) -> Storage:
    if kind == "s3":
        return Storage(f"s3://{BUCKET}/x", stack.enter_context(io_servers.s3(BUCKET)))
    if kind == "sftp":
        return Storage("sftp:///in", stack.enter_context(io_servers.sftp(folder)))
    if kind == "webhdfs":
        return Storage("webhdfs:///in", stack.enter_context(io_servers.webhdfs(folder)))
    if kind == "memory":
        return Storage("memory://whole", {})
    return Storage(f"file://{folder}", {})
