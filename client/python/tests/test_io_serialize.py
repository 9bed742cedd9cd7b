"""Objects into folders and back: every type, global objects of several nodes, damage, and folders
that the released package wrote.

`serialized_by_0_24_2.tar.xz` was made with the released client and server: `frame` is a data frame
`{"a": [1, 2, 3], "b": [0.5, 1.5, -2.0]}`, `tuple` is `(1, "text", arange(6).reshape(2, 3))`, and
`global` is a global sequence of `arange(4.0)` and `arange(4.0) + 1`.
"""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import io_servers
import numpy
import pandas
import pytest
import vineyard
import vineyard.io
from data_cases import CASES
from data_equal import assert_same
from vineyard.io._serialize import layout

BY_RELEASED = Path(__file__).with_name("serialized_by_0_24_2.tar.xz")


ROWS = {row: [name for name in CASES if CASES[name][0] == row] for row, _ in CASES.values()}


@pytest.mark.parametrize("row", ROWS)
def test_values_of_each_type_come_back(row, tmp_path, ipc_client):
    """One of each row alone, and all of them as members of one object."""
    ids = [ipc_client.put(CASES[name][1]()) for name in ROWS[row]]
    direct = [ipc_client.get(one) for one in ids]
    members = vineyard.ObjectMeta()
    members["typename"] = "vineyard::Sequence"
    members["__elements_-size"] = members["size_"] = len(ids)
    for at, one in enumerate(ids):
        members.add_member(f"__elements_-{at}", ipc_client.get_meta(one))
    together = ipc_client.create_metadata(members)
    assert vineyard.io.serialize(tmp_path, together.id, client=ipc_client) is None
    made = vineyard.io.deserialize(tmp_path, client=ipc_client)
    assert made != together.id
    back = ipc_client.get_meta(made)
    for at, value in enumerate(direct):
        assert_same(value, ipc_client.get(back[f"__elements_-{at}"].id))
    vineyard.io.serialize(tmp_path, ids[0], client=ipc_client)
    alone = vineyard.io.deserialize(tmp_path, client=ipc_client)
    assert_same(direct[0], ipc_client.get(alone))
    ipc_client.delete([alone, made, together.id])


@pytest.mark.parametrize("given", [{}, {"level": 9}, {"compression": None}, {"parallelism": 1}])
def test_each_way_to_store_bytes(given, tmp_path, client, monkeypatch):
    monkeypatch.setattr(layout, "FILE_BYTES_MAX", 1000)
    value = [numpy.arange(500), numpy.zeros(7), b"", numpy.arange(3)]
    vineyard.io.serialize(tmp_path, value, client=client, **given)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    files = {file["name"] for file in manifest["files"]}
    assert {path.name for path in tmp_path.iterdir()} == files | {"manifest.json"}
    assert (len(files) > 1) == ("compression" in given or len(files) > 1)
    back = client.get(vineyard.io.deserialize(tmp_path, client=client))
    assert_same(value, back)


def test_options_of_the_released_package_and_wrong_ones(tmp_path, node):
    where = {"vineyard_ipc_socket": node.socket, "vineyard_endpoint": node.endpoint}
    told = {"compression_method": "zstd", "compression_level": 3}
    value = numpy.arange(100)
    vineyard.io.serialize(tmp_path, value, type="global", serialization_options=told, **where)
    made = vineyard.io.deserialize(tmp_path, type="default", **where)
    assert vineyard.connect(node.socket).get(made).tolist() == value.tolist()
    with pytest.raises(ValueError, match="compresion in the call is no option"):
        vineyard.io.serialize(tmp_path, value, compresion="zstd", **where)
    with pytest.raises(ValueError, match="spread is 'there': it must be here or origin or even"):
        vineyard.io.deserialize(tmp_path, spread="there", **where)
    with pytest.raises(ValueError, match="No serialization driver registered for type 'mine'"):
        vineyard.io.serialize(tmp_path, value, type="mine", **where)


def test_a_blob_that_is_in_several_places_is_stored_and_made_once(tmp_path, fresh_node):
    client = vineyard.connect(fresh_node.socket)
    array = client.get(client.put(numpy.arange(100_000)))
    object_id = client.put([array, (array,)])
    vineyard.io.serialize(tmp_path, object_id, compression=None, client=client)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    large = [one for one in manifest["blobs"].values() if one["length"] == array.nbytes]
    assert len(large) == 1
    before = client.status.memory_usage
    made = vineyard.io.deserialize(tmp_path, client=client)
    assert client.status.memory_usage - before < 2 * array.nbytes
    assert_same(array, client.get(made)[0])
    client.close()


def test_names_come_back_if_they_were_asked_for(tmp_path, fresh_node):
    client = vineyard.connect(fresh_node.socket)
    object_id = client.put(7, persist=True, name="seven")
    client.put_name(object_id, "also seven")
    for names in (True, False):
        vineyard.io.serialize(tmp_path / str(names), object_id, names=names, client=client)
    client.delete(object_id)
    vineyard.io.deserialize(tmp_path / "False", client=client)
    assert client.list_names("*") == {}
    made = vineyard.io.deserialize(tmp_path / "True", client=client)
    assert {str(name): one for name, one in client.list_names("*").items()} == {
        "seven": made,
        "also seven": made,
    }
    client.close()


def _global(clients: list[Any]) -> Any:
    blocks = []
    for number, client in enumerate(clients):
        frame = pandas.DataFrame({"a": [number], "b": [f"on {number}"]})
        blocks.append(client.put(frame, partition_index=(number, 0), persist=True))
    return vineyard.data.dataframe.make_global_dataframe(clients[0], blocks)


@pytest.mark.parametrize("spread", ["here", "origin", "even"])
def test_a_global_object_of_three_nodes(spread, cluster, tmp_path):
    clients = [
        vineyard.connect(cluster[at].socket, endpoint=(cluster[at].host, cluster[at].port))
        for at in range(3)
    ]
    meta = _global(clients)
    vineyard.io.serialize(tmp_path, meta.id, client=clients[1])
    made = vineyard.io.deserialize(tmp_path, spread=spread, client=clients[1])
    assert made != meta.id
    back = clients[1].get_meta(made)
    assert (back.isglobal, back.typename) == (True, meta.typename)
    owners = [back[f"partitions_-{at}"].instance_id for at in range(3)]
    ids = [client.instance_id for client in clients]
    wanted = {"here": [ids[1]] * 3, "origin": ids, "even": sorted(ids)}
    assert owners == wanted[spread]
    for client in clients:
        frames = client.get(made)
        assert [frame["b"].tolist() for frame in frames] == [["on 0"], ["on 1"], ["on 2"]]
    clients[1].delete([made, meta.id], force=True)


@pytest.fixture
def stored(tmp_path, ipc_client):
    """The folder of an object."""
    vineyard.io.serialize(tmp_path, [numpy.arange(1000), "text"], client=ipc_client)
    return tmp_path


def test_each_flipped_byte_is_found(stored, ipc_client):
    for path in stored.iterdir():
        data = path.read_bytes()
        for at in range(0, len(data), max(1, len(data) // 15)):
            path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
            with pytest.raises(vineyard.io.ReadError, match=path.name):
                vineyard.io.deserialize(stored, client=ipc_client)
        path.write_bytes(data)
    vineyard.io.deserialize(stored, client=ipc_client)


def test_each_missing_or_short_file_is_named(stored, ipc_client):
    for path in stored.iterdir():
        data = path.read_bytes()
        path.write_bytes(data[:-1])
        with pytest.raises(vineyard.io.ReadError, match=path.name):
            vineyard.io.deserialize(stored, client=ipc_client)
        path.unlink()
        with pytest.raises(FileNotFoundError, match=path.name):
            vineyard.io.deserialize(stored, client=ipc_client)
        path.write_bytes(data)


def test_a_newer_version_is_refused(stored, ipc_client):
    manifest = json.loads((stored / "manifest.json").read_text())
    del manifest["xxh3"]
    (stored / "manifest.json").write_bytes(layout.encode(manifest | {"version": 2}))
    with pytest.raises(vineyard.io.ReadError, match=r"manifest\.json: is of version 2; this"):
        vineyard.io.deserialize(stored, client=ipc_client)
    for content in (b"", b"[]", b"{}", b'{"version": null}'):
        (stored / "manifest.json").write_bytes(content)
        with pytest.raises(vineyard.io.ReadError, match="is no manifest"):
            vineyard.io.deserialize(stored, client=ipc_client)


def test_a_write_that_fails_leaves_the_old_object(stored, ipc_client, monkeypatch):
    before = sorted(stored.iterdir())

    def fail(manifest: Any) -> bytes:
        raise OSError("no space")

    monkeypatch.setattr(layout, "encode", fail)
    with pytest.raises(vineyard.io.WriteError, match=r"manifest\.json: no space"):
        vineyard.io.serialize(stored, numpy.arange(5), client=ipc_client)
    monkeypatch.undo()
    assert sorted(stored.iterdir()) == before
    assert ipc_client.get(vineyard.io.deserialize(stored, client=ipc_client))[1] == "text"
    vineyard.io.serialize(stored, 7, client=ipc_client)
    assert len(list(stored.iterdir())) <= 2
    assert ipc_client.get(vineyard.io.deserialize(stored, client=ipc_client)) == 7


def test_no_room_leaves_nothing(tmp_path, fresh_node, ipc_client):
    client = vineyard.connect(fresh_node.socket)
    room = client.status.memory_limit
    vineyard.io.serialize(tmp_path, numpy.zeros(room // 16 * 3, "i4"), client=ipc_client)
    filler = client.put(numpy.ones(room // 2, "i1"))
    with pytest.raises(vineyard.NotEnoughMemoryException):
        vineyard.io.deserialize(tmp_path, client=client)
    client.delete(filler)
    client.close()
    fresh_node.assert_all_is_free()


def test_an_object_store(tmp_path, ipc_client):
    with io_servers.s3("objects") as options:
        value = {"a": numpy.arange(2_000_000)}
        given = {"storage_options": options, "client": ipc_client}
        vineyard.io.serialize("s3://objects/x", value, compression=None, **given)
        made = vineyard.io.deserialize("s3://objects/x", **given)
        assert_same(value, ipc_client.get(made))
        ipc_client.delete(made)
        with pytest.raises(FileNotFoundError, match=r"s3://objects/y/manifest\.json"):
            vineyard.io.deserialize("s3://objects/y", **given)


@pytest.fixture
def by_released(tmp_path):
    """The folders that the released package wrote."""
    with tarfile.open(BY_RELEASED) as packed:
        packed.extractall(tmp_path, filter="data")
    return tmp_path


def test_folders_of_the_released_package_are_read(by_released, ipc_client):
    def read(name: str) -> Any:
        return ipc_client.get(vineyard.io.deserialize(by_released / name, client=ipc_client))

    expected = pandas.DataFrame({"a": [1, 2, 3], "b": [0.5, 1.5, -2.0]})
    pandas.testing.assert_frame_equal(read("frame"), expected)
    number, text, array = read("tuple")
    assert (number, text, array.tolist()) == (1, "text", [[0, 1, 2], [3, 4, 5]])
    for folder in ("global", "global in parts"):
        first, second = read(folder)
        assert (first.tolist(), second.tolist()) == ([0, 1, 2, 3], [1, 2, 3, 4])
        if folder == "global":
            _part(by_released)


def _part(folder: Path) -> None:
    """The folder that two workers would have written, each one member."""
    whole = folder / "global" / "1-0"
    for number in range(2):
        part = folder / "global in parts" / f"2-{number}"
        part.mkdir(parents=True)
        (part / "metadata.json").write_bytes((whole / "metadata.json").read_bytes())
        (whole / f"__elements_-{number}").rename(part / f"__elements_-{number}")


def test_damage_to_a_folder_of_the_released_package_is_named(by_released, ipc_client):
    frame = by_released / "frame" / "1-0"
    damaged = (
        (frame / "index_" / "metadata.json", b"{", "index_/metadata.json: is damaged"),
        (frame / "__values_-value-0" / "buffer_" / "blob", b"x", "buffer_/blob: is damaged"),
    )
    for path, content, says in damaged:
        before = path.read_bytes()
        path.write_bytes(content)
        with pytest.raises(vineyard.io.ReadError, match=says):
            vineyard.io.deserialize(by_released / "frame", client=ipc_client)
        path.unlink()
        with pytest.raises(FileNotFoundError):
            vineyard.io.deserialize(by_released / "frame", client=ipc_client)
        path.write_bytes(before)
    frame.rename(frame.with_name("2-1"))
    with pytest.raises(FileNotFoundError, match="2-0: there is no such part"):
        vineyard.io.deserialize(by_released / "frame", client=ipc_client)
