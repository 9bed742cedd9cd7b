"""Shared memory: the standard library's interface, and its layout."""

from __future__ import annotations

from multiprocessing import shared_memory as standard

import numpy as np
import pytest
import vineyard
from vineyard.shared_memory import ShareableList, SharedMemory

ITEMS = ["a", b"bb", 1234, -5, 56789.01234, True, False, None, "grüße", ""]


def test_a_block_is_written_frozen_and_read(ipc_client):
    block = SharedMemory(ipc_client, create=True, size=8)
    assert (block.size, len(block.buf)) == (8, 8)
    assert repr(block) == f"SharedMemory({block.name!r}, size=8)"
    with pytest.raises(vineyard.ObjectNotExistsException, match="frozen"):
        SharedMemory(ipc_client, name=block.name)
    block.buf[:4] = b"abcd"
    assert block.freeze() is block
    block.close()
    opened = SharedMemory(ipc_client, name=block.name)
    assert bytes(opened.buf[:4]) == b"abcd"
    with pytest.raises(TypeError):
        opened.buf[0] = 1
    opened.unlink()
    assert bytes(opened.buf[:4]) == b"abcd"


@pytest.mark.parametrize(
    "arguments",
    [
        {"size": -1, "create": True},
        {"create": True},
        {"create": True, "size": 1, "name": "o1"},
        {},
    ],
)
def test_arguments_that_make_no_sense(ipc_client, arguments):
    with pytest.raises(ValueError):
        SharedMemory(ipc_client, **arguments)


def test_a_block_that_does_not_exist(ipc_client):
    with pytest.raises(vineyard.ObjectNotExistsException):
        SharedMemory(ipc_client, name="offfffffffffffabc")


def test_a_list_is_written_frozen_and_read(ipc_client):
    mine = ShareableList(ipc_client, ITEMS)
    mine[0] = "bbbbbb"
    mine[-3] = None
    mine.freeze()
    theirs = ShareableList(ipc_client, name=mine.shm.name)
    assert list(theirs) == ["bbbbbb", *ITEMS[1:]]
    assert [type(item) for item in theirs] == [type(item) for item in ["b", *ITEMS[1:]]]
    assert len(theirs) == len(ITEMS)
    assert (theirs.count(None), theirs.index(1234)) == (1, 2)
    assert theirs[-2] == "grüße"
    assert "bbbbbb" in repr(theirs)
    with pytest.raises(TypeError, match="read-only"):
        theirs[0] = "x"
    with pytest.raises(ValueError):
        theirs.index("absent")


def test_a_list_refuses_what_does_not_fit(ipc_client):
    shareable = ShareableList(ipc_client, ["short", 1])
    with pytest.raises(ValueError, match="exceeds available storage"):
        shareable[0] = "much longer than eight bytes"
    for index in (2, -3):
        with pytest.raises(IndexError, match="index out of range"):
            shareable[index]
        with pytest.raises(IndexError, match="index out of range"):
            shareable[index] = 1
    with pytest.raises(KeyError):
        ShareableList(ipc_client, [object()])
    shareable[1] = 2.5
    assert list(shareable) == ["short", 2.5]


def test_the_layout_is_the_standard_librarys(ipc_client):
    items = [item for item in ITEMS if item != "grüße"]  # Counted in characters there.
    theirs = standard.ShareableList(items)
    try:
        ours = ShareableList(ipc_client, items)
        formats = slice(ours._formats_start, ours._codes_start)
        without_formats = bytearray(ours.shm.buf)
        without_formats[formats] = theirs.shm.buf[formats]
        assert bytes(without_formats[:-1]) == bytes(theirs.shm.buf[: ours.shm.size - 1])
        assert theirs.format == ours.format
    finally:
        theirs.shm.close()
        theirs.shm.unlink()


def test_the_standard_library_reads_our_lists(ipc_client):
    ours = ShareableList(ipc_client, ITEMS)
    block = standard.SharedMemory(create=True, size=ours.shm.size)
    try:
        block.buf[: ours.shm.size] = ours.shm.buf
        assert list(standard.ShareableList(name=block.name)) == ITEMS
    finally:
        block.close()
        block.unlink()


EXACT = [b"a\x00", "a\x00", b"", "", b"\x00", "\x00" * 8, b"\x00" * 16, "1234567\x00", "grüße\x00"]


def test_row_22_zeros_at_the_end_of_texts_stay(ipc_client):
    made = ShareableList(ipc_client, EXACT)
    assert list(made) == EXACT
    made[2] = b"\x00" * 8
    made[3] = "ab\x00"
    made[4] = 7
    made[4] = b"1\x00"
    wanted = [*EXACT[:2], b"\x00" * 8, "ab\x00", b"1\x00", *EXACT[5:]]
    made.freeze()
    assert list(ShareableList(ipc_client, name=made.shm.name)) == wanted


@pytest.mark.parametrize("kind", [str, bytes])
def test_row_22_a_text_has_as_many_bytes_as_its_format_can_say(ipc_client, kind):
    longest = "x" * 9_999_998 + "\x00"
    longest = longest if kind is str else longest.encode()
    made = ShareableList(ipc_client, [longest, None]).freeze()
    assert ShareableList(ipc_client, name=made.shm.name)[0] == longest
    made.shm.unlink()
    longer = longest + longest[-1:]
    with pytest.raises(ValueError, match=r"at most 9,999,999 bytes, not 10,000,000"):
        ShareableList(ipc_client, [longer])
    open_list = ShareableList(ipc_client, [longest])
    with pytest.raises(ValueError, match=r"at most 9,999,999 bytes, not 10,000,000"):
        open_list[0] = longer
    open_list.shm.unlink()


# As an earlier build wrote ["ab", b"c", 5, None]: formats of the places, and no last byte.
EARLIER = (
    b"".join(number.to_bytes(8, "little") for number in (4, 0, 8, 16, 24, 32))
    + b"ab".ljust(8, b"\x00")
    + b"c".ljust(8, b"\x00")
    + (5).to_bytes(8, "little")
    + bytes(8)
    + b"".join(format.ljust(8, b"\x00") for format in (b"8s", b"8s", b"q", b"xxxxxx?x"))
    + bytes([1, 2, 0, 3])
)


def test_a_list_of_an_earlier_build_is_read(ipc_client):
    builder = ipc_client.create_blob(len(EARLIER))
    builder.copy(0, EARLIER)
    earlier = ShareableList(ipc_client, name=repr(builder.seal(ipc_client).id))
    assert list(earlier) == ["ab", b"c", 5, None]
    assert earlier.format == "8s8sqxxxxxx?x"


VIEWS = {
    "buf": lambda block: block.buf,
    "a slice of it": lambda block: block.buf[1:3],
    "an array": lambda block: np.frombuffer(block.buf, "u1"),
    "a view of an array": lambda block: np.frombuffer(block.buf, "u1")[::2],
    "a memoryview of the builder": lambda block: memoryview(block._builder),
}


@pytest.mark.parametrize("make", VIEWS.values(), ids=VIEWS.keys())
@pytest.mark.parametrize("act", ["freeze", "close"])
def test_row_32_sealed_memory_does_not_change_through_an_old_view(ipc_client, make, act):
    block = SharedMemory(ipc_client, create=True, size=8)
    view = make(block)
    with pytest.raises(BufferError, match=r"`del view`, or `view.release\(\)`"):
        getattr(block, act)()
    view[0] = 7  # The block is still its creator's.
    if isinstance(view, memoryview):
        view.release()
    else:
        del view
    getattr(block, act)()
    assert 7 in bytes(SharedMemory(ipc_client, name=block.name).buf)
    late = block.buf
    assert late.readonly
    block.freeze()


def test_a_list_with_a_view_of_its_memory_is_not_frozen(ipc_client):
    made = ShareableList(ipc_client, ITEMS)
    view = made.shm.buf
    with pytest.raises(BufferError, match="release"):
        made.freeze()
    made[0] = "b"
    view.release()
    made.freeze()
    assert ShareableList(ipc_client, name=made.shm.name)[0] == "b"
