"""Values that were got can be pickled and copied, although they refer to their client."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import vineyard
from data_equal import assert_same

VALUES = {
    "sparse matrix": lambda: scipy.sparse.csr_matrix(np.eye(3)),
    "sparse array": lambda: pd.arrays.SparseArray([1.0, np.nan, 2.0]),
    "frame": lambda: pd.DataFrame({"a": [1, 2]}),
    "index": lambda: pd.Index([1, 2]),
}


class Shelf:
    """What a resolver of the user's own makes."""

    size = 5


@pytest.mark.parametrize("name", VALUES)
def test_a_got_value_is_pickled_copied_and_put_inside_another(client, name):
    got = client.get(client.put(VALUES[name]()))
    assert_same(VALUES[name](), pickle.loads(pickle.dumps(got)))
    assert_same(VALUES[name](), copy.deepcopy(got))
    assert_same(VALUES[name](), copy.copy(got))
    assert_same(VALUES[name](), client.get(client.put({"inside": got}))["inside"])


def test_a_value_of_a_resolver_of_ones_own_is_pickled(client):
    object_id = client.put((1, 2))
    got = client.get(object_id, resolver=lambda obj, **kw: Shelf())
    again = pickle.loads(pickle.dumps(got))
    assert again.size == 5
    assert getattr(again, "__vineyard_ref") == object_id
    with pytest.raises(AttributeError, match=r"vineyard\.connect"):
        getattr(again, "__vineyard_client").get(object_id)
    assert getattr(copy.deepcopy(got), "__vineyard_client") is client
    assert pickle.loads(pickle.dumps(again)).size == 5


def test_a_raw_client_is_not_pickled(raw):
    with pytest.raises(AttributeError, match=r"vineyard\.connect"):
        pickle.loads(pickle.dumps(raw)).put(1)


def test_a_blob_is_not_pickled_without_its_bytes(ipc_client):
    blob = ipc_client.get_blob(ipc_client.put(b"abc"))
    with pytest.raises(TypeError, match="Blob"):
        pickle.dumps(blob)
    assert isinstance(blob, vineyard.Object)
