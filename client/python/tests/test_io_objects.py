"""Files into objects and back, with a node: global frames, drivers, errors that leave nothing."""

from __future__ import annotations

import pandas
import pyarrow
import pytest
import vineyard
import vineyard.io
from io_tables import table_of
from vineyard.io._formats import text

ROWS = 5000


@pytest.fixture
def numbers(tmp_path, monkeypatch):
    """A CSV file that is read in several pieces."""
    monkeypatch.setattr(text, "PIECE_BYTES_MIN", 4096)
    monkeypatch.setattr(text, "FIRST_BLOCK_BYTES", 4096)
    path = tmp_path / "numbers.csv"
    lines = [f"{at},{'' if at % 7 == 0 else at * 2},name {at}" for at in range(ROWS)]
    path.write_text("\n".join(["a,b,c", *lines, ""]))
    return path


def test_a_frame_for_each_piece_in_order(numbers, client):
    meta = vineyard.io.read(numbers, header_row=True, accumulate=True, client=client)
    assert isinstance(meta, vineyard.ObjectMeta)
    assert meta.typename == "vineyard::GlobalDataFrame"
    assert meta["partition_shape_column_"] == 1
    assert meta["partition_shape_row_"] == meta["partitions_-size"] > 3
    orders = [meta[f"partitions_-{at}"]["row_batch_index_"] for at in range(3)]
    assert orders == sorted(set(orders))
    frames = client.get(meta.id)
    whole = pandas.concat(frames, ignore_index=True)
    assert whole["a"].tolist() == list(range(ROWS))
    assert [frame["a"].dtype for frame in frames] == [frames[0]["a"].dtype] * len(frames)
    # Whole numbers stay whole where some are null.
    assert {str(frame["b"].dtype) for frame in frames} == {"Int64"}
    assert whole["b"].isna().sum() == len(range(0, ROWS, 7))


def test_record_batches_without_pandas(numbers, client):
    meta = vineyard.io.read(numbers, header_row=1, accumulate="arrow", client=client, threads=3)
    batches = client.get(meta.id)
    assert all(isinstance(batch, pyarrow.RecordBatch) for batch in batches)
    expected = table_of(numbers, header_row=True)
    assert pyarrow.Table.from_batches(batches).equals(expected)
    assert batches[0].schema == expected.schema


def test_a_name_a_share_and_the_columns_of_the_index(numbers, node, ipc_client):
    socket = {"vineyard_ipc_socket": node.socket, "vineyard_endpoint": node.endpoint}
    found = []
    given = {"accumulate": True, "index_col": 0, "num_workers": 2, **socket}
    for rank in range(3):
        meta = vineyard.io.open(f"{numbers}#header_row=1", rank=rank, size=3, **given)
        found += ipc_client.get(meta.id)
    meta = vineyard.io.open(f"{numbers}#header_row=1", name="numbers", **given)
    assert ipc_client.get_name("numbers") == meta.id
    whole = pandas.concat(found)
    assert whole.index.tolist() == list(range(ROWS))
    assert whole.index.name == "a"
    with pytest.raises(ValueError, match="index_col has no column 'aa': did"):
        vineyard.io.read(numbers, header_row=1, accumulate=True, index_col="aa", **socket)
    with pytest.raises(ValueError, match="rank is 3 of size 3"):
        vineyard.io.read(numbers, accumulate=True, rank=3, size=3, **socket)


def test_more_workers_than_pieces_are_members_without_rows(tmp_path, ipc_client):
    path = tmp_path / "x.csv"
    path.write_text("1,a\n")
    meta = vineyard.io.read(path, accumulate="arrow", num_workers=3, client=ipc_client)
    batches = ipc_client.get(meta.id)
    assert sorted(batch.num_rows for batch in batches) == [0, 0, 1]
    assert len({batch.schema for batch in batches}) == 1


def test_an_error_leaves_nothing(numbers, fresh_node):
    client = vineyard.connect(fresh_node.socket)
    with numbers.open("a") as opened:
        opened.write("x,1,2\n")
    line = ROWS + 2
    with pytest.raises(vineyard.io.ReadError, match=f'numbers.csv, line {line}, column "a": "x"'):
        vineyard.io.read(numbers, header_row=True, accumulate=True, client=client)
    with pytest.raises(vineyard.io.ReadError, match="chunk_hook raised ZeroDivisionError"):
        vineyard.io.read(numbers, accumulate=True, client=client, chunk_hook=lambda _: 1 / 0)
    assert client.list_metadatas("*", limit=10) == []
    client.close()
    fresh_node.assert_all_is_free()


def test_a_hook_changes_what_is_read(numbers, ipc_client):
    given = {"header_row": True, "accumulate": "arrow", "client": ipc_client}
    meta = vineyard.io.read(numbers, chunk_hook=lambda batch: batch.select(["c"]), **given)
    assert {tuple(one.schema.names) for one in ipc_client.get(meta.id)} == {("c",)}
    with pytest.raises(TypeError, match=r"must return a pyarrow\.RecordBatch"):
        vineyard.io.read(numbers, chunk_hook=lambda batch: None, **given)


@pytest.mark.covers("vineyard.io.{open,read,write}")
def test_objects_are_written(numbers, tmp_path, ipc_client):
    meta = vineyard.io.read(numbers, header_row=1, accumulate=True, client=ipc_client)
    path = tmp_path / "out.csv"
    for what in (meta, meta.id, ipc_client.get_object(meta.id)):
        vineyard.io.open(path, what, mode="w", header_row=True, client=ipc_client)
        assert path.read_text() == numbers.read_text()
    parts = vineyard.io.write(f"{tmp_path}/out-{{}}.parquet", meta.id, client=ipc_client)
    assert len(parts) == meta["partitions_-size"]
    whole = pyarrow.concat_tables(table_of(part) for part in parts)
    assert whole.num_rows == ROWS


def test_a_registered_driver_is_asked_first_and_may_pass_on(tmp_path):
    asked = []

    def first(path, socket, *args, **given):
        asked.append(("first", path, socket, given["accumulate"], given["extra"]))
        return "first"

    def refuses(path, socket, **given):
        asked.append(("refuses", path))
        raise ValueError("not mine")

    def silent(path, socket, **given):
        asked.append(("silent", path))

    for driver in (first, refuses, silent):
        assert vineyard.io.read.register("made-up", driver) is driver
    given = {"vineyard_ipc_socket": "/s", "extra": 1}
    try:
        assert vineyard.io.read("Made-Up://x", **given) == "first"
        assert asked == [
            ("silent", "Made-Up://x"),
            ("refuses", "Made-Up://x"),
            ("first", "Made-Up://x", "/s", False, 1),
        ]
        vineyard.io.read.unregister(first)
        with pytest.raises(ValueError, match="No IO driver registered for made-up://x") as raised:
            vineyard.io.read("made-up://x")
        assert raised.value.__notes__ == ["a registered driver raised ValueError: not mine"]
    finally:
        for driver in (first, refuses, silent):
            vineyard.io.read.unregister(driver)


def test_open_has_drivers_of_its_own():
    def driver(path, socket, *, mode, **given):
        return f"{path} {mode}"

    vineyard.io.open.register("made-up", driver)
    try:
        assert vineyard.io.open("made-up://x") == "made-up://x r"
    finally:
        vineyard.io.open.unregister(driver)


def test_a_driver_without_a_scheme_is_for_all_paths():
    def driver(path, value, socket, **given):
        return f"{path} {value}"

    vineyard.io.write.register(driver)
    try:
        assert vineyard.io.open("x.csv", 7, mode="w") == "x.csv 7"
    finally:
        vineyard.io.write.unregister(driver)
    with pytest.raises(TypeError, match="a int cannot be written"):
        vineyard.io.write("x.csv", 7)
    with pytest.raises(TypeError, match=r"register\(driver\)"):
        vineyard.io.write.register("x", "y")
