"""`chunk_hook`: the caller's function that changes each record batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from vineyard.io.errors import ReadError, WriteError


def hooked(hook: Callable[[Any], Any], batch: Any, path: str, at: int, *, reads: bool) -> Any:
    """What the hook makes of a batch.

    Parameters:
        hook: callable
            Takes and returns a pyarrow.RecordBatch.
        batch: pyarrow.RecordBatch
            What it is given.
        path: str
            The file, for errors.
        at: int
            The number of the batch there.
        reads: bool
            Whether this is a read; else a write.

    Raises:
        TypeError: it returned something else.
        ReadError, WriteError: it raised; that is the cause.
    """
    import pyarrow

    try:
        changed = hook(batch)
    except Exception as error:
        kind = ReadError if reads else WriteError
        reason = f"chunk_hook raised {type(error).__name__} for batch {at}: {error}"
        raise kind(path, reason) from error
    if not isinstance(changed, pyarrow.RecordBatch):
        raise TypeError(
            f"chunk_hook must return a pyarrow.RecordBatch; it returned a {type(changed).__name__} "
            f"for batch {at} of {path}"
        )
    return changed
