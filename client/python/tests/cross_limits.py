"""What the released client cannot do, by reason and by the name of the case."""

from __future__ import annotations

# Its put fails.
NOT_WRITTEN: dict[str, list[str]] = {
    "put refuses this kind of matrix": [
        "scipy other dok_matrix",
        "scipy other lil_matrix",
    ],
    "put has no JSON for labels that are times": [
        "pandas.DataFrame time_labels",
    ],
    "put takes only sparse arrays with an integer index": [
        "pandas SparseArray block",
    ],
    "put fails: pyarrow 17 cannot tell the size of views": [
        "pyarrow.RecordBatch string_view",
        "pyarrow.RecordBatch binary_view",
    ],
    "put fails: byte_width is not there": [
        "pyarrow binary fixed_size_binary[2]",
        "pyarrow binary fixed_size_binary[2] slice",
        "pyarrow binary fixed_size_binary[2] empty",
        "pyarrow binary fixed_size_binary[2] nulls",
        "pyarrow.RecordBatch fixed_size_binary[2]",
        "pyarrow other decimal128(5, 2)",
        "pyarrow other decimal128(5, 2) slice",
        "pyarrow other decimal128(5, 2) empty",
        "pyarrow other decimal128(5, 2) nulls",
        "pyarrow.RecordBatch decimal128(5, 2)",
    ],
}

# Its put stores less than the value; ours says so when it is read.
WRITTEN_WITH_LOSS: dict[str, list[str]] = {
    "only the first value of the column is stored": [
        "pandas.DataFrame categorical",
        "pandas.DataFrame interval",
        "pandas.DataFrame Int64",
        "pandas.DataFrame Float32",
        "pandas.DataFrame boolean",
        "pandas.DataFrame string",
        "pandas.DataFrame string_python",
        "pandas.DataFrame string_arrow",
        "pandas.DataFrame arrow",
        "pandas.DataFrame arrow_list",
    ],
}

# Its get, or its put before that, fails; or what it gets is broken.
NOT_READ: dict[str, list[str]] = {
    "get has no dtype for the name it was stored under": [
        "numpy bytes plain",
        "numpy bytes fixed",
        "numpy structured flat",
        "numpy structured nested",
    ],
    "put refuses this kind of matrix": [
        "scipy other dok_matrix",
        "scipy other lil_matrix",
    ],
    "get takes the dtype for one of numbers": [
        "pandas.Index string",
    ],
    "get makes a list of a name that is a tuple": [
        "pandas.Index tuple_name",
        "pandas.Series index",
    ],
    "get makes a value that cannot be printed": [
        "pandas.Series datetime",
        "pandas.Series datetime_seconds",
        "pandas.Series timedelta",
        "pandas.DataFrame timedelta",
    ],
    "put stores only the first value of the column": [
        "pandas.DataFrame categorical",
        "pandas.DataFrame interval",
        "pandas.DataFrame Int64",
        "pandas.DataFrame Float32",
        "pandas.DataFrame boolean",
        "pandas.DataFrame string",
        "pandas.DataFrame string_python",
        "pandas.DataFrame string_arrow",
        "pandas.DataFrame arrow",
        "pandas.DataFrame arrow_list",
    ],
    "put has no JSON for labels that are times": [
        "pandas.DataFrame time_labels",
    ],
    "put takes only sparse arrays with an integer index": [
        "pandas SparseArray block",
    ],
    "get cannot read the name of the dtype": [
        "pandas SparseArray fill",
    ],
    "get has no type for the name it was stored under": [
        "pyarrow numeric float",
        "pyarrow numeric float slice",
        "pyarrow numeric float nulls",
        "pyarrow.RecordBatch float",
        "pyarrow numeric date32[day]",
        "pyarrow numeric date32[day] slice",
        "pyarrow numeric date32[day] empty",
        "pyarrow numeric date32[day] nulls",
        "pyarrow.RecordBatch date32[day]",
        "pyarrow numeric time32[s]",
        "pyarrow numeric time32[s] slice",
        "pyarrow numeric time32[s] empty",
        "pyarrow numeric time32[s] nulls",
        "pyarrow.RecordBatch time32[s]",
        "pyarrow numeric time64[ns]",
        "pyarrow numeric time64[ns] slice",
        "pyarrow numeric time64[ns] empty",
        "pyarrow numeric time64[ns] nulls",
        "pyarrow.RecordBatch time64[ns]",
        "pyarrow numeric timestamp[ns]",
        "pyarrow numeric timestamp[ns] slice",
        "pyarrow numeric timestamp[ns] empty",
        "pyarrow numeric timestamp[ns] nulls",
        "pyarrow.RecordBatch timestamp[ns]",
        "pyarrow numeric timestamp[us, tz=UTC]",
        "pyarrow numeric timestamp[us, tz=UTC] slice",
        "pyarrow numeric timestamp[us, tz=UTC] empty",
        "pyarrow numeric timestamp[us, tz=UTC] nulls",
        "pyarrow.RecordBatch timestamp[us, tz=UTC]",
        "pyarrow numeric duration[s]",
        "pyarrow numeric duration[s] slice",
        "pyarrow numeric duration[s] empty",
        "pyarrow numeric duration[s] nulls",
        "pyarrow.RecordBatch duration[s]",
        "pyarrow numeric date64[ms]",
        "pyarrow numeric date64[ms] slice",
        "pyarrow numeric date64[ms] empty",
        "pyarrow numeric date64[ms] nulls",
        "pyarrow.RecordBatch date64[ms]",
        "pyarrow numeric halffloat",
        "pyarrow numeric halffloat slice",
        "pyarrow numeric halffloat empty",
        "pyarrow numeric halffloat nulls",
        "pyarrow.RecordBatch halffloat",
        "polars.DataFrame times",
    ],
    "put fails: pyarrow 17 cannot tell the size of views": [
        "pyarrow.RecordBatch string_view",
        "pyarrow.RecordBatch binary_view",
    ],
    "get has no resolver for the typename": [
        "pyarrow binary large_binary",
        "pyarrow binary large_binary slice",
        "pyarrow binary large_binary empty",
        "pyarrow binary large_binary nulls",
        "pyarrow.RecordBatch large_binary",
    ],
    "put fails: byte_width is not there": [
        "pyarrow binary fixed_size_binary[2]",
        "pyarrow binary fixed_size_binary[2] slice",
        "pyarrow binary fixed_size_binary[2] empty",
        "pyarrow binary fixed_size_binary[2] nulls",
        "pyarrow.RecordBatch fixed_size_binary[2]",
        "pyarrow other decimal128(5, 2)",
        "pyarrow other decimal128(5, 2) slice",
        "pyarrow other decimal128(5, 2) empty",
        "pyarrow other decimal128(5, 2) nulls",
        "pyarrow.RecordBatch decimal128(5, 2)",
    ],
    "get does not make maps of the lists they were stored as": [
        "pyarrow.RecordBatch map<string, int64>",
    ],
    "get makes no table without batches": [
        "pyarrow.Table empty",
        "pyarrow.Table nothing",
        "polars.DataFrame no_rows",
    ],
}

# Its own values come back wrong, ours come back right.
READ_BETTER: dict[str, list[str]] = {
    "the byte order is lost": ["numpy.ndarray >i4 fortran", "numpy.ndarray >f8 fortran"],
}

# Pickled by its scipy, in a way that the scipy of today does not read.
OF_OLD_LIBRARIES: dict[str, list[str]] = {
    "scipy 1.11 pickles other attributes": ["scipy other coo_array", "scipy other dok_array"],
}
