"""Files on OSS, on a server that answers as far as its library asks. No node is needed."""

from __future__ import annotations

import io_servers
import pyarrow
import pytest
import vineyard.io
from io_stores import Storage
from io_tables import table_of
from vineyard.io import _options as options
from vineyard.io._sink import Sink

pytest.importorskip("ossfs")

OLD = pyarrow.table({"a": [7]})
NEW = pyarrow.table({"a": range(1_000_000)})


@pytest.fixture
def storage():
    with io_servers.oss("bucket") as given:
        yield Storage("oss://bucket/x", given)


def read(storage: Storage, name: str) -> pyarrow.Table:
    return table_of(storage.path(name), storage_options=storage.options)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_what_is_written_is_read_and_nothing_else_is_left(storage, ending):
    header = {"header_row": True} if ending == "csv" else {}
    for table in (OLD, NEW, OLD):
        path = storage.path(f"x.{ending}")
        vineyard.io.write(path, table, storage_options=storage.options, **header)
        assert table_of(path, storage_options=storage.options, **header).equals(table)
        assert storage.files() == {f"x.{ending}"}


@pytest.mark.parametrize("before", [True, False], ids=["old", "absent"])
def test_a_file_is_seen_when_it_is_whole(storage, before):
    if before:
        vineyard.io.write(storage.path("x.arrow"), OLD, storage_options=storage.options)
    asked = options.for_writing({"storage_options": storage.options})

    def is_as_it_was() -> bool:
        if not before:
            return "x.arrow" not in storage.files()
        return read(storage, "x.arrow").equals(OLD)

    with (
        pytest.raises(ZeroDivisionError),
        Sink(storage.path("x.arrow"), asked.data, asked.storage) as sink,
        sink.part(NEW.schema, 0) as part,
    ):
        part.write(NEW.to_batches()[0])
        assert is_as_it_was()
        raise ZeroDivisionError
    assert is_as_it_was()
    assert storage.files() == ({"x.arrow"} if before else set())


def test_a_folder_of_values_is_read(storage):
    table = pyarrow.table({"k": [1, 2, 1], "n": [1, 2, 3]})
    given = {"storage_options": storage.options}
    vineyard.io.write(storage.path("d.parquet"), table, partition_cols="k", **given)
    found = read(storage, "d.parquet").select(["k", "n"]).sort_by("n")
    assert found.equals(table)
