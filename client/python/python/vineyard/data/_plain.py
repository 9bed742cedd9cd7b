"""Plain values as JSON: labels, scalars, dates and containers of these, each with its exact type.

Promise: reading runs nothing that the text chooses; the tags below are all there are. Text, whole
numbers, booleans, None and floats (NaN and infinities as Python's JSON has them) are themselves,
everything else is a list that begins with a tag. Libraries are imported for values of theirs alone.
"""

from __future__ import annotations

import base64
import datetime
import decimal
import functools
import json
import zoneinfo
from collections.abc import Callable
from typing import Any

from vineyard.data._zones import of_pytz

# Python refuses to print or parse longer integers as decimals unless told otherwise.
_DECIMAL_BITS_MAX = 10_000
# Larger values get no description: clients that allow pickles do not need it, and would pay for it
# with about a microsecond per item in every put.
_ITEMS_MAX = 1_000
_LENGTH_MAX = 64 * 1024
# What JSON gives back as it was.
AS_THEY_ARE = frozenset({type(None), bool, float})
_NUMPY_KINDS = "biufcSUMm"

_Write = Callable[[Any], Any]


class NotPlain(Exception):
    """The value has no plain description."""


class Writer:
    """Describes one value."""

    def __init__(self) -> None:
        self._items = 0

    def text(self, value: Any) -> str:
        """`value` as ASCII text.

        Raises:
            NotPlain: it cannot be described.
        """
        try:
            return json.dumps(self.node(value), separators=(",", ":"))
        except (RecursionError, ValueError) as error:
            raise NotPlain(str(error)) from None

    def node(self, value: Any) -> Any:
        """`value` as what JSON has."""
        kind = type(value)
        if kind in AS_THEY_ARE:
            return value
        if kind is int:
            return value if value.bit_length() <= _DECIMAL_BITS_MAX else ["int", hex(value)]
        if kind is str:
            return _short(value)
        if kind in (tuple, list, set, frozenset):
            return [kind.__name__, *self.nodes(value)]
        if kind is dict:
            pairs = self._counted(value.items())
            return ["dict", *([self.node(key), self.node(item)] for key, item in pairs)]
        write = _WRITERS.get(kind) or _writer_of(kind)
        return self.other(value) if write is None else write(value)

    def nodes(self, values: Any) -> list[Any]:
        """Each of `values`."""
        return [self.node(value) for value in self._counted(values)]

    def other(self, value: Any) -> Any:
        """A value of no type that is known here."""
        raise NotPlain(type(value).__name__)

    def _counted(self, values: Any) -> Any:
        self._items += len(values)
        if self._items > _ITEMS_MAX:
            raise NotPlain(f"more than {_ITEMS_MAX} items")
        return values


class Reader:
    """Makes the value of a description."""

    def value(self, text: str | bytes) -> Any:
        """The value that :meth:`Writer.text` was given."""
        return self.of(json.loads(text))

    def of(self, node: Any) -> Any:
        """The value of a node.

        Raises:
            ValueError: a tag that is not known.
        """
        if type(node) is not list:
            return node
        tag, *rest = node
        make = _CONTAINERS.get(tag)
        if make is not None:
            return make(self.of(item) for item in rest)
        if tag == "dict":
            return {self.of(key): self.of(item) for key, item in rest}
        read = _READERS.get(tag)
        return self.other(tag, rest) if read is None else read(*rest)

    def other(self, tag: str, rest: list[Any]) -> Any:
        """A value with a tag that is not known here."""
        raise ValueError(f"a plain description has no {tag!r}")


def _short(text: Any) -> Any:
    if len(text) > _LENGTH_MAX:
        raise NotPlain(f"longer than {_LENGTH_MAX}")
    return text


def _write_bytes(value: Any) -> list[Any]:
    return [type(value).__name__, base64.b64encode(_short(value)).decode("ascii")]


def _write_time(value: datetime.time) -> list[Any]:
    if value.tzinfo is not None:
        raise NotPlain("a time with a zone")
    return ["time", value.isoformat(), value.fold]


def _write_datetime(value: datetime.datetime) -> list[Any]:
    zone = write_zone(value.tzinfo)
    if zone is not None and read_zone(zone) != value.tzinfo:
        raise NotPlain("a zone of pytz at one of its offsets")
    return ["datetime", value.replace(tzinfo=None).isoformat(), value.fold, zone]


def _write_span(value: datetime.timedelta) -> list[Any]:
    return ["timedelta", value.days, value.seconds, value.microseconds]


def write_zone(zone: datetime.tzinfo | None) -> list[Any] | None:
    """A time zone by its name or offset."""
    if zone is None:
        return None
    if type(zone) is datetime.timezone:
        return ["offset", *_write_span(zone.utcoffset(None))[1:], zone.tzname(None)]
    if type(zone) is zoneinfo.ZoneInfo and zone.key is not None:
        return ["zone", zone.key]
    name = getattr(zone, "zone", None)
    if type(zone).__module__.partition(".")[0] == "pytz" and type(name) is str:
        return ["pytz", name]
    raise NotPlain(type(zone).__name__)


def read_zone(node: list[Any] | None) -> datetime.tzinfo | None:
    """The value that :func:`write_zone` was given."""
    if node is None:
        return None
    kind, *rest = node
    if kind == "offset":
        offset = datetime.timedelta(*rest[:3])
        plain = datetime.timezone(offset)
        return plain if plain.tzname(None) == rest[3] else datetime.timezone(offset, rest[3])
    return {"zone": zoneinfo.ZoneInfo, "pytz": of_pytz}[kind](rest[0])


def _read_datetime(text: str, fold: int, zone: list[Any] | None) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text).replace(fold=fold, tzinfo=read_zone(zone))


def _writer_of(kind: type) -> _Write | None:
    library = kind.__module__.partition(".")[0]
    if issubclass(kind, datetime.tzinfo):
        return lambda zone: ["tzinfo", write_zone(zone)]
    if library == "numpy":
        import numpy

        return _write_scalar if issubclass(kind, numpy.generic) else None
    if library == "pandas":
        return next((write for of, write in _pandas_writers() if issubclass(kind, of)), None)
    return None


def _write_scalar(value: Any) -> list[Any]:
    dtype = value.dtype
    if dtype.kind not in _NUMPY_KINDS or dtype.type is not type(value) or dtype.metadata:
        raise NotPlain(str(dtype))
    return ["scalar", dtype.str, base64.b64encode(value.tobytes()).decode("ascii")]


def _read_scalar(name: str, content: str) -> Any:
    import numpy

    dtype = numpy.dtype(name)
    if dtype.kind not in _NUMPY_KINDS:
        raise ValueError(f"a plain scalar has no dtype {name!r}")
    raw = base64.b64decode(content)
    return numpy.ndarray((), dtype, raw if dtype.itemsize else None)[()]


@functools.cache
def _pandas_writers() -> list[tuple[type, _Write]]:
    """Writers of values of exactly these classes; values of subclasses are not plain."""
    import pandas

    return [
        (pandas.Timestamp, lambda value: ["Timestamp", *_ticks(value), write_zone(value.tz)]),
        (pandas.Timedelta, lambda value: ["Timedelta", *_ticks(value)]),
        (type(pandas.NaT), lambda value: ["NaT"]),
        (type(pandas.NA), lambda value: ["NA"]),
        (pandas.Period, lambda value: ["Period", value.ordinal, value.freqstr]),
        (pandas.Interval, _write_interval),
        (pandas.tseries.offsets.BaseOffset, _write_frequency),
    ]


def _ticks(value: Any) -> tuple[int, str]:
    return int(value.asm8.view("i8")), value.unit


def _write_interval(value: Any) -> list[Any]:
    writer = Writer()
    return ["Interval", writer.node(value.left), writer.node(value.right), value.closed]


def _write_frequency(value: Any) -> list[Any]:
    text = value.freqstr
    again = _read_frequency(text)
    # An offset with holidays has the same name as one without.
    if type(again) is not type(value) or again != value:
        raise NotPlain(text)
    return ["frequency", text]


def _read_frequency(text: str) -> Any:
    import pandas

    return pandas.tseries.frequencies.to_offset(text)


def _read_timestamp(ticks: int, unit: str, zone: list[Any] | None) -> Any:
    import numpy
    import pandas

    # The stubs list the units; a text from a description is checked by numpy when it runs.
    value = pandas.Timestamp(numpy.datetime64(ticks, unit))  # type: ignore[call-overload]
    return value if zone is None else value.tz_localize("UTC").tz_convert(read_zone(zone))


def _of_pandas(make: Callable[..., Any]) -> Callable[..., Any]:
    def read(*rest: Any) -> Any:
        import pandas

        return make(pandas, *rest)

    return read


def _read_ticks(pandas: Any, ticks: int, unit: str) -> Any:
    import numpy

    # As in `_read_timestamp`: numpy checks the unit.
    return pandas.Timedelta(numpy.timedelta64(ticks, unit))  # type: ignore[call-overload]


_WRITERS: dict[type, _Write] = {
    bytes: _write_bytes,
    bytearray: _write_bytes,
    complex: lambda value: ["complex", repr(value.real), repr(value.imag)],
    decimal.Decimal: lambda value: ["Decimal", str(value)],
    datetime.date: lambda value: ["date", value.isoformat()],
    datetime.time: _write_time,
    datetime.datetime: _write_datetime,
    datetime.timedelta: _write_span,
}

_CONTAINERS: dict[str, Callable[[Any], Any]] = {
    "tuple": tuple,
    "list": list,
    "set": set,
    "frozenset": frozenset,
}

_READERS: dict[str, Callable[..., Any]] = {
    "int": lambda text: int(text, 16),
    "bytes": base64.b64decode,
    "bytearray": lambda text: bytearray(base64.b64decode(text)),
    "complex": lambda real, imag: complex(float(real), float(imag)),
    "Decimal": decimal.Decimal,
    "date": datetime.date.fromisoformat,
    "time": lambda text, fold: datetime.time.fromisoformat(text).replace(fold=fold),
    "datetime": _read_datetime,
    "timedelta": datetime.timedelta,
    "tzinfo": read_zone,
    "scalar": _read_scalar,
    "frequency": _read_frequency,
    "Timestamp": _read_timestamp,
    "Timedelta": _of_pandas(_read_ticks),
    "NaT": _of_pandas(lambda pandas: pandas.NaT),
    "NA": _of_pandas(lambda pandas: pandas.NA),
    "Period": _of_pandas(lambda pandas, ordinal, freq: pandas.Period(ordinal=ordinal, freq=freq)),
    "Interval": _of_pandas(
        lambda pandas, left, right, closed: pandas.Interval(
            Reader().of(left), Reader().of(right), closed
        )
    ),
}
