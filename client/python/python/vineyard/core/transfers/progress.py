"""A progress bar for long transfers: tqdm's, if it is installed.

Promise: without tqdm, or outside a notebook unless asked for, it does nothing and costs nothing.
"""

from __future__ import annotations

import contextlib
import contextvars
import sys
import warnings
from collections.abc import Generator
from types import TracebackType
from typing import Any, Self

# In a notebook a transfer of at least this size shows a bar without being asked.
NOTEBOOK_BYTES_MIN = 32 << 20

# The `progress` argument of the put or get that runs, for its transfers.
_wanted: contextvars.ContextVar[bool | None] = contextvars.ContextVar("progress", default=None)


@contextlib.contextmanager
def asked_for(wanted: bool | None) -> Generator[None, Any, Any]:
    """Transfers inside the block show a bar if `wanted` says so; as for :class:`Progress`."""
    token = _wanted.set(wanted)
    try:
        yield
    finally:
        _wanted.reset(token)


def wanted() -> bool | None:
    """The `progress` argument of the put or get that runs (bool or None)."""
    return _wanted.get()


class Progress:
    """Counts bytes towards a total; use as a context manager."""

    def __init__(self, total_bytes: int | None, what: str, wanted: bool | None = None) -> None:
        """Makes a bar, or a silent counter.

        Parameters:
            total_bytes: int or None
                Bytes to transfer in all, about; None: unknown.
            what: str
                Shown before the bar.
            wanted: bool or None
                True: show it. False: do not. None: show it in a notebook, for large transfers.
        """
        self._bar: Any = None
        self._late: str | None = None
        self._early_bytes = 0
        if is_shown(total_bytes, wanted):
            if total_bytes is None and wanted is None:
                self._late = what  # Whether it is large shows only while it runs.
            else:
                self._bar = _bar(total_bytes, what)

    def advance(self, size_bytes: int) -> None:
        """Counts `size_bytes` (int) more as transferred."""
        if self._late is not None:
            self._early_bytes += size_bytes
            if self._early_bytes < NOTEBOOK_BYTES_MIN:
                return
            self._bar, self._late = _bar(None, self._late), None
            size_bytes = self._early_bytes
        if self._bar is not None:
            self._bar.update(size_bytes)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            if kind is None:
                self._bar.total = self._bar.n  # The total was a guess; this is what it was.
            self._bar.close()


def is_shown(total_bytes: int | None, wanted: bool | None) -> bool:
    """Whether a transfer of this size (None: of some size) may show a bar (bool); arguments as for
    :class:`Progress`.
    """
    if wanted is not None:
        return wanted
    return (total_bytes is None or total_bytes >= NOTEBOOK_BYTES_MIN) and in_notebook()


def in_notebook() -> bool:
    """Whether this is a Jupyter kernel (bool); does not import IPython."""
    shell = sys.modules.get("IPython")
    running = shell.get_ipython() if shell is not None and hasattr(shell, "get_ipython") else None
    return type(running).__name__ == "ZMQInteractiveShell"


def _bar(total_bytes: int | None, what: str) -> Any:
    try:
        from tqdm.auto import tqdm
    except ImportError:
        warnings.warn("progress=True needs tqdm: pip install tqdm", stacklevel=2)
        return None
    return tqdm(total=total_bytes, desc=what, unit="B", unit_scale=True, unit_divisor=1024)
