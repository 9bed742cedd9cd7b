"""Which rows are wanted: tuples as of `pyarrow.parquet`, or an Arrow expression."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def expression_of(filters: Any) -> Any:
    """The Arrow expression of filters; None for none.

    Parameters:
        filters: pyarrow.dataset.Expression, list of tuples, list of lists of tuples, or None
            ``[("a", ">", 3)]``: tuples in a list must all hold, of lists in a list one must.

    Raises:
        ValueError: it is none of these.
    """
    import pyarrow.dataset
    import pyarrow.parquet

    if filters is None or isinstance(filters, pyarrow.dataset.Expression):
        return filters
    if isinstance(filters, tuple) and len(filters) == 3:
        filters = [filters]
    if not filters:
        return None
    try:
        return pyarrow.parquet.filters_to_expression(filters)
    except (TypeError, ValueError) as error:
        raise ValueError(f"filters must be like [('column', '>', 3)]: {error}") from error


def can_match(filters: Any, values: Mapping[str, Any], types: Mapping[str, Any]) -> bool:
    """Whether rows of a file may be wanted, as far as its folders tell. An expression tells
    nothing.

    Parameters:
        filters: as for :func:`expression_of`
            Those that the rows must pass.
        values: dict
            What all rows of the file have in some columns.
        types: dict of str to pyarrow.DataType
            The types of these columns.
    """
    import pyarrow

    if not isinstance(filters, list | tuple) or not filters or not values:
        return True
    if isinstance(filters, tuple) or isinstance(filters[0], tuple):
        filters = [[filters] if isinstance(filters, tuple) else filters]
    row = pyarrow.table({name: pyarrow.array([values[name]], types[name]) for name in values})
    for terms in filters:
        known = [term for term in terms if term[0] in values]
        if not known or row.filter(expression_of(known)).num_rows:
            return True
    return False


def columns_of(filters: Any, schema: Any) -> list[str]:
    """The columns of a schema that filters may need; more, where an expression does not tell.

    Raises:
        ValueError: the filters have a column that is not in the schema, or compare what cannot be
            compared.
    """
    import pyarrow

    expression = expression_of(filters)
    if expression is None:
        return []
    try:
        schema.empty_table().filter(expression)
    except (pyarrow.ArrowException, KeyError) as error:
        raise ValueError(f"filters do not fit the columns {schema.names}: {error}") from error
    shown = str(expression)
    found = [name for name in schema.names if name in shown]
    try:
        pyarrow.schema([schema.field(name) for name in found]).empty_table().filter(expression)
    except pyarrow.ArrowException:
        return list(schema.names)
    return found
