#!/usr/bin/env python3
"""Files into objects and out of them: `vineyard.io` of any package of the name `vineyard`, and with --beside what only
our package does and the libraries that do the same without shared memory.

usage: io_files.py SOCKET ENDPOINT FOLDER [--json FILE] [--quick] [--beside]
       io_files.py --make FOLDER [--quick]
Each row has milliseconds by what was measured: "vineyard" and the libraries, one after the other. Each is done once
just before it is measured, so that files are in the page cache and memory is there.
"""

import argparse
import functools
import json
import os
import pathlib
import time

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

MIB = 1 << 20
ROWS = 1_500_000
# Of the table that is written as CSV.
FEW_ROWS = 100_000
SMALL_ROWS = 170
# What one task of Dask reads.
BLOCK_BYTES = 16 * MIB
PAGE_BYTES = 4096


def now_ms():
    return time.monotonic_ns() / 1e6


def table_of(rows):
    """Whole numbers, fractions and short texts."""
    random = np.random.default_rng(0)
    texts = [f"name {at % 1000}" for at in range(rows)]
    numbers = random.integers(0, 1_000_000_000, rows)
    return pa.table({"a": numbers, "b": random.random(rows), "s": texts})


def make(folder, part):
    """The files that are read: one table as CSV and Parquet, bytes, and the same bytes as Arrow."""
    folder.mkdir(exist_ok=True)
    table = table_of(ROWS // part)
    table.to_pandas().to_csv(folder / "x.csv", index=False)
    pyarrow.parquet.write_table(table, folder / "x.parquet")
    (folder / "small.csv").write_text("a,b\n" + "1,2.5\n" * SMALL_ROWS)
    numbers = np.random.default_rng(1).random(256 * MIB // part // 8)
    numbers.tofile(folder / "x.bin")
    columns = pa.table({f"c{at}": part for at, part in enumerate(numbers.reshape(8, -1))})
    with pa.ipc.new_file(folder / "x.arrow", columns.schema) as writer:
        writer.write_table(columns, max_chunksize=MIB // 8)


class Files:
    """What every package of the name does."""

    def __init__(self, socket, endpoint, folder, part):
        import vineyard
        import vineyard.io

        self.io, self.id = vineyard.io, vineyard.ObjectID
        self.client = vineyard.connect(socket)
        self.where = {"vineyard_ipc_socket": socket, "vineyard_endpoint": endpoint}
        self.folder, self.part = folder, part

    def open_small(self):
        path = f"file://{self.folder}/small.csv#header_row=1&delimiter=,"
        (stream,) = self.client.get(self.io.open(path, **self.where))
        table = stream.open_reader(self.client).read_table()
        assert table.num_rows == SMALL_ROWS, table

    def frames(self, name):
        path = f"file://{self.folder}/{name}"
        return self.io.open(path, accumulate=True, **self.where).id

    def rows(self):
        return {
            "open a CSV of 1 KiB": {"vineyard": self.open_small},
            "CSV, accumulate=True": {
                "vineyard": lambda: self.frames("x.csv#header_row=1&delimiter=,")
            },
            "Parquet, accumulate=True": {"vineyard": lambda: self.frames("x.parquet")},
        }

    def took_ms(self, work):
        begun = now_ms()
        made = work()
        took = now_ms() - begun
        if isinstance(made, self.id):
            self.client.delete(made, force=True, deep=True)
        return took

    def measure(self, works):
        took = {}
        for name, work in works.items():
            # At once before it is measured: the node gives memory back that was free for a while.
            self.took_ms(work)
            took[name] = self.took_ms(work)
        return took


class Beside(Files):
    """What only our package does, and the libraries that do the same without shared memory."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.out = self.folder / "out"
        self.out.mkdir(exist_ok=True)
        self.table = table_of(ROWS // self.part)
        self.frame = table_of(FEW_ROWS // self.part).to_pandas()
        self.array = np.fromfile(self.folder / "x.bin", "u1")
        self.kept = self.client.put(self.array)
        self.read = functools.partial(self.io.read, client=self.client)
        self.write = functools.partial(self.io.write, client=self.client)

    def batches(self, name, **options):
        return self.read(self.folder / name, accumulate="arrow", **options).id

    def bytes_in_a_stream(self):
        made = self.read(self.folder / "x.bin", format="bytes")
        for chunk in made:
            np.frombuffer(chunk, "u1")[::PAGE_BYTES].sum()
        made.join()

    def readinto(self):
        with open(self.folder / "x.bin", "rb", buffering=0) as file:
            done = 0
            while done < len(self.array):
                done += file.readinto(self.array[done:])

    def dask(self):
        import dask.dataframe

        dask.dataframe.read_csv(self.folder / "x.csv", blocksize=BLOCK_BYTES).compute()

    def tofile(self):
        with open(self.out / "x.bin", "wb") as file:
            self.array.tofile(file)
            file.flush()
            os.fsync(file.fileno())

    def serialize(self):
        self.io.serialize(self.out / "object", self.kept, compression=None, client=self.client)

    def deserialize(self):
        return self.io.deserialize(self.out / "object", client=self.client)

    def rows(self):
        import polars

        csv, parquet, out = self.folder / "x.csv", self.folder / "x.parquet", self.out
        return super().rows() | {
            "CSV, accumulate='arrow'": {
                "vineyard": lambda: self.batches("x.csv", header_row=True),
                "pyarrow": lambda: pyarrow.csv.read_csv(csv),
                "polars": lambda: polars.read_csv(csv),
                "dask": self.dask,
                "pandas": lambda: pd.read_csv(csv),
            },
            "Parquet, accumulate='arrow'": {
                "vineyard": lambda: self.batches("x.parquet"),
                "pyarrow": lambda: pyarrow.parquet.read_table(parquet),
                "polars": lambda: polars.read_parquet(parquet),
            },
            "bytes in a stream": {"vineyard": self.bytes_in_a_stream, "readinto": self.readinto},
            "IPC, accumulate='arrow'": {
                "vineyard": lambda: self.batches("x.arrow"),
                "readinto": self.readinto,
            },
            "write Parquet": {
                "vineyard": lambda: self.write(out / "v.parquet", self.table),
                "pyarrow": lambda: pyarrow.parquet.write_table(self.table, out / "p.parquet"),
            },
            "write CSV": {
                "vineyard": lambda: self.write(out / "v.csv", self.frame, header_row=True),
                "pandas": lambda: self.frame.to_csv(out / "p.csv", index=False),
            },
            "serialize 256 MiB": {"vineyard": self.serialize, "tofile": self.tofile},
            "deserialize 256 MiB": {
                "vineyard": self.deserialize,
                "fromfile": lambda: np.fromfile(out / "x.bin", "u1"),
            },
        }


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("where", nargs="*")
    arguments.add_argument("--json")
    arguments.add_argument("--quick", action="store_true")
    arguments.add_argument("--beside", action="store_true")
    arguments.add_argument("--make", type=pathlib.Path)
    arguments.add_argument("--only", default="")
    asked = arguments.parse_args()
    part = 8 if asked.quick else 1
    if asked.make:
        make(asked.make, part)
        return
    socket, endpoint, folder = asked.where
    kind = Beside if asked.beside else Files
    files = kind(socket, endpoint, pathlib.Path(folder), part)
    found = {}
    for name, works in files.rows().items():
        if asked.only not in name:
            continue
        try:
            found[name] = files.measure(works)
        except Exception as error:
            found[name] = {"error": f"{type(error).__name__}: {error}"[:300]}
        print(f"{name:36} {found[name]}", flush=True)
    if asked.json:
        pathlib.Path(asked.json).write_text(json.dumps(found))


main()
