#!/usr/bin/env python3
"""Streams between two processes, with any package of the name `vineyard`: this process writes, another one reads a
byte of each page.

usage: io_streams.py SOCKET [--there SOCKET] [--json FILE] [--quick]
With --there the other process reads on that node, which is another one of the same cluster. Each row has milliseconds by what was measured: "vineyard", and what it is compared with in the same process.
"""

import argparse
import json
import re
import statistics
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pyarrow as pa
import vineyard
from vineyard.io.byte import ByteStream
from vineyard.io.dataframe import DataframeStream
from vineyard.io.recordbatch import RecordBatchStream

MIB = 1 << 20
# What a row of large chunks moves.
MOVED_BYTES = 256 * MIB
PAGE_BYTES = 4096
BATCH_COLUMNS = 8
SMALL_CHUNKS = 1000
FRAMES = 100


def now_ms():
    """Of the clock that all processes of the machine share."""
    return time.monotonic_ns() / 1e6


def look_at_bytes(chunk):
    np.frombuffer(chunk, "u1")[::PAGE_BYTES].sum()


def look_at_batch(batch):
    for column in batch.columns:
        np.asarray(column)[:: PAGE_BYTES // 8].sum()


def read_all(reader, look):
    """Reads to the end, and says when that was."""
    count = 0
    while True:
        try:
            chunk = reader.next()
        except StopIteration:
            break
        look(chunk)
        del chunk
        count += 1
    return {"ended": now_ms(), "chunks": count}


def read_frames(reader, _):
    """Says of each frame when it was there; the writer waits for that."""
    while True:
        try:
            frame = reader.next()
        except StopIteration:
            return {}
        assert frame.shape == (128, 8)
        say({"got": now_ms()})
        del frame


KINDS = {
    "bytes": (ByteStream, look_at_bytes, read_all),
    "batches": (DataframeStream, look_at_batch, read_all),
    "frames": (RecordBatchStream, None, read_frames),
}


def say(value):
    print(json.dumps(value), flush=True)


def be_reader(socket):
    """Reads the streams that it is told of, one after the other."""
    client = vineyard.connect(socket)
    for line in sys.stdin:
        kind, stream = line.split()
        of, look, read = KINDS[kind]
        reader = of.Reader(client, vineyard.ObjectID(stream))
        say("opened")
        say(read(reader, look))
        del reader


class Reader:
    """The process that reads."""

    def __init__(self, socket):
        command = [sys.executable, __file__, socket, "--read"]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self._process = subprocess.Popen(command, text=True, **pipes)

    def open(self, kind, stream):
        (word,) = re.findall("o[0-9a-f]{16}", repr(stream))
        self._process.stdin.write(f"{kind} {word}\n")
        self._process.stdin.flush()
        assert self.hear() == "opened"

    def hear(self):
        while True:
            line = self._process.stdout.readline()
            if not line:
                raise RuntimeError("the reader ended")
            # The released package prints lines of its own.
            if line[0] in '{"':
                return json.loads(line)

    def close(self):
        self._process.stdin.close()
        self._process.wait()


class Bench:
    def __init__(self, socket, there, quick):
        self.client = vineyard.connect(socket)
        self.there = there
        self.reader = Reader(there or socket)
        self.part = 4 if quick else 1
        # What a released client has read stays in place as long as there is other memory: all of it shall have pages.
        self.bytes(8 * MIB, self.client.status.memory_limit // (8 * MIB) // self.part)

    def streamed(self, kind, write, count):
        """What `write` and the reader need for `count` chunks."""
        stream = KINDS[kind][0].new(self.client)
        self.reader.open(kind, stream.id)
        writer = stream.open_writer(self.client)
        begun = now_ms()
        for _ in range(count):
            write(writer)
        writer.finish()
        read = self.reader.hear()
        assert read["chunks"] == count, read
        del writer
        self.client.delete(stream.id)
        return read["ended"] - begun

    def bytes(self, size, count):
        source = np.full(size, 7, "u1")

        def write(writer):
            chunk = writer.next(size)
            chunk[:] = source
            del chunk

        return self.streamed("bytes", write, count)

    def large(self, size):
        count = MOVED_BYTES // size // self.part
        self.bytes(size, count)  # Takes the memory.
        return {"vineyard": self.bytes(size, count) * self.part, "memcpy": memcpy(size)}

    def small(self):
        self.bytes(1024, SMALL_CHUNKS)
        return {"vineyard": self.bytes(1024, SMALL_CHUNKS)}

    def batches(self):
        rows = 8 * MIB // BATCH_COLUMNS // 8
        columns = {f"c{at}": np.arange(rows, dtype="f8") for at in range(BATCH_COLUMNS)}
        batch = pa.RecordBatch.from_arrays(
            [pa.array(column) for column in columns.values()], list(columns)
        )
        count = MOVED_BYTES // batch.nbytes // self.part
        self.streamed("batches", lambda writer: writer.write(batch), count)
        took = self.streamed("batches", lambda writer: writer.write(batch), count)
        return {"vineyard": took * self.part, "pa.ipc": arrow(batch)}

    def frames(self):
        frame = pd.DataFrame({f"c{at}": np.arange(128.0) for at in range(8)})
        stream = RecordBatchStream.new(self.client)
        self.reader.open("frames", stream.id)
        writer = stream.open_writer(self.client)
        took = []
        for _ in range(FRAMES):
            begun = now_ms()
            writer.append(self.client.put(frame))
            took.append(self.reader.hear()["got"] - begun)
        writer.finish()
        self.reader.hear()
        del writer
        self.client.delete(stream.id)
        return {"vineyard": statistics.median(took)}

    def of_another_node(self):
        """The same bytes as chunks, and as an object that is fetched."""
        found = {"vineyard": self.large(8 * MIB)["vineyard"]}
        big = np.full(MOVED_BYTES, 7, "u1")
        there = vineyard.connect(self.there)

        def migrated():
            made = self.client.put(big, persist=True)
            begun = now_ms()
            there.get(made, fetch=True)
            took = now_ms() - begun
            self.client.delete(made, force=True, deep=True)
            return took

        migrated()
        return {**found, "migrate big": migrated()}

    def rows(self):
        if self.there:
            return {"byte stream of another node": self.of_another_node}
        return {
            "byte stream, 1 MiB chunks": lambda: self.large(MIB),
            "byte stream, 8 MiB chunks": lambda: self.large(8 * MIB),
            "byte stream, 1 KiB chunks": self.small,
            "dataframe stream, 8 MiB batches": self.batches,
            "record batch stream, frame 8x128": self.frames,
        }


def memcpy(size):
    """One thread that copies as much in such parts, to memory that is there."""
    source, target = np.full(size, 7, "u1"), np.zeros(MOVED_BYTES, "u1")

    def copy():
        for begin in range(0, MOVED_BYTES, size):
            target[begin : begin + size] = source

    return timed(copy)


def arrow(batch):
    """pyarrow that writes as many batches one after the other to memory that is there."""
    measure = pa.MockOutputStream()
    write_ipc(batch, measure)
    size, count = measure.size(), MOVED_BYTES // batch.nbytes
    target = np.zeros(size * count, "u1")

    def write():
        for at in range(count):
            part = pa.py_buffer(target[at * size : (at + 1) * size])
            with pa.FixedSizeBufferWriter(part) as sink:
                write_ipc(batch, sink)

    return timed(write)


def write_ipc(batch, sink):
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)


def timed(work):
    work()
    begun = now_ms()
    work()
    return now_ms() - begun


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("socket")
    arguments.add_argument("--there")
    arguments.add_argument("--json")
    arguments.add_argument("--quick", action="store_true")
    arguments.add_argument("--read", action="store_true")
    asked = arguments.parse_args()
    if asked.read:
        be_reader(asked.socket)
        return
    bench = Bench(asked.socket, asked.there, asked.quick)
    found = {}
    for name, measure in bench.rows().items():
        try:
            found[name] = measure()
            print(f"{name:36} {found[name]}", flush=True)
        except Exception as error:
            found[name] = {"error": f"{type(error).__name__}: {error}"[:300]}
            print(f"{name:36} {found[name]}", flush=True)
    bench.reader.close()
    if asked.json:
        with open(asked.json, "w") as file:
            json.dump(found, file)


main()
