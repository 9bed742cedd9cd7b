"""Bytes as they are."""

from __future__ import annotations

from typing import Any

from vineyard.io._writers.base import Writer


class RawWriter(Writer):
    """Writes bytes-like values; it has no schema."""

    def write(self, batch: Any) -> None:
        self.stream.write(batch)

    def close(self) -> None:
        pass
