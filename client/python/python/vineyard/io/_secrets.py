"""Keeps passwords and keys out of every text.

Promise: no text that passes :meth:`Secrets.hide` has a value of the storage options in it, nor a
password or a signed query of a path.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

HIDDEN = "***"
# Shorter values, such as `us`, are no secrets, and hiding them would garble texts.
CHARACTERS_MIN = 4
_LOGIN = re.compile(r"(?<=://)[^/@\s]*@")
_QUERY = re.compile(r"(\bhttps?://[^\s?]*)\?[^\s:]*")


class Secrets:
    """The values of storage options that no text may show."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        """`options`: the storage options (dict), nested as they may be."""
        found = {text for text in _texts(options) if len(text) >= CHARACTERS_MIN}
        # Longest first: one may be a part of another.
        self._values = sorted(found, key=len, reverse=True)

    def __repr__(self) -> str:
        return f"Secrets({len(self._values)})"

    def hide(self, text: str) -> str:
        """`text` without the secrets."""
        for value in self._values:
            text = text.replace(value, HIDDEN)
        return hide_login(text)

    def cause(self, error: BaseException) -> BaseException:
        """The error itself, or one that says the same if a text of it, or of what caused it, has a
        secret.
        """
        one: BaseException | None = error
        texts = []
        while one is not None:
            texts.append(f"{type(one).__name__}: {one}")
            one = one.__cause__ or one.__context__
        if all(self.hide(text) == text for text in texts):
            return error
        return RuntimeError(self.hide(texts[0]))


def hide_login(text: str) -> str:
    """`text` without the users and passwords of its URLs, and without the queries of web
    addresses, which may be signed.
    """
    return _QUERY.sub(rf"\1?{HIDDEN}", _LOGIN.sub(f"{HIDDEN}@", text))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, str):
        yield value
    elif isinstance(value, bytes):
        yield value.decode("utf-8", "replace")
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner)
