"""What `vineyard.io` raises when data cannot be read or written.

Promise: an error says file, line, column and value as far as they are known, in fields and in its
text, and no secret: see `vineyard.io._secrets`.
"""

from __future__ import annotations

from typing import Any

# A value that is longer is cut in the text of the error; the field has all of it.
SHOWN_CHARACTERS_MAX = 80


class _DataError(RuntimeError):
    """The fields of both errors, and their text."""

    def __init__(
        self,
        path: str,
        reason: str,
        *,
        line: int | None = None,
        column: str | None = None,
        value: str | None = None,
    ) -> None:
        """The facts; they are attributes of the same names.

        Parameters:
            path: str
                The file, as the caller named it, without passwords.
            reason: str
                What is wrong.
            line: int or None
                The line in the file, from 1, if the file has lines.
            column: str or None
                The name of the column.
            value: str or None
                The text that does not fit.
        """
        super().__init__(path, reason)
        self.path, self.reason = path, reason
        self.line, self.column, self.value = line, column, value

    def __str__(self) -> str:
        where = self.path
        if self.line is not None:
            where += f", line {self.line}"
        if self.column is not None:
            where += f', column "{self.column}"'
        if self.value is None:
            return f"{where}: {self.reason}"
        shown = self.value
        if len(shown) > SHOWN_CHARACTERS_MAX:
            shown = shown[:SHOWN_CHARACTERS_MAX] + "…"
        return f'{where}: "{shown}" {self.reason}'

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (type(self), self.path, self.reason, self.line, self.column, self.value)


class ReadError(_DataError):
    """Data cannot be read. Has `path`, `line`, `column`, `value` and `reason`; those that are
    unknown are None. For a missing file it is a FileNotFoundError, too.
    """


class WriteError(_DataError):
    """Data cannot be written; the target is as it was. Has the fields of :class:`ReadError`."""


class MissingFile(ReadError, FileNotFoundError):
    """A file, folder or pattern that finds nothing."""


def _again(
    kind: type[_DataError],
    path: str,
    reason: str,
    line: int | None,
    column: str | None,
    value: str | None,
) -> _DataError:
    return kind(path, reason, line=line, column=column, value=value)
