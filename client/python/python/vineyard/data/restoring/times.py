"""Dates and times, of the bytes that the standard library pickles them as."""

from __future__ import annotations

import datetime
import zoneinfo
from typing import Any

from vineyard.data.restoring.checks import check

_FOLD = 0x80
_DATE_BYTES, _TIME_BYTES, _MOMENT_BYTES = 4, 6, 10


def date(machine: Any, kind: Any, content: Any) -> datetime.date:
    """A date of 4 bytes."""
    check(type(content) is bytes and len(content) == _DATE_BYTES, "a date")
    return datetime.date(int.from_bytes(content[:2], "big"), content[2], content[3])


def time(machine: Any, kind: Any, content: Any, zone: Any = None) -> datetime.time:
    """A time of 6 bytes; the highest bit of the first is the fold."""
    check(type(content) is bytes and len(content) == _TIME_BYTES, "a time")
    hour, fold = content[0] & ~_FOLD, content[0] >> 7
    micros = int.from_bytes(content[3:], "big")
    return datetime.time(hour, content[1], content[2], micros, _zone(zone), fold=fold)


def moment(machine: Any, kind: Any, content: Any, zone: Any = None) -> datetime.datetime:
    """A datetime of 10 bytes; the highest bit of the month is the fold."""
    check(type(content) is bytes and len(content) == _MOMENT_BYTES, "a datetime")
    year, month, fold = int.from_bytes(content[:2], "big"), content[2] & ~_FOLD, content[2] >> 7
    micros = int.from_bytes(content[7:], "big")
    day = (year, month, *content[3:7], micros, _zone(zone))
    return datetime.datetime(*day, fold=fold)


def _zone(zone: Any) -> datetime.tzinfo | None:
    check(zone is None or isinstance(zone, datetime.tzinfo), "a time zone")
    found: datetime.tzinfo | None = zone
    return found


def offset(machine: Any, kind: Any, span: Any, name: Any = None) -> datetime.timezone:
    """A time zone at a fixed distance of UTC."""
    check(type(span) is datetime.timedelta and type(name) in (str, type(None)), "a time zone")
    return datetime.timezone(span) if name is None else datetime.timezone(span, name)


def zone(machine: Any, kind: Any, key: Any, from_cache: Any) -> zoneinfo.ZoneInfo:
    """A time zone by its key."""
    check(type(key) is str, "the key of a time zone")
    return zoneinfo.ZoneInfo(key) if from_cache else zoneinfo.ZoneInfo.no_cache(key)


def pytz_zone(machine: Any, make: Any, *parts: Any) -> datetime.tzinfo:
    """A time zone of pytz, or without pytz one of the standard library."""
    check(all(type(part) in (str, int, type(None)) for part in parts), "a time zone of pytz")
    made: datetime.tzinfo = make(*parts)
    return made
