"""Types that were guessed from the first block of a text file.

Promise: a column without values in the first block is text, unless that block is all there is.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pyarrow


def settled(schema: Any, given: Collection[str], is_whole: bool) -> Any:
    """The schema to read all of the data with.

    Parameters:
        schema: pyarrow.Schema
            What the first block has.
        given: names
            Columns whose types are not guessed.
        is_whole: bool
            Whether there is no other block.
    """
    if is_whole:
        return schema
    fields = [
        field.with_type(pyarrow.string())
        if pyarrow.types.is_null(field.type) and field.name not in given
        else field
        for field in schema
    ]
    return pyarrow.schema(fields, schema.metadata)
