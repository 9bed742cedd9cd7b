"""Shared memory: the standard library's interface, and its layout."""

from __future__ import annotations

from multiprocessing import shared_memory as standard

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
        size = ours.shm.size
        assert bytes(theirs.shm.buf[:size]) == bytes(ours.shm.buf)
        assert theirs.format == ours.format
    finally:
        theirs.shm.close()
        theirs.shm.unlink()
