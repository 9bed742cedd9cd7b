"""numpy arrays.

Promise: dtype, shape, order and bytes come back as they were, as a read-only view of the shared
memory. Text arrays are stored as Arrow text, for clients in other languages, and are copied out of
it; object arrays are pickled.
"""

from __future__ import annotations

import functools
import json
from typing import Any

import numpy

from vineyard._C import Blob, ObjectMeta, RemoteBlob
from vineyard.data import _dtypes, default, strings
from vineyard.data._draft import PutDraft, Tree
from vineyard.data._reader import Reader
from vineyard.data.utils import (
    from_text,
    normalize_cpptype,
    normalize_dtype,
    pickled_text,
    to_json,
)

# What `get` gives is a plain numpy array.
ndarray = numpy.ndarray

_EXPORTABLE_KINDS = "biuf"
_named: dict[str, numpy.dtype[Any]] = {}


def describe(draft: PutDraft, value: numpy.ndarray[Any, Any]) -> Tree:
    """The tree of an array; a subclass, such as a masked array, is pickled."""
    if type(value) is not numpy.ndarray:
        return default.describe(draft, value)
    dtype = value.dtype
    if dtype.hasobject or dtype.kind == "T" or (dtype.kind == "U" and value.ndim == 1):
        return _describe_objects(draft, value)
    if value.flags.f_contiguous and not value.flags.c_contiguous:
        # Other clients read the bytes of a tensor in C order and ignore `order_`.
        return describe_pickled(draft, value.shape, value) | {"order_": '"F"'}
    name = dtype.name
    tree = _header(draft, value, f"vineyard::Tensor<{normalize_dtype(name)}>")
    tree["value_type_"] = name
    tree["value_type_meta_"] = dtype.str
    if not _dtypes.is_simple(dtype):
        tree["dtype_exact_"] = _dtype_to_text(dtype)
    if value.flags.c_contiguous:
        tree["buffer_"] = _shared(draft, value) or draft.blob(_raw(value))
    else:
        tree["buffer_"] = draft.blob_of([value.view(f"V{dtype.itemsize}")])
    return tree


def _header(draft: PutDraft, value: numpy.ndarray[Any, Any], typename: str) -> Tree:
    return {
        "typename": typename,
        "nbytes": value.nbytes,
        "shape_": _shape_text(value.shape),
        "partition_index_": _place_text(draft),
        "order_": '"C"',
    }


@functools.lru_cache(maxsize=256)
def _shape_text(shape: tuple[int, ...]) -> str:
    return json.dumps(shape)


def _place_text(draft: PutDraft) -> str:
    place = draft.kwargs.get("partition_index")
    return "[]" if place is None else to_json(place)


def _raw(value: numpy.ndarray[Any, Any]) -> Any:
    """The array as a C-contiguous buffer, of bytes if numpy exports no buffer of its dtype."""
    if value.dtype.kind in _EXPORTABLE_KINDS and value.dtype.isnative and value.ndim:
        return value
    return value.reshape(-1).view("u1") if value.nbytes else b""


def _shared(draft: PutDraft, value: numpy.ndarray[Any, Any]) -> Tree | None:
    """The blob that the array is a view of, whole."""
    address = _blob_address(value)
    return draft.shared(address) if address else None


def lives_in_blob(draft: PutDraft, value: Any) -> bool:
    """Whether the array would be linked to the blob that it is a view of."""
    return type(value) is numpy.ndarray and draft.find(_blob_address(value)) is not None


def _blob_address(value: numpy.ndarray[Any, Any]) -> int:
    """Where the blob begins that the array is a view of, whole; 0 if there is none."""
    owner: Any = value.base
    while type(owner) is numpy.ndarray:
        owner = owner.base
    if type(owner) is memoryview:
        owner = owner.obj
    if not isinstance(owner, Blob | RemoteBlob) or owner.size != value.nbytes:
        return 0
    address: int = value.ctypes.data
    return address if owner.address == address else 0


def _describe_objects(draft: PutDraft, value: numpy.ndarray[Any, Any]) -> Tree:
    text = strings.describe_objects(draft, value) if value.ndim == 1 else None
    if text is not None:
        tree = _header(draft, value, "vineyard::Tensor<std::string>")
        tree["value_type_"] = "string"
        tree["value_type_meta_"] = "str"
        if value.dtype.kind == "U":
            tree["dtype_exact_"] = _dtype_to_text(value.dtype)
        tree["buffer_"] = text
        return tree
    return describe_pickled(draft, value.shape, value)


def describe_pickled(draft: PutDraft, shape: tuple[int, ...], value: Any) -> Tree:
    """An array of objects; `value` is pickled, and must be an array once it is unpickled."""
    tree: Tree = {
        "typename": "vineyard::Tensor<object>",
        "shape_": _shape_text(shape),
        "partition_index_": _place_text(draft),
        "order_": '"C"',
        "value_type_": "object",
        "value_type_meta_": "|O",
    }
    default.pack(draft, tree, value)
    tree["nbytes"] = tree["size_"]
    return tree


def restore(reader: Reader, tree: Tree) -> Any:
    """The array of a tree."""
    kind = tree["value_type_"]
    if kind == "object" or tree["typename"] == "vineyard::Tensor<object>":
        return default.unpack(reader, tree)
    shape = _shape(tree["shape_"])
    if "typename" in tree["buffer_"] and tree["buffer_"]["typename"] != "vineyard::Blob":
        return _restore_text(reader, tree, shape)
    exact = tree.get("dtype_exact_")
    dtype = _dtype_from_text(reader, exact) if exact else _dtype(tree)
    if tree.get("order_") == '"F"':
        shared: Any = numpy.ndarray(shape, dtype, reader.shared_blob(tree["buffer_"]))
        array = shared.copy(order="F")
        array.flags.writeable = reader.copies
        return array
    return numpy.ndarray(shape, dtype, reader.blob(tree["buffer_"]))


@functools.lru_cache(maxsize=256)
def _shape(text: str) -> tuple[int, ...]:
    return tuple(json.loads(text))


def _dtype(tree: Tree) -> numpy.dtype[Any]:
    name = tree.get("value_type_meta_") or normalize_cpptype(tree["value_type_"])
    dtype = _named.get(name)
    if dtype is None:
        dtype = _named[name] = _dtypes.without_objects(numpy.dtype(name))
    return dtype


def _dtype_to_text(dtype: numpy.dtype[Any]) -> str:
    """A dtype as plain text; its pickle if that loses any."""
    return _dtypes.to_text(dtype) or pickled_text(dtype)


def _dtype_from_text(reader: Reader, text: str) -> numpy.dtype[Any]:
    return _dtypes.from_text(text) if _dtypes.is_text(text) else from_text(reader, text)


def _restore_text(reader: Reader, tree: Tree, shape: tuple[int, ...]) -> numpy.ndarray[Any, Any]:
    text = reader.shared_part(tree, "buffer_")
    exact = tree.get("dtype_exact_")
    if exact is None:
        return strings.to_objects(text).reshape(shape)
    return strings.to_array(text, _dtype_from_text(reader, exact)).reshape(shape)


def restore_plain(reader: Reader, tree: Tree) -> numpy.ndarray[Any, Any]:
    """The one-dimensional array of a `vineyard::Array<T>`, which other languages write."""
    element = tree["typename"].partition("<")[2].removesuffix(">")
    dtype = _dtypes.without_objects(numpy.dtype(normalize_cpptype(element)))
    return numpy.ndarray(tree["size_"], dtype, reader.blob(tree["buffer_"]))


def make_global_tensor(
    client: Any,
    blocks: list[Any],
    extra_meta: Tree | None = None,
    shape: Any = None,
    partition_shape: Any = None,
) -> ObjectMeta:
    """Makes one tensor of tensors that may be on different instances, visible on all of them.

    Parameters:
        client: Client
            Any client of the cluster.
        blocks: list of ObjectID, ObjectMeta or Object
            The partitions. They are persisted.
        extra_meta: dict or None
            Further metadata for the new object.
        shape: tuple of int or None
            The shape of the whole.
        partition_shape: tuple of int or None
            How many partitions lie along each dimension.

    Returns:
        ObjectMeta: the persisted global object, of type ``vineyard::GlobalTensor``.

    Raises:
        ObjectNotExistsException: a block does not exist.
    """
    from vineyard.data._global import make_global

    fields = {"shape_": to_json(shape or []), "partition_shape_": to_json(partition_shape or [])}
    return make_global(client, "vineyard::GlobalTensor", blocks, fields, extra_meta)
