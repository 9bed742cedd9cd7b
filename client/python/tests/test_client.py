"""The verbs of the wrapper client, over IPC and RPC alike."""

from __future__ import annotations

import threading

import pytest
import vineyard
from vineyard import ObjectID, ObjectMeta


def test_values_go_and_come(client):
    for value in (1, 2.5, "text", True, (1, "two"), [1, [2]], {"a": {1, 2}}, None):
        got = client.get(client.put(value))
        assert got == value
        assert type(got) is type(value) or isinstance(value, list)


def test_get_takes_any_form_of_an_id(client):
    object_id = client.put("any")
    for form in (object_id, int(object_id), repr(object_id)):
        assert client.get(form) == "any"
    with pytest.raises(TypeError, match="needs the id"):
        client.get()
    with pytest.raises(vineyard.ObjectNotExistsException):
        client.get(ObjectID(2**62 + 12345))


def test_names(client):
    object_id = client.put("named", persist=True, name="test-names")
    assert client.get(name="test-names") == "named"
    assert client.get_name("test-names") == object_id
    assert client.get_name(vineyard.ObjectName("test-names")) == object_id
    assert client.list_names("test-name*") == {"test-names": object_id}
    assert client.list_names("^test-name.$", regex=True, limit=1) == {"test-names": object_id}
    other = client.put("other", persist=True)
    client.put_name(client.get_meta(other), "test-names")
    assert client.get_name("test-names", wait=True) == other
    client.drop_name("test-names")
    client.drop_name("test-names")
    with pytest.raises(vineyard.ObjectNotExistsException, match="test-names"):
        client.get_name("test-names")
    with pytest.raises(vineyard.InvalidException, match="persist"):
        client.put_name(client.put(1), "test-names")


def test_a_name_without_persist_is_a_warning(client):
    with pytest.warns(UserWarning, match="not persisted"):
        object_id = client.put(1, name="test-unnamed")
    assert client.get(object_id) == 1
    assert client.list_names("test-unnamed") == {}


def test_metadata(client):
    member = client.put("member")
    meta = ObjectMeta()
    meta["typename"] = "test::Metadata"
    meta["number"] = 5
    meta.add_member("member_", member)
    made = client.create_metadata(meta)
    assert made is meta
    fetched = client.get_meta(made.id)
    assert (fetched.typename, fetched["number"]) == ("test::Metadata", 5)
    assert fetched["member_"].id == member
    assert [one.id for one in client.get_metas([made.id, member])] == [made.id, member]
    assert made.id in [one.id for one in client.list_metadatas("test::Meta*", limit=1000)]
    assert made.id in [one.id for one in client.list_objects("test::Metadata", limit=1000)]
    assert client.list_metadatas("test::Metadata", limit=1, nobuffer=True)
    assert client.get_object(made.id).meta["number"] == 5
    assert [one.id for one in client.get_objects([made.id])] == [made.id]
    with pytest.raises(vineyard.MetaTreeInvalidException):
        client.create_metadata(ObjectMeta())


def test_several_metadatas_at_once(client):
    metas = []
    for number in range(3):
        meta = ObjectMeta()
        meta["typename"] = "test::Several"
        meta["number"] = number
        metas.append(meta)
    made = client.create_metadata(metas)
    assert [client.get_meta(one.id)["number"] for one in made] == [0, 1, 2]


def test_persist_and_exists(client):
    object_id = client.put("persisted")
    assert client.exists(object_id)
    assert client.get_meta(object_id)["transient"] is True
    client.persist(object_id)
    client.persist(client.get_meta(object_id))
    client.persist(client.get_object(object_id))
    assert client.get_meta(object_id)["transient"] is False
    assert not client.exists(ObjectID(2**62 + 12345))
    with pytest.raises(TypeError):
        client.exists(12345)
    with pytest.raises(vineyard.VineyardException):
        client.persist(ObjectID(2**62 + 12345))


def test_delete_spares_what_is_contained(client):
    member = client.put("member")
    whole = client.put((member, 1))
    client.delete(member)
    assert client.exists(member)
    client.delete(member, force=True)
    assert not client.exists(member)
    assert not client.exists(whole)
    client.delete(ObjectID(2**62 + 12345))


def test_a_shallow_copy_shares_members(client):
    object_id = client.put((1, "two"))
    copy = client.shallow_copy(object_id, {"extra": 5})
    assert copy != object_id
    assert client.get(copy) == (1, "two")
    assert client.get_meta(copy)["extra"] == 5
    assert client.get(client.shallow_copy(object_id)) == (1, "two")
    with pytest.raises(vineyard.AssertionFailedException):
        client.shallow_copy(object_id, {"nested": [1]})


def test_labels(client):
    object_id = client.put("labelled")
    client.label(object_id, "colour", "blue")
    client.label(object_id, {"size": "small", "colour": "red"})
    assert client.get_meta(object_id).labels == {"colour": "red", "size": "small"}
    with pytest.raises(ValueError, match="needs the value"):
        client.label(object_id, "colour")


def test_blobs_in_place(ipc_client):
    builder = ipc_client.create_blob(10)
    builder.copy(0, b"0123456789")
    with pytest.raises(vineyard.ObjectNotSealedException):
        ipc_client.get_blob(builder.id)
    assert ipc_client.get_blob(builder.id, unsafe=True).size == 10
    blob = builder.seal(ipc_client)
    assert bytes(ipc_client.get_blob(blob.id)) == b"0123456789"
    found = ipc_client.get_blobs([blob.id, ObjectID(2**62 + 12345)])
    assert found[0].id == blob.id and found[1] is None
    assert [one.size for one in ipc_client.create_blob([1, 2])] == [1, 2]
    assert ipc_client.create_empty_blob().size == 0
    assert ipc_client.allocated_size(blob.id) == 10
    with pytest.raises(vineyard.NotEnoughMemoryException):
        ipc_client.create_blob(1 << 40)
    with pytest.raises(AssertionError, match="RPC client is not available"):
        ipc_client.get_remote_blob(blob.id)


def test_blobs_over_the_network(rpc_client):
    builders = [vineyard.RemoteBlobBuilder.wrap(text) for text in (b"one", b"three")]
    metas = rpc_client.create_remote_blob(builders)
    blobs = rpc_client.get_remote_blobs([meta.id for meta in metas])
    assert [bytes(blob) for blob in blobs] == [b"one", b"three"]
    assert blobs[0].instance_id == rpc_client.remote_instance_id
    assert rpc_client.get_remote_blobs([]) == []


def test_the_instance(client, node):
    status = client.status
    assert status.memory_limit == 256 << 20
    assert status.instance_id in client.meta
    described = client.meta[status.instance_id]
    assert described["ipc_socket"] == node.socket
    assert described["rpc_endpoint"] == node.endpoint
    assert client.version == "0.24.2"
    assert client.rpc_endpoint == node.endpoint
    assert client.ipc_socket == node.socket
    client.sync_meta()
    assert isinstance(client.memory_trim(), bool)
    client.debug({})


def test_settings(client):
    assert (client.compression, client.spread, client.timeout_seconds) == (True, False, 300)
    client.timeout_seconds = 10
    client.compression = False
    assert (client.timeout_seconds, client.default_client().timeout_seconds) == (10, 10)
    assert client.compression is False
    assert client.is_ipc or client.rpc_client.compression is False
    assert client.get(client.put("still connected")) == "still connected"
    client.timeout_seconds, client.compression = 300, True
    assert client.rdma_endpoint == ""


def test_clear_forgets_everything(fresh_node):
    with vineyard.connect(fresh_node.socket, endpoint=fresh_node.endpoint) as client:
        first, second = client.put([1, "a"]), client.put("b", persist=True)
        client.clear()
        assert not client.exists(first) and not client.exists(second)
        third = client.put(3)
        client.reset()
        assert not client.exists(third)


def test_memory_comes_back(fresh_node):
    with vineyard.connect(fresh_node.socket) as client:
        before = client.status.memory_usage
        object_id = client.put([bytes(1 << 20), "text"])
        assert client.status.memory_usage >= before + (1 << 20)
        value = client.get(object_id)
        client.delete(object_id)
        del value
        assert client.status.memory_usage == before
        fresh_node.assert_all_is_free()


def test_a_value_that_is_held_is_missing_from_the_arena(fresh_node):
    with vineyard.connect(fresh_node.socket) as client:
        object_id = client.put(bytes(1 << 20))  # A small one is copied, so nothing stays pinned.
        value = client.get(object_id)
        client.delete(object_id)
        with pytest.raises(vineyard.NotEnoughMemoryException):
            client.create_blob(client.status.memory_limit)
        assert bytes(value) == bytes(1 << 20)
        del value
        fresh_node.assert_all_is_free()


def test_a_waiting_call_does_not_block_other_calls(node):
    with vineyard.connect(node.socket) as waiting, vineyard.connect(node.socket) as giving:
        assert waiting.ipc_client is giving.ipc_client
        found = []
        thread = threading.Thread(
            target=lambda: found.append(waiting.get_name("test-waits", wait=True, timeout=20))
        )
        thread.start()
        object_id = giving.put("awaited", persist=True, name="test-waits")
        thread.join(20)
        assert found == [object_id]
