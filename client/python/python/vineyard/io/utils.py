"""What scripts for the released package import from here."""

from __future__ import annotations

import traceback
from types import TracebackType


class capture_exception:
    """A context manager that keeps an exception of its block, to print it and to raise it later."""

    def __init__(self) -> None:
        self.exception: BaseException | None = None

    def __enter__(self) -> capture_exception:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        self.exception = error
        return True

    def check(self) -> None:
        """Raises the exception, if there was one."""
        if self.exception is not None:
            raise self.exception

    def print(self) -> None:
        """Prints the exception to the standard error, if there was one."""
        if self.exception is not None:
            traceback.print_exception(self.exception)
