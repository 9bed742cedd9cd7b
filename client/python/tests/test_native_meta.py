"""`vineyard._C` alone: ids, exceptions and metadata."""

from __future__ import annotations

import ast
import pickle
from pathlib import Path
from types import FunctionType

import pytest
from vineyard import _C


def test_an_id_prints_parses_and_can_be_pickled():
    one = _C.ObjectID("o000043c5c6d5e646")
    assert repr(one) == "o000043c5c6d5e646" and str(one) == 'ObjectID <"o000043c5c6d5e646">'
    assert one == _C.ObjectID("000043c5c6d5e646") == _C.ObjectID(int(one)) == _C.ObjectID(one)
    assert one != 5 and one != "o000043c5c6d5e646"
    assert hash(one) == hash(int(one)) and {one: 1}[_C.ObjectID(int(one))] == 1
    assert pickle.loads(pickle.dumps(one)) == one
    assert one.uri == "vineyard://o000043c5c6d5e646" and _C.ObjectID.from_uri(one.uri) == one
    assert int(_C.ObjectID()) == 2**64 - 1 and int(_C.ObjectID("5")) == 5


@pytest.mark.parametrize("text", ["", "o", "zz", "o00000000000000000", "hello", "+1"])
def test_a_text_that_is_no_id_is_a_value_error(text):
    with pytest.raises(ValueError, match="not an object id"):
        _C.ObjectID(text)


@pytest.mark.parametrize("value", [-1, 2**64, 1.5, b"o1", [], object()])
def test_what_is_no_id_is_a_type_error(value):
    with pytest.raises(TypeError):
        _C.ObjectID(value)


def test_a_bad_uri_is_a_user_input_error():
    for uri in ["file:///x", "vineyard://zz", ""]:
        with pytest.raises(_C.UserInputErrorException, match="User input error: Not a valid uri"):
            _C.ObjectID.from_uri(uri)


def test_a_name_is_hashable_and_can_be_pickled():
    name = _C.ObjectName("abc")
    assert (repr(name), str(name), name.uri) == ("'abc'", "abc", "vineyard://abc")
    assert name == _C.ObjectName("abc") == pickle.loads(pickle.dumps(name))
    assert len({name, _C.ObjectName("abc")}) == 1 and name != "abc"


def test_exceptions_are_below_one_and_say_what_builtins_they_are():
    names = [name for name in vars(_C) if name.endswith("Exception")]
    assert len(names) == 37
    for name in names:
        assert issubclass(getattr(_C, name), _C.VineyardException)
        assert getattr(_C, name).__doc__
    assert issubclass(_C.VineyardException, RuntimeError)
    assert issubclass(_C.ConnectionFailedException, ConnectionError)
    assert _C.ConnectionFailed is _C.ConnectionFailedException
    assert issubclass(_C.DeadlineException, TimeoutError)


def test_a_failed_connection_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setenv("VINEYARD_IPC_SKIP_RETRY", "1")
    monkeypatch.setenv("VINEYARD_RPC_SKIP_RETRY", "1")
    for place in [(str(tmp_path / "none"),), ("127.0.0.1", 1)]:
        with pytest.raises(
            ConnectionError, match=r"Connection failed: .*is a node running"
        ) as error:
            _C._connect(*place)
        assert isinstance(error.value, _C.ConnectionFailed)


def test_values_come_back_as_they_went_in(raw):
    values = {
        "float": 0.1,
        "whole": 1.0,
        "huge": 1e300,
        "largest": 2**64 - 1,
        "smallest": -(2**63),
        "true": True,
        "one": 1,
        "none": None,
        "text": "ünï",
    }
    meta = _C.ObjectMeta()
    meta["typename"] = "test::Values"
    for key, value in values.items():
        meta[key] = value
    made = raw.create_metadata(meta)
    assert made is meta
    for got in [meta, raw.get_meta(meta.id)]:
        for key, value in values.items():
            assert got[key] == value and type(got[key]) is type(value), key
        assert got.id == meta.id and got.typename == "test::Values" and got.nbytes == 0


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 2**64, -(2**63) - 1, [float("nan")]])
def test_what_json_cannot_hold_is_refused(value):
    meta = _C.ObjectMeta()
    with pytest.raises(ValueError, match="metadata"):
        meta["x"] = value
    assert "x" not in meta


def test_parts_become_text_and_other_values_type_errors():
    numpy = pytest.importorskip("numpy")
    meta = _C.ObjectMeta()
    meta["list"], meta["tuple"], meta["dict"] = [1, 2], ("a", 1.5), {"b": [True], "a": None}
    assert (meta["list"], meta["tuple"]) == ("[1,2]", '["a",1.5]')
    assert meta["dict"] == '{"a":null,"b":[true]}'
    meta["bytes"], meta["numpy"], meta["flag"] = b"ab", numpy.int8(3), numpy.bool_(True)
    meta["single"] = numpy.float32(0.5)
    assert (meta["bytes"], meta["numpy"], meta["flag"], meta["single"]) == ("ab", 3, True, 0.5)
    for value in [{1, 2}, object(), numpy.arange(3), 1j]:
        with pytest.raises(TypeError):
            meta["x"] = value


def test_a_meta_is_a_sorted_mapping_that_prints_and_can_be_pickled():
    meta = _C.ObjectMeta()
    meta["b"], meta["a"] = 1, "x"
    assert list(meta) == list(meta.keys()) == ["a", "b", "global"] and len(meta) == 3
    assert dict(meta.items()) == {"a": "x", "b": 1, "global": False}
    assert meta.get("c") is None and meta.get("c", 7) == 7
    with pytest.raises(KeyError, match="key 'c' does not exist"):
        meta["c"]
    assert repr(meta) == '{\n    "a": "x",\n    "b": 1,\n    "global": false\n}'
    assert str(meta) == "ObjectMeta " + repr(meta)
    assert repr(pickle.loads(pickle.dumps(meta))) == repr(meta)
    meta.reset_key("a")
    assert "a" not in meta
    meta.set_global()
    assert meta.isglobal and not meta.islocal
    for unset in ["id", "typename", "nbytes", "signature", "instance_id"]:
        with pytest.raises(RuntimeError, match=f"no '{unset}' yet"):
            getattr(meta, unset)


def test_members_are_linked_read_and_never_overwritten(ipc):
    blob = ipc.create_blob(3).seal(ipc)
    inner = _C.ObjectMeta()
    inner["typename"] = "test::Inner"
    inner.add_member("buffer_", blob)
    ipc.create_metadata(inner)
    outer = _C.ObjectMeta()
    outer["typename"] = "test::Outer"
    outer["meta"], outer["id_only"], outer["object"] = inner, inner.id, ipc.get_object(inner.id)
    with pytest.raises(RuntimeError):
        outer["meta"] = inner
    with pytest.raises(RuntimeError):
        outer["meta"] = 1
    ipc.create_metadata(outer)
    assert outer["id_only"]["typename"] == "test::Inner"
    got = ipc.get_object(outer.id)
    assert repr(got) == f'Object <"{outer.id!r}": test::Outer>'
    for name in ["meta", "id_only", "object"]:
        assert got.member(name).id == inner.id == got[name].id
        assert got[name]["buffer_"].id == blob.id
    assert got.meta.get_member("nope") is None
    with pytest.raises(RuntimeError):
        got.member("nope")
    with pytest.raises(RuntimeError):
        got.meta.get_member("typename")
    assert got.meta.memory_usage == 3
    assert got.meta.memory_usage_details()["summary"] == "3 B"


def test_a_change_stays_in_its_own_copy(ipc):
    made = ipc._put_tree({"typename": "a", "m": {"typename": "b", "x": 1}}, [])
    member = made["m"]
    member["x"] = 2
    assert member["x"] == 2 and made["m"]["x"] == 1


def test_creation_is_refused_with_the_reason(raw):
    meta = _C.ObjectMeta()
    with pytest.raises(_C.MetaTreeInvalidException, match="typename"):
        raw.create_metadata(meta)
    meta["typename"] = "test::Outer"
    meta["m"] = _C.ObjectID(2**63 - 1)
    with pytest.raises(_C.MetaTreeSubtreeNotExistsException):
        raw.create_metadata(meta)


def members(body) -> set[str]:
    names = set()
    for one in body:
        if isinstance(one, ast.FunctionDef | ast.ClassDef):
            names.add(one.name)
        elif isinstance(one, ast.AnnAssign):
            names.add(one.target.id)
        elif isinstance(one, ast.Assign):
            names.update(target.id for target in one.targets)
    return names


def test_the_stubs_name_what_there_is_and_all_of_it_has_a_docstring():
    stubs = ast.parse(Path(_C.__file__).with_name("_C.pyi").read_text())
    public = {name for name in vars(_C) if not name.startswith("_")}
    declared = {name for name in members(stubs.body) if not name.startswith("_")}
    assert declared == public
    stubs = [one for one in stubs.body if isinstance(one, ast.ClassDef)]
    classes = {one.name: members(one.body) for one in stubs}
    for stub in stubs:
        real = getattr(_C, stub.name)
        assert real.__doc__, stub.name
        if issubclass(real, BaseException):
            continue
        # What the package adds to the classes is not the extension's.
        native = (name for name, value in vars(real).items() if not isinstance(value, FunctionType))
        own = {name for name in native if not name.startswith("__")}
        named = {name for name in classes[stub.name] if not name.startswith("__")}
        above = [base.__name__ for base in real.__mro__[1:]]
        assert own <= named.union(*(classes.get(name, set()) for name in above)), stub.name
        # Each of the two clients says it in its own way.
        assert named - set(dir(real)) <= {"instance_id"}, stub.name
        for name in own:
            assert getattr(vars(real)[name], "__doc__", None), f"{stub.name}.{name}"
