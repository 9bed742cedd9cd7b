"""Writing to a got frame or series: pandas copies the column, and the stored bytes stay."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
import vineyard
from data_equal import assert_same
from vineyard.data import _copy_on_write

IS_PANDAS_2 = pd.__version__.startswith("2.")


@pytest.fixture(autouse=True)
def copy_on_write(request: pytest.FixtureRequest) -> Iterator[None]:
    """pandas 2 copies on write only if it is told to."""
    if not IS_PANDAS_2 or "plain_pandas_2" in request.fixturenames:
        yield
        return
    with pd.option_context("mode.copy_on_write", True):
        yield


@pytest.fixture
def plain_pandas_2() -> None:
    if not IS_PANDAS_2:
        pytest.skip("pandas 3 always copies on write")


def frame() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "float": [1.0, 2.0, np.nan],
            "int": [1, 2, 3],
            "bool": [True, False, True],
            "time": pd.date_range("2020", periods=3),
            "span": pd.timedelta_range("1s", periods=3),
            "zone": pd.date_range("2020", periods=3, tz="UTC"),
            "Int64": pd.array([1, None, 3], "Int64"),
            "boolean": pd.array([True, None, False], "boolean"),
            "Float64": pd.array([1, None, 3], "Float64"),
            "string": pd.array(["a", None, "c"], "string"),
            "string_python": pd.array(["a", None, "c"], "string[python]"),
            "object": np.array(["x", None, 3], object),
            "text": ["p", "q", "r"],
            "category": pd.Categorical(["x", "y", None]),
            "period": pd.period_range("2020", periods=3, freq="M"),
            "interval": pd.interval_range(0, 3),
            "arrow": pd.array([1, None, 3], dtype="int64[pyarrow]"),
        }
    )


NEW: dict[str, Any] = {
    "float": 9.0,
    "int": 9,
    "bool": False,
    "time": pd.Timestamp("2021"),
    "span": pd.Timedelta("5s"),
    "zone": pd.Timestamp("2021", tz="UTC"),
    "Int64": 5,
    "boolean": False,
    "Float64": 2.5,
    "string": "new",
    "string_python": "new",
    "object": "new",
    "text": "new",
    "category": "y",
    "period": pd.Period("2021-01", "M"),
    "interval": pd.Interval(1, 2),
    "arrow": 7,
}

# What people do in place: with a frame, the label of a column, and a value for it.
WRITES: dict[str, Callable[[pd.DataFrame, str, Any], Any]] = {
    "loc": lambda f, key, new: f.loc.__setitem__((0, key), new),
    "iloc": lambda f, key, new: f.iloc.__setitem__((0, f.columns.get_loc(key)), new),
    "at": lambda f, key, new: f.at.__setitem__((0, key), new),
    "iat": lambda f, key, new: f.iat.__setitem__((0, f.columns.get_loc(key)), new),
    "loc with a mask": lambda f, key, new: f.loc.__setitem__(([True, False, False], key), new),
    "loc with a slice": lambda f, key, new: f.loc.__setitem__((slice(0, 1), key), new),
    "loc of a row": lambda f, key, new: f.loc.__setitem__(0, f.loc[1]),
    "loc of a new row": lambda f, key, new: f.loc.__setitem__(7, f.loc[1]),
    "setitem": lambda f, key, new: f.__setitem__(key, [new] * 3),
    "setitem of a new column": lambda f, key, new: f.__setitem__("new", new),
    "setitem with a mask": lambda f, key, new: f[[key]].__setitem__(f["int"] > 1, new),
    "insert": lambda f, key, new: f.insert(0, "new", 1),
    "pop": lambda f, key, new: f.pop(key).iloc.__setitem__(0, new),
    "update": lambda f, key, new: f.update(pd.DataFrame({key: like(f[key], new)})),
    "fillna": lambda f, key, new: f.fillna({key: new}, inplace=True),
    "sort_values": lambda f, key, new: f.sort_values(key, inplace=True),
    "drop": lambda f, key, new: f.drop(columns=key, inplace=True),
    "eval": lambda f, key, new: f.eval("int = int + 1", inplace=True),
    "a renamed frame": lambda f, key, new: f.rename(columns={"x": "y"}).loc.__setitem__(
        (0, key), new
    ),
    "a frame of some columns": lambda f, key, new: f[[key, "int"]].iloc.__setitem__((0, 0), new),
    "a frame of some rows": lambda f, key, new: f[1:].iloc.__setitem__(
        (0, f.columns.get_loc(key)), new
    ),
    "transposed": lambda f, key, new: f[[key]].T.iloc.__setitem__((0, 0), new),
    "reset_index": lambda f, key, new: f.reset_index().loc.__setitem__((0, "index"), 9),
    "series loc": lambda f, key, new: f[key].loc.__setitem__(0, new),
    "series iloc": lambda f, key, new: f[key].iloc.__setitem__(0, new),
    "series at": lambda f, key, new: f[key].at.__setitem__(0, new),
    "series iat": lambda f, key, new: f[key].iat.__setitem__(0, new),
    "series setitem": lambda f, key, new: f[key].__setitem__(0, new),
    "series update": lambda f, key, new: f[key].update(like(f[key], new)),
    "series fillna": lambda f, key, new: f[key].fillna(new, inplace=True),
    "series ffill": lambda f, key, new: f[key].ffill(inplace=True),
    "series bfill": lambda f, key, new: f[key].bfill(inplace=True),
    "series interpolate": lambda f, key, new: f[key].interpolate(inplace=True),
    "series replace": lambda f, key, new: f[key].replace(f[key].iloc[0], new, inplace=True),
    "series mask": lambda f, key, new: f[key].mask([True, False, False], new, inplace=True),
    "series where": lambda f, key, new: f[key].where([False, True, True], new, inplace=True),
    "series clip": lambda f, key, new: f[key].clip(upper=new, inplace=True),
    "series sort_values": lambda f, key, new: f[key].sort_values(inplace=True),
    "series drop": lambda f, key, new: f[key].drop(1, inplace=True),
    "series +=": lambda f, key, new: f.__setitem__(key, f[key].__iadd__(f[key])),
    "series of a slice": lambda f, key, new: f[key][1:].iloc.__setitem__(0, new),
}


def like(column: Any, new: Any) -> Any:
    return pd.Series([new], dtype=column.dtype)


def outcome(write: Callable[..., Any], value: pd.DataFrame, key: str) -> tuple[Any, ...]:
    """What a write does: the frame afterwards, or the error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            write(value, key, NEW[key])
        except Exception as error:
            return type(error), str(error)
        return str(value.dtypes.to_dict()), repr(value.to_dict())


@pytest.mark.parametrize("name", WRITES)
def test_row_7_a_write_does_what_it_does_to_any_frame(ipc_client, name: str) -> None:
    object_id = ipc_client.put(frame())
    for key in NEW:
        got = ipc_client.get(object_id)
        assert outcome(WRITES[name], got, key) == outcome(WRITES[name], frame(), key), key
    assert_same(frame(), ipc_client.get(object_id))


@pytest.mark.parametrize("key", NEW)
def test_a_got_series_is_written(client, key: str) -> None:
    object_id = client.put(frame()[key])
    got = client.get(object_id)
    got.iloc[0] = NEW[key]
    assert got.iloc[0] == NEW[key]
    assert_same(frame()[key], client.get(object_id))


@pytest.mark.parametrize("key", NEW)
def test_what_outlives_the_frame_is_written(ipc_client, key: str) -> None:
    object_id = ipc_client.put(frame())
    column = ipc_client.get(object_id)[key]
    renamed = ipc_client.get(object_id).rename(columns=str.upper)
    gc.collect()
    column.iloc[0] = NEW[key]
    renamed.loc[0, key.upper()] = NEW[key]
    assert column.iloc[0] == renamed[key.upper()].iloc[0] == NEW[key]
    assert_same(frame(), ipc_client.get(object_id))


NESTED: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "list": (lambda value: [value], lambda got: got[0]),
    "dict": (lambda value: {"a": {"b": value}}, lambda got: got["a"]["b"]),
    "set of a tuple": (lambda value: ({1, 2}, {"x": (value,)}), lambda got: got[1]["x"][0]),
    "attribute": (lambda value: Holder(value), lambda got: got.value),
}


class Frame(pd.DataFrame):
    @property
    def _constructor(self) -> type:
        return Frame


class Holder:
    def __init__(self, value: Any) -> None:
        self.value = value


INSIDE = [(name, kind, "allow") for name in NESTED for kind in ("frame", "series", "subclass")]
# A client that refuses pickles makes no objects of foreign classes.
INSIDE += [
    (name, kind, "refuse") for name in NESTED for kind in ("frame", "series") if name != "attribute"
]


@pytest.mark.parametrize(("name", "kind", "pickles"), INSIDE)
def test_a_frame_inside_another_value_is_written(node, name: str, kind: str, pickles: str) -> None:
    wrap, find = NESTED[name]
    large = pd.DataFrame({"float": np.zeros(5000), "time": pd.date_range("2020", periods=5000)})
    value = {"frame": large, "series": large["time"], "subclass": Frame(large)}[kind]
    with vineyard.connect(node.socket, pickle=pickles) as client:
        object_id = client.put(wrap(value))
        for key in ["time"] if kind == "series" else large:
            got = find(client.get(object_id))
            assert type(got) is type(value)
            column = got if kind == "series" else got[key]
            column.iloc[0] = NEW[key]
            assert column.iloc[0] == NEW[key]
            if kind != "series":
                got.loc[1, key] = NEW[key]
                assert got[key].iloc[1] == NEW[key]
        again = find(client.get(object_id))
        assert (again if kind == "series" else again["time"]).iloc[0] == large["time"].iloc[0]


def test_a_wide_frame_is_written(client) -> None:
    wide = pd.DataFrame(np.zeros((3, 1_001)))
    object_id = client.put(wide)
    got = client.get(object_id)
    got.loc[1, 1_000] = 5.0
    assert got.to_numpy().sum() == 5
    assert_same(wide, client.get(object_id))


def test_a_column_is_copied_once(ipc_client) -> None:
    got = ipc_client.get(ipc_client.put(frame()))
    other = got._mgr.blocks[1].values
    got.loc[0, "float"] = 5.0
    copied = got._get_column_array(0)
    got.loc[1, "float"] = 6.0
    assert got["float"].tolist()[:2] == [5, 6]
    assert np.shares_memory(copied, got._get_column_array(0)), "the copy is written in place"
    assert np.shares_memory(other, got._get_column_array(1)), "other columns stay views"


def test_this_pandas_has_references_between_blocks() -> None:
    assert _copy_on_write._REFERENCE is not None


def test_without_references_a_frame_that_lives_is_written(ipc_client, monkeypatch) -> None:
    monkeypatch.setattr(_copy_on_write, "_REFERENCE", None)
    object_id = ipc_client.put(frame())
    got = ipc_client.get(object_id)
    got.loc[0, "float"] = 5.0
    assert got["float"].iloc[0] == 5
    assert_same(frame(), ipc_client.get(object_id))


# What pandas 2 does with a write to a column, where it does not copy on write.
WRITTEN = {"string", "string_python", "object", "text", "arrow"}
SAYS_READ_ONLY = {"float", "int", "bool", "Int64", "boolean", "Float64", "category"}
SAYS_GONE_WRONG = {"time", "span", "zone", "period", "interval"}


def read_only_error(write: Callable[[], Any]) -> type[BaseException]:
    """The type of the error that a write raises, which says, or is raised in place of one that
    says, that the memory is read-only.
    """
    with pytest.raises((ValueError, AssertionError)) as caught:
        write()
    error = caught.value
    said = error if isinstance(error, ValueError) else error.__context__
    assert str(said) == "assignment destination is read-only"
    return type(error)


def test_pandas_2_refuses_to_write_as_the_documentation_says(ipc_client, plain_pandas_2) -> None:
    assert set(NEW) == WRITTEN | SAYS_READ_ONLY | SAYS_GONE_WRONG
    places = {
        "narrow": (frame(), lambda got: got),
        "nested": ({"in": [frame()]}, lambda got: got["in"][0]),
    }
    for value, find in places.values():
        object_id = ipc_client.put(value)
        for key, new in NEW.items():
            got = find(ipc_client.get(object_id))
            if key in WRITTEN:
                got.loc[0, key] = new
                assert got[key].iloc[0] == new
                continue
            kind = read_only_error(
                lambda got=got, key=key, new=new: got.loc.__setitem__((0, key), new)
            )
            assert kind is (ValueError if key in SAYS_READ_ONLY else AssertionError), key
        assert_same(frame(), find(ipc_client.get(object_id)))


@pytest.mark.parametrize("dtype", ["f8", "M8[ns]", "m8[ns]"])
def test_pandas_2_refuses_to_write_to_a_wide_frame(ipc_client, plain_pandas_2, dtype: str) -> None:
    wide = pd.DataFrame(np.zeros((2, 1_001), dtype))
    object_id = ipc_client.put(wide)
    got = ipc_client.get(object_id)
    kind = read_only_error(lambda: got.iloc.__setitem__((0, 0), got.iloc[0, 1]))
    assert kind is (ValueError if dtype == "f8" else AssertionError)
    assert_same(wide, ipc_client.get(object_id))
