"""Objects whose reading runs code: one for each way from the store to an unpickler.

Each attack takes a client that allows pickles and a folder, and returns the id of an object.
Unpickling that object makes the folder.
"""

from __future__ import annotations

import base64
import os
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import scipy.sparse
import vineyard
from vineyard.data.dataframe import make_global_dataframe

# Fields that the node sets for every object; builders must not set them.
_OF_THE_PROTOCOL = ("id", "signature", "instance_id", "transient", "nbytes", "global", "timestamp")

Attack = Callable[[Any, str], vineyard.ObjectID]
ATTACKS: dict[str, Attack] = {}


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.folder,)


class TrapText(str):
    """A text whose class is not plain."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self),)


def attack(function: Attack) -> Attack:
    ATTACKS[function.__name__] = function
    return function


def value(name: str, make: Callable[[Trap], Any]) -> None:
    """An attack that is put like any other value."""
    ATTACKS[name] = lambda client, folder: client.put(make(Trap(folder)))


def field(name: str, make: Callable[[], Any], key: str) -> None:
    """An attack with a pickle in one field of an object that is otherwise ordinary."""
    ATTACKS[name] = lambda client, folder: forged(
        client, client.put(make()), **{key: pickled_text(Trap(folder))}
    )


def pickled_text(trap: Any) -> str:
    return base64.b64encode(pickle.dumps(trap, protocol=5)).decode()


def forged(client: Any, object_id: vineyard.ObjectID, **changed: Any) -> vineyard.ObjectID:
    """A copy of an object with other fields or members; None leaves one out."""
    meta = client.get_meta(object_id)
    made = vineyard.ObjectMeta()
    made["typename"] = meta.typename
    for key in meta.keys():  # noqa: SIM118 - iterating gives more than the keys
        if key not in _OF_THE_PROTOCOL and key != "typename" and key not in changed:
            _set(made, key, meta[key])
    for key, content in changed.items():
        if content is not None:
            _set(made, key, content)
    return client.create_metadata(made).id


def _set(made: vineyard.ObjectMeta, key: str, content: Any) -> None:
    if isinstance(content, vineyard.ObjectMeta | vineyard.ObjectID):
        made.add_member(key, content)
    else:
        made[key] = content


def pickled_blob(client: Any, folder: str) -> vineyard.ObjectMeta:
    return client.get_meta(client.put(pickle.dumps(Trap(folder), protocol=5)))


value("an_object", lambda trap: trap)
value("an_object_in_a_dict", lambda trap: {"a": [1, trap]})
value("an_object_in_a_list", lambda trap: [1, [trap]])
value("an_object_in_a_tuple", lambda trap: (1, trap))
value("an_array_of_objects", lambda trap: np.array([trap], object))
value("a_text_of_a_class", lambda trap: TrapText(trap.folder))
value("a_name_of_an_index", lambda trap: pd.Index([1], name=trap))
value("an_index_of_objects", lambda trap: pd.Index([trap], dtype=object))
value("categories_of_an_index", lambda trap: pd.CategoricalIndex([trap]))
value("a_level_of_an_index", lambda trap: pd.MultiIndex.from_tuples([(trap, 1)]))
value("a_name_of_a_series", lambda trap: pd.Series([1], name=trap))
value("an_index_of_a_series", lambda trap: pd.Series([1], index=pd.Index([trap], dtype=object)))
value("categories_of_a_series", lambda trap: pd.Series(pd.Categorical([trap])))
value("a_label_of_a_frame", lambda trap: pd.DataFrame({trap: [1]}))
value("objects_of_a_frame", lambda trap: pd.DataFrame({"a": np.array([trap], object)}))
value("categories_of_a_frame", lambda trap: pd.DataFrame({"a": pd.Categorical([trap])}))
value("an_index_of_a_frame", lambda trap: pd.DataFrame({"a": [1]}, index=pd.Index([trap])))

field("a_label", lambda: pd.Index([1], name=1.5), "name_exact_")
field("a_frequency", lambda: pd.date_range("2020", periods=3), "freq_")
field("attributes_of_a_series", lambda: pd.Series([1]), "attrs_exact_")
field("attributes_of_a_frame", lambda: pd.DataFrame({"a": [1]}), "attrs_exact_")
field("a_dtype", lambda: np.zeros(2), "dtype_exact_")
field("a_dtype_of_text", lambda: np.array(["a"]), "dtype_exact_")
field("a_fill_value", lambda: pd.arrays.SparseArray([0, 1]), "fill_exact_")
field("a_schema_of_polars", lambda: pl.DataFrame({"a": [1]}), "polars_schema_")


def blob_of(name: str, make: Callable[[], Any]) -> None:
    """An attack that replaces the bytes of an object's blob."""

    def exchange(client: Any, folder: str) -> vineyard.ObjectID:
        blob = pickled_blob(client, folder)
        return forged(client, client.put(make()), buffer_=blob, spans_=None, plain_=None)

    ATTACKS[name] = exchange


blob_of("a_fortran_array", lambda: np.asfortranarray(np.eye(2)))
blob_of("a_dictionary_array", lambda: pa.array(["a"]).dictionary_encode())
blob_of("a_sparse_array", lambda: scipy.sparse.dok_matrix(np.eye(2)))
blob_of("a_series_of_polars", lambda: pl.Series([2**100], dtype=pl.Int128))
blob_of("a_frame_of_polars", lambda: pl.DataFrame({"a": pl.Series([2**100], dtype=pl.Int128)}))
blob_of("a_long_text", lambda: "x" * 100_000)
blob_of("a_text_with_surrogates", lambda: "\ud800")
blob_of("a_large_number", lambda: 1 << 20_000)


@attack
def values_of_a_series(client: Any, folder: str) -> vineyard.ObjectID:
    honest = client.put(pd.Series(pd.Categorical(["a"])))
    values = forged(
        client,
        client.get_meta(honest)["value_"].id,
        buffer_=pickled_blob(client, folder),
        spans_=None,
        plain_=None,
    )
    return forged(client, honest, value_=values)


@attack
def a_column_of_a_batch(client: Any, folder: str) -> vineyard.ObjectID:
    honest = client.put(pa.RecordBatch.from_pydict({"a": [1]}))
    return forged(client, honest, **{"__columns_-0": client.put(Trap(folder))})


@attack
def a_part_of_a_matrix(client: Any, folder: str) -> vineyard.ObjectID:
    honest = client.put(scipy.sparse.csr_matrix(np.eye(2)))
    return forged(client, honest, data=client.put(Trap(folder)))


@attack
def a_partition(client: Any, folder: str) -> vineyard.ObjectID:
    frame = client.put(pd.DataFrame({"a": np.array([Trap(folder)], object)}))
    return make_global_dataframe(client, [frame]).id
