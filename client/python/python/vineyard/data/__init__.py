"""How Python values become objects and back: builders and resolvers of the types vineyard knows by
itself.

Promise: importing this package imports no library of values. numpy, pandas, pyarrow, scipy and
polars are imported when a value of theirs is put or got.
"""

from __future__ import annotations

from typing import Any

from vineyard.data._registry import Builder, Resolver

__all__ = ["register_builtin_types"]

# Types by name, as "module.QualifiedName"; pandas 2 and 3 name the same class differently.
_PANDAS_CLASSES = {
    "frame.DataFrame": ("DataFrame", "dataframe"),
    "series.Series": ("Series", "series"),
    "indexes.base.Index": ("Index", "index"),
    "arrays.sparse.array.SparseArray": ("arrays.SparseArray", "extension:describe_sparse"),
}

_BUILDERS: dict[type | str, str] = {
    int: "base:describe_int",
    bool: "base:describe_bool",
    float: "base:describe_float",
    str: "base:describe_str",
    bytes: "base:describe_bytes",
    memoryview: "base:describe_bytes",
    tuple: "sequences",
    list: "sequences",
    object: "default",
    "numpy.float64": "base:describe_float",
    "numpy.ndarray": "tensor",
    "pyarrow.lib.Buffer": "base:describe_bytes",
    "pyarrow.lib.Array": "arrow",
    "pyarrow.lib.Schema": "table:describe_schema",
    "pyarrow.lib.RecordBatch": "table:describe_batch",
    "pyarrow.lib.Table": "table:describe_table",
    "polars.dataframe.frame.DataFrame": "polars",
    "polars.series.series.Series": "polars:describe_series",
    **{
        f"scipy.sparse._{kind}.{kind}_matrix": "sparse"
        for kind in ("bsr", "coo", "csc", "csr", "dia")
    },
    **{f"pandas.core.{path}": place for path, (_, place) in _PANDAS_CLASSES.items()},
    **{f"pandas.{name}": place for name, place in _PANDAS_CLASSES.values()},
}

_RESOLVERS: dict[str, str] = {
    "vineyard::Blob": "base:restore_bytes",
    "vineyard::Scalar": "base:restore_scalar",
    "vineyard::Sequence": "sequences",
    "vineyard::PickleBuffer": "default",
    "vineyard::Tensor": "tensor",
    "vineyard::Array": "tensor:restore_plain",
    "vineyard::Index": "index",
    "vineyard::Series": "series",
    "vineyard::DataFrame": "dataframe",
    "vineyard::WideFrame": "wide",
    "vineyard::GlobalDataFrame": "dataframe:restore_global",
    "vineyard::SparseArray": "extension:restore_sparse",
    "vineyard::NumericArray": "arrow:restore_fixed",
    "vineyard::FixedSizeBinaryArray": "arrow:restore_fixed",
    "vineyard::BooleanArray": "arrow:restore_fixed",
    "vineyard::NullArray": "arrow:restore_null",
    "vineyard::BaseBinaryArray": "arrow:restore_binary",
    "vineyard::LargeListArray": "arrow:restore_list",
    "vineyard::SchemaProxy": "table:restore_schema",
    "vineyard::RecordBatch": "table:restore_batch",
    "vineyard::Table": "table:restore_table",
    "vineyard::Graph": "graph",
    "vineyard::ByteStream": "streams:restore_bytes",
    "vineyard::DataframeStream": "streams:restore_frames",
    "vineyard::RecordBatchStream": "streams:restore_objects",
    "vineyard::ParallelStream": "streams:restore_parallel",
    "vineyard::StreamCollection": "streams:restore_collection",
    **{f"vineyard::{kind}Matrix": "sparse" for kind in ("BSR", "COO", "CSC", "CSR", "DIA")},
}


def register_builtin_types(builder_ctx: Any = None, resolver_ctx: Any = None) -> None:
    """Registers the builders and resolvers of all types that need no registration by the user.

    Parameters:
        builder_ctx: BuilderContext or None
            Where to register the builders; None: nowhere.
        resolver_ctx: ResolverContext or None
            Where to register the resolvers; None: nowhere.
    """
    if builder_ctx is not None:
        for type_id, place in _BUILDERS.items():
            builder_ctx.register(type_id, Builder(place))
    if resolver_ctx is not None:
        for prefix, place in _RESOLVERS.items():
            resolver_ctx.register(prefix, Resolver(place))
