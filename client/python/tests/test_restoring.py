"""What a client that refuses pickles reads of them: listed names, and nothing that they can be made
to do beside what they are listed for.
"""

from __future__ import annotations

import base64
import builtins
import functools
import importlib
import json
import operator
import os
import pickle
import random
import re
import struct
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse
import vineyard
from conftest import ROOT
from crossed_values import VALUES
from data_cases import CASES
from data_equal import assert_same
from data_plain import plain
from vineyard.data import _splice
from vineyard.data.restoring import machine, names

REFUSING = types.SimpleNamespace(pickle="refuse", refusal=lambda name="": refused(name))


def refused(name: str = "") -> vineyard.PickleRefused:
    return vineyard.PickleRefused(name=name)


def read(stream: bytes, buffers: Any = ()) -> Any:
    return machine.read(stream, buffers, refused, peel=False)


# What is read.

# The rows of docs/python-types.md that say no.
REFUSED_ROWS = {"object", "pyarrow views"}
# Inside another value polars pickles these in a form of its own.
NOT_INSIDE = {"polars.DataFrame enumeration"}
READ = [name for name, (row, _) in CASES.items() if row not in REFUSED_ROWS and "view" not in name]


@pytest.mark.parametrize("name", [name for name in READ if name not in NOT_INSIDE])
def test_every_type_is_read_inside_another(name: str) -> None:
    value = CASES[name][1]()
    if isinstance(value, memoryview):
        value = bytes(value)
    spliced = _splice.dumps({"in": [value, (value,)]})
    got = _splice.read(spliced.pieces.joined(), spliced.spans, REFUSING)
    assert_same_inside(value, got["in"][0])
    assert_same_inside(value, pickle.loads(spliced.pieces.joined())["in"][0])


def assert_same_inside(put: Any, got: Any) -> None:
    if isinstance(put, pd.DataFrame) and any(
        isinstance(dtype, pd.SparseDtype) for dtype in put.dtypes
    ):
        pd.testing.assert_frame_equal(put, got)
    elif isinstance(put, pa.StringArray | pa.Schema | pa.Buffer):
        assert put.equals(got)
    else:
        assert_same(put, got)


def test_long_values_are_read() -> None:
    texts = np.array(["x", None] * 10_000, object)
    for value in (list(range(20_000)), texts, {"a": "x" * 100_000}, [[1.5], [2.5]] * 5_000):
        assert_same(value, read(pickle.dumps(value, 5) if value is not texts else in_band(texts)))


def in_band(value: Any) -> bytes:
    return _splice.in_band(value)


def test_what_earlier_builds_described_is_read() -> None:
    """The file was written by the last build that wrote plain descriptions, with old libraries."""
    stored = json.loads((Path(__file__).parent / "old_descriptions.json").read_text())
    for name, (payload, spans, plain_bytes) in stored.items():
        content = memoryview(base64.b64decode(payload))
        got = _splice.read_plain(content, spans, plain_bytes, REFUSING, peel=True)
        value = CASES[name][1]()
        if isinstance(value, pd.Series):
            value = value.array
        assert plain(got) == plain(value), name


# The list.


def test_the_documentation_lists_every_name() -> None:
    text = (ROOT / "docs" / "python-types.md").read_text()
    section = text.partition("**Names.**")[2]
    assert sorted(re.findall(r"^\* `([\w.]+)`$", section, re.MULTILINE)) == names.listed()


# Names that old libraries lack.
NOT_IN_OLD = {
    "numpy.dtypes.StringDType",
    *(f"pyarrow.lib.{name}" for name in ("bool8", "json_", "opaque", "uuid")),
    *(f"pyarrow.lib.decimal{bits}" for bits in (32, 64)),
}


def test_every_name_is_found_by_the_spelling_of_each_version() -> None:
    for name in names.listed():
        try:
            real = names.found(name)
        except names.NotListed:
            assert name in NOT_IN_OLD
            assert os.environ.get("VINEYARD_TEST_ENVIRONMENT") != "newest"
            continue
        spelled = getattr(real, "__qualname__", None)
        is_ours = getattr(real, "__module__", "") == "vineyard.data._zones"
        if "." not in (spelled or ".") and isinstance(real.__module__, str) and not is_ours:
            assert names.found(f"{real.__module__}.{spelled}") is real, name


# What is refused. Each makes a folder, reads memory that is not its own, or takes memory, where
# it is not refused.


class Made:
    """Is pickled as the call, state and so on that it is given."""

    def __init__(self, *reduced: Any) -> None:
        self.reduced = reduced

    def __reduce__(self) -> tuple[Any, ...]:
        return self.reduced


def dumped(*reduced: Any) -> bytes:
    return pickle.dumps(Made(*reduced), 5)


def text(value: str) -> bytes:
    content = value.encode()
    return b"\x8c" + struct.pack("<B", len(content)) + content


def named(module: str, name: str) -> bytes:
    return text(module) + text(name) + b"\x93"


def call_of(module: str, name: str, *arguments: str) -> bytes:
    """A pickle that calls a name with texts."""
    pushed = b"".join(text(argument) for argument in arguments)
    return b"\x80\x05" + named(module, name) + b"(" + pushed + b"tR."


FOLDER = "made-by-a-pickle"
NAMES_REFUSED = {
    "system": call_of("posix", "mkdir", FOLDER),
    "os": call_of("os", "mkdir", FOLDER),
    "eval": call_of("builtins", "eval", f"__import__('os').mkdir('{FOLDER}')"),
    "import": call_of("builtins", "__import__", "os"),
    "dotted": call_of("numpy", "ndarray.__class__.__subclasses__"),
    "dotted_module": call_of("numpy.f2py", "os.mkdir", FOLDER),
    "through_a_listed_module": call_of("importlib", "import_module", "os"),
    "import_of_a_submodule": call_of("importlib", "import_module", "numpy.f2py"),
    "pandas_read": call_of("pandas", "read_pickle", FOLDER),
    "numpy_load": call_of("numpy", "load", FOLDER),
    "numpy_memmap": call_of("numpy", "memmap", FOLDER),
    "numpy_fromfile": call_of("numpy", "fromfile", FOLDER),
    "restore": call_of("vineyard.data.restoring.names", "found", "os.mkdir"),
    "empty_names": call_of("", "", FOLDER),
    "old_name": b"\x80\x05cos\nmkdir\n(" + text(FOLDER) + b"tR.",
    "old_dotted": b"\x80\x05cnumpy\nf2py.os.mkdir\n(" + text(FOLDER) + b"tR.",
    "instance": b"(" + text(FOLDER) + b"ios\nmkdir\n.",
    "object": b"(cos\nmkdir\n" + text(FOLDER) + b"o.",
    "extension": b"\x80\x05\x82\x01.",
    "persistent": b"\x80\x05" + text("a") + b"Q.",
    "persistent_text": b"\x80\x05Pa\n.",
    "partial": dumped(functools.partial, (os.mkdir,)),
    "partial_of_a_listed_one": pickle.dumps(functools.partial(operator.getitem, [1]), 5),
    "attribute_of_a_class": dumped(getattr, (np.ndarray, "__subclasses__")),
    "attribute_of_a_text": dumped(getattr, ("", "__class__")),
    "attribute_of_a_function": dumped(getattr, (pd.array, "__globals__")),
    "attribute_of_a_builtin": dumped(getattr, (getattr, "__self__")),
    "load_of_numpy": dumped(getattr, (Made(importlib.import_module, ("numpy",)), "load")),
    "dotted_attribute": dumped(getattr, (Made(importlib.import_module, ("numpy",)), "f2py.os")),
    "method_of_a_series": dumped(getattr, (Made(pd.Series, (pd.array([1]),)), "to_pickle")),
    "call_of_a_value": dumped(dict, ()),
    "call_of_a_result": b"\x80\x05" + named("numpy", "dtype") + text("i4") + b"\x85R)R.",
    "object_of_a_class": b"\x80\x05" + named("numpy", "ndarray") + b")\x81.",
    "object_with_keywords": b"\x80\x05" + named("pandas", "Series") + b")}\x92.",
    "state_of_a_function": b"\x80\x05"
    + named("pandas", "array")
    + b"}"
    + text("__wrapped__")
    + text("x")
    + b"sb.",
    "slots_of_a_function": b"\x80\x05"
    + named("pandas", "array")
    + b"N}"
    + text("__defaults__")
    + b")s\x86b.",
    "state_of_a_class": b"\x80\x05" + named("pandas", "Series") + b"}" + text("array") + b"Nsb.",
    "state_of_a_dtype": dumped(np.dtype, ("i4",), (3, "<", None, None, None, 1000, 1, 0)),
    "state_of_polars": pickle.dumps(pl.Series([1]), 5),
    "state_of_an_expression": pickle.dumps(pl.col("a").map_elements(os.mkdir), 5),
    "items_of_an_array": b"\x80\x05" + in_band(np.zeros(2))[2:-1] + b"K\x00K\x01s.",
    "items_of_a_frame": b"\x80\x05" + in_band(pd.DataFrame({"a": [1]}))[2:-1] + b"(K\x00K\x01u.",
    "items_of_a_series": b"\x80\x05" + in_band(pd.Series([1]))[2:-1] + b"K\x01a.",
    "items_of_a_tuple": b"\x80\x05)(K\x01\x90.",
    "partial_as_a_value": b"\x80\x05]"
    + named("functools", "partial")
    + named("pandas", "array")
    + b"\x85Ra.",
    "unchecked_codes": dumped(
        functools.partial(pd.Categorical.from_codes, validate=False), (np.array([9]), ["a"])
    ),
    "cloudpickle": pickle.dumps(types.SimpleNamespace, 5),
}


@pytest.mark.parametrize("name", NAMES_REFUSED)
def test_a_name_that_is_not_listed_is_refused(name: str, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(vineyard.PickleRefused, match="needs"):
        read(NAMES_REFUSED[name])
    assert not (tmp_path / FOLDER).exists()


def test_the_error_names_what_is_foreign(ipc_client, node) -> None:
    object_id = ipc_client.put({"a": [Made(os.mkdir, (FOLDER,))]})
    with pytest.raises(vineyard.PickleRefused, match=r"posix\.mkdir") as caught:
        vineyard.connect(node.socket, pickle="refuse").get(object_id)
    assert caught.value.name == "posix.mkdir"
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


ADDRESS = (1 << 20).to_bytes(8, "little")


def array_of(dtype: Any, *more: Any, buffer: Any = ADDRESS) -> bytes:
    return dumped(np.ndarray, ((1,), dtype, buffer, 0, None, "C"), *more)


def overlap() -> Any:
    """What `numpy.dtype` gets for a number whose bytes are named as an object."""
    return Made(np.dtype, (("i8", {"o": (np.dtype("O"), 0)}),))


LIES: dict[str, Callable[[], bytes]] = {
    "objects_over_bytes": lambda: array_of(np.dtype("O")),
    "fields_of_objects_over_bytes": lambda: array_of(Made(np.dtype, ("O,i4",)), buffer=bytes(16)),
    "named_bytes_of_objects": lambda: array_of(overlap()),
    "fields_by_dict": lambda: array_of(
        Made(np.dtype, ({"names": ["a"], "formats": [np.dtype("O")]},))
    ),
    "records_of_objects": lambda: array_of(Made(np.dtype, ((np.record, np.dtype("O")),))),
    "shaped_objects": lambda: array_of(Made(np.dtype, ((np.dtype("O"), (1,)),))),
    "scalar_of_objects": lambda: dumped(scalar_function(), (np.dtype("O"), ADDRESS)),
    "short_scalar": lambda: dumped(scalar_function(), (np.dtype("i8"), b"a")),
    "state_of_numbers": lambda: dumped(
        np.ndarray,
        ((1,), np.dtype("i8"), ADDRESS, 0, None, "C"),
        (1, (1,), np.dtype("O"), False, [1]),
    ),
    "beyond_the_bytes": lambda: dumped(
        np.ndarray, ((1000,), np.dtype("i8"), ADDRESS, 0, None, "C")
    ),
    "strides": lambda: dumped(np.ndarray, ((9,), np.dtype("i8"), ADDRESS, 0, (1 << 40,), "C")),
    "offset": lambda: dumped(np.ndarray, ((1,), np.dtype("i1"), ADDRESS, -8, None, "C")),
    "negative_shape": lambda: dumped(np.ndarray, ((-1,), np.dtype("i1"), ADDRESS, 0, None, "C")),
    "an_array_without_bytes": lambda: dumped(np.ndarray, ((1000,), np.dtype("i8"))),
    "many_objects": lambda: dumped(np.ndarray, ((1 << 40,), np.dtype("O"))),
    "many_times_many_objects": lambda: pickle.dumps(
        [Made(np.ndarray, ((1 << 22,), np.dtype("O"))) for _ in range(100)], 5
    ),
    "a_long_range": lambda: dumped(pd.array, (Made(pd.RangeIndex, (0, 1 << 40)),)),
    "a_long_range_of_python": lambda: dumped(pd.DatetimeIndex, (range(1 << 40),)),
    "a_number_for_each_row": lambda: dumped(
        pd.DataFrame, ({"a": 1}, Made(pd.RangeIndex, (0, 1 << 40)))
    ),
    "items_of_no_bytes": lambda: dumped(
        pd.Index, (Made(np.ndarray, ((1 << 40,), np.dtype("V0"), b"", 0, None, "C")),)
    ),
    "one_array_many_times": lambda: many_copies(),
    "rows_of_no_bytes": lambda: dumped(
        scipy.sparse.lil_matrix, (scipy.sparse.coo_matrix((1 << 40, 1)),)
    ),
    "a_zone_that_is_a_file": lambda: dumped(pd.DatetimeTZDtype, ("ns", "dateutil//etc/hosts")),
    "a_dtype_by_its_name": lambda: dumped(pd.array, ([1], "period[D]")),
    "codes_of_a_union": lambda: dumped(
        pa.sparse_union([]).__reduce__()[0], ([pa.field("a", pa.int8())], "sparse", [-100])
    ),
    "more_codes_than_fields": lambda: dumped(
        pa.sparse_union([]).__reduce__()[0], ([pa.field("a", pa.int8())], "sparse", [0, 1])
    ),
    "a_type_of_a_negative_size": lambda: dumped(pa.binary(1).__reduce__()[0], (-5,)),
    "fewer_items": lambda: dumped(
        np.ndarray, ((2,), np.dtype("O")), (1, (2,), np.dtype("O"), False, [1])
    ),
    "pointers_of_a_view": lambda: (
        dumped(getattr, (memoryview, "cast"))[:-1]
        + b"("
        + named("builtins", "memoryview")
        + b"C\x08"
        + ADDRESS
        + b"\x85R"
        + text("P")
        + b"tR."
    ),
    "codes_beyond_levels": lambda: dumped(
        functools.partial(pd.MultiIndex, verify_integrity=False),
        ([pd.Index([1])], [np.array([7], "i1")]),
    ),
    "codes_beyond_categories": lambda: in_band_of(
        pd.Categorical.from_codes, np.array([9]), pd.Index(["a"])
    ),
    "places_beyond_a_sparse_array": lambda: in_band(pd.arrays.SparseArray([0, 1])).replace(
        b"K\x02", b"K\x01", 1
    ),
    "indices_beyond_a_matrix": lambda: in_band_of(
        scipy.sparse.csr_matrix,
        (np.ones(1), np.array([1 << 20], "i4"), np.array([0, 1], "i4")),
        (1, 2),
    ),
    "coordinates_beyond_a_matrix": lambda: in_band_of(
        scipy.sparse.coo_matrix, (np.ones(1), (np.array([9]), np.array([0]))), (1, 2)
    ),
    "offsets_beyond_a_text": lambda: arrow_of(
        pa.large_string(), 1, [None, np.array([0, 1 << 40]), b"abc"]
    ),
    "no_buffers": lambda: arrow_of(pa.int64(), 5, []),
    "short_buffer": lambda: arrow_of(pa.int64(), 5000, [None, b"abc"]),
    "negative_length": lambda: arrow_of(pa.int64(), -1, [None, b"abc"]),
    "no_children": lambda: arrow_of(pa.struct([("a", pa.int64())]), 5, [None]),
    "children_of_another_type": lambda: arrow_of(
        pa.list_(pa.string()),
        1,
        [None, np.array([0, 1], "i4")],
        [(pa.int8(), 1, 0, 0, [None, pa.py_buffer(b"a")], [], None)],
    ),
    "one_buffer_of_a_dictionary": lambda: arrow_of(
        pa.dictionary(pa.int8(), pa.int8()),
        3,
        [None],
        [],
        (pa.int8(), 0, 0, 0, [None, pa.py_buffer(b"")], [], None),
    ),
    "no_items_behind_a_short_child": lambda: in_band_of(
        pa.array([1]).__reduce__()[0],
        (
            pa.struct([("a", pa.int8())]),
            *(0, 0, 234, [None]),
            [(pa.int8(), 1, 0, 0, [None, pa.py_buffer(b"a")], [], None)],
            None,
        ),
    ),
    "keys_beyond_a_dictionary": lambda: arrow_of(
        pa.dictionary(pa.int8(), pa.int8()),
        1,
        [None, b"\x07"],
        [],
        (pa.int8(), 1, 0, 0, [None, pa.py_buffer(b"a")], [], None),
    ),
    "truncated": lambda: pickle.dumps([1, "abc"], 5)[:-4],
    "nothing": lambda: b"",
    "a_stack_that_is_empty": lambda: b"\x80\x050000.",
    "a_mark_that_is_not_there": lambda: b"\x80\x05t.",
    "a_memo_that_is_not_there": lambda: b"\x80\x05j\xff\xff\xff\xff.",
    "bytes_that_are_not_there": lambda: b"\x80\x05\x8e" + struct.pack("<Q", 1 << 62) + b"a.",
    "a_buffer_that_is_not_there": lambda: b"\x80\x05\x97.",
    "an_odd_dict": lambda: b"\x80\x05}(K\x01u.",
}


def many_copies() -> bytes:
    """One array, given thousands of times to a function that copies it."""
    array = np.zeros(1 << 16)
    values = [array]
    values += [Made(pd.array, (array, None, True)) for _ in range(20_000)]
    return in_band(values)


def scalar_function() -> Any:
    return np.float32(1).__reduce__()[0]


def in_band_of(function: Any, *arguments: Any) -> bytes:
    return in_band(Made(function, arguments))


def arrow_of(
    kind: Any, length: int, buffers: list[Any], children: Any = (), dictionary: Any = None
) -> bytes:
    restore = pa.array([1]).__reduce__()[0]
    held = [None if one is None else pa.py_buffer(one) for one in buffers]
    return in_band(Made(restore, ((kind, length, 0, 0, held, list(children), dictionary),)))


@pytest.mark.parametrize("name", LIES)
def test_a_lie_about_bytes_is_an_error(name: str) -> None:
    refusals = (vineyard.PickleRefused, ValueError, TypeError, pa.ArrowException)
    with pytest.raises(refusals):
        read(LIES[name]())


MUTATIONS = int(os.environ.get("VINEYARD_EXAMPLES", "200")) * 10


@pytest.mark.parametrize("seed", range(3))
def test_a_pickle_with_other_bytes_is_read_or_is_an_error(seed: int) -> None:
    """Neither ends the process; what is read can be printed, if its text is text."""
    chance = random.Random(seed)
    spliced = [_splice.dumps([make()]) for make in VALUES.values()]
    for _ in range(MUTATIONS):
        one = chance.choice(spliced)
        changed = bytearray(one.pieces.joined())
        for _ in range(chance.choice([1, 1, 1, 2, 3])):
            changed[chance.randrange(len(changed))] = chance.randrange(256)
        try:
            repr(_splice.read(changed, one.spans, REFUSING))
        except Exception as error:
            assert not isinstance(error, MemoryError | RecursionError), bytes(changed)


def test_an_extension_of_another_process_is_not_used(monkeypatch) -> None:
    import copyreg

    copyreg.add_extension("os", "mkdir", 77)
    try:
        stream = pickle.dumps(os.mkdir, 5)
        pickle.loads(b"\x80\x05\x82\x4d.")
        with pytest.raises(vineyard.PickleRefused):
            read(b"\x80\x05\x82\x4d" + text(FOLDER) + b"\x85R.")
        assert stream
    finally:
        copyreg.remove_extension("os", "mkdir", 77)
        copyreg.clear_extension_cache()


def test_only_the_functions_of_the_folder_are_called() -> None:
    """Every name is looked up in one place, which imports only what is listed."""
    called = {entry.function for entry in names._LISTED.values() if entry.function}
    for place in called | set(names._STATES.values()):
        assert callable(names._load(place))
    assert not {name for name in names.listed() if name.startswith("builtins.")} & {
        f"builtins.{name}" for name in ("eval", "exec", "open", "__import__", "setattr", "type")
    }
    assert hasattr(builtins, "eval")
