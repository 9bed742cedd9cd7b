"""A writer that is killed, or fails, at any point leaves the file that was there, or none.

`VINEYARD_IO_POINTS` is at how many of its points, spread over a whole write of two files.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow
import pytest
import vineyard
import vineyard.io
from io_stores import Storage, storages
from io_tables import table_of

HELPER = Path(__file__).parent / "tools" / "dying_writer.py"
POINTS = int(os.environ.get("VINEYARD_IO_POINTS", "3"))
# How the writer dies, and whether there were files before. Few points are for each change.
CASES = [("kill", True), ("fail", False)]
CASES += [("kill", False), ("fail", True)] if POINTS > 3 else []
PARTS = 2
OLD = pyarrow.table({"a": [7]})
# Rows of a batch, and batches of a file. An upload to S3 is begun with the first 5 MiB.
S3_SIZE = (700_000, 1)
SIZE = (10, 2)
S3_BLOCK_BYTES = 5 << 20
NAMES = {f"x.arrow_{number}" for number in range(PARTS)}


class Writer:
    """The process that writes."""

    def __init__(self, storage: Storage) -> None:
        is_s3 = storage.base.startswith("s3")
        block = {"default_block_size": S3_BLOCK_BYTES} if is_s3 else {}
        rows, batches = S3_SIZE if is_s3 else SIZE
        self.rows = rows * batches
        self._common = {"path": storage.path("x.arrow"), "storage": storage.options | block}
        self._common |= {"rows": rows, "batches": batches, "parts": PARTS}
        path = str(Path(vineyard.__file__).parents[1])
        self._process = subprocess.Popen(
            [sys.executable, str(HELPER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": path},
            text=True,
        )

    def ask(self, do: str, at: int = 0) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(
            json.dumps({**self._common, "do": do, "at": at}), file=self._process.stdin, flush=True
        )
        line = self._process.stdout.readline()
        assert line, "the process that writes ended"
        return json.loads(line)

    def stop(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    with storages(tmp_path_factory.mktemp) as get:
        yield get


@pytest.fixture(scope="module", params=["local", "s3", "sftp", "webhdfs"])
def kind(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def writer(servers, kind) -> Iterator[Writer]:
    one = Writer(servers(kind))
    yield one
    one.stop()


def contents(storage: Storage) -> list[Any]:
    """What each file has; None for one that is not there."""
    there = storage.files()
    given = {"storage_options": storage.options, "format": "ipc"}
    return [
        table_of(storage.path(name), **given) if name in there else None for name in sorted(NAMES)
    ]


def prepared(servers: Any, kind: str, before: bool) -> Storage:
    storage = servers(kind)
    for name in NAMES if before else ():
        given = {"storage_options": storage.options, "format": "ipc"}
        vineyard.io.write(storage.path(name), OLD, **given)
    return storage


def spread(last: int) -> list[int]:
    """Some of the points up to the last one."""
    return sorted({1 + at * (last - 1) // max(1, POINTS - 1) for at in range(POINTS)})


@pytest.mark.parametrize(("does", "before"), CASES)
def test_at_each_point_the_file_is_the_old_one_or_absent(servers, kind, writer, does, before):
    storage = prepared(servers, kind, before)
    whole = writer.ask("count")
    assert whole["end"] == "done"
    new = contents(storage)
    assert [table.num_rows for table in new] == [writer.rows] * PARTS
    last = whole["points"]
    assert last >= 20
    for at in spread(last):
        storage = prepared(servers, kind, before)
        told = writer.ask(does, at)
        found = contents(storage)
        if (does, told["end"]) == ("fail", "done"):
            # A destructor runs there, whose exceptions Python drops.
            assert all(
                table.equals(complete) for table, complete in zip(found, new, strict=True)
            ), at
            continue
        assert told["end"] == {"kill": "killed", "fail": "failed"}[does], at
        for table, complete in zip(found, new, strict=True):
            is_old = table.equals(OLD) if before and table is not None else table is None
            # Files are published one after the other, at the end; one that is in the way of the
            # new one may have to stand aside.
            published = at >= whole["published"] and (table is None or table.equals(complete))
            assert is_old or published, at
        hidden = storage.files() - NAMES
        if does == "fail":
            assert (hidden, storage.uploads()) == (set(), []), at
        else:
            assert all(name.startswith(".x.arrow_") for name in hidden), at
            assert len(hidden) + len(storage.uploads()) <= 2 * PARTS, at
