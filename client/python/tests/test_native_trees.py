"""`vineyard._C` alone: whole objects, put and got with their bytes."""

from __future__ import annotations

import os

import pytest
from native_tree import BLOB, tree_of
from vineyard import _C


@pytest.mark.parametrize("size", [0, 1, 1000, 65_536, 65_537, 5 << 20])
def test_a_tree_is_put_and_got_with_its_bytes(raw, size):
    content = os.urandom(size)
    made = raw._put_tree(tree_of(size), [content])
    got = raw._get_tree(made.id)
    assert got._tree()["n"] == size and got._tree()["typename"] == "test::Bytes"
    assert bytes(got._buffer("buffer_")) == content
    assert bytes(got._buffer(got._tree()["buffer_"]["id"])) == content
    assert bytes(raw.get_object(made.id).member("buffer_")) == content


def test_a_bare_blob_is_put(raw):
    for size in [0, 10, 100_000]:
        content = bytearray(os.urandom(size))
        made = raw._put_tree({"_buffer": 0}, [content])
        assert made.typename == BLOB and made.nbytes == size
        assert bytes(raw.get_object(made.id)) == content


def test_a_tree_is_nested_linked_persisted_and_named(raw):
    linked = raw._put_tree({"typename": "test::Leaf", "x": 1}, [])
    tree = {
        "typename": "test::Root",
        "list": [1, "a", None],
        "inner": {"typename": "test::Inner", "deep": {"typename": BLOB, "_buffer": 1}},
        "link": {"id": repr(linked.id)},
        "buffer_": {"typename": BLOB, "_buffer": 0},
    }
    name = f"root-{linked.id!r}"
    made = raw._put_tree(tree, [b"one", memoryview(b"two")], persist=True, name=name)
    got = raw._get_tree(name=name)
    assert got.id == made.id == raw.get_name(name)
    assert got["link"].id == linked.id and got._tree()["list"] == [1, "a", None]
    assert bytes(got["inner"]._buffer("deep")) == b"two"
    assert raw.get_object(made.id).ispersist
    assert raw.list_names(name) == {name: made.id}
    raw.drop_name(name)
    assert raw.list_names(name) == {}


def test_the_content_is_the_tree_without_what_the_protocol_adds(raw):
    values = {"i": -1, "u": 2**64 - 1, "f": 0.1, "t": True, "n": None, "s": 'a"\\\u00e9\u0000'}
    part = {"typename": "test::Part", "deep": {"typename": BLOB, "_buffer": 0}, **values}
    tree = {"typename": "test::Whole", "list": [1, [2.5, None], "a"], 'k\u00e9"': 1, "part": part}
    got = raw._get_tree(raw._put_tree(tree, [b"bytes"]).id)
    content, whole = got._content(), got._tree()
    assert content is got._content()
    blob = {"id": whole["part"]["deep"]["id"], "typename": BLOB}
    part = {**part, "deep": blob, "id": whole["part"]["id"]}
    assert content == {**tree, "part": part, "id": repr(got.id)}
    assert {name: type(value) for name, value in content["part"].items()} == {
        name: type(value) for name, value in part.items()
    }
    added = set(whole) - set(content)
    assert added == {"__timestamp", "global", "instance_id", "nbytes", "signature", "transient"}
    assert list(content) == sorted(content)


def test_only_what_the_protocol_adds_is_left_out_of_the_content(raw):
    part = {"typename": "test::Part", "length": {"typename": BLOB, "_buffer": 0}}
    items = [{"length": 1, "signature": "s", "x": [{"nbytes": 2}]}]
    tree = {"typename": "test::Whole", "nbytes": part, "items": items, "length": 3}
    got = raw._get_tree(raw._put_tree(tree, [b"bytes"]).id)
    content, whole = got._content(), got._tree()
    blob = {"id": whole["nbytes"]["length"]["id"], "typename": BLOB}
    part = {"typename": "test::Part", "id": whole["nbytes"]["id"], "length": blob}
    assert content["nbytes"] == part and content["items"] == items
    assert whole["length"] == 3 and "length" not in content
    assert bytes(got._buffer(blob["id"])) == b"bytes"


def test_what_was_got_for_its_value_is_whole_metadata_too(raw):
    tree = {"typename": "test::Whole", "x": 1, "part": {"typename": "test::Part", "y": 2}}
    made = raw._put_tree(tree, [])
    expected = raw.get_meta(made.id)

    def got():
        return raw._get_tree(made.id)

    assert got()._tree() == expected._tree() and repr(got()) == repr(expected)
    assert dict(got().items()).keys() == dict(expected.items()).keys()
    assert (got().id, got().typename) == (made.id, "test::Whole")
    assert got().signature == expected.signature and got().nbytes == expected.nbytes
    assert (got().instance_id, got().timestamp) == (expected.instance_id, expected.timestamp)
    assert got()["part"]["y"] == 2 and "x" in got() and len(got()) == len(expected)
    assert not _C.Object.from_(got()).ispersist
    # A change that is made before the rest is read stays, in this copy only.
    changed = got()
    changed.set_global(True)
    changed["x"] = 5
    assert changed.isglobal and changed["x"] == 5 and changed["part"]["y"] == 2
    assert changed._content()["x"] == 5 and got()["x"] == 1
    reset = got()
    reset.reset_signature()
    assert "signature" not in reset and reset["x"] == 1


def test_a_tree_that_makes_no_sense_is_refused(raw):
    with pytest.raises(IndexError):
        raw._put_tree(tree_of(), [])
    with pytest.raises(TypeError):
        raw._put_tree(tree_of(), ["text"])
    with pytest.raises(TypeError):
        raw._put_tree({"typename": "a", "x": object()}, [])
    with pytest.raises(ValueError, match="metadata"):
        raw._put_tree({"typename": "a", "x": 2**70}, [])
    with pytest.raises(BufferError):
        raw._put_tree(tree_of(), [memoryview(b"abcdef")[::2]])
    with pytest.raises(_C.VineyardException):
        raw._put_tree({"typename": "a", "m": {"id": "o7fffffffffffffff"}}, [])


def test_lists_labels_copies_and_deletes(raw):
    made = [
        raw._put_tree(tree_of(i) | {"typename": f"test::Listed<{i}>"}, [b"x"]) for i in range(3)
    ]
    assert len(raw.list_metadatas("test::Listed<*>")) == 3
    assert len(raw.list_objects("test::Listed<[12]>", regex=True)) == 2
    assert len(raw.list_metadatas("test::Listed<*>", limit=1, nobuffer=True)) == 1
    raw.label(made[0].id, "k", "v")
    raw.label(made[0].id, {"l": "w"})
    labelled = raw.get_meta(made[0].id)
    assert labelled.labels == {"k": "v", "l": "w"} and labelled.label("none") == ""
    assert labelled.timestamp > 0
    copy = raw.shallow_copy(made[0].id, {"n": 1.5})
    assert (
        raw.get_meta(copy)["n"] == 1.5
        and raw.get_meta(copy)["buffer_"].id == labelled["buffer_"].id
    )
    with pytest.raises(_C.AssertionFailedException, match="primitives"):
        raw.shallow_copy(made[0].id, {"n": [1]})
    raw.delete(copy)
    raw.delete(labelled)
    raw.delete([raw.get_object(made[1].id), made[2]])
    raw.delete([])
    for one in made:
        assert not raw.exists(one.id)
    with pytest.raises(_C.ObjectNotExistsException):
        raw.get_meta(made[0].id)
    with pytest.raises(_C.ObjectNotExistsException):
        raw.get_metas([made[0].id])
    with pytest.raises(TypeError):
        raw.delete("o0000000000000001")


def test_remote_blobs_are_sent_and_read(rpc):
    builder = _C.RemoteBlobBuilder(5)
    memoryview(builder).cast("B")[:] = b"hello"
    wrapped = _C.RemoteBlobBuilder.wrap(bytearray(b"world"))
    sent = rpc.create_remote_blob([builder, wrapped, _C.RemoteBlobBuilder.make(0)])
    assert [meta.nbytes for meta in sent] == [5, 5, 0] and sent[0].typename == BLOB
    got = rpc.get_remote_blobs([meta.id for meta in sent])
    assert [bytes(blob) for blob in got] == [b"hello", b"world", b""]
    assert repr(got[0]) and got[0].instance_id == rpc.remote_instance_id
    assert memoryview(got[0]).readonly
    with pytest.raises(_C.ObjectNotExistsException):
        rpc.get_remote_blob(_C.ObjectID(2**63 + 2**62))
    view = memoryview(builder)
    with pytest.raises(BufferError):
        builder.abort(rpc)
    view.release()
    builder.abort(rpc)
    with pytest.raises(TypeError, match="read-only"):
        _C.RemoteBlobBuilder.wrap(b"abc").copy(0, b"x")


def strided_views():
    """Views of 3-dimensional memory, each with its bytes in C order."""
    whole = memoryview(os.urandom(4 * 6 * 8)).cast("B", (4, 6, 8))
    flat = memoryview(whole.tobytes())
    yield "whole", whole
    yield "one dimension reversed", flat[::-1]
    yield "every third", flat[1::3]
    yield "every third of items of 8", flat.cast("d")[::3]
    yield "outer reversed", whole[::-2]
    yield "nothing", flat[5:5]


def test_a_blob_of_pieces_has_the_bytes_of_each_in_c_order(raw):
    views = list(strided_views())
    for name, view in views:
        made = raw._put_tree(tree_of(view.nbytes), [[view]])
        assert bytes(raw._get_tree(made.id)._buffer("buffer_")) == view.tobytes(), name
    whole = b"".join(view.tobytes() for _, view in views)
    pieces = [view for _, view in views]
    made = raw._put_tree(tree_of(len(whole)), [pieces])
    assert bytes(raw._get_tree(made.id)._buffer("buffer_")) == whole
    bare = raw._put_tree({"_buffer": 0}, [pieces])
    assert bytes(raw.get_object(bare.id)) == whole and bare.nbytes == len(whole)
    empty = raw._put_tree({"_buffer": 0}, [[]])
    assert bytes(raw.get_object(empty.id)) == b""


@pytest.mark.parametrize("size", [65_536, 65_537, 5_000_001, 20 << 20])
def test_large_pieces_arrive_whole(raw, size):
    content = os.urandom(size)
    pieces = [content[:1000], memoryview(content)[1000::2], bytearray(content[999_999:]), b""]
    whole = b"".join(memoryview(piece).tobytes() for piece in pieces)
    tree = tree_of(len(whole)) | {"second": {"typename": BLOB, "_buffer": 1}}
    made = raw._put_tree(tree, [pieces, content])
    got = raw._get_tree(made.id)
    assert bytes(got._buffer("buffer_")) == whole and bytes(got._buffer("second")) == content


def test_a_put_of_pieces_that_fails_leaves_nothing(raw, ipc):
    content = bytearray(1 << 20)
    before = ipc.status.memory_usage
    with pytest.raises(TypeError):
        raw._put_tree(tree_of(), [[content, "text"]])
    with pytest.raises(_C.VineyardException):
        raw._put_tree(tree_of() | {"link": {"id": "o0000000000000001"}}, [[content, content]])
    with pytest.raises(_C.NotEnoughMemoryException):
        raw._put_tree(tree_of(), [[content] * 1000])
    assert ipc.status.memory_usage == before
    # Nothing holds the bytes any more.
    content.extend(b"more")
