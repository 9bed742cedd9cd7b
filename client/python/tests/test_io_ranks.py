"""Ranks: processes on three nodes that read one object together."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
import vineyard
import vineyard.io
from vineyard.io import ReadError
from vineyard.io._formats import text
from vineyard.io._machines import ranks

ROWS = 3000
NAMED = "read-by-ranks"
GONE_SECONDS = 20
# So that each rank has several pieces.
CHUNK = {"chunk_size": 8192, "header_row": True}

SCRIPT = """
import os, sys, time, vineyard, vineyard.io
from pathlib import Path

socket, path, rank, blocks = sys.argv[1:]

def hook(batch):
    if blocks:
        os.write(1, b"reads\\n")
        while Path(path).exists():
            time.sleep(0.02)
    return batch

meta = vineyard.io.read(
    path, accumulate="arrow", rank=int(rank), size=3, name="read-by-ranks", run_id="a run",
    chunk_size=8192, header_row=True, chunk_hook=hook, client=vineyard.connect(socket),
)
print(repr(meta.id), flush=True)
"""


@pytest.fixture
def csv(tmp_path) -> str:
    path = tmp_path / "x.csv"
    frame = pd.DataFrame({"a": range(ROWS), "b": [f"text {at}" for at in range(ROWS)]})
    frame.to_csv(path, index=False)
    return str(path)


@pytest.fixture
def clients(cluster) -> Iterator[list[Any]]:
    # With an endpoint, for what is on the others.
    made = [vineyard.connect(node.socket, endpoint=(node.host, node.port)) for node in cluster]
    before = objects_of(made[0])
    yield made
    assert names_of(made[0]) == {}
    assert objects_of(made[0]) == before
    for client in made:
        client.close()


def names_of(client: Any) -> dict[str, Any]:
    """The names that a run has made; those of processes that were killed go a little later."""
    client.sync_meta()
    return client.list_names(f"*{NAMED}*", limit=1000)


def begun(client: Any) -> set[str]:
    """The ranks that have begun."""
    return {name.rpartition("/")[2].removesuffix(".last") for name in names_of(client)}


def objects_of(client: Any) -> set[Any]:
    client.sync_meta()
    metas = client.list_metadatas("vineyard::GlobalDataFrame", limit=1000)
    return {meta.id for meta in metas + client.list_metadatas("*io::Note*", limit=1000)}


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + GONE_SECONDS
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def process_of(cluster: Any, path: str, rank: int, blocks: bool = False) -> subprocess.Popen[str]:
    words = [cluster[rank].socket, path, str(rank), "blocks" if blocks else ""]
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, *words],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(vineyard.__file__).parents[1])},
    )


class Ranks:
    """Reads by some of three ranks, each in a thread. `found` has what each got, or its error."""

    def __init__(self, clients: list[Any], path: str, which: Any = (0, 1, 2), **given: Any) -> None:
        self.found: dict[int, Any] = {}
        given = {**CHUNK, "accumulate": True, "name": NAMED, "run_id": "a run", **given}
        of_rank = given.pop("of_rank", {})

        def read(rank: int) -> None:
            try:
                words = {"rank": rank, "size": 3, "client": clients[rank]}
                mine = {"path": path, **words, **given, **of_rank.get(rank, {})}
                self.found[rank] = vineyard.io.read(mine.pop("path"), **mine)
            except Exception as error:
                self.found[rank] = error

        self._threads = [threading.Thread(target=read, args=(rank,)) for rank in which]
        for thread in self._threads:
            thread.start()

    def join(self) -> dict[int, Any]:
        for thread in self._threads:
            thread.join()
        return self.found


def assert_one_object(clients: list[Any], ids: list[Any], path: str, accumulate: Any) -> None:
    """That all have the same object, with the name, and that it is what one read makes."""
    assert len(set(ids)) == 1
    meta = clients[1].get_meta(ids[0])
    parts = [meta[f"partitions_-{at}"] for at in range(meta["partitions_-size"])]
    owners = [part.instance_id for part in parts]
    assert list(dict.fromkeys(owners)) == [client.instance_id for client in clients]
    single = vineyard.io.read(path, accumulate=accumulate, client=clients[0], **CHUNK)
    whole = joined(clients[0].get(single.id))
    for client in clients:
        client.sync_meta()
        assert client.get_name(NAMED) == ids[0]
        assert joined(client.get(ids[0])).equals(whole)
    if accumulate is True:
        places = [part["row_batch_index_"] for part in parts]
        assert places == sorted(set(places)) and len(whole) == ROWS
    clients[0].delete([ids[0], single.id], force=True)


def joined(parts: list[Any]) -> Any:
    if isinstance(parts[0], pa.RecordBatch):
        return pa.Table.from_batches(parts).combine_chunks()
    return pd.concat(parts, ignore_index=True)


def test_three_processes_on_three_nodes_make_what_one_read_makes(clients, cluster, csv):
    processes = [process_of(cluster, csv, rank) for rank in range(3)]
    ids = [vineyard.ObjectID(process.communicate()[0]) for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert_one_object(clients, ids, csv, "arrow")


def test_a_run_may_be_followed_by_another_of_its_name(clients, csv):
    for how in ("arrow", True):
        found = Ranks(clients, csv, accumulate=how, num_workers=2).join()
        assert_one_object(clients, [found[rank].id for rank in range(3)], csv, how)


def test_streams_of_all_ranks_are_one_parallel_stream(clients, csv):
    found = Ranks(clients, csv, accumulate=False).join()
    assert len({repr(read) for read in found.values()}) == 1
    assert clients[2].get_meta(found[0])["__streams_-size"] == 3
    tables = [found[rank].streams[0].reader.read_table() for rank in range(3)]
    assert pa.concat_tables(tables)["a"].to_pylist() == list(range(ROWS))
    for rank in range(3):
        found[rank].join()
    clients[0].delete(found[0], force=True)


@pytest.mark.parametrize("rank", [0, 2])
def test_what_one_rank_fails_of_all_fail_of(rank, clients, csv):
    def fails(batch: Any) -> Any:
        raise KeyError("in one rank")

    for wrong, says in (
        ({"chunk_hook": fails}, r"x\.csv: chunk_hook raised KeyError .* 'in one rank'"),
        ({"path": f"{csv}.none"}, r"x\.csv\.none: there is no such file"),
    ):
        found = Ranks(clients, csv, of_rank={rank: wrong}).join()
        for other, error in found.items():
            with pytest.raises(ReadError, match=says):
                raise error
            assert (f"rank {rank}: " in str(error)) == (other != rank)
        assert names_of(clients[0]) == {}
    # The same run again.
    found = Ranks(clients, csv).join()
    assert_one_object(clients, [found[rank].id for rank in range(3)], csv, True)


def test_what_ranks_tell_each_other_has_no_secret(clients, csv):
    secret = "MARKER-of-a-secret"

    def fails(batch: Any) -> Any:
        raise KeyError(secret)

    options = {"storage_options": {"token": secret}}
    found = Ranks(clients, csv, of_rank={1: {"chunk_hook": fails}}, **options).join()
    for rank in (0, 2):
        assert "rank 1: " in str(found[rank]) and secret not in str(found[rank])


@pytest.mark.parametrize("rank", [0, 2])
def test_a_rank_that_is_killed_fails_all_and_leaves_no_name(
    rank, clients, cluster, csv, monkeypatch
):
    leaders: list[Any] = []
    begins = ranks._Leader.begin
    monkeypatch.setattr(ranks._Leader, "begin", lambda run: (leaders.append(run), begins(run)))
    others = [one for one in range(3) if one != rank]
    with process_of(cluster, csv, rank, blocks=True) as process:
        running = Ranks(clients, csv, others)
        try:
            assert process.stdout is not None and process.stdout.readline() == "reads\n"
            wait_until(lambda: begun(clients[0]) == {"0", "1", "2"})
            # Rank 0 looks at the others, if it is not the one that is killed.
            wait_until(lambda: all(2 in leader._notes for leader in leaders))
        finally:
            process.kill()
            process.wait()
            found = running.join()
    for one in others:
        with pytest.raises(ReadError, match=f"^rank {rank}: its process ended before all ranks"):
            raise found[one]
    wait_until(lambda: names_of(clients[0]) == {})
    found = Ranks(clients, csv).join()
    assert_one_object(clients, [found[rank].id for rank in range(3)], csv, True)


def test_a_rank_that_does_not_come_is_named(clients, csv, monkeypatch):
    monkeypatch.setattr(ranks, "LEAVE_SECONDS", 2.0)
    found = Ranks(clients, csv, [0, 1], rank_timeout=2).join()
    for error in found.values():
        with pytest.raises(ReadError, match=r"^rank 0: waited 2 s for rank 2 to begin$"):
            raise error
    found = Ranks(clients, csv, [1], rank_timeout=1).join()
    with pytest.raises(ReadError, match="rank 1: rank 0 of run 'a run' did not begin within 1 s"):
        raise found[1]


def test_two_processes_are_not_one_rank(clients, csv, monkeypatch):
    monkeypatch.setattr(ranks, "LEAVE_SECONDS", 0.5)
    go = threading.Event()

    def waits(batch: Any) -> Any:
        go.wait(GONE_SECONDS)
        return batch

    first = Ranks(clients, csv, [0], chunk_hook=waits)
    wait_until(lambda: begun(clients[0]) == {"0"})
    second = Ranks(clients, csv, [0]).join()
    with pytest.raises(ReadError, match="rank 0: another process is this rank of run 'a run'"):
        raise second[0]
    others = Ranks(clients, csv, [1, 2])
    go.set()
    found = first.join() | others.join()
    assert_one_object(clients, [found[rank].id for rank in range(3)], csv, True)


def test_ranks_that_find_other_files_fail(clients, csv, tmp_path):
    other = tmp_path / "y.csv"
    other.write_bytes(Path(csv).read_bytes()[:-1])
    found = Ranks(clients, csv, of_rank={1: {"path": str(other)}}).join()
    for error in found.values():
        with pytest.raises(ReadError, match=r"rank 1: found .* bytes, and rank 0 .* bytes"):
            raise error


def test_the_run_is_what_the_launcher_says(monkeypatch, ipc_client, csv):
    for name in ("TORCHELASTIC_RUN_ID", "SLURM_JOB_ID"):
        monkeypatch.delenv(name, raising=False)
    given = {"accumulate": True, "rank": 1, "size": 2, "name": NAMED, "client": ipc_client}
    with pytest.raises(ValueError, match="give each the same run_id="):
        vineyard.io.read(csv, **given)
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    assert ranks.run_id_of({}) == "77.0"
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "job")
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "2")
    assert ranks.run_id_of({}) == "job.2"
    assert ranks.run_id_of({"run_id": "mine"}) == "mine"
    with pytest.raises(ReadError, match=r"run 'job\.2' did not begin within 0 s"):
        vineyard.io.read(csv, rank_timeout=0, **given)


def test_ranks_with_other_numbers_of_threads_cut_files_alike(monkeypatch, ipc_client, csv):
    monkeypatch.setattr(text, "PIECE_BYTES_MIN", 100)
    found = []
    for rank, threads in enumerate((1, 7, 2)):
        given = {"rank": rank, "size": 3, "threads": threads, "header_row": True}
        meta = vineyard.io.read(csv, accumulate=True, client=ipc_client, **given)
        found += ipc_client.get(meta.id)
    assert pd.concat(found)["a"].tolist() == list(range(ROWS))
