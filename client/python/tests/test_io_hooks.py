"""`chunk_hook` of `vineyard.io`, called by threads and in processes of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import vineyard.io
from io_tables import ENDINGS
from vineyard._C import StreamFailedException
from vineyard.io import ReadError, WriteError

ROWS = 1000
GONE_SECONDS = 20
WORKERS = ["thread", "process"]


def hook_processes() -> list[int]:
    """The processes of hooks that this process has."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int(folder.joinpath("stat").read_text().rpartition(")")[2].split()[1])
            command = folder.joinpath("cmdline").read_bytes()
        except OSError:
            continue
        if parent == os.getpid() and b"_hook_worker" in command:
            found.append(int(folder.name))
    return found


@pytest.fixture(autouse=True)
def nothing_is_left():
    yield
    deadline = time.monotonic() + GONE_SECONDS
    while left := hook_processes():
        # A stream that failed is told to its readers before its processes have ended.
        assert time.monotonic() < deadline, f"processes {left} are still there"
        time.sleep(0.02)


@pytest.fixture
def table() -> pa.Table:
    return pa.table({"a": range(ROWS), "b": [f"text {at}" for at in range(ROWS)]})


@pytest.fixture
def parquet(tmp_path, table) -> str:
    path = str(tmp_path / "x.parquet")
    pq.write_table(table, path, row_group_size=100)
    return path


def tables_of(client: Any, meta: Any) -> pa.Table:
    return pa.Table.from_batches(client.get(meta.id))


def tripling() -> Any:
    """A hook that other processes have without this module."""

    def tripled(batch: pa.RecordBatch) -> pa.RecordBatch:
        here = pa.array([os.getpid()] * batch.num_rows, pa.int64())
        numbers = pa.array([3 * number.as_py() for number in batch["a"]])
        return pa.RecordBatch.from_arrays([numbers, here], names=["a", "pid"])

    return tripled


tripled = tripling()


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("ending", ENDINGS.values())
def test_a_hook_changes_what_is_read_and_written(ending, workers, tmp_path, table, ipc_client):
    path = str(tmp_path / f"x{ending}")
    given = {"header_row": True, "client": ipc_client}
    hook = {"chunk_hook": tripled, "workers": workers}
    vineyard.io.write(path, table, **given)
    read = tables_of(ipc_client, vineyard.io.read(path, accumulate="arrow", **given, **hook))
    vineyard.io.write(path, table, **given, **hook)
    written = tables_of(ipc_client, vineyard.io.read(path, accumulate="arrow", **given))
    for found in (read, written):
        assert found["a"].to_pylist() == [3 * number for number in range(ROWS)]
        pids = set(found["pid"].to_pylist())
        assert (os.getpid() in pids) == (workers == "thread") and len(pids) == 1


@pytest.mark.parametrize("workers", WORKERS)
def test_streams_go_through_hooks_both_ways(workers, tmp_path, parquet, ipc_client):
    hook = {"chunk_hook": tripled, "workers": workers, "client": ipc_client}
    read = vineyard.io.read(parquet, num_workers=2 if workers == "thread" else 1, threads=2, **hook)
    paths = vineyard.io.write(str(tmp_path / "y-{}.parquet"), read, **hook)
    read.join()
    assert len(paths) == len(read.streams)
    whole = pa.concat_tables([pq.read_table(path) for path in paths])
    assert whole["a"].to_pylist() == [9 * number for number in range(ROWS)]
    assert (os.getpid() in whole["pid"].to_pylist()) == (workers == "thread")
    object_id = vineyard.io.write("vineyard://through-hooks", pq.read_table(parquet), **hook)
    frames = ipc_client.get(object_id)
    assert sum(len(frame) for frame in frames) == ROWS
    assert frames[-1]["a"].tolist()[-1] == 3 * (ROWS - 1)
    ipc_client.delete(object_id)


def test_pieces_share_the_processes_and_keep_their_order(parquet, ipc_client):
    meta = vineyard.io.read(
        parquet,
        accumulate="arrow",
        threads=2,
        chunk_hook=tripled,
        workers="process",
        client=ipc_client,
    )
    whole = tables_of(ipc_client, meta)
    assert meta["partitions_-size"] == ROWS // 100
    assert whole["a"].to_pylist() == [3 * number for number in range(ROWS)]
    assert len(set(whole["pid"].to_pylist())) <= 2


@pytest.mark.parametrize("workers", WORKERS)
def test_a_hook_that_raises_is_an_error_of_file_and_batch(workers, tmp_path, parquet, ipc_client):
    def fails(batch: Any) -> Any:
        if batch["a"][0].as_py() == 0:
            return batch
        raise KeyError("no such thing")

    given = {"chunk_hook": fails, "workers": workers, "client": ipc_client, "threads": 1}
    says = r"x\.parquet: chunk_hook raised KeyError for batch 0: 'no such thing'"
    before = len(ipc_client.list_metadatas("*", limit=10_000))
    with pytest.raises(ReadError, match=says) as raised:
        vineyard.io.read(parquet, accumulate="arrow", **given)
    assert len(ipc_client.list_metadatas("*", limit=10_000)) == before
    cause = raised.value.__cause__
    assert isinstance(cause, KeyError) or "in fails" in str(cause)
    read = vineyard.io.read(parquet, **given)
    with pytest.raises(StreamFailedException, match=says):
        list(read)
    with pytest.raises(ReadError, match=says):
        read.join()
    target = tmp_path / "y.csv"
    two = [pq.read_table(parquet).slice(at, 1) for at in (0, 1)]
    with pytest.raises(WriteError, match=r"y\.csv: chunk_hook raised KeyError for batch 1"):
        vineyard.io.write(str(target), two, single_file=True, **given)
    assert not target.exists()


@pytest.mark.parametrize("workers", WORKERS)
def test_a_hook_that_returns_no_batch_is_a_type_error(workers, tmp_path, parquet, ipc_client):
    given = {"chunk_hook": lambda batch: [1], "workers": workers, "client": ipc_client}
    given["threads"] = 1
    says = r"must return a pyarrow\.RecordBatch; it returned a list for batch 0 of .*"
    with pytest.raises(TypeError, match=says + r"x\.parquet"):
        vineyard.io.read(parquet, accumulate="arrow", **given)
    with pytest.raises(StreamFailedException, match=says + r"x\.parquet"):
        list(vineyard.io.read(parquet, **given))
    with pytest.raises(TypeError, match=says + r"y\.csv"):
        vineyard.io.write(str(tmp_path / "y.csv"), pq.read_table(parquet), **given)


@pytest.mark.parametrize("workers", WORKERS)
def test_a_hook_may_be_large(workers, parquet, ipc_client):
    # Larger than the arguments of a command may be, and than a pipe holds.
    large = os.urandom(8 << 20)

    def measures(batch: Any) -> Any:
        sizes = pa.array([len(large)] * batch.num_rows)
        return pa.RecordBatch.from_arrays([sizes], names=["size"])

    given = {"chunk_hook": measures, "workers": workers, "client": ipc_client, "threads": 1}
    meta = vineyard.io.read(parquet, accumulate="arrow", **given)
    assert set(tables_of(ipc_client, meta)["size"].to_pylist()) == {8 << 20}


@pytest.mark.parametrize(
    ("dies", "says"),
    [
        (lambda: os.kill(os.getpid(), signal.SIGKILL), r"by signal 9 \(Killed\)"),
        (lambda: os._exit(3), "with exit code 3"),
    ],
)
def test_a_process_that_dies_is_an_error_of_file_and_batch(dies, says, parquet, ipc_client):
    def hook(batch: Any) -> Any:
        dies()

    given = {"chunk_hook": hook, "workers": "process", "client": ipc_client}
    says = rf"x\.parquet: chunk_hook lost its process for batch 0: it ended {says}"
    with pytest.raises(ReadError, match=says):
        vineyard.io.read(parquet, accumulate="arrow", threads=1, **given)


def test_what_no_hook_can_be_is_refused_at_once(tmp_path, parquet, ipc_client):
    lock = threading.Lock()

    def has_a_lock(batch: Any) -> Any:
        with lock:
            return batch

    given = {"client": ipc_client, "workers": "process"}
    with pytest.raises(TypeError, match="chunk_hook cannot be sent to another process"):
        vineyard.io.read(parquet, chunk_hook=has_a_lock, **given)
    with pytest.raises(TypeError, match="chunk_hook must be callable, not a int"):
        vineyard.io.read(parquet, chunk_hook=7, client=ipc_client)
    with pytest.raises(ValueError, match="workers is 'fork': it must be thread or process"):
        vineyard.io.read(parquet, chunk_hook=tripled, workers="fork", client=ipc_client)
    for workers in WORKERS:
        given = {"client": ipc_client, "workers": workers, "chunk_hook": tripled}
        with pytest.raises(ValueError, match="bytes have none"):
            vineyard.io.read(parquet, format="bytes", **given)
        with pytest.raises(ValueError, match="bytes have none"):
            vineyard.io.write(str(tmp_path / "x.bin"), b"bytes", **given)


def test_the_processes_of_a_reader_that_is_killed_end(tmp_path, node, parquet):
    script = (
        "import os, sys, threading, vineyard, vineyard.io\n"
        "def hook(batch):\n"
        "    print(os.getpid(), flush=True)\n"
        "    threading.Event().wait()\n"
        "client = vineyard.connect(sys.argv[1])\n"
        "given = {'chunk_hook': hook, 'workers': 'process', 'client': client}\n"
        "vineyard.io.read(sys.argv[2], accumulate='arrow', threads=1, **given)\n"
    )
    path = str(Path(vineyard.__file__).parents[1])
    with subprocess.Popen(
        [sys.executable, "-c", script, node.socket, parquet],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": path},
    ) as process:
        assert process.stdout is not None
        hook = int(process.stdout.readline())
        process.kill()
    deadline = time.monotonic() + GONE_SECONDS
    while is_running(hook):
        assert time.monotonic() < deadline, f"process {hook} is still there"
        time.sleep(0.02)


def is_running(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
