"""What cannot be pickled is refused at the put, by an error that says where in the value it is."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pandas as pd
import pytest


class Holder:
    """Has one attribute."""

    def __init__(self, held: Any) -> None:
        self.held = held


def bad() -> Any:
    return (number for number in ())


PATHS = {
    "['a'][3]": lambda: {"a": [1, 2, 3, bad()]},
    "[1]['x'][0]": lambda: [0, {"x": (bad(),)}],
    "[2]": lambda: (1, 2, threading.Lock()),
    "['o'].held['deep']": lambda: {"o": Holder({"deep": bad()})},
    "['n'][1, 0]": lambda: {"n": np.array([[1, 2], [bad(), 3]], object)},
    "['f']['b'].iloc[1]": lambda: {"f": pd.DataFrame({"a": [1, 2], "b": [1, bad()]})},
    "['c'].iloc[0]": lambda: pd.DataFrame({"c": [bad()]}),
    ".iloc[0]": lambda: pd.Series([bad()]),
    "[5000]": lambda: [*range(5000), bad()],
    "[20000]": lambda: [*range(20000), bad()],
    ".attrs['k']": lambda: with_attrs({"k": bad()}),
}


def with_attrs(attrs: dict[str, Any]) -> pd.DataFrame:
    frame = pd.DataFrame({"a": [1]})
    frame.attrs = attrs
    return frame


@pytest.mark.parametrize("path", PATHS)
def test_the_error_says_where(ipc_client, path: str) -> None:
    before = ipc_client.status.memory_usage
    with pytest.raises(TypeError, match="cannot pickle") as caught:
        ipc_client.put(PATHS[path]())
    assert str(caught.value).endswith(f", at value{path}")
    assert ipc_client.status.memory_usage == before


def test_a_value_that_cannot_be_pickled_itself_says_so(ipc_client) -> None:
    with pytest.raises(TypeError, match=r"cannot pickle 'generator' object$"):
        ipc_client.put(bad())


def test_a_long_key_is_cut(ipc_client) -> None:
    with pytest.raises(TypeError) as caught:
        ipc_client.put({"k" * 10_000: bad()})
    assert len(str(caught.value)) < 200


def test_a_value_that_contains_itself_is_walked_once(ipc_client) -> None:
    value: list[Any] = [1]
    value += [{"up": value}, bad()]
    with pytest.raises(TypeError, match="cannot pickle"):
        ipc_client.put(value)
