"""Numbers, text and bytes: types of the language, without any import.

Promise: what comes back is equal and of the same type, except that bytes come back as a read-only
memoryview of the shared memory. Values that JSON cannot carry are written as text, which the
released client reads too.
"""

from __future__ import annotations

import math
import pickle
from typing import Any

from vineyard.data import default
from vineyard.data._draft import PutDraft, Tree
from vineyard.data._reader import Reader
from vineyard.data._reduce import Call

_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1

# Python refuses to print or parse longer integers as decimals unless told otherwise (4300 digits).
_DECIMAL_BITS_MAX = 10_000

# Metadata is kept whole in every node of the cluster; longer text goes to a blob.
_TEXT_LENGTH_MAX = 64 * 1024


def describe_int(draft: PutDraft, value: int) -> Tree:
    """The tree of an int of any size."""
    if type(value) is not int:
        return default.describe(draft, value)
    if _INT64_MIN <= value <= _INT64_MAX:
        return _scalar("int", value, "int")
    if value.bit_length() > _DECIMAL_BITS_MAX:
        return default.describe(draft, value)
    return _scalar("int", str(value), "int")


def describe_bool(draft: PutDraft, value: bool) -> Tree:
    """The tree of a bool."""
    return _scalar("int", value, "bool")


def describe_float(draft: PutDraft, value: float) -> Tree:
    """The tree of a float or numpy.float64; NaN and infinities are written as text."""
    kind = type(value).__name__
    if type(value) is not float and kind != "float64":
        return default.describe(draft, value)
    plain = float(value)
    return _scalar("double", plain if math.isfinite(plain) else str(plain), kind)


def describe_str(draft: PutDraft, value: str) -> Tree:
    """The tree of a str; long text, and text that UTF-8 cannot carry, is pickled into a blob."""
    if type(value) is not str:
        return default.describe(draft, value)
    if len(value) > _TEXT_LENGTH_MAX:
        return _describe_text(draft, value)
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            return _describe_text(draft, value)
    return _scalar("std::string", value, "str")


def _describe_text(draft: PutDraft, value: str) -> Tree:
    """Pickles text as a call that makes it from its bytes, which are in the pickle once."""
    utf8 = pickle.PickleBuffer(value.encode("utf-8", "surrogatepass"))
    return default.describe(draft, Call(str, utf8, "utf-8", "surrogatepass"))


def _scalar(cpp_type: str, value: Any, kind: str) -> Tree:
    return {
        "typename": f"vineyard::Scalar<{cpp_type}>",
        "nbytes": 0,
        "type_": kind,
        "value_": value,
    }


def restore_scalar(reader: Reader, tree: Tree) -> Any:
    """The int, bool, float or str of a tree, also of those other clients wrote."""
    value, kind = tree["value_"], tree.get("type_")
    if kind == "bool":
        return bool(value)
    if kind == "float64":
        import numpy

        return numpy.float64(value)
    typename = tree["typename"]
    if typename == "vineyard::Scalar<int>":
        return int(value)
    if typename == "vineyard::Scalar<double>":
        return math.nan if value is None else float(value)
    return value


def describe_bytes(draft: PutDraft, value: Any) -> Tree:
    """A bare blob with the bytes of `value`: bytes, memoryview or pyarrow.Buffer. A subclass of
    bytes is pickled, so that it comes back as itself.
    """
    if type(value) is bytes:
        return draft.blob(value)
    if isinstance(value, bytes):
        return default.describe(draft, value)
    view = memoryview(value)
    if view.nbytes == 0:
        return draft.blob(b"")
    owner = view.obj
    if getattr(owner, "size", None) == view.nbytes and hasattr(owner, "address"):
        shared = draft.shared(owner.address)
        if shared is not None:
            return shared
    if view.ndim == 0:
        return draft.blob(view.tobytes())
    return draft.blob(view) if view.c_contiguous else draft.blob_of([view])


def restore_bytes(reader: Reader, tree: Tree) -> memoryview:
    """The bytes of a blob, as a read-only memoryview of the shared memory."""
    view = memoryview(reader.blob(tree))
    return view if view.format == "B" else view.cast("B")
