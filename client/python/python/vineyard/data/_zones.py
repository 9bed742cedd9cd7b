"""Time zones of pytz in pickles, where pytz is not installed: those of the standard library
instead.

Old pandas, and with it the released client, pickles zones as calls of pytz.
"""

from __future__ import annotations

import datetime
import io
import pickle
import zoneinfo
from typing import Any


class ZoneUnpickler(pickle.Unpickler):
    """Unpickles as always; without pytz, its time zones are those of the standard library."""

    def find_class(self, module: str, name: str) -> Any:
        try:
            return super().find_class(module, name)
        except ModuleNotFoundError as error:
            if error.name != "pytz":
                raise
        return _ZONES[name]


def loads(stream: Any, buffers: Any) -> Any:
    """The value of a pickle that names pytz."""
    return ZoneUnpickler(io.BytesIO(stream), buffers=buffers).load()


def _utc() -> datetime.tzinfo:
    return datetime.UTC


def _named(zone: str, *_: Any) -> datetime.tzinfo:
    return zoneinfo.ZoneInfo(zone)


def _fixed(minutes: int) -> datetime.tzinfo:
    return datetime.timezone(datetime.timedelta(minutes=minutes))


_ZONES = {"_UTC": _utc, "_p": _named, "FixedOffset": _fixed, "_FixedOffset": _fixed}
