"""A bar for transfers that take a while: tqdm's, if it is installed.

Promise: without tqdm, or outside a notebook unless asked for, it does nothing and costs nothing.
"""

from __future__ import annotations

import sys
import warnings
from types import TracebackType
from typing import Any, Self

# In a notebook a bar appears by itself only for what takes a noticeable time.
NOTEBOOK_BYTES_MIN = 32 << 20


class Progress:
    """Counts bytes towards a total; use as a context manager."""

    def __init__(self, total_bytes: int, what: str, wanted: bool | None = None) -> None:
        """Makes a bar, or a silent counter.

        Parameters:
            total_bytes: int
                Bytes to transfer in all.
            what: str
                Shown before the bar.
            wanted: bool or None
                True: show it. False: do not. None: show it in a notebook, for large transfers.
        """
        self._bar: Any = None
        if wanted is None:
            wanted = total_bytes >= NOTEBOOK_BYTES_MIN and in_notebook()
        if wanted:
            self._bar = _bar(total_bytes, what)

    def advance(self, size_bytes: int) -> None:
        """Says that `size_bytes` (int) more were transferred."""
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
            self._bar.close()


def in_notebook() -> bool:
    """Whether this is a Jupyter kernel (bool); does not import IPython."""
    shell = sys.modules.get("IPython")
    running = shell.get_ipython() if shell is not None and hasattr(shell, "get_ipython") else None
    return type(running).__name__ == "ZMQInteractiveShell"


def _bar(total_bytes: int, what: str) -> Any:
    try:
        from tqdm.auto import tqdm
    except ImportError:
        warnings.warn("progress=True needs tqdm: pip install tqdm", stacklevel=2)
        return None
    return tqdm(total=total_bytes, desc=what, unit="B", unit_scale=True, unit_divisor=1024)
