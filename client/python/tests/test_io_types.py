"""Every Arrow type through every format: equal when it is read back, or refused by name."""

from __future__ import annotations

import datetime
import decimal
from typing import Any

import pyarrow as pa
import pyarrow.orc as orc
import pyarrow.parquet as pq
import pytest
import vineyard.io
from io_tables import BY_FORMAT, ENDINGS, table_of

SECONDS = ("s", "ms", "us", "ns")


def _every() -> dict[str, Any]:
    """One array of each type, with a null."""
    numbers = [1, None, 3]
    whole = [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
    made: dict[str, Any] = {name: pa.array(numbers, name) for name in whole}
    made |= {f"float{bits}": pa.array([1.5, None, -0.25], f"float{bits}") for bits in (32, 64)}
    made["float16"] = pa.array([1, None, 2], "int8").cast("float16")
    made["bool"] = pa.array([True, None, False])
    made["null"] = pa.nulls(3)
    texts = {"string": pa.string(), "large_string": pa.large_string()}
    texts["string_view"] = pa.string_view()
    made |= {name: pa.array(["x", None, ""], kind) for name, kind in texts.items()}
    made["binary"] = pa.array([b"\0\xff", None, b""])
    made["large_binary"] = made["binary"].cast(pa.large_binary())
    made["binary_view"] = pa.array([b"\0\xff", None, b""], pa.binary_view())
    made["fixed"] = pa.array([b"ab", None, b"cd"], pa.binary(2))
    made["decimal128"] = pa.array([decimal.Decimal("1.50"), None, None], pa.decimal128(9, 2))
    made["decimal256"] = pa.array([decimal.Decimal("1.50"), None, None], pa.decimal256(40, 2))
    days = [datetime.date(2020, 2, 29), None, datetime.date(1969, 12, 31)]
    made |= {name: pa.array(days, name) for name in ("date32", "date64")}
    made |= {f"time32_{unit}": pa.array(numbers, pa.time32(unit)) for unit in ("s", "ms")}
    made |= {f"time64_{unit}": pa.array(numbers, pa.time64(unit)) for unit in ("us", "ns")}
    made |= {f"timestamp_{unit}": pa.array(numbers, pa.timestamp(unit)) for unit in SECONDS}
    made |= {f"zoned_{unit}": pa.array(numbers, pa.timestamp(unit, "UTC")) for unit in SECONDS}
    made["zoned_berlin"] = pa.array(numbers, pa.timestamp("us", "Europe/Berlin"))
    made |= {f"duration_{unit}": pa.array(numbers, pa.duration(unit)) for unit in SECONDS}
    made["interval"] = pa.array([(1, 2, 3), None, (0, 0, 0)], pa.month_day_nano_interval())
    made["list"] = pa.array([[1, None], None, []], pa.list_(pa.int64()))
    made["large_list"] = pa.array([[1, None], None, []], pa.large_list(pa.int64()))
    made["fixed_list"] = pa.array([[1, 2], None, [3, None]], pa.list_(pa.int64(), 2))
    made["list_view"] = pa.array([[1, None], None, []], pa.list_view(pa.int64()))
    made["struct"] = pa.array([{"x": 1, "y": "a"}, None, {"x": None, "y": None}])
    made["map"] = pa.array([[("k", 1)], None, []], pa.map_(pa.string(), pa.int64()))
    inner = pa.struct([("m", pa.map_(pa.string(), pa.list_(pa.float64())))])
    made["nested"] = pa.array([[{"m": [("k", [1.5])]}], None, [None, {"m": None}]], pa.list_(inner))
    made["dictionary"] = pa.array(["a", None, "a"]).dictionary_encode()
    made["encoded"] = pa.RunEndEncodedArray.from_arrays(pa.array([2, 3], "int32"), ["a", None])
    kinds = pa.array([0, 1, 0], "int8")
    children = [pa.array([1, 2, 3]), pa.array(["x", "y", "z"])]
    made["sparse_union"] = pa.UnionArray.from_sparse(kinds, children)
    offsets = pa.array([0, 0, 1], "int32")
    made["dense_union"] = pa.UnionArray.from_dense(kinds, offsets, children)
    for name in ("decimal32", "decimal64"):
        if hasattr(pa, name):
            made[name] = pa.array([decimal.Decimal("1.50"), None, None], getattr(pa, name)(7, 2))
    return made


EVERY = _every()
# What a binary format has no way to say, and what it says as another type.
REFUSED: dict[str, set[str]] = {
    "orc": {name for name in EVERY if name.startswith(("uint", "time32", "time64", "duration"))}
    | {"float16", "null", "string_view", "binary_view", "decimal256", "decimal32", "decimal64"}
    | {"interval", "list_view", "dictionary", "encoded", "sparse_union", "dense_union"},
    "parquet": {"interval", "encoded", "sparse_union", "dense_union"},
    "ipc": set(),
}
NANOSECONDS, LIST = pa.timestamp("ns"), pa.list_(pa.int64())
CHANGED: dict[str, dict[str, Any]] = {
    "orc": {
        "large_string": pa.string(),
        **dict.fromkeys(("large_binary", "fixed"), pa.binary()),
        **dict.fromkeys(("date64", "timestamp_s", "timestamp_ms", "timestamp_us"), NANOSECONDS),
        **{name: pa.timestamp("ns", "UTC") for name in EVERY if name.startswith("zoned")},
        **dict.fromkeys(("large_list", "fixed_list"), LIST),
    },
    "parquet": {
        "date64": pa.date32(),
        "time32_s": pa.time32("ms"),
        "timestamp_s": pa.timestamp("ms"),
        "zoned_s": pa.timestamp("ms", "UTC"),
    },
    "ipc": {},
}
# What old versions of pyarrow can not write.
OF_NEW_LIBRARIES = {"string_view", "binary_view", "list_view", "fixed_list"}
# What text keeps, if `schema` says the types. Of CSV, a text that is null is an empty one.
OF_JSON = {name for name in EVERY if name.startswith(("int", "uint", "timestamp", "zoned", "date"))}
OF_JSON -= {"interval"}
OF_JSON |= {"float32", "float64", "bool", "null", "decimal128", "decimal256", "list", "struct"}
OF_JSON |= {"string", "large_string"}
OF_CSV = OF_JSON - {"string", "large_string", "decimal256", "list", "struct"}
OF_CSV |= {"fixed", "time32_s", "time32_ms", "time64_us", "time64_ns"}
CODECS = {
    "parquet": ["none", "snappy", "gzip", "zstd", "lz4", "brotli"],
    "orc": ["uncompressed", "zlib", "snappy", "lz4", "zstd"],
    "ipc": ["lz4", "zstd"],
}


def parts_of(name: str) -> list[Any]:
    """A table with a column of a type: as it is, a part of a larger one, and without rows."""
    whole = pa.table({"n": [1, 2, 3], name: EVERY[name]})
    return [whole, whole.slice(1), whole.slice(0, 0)]


@pytest.mark.parametrize("format_", REFUSED)
@pytest.mark.parametrize("name", EVERY)
def test_a_binary_format_keeps_a_type_or_says_that_it_can_not(format_, name, tmp_path) -> None:
    path = tmp_path / f"x{ENDINGS[format_]}"
    if name in REFUSED[format_]:
        with pytest.raises(vineyard.io.WriteError, match=str(path)):
            vineyard.io.write(path, parts_of(name)[0])
        assert list(tmp_path.iterdir()) == []
        return
    for table in parts_of(name):
        try:
            vineyard.io.write(path, table)
        except vineyard.io.WriteError:
            assert name in OF_NEW_LIBRARIES
            return
        found = table_of(path)
        found.validate(full=True)
        changed = CHANGED[format_].get(name, table.schema.field(name).type)
        assert found.schema.types == [pa.int64(), changed]
        if name == "encoded":
            # Old versions of pyarrow compare the runs.
            assert found.to_pylist() == table.to_pylist()
        else:
            assert found.column(name).equals(table.column(name).cast(changed))


@pytest.mark.parametrize("format_", REFUSED)
def test_parts_of_structs_inside_of_others_are_written_as_they_are(format_, tmp_path) -> None:
    inner = EVERY["struct"].slice(1)
    outer = pa.StructArray.from_arrays([inner, pa.array(["a", "b"])], ["inner", "text"])
    lists = pa.ListArray.from_arrays(pa.array([0, 1, 2]), outer)
    table = pa.table({"outer": outer, "lists": lists}).slice(1)
    path = tmp_path / f"x{ENDINGS[format_]}"
    vineyard.io.write(path, table)
    assert table_of(path).to_pylist() == table.to_pylist()


@pytest.mark.parametrize(
    ("format_", "name"),
    [("csv", name) for name in sorted(OF_CSV)] + [("jsonl", name) for name in sorted(OF_JSON)],
)
def test_text_keeps_a_type_that_a_schema_says(format_, name, tmp_path) -> None:
    path = tmp_path / f"x{ENDINGS[format_]}"
    for table in parts_of(name):
        vineyard.io.write(path, table)
        found = table_of(path, schema=table.schema)
        assert found.schema.equals(table.schema)
        assert found.equals(table)


@pytest.mark.parametrize(
    ("format_", "codec"), [(format_, codec) for format_ in CODECS for codec in CODECS[format_]]
)
def test_each_compression_of_columns_keeps_every_type(format_, codec, tmp_path) -> None:
    path = tmp_path / f"x{ENDINGS[format_]}"
    table = pa.concat_tables([BY_FORMAT[format_]] * 500).combine_chunks()
    vineyard.io.write(path, table, compression=codec)
    assert table_of(path).equals(table)
    if format_ == "parquet":
        stored = pq.ParquetFile(path).metadata.row_group(0).column(0).compression
        assert stored == {"none": "UNCOMPRESSED"}.get(codec, codec.upper())
    elif format_ == "orc":
        assert orc.ORCFile(path).compression == codec.upper()
    else:
        vineyard.io.write(tmp_path / "whole.arrow", table)
        assert path.stat().st_size < (tmp_path / "whole.arrow").stat().st_size / 2
