"""pyarrow schemas, record batches and tables.

Promise: the schema comes back exactly, with metadata and the widths the columns had; columns are
views of the shared memory. Beside the exact schema lies the one with wide offsets, which describes
the columns as they are stored.
"""

from __future__ import annotations

import base64
import json
from typing import Any

import pyarrow

from vineyard.data._draft import PutDraft, Tree
from vineyard.data._reader import Reader
from vineyard.data.arrow import nbytes, parse_schema, refusal_of


def describe_schema(draft: PutDraft, value: pyarrow.Schema) -> Tree:
    """The tree of a schema."""
    return schema_tree(value)


def schema_tree(schema: pyarrow.Schema) -> Tree:
    """The tree of a schema: no blobs, so it can be used several times."""
    stored = pyarrow.schema([_widened(field) for field in schema], schema.metadata)
    text = stored.serialize().to_pybytes()
    tree: Tree = {
        "typename": "vineyard::SchemaProxy",
        "nbytes": len(text),
        "schema_binary_": json.dumps({"bytes": list(text)}),
    }
    if not stored.equals(schema, check_metadata=True):
        tree["schema_exact_"] = base64.b64encode(schema.serialize()).decode("ascii")
    return tree


def _widened(field: pyarrow.Field) -> pyarrow.Field:
    return field.with_type(_wide_type(field.type))


def _wide_type(kind: pyarrow.DataType) -> pyarrow.DataType:
    if pyarrow.types.is_string(kind):
        return pyarrow.large_string()
    if pyarrow.types.is_list(kind) or pyarrow.types.is_large_list(kind):
        return pyarrow.large_list(_widened(kind.value_field))
    return kind


def restore_schema(reader: Reader, tree: Tree) -> pyarrow.Schema:
    """The schema of a tree."""
    exact = tree.get("schema_exact_")
    if exact is not None:
        return parse_schema(base64.b64decode(exact), refusal_of(reader))
    return parse_schema(bytes(json.loads(tree["schema_binary_"])["bytes"]), refusal_of(reader))


def describe_batch(draft: PutDraft, value: pyarrow.RecordBatch) -> Tree:
    """The tree of a record batch with its columns."""
    return _batch_tree(draft, value, draft.part(value.schema))


def _batch_tree(draft: PutDraft, value: pyarrow.RecordBatch, schema: Tree) -> Tree:
    tree: Tree = {
        "typename": "vineyard::RecordBatch",
        "nbytes": nbytes(value),
        "row_num_": value.num_rows,
        "column_num_": value.num_columns,
        "__columns_-size": value.num_columns,
        "schema_": schema,
    }
    for at, column in enumerate(value.columns):
        tree[f"__columns_-{at}"] = draft.part(column)
    return tree


def restore_batch(reader: Reader, tree: Tree) -> pyarrow.RecordBatch:
    """The record batch of a tree."""
    schema = reader.part(tree, "schema_")
    columns = [
        as_type(reader.part(tree, f"__columns_-{at}"), schema.field(at).type)
        for at in range(tree["__columns_-size"])
    ]
    if not columns:
        return rows_alone(tree.get("row_num_", 0), schema)
    return pyarrow.RecordBatch.from_arrays(columns, schema=schema)


def rows_alone(rows: int, schema: pyarrow.Schema) -> pyarrow.RecordBatch:
    """A batch without columns: its number of rows is all that it has, beside metadata."""
    structs: Any = pyarrow.Array.from_buffers(pyarrow.struct([]), rows, [None])
    batch = pyarrow.RecordBatch.from_struct_array(structs)
    return batch.replace_schema_metadata(schema.metadata)


def as_type(column: Any, kind: pyarrow.DataType) -> Any:
    """The column with the type it had: narrower offsets are made, nothing else is copied."""
    if column.type == kind:
        return column
    if pyarrow.types.is_map(column.type):
        return _as_map(column, kind)
    if pyarrow.types.is_map(kind):
        # The released client stores maps as lists of structures.
        rows = column.to_pylist()
        pairs = [row and [tuple(pair.values()) for pair in row] for row in rows]
        return pyarrow.array(pairs, kind)
    return column.cast(kind)


def _as_map(column: Any, kind: pyarrow.DataType) -> Any:
    """A map whose type an earlier build stored without its sorted keys, with the type it had."""
    buffers = column.buffers()[:2]
    nulls, entries = column.null_count, [column.values]
    return pyarrow.Array.from_buffers(kind, len(column), buffers, nulls, column.offset, entries)


def describe_table(draft: PutDraft, value: pyarrow.Table) -> Tree:
    """The tree of a table: one partition for each record batch it consists of."""
    batches = value.to_batches() if value.num_columns else []
    schema = draft.part(value.schema)
    tree: Tree = {
        "typename": "vineyard::Table",
        "nbytes": nbytes(value),
        "num_rows_": value.num_rows,
        "num_columns_": value.num_columns,
        "batch_num_": len(batches),
        "partitions_-size": len(batches),
        "schema_": schema,
    }
    for at, batch in enumerate(batches):
        # The schema of a batch is that of the table.
        tree[f"partitions_-{at}"] = _batch_tree(draft, batch, dict(schema))
    return tree


def restore_table(reader: Reader, tree: Tree) -> Any:
    """The table of a tree; a polars frame if that is what was put."""
    schema = reader.part(tree, "schema_")
    batches = [
        reader.part(tree, f"partitions_-{at}") for at in range(tree.get("partitions_-size", 0))
    ]
    if not len(schema):
        batches = [rows_alone(tree.get("num_rows_", 0), schema)]
    table = pyarrow.Table.from_batches(batches, schema)
    if tree.get("from_polars"):
        try:
            from vineyard.data import polars
        except ImportError:
            return table
        return polars.restore(reader, table, tree)
    return table
