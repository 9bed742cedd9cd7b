"""What a client that refuses pickles reads of them: listed names, and nothing that they can be made
to do beside what they are listed for.
"""

from __future__ import annotations

import base64
import builtins
import decimal
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
from pickle_by_hand import Call, Keywords, Name, Opcodes, WithState, by_hand, opcodes
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
    got = _splice.read(spliced.payload, spliced.spans, REFUSING)
    assert_same_inside(value, got["in"][0])
    assert_same_inside(value, pickle.loads(spliced.payload)["in"][0])


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


# By hand, opcode by opcode: what no library can be made to pickle.

GOES_BACK = np.array([0, 10**7, 0], "i4")


def matrix_of(kind: str, *parts: Any) -> Call:
    return Call(f"scipy.sparse:{kind}_matrix", parts, (2, 2))


def sparse_of(kind: str, *places: list[int]) -> Any:
    """A sparse array of one value, in a length of 10."""
    parts = [np.array(part, "i4") for part in places]
    state = {
        "_sparse_index": Call(f"pandas._libs.sparse:{kind}", 10, *parts),
        "_sparse_values": np.ones(1),
        "_dtype": Call("pandas:SparseDtype", Call("numpy:dtype", "f8"), 0.0),
    }
    return WithState(Opcodes(opcodes(Name("pandas.arrays:SparseArray")) + b")\x81"), state)


def pairs(levels: int) -> bytes:
    """Tuples of twice the same tuple, down to None."""
    return b"NN\x86\x94" + b"".join(b"0h%ch%c\x86\x94" % (at, at) for at in range(levels))


def lists(levels: int, width: int) -> bytes:
    """Lists of a few times the same list, down to None."""
    inside = (b"(h%c" % at + b"h%c" % at * (width - 1) + b"e" for at in range(levels))
    return b"](" + b"N" * width + b"e\x94" + b"".join(b"0]" + one + b"\x94" for one in inside)


def repeated(value: Any, name: str, *arguments: Any) -> Any:
    """Many calls with the same value, which is the last in the memo."""
    more = b"".join(map(opcodes, arguments))
    call = opcodes(Name(name)) + b"(h\0" + more + b"tR"
    return Opcodes(opcodes(value) + b"\x940(" + call * 200 + b"t")


EMPTY = Call("numpy:ndarray", (1,), Call("numpy:dtype", "O"))


def state_of(item: bytes) -> bytes:
    """The opcodes that give an array of one object this item, of which these are the opcodes."""
    dtype = opcodes(Call("numpy:dtype", "O"))
    return b"(K\x01K\x01\x85" + dtype + b"\x89](" + item + b"etb"


def memoized(number: int) -> bytes:
    """LONG_BINGET."""
    return b"j" + number.to_bytes(4, "little")


def nested_arrays(levels: int, copied: bool = False) -> bytes:
    """Arrays of objects, each in the next, from the inside; or the copy of each."""
    copy = opcodes(Name("numpy.ndarray:copy")) if copied else b""
    parts = [opcodes(EMPTY), b"\x940"]
    for number in range(levels):
        inner = memoized(number)
        inner = copy + inner + b"\x85R" if copied else inner
        parts += [opcodes(EMPTY), state_of(inner), b"\x940"]
    return b"".join([*parts, memoized(levels)])


def filled_late() -> Opcodes:
    """An array that is filled after it was put into another."""
    outer = opcodes(EMPTY) + state_of(opcodes(EMPTY) + b"\x94")
    return Opcodes(outer + memoized(0) + state_of(b"N") + b"0")


def test_arrays_of_a_few_levels_are_read() -> None:
    for copied in (False, True):
        got = read(by_hand(Opcodes(nested_arrays(50, copied))))
        for _ in range(50):
            got = got[0]
        assert got.tolist() == [None]


INT8 = Call("pyarrow.lib:type_for_alias", "int8")
PLACES = (np.array([0], "i4"), np.array([8], "i4"))
RANGES = [Call("pandas:RangeIndex", 0, 10**4, 1), Call("pandas:RangeIndex", 0, 2 * 10**4, 1)]

HAND_MADE: dict[str, Callable[[], Any]] = {
    "rows_of_csr_that_go_back": lambda: matrix_of("csr", np.zeros(0), np.zeros(0, "i4"), GOES_BACK),
    "rows_of_csc_that_go_back": lambda: matrix_of("csc", np.zeros(0), np.zeros(0, "i4"), GOES_BACK),
    "rows_of_bsr_that_go_back": lambda: matrix_of(
        "bsr", np.zeros((0, 1, 1)), np.zeros(0, "i4"), GOES_BACK
    ),
    "diagonals_that_overflow": lambda: matrix_of(
        "dia", np.ones((1, 2)), np.array([2**31 - 1], "i4")
    ),
    "a_matrix_of_two_numbers": lambda: Call(
        "scipy.sparse:csr_matrix", (np.array(2 * 10**8), np.array(1)), (2 * 10**8, 1)
    ),
    "a_matrix_of_diagonals_of_another": lambda: Call(
        "scipy.sparse:dia_matrix", Call("scipy.sparse:coo_matrix", (np.ones(1), PLACES), (9, 9))
    ),
    "blocks_of_a_negative_length": lambda: sparse_of("BlockIndex", [0, 5], [5, -4]),
    "blocks_that_overflow": lambda: sparse_of("BlockIndex", [0, 5], [2**31 - 1, 1]),
    "blocks_over_each_other": lambda: sparse_of("BlockIndex", [0, 2], [3, 1]),
    "a_block_before_the_first": lambda: sparse_of("BlockIndex", [-1], [1]),
    "a_block_without_length": lambda: sparse_of("BlockIndex", [0], []),
    "a_place_twice": lambda: sparse_of("IntIndex", [3, 3]),
    "arrays_of_many_levels": lambda: Opcodes(nested_arrays(300_000)),
    "copies_of_many_levels": lambda: Opcodes(nested_arrays(3_000, copied=True)),
    "an_array_filled_inside_another": lambda: filled_late(),
    "a_key_of_many_levels": lambda: Opcodes(b"})" + b"\x85" * 10**6 + b"Ns"),
    "a_set_item_of_many_levels": lambda: Opcodes(b"\x8f()" + b"\x85" * 10**6 + b"\x90"),
    "a_frozen_item_of_many_levels": lambda: Opcodes(b"()" + b"\x85" * 10**6 + b"\x91"),
    "keys_of_many_levels": lambda: Opcodes(b"}()" + b"\x85" * 10**6 + b"Nu"),
    "a_key_of_pairs_of_pairs": lambda: {Opcodes(pairs(60)): None},
    "a_name_of_pairs_of_pairs": lambda: Keywords(
        "pandas:Series", Call("pandas:array", np.ones(1)), name=Opcodes(pairs(60))
    ),
    "an_argument_of_lists_of_lists": lambda: Call("pandas:Index", Opcodes(lists(10, 12))),
    "an_argument_in_itself": lambda: Call("pandas:Index", Opcodes(b"]\x94h\0a")),
    "a_conversion_of_lists": lambda: Call("numpy:asanyarray", [[1]], Name("builtins:object")),
    "a_conversion_to_long_items": lambda: Call(
        "numpy:asanyarray", np.zeros(100), Call("numpy:dtype", "S100000000")
    ),
    "a_number_for_each_cell": lambda: Call("pandas:DataFrame", 5, *RANGES),
    "a_number_for_each_column": lambda: Call(
        "pandas:DataFrame", dict.fromkeys(range(40), 1.5), Call("pandas:RangeIndex", 0, 10**7, 1)
    ),
    "a_number_for_each_label": lambda: Call("pandas:Series", 1.5, RANGES[0]),
    "a_range_in_a_list": lambda: Call("pandas:Index", [[[[Call("builtins:range", 0, 10**8, 1)]]]]),
    "a_long_keyword": lambda: Keywords(
        "numpy.ma:MaskedArray", np.zeros(1), mask=Call("builtins:range", 0, 10**9, 1)
    ),
    "many_copies_of_bytes": lambda: repeated(np.zeros(10**7), "numpy:ndarray.copy"),
    "many_copies_of_text": lambda: repeated(b"a" * 10**7, "builtins:str", "utf-8", "surrogatepass"),
    "a_long_whole_number": lambda: Keywords(
        "pandas:Index",
        [Call("decimal:Decimal", "1e99999999")],
        dtype=Call("numpy:dtype", "i8"),
    ),
    "a_subtype_that_names_a_file": lambda: Call(
        "pandas:IntervalDtype", "datetime64[ns, dateutil//etc/localtime]", "right"
    ),
    "a_zone_of_arrow_that_names_a_file": lambda: Call(
        "pyarrow.lib:timestamp", "ns", "dateutil//etc/localtime"
    ),
    "a_tensor_beyond_32_bits": lambda: Call(
        "pyarrow.lib:fixed_shape_tensor", INT8, [1 << 16, 1 << 16]
    ),
    "a_tensor_of_negative_sizes": lambda: Call("pyarrow.lib:fixed_shape_tensor", INT8, [-4, -1]),
    "a_type_of_many_levels": lambda: Opcodes(
        opcodes(Name("pyarrow.lib:list_")) * 400 + opcodes(INT8) + b"\x85R" * 400
    ),
    "a_function": lambda: Name("builtins:getattr"),
    "a_module": lambda: Call("importlib:import_module", "numpy"),
    "a_function_in_a_tuple": lambda: [((Name("builtins:getattr"),),)],
    "a_partial_in_a_tuple": lambda: ((Call("functools:partial", Name("builtins:getattr")),),),
    "codes_of_other_lengths": lambda: Keywords(
        "pandas:MultiIndex",
        [Call("pandas:Index", np.arange(3))] * 2,
        [np.zeros(9, "i8"), np.zeros(2, "i8")],
        verify_integrity=False,
    ),
    "a_value_of_another_kind": lambda: Call("builtins:range"),
    "an_unhashable_key": lambda: Opcodes(b"}]Ns"),
    "a_place_beyond": lambda: sparse_of("IntIndex", [10]),
}


@pytest.mark.parametrize("name", HAND_MADE)
def test_a_lie_made_by_hand_is_an_error(name: str) -> None:
    with pytest.raises((vineyard.PickleRefused, ValueError)) as caught:
        read(by_hand(HAND_MADE[name]()))
    assert "arguments and" not in str(caught.value), "refused for what the test does not mean"


LONG: dict[str, Callable[[], Any]] = {
    "scale": lambda: pa.array([decimal.Decimal("100")], pa.decimal128(5, -2)),
    "height": lambda: pl.DataFrame(height=3),
    "rows": lambda: pd.DataFrame(index=pd.RangeIndex(10**8)),
    "texts": lambda: pd.Series(["a", "b"] * 1000, dtype="string[pyarrow]"),
}


@pytest.mark.parametrize("name", LONG)
def test_what_a_put_makes_of_few_bytes_is_read(name: str) -> None:
    try:
        value = LONG[name]()
    except TypeError:
        pytest.skip("this version of the library has no such value")
    spliced = _splice.dumps({"in": [value]})
    got = _splice.read(spliced.payload, spliced.spans, REFUSING)["in"][0]
    assert type(got) is type(value)
    if name != "scale":
        assert got.shape == value.shape
    else:
        assert got.equals(value)


MUTATIONS = int(os.environ.get("VINEYARD_EXAMPLES", "200")) * 10


@pytest.mark.parametrize("seed", range(3))
def test_a_pickle_with_other_bytes_is_read_or_is_an_error(seed: int) -> None:
    """Neither ends the process; what is read can be printed, if its text is text."""
    chance = random.Random(seed)
    spliced = [_splice.dumps([make()]) for make in VALUES.values()]
    for _ in range(MUTATIONS):
        one = chance.choice(spliced)
        changed = bytearray(one.payload)
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
