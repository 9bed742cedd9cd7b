"""What the reference documents, used as it documents it.

Names that several classes have are marked with what their test covers, so that `tools/reference.py`
can tell which is meant. The verbs run on the wrapper and on the raw clients, over IPC and RPC.
"""

from __future__ import annotations

import ctypes
import pickle
import threading

import pytest
import vineyard
from tools import coverage, docstrings, signatures
from tools.documented import documented
from tools.reference import check
from vineyard import ObjectID, ObjectMeta


@pytest.fixture(params=["ipc", "rpc", "raw ipc", "raw rpc"])
def any_client(request, node):
    """The wrapper over IPC and over RPC, and the raw client in each."""
    if request.param.endswith("ipc"):
        wrapper = vineyard.connect(node.socket)
    else:
        wrapper = vineyard.connect(endpoint=node.endpoint)
    yield wrapper.default_client() if request.param.startswith("raw") else wrapper
    wrapper.close()


def described(typename: str = "test::Reference", **values) -> ObjectMeta:
    meta = ObjectMeta()
    meta["typename"] = typename
    for key, value in values.items():
        meta[key] = value
    return meta


@pytest.mark.covers(
    "vineyard.ObjectID", "vineyard.ObjectID.{__init__,__eq__,__hash__,__repr__,__str__}"
)
def test_an_object_id():
    number = 0x000043C5C6D5E646
    object_id = ObjectID("o000043c5c6d5e646")
    assert repr(object_id) == "'o000043c5c6d5e646'" or repr(object_id) == "o000043c5c6d5e646"
    assert str(object_id) == 'ObjectID <"o000043c5c6d5e646">'
    assert int(object_id) == number
    assert object_id == ObjectID(number) == ObjectID(object_id)
    assert object_id != ObjectID()
    assert {object_id: 1}[ObjectID("000043c5c6d5e646")] == 1
    assert hash(object_id) == hash(ObjectID(number))
    assert pickle.loads(pickle.dumps(object_id)) == object_id


@pytest.mark.covers(
    "vineyard.Object",
    "vineyard.Object.{id,nbytes,typename,signature,meta,isglobal,islocal,ispersist,member,from_}",
    "vineyard.{IPCClient,RPCClient}.{get_object,get_objects,persist}",
)
def test_an_object(any_client):
    part = any_client.create_metadata(described("test::Child"))
    made = any_client.create_metadata(described(nbytes=5, child=part))
    thing = any_client.get_object(made.id)
    assert isinstance(thing, vineyard.Object)
    assert (thing.id, thing.typename, thing.nbytes) == (made.id, "test::Reference", 5)
    assert isinstance(thing.meta, ObjectMeta)
    assert thing.signature == thing.meta.signature == made.signature
    assert (thing.isglobal, thing.ispersist) == (False, False)
    assert isinstance(thing.islocal, bool)
    child = thing.member("child")
    assert child.typename == "test::Child"
    assert vineyard.Object.from_(thing.meta).id == made.id
    with pytest.raises(Exception, match="absent"):
        thing.member("absent")
    assert any_client.persist(thing) is None
    assert [one.ispersist for one in any_client.get_objects([made.id])] == [True]
    assert any_client.persist(made.id) is None
    assert any_client.persist(made) is None
    any_client.delete(made.id)


@pytest.mark.covers("vineyard.ObjectBuilder")
def test_an_object_builder_is_sealed_once(ipc_client):
    class Builder(vineyard.ObjectBuilder):
        pass

    assert issubclass(vineyard.BlobBuilder, vineyard.ObjectBuilder)
    assert isinstance(Builder(), vineyard.ObjectBuilder)
    builder = ipc_client.create_blob(4)
    assert not builder.issealed
    builder.seal(ipc_client)
    assert builder.issealed
    with pytest.raises(vineyard.AssertionFailedException, match="already sealed"):
        builder.seal(ipc_client)


@pytest.mark.covers(
    "vineyard.ObjectMeta.{__init__,__contains__,__getitem__,__setitem__,__repr__,__str__,get}",
    "vineyard.ObjectMeta.{set_global,isglobal,islocal,typename,nbytes}",
)
def test_metadata_is_like_a_dict():
    meta = ObjectMeta(global_=True)
    assert meta.isglobal
    meta.set_global(False)
    assert (meta.isglobal, meta.islocal) == (False, False)
    meta.set_global()
    assert meta.isglobal
    meta["text"], meta["number"], meta["part"], meta["yes"] = "a", 7, 0.1, True
    meta["numbers"], meta["floats"], meta["texts"] = [1, 2], [0.5], ["a", "b"]
    assert (meta["text"], meta["number"], meta["part"], meta["yes"]) == ("a", 7, 0.1, True)
    assert meta["numbers"] == "[1,2]"
    assert (meta.get("text"), meta.get("absent"), meta.get("absent", 3)) == ("a", None, 3)
    assert "text" in meta
    assert "absent" not in meta
    with pytest.raises(KeyError, match="absent"):
        meta["absent"]
    meta.typename, meta.nbytes = "test::Reference", 9
    assert (meta["typename"], meta.nbytes) == ("test::Reference", 9)
    assert sorted(meta) == list(meta)
    assert dict(meta.items())["text"] == "a"
    assert '"text": "a"' in repr(meta)
    assert str(meta) == "ObjectMeta " + repr(meta)


@pytest.mark.covers(
    "vineyard.ObjectMeta.{id,instance_id,signature,member,get_member,memory_usage}",
    "vineyard.{IPCClient,RPCClient}.{create_metadata,get_meta,get_metas}",
)
def test_metadata_of_an_object(any_client):
    part = any_client.put("part")
    meta = described()
    meta.add_member("by_id", part)
    meta["by_meta"] = any_client.create_metadata(described("test::Child"))
    meta["by_object"] = any_client.get_object(part)
    made = any_client.create_metadata(meta)
    assert made is meta
    several = any_client.create_metadata([described(number=number) for number in range(3)])
    assert [one["number"] for one in several] == [0, 1, 2]
    fetched = any_client.get_meta(made.id, sync_remote=True)
    assert fetched.id == made.id
    assert fetched.signature == made.signature
    assert fetched.instance_id == made.instance_id
    assert fetched["by_meta"].typename == "test::Child"
    assert fetched.member("by_meta").id == fetched.get_member("by_meta").id
    assert fetched.get_member("by_id").id == part
    assert fetched["by_object"].id == part
    assert fetched.get_member("absent") is None
    with pytest.raises(RuntimeError):
        fetched.get_member("typename")
    assert isinstance(fetched.memory_usage, int)
    ids = [made.id, several[1].id]
    assert [one.id for one in any_client.get_metas(ids)] == ids
    any_client.delete([made.id, *(one.id for one in several)])


@pytest.mark.covers("vineyard.ObjectMeta.add_remote_blob", "vineyard.RPCClient.get_remote_blob")
def test_bytes_that_came_over_the_network_belong_to_metadata(rpc_client):
    blob = rpc_client.put(b"over there")
    meta = described()
    meta.add_member("bytes_", rpc_client.get_meta(blob))
    made = rpc_client.create_metadata(meta)
    fetched = rpc_client.get_meta(made.id)
    fetched.add_remote_blob(rpc_client.get_remote_blob(blob))
    assert bytes(fetched.get_buffer(blob)) == b"over there"
    rpc_client.delete(made.id)


@pytest.mark.covers(
    "vineyard.{IPCClient,RPCClient}.{put,get,exists,delete,list_metadatas,list_objects}"
)
def test_values_on_every_client(any_client):
    object_id = any_client.put([1, "two", 3.5])
    assert any_client.get(object_id) == [1, "two", 3.5]
    assert any_client.exists(object_id)
    listed = any_client.list_metadatas("vineyard::Sequence", limit=10000)
    assert object_id in [meta.id for meta in listed]
    listed = any_client.list_objects("^vineyard::Seq.*", regex=True, limit=10000)
    assert object_id in [one.id for one in listed]
    assert len(any_client.list_metadatas("*", limit=1, nobuffer=True)) == 1
    any_client.delete(object_id, force=False, deep=True, memory_trim=False)
    assert not any_client.exists(object_id)
    for form in (any_client.get_meta, any_client.get_object):
        target = any_client.put("deleted by what it is")
        any_client.delete(form(target))
        assert not any_client.exists(target)
    with pytest.raises(vineyard.ObjectNotExistsException):
        any_client.get(object_id)


@pytest.mark.covers("vineyard.{IPCClient,RPCClient}.{put_name,get_name,list_names,drop_name}")
def test_names_on_every_client(any_client):
    name = f"reference {threading.get_ident()} {id(any_client)}"
    object_id = any_client.put("named", persist=True, name=name)
    assert any_client.get_name(name) == object_id
    assert any_client.get(name=name) == "named"
    other = any_client.put("other", persist=True)
    any_client.put_name(other, name)
    any_client.put_name(any_client.get_object(other), vineyard.ObjectName(name + "!"))
    assert any_client.get_name(name, wait=True) == other
    assert any_client.list_names(name + "*", regex=False, limit=5) == {
        name: other,
        name + "!": other,
    }
    any_client.drop_name(name)
    any_client.drop_name(vineyard.ObjectName(name + "!"))
    with pytest.raises(vineyard.ObjectNotExistsException):
        any_client.get_name(name)
    any_client.delete([object_id, other])


@pytest.mark.covers("vineyard.{IPCClient,RPCClient}.shallow_copy")
def test_a_shallow_copy_on_every_client(any_client):
    object_id = any_client.put([1, 2])
    copy = any_client.shallow_copy(object_id)
    assert copy != object_id
    assert any_client.get(copy) == [1, 2]
    other = any_client.shallow_copy(object_id, {"note": "mine", "number": 5})
    meta = any_client.get_meta(other)
    assert (meta["note"], meta["number"]) == ("mine", 5)
    any_client.delete([copy, other, object_id])


@pytest.mark.covers(
    "vineyard.{IPCClient,RPCClient}.{connected,instance_id,ipc_socket,rpc_endpoint,is_ipc,is_rpc}",
    "vineyard.{IPCClient,RPCClient}.{meta,version,sync_meta,memory_trim}",
    "vineyard.RPCClient.{remote_instance_id,is_fetchable}",
)
def test_the_connection_on_every_client(any_client, node):
    assert any_client.connected is True
    assert any_client.ipc_socket == node.socket
    assert any_client.rpc_endpoint == node.endpoint
    assert (any_client.is_ipc, any_client.is_rpc) in ((True, False), (False, True))
    assert any_client.version.count(".") == 2
    instance = min(any_client.meta)
    assert {"hostid", "hostname", "timestamp"} <= set(any_client.meta[instance])
    if any_client.is_rpc:
        assert any_client.instance_id == 2**64 - 2
        assert any_client.remote_instance_id == instance
        meta = any_client.get_meta(any_client.put(1))
        assert any_client.is_fetchable(meta) is True
    else:
        assert any_client.instance_id == instance
    assert any_client.sync_meta() is None
    assert any_client.memory_trim() in (True, False)


@pytest.mark.covers(
    "vineyard.InstanceStatus",
    "vineyard.InstanceStatus.{__init__,__repr__,__str__,deferred_requests,deployment,instance_id}",
    "vineyard.InstanceStatus.{ipc_connections,memory_limit,memory_usage,rpc_connections}",
    "vineyard.{IPCClient,RPCClient}.status",
)
def test_the_status_on_every_client(any_client):
    status = any_client.status
    assert isinstance(status, vineyard.InstanceStatus)
    with pytest.raises(TypeError):
        vineyard.InstanceStatus()
    assert status.deployment == "local"
    assert status.instance_id in any_client.meta
    assert status.memory_limit == 256 << 20
    assert 0 <= status.memory_usage <= status.memory_limit
    assert status.deferred_requests == 0
    assert status.ipc_connections + status.rpc_connections >= 1
    names = ("instance_id", "deployment", "memory_usage", "memory_limit", "deferred_requests")
    for name in (*names, "ipc_connections", "rpc_connections"):
        assert f"\n    {name}: {getattr(status, name)}" in str(status)
        assert name in repr(status)
    assert str(status).startswith("InstanceStatus:\n")


@pytest.mark.covers("vineyard.{IPCClient,RPCClient}.{clear,reset,close,connected}")
@pytest.mark.parametrize("kind", ["ipc", "rpc"])
def test_clearing_and_closing(fresh_node, kind):
    address = fresh_node.socket if kind == "ipc" else fresh_node.endpoint
    for clear in ("clear", "reset"):
        for raw in (False, True):
            wrapper = vineyard.connect(address)
            one = wrapper.default_client() if raw else wrapper
            object_id = one.put("forgotten")
            assert getattr(one, clear)() is None
            assert not one.exists(object_id)
            one.close()
            assert one.connected is False
            with pytest.raises(vineyard.ConnectionErrorException, match="not connected"):
                one.exists(object_id)


@pytest.mark.covers(
    "vineyard.BlobBuilder",
    "vineyard.BlobBuilder.{abort,address,copy,id,size,shrink}",
    "vineyard.Blob.{address,is_empty,size}",
    "vineyard.IPCClient.{create_blob,get_blob,get_blobs,create_empty_blob,allocated_size}",
    "vineyard.IPCClient.{find_shared_memory,is_shared_memory}",
)
@pytest.mark.parametrize("raw", [False, True])
def test_blobs_in_shared_memory(ipc_client, raw):
    client = ipc_client.ipc_client if raw else ipc_client
    builder = client.create_blob(16)
    assert isinstance(builder, vineyard.BlobBuilder)
    assert builder.size == 16
    source = ctypes.create_string_buffer(b"by address")
    builder.copy(0, ctypes.addressof(source), 10)
    builder.copy(offset=10, ptr=ctypes.addressof(source), size=2, concurrency=2)
    assert ctypes.string_at(builder.address, 12) == b"by addressby"
    with pytest.raises(vineyard.ObjectNotSealedException):
        client.get_blob(builder.id)
    builder.shrink(12)
    assert builder.size == 12
    sealed = builder.seal(client)
    blob = client.get_blob(builder.id)
    assert isinstance(blob, vineyard.Blob)
    assert (blob.id, blob.size, blob.is_empty) == (sealed.id, 12, False)
    assert bytes(memoryview(blob)) == b"by addressby"
    assert client.find_shared_memory(blob.address) == blob.id
    assert client.is_shared_memory(blob.address) is True
    assert client.is_shared_memory(ctypes.addressof(source)) is False
    assert client.allocated_size(blob.id) == 12
    empty = client.create_empty_blob()
    assert (empty.is_empty, empty.size) == (True, 0)
    assert [one.size for one in client.get_blobs([blob.id, empty.id])] == [12, 0]
    given_up, kept = client.create_blob([1, 2])
    given_up.abort()
    kept.seal(client)
    assert client.get_blob(given_up.id) is None
    client.delete([blob.id, kept.id])


@pytest.mark.covers(
    "vineyard.RemoteBlob",
    "vineyard.RemoteBlob.{address,id,instance_id,is_empty,size}",
    "vineyard.RemoteBlobBuilder.{abort,address,copy,size}",
    "vineyard.RPCClient.{create_remote_blob,get_remote_blob,get_remote_blobs}",
)
@pytest.mark.parametrize("raw", [False, True])
def test_blobs_over_the_network(rpc_client, raw):
    client = rpc_client.rpc_client if raw else rpc_client
    payload = b"sent over"
    builder = vineyard.RemoteBlobBuilder(len(payload))
    builder.copy(0, payload)
    assert builder.size == len(payload)
    assert ctypes.string_at(builder.address, builder.size) == payload
    source = ctypes.create_string_buffer(payload)
    other = vineyard.RemoteBlobBuilder(4)
    other.copy(0, ctypes.addressof(source), 4, concurrency=1)
    metas = client.create_remote_blob([builder, other])
    meta = client.create_remote_blob(builder)
    assert meta.typename == "vineyard::Blob"
    blob = client.get_remote_blob(meta.id, unsafe=False)
    assert isinstance(blob, vineyard.RemoteBlob)
    assert (blob.id, blob.size, blob.is_empty) == (meta.id, len(payload), False)
    assert blob.instance_id == client.remote_instance_id
    assert ctypes.string_at(blob.address, blob.size) == payload
    found = client.get_remote_blobs([one.id for one in metas])
    assert [bytes(memoryview(one)) for one in found] == [payload, b"sent"]
    vineyard.RemoteBlobBuilder(3).abort()
    client.delete([meta.id, *(one.id for one in metas)])


@pytest.mark.covers(
    "vineyard.shared_memory.SharedMemory.{freeze,size,unlink,buf,name}",
    "vineyard.shared_memory.ShareableList.freeze",
)
def test_shared_memory(ipc_client):
    from vineyard.shared_memory import ShareableList, SharedMemory

    block = SharedMemory(ipc_client, create=True, size=3)
    block.buf[0] = 7
    assert block.size == 3
    assert block.freeze() is block
    assert SharedMemory(ipc_client, block.name).buf[0] == 7
    block.unlink()
    values = ShareableList(ipc_client, [1, "a", None])
    values.freeze()
    assert list(ShareableList(ipc_client, name=values.shm.name)) == [1, "a", None]


@pytest.mark.covers("vineyard.deploy.{local,distributed}.start_vineyardd")
def test_nodes_are_started_where_the_reference_says(tmp_path):
    from vineyard.deploy import distributed, local

    with local.start_vineyardd(meta="local", size="64M", rpc_socket_port=0) as started:
        with vineyard.connect(started[1]) as client:
            assert client.status.memory_limit == 64 << 20
        assert len(started) == 3
    # Started for real with a stand-in for ssh, in test_deploy.py.
    assert callable(distributed.start_vineyardd)


def test_the_reference_is_read_whole():
    names = documented()
    assert len(names) == 181
    assert names["vineyard.IPCClient.memory_trim"].section == "Vineyard client"
    delete = names["vineyard.RPCClient.delete"].overloads[0]
    assert [(one.name, one.default) for one in delete[1:]] == [
        ("force", False),
        ("deep", True),
        ("memory_trim", False),
    ]
    opened = names["vineyard.io.open"].overloads[0]
    assert [(one.name, one.stars, one.keyword_only) for one in opened] == [
        ("path", "", False),
        ("args", "*", False),
        ("mode", "", True),
        ("handlers", "", True),
        ("chunk_hook", "", True),
        ("kwargs", "**", True),
    ]
    assert not any(path.startswith(("vineyard.llm", "vineyard.deploy.kube")) for path in names)


def test_the_package_says_and_does_what_the_reference_names():
    wrong = {path: check(name, vineyard) for path, name in documented().items()}
    assert {path: found for path, found in wrong.items() if found} == {}


def test_a_mark_may_name_several():
    assert coverage.expanded("a.{b,c}.{d,e}") == ["a.b.d", "a.b.e", "a.c.d", "a.c.e"]


def test_the_checks_find_what_is_wrong():
    names = documented()
    name = names["vineyard.IPCClient.get_blob"]

    def get_blob(self, object_id, unsafe=True):
        """Gets it"""

    assert signatures.complaints(name, get_blob) == ["the default of unsafe is True, not False"]
    found = docstrings.complaints(name, None, get_blob, vineyard)
    assert "the docstring does not begin with a sentence" in found
    assert {"no Returns:", "no Raises:"} <= set(found)

    def right(self, object_id, unsafe=False, more=None):
        """Gets it.

        Parameters:
            object_id: ObjectID
                Which.
            unsafe: bool
                Whether.
            more: None

        Returns:
            Blob

        Raises:
            ObjectNotSealedException: not yet.
        """

    assert signatures.complaints(name, right) == []
    assert docstrings.complaints(name, None, right, vineyard) == []

    def opens(path, mode="w", *args, handlers=None, **kwargs): ...

    assert signatures.complaints(names["vineyard.io.open"], opens) == [
        "has no parameter chunk_hook",
        "the default of mode is 'w', not 'r'",
    ]
