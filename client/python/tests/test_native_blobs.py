"""`vineyard._C` alone: blobs in place, and copies to and from them."""

from __future__ import annotations

import ctypes
import gc
import os

import pytest
from native_tree import BLOB, tree_of
from vineyard import _C


def test_a_blob_is_filled_sealed_and_read_in_place(ipc):
    builder = ipc.create_blob(5)
    memoryview(builder).cast("B")[:] = b"hello"
    builder[4] = ord("O")
    assert not builder.issealed and len(builder) == builder.size == 5
    blob = builder.seal(ipc)
    assert builder.issealed and blob.id == builder.id and bytes(blob) == b"hellO"
    with pytest.raises(_C.AssertionFailedException, match="already sealed"):
        builder.seal(ipc)
    got = ipc.get_blob(blob.id)
    assert bytes(got) == b"hellO" and list(got) == list("hellO") and got[-1] == ord("O")
    view = memoryview(got)
    assert view.readonly and view.format == "b" and view.ndim == 1
    assert ctypes.addressof(ctypes.c_char.from_address(got.address)) == got.address
    with pytest.raises(TypeError):
        view[0] = 1
    with pytest.raises(IndexError):
        got[5]
    assert (got.nbytes, got.typename, got.islocal, got.ispersist) == (5, BLOB, True, False)
    assert ipc.get_blobs([got.id, _C.ObjectID(1), _C.ObjectID(2**63 + 2**62)])[1:] == [None, None]


def test_an_unsealed_blob_is_read_only_on_demand(ipc, rpc):
    builder = ipc.create_blob(4)
    with pytest.raises(_C.ObjectNotSealedException, match="unsafe=True"):
        ipc.get_blob(builder.id)
    builder.copy(0, b"abcd")
    assert bytes(ipc.get_blob(builder.id, unsafe=True)) == b"abcd"
    with pytest.raises(_C.ObjectNotSealedException):
        rpc.get_remote_blob(builder.id, unsafe=True)
    assert bytes(builder.seal(ipc)) == b"abcd"


def test_several_blobs_are_made_at_once_and_empty_ones_are_one(ipc):
    builders = ipc.create_blob([1, 0, 70_000])
    assert [len(builder) for builder in builders] == [1, 0, 70_000]
    empty = builders[1].seal(ipc)
    assert empty.id == ipc.create_empty_blob().id == _C.Blob.empty().id
    assert repr(empty.id) == "o8000000000000000" and bytes(empty) == b"" and empty.is_empty
    with pytest.raises(TypeError):
        ipc.create_blob(-1)
    with pytest.raises(_C.NotEnoughMemoryException, match="--size"):
        ipc.create_blob(1 << 40)


def test_a_view_keeps_the_memory_of_a_builder(ipc):
    builder = ipc.create_blob(100)
    view = memoryview(builder)
    for act in [lambda: builder.abort(ipc), lambda: builder.shrink(ipc, 10)]:
        with pytest.raises(BufferError, match="1 views"):
            act()
    view.release()
    with pytest.raises(_C.InvalidException, match="cannot shrink to size 200"):
        builder.shrink(ipc, 200)
    builder.shrink(ipc, 10)
    assert len(builder) == 10
    builder.abort(ipc)
    with pytest.raises(_C.ObjectNotExistsException):
        builder.abort(ipc)
    with pytest.raises(_C.ObjectNotExistsException):
        memoryview(builder)


def test_a_sealed_builder_is_neither_aborted_nor_shrunk_nor_written(ipc):
    builder = ipc.create_blob(10)
    builder.seal(ipc)
    for act in [
        lambda: builder.abort(ipc),
        lambda: builder.shrink(ipc, 5),
        lambda: builder.copy(0, b"x"),
        lambda: builder.__setitem__(0, 1),
    ]:
        with pytest.raises(_C.ObjectSealedException):
            act()
    assert memoryview(builder).readonly


def test_copies_are_checked(ipc):
    builder = ipc.create_blob(4)
    builder.copy(1, b"abc")
    source = ctypes.create_string_buffer(b"xy", 2)
    builder.copy(0, ctypes.addressof(source), 2)
    for act in [lambda: builder.copy(2, b"abc"), lambda: builder.copy(5, b"")]:
        with pytest.raises(_C.AssertionFailedException, match="size at most"):
            act()
    with pytest.raises(TypeError):
        builder.copy(0, 4096)
    assert bytes(builder.seal(ipc)) == b"xybc"


def test_memory_is_copied_between_buffers_and_addresses():
    target, source = bytearray(6), b"abcd"
    _C.memory_copy(target, source, offset=2)
    assert target == b"\0\0abcd"
    address = ctypes.addressof((ctypes.c_char * 6).from_buffer(target))
    _C.memory_copy(address, 6, b"xy")
    other = ctypes.create_string_buffer(b"zz", 2)
    _C.memory_copy(target, ctypes.addressof(other), 2, 2)
    assert target == b"xyzzcd"
    with pytest.raises(_C.AssertionFailedException):
        _C.memory_copy(target, source, offset=3)
    with pytest.raises(TypeError, match="read-only"):
        _C.memory_copy(b"abcd", b"x")
    large, copied = os.urandom(33 << 20), bytearray(33 << 20)
    _C.memory_copy(copied, large)
    assert copied == large


def test_shared_memory_is_found_while_a_value_shows_it(ipc, node):
    made = ipc._put_tree(tree_of(), [os.urandom(4096)])
    blob = ipc._get_tree(made.id)._buffer("buffer_")
    address = blob.address
    assert ipc.find_shared_memory(address) == blob.id and ipc.is_shared_memory(memoryview(blob))
    assert ipc.find_shared_memory(address + 8) is None
    del blob
    gc.collect()
    assert ipc.find_shared_memory(address) is None
