"""The rows of docs/python.md under *Fixed*, in its order: what the released package does wrong.

Rows about the types of values are in the tests of those types.
"""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
import time

import pytest
import vineyard
from vineyard import ObjectID, ObjectMeta, RemoteBlobBuilder


def sealed(client, payload: bytes = b"0123456789"):
    builder = client.create_blob(len(payload))
    builder.copy(0, payload)
    return builder.seal(client)


def pair(client, **extra):
    """An object with one member and what `extra` says."""
    meta = ObjectMeta()
    meta["typename"] = "test::Pair"
    for key, value in extra.items():
        meta[key] = value
    meta.add_member("first_", sealed(client))
    return client.create_metadata(meta)


@pytest.mark.parametrize("text", ["zz", "", "o", "oxyz", "o00000000000000000"])
def test_fixed_01_a_text_that_is_no_id_is_a_value_error(text):
    with pytest.raises(ValueError):
        ObjectID(text)
    assert int(ObjectID("5")) == 5


def test_fixed_02_an_id_is_unequal_to_what_is_no_id():
    assert ObjectID(5) != 5
    assert ObjectID(5) != "o0000000000000005"
    assert ObjectID(5) == ObjectID("o0000000000000005")


def test_fixed_03_a_fresh_blob_says_whether_it_is_persisted(ipc_client):
    blob = sealed(ipc_client)
    assert blob.ispersist is False
    assert ipc_client.get_blob(blob.id).ispersist is False


def test_fixed_04_a_blob_has_a_signature(ipc_client):
    assert isinstance(sealed(ipc_client).signature, int)


@pytest.mark.parametrize("value", [0.1, 1e300, 5e-324, 2**63, 2**64 - 1, -(2**63), None, True])
def test_fixed_05_metadata_keeps_numbers_exact(ipc_client, value):
    meta = pair(ipc_client, value=value)
    fetched = ipc_client.get_meta(meta.id)["value"]
    assert fetched == value
    assert type(fetched) is type(value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 2**64, -(2**63) - 1])
def test_fixed_06_what_metadata_cannot_hold_is_refused(value):
    meta = ObjectMeta()
    with pytest.raises((ValueError, OverflowError, TypeError)):
        meta["value"] = value


def test_fixed_07_connect_takes_host_and_port_in_one(node):
    with vineyard.connect(node.endpoint) as client:
        assert client.is_rpc
        assert client.connected


def test_fixed_08_failing_to_connect_is_one_error(monkeypatch):
    monkeypatch.setenv("VINEYARD_IPC_SKIP_RETRY", "1")
    monkeypatch.setenv("VINEYARD_RPC_SKIP_RETRY", "1")
    assert vineyard.ConnectionFailed is vineyard.ConnectionFailedException
    for arguments in (["/nowhere/at.sock"], ["127.0.0.1", 1], ["127.0.0.1:1"]):
        with pytest.raises(vineyard.ConnectionFailed) as caught:
            vineyard.connect(*arguments)
        assert isinstance(caught.value, ConnectionError)
        assert str(arguments[0]).split(":")[0] in str(caught.value)


def test_fixed_09_a_client_is_a_context_manager(node):
    with vineyard.connect(node.socket) as client:
        client.put(1)
    assert not client.connected
    with pytest.raises(vineyard.ConnectionErrorException):
        client.put(1)


def test_fixed_10_delete_takes_metadata_objects_and_lists(client):
    first, second, third = (client.put(i) for i in range(3))
    client.delete(client.get_meta(first))
    client.delete(client.get_object(second))
    fourth = client.put(4)
    client.delete([third, client.get_meta(fourth)])
    assert not any(client.exists(one) for one in (first, second, third, fourth))
    client.delete([])
    with pytest.raises(TypeError):
        client.delete(5)


def test_fixed_11_a_name_goes_with_its_object(client):
    object_id = client.put("named", persist=True, name="fixed-11")
    client.delete(object_id)
    with pytest.raises(vineyard.ObjectNotExistsException):
        client.get_name("fixed-11")


def test_fixed_12_several_at_once_say_which_is_missing(client):
    known, unknown = client.put(1), ObjectID(2**63 - 2)
    for raw in (client, client.default_client()):
        with pytest.raises(vineyard.ObjectNotExistsException):
            raw.get_metas([known, unknown])
        with pytest.raises(vineyard.ObjectNotExistsException):
            raw.get_objects([known, unknown])


def test_fixed_13_memory_is_found_by_a_buffer(ipc_client):
    blob = sealed(ipc_client)
    assert ipc_client.find_shared_memory(memoryview(blob)) == blob.id
    assert ipc_client.is_shared_memory(memoryview(blob)) is True
    assert ipc_client.find_shared_memory(blob.address) == blob.id
    assert ipc_client.find_shared_memory(blob.address + 8) is None
    assert ipc_client.find_shared_memory(bytearray(8)) is None


def test_fixed_14_raw_clients_put_and_get(client):
    raw = client.default_client()
    object_id = raw.put([1, "two", 3.5])
    assert raw.get(object_id) == [1, "two", 3.5]
    assert client.get(object_id) == [1, "two", 3.5]


def test_fixed_15_a_missing_remote_blob_does_not_exist(rpc_client):
    with pytest.raises(vineyard.ObjectNotExistsException):
        rpc_client.get_remote_blob(ObjectID(1 << 63 | 12345))


def test_fixed_16_the_wrapper_has_is_fetchable(rpc_client):
    meta = rpc_client.get_meta(rpc_client.put(1))
    assert rpc_client.is_fetchable(meta) is True


def test_fixed_17_builders_take_either_client(ipc_client):
    for one in (ipc_client, ipc_client.ipc_client):
        assert sealed(one).size == 10
        ipc_client.create_blob(10).abort(one)
        shrunk = ipc_client.create_blob(10)
        shrunk.shrink(one, 4)
        assert shrunk.seal(one).size == 4


def test_fixed_18_the_empty_blob_needs_no_client():
    empty = vineyard.Blob.empty()
    assert empty.size == 0
    assert empty.is_empty
    assert bytes(empty) == b""


def test_fixed_19_indices_are_checked(ipc_client):
    blob = sealed(ipc_client)
    for index in (10, 1 << 40, -11):
        with pytest.raises(IndexError):
            blob[index]


def test_fixed_20_copies_are_checked(ipc_client):
    builder = ipc_client.create_blob(4)
    source = (b"0123456789", bytearray(10))
    for payload in source:
        with pytest.raises((vineyard.AssertionFailedException, ValueError)):
            builder.copy(0, payload)
    with pytest.raises((vineyard.AssertionFailedException, ValueError)):
        builder.copy(0, sealed(ipc_client).address, 10)
    builder.abort(ipc_client)


def test_fixed_21_a_remote_blob_prints(ipc_client, rpc_client):
    remote = rpc_client.get_remote_blob(sealed(ipc_client).id)
    assert repr(remote.id) in repr(remote)
    assert str(remote)


def test_fixed_22_wrapping_a_buffer_wraps_its_bytes(rpc_client):
    builder = RemoteBlobBuilder.wrap(memoryview(b"0123456789"), 10)
    meta = rpc_client.create_remote_blob(builder)
    assert bytes(rpc_client.get_remote_blob(meta.id)) == b"0123456789"


def test_fixed_23_a_remote_builder_is_given_up_by_its_own_client(rpc_client):
    RemoteBlobBuilder(8).abort(rpc_client)
    RemoteBlobBuilder(8).abort(rpc_client.rpc_client)


def test_fixed_24_memory_copy_does_not_write_into_bytes():
    target = bytearray(4)
    vineyard.memory_copy(target, b"1234")
    assert target == b"1234"
    constant = bytes(4)
    with pytest.raises((TypeError, ValueError, BufferError, vineyard.VineyardException)):
        vineyard.memory_copy(constant, b"1234")
    assert constant == bytes(4)


def test_fixed_25_settings_come_back_after_an_error(client):
    with pytest.raises(KeyError), client.with_compression(False), client.with_spread(True):
        assert (client.compression, client.spread) == (False, True)
        raise KeyError
    assert (client.compression, client.spread) == (True, False)


def test_fixed_26_variables_come_back_after_an_error(monkeypatch):
    monkeypatch.setenv("VINEYARD_FIXED_26", "before")
    with pytest.raises(KeyError), vineyard.envvars("VINEYARD_FIXED_26", "inside"):
        assert os.environ["VINEYARD_FIXED_26"] == "inside"
        raise KeyError
    assert os.environ["VINEYARD_FIXED_26"] == "before"
    with vineyard.envvars("VINEYARD_FIXED_26"):
        assert "VINEYARD_FIXED_26" not in os.environ
    assert os.environ["VINEYARD_FIXED_26"] == "before"


def test_fixed_27_drivers_can_be_registered(client):
    class Shelf(list):
        pass

    def resolve(obj):
        return Shelf([obj.typename])

    object_id = client.put((1, 2))
    with (
        vineyard.resolver_context({"vineyard::Sequence": resolve}),
        vineyard.driver_context({"vineyard::Seq": {"first": lambda shelf: shelf[0]}}) as drivers,
    ):
        assert client.get(object_id).first() == "vineyard::Sequence"
        drivers.register("vineyard::Sequence", "second", lambda shelf: "more precise")
        assert client.get(object_id).second() == "more precise"
        assert not hasattr(client.get(object_id), "first")


def test_fixed_28_bytes_that_are_elsewhere_raise(cluster):
    with (
        vineyard.connect(cluster[0].socket) as first,
        vineyard.connect(cluster[1].socket) as second,
    ):
        object_id = first.put([b"x" * 1000, b"y" * 1000], persist=True)
        second.sync_meta()
        member = second.ipc_client.get_object(object_id).member("__elements_-0")
        with pytest.raises((vineyard.VineyardException, BufferError)):
            memoryview(member)


def test_fixed_29_what_hung_is_not_there(client):
    for name in ("evict", "load", "unpin"):
        assert not hasattr(client, name)


def test_fixed_30_shared_memory_pickles(ipc_client):
    block = vineyard.shared_memory.SharedMemory(ipc_client, create=True, size=8)
    with pytest.raises(ValueError):
        pickle.dumps(block)
    block.buf[:] = b"01234567"
    opened = pickle.loads(pickle.dumps(block.freeze()))
    assert bytes(opened.buf) == b"01234567"
    shareable = vineyard.shared_memory.ShareableList(ipc_client, [1, "two"]).freeze()
    assert list(pickle.loads(pickle.dumps(shareable))) == [1, "two"]


def test_fixed_31_unfrozen_shared_memory_can_be_unlinked(ipc_client):
    block = vineyard.shared_memory.SharedMemory(ipc_client, create=True, size=8)
    block.unlink()
    with pytest.raises(vineyard.ObjectNotExistsException):
        vineyard.shared_memory.SharedMemory(ipc_client, name=block.name)


def test_fixed_32_frozen_shared_memory_does_not_change(ipc_client):
    block = vineyard.shared_memory.SharedMemory(ipc_client, create=True, size=8).freeze()
    with pytest.raises(TypeError):
        block.buf[0] = 1


def test_fixed_33_a_bad_size_is_an_error():
    from vineyard.deploy.local import start_vineyardd

    with pytest.raises(RuntimeError, match="size"), start_vineyardd(size="12 apples"):
        pass


@pytest.mark.parametrize("call", [vineyard.csi.read, lambda path: vineyard.csi.write(1, path)])
def test_fixed_34_csi_refuses_a_relative_path(call):
    with pytest.raises(ValueError, match="absolute"):
        call("volume/array")


def test_fixed_35_the_command_line_is_a_module():
    for module in ("vineyard.cli", "vineyard.ctl"):
        ran = subprocess.run([sys.executable, "-m", module, "--help"], capture_output=True)
        assert ran.returncode == 0
        assert b"status" in ran.stdout


def test_fixed_36_the_command_line_puts(node, tmp_path):
    file, copy = tmp_path / "file", tmp_path / "copy"
    file.write_bytes(b"content")
    vineyard.cli.run("--socket", node.socket, "put", str(file), "--name", "fixed-36")
    vineyard.cli.run("--socket", node.socket, "get", "fixed-36", "-o", str(copy))
    assert copy.read_bytes() == b"content"


def test_fixed_37_a_missing_member_is_an_error_and_no_noise(ipc_client, capfd):
    found = ipc_client.get_object(pair(ipc_client).id)
    with pytest.raises(RuntimeError, match="nope"):
        found.member("nope")
    assert capfd.readouterr().err == ""


def test_fixed_38_a_builder_of_ones_own_can_persist(client):
    def build(client, value, **kwargs):
        return client.put(str(value))

    object_id = client.put(38, builder=build, persist=True, name="fixed-38")
    assert client.get_name("fixed-38") == object_id


def test_fixed_39_waiting_for_a_name_can_end(client):
    start = time.monotonic()
    with pytest.raises((vineyard.ObjectNotExistsException, TimeoutError)):
        client.get_name("fixed-39-never", wait=True, timeout=0.3)
    assert time.monotonic() - start > 0.2


def test_fixed_40_shared_memory_is_assigned_bytes(ipc_client):
    block = vineyard.shared_memory.SharedMemory(ipc_client, create=True, size=8)
    block.buf[:2] = b"\xff\x01"
    assert list(block.buf[:2]) == [255, 1]


def test_fixed_41_a_got_value_is_pickled_and_copied(client):
    sparse = pytest.importorskip("scipy.sparse")
    got = client.get(client.put(sparse.csr_matrix([[0, 1], [2, 0]])))
    for again in (pickle.loads(pickle.dumps(got)), copy.deepcopy(got)):
        assert again.toarray().tolist() == [[0, 1], [2, 0]]
