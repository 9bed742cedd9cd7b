"""Methods of got sparse matrices that work in place inside: they do what they do to any matrix."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.sparse

UNSORTED = ([1.0, 5.0, 2.0], [2, 0, 1], [0, 2, 3])
TWICE = ([1.0, 5.0, 2.0], [2, 2, 1], [0, 2, 3])
BLOCKS = (np.arange(12.0).reshape(3, 2, 2), [1, 0, 1], [0, 2, 3])


def large(matrix: Any) -> Any:
    matrix.indices, matrix.indptr = matrix.indices.astype("i8"), matrix.indptr.astype("i8")
    return matrix


MATRICES: dict[str, Callable[[], Any]] = {
    "csr sorted": lambda: scipy.sparse.csr_matrix(np.eye(3)),
    "csr unsorted": lambda: scipy.sparse.csr_matrix(UNSORTED, shape=(2, 3)),
    "csr twice": lambda: scipy.sparse.csr_matrix(TWICE, shape=(2, 3)),
    "csc unsorted": lambda: scipy.sparse.csc_matrix(UNSORTED, shape=(3, 2)),
    "csc twice": lambda: scipy.sparse.csc_matrix(TWICE, shape=(3, 2)),
    "bsr unsorted": lambda: scipy.sparse.bsr_matrix(BLOCKS, shape=(4, 4)),
    "coo unsorted": lambda: scipy.sparse.coo_matrix(([1.0, 5], ([1, 0], [2, 0])), shape=(2, 3)),
    "coo twice": lambda: scipy.sparse.coo_matrix(([1.0, 5], ([1, 1], [2, 2])), shape=(2, 3)),
    "csr array sorted": lambda: scipy.sparse.csr_array(np.eye(3)),
    "csr array unsorted": lambda: scipy.sparse.csr_array(UNSORTED, shape=(2, 3)),
    "csc array twice": lambda: scipy.sparse.csc_array(TWICE, shape=(3, 2)),
    "bsr array unsorted": lambda: scipy.sparse.bsr_array(BLOCKS, shape=(4, 4)),
    "coo array unsorted": lambda: scipy.sparse.coo_array(
        ([1.0, 5], ([1, 0], [2, 0])), shape=(2, 3)
    ),
    "large indices": lambda: large(scipy.sparse.csr_array(UNSORTED, shape=(2, 3))),
    "dia": lambda: scipy.sparse.dia_matrix((np.ones((2, 3)), [1, 0]), shape=(3, 3)),
}
METHODS: dict[str, Callable[[Any], Any]] = {
    "max": lambda m: m.tocsr().max() if m.format in ("bsr", "dia") else m.max(),
    "min of rows": lambda m: m.tocsc().min(axis=1).toarray(),
    "argmax": lambda m: m.tocsr().argmax() if m.format in ("bsr", "dia") else m.argmax(),
    "sum": lambda m: m.sum(axis=0),
    "toarray": lambda m: m.toarray(),
    "transposed": lambda m: m.T.tocsr().max(),
    "add": lambda m: (m + m).toarray(),
    "matmul": lambda m: (m @ m.T).toarray(),
    "a row": lambda m: m.tocsr()[[0]].toarray(),
    "tolil": lambda m: m.tolil().toarray(),
    "nonzero": lambda m: m.nonzero(),
    "sorted": lambda m: m.sorted_indices().indices if hasattr(m, "sorted_indices") else None,
    "multiply": lambda m: m.multiply(2).toarray(),
    "maximum": lambda m: m.tocsr().maximum(m.tocsr()).toarray(),
}


@pytest.mark.parametrize("pickles", ["allow", "refuse"])
@pytest.mark.parametrize("name", MATRICES)
def test_methods_do_what_they_do_to_any_matrix(node, name: str, pickles: str) -> None:
    import vineyard

    with vineyard.connect(node.socket, pickle=pickles) as client:
        object_id = client.put(MATRICES[name]())
        for method, call in METHODS.items():
            got, put = client.get(object_id), MATRICES[name]()
            np.testing.assert_equal(call(got), call(put), err_msg=method)
        again = client.get(object_id)
        for part in ("data", "indices", "indptr", "row", "col", "offsets"):
            if hasattr(MATRICES[name](), part):
                np.testing.assert_equal(getattr(again, part), getattr(MATRICES[name](), part))


@pytest.mark.parametrize("name", ["csr unsorted", "csr twice", "csc unsorted", "bsr unsorted"])
@pytest.mark.parametrize("method", ["sort_indices", "sum_duplicates", "eliminate_zeros"])
def test_row_30_methods_in_place_work_on_what_is_not_in_order(
    client, name: str, method: str
) -> None:
    got, put = client.get(client.put(MATRICES[name]())), MATRICES[name]()
    for matrix in (got, put):
        getattr(matrix, method)()
    for part in ("data", "indices", "indptr"):
        np.testing.assert_equal(getattr(got, part), getattr(put, part))


def test_what_is_in_order_is_a_view(ipc_client) -> None:
    for make in (scipy.sparse.csr_matrix, scipy.sparse.csc_matrix, scipy.sparse.bsr_matrix):
        object_id = ipc_client.put(make(2 * np.eye(4)))
        one, other = ipc_client.get(object_id), ipc_client.get(object_id)
        assert np.shares_memory(one.data, other.data)
        assert np.shares_memory(one.indices, other.indices)
        assert one.has_canonical_format and one.has_sorted_indices
        with pytest.raises(ValueError):
            one.data[0] = 1


def test_a_matrix_that_was_stored_without_its_order_is_asked(ipc_client) -> None:
    import vineyard

    stored = ipc_client.get_meta(ipc_client.put(MATRICES["csr unsorted"]()))
    meta = vineyard.ObjectMeta()
    for key in ("typename", "shape_", "value_type_", "ndim", "nnz", "partition_index_"):
        meta[key] = stored[key]
    for part in ("data", "indices", "indptr"):
        meta.add_member(part, stored[part])
    got = ipc_client.get(ipc_client.create_metadata(meta).id)
    assert got.max() == 5
