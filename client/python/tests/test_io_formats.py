"""Every format, written and read back: types, nulls, no rows, compression, partitions, chosen
columns and rows. No node is needed.
"""

from __future__ import annotations

import io

import fsspec
import pyarrow
import pyarrow.orc
import pyarrow.parquet
import pytest
import vineyard.io
from fsspec.implementations.memory import MemoryFileSystem
from io_tables import BY_FORMAT, ENDINGS, PLAIN, TOLD, source_of, table_of

WHOLE = ("", ".gz", ".bz2", ".xz", ".zst", ".lz4")


@pytest.mark.parametrize("format_", BY_FORMAT)
@pytest.mark.parametrize("compressed", ["", ".gz"])
def test_a_binary_format_keeps_every_type_it_has(format_, compressed, tmp_path):
    path = tmp_path / f"x{ENDINGS[format_]}{compressed}"
    assert vineyard.io.write(path, BY_FORMAT[format_]) == [str(path)]
    assert table_of(path).equals(BY_FORMAT[format_])


@pytest.mark.parametrize("format_", BY_FORMAT)
def test_a_binary_format_keeps_the_columns_of_no_rows(format_, tmp_path):
    table = BY_FORMAT[format_].slice(0, 0)
    path = tmp_path / f"x{ENDINGS[format_]}"
    vineyard.io.write(path, table)
    assert table_of(path).equals(table)


@pytest.mark.parametrize("compressed", WHOLE)
@pytest.mark.parametrize("format_", ["csv", "jsonl"])
def test_a_text_format_keeps_plain_types(format_, compressed, tmp_path):
    path = tmp_path / f"x.{format_}{compressed}"
    header = {"header_row": True} if format_ == "csv" else {}
    vineyard.io.write(path, PLAIN, **header)
    assert table_of(path, **header).equals(PLAIN)


@pytest.mark.parametrize("format_", ["csv", "jsonl"])
def test_a_text_format_keeps_types_that_a_schema_says(format_, tmp_path):
    path = tmp_path / f"x.{format_}"
    header = {"header_row": True} if format_ == "csv" else {}
    vineyard.io.write(path, TOLD, **header)
    assert table_of(path, schema=TOLD.schema, **header).equals(TOLD)


@pytest.mark.parametrize("format_", ["csv", "jsonl"])
def test_a_text_format_has_no_rows_where_none_were_written(format_, tmp_path):
    path = tmp_path / f"x.{format_}"
    vineyard.io.write(path, PLAIN.slice(0, 0))
    found = table_of(path, schema=PLAIN.schema)
    assert found.equals(PLAIN.slice(0, 0))
    assert table_of(path).num_rows == 0


def test_a_column_alone_keeps_its_empty_rows(tmp_path):
    path = tmp_path / "x.csv"
    for column in (["a", "", "b"], [1, None, 2]):
        table = pyarrow.table({"a": column})
        vineyard.io.write(path, table, header_row=True)
        assert table_of(path, header_row=True).equals(table)


def test_csv_is_written_as_the_released_package_does(tmp_path):
    frame = pyarrow.table(
        {"n": [1, -2], "t": ["a b", "ü"], "q": ['say "x"', "1,2"], "f": [1.0, 0.25]}
    ).to_pandas()
    path = tmp_path / "x.csv"
    for separator in (",", "\t", " "):
        vineyard.io.write(path, frame, header_row=True, sep=separator)
        assert path.read_text() == frame.to_csv(index=False, sep=separator)


def test_nan_is_nan_and_null_is_nothing(tmp_path):
    path = tmp_path / "x.csv"
    vineyard.io.write(path, pyarrow.table({"a": [float("nan"), None], "b": [1, 2]}))
    assert path.read_text() == "nan,1\n,2\n"


def test_an_escape_character_is_used_in_place_of_quotes(tmp_path):
    path = tmp_path / "x.csv"
    frame = pyarrow.table({"a": ['x"y'], "b": [1]}).to_pandas()
    vineyard.io.write(path, frame, escapechar="\\")
    assert path.read_text() == frame.to_csv(index=False, header=False, escapechar="\\")


@pytest.mark.parametrize("format_", ENDINGS)
def test_chosen_columns_and_rows(format_, tmp_path):
    path = tmp_path / f"x{ENDINGS[format_]}"
    table = pyarrow.table({"a": [1, 2, 3], "b": ["x", "y", "z"], "c": [0.5, 1.5, 2.5]})
    header = {"header_row": True} if format_ == "csv" else {}
    vineyard.io.write(path, table, **header)
    found = table_of(path, columns=["c", "b"], filters=[("a", ">=", 2)], **header)
    assert found.equals(table.select(["c", "b"]).slice(1))
    some = pyarrow.compute.field("b") == "y"
    assert table_of(path, columns="a", filters=some, **header).to_pydict() == {"a": [2]}
    assert table_of(path, columns=[], **header).num_rows == 3
    with pytest.raises(ValueError, match="no column 'bb': did you mean b"):
        source_of(path, columns=["bb"], **header)
    with pytest.raises(ValueError, match="filters do not fit"):
        source_of(path, filters=[("zz", "=", 1)], **header)


@pytest.mark.parametrize("format_", ENDINGS)
def test_folders_of_values_come_back_as_columns(format_, tmp_path):
    table = pyarrow.table(
        {"year": [2020, 2021, None, 2020], "city": ["a/b", "ü", "c", "a/b"], "n": [1, 2, 3, 4]}
    )
    given = {"partition_cols": ["year", "city"], "format": format_}
    header = {"header_row": True} if format_ == "csv" else {}
    written = vineyard.io.write(tmp_path / "x", table, **given, **header)
    assert len(written) == 3
    found = table_of(tmp_path / "x", **header).select(["year", "city", "n"])
    assert found.sort_by("n").equals(table)
    only = table_of(tmp_path / "x", filters=[("year", "=", 2021)], columns=["n"], **header)
    assert only.to_pydict() == {"n": [2]}
    without = table_of(tmp_path / "x", hive_partitioning=False, **header)
    assert without.column_names == ["n"]


class CountingFiles(MemoryFileSystem):
    """Counts the bytes that are read."""

    protocol = "counted"
    read_bytes = 0

    @classmethod
    def _strip_protocol(cls, path):
        return "/" + path.removeprefix("counted://").strip("/")

    def _open(self, path, mode="rb", **kwargs):
        if mode != "rb":
            return super()._open(path, mode, **kwargs)
        return _Counted(super()._open(path, mode).getvalue())


class _Counted(io.BytesIO):
    def read(self, size=-1):
        data = super().read(size)
        CountingFiles.read_bytes += len(data)
        return data


COUNTED_ROWS = 200_000


@pytest.fixture
def counted():
    """A function that stores a file, and says how many bytes of it a read fetches."""
    fsspec.register_implementation("counted", CountingFiles, clobber=True)
    fs = fsspec.filesystem("counted")
    stored = []

    def store(name, content):
        fs.pipe_file(f"/{name}", content)
        stored.append(f"/{name}")

        def fetched(**given):
            CountingFiles.read_bytes = 0
            rows = table_of(f"counted:///{name}", **given).num_rows
            return rows, CountingFiles.read_bytes

        return fetched

    yield store
    for path in stored:
        fs.rm(path)


def two_columns():
    # Texts that do not compress to nothing.
    texts = [f"{at * 6364136223846793005 % 10**20:020}" for at in range(COUNTED_ROWS)]
    return pyarrow.table({"a": range(COUNTED_ROWS), "b": texts})


@pytest.mark.parametrize("compression", ["none", "zstd"])
def test_row_groups_that_no_row_is_wanted_of_are_not_fetched(counted, compression):
    stored = io.BytesIO()
    pyarrow.parquet.write_table(
        two_columns(), stored, row_group_size=10_000, compression=compression, use_dictionary=False
    )
    whole = len(stored.getvalue())
    fetched = counted("x.parquet", stored.getvalue())
    rows, few = fetched(filters=[("a", ">", COUNTED_ROWS - 5)])
    assert rows == 4
    assert few < whole / 2
    rows, some = fetched(columns=["a"])
    assert rows == COUNTED_ROWS
    assert some < whole * 0.7
    rows, none = fetched(filters=[("a", "<", 0)])
    assert rows == 0
    assert none < few


def test_columns_of_orc_that_are_not_wanted_are_not_fetched_and_stripes_are(counted):
    """pyarrow does not say what a stripe has, so that none is left out."""
    stored = io.BytesIO()
    table = two_columns()
    pyarrow.orc.write_table(table, stored, stripe_size=200_000, compression="uncompressed")
    whole = len(stored.getvalue())
    assert pyarrow.orc.ORCFile(io.BytesIO(stored.getvalue())).nstripes > 3
    fetched = counted("x.orc", stored.getvalue())
    rows, some = fetched(columns=["a"])
    assert rows == COUNTED_ROWS
    assert some < whole / 2
    rows, filtered = fetched(columns=["a"], filters=[("a", ">", COUNTED_ROWS - 5)])
    assert rows == 4
    assert filtered >= some


def test_a_stream_of_arrow_is_read_as_well_as_a_file(tmp_path):
    path = tmp_path / "x.arrows"
    with pyarrow.ipc.new_stream(path, PLAIN.schema) as writer:
        writer.write_table(PLAIN)
    assert table_of(path).equals(PLAIN)


def test_the_format_is_what_the_first_bytes_say(tmp_path):
    for format_, table in BY_FORMAT.items():
        path = tmp_path / f"x.of.{format_}.0"
        vineyard.io.write(path, table, format=format_)
        assert table_of(path).equals(table)
    with pytest.raises(vineyard.io.ReadError, match=r"other\.csv: is csv, and .* is parquet"):
        (tmp_path / "other.csv").touch()
        table_of([tmp_path / "x.of.parquet.0", tmp_path / "other.csv"])


def test_bytes_are_read_as_they_are(tmp_path, monkeypatch):
    from vineyard.io._formats import raw

    monkeypatch.setattr(raw, "RANGE_BYTES", 1000)
    data = bytes(range(256)) * 40
    for name in ("x.bin", "x.bin.gz"):
        vineyard.io.write(tmp_path / name, data, format="bytes")
        source = source_of(tmp_path / name, format="bytes")
        assert b"".join(source.batches()) == data
    source = source_of(tmp_path / "x.bin", format="bytes")
    piece = source.pieces[3]
    target = bytearray(piece.size_bytes)
    source.read_into(piece, target)
    assert target == data[3000:4000]


def test_files_of_one_read_have_the_columns_of_the_first(tmp_path):
    one, two = tmp_path / "1.parquet", tmp_path / "2.parquet"
    vineyard.io.write(one, pyarrow.table({"a": [1], "b": ["x"]}))
    vineyard.io.write(two, pyarrow.table({"b": ["y"], "c": [0.5]}))
    with pytest.raises(vineyard.io.ReadError, match=r'2\.parquet, column "a"') as raised:
        table_of(tmp_path)
    assert (raised.value.column, raised.value.path) == ("a", str(two))
    found = table_of(tmp_path, union_by_name=True)
    assert found.to_pydict() == {"a": [1, None], "b": ["x", "y"], "c": [None, 0.5]}
    assert table_of(tmp_path, columns=["b"]).to_pydict() == {"b": ["x", "y"]}
    paths = table_of(tmp_path, columns=["b", "path"], include_path_column=True)
    assert paths.to_pydict()["path"] == [str(one), str(two)]


def test_numbers_are_widened_to_the_type_of_the_first_file(tmp_path):
    vineyard.io.write(tmp_path / "1.parquet", pyarrow.table({"a": [1]}))
    narrow = pyarrow.table({"a": pyarrow.array([2], pyarrow.int8())})
    vineyard.io.write(tmp_path / "2.parquet", narrow)
    vineyard.io.write(tmp_path / "3.parquet", pyarrow.table({"a": ["x"]}))
    assert table_of([tmp_path / "1.parquet", tmp_path / "2.parquet"]).to_pydict() == {"a": [1, 2]}
    with pytest.raises(vineyard.io.ReadError, match=r'3\.parquet, column "a": is string'):
        table_of(tmp_path)
