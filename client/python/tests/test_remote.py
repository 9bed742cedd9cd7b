"""Objects of other instances: read over the network, or copied here; and full instances."""

from __future__ import annotations

import shutil
import tempfile
import time
import warnings
from pathlib import Path

import pytest
import vineyard
from conftest import Node
from vineyard.core.transfers import progress


@pytest.fixture
def three(cluster):
    clients = [vineyard.connect(cluster[index].socket) for index in range(3)]
    yield clients
    for client in clients:
        client.close()


def test_a_remote_object_is_read_from_its_owner(three):
    first, second, _ = three
    object_id = first.put([b"x" * 1000, "text"], persist=True)
    second.sync_meta()
    before = second.status.memory_usage
    assert [bytes(part) if part != "text" else part for part in second.get(object_id)] == [
        b"x" * 1000,
        "text",
    ]
    assert second.get_meta(object_id).islocal is False
    assert second.get_object(object_id).id == object_id
    assert second.status.memory_usage == before


def test_fetching_brings_a_copy_that_stays(three):
    first, second, _ = three
    object_id = first.put([b"x" * 1000], persist=True)
    second.sync_meta()
    assert bytes(second.get(object_id, fetch=True)[0]) == b"x" * 1000
    copy = second.get_object(object_id, fetch=True)
    assert copy.id != object_id
    assert second.get_object(object_id, fetch=True).id == copy.id
    assert second.migrate(object_id) == copy.id
    assert first.migrate(object_id) == object_id


def test_parts_of_several_owners_come_together(three):
    parts = []
    for number, client in enumerate(three):
        parts.append(client.put([bytes([number]) * 100], persist=True))
    meta = vineyard.ObjectMeta(True)
    meta["typename"] = "vineyard::Sequence"
    meta["size_"] = 3
    meta["__elements_-size"] = 3
    for number, part in enumerate(parts):
        meta.add_member(f"__elements_-{number}", part)
    for client in three:
        client.sync_meta()
    whole = three[0].create_metadata(meta)
    three[0].persist(whole)
    for client in three:
        client.sync_meta()
        assert [bytes(part[0])[:1] for part in client.get(whole.id)] == [b"\0", b"\1", b"\2"]


def test_a_connection_to_one_node_reads_from_all(three, cluster):
    object_id = three[0].put([b"y" * 100], persist=True)
    with vineyard.connect(cluster[2].endpoint) as client:
        client.sync_meta()
        assert bytes(client.get(object_id)[0]) == b"y" * 100


def test_what_is_not_persisted_is_not_seen(three):
    object_id = three[0].put("mine")
    assert not three[1].exists(object_id)
    with pytest.raises(vineyard.ObjectNotExistsException):
        three[1].get(object_id)


def test_a_full_instance_sends_the_client_to_another(cluster):
    client = vineyard.connect(cluster[0].socket).fork()
    home = client.instance_id
    limit = client.status.memory_limit
    kept = [client.put(b"z" * (limit // 2 + 1))]
    with pytest.warns(UserWarning, match="with the most available memory"):
        kept.append(client.put(b"z" * (limit // 2 + 1)))
    assert client.instance_id != home
    assert client.get(kept[1])[:1] == b"z"
    client.delete(kept[1])
    client.close()
    with vineyard.connect(cluster[0].socket) as first:
        first.delete(kept[0])


def test_a_full_instance_alone_says_so(fresh_node):
    with (
        vineyard.connect(fresh_node.socket) as client,
        pytest.warns(UserWarning, match="No other vineyard instance available"),
        pytest.raises(vineyard.NotEnoughMemoryException),
    ):
        client.put(bytes(client.status.memory_limit + 1))


def test_reading_from_an_owner_leaves_the_connection_of_others_alone(three, cluster):
    object_id = three[0].put([b"o" * 1000], persist=True)
    three[1].sync_meta()
    with vineyard.connect(cluster[0].endpoint) as other:
        before = other.compression, other.timeout_seconds
        with vineyard.connect(cluster[1].socket) as reader:
            reader.fork()
            reader.compression = False
            reader.timeout_seconds = 7
            assert bytes(reader.get(object_id)[0]) == b"o" * 1000
            reader.close()
        assert (other.compression, other.timeout_seconds) == before
        assert other.get(other.put(1)) == 1


@pytest.fixture
def pair():
    folder = Path(tempfile.mkdtemp(prefix="vy-"))
    here = Node(folder / "here")
    there = Node(folder / "there", "--join", here.endpoint, token=here.token())
    yield here, there
    for node in (there, here):
        node.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("known", [False, True])
def test_an_owner_that_does_not_answer_is_named_and_so_is_one_that_is_gone(pair, known):
    here, there = pair
    with vineyard.connect(there.socket) as writer:
        object_id = writer.put([b"d" * 1000], persist=True)
        owner = writer.instance_id
    with vineyard.connect(here.socket) as reader:
        reader.sync_meta()
        if known:
            assert bytes(reader.get(object_id)[0]) == b"d" * 1000
        there.process.kill()
        there.process.wait()
        with pytest.raises(vineyard.IOErrorException) as caught:
            reader.get(object_id)
        assert isinstance(caught.value.__cause__, ConnectionError)
        assert f"{object_id!r} (blob o8" in str(caught.value)
        assert f"instance {owner} at {there.endpoint}" in str(caught.value)
        until = time.monotonic() + 30
        while owner in reader.meta:
            assert time.monotonic() < until
            time.sleep(0.05)
        gone = f"instance {owner}, which is not in the cluster now"
        with pytest.raises(vineyard.IOErrorException, match=gone):
            reader.get(object_id)


def test_progress_shows_a_bar(three, cluster, capsys):
    pytest.importorskip("tqdm")
    object_id = three[0].put([b"p" * (2 << 20)], persist=True)
    three[1].sync_meta()
    assert len(three[1].get(object_id, progress=True)[0]) == 2 << 20
    shown = capsys.readouterr().err
    assert "fetch" in shown
    assert "2.00M" in shown
    with vineyard.connect(cluster[1].endpoint) as client:
        put = client.put((b"q" * (2 << 20), "small"), progress=True)
        assert "put" in capsys.readouterr().err
        whole = client.get(put, progress=False)
        assert (bytes(whole[0]), whole[1]) == (b"q" * (2 << 20), "small")
        assert capsys.readouterr().err == ""


def test_a_notebook_shows_large_transfers_by_itself(three, cluster, capsys, monkeypatch):
    pytest.importorskip("tqdm")
    monkeypatch.setattr(progress, "in_notebook", lambda: True)
    with vineyard.connect(cluster[0].endpoint) as client:
        small = client.put([b"s" * (2 << 20)], persist=True)
        assert capsys.readouterr().err == ""
        large = client.put([b"l" * (33 << 20)], persist=True)
        shown = capsys.readouterr().err
        assert "put" in shown
        assert "33.0M" in shown
    three[1].sync_meta()
    assert len(three[1].get(small)[0]) == 2 << 20
    assert capsys.readouterr().err == ""
    assert len(three[1].get(large)[0]) == 33 << 20
    assert "33.0M" in capsys.readouterr().err
    three[0].delete(large)


def test_no_bar_without_tqdm(three, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "tqdm.auto", None)
    object_id = three[0].put([b"n" * 1000], persist=True)
    three[1].sync_meta()
    with pytest.warns(UserWarning, match="pip install tqdm"):
        three[1].get(object_id, progress=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        three[1].get(object_id)


def test_a_sequence_of_parts_elsewhere_is_put_as_global(three):
    parts = [client.put([number], persist=True) for number, client in enumerate(three)]
    three[0].sync_meta()
    whole = three[0].put(tuple(parts), global_=True)
    three[0].persist(whole)
    meta = three[0].get_meta(whole)
    assert meta.isglobal
    assert not meta.islocal
    for client in three:
        client.sync_meta()
        assert client.get(whole) == ([0], [1], [2])
