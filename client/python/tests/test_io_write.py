"""Files are seen whole or not at all, on every kind of storage. No node is needed."""

from __future__ import annotations

import errno
import os
import stat
from typing import Any

import io_servers
import pyarrow
import pytest
import vineyard.io
from io_stores import BUCKET, Storage, storages
from io_tables import table_of
from vineyard.io import _options as options
from vineyard.io._formats import text
from vineyard.io._sink import Sink
from vineyard.io._writers import durable
from vineyard.io._writers.commit import Output

BATCH = pyarrow.record_batch({"a": list(range(100_000))})
OLD = pyarrow.table({"a": [7]})


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    """Each kind of storage, started when it is first asked for."""
    with storages(tmp_path_factory.mktemp) as get:
        yield get


KINDS = ("local", "memory", "s3", "sftp", "webhdfs")


@pytest.fixture(params=KINDS)
def storage(request, servers):
    return servers(request.param)


def write(storage: Storage, name: str, value: Any, **given: Any) -> Any:
    return vineyard.io.write(storage.path(name), value, storage_options=storage.options, **given)


def read(storage: Storage, name: str) -> pyarrow.Table:
    return table_of(storage.path(name), storage_options=storage.options)


def test_what_is_written_is_there_and_nothing_else(storage):
    for value in (OLD, pyarrow.Table.from_batches([BATCH] * 20)):
        write(storage, "x.parquet", value)
        assert read(storage, "x.parquet").equals(value)
        assert storage.files() == {"x.parquet"}
    assert storage.uploads() == []


class Failing(RuntimeError):
    """What a writer that fails raises."""


# When a write of two parts of three batches fails: before which batch, or when which is published.
POINTS = [*range(6), "close", "finish", "publish"]


@pytest.mark.parametrize("before", [True, False], ids=["old", "absent"])
@pytest.mark.parametrize("point", POINTS)
def test_a_write_that_fails_leaves_what_was_there(point, before, storage, monkeypatch):
    if before:
        for number in range(2):
            write(storage, f"x.arrow_{number}", OLD, format="ipc")
    if point in ("finish", "publish"):
        calls = []

        def fail(self: Output) -> None:
            calls.append(self)
            raise Failing(point)

        monkeypatch.setattr(Output, point, fail)
    with pytest.raises((Failing, vineyard.io.WriteError), match=f"{point}|fails at"):
        _write_two_parts(storage, point)
    monkeypatch.undo()
    names = {f"x.arrow_{number}" for number in range(2)} if before else set()
    assert storage.files() == names
    for name in names:
        found = table_of(storage.path(name), storage_options=storage.options, format="ipc")
        assert found.equals(OLD)
    assert storage.uploads() == []


def _write_two_parts(storage: Storage, point: Any) -> None:
    asked = options.for_writing({"storage_options": storage.options})
    path = storage.path("x.arrow")
    large = BATCH.slice(0, 10)
    if storage.base.startswith("s3"):
        # More than what an upload keeps in memory, so that it is begun.
        large = pyarrow.record_batch({"a": pyarrow.concat_arrays([BATCH.column(0)] * 8)})
    with Sink(path, asked.data, asked.storage, numbered=True) as sink:
        for number in range(2):
            with sink.part(BATCH.schema, number) as part:
                for at in range(3):
                    if number * 3 + at == point:
                        raise Failing(f"fails at {point}")
                    part.write(large)
                if point == "close" and number == 1:
                    raise Failing("close")


def test_a_value_that_cannot_be_written_is_an_error_before_anything_is(storage):
    with pytest.raises(vineyard.io.WriteError, match=r'x\.csv: column "a" is list'):
        write(storage, "x.csv", pyarrow.table({"a": [[1]]}))
    assert storage.files() == set()


def test_what_is_there_may_be_kept(storage):
    write(storage, "x.parquet", OLD)
    newer = pyarrow.table({"a": [8]})
    with pytest.raises(vineyard.io.WriteError, match=r"x\.parquet: exists already"):
        write(storage, "x.parquet", newer, exists="error")
    assert write(storage, "x.parquet", newer, exists="ignore") == []
    assert read(storage, "x.parquet").equals(OLD)
    assert write(storage, "y.parquet", newer, exists="ignore")
    assert storage.files() == {"x.parquet", "y.parquet"}


def test_names_of_parts(tmp_path):
    parts = [OLD, OLD]
    folder = f"{tmp_path}/"
    assert vineyard.io.write(f"{folder}a-{{}}.csv", parts) == [f"{folder}a-{at}.csv" for at in "01"]
    assert vineyard.io.write(f"{folder}b*.csv", parts) == [f"{folder}b{at}.csv" for at in "01"]
    assert vineyard.io.write(f"{folder}d/", parts, format="jsonl", compression="gzip") == [
        f"{folder}d/part-{at:05}.jsonl.gz" for at in range(2)
    ]
    assert vineyard.io.write(f"{folder}c.csv", parts) == [f"{folder}c.csv"]
    assert vineyard.io.write(f"{folder}{{}}.csv", parts, single_file=True) == [f"{folder}{{}}.csv"]
    assert table_of(f"{folder}c.csv").num_rows == 2
    assert (tmp_path / "{}.csv").exists()


def test_a_link_stays_a_link_and_its_file_is_replaced(tmp_path):
    target = tmp_path / "there" / "x.csv"
    target.parent.mkdir()
    target.write_text("1\n")
    (tmp_path / "x.csv").symlink_to(target)
    vineyard.io.write(tmp_path / "x.csv", OLD)
    assert (tmp_path / "x.csv").is_symlink()
    assert target.read_text() == "7\n"


def test_a_file_that_the_user_may_not_write_is_an_error(tmp_path):
    with pytest.raises(vineyard.io.WriteError, match=r"No such file|Permission|Not a directory"):
        vineyard.io.write("/proc/none/x.csv", OLD)
    (tmp_path / "x").write_text("")
    with pytest.raises(vineyard.io.WriteError, match=r"exists|Not a directory"):
        vineyard.io.write(tmp_path / "x" / "y.csv", OLD)
    vineyard.io.write(tmp_path / "z.csv", OLD)
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE((tmp_path / "z.csv").stat().st_mode) == 0o666 & ~umask


def test_a_disk_that_fails_while_bytes_are_written_is_told_at_the_end(tmp_path, monkeypatch):
    # The system tells of a failure once, so that the sync at the end would not see it.
    failures = [OSError(errno.EIO, "the disk fails")]

    def fail(descriptor: int) -> None:
        if failures:
            raise failures.pop()

    monkeypatch.setattr(durable, "SYNCED_BYTES", 1)
    monkeypatch.setattr(os, "fdatasync", fail)
    with pytest.raises(vineyard.io.WriteError, match=r"x\.bin.*the disk fails"):
        vineyard.io.write(tmp_path / "x.bin", bytes(1 << 20))
    assert not failures
    assert list(tmp_path.iterdir()) == []


def test_a_large_file_is_whole_though_it_is_synced_in_parts(tmp_path, monkeypatch):
    monkeypatch.setattr(durable, "SYNCED_BYTES", 1 << 20)
    monkeypatch.setattr(durable, "PART_BYTES", 100_000)
    data = os.urandom(5_000_001)
    vineyard.io.write(tmp_path / "x.bin", data)
    assert (tmp_path / "x.bin").read_bytes() == data


def test_a_missing_bucket_and_a_wrong_key_are_errors(servers):
    storage = servers("s3")
    with pytest.raises(vineyard.io.ReadError, match="s3://missing/x"):
        table_of("s3://missing/x.csv", storage_options=storage.options)
    with pytest.raises(vineyard.io.WriteError, match="s3://missing/x"):
        vineyard.io.write("s3://missing/x.csv", OLD, storage_options=storage.options)
    with pytest.raises(FileNotFoundError, match=f"s3://{BUCKET}/nothing"):
        table_of(f"s3://{BUCKET}/nothing.csv", storage_options=storage.options)


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".csv.gz"])
def test_text_is_read_in_pieces_from_every_storage(ending, storage, monkeypatch):
    monkeypatch.setattr(text, "PIECE_BYTES_MIN", 40_000)
    table = pyarrow.table({"f0": range(20_000), "f1": [f"text {at}" for at in range(20_000)]})
    write(storage, f"x{ending}", table)
    assert read(storage, f"x{ending}").equals(table)


def test_a_web_server_without_ranges_is_read(tmp_path):
    for ending in (".csv", ".parquet", ".jsonl.gz"):
        vineyard.io.write(tmp_path / f"x{ending}", OLD)
        with io_servers.web(tmp_path) as url:
            assert table_of(f"{url}/x{ending}", schema=OLD.schema).equals(OLD)
            with pytest.raises(FileNotFoundError, match=f"{url}/none"):
                table_of(f"{url}/none.csv")


def test_folders_of_values_on_an_object_store(servers):
    storage = servers("s3")
    table = pyarrow.table({"k": [1, 2, 1], "n": [1, 2, 3]})
    write(storage, "d.parquet", table, partition_cols="k")
    found = read(storage, "d.parquet").select(["k", "n"]).sort_by("n")
    assert found.equals(table)


def test_values_that_can_be_written(tmp_path):
    polars = pytest.importorskip("polars")
    path = tmp_path / "x.parquet"
    for value in (OLD, OLD.to_pandas(), polars.DataFrame({"a": [7]}), OLD.to_batches()[0], [OLD]):
        vineyard.io.write(path, value)
        assert table_of(path).to_pydict() == {"a": [7]}
    vineyard.io.write(path, [OLD, OLD.slice(0, 0), OLD])
    assert table_of(path).num_rows == 2
    with pytest.raises(TypeError, match="a int cannot be written"):
        vineyard.io.write(path, 5)
    with pytest.raises(ValueError, match="the parts have different columns"):
        vineyard.io.write(path, [OLD, pyarrow.table({"a": ["x"]})])
    assert table_of(path).num_rows == 2


def test_a_hook_changes_what_is_written(tmp_path):
    path = tmp_path / "x.parquet"

    def double(batch):
        doubled = pyarrow.compute.multiply(batch.column(0), 2)
        return pyarrow.record_batch({"twice": doubled})

    vineyard.io.write(path, OLD, chunk_hook=double)
    assert table_of(path).to_pydict() == {"twice": [14]}
    with pytest.raises(TypeError, match=r"must return a pyarrow\.RecordBatch"):
        vineyard.io.write(path, OLD, chunk_hook=lambda batch: batch.to_pandas())
    with pytest.raises(vineyard.io.WriteError, match="chunk_hook raised ZeroDivisionError"):
        vineyard.io.write(path, OLD, chunk_hook=lambda batch: 1 / 0)
    assert table_of(path).to_pydict() == {"twice": [14]}


def test_a_write_shows_its_progress_if_asked(tmp_path, capsys):
    pytest.importorskip("tqdm")
    table = pyarrow.Table.from_batches([BATCH] * 20)
    vineyard.io.write(tmp_path / "x.parquet", table, progress=True)
    shown = capsys.readouterr().err
    assert "write" in shown
    assert "15.3M" in shown, "what the batches take in memory"
    vineyard.io.write(tmp_path / "x", b"b" * (2 << 20), progress=True)
    assert "2.00M" in capsys.readouterr().err
    vineyard.io.write(tmp_path / "x.csv", table)
    assert capsys.readouterr().err == ""
