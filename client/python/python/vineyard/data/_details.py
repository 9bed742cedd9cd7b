"""What frames and series have beside their values and labels: attributes and flags; columns by
place.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pandas

from vineyard.data._draft import Tree
from vineyard.data._reader import Reader
from vineyard.data.utils import from_text, to_text


def put_details(tree: Tree, value: Any) -> None:
    """Writes the attributes and flags of a frame or series into its tree, where they are not the
    usual ones.
    """
    if value.attrs:
        tree["attrs_exact_"] = to_text(value.attrs)
    if not value.flags.allows_duplicate_labels:
        tree["flags_"] = json.dumps({"allows_duplicate_labels": False})


def get_details(reader: Reader, tree: Tree, value: Any) -> None:
    """Gives a frame or series the attributes and flags that :func:`put_details` wrote."""
    if "attrs_exact_" in tree:
        value.attrs = from_text(reader, tree["attrs_exact_"])
    if "flags_" in tree:
        flags = json.loads(tree["flags_"])
        value.flags.allows_duplicate_labels = flags["allows_duplicate_labels"]


def columns_of(frame: pandas.DataFrame) -> Iterator[pandas.Series]:
    """The columns by place: labels may be equal, or unequal to themselves."""
    # The stubs take `flags` for a column.
    numbered: Any = frame.copy(deep=False)
    numbered.flags.allows_duplicate_labels = True
    numbered.columns = pandas.RangeIndex(frame.shape[1])
    return (column for _, column in numbered.items())
