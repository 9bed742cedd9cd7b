"""Files that appear whole or not at all.

Promise: until `publish`, nothing stands under the names that were asked for that did not stand
there before; after an error nothing is left of what was written. A writer that is killed leaves at
most a hidden temporary file, or an upload that was not completed.

On file systems that rename, a file is written under a hidden name beside its target and renamed.
On object stores the upload is completed by `publish`.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Generator
from types import TracebackType
from typing import Any, Self

from vineyard.io._paths import Place, scheme_of_fs
from vineyard.io._writers.durable import DurableFile
from vineyard.io.errors import WriteError

# Schemes whose uploads can be kept apart until they are completed.
_UPLOADING = ("s3", "s3a", "gs", "gcs")
# Schemes whose files are renamed over one that is there. What ossfs writes is seen at once, so that
# it is copied when it is whole.
_RENAMING_OVER = ("memory", "sftp", "ssh", "oss")
# A hidden name is longer than its target's, and names have at most 255 bytes.
_NAME_CHARACTERS_MAX = 100


class Output:
    """One file that is written: `stream` takes its bytes."""

    def __init__(self, place: Place) -> None:
        """`place`: the file (Place). Nothing is begun yet."""
        self.place = place
        self.stream: Any = None
        self._fs = place.fs
        self._path = os.path.realpath(place.path) if place.is_local else place.path
        self._hidden: str | None = None
        # The file that was there, while it is not removed yet.
        self._aside: str | None = None
        self._size = 0

    def begin(self) -> None:
        """Begins the file, in a folder that is made if it is not there."""
        if scheme_of_fs(self._fs) in _UPLOADING:
            self.stream = self._fs.open(self._path, "wb", autocommit=False)
            return
        folder, _, name = self._path.rpartition("/")
        if folder:
            self._fs.makedirs(folder, exist_ok=True)
        name = f".{name[:_NAME_CHARACTERS_MAX]}.{secrets.token_hex(8)}.tmp"
        self._hidden = f"{folder}/{name}" if "/" in self._path else name
        if self.place.is_local:
            self.stream = DurableFile(self._hidden)
        else:
            self.stream = self._fs.open(self._hidden, "wb")

    def finish(self) -> None:
        """All bytes are written: they are made durable, and the file may be published."""
        if self._hidden is None:
            self.stream.close()
            return
        self._size = self.stream.tell()
        if self.place.is_local:
            self.stream.sync()
        self.stream.close()
        self._check(self._hidden)

    def publish(self) -> None:
        """Gives the finished file its name, in place of what had it."""
        if self._hidden is None:
            self.stream.commit()
        elif self.place.is_local:
            os.replace(self._hidden, self._path)
            _sync_folder(os.path.dirname(self._path))
        else:
            self._rename(self._hidden)
            self._check(self._path)
        self._hidden = None
        self._fs.invalidate_cache()

    def _check(self, path: str) -> None:
        """Not every storage says that a write or a rename failed."""
        self._fs.invalidate_cache()
        stored = self._fs.info(path)["size"]
        if stored != self._size:
            raise OSError(f"{stored} bytes are stored of {self._size}")

    def _rename(self, hidden: str) -> None:
        over = scheme_of_fs(self._fs) in _RENAMING_OVER
        if over or not self._fs.exists(self._path):
            self._fs.mv(hidden, self._path)
            return
        # The file that is there stands aside meanwhile, and returns after an error.
        aside = f"{hidden}.old"
        self._fs.mv(self._path, aside)
        try:
            self._fs.invalidate_cache()
            if not self._fs.exists(aside):
                raise OSError("the file that is there can not be renamed")
            self._fs.mv(hidden, self._path)
            self._check(self._path)
        except BaseException:
            self._return(aside)
            raise
        self._aside = aside
        self._fs.rm(aside)
        self._aside = None

    def _return(self, aside: str) -> None:
        if not self._fs.exists(aside):
            return  # It was never moved.
        with contextlib.suppress(Exception):
            # Where the new one has the name already, the old one is refused it.
            self._fs.rm(self._path)
        self._fs.mv(aside, self._path)

    def discard(self) -> None:
        """Forgets the file; what fails is not told, because an error is on record already."""
        if self._hidden is None:
            with contextlib.suppress(Exception):
                _abort(self.stream)
            return
        with contextlib.suppress(Exception):
            self.stream.close()
        for left in (self._hidden, self._aside):
            if left is not None:
                with contextlib.suppress(Exception):
                    self._fs.rm(left)


def _abort(stream: Any) -> None:
    """Aborts an upload that was begun. The file is marked closed, so that its end uploads
    nothing.
    """
    stream.discard()
    stream.closed = True


def _sync_folder(folder: str) -> None:
    opened = os.open(folder or ".", os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


class Outputs:
    """The files of one write: a context manager that publishes all at its end, or none after an
    error.
    """

    def __init__(self, exists: str = "overwrite") -> None:
        """`exists`: ``"overwrite"`` or ``"error"``."""
        self._exists = exists
        self._made: list[Output] = []

    def create(self, place: Place) -> Output:
        """Begins a file.

        Raises:
            WriteError: it is there and must not be, or it cannot be begun.
        """
        with writing(place):
            if self._exists == "error" and place.fs.exists(place.path):
                raise WriteError(place.shown, "exists already")
            made = Output(place)
            # Before it is begun, so that what is begun is discarded after any error.
            self._made.append(made)
            made.begin()
        return made

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            for made in self._made:
                made.discard()
            return
        left = list(self._made)
        try:
            for made in self._made:
                with writing(made.place):
                    made.finish()
            while left:
                with writing(left[0].place):
                    left[0].publish()
                del left[0]
        except BaseException:
            for made in left:
                made.discard()
            raise


@contextlib.contextmanager
def writing(place: Place) -> Generator[None, Any, Any]:
    """What goes wrong inside with the storage or the data is a WriteError that names `place`."""
    try:
        yield
    except (WriteError, MemoryError, ImportError):
        raise
    except Exception as error:
        secrets_ = place.storage.secrets
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise WriteError(place.shown, secrets_.hide(reason)) from secrets_.cause(error)
