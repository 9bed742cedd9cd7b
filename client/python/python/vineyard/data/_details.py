"""What frames and series have beside their values and labels: attributes and flags."""

from __future__ import annotations

import json
from typing import Any

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
