"""Row 20 of the field cases: pandas 2 and 3, and numpy 1 and 2, read what the others wrote, also
inside other values, and also where pickles are refused.

The pickles are recorded in `crossed_oldest.json` and `crossed_newest.json` by `crossed_values.py`.
"""

from __future__ import annotations

import base64
import json
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import vineyard
from crossed_values import VALUES, recorded
from data_plain import plain
from vineyard.data import _splice

HERE = Path(__file__).parent
WRITERS = ("oldest", "newest")


def source(setting: str) -> Any:
    refusal = lambda name="": vineyard.PickleRefused(name=name)  # noqa: E731
    return types.SimpleNamespace(pickle=setting, refusal=refusal)


def stored(writer: str) -> dict[str, Any]:
    return json.loads((HERE / f"crossed_{writer}.json").read_text())


def said(value: Any) -> str:
    """The content of a value; of a masked array with what is masked."""
    return repr(value) if isinstance(value, np.ma.MaskedArray) else plain(value)


@pytest.mark.parametrize("setting", ["allow", "refuse"])
@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("name", VALUES)
def test_row_20_what_other_libraries_wrote_is_read(name: str, writer: str, setting: str) -> None:
    payload, spans = stored(writer)[name]
    got = _splice.read(memoryview(base64.b64decode(payload)), spans, source(setting))["in"]
    value = VALUES[name]()
    assert said(got) == said(value)
    assert type(got) is type(value)
    if name == "frame":
        assert [str(dtype) for dtype in got.dtypes] == [str(dtype) for dtype in value.dtypes]
        assert got.attrs["unit"].tolist() == [0, 1]


@pytest.mark.parametrize("writer", WRITERS)
def test_every_value_is_recorded(writer: str) -> None:
    assert stored(writer).keys() == VALUES.keys() == recorded().keys()
