"""With `pickle="refuse"` no code that a writer chose runs."""

from __future__ import annotations

import ast
import base64
import copyreg
import json
import pickle
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import scipy.sparse
import vineyard
from pickle_attacks import ATTACKS, Trap, forged
from vineyard import _C
from vineyard.data.pickle import PickledReader, PickledWriter

PACKAGE = Path(vineyard.__file__).parent
DOOR = "data/_unpickling.py"
# Names of functions that make code or objects of bytes, in any module.
UNPICKLERS = {"loads", "load", "Unpickler", "_Unpickler", "eval", "exec", "compile", "__import__"}
HARMLESS_MODULES = {"json"}


@pytest.fixture
def trap(tmp_path: Path) -> Path:
    """A folder that exists only if code in the store was run."""
    return tmp_path / "made-by-a-pickle"


def connected(node, kind: str, **options) -> vineyard.Client:
    if kind == "ipc":
        return vineyard.connect(node.socket, **options)
    return vineyard.connect(endpoint=(node.host, node.port), **options)


@pytest.fixture(params=["ipc", "rpc"])
def refusing(request: pytest.FixtureRequest, node) -> vineyard.Client:
    return connected(node, request.param, pickle="refuse")


@pytest.fixture
def writer(node) -> vineyard.Client:
    return vineyard.connect(node.socket, pickle="allow")


def assert_refused(get, object_id: vineyard.ObjectID, typename: str, trap: Path) -> None:
    with pytest.raises(vineyard.PickleRefused, match="pickle='allow'") as caught:
        get()
    assert not trap.exists()
    assert repr(object_id) in str(caught.value)
    assert typename in str(caught.value)
    assert (caught.value.object_id, caught.value.typename) == (object_id, typename)


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_runs_only_where_pickles_are_allowed(writer, refusing, trap, name):
    object_id = ATTACKS[name](writer, str(trap))
    typename = writer.get_meta(object_id).typename
    assert_refused(lambda: refusing.get(object_id), object_id, typename, trap)
    try:
        writer.get(object_id)
    except Exception as error:
        assert not isinstance(error, vineyard.PickleRefused)
    assert trap.exists(), "the attack is none"


def test_the_error_says_which_member(writer, refusing, trap):
    object_id = writer.put([1, pd.Series([Trap(str(trap))])])
    with pytest.raises(vineyard.PickleRefused, match=r"__elements_-1\.value_") as caught:
        refusing.get(object_id)
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value)
    assert isinstance(again, pickle.UnpicklingError)
    assert isinstance(again, vineyard.VineyardException)


def test_an_object_of_another_instance_is_refused(cluster, trap):
    writer = vineyard.connect(cluster[0].socket)
    object_id = writer.put(Trap(str(trap)), persist=True, name="trap elsewhere")
    refusing = vineyard.connect(cluster[1].socket, pickle="refuse")
    typename = "vineyard::PickleBuffer"
    assert_refused(lambda: refusing.get(object_id), object_id, typename, trap)
    with pytest.raises(vineyard.PickleRefused):
        refusing.get(name="trap elsewhere", fetch=True)
    over_tcp = connected(cluster[1], "rpc", pickle="refuse")
    assert_refused(lambda: over_tcp.get(object_id), object_id, typename, trap)
    assert not trap.exists()


def test_a_description_calls_nothing_that_is_not_listed(writer, refusing, trap):
    call = json.dumps(["call", "os.mkdir", [str(trap)], {}]).encode()
    honest = writer.put({1, 2})
    blob = writer.get_meta(writer.put(b"N." + call))
    object_id = forged(writer, honest, buffer_=blob, spans_=None, plain_=len(call))
    with pytest.raises(ValueError, match=r"os\.mkdir"):
        refusing.get(object_id)
    assert not trap.exists()


@pytest.mark.parametrize("name", ["|O", "i4,O", "T"])
def test_addresses_in_the_store_are_no_objects(writer, refusing, name):
    try:
        np.dtype(name)
    except TypeError:
        name = "O"
    forged_id = forged(writer, writer.put(np.zeros(4)), value_type_meta_=name)
    with pytest.raises(ValueError, match="addresses"):
        refusing.get(forged_id)


@pytest.mark.parametrize("says", [None, True])
@pytest.mark.parametrize("kind", ["csr", "csc", "bsr"])
def test_places_outside_a_stored_matrix_are_an_error(writer, refusing, kind, says):
    blocks = {"blocksize": (1, 1)} if kind == "bsr" else {}
    honest = writer.put(getattr(scipy.sparse, f"{kind}_matrix")((2, 2), **blocks))
    begins = writer.put(np.array([0, 10**7, 0], "i4"))
    object_id = forged(writer, honest, indptr=begins, canonical_=says)
    with pytest.raises(ValueError, match="places"):
        refusing.get(object_id)


@pytest.mark.parametrize("name", ["arrow.py_extension_type", "POLARS_EXTENSION_TYPE"])
def test_arrow_types_that_unpickle_themselves_are_refused(writer, refusing, trap, name):
    content = pickle.dumps(Trap(str(trap)))
    extension = {"ARROW:extension:name": name, "ARROW:extension:metadata": content}
    schema = pa.schema([pa.field("a", pa.int64(), metadata=extension)])
    text = json.dumps({"bytes": list(schema.serialize().to_pybytes())})
    honest = writer.get_meta(writer.put(pa.table({"a": [1]})))
    of_schema = forged(writer, honest["schema_"].id, schema_binary_=text)
    table = forged(writer, honest.id, schema_=of_schema)
    typename = "vineyard::Table"
    assert_refused(lambda: refusing.get(table), table, typename, trap)
    arrays = writer.put(pa.array([[1]]))
    encoded = pa.py_buffer(schema.serialize())
    forged_list = forged(writer, arrays, arrow_type_=base64.b64encode(encoded).decode())
    typename = "vineyard::LargeListArray"
    assert_refused(lambda: refusing.get(forged_list), forged_list, typename, trap)


def test_old_pickled_labels_are_read_as_far_as_their_names_are_listed(writer, refusing, trap):
    label = ("a", 1.5)
    text = base64.b64encode(pickle.dumps(label, protocol=5)).decode()
    honest = writer.put(pd.Index([1], name=label))
    assert writer.get_meta(honest)["name_exact_"] != text
    old = forged(writer, honest, name_exact_=text)
    for client in (writer, refusing):
        assert client.get(old).name == label
    text = base64.b64encode(pickle.dumps(Trap(str(trap)), protocol=5)).decode()
    foreign = forged(writer, honest, name_exact_=text)
    with pytest.raises(vineyard.PickleRefused, match=r"mkdir"):
        refusing.get(foreign)
    assert not trap.exists()


# Which setting holds.


@pytest.fixture
def trapped(writer, trap: Path) -> Iterator[vineyard.ObjectID]:
    object_id = writer.put(Trap(str(trap)), persist=True, name="trap")
    yield object_id
    writer.delete(object_id)


def test_the_environment_holds_for_who_says_nothing(node, trapped, trap, monkeypatch):
    monkeypatch.setenv("VINEYARD_PICKLE", "refuse")
    monkeypatch.setenv("VINEYARD_IPC_SOCKET", node.socket)
    assert vineyard.connect().pickle == "refuse"
    for get in (vineyard.connect().get, vineyard.connect(node.socket).get, vineyard.get):
        with pytest.raises(vineyard.PickleRefused):
            get(trapped)
    with pytest.raises(vineyard.PickleRefused):
        vineyard.get(name="trap")
    with pytest.raises(vineyard.PickleRefused):
        _C._connect(node.socket).fork().get(trapped)
    assert not trap.exists()
    vineyard.connect(pickle="allow").get(trapped)
    assert trap.exists()


def test_an_argument_wins_over_the_environment(node, trapped, trap, monkeypatch):
    monkeypatch.setenv("VINEYARD_PICKLE", "allow")
    with pytest.raises(vineyard.PickleRefused):
        vineyard.connect(node.socket, pickle="refuse").get(trapped)
    assert not trap.exists()


def test_another_setting_is_an_error(node, monkeypatch):
    with pytest.raises(ValueError, match="'allow' or 'refuse', not 'no'"):
        vineyard.connect(node.socket, pickle="no")
    monkeypatch.setenv("VINEYARD_PICKLE", "never")
    with pytest.raises(ValueError, match="VINEYARD_PICKLE is 'allow' or 'refuse', not 'never'"):
        vineyard.connect(node.socket)
    assert vineyard.connect(node.socket, pickle="allow").pickle == "allow"


def test_nothing_said_allows(node, monkeypatch):
    monkeypatch.delenv("VINEYARD_PICKLE", raising=False)
    assert vineyard.connect(node.socket).pickle == "allow"
    monkeypatch.setenv("VINEYARD_PICKLE", "")
    assert vineyard.connect(node.socket).pickle == "allow"


def test_a_private_node_takes_the_setting(monkeypatch):
    for variable in ("VINEYARD_IPC_SOCKET", "VINEYARD_RPC_ENDPOINT"):
        monkeypatch.delenv(variable, raising=False)
    client = vineyard.connect(pickle="refuse")
    with pytest.raises(vineyard.PickleRefused):
        client.get(client.put(Trap("nowhere")))


def test_raw_clients_and_forks_keep_the_setting(fresh_node, trap):
    refusing = vineyard.connect(fresh_node.socket, pickle="refuse")
    allowing = vineyard.connect(fresh_node.socket, pickle="allow")
    object_id = allowing.put(Trap(str(trap)))
    raw = refusing.ipc_client
    for client in (raw, raw.fork(), raw.fork().fork(), allowing.ipc_client):
        with pytest.raises(vineyard.PickleRefused):
            client.get(object_id)
    for client in (refusing.fork(), refusing):
        with pytest.raises(vineyard.PickleRefused):
            client.get(object_id, progress=True)
    assert not trap.exists()
    allowing.get(object_id)
    assert trap.exists()


def test_a_client_that_moves_keeps_the_setting(cluster, trap):
    refusing = vineyard.connect(cluster[0].socket, pickle="refuse")
    host, port = cluster[1].host, cluster[1].port
    refusing._reconnect(None, (host, port))
    object_id = vineyard.connect(cluster[1].socket).put(Trap(str(trap)))
    with pytest.raises(vineyard.PickleRefused):
        refusing.get(object_id)
    with pytest.raises(vineyard.PickleRefused):
        refusing.rpc_client.get(object_id)
    assert not trap.exists()


def test_the_setting_holds_in_resolvers_that_do_not_pass_the_client(refusing, trapped, trap):
    def alone(obj):
        return vineyard.default_resolver_context(obj)

    with pytest.raises(vineyard.PickleRefused):
        refusing.get(trapped, resolver=vineyard.ResolverContext().extend({"": alone}))
    with pytest.raises(vineyard.PickleRefused):
        refusing.get(trapped, resolver=lambda obj, **kw: alone(obj))
    with pytest.raises(vineyard.PickleRefused):
        alone(refusing.get_object(trapped))
    assert not trap.exists()


def test_a_resolver_of_ones_own_may_do_what_it_likes(refusing, trapped):
    with vineyard.resolver_context({"vineyard::PickleBuffer": lambda obj: "mine"}):
        assert refusing.get(trapped) == "mine"


def test_a_csi_path_obeys_the_environment(node, writer, trap, tmp_path, monkeypatch):
    (tmp_path / "vineyard.sock").symlink_to(node.socket)
    path = str(tmp_path / "trap")
    object_id = writer.put(Trap(str(trap)), persist=True, name=path)
    monkeypatch.setenv("VINEYARD_PICKLE", "refuse")
    with pytest.raises(vineyard.PickleRefused):
        vineyard.csi.read(path)
    assert not trap.exists()
    writer.delete(object_id)


def test_blocks_without_a_client_obey_the_environment(trap, monkeypatch):
    reader = PickledReader(Trap(str(trap)))
    writer = PickledWriter(reader.store_size)
    writer.write(reader.read())
    monkeypatch.setenv("VINEYARD_PICKLE", "refuse")
    with pytest.raises(vineyard.PickleRefused, match="these bytes"):
        writer.close()
    assert not trap.exists()


def test_a_pickle_that_names_nothing_is_read_and_any_other_is_not(writer, refusing, trap):
    items = list(range(20))
    assert refusing.get(writer.put(items)) == items
    for value in (
        [*items, Trap(str(trap))],
        {"a": Trap(str(trap))},
        [*items, print],
        [*items, int],
    ):
        object_id = writer.put(value)
        assert "plain_" not in writer.get_meta(object_id)
        with pytest.raises(vineyard.PickleRefused):
            refusing.get(object_id)
    assert not trap.exists()


def stored(client, stream: bytes) -> vineyard.ObjectID:
    """An object whose pickle is `stream`."""
    tree = {"typename": "vineyard::PickleBuffer", "size_": len(stream)}
    tree["buffer_"] = {"typename": "vineyard::Blob", "_buffer": 0}
    return client._put_tree(tree, [stream]).id


@pytest.mark.parametrize(
    "stream",
    [
        b"",
        b"garbage",
        b"\x80\x05N",
        b"cos\nsystem\n(S'true'\ntR.",
        b"\x80\x05\x8c\x02os\x8c\x06system\x93\x8c\x04true\x85R.",
        b"(S'true'\nios\nsystem\n.",
        b"\x80\x05]\x97.",
        b"\x80\x05\x8c\x01xQ.",
        b"Pid\n.",
        b"\x82\x01.",
        b"]}b.",
        b"](tR.",
    ],
)
def test_bytes_that_are_no_pickle_of_plain_values_are_refused(refusing, writer, stream):
    with pytest.raises(vineyard.PickleRefused):
        refusing.get(stored(writer, stream))


def test_what_copyreg_has_by_number_is_refused(refusing, writer, trap):
    copyreg.add_extension("pickle_attacks", "Trap", 240)
    try:
        stream = pickle.dumps(Trap, 2)
        assert b"\x82\xf0" in stream
        pickle.loads(stream)
        with pytest.raises(vineyard.PickleRefused):
            refusing.get(stored(writer, stream))
    finally:
        copyreg.remove_extension("pickle_attacks", "Trap", 240)
        copyreg.clear_extension_cache()
    with pytest.raises(vineyard.PickleRefused):
        refusing.get(stored(writer, stream))


# Only one file calls an unpickler.


# What this process gave to one that it started, a hook and its batches; none is of the store.
OWN_PICKLES = {
    "io/_hook_processes.py: pickle.loads",
    "io/_hook_worker.py: pickle.loads",
    "io/_machines/messages.py: needed('cloudpickle').loads",
}


def test_only_the_door_unpickles():
    found = {
        f"{file.relative_to(PACKAGE)}: {call}"
        for file in PACKAGE.rglob("*.py")
        for call in calls_of(ast.parse(file.read_text()))
        if str(file.relative_to(PACKAGE)) != DOOR
    }
    assert found == OWN_PICKLES


def calls_of(tree: ast.AST) -> Iterator[str]:
    """Every mention of a name that unpickles or runs text."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in UNPICKLERS:
            owner = ast.unparse(node.value)
            if owner not in HARMLESS_MODULES and owner != "re":
                yield f"{owner}.{node.attr}"
        elif isinstance(node, ast.Name) and node.id in UNPICKLERS:
            yield node.id
        elif isinstance(node, ast.ImportFrom) and node.module in ("pickle", "cloudpickle"):
            yield from (name.name for name in node.names if name.name in UNPICKLERS)
        elif isinstance(node, ast.keyword) and node.arg == "allow_pickle":
            yield "allow_pickle"


def test_the_check_finds_what_it_looks_for():
    for text in ("pickle.loads(x)", "eval(x)", "from pickle import Unpickler", "cloudpickle.load"):
        assert list(calls_of(ast.parse(text)))
    assert list(calls_of(ast.parse((PACKAGE / DOOR).read_text())))
