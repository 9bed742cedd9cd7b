#!/usr/bin/env python3
"""much_streamed.py SOCKET BYTES: moves so many bytes from this process to another one, checksummed, through a stream
of any package of the name `vineyard`. The reader does twice the writer's work for each chunk. Fails if a chunk is
another one than was written, if the arena holds more than streams may have, or if a process keeps what went through it.
"""

import re
import subprocess
import sys
import time
import zlib

import vineyard
from vineyard.io.byte import ByteStream

CHUNK_BYTES = 1 << 20
# Of a chunk: its number, and the checksum of what is before.
TAIL_BYTES = 16
BODY_BYTES = CHUNK_BYTES - TAIL_BYTES
# What the node lets streams have of the arena.
THRESHOLD = 0.8
# What a process may have of its own more than when the bytes began to flow.
PRIVATE_BYTES_MAX = 32 << 20
CHECKED_EVERY = 64


def private_bytes():
    with open("/proc/self/status") as status:
        (kibibytes,) = re.findall(r"RssAnon:\s+(\d+) kB", status.read())
    return int(kibibytes) << 10


class Bounds:
    """What this process and the arena may have."""

    def __init__(self, client):
        self._client, self._before = client, private_bytes()

    def check(self, number):
        if number % CHECKED_EVERY:
            return
        more = private_bytes() - self._before
        assert more <= PRIVATE_BYTES_MAX, f"{more} bytes more than before"
        status = self._client.status
        assert status.memory_usage <= status.memory_limit * THRESHOLD, status


def tail_of(number, body):
    return number.to_bytes(8, "little") + zlib.crc32(body).to_bytes(8, "little")


def read(socket, stream, count):
    client = vineyard.connect(socket)
    reader = ByteStream.Reader(client, vineyard.ObjectID(stream))
    bounds = Bounds(client)
    for number in range(count):
        chunk = reader.next()
        body, tail = chunk[:BODY_BYTES], bytes(chunk[BODY_BYTES:])
        for _ in range(2):
            assert tail == tail_of(number, body), f"chunk {number} is another one"
        del chunk, body
        bounds.check(number)
    try:
        reader.next()
    except StopIteration:
        return
    raise AssertionError("there are more chunks than were written")


def write(client, stream, count):
    pattern = memoryview(bytes(at * at % 251 for at in range(BODY_BYTES)) * 2)
    writer = stream.open_writer(client)
    bounds = Bounds(client)
    for number in range(count):
        at = number * 4099 % BODY_BYTES
        body = pattern[at : at + BODY_BYTES]
        chunk = writer.next(CHUNK_BYTES)
        chunk[:BODY_BYTES] = body
        chunk[BODY_BYTES:] = tail_of(number, body)
        del chunk
        bounds.check(number)
    writer.finish()


def main():
    socket, size = sys.argv[1:3]
    count = -(-int(size) // CHUNK_BYTES)
    if sys.argv[3:]:
        read(socket, sys.argv[3], count)
        return
    client = vineyard.connect(socket)
    stream = ByteStream.new(client)
    (word,) = re.findall("o[0-9a-f]{16}", repr(stream.id))
    begun = time.monotonic()
    reader = subprocess.Popen([sys.executable, __file__, socket, size, word])
    try:
        write(client, stream, count)
        assert reader.wait() == 0, "the reader failed"
    finally:
        reader.kill()
        reader.wait()
    print(f"{count} chunks of 1 MiB in {time.monotonic() - begun:.1f} s")


main()
