"""Time zones of pytz, where pytz is not installed: those of the standard library instead.

Old pandas, and with it the released client, pickles zones as calls of pytz.
"""

from __future__ import annotations

import datetime
import zoneinfo


def _utc() -> datetime.tzinfo:
    return datetime.UTC


def _named(zone: str, *_: object) -> datetime.tzinfo:
    return zoneinfo.ZoneInfo(zone)


def _fixed(minutes: int) -> datetime.tzinfo:
    return datetime.timezone(datetime.timedelta(minutes=minutes))


# By the names that pickles have for them.
ZONES = {"_UTC": _utc, "_p": _named, "FixedOffset": _fixed, "_FixedOffset": _fixed}


def of_pytz(zone: str) -> datetime.tzinfo:
    """The zone that pytz has under this name."""
    try:
        import pytz
    except ImportError:
        return _named(zone)
    found: datetime.tzinfo = pytz.timezone(zone)
    return found
