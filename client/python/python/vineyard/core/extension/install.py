"""Gives the classes of the extension the attributes that are written in Python.

These classes are defined in Rust, which does not know this package, and the extension itself makes
objects of them. So subclasses would not do: the attributes are set on the classes, once, when the
package is imported. Promise: no other file sets attributes of these classes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from vineyard import _C
from vineyard.core.extension import display, pickling, raw_clients
from vineyard.core.verbs import values

_Attributes = dict[str, Callable[..., Any]]

_RAW_CLIENT: _Attributes = {"put": values.put, "get": values.get, "_object": raw_clients.get_object}
_COPIED_AS_ITSELF: _Attributes = {"__copy__": pickling.itself, "__deepcopy__": pickling.itself}

_ATTRIBUTES: dict[type, _Attributes] = {
    _C.ClientBase: {"__reduce__": pickling.reduce_client, **_COPIED_AS_ITSELF},
    _C.IPCClient: {**_RAW_CLIENT, "fork": raw_clients.keeping_setting(_C.IPCClient.fork)},
    _C.RPCClient: {**_RAW_CLIENT, "fork": raw_clients.keeping_setting(_C.RPCClient.fork)},
    _C.Object: {"__reduce__": pickling.reduce_object, **_COPIED_AS_ITSELF},
    _C.InstanceStatus: {"_repr_html_": display.status_html},
    _C.ObjectMeta: {"_repr_html_": display.meta_html},
    _C.Blob: {"_repr_html_": display.blob_html},
    _C.RemoteBlob: {"_repr_html_": display.blob_html},
}


def install() -> None:
    """Sets all these attributes."""
    for extension_class, attributes in _ATTRIBUTES.items():
        for name, function in attributes.items():
            setattr(extension_class, name, function)
