"""`vineyard._C` alone: the verbs of streams."""

from __future__ import annotations

import gc
import os
import signal
import threading

import pytest
from vineyard import _C


@pytest.fixture
def stream(ipc):
    meta = _C.ObjectMeta()
    meta["typename"] = "vineyard::ByteStream"
    meta["params_"] = "{}"
    id = ipc.create_metadata(meta).id
    ipc.create_stream(id, window_bytes_max=1 << 20)
    yield id
    ipc.drop_stream(id)


def filled(ipc, stream, data):
    builder = ipc.new_chunk(stream, len(data))
    memoryview(builder).cast("B")[:] = data
    ipc.push_chunk(stream, builder.id, seal=True)


def read_all(ipc, stream):
    chunks = []
    with pytest.raises(_C.StreamDrainedException):
        while True:
            chunks.append(bytes(ipc.next_buffer_chunk(stream)))
    return chunks


def test_two_threads_of_one_client_write_and_read(ipc, stream):
    written = [bytes([number]) * 100_000 for number in range(50)]

    def write():
        for data in written:
            filled(ipc, stream, data)
        ipc.stop_stream(stream, False)

    thread = threading.Thread(target=write)
    thread.start()
    assert read_all(ipc, stream) == written
    thread.join()


def test_the_released_verbs_complete_a_chunk_with_the_next_request(ipc, stream):
    ipc.open_stream(stream, "w")
    ipc.open_stream(stream, "r")
    with pytest.raises(_C.StreamOpenedException, match="Stream already opened"):
        ipc.open_stream(stream, "r")
    with pytest.raises(_C.AssertionFailedException, match="Mode can only be"):
        ipc.open_stream(stream, "a")
    for data in (b"one", b"", b"three"):
        view = ipc.new_buffer_chunk(stream, len(data))
        view[:] = data
        del view
        gc.collect()
    ipc.stop_stream(stream, False)
    assert read_all(ipc, stream) == [b"one", b"", b"three"]
    with pytest.raises(_C.InvalidStreamStateException):
        ipc.stop_stream(stream, False)


def test_a_view_outlasts_its_chunk_and_a_dropped_builder_is_no_chunk(ipc, stream):
    filled(ipc, stream, b"one")
    del_me = ipc.new_chunk(stream, 5)
    del del_me
    gc.collect()
    filled(ipc, stream, b"two")
    ipc.stop_stream(stream, True, reason="line 7 is ragged")
    numbered = ipc.next_chunks(stream, 10)
    assert [number for number, _ in numbered] == [0, 1]
    with pytest.raises(_C.StreamFailedException, match="line 7 is ragged"):
        ipc.next_chunk(stream)
    assert [bytes(blob) for _, blob in numbered] == [b"one", b"two"]


def test_objects_are_chunks(ipc, stream):
    meta = _C.ObjectMeta()
    meta["typename"] = "test::Thing"
    meta["n"] = 7
    thing = ipc.create_metadata(meta).id
    ipc.push_chunk(stream, thing)
    assert ipc.stream_status(stream)["waiting_chunks"] == 1
    got = ipc.next_chunk_meta(stream)
    assert got.id == thing and got["n"] == 7
    ipc.stop_stream(stream, False)
    with pytest.raises(_C.StreamDrainedException):
        ipc.next_chunk_id(stream)
    assert not ipc.exists(thing)


def test_a_wait_ends_in_time_and_by_a_signal_and_nothing_is_lost(ipc, stream):
    with pytest.raises(TimeoutError):
        ipc.next_chunk(stream, timeout=0.05)
    # A shell lets what it starts in the background ignore the signal.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            ipc.next_chunk(stream)
    finally:
        signal.signal(signal.SIGINT, before)
    filled(ipc, stream, b"one")
    assert bytes(ipc.next_chunk(stream, timeout=5)) == b"one"
    ipc.close_stream(stream, "w")
    with pytest.raises(_C.StreamFailedException, match="the writer left"):
        ipc.next_chunk(stream)


def test_options_are_checked_and_readers_replay(ipc, stream):
    with pytest.raises(_C.UserInputErrorException, match="'each'"):
        ipc.create_stream(stream, readers="all")
    other = ipc.create_metadata(ipc.get_meta(stream)).id
    ipc.create_stream(other, readers="each", retain_bytes_max=100)
    filled(ipc, other, b"one")
    ipc.stop_stream(other, False)
    assert bytes(ipc.next_chunk(other, cursor="a")) == b"one"
    with pytest.raises(_C.StreamDrainedException):
        ipc.next_chunk(other, cursor="a")
    ipc.open_stream(other, "r", cursor="b", from_="start")
    assert bytes(ipc.next_chunk(other, cursor="b")) == b"one"
    with pytest.raises(_C.InvalidStreamStateException, match="the oldest is 0"):
        ipc.open_stream(other, "r", cursor="c", from_=7)
    ipc.drop_stream(other)
