"""Pickles that no library can be made to write, made by hand opcode by opcode: a client that
refuses pickles reads them without harm, or ends with an error.
"""

from __future__ import annotations

import decimal
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import vineyard
from pickle_by_hand import Call, Keywords, Name, Opcodes, WithState, by_hand, opcodes
from test_restoring import REFUSING, read
from vineyard.data import _splice

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
    "arrays_of_many_levels": lambda: Opcodes(nested_arrays(30_000)),
    "copies_of_many_levels": lambda: Opcodes(nested_arrays(3_000, copied=True)),
    "an_array_filled_inside_another": lambda: filled_late(),
    "a_key_of_many_levels": lambda: Opcodes(b"})" + b"\x85" * 10**5 + b"Ns"),
    "a_set_item_of_many_levels": lambda: Opcodes(b"\x8f()" + b"\x85" * 10**5 + b"\x90"),
    "a_frozen_item_of_many_levels": lambda: Opcodes(b"()" + b"\x85" * 10**5 + b"\x91"),
    "keys_of_many_levels": lambda: Opcodes(b"}()" + b"\x85" * 10**5 + b"Nu"),
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
    "many_copies_of_bytes": lambda: repeated(np.zeros(10**6), "numpy:ndarray.copy"),
    "many_copies_of_text": lambda: repeated(b"a" * 10**6, "builtins:str", "utf-8", "surrogatepass"),
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
    got = _splice.read(spliced.pieces.joined(), spliced.spans, REFUSING)["in"][0]
    assert type(got) is type(value)
    if name != "scale":
        assert got.shape == value.shape
    else:
        assert got.equals(value)
